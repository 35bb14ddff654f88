/** CIFAR-10 (Krizhevsky, 2009, https://www.cs.toronto.edu/~kriz/cifar.html) and its binary layout. */
import { nextTurn, sha256 } from '#platform'
import { showStart } from '../base/bytes.ts'
import { checkOptions, FormatError } from '../base/errors.ts'
import { checkSum, unpack } from './checksum.ts'
import { arrayDataset, type Dataset, makeDataset, type TrainTest } from './dataset.ts'
import { type DataFile, type FileSet, findFiles, type NamedDataOptions, namedDataOptions } from './find-files.ts'
import { readTar } from './tar.ts'

/** Names of the ten classes, by number. */
export const cifar10Classes = [
  'airplane',
  'automobile',
  'bird',
  'cat',
  'deer',
  'dog',
  'frog',
  'horse',
  'ship',
  'truck',
] as const

const side = 32
const planeSize = side * side
const pictureSize = 3 * planeSize
const recordSize = 1 + pictureSize

/** Pictures and labels as a file of CIFAR-10's binary layout holds them. */
export interface CifarImages {
  /** [count, 32, 32, 3], red, green and blue of a pixel side by side. */
  readonly images: Uint8Array
  /** [count], each 0 to 9: places in {@link cifar10Classes}. */
  readonly labels: Uint8Array
}

/**
 * Reads records of CIFAR-10's binary layout, already decompressed: a byte for the label, then 1,024 bytes of red,
 * 1,024 of green and 1,024 of blue, row by row. Any number of records will do, so that single batches and pieces of
 * them can be used: `datasets.cifar10` wants the whole data set, because without `test_batch.bin` there is nothing to
 * test with.
 *
 * ```ts
 * const { images, labels } = readCifar10(bytes, 'data_batch_1.bin')
 * const some = arrayDataset(images, labels, [32, 32, 3], 'u8', cifar10Classes)
 * ```
 *
 * @param path names the file in messages
 * @throws FormatError when the length is not that of whole records, or a label is above 9
 */
export function readCifar10(bytes: Uint8Array, path: string): CifarImages {
  checkLength(bytes, path)
  const count = bytes.length / recordSize
  const images = new Uint8Array(count * pictureSize)
  const labels = new Uint8Array(count)
  for (let i = 0; i < count; i++) {
    const at = i * recordSize
    labels[i] = checkLabel(bytes[at], i, path)
    const red = at + 1
    for (let pixel = 0, out = i * pictureSize; pixel < planeSize; pixel++, out += 3) {
      images[out] = bytes[red + pixel]
      images[out + 1] = bytes[red + planeSize + pixel]
      images[out + 2] = bytes[red + 2 * planeSize + pixel]
    }
  }
  return { images, labels }
}

function checkLength(bytes: Uint8Array, path: string): void {
  const rest = bytes.length % recordSize
  if (rest === 0 && bytes.length > 0) return
  const compressed = bytes[0] === 0x1f && bytes[1] === 0x8b
  throw new FormatError({
    where: path,
    what:
      bytes.length === 0
        ? 'the file is empty'
        : `the file does not end with a whole record (the last one begins at byte offset ${bytes.length - rest})`,
    got:
      bytes.length === 0
        ? 'no bytes at all'
        : `${bytes.length} bytes that begin with ${showStart(bytes)}: ${rest} too many, or ${recordSize - rest} too few`,
    expected: `records of ${recordSize} bytes: a label, then ${planeSize} bytes each of red, green and blue`,
    fix: compressed ? 'decompress it first' : 'get the file again, in the binary version of CIFAR-10',
  })
}

function checkLabel(label: number, record: number, path: string): number {
  if (label < cifar10Classes.length) return label
  throw new FormatError({
    where: path,
    what: `the label of record ${record} is out of range (at byte offset ${record * recordSize})`,
    got: `${label}`,
    expected: '0 to 9',
    fix: 'check that this is a batch of CIFAR-10 in the binary version',
  })
}

// ── the data set ──

const archive = 'cifar-10-binary.tar'
const trainBatches = [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`)
const testBatch = 'test_batch.bin'

/** SHA-256 sum of the archive as it is published; TensorFlow Datasets and others give the same. */
const archiveSum = 'c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd'

/** SHA-256 sums of the batches, whatever they are packed into, as torchvision for Ruby checks them. */
const sums: Readonly<Record<string, string>> = {
  'data_batch_1.bin': 'cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5',
  'data_batch_2.bin': 'a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed',
  'data_batch_3.bin': 'bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67',
  'data_batch_4.bin': '014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48',
  'data_batch_5.bin': '755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add',
  'test_batch.bin': '8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b',
}

/** What is looked for and downloaded. */
export const cifarFiles: FileSet = {
  name: 'cifar10',
  title: 'CIFAR-10',
  forms: [[...trainBatches, testBatch], [archive]],
  inner: ['cifar-10-batches-bin'],
  remotes: [
    {
      folder: 'cifar10',
      name: `${archive}.gz`,
      url: `https://www.cs.toronto.edu/~kriz/${archive}.gz`,
      bytes: 170_052_171,
      async check(content, where) {
        if ((await sha256(content)) === archiveSum) return
        // A mirror may have packed the same batches in another way.
        const batches = batchesIn(await unpack(content, where), where)
        for (const [name, sum] of Object.entries(sums)) {
          await checkSum(batches.get(name) as Uint8Array, sum, where, `${name} in this archive`)
        }
      },
    },
  ],
  source: 'https://www.cs.toronto.edu/~kriz/cifar.html (the binary version)',
  partly: 'single batches are read by readCifar10 in code',
}

/** The six batches of an archive, in whatever folder. @throws FormatError when one is missing */
function batchesIn(tar: Uint8Array, path: string): Map<string, Uint8Array> {
  const batches = new Map<string, Uint8Array>()
  for (const { name, data } of readTar(tar, path)) {
    const base = name.slice(name.lastIndexOf('/') + 1)
    if (base in sums) batches.set(base, data)
  }
  const missing = Object.keys(sums).filter((name) => !batches.has(name))
  if (missing.length === 0) return batches
  throw new FormatError({
    where: path,
    what: 'batches are missing from this archive',
    got: `no ${missing.join(', no ')}`,
    expected: Object.keys(sums).join(', '),
    fix: `get the archive again: ${archive}.gz`,
  })
}

/**
 * CIFAR-10: 50,000 photographs of 32×32 in colour to learn from, 10,000 to test with, ten classes from `airplane` to
 * `truck`; u8 [32, 32, 3]. Read from the six batches of its binary version, plain or gzip, or from its archive, or
 * downloaded once (170 MB). Takes 184 MB of memory, and up to 650 MB while it is read from its archive.
 * @throws ConfigError when the files are not in the folder that is named, FormatError with path and byte offset when
 * one is not what it says, UnsupportedError when they can't be downloaded
 * @example
 * const data = await datasets.cifar10()
 * data.train.sampleShape // [32, 32, 3]
 */
export async function cifar10(options: NamedDataOptions = {}): Promise<TrainTest> {
  checkOptions('datasets.cifar10', options, namedDataOptions)
  const files = await findFiles(cifarFiles, options)
  const packed = files.get(archive)
  const batches = packed === undefined ? files : await unpackBatches(packed)
  const part = (names: readonly string[]) => readBatches(names.map((name) => batches.get(name) as DataFile))
  return { train: await part(trainBatches), test: await part([testBatch]) }
}

async function unpackBatches(file: DataFile): Promise<Map<string, DataFile>> {
  const batches = batchesIn(await file.read(), file.path)
  return new Map(
    Array.from(batches, ([name, bytes]) => [name, { path: `${name} in ${file.path}`, read: async () => bytes }]),
  )
}

/** One data set over several batches. They are read one after the other, so that one file at a time is held twice. */
async function readBatches(files: readonly DataFile[]): Promise<Dataset> {
  const parts: Dataset[] = []
  for (const file of files) {
    const { images, labels } = readCifar10(await file.read(), file.path)
    parts.push(arrayDataset(images, labels, [side, side, 3], 'u8', cifar10Classes))
    await nextTurn()
  }
  const place = (i: number): [part: Dataset, index: number] => {
    let index = i
    let part = 0
    while (index >= parts[part].length) index -= parts[part++].length
    return [parts[part], index]
  }
  return makeDataset({
    ...parts[0],
    length: parts.reduce((sum, { length }) => sum + length, 0),
    get(i) {
      const [part, index] = place(i)
      return part.get(index)
    },
    label(i) {
      const [part, index] = place(i)
      return part.label?.(index) as number
    },
  })
}
