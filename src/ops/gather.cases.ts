import { at, type CaseInput, type OpCase, tabulate, type Values } from '../testing/case.ts'
import { cast, mul } from './elementwise.ts'
import * as g from './gather.ts'
import { transpose } from './shape-ops.ts'

const x = (...shape: number[]): CaseInput => ({ shape })
const numbers = (shape: readonly number[], high: number, dtype: 'i32' | 'u8' = 'i32'): CaseInput => ({
  shape,
  dtype,
  range: [0, high],
})
const inRange = (i: number, rows: number): number => Math.min(rows - 1, Math.max(0, i))

const taken = (table: Values, indices: Values): Values => {
  const rank = indices.shape.length
  return tabulate([...indices.shape, ...table.shape.slice(1)], (index) => {
    const row = inRange(at(indices, index.slice(0, rank)), table.shape[0])
    return at(table, [row, ...index.slice(rank)])
  })
}

const scattered = (indices: Values, updates: Values, rows: number): Values => {
  const width = updates.data.length / indices.data.length
  const data = new Float64Array(rows * width)
  for (const [i, index] of indices.data.entries()) {
    for (let j = 0; j < width; j++) data[inRange(index, rows) * width + j] += updates.data[i * width + j]
  }
  return { shape: [rows, ...updates.shape.slice(indices.shape.length)], data }
}

export const cases: readonly OpCase[] = [
  { name: 'take', ops: [g.takeOp], inputs: [x(11, 5), numbers([7], 10)], build: g.take, reference: taken },
  {
    name: 'take of wide rows',
    ops: [g.takeOp],
    inputs: [x(11, 3, 33), numbers([4, 9], 10)],
    build: g.take,
    reference: taken,
  },
  { name: 'take by a scalar', ops: [g.takeOp], inputs: [x(11, 5), numbers([], 10)], build: g.take, reference: taken },
  {
    name: 'take from a vector',
    ops: [g.takeOp],
    inputs: [x(33), numbers([3, 1, 5], 32)],
    build: g.take,
    reference: taken,
  },
  { name: 'take by u8', ops: [g.takeOp], inputs: [x(40, 6), numbers([19], 39, 'u8')], build: g.take, reference: taken },
  {
    name: 'take from i32',
    ops: [g.takeOp],
    inputs: [{ shape: [9, 7], dtype: 'i32', range: [-99, 99] }, numbers([5], 8)],
    build: g.take,
    reference: taken,
  },
  {
    name: 'take from u8',
    ops: [g.takeOp],
    inputs: [{ shape: [9, 7], dtype: 'u8', range: [0, 255] }, numbers([5], 8)],
    build: g.take,
    reference: taken,
  },
  {
    name: 'take from bool',
    ops: [g.takeOp],
    inputs: [{ shape: [9, 7], dtype: 'bool', range: [0, 1] }, numbers([5], 8)],
    build: g.take,
    reference: taken,
  },
  {
    name: 'take of many rows',
    ops: [g.takeOp],
    inputs: [x(101, 17), numbers([2_003], 100)],
    build: g.take,
    reference: taken,
  },
  {
    name: 'take outside the table',
    ops: [g.takeOp],
    inputs: [x(4, 5), { shape: [5], dtype: 'i32', values: [-7, 0, 3, 4, 2 ** 31 - 1] }],
    build: g.take,
    reference: taken,
  },
  {
    name: 'take from a transposed table',
    ops: [g.takeOp],
    inputs: [x(5, 8), numbers([6], 7)],
    build: (t, i) => g.take(transpose(t), i),
    reference: (t, i) =>
      taken(
        tabulate([8, 5], ([a, b]) => at(t, [b, a])),
        i,
      ),
  },
  ...[
    ['scatterAdd', [33], 9],
    ['scatterAdd of more rows than tasks', [70], 101],
    ['scatterAdd to one row', [6], 1],
    ['scatterAdd of two axes of indices', [4, 9], 13],
  ].map((entry): OpCase => {
    const [name, shape, rows] = entry as [string, number[], number]
    return {
      name,
      ops: [g.scatterAddOp],
      inputs: [numbers(shape, rows - 1), x(...shape, 2, 9)],
      build: (i, u) => g.scatterAdd(i, u, rows),
      reference: (i, u) => scattered(i, u, rows),
    }
  }),
  {
    name: 'scatterAdd by u8 outside',
    ops: [g.scatterAddOp],
    inputs: [numbers([9], 20, 'u8'), x(9)],
    build: (i, u) => g.scatterAdd(i, u, 7),
    reference: (i, u) => scattered(i, u, 7),
  },
  {
    name: 'iota',
    ops: [g.iotaOp],
    inputs: [],
    build: () => g.iota(1_003),
    reference: () => tabulate([1_003], ([i]) => i),
  },
  {
    name: 'iota in a longer chain',
    ops: [g.iotaOp],
    inputs: [x(37)],
    build: (a) => mul(cast(g.iota(37), 'f32'), a),
    reference: (a) => tabulate([37], ([i]) => i * at(a, [i])),
  },
  {
    name: 'oneHot',
    ops: [g.iotaOp],
    inputs: [numbers([4, 5], 8)],
    build: (l) => g.oneHot(l, 9),
    reference: (l) => tabulate([4, 5, 9], ([i, j, c]) => Number(at(l, [i, j]) === c)),
  },
  {
    name: 'oneHot of u8 with a label outside',
    ops: [g.iotaOp],
    inputs: [numbers([17], 12, 'u8')],
    build: (l) => g.oneHot(l, 10),
    reference: (l) => tabulate([17, 10], ([i, c]) => Number(at(l, [i]) === c)),
  },
  {
    name: 'oneHot of a scalar',
    ops: [g.iotaOp],
    inputs: [numbers([], 4)],
    build: (l) => g.oneHot(l, 5),
    reference: (l) => tabulate([5], ([c]) => Number(at(l, []) === c)),
  },
  {
    name: 'takeAlong',
    ops: [g.iotaOp],
    inputs: [x(3, 4, 9), numbers([3, 4], 8)],
    build: g.takeAlong,
    reference: (a, i) => tabulate([3, 4], ([p, q]) => at(a, [p, q, at(i, [p, q])])),
  },
]
