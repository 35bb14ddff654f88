/** Activations. */
import * as nn from '../../../nn/index.ts'
import type { Layer } from '../../../nn/layer.ts'
import { dimsOf, extentsOf, groupsWith, regrouped } from '../layout.ts'
import { placedFlow } from '../network.ts'
import type { Family, NodeReader, Operator } from '../operator.ts'
import { batchAtom, type Flow, product } from '../values.ts'

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
  HardSwish: activation([14, 22], () => nn.hardSwish()),
  Gelu: activation([20], (node) => nn.gelu(node.string('approximate', 'none') === 'tanh' ? 'tanh' : 'erf')),
  Clip: { versions: [1, 6, 11, 12, 13], read: clip },
  Softmax: softmax(nn.softmax),
  LogSoftmax: softmax(nn.logSoftmax),
}
