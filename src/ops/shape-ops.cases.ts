import type { Node } from '../graph/node.ts'
import { at, type CaseInput, type OpCase, tabulate, type Values } from '../testing/case.ts'
import { spread } from './broadcast.ts'
import { add, mul } from './elementwise.ts'
import { sum } from './reduce.ts'
import * as s from './shape-ops.ts'

/** The same numbers in row-major order in another shape. */
const as = (values: Values, shape: readonly number[]): Values => ({ shape, data: values.data })

function view(
  name: string,
  ops: OpCase['ops'],
  inputs: readonly CaseInput[],
  build: (...x: Node[]) => Node,
  shape: readonly number[],
  from: (index: readonly number[], ...x: Values[]) => number,
  more: Partial<OpCase> = {},
): OpCase {
  return { name, ops, inputs, build, reference: (...x) => tabulate(shape, (i) => from(i, ...x)), ...more }
}

const x = (...shape: number[]): CaseInput => ({ shape })

const views: OpCase[] = [
  {
    name: 'reshape',
    ops: [s.reshapeOp],
    inputs: [x(2, 3, 4)],
    build: (a) => s.reshape(a, [6, 4]),
    reference: (a) => as(a, [6, 4]),
  },
  {
    name: 'reshape with -1',
    ops: [s.reshapeOp],
    inputs: [x(2, 3, 4)],
    build: (a) => s.reshape(a, [4, -1]),
    reference: (a) => as(a, [4, 6]),
  },
  {
    name: 'reshape of a scalar',
    ops: [s.reshapeOp],
    inputs: [x()],
    build: (a) => s.reshape(a, [1, 1, 1]),
    reference: (a) => as(a, [1, 1, 1]),
  },
  {
    name: 'reshape to a scalar',
    ops: [s.reshapeOp],
    inputs: [x(1, 1)],
    build: (a) => s.reshape(a, []),
    reference: (a) => as(a, []),
  },
  {
    name: 'reshape with ones around',
    ops: [s.reshapeOp],
    inputs: [x(6, 5)],
    build: (a) => s.reshape(a, [1, 2, 1, 3, 5, 1]),
    reference: (a) => as(a, [1, 2, 1, 3, 5, 1]),
  },
  view(
    'reshape of a transposed tensor',
    [s.reshapeOp, s.transposeOp],
    [x(4, 6)],
    (a) => add(s.reshape(s.transpose(a), [24]), s.reshape(a, [24])),
    [24],
    ([i], a) => at(a, [i % 4, Math.floor(i / 4)]) + at(a, [Math.floor(i / 6), i % 6]),
  ),
  view(
    'reshape of a cut that strides can follow',
    [s.reshapeOp, s.sliceOp],
    [x(5, 8)],
    (a) => s.reshape(s.slice(a, [null, [1, 7]]), [5, 2, 3]),
    [5, 2, 3],
    ([i, j, k], a) => at(a, [i, 1 + 3 * j + k]),
  ),
  view(
    'reshape of a cut that must be copied',
    [s.reshapeOp, s.sliceOp],
    [x(5, 8)],
    (a) => s.reshape(s.slice(a, [null, [1, 7]]), [15, 2]),
    [15, 2],
    ([i, j], a) => at(a, [Math.floor((2 * i + j) / 6), 1 + ((2 * i + j) % 6)]),
  ),
  view(
    'reshape of a repeated row',
    [s.reshapeOp, s.broadcastToOp],
    [x(7)],
    (a) => s.reshape(s.broadcastTo(a, [3, 7]), [21]),
    [21],
    ([i], a) => at(a, [i % 7]),
  ),
  view(
    'expandDims',
    [s.expandDimsOp],
    [x(3, 5)],
    (a) => s.expandDims(a, [0, 2, -1]),
    [1, 3, 1, 5, 1],
    ([, i, , j], a) => at(a, [i, j]),
  ),
  view(
    'squeeze',
    [s.squeezeOp],
    [x(1, 3, 1, 5)],
    (a) => s.squeeze(a),
    [3, 5],
    ([i, j], a) => at(a, [0, i, 0, j]),
  ),
  view(
    'squeeze of one axis',
    [s.squeezeOp],
    [x(1, 3, 1, 5)],
    (a) => s.squeeze(a, -2),
    [1, 3, 5],
    ([h, i, j], a) => at(a, [h, i, 0, j]),
  ),
  view(
    'transpose',
    [s.transposeOp],
    [x(33, 17)],
    (a) => s.transpose(a),
    [17, 33],
    ([i, j], a) => at(a, [j, i]),
  ),
  view(
    'transpose of four axes',
    [s.transposeOp],
    [x(2, 3, 4, 5)],
    (a) => s.transpose(a, [0, 3, -3, 2]),
    [2, 5, 3, 4],
    ([h, i, j, k], a) => at(a, [h, j, k, i]),
  ),
  view(
    'transpose twice',
    [s.transposeOp],
    [x(2, 3, 4, 5)],
    (a) => s.transpose(s.transpose(a, [1, 2, 3, 0]), [2, 0, 3, 1]),
    [5, 3, 2, 4],
    ([h, i, j, k], a) => at(a, [j, i, k, h]),
  ),
  view(
    'transpose of u8',
    [s.transposeOp],
    [{ shape: [9, 7], dtype: 'u8', range: [0, 255] }],
    (a) => s.transpose(a),
    [7, 9],
    ([i, j], a) => at(a, [j, i]),
  ),
  view(
    'broadcastTo',
    [s.broadcastToOp],
    [x(3, 1)],
    (a) => s.broadcastTo(a, [2, 3, 5]),
    [2, 3, 5],
    ([, i], a) => at(a, [i, 0]),
  ),
  view(
    'broadcastTo from a scalar',
    [s.broadcastToOp],
    [x()],
    (a) => s.broadcastTo(a, [4, 6]),
    [4, 6],
    (_i, a) => at(a, []),
  ),
  view(
    'spread along an axis of extent 1',
    [s.broadcastToOp],
    [x(1, 5)],
    (a) => mul(spread(a, [1, 5], [0]), a),
    [1, 5],
    (i, a) => at(a, i) ** 2,
  ),
  view(
    'slice',
    [s.sliceOp],
    [x(7, 9)],
    (a) =>
      s.slice(a, [
        [2, 5],
        [-4, -1],
      ]),
    [3, 3],
    ([i, j], a) => at(a, [i + 2, j + 5]),
  ),
  view(
    'slice with steps',
    [s.sliceOp],
    [x(7, 9)],
    (a) =>
      s.slice(a, [
        [undefined, undefined, 3],
        [1, 99, 2],
      ]),
    [3, 4],
    ([i, j], a) => at(a, [3 * i, 1 + 2 * j]),
  ),
  view(
    'slice backwards',
    [s.sliceOp],
    [x(7, 9)],
    (a) =>
      s.slice(a, [
        [undefined, undefined, -2],
        [6, 1, -3],
      ]),
    [4, 2],
    ([i, j], a) => at(a, [6 - 2 * i, 6 - 3 * j]),
  ),
  view(
    'slice of a slice',
    [s.sliceOp],
    [x(20)],
    (a) => s.slice(s.slice(a, [[18, undefined, -3]]), [[4, undefined, -2]]),
    [3],
    ([i], a) => at(a, [6 + 6 * i]),
  ),
  view(
    'flip',
    [s.sliceOp],
    [x(4, 3, 5)],
    (a) => s.flip(a, [0, -1]),
    [4, 3, 5],
    ([i, j, k], a) => at(a, [3 - i, j, 4 - k]),
  ),
  view(
    'flip of a transposed tensor',
    [s.sliceOp, s.transposeOp],
    [x(6, 5)],
    (a) => s.flip(s.transpose(a)),
    [5, 6],
    ([i, j], a) => at(a, [5 - j, 4 - i]),
  ),
  view(
    'split',
    [s.sliceOp],
    [x(3, 10)],
    (a) => add(mul(s.split(a, 2, 1)[0], s.split(a, [2, 5, 3], 1)[1]), s.split(a, 2, -1)[1]),
    [3, 5],
    ([i, j], a) => at(a, [i, j]) * at(a, [i, j + 2]) + at(a, [i, j + 5]),
  ),
  view(
    'identity',
    [s.identityOp],
    [x(3, 5)],
    (a) => mul(s.identity(a), a),
    [3, 5],
    (i, a) => at(a, i) ** 2,
  ),
  view(
    'stopGradient',
    [s.stopGradientOp],
    [x(3, 5)],
    (a) => s.stopGradient(a),
    [3, 5],
    (i, a) => at(a, i),
    { gradient: 'stopped on purpose' },
  ),
]

const inside = (index: readonly number[], low: readonly number[], shape: readonly number[]): number[] | undefined => {
  const from = index.map((i, axis) => i - low[axis])
  return from.every((i, axis) => i >= 0 && i < shape[axis]) ? from : undefined
}

function padded(name: string, input: CaseInput, padding: [number, number][], value = 0): OpCase {
  const shape = input.shape.map((n, axis) => n + padding[axis][0] + padding[axis][1])
  return view(
    name,
    [s.padOp],
    [input],
    (a) => s.pad(a, padding, value),
    shape,
    (i, a) => {
      const from = inside(
        i,
        padding.map(([low]) => low),
        input.shape,
      )
      return from === undefined ? value : at(a, from)
    },
  )
}

const copies: OpCase[] = [
  padded('pad', x(3, 5), [
    [1, 2],
    [3, 0],
  ]),
  padded(
    'pad with a value',
    x(2, 3, 4),
    [
      [0, 1],
      [0, 0],
      [2, 2],
    ],
    -1.5,
  ),
  padded(
    'pad of i32',
    { shape: [3, 5], dtype: 'i32', range: [-9, 9] },
    [
      [1, 1],
      [1, 1],
    ],
    7,
  ),
  padded(
    'pad of u8',
    { shape: [3, 5], dtype: 'u8', range: [0, 255] },
    [
      [0, 1],
      [2, 1],
    ],
    9,
  ),
  padded(
    'pad of bool',
    { shape: [3, 5], dtype: 'bool', range: [0, 1] },
    [
      [0, 1],
      [2, 1],
    ],
    1,
  ),
  padded(
    'pad of many axes',
    x(2, 1, 3, 2, 2),
    [
      [1, 0],
      [1, 1],
      [0, 2],
      [0, 0],
      [1, 0],
    ],
    0.5,
  ),
  view(
    'pad of a transposed tensor',
    [s.padOp],
    [x(5, 3)],
    (a) =>
      s.pad(s.transpose(a), [
        [1, 1],
        [0, 2],
      ]),
    [5, 7],
    (i, a) => {
      const from = inside(i, [1, 0], [3, 5])
      return from === undefined ? 0 : at(a, [from[1], from[0]])
    },
  ),
  view(
    'pad of a flipped tensor',
    [s.padOp],
    [x(5)],
    (a) => s.pad(s.flip(a), [[1, 1]]),
    [7],
    ([i], a) => (i === 0 || i === 6 ? 0 : at(a, [5 - i])),
  ),
  view(
    'concat',
    [s.concatOp],
    [x(2, 3), x(4, 3), x(1, 3)],
    (a, b, c) => s.concat([a, b, c]),
    [7, 3],
    ([i, j], a, b, c) => (i < 2 ? at(a, [i, j]) : i < 6 ? at(b, [i - 2, j]) : at(c, [i - 6, j])),
  ),
  view(
    'concat along the last axis',
    [s.concatOp],
    [x(2, 3), x(2, 17)],
    (a, b) => s.concat([a, b], -1),
    [2, 20],
    ([i, j], a, b) => (j < 3 ? at(a, [i, j]) : at(b, [i, j - 3])),
  ),
  view(
    'concat of one tensor twice',
    [s.concatOp],
    [x(3, 4, 5)],
    (a) => s.concat([a, a], 1),
    [3, 8, 5],
    ([i, j, k], a) => at(a, [i, j % 4, k]),
  ),
  view(
    'concat of views',
    [s.concatOp],
    [x(3, 4)],
    (a) => s.concat([s.transpose(a), s.flip(s.transpose(a)), s.broadcastTo(sum(a, 0, { keepDims: true }), [4, 4])], 1),
    [4, 10],
    ([i, j], a) =>
      j < 3 ? at(a, [j, i]) : j < 6 ? at(a, [5 - j, 3 - i]) : at(a, [0, j - 6]) + at(a, [1, j - 6]) + at(a, [2, j - 6]),
  ),
  view(
    'concat of u8',
    [s.concatOp],
    [
      { shape: [5], dtype: 'u8', range: [0, 255] },
      { shape: [6], dtype: 'u8', range: [0, 255] },
    ],
    (a, b) => s.concat([a, b]),
    [11],
    ([i], a, b) => (i < 5 ? at(a, [i]) : at(b, [i - 5])),
  ),
  view(
    'stack',
    [s.concatOp],
    [x(3, 4), x(3, 4)],
    (a, b) => s.stack([a, b], 1),
    [3, 2, 4],
    ([i, j, k], a, b) => at(j === 0 ? a : b, [i, k]),
  ),
  view(
    'stack of scalars at the end',
    [s.concatOp],
    [x(), x(), x()],
    (...list) => s.stack(list, -1),
    [3],
    ([i], ...list) => at(list[i], []),
  ),
]

export const cases: readonly OpCase[] = [...views, ...copies]
