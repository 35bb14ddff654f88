import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { makeTar } from '../../test/tar.ts'
import { FormatError } from '../base/errors.ts'
import { sha256 } from '../platform/node.ts'
import { errorText } from '../testing/error-text.ts'
import { cifar10Classes, cifarFiles } from './cifar.ts'
import { datasets, readCifar10 } from './index.ts'

/** Records with these labels; the bytes of each plane tell picture, plane and place. */
function records(labels: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(3073 * labels.length)
  for (const [i, label] of labels.entries()) {
    bytes[3073 * i] = label
    for (let at = 0; at < 3072; at++) bytes[3073 * i + 1 + at] = (7 * i + 100 * Math.floor(at / 1024) + (at % 97)) % 256
  }
  return bytes
}

const textOf = (bytes: Uint8Array) => errorText(() => readCifar10(bytes, 'data_batch_1.bin'))

describe('readCifar10', () => {
  it('puts the colours of a pixel side by side', () => {
    const bytes = records([3, 9])
    const { images, labels } = readCifar10(bytes, 'a.bin')
    expect(labels).toEqual(Uint8Array.of(3, 9))
    expect(images).toHaveLength(2 * 3072)
    for (const [picture, y, x] of [
      [0, 0, 0],
      [0, 31, 31],
      [1, 0, 1],
      [1, 17, 5],
    ]) {
      const pixel = 32 * y + x
      const planes = bytes.subarray(3073 * picture + 1)
      const expected = [planes[pixel], planes[1024 + pixel], planes[2048 + pixel]]
      const at = 3072 * picture + 3 * pixel
      expect([...images.subarray(at, at + 3)]).toEqual(expected)
    }
  })

  it('refuses what does not consist of whole records', () => {
    expect(textOf(records([1, 2]).subarray(0, 4000))).toBe(
      `FormatError: data_batch_1.bin: the file does not end with a whole record (the last one begins at byte offset 3073).
  got       4000 bytes that begin with 01 00 01 02 03 04 05 06: 927 too many, or 2146 too few
  expected  records of 3073 bytes: a label, then 1024 bytes each of red, green and blue
  fix       get the file again, in the binary version of CIFAR-10`,
    )
    expect(textOf(new Uint8Array())).toBe(
      `FormatError: data_batch_1.bin: the file is empty.
  got       no bytes at all
  expected  records of 3073 bytes: a label, then 1024 bytes each of red, green and blue
  fix       get the file again, in the binary version of CIFAR-10`,
    )
    expect(textOf(gzipSync(records([1])))).toContain('\n  fix       decompress it first')
  })

  it('refuses labels that no class has', () => {
    expect(textOf(records([0, 9, 10]))).toBe(
      `FormatError: data_batch_1.bin: the label of record 2 is out of range (at byte offset 6146).
  got       10
  expected  0 to 9
  fix       check that this is a batch of CIFAR-10 in the binary version`,
    )
  })

  it('reads or refuses whatever it is given', () => {
    const lengths = fc.constantFrom(0, 1, 3072, 3073, 3074, 6146)
    fc.assert(
      fc.property(lengths, fc.nat(255), fc.nat(255), (length, first, second) => {
        const bytes = new Uint8Array(length)
        for (const [i, label] of [first, second].entries()) if (3073 * i < length) bytes[3073 * i] = label
        try {
          expect(3073 * readCifar10(bytes, 'a.bin').labels.length).toBe(length)
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('reads the real pictures exactly', async (context) => {
    const root = process.env.JUANJI_DATA
    if (root === undefined) context.skip('JUANJI_DATA is not set')
    const path = join(root ?? '', 'images', 'cifar10', 'cifar10-data_batch_1-first4000-lossless.bin.gz')
    if (!existsSync(path)) context.skip(`there is no ${path}`)
    const { images, labels } = readCifar10(gunzipSync(await readFile(path)), path)
    expect(labels).toHaveLength(4000)
    expect([...labels.subarray(0, 6)].map((label) => cifar10Classes[label])).toEqual([
      'frog',
      'truck',
      'truck',
      'deer',
      'automobile',
      'automobile',
    ])
    // Of [4000, 32, 32, 3] and [4000], as Python's slices turn the planes.
    expect(await sha256(images)).toBe('bac45b45504ed1289a3f437be4bfbefece248abbc094a428a0b4dfab00e776ae')
    expect(await sha256(labels)).toBe('2c365f60663d4e0eae47b2e7e1f85bef4375b295095eff8ce46a32be9415473c')
  })
})

describe('datasets.cifar10', () => {
  const names = [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`)
  const batches = new Map(names.map((name, i) => [name, records([i, i + 1])]))
  batches.set('test_batch.bin', records([9, 8, 7]))

  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'juanji-cifar-'))
    vi.stubEnv('JUANJI_CACHE', join(folder, 'cache'))
    vi.stubEnv('JUANJI_DATA', undefined)
  })
  afterEach(async () => {
    vi.unstubAllEnvs()
    await rm(folder, { recursive: true })
  })

  const archive = makeTar([
    { name: 'cifar-10-batches-bin/', type: '5' },
    // In another order, among other files: the order is that of the names.
    ...[...batches].reverse().map(([name, data]) => ({ name: `cifar-10-batches-bin/${name}`, data })),
    { name: 'cifar-10-batches-bin/readme.html', data: new TextEncoder().encode('<p>') },
  ])

  async function expectAll(options: Parameters<typeof datasets.cifar10>[0]) {
    const { train, test } = await datasets.cifar10(options)
    expect([train.length, test.length]).toEqual([10, 3])
    expect([train.sampleShape, train.dtype, train.classes]).toEqual([[32, 32, 3], 'u8', cifar10Classes])
    const label = (i: number) => train.label?.(i)
    expect(Array.from({ length: 10 }, (_, i) => label(i))).toEqual([0, 1, 1, 2, 2, 3, 3, 4, 4, 5])
    const third = readCifar10(batches.get('data_batch_2.bin') as Uint8Array, 'data_batch_2.bin')
    expect(train.get(3)).toEqual({ x: third.images.subarray(3072), y: 2 })
    expect(await test.get(2)).toMatchObject({ y: 7 })
  }

  it('reads six batches, plain or gzip', async () => {
    for (const [i, [name, data]] of [...batches].entries()) {
      await writeFile(join(folder, i % 2 === 0 ? name : `${name}.gz`), i % 2 === 0 ? data : gzipSync(data))
    }
    await expectAll({ data: folder })
  })

  it('reads the folder that the archive becomes', async () => {
    const inner = join(folder, 'cifar-10-batches-bin')
    await mkdir(inner)
    for (const [name, data] of batches) await writeFile(join(inner, name), data)
    await expectAll({ data: folder })
    await expectAll({ data: inner })
  })

  it('reads the archive, plain or gzip, from the folder, JUANJI_DATA or the cache', async () => {
    await writeFile(join(folder, 'cifar-10-binary.tar'), archive)
    await expectAll({ data: folder })
    await rm(join(folder, 'cifar-10-binary.tar'))
    for (const root of ['data', 'cache']) {
      await mkdir(join(folder, root, 'images', 'cifar10'), { recursive: true })
      await writeFile(join(folder, root, 'images', 'cifar10', 'cifar-10-binary.tar.gz'), gzipSync(archive))
    }
    await expectAll({ download: false })
    vi.stubEnv('JUANJI_DATA', join(folder, 'data'))
    vi.stubEnv('JUANJI_CACHE', join(folder, 'no cache'))
    await expectAll({ download: false })
  })

  const messageOf = async (options: Parameters<typeof datasets.cifar10>[0]) => {
    const error = await datasets.cifar10(options).catch((thrown: Error) => thrown)
    return `${(error as Error).name}: ${(error as Error).message}`.replaceAll(folder, 'DIR')
  }

  it('says which batches are missing, and how some of them can be used', async () => {
    for (const name of names.slice(0, 2)) await writeFile(join(folder, name), batches.get(name) as Uint8Array)
    expect(await messageOf({ data: folder })).toBe(
      `ConfigError: DIR: some of CIFAR-10's files are missing.
  got       no data_batch_3.bin, no data_batch_4.bin, no data_batch_5.bin, no test_batch.bin
  expected  data_batch_1.bin, data_batch_2.bin, data_batch_3.bin, data_batch_4.bin, data_batch_5.bin, test_batch.bin; or cifar-10-binary.tar; each plain or as .gz
  fix       leave the folder out to have them downloaded, or get them from https://www.cs.toronto.edu/~kriz/cifar.html (the binary version); single batches are read by readCifar10 in code`,
    )
  })

  it('says where in the archive something is wrong', async () => {
    const write = (data: Uint8Array) => writeFile(join(folder, 'cifar-10-binary.tar.gz'), gzipSync(data))
    await write(makeTar([{ name: 'data_batch_1.bin', data: records([1]) }]))
    expect(await messageOf({ data: folder })).toBe(
      `FormatError: DIR/cifar-10-binary.tar.gz: batches are missing from this archive.
  got       no data_batch_2.bin, no data_batch_3.bin, no data_batch_4.bin, no data_batch_5.bin, no test_batch.bin
  expected  data_batch_1.bin, data_batch_2.bin, data_batch_3.bin, data_batch_4.bin, data_batch_5.bin, test_batch.bin
  fix       get the archive again: cifar-10-binary.tar.gz`,
    )
    await write(
      makeTar([...batches].map(([name, data]) => ({ name, data: name === 'test_batch.bin' ? records([11]) : data }))),
    )
    expect(await messageOf({ data: folder })).toContain(
      'FormatError: test_batch.bin in DIR/cifar-10-binary.tar.gz: the label of record 0 is out of range (at byte offset 0).',
    )
  })

  it('takes no archive whose batches are not those that were published', async () => {
    const { remotes } = cifarFiles
    const error = await remotes[0].check(gzipSync(archive), 'ADDRESS').catch((thrown: Error) => thrown)
    expect(String(error)).toBe(
      `FormatError: ADDRESS: data_batch_1.bin in this archive is not the one that was published.
  got       sha256 ${await sha256(batches.get('data_batch_1.bin') as Uint8Array)}, 6,146 bytes that begin with 00 00 01 02 03 04 05 06
  expected  sha256 cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5, uncompressed
  fix       get the file again`,
    )
  })
})
