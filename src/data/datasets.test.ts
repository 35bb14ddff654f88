import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { datasets, generateDigits } from './index.ts'

describe('digits', () => {
  test('has the sizes it promises', async () => {
    const { train, test } = await datasets.digits()
    expect([train.length, test.length]).toEqual([12_000, 2_400])
    expect(train.sampleShape).toEqual([28, 28, 1])
    expect(train.dtype).toBe('u8')
    expect(train.classes).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
  })

  test('equal options give equal pictures, other seeds others', async () => {
    const first = async (seed: number) => (await datasets.digits({ seed, trainCount: 20, testCount: 20 })).train.get(7)
    expect(await first(3)).toEqual(await first(3))
    expect((await first(3)).x).not.toEqual((await first(4)).x)
  })

  test('pictures drawn one by one, in any order, are those drawn at once', async () => {
    const { train, test } = await datasets.digits({ trainCount: 12, testCount: 12 })
    for (const [split, dataset] of Object.entries({ train, test })) {
      const { images, labels } = generateDigits({ split: split as 'train' | 'test', count: 12 })
      for (const i of [11, 3, 3, 0]) {
        const { x, y } = await dataset.get(i)
        expect([y, x]).toEqual([labels[i], images.subarray(784 * i, 784 * (i + 1))])
      }
    }
  })

  test('a mistyped option is named', async () => {
    await expect(datasets.digits({ trainCont: 5 } as object)).rejects.toThrow(
      "datasets.digits: unknown option 'trainCont'.\n" +
        '  expected  seed, trainCount, testCount\n' +
        "  fix       did you mean 'trainCount'?",
    )
    await expect(datasets.digits({ testCount: 0 })).rejects.toThrow(
      'datasets.digits: testCount makes no sense.\n' +
        '  got       0\n' +
        '  expected  a whole number of at least 1\n' +
        '  fix       correct testCount',
    )
  })
})

/** An IDX file of bytes. */
function idx(shape: readonly number[], values: readonly number[]): Buffer {
  const head = Buffer.alloc(4 + 4 * shape.length)
  head[2] = 8
  head[3] = shape.length
  for (const [i, extent] of shape.entries()) head.writeUInt32BE(extent, 4 + 4 * i)
  return Buffer.concat([head, Buffer.from(values)])
}

const pictures = (count: number, first = 0) =>
  idx(
    [count, 2, 3],
    Array.from({ length: 6 * count }, (_, i) => first + i),
  )

describe('mnist', () => {
  let folder: string
  const write = (name: string, content: Uint8Array) => writeFile(join(folder, name), content)

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'juanji-mnist-'))
    await write('train-images-idx3-ubyte.gz', gzipSync(pictures(3)))
    await write('train-labels-idx1-ubyte', idx([3], [5, 0, 9]))
    await write('t10k-images.idx3-ubyte', pictures(2, 100))
    await write('t10k-labels-idx1-ubyte.gz', gzipSync(idx([2], [1, 2])))
  })
  afterEach(() => rm(folder, { recursive: true }))

  const message = async (): Promise<string> => {
    try {
      await datasets.mnist({ data: folder })
    } catch (error) {
      return `${(error as Error).name}: ${(error as Error).message}`.replaceAll(folder, 'DIR')
    }
    return 'no error'
  }

  test('plain or gzip, spelt one way or the other', async () => {
    const { train, test } = await datasets.mnist({ data: folder })
    expect([train.length, test.length]).toEqual([3, 2])
    expect(train.sampleShape).toEqual([2, 3, 1])
    expect(train.get(1)).toEqual({ x: Uint8Array.of(6, 7, 8, 9, 10, 11), y: 0 })
    expect(test.get(1)).toEqual({ x: Uint8Array.of(106, 107, 108, 109, 110, 111), y: 2 })
  })

  test('a missing file', async () => {
    await rm(join(folder, 't10k-images.idx3-ubyte'))
    expect(await message()).toBe(
      "ConfigError: DIR: some of MNIST's files are missing.\n" +
        '  got       no t10k-images-idx3-ubyte\n' +
        '  expected  train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, each plain or as .gz\n' +
        '  fix       get them from https://ossci-datasets.s3.amazonaws.com/mnist/ (the name and .gz), or name the folder that holds them',
    )
  })

  test('images and labels of different count', async () => {
    await write('train-labels-idx1-ubyte', idx([2], [5, 0]))
    expect(await message()).toBe(
      'FormatError: DIR/train-labels-idx1-ubyte: there are not as many labels as pictures (at byte offset 4).\n' +
        '  got       2 labels, 3 pictures in DIR/train-images-idx3-ubyte.gz\n' +
        '  expected  one label for each picture\n' +
        '  fix       take both files from the same split: train with train, t10k with t10k',
    )
  })

  test('a file cut short', async () => {
    await write('t10k-images.idx3-ubyte', pictures(2).subarray(0, 20))
    expect(await message()).toBe(
      'FormatError: DIR/t10k-images.idx3-ubyte: the file is cut short (at byte offset 20).\n' +
        '  got       20 bytes\n' +
        '  expected  28 bytes: a header of 16, then 12 for shape [2, 2, 3]\n' +
        '  fix       get the file again',
    )
  })

  test('a gzip file cut short', async () => {
    await write('train-images-idx3-ubyte.gz', gzipSync(pictures(3)).subarray(0, 30))
    expect(await message()).toMatch(/^FormatError: DIR\/train-images-idx3-ubyte\.gz: the gzip data is damaged: /)
  })

  test('pictures and labels exchanged', async () => {
    await write('train-labels-idx1-ubyte', pictures(3))
    expect(await message()).toMatch(
      /^FormatError: DIR\/train-labels-idx1-ubyte: the number of axes is wrong \(at byte offset 3\)/,
    )
  })

  test('pictures of two sizes', async () => {
    await write('t10k-images.idx3-ubyte', idx([2, 3, 2], new Array(12).fill(0)))
    expect(await message()).toMatch(/t10k-images\.idx3-ubyte: the test pictures have another size/)
  })
})
