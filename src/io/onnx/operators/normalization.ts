/** Normalisation with parameters for each feature. */
import * as nn from '../../../nn/index.ts'
import { dimsOf, regrouped } from '../layout.ts'
import type { Family, NodeReader } from '../operator.ts'
import { type Flow, type Known, product, showElements } from '../values.ts'
import { behindChannelsLast } from './convolution.ts'
import { featuresOf } from './linear.ts'
import { channelsLast } from './windows.ts'

/** A constant with one number for each feature, turned as these lie. */
export function perFeature(node: NodeReader, value: Known, extents: readonly number[], order: readonly number[]) {
  const features = product(extents)
  if (product(value.dims) !== features) {
    throw node.error('a parameter does not fit the input', {
      got: showElements(value.dims),
      expected: `${features} numbers, one for each channel`,
    })
  }
  return node.turned(value, order, extents)
}

function batchNorm(node: NodeReader): Flow {
  const value = node.flow(0)
  if (value.axes.length < 2) throw node.error('the input has no channels', { expected: 'at least 2 axes' })
  if (node.version < 9 && node.int('spatial', 1) === 0)
    throw node.unsupported('has statistics for every place (spatial = 0)')
  // With the statistics of the batch samples would be mixed, and no single picture could be classified: whoever exported
  // so forgot to switch the model to inference. The running statistics are in the file, so that it is of use.
  // Until opset 13 further outputs said it.
  const trains = node.version >= 14 ? node.int('training_mode', 0) === 1 : node.node.output.length > 1
  if (trains) {
    node.note(
      'BatchNormalization stands in training mode: the file normalises with the mean and variance of each batch, the model with the stored ones; its outputs differ from those of the file. Export in inference mode to have them equal',
    )
  }
  const { flow, layer, extents, order } = featuresOf(node, value, 1)
  const weight = (i: number) => perFeature(node, node.known(i), extents, order)
  const made = node.add(nn.batchNorm({ eps: node.float('epsilon', 1e-5), momentum: momentumOf(node) }), [layer], {
    weight: weight(1),
    bias: weight(2),
    running_mean: weight(3),
    running_var: weight(4),
  })
  return { ...flow, ...made }
}

/** ONNX's momentum is the share of the old statistics, ours that of the new. */
function momentumOf(node: NodeReader): number {
  const kept = node.float('momentum', 0.9)
  const share = Number((1 - kept).toPrecision(6))
  return share >= 0 && share <= 1 ? share : 0.1
}

/** Over the axes from one on, as if they were one. */
function layerNorm(node: NodeReader): Flow {
  const value = node.flow(0)
  const rank = value.axes.length
  const axis = node.axis(node.int('axis', -1), rank)
  const merged = { ...value, axes: [...value.axes.slice(0, axis), value.axes.slice(axis).flat()] }
  const { flow, layer, extents, order } = featuresOf(node, merged, axis)
  const shift = node.inputs[2]
  const weights = {
    weight: perFeature(node, node.known(1), extents, order),
    bias:
      shift === undefined ? () => new Float32Array(product(extents)) : perFeature(node, node.known(2), extents, order),
  }
  const made = node.add(nn.layerNorm({ eps: node.float('epsilon', 1e-5) }), [layer], weights)
  return regrouped({ ...flow, ...made }, dimsOf(value)) as Flow
}

/** Over the channels of maps at each place; scale and shift are [channels, 1, …]. */
export function channelNorm(node: NodeReader): Flow {
  const value = node.flow(0)
  if (node.known(1).dims.length !== value.axes.length - 1) {
    throw node.unsupported('has a scale for another axis than the one that is normalised')
  }
  const { flow, layer, extents, order } = featuresOf(node, value, 1)
  const weight = (i: number) => perFeature(node, node.known(i), extents, order)
  const norm = nn.layerNorm({ eps: node.float('epsilon', 1e-5) })
  return { ...flow, ...node.add(norm, [layer], { weight: weight(1), bias: weight(2) }) }
}

function instanceNorm(node: NodeReader): Flow {
  const { flow, groups, channels, from } = mapOf(node)
  const weights = {
    weight: perFeature(node, node.known(1), [channels], [0]),
    bias: perFeature(node, node.known(2), [channels], [0]),
  }
  return behindChannelsLast(
    flow,
    groups,
    node.add(nn.instanceNorm({ eps: node.float('epsilon', 1e-5) }), [from], weights),
  )
}

/** Until opset 20 there was one scale for each group, afterwards one for each channel. */
function groupNorm(node: NodeReader): Flow {
  const { flow, groups, channels, from } = mapOf(node)
  const count = node.int('num_groups', 0)
  if (!(count >= 1) || channels % count !== 0) {
    throw node.error('num_groups makes no sense', { got: String(count), expected: `a divisor of ${channels}` })
  }
  const each = (i: number) => {
    const value = node.known(i)
    if (node.version >= 21) return perFeature(node, value, [channels], [0])
    const own = perFeature(node, value, [count], [0])
    node.context.allocate(channels)
    return () => {
      const values = own()
      return Float32Array.from({ length: channels }, (_, c) => values[Math.floor((c * count) / channels)])
    }
  }
  const layer = nn.groupNorm(count, { eps: node.float('epsilon', 1e-5) })
  return behindChannelsLast(flow, groups, node.add(layer, [from], { weight: each(1), bias: each(2) }))
}

function localResponse(node: NodeReader): Flow {
  const { flow, groups, from } = mapOf(node)
  const size = node.int('size', 0)
  const layer = nn.lrn({
    size,
    alpha: node.float('alpha', 1e-4),
    beta: node.float('beta', 0.75),
    k: node.float('bias', 1),
  })
  return behindChannelsLast(flow, groups, node.add(layer, [from]))
}

/** The input with channels last and in ONNX's order. */
function mapOf(node: NodeReader) {
  const flow = node.flow(0)
  const { groups, rank, extents } = channelsLast(node, flow)
  return { flow, groups, channels: extents[rank], from: node.place(flow, groups).layer }
}

export const normalization: Family = {
  BatchNormalization: { versions: [1, 6, 7, 9, 14, 15], read: batchNorm },
  LayerNormalization: { versions: [17], read: layerNorm },
  InstanceNormalization: { versions: [1, 6, 22], read: instanceNorm },
  GroupNormalization: { versions: [18, 21], read: groupNorm },
  LRN: { versions: [1, 13], read: localResponse },
}
