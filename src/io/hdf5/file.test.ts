import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import golden from '../../../test/golden/hdf5.golden.json' with { type: 'json' }
import { expectHostileSafe, hostileTimeoutMs } from '../../testing/mutate.ts'
import { toFloat32 } from '../safetensors.ts'
import type { StoredDType } from '../weights/source.ts'
import { Hdf5Dataset, Hdf5Group, openHdf5 } from './file.ts'
import { writeHdf5 } from './write.cases.ts'

/** A file that h5py wrote. */
const written = (name: keyof typeof golden) => new Uint8Array(gunzipSync(Buffer.from(golden[name], 'base64')))
const open = (name: keyof typeof golden) => openHdf5(written(name), `${name}.h5`)

async function valuesOf(group: Hdf5Group, path: string, as?: StoredDType) {
  const dataset = await group.find(path)
  if (!(dataset instanceof Hdf5Dataset)) throw new Error(`there is no dataset ${path}`)
  const data = await dataset.read(as)
  return { dtype: as ?? dataset.dtype, shape: dataset.shape, data: [...data].map(Number) }
}

const count = (length: number, of = (i: number) => i) => Array.from({ length }, (_, i) => of(i))

describe('openHdf5', () => {
  it('reads numbers of every type that h5py writes', async () => {
    const { root } = await open('numbers')
    const types = { f4: 'F32', f4be: 'F32', f8: 'F64', i8: 'I64', i4be: 'I32', i2: 'I16', u4: 'U32', u8be: 'U64' }
    for (const [name, dtype] of [...Object.entries(types), ['i1', 'I8'], ['u1', 'U8']]) {
      expect(await valuesOf(root, name), name).toEqual({ dtype, shape: [2, 3], data: count(6) })
    }
    expect(await valuesOf(root, 'bool')).toEqual({ dtype: 'BOOL', shape: [5], data: [0, 1, 0, 1, 0] })
    expect(await valuesOf(root, 'scalar')).toEqual({ dtype: 'F32', shape: [], data: [7] })
    expect(await valuesOf(root, 'empty')).toEqual({ dtype: 'F32', shape: [0, 4], data: [] })
    const half = (await root.find('f2')) as Hdf5Dataset
    expect([...toFloat32({ dtype: 'F16', shape: half.shape, data: await half.read() })]).toEqual(count(6, (i) => i / 4))
    const brain = (await root.find('bf16')) as Hdf5Dataset
    expect([brain.dtype, brain.elementSize, await brain.attribute('dtype')]).toEqual([undefined, 2, 'bfloat16'])
    const data = await brain.read('BF16')
    expect([...toFloat32({ dtype: 'BF16', shape: [4], data })]).toEqual(count(4, (i) => i / 4))
    await expect(valuesOf(root, 'text')).rejects.toThrow('dataset "text" holds no numbers')
    await expect(valuesOf(root, 'complex')).rejects.toThrow(
      /^numbers\.h5: dataset "complex" holds no numbers \(at byte/,
    )
  })

  it('puts chunks together, through gzip, shuffle and sums', async () => {
    const { root } = await open('chunks')
    for (const name of ['plain', 'gzip', 'shuffled', 'summed']) {
      expect(await valuesOf(root, name), name).toEqual({ dtype: 'F32', shape: [5, 6, 7], data: count(210) })
    }
    expect((await valuesOf(root, 'many')).data).toEqual(count(400))
    const error = await valuesOf(root, 'lzf').catch((reason: Error) => reason)
    expect(String((error as Error).message).replace(/offset \d+/, 'offset N')).toBe(
      `chunks.h5: dataset "lzf" went through a filter that is not known here (at byte offset N).
  got       lzf
  expected  deflate (gzip), shuffle, fletcher32
  fix       write the file again without compression, or with gzip`,
    )
  })

  it('reads attributes, groups and links', async () => {
    const { root } = await open('attributes')
    const all = ['text', 'bytes', 'fixed', 'names', 'texts', 'none', 'number', 'float', 'big', 'empty', 'more39', 'x']
    expect(await Promise.all(all.map((name) => root.attribute(name)))).toEqual([
      ...['any length: 卷积', 'bytes', 'fixed', ['conv', 'dense_1'], ['a', 'bc'], [], -3, 0.5, [1, 258], []],
      'x'.repeat(390),
      undefined,
    ])
    expect(await root.names()).toEqual(['a', 'again'])
    expect((await valuesOf(root, 'a/b/c')).data).toEqual([0, 1, 2])
    expect(await root.find('again')).toBe(await root.find('a/b/c'))
    expect((await ((await root.find('a/b')) as Hdf5Group).names()).length).toBe(61)
    expect(await root.find('a/nothing/c')).toBeUndefined()
    expect(await root.find('a/b/c/d')).toBeUndefined()
    expect([...(await root.datasets()).keys()]).toEqual(['a/b/c', 'again'])
  })

  it('reads what newer versions write, and files that begin with something else', async () => {
    const { root } = await open('latest')
    expect(await root.attribute('text')).toBe('any length')
    expect(await (await root.find('g'))?.attribute('names')).toEqual(['a', 'bc'])
    expect((await valuesOf(root, 'g/plain')).data).toEqual(count(6))
    expect((await valuesOf(root, 'g/one')).data).toEqual(count(6))
    expect((await valuesOf(root, 'g/gzip')).data).toEqual(count(600))
    expect((await valuesOf((await open('behind')).root, 'x')).data).toEqual(count(4))
  })

  it('agrees with the library of the format', async () => {
    for (const libver of ['earliest', 'v108', 'latest'] as const) {
      const bytes = await writeHdf5(
        {
          attributes: { keras_version: '2.11.0', names: ['a', 'bcd'], none: [] },
          inside: {
            g: {
              inside: {
                'kernel:0': { shape: [2, 3], data: count(6), attributes: { unit: 'm' } },
                whole: { shape: [30, 40], data: count(1200), chunks: [30, 40], gzip: true },
              },
            },
          },
        },
        { libver },
      )
      const { root } = await openHdf5(bytes, 'written.h5')
      expect(await root.attribute('keras_version')).toBe('2.11.0')
      expect([await root.attribute('names'), await root.attribute('none')]).toEqual([['a', 'bcd'], []])
      expect((await valuesOf(root, 'g/kernel:0')).data).toEqual(count(6))
      expect((await valuesOf(root, 'g/whole')).data).toEqual(count(1200))
    }
  })

  it('reads from disk by range', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'juanji-hdf5-'))
    try {
      const path = join(folder, 'chunks.h5')
      await writeFile(path, written('chunks'))
      const file = await openHdf5(path)
      expect((await valuesOf(file.root, 'shuffled')).data).toEqual(count(210))
      await file.close()
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })

  it('says what is wrong with a file', async () => {
    await expect(openHdf5(new Uint8Array(20), 'zeros.h5')).rejects.toThrow(
      `zeros.h5: this is no HDF5 file (at byte offset 0).
  got       00 00 00 00 00 00 00 00
  expected  89 48 44 46 0d 0a 1a 0a
  fix       check that this is a Keras .h5 or .weights.h5 file, and complete`,
    )
    const bytes = written('numbers')
    await expect(openHdf5(bytes.subarray(0, 3000), 'cut.h5')).rejects.toThrow(
      `cut.h5: the file is cut short (at byte offset 48).
  got       3000 bytes
  expected  ${bytes.length}
  fix       the file is not complete: get it again`,
    )
    const { root } = await open('circle')
    await expect(root.datasets()).rejects.toThrow(/^circle\.h5: groups hold each other \(at byte offset \d+\)/)
  })

  it('is not led beyond the file by what it says of itself', { timeout: hostileTimeoutMs }, async () => {
    const everything = async (bytes: Uint8Array) => {
      const { root } = await openHdf5(bytes, 'hostile')
      const walk = async (group: Hdf5Group, depth: number): Promise<void> => {
        for (const name of ['text', 'names', 'texts', 'big', 'more7']) await group.attribute(name)
        for (const name of await group.names()) {
          const inner = await group.child(name)
          if (inner instanceof Hdf5Group && depth < 4) await walk(inner, depth + 1)
          if (inner instanceof Hdf5Dataset && inner.dtype !== undefined && name !== 'lzf') await inner.read()
        }
      }
      await walk(root, 0)
    }
    const files = (['numbers', 'chunks', 'attributes', 'latest'] as const).map(written)
    await expectHostileSafe(everything, files, { count: 1200 })
  })
})
