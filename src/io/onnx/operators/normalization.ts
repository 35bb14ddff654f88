/** Normalisation with parameters for each feature. */
import * as nn from '../../../nn/index.ts'
import { extentsOf } from '../layout.ts'
import type { Family, NodeReader } from '../operator.ts'
import { type Flow, type Known, product, showElements } from '../values.ts'
import { featuresOf } from './linear.ts'

/** A constant with one number for each feature, turned as these lie. */
export function perFeature(node: NodeReader, value: Known, extents: readonly number[], order: readonly number[]) {
  const features = product(extents)
  if (value.data.length !== features) {
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
  if (node.int('training_mode', 0) === 1) node.note('BatchNormalization in training mode is read for inference')
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

function layerNorm(node: NodeReader): Flow {
  const value = node.flow(0)
  const rank = value.axes.length
  const axis = node.axis(node.int('axis', -1), rank)
  if (axis !== rank - 1) throw node.unsupported('normalises several axes together', { expected: 'the last axis' })
  const { flow, layer, extents, order } = featuresOf(node, value, axis)
  const features = product(extentsOf(value, axis))
  const weights = {
    weight: perFeature(node, node.known(1), extents, order),
    bias: node.hasInput(2) ? perFeature(node, node.known(2), extents, order) : () => new Float32Array(features),
  }
  const made = node.add(nn.layerNorm({ eps: node.float('epsilon', 1e-5) }), [layer], weights)
  return { ...flow, ...made }
}

export const normalization: Family = {
  BatchNormalization: { versions: [1, 6, 7, 9, 14, 15], read: batchNorm },
  LayerNormalization: { versions: [17], read: layerNorm },
}
