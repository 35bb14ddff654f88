/** The contract of a layer: a description that can be written down, and that builds itself for an input shape. */
import { JuanjiError, type Problem, ShapeError } from '../base/errors.ts'
import { type Shape, showShape } from '../base/shape.ts'
import { type Parameter, type State, type Tensor, tensor, within } from '../tensor/index.ts'

export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }

/** A layer as it stands in model.json. */
export interface LayerJson {
  readonly type: string
  readonly options?: { readonly [name: string]: Json }
  /** Layers inside, in order. A list: JSON objects do not keep the order of names that are numbers. */
  readonly layers?: readonly (LayerJson & { readonly name: string })[]
}

/** How a parameter gets its first values. Bounds and deviations in the parameter's own unit. */
export type Initializer =
  | { readonly kind: 'uniform'; readonly bound: number }
  | { readonly kind: 'normal'; readonly deviation: number }
  | { readonly kind: 'constant'; readonly value: number }

/** Where a layer makes its parameters while a model is built. */
export interface Scope {
  /** Path of the layer in the model, `` for the outermost: `stage1.0.conv1`. */
  readonly path: string
  parameter(name: string, shape: Shape, initializer: Initializer, options?: { decays?: boolean }): Parameter
  /** A value that training changes but no gradient reaches: a running mean. Saved with the model. */
  state(name: string, shape: Shape, value: number): State
  /** The scope of a layer inside this one. */
  child(name: string): Scope
  /** Whether the model is being trained at this moment. Asked while the layer is applied, not while it is built. */
  training(): boolean
  /** A key for random numbers, different at every step of training: i32 [2]. */
  randomKey(): Tensor
  /** A number that tells this layer's random numbers from others'. */
  readonly stream: number
  /** Listens to what layers inside report; for summaries. */
  readonly observe?: (report: LayerReport) => void
}

/** A layer that has its parameters. */
export interface Built {
  /** Shape of what comes out, without the batch. */
  readonly output: Shape
  readonly apply: (x: Tensor) => Tensor
}

/** The same of a layer with another number of inputs than one. */
export interface Joined {
  readonly output: Shape
  /** @param batch extent of the first axis of all inputs, and of what comes out */
  readonly apply: (xs: readonly Tensor[], batch: number) => Tensor
}

/** Where a container sends values; `V` is whatever is followed through a net. */
export interface Through<V> {
  /** Through the layer inside that has this name. */
  layer(name: string, inputs: readonly V[]): V
  /** Through a layer without name or parameters: the sum and the activation of a residual block. */
  inline(layer: Layer, inputs: readonly V[]): V
}

/** What a layer says of its own cost. */
export interface LayerCost {
  /** For one sample, forward. */
  readonly multiplyAdds: number
  /**
   * Kernel and stride along the spatial axes, for receptive fields; undefined where windows play no part. Strides of layers
   * that enlarge are below 1.
   */
  readonly window?: {
    readonly kernelSize: readonly number[]
    readonly stride: readonly number[]
    readonly dilation: readonly number[]
  }
  /** Whether what comes out depends on all places along the first axis: a global pool. Default false. */
  readonly seesAll?: boolean
  /**
   * Whether training keeps nothing of it: its result takes the place of what arrives, as with a view, or with an
   * activation whose gradient reads the result alone. Default false.
   */
  readonly inPlace?: boolean
}

/** What a summary says about one layer; about one that holds others, with all that is inside. */
export interface LayerReport extends LayerCost {
  readonly path: string
  readonly type: string
  readonly input: Shape
  readonly output: Shape
  /** Values that training changes, frozen ones included. */
  readonly parameters: number
  /** Of these, the ones that are not frozen. */
  readonly trainable: number
  /** Values beside the parameters: running statistics. */
  readonly states: number
  /** Layers inside, in order. */
  readonly layers?: readonly LayerReport[]
  readonly branches?: Layer['branches']
  readonly wires?: Layer['wires']
}

export interface Layer {
  readonly type: string
  readonly options: { readonly [name: string]: Json }
  /** Layers inside, by name, in order. */
  readonly layers?: readonly (readonly [name: string, layer: Layer])[]
  /**
   * Names of the layers inside by branch, where they do not all stand in a row: each branch begins at the input, one
   * without layers passes it on. Default: a single branch of all.
   */
  readonly branches?: readonly (readonly string[])[]
  /** What each layer inside takes, where neither a row nor branches say it: names of others, or `input`. */
  readonly wires?: ReadonlyMap<string, readonly string[]>
  /**
   * How many inputs the layer takes: default 1; 0 for a value that depends on none; `'many'` for one or more. Layers of
   * another arity than 1 have a {@link join}, and their place is in `nn.graph`.
   */
  readonly arity?: number | 'many'
  /**
   * {@link build} for several inputs.
   * @throws ShapeError when they do not fit each other
   */
  join?(scope: Scope, inputs: readonly Shape[]): Joined
  /** How a value goes through a layer that holds others. Exports and whatever else looks at a net follow it. */
  route?<V>(input: V, through: Through<V>): V
  /**
   * Makes parameters for samples of this shape (without the batch).
   * @throws ShapeError when the layer can't take such samples; the message names the path
   */
  build(scope: Scope, input: Shape): Built
  /** Not for layers that hold others: theirs is the sum. */
  cost?(input: Shape, output: Shape): LayerCost
}

/** The description, ready for JSON. */
export function layerToJson(layer: Layer): LayerJson {
  const { type, options, layers } = layer
  return {
    type,
    ...(Object.keys(options).length > 0 ? { options } : {}),
    ...(layers === undefined ? {} : { layers: layers.map(([name, inner]) => ({ name, ...layerToJson(inner) })) }),
  }
}

/** A layer that takes several inputs, or none. */
export function joiningLayer(
  layer: Pick<Layer, 'type' | 'options' | 'cost'> & Required<Pick<Layer, 'arity' | 'join'>>,
): Layer {
  const { type, arity, join } = layer
  return {
    ...layer,
    build(scope, input) {
      if (arity === 'many') {
        const { output, apply } = join(scope, [input])
        return { output, apply: (x) => apply([x], x.shape[0]) }
      }
      throw new ShapeError({
        where: where(scope, type),
        what: `the layer takes ${arity === 0 ? 'no input' : `${arity} inputs`}, here it gets one`,
        got: `samples of shape ${showShape(input)}`,
        expected: 'a place in nn.graph, whose wires say what it takes',
        fix: `use nn.graph([['${type}', …]], { inputs: { ${type}: [${arity === 0 ? '' : "'input', …"}] } })`,
      })
    },
  }
}

/** Builds a layer of any number of inputs. @throws ShapeError on another number than the layer takes */
export function buildJoined(scope: Scope, layer: Layer, inputs: readonly Shape[]): Joined {
  const { type, arity = 1, join } = layer
  // In a row of layers there is one input, and the layer itself says what it is for.
  const inRow = inputs.length === 1
  if (arity === 'many' ? inputs.length === 0 : inputs.length !== arity && !inRow) {
    throw new ShapeError({
      where: where(scope, type),
      what: 'the layer takes another number of inputs',
      got: `${inputs.length}`,
      expected: arity === 'many' ? 'at least 1' : `${arity}`,
      fix: 'correct the wires of the graph',
    })
  }
  if (join !== undefined && (arity === 'many' || inputs.length === arity)) return join(scope, inputs)
  const { output, apply } = layer.build(scope, inputs[0])
  return { output, apply: ([x]) => apply(x) }
}

/** Builds a layer inside another one and reports it. */
export function buildChild(scope: Scope, name: string, layer: Layer, input: Shape): Built {
  return buildReported(scope.child(name), layer, input)
}

/** Builds a layer and reports what it is, with the reports of the layers inside. */
export function buildReported(scope: Scope, layer: Layer, input: Shape): Built {
  const { output, apply } = joinReported(scope, layer, [input])
  return { output, apply: (x) => apply([x], x.shape[0]) }
}

/** The same for any number of inputs. */
export function joinReported(scope: Scope, layer: Layer, inputs: readonly Shape[]): Joined {
  if (scope.observe === undefined) {
    const { output, apply } = buildJoined(scope, layer, inputs)
    return { output, apply: (xs, batch) => within(scope.path, () => apply(xs, batch)) }
  }
  const count = { parameters: 0, trainable: 0, states: 0 }
  const inside: LayerReport[] = []
  const counting = (around: Scope): Scope => ({
    ...around,
    parameter(...of) {
      const parameter = around.parameter(...of)
      count.parameters += parameter.size
      if (parameter.trainable) count.trainable += parameter.size
      return parameter
    },
    state(...of) {
      const state = around.state(...of)
      count.states += state.size
      return state
    },
    child: (name) => counting(around.child(name)),
    observe: (report) => inside.push(report),
  })
  const built = buildJoined(counting(scope), layer, inputs)
  const { path } = scope
  const { type, branches, wires, cost } = layer
  const [input = []] = inputs
  const holds = layer.layers !== undefined
  const own = cost?.(input, built.output) ?? {
    multiplyAdds: inside.reduce((sum, report) => sum + report.multiplyAdds, 0),
  }
  const routes = { ...(branches === undefined ? {} : { branches }), ...(wires === undefined ? {} : { wires }) }
  const parts = holds ? { layers: inside, ...routes } : {}
  scope.observe({ path, type, input, output: built.output, ...count, ...own, ...parts })
  return built
}

/** A stand-in: a shape without values of its own. */
export const standIn = (shape: Shape): Tensor => tensor([0]).broadcastTo(shape)

/**
 * The shape that an op gives, without the batch, asked with stand-ins while a layer is built. What the op refuses is told
 * with the path of the layer.
 */
export function tried(scope: Scope, type: string, run: () => Tensor): Shape {
  try {
    return run().shape.slice(1)
  } catch (error) {
    if (!(error instanceof JuanjiError)) throw error
    const Kind = error.constructor as new (problem: Problem) => JuanjiError
    throw new Kind({ ...error.problem, where: where(scope, type) })
  }
}

/** `"stage1.0.conv1"` for messages; the type alone where there is no path. */
export function where(scope: Scope, type: string): string {
  return scope.path === '' ? type : `${type} "${scope.path}"`
}
