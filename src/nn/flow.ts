/** Follows values through a net, from layer to layer. */
import type { Shape } from '../base/shape.ts'
import { buildJoined, type Layer } from './layer.ts'
import { dryScope } from './model.ts'

/** A value and the shape of a sample of it, without the batch. */
export interface Arrived<V> {
  readonly value: V
  readonly shape: Shape
}

export interface FlowStep<V> {
  /** Path of the layer, which begins the paths of its parameters; of an inline layer that of the one around it. */
  readonly path: string
  /** One that holds no others, or does not say how values go through them. */
  readonly layer: Layer
  /** Whether it has no name of its own: the sum and the activation of a residual block. */
  readonly inline: boolean
  readonly inputs: readonly Arrived<V>[]
  /** Shape of what comes out, without the batch. */
  readonly output: Shape
}

/**
 * Visits the layers of a net in the order of the data, through `sequential`, `residual`, `graph` and other layers that say
 * how values go through them. No parameters are made.
 * @param start what stands for the net's input
 * @param visit what stands for a layer's result
 * @returns what stands for the net's result
 * @throws ShapeError when some layer can't take what arrives at it
 */
export function followLayers<V>(net: Layer, input: Shape, start: V, visit: (step: FlowStep<V>) => V): V {
  const go = (layer: Layer, path: string, inputs: readonly Arrived<V>[], inline: boolean): Arrived<V> => {
    if (layer.route !== undefined) {
      const named = new Map(layer.layers)
      return layer.route<Arrived<V>>(inputs[0], {
        layer: (name, values) => go(named.get(name) as Layer, path === '' ? name : `${path}.${name}`, values, false),
        inline: (inner, values) => go(inner, path, values, true),
      })
    }
    const shapes = inputs.map(({ shape }) => shape)
    const { output } = buildJoined(dryScope(path), layer, shapes)
    return { value: visit({ path, layer, inline, inputs, output }), shape: output }
  }
  return go(net, '', [{ value: start, shape: input }], false).value
}

/** What comes out of a classifier. */
export type Answer = 'logits' | 'probabilities' | 'logProbabilities'

/** Layers that pass on what they are given, while a model is used. */
const passing: readonly string[] = ['dropout', 'identity', 'flatten', 'reshape']

/** Whether a net ends in a softmax or its logarithm along the last axis, or gives logits, as losses want them. */
export function answerOf(net: Layer, input: Shape): Answer {
  return followLayers<Answer>(net, input, 'logits', ({ layer, inputs, output }) => {
    const { axis = -1 } = layer.options as { axis?: number }
    const last = axis === -1 || axis === output.length - 1
    if (layer.type === 'softmax' && last) return 'probabilities'
    if (layer.type === 'logSoftmax' && last) return 'logProbabilities'
    return passing.includes(layer.type) && inputs.length === 1 ? inputs[0].value : 'logits'
  })
}
