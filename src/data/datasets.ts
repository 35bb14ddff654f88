/** Data sets by name. */
import { environment, exists, gunzip, joinPath, readFile } from '#platform'
import { ConfigError, checkOptions, FormatError } from '../base/errors.ts'
import { sameShape, showShape } from '../base/shape.ts'
import { arrayDataset, type Dataset, makeDataset } from './dataset.ts'
import { type PreparedDigits, prepareDigits } from './digits.ts'
import { checkIdxPair, type IdxArray, readIdx } from './idx.ts'

export { imageFolder } from './image-folder.ts'

/** What is learned from, and what is only looked at when all is decided. */
export interface TrainTest {
  readonly train: Dataset
  readonly test: Dataset
}

const digitNames = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'] as const
const side = 28

export interface DigitsDataOptions {
  /** Another seed gives other pictures; default 1. */
  readonly seed?: number
  /** Pictures to learn from; default 12,000. */
  readonly trainCount?: number
  /** Pictures to test with; default 2,400. */
  readonly testCount?: number
}

/**
 * Grey 28×28 pictures of digits that look handwritten, generated here: nothing is downloaded. The test pictures are of
 * other handwriting than the training pictures. Each is drawn when it is first looked at.
 * @throws ConfigError on an unknown option or a count or seed that makes no sense
 * @example
 * const data = await datasets.digits()
 * data.train.length // 12000
 */
export async function digits(options: DigitsDataOptions = {}): Promise<TrainTest> {
  checkOptions('datasets.digits', options, ['seed', 'trainCount', 'testCount'])
  const { seed = 1, trainCount = 12_000, testCount = 2_400 } = options
  // Wrong options are found now and not at the first sample.
  for (const [name, count] of Object.entries({ trainCount, testCount })) checkCount(name, count)
  prepareDigits({ split: 'train', count: 1, seed })
  return { train: lazyDigits('train', trainCount, seed), test: lazyDigits('test', testCount, seed) }
}

function checkCount(name: string, count: number): void {
  if (Number.isSafeInteger(count) && count >= 1) return
  throw new ConfigError({
    where: 'datasets.digits',
    what: `${name} makes no sense`,
    got: String(count),
    expected: 'a whole number of at least 1',
    fix: `correct ${name}`,
  })
}

function lazyDigits(split: 'train' | 'test', count: number, seed: number): Dataset {
  const size = side * side
  let made: { readonly digits: PreparedDigits; readonly images: Uint8Array; readonly drawn: Uint8Array } | undefined
  const prepared = () => {
    made ??= {
      digits: prepareDigits({ split, count, seed }),
      images: new Uint8Array(count * size),
      drawn: new Uint8Array(count),
    }
    return made
  }
  return makeDataset({
    length: count,
    sampleShape: [side, side, 1],
    dtype: 'u8',
    classes: digitNames,
    get(i) {
      const { digits, images, drawn } = prepared()
      const x = images.subarray(i * size, (i + 1) * size)
      if (drawn[i] === 0) digits.draw(i, x)
      drawn[i] = 1
      return { x, y: digits.labels[i] }
    },
    label: (i) => prepared().digits.labels[i],
  })
}

export interface MnistOptions {
  /** The folder with the four files; default: `images/mnist` in the folder that JUANJI_DATA names. */
  readonly data?: string
}

const mnistFiles = {
  train: ['train-images-idx3-ubyte', 'train-labels-idx1-ubyte'],
  test: ['t10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte'],
} as const

/**
 * The handwritten digits of LeCun, Cortes and Burges, read from their four IDX files, plain or gzip.
 * @throws ConfigError when the files are not there, FormatError with path and byte offset when one is not what it says
 * @example
 * const data = await datasets.mnist({ data: './mnist' })
 */
export async function mnist(options: MnistOptions = {}): Promise<TrainTest> {
  checkOptions('datasets.mnist', options, ['data'])
  const folder = mnistFolder(options.data)
  const paths = new Map<string, string>()
  const missing: string[] = []
  for (const name of [...mnistFiles.train, ...mnistFiles.test]) {
    const path = await findFile(folder, name)
    if (path === undefined) missing.push(name)
    else paths.set(name, path)
  }
  if (missing.length > 0) throw missingFiles(folder, missing)
  const part = ([images, labels]: readonly [string, string]) =>
    readPart(paths.get(images) as string, paths.get(labels) as string)
  const train = await part(mnistFiles.train)
  const test = await part(mnistFiles.test)
  if (!sameShape(train.sampleShape, test.sampleShape)) {
    throw new FormatError({
      where: paths.get(mnistFiles.test[0]) as string,
      what: 'the test pictures have another size than the training pictures',
      got: showShape(test.sampleShape.slice(0, 2)),
      expected: showShape(train.sampleShape.slice(0, 2)),
      fix: 'put the four files of one data set into the folder',
    })
  }
  return { train, test }
}

function mnistFolder(given: string | undefined): string {
  if (given !== undefined) return given
  const root = environment('JUANJI_DATA')
  if (root !== undefined && root !== '') return joinPath(root, 'images', 'mnist')
  throw new ConfigError({
    where: 'mnist',
    what: 'it is not said where the files are',
    expected: `a folder with ${[...mnistFiles.train, ...mnistFiles.test].join(', ')}, each plain or as .gz`,
    fix: 'name the folder (--data DIR, or { data } in code), or set JUANJI_DATA to a folder that holds images/mnist',
  })
}

function missingFiles(folder: string, missing: readonly string[]): ConfigError {
  return new ConfigError({
    where: folder,
    what: missing.length === 4 ? "MNIST's files are not in this folder" : "some of MNIST's files are missing",
    got: missing.length === 4 ? 'none of the four files' : `no ${missing.join(', no ')}`,
    expected: `${[...mnistFiles.train, ...mnistFiles.test].join(', ')}, each plain or as .gz`,
    fix: 'get them from https://ossci-datasets.s3.amazonaws.com/mnist/ (the name and .gz), or name the folder that holds them',
  })
}

/** Copies on the web differ in how they write `-idx3` and whether they are packed. */
async function findFile(folder: string, name: string): Promise<string | undefined> {
  for (const spelling of [name, name.replace('-idx', '.idx')]) {
    for (const ending of ['', '.gz']) {
      const path = joinPath(folder, spelling + ending)
      if (await exists(path)) return path
    }
  }
  return undefined
}

/** The file's array; gzip is told by its first bytes, not by the name. */
async function readArray(path: string): Promise<IdxArray> {
  const raw = await readFile(path)
  const bytes = raw[0] === 0x1f && raw[1] === 0x8b ? await gunzip(raw, path) : raw
  return readIdx(bytes, path)
}

async function readPart(imagesPath: string, labelsPath: string): Promise<Dataset> {
  const images = await readArray(imagesPath)
  const labels = await readArray(labelsPath)
  checkIdxPair(imagesPath, images, labelsPath, labels)
  const [, height, width] = images.shape
  return arrayDataset(images.data, labels.data, [height, width, 1], 'u8', digitNames)
}
