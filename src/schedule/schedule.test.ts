import { describe, expect, it } from 'vitest'
import { createInterpretBackend } from '../backends/interpret/index.ts'
import { createWasmBackend } from '../backends/wasm/index.ts'
import { Device } from '../engine/device.ts'
import { Program } from '../engine/program.ts'
import { constantNode, dataNode, inputNode, makeNode, type Node, Variable, variableNode } from '../graph/node.ts'
import type { MapOp, ReduceOp, ViewOp } from '../graph/op.ts'
import * as e from '../kernel/expression.ts'
import { schedule } from './index.ts'
import { layOut } from './memory.ts'

// A few ops of our own: the scheduler knows kinds, not names.
const map = (name: string, lower: MapOp<object>['lower']): MapOp<object> => ({
  name,
  kind: 'map',
  gradient: 'none',
  infer: ([a]) => ({ shape: a.shape, dtype: 'f32' }),
  lower,
})
const add = map('add', (_k, [a, b]) => e.add(a, b))
const mul = map('mul', (_k, [a, b]) => e.mul(a, b))
const broadcast: ViewOp<{ shape: readonly number[] }> = {
  name: 'broadcast',
  kind: 'view',
  gradient: 'none',
  infer: (_inputs, { shape }) => ({ shape, dtype: 'f32' }),
  view(input, output) {
    const missing = output.length - input.shape.length
    const strides = output.map((_, axis) =>
      axis < missing || input.shape[axis - missing] === 1 ? 0 : input.strides[axis - missing],
    )
    return { shape: output, strides, offset: input.offset }
  },
}
const flip: ViewOp<object> = {
  name: 'flip',
  kind: 'view',
  gradient: 'none',
  infer: ([a]) => ({ shape: a.shape, dtype: a.dtype }),
  view: (input, output) => ({
    shape: output,
    strides: input.strides.map((s) => -s),
    offset: input.offset + input.strides.reduce((sum, s, axis) => sum + s * (output[axis] - 1), 0),
  }),
}
const sum: ReduceOp<{ axes: number[] }> = {
  name: 'sum',
  kind: 'reduce',
  combine: 'sum',
  gradient: 'none',
  axes: ({ axes }) => axes,
  infer: ([a], { axes }) => ({
    shape: a.shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent)),
    dtype: 'f32',
  }),
}
const plus = (a: Node, b: Node) => makeNode(add, [a, b], {})
const times = (a: Node, b: Node) => makeNode(mul, [a, b], {})
const spread = (a: Node, shape: readonly number[]) => makeNode(broadcast, [a], { shape })
const total = (a: Node, axes: number[]) => makeNode(sum, [a], { axes })
const range = (shape: readonly number[]) => {
  const size = shape.reduce((a, b) => a * b, 1)
  return dataNode(
    Float32Array.from({ length: size }, (_, i) => i),
    shape,
    'f32',
  )
}

const device = (n: number | 'wasm') => {
  const made = new Device(
    n === 'wasm'
      ? createWasmBackend({ threads: 2, relaxedSimd: false })
      : createInterpretBackend({ precision: 'f64', lanes: n }),
  )
  made.verify = true
  return made
}
async function run(n: number | 'wasm', ...roots: Node[]): Promise<number[][]> {
  const on = device(n)
  const results = await new Program(on, roots, []).run([])
  await on.close()
  return results.map((r) => [...r])
}
/** Sums beyond 2^24 are rounded in f32. */
const rounded = (n: number | 'wasm', values: number[]) =>
  n === 'wasm' ? values.map((v) => expect.closeTo(v, -Math.log10(v * 1e-5)) as number) : values

describe.each([1, 4, 'wasm'] as const)('plans run on %s lanes', (n) => {
  it('fuses a chain of maps into one kernel', async () => {
    const x = range([3, 5])
    const y = plus(times(x, x), spread(constantNode(1), [3, 5]))
    expect(schedule([y], [], device(n).target).calls).toHaveLength(1)
    expect(await run(n, y)).toEqual([Array.from({ length: 15 }, (_, i) => i * i + 1)])
  })

  it('reads a broadcast row and column through strides', async () => {
    const y = plus(times(range([6, 7]), spread(range([7]), [6, 7])), spread(range([6, 1]), [6, 7]))
    expect(schedule([y], [], device(n).target).calls).toHaveLength(1)
    expect(await run(n, y)).toEqual([Array.from({ length: 42 }, (_, i) => i * (i % 7) + Math.floor(i / 7))])
  })

  it('takes maps into the reduction that reads them', async () => {
    const x = range([4, 9])
    const y = total(times(x, x), [1])
    expect(schedule([y], [], device(n).target).calls).toHaveLength(1)
    const rows = Array.from({ length: 4 }, (_, r) =>
      Array.from({ length: 9 }, (_, c) => (9 * r + c) ** 2).reduce((a, b) => a + b),
    )
    expect(await run(n, y)).toEqual([rows])
  })

  it('reduces leading, trailing, middle and all axes', async () => {
    const shape = [3, 4, 19]
    const x = range(shape)
    const expected = (axes: number[]) => {
      const out = new Map<string, number>()
      for (let i = 0; i < 3; i++)
        for (let j = 0; j < 4; j++)
          for (let k = 0; k < 19; k++) {
            const key = [i, j, k].filter((_, axis) => !axes.includes(axis)).join()
            out.set(key, (out.get(key) ?? 0) + (i * 4 + j) * 19 + k)
          }
      return [...out.values()]
    }
    for (const axes of [[0], [1], [2], [0, 1], [1, 2], [0, 2], [0, 1, 2]]) {
      expect(await run(n, total(x, axes)), `axes ${axes}`).toEqual([expected(axes)])
    }
  })

  it('cuts long reductions into pieces', async () => {
    const x = range([100_003])
    expect(schedule([total(x, [0])], [], device(n).target).calls).toHaveLength(2)
    expect(await run(n, total(x, [0]))).toEqual([rounded(n, [(100_002 * 100_003) / 2])])
    const columns = range([30_001, 5])
    const sums = Array.from({ length: 5 }, (_, c) => 5 * ((30_000 * 30_001) / 2) + 30_001 * c)
    expect(await run(n, total(columns, [0]))).toEqual([rounded(n, sums)])
  })

  it('does not fuse a reader that wants elements from other places', async () => {
    const x = range([2, 3])
    const doubled = plus(x, x)
    const y = times(doubled, makeNode(flip, [doubled], {}))
    expect(await run(n, y)).toEqual([[0, 1, 2, 3, 4, 5].map((i) => 4 * i * (5 - i))])
  })

  it('keeps what is asked for and what is used twice', async () => {
    const x = range([8])
    const a = times(x, x)
    const b = plus(a, x)
    const c = total(a, [0])
    expect(await run(n, a, b, c, x)).toEqual([
      [0, 1, 4, 9, 16, 25, 36, 49],
      [0, 2, 6, 12, 20, 30, 42, 56],
      [140],
      [0, 1, 2, 3, 4, 5, 6, 7],
    ])
  })
})

it('refuses tensors whose elements 32 bits cannot count', () => {
  const x = inputNode(0, [50_000, 50_000], 'f32')
  expect(() => schedule([makeNode(add, [x, x], {})], [], createInterpretBackend().target)).toThrow(
    /a tensor has too many elements\.\n {2}got {7}2,500,000,000 elements in add\n {2}expected {2}at most 2,130,706,432\n/,
  )
})

describe('variables', () => {
  const read = (...variables: Variable[]) => Promise.all(variables.map(async (v) => [...(await Device.read(v))]))

  it('are updated in place by an elementwise program, whatever order they are named in', async () => {
    const d = device(4)
    const a = new Variable('a', [5], 'f32', Float32Array.of(1, 2, 3, 4, 5))
    const b = new Variable('b', [5], 'f32', Float32Array.of(10, 20, 30, 40, 50))
    const [va, vb] = [variableNode(a), variableNode(b)]
    const program = new Program(
      d,
      [total(va, [0])],
      [
        { variable: a, value: plus(va, vb) },
        { variable: b, value: times(va, vb) },
      ],
    )
    expect([...(await program.run([]))[0]]).toEqual([15])
    expect(await read(a, b)).toEqual([
      [11, 22, 33, 44, 55],
      [10, 40, 90, 160, 250],
    ])
    expect([...(await program.run([]))[0]]).toEqual([165])
  })

  it('can be swapped, flipped and handed out before they change', async () => {
    const d = device(1)
    const a = new Variable('a', [3], 'f32', Float32Array.of(1, 2, 3))
    const b = new Variable('b', [3], 'f32', Float32Array.of(4, 5, 6))
    const swap = new Program(
      d,
      [variableNode(a)],
      [
        { variable: a, value: variableNode(b) },
        { variable: b, value: makeNode(flip, [variableNode(a)], {}) },
      ],
    )
    expect([...(await swap.run([]))[0]]).toEqual([1, 2, 3])
    expect(await read(a, b)).toEqual([
      [4, 5, 6],
      [3, 2, 1],
    ])
  })
})

describe('kernels', () => {
  it('are the same for every batch size, one included', () => {
    const target = device(4).target
    const keys = (batch: number) => {
      const x = inputNode(0, [batch, 6, 6, 8], 'f32')
      const biased = plus(x, spread(inputNode(1, [8], 'f32'), [batch, 6, 6, 8]))
      const outputs = [biased, total(times(biased, biased), [0, 1, 2]), total(biased, [3]), total(biased, [1, 2])]
      return new Set(schedule(outputs, [], target).calls.map((call) => call.spec.key))
    }
    const folds = (set: Set<string>) => [...set].filter((key) => !key.startsWith('reduceFold'))
    expect(folds(keys(1))).toEqual(folds(keys(64)))
  })
})

describe('memory', () => {
  it('shares addresses between buffers whose lives do not meet', () => {
    const { offsets, bytes } = layOut([
      { bytes: 1000, first: 0, last: 1 },
      { bytes: 1000, first: 1, last: 2 },
      { bytes: 1000, first: 2, last: 3 },
    ])
    expect(offsets[0]).toBe(offsets[2])
    expect(offsets[1]).not.toBe(offsets[0])
    expect(bytes).toBe(2048)
  })
})
