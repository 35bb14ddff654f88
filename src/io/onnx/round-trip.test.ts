import { describe, expect, it } from 'vitest'
import { byImport, difference, type Numbers, reordered } from '../../../test/onnx-judge.ts'
import { type Shape, sameShape, sizeOf } from '../../base/shape.ts'
import * as nn from '../../nn/index.ts'
import { init, type Model } from '../../nn/model.ts'
import { compile, type Tensor, tensor } from '../../tensor/index.ts'
import { type ExportCase, exportCases } from './export.cases.ts'
import { exportOnnx } from './export.ts'
import { importOnnx } from './import.ts'
import { MessageReader } from './read-message.ts'
import type { MessageInit } from './schema.ts'
import { encodeMessage } from './write.ts'

async function modelOf(layer: nn.Layer, input: Shape): Promise<Model> {
  const model = init(layer, { input, seed: 3 })
  for (const [i, state] of [...model.parameters, ...model.states].entries()) {
    const values = Float32Array.from({ length: state.size }, (_, j) => Math.sin(2.9 * j + i))
    await state.load(state.name.endsWith('running_var') ? values.map((value) => value + 1.2) : values)
  }
  return model.eval()
}

function batchOf({ input, integers, range = [-1.7, 1.7] }: ExportCase): Numbers {
  const shape = [2, ...input]
  const [least, most] = range
  const wave = (i: number) => 0.5 + 0.5 * Math.sin(12.9898 * (i + 1))
  const one = (i: number) => (integers === undefined ? least + (most - least) * wave(i) : (i * 7) % integers)
  return { shape, data: Array.from({ length: sizeOf(shape) }, (_, i) => Math.fround(one(i))) }
}

/** Channels first, as files have it. */
const asFile = (numbers: Numbers): Numbers => {
  const rank = numbers.shape.length
  return rank < 3 ? numbers : reordered(numbers, [0, rank - 1, ...numbers.shape.slice(2).map((_, i) => i + 1)])
}

describe('what is written comes back', () => {
  it.each(exportCases.map((one) => [one.name, one] as const))('%s', async (_name, one) => {
    const model = await modelOf(one.layer, one.input)
    const bytes = await exportOnnx(model)
    const { data, shape } = batchOf(one)
    const whole = one.layer.type === 'embedding' || model.parameters[0]?.name.startsWith('table') === true
    const array = whole && one.integers !== undefined ? Int32Array.from(data) : Float32Array.from(data)
    const y = await compile((x: Tensor) => model(x))(tensor(array, shape))
    const expected = { shape: y.shape, data: Array.from(await y.data()) }
    const type = array instanceof Int32Array ? 'int32' : 'float'
    const [input] = new MessageReader(bytes, 'model.onnx').read('Model').graph?.input ?? []
    const dims = input?.type?.tensorType?.shape?.dim.slice(1).map(({ dimValue }) => dimValue ?? 0) ?? []
    const found = await byImport(bytes, sameShape(dims, one.input) ? { data, shape } : asFile({ data, shape }), type)
    const natural = difference(found, expected)
    expect(natural === '' ? natural : difference(found, asFile(expected))).toBe('')
  })

  it('with the names of the classes', async () => {
    const [{ layer, input }] = exportCases
    const { classes } = await importOnnx(await exportOnnx(await modelOf(layer, input), { classes: ['cat', 'dog'] }))
    expect(classes).toEqual(['cat', 'dog'])
  })

  it('with what pictures are normalised with', async () => {
    const pictures = { mean: [0.5, 0.4, 0.3], std: 0.25 }
    const model = await modelOf(nn.conv2d(2, 3), [5, 4, 3])
    model.pictures = pictures
    const bytes = await exportOnnx(model)
    const props = (file: Uint8Array) => new MessageReader(file, 'model.onnx').read('Model').metadataProps
    const [{ value = '' }] = props(bytes)
    expect(JSON.parse(value)).toEqual({ scale: 1 / 255, ...pictures })
    const back = (await importOnnx(bytes)).model
    expect(back.pictures).toEqual(pictures)
    const batch = tensor(
      Uint8Array.from({ length: 60 }, (_, i) => i * 4),
      [1, 5, 4, 3],
    )
    const run = (of: Model) => compile((x: Tensor) => of(x))(batch).then((y) => y.data())
    expect(await run(back)).toEqual(await run(model))
    // In the graph itself: nobody else is to do it again.
    const inside = await exportOnnx(model, { preprocessing: {} })
    expect(props(inside)).toEqual([])
    expect((await importOnnx(inside)).model.pictures).toBeUndefined()
  })

  it.each([
    '{"mean":[0.5,0.4],"std":0.25}',
    '{"mean":0,"std":[1,1,0]}',
    '{"mean":null,"std":1}',
    '{"mean":0,"std":1,"scale":1}',
    '[]',
    'null',
    'cats',
  ])('without pictures that make no sense: %s', async (value) => {
    const bytes = await exportOnnx(await modelOf(nn.conv2d(2, 3), [5, 4, 3]))
    const file = new MessageReader(bytes, 'model.onnx').read('Model') as MessageInit<'Model'>
    const changed = encodeMessage('Model', { ...file, metadataProps: [{ key: 'pictures', value }] })
    expect((await importOnnx(changed)).model.pictures).toBeUndefined()
  })
})
