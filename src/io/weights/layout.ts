/** Which parameters of a model lie otherwise in a file of PyTorch's, by following the data through the net. */
import { type Shape, sizeOf } from '../../base/shape.ts'
import { type FlowStep, followLayers } from '../../nn/flow.ts'
import type { Layer } from '../../nn/layer.ts'
import type { Model } from '../../nn/model.ts'
import { flattenOrder, isInOrder, type Order, type Turn, turnFeatures, turnKernel, turnLinear } from './turn.ts'

/** What is known of a value on its way. */
interface Followed {
  /** Of the features of the last axis, when the file counts them in another order. */
  readonly order?: Order
  /** Whether the channels have been moved to the front: a flatten then gives the file's own order. */
  readonly channelsFirst?: boolean
  /** Paths of the layers whose outputs these features are, one for one: a linear and norms behind it. */
  readonly makers: readonly string[]
}

const kernels = /^(depthwiseConv|conv|convTranspose)[123]d$/
/** Each feature by itself, and no parameters. */
const elementwise =
  /^(relu|relu6|leakyRelu|elu|gelu|silu|sigmoid|tanh|hardSwish|hardSigmoid|hardTanh|logSigmoid|softplus|softsign|mish|selu|celu|thresholdedRelu|shrink|softmax|logSoftmax|dropout|identity|unary|scalar|clamp|cast)$/
/** Each feature by itself, with a value for each. */
const perFeature = /^(batchNorm|layerNorm|rmsNorm|prelu)$/

/**
 * How the parameters and states lie in a file of PyTorch's, by path; those that are not named lie as they do here.
 *
 * The features of a flattened picture count channel by channel there and pixel by pixel here: a linear layer behind
 * `flatten` has its rows in that order, through activations, dropout and norms in between, whose values for each feature
 * are in that order too; and a linear layer in front of a reshape to a picture has its outputs in it.
 */
export function pytorchTurns(model: Model): ReadonlyMap<string, Turn> {
  const { net, inputShape } = model
  const shapes = new Map([...model.parameters, ...model.states].map(({ name, shape }) => [name, shape]))
  const turns = new Map<string, Turn>()
  const rows = new Map<string, Order>()
  const columns = new Map<string, Order>()
  const features = new Map<string, Order>()
  const linears = new Map<string, Shape>()

  const visit = (step: FlowStep<Followed>): Followed => {
    const { path, layer, inputs, output } = step
    const [from] = inputs
    if (layer.layers !== undefined) turnInside(layer, path, shapes, turns, linears)
    if (kernels.test(layer.type)) turnWeight(path, shapes, turns)
    if (from === undefined) return { makers: [] }
    const { order, makers } = from.value
    if (layer.type === 'linear') {
      const weight = shapes.get(join(path, 'weight'))
      if (weight !== undefined) linears.set(path, weight)
      if (order !== undefined) rows.set(path, order)
      return { makers: [path] }
    }
    if (perFeature.test(layer.type)) {
      if (order !== undefined) features.set(path, order)
      return { ...from.value, makers: [...makers, path] }
    }
    if (elementwise.test(layer.type)) return from.value
    if (layer.type === 'permute') return { makers: [], channelsFirst: movesChannelsFirst(layer, from.shape) }
    if (layer.type === 'flatten' || layer.type === 'reshape') return reshaped(from.value, from.shape, output, columns)
    return joined(step)
  }
  followLayers<Followed>(net, inputShape, { makers: [] }, visit)

  for (const [path, shape] of linears) {
    turns.set(join(path, 'weight'), turnLinear(shape, rows.get(path), columns.get(path)))
  }
  for (const [path, order] of [...columns, ...features]) {
    for (const name of linears.has(path) ? ['bias'] : ['weight', 'bias', 'running_mean', 'running_var']) {
      const at = join(path, name)
      if (shapes.get(at)?.[0] === order.length) turns.set(at, turnFeatures(order))
    }
  }
  return turns
}

const join = (path: string, name: string) => (path === '' ? name : `${path}.${name}`)

function turnWeight(path: string, shapes: ReadonlyMap<string, Shape>, turns: Map<string, Turn>): void {
  const name = join(path, 'weight')
  const shape = shapes.get(name)
  if (shape !== undefined && shape.length >= 3) turns.set(name, turnKernel(shape))
}

/** Layers inside one that does not say how values go through them: by their types alone. */
function turnInside(
  layer: Layer,
  path: string,
  shapes: ReadonlyMap<string, Shape>,
  turns: Map<string, Turn>,
  linears: Map<string, Shape>,
): void {
  for (const [name, inner] of layer.layers ?? []) {
    const at = join(path, name)
    const weight = shapes.get(join(at, 'weight'))
    if (kernels.test(inner.type)) turnWeight(at, shapes, turns)
    if (inner.type === 'linear' && weight !== undefined) linears.set(at, weight)
    turnInside(inner, at, shapes, turns, linears)
  }
}

function movesChannelsFirst(layer: Layer, shape: Shape): boolean {
  const axes = (layer.options.axes as readonly number[]).map((axis) => (axis < 0 ? axis + shape.length : axis))
  return axes.every((axis, i) => axis === (i + shape.length - 1) % shape.length)
}

/** To one axis or from one: that is where features are counted in another order. */
function reshaped(value: Followed, from: Shape, to: Shape, columns: Map<string, Order>): Followed {
  if (to.length === from.length && to.every((extent, axis) => extent === from[axis])) return value
  if (to.length === 1) {
    const order = value.channelsFirst === true ? undefined : flattenOrder(from)
    return order === undefined || isInOrder(order) ? { makers: [] } : { makers: [], order }
  }
  if (from.length === 1 && value.order === undefined) {
    const order = flattenOrder(to)
    if (!isInOrder(order)) for (const path of value.makers) columns.set(path, order)
  }
  return { makers: [] }
}

/** What comes out of a layer of several inputs: equal orders stay, and joined features have joined orders. */
function joined({ layer, inputs, output }: FlowStep<Followed>): Followed {
  const [first] = inputs
  if (layer.type === 'binary') {
    const same = inputs.every(({ value }) => equal(value.order, first.value.order))
    return same ? { makers: [], order: first.value.order } : { makers: [] }
  }
  const flat = output.length === 1 && inputs.every(({ shape }) => shape.length === 1)
  if (layer.type !== 'concat' || !flat || inputs.every(({ value }) => value.order === undefined)) return { makers: [] }
  const order = new Int32Array(sizeOf(output))
  let start = 0
  for (const { value, shape } of inputs) {
    for (let i = 0; i < shape[0]; i++) order[start + i] = start + (value.order?.[i] ?? i)
    start += shape[0]
  }
  return { makers: [], order }
}

function equal(a: Order | undefined, b: Order | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return a.length === b.length && a.every((at, i) => at === b[i])
}
