/** Case records of matrix products, against plain loops. */
import { broadcastShapes } from '../base/shape.ts'
import { longestRun } from '../kernel/builders/contraction/index.ts'
import { at, type OpCase, tabulate, type Values } from '../testing/case.ts'
import { matmul, matmulOp } from './matmul.ts'
import { transpose } from './shape-ops.ts'

/** NumPy's matmul, one sum an element. */
function reference(a: Values, b: Values): Values {
  const left = a.shape.length === 1 ? { ...a, shape: [1, ...a.shape] } : a
  const right = b.shape.length === 1 ? { ...b, shape: [...b.shape, 1] } : b
  const batch = broadcastShapes('reference', left.shape.slice(0, -2), right.shape.slice(0, -2))
  const [m, k] = left.shape.slice(-2)
  const n = right.shape[right.shape.length - 1]
  const inside = (values: Values, index: readonly number[]) => {
    const extents = values.shape.slice(0, -2)
    return extents.map((extent, axis) => (extent === 1 ? 0 : index[index.length - extents.length + axis]))
  }
  const full = tabulate([...batch, m, n], (index) => {
    const outer = index.slice(0, -2)
    const [i, j] = index.slice(-2)
    let sum = 0
    for (let l = 0; l < k; l++)
      sum += at(left, [...inside(left, outer), i, l]) * at(right, [...inside(right, outer), l, j])
    return sum
  })
  const shape = [...batch, ...(a.shape.length === 1 ? [] : [m]), ...(b.shape.length === 1 ? [] : [n])]
  return { shape, data: full.data }
}

function record(a: readonly number[], b: readonly number[], tolerance?: number): OpCase {
  return {
    name: `matmul [${a.join(', ')}] by [${b.join(', ')}]`,
    ops: [matmulOp],
    inputs: [{ shape: a }, { shape: b }],
    build: matmul,
    reference,
    tolerance,
  }
}

function swapped(values: Values): Values {
  const [rows, columns] = values.shape
  return tabulate([columns, rows], ([i, j]) => at(values, [j, i]))
}

const tails: OpCase[] = []
for (let i = 1; i <= 17; i++) tails.push(record([i, 5], [5, 18 - i]), record([3, i], [i, 9]))

export const matmulCases: readonly OpCase[] = [
  ...tails,
  record([1, 1], [1, 1]),
  record([33, 65], [65, 47]),
  // Few rows read B as it lies, if its columns fill the tile.
  record([1, 20], [20, 32]),
  record([8, 20], [20, 96]),
  record([9, 20], [20, 96]),
  // Longer than one piece: partial sums are added in order. Sums of thousands of products in single precision.
  record([3, longestRun + 1], [longestRun + 1, 5], 5e-6),
  record([2, 2 * longestRun + 3], [2 * longestRun + 3, 9], 5e-6),
  record([130, 3], [3, 70]),
  record([7], [7]),
  record([3, 4], [4]),
  record([4], [4, 5]),
  record([2, 3, 4], [2, 4, 5]),
  record([3, 17, 9], [3, 9, 33]),
  record([2, 1, 3, 4], [5, 4, 6]),
  record([2, 3, 4], [4, 5]),
  record([3, 4], [2, 4, 5]),
  record([2, 3, 4], [4]),
  record([4], [2, 4, 3]),
  record([2, 1, 5, 8], [1, 3, 8, 5]),
  {
    name: 'matmul of a transposed left operand',
    ops: [matmulOp],
    inputs: [{ shape: [37, 21] }, { shape: [37, 19] }],
    build: (a, b) => matmul(transpose(a, [1, 0]), b),
    reference: (a, b) => reference(swapped(a), b),
  },
  {
    name: 'matmul of a transposed right operand',
    ops: [matmulOp],
    inputs: [{ shape: [13, 21] }, { shape: [19, 21] }],
    build: (a, b) => matmul(a, transpose(b, [1, 0])),
    reference: (a, b) => reference(a, swapped(b)),
  },
  {
    name: 'matmul of both operands transposed',
    ops: [matmulOp],
    inputs: [{ shape: [21, 6] }, { shape: [16, 21] }],
    build: (a, b) => matmul(transpose(a, [1, 0]), transpose(b, [1, 0])),
    reference: (a, b) => reference(swapped(a), swapped(b)),
  },
  {
    name: 'matmul of an operand no axis of which is contiguous',
    ops: [matmulOp],
    inputs: [{ shape: [5, 6, 3] }, { shape: [3, 6, 4] }],
    build: (a, b) => matmul(transpose(a, [2, 0, 1]), b),
    reference: (a, b) =>
      reference(
        tabulate([3, 5, 6], ([i, j, l]) => at(a, [j, l, i])),
        b,
      ),
  },
]
