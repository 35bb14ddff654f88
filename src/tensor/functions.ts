/** The ops as functions of tensors. What each does, its formula and its errors stand in src/ops. */
import type { Shape } from '../base/shape.ts'
import { constantNode, hostScalarNode, type Node } from '../graph/node.ts'
import * as ops from '../ops/index.ts'
import { Tensor, type TensorLike } from './tensor.ts'

const unary =
  (op: (x: Node) => Node) =>
  (x: Tensor): Tensor =>
    new Tensor(op(x.node))

/** max(x, 0) */
export const relu = unary(ops.relu)
/** min(max(x, 0), 6) */
export const relu6 = unary(ops.relu6)
/** 1 / (1 + exp(-x)) */
export const sigmoid = unary(ops.sigmoid)
export const tanh = unary(ops.tanh)
/** x · sigmoid(x) */
export const silu = unary(ops.silu)
export const exp = unary(ops.exp)
export const log = unary(ops.log)
export const sqrt = unary(ops.sqrt)
export const erf = unary(ops.erf)
export const sin = unary(ops.sin)
export const cos = unary(ops.cos)
/** The largest whole number that is not above x. */
export const floor = unary(ops.floor)
export const softplus = unary(ops.softplus)
/** -1, 0 or 1. */
export const sign = unary(ops.sign)
/** The smallest whole number that is not below x. */
export const ceil = unary(ops.ceil)
/** The nearest whole number, the even one of two. */
export const round = unary(ops.round)
/** 1 / x */
export const reciprocal = unary(ops.reciprocal)
/** 1 / √x */
export const rsqrt = unary(ops.rsqrt)
/** log(1 + x), accurate near 0. */
export const log1p = unary(ops.log1p)
/** Whether each value is not a number. */
export const isNan = unary(ops.isNan)
export const logicalNot = unary(ops.logicalNot)
/** ln(sigmoid(x)) */
export const logSigmoid = unary(ops.logSigmoid)
/** x / (1 + |x|) */
export const softsign = unary(ops.softsign)
/** x · tanh(softplus(x)) */
export const mish = unary(ops.mish)
export const hardSwish = unary(ops.hardSwish)
/** The same values, no gradient. */
export const stopGradient = unary(ops.stopGradient)

/** x where positive, slope · x elsewhere; slope 0.01 as in PyTorch. */
export function leakyRelu(x: Tensor, slope = 0.01): Tensor {
  return new Tensor(ops.leakyRelu(x.node, slope))
}

/** x where positive, alpha · (exp(x) - 1) elsewhere. */
export function elu(x: Tensor, alpha = 1): Tensor {
  return new Tensor(ops.elu(x.node, alpha))
}

/** alpha · x + beta held between 0 and 1; x/6 + ½ by default. */
export function hardSigmoid(x: Tensor, alpha?: number, beta?: number): Tensor {
  return new Tensor(ops.hardSigmoid(x.node, alpha, beta))
}

/** gamma · elu(x, alpha), with the constants that keep mean and variance. */
export function selu(x: Tensor, alpha?: number, gamma?: number): Tensor {
  return new Tensor(ops.selu(x.node, alpha, gamma))
}

/** x where positive, alpha · (exp(x / alpha) - 1) elsewhere. */
export function celu(x: Tensor, alpha = 1): Tensor {
  return new Tensor(ops.celu(x.node, alpha))
}

/** x where positive, slope · x elsewhere; the slope is broadcast along the last axes. */
export function prelu(x: Tensor, slope: Tensor): Tensor {
  return new Tensor(ops.prelu(x.node, slope.node))
}

/** x held between -1 and 1, or between two other numbers. */
export function hardTanh(x: Tensor, low = -1, high = 1): Tensor {
  return new Tensor(ops.hardTanh(x.node, low, high))
}

/** x above alpha, 0 elsewhere. */
export function thresholdedRelu(x: Tensor, alpha = 1): Tensor {
  return new Tensor(ops.thresholdedRelu(x.node, alpha))
}

/** 0 within ±lambda, elsewhere x moved towards 0 by `bias`. */
export function shrink(x: Tensor, lambda = 0.5, bias = 0): Tensor {
  return new Tensor(ops.shrink(x.node, lambda, bias))
}

/** x · Φ(x); `tanh` is the usual approximation. */
export function gelu(x: Tensor, form: 'erf' | 'tanh' = 'erf'): Tensor {
  return new Tensor(ops.gelu(x.node, form))
}

/** Elements of `a` where the condition holds, of `b` elsewhere, with broadcasting. */
export function where(condition: Tensor, a: TensorLike, b: TensorLike): Tensor {
  const dtype = typeof a !== 'number' ? a.dtype : typeof b !== 'number' ? b.dtype : 'f32'
  const node = (x: TensorLike) => (typeof x === 'number' ? constantNode(x, dtype) : x.node)
  return new Tensor(ops.select(condition.node, node(a), node(b)))
}

/** Probabilities along an axis: exp(x) / Σ exp(x). */
export function softmax(x: Tensor, axis = -1): Tensor {
  return new Tensor(ops.softmax(x.node, axis))
}

/** What a softmax along the last axis was taken of, where `probabilities` is its result or that reshaped. */
export function softmaxInput(probabilities: Tensor): Tensor | undefined {
  const before = ops.softmaxInput(probabilities.node)
  return before === undefined ? undefined : new Tensor(before)
}

export function logSoftmax(x: Tensor, axis = -1): Tensor {
  return new Tensor(ops.logSoftmax(x.node, axis))
}

export function logsumexp(x: Tensor, axes?: number | readonly number[], options?: { keepDims?: boolean }): Tensor {
  return new Tensor(ops.logsumexp(x.node, axes, options))
}

export function concat(tensors: readonly Tensor[], axis = 0): Tensor {
  return new Tensor(
    ops.concat(
      tensors.map((t) => t.node),
      axis,
    ),
  )
}

export type PadFill = ops.PadFill

/**
 * `x` with a border: `[before, after]` for every axis.
 * @param fill what stands there: a number (default 0), or NumPy's `'edge'`, `'reflect'` or `'wrap'`
 */
export function pad(x: Tensor, padding: readonly (readonly [number, number])[], fill: PadFill = 0): Tensor {
  return new Tensor(ops.padWith(x.node, padding, fill))
}

/** `[start, end, step]` for every axis, negative numbers counted from the end as in NumPy. */
export function slice(
  x: Tensor,
  ...ranges: Parameters<typeof ops.slice> extends [Node, ...infer R] ? R : never
): Tensor {
  return new Tensor(ops.slice(x.node, ...ranges))
}

/** Rows of a table: table [rows, ...rest], indices of any shape; result [...indices.shape, ...rest]. */
export function take(table: Tensor, indices: Tensor): Tensor {
  return new Tensor(ops.take(table.node, indices.node))
}

export function oneHot(labels: Tensor, classes: number): Tensor {
  return new Tensor(ops.oneHot(labels.node, classes))
}

/** One element of each row of the last axis: x […, n], indices […]; result […]. An index outside gives 0. */
export function takeAlong(x: Tensor, indices: Tensor): Tensor {
  return new Tensor(ops.takeAlong(x.node, indices.node))
}

/** Whether each value is a number and not infinite. */
export const isFiniteNumber = unary(ops.isFiniteNumber)

export function matmul(a: Tensor, b: Tensor): Tensor {
  return new Tensor(ops.matmul(a.node, b.node))
}

export type PoolOptions = ops.PoolOptions
export type AvgPoolOptions = ops.AvgPoolOptions

/** Largest value of each window. x [batch, …spatial, channels]; one to three spatial axes. Padding never wins. */
export function maxPool(x: Tensor, options: PoolOptions): Tensor {
  return new Tensor(ops.maxPool(x.node, options))
}

/** Mean of each window. */
export function avgPool(x: Tensor, options: AvgPoolOptions): Tensor {
  return new Tensor(ops.avgPool(x.node, options))
}

export type CrossEntropyOptions = {
  labelSmoothing?: number
  classWeights?: Tensor
  reduction?: 'mean' | 'sum' | 'none'
}

/**
 * Cross-entropy of logits [batch, classes] with labels: i32 or u8 class numbers [batch], or probabilities [batch, classes].
 * @param options reduction `'mean'` (default), `'sum'` or `'none'`; labelSmoothing in [0, 1)
 * @throws ShapeError, DTypeError
 */
export function crossEntropy(logits: Tensor, labels: Tensor, options: CrossEntropyOptions = {}): Tensor {
  return new Tensor(
    ops.crossEntropy(logits.node, labels.node, { ...options, classWeights: options.classWeights?.node }),
  )
}

/** Mean of the squared differences. */
export function mseLoss(prediction: Tensor, target: Tensor): Tensor {
  return new Tensor(ops.mseLoss(prediction.node, target.node))
}

/** Mean of the absolute differences. */
export function l1Loss(prediction: Tensor, target: Tensor): Tensor {
  return new Tensor(ops.l1Loss(prediction.node, target.node))
}

/** A scalar that is asked for at every run of the program it is part of: the learning rate of the moment. */
export function hostScalar(read: () => number): Tensor {
  return new Tensor(hostScalarNode(read))
}

/** exp(x) - 1, accurate near 0. */
export const expm1 = unary(ops.expm1)

/** Zeros in a share `rate` of the places, the rest scaled by 1 / (1 - rate). `key` i32 [2] decides which; `stream` tells layers apart. */
export function dropout(x: Tensor, rate: number, key: Tensor, stream: number): Tensor {
  return new Tensor(ops.dropout(x.node, rate, key.node, stream))
}

/** Normalised over all axes but the last, scaled and shifted; with the batch's mean and biased variance [channels]. */
export function batchNorm(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  eps = 1e-5,
): { y: Tensor; mean: Tensor; variance: Tensor } {
  const { y, mean, variance } = ops.batchNorm(x.node, weight.node, bias.node, eps)
  return { y: new Tensor(y), mean: new Tensor(mean), variance: new Tensor(variance) }
}

/** Batch norm with statistics that are given. */
export function batchNormInference(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  mean: Tensor,
  variance: Tensor,
  eps = 1e-5,
): Tensor {
  return new Tensor(ops.batchNormInference(x.node, weight.node, bias.node, mean.node, variance.node, eps))
}

/** Normalised over the last axis, scaled and shifted. */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor, eps = 1e-5): Tensor {
  return new Tensor(ops.layerNorm(x.node, weight.node, bias.node, eps))
}

/** Normalised over groups of channels of each sample, scaled and shifted by channel. */
export function groupNorm(x: Tensor, groups: number, weight: Tensor, bias: Tensor, eps = 1e-5): Tensor {
  return new Tensor(ops.groupNorm(x.node, groups, weight.node, bias.node, eps))
}

/** Both hold; bool, with broadcasting. */
export function logicalAnd(a: Tensor, b: Tensor): Tensor {
  return new Tensor(ops.logicalAnd(a.node, b.node))
}

/** At least one holds; bool, with broadcasting. */
export function logicalOr(a: Tensor, b: Tensor): Tensor {
  return new Tensor(ops.logicalOr(a.node, b.node))
}

/** Exactly one holds; bool, with broadcasting. */
export function logicalXor(a: Tensor, b: Tensor): Tensor {
  return new Tensor(ops.logicalXor(a.node, b.node))
}

/** Place of the smallest value along an axis, the first of several: i32 without that axis. */
export function argmin(x: Tensor, axis = -1): Tensor {
  return new Tensor(ops.argmin(x.node, axis))
}

/** Axes walked backwards; all of them when left out. */
export function flip(x: Tensor, axes?: number | readonly number[]): Tensor {
  return new Tensor(ops.flip(x.node, axes))
}

/** Tensors of one shape along a new axis. */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
  return new Tensor(
    ops.stack(
      tensors.map((t) => t.node),
      axis,
    ),
  )
}

/** 0, 1, 2, … as i32 [count]. */
export function iota(count: number): Tensor {
  return new Tensor(ops.iota(count))
}

/** Uniform in [0, 1). The same `key` i32 [2] and `stream` draw the same numbers, on every machine. */
export function randomUniform(shape: Shape, key: Tensor, stream: number): Tensor {
  return new Tensor(ops.randomUniform(shape, key.node, stream))
}

/** Normal with mean 0 and deviation 1, drawn as by {@link randomUniform}. */
export function randomNormal(shape: Shape, key: Tensor, stream: number): Tensor {
  return new Tensor(ops.randomNormal(shape, key.node, stream))
}

export type AffineWarpOptions = ops.AffineWarpOptions

/**
 * Turns, shifts, scales, shears or mirrors pictures, each by a matrix of its own, interpolating bilinearly. Has no
 * gradient.
 *
 * Places are measured in pixels from the middle of the picture, x to the right and y down: the centre of the pixel in
 * row i and column j of a picture [height, width] is x = j - (width - 1) / 2, y = i - (height - 1) / 2. The matrix leads
 * from the place of an output pixel to the place in the input whose value it gets:
 * x' = m₀ x + m₁ y + m₂, y' = m₃ x + m₄ y + m₅.
 * @param x u8 or f32 [batch, height, width, channels]; u8 is scaled to [0, 1], as a model does
 * @param matrix f32 [batch, 6]
 * @param options fill: what stands outside, a number (default 0), `'edge'` or `'reflect'`
 * @returns f32 of the shape of x
 * @throws ShapeError, DTypeError, ConfigError
 * @example
 * affineWarp(pictures, tensor([[-1, 0, 0, 0, 1, 0]])) // one picture, mirrored left to right
 */
export function affineWarp(x: Tensor, matrix: Tensor, options: AffineWarpOptions = {}): Tensor {
  return new Tensor(ops.affineWarp(x.node, matrix.node, options))
}

/**
 * New colours as linear functions of the old ones, by a matrix for each picture: result r = M[r] · (red, green, blue, 1),
 * held in [0, 1]. Has no gradient.
 * @param x u8 or f32 [batch, height, width, 3]; u8 is scaled to [0, 1], as a model does
 * @param matrix f32 [batch, 3, 4]
 * @throws ShapeError, DTypeError
 */
export function colorMatrix(x: Tensor, matrix: Tensor): Tensor {
  return new Tensor(ops.colorMatrix(x.node, matrix.node))
}
