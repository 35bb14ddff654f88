/** The contract of a layer: a description that can be written down, and that builds itself for an input shape. */
import type { Shape } from '../base/shape.ts'
import { type Parameter, type State, type Tensor, within } from '../tensor/index.ts'

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

/** What a layer says of its own cost. */
export interface LayerCost {
  /** For one sample, forward. */
  readonly multiplyAdds: number
  /** Kernel and stride along the spatial axes, for receptive fields; undefined where windows play no part. */
  readonly window?: {
    readonly kernelSize: readonly number[]
    readonly stride: readonly number[]
    readonly dilation: readonly number[]
  }
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

/** Builds a layer inside another one and reports it. */
export function buildChild(scope: Scope, name: string, layer: Layer, input: Shape): Built {
  const inner = scope.child(name)
  return buildReported(inner, layer, input)
}

/** Builds a layer and reports what it is, with the reports of the layers inside. */
export function buildReported(scope: Scope, layer: Layer, input: Shape): Built {
  if (scope.observe === undefined) {
    const { output, apply } = layer.build(scope, input)
    return { output, apply: (x) => within(scope.path, () => apply(x)) }
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
  const built = layer.build(counting(scope), input)
  const { path } = scope
  const { type, branches, cost } = layer
  const holds = layer.layers !== undefined
  const own = cost?.(input, built.output) ?? {
    multiplyAdds: inside.reduce((sum, report) => sum + report.multiplyAdds, 0),
  }
  const parts = holds ? { layers: inside, ...(branches === undefined ? {} : { branches }) } : {}
  scope.observe({ path, type, input, output: built.output, ...count, ...own, ...parts })
  return built
}

/** `"stage1.0.conv1"` for messages; the type alone where there is no path. */
export function where(scope: Scope, type: string): string {
  return scope.path === '' ? type : `${type} "${scope.path}"`
}
