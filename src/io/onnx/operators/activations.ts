/** Activations. */
import * as nn from '../../../nn/index.ts'
import type { Layer } from '../../../nn/layer.ts'
import { withDims } from '../fold.ts'
import { dimsOf, extentsOf, groupsWith, regrouped } from '../layout.ts'
import { placedFlow } from '../network.ts'
import type { Family, NodeReader, Operator } from '../operator.ts'
import { batchAtom, type Flow, product } from '../values.ts'
import { joinTwo } from './elementwise.ts'
import { featuresOf } from './linear.ts'
import { perFeature } from './normalization.ts'

const activation = (versions: readonly number[], layer: (node: NodeReader) => Layer): Operator => ({
  versions,
  read: (node) => node.pointwise(node.flow(0), layer(node)),
})

/** Limits are attributes before opset 11 and inputs, which may be left out, from then on. */
function clip(node: NodeReader): Flow {
  const flow = node.flow(0)
  const limit = (attribute: string, input: number) => {
    const value =
      node.version >= 11 ? (node.hasInput(input) ? node.scalar(input) : undefined) : node.float(attribute, undefined)
    return value !== undefined && Number.isFinite(value) && Math.abs(value) < 3.4e38 ? value : undefined
  }
  const [min, max] = [limit('min', 1), limit('max', 2)]
  if (min === undefined && max === undefined) return flow
  if (min === 0 && max === 6) return node.pointwise(flow, nn.relu6())
  if (min === 0 && max === undefined) return node.pointwise(flow, nn.relu())
  // Where the limits cross, everything becomes the upper one.
  const low = min !== undefined && max !== undefined ? Math.min(min, max) : min
  return node.pointwise(
    flow,
    nn.clamp({ ...(low === undefined ? {} : { min: low }), ...(max === undefined ? {} : { max }) }),
  )
}

function swish(node: NodeReader): Layer {
  if (node.float('alpha', 1) === 1) return nn.silu()
  throw node.unsupported('has an alpha of its own', { expected: '1' })
}

/** One slope, one a channel, or any others, which are then multiplied with what is below 0. */
function prelu(node: NodeReader): Flow {
  const value = node.flow(0)
  const slope = node.known(1)
  const rank = value.axes.length
  if (product(slope.dims) === 1) {
    const made = node.add(nn.prelu(), [value.layer], { weight: node.turned(slope, [0], [1]) })
    return { ...value, ...made }
  }
  // Before opset 7 a vector was always one slope a channel.
  const dims =
    node.version < 7 && slope.dims.length === 1 ? [...slope.dims, ...new Array<number>(rank - 2).fill(1)] : slope.dims
  const channel = rank - dims.length === 1 || (dims.length === rank && dims[0] === 1) ? 1 : undefined
  const others = dims.slice(dims.length === rank ? 2 : 1)
  if (channel !== undefined && rank > 1 && others.every((extent) => extent === 1)) {
    const { flow, layer, extents, order } = featuresOf(node, value, channel)
    const made = node.add(nn.prelu({ slopes: 'channels' }), [layer], {
      weight: perFeature(node, slope, extents, order),
    })
    return { ...flow, ...made }
  }
  const above = node.pointwise(value, nn.relu())
  const below = node.pointwise(value, nn.scalar('min', 0))
  return joinTwo(node, 'add', above, joinTwo(node, 'mul', below, withDims(slope, dims)))
}

/** Along one axis; before opset 13 along all axes from one on, as if they were one. */
function softmax(layer: (options: { axis?: number }) => Layer): Operator {
  return {
    versions: [1, 11, 13],
    read(node) {
      const flow = node.flow(0)
      const rank = flow.axes.length
      const axis = node.axis(node.int('axis', node.version >= 13 ? -1 : 1), rank)
      if (node.version >= 13 || extentsBehind(flow, axis) === 1) return along(node, flow, axis, layer)
      const dims = dimsOf(flow)
      const merged = { ...flow, axes: [...flow.axes.slice(0, axis), flow.axes.slice(axis).flat()] }
      const result = along(node, merged, axis, layer)
      return regrouped(result, dims) as Flow
    },
  }
}

const extentsBehind = (flow: Flow, axis: number): number => {
  let size = 1
  for (let i = axis + 1; i < flow.axes.length; i++) {
    if (flow.axes[i].includes(batchAtom)) return Number.POSITIVE_INFINITY
    size *= product(extentsOf(flow, i))
  }
  return size
}

function along(node: NodeReader, flow: Flow, axis: number, layer: (options: { axis?: number }) => Layer): Flow {
  node.apart(flow, axis)
  const {
    groups,
    at: [at],
  } = groupsWith(flow, axis)
  const made = node.place(flow, groups)
  const result = node.add(layer(at === groups.length - 1 ? {} : { axis: at }), [made.layer])
  return { ...placedFlow(flow, groups, made), ...result }
}

export const activations: Family = {
  Relu: activation([1, 6, 13, 14], () => nn.relu()),
  LeakyRelu: activation([1, 6, 16], (node) => nn.leakyRelu(node.float('alpha', 0.01))),
  Elu: activation([1, 6, 22], (node) => nn.elu(node.float('alpha', 1))),
  Sigmoid: activation([1, 6, 13], () => nn.sigmoid()),
  Tanh: activation([1, 6, 13], () => nn.tanh()),
  HardSigmoid: activation([1, 6, 22], (node) =>
    nn.hardSigmoid({ alpha: node.float('alpha', 0.2), beta: node.float('beta', 0.5) }),
  ),
  HardSwish: activation([14, 22], () => nn.hardSwish()),
  Gelu: activation([20], (node) => nn.gelu(node.string('approximate', 'none') === 'tanh' ? 'tanh' : 'erf')),
  Swish: activation([24], swish),
  Mish: activation([18, 22], () => nn.mish()),
  Selu: activation([1, 6, 22], (node) => {
    const [alpha, gamma] = [node.float('alpha', undefined), node.float('gamma', undefined)]
    return nn.selu({ ...(alpha === undefined ? {} : { alpha }), ...(gamma === undefined ? {} : { gamma }) })
  }),
  Celu: activation([12], (node) => nn.celu(node.float('alpha', 1))),
  Softplus: activation([1, 22], () => nn.softplus()),
  Softsign: activation([1, 22], () => nn.softsign()),
  ThresholdedRelu: activation([10, 22], (node) => nn.thresholdedRelu(node.float('alpha', 1))),
  Shrink: activation([9], (node) => nn.shrink({ lambda: node.float('lambd', 0.5), bias: node.float('bias', 0) })),
  PRelu: { versions: [1, 6, 7, 9, 16], read: prelu },
  Clip: { versions: [1, 6, 11, 12, 13], read: clip },
  Softmax: softmax(nn.softmax),
  LogSoftmax: softmax(nn.logSoftmax),
}
