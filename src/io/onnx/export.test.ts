import { describe, expect, it } from 'vitest'
import { runOnnx } from '../../../test/onnx-runtime.ts'
import type { TypedArray } from '../../base/dtype.ts'
import { type Shape, sameShape, sizeOf } from '../../base/shape.ts'
import { layerTypes } from '../../nn/from-json.ts'
import * as nn from '../../nn/index.ts'
import { init, type Model } from '../../nn/model.ts'
import { compile, type Tensor, tensor } from '../../tensor/index.ts'
import { exporters } from './export/layers.ts'
import { type ExportCase, exportCases } from './export.cases.ts'
import { exportOnnx } from './export.ts'
import { MessageReader } from './read-message.ts'
import type { Message } from './schema.ts'

const open = (bytes: Uint8Array): Message<'Model'> => new MessageReader(bytes, 'test.onnx').read('Model')

/** A model whose parameters and running statistics are any numbers. */
async function modelOf(layer: nn.Layer, input: Shape): Promise<Model> {
  const model = init(layer, { input, seed: 5 })
  for (const [i, state] of [...model.parameters, ...model.states].entries()) {
    const positive = state.name.endsWith('running_var')
    const values = Float32Array.from({ length: state.size }, (_, j) => Math.sin(3.7 * j + i))
    await state.load(positive ? values.map((value) => value + 1.2) : values)
  }
  return model.eval()
}

function samples({ input, integers, range = [-1.7, 1.7] }: ExportCase, batch: number): Float32Array | Int32Array {
  const size = batch * sizeOf(input)
  const [least, most] = range
  return integers === undefined
    ? Float32Array.from({ length: size }, (_, i) => least + (most - least) * (0.5 + 0.5 * Math.sin(12.9898 * (i + 1))))
    : Int32Array.from({ length: size }, (_, i) => (i * 7) % integers)
}

/** [batch, …spatial, channels] as [batch, channels, …spatial], or the other way. */
function turned<T extends Float32Array | Int32Array>(values: T, batch: number, shape: Shape, back = false): T {
  const channels = shape[shape.length - 1]
  const places = sizeOf(shape) / channels
  const result = values.slice() as T
  for (let b = 0; b < batch; b++) {
    for (let place = 0; place < places; place++) {
      for (let channel = 0; channel < channels; channel++) {
        const last = (b * places + place) * channels + channel
        const first = (b * channels + channel) * places + place
        if (back) result[last] = values[first]
        else result[first] = values[last]
      }
    }
  }
  return result
}

const channelsFirst = (shape: Shape): Shape => [...shape.slice(-1), ...shape.slice(0, -1)]

async function expectSame(model: Model, bytes: Uint8Array, of: ExportCase): Promise<void> {
  // Whole numbers that go into a table are int32; others are asked for as f32.
  const { elemType, shape: dims } = open(bytes).graph?.input[0].type?.tensorType ?? {}
  const whole = elemType === 6
  const extents = dims?.dim.slice(1).map(({ dimValue }) => dimValue ?? 0) ?? []
  const forward = compile((x: Tensor) => model(x))
  const batches = [1, 3]
  const inputs = batches.map((batch) => {
    const values = samples(of, batch)
    return whole ? values : Float32Array.from(values)
  })
  const turn = !sameShape(extents, of.input)
  if (turn) expect(extents).toEqual(channelsFirst(of.input))
  const theirs = await runOnnx(
    bytes,
    batches.map((batch, i) => ({
      data: turn ? turned(inputs[i], batch, of.input) : inputs[i],
      shape: [batch, ...(turn ? channelsFirst(of.input) : of.input)],
    })),
  )
  for (const [i, batch] of batches.entries()) {
    const y = await forward(tensor(inputs[i], [batch, ...of.input]))
    const ours = (await y.data()) as TypedArray
    const shape = y.shape.slice(1)
    const { shape: dims, data } = theirs[i]
    const found = Float32Array.from(data)
    const natural = sameShape(dims, [batch, ...shape])
    if (!natural) expect(dims).toEqual([batch, ...channelsFirst(shape)])
    const expected = Float32Array.from(ours)
    const got = natural ? found : turned(found, batch, shape, true)
    const scale = Math.max(1, ...expected.map(Math.abs).filter(Number.isFinite))
    const wrong = got.findIndex((value, j) => !(Math.abs(value - expected[j]) <= 1e-4 * scale))
    expect(wrong < 0 ? '' : `batch ${batch}, value ${wrong}: ${got[wrong]} instead of ${expected[wrong]}`).toBe('')
  }
}

const containers = ['sequential', 'residual', 'graph']

function typesIn(layer: nn.Layer): string[] {
  return [layer.type, ...(layer.layers ?? []).flatMap(([, inner]) => typesIn(inner))]
}

describe('every layer', () => {
  it('has an exporter and a case', () => {
    const types = layerTypes.filter((type) => !containers.includes(type))
    expect(types.filter((type) => !Object.hasOwn(exporters, type))).toEqual([])
    const tried = new Set(exportCases.flatMap(({ layer }) => typesIn(layer)))
    expect(types.filter((type) => !tried.has(type))).toEqual([])
    expect(Object.keys(exporters).filter((type) => !types.includes(type))).toEqual([])
  })

  it.each(exportCases.map((one) => [one.name, one] as const))('%s', async (_name, one) => {
    const model = await modelOf(one.layer, one.input)
    const bytes = await exportOnnx(model)
    await expectSame(model, bytes, one)
    const nodes = open(bytes).graph?.node ?? []
    expect(nodes.filter(({ opType }) => opType === 'Transpose')).toHaveLength(one.transposes ?? 0)
  })

  // Where axes, Gelu, norms and transforms are written otherwise.
  it.each([13, 22])('in opset %i too', async (opset) => {
    for (const one of exportCases) {
      const model = await modelOf(one.layer, one.input)
      const bytes = await exportOnnx(model, { opset }).catch((error: Error) => {
        if (error.message.includes(`needs opset`)) return undefined
        throw error
      })
      if (bytes !== undefined) await expectSame(model, bytes, one)
    }
  })

  it('that needs a higher opset gets it, or says so', async () => {
    const model = await modelOf(nn.pad([[1, 1], [0, 0], [0, 0]], { mode: 'wrap' }), [4, 4, 2]) // biome-ignore format: pads on a line
    expect(open(await exportOnnx(model)).opsetImport[0].version).toBe(19)
    await expect(exportOnnx(model, { opset: 17 })).rejects.toThrow(
      "exportOnnx: a border of mode 'wrap' needs opset 19.\n  got       opset 17\n  expected  opset 19 or higher\n  fix       leave the opset out: then the lowest one that has all operators is taken",
    )
  })
})
