/** MNIST and Fashion-MNIST: grey pictures of 28×28 in four IDX files. */
import { checkOptions, FormatError } from '../base/errors.ts'
import { sameShape, showShape } from '../base/shape.ts'
import { checkSum, unpack } from './checksum.ts'
import { arrayDataset, type Dataset, type TrainTest } from './dataset.ts'
import { type DataFile, type FileSet, findFiles, type NamedDataOptions, namedDataOptions } from './find-files.ts'
import { checkIdxPair, readIdx } from './idx.ts'

const names = {
  train: ['train-images-idx3-ubyte', 'train-labels-idx1-ubyte'],
  test: ['t10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte'],
} as const

/**
 * Length of each .gz file at its publisher's, and the SHA-256 sum of what is in it. The sums were computed from the
 * files, but for the two of Fashion-MNIST's pictures, which several projects give alike.
 */
type Published = readonly (readonly [name: string, bytes: number, sum: string])[]

/** What is looked for and downloaded. */
export const mnistFiles = fileSet('mnist', 'MNIST', 'https://ossci-datasets.s3.amazonaws.com/mnist/', [
  [names.train[0], 9_912_422, 'ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db'],
  [names.train[1], 28_881, '65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5'],
  [names.test[0], 1_648_877, '0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7'],
  [names.test[1], 4_542, 'ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2'],
])

export const fashionFiles = fileSet(
  'fashion-mnist',
  'Fashion-MNIST',
  'http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/',
  [
    [names.train[0], 26_421_880, 'c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888'],
    [names.train[1], 29_515, 'bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9'],
    [names.test[0], 4_422_102, '5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b'],
    [names.test[1], 5_148, '0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34'],
  ],
)

function fileSet(name: string, title: string, source: string, published: Published): FileSet {
  return {
    name,
    title,
    source,
    forms: [[...names.train, ...names.test]],
    remotes: published.map(([file, bytes, sum]) => ({
      folder: name,
      name: `${file}.gz`,
      url: `${source}${file}.gz`,
      bytes,
      check: async (content, where) => checkSum(await unpack(content, where), sum, where, 'the file'),
    })),
  }
}

const digitNames = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'] as const

const fashionNames = [
  'T-shirt/top',
  'Trouser',
  'Pullover',
  'Dress',
  'Coat',
  'Sandal',
  'Shirt',
  'Sneaker',
  'Bag',
  'Ankle boot',
] as const

/**
 * MNIST, the handwritten digits of LeCun, Cortes and Burges (http://yann.lecun.com/exdb/mnist/): 60,000 grey pictures
 * of 28×28 to learn from, 10,000 to test with; u8 [28, 28, 1], classes `0` … `9`. Read from its four IDX files, plain
 * or gzip, or downloaded once (11.6 MB).
 * @throws ConfigError when the files are not in the folder that is named, FormatError with path and byte offset when
 * one is not what it says, UnsupportedError when they can't be downloaded
 * @example
 * const data = await datasets.mnist()
 * data.train.length // 60000
 */
export function mnist(options: NamedDataOptions = {}): Promise<TrainTest> {
  return open('datasets.mnist', mnistFiles, digitNames, options)
}

/**
 * Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017, https://arxiv.org/abs/1708.07747): pictures of clothes with the sizes
 * and files of MNIST; classes `T-shirt/top`, `Trouser`, …, `Ankle boot`. Read from its files, or downloaded once
 * (30.9 MB).
 * @throws ConfigError when the files are not in the folder that is named, FormatError with path and byte offset when
 * one is not what it says, UnsupportedError when they can't be downloaded
 * @example
 * const data = await datasets.fashionMnist()
 * data.train.classes[9] // 'Ankle boot'
 */
export function fashionMnist(options: NamedDataOptions = {}): Promise<TrainTest> {
  return open('datasets.fashionMnist', fashionFiles, fashionNames, options)
}

async function open(
  where: string,
  set: FileSet,
  classes: readonly string[],
  options: NamedDataOptions,
): Promise<TrainTest> {
  checkOptions(where, options, namedDataOptions)
  const files = await findFiles(set, options)
  const part = ([images, labels]: readonly [string, string]) =>
    readPart(files.get(images) as DataFile, files.get(labels) as DataFile, classes)
  const train = await part(names.train)
  const test = await part(names.test)
  if (!sameShape(train.sampleShape, test.sampleShape)) {
    throw new FormatError({
      where: (files.get(names.test[0]) as DataFile).path,
      what: 'the test pictures have another size than the training pictures',
      got: showShape(test.sampleShape.slice(0, 2)),
      expected: showShape(train.sampleShape.slice(0, 2)),
      fix: 'put the four files of one data set into the folder',
    })
  }
  return { train, test }
}

async function readPart(imagesFile: DataFile, labelsFile: DataFile, classes: readonly string[]): Promise<Dataset> {
  const images = readIdx(await imagesFile.read(), imagesFile.path)
  const labels = readIdx(await labelsFile.read(), labelsFile.path)
  checkIdxPair(imagesFile.path, images, labelsFile.path, labels, classes.length)
  const [, height, width] = images.shape
  return arrayDataset(images.data, labels.data, [height, width, 1], 'u8', classes)
}
