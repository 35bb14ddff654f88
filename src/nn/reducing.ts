/** One value from many, along axes of a sample: the batch is not counted. */
import { ConfigError, checkOptions, didYouMean } from '../base/errors.ts'
import type { Shape } from '../base/shape.ts'
import * as t from '../tensor/index.ts'
import { sampleAxis } from './arrange.ts'
import type { Layer } from './layer.ts'

type Reduction = (x: t.Tensor, axes: readonly number[], options: { readonly keepDims: boolean }) => t.Tensor

/** Halves are multiplied until one value is left, so that the gradient divides by nothing. */
function product(x: t.Tensor, axes: readonly number[], { keepDims }: { readonly keepDims: boolean }): t.Tensor {
  const part = (of: t.Tensor, axis: number, start: number, end: number) =>
    t.slice(of, [...new Array<undefined>(axis).fill(undefined), [start, end]])
  let all = x
  for (const axis of axes) {
    for (let extent = x.shape[axis]; extent > 1; extent = (extent + 1) >> 1) {
      const half = extent >> 1
      const both = part(all, axis, 0, half).mul(part(all, axis, half, 2 * half))
      all = extent % 2 === 0 ? both : t.concat([both, part(all, axis, 2 * half, extent)], axis)
    }
  }
  return keepDims ? all : all.reshape(x.shape.filter((_, axis) => !axes.includes(axis)))
}

/** Of zeros the length is 0 and so is the gradient; that of the root would be infinite. */
function length(x: t.Tensor, axes: readonly number[], options: { readonly keepDims: boolean }): t.Tensor {
  const squares = x.square().sum(axes, options)
  const none = squares.equal(0)
  return t.where(none, 0, t.sqrt(t.where(none, 1, squares)))
}

const reductions = {
  sum: (x, axes, options) => x.sum(axes, options),
  mean: (x, axes, options) => x.mean(axes, options),
  max: (x, axes, options) => x.max(axes, options),
  min: (x, axes, options) => x.min(axes, options),
  prod: product,
  l1: (x, axes, options) => x.abs().sum(axes, options),
  l2: length,
  sumSquare: (x, axes, options) => x.square().sum(axes, options),
  logSum: (x, axes, options) => x.sum(axes, options).log(),
  logSumExp: (x, axes, options) => t.logsumexp(x, axes, options),
} as const satisfies Readonly<Record<string, Reduction>>
export type ReductionName = keyof typeof reductions

export interface ReduceLayerOptions {
  /** Whether axes that were reduced stay, with an extent of 1. Default false. */
  readonly keepDims?: boolean
}

function reduced(input: Shape, axes: readonly number[], keepDims: boolean): Shape {
  return input.flatMap((extent, axis) => (!axes.includes(axis) ? [extent] : keepDims ? [1] : []))
}

/**
 * One value from all along some axes of a sample; negative axes count from the end.
 * @throws ConfigError on an unknown reduction
 */
export function reduce(op: ReductionName, axes: readonly number[], options: ReduceLayerOptions = {}): Layer {
  if (!Object.hasOwn(reductions, op)) {
    const names = Object.keys(reductions)
    throw new ConfigError({
      where: 'nn.reduce',
      what: `there is no reduction '${op}'`,
      expected: names.join(', '),
      fix: didYouMean(op, names),
    })
  }
  checkOptions('nn.reduce', options, ['keepDims'])
  const { keepDims = false } = options
  const apply: Reduction = reductions[op]
  return {
    type: 'reduce',
    options: { op, axes, ...(keepDims ? { keepDims } : {}) },
    build(scope, input) {
      const at = axes.map((axis) => sampleAxis(scope, 'reduce', axis, input)).toSorted((a, b) => a - b)
      const over = at.map((axis) => axis + 1)
      return { output: reduced(input, at, keepDims), apply: (x) => apply(x, over, { keepDims }) }
    },
    cost: (input) => ({ multiplyAdds: 0, seesAll: axes.some((axis) => axis === 0 || axis === -input.length) }),
  }
}

function place(type: string, find: (x: t.Tensor, axis: number) => t.Tensor) {
  return (axis = -1, options: ReduceLayerOptions = {}): Layer => {
    checkOptions(`nn.${type}`, options, ['keepDims'])
    const { keepDims = false } = options
    return {
      type,
      options: { axis, ...(keepDims ? { keepDims } : {}) },
      build(scope, input) {
        const output = reduced(input, [sampleAxis(scope, type, axis, input)], keepDims)
        const at = sampleAxis(scope, type, axis, input) + 1
        return { output, apply: (x) => find(x, at).reshape([x.shape[0], ...output]) }
      },
      cost: (input) => ({ multiplyAdds: 0, seesAll: axis === 0 || axis === -input.length }),
    }
  }
}

/** Place of the largest value along an axis, the first of several; i32. */
export const argmax = place('argmax', (x, axis) => x.argmax(axis))
/** Place of the smallest value along an axis, the first of several; i32. */
export const argmin = place('argmin', t.argmin)
