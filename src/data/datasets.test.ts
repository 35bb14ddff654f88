import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { send, serve, type TestServer } from '../../test/http-server.ts'
import { FormatError } from '../base/errors.ts'
import { type DownloadProgress, datasets, generateDigits } from './index.ts'
import { fashionFiles } from './mnist.ts'

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
        '  expected  train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte; each plain or as .gz\n' +
        '  fix       leave the folder out to have them downloaded, or get them from https://ossci-datasets.s3.amazonaws.com/mnist/',
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

describe('where the files are', () => {
  let folder: string
  let server: TestServer | undefined
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'juanji-named-'))
    vi.stubEnv('JUANJI_CACHE', join(folder, 'cache'))
    vi.stubEnv('JUANJI_DATA', join(folder, 'data'))
    // Nothing may be asked of the network.
    vi.stubEnv('JUANJI_MIRROR', 'http://127.0.0.1:1')
  })
  afterEach(async () => {
    vi.unstubAllEnvs()
    await server?.close()
    server = undefined
    await rm(folder, { recursive: true })
  })

  /** The four files, with `count` pictures in each part. */
  async function write(place: string, count: number): Promise<string> {
    const path = join(folder, place)
    await mkdir(path, { recursive: true })
    for (const part of ['train', 't10k']) {
      await writeFile(join(path, `${part}-images-idx3-ubyte.gz`), gzipSync(pictures(count)))
      await writeFile(join(path, `${part}-labels-idx1-ubyte.gz`), gzipSync(idx([count], new Array(count).fill(9))))
    }
    return path
  }

  const messageOf = async (action: Promise<unknown>) => {
    const error = await action.catch((thrown: Error) => thrown)
    return `${(error as Error).name}: ${(error as Error).message}`.replaceAll(folder, 'DIR')
  }

  test('the folder that is named, JUANJI_DATA, the cache', async () => {
    const named = await write('named', 1)
    await write('data/images/fashion-mnist', 2)
    await write('cache/images/fashion-mnist', 3)
    const length = async (options: object) => (await datasets.fashionMnist(options)).train.length
    expect(await length({ data: named, download: false })).toBe(1)
    expect(await length({ download: false })).toBe(2)
    // A part of the files is not enough.
    await rm(join(folder, 'data/images/fashion-mnist/t10k-labels-idx1-ubyte.gz'))
    expect(await length({ download: false })).toBe(3)
    vi.stubEnv('JUANJI_DATA', '')
    expect(await length({})).toBe(3)
  })

  test('nowhere, and they are not to be downloaded', async () => {
    expect(await messageOf(datasets.fashionMnist({ download: false }))).toBe(
      `ConfigError: fashion-mnist: Fashion-MNIST's files are not here, and are not to be downloaded.
  got       nothing in DIR/data/images/fashion-mnist nor in the cache
  expected  train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte; each plain or as .gz
  fix       let them be downloaded, name their folder (--data DIR, or { data } in code), or set JUANJI_DATA to a folder that holds them`,
    )
  })

  test('a file of the cache that was damaged later', async () => {
    const path = join(await write('cache/images/mnist', 1), 't10k-images-idx3-ubyte.gz')
    await writeFile(path, gzipSync(pictures(1)).subarray(0, 20))
    expect(await messageOf(datasets.mnist())).toMatch(
      /^FormatError: DIR\/cache\/images\/mnist\/t10k-images-idx3-ubyte\.gz: the gzip data is damaged: .*\n.*\n.*\n {2}fix {7}remove this file: it is downloaded again the next time$/,
    )
  })

  test('the classes of Fashion-MNIST', async () => {
    const { train } = await datasets.fashionMnist({ data: await write('named', 1) })
    expect(train.classes[(await train.get(0)).y]).toBe('Ankle boot')
    expect(train.classes).toHaveLength(10)
  })

  test('a mistyped option is named', async () => {
    expect(await messageOf(datasets.cifar10({ mirrors: 'x' } as object))).toBe(
      `ConfigError: datasets.cifar10: unknown option 'mirrors'.
  expected  data, download, mirror, onProgress, signal
  fix       did you mean 'mirror'?`,
    )
  })

  /** A mirror of the real files; those that are not here are missing on it. */
  async function mirror(root: string): Promise<void> {
    for (const name of ['NO_PROXY', 'no_proxy']) vi.stubEnv(name, '*')
    server = await serve(async (request, response) => {
      const content = await readFile(join(root, 'images', request.url ?? '')).catch(() => undefined)
      if (content === undefined) response.writeHead(404).end()
      else send(request, response, content)
    })
    vi.stubEnv('JUANJI_MIRROR', server.url)
  }

  test('the real MNIST is downloaded once', async (context) => {
    vi.unstubAllEnvs()
    const root = process.env.JUANJI_DATA
    if (root === undefined) context.skip('JUANJI_DATA is not set')
    vi.stubEnv('JUANJI_DATA', undefined)
    vi.stubEnv('JUANJI_CACHE', join(folder, 'cache'))
    await mirror(root ?? '')
    const told: DownloadProgress[] = []
    const { train, test } = await datasets.mnist({ onProgress: (progress) => told.push(progress) })
    expect([train.length, test.length]).toEqual([60_000, 10_000])
    expect((await test.get(0)).y).toBe(7)
    const names = ['train-images-idx3', 'train-labels-idx1', 't10k-images-idx3', 't10k-labels-idx1']
    expect(server?.requests.map(({ url }) => url)).toEqual(names.map((name) => `/mnist/${name}-ubyte.gz`))
    expect(told.filter(({ state }) => state === 'done')).toHaveLength(4)
    await datasets.mnist({ mirror: 'http://127.0.0.1:1' })
    expect(await readdir(join(folder, 'cache/images/mnist'))).toHaveLength(4)
  })

  test("the sums of Fashion-MNIST's labels are those of the real files", async (context) => {
    vi.unstubAllEnvs()
    const root = process.env.JUANJI_DATA
    if (root === undefined) context.skip('JUANJI_DATA is not set')
    for (const remote of fashionFiles.remotes.filter(({ name }) => name.includes('labels'))) {
      const content = await readFile(join(root ?? '', 'images', 'fashion-mnist-sample', remote.name))
      expect(content.length).toBe(remote.bytes)
      await remote.check(content, remote.url)
      content[1000] ^= 1
      await expect(remote.check(content, remote.url)).rejects.toThrow(FormatError)
    }
  })
})
