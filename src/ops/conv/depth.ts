/** Convolution over three spatial axes: taps along the depth become channels, and planes become images. */
import { makeNode, type Node } from '../../graph/node.ts'
import { reshape } from '../broadcast.ts'
import { concat, pad, slice, transpose } from '../shape-ops.ts'
import { addBias } from './bias.ts'
import type { ConvAttributes } from './geometry.ts'
import { checkChannels, convOp, faceOf } from './ops.ts'
import { outputSize } from './padding.ts'

/**
 * y[n, d] = conv2d of the planes x[n, d·stride + t·dilation - before] over all taps t, which stand side by side as
 * channels: one contraction over depth, kernel and channels. A kernel of depth 1 copies nothing.
 * @param x [batch, depth, height, width, inChannels]
 * @param weight [depth, height, width, inChannels / groups, outChannels]
 * @returns [batch, outDepth, outHeight, outWidth, outChannels]
 * @throws ShapeError
 */
export function throughPlanes(x: Node, weight: Node, attributes: ConvAttributes, bias: Node | undefined): Node {
  const where = faceOf(3)
  const { stride, dilation, pads, groups } = attributes
  checkChannels(where, x.shape, weight.shape, groups)
  const [images, , height, width] = x.shape
  const [taps, rows, columns, groupIn, outChannels] = weight.shape
  const [outDepth] = outputSize(where, { ...attributes, size: x.shape.slice(1, -1), kernel: weight.shape.slice(0, -2) })
  // A group's channels stay together: [..., group, tap, channel].
  const padded = pad(x, [[0, 0], pads[0], [0, 0], [0, 0], [0, 0]])
  const seen = Array.from({ length: taps }, (_, tap) => {
    const from = tap * dilation[0]
    const planes = slice(padded, [null, [from, from + (outDepth - 1) * stride[0] + 1, stride[0]]])
    return groups === 1 ? planes : reshape(planes, [images, outDepth, height, width, groups, groupIn])
  })
  const side = concat(seen, -1)
  const kernel = reshape(transpose(weight, [1, 2, 0, 3, 4]), [rows, columns, taps * groupIn, outChannels])
  const y = makeNode(convOp, [reshape(side, [images * outDepth, height, width, groups * taps * groupIn]), kernel], {
    stride: stride.slice(1),
    dilation: dilation.slice(1),
    pads: pads.slice(1),
    groups,
  }) as Node
  return reshape(addBias(where, bias, y), [images, outDepth, ...y.shape.slice(1)])
}
