/** Which parameters of a model lie otherwise in a file of PyTorch's, by following the data through the net. */
import { type Shape, sameShape, sizeOf } from '../../base/shape.ts'
import { type FlowStep, followLayers } from '../../nn/flow.ts'
import type { Layer } from '../../nn/layer.ts'
import type { Model } from '../../nn/model.ts'
import { flattenOrder, isInOrder, type Order, type Turn, turnFeatures, turnKernel, turnLinear } from './turn.ts'

/** How weights lie in a file of PyTorch's. */
export interface PytorchLayout {
  /** By path of the parameter or state; those that are not named lie as they do here. */
  readonly turns: ReadonlyMap<string, Turn>
  /** For people: where features in the file's order could not be followed. */
  readonly notes: readonly string[]
}

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
const perFeature = /^(batchNorm|layerNorm|prelu)$/
/** Layers whose result does not depend on the order of features. */
const orderless = /^(reduce|globalAvgPool|globalMaxPool)$/

/**
 * How the parameters and states of a model lie in a file of PyTorch's.
 *
 * The features of a flattened picture count channel by channel there and pixel by pixel here: a linear layer behind
 * `flatten` has its rows in that order, through activations, dropout and norms in between, whose values for each feature
 * are in that order too; and a linear layer in front of a reshape to a picture has its outputs in it.
 */
export function pytorchLayout(model: Model): PytorchLayout {
  const follower = new Follower(model)
  followLayers<Followed>(model.net, model.inputShape, { makers: [] }, (step) => follower.visit(step))
  return { turns: follower.turns(), notes: follower.notes }
}

const join = (path: string, name: string) => (path === '' ? name : `${path}.${name}`)

/** Goes through the layers of a net and remembers, by path, what lies otherwise. */
class Follower {
  readonly notes: string[] = []
  readonly #shapes: ReadonlyMap<string, Shape>
  readonly #kernels = new Map<string, Shape>()
  readonly #linears = new Map<string, Shape>()
  /** Orders of what goes into linear layers, of what comes out of layers, and of values for each feature. */
  readonly #rows = new Map<string, Order>()
  readonly #columns = new Map<string, Order>()
  readonly #features = new Map<string, Order>()

  constructor({ parameters, states }: Model) {
    this.#shapes = new Map([...parameters, ...states].map(({ name, shape }) => [name, shape]))
  }

  visit(step: FlowStep<Followed>): Followed {
    const { path, layer, inputs } = step
    this.#note(layer, path)
    const [from] = inputs
    if (from === undefined) return { makers: [] }
    const { order, makers } = from.value
    if (layer.type === 'linear') {
      if (order !== undefined) this.#rows.set(path, order)
      return { makers: [path] }
    }
    if (perFeature.test(layer.type)) {
      if (order !== undefined) this.#features.set(path, order)
      return { ...from.value, makers: [...makers, path] }
    }
    if (elementwise.test(layer.type)) return from.value
    if (layer.type === 'permute') return { makers: [], channelsFirst: movesChannelsFirst(layer, from.shape) }
    const result = layer.type === 'flatten' || layer.type === 'reshape' ? this.#reshaped(step) : joined(step)
    const lost = result.order === undefined && inputs.some(({ value }) => value.order !== undefined)
    if (lost && !orderless.test(layer.type) && !isBack(step)) {
      const where = path === '' ? layer.type : `${path} (${layer.type})`
      this.notes.push(
        `features behind a flatten were not followed through ${where}: weights behind it may be out of order`,
      )
    }
    return result
  }

  /** Kernels and linear layers; of a layer that does not say how values go through those inside, these by type alone. */
  #note(layer: Layer, path: string): void {
    const shape = this.#shapes.get(join(path, 'weight'))
    if (shape !== undefined && kernels.test(layer.type)) this.#kernels.set(path, shape)
    if (shape !== undefined && layer.type === 'linear') this.#linears.set(path, shape)
    for (const [name, inner] of layer.layers ?? []) this.#note(inner, join(path, name))
  }

  /** To one axis or from one: that is where features are counted in another order. */
  #reshaped({ inputs: [{ value, shape: from }], output: to }: FlowStep<Followed>): Followed {
    if (sameShape(from, to)) return value
    if (to.length === 1 && value.channelsFirst !== true) {
      const order = flattenOrder(from)
      return isInOrder(order) ? { makers: [] } : { makers: [], order }
    }
    if (from.length === 1 && value.order === undefined) {
      const order = flattenOrder(to)
      if (!isInOrder(order)) for (const path of value.makers) this.#columns.set(path, order)
    }
    return { makers: [] }
  }

  turns(): ReadonlyMap<string, Turn> {
    const turns = new Map<string, Turn>()
    for (const [path, shape] of this.#kernels) turns.set(join(path, 'weight'), turnKernel(shape))
    for (const [path, shape] of this.#linears) {
      turns.set(join(path, 'weight'), turnLinear(shape, this.#rows.get(path), this.#columns.get(path)))
    }
    for (const [path, order] of [...this.#columns, ...this.#features]) {
      for (const name of this.#linears.has(path) ? ['bias'] : ['weight', 'bias', 'running_mean', 'running_var']) {
        const at = join(path, name)
        if (this.#shapes.get(at)?.[0] === order.length) turns.set(at, turnFeatures(order))
      }
    }
    return turns
  }
}

function movesChannelsFirst(layer: Layer, shape: Shape): boolean {
  const axes = (layer.options.axes as readonly number[]).map((axis) => (axis < 0 ? axis + shape.length : axis))
  return axes.every((axis, i) => axis === (i + shape.length - 1) % shape.length)
}

/** Whether flattened features become the picture again that they were. */
function isBack({ layer, inputs: [from], output }: FlowStep<Followed>): boolean {
  return layer.type === 'reshape' && output.length > 1 && equal(from.value.order, flattenOrder(output))
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
