/** What an exporter of a layer is. */
import type { Shape } from '../../../base/shape.ts'
import type { Json, Layer } from '../../../nn/layer.ts'
import type { State } from '../../../tensor/index.ts'
import type { OnnxGraph, Value } from './graph.ts'
import type { Layout } from './layout.ts'

/** A layer at its place in a net. */
export interface ExportStep {
  readonly graph: OnnxGraph
  /** What nodes are named after: the layer's path. */
  readonly name: string
  readonly layer: Layer
  readonly options: { readonly [name: string]: Json }
  readonly inputs: readonly Value[]
  /** Shape of the sample that comes out, channels last. */
  readonly output: Shape
  /** How what comes out may lie: channels first, as most operators of ONNX have it. */
  readonly channelsFirst: Layout
  /** The axes in their own order. */
  readonly natural: Layout
  /** A parameter or state of the layer by its own name: `weight`. */
  parameter(name: string): State
}

/**
 * Adds a layer's nodes to the graph and gives what comes out.
 * @example
 * // A layer of your own that is a function of every value:
 * const cube: OnnxExporter = ({ graph, name, inputs: [x] }) =>
 *   graph.value(name, 'Pow', [graph.use(x), graph.scalar(3)], {}, x)
 */
export type OnnxExporter = (step: ExportStep) => Value
