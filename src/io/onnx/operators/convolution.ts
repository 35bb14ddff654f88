/** Convolutions. */
import * as nn from '../../../nn/index.ts'
import { changedFlow, type Made, type Weight } from '../network.ts'
import type { Family, NodeReader } from '../operator.ts'
import { type Flow, type Known, showElements } from '../values.ts'
import { channelsLast, option, paddingOption, perAxis, windowOf } from './windows.ts'

/** Behind a layer that keeps the batch in front and changes all other axes. */
export function behindChannelsLast(flow: Flow, groups: readonly (readonly number[])[], made: Made): Flow {
  const rank = groups.length - 1
  return changedFlow(flow, groups, made, new Map(groups.map((_, p) => [p, p === rank ? 1 : p + 2])))
}

function weightOf(node: NodeReader, rank: number): Known {
  const weight = node.known(1)
  if (weight.dims.length === rank + 2) return weight
  throw node.error('the weight does not fit the input', {
    got: `weight ${showElements(weight.dims)}, ${rank} spatial axes`,
    expected: `${rank + 2} axes`,
  })
}

export function biasWeights(node: NodeReader, filters: number): { readonly [name: string]: Weight } {
  if (!node.hasInput(2)) return {}
  const bias = node.known(2)
  if (bias.data.length !== filters) {
    throw node.error('the bias does not fit the weight', { got: showElements(bias.dims), expected: `[${filters}]` })
  }
  return { bias: node.turned(bias, [0], [filters]) }
}

function conv(node: NodeReader): Flow {
  const flow = node.flow(0)
  const { groups, rank, extents } = channelsLast(node, flow)
  const weight = weightOf(node, rank)
  const [filters, inGroup, ...kernel] = weight.dims
  const group = node.int('group', 1)
  const channels = extents[rank]
  if (inGroup * group !== channels || group < 1 || filters % group !== 0) {
    throw node.error('the weight does not fit the input', {
      got: `${channels} channels, weight ${showElements(weight.dims)}, group ${group}`,
      expected: "channels = the weight's axis 1 × group",
    })
  }
  const { stride, dilation, pads, kernel: given } = windowOf(node, extents.slice(0, rank), kernel)
  if (given.some((size, i) => size !== kernel[i])) {
    throw node.error('kernel_shape is not that of the weight', {
      got: showElements(given),
      expected: showElements(kernel),
    })
  }
  const weights = { weight: node.turned(weight, [...kernel.map((_, i) => i + 2), 1, 0]), ...biasWeights(node, filters) }
  const options = {
    ...option('stride', stride),
    ...option('dilation', dilation),
    ...paddingOption(pads),
    ...(node.hasInput(2) ? {} : { bias: false }),
  }
  const from = node.place(flow, groups).layer
  const depthwise = group > 1 && inGroup === 1
  const made = node.add(layerOf(node, kernel, filters, depthwise, group, channels, options), [from], weights)
  return behindChannelsLast(flow, groups, made)
}

function layerOf(
  node: NodeReader,
  kernel: readonly number[],
  filters: number,
  depthwise: boolean,
  group: number,
  channels: number,
  options: object,
) {
  const multiplier = filters / channels
  const more = { ...options, ...(multiplier === 1 ? {} : { multiplier }) }
  const grouped = { ...options, ...(group === 1 ? {} : { groups: group }) }
  switch (kernel.length) {
    case 1:
      return depthwise ? nn.depthwiseConv1d(kernel[0], more) : nn.conv1d(filters, kernel[0], grouped)
    case 2: {
      const size = perAxis(kernel) as number | readonly [number, number]
      return depthwise ? nn.depthwiseConv2d(size, more) : nn.conv2d(filters, size, grouped)
    }
    default:
      throw node.unsupported(`has ${kernel.length} spatial axes`, { expected: '1 to 3' })
  }
}

export const convolution: Family = {
  Conv: { versions: [1, 11, 22], read: conv },
}
