import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tensor } from '../../tensor/index.ts'
import { expectHostileSafe, hostileTimeoutMs } from '../../testing/mutate.ts'
import { layer2, numbers, sequential2 } from '../keras/write-keras.cases.ts'
import { importTfjs } from './import.ts'

const topology = {
  keras_version: 'tfjs-layers 4.22.0',
  backend: 'tensor_flow.js',
  model_config: sequential2(
    [4, 4, 1],
    [
      layer2('Conv2D', 'conv', { filters: 2, kernel_size: [3, 3], activation: 'relu' }),
      layer2('Flatten', 'flatten'),
      layer2('Dense', 'dense', { units: 3, use_bias: false }),
    ],
  ),
}
const kernel = numbers([3, 3, 1, 2], 1)
const bias = numbers([2], 2)
const dense = numbers([8, 3], 3)
const bytesOf = (...arrays: readonly ArrayBufferView[]) =>
  new Uint8Array(Buffer.concat(arrays.map((array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength))))
const whole = bytesOf(kernel.data, bias.data, dense.data)

const weights = [
  { name: 'conv/kernel', shape: [3, 3, 1, 2], dtype: 'float32' },
  { name: 'conv/bias', shape: [2], dtype: 'float32' },
  { name: 'dense/kernel', shape: [8, 3], dtype: 'float32' },
]
/** Cut where it falls: values go on in the next shard. */
const shards = { 'group1-shard1of2.bin': whole.slice(0, 50), 'group1-shard2of2.bin': whole.slice(50) }
const manifest = [{ paths: Object.keys(shards), weights }]
const json = {
  format: 'layers-model',
  generatedBy: 'TensorFlow.js',
  modelTopology: topology,
  weightsManifest: manifest,
}

const x = tensor(numbers([1, 4, 4, 1], 4).data, [1, 4, 4, 1])
const outputs = async (loaded: Awaited<ReturnType<typeof importTfjs>>) =>
  [...(await loaded.model(x).data())] as number[]

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'juanji-tfjs-'))
  await mkdir(join(folder, 'model'))
  await writeFile(join(folder, 'model', 'model.json'), JSON.stringify(json))
  for (const [name, bytes] of Object.entries(shards)) await writeFile(join(folder, 'model', name), bytes)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('importTfjs', () => {
  it('reads a folder, a file, and files at hand', async () => {
    const first = await importTfjs(join(folder, 'model'))
    expect(first.report).toEqual({ format: 'TensorFlow.js layers, Keras tfjs-layers 4.22.0', notes: [] })
    expect(first.model.parameters.map(({ name }) => name)).toEqual(['conv.weight', 'conv.bias', 'dense.weight'])
    expect(await first.model.get('conv.weight').data()).toEqual(kernel.data)
    expect(await first.model.get('dense.weight').data()).toEqual(dense.data)
    const expected = await outputs(first)
    expect(await outputs(await importTfjs(join(folder, 'model', 'model.json')))).toEqual(expected)
    expect(await outputs(await importTfjs({ json, shards }))).toEqual(expected)
    const blobs = new Map(Object.entries(shards).map(([name, bytes]) => [name, new Blob([bytes])]))
    expect(await outputs(await importTfjs({ json: JSON.stringify(json), shards: blobs }))).toEqual(expected)
  })

  it('reads quantised values', async () => {
    // Steps of 1/64 from -1 on; the bias as half floats: 1.5 and -2.
    const steps = Uint8Array.from({ length: 18 }, (_, i) => 7 * i)
    const halves = Uint16Array.of(0x3e00, 0xc000)
    const wide = Uint16Array.from({ length: 24 }, (_, i) => 2000 * i)
    const packed = [
      { ...weights[0], quantization: { dtype: 'uint8', scale: 1 / 64, min: -1, original_dtype: 'float32' } },
      { ...weights[1], quantization: { dtype: 'float16', original_dtype: 'float32' } },
      { ...weights[2], quantization: { dtype: 'uint16', scale: 2 ** -15, min: 0.5 } },
    ]
    const bytes = bytesOf(steps, halves, wide)
    const manifest = [{ paths: ['all.bin'], weights: packed }]
    const { model } = await importTfjs({ json: { ...json, weightsManifest: manifest }, shards: { 'all.bin': bytes } })
    expect(await model.get('conv.weight').data()).toEqual(new Float32Array(18).map((_, i) => (7 * i) / 64 - 1))
    expect(await model.get('conv.bias').data()).toEqual(Float32Array.of(1.5, -2))
    expect(await model.get('dense.weight').data()).toEqual(
      new Float32Array(24).map((_, i) => 0.5 + (2000 * i) / 2 ** 15),
    )
  })

  it('says what is wrong', async () => {
    const with_ = (weightsManifest: unknown, given: Record<string, Uint8Array> = shards) =>
      importTfjs({ json: { ...json, weightsManifest }, shards: given })
    await expect(importTfjs({ json: { format: 'graph-model', modelTopology: { node: [] } }, shards })).rejects.toThrow(
      `model.json: this is a graph model, which holds operations of TensorFlow and no layers.
  got       format "graph-model"
  expected  format "layers-model"
  fix       convert the model it was made from: save it in Keras as .keras or .h5, or as ONNX with tf2onnx`,
    )
    for (const path of ['../secret.bin', '/etc/passwd', 'a/../../b', 'https://host/x', 'C:\\x', 'a//b', '']) {
      await expect(with_([{ paths: [path], weights }])).rejects.toThrow(
        `model.json: field weightsManifest[0].paths[0] is not what was expected.
  got       ${JSON.stringify(path)}
  expected  the name of a file in the folder of model.json
  fix       put all shards into one folder and name them alone`,
      )
    }
    await expect(with_([{ paths: ['missing.bin'], weights }])).rejects.toThrow(
      `model.json: shard "missing.bin" is not there.
  expected  one of group1-shard1of2.bin, group1-shard2of2.bin
  fix       get all files of the model, into one folder`,
    )
    const short = { ...shards, 'group1-shard2of2.bin': whole.slice(50, 100) }
    await expect(with_(manifest, short)).rejects.toThrow(
      `model.json: field weightsManifest[0].weights[2].shape is not what was expected.
  got       an array of 2
  expected  values that end at byte 176 of 2 shards with 100 bytes in all
  fix       get all shards again, whole`,
    )
    await expect(with_([{ ...manifest[0], weights: weights.slice(0, 2) }])).rejects.toThrow(
      'expected  values in all 176 bytes of the shards, not in 80',
    )
    await expect(with_([{ paths: [], weights: [{ name: 's', shape: [1], dtype: 'string' }] }])).rejects.toThrow(
      'model.json: weight "s" is of a type that is not read.\n  got       string',
    )
    await rm(join(folder, 'model', 'group1-shard2of2.bin'))
    await expect(importTfjs(join(folder, 'model'))).rejects.toThrow('shard "group1-shard2of2.bin" is not there')
  })

  it('lives through damaged files', { timeout: hostileTimeoutMs }, async () => {
    const file = new TextEncoder().encode(JSON.stringify(json))
    const read = (bytes: Uint8Array) => importTfjs({ json: bytes, shards }, { path: 'hostile' })
    await expectHostileSafe(read, [file], { count: 1500 })
  })
})
