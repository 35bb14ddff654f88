import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openRange } from '#platform'
import { expectHostileSafe, hostileTimeoutMs } from '../../testing/mutate.ts'
import { type SafetensorsTensor, writeSafetensors } from '../safetensors.ts'
import { openWeights } from './open.ts'
import { openSafetensors } from './safetensors-file.ts'
import { openShards } from './shards.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'juanji-weights-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const f32 = (shape: readonly number[], ...data: readonly number[]): SafetensorsTensor => ({
  dtype: 'F32',
  shape,
  data: Float32Array.from(data),
})
const one = writeSafetensors(
  new Map<string, SafetensorsTensor>([
    ['a', f32([2], 1, 2)],
    ['mask', { dtype: 'BOOL', shape: [3], data: Uint8Array.of(1, 0, 1) }],
  ]),
  { author: 'me' },
)
const two = writeSafetensors(
  new Map([
    ['b', f32([1], 3)],
    ['c', f32([1], 4)],
  ]),
)
const indexOf = (weight_map: unknown) =>
  new TextEncoder().encode(JSON.stringify({ metadata: { total_size: 15 }, weight_map }, undefined, 1))
const map = { a: 'm-1.safetensors', mask: 'm-1.safetensors', b: 'm-2.safetensors' }

async function namesIn(path: string): Promise<string[]> {
  const file = await openWeights(path)
  await file.close()
  return [...file.tensors.keys()]
}

describe('openWeights', () => {
  it('opens safetensors from a path, bytes and a Blob, and reads when asked', async () => {
    const path = join(folder, 'one.safetensors')
    await writeFile(path, one)
    for (const source of [path, one, new Blob([one as Uint8Array<ArrayBuffer>])]) {
      const file = await openWeights(source, 'one.safetensors')
      expect([file.path, file.format, file.layout, file.metadata]).toEqual([
        'one.safetensors',
        'safetensors',
        'pytorch',
        { author: 'me' },
      ])
      expect([...file.tensors.values()].map(({ name, dtype, shape }) => [name, dtype, shape])).toEqual([
        ['a', 'F32', [2]],
        ['mask', 'BOOL', [3]],
      ])
      expect(await file.tensors.get('a')?.read()).toEqual(Float32Array.of(1, 2))
      expect(await file.tensors.get('mask')?.read()).toEqual(Uint8Array.of(1, 0, 1))
      await file.close()
      if (source === path) await expect(file.tensors.get('a')?.read()).rejects.toThrow('one.safetensors: cannot read')
    }
  })

  it('says what a file is that it does not know', async () => {
    await expect(openWeights(new TextEncoder().encode('MIT License'), 'LICENSE')).rejects.toThrow(
      `LICENSE: this is no file of weights of a format that is known here (at byte offset 0).
  got       "MIT Lice" (text)
  expected  safetensors, an index of several (….safetensors.index.json), or what torch.save wrote
  fix       convert the file to safetensors with the program that wrote it`,
    )
    await expect(openWeights(join(folder, 'nothing'))).rejects.toThrow('there is no such file or folder')
  })

  it('finds a file in a folder, or says what is missing', async () => {
    const inside = join(folder, 'inside')
    await mkdir(inside)
    await expect(openWeights(inside)).rejects.toThrow('the folder does not tell which weights are meant')
    await writeFile(join(inside, 'x.safetensors'), two)
    expect(await namesIn(inside)).toEqual(['b', 'c'])
    await writeFile(join(inside, 'y.safetensors'), two)
    await expect(openWeights(inside)).rejects.toThrow('got       x.safetensors, y.safetensors')
    await writeFile(join(inside, 'model.safetensors'), one)
    expect(await namesIn(inside)).toEqual(['a', 'mask'])
    await writeFile(
      join(inside, 'model.safetensors.index.json'),
      indexOf({ b: 'x.safetensors', a: 'model.safetensors' }),
    )
    const file = await openWeights(inside)
    expect([file.format, [...file.tensors.keys()]]).toEqual(['safetensors in 2 files', ['b', 'a']])
    await file.close()
  })
})

describe('an index of several files', () => {
  const beside = (name: string) => join(folder, name)
  const open = async (name: string, index: Uint8Array) => {
    await writeFile(beside(name), index)
    return openWeights(beside(name))
  }
  beforeAll(async () => {
    await writeFile(beside('m-1.safetensors'), one)
    await writeFile(beside('m-2.safetensors'), two)
    await symlink(beside('m-2.safetensors'), beside('linked.safetensors'))
  })

  it('opens them and reads from each', async () => {
    const file = await open('m.safetensors.index.json', indexOf({ ...map, c: 'linked.safetensors' }))
    expect([file.format, file.metadata]).toEqual(['safetensors in 3 files', { author: 'me' }])
    expect([...file.tensors.keys()]).toEqual(['a', 'mask', 'b', 'c'])
    expect(await file.tensors.get('a')?.read()).toEqual(Float32Array.of(1, 2))
    expect(await file.tensors.get('c')?.read()).toEqual(Float32Array.of(4))
    await file.close()
    await expect(file.tensors.get('b')?.read()).rejects.toThrow('cannot read')
  })

  it('names files that are missing, and tensors that are not where they should be', async () => {
    const name = 'gaps.safetensors.index.json'
    await expect(open(name, indexOf({ ...map, d: 'm-3.safetensors', e: 'm-4.safetensors' }))).rejects.toThrow(
      `${beside(name)}: 2 of the 4 files that the index names are missing (at byte offset 41).
  got       no m-3.safetensors, m-4.safetensors
  expected  all of them beside the index
  fix       get the missing files too, into the same folder`,
    )
    await expect(open(name, indexOf({ ...map, z: 'm-2.safetensors' }))).rejects.toThrow(
      `${beside(name)}: tensor 'z' is not in the file that the index names (at byte offset 140).
  got       2 other tensors in m-2.safetensors
  expected  'z' in m-2.safetensors`,
    )
  })

  it('never leaves its folder', async () => {
    const outside = [
      '../m-1.safetensors',
      '/etc/passwd.safetensors',
      'sub/m.safetensors',
      '..\\m-1.safetensors',
      'C:m-1.safetensors',
      '..',
      '',
      'm-1.safetensors\0.safetensors',
      'passwd',
      7,
      null,
    ]
    for (const file of outside) {
      await expect(open('o.safetensors.index.json', indexOf({ a: file }))).rejects.toThrow(
        /^.*o\.safetensors\.index\.json: tensor 'a' is in no file of this folder \(at byte offset \d+\)\./,
      )
    }
  })

  it('refuses an index of another form', async () => {
    const text = (words: string) => open('bad.safetensors.index.json', new TextEncoder().encode(words))
    await expect(text('{"weight_map": [1]}')).rejects.toThrow('the index has no weight_map (at byte offset 1)')
    await expect(text('{}')).rejects.toThrow('the index has no weight_map (at byte offset 0)')
    await expect(text('{"weight_map": {"a": 1')).rejects.toThrow('the index is not JSON (at byte offset 22)')
    await expect(text('{"weight_map": {"a": "m-1.safetensors", "a": "m-2.safetensors"}}')).rejects.toThrow(
      'the index names "a" twice (at byte offset 40)',
    )
  })
})

describe('whatever happened to the bytes, a FormatError with path and offset comes out of', {
  timeout: hostileTimeoutMs,
}, () => {
  it('a safetensors file', async () => {
    const read = async (bytes: Uint8Array) => {
      const file = await openSafetensors(await openRange(bytes, 'hostile'))
      for (const tensor of file.tensors.values()) await tensor.read()
    }
    await expectHostileSafe(read, [one, two])
  })

  it('an index', async () => {
    const opened: string[] = []
    const beside = async (name: string) => {
      opened.push(name)
      return openRange(name === 'm-1.safetensors' ? one : two, name)
    }
    const read = async (bytes: Uint8Array) => {
      const file = await openShards(await openRange(bytes, 'hostile'), beside)
      for (const tensor of file.tensors.values()) await tensor.read()
    }
    await expectHostileSafe(read, [indexOf(map)])
    expect(opened.filter((name) => /[/\\:]/.test(name) || !name.endsWith('.safetensors'))).toEqual([])
  })
})
