import { makeNode } from '../graph/node.ts'
import { at, type CaseInput, type OpCase, tabulate, type Values } from '../testing/case.ts'
import * as l from './loss.ts'

const logits = (...shape: number[]): CaseInput => ({ shape, range: [-3, 3] })
const labels = (shape: readonly number[], classes: number, dtype: 'i32' | 'u8' = 'i32'): CaseInput => ({
  shape,
  dtype,
  range: [0, classes - 1],
})

interface Options {
  readonly smoothing?: number
  readonly weights?: Values
  readonly reduction?: 'mean' | 'sum' | 'none'
}

/** Straight from the definition: Σ over classes of -weight · target · log-probability, row by row. */
function reference(x: Values, target: Values, options: Options = {}): Values {
  const { smoothing = 0, weights, reduction = 'mean' } = options
  const classes = x.shape[x.shape.length - 1]
  const rows = x.data.length / classes
  const hard = target.shape.length < x.shape.length
  const losses = new Float64Array(rows)
  let divisor = 0
  for (let row = 0; row < rows; row++) {
    const values = x.data.subarray(row * classes, (row + 1) * classes)
    const top = values.reduce((a, b) => Math.max(a, b))
    const normalizer = Math.log(values.reduce((a, b) => a + Math.exp(b - top), 0)) + top
    for (let c = 0; c < classes; c++) {
      const plain = hard ? Number(target.data[row] === c) : target.data[row * classes + c]
      const t = plain * (1 - smoothing) + smoothing / classes
      if (t !== 0) losses[row] -= (weights?.data[c] ?? 1) * t * (values[c] - normalizer)
    }
    divisor += hard ? (weights?.data[target.data[row]] ?? 1) : 1
  }
  if (reduction === 'none') return { shape: x.shape.slice(0, -1), data: losses }
  const sum = losses.reduce((a, b) => a + b, 0)
  return { shape: [], data: Float64Array.of(reduction === 'sum' ? sum : sum / divisor) }
}

const classWeights: CaseInput = { shape: [7], range: [0.2, 2] }
const probabilities: CaseInput = { shape: [5, 7], range: [0, 0.4] }

const crossEntropies: OpCase[] = [
  {
    name: 'crossEntropy',
    ops: [l.labelCrossEntropyOp],
    inputs: [logits(17, 10), labels([17], 10)],
    build: (x, t) => l.crossEntropy(x, t),
    reference: (x, t) => reference(x, t),
  },
  {
    name: 'crossEntropy of one sample',
    ops: [l.labelCrossEntropyOp],
    inputs: [logits(1, 5), labels([1], 5)],
    build: (x, t) => l.crossEntropy(x, t),
    reference: (x, t) => reference(x, t),
  },
  {
    name: 'crossEntropy of a vector',
    ops: [l.labelCrossEntropyOp],
    inputs: [logits(5), labels([], 5)],
    build: (x, t) => l.crossEntropy(x, t),
    reference: (x, t) => reference(x, t),
  },
  {
    name: 'crossEntropy with u8 labels',
    ops: [l.labelCrossEntropyOp],
    inputs: [logits(9, 7), labels([9], 7, 'u8')],
    build: (x, t) => l.crossEntropy(x, t),
    reference: (x, t) => reference(x, t),
  },
  {
    name: 'crossEntropy of every place',
    ops: [l.labelCrossEntropyOp],
    inputs: [logits(3, 4, 4, 6), labels([3, 4, 4], 6)],
    build: (x, t) => l.crossEntropy(x, t),
    reference: (x, t) => reference(x, t),
  },
  {
    name: 'crossEntropy, sum',
    ops: [l.labelCrossEntropyOp],
    inputs: [logits(9, 7), labels([9], 7)],
    build: (x, t) => l.crossEntropy(x, t, { reduction: 'sum' }),
    reference: (x, t) => reference(x, t, { reduction: 'sum' }),
  },
  {
    name: 'crossEntropy, none',
    ops: [l.labelCrossEntropyOp],
    inputs: [logits(9, 7), labels([9], 7)],
    build: (x, t) => l.crossEntropy(x, t, { reduction: 'none' }),
    reference: (x, t) => reference(x, t, { reduction: 'none' }),
  },
  {
    name: 'crossEntropy, smoothed',
    ops: [l.labelCrossEntropyOp],
    inputs: [logits(9, 7), labels([9], 7)],
    build: (x, t) => l.crossEntropy(x, t, { labelSmoothing: 0.1 }),
    reference: (x, t) => reference(x, t, { smoothing: 0.1 }),
  },
  ...(['mean', 'sum', 'none'] as const).map(
    (reduction): OpCase => ({
      name: `crossEntropy with class weights and smoothing, ${reduction}`,
      ops: [l.targetCrossEntropyOp],
      inputs: [logits(9, 7), labels([9], 7), classWeights],
      build: (x, t, w) => l.crossEntropy(x, t, { labelSmoothing: 0.2, classWeights: w, reduction }),
      reference: (x, t, weights) => reference(x, t, { smoothing: 0.2, weights, reduction }),
    }),
  ),
  {
    name: 'crossEntropy of probabilities',
    ops: [l.targetCrossEntropyOp],
    inputs: [logits(5, 7), probabilities],
    build: (x, t) => l.crossEntropy(x, t),
    reference: (x, t) => reference(x, t),
  },
  {
    name: 'crossEntropy of probabilities, smoothed and weighted',
    ops: [l.targetCrossEntropyOp],
    inputs: [logits(5, 7), probabilities, classWeights],
    build: (x, t, w) => l.crossEntropy(x, t, { labelSmoothing: 0.1, classWeights: w }),
    reference: (x, t, weights) => reference(x, t, { smoothing: 0.1, weights }),
  },
  {
    name: 'crossEntropy of large and masked logits',
    ops: [l.labelCrossEntropyOp],
    inputs: [
      { shape: [2, 3], values: [1000, 1001, 999, 0, Number.NEGATIVE_INFINITY, 1] },
      { shape: [2], dtype: 'i32', values: [1, 2] },
    ],
    build: (x, t) => l.crossEntropy(x, t),
    reference: (x, t) => reference(x, t),
    gradient: 'infinities',
  },
  {
    name: 'crossEntropy of a label that is none',
    ops: [l.labelCrossEntropyOp],
    inputs: [logits(3, 4), { shape: [3], dtype: 'i32', values: [1, 4, -1] }],
    build: (x, t) => l.crossEntropy(x, t, { reduction: 'none' }),
    reference: (x, t) => {
      const { data } = reference(x, t, { reduction: 'none' })
      return { shape: [3], data: Float64Array.of(data[0], Number.NaN, Number.NaN) }
    },
    gradient: 'NaN on purpose',
  },
]

const integers = (high: number): CaseInput => ({ shape: [5, 6], dtype: 'i32', range: [0, high] })
const steps: OpCase[] = [
  {
    name: 'smoothTarget',
    ops: [l.smoothTargetOp],
    inputs: [integers(3), integers(3)],
    build: (a, b) => makeNode(l.smoothTargetOp, [a, b], { on: 0.75, off: 0.25 }),
    reference: (a, b) => tabulate([5, 6], (i) => (at(a, i) === at(b, i) ? 0.75 : 0.25)),
  },
  {
    name: 'smoothTargetTimes',
    ops: [l.smoothTargetTimesOp],
    inputs: [integers(3), integers(3), { shape: [5, 6] }, { shape: [5, 6] }],
    build: (...operands) => makeNode(l.smoothTargetTimesOp, operands, { on: 0.75, off: 0.25 }),
    reference: (a, b, x, m) => tabulate([5, 6], (i) => (at(x, i) - at(m, i)) * (at(a, i) === at(b, i) ? 0.75 : 0.25)),
  },
]

const pair: CaseInput[] = [{ shape: [5, 17] }, { shape: [5, 17] }]
const elementwise = {
  mseLoss: [l.mseLoss, (p: number, t: number) => (p - t) ** 2],
  l1Loss: [l.l1Loss, (p: number, t: number) => Math.abs(p - t)],
  bceWithLogits: [l.bceWithLogits, (p: number, t: number) => Math.log1p(Math.exp(p)) - p * t],
} as const
const regressions: OpCase[] = Object.entries(elementwise).flatMap(([name, [build, f]]) =>
  (['mean', 'sum', 'none'] as const).map(
    (reduction): OpCase => ({
      name: `${name}, ${reduction}`,
      ops: [],
      inputs: pair,
      build: (p, t) => build(p, t, { reduction }),
      reference: (p, t) => {
        const losses = tabulate([5, 17], (i) => f(at(p, i), at(t, i)))
        const sum = losses.data.reduce((a, b) => a + b, 0)
        if (reduction === 'none') return losses
        return { shape: [], data: Float64Array.of(reduction === 'sum' ? sum : sum / 85) }
      },
    }),
  ),
)

export const cases: readonly OpCase[] = [...crossEntropies, ...steps, ...regressions]
