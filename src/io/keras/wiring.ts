import type { Shape } from '../../base/shape.ts'
import { layerFromJson } from '../../nn/from-json.ts'
import type { Json, Layer } from '../../nn/index.ts'
import * as nn from '../../nn/index.ts'
import { buildJoined } from '../../nn/layer.ts'
import { dryScope } from '../../nn/model.ts'

/** What the net itself is given, as `nn.graph` names it. */
export const netInput = 'input'

/** Layers with wires between them, on their way to a sequential or a graph. */
export class Wiring {
  #layers: (readonly [name: string, layer: Layer])[] = []
  readonly #inputs = new Map<string, readonly string[]>()
  readonly #taken: Set<string>

  readonly #shapes: Map<string, Shape>

  /** @param input shape of a sample @param reserved names that only their own layers may have */
  constructor(input: Shape, reserved: Iterable<string>) {
    this.#shapes = new Map([[netInput, input]])
    this.#taken = new Set([netInput, ...reserved])
  }

  /** A name that nothing has yet. */
  free(wanted: string): string {
    let name = wanted
    for (let i = 1; this.#taken.has(name) || name === ''; i++) name = `${wanted}_${i}`
    this.#taken.add(name)
    return name
  }

  /** Shape of a sample of a result. */
  shape(name: string): Shape {
    return this.#shapes.get(name) ?? []
  }

  /**
   * Adds a layer under a name that is its own.
   * @returns the name, for those that take its result
   * @throws ShapeError when it cannot take what it is given
   */
  add(name: string, layer: Layer, inputs: readonly string[]): string {
    const shapes = inputs.map((input) => this.shape(input))
    this.#shapes.set(name, buildJoined(dryScope(name), layer, shapes).output)
    this.#layers.push([name, layer])
    this.#inputs.set(name, inputs)
    return name
  }

  /** The net whose result is that of `output`: a row where it is one. */
  finish(output: string): Layer {
    this.#takeBordersIn(output)
    if (this.#layers.length === 0) return nn.identity()
    const names = this.#layers.map(([name]) => name)
    const last = names[names.length - 1]
    const follows = (name: string, i: number) => {
      const inputs = this.#inputs.get(name) ?? []
      return inputs.length === 1 && inputs[0] === (i === 0 ? netInput : names[i - 1])
    }
    const isRow = output === last && names.every(follows)
    if (isRow && names.every((name) => !name.includes('.'))) return nn.sequential(...this.#layers)
    const branching = names.filter((name, i) => !follows(name, i))
    const inputs = Object.fromEntries(branching.map((name) => [name, this.#inputs.get(name) ?? []]))
    return nn.graph(this.#layers, {
      ...(branching.length === 0 ? {} : { inputs }),
      ...(output === last ? {} : { output }),
    })
  }

  /** A border of zeros that one convolution alone takes becomes its padding: Keras has no other that is not even. */
  #takeBordersIn(output: string): void {
    const takers = new Map<string, number>([[output, 1]])
    for (const inputs of this.#inputs.values()) {
      for (const input of inputs) takers.set(input, (takers.get(input) ?? 0) + 1)
    }
    const borders = new Map(this.#layers.filter(([name, { type }]) => type === 'pad' && takers.get(name) === 1))
    const gone = new Set<string>()
    this.#layers = this.#layers.map(([name, layer]) => {
      const [input] = this.#inputs.get(name) ?? []
      const border = borders.get(input)
      if (border === undefined || !convolutions.includes(layer.type) || 'padding' in layer.options) return [name, layer]
      const pads = border.options.pads as readonly Json[]
      gone.add(input)
      this.#inputs.set(name, this.#inputs.get(input) ?? [])
      const options = { ...layer.options, padding: pads.slice(0, -1) }
      return [name, layerFromJson({ type: layer.type, options })]
    })
    this.#layers = this.#layers.filter(([name]) => !gone.has(name))
  }
}

const convolutions = ['conv1d', 'conv2d', 'conv3d', 'depthwiseConv1d', 'depthwiseConv2d']
