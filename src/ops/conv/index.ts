/** Convolution over one, two or three spatial axes, channels last. */
import { checkOptions, ShapeError } from '../../base/errors.ts'
import { showShape } from '../../base/shape.ts'
import { makeNode, type Node } from '../../graph/node.ts'
import { reshape } from '../broadcast.ts'
import { addBias, checkGroups } from './bias.ts'
import { throughPlanes } from './depth.ts'
import { checkOperands, convOp, faceOf } from './ops.ts'
import { type Padding, perAxis, resolvePads } from './padding.ts'

export { convInputGradientOp, convOp, convWeightGradientOp } from './ops.ts'
export type { Padding } from './padding.ts'
export type { ConvTransposeOptions } from './transpose.ts'
export { convTranspose1d, convTranspose2d } from './transpose.ts'

export interface ConvOptions {
  /** Step of the window, one number or one an axis. Default 1. */
  readonly stride?: number | readonly number[]
  /** Distance between the taps of the kernel, one number or one an axis. Default 1. */
  readonly dilation?: number | readonly number[]
  /** Parts into which input and output channels are divided; output part i sees input part i alone. Default 1. */
  readonly groups?: number
  /**
   * Zeros around the input: `'valid'` none (the default), `'same'` as many as keep the extent (divided by the stride,
   * rounded up; an odd one at the end), `'full'` every overlap, n on every side, or `[[top, bottom], [left, right]]`.
   */
  readonly padding?: Padding
  /** [outChannels], added to the result. */
  readonly bias?: Node
}

const optionNames = ['stride', 'dilation', 'groups', 'padding', 'bias']

/**
 * Convolution (as in every network: the kernel is not flipped) of one, two or three spatial axes, which the ranks decide.
 *
 * @param x [batch, ...spatial, inChannels], or [...spatial] for one image of one channel
 * @param weight [...kernel, inChannels / groups, outChannels], or [...kernel]
 * @returns [batch, ...outSpatial, outChannels], or [...outSpatial]
 * @throws ShapeError when channels, ranks or extents do not fit; ConfigError on options that make no sense
 */
export function conv(x: Node, weight: Node, options: ConvOptions = {}): Node {
  const ranks = [x.shape.length, weight.shape.length]
  // Without batch and channels the kernel has as many axes as the input: one or two.
  const rank = Math.max(...ranks) > 2 ? Math.max(...ranks) - 2 : Math.max(...ranks)
  if (rank < 1 || rank > 3) {
    throw new ShapeError({
      where: 'conv',
      what: `there is no convolution of ${rank} spatial axes`,
      got: `input ${showShape(x.shape)}, weight ${showShape(weight.shape)}`,
      expected:
        'one, two or three spatial axes: input [batch, ...spatial, channels], weight [...kernel, inChannels / groups, outChannels]',
      fix: 'fold further axes into the batch',
    })
  }
  return convolve(x, weight, options, rank)
}

/** `conv` of one spatial axis: x [batch, length, channels] or [length]. */
export function conv1d(x: Node, weight: Node, options: ConvOptions = {}): Node {
  return convolve(x, weight, options, 1)
}

/** `conv` of two spatial axes: x [batch, height, width, channels] or [height, width]. */
export function conv2d(x: Node, weight: Node, options: ConvOptions = {}): Node {
  return convolve(x, weight, options, 2)
}

/** `conv` of three spatial axes: x [batch, depth, height, width, channels] or [depth, height, width]. */
export function conv3d(x: Node, weight: Node, options: ConvOptions = {}): Node {
  return convolve(x, weight, options, 3)
}

function convolve(x: Node, weight: Node, options: ConvOptions, rank: number): Node {
  const where = faceOf(rank)
  checkOptions(where, options, optionNames)
  const plain = x.shape.length === rank && weight.shape.length === rank
  const image = plain ? reshape(x, [1, ...x.shape, 1]) : x
  const kernel = plain ? reshape(weight, [...weight.shape, 1, 1]) : weight
  checkOperands(where, rank, image, kernel)
  const stride = perAxis(where, 'stride', options.stride ?? 1, rank)
  const dilation = perAxis(where, 'dilation', options.dilation ?? 1, rank)
  const groups = checkGroups(where, options.groups ?? 1)
  const window = { size: image.shape.slice(1, -1), kernel: kernel.shape.slice(0, -2), stride, dilation }
  const pads = resolvePads(where, options.padding ?? 'valid', window)
  const attributes = { stride, dilation, pads, groups }
  const y =
    rank === 3
      ? throughPlanes(image, kernel, attributes, options.bias)
      : addBias(where, options.bias, makeNode(convOp, [image, kernel], attributes) as Node)
  return plain ? reshape(y, y.shape.slice(1, -1)) : y
}
