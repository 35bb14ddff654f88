/** The juanji network that grows while an ONNX graph is read. */
import type { DType, TypedArray } from '../../base/dtype.ts'
import type { Shape } from '../../base/shape.ts'
import { sameShape } from '../../base/shape.ts'
import * as nn from '../../nn/index.ts'
import { buildJoined, type Layer, type Scope } from '../../nn/layer.ts'
import { dryScope } from '../../nn/model.ts'
import { flowOf, placementOf } from './layout.ts'
import type { Flow } from './values.ts'

/** Makes the values of a parameter; asked once, when the model is filled. */
export type Weight = () => TypedArray

interface Entry {
  readonly layer: Layer
  readonly inputs: readonly string[]
  readonly shape: Shape
  /** By the parameter's name in the layer. */
  readonly weights: Readonly<Record<string, Weight>>
}

/** A layer of the network and the shape of a sample that comes out of it. */
export interface Made {
  readonly layer: string
  readonly shape: Shape
}

const inputName = 'input'

const stripped = (shape: Shape): Shape =>
  shape.slice(
    Math.max(
      0,
      shape.findIndex((extent) => extent !== 1),
    ),
  )

/** A scope that tells of the shapes of all that is made in it. */
function counted(scope: Scope, count: (shape: Shape) => void): Scope {
  return {
    ...scope,
    child: (name) => counted(scope.child(name), count),
    parameter(name, shape, ...rest) {
      count(shape)
      return scope.parameter(name, shape, ...rest)
    },
    state(name, shape, ...rest) {
      count(shape)
      return scope.state(name, shape, ...rest)
    },
  }
}

export class Network {
  readonly input: Flow
  /** What was done, for people. */
  readonly notes: string[] = []
  readonly #entries = new Map<string, Entry>()
  /** The next number for names that are taken. */
  readonly #numbers = new Map<string, number>()
  readonly #count: (shape: Shape) => void
  readonly #placed = new Map<string, Made>()

  /**
   * @param shape of a sample @param places for each of its axes the ONNX axis it is
   * @param batch the ONNX axis that is the batch, undefined where all of ONNX's input is one sample
   * @param count told the shape of every parameter and state that a layer gets
   */
  constructor(
    shape: Shape,
    dtype: DType,
    places: readonly number[],
    batch: number | undefined,
    count: (shape: Shape) => void,
  ) {
    this.#count = count
    this.input = flowOf(inputName, shape, dtype, places, batch)
  }

  /** A name that no layer has yet. */
  freeName(wanted: string): string {
    const name = wanted === '' || wanted === inputName ? `${wanted}_1` : wanted
    if (!this.#entries.has(name)) return name
    let number = this.#numbers.get(name) ?? 2
    while (this.#entries.has(`${name}_${number}`)) number++
    this.#numbers.set(name, number + 1)
    return `${name}_${number}`
  }

  /**
   * Adds a layer.
   * @param wanted its name, changed where there is one of that name
   * @param inputs names of layers, or `input`
   * @param weights values of its parameters and states
   * @throws ShapeError when the layer can't take its inputs, or has other parameters than given
   */
  add(wanted: string, layer: Layer, inputs: readonly string[], weights: Readonly<Record<string, Weight>> = {}): Made {
    const name = this.freeName(wanted)
    const shapes = inputs.map((from) => this.shapeOf(from))
    const { output } = buildJoined(counted(dryScope(name), this.#count), layer, shapes)
    this.#entries.set(name, { layer, inputs, shape: output, weights })
    return { layer: name, shape: output }
  }

  shapeOf(name: string): Shape {
    return this.#entries.get(name)?.shape ?? this.input.shape
  }

  /**
   * The layer in whose result the axes of a sample are these groups of atoms, every atom once; layers that rearrange are
   * added where needed.
   * @param options name: how to name these; broadcast: leading axes of 1 do not matter
   */
  place(
    flow: Flow,
    groups: readonly (readonly number[])[],
    options: { readonly name?: string; readonly broadcast?: boolean } = {},
  ): Made {
    const { shape, permute } = placementOf(flow, groups)
    const fits = (is: Shape) =>
      sameShape(is, shape) || (options.broadcast === true && sameShape(stripped(is), stripped(shape)))
    if (permute === undefined && fits(flow.shape)) return { layer: flow.layer, shape: flow.shape }
    const key = JSON.stringify([flow.layer, permute, shape])
    const before = this.#placed.get(key)
    if (before !== undefined) return before
    const name = options.name ?? flow.layer
    let now: Made = { layer: flow.layer, shape: flow.shape }
    if (permute !== undefined) {
      const { from, order } = permute
      if (!sameShape(now.shape, from)) now = this.add(`${name}.split`, nn.reshape(from), [now.layer])
      now = this.add(`${name}.permute`, nn.permute(order), [now.layer])
    }
    if (!sameShape(now.shape, shape)) {
      const flat = shape.length === 1
      now = this.add(`${name}.${flat ? 'flatten' : 'reshape'}`, flat ? nn.flatten() : nn.reshape(shape), [now.layer])
    }
    this.#placed.set(key, now)
    return now
  }

  /**
   * The finished net, without what the output does not need.
   * @returns the net and the values of its parameters by path
   */
  finish(output: string): { net: Layer; weights: Map<string, Weight> } {
    const needed = new Set([output])
    const names = [...this.#entries.keys()]
    for (const name of names.toReversed()) {
      if (needed.has(name)) for (const from of (this.#entries.get(name) as Entry).inputs) needed.add(from)
    }
    const alive = names.filter((name) => needed.has(name))
    const layers = alive.map((name) => [name, (this.#entries.get(name) as Entry).layer] as const)
    if (layers.length === 0) return { net: nn.identity(), weights: new Map() }
    const weights = new Map<string, Weight>()
    const inputs: Record<string, readonly string[]> = {}
    let before = inputName
    for (const name of alive) {
      const entry = this.#entries.get(name) as Entry
      for (const [key, weight] of Object.entries(entry.weights)) weights.set(`${name}.${key}`, weight)
      const inRow = entry.inputs.length === 1 ? entry.inputs[0] === before : entry.inputs.length === 0
      if (!inRow) inputs[name] = entry.inputs
      before = name
    }
    // The values go to whoever fills the parameters, one after the other: nothing else is to hold them.
    this.#entries.clear()
    const last = alive[alive.length - 1]
    const isChain = Object.keys(inputs).length === 0 && layers.every(([, layer]) => (layer.arity ?? 1) === 1)
    if (isChain && last === output && alive.every((name) => !name.includes('.'))) {
      return { net: nn.sequential(...layers), weights }
    }
    const options = {
      ...(Object.keys(inputs).length === 0 ? {} : { inputs }),
      ...(last === output ? {} : { output }),
    }
    return { net: nn.graph(layers, options), weights }
  }
}

/** How a value lies after {@link Network.place}: the groups are the axes of what came out of a layer behind it. */
export function placedFlow(flow: Flow, groups: readonly (readonly number[])[], made: Made): Flow {
  const order = groups.flat()
  return {
    ...flow,
    ...made,
    atoms: order.map((atom) => flow.atoms[atom]),
    axes: flow.axes.map((axis) => axis.map((atom) => (atom < 0 ? atom : order.indexOf(atom)))),
  }
}

/**
 * How a value lies behind a layer that changed the extents of some axes.
 * @param changed by the place among the groups: the ONNX axis that this group is all of
 */
export function changedFlow(
  flow: Flow,
  groups: readonly (readonly number[])[],
  made: Made,
  changed: ReadonlyMap<number, number>,
): Flow {
  const atoms: number[] = []
  /** Places of atoms that stay, and by ONNX axis of those that are new. */
  const kept = new Map<number, number>()
  const fresh = new Map<number, number | undefined>()
  groups.forEach((group, p) => {
    const axis = changed.get(p)
    if (axis === undefined) {
      for (const atom of group) kept.set(atom, atoms.push(flow.atoms[atom]) - 1)
    } else {
      fresh.set(axis, made.shape[p] === 1 ? undefined : atoms.push(made.shape[p]) - 1)
    }
  })
  const axes = flow.axes.map((axis, i) => {
    if (!fresh.has(i)) return axis.map((atom) => (atom < 0 ? atom : (kept.get(atom) as number)))
    const atom = fresh.get(i)
    return [...axis.filter((one) => one < 0), ...(atom === undefined ? [] : [atom])]
  })
  return { ...flow, ...made, atoms, axes }
}
