/** Transposed convolution: the input gradient of a convolution, as an operation of its own. */
import { ConfigError, checkOptions, ShapeError } from '../../base/errors.ts'
import { showShape } from '../../base/shape.ts'
import { makeNode, type Node } from '../../graph/node.ts'
import { addBias, checkGroups } from './bias.ts'
import { checkReal, convInputGradientOp } from './ops.ts'
import { covered, type Padding, perAxis, resolvePads, showValue } from './padding.ts'

export interface ConvTransposeOptions {
  /** How far apart the input's elements are put in the output, one number or one an axis. Default 1. */
  readonly stride?: number | readonly number[]
  /** Distance between the taps of the kernel, one number or one an axis. Default 1. */
  readonly dilation?: number | readonly number[]
  /** Parts into which input and output channels are divided; output part i sees input part i alone. Default 1. */
  readonly groups?: number
  /**
   * Padding of the convolution whose transpose this is, so what is cut off the output: `'valid'` nothing (the default),
   * n on every side, `[[top, bottom], [left, right]]`, or `'same'` so much that the output's extent is the input's times
   * the stride (an odd one at the end, as Keras and ONNX's SAME_UPPER do).
   */
  readonly padding?: Padding
  /** Elements more at the end of each axis, which the strided convolution would leave unread. Default 0. */
  readonly outputPadding?: number | readonly number[]
  /** [outChannels], added to the result. */
  readonly bias?: Node
}

const optionNames = ['stride', 'dilation', 'groups', 'padding', 'outputPadding', 'bias']

/**
 * Transposed convolution (fractionally strided; wrongly called deconvolution) of one spatial axis:
 * y[n, i·stride + t·dilation - before, o] += x[n, i, c] · weight[t, o, c].
 *
 * The extent of the output is (extent - 1)·stride + (kernel - 1)·dilation + 1 - before - after + outputPadding.
 * @param x [batch, length, inChannels]
 * @param weight [length, outChannels / groups, inChannels]: the weight of the convolution from outChannels to inChannels
 * whose transpose this is, not flipped. PyTorch and ONNX store it as [inChannels, outChannels / groups, length].
 * @returns [batch, outLength, outChannels]
 * @throws ShapeError, DTypeError, ConfigError
 */
export function convTranspose1d(x: Node, weight: Node, options: ConvTransposeOptions = {}): Node {
  return transposed(x, weight, options, 1)
}

/** {@link convTranspose1d} of two spatial axes: x [batch, height, width, inChannels]. */
export function convTranspose2d(x: Node, weight: Node, options: ConvTransposeOptions = {}): Node {
  return transposed(x, weight, options, 2)
}

function transposed(x: Node, weight: Node, options: ConvTransposeOptions, rank: number): Node {
  const where = `convTranspose${rank}d`
  checkOptions(where, options, optionNames)
  checkReal(where, x, weight)
  const stride = perAxis(where, 'stride', options.stride ?? 1, rank)
  const dilation = perAxis(where, 'dilation', options.dilation ?? 1, rank)
  const outputPadding = perAxis(where, 'outputPadding', options.outputPadding ?? 0, rank, 0)
  const groups = checkGroups(where, options.groups ?? 1)
  const inChannels = x.shape[rank + 1]
  const fits = x.shape.length === rank + 2 && weight.shape.length === rank + 2
  if (!fits || weight.shape[rank + 1] !== inChannels || inChannels % groups !== 0) {
    throw operandError(where, rank, x, weight, groups)
  }
  const kernel = weight.shape.slice(0, rank)
  const extents = x.shape.slice(1, -1)
  const same = extents.map((extent, i) => extent * stride[i])
  if (options.padding === 'same' && outputPadding.some((more) => more > 0)) {
    throw new ConfigError({
      where,
      what: "outputPadding has no place beside padding 'same'",
      got: `outputPadding ${showValue(options.outputPadding)}`,
      expected: 'an output of the extent of the input times the stride',
      fix: 'leave it out, or give the padding in numbers',
    })
  }
  const pads = resolvePads(where, options.padding ?? 'valid', { size: same, kernel, stride, dilation })
  const size = extents.map((extent, i) =>
    options.padding === 'same'
      ? same[i]
      : (extent - 1) * stride[i] + covered(kernel[i], dilation[i]) - pads[i][0] - pads[i][1] + outputPadding[i],
  )
  if (size.some((extent) => extent < 1)) {
    throw new ShapeError({
      where,
      what: 'the padding leaves nothing of the output',
      got: `input ${showShape(x.shape)}, kernel ${showShape(kernel)}, stride ${showShape(stride)}, padding ${showValue(options.padding)}`,
      expected: 'an output of at least one element on every spatial axis',
      fix: 'pad less: padding here cuts off the output',
    })
  }
  // What is left over at the end, so that the convolution back gives exactly the extents of x; below 0: not read.
  const around = pads.map(([before], i): [number, number] => {
    const reach = (extents[i] - 1) * stride[i] + covered(kernel[i], dilation[i])
    return [before, reach - before - size[i]]
  })
  const attributes = { stride, dilation, pads: around, groups, size }
  return addBias(where, options.bias, makeNode(convInputGradientOp, [x, weight], attributes) as Node)
}

function operandError(where: string, rank: number, x: Node, weight: Node, groups: number): ShapeError {
  const inChannels = x.shape[x.shape.length - 1]
  const expected = weight.shape[weight.shape.length - 1]
  const wrong = [x, weight].findIndex(({ shape }) => shape.length !== rank + 2)
  const axes = [x, weight][Math.max(0, wrong)].shape.length
  return new ShapeError({
    where,
    what:
      wrong >= 0
        ? `${['input', 'weight'][wrong]} has ${axes} ${axes === 1 ? 'axis' : 'axes'}`
        : expected === inChannels
          ? `${inChannels} input channels cannot be divided into ${groups} groups`
          : `input has ${inChannels} ${inChannels === 1 ? 'channel' : 'channels'}, weight expects ${expected}`,
    got: `input ${showShape(x.shape)}, weight ${showShape(weight.shape)}, groups ${groups}`,
    expected:
      rank === 1
        ? 'input [batch, length, inChannels] and weight [length, outChannels / groups, inChannels]'
        : 'input [batch, height, width, inChannels] and weight [height, width, outChannels / groups, inChannels]',
    fix: 'weights of PyTorch and ONNX, [inChannels, outChannels / groups, ...kernel], are to be transposed',
  })
}
