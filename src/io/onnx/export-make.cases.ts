/** What cases of exports are made of. */
import type { Shape } from '../../base/shape.ts'
import type { Layer } from '../../nn/index.ts'
import * as nn from '../../nn/index.ts'

export interface ExportCase {
  readonly name: string
  readonly layer: Layer
  /** One sample, channels last. */
  readonly input: Shape
  /** Samples are whole numbers below this. */
  readonly integers?: number
  /** Values between these; default about -1.7 … 1.7. */
  readonly range?: readonly [least: number, most: number]
  /** How many Transpose nodes there are; default 0. */
  readonly transposes?: number
}

export const make = (
  name: string,
  layer: Layer,
  input: Shape,
  more: Omit<ExportCase, 'name' | 'layer' | 'input'> = {},
): ExportCase => ({ name, layer, input, ...more })

export const map: Shape = [6, 5, 4]
export const row: Shape = [7, 4]
export const volume: Shape = [4, 5, 6, 2]
const rows = nn.embedding(11, 4)
/** Rows of features, as behind a table: [places, features]. */
export const onRows = (name: string, layer: Layer, transposes = 0): ExportCase =>
  make(`${name} on rows`, nn.sequential(['table', rows], ['layer', layer]), [7], { integers: 11, transposes })
/** The layer on a map, channels first in ONNX, and behind a flatten, where values lie otherwise than here. */
export const everywhere = (name: string, layer: Layer, more: Omit<ExportCase, 'name' | 'layer' | 'input'> = {}) => [
  make(`${name} on maps`, layer, map, more),
  make(`${name} on a vector`, layer, [9], more),
  make(
    `${name} behind a flatten`,
    nn.sequential(['flatten', nn.flatten()], ['layer', layer], ['linear', nn.linear(3)]),
    [3, 2, 4],
    more,
  ),
]

/** Two ways from the input and what joins them. */
export const joining = (layer: Layer, a: Layer, b: Layer): Layer =>
  nn.graph(
    [
      ['a', a],
      ['b', b],
      ['both', layer],
    ],
    { inputs: { b: ['input'], both: ['a', 'b'] } },
  )

/** The layer between what arrives and numbers of this shape. */
export const withValue = (layer: Layer, shape: Shape, first = false): Layer =>
  nn.graph(
    [
      ['table', nn.value(shape)],
      ['both', layer],
    ],
    { inputs: { both: first ? ['table', 'input'] : ['input', 'table'] } },
  )
