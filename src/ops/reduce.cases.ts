import { constantNode, makeNode } from '../graph/node.ts'
import type { Op } from '../graph/op.ts'
import { at, type CaseInput, type OpCase, tabulate, type Values } from '../testing/case.ts'
import { add, exp, mul } from './elementwise.ts'
import * as r from './reduce.ts'
import { broadcastTo, flip, slice, transpose } from './shape-ops.ts'

/** Every value that goes into each result, in row-major order; axes are kept with extent 1 or dropped. */
export function groups(x: Values, axes: readonly number[], keepDims: boolean): { shape: number[]; lists: number[][] } {
  const kept = x.shape.map((n, axis) => (axes.includes(axis) ? 1 : n))
  const shape = keepDims ? kept : x.shape.filter((_, axis) => !axes.includes(axis))
  const lists = Array.from({ length: kept.reduce((a, b) => a * b, 1) }, (): number[] => [])
  tabulate(x.shape, (index) => {
    let place = 0
    for (const [axis, i] of index.entries()) place = place * kept[axis] + (axes.includes(axis) ? 0 : i)
    lists[place].push(at(x, index))
    return 0
  })
  return { shape, lists }
}

function over(x: Values, axes: readonly number[], f: (list: number[]) => number, keepDims = false): Values {
  const { shape, lists } = groups(x, axes, keepDims)
  return { shape, data: Float64Array.from(lists, f) }
}

const total = (list: number[]): number => list.reduce((a, b) => a + b, 0)
const average = (list: number[]): number => total(list) / list.length
const spreadOf = (correction: number) => (list: number[]) => {
  const center = average(list)
  return total(list.map((v) => (v - center) ** 2)) / (list.length - correction)
}
const logOfSum = (list: number[]): number => {
  const top = list.reduce((a, b) => Math.max(a, b))
  return Math.log(total(list.map((v) => Math.exp(v - top)))) + top
}
const largest = (list: number[]): number => list.reduce((a, b) => Math.max(a, b))
const smallest = (list: number[]): number => list.reduce((a, b) => Math.min(a, b))
const x = (...shape: number[]): CaseInput => ({ shape })

const functions = {
  sum: [r.sumOp, r.sum, total],
  mean: [r.sumOp, r.mean, average],
  max: [r.maxOp, r.max, largest],
  min: [r.minOp, r.min, smallest],
  variance: [r.varianceOp, r.variance, spreadOf(1)],
  logsumexp: [r.logsumexpOp, r.logsumexp, logOfSum],
} as const

const everyAxis: OpCase[] = Object.entries(functions).flatMap(([name, [op, build, f]]) =>
  [[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]].map(
    (axes): OpCase => ({
      name: `${name} over [${axes}]`,
      ops: [op as Op],
      inputs: [x(3, 5, 17)],
      build: (a) => build(a, axes, { keepDims: axes.length === 2 }),
      reference: (a) => over(a, axes, f, axes.length === 2),
    }),
  ),
)

const sums: OpCase[] = [
  { name: 'sum of a scalar', ops: [r.sumOp], inputs: [x()], build: (a) => r.sum(a), reference: (a) => a },
  { name: 'sum over no axis', ops: [r.sumOp], inputs: [x(3)], build: (a) => r.sum(a, []), reference: (a) => a },
  {
    name: 'sum over an axis of extent 1',
    ops: [r.sumOp],
    inputs: [x(4, 1, 6)],
    build: (a) => r.sum(a, 1),
    reference: (a) => over(a, [1], total),
  },
  {
    name: 'sum of i32',
    ops: [r.sumOp],
    inputs: [{ shape: [33, 18], dtype: 'i32', range: [-99, 99] }],
    build: (a) => r.sum(a, 0),
    reference: (a) => over(a, [0], total),
  },
  {
    name: 'sum of five axes, every other one',
    ops: [r.sumOp],
    inputs: [x(2, 3, 4, 3, 5)],
    build: (a) => r.sum(a, [0, 2, -1]),
    reference: (a) => over(a, [0, 2, 4], total),
  },
  {
    name: 'sum in pieces',
    ops: [r.sumOp],
    inputs: [{ shape: [70_003], range: [0, 1] }],
    build: (a) => r.sum(a),
    reference: (a) => over(a, [0], total),
  },
  {
    name: 'sum of columns in pieces',
    ops: [r.sumOp],
    inputs: [{ shape: [4_001, 19], range: [0, 1] }],
    build: (a) => r.sum(a, 0),
    reference: (a) => over(a, [0], total),
  },
  {
    name: 'sum of pictures in pieces',
    ops: [r.sumOp],
    inputs: [{ shape: [9, 33, 31, 9], range: [0, 1] }],
    build: (a) => r.sum(a, [0, 1, 2]),
    reference: (a) => over(a, [0, 1, 2], total),
  },
  {
    name: 'max in pieces',
    ops: [r.maxOp],
    inputs: [x(70_003)],
    build: (a) => r.max(a),
    reference: (a) => over(a, [0], largest),
  },
  {
    name: 'sum of 65 columns',
    ops: [r.sumOp],
    inputs: [x(7, 65)],
    build: (a) => r.sum(a, 0),
    reference: (a) => over(a, [0], total),
  },
  {
    name: 'sum of a fused chain with a broadcast row',
    ops: [r.sumOp],
    inputs: [x(9, 34), x(34)],
    build: (a, b) => r.sum(mul(exp(a), broadcastTo(b, [9, 34])), 1),
    reference: (a, b) =>
      tabulate([9], ([i]) => total(Array.from({ length: 34 }, (_, j) => Math.exp(at(a, [i, j])) * at(b, [j])))),
  },
  ...([0, 1] as const).flatMap((axis): OpCase[] => [
    {
      name: `sum of a transposed tensor over ${axis}`,
      ops: [r.sumOp],
      inputs: [x(19, 35)],
      build: (a) => r.sum(transpose(a), axis),
      reference: (a) => over(a, [1 - axis], total),
    },
    {
      name: `sum of a flipped tensor over ${axis}`,
      ops: [r.sumOp],
      inputs: [x(6, 35)],
      build: (a) => r.sum(mul(flip(a), a), axis),
      reference: (a) =>
        over(
          tabulate(a.shape, ([i, j]) => at(a, [5 - i, 34 - j]) * at(a, [i, j])),
          [axis],
          total,
        ),
    },
    {
      name: `max of a strided part over ${axis}`,
      ops: [r.maxOp],
      inputs: [x(12, 40)],
      build: (a) =>
        r.max(
          slice(a, [
            [1, 12, 3],
            [39, 3, -2],
          ]),
          axis,
        ),
      reference: (a) =>
        over(
          tabulate([4, 18], ([i, j]) => at(a, [1 + 3 * i, 39 - 2 * j])),
          [axis],
          largest,
        ),
    },
    {
      name: `sum of a repeated row over ${axis}`,
      ops: [r.sumOp],
      inputs: [x(18)],
      build: (a) => r.sum(broadcastTo(a, [5, 18]), axis),
      reference: (a) =>
        over(
          tabulate([5, 18], ([, j]) => at(a, [j])),
          [axis],
          total,
        ),
    },
  ]),
  {
    name: 'variance with correction 0',
    ops: [r.varianceOp],
    inputs: [x(5, 9)],
    build: (a) => r.variance(a, 0, { correction: 0 }),
    reference: (a) => over(a, [0], spreadOf(0)),
  },
  // In pieces, with means that differ far more than the values around them.
  ...[0, 1].map(
    (axis): OpCase => ({
      name: `deviations and mean of long ${axis === 0 ? 'columns' : 'rows'} far from 0`,
      ops: [r.deviationsOp],
      inputs: [x(...(axis === 0 ? [1300, 3] : [2, 17_000]))],
      build(a) {
        const far = add(a, constantNode(50, 'f32', a.shape))
        const deviations = makeNode(r.deviationsOp, [far], { axes: [axis] })
        return add(deviations, r.mean(far, [axis], { keepDims: true }))
      },
      // Adding 50 already rounds by 2e-6 where the values spread over 2.
      tolerance: 5e-6,
      reference: (a) => over(a, [axis], (list) => spreadOf(0)(list) * list.length + average(list) + 50, true),
    }),
  ),
]

const tied: CaseInput = {
  shape: [4, 6],
  values: [1, 5, 5, 2, 5, 0, 3, 3, 3, 3, 3, 3, -1, -2, -1, -9, -1, -1, 0, 0, 1, 0, 1, 0],
}
const broken: CaseInput = {
  shape: [4, 5],
  values: [
    1,
    Number.NaN,
    3,
    9,
    Number.NaN,
    Number.NEGATIVE_INFINITY,
    -1,
    -2,
    -3,
    -4,
    7,
    7,
    7,
    7,
    Number.POSITIVE_INFINITY,
    0,
    0,
    0,
    0,
    Number.NaN,
  ],
}
const wide = (n: number): CaseInput => ({
  shape: [n],
  values: Array.from({ length: n }, (_, i) => (i === n - 3 ? Number.NaN : i % 7)),
})

const firstPlace =
  (better: (a: number, b: number) => boolean) =>
  (list: number[]): number => {
    const nan = list.findIndex((v) => Number.isNaN(v))
    if (nan >= 0) return nan
    let best = 0
    for (const [i, v] of list.entries()) if (better(v, list[best])) best = i
    return best
  }
const places = {
  argmax: [r.argmaxOp, r.argmax, firstPlace((a, b) => a > b)],
  argmin: [r.argminOp, r.argmin, firstPlace((a, b) => a < b)],
} as const

const extremes: OpCase[] = [
  {
    name: 'max of ties',
    ops: [r.maxOp],
    inputs: [tied],
    build: (a) => r.max(a, 1),
    reference: (a) => over(a, [1], largest),
    gradient: 'ties are kinks',
  },
  ...[0, 1].flatMap((axis): OpCase[] => [
    {
      name: `max of NaN over ${axis}`,
      ops: [r.maxOp],
      inputs: [broken],
      build: (a) => r.max(a, axis),
      reference: (a) => over(a, [axis], largest),
      gradient: 'NaN',
    },
    {
      name: `min of NaN over ${axis}`,
      ops: [r.minOp],
      inputs: [broken],
      build: (a) => r.min(a, axis),
      reference: (a) => over(a, [axis], smallest),
      gradient: 'NaN',
    },
  ]),
  {
    name: 'max of a NaN among many',
    ops: [r.maxOp],
    inputs: [wide(77)],
    build: (a) => r.max(a),
    reference: (a) => over(a, [0], largest),
    gradient: 'NaN',
  },
  {
    name: 'max of i32',
    ops: [r.maxOp],
    inputs: [{ shape: [5, 33], dtype: 'i32', range: [-99, -9] }],
    build: (a) => r.max(a, 1),
    reference: (a) => over(a, [1], largest),
  },
  {
    name: 'min of i32',
    ops: [r.minOp],
    inputs: [{ shape: [5, 33], dtype: 'i32', range: [9, 99] }],
    build: (a) => r.min(a, 0),
    reference: (a) => over(a, [0], smallest),
  },
  ...Object.entries(places).flatMap(([name, [op, build, f]]): OpCase[] => [
    {
      name: `${name} of the last axis`,
      ops: [op],
      inputs: [x(33, 10)],
      build: (a) => build(a),
      reference: (a) => over(a, [1], f),
    },
    {
      name: `${name} of the first axis`,
      ops: [op],
      inputs: [x(33, 10)],
      build: (a) => build(a, 0),
      reference: (a) => over(a, [0], f),
    },
    {
      name: `${name} of a middle axis`,
      ops: [op],
      inputs: [x(3, 5, 7)],
      build: (a) => build(a, 1),
      reference: (a) => over(a, [1], f),
    },
    {
      name: `${name} of one element`,
      ops: [op],
      inputs: [x(3, 1)],
      build: (a) => build(a),
      reference: (a) => over(a, [1], f),
    },
    {
      name: `${name} of ties`,
      ops: [op],
      inputs: [tied],
      build: (a) => build(a, 1),
      reference: (a) => over(a, [1], f),
    },
    {
      name: `${name} of NaN`,
      ops: [op],
      inputs: [broken],
      build: (a) => build(a, 1),
      reference: (a) => over(a, [1], f),
    },
    {
      name: `${name} of i32`,
      ops: [op],
      inputs: [{ shape: [4, 9], dtype: 'i32', range: [-3, 3] }],
      build: (a) => build(a),
      reference: (a) => over(a, [1], f),
    },
    {
      name: `${name} of u8`,
      ops: [op],
      inputs: [{ shape: [4, 9], dtype: 'u8', range: [0, 255] }],
      build: (a) => build(a),
      reference: (a) => over(a, [1], f),
    },
    {
      name: `${name} of a transposed tensor`,
      ops: [op],
      inputs: [x(5, 6)],
      build: (a) => build(transpose(a)),
      reference: (a) => over(a, [0], f),
    },
  ]),
]

function alongAxis(a: Values, axis: number, f: (value: number, list: number[]) => number): Values {
  const { lists } = groups(a, [axis], true)
  return tabulate(a.shape, (index) => {
    let place = 0
    for (const [k, i] of index.entries()) place = place * (k === axis ? 1 : a.shape[k]) + (k === axis ? 0 : i)
    return f(at(a, index), lists[place])
  })
}
const share = (value: number, list: number[]): number => Math.exp(value - logOfSum(list))
const logShare = (value: number, list: number[]): number => value - logOfSum(list)
const large: CaseInput = { shape: [2, 5], values: [1000, 1001, 998, 1000, 999, -1e4, -1e4, -1e4, -1e4, -1e4] }
const masked: CaseInput = {
  shape: [2, 3],
  values: [0, Number.NEGATIVE_INFINITY, 1, Number.NEGATIVE_INFINITY, 2, Number.NEGATIVE_INFINITY],
}

const softmaxes: OpCase[] = [
  ...[0, 1, 2].flatMap((axis): OpCase[] => [
    {
      name: `softmax over ${axis}`,
      ops: [r.softmaxOp],
      inputs: [{ shape: [3, 5, 17], range: [-4, 4] }],
      build: (a) => r.softmax(a, axis),
      reference: (a) => alongAxis(a, axis, share),
    },
    {
      name: `logSoftmax over ${axis}`,
      ops: [r.logSoftmaxOp],
      inputs: [{ shape: [3, 5, 17], range: [-4, 4] }],
      build: (a) => r.logSoftmax(a, axis),
      reference: (a) => alongAxis(a, axis, logShare),
    },
  ]),
  {
    name: 'softmax of large numbers',
    ops: [r.softmaxOp],
    inputs: [large],
    build: (a) => r.softmax(a),
    reference: (a) => alongAxis(a, 1, share),
  },
  {
    name: 'logSoftmax of large numbers',
    ops: [r.logSoftmaxOp],
    inputs: [large],
    build: (a) => r.logSoftmax(a),
    reference: (a) => alongAxis(a, 1, logShare),
    tolerance: 1e-6,
    gradient: 'checked at smaller numbers',
  },
  {
    name: 'softmax of masked numbers',
    ops: [r.softmaxOp],
    inputs: [masked],
    build: (a) => r.softmax(a),
    reference: (a) => alongAxis(a, 1, share),
    gradient: 'infinities',
  },
  {
    name: 'logsumexp of large numbers',
    ops: [r.logsumexpOp],
    inputs: [large],
    build: (a) => r.logsumexp(a, 1),
    reference: (a) => over(a, [1], logOfSum),
    gradient: 'checked at smaller numbers',
  },
  {
    name: 'logsumexp of nothing but -∞',
    ops: [r.logsumexpOp],
    inputs: [{ shape: [2], values: [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY] }],
    build: (a) => r.logsumexp(a),
    reference: () => ({ shape: [], data: Float64Array.of(Number.NEGATIVE_INFINITY) }),
    gradient: 'infinities',
  },
  {
    name: 'logsumexp in pieces',
    ops: [r.logsumexpOp],
    inputs: [x(66_001)],
    build: (a) => r.logsumexp(a),
    reference: (a) => over(a, [0], logOfSum),
  },
  {
    name: 'expDifference',
    ops: [r.expDifferenceOp],
    inputs: [x(5, 9), x(5, 9)],
    build: (a, b) => makeNode(r.expDifferenceOp, [a, b], {}),
    reference: (a, b) => tabulate([5, 9], (i) => Math.exp(at(a, i) - at(b, i))),
  },
  {
    name: 'scaledExpDifference',
    ops: [r.scaledExpDifferenceOp],
    inputs: [x(5, 9), x(5, 9), x(5, 9)],
    build: (a, b, c) => makeNode(r.scaledExpDifferenceOp, [a, b, c], {}),
    reference: (a, b, c) => tabulate([5, 9], (i) => Math.exp(at(a, i) - at(b, i)) * at(c, i)),
  },
  {
    name: 'softmax read twice',
    ops: [r.softmaxOp],
    inputs: [x(4, 7)],
    build: (a) => add(r.softmax(a), mul(r.softmax(a), a)),
    reference: (a) => alongAxis(a, 1, (value, list) => share(value, list) * (1 + value)),
  },
]

export const cases: readonly OpCase[] = [...everyAxis, ...sums, ...extremes, ...softmaxes]
