/** What a converter of a Keras layer is given, and what many of them share. */
import type { Shape } from '../../base/shape.ts'
import type { Layer } from '../../nn/index.ts'
import * as nn from '../../nn/index.ts'
import type { Field } from '../json-fields.ts'
import { activationOf, type KerasVersion } from './activations.ts'
import { textOr } from './options.ts'

/** A stored variable and the parameter it becomes. */
export interface Slot {
  /** As Keras calls it: `kernel`. */
  readonly variable: string
  /** Path below the layer: `weight`. */
  readonly to: string
  /** Whether the same values in the same order have another shape here. */
  readonly turn?: 'reshape'
  /** Numbers that the config holds: then nothing is stored. One stands for as many as there are. */
  readonly values?: readonly number[]
}

/** One use of a Keras layer, on its way to ours. */
export interface Use {
  readonly config: Field
  readonly className: string
  /** Where the layer stands in the file, for messages. */
  readonly field: Field
  /** How the file says what it takes; undefined in a row. */
  readonly call: Field | undefined
  readonly version: KerasVersion
  /** Results that it takes. */
  readonly inputs: readonly string[]
  /** Shape of a sample of an input. */
  shape(input: number): Shape
  /** Adds the layer itself, which has the Keras layer's name, and says what is stored of it. @returns its name */
  main(layer: Layer, inputs?: readonly string[], slots?: readonly Slot[]): string
  /** Adds a layer without parameters around it. @returns the name of the result */
  more(suffix: string, layer: Layer, inputs: readonly string[]): string
  /** Tells people what was done. */
  note(text: string): void
}

/** Adds what computes a layer; returns the name of the result. */
export type Converter = (use: Use) => string

/** The activation that many layers have inside. */
export function activated(use: Use, result: string): string {
  const activation = activationOf(use.config.get('activation'), use.version)
  return activation === undefined ? result : use.more(activation.name, activation.layer, [result])
}

/** Samples with channels first are turned for the layer and back behind it. */
export function withChannelsLast(
  use: Use,
  rank: number,
  compute: (input: string) => string,
  options: { readonly back?: boolean } = {},
): string {
  const [input] = use.inputs
  if (textOr(use.config, 'data_format', ['channels_last', 'channels_first'], 'channels_last') === 'channels_last') {
    return compute(input)
  }
  const axes = Array.from({ length: rank }, (_, i) => i)
  use.note('layers with channels first get their samples turned, and turn them back')
  const result = compute(use.more('channels_last', nn.permute([...axes.map((axis) => axis + 1), 0]), [input]))
  return options.back === false ? result : use.more('channels_first', nn.permute([rank, ...axes]), [result])
}
