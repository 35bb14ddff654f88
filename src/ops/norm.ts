/**
 * Normalisation: y = (x - mean) / √(variance + eps) · weight + bias over some axes. One op serves batch, layer, group
 * and instance norm; its gradient is the closed form, and only x and the statistics are kept for it.
 */
import { ConfigError, ShapeError } from '../base/errors.ts'
import { type Shape, sameShape, showShape } from '../base/shape.ts'
import { constantNode, dataNode, makeNode, type Node } from '../graph/node.ts'
import type { ExpandOp, MapOp } from '../graph/op.ts'
import * as e from '../kernel/expression.ts'
import { broadcastTo, reshape, spread, squeeze, sum } from './broadcast.ts'
import { add, like, mul, neg, pow, rsqrt, square, sub } from './elementwise.ts'
import { matmul } from './matmul.ts'
import {
  checkCount,
  checkDType,
  checkEqualShapes,
  checkFilled,
  checkFinite,
  type NoAttributes,
  noAttributes,
} from './operands.ts'
import { mean, variance } from './reduce.ts'

const defaultEps = 1e-5

// y = (x - m) · s + b;  dx = u · s, dm = -u · s, ds = u · (x - m), db = u.
// One step, so that x - m is computed anew by every reader instead of being kept.
export const centerScaleOp: MapOp<NoAttributes> = {
  name: 'centerScale',
  kind: 'map',
  infer(inputs) {
    checkEqualShapes('centerScale', inputs)
    return { shape: inputs[0].shape, dtype: 'f32' }
  },
  lower: (k, [x, m, s, b]) => e.fma(k.let(e.sub(x, m)), s, b),
  gradient(y, u) {
    const [x, m, s] = y.inputs
    const dx = mul(u, s)
    return [dx, neg(dx), centerTimes(u, x, m), u]
  },
}

// y = a · (x - m);  da = u · (x - m), dx = u · a, dm = -u · a
export const centerTimesOp: MapOp<NoAttributes> = {
  name: 'centerTimes',
  kind: 'map',
  infer(inputs) {
    checkEqualShapes('centerTimes', inputs)
    return { shape: inputs[0].shape, dtype: 'f32' }
  },
  lower: (k, [a, x, m]) => e.mul(a, k.let(e.sub(x, m))),
  gradient(y, u) {
    const [a, x, m] = y.inputs
    const dx = mul(u, a)
    return [centerTimes(u, x, m), dx, neg(dx)]
  },
}

function centerTimes(a: Node, x: Node, m: Node): Node {
  return makeNode(centerTimesOp, [a, x, m], noAttributes)
}

// y = x · s + b;  dx = u · s, ds = u · x, db = u.
// One step, and one instruction where multiply-add is one.
export const scaleShiftOp: MapOp<NoAttributes> = {
  name: 'scaleShift',
  kind: 'map',
  infer(inputs) {
    checkEqualShapes('scaleShift', inputs)
    return { shape: inputs[0].shape, dtype: 'f32' }
  },
  lower: (_k, [x, s, b]) => e.fma(x, s, b),
  gradient: ({ inputs: [x, s] }, u) => [mul(u, s), mul(u, x), u],
}

interface NormAttributes {
  /** What is normalised together. Sorted. */
  readonly axes: readonly number[]
  readonly eps: number
}

/** Mean and biased variance over the axes, which stay with extent 1; equal nodes wherever they are asked for. */
function statistics(x: Node, axes: readonly number[]): { center: Node; spreadOut: Node } {
  return {
    center: mean(x, axes, { keepDims: true }),
    spreadOut: variance(x, axes, { keepDims: true, correction: 0 }),
  }
}

/** Axes of x that the weight, which lies along the last ones, does not have. */
function outerAxes(x: Node, weight: Node): number[] {
  return Array.from({ length: x.shape.length - weight.shape.length }, (_, axis) => axis)
}

// x̂ = (x - mean) · r with r = 1 / √(variance + eps), y = x̂ · w + b. With h = g · w and means over the axes:
//   dx = r · (h - mean(h) - x̂ · mean(h · x̂)),  dw = Σ g · x̂,  db = Σ g  over the axes that w does not have.
// Where these are the normalised axes (batch norm), mean(h) = w · db / n and mean(h · x̂) = w · dw / n cost nothing more.
export const normalizeOp: ExpandOp<NormAttributes> = {
  name: 'normalize',
  kind: 'expand',
  infer: ([x]) => ({ shape: x.shape, dtype: 'f32' }),
  expand(node) {
    const [x, weight, bias] = node.inputs
    const { axes, eps } = node.attributes
    const { center, spreadOut } = statistics(x, axes)
    const r = rsqrt(add(spreadOut, like(spreadOut, eps)))
    const wide = (stat: Node) => spread(stat, x.shape, axes)
    if (weightSpansTheRest(x, weight, axes)) {
      // Scale and shift are one number a channel: the big map reads four small operands.
      const scale = mul(squeeze(r, axes), weight)
      return centerScale(x, wide(center), broadcastTo(scale, x.shape), broadcastTo(bias, x.shape))
    }
    const normalized = centerScale(x, wide(center), wide(r), like(x, 0))
    return add(mul(normalized, broadcastTo(weight, x.shape)), broadcastTo(bias, x.shape))
  },
  gradient(node, g) {
    const [x, weight] = node.inputs
    const { axes, eps } = node.attributes
    const { center, spreadOut } = statistics(x, axes)
    const r = rsqrt(add(spreadOut, like(spreadOut, eps)))
    const wide = (stat: Node) => spread(stat, x.shape, axes)
    const outer = outerAxes(x, weight)
    const inverseCount = axes.reduce((n, axis) => n / x.shape[axis], 1)
    const scaled = (value: Node) => mul(value, broadcastTo(constantNode(inverseCount), value.shape))
    const db = sum(g, outer)
    if (weightSpansTheRest(x, weight, axes)) {
      // Σ g · (x - mean), without the factor r
      const products = sum(centerTimes(g, x, wide(center)), outer)
      const rate = squeeze(r, axes)
      const scale = mul(rate, weight)
      const channel = (value: Node) => broadcastTo(value, x.shape)
      const bend = neg(scaled(mul(scale, mul(mul(rate, rate), products))))
      const shift = neg(scaled(mul(scale, db)))
      const dx = add(mul(g, channel(scale)), centerScale(x, wide(center), channel(bend), channel(shift)))
      return [dx, mul(rate, products), db]
    }
    const h = mul(g, broadcastTo(weight, x.shape))
    const dw = sum(mul(centerTimes(g, x, wide(center)), wide(r)), outer)
    const total = sum(h, axes, { keepDims: true })
    const products = sum(centerTimes(h, x, wide(center)), axes, { keepDims: true })
    const bend = neg(scaled(mul(mul(r, mul(r, r)), products)))
    const shift = neg(scaled(mul(r, total)))
    return [add(mul(h, wide(r)), centerScale(x, wide(center), wide(bend), wide(shift))), dw, db]
  },
}

function centerScale(x: Node, m: Node, s: Node, b: Node): Node {
  return makeNode(centerScaleOp, [x, m, s, b], noAttributes)
}

function weightSpansTheRest(x: Node, weight: Node, axes: readonly number[]): boolean {
  const outer = outerAxes(x, weight)
  return outer.length === axes.length && outer.every((axis, i) => axis === axes[i])
}

type Pair = readonly [first: string, second: string]

function checkNorm(
  where: string,
  x: Node,
  weight: Node,
  bias: Node,
  expected: Shape,
  eps: number,
  [first, second]: Pair = ['weight', 'bias'],
): void {
  for (const [name, node] of [
    ['x', x],
    [first, weight],
    [second, bias],
  ] as const)
    checkDType(where, name, node, ['f32'])
  checkFilled(where, 'x', x)
  if (!sameShape(weight.shape, expected) || !sameShape(bias.shape, expected)) {
    throw new ShapeError({
      where,
      what: `${first} and ${second} do not fit the input`,
      got: `x ${showShape(x.shape)}, ${first} ${showShape(weight.shape)}, ${second} ${showShape(bias.shape)}`,
      expected: `${first} and ${second} ${showShape(expected)}`,
      fix: `give one ${first} and one ${second} for each channel or feature that is normalised`,
    })
  }
  if (eps > 0 && Number.isFinite(eps)) return
  throw new ConfigError({
    where,
    what: 'eps makes no sense',
    got: String(eps),
    expected: 'a small positive number',
    fix: 'leave it out for 1e-5',
  })
}

function checkRank(where: string, x: Node, least: number): void {
  if (x.shape.length >= least) return
  throw new ShapeError({
    where,
    what: 'the input has too few axes',
    got: `x ${showShape(x.shape)}`,
    expected: `at least ${least} ${least === 1 ? 'axis' : 'axes'}`,
    fix: 'reshape the input',
  })
}

/**
 * Batch norm in training (Ioffe and Szegedy 2015): over all axes but the last.
 * @returns y, and the batch's mean and biased variance [channels], from which running statistics are made
 * @throws ShapeError, DTypeError, ConfigError
 */
export function batchNorm(
  x: Node,
  weight: Node,
  bias: Node,
  eps = defaultEps,
): { y: Node; mean: Node; variance: Node } {
  checkRank('batchNorm', x, 2)
  checkNorm('batchNorm', x, weight, bias, x.shape.slice(-1), eps)
  const axes = x.shape.slice(0, -1).map((_, axis) => axis)
  const { center, spreadOut } = statistics(x, axes)
  const y = makeNode(normalizeOp, [x, weight, bias], { axes, eps })
  return { y, mean: squeeze(center, axes), variance: squeeze(spreadOut, axes) }
}

/**
 * Batch norm with given statistics [channels]: a scale and a shift for each channel, worked out beforehand so that a
 * convolution in front can take both in.
 * @throws ShapeError, DTypeError, ConfigError
 */
export function batchNormInference(
  x: Node,
  weight: Node,
  bias: Node,
  mean: Node,
  variance: Node,
  eps = defaultEps,
): Node {
  checkRank('batchNorm', x, 1)
  checkNorm('batchNorm', x, weight, bias, x.shape.slice(-1), eps)
  checkNorm('batchNorm', x, mean, variance, x.shape.slice(-1), eps, ['mean', 'variance'])
  // y = x · s + (bias - mean · s) with s = weight / √(variance + eps)
  const scale = mul(weight, rsqrt(add(variance, like(variance, eps))))
  const shift = sub(bias, mul(mean, scale))
  return makeNode(scaleShiftOp, [x, broadcastTo(scale, x.shape), broadcastTo(shift, x.shape)], noAttributes)
}

/**
 * Layer norm (Ba et al. 2016): over the last axes, as many as `weight` has.
 * @throws ShapeError, DTypeError, ConfigError
 */
export function layerNorm(x: Node, weight: Node, bias: Node, eps = defaultEps): Node {
  const count = Math.max(1, weight.shape.length)
  checkRank('layerNorm', x, count)
  checkNorm('layerNorm', x, weight, bias, x.shape.slice(-count), eps)
  const axes = Array.from({ length: count }, (_, i) => x.shape.length - count + i)
  return makeNode(normalizeOp, [x, weight, bias], { axes, eps })
}

/**
 * Group norm (Wu and He 2018): over the places and the channels of each group, for every sample. As many groups as
 * channels is instance norm.
 * @throws ShapeError, DTypeError, ConfigError
 */
export function groupNorm(x: Node, groups: number, weight: Node, bias: Node, eps = defaultEps): Node {
  checkRank('groupNorm', x, 2)
  const channels = x.shape[x.shape.length - 1]
  if (!Number.isInteger(groups) || groups < 1 || channels % groups !== 0) {
    throw new ConfigError({
      where: 'groupNorm',
      what: `${channels} channels cannot be cut into ${groups} groups`,
      got: `x ${showShape(x.shape)}, groups ${groups}`,
      expected: 'a number of groups that divides the channels',
      fix: 'change groups or the number of channels',
    })
  }
  checkNorm('groupNorm', x, weight, bias, [channels], eps)
  const grouped = [groups, channels / groups]
  const outer = x.shape.slice(0, -1)
  const axes = [...outer.slice(1).map((_, i) => i + 1), outer.length + 1]
  const inputs = [reshape(x, [...outer, ...grouped]), reshape(weight, grouped), reshape(bias, grouped)]
  return reshape(makeNode(normalizeOp, inputs, { axes, eps }), x.shape)
}

/** Instance norm (Ulyanov et al. 2016): every channel of every sample for itself. @throws as {@link groupNorm} */
export function instanceNorm(x: Node, weight: Node, bias: Node, eps = defaultEps): Node {
  return groupNorm(x, x.shape[x.shape.length - 1] ?? 1, weight, bias, eps)
}

export interface LocalResponseNormOptions {
  /** Channels that count, the one itself in the middle; of an even number one more behind. Default 5. */
  readonly size?: number
  /** Weight of the mean square. Default 1e-4. */
  readonly alpha?: number
  /** Default 0.75. */
  readonly beta?: number
  /** Default 1. */
  readonly k?: number
}

/**
 * x / (k + alpha · s)^beta, where s is the sum of the squares of the `size` neighbouring channels over size (Krizhevsky
 * et al. 2012, "ImageNet classification with deep convolutional neural networks", section 3.3; defaults as in PyTorch).
 * @throws ConfigError, DTypeError
 */
export function localResponseNorm(x: Node, options: LocalResponseNormOptions = {}): Node {
  const { size = 5, alpha = 1e-4, beta = 0.75, k = 1 } = options
  checkCount('localResponseNorm', 'size', size)
  for (const [name, value] of Object.entries({ alpha, beta, k })) checkFinite('localResponseNorm', name, value)
  checkRank('localResponseNorm', x, 1)
  const channels = x.shape[x.shape.length - 1]
  const before = Math.floor((size - 1) / 2)
  // A band: the sum over neighbours is a product over all channels.
  const band = Float64Array.from({ length: channels * channels }, (_, i) => {
    const distance = Math.floor(i / channels) - (i % channels)
    return distance >= -before && distance < size - before ? alpha / size : 0
  })
  const sums = matmul(square(x), dataNode(band, [channels, channels], 'f32'))
  return mul(x, pow(add(sums, like(sums, k)), like(sums, -beta)))
}
