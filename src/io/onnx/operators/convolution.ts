/** Convolutions. */
import * as nn from '../../../nn/index.ts'
import { changedFlow, type Made, type Weight } from '../network.ts'
import type { Family, NodeReader } from '../operator.ts'
import { type Flow, type Known, product, showElements } from '../values.ts'
import { channelsLast, option, type Pads, paddingOption, perAxis, type Window, windowOf } from './windows.ts'

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
  if (product(bias.dims) !== filters) {
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
    case 3:
      return nn.conv3d(filters, perAxis(kernel) as number | readonly [number, number, number], grouped)
    default:
      throw node.unsupported(`has ${kernel.length} spatial axes`, { expected: '1 to 3' })
  }
}

/** Pads and further elements that give a transposed convolution the extents the node wants. */
function transposedPads(node: NodeReader, extents: readonly number[], window: Window): { pads: Pads; more: number[] } {
  const rank = extents.length
  const more = [...(node.ints('output_padding', undefined) ?? new Array<number>(rank).fill(0))]
  const mode = node.string('auto_pad', 'NOTSET')
  const same = mode === 'SAME_UPPER' || mode === 'SAME_LOWER'
  const wanted =
    node.ints('output_shape', undefined) ?? (same ? extents.map((e, i) => e * window.stride[i]) : undefined)
  const whole = more.length === rank && more.every((count) => Number.isSafeInteger(count) && count >= 0)
  if (!whole || (wanted !== undefined && wanted.length !== rank)) {
    throw node.error('output_padding or output_shape makes no sense', { expected: `${rank} whole numbers from 0` })
  }
  if (wanted === undefined) return { pads: window.pads, more }
  const pads = extents.map((extent, i): readonly [number, number] => {
    const reach = (window.kernel[i] - 1) * window.dilation[i] + 1
    const total = (extent - 1) * window.stride[i] + more[i] + reach - wanted[i]
    if (total < 0) more[i] -= total
    const half = Math.floor(Math.max(0, total) / 2)
    const rest = Math.max(0, total) - half
    return mode === 'SAME_UPPER' ? [half, rest] : [rest, half]
  })
  return { pads, more }
}

function convTranspose(node: NodeReader): Flow {
  const flow = node.flow(0)
  const { groups, rank, extents } = channelsLast(node, flow)
  const weight = weightOf(node, rank)
  const [channels, inGroup, ...kernel] = weight.dims
  const group = node.int('group', 1)
  if (channels !== extents[rank] || group < 1 || channels % group !== 0) {
    throw node.error('the weight does not fit the input', {
      got: `${extents[rank]} channels, weight ${showElements(weight.dims)}, group ${group}`,
      expected: "channels = the weight's axis 0",
    })
  }
  const window = windowOf(node, extents.slice(0, rank), kernel)
  if (window.kernel.some((size, i) => size !== kernel[i])) {
    throw node.error('kernel_shape is not that of the weight', { expected: showElements(kernel) })
  }
  const filters = inGroup * group
  const { pads, more } = transposedPads(node, extents.slice(0, rank), window)
  const options = {
    ...option('stride', window.stride),
    ...option('dilation', window.dilation),
    ...paddingOption(pads),
    ...(more.every((count) => count === 0) ? {} : { outputPadding: perAxis(more) }),
    ...(group === 1 ? {} : { groups: group }),
    ...(node.hasInput(2) ? {} : { bias: false }),
  }
  if (rank > 2) throw node.unsupported(`has ${rank} spatial axes`, { expected: '1 or 2' })
  const layer =
    rank === 1
      ? nn.convTranspose1d(filters, kernel[0], options)
      : nn.convTranspose2d(filters, perAxis(kernel) as number | readonly [number, number], options)
  const weights = { weight: node.turned(weight, [...kernel.map((_, i) => i + 2), 1, 0]), ...biasWeights(node, filters) }
  return behindChannelsLast(flow, groups, node.add(layer, [node.place(flow, groups).layer], weights))
}

export const convolution: Family = {
  Conv: { versions: [1, 11, 22], read: conv },
  ConvTranspose: { versions: [1, 11, 22], read: convTranspose },
}
