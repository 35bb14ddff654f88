import { makeNode } from '../graph/node.ts'
import { at, type CaseInput, type OpCase, tabulate, type Values } from '../testing/case.ts'
import { add } from './elementwise.ts'
import { matmulOp } from './matmul.ts'
import * as n from './norm.ts'

/** Mean and variance of the elements of x that `together` puts with an index. */
function statistics(
  x: Values,
  index: readonly number[],
  together: (a: readonly number[], b: readonly number[]) => boolean,
) {
  const list: number[] = []
  tabulate(x.shape, (other) => {
    if (together(index, other)) list.push(at(x, other))
    return 0
  })
  const mean = list.reduce((a, b) => a + b, 0) / list.length
  const variance = list.reduce((a, b) => a + (b - mean) ** 2, 0) / list.length
  return { mean, variance }
}

function normalized(
  together: (a: readonly number[], b: readonly number[]) => boolean,
  affine: (index: readonly number[]) => readonly number[],
  eps = 1e-5,
) {
  return (x: Values, weight: Values, bias: Values): Values => {
    const known = new Map<string, { mean: number; variance: number }>()
    return tabulate(x.shape, (index) => {
      const key = statisticsKey(x, index, together)
      const stats = known.get(key) ?? statistics(x, index, together)
      known.set(key, stats)
      const hat = (at(x, index) - stats.mean) / Math.sqrt(stats.variance + eps)
      return hat * at(weight, affine(index)) + at(bias, affine(index))
    })
  }
}

/** The first index that goes together with this one names the group. */
function statisticsKey(
  x: Values,
  index: readonly number[],
  together: (a: readonly number[], b: readonly number[]) => boolean,
): string {
  let key = ''
  const other = x.shape.map(() => 0)
  const size = x.shape.reduce((a, b) => a * b, 1)
  for (let i = 0; i < size && key === ''; i++) {
    if (together(index, other)) key = other.join()
    for (let axis = x.shape.length - 1; axis >= 0; axis--) {
      if (++other[axis] < x.shape[axis]) break
      other[axis] = 0
    }
  }
  return key
}

const last = (index: readonly number[]): number => index[index.length - 1]
const sameChannel = (a: readonly number[], b: readonly number[]): boolean => last(a) === last(b)
const channel = (index: readonly number[]): number[] => [last(index)]
const scale: Partial<CaseInput> = { range: [0.5, 2] }
const inputs = (x: readonly number[], weight: readonly number[]): CaseInput[] => [
  { shape: x },
  { shape: weight, ...scale },
  { shape: weight },
]

const batch: OpCase[] = [
  [17, 5],
  [4, 9, 3],
  [2, 5, 4, 7],
  [1, 4, 4, 17],
  [1, 6],
  [1, 1, 6],
].map((shape) => ({
  name: `batchNorm of [${shape}]`,
  ops: [n.normalizeOp],
  inputs: inputs(shape, shape.slice(-1)),
  build: (x, w, b) => n.batchNorm(x, w, b).y,
  reference: normalized(sameChannel, channel),
  // One value a channel is always 0 after normalisation, whatever rounding leaves is compared with the bias.
  tolerance: 2e-6,
}))

const stats: OpCase[] = [
  {
    name: 'batchNorm mean and variance',
    ops: [n.normalizeOp],
    inputs: inputs([3, 4, 5, 6], [6]),
    build: (x, w, b) => {
      const { mean, variance } = n.batchNorm(x, w, b)
      return add(mean, variance)
    },
    reference: (x) =>
      tabulate([6], ([c]) => {
        const { mean, variance } = statistics(x, [0, 0, 0, c], sameChannel)
        return mean + variance
      }),
  },
  {
    name: 'batchNorm far from 0',
    ops: [n.normalizeOp],
    inputs: [{ shape: [64, 5], range: [99, 101] }, { shape: [5], ...scale }, { shape: [5] }],
    build: (x, w, b) => n.batchNorm(x, w, b, 1e-3).y,
    reference: normalized(sameChannel, channel, 1e-3),
    // The mean is known to 100 · 6e-8 only, against a deviation of 0.6; PyTorch is off by as much.
    tolerance: 5e-5,
  },
  {
    name: 'batchNorm in pieces',
    ops: [n.normalizeOp],
    inputs: inputs([9_001, 9], [9]),
    build: (x, w, b) => n.batchNorm(x, w, b).y,
    reference: (x, w, b) => {
      const perChannel = Array.from({ length: 9 }, (_, c) => {
        const list = Array.from({ length: 9_001 }, (_, i) => x.data[i * 9 + c])
        const mean = list.reduce((p, q) => p + q, 0) / list.length
        return { mean, deviation: Math.sqrt(list.reduce((p, q) => p + (q - mean) ** 2, 0) / list.length + 1e-5) }
      })
      return tabulate(
        x.shape,
        ([i, c]) => ((at(x, [i, c]) - perChannel[c].mean) / perChannel[c].deviation) * w.data[c] + b.data[c],
      )
    },
    tolerance: 2e-6,
  },
  {
    name: 'batchNormInference',
    ops: [],
    inputs: [...inputs([2, 3, 4, 5], [5]), { shape: [5] }, { shape: [5], range: [0.5, 2] }],
    build: (x, w, b, mean, variance) => n.batchNormInference(x, w, b, mean, variance),
    reference: (x, w, b, mean, variance) =>
      tabulate(
        x.shape,
        (i) =>
          ((at(x, i) - at(mean, [last(i)])) / Math.sqrt(at(variance, [last(i)]) + 1e-5)) * at(w, [last(i)]) +
          at(b, [last(i)]),
      ),
  },
]

const layer: OpCase[] = [
  [[7, 9], 1],
  [[2, 3, 33], 1],
  [[5], 1],
  [[3, 4, 5], 2],
  [[1, 8], 1],
].map((entry) => {
  const [shape, count] = entry as [number[], number]
  const outer = shape.length - count
  return {
    name: `layerNorm of [${shape}] over ${count}`,
    ops: [n.normalizeOp],
    inputs: inputs(shape, shape.slice(outer)),
    build: (x, w, b) => n.layerNorm(x, w, b),
    reference: normalized(
      (a, b) => a.slice(0, outer).join() === b.slice(0, outer).join(),
      (index) => index.slice(outer),
    ),
    tolerance: 2e-6,
  } satisfies OpCase
})

const group: OpCase[] = [
  [[2, 3, 5, 6], 2],
  [[2, 7, 6], 3],
  [[3, 4, 4, 6], 6],
  [[3, 4, 4, 6], 1],
  [[5, 12], 4],
  [[1, 2, 2, 9], 3],
].map((entry) => {
  const [shape, groups] = entry as [number[], number]
  const size = last(shape) / groups
  const part = (index: readonly number[]): string => `${index[0]},${Math.floor(last(index) / size)}`
  return {
    name: `groupNorm of [${shape}] in ${groups}`,
    ops: [n.normalizeOp],
    inputs: inputs(shape, shape.slice(-1)),
    build: (x, w, b) => (groups === last(shape) ? n.instanceNorm(x, w, b) : n.groupNorm(x, groups, w, b)),
    reference: normalized((a, b) => part(a) === part(b), channel),
    tolerance: 2e-6,
  } satisfies OpCase
})

const steps: OpCase[] = [
  {
    name: 'centerScale',
    ops: [n.centerScaleOp],
    inputs: [{ shape: [5, 9] }, { shape: [5, 9] }, { shape: [5, 9] }, { shape: [5, 9] }],
    build: (...operands) => makeNode(n.centerScaleOp, operands, {}),
    reference: (x, m, s, b) => tabulate([5, 9], (i) => (at(x, i) - at(m, i)) * at(s, i) + at(b, i)),
  },
  {
    name: 'scaleShift',
    ops: [n.scaleShiftOp],
    inputs: [{ shape: [5, 9] }, { shape: [5, 9] }, { shape: [5, 9] }],
    build: (...operands) => makeNode(n.scaleShiftOp, operands, {}),
    reference: (x, s, b) => tabulate([5, 9], (i) => at(x, i) * at(s, i) + at(b, i)),
  },
  {
    name: 'centerTimes',
    ops: [n.centerTimesOp],
    inputs: [{ shape: [5, 9] }, { shape: [5, 9] }, { shape: [5, 9] }],
    build: (...operands) => makeNode(n.centerTimesOp, operands, {}),
    reference: (a, x, m) => tabulate([5, 9], (i) => at(a, i) * (at(x, i) - at(m, i))),
  },
]

/** Local response normalisation, which is put together of several ops. */
export const localCases: readonly OpCase[] = [
  [[2, 3, 4, 9], { alpha: 0.7, beta: 0.6, k: 1.5 }],
  [[5, 3], { size: 4, alpha: 0.9, beta: 0.75, k: 2 }],
  [[2, 17, 6], { size: 1, alpha: 1, beta: 1 }],
].map((entry) => {
  const [shape, options] = entry as [number[], n.LocalResponseNormOptions]
  const { size = 5, alpha = 1e-4, beta = 0.75, k = 1 } = options
  return {
    name: `localResponseNorm of [${shape}] over ${size}`,
    ops: [matmulOp],
    inputs: [{ shape }],
    build: (x) => n.localResponseNorm(x, options),
    reference: (x) =>
      tabulate(shape, (index) => {
        const c = last(index)
        let sum = 0
        for (let i = c - Math.floor((size - 1) / 2); i <= c + Math.ceil((size - 1) / 2); i++) {
          if (i >= 0 && i < last(shape)) sum += at(x, [...index.slice(0, -1), i]) ** 2
        }
        return at(x, index) / (k + (alpha / size) * sum) ** beta
      }),
  } satisfies OpCase
})

export const cases: readonly OpCase[] = [...batch, ...stats, ...layer, ...group, ...steps]
