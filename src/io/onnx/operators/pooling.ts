/** Pools. */
import * as nn from '../../../nn/index.ts'
import type { Layer } from '../../../nn/layer.ts'
import type { Made } from '../network.ts'
import type { Family, NodeReader } from '../operator.ts'
import { batchAtom, type Flow, product } from '../values.ts'
import { behindChannelsLast } from './convolution.ts'
import { channelsLast, option, paddingOption, perAxis, type Window, windowOf } from './windows.ts'

type Maker = (size: nn.PoolSize, options: object) => Layer

const maxPools: readonly Maker[] = [nn.maxPool1d, nn.maxPool2d, nn.maxPool3d]
const avgPools: readonly Maker[] = [nn.avgPool1d, nn.avgPool2d, nn.avgPool3d]

function optionsOf(window: Window): object {
  const { kernel, stride, dilation, pads } = window
  const own = stride.every((step, i) => step === kernel[i])
  return {
    ...(own ? {} : { stride: perAxis(stride) }),
    ...paddingOption(pads),
    ...option('dilation', dilation),
  }
}

function pooled(node: NodeReader, makers: readonly Maker[], more: object = {}): Flow {
  const flow = node.flow(0)
  const { groups, rank, extents } = channelsLast(node, flow)
  const maker = makers[rank - 1]
  if (maker === undefined) throw node.unsupported(`has ${rank} spatial axes`, { expected: '1 to 3' })
  const window = windowOf(node, extents.slice(0, rank))
  const ceil = node.int('ceil_mode', 0) === 1 ? { ceil: true } : {}
  const layer = maker(perAxis(window.kernel), { ...optionsOf(window), ...ceil, ...more })
  return behindChannelsLast(flow, groups, node.add(layer, [node.place(flow, groups).layer]))
}

function averagePool(node: NodeReader): Flow {
  const pads = node.int('count_include_pad', 0) === 1
  return pooled(node, avgPools, pads ? {} : { countIncludePad: false })
}

/** (Σ |x|ᵖ)^(1/p): a mean of powers, whose padding is zeros. */
function lpPool(node: NodeReader): Flow {
  const p = node.int('p', 2)
  if (node.int('ceil_mode', 0) === 1) throw node.unsupported('has windows that hang over the end (ceil_mode)')
  const flow = node.flow(0)
  const { groups, rank, extents } = channelsLast(node, flow)
  const maker = avgPools[rank - 1]
  if (maker === undefined) throw node.unsupported(`has ${rank} spatial axes`, { expected: '1 to 3' })
  const window = windowOf(node, extents.slice(0, rank))
  let now = node.add(nn.unary('abs'), [node.place(flow, groups).layer])
  if (p !== 1) now = node.add(p === 2 ? nn.unary('square') : nn.scalar('pow', p), [now.layer])
  now = node.add(maker(perAxis(window.kernel), optionsOf(window)), [now.layer])
  now = node.add(nn.scalar('mul', product(window.kernel)), [now.layer])
  if (p !== 1) now = node.add(p === 2 ? nn.unary('sqrt') : nn.scalar('pow', 1 / p), [now.layer])
  return behindChannelsLast(flow, groups, now)
}

/**
 * One value a channel. In ONNX spatial axes stay with an extent of 1; here only where a convolution follows.
 * @param layer asked with the spatial axes, and whether they are to stay
 */
function global(node: NodeReader, layer: (spatial: readonly number[], keepDims: boolean) => Layer): Flow {
  const flow = node.flow(0)
  const { groups, rank, extents } = channelsLast(node, flow)
  const spatial = Array.from({ length: rank }, (_, i) => i)
  const keepDims = node.context.usersOf(node.node.output[0]).includes('Conv')
  const made: Made = node.add(layer(spatial, keepDims), [node.place(flow, groups).layer])
  const channels = extents[rank] === 1 ? [] : [0]
  const batch = flow.axes[0].filter((atom) => atom === batchAtom)
  return {
    ...flow,
    ...made,
    atoms: channels.length === 0 ? [] : [extents[rank]],
    axes: [batch, channels, ...spatial.map(() => [])],
  }
}

export const pooling: Family = {
  MaxPool: { versions: [1, 8, 10, 11, 12, 22], read: (node) => pooled(node, maxPools) },
  AveragePool: { versions: [1, 7, 10, 11, 19, 22], read: averagePool },
  LpPool: { versions: [1, 2, 11, 18, 22], read: lpPool },
  GlobalAveragePool: {
    versions: [1, 22],
    read: (node) => global(node, (_, keepDims) => nn.globalAvgPool(keepDims ? { keepDims } : {})),
  },
  GlobalMaxPool: {
    versions: [1, 22],
    read: (node) => global(node, (_, keepDims) => nn.globalMaxPool(keepDims ? { keepDims } : {})),
  },
  GlobalLpPool: {
    versions: [1, 2, 22],
    read(node) {
      const p = node.int('p', 2)
      if (p !== 1 && p !== 2) throw node.unsupported(`has a norm of order ${p}`, { expected: '1 or 2' })
      return global(node, (spatial, keepDims) =>
        nn.reduce(p === 1 ? 'l1' : 'l2', spatial, keepDims ? { keepDims } : {}),
      )
    },
  },
}
