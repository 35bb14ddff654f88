/** Reductions: sum, mean, max, min, variance, argmax, logsumexp and the softmax family. */

import { ConfigError } from '../base/errors.ts'
import { normalizeAxes, normalizeAxis, type Shape, sizeOf } from '../base/shape.ts'
import { constantNode, makeNode, type Node } from '../graph/node.ts'
import type { Algorithm, ExpandOp, KernelOp, MapOp, ReduceOp } from '../graph/op.ts'
import { argReduceCall, argReduceSpec } from '../kernel/builders/arg-reduce.ts'
import * as e from '../kernel/expression.ts'
import * as math from '../kernel/math.ts'
import {
  type Axes,
  broadcastTo,
  type ReduceOptions,
  reducedShape,
  reduceNode,
  reshape,
  reshapeOp,
  spread,
  squeeze,
  sum,
} from './broadcast.ts'
import {
  add,
  cast,
  div,
  equal,
  exp,
  isFiniteNumber,
  like,
  log,
  mul,
  neg,
  reciprocal,
  select,
  sub,
} from './elementwise.ts'
import { checkDType, checkEqualShapes, checkFilled, type NoAttributes, noAttributes } from './operands.ts'

export { type Axes, type ReduceOptions, sum, sumOp } from './broadcast.ts'

interface AxesAttributes {
  /** Sorted, non-negative. */
  readonly axes: readonly number[]
}

/** A scalar that depends on shapes is a run-time parameter: another batch size compiles nothing. */
function scaled(x: Node, factor: number): Node {
  return mul(x, broadcastTo(constantNode(factor), x.shape))
}

function countOf(shape: Shape, axes: readonly number[]): number {
  return axes.reduce((count, axis) => count * shape[axis], 1)
}

// y = max x or min x, NaN when there is one;  dx = g · [x = y] / number of such places: ties share, as in PyTorch
function extreme(name: 'max' | 'min'): ReduceOp<AxesAttributes> {
  return {
    name,
    kind: 'reduce',
    combine: name,
    infer([x], { axes }) {
      checkDType(name, 'x', x, ['f32', 'i32'])
      checkFilled(name, 'x', x)
      return { shape: reducedShape(x.shape, axes), dtype: x.dtype }
    },
    axes: ({ axes }) => axes,
    gradient(y, g) {
      if (y.dtype !== 'f32') return [undefined]
      const [x] = y.inputs
      const { axes } = y.attributes
      const ties = cast(equal(x, spread(y, x.shape, axes)), 'f32')
      const share = div(g, sum(ties, axes, { keepDims: true }))
      return [mul(ties, spread(share, x.shape, axes))]
    },
  }
}
export const maxOp = extreme('max')
export const minOp = extreme('min')

/** Largest value along axes; NaN when there is one. f32 or i32. @throws ShapeError, DTypeError */
export function max(x: Node, axes?: Axes, options: ReduceOptions = {}): Node {
  return reduceNode(maxOp, x, axes, options)
}

/** Smallest value along axes; NaN when there is one. f32 or i32. @throws ShapeError, DTypeError */
export function min(x: Node, axes?: Axes, options: ReduceOptions = {}): Node {
  return reduceNode(minOp, x, axes, options)
}

/** Mean along axes; f32. @throws ShapeError, DTypeError */
export function mean(x: Node, axes?: Axes, options: ReduceOptions = {}): Node {
  checkDType('mean', 'x', x, ['f32'])
  const normalized = normalizeAxes('mean', axes, x.shape)
  return scaled(sum(x, normalized, options), 1 / countOf(x.shape, normalized))
}

// ---------------------------------------------------------------------------------------------- variance

// y = Σ (x - mean)²;  dx = 2 · g · (x - mean). A pass over x gives the mean too, where it is asked for beside it.
export const deviationsOp: ReduceOp<AxesAttributes> = {
  name: 'deviations',
  kind: 'reduce',
  combine: 'deviations',
  infer: ([x], { axes }) => ({ shape: reducedShape(x.shape, axes), dtype: 'f32' }),
  axes: ({ axes }) => axes,
  gradient(y, g) {
    const [x] = y.inputs
    const { axes } = y.attributes
    const center = spread(mean(x, axes, { keepDims: true }), x.shape, axes)
    return [mul(spread(add(g, g), x.shape, axes), sub(x, center))]
  },
}

interface VarianceAttributes extends AxesAttributes {
  readonly correction: number
}

// y = Σ (x - mean)² / (n - correction);  dx = 2 · g · (x - mean) / (n - correction)
export const varianceOp: ExpandOp<VarianceAttributes> = {
  name: 'variance',
  kind: 'expand',
  infer([x], { axes }) {
    checkDType('variance', 'x', x, ['f32'])
    checkFilled('variance', 'x', x)
    return { shape: reducedShape(x.shape, axes), dtype: 'f32' }
  },
  expand(node) {
    const [x] = node.inputs
    const { axes, correction } = node.attributes
    const squares = axes.length === 0 ? sub(x, x) : makeNode(deviationsOp, [x], { axes })
    return scaled(squares, 1 / (countOf(x.shape, axes) - correction))
  },
  gradient(node, g) {
    const [x] = node.inputs
    const { axes, correction } = node.attributes
    const center = spread(mean(x, axes, { keepDims: true }), x.shape, axes)
    const share = scaled(g, 2 / (countOf(x.shape, axes) - correction))
    return [mul(spread(share, x.shape, axes), sub(x, center))]
  },
}

export interface VarianceOptions extends ReduceOptions {
  /** Subtracted from the number of values in the divisor: 1 (default, as in PyTorch) is unbiased, 0 the plain mean. */
  readonly correction?: number
}

/**
 * Mean squared distance from the mean along axes. f32.
 * @throws ShapeError, DTypeError; ConfigError when there are no more values than `correction`
 */
export function variance(x: Node, axes?: Axes, options: VarianceOptions = {}): Node {
  const { correction = 1, keepDims = false } = options
  const normalized = normalizeAxes('variance', axes, x.shape)
  const count = countOf(x.shape, normalized)
  if (!(correction >= 0) || count <= correction) {
    throw new ConfigError({
      where: 'variance',
      what: 'there are too few values for the correction',
      got: `correction ${correction}, ${count} along axes [${normalized.join(', ')}] of [${x.shape.join(', ')}]`,
      expected: 'more values than the correction, which is at least 0',
      fix: 'use correction: 0 for the mean of the squares',
    })
  }
  const y = makeNode(varianceOp, [x], { axes: normalized, correction })
  return keepDims || normalized.length === 0 ? y : squeeze(y, normalized)
}

// ---------------------------------------------------------------------------------------------- argmax, argmin

interface ArgAttributes {
  readonly axis: number
}

function argOp(name: 'argmax' | 'argmin'): KernelOp<ArgAttributes> {
  const scan: Algorithm<ArgAttributes> = {
    name: 'scan',
    applies: () => true,
    cost: (node) => sizeOf(node.inputs[0].shape),
    tolerance: 0,
    build(node, [input], epilogue, context) {
      const { axis } = node.attributes
      const { shape, dtype } = node.inputs[0]
      const spec = { dtype, find: name === 'argmax' ? 'max' : 'min' } as const
      const call = argReduceCall({
        outer: sizeOf(shape.slice(0, axis)),
        count: shape[axis],
        inner: sizeOf(shape.slice(axis + 1)),
      })
      context.call({ spec: argReduceSpec(spec), spans: [input.span, epilogue.outputs[0]], ...call })
    },
  }
  return {
    name,
    kind: 'kernel',
    gradient: 'none',
    infer([x], { axis }) {
      checkDType(name, 'x', x, ['f32', 'i32', 'u8'])
      checkFilled(name, 'x', x)
      return { shape: x.shape.filter((_, a) => a !== axis), dtype: 'i32' }
    },
    algorithms: [scan],
  }
}
export const argmaxOp = argOp('argmax')
export const argminOp = argOp('argmin')

/**
 * Place of the largest value along an axis, i32, without that axis. The first of several wins; a NaN wins over all.
 * @throws ShapeError, DTypeError
 */
export function argmax(x: Node, axis = -1): Node {
  return makeNode(argmaxOp, [x], { axis: normalizeAxis('argmax', axis, x.shape) })
}

/**
 * Place of the smallest value along an axis, i32, without that axis. The first of several wins; a NaN wins over all.
 * @throws ShapeError, DTypeError
 */
export function argmin(x: Node, axis = -1): Node {
  return makeNode(argminOp, [x], { axis: normalizeAxis('argmin', axis, x.shape) })
}

// ---------------------------------------------------------------------------------------------- softmax family

// y = e^(x - m);  dx = u · y, dm = -u · y. One step, so that every reader computes it anew instead of keeping it.
export const expDifferenceOp: MapOp<NoAttributes> = {
  name: 'expDifference',
  kind: 'map',
  infer([x, m]) {
    checkEqualShapes('expDifference', [x, m])
    return { shape: x.shape, dtype: 'f32' }
  },
  lower: (k, [x, m]) => math.exp(k, k.let(e.sub(x, m))),
  gradient(y, u) {
    const dx = mul(u, y)
    return [dx, neg(dx)]
  },
}

// y = e^(x - m) · r;  dx = u · y, dm = -u · y, dr = u · e^(x - m)
export const scaledExpDifferenceOp: MapOp<NoAttributes> = {
  name: 'scaledExpDifference',
  kind: 'map',
  infer([x, m, r]) {
    checkEqualShapes('scaledExpDifference', [x, m, r])
    return { shape: x.shape, dtype: 'f32' }
  },
  lower: (k, [x, m, r]) => e.mul(math.exp(k, k.let(e.sub(x, m))), r),
  gradient(y, u) {
    const [x, m] = y.inputs
    const dx = mul(u, y)
    return [dx, neg(dx), mul(u, makeNode(expDifferenceOp, [x, m], noAttributes))]
  },
}

/** Largest value and Σ e^(x - largest), axes kept. Where all is -∞ or something is +∞ or NaN, 0 stands for the largest. */
export function shiftedExpSum(x: Node, axes: readonly number[]): { shift: Node; total: Node } {
  const largest = max(x, axes, { keepDims: true })
  const shift = select(isFiniteNumber(largest), largest, like(largest, 0))
  const terms = makeNode(expDifferenceOp, [x, spread(shift, x.shape, axes)], noAttributes)
  return { shift, total: sum(terms, axes, { keepDims: true }) }
}

function inferReal(name: string, x: Node, shape: Shape) {
  checkDType(name, 'x', x, ['f32'])
  checkFilled(name, 'x', x)
  return { shape, dtype: 'f32' } as const
}

// y = ln Σ eˣ;  dx = g · e^(x - y)
export const logsumexpOp: ExpandOp<AxesAttributes> = {
  name: 'logsumexp',
  kind: 'expand',
  infer: ([x], { axes }) => inferReal('logsumexp', x, reducedShape(x.shape, axes)),
  expand(node) {
    const { shift, total } = shiftedExpSum(node.inputs[0], node.attributes.axes)
    return add(log(total), shift)
  },
  gradient(y, g) {
    const [x] = y.inputs
    const { axes } = y.attributes
    const share = makeNode(expDifferenceOp, [x, spread(y, x.shape, axes)], noAttributes)
    return [mul(spread(g, x.shape, axes), share)]
  },
}

/** ln Σ eˣ along axes, without overflow. f32. @throws ShapeError, DTypeError */
export function logsumexp(x: Node, axes?: Axes, options: ReduceOptions = {}): Node {
  const normalized = normalizeAxes('logsumexp', axes, x.shape)
  if (normalized.length === 0) {
    inferReal('logsumexp', x, x.shape)
    return x
  }
  const y = makeNode(logsumexpOp, [x], { axes: normalized })
  return options.keepDims === true ? y : squeeze(y, normalized)
}

// y = eˣ / Σ eˣ;  dx = y · (g - Σ g · y)
export const softmaxOp: ExpandOp<AxesAttributes> = {
  name: 'softmax',
  kind: 'expand',
  infer: ([x]) => inferReal('softmax', x, x.shape),
  expand: (node) => softmaxOf(node.inputs[0], node.attributes.axes),
  gradient(y, g) {
    const { axes } = y.attributes
    const inner = sum(mul(g, y), axes, { keepDims: true })
    return [mul(y, sub(g, spread(inner, y.shape, axes)))]
  },
}

/** eˣ / Σ eˣ as a composition: the maximum and the sum are shared with other uses of {@link shiftedExpSum}. */
export function softmaxOf(x: Node, axes: readonly number[]): Node {
  const { shift, total } = shiftedExpSum(x, axes)
  const inputs = [x, spread(shift, x.shape, axes), spread(reciprocal(total), x.shape, axes)]
  return makeNode(scaledExpDifferenceOp, inputs, noAttributes)
}

/** Probabilities along an axis: eˣ / Σ eˣ. f32. @throws ShapeError, DTypeError */
export function softmax(x: Node, axis = -1): Node {
  return makeNode(softmaxOp, [x], { axes: [normalizeAxis('softmax', axis, x.shape)] })
}

/** What {@link softmax} along the last axis was given, where `y` is its result or that reshaped; undefined otherwise. */
export function softmaxInput(y: Node): Node | undefined {
  const { op, shape, inputs } = y as Node<unknown>
  const [x] = inputs
  const last = shape.length - 1
  if (op === (softmaxOp as unknown)) {
    const { axes } = y.attributes as AxesAttributes
    return axes.length === 1 && axes[0] === last ? x : undefined
  }
  if (op !== (reshapeOp as unknown) || shape[last] !== x.shape[x.shape.length - 1]) return undefined
  const before = softmaxInput(x)
  return before === undefined ? undefined : reshape(before, shape)
}

// y = x - ln Σ eˣ;  dx = g - eʸ · Σ g
export const logSoftmaxOp: ExpandOp<AxesAttributes> = {
  name: 'logSoftmax',
  kind: 'expand',
  infer: ([x]) => inferReal('logSoftmax', x, x.shape),
  expand(node) {
    const [x] = node.inputs
    const { axes } = node.attributes
    const { shift, total } = shiftedExpSum(x, axes)
    return sub(sub(x, spread(shift, x.shape, axes)), spread(log(total), x.shape, axes))
  },
  gradient(y, g) {
    const { axes } = y.attributes
    return [sub(g, mul(exp(y), spread(sum(g, axes, { keepDims: true }), y.shape, axes)))]
  },
}

/** Logarithms of the probabilities along an axis: x - ln Σ eˣ. f32. @throws ShapeError, DTypeError */
export function logSoftmax(x: Node, axis = -1): Node {
  return makeNode(logSoftmaxOp, [x], { axes: [normalizeAxis('logSoftmax', axis, x.shape)] })
}
