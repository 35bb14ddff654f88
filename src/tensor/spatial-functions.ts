/** Convolutions, resizing and blocks of pixels as functions of tensors. What each does stands in src/ops. */
import type { Node } from '../graph/node.ts'
import * as ops from '../ops/index.ts'
import { Tensor } from './tensor.ts'

type ConvArguments<F> = F extends (x: Node, weight: Node, options?: infer O) => Node
  ? Omit<NonNullable<O>, 'bias'> & { bias?: Tensor }
  : never
export type Conv1dOptions = ConvArguments<typeof ops.conv1d>
export type Conv2dOptions = ConvArguments<typeof ops.conv2d>
export type Conv3dOptions = ConvArguments<typeof ops.conv3d>
export type ConvTransposeOptions = ConvArguments<typeof ops.convTranspose2d>

/**
 * Convolution (cross-correlation, as in every framework): Y[n, i, o] = Σ X[n, i·stride + m·dilation, c] · K[m, c, o].
 * @param x [batch, length, channels], or rank 1 with a rank-1 weight: one signal, one channel
 * @param weight [kernelSize, channels / groups, outChannels]
 * @throws ShapeError, ConfigError
 */
export function conv1d(x: Tensor, weight: Tensor, options: Conv1dOptions = {}): Tensor {
  return new Tensor(ops.conv1d(x.node, weight.node, { ...options, bias: options.bias?.node }))
}

/**
 * Convolution (cross-correlation, as in every framework):
 * Y[n, i, j, o] = Σ X[n, i·stride + m·dilation, j·stride + n·dilation, c] · K[m, n, c, o].
 * @param x [batch, height, width, channels], or rank 2 with a rank-2 weight: one image, one channel
 * @param weight [kernelHeight, kernelWidth, channels / groups, outChannels]
 * @param options stride and dilation 1 by default, or one number an axis; padding `'valid'` (default), `'same'` (ONNX's
 * SAME_UPPER), `'full'`, a number, or `[[top, bottom], [left, right]]`; groups; bias [outChannels]
 * @throws ShapeError, ConfigError
 * @example
 * await conv2d(tensor([[1, 2], [3, 4]]), tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), { padding: 'same' }).array()
 * // [[77, 67], [47, 37]]
 */
export function conv2d(x: Tensor, weight: Tensor, options: Conv2dOptions = {}): Tensor {
  return new Tensor(ops.conv2d(x.node, weight.node, { ...options, bias: options.bias?.node }))
}

/**
 * Convolution over three spatial axes.
 * @param x [batch, depth, height, width, channels], or rank 3 with a rank-3 weight: one volume, one channel
 * @param weight [kernelDepth, kernelHeight, kernelWidth, channels / groups, outChannels]
 * @throws ShapeError, ConfigError
 */
export function conv3d(x: Tensor, weight: Tensor, options: Conv3dOptions = {}): Tensor {
  return new Tensor(ops.conv3d(x.node, weight.node, { ...options, bias: options.bias?.node }))
}

/**
 * Transposed convolution: Y[n, i·stride + m·dilation - before, o] sums X[n, i, c] · K[m, o, c]. The output's extent is
 * (extent - 1)·stride + (kernelSize - 1)·dilation + 1 - before - after + outputPadding.
 * @param x [batch, length, channels]
 * @param weight [kernelSize, outChannels / groups, channels]; PyTorch and ONNX store [channels, outChannels / groups,
 * kernelSize]
 * @param options stride, dilation and groups 1 by default; padding what is cut off the output (default nothing, `'same'`:
 * the extent is the input's times the stride); outputPadding 0; bias [outChannels]
 * @throws ShapeError, ConfigError
 */
export function convTranspose1d(x: Tensor, weight: Tensor, options: ConvTransposeOptions = {}): Tensor {
  return new Tensor(ops.convTranspose1d(x.node, weight.node, { ...options, bias: options.bias?.node }))
}

/**
 * {@link convTranspose1d} over two spatial axes.
 * @param x [batch, height, width, channels]
 * @param weight [kernelHeight, kernelWidth, outChannels / groups, channels]
 * @throws ShapeError, ConfigError
 */
export function convTranspose2d(x: Tensor, weight: Tensor, options: ConvTransposeOptions = {}): Tensor {
  return new Tensor(ops.convTranspose2d(x.node, weight.node, { ...options, bias: options.bias?.node }))
}

export type ResizeOptions = ops.ResizeOptions
export type ResizeCoordinates = ops.ResizeCoordinates
export type ResizeMode = ops.ResizeMode
export type NearestRounding = ops.NearestRounding

/**
 * Other extents along the spatial axes, as ONNX's Resize: nearest, linear or cubic.
 * @param x [batch, …spatial, channels]
 * @param options size or scale, one number or one an axis; mode `'nearest'` by default, coordinates `'halfPixel'`
 * @throws ShapeError, DTypeError, ConfigError
 * @example
 * resize(pictures, { scale: 2, mode: 'linear' })
 */
export function resize(x: Tensor, options: ResizeOptions): Tensor {
  return new Tensor(ops.resize(x.node, options))
}

export type BlockOrder = ops.BlockOrder

/** Channels become blocks of pixels: x [batch, height, width, channels · block²]. `'CRD'` is PyTorch's pixel_shuffle. */
export function depthToSpace(x: Tensor, block: number, order: BlockOrder = 'DCR'): Tensor {
  return new Tensor(ops.depthToSpace(x.node, block, order))
}

/** Blocks of pixels become channels: x [batch, height · block, width · block, channels]. */
export function spaceToDepth(x: Tensor, block: number, order: BlockOrder = 'DCR'): Tensor {
  return new Tensor(ops.spaceToDepth(x.node, block, order))
}

export type LocalResponseNormOptions = ops.LocalResponseNormOptions

/** x / (k + alpha / size · Σ x² of the `size` channels around)^beta; defaults as in PyTorch. */
export function localResponseNorm(x: Tensor, options: LocalResponseNormOptions = {}): Tensor {
  return new Tensor(ops.localResponseNorm(x.node, options))
}

/** Every channel of every sample normalised over its places, scaled and shifted by channel. */
export function instanceNorm(x: Tensor, weight: Tensor, bias: Tensor, eps = 1e-5): Tensor {
  return new Tensor(ops.instanceNorm(x.node, weight.node, bias.node, eps))
}

export type DftOptions = ops.DftOptions
export type StftOptions = ops.StftOptions

/**
 * Discrete Fourier transform along an axis: X[k] = Σ x[j] e^(-2πijk/n).
 * @param x […, n, …, 1 or 2]: the last axis holds the real part, or real and imaginary part
 * @returns […, n or ⌊n / 2⌋ + 1, …, 2]
 * @throws ShapeError, DTypeError, ConfigError, UnsupportedError
 */
export function dft(x: Tensor, options: DftOptions = {}): Tensor {
  return new Tensor(ops.dft(x.node, options))
}

/**
 * Fourier transforms of the frames of signals; nothing is padded.
 * @param x [batch, length, 1 or 2]
 * @returns [batch, frames, ⌊frameLength / 2⌋ + 1, 2], both sides where `onesided` is false
 * @throws ShapeError, DTypeError, ConfigError
 */
export function stft(x: Tensor, options: StftOptions): Tensor {
  return new Tensor(ops.stft(x.node, options))
}
