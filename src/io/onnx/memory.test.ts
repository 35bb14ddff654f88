import { describe, expect, it } from 'vitest'
import { constant, encodeCase, type NodeCase, scalar, w } from '../../../test/onnx-judge.ts'
import type { JuanjiError } from '../../base/errors.ts'
import { importOnnx } from './import.ts'
import { MessageReader } from './read-message.ts'
import type { MessageInit } from './schema.ts'
import { encodeMessage } from './write.ts'

const model = (input: readonly number[], nodes: readonly NodeCase[]) => encodeCase({ name: '', input, nodes })

function changed(bytes: Uint8Array, change: (graph: MessageInit<'Graph'>) => MessageInit<'Graph'>): Uint8Array {
  const file = new MessageReader(bytes, 'test').read('Model')
  return encodeMessage('Model', { ...file, graph: change(file.graph as MessageInit<'Graph'>) })
}

async function errorOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (thrown: JuanjiError) => thrown,
  )
  return `${error?.name}: ${error?.message}`
}

const side = 8

/** Products one after the other; their weights lie in another file at these offsets. */
const chain = (offsets: readonly number[]) =>
  changed(
    model(
      [2, side],
      offsets.map((_, i) => ({
        op: 'MatMul',
        inputs: [i === 0 ? 'x' : `t${i - 1}`, w([side, side])],
      })),
    ),
    (graph) => ({
      ...graph,
      initializer: graph.initializer?.map(({ rawData, ...tensor }, i) => beside(tensor, 'w.bin', offsets[i])),
    }),
  )

const beside = (tensor: MessageInit<'Tensor'>, location: string, offset: number) => ({
  ...tensor,
  dataLocation: 1,
  externalData: [
    { key: 'location', value: location },
    { key: 'offset', value: String(offset) },
  ],
})

describe('weights in other files', () => {
  it('are not read where no node takes them', async () => {
    const bytes = changed(model([2, side], [{ op: 'MatMul', inputs: ['x', w([side, side])] }]), (graph) => ({
      ...graph,
      initializer: [
        ...(graph.initializer ?? []),
        beside({ name: 'unused', dims: [2 ** 40], dataType: 1 }, 'none.bin', 0),
      ],
    }))
    expect((await importOnnx(bytes)).model.parameterCount).toBe(side * side)
  })

  it('that are tied are read once', async () => {
    const values = new Float32Array(side * side).fill(0.5)
    const file = new Blob([values])
    let reads = 0
    const slice = file.slice.bind(file)
    file.slice = (...range) => {
      reads++
      return slice(...range)
    }
    const { model: found } = await importOnnx(chain([0, 0, 0, 0, 0, 0]), { files: { 'w.bin': file } })
    expect([reads, found.parameterCount]).toEqual([1, 6 * side * side])
    expect(await found.parameters[5].data()).toEqual(values)
  })

  it('cannot overlap beyond measure', async () => {
    const bytes = new Uint8Array(4 * side * side + 16)
    expect((await importOnnx(chain([0, 4]), { files: { 'w.bin': bytes } })).model.parameterCount).toBe(128)
    expect(
      await errorOf(importOnnx(chain([0, 4, 8, 12]), { files: { 'w.bin': bytes } })),
    ).toBe(`FormatError: ONNX model: the tensors in 'w.bin' overlap (at byte offset 230).
  got       tensors of 768 bytes and more
  expected  at most 2 times the 272 bytes of the file
  fix       check that the file is complete and an ONNX model`)
  })
})

describe('a weight that many nodes use', () => {
  const many = (extent: number, nodes: number) =>
    model(
      [1, extent],
      Array.from({ length: nodes }, (_, i) => ({
        op: 'MatMul',
        inputs: [i === 0 ? 'x' : `t${i - 1}`, i === 0 ? w([extent, extent]) : 'layer0.c1'],
      })),
    )

  it('is a parameter of each, which a note says', async () => {
    const { model: found, report } = await importOnnx(many(4, 3))
    expect(found.parameters).toHaveLength(3)
    expect(report.notes).toEqual(["weight 'layer0.c1' is used by 3 nodes, which are trained apart"])
  })

  it('cannot take more than a multiple of the file', async () => {
    expect(
      await errorOf(importOnnx(many(1024, 40))),
    ).toBe(`FormatError: ONNX model: weights and constants take absurdly much memory (at byte offset 4195593).
  expected  at most 117455980 bytes, 12 for each of the file and 67108864 more
  fix       export the model with a weight of its own for every node`)
  })
})

describe('weights that are computed first', () => {
  it('may be so by any number of nodes', async () => {
    const chain = Array.from({ length: 20_000 }, (_, i): NodeCase => {
      const before = i === 0 ? w([2, 2]) : `c${i - 1}`
      const outputs = [`c${i}`]
      if (i % 3 === 0) return { op: 'Transpose', inputs: [before], outputs }
      if (i % 3 === 1) return { op: 'Cast', inputs: [before], attributes: { to: 1 }, outputs }
      return { op: 'Flatten', inputs: [before], outputs }
    })
    const nodes: NodeCase[] = [...chain, { op: 'MatMul', inputs: ['x', 'c19999'], outputs: ['y'] }]
    expect((await importOnnx(model([1, 2], nodes))).model.parameterCount).toBe(4)
  })

  it('take little more than the weights: quantised ones of many megabytes come in', async () => {
    const extent = 4224
    const weight = constant('int8', [1, extent, extent], [])
    const bytes = changed(
      model(
        [1, extent],
        [
          { op: 'DequantizeLinear', inputs: [weight, scalar(0.5), scalar(1, 'int8')], outputs: ['a'] },
          { op: 'Squeeze', inputs: ['a', constant('int64', [1], [0])], outputs: ['b'] },
          { op: 'Transpose', inputs: ['b'], outputs: ['c'] },
          { op: 'MatMul', inputs: ['x', 'c'] },
        ],
      ),
      (graph) => ({
        ...graph,
        initializer: graph.initializer?.map((tensor, i) =>
          i === 0 ? { ...tensor, int32Data: [], rawData: new Uint8Array(extent ** 2).fill(3, 0, extent) } : tensor,
        ),
      }),
    )
    const { model: found } = await importOnnx(bytes)
    const values = await found.parameters[0].data()
    expect([values[0], values[1], values[extent], values[extent + 1]]).toEqual([1, -0.5, 1, -0.5])
  })
})
