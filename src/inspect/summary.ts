/** What a network is made of and what it costs. */
import { type Shape, sizeOf } from '../base/shape.ts'
import type { Layer, LayerReport } from '../nn/index.ts'
import { describe } from '../nn/model.ts'

const bytesOfF32 = 4

export interface LayerSummary extends LayerReport {
  /**
   * Input pixels along the height (or the length) that one output value depends on, counted from the kernels, so that it
   * may reach over the edge of small pictures; undefined where all pixels count, as after a global pool.
   */
  readonly receptiveField: number | undefined
  /**
   * Memory that training keeps of one sample, f32. 0 for layers that work in place: activations whose gradient reads
   * their result, dropout, flatten, shortcuts without parameters.
   */
  readonly activationBytes: number
  readonly layers?: readonly LayerSummary[]
}

export interface Summary {
  readonly input: Shape
  readonly output: Shape
  /** The net with all that is inside, as a tree; numbers of layers that hold others are sums. */
  readonly root: LayerSummary
  /** The layers that hold no others, in order. */
  readonly layers: readonly LayerSummary[]
  readonly parameters: number
  /** Parameters that are not frozen. */
  readonly trainable: number
  /** Values beside the parameters: running statistics. */
  readonly states: number
  /** For one sample, forward. A batch norm counts one for each value. */
  readonly multiplyAdds: number
  /** Kept of one sample while training, f32. */
  readonly activationBytes: number
  /** The layer with the most parameters; undefined where there are none. */
  readonly largest?: LayerSummary
}

export interface SummaryOptions {
  /** Whether the parameter at a path is trained; default: all are. */
  readonly trainable?: (path: string) => boolean
}

/** What one output value depends on, and how far apart neighbouring ones look; undefined: on all of the input. */
type Field = { readonly size: number; readonly jump: number } | undefined

function leave(report: LayerReport, field: Field): Field {
  if (field === nothing) return nothing
  // A vector has no place left: whatever made it saw everything.
  if (field === undefined || report.output.length <= 1 || report.seesAll === true) return undefined
  if (report.window === undefined) return field
  const { kernelSize, stride, dilation } = report.window
  return { size: field.size + (kernelSize[0] - 1) * dilation[0] * field.jump, jump: field.jump * stride[0] }
}

/** Whole pixels; between enlarged ones a window may end inside of one. */
const pixels = (field: Field): number | undefined => (field === undefined ? undefined : Math.ceil(field.size - 1e-6))

/** What comes out where branches meet depends on all of them: their windows have one centre, the widest holds the rest. */
function widest(fields: readonly Field[]): Field {
  return fields.reduce((a, b) =>
    a === undefined || b === undefined ? undefined : { size: Math.max(a.size, b.size), jump: Math.max(a.jump, b.jump) },
  )
}

/** What a value sees that depends on no input. */
const nothing: Field = { size: 0, jump: 0 }

/** Layers of a graph see what the widest of their inputs sees; values that depend on no input see nothing of it. */
function wired(wires: NonNullable<LayerReport['wires']>, input: Field, add: (name: string, at: Field) => Field): Field {
  const fields = new Map<string, Field>([['input', input]])
  let last = input
  for (const [name, takes] of wires) {
    const arriving = takes.length === 0 ? nothing : widest(takes.map((from) => fields.get(from)))
    const leaving = add(name, arriving)
    last = takes.length === 0 ? nothing : leaving
    fields.set(name, last)
  }
  return last
}

function summarizeLayer(report: LayerReport, field: Field): { readonly summary: LayerSummary; readonly field: Field } {
  const { layers: inside, ...own } = report
  if (inside === undefined) {
    const out = leave(report, field)
    const activationBytes = report.inPlace === true ? 0 : bytesOfF32 * sizeOf(report.output)
    return { summary: { ...own, receptiveField: pixels(out), activationBytes }, field: out }
  }
  const prefix = report.path === '' ? 0 : report.path.length + 1
  const named = new Map(inside.map((layer) => [layer.path.slice(prefix), layer]))
  const layers: LayerSummary[] = []
  const add = (name: string, at: Field): Field => {
    const inner = summarizeLayer(named.get(name) as LayerReport, at)
    layers.push(inner.summary)
    return inner.field
  }
  const chain = (names: readonly string[]): Field => names.reduce((at, name) => add(name, at), field)
  const out =
    report.wires === undefined
      ? widest((report.branches ?? [[...named.keys()]]).map(chain))
      : wired(report.wires, field, add)
  const activationBytes = layers.reduce((sum, layer) => sum + layer.activationBytes, 0)
  return { summary: { ...own, layers, receptiveField: pixels(out), activationBytes }, field: out }
}

const leaves = (layer: LayerSummary): readonly LayerSummary[] => layer.layers?.flatMap(leaves) ?? [layer]

/**
 * Describes every layer for samples of a shape; makes no parameters. Receptive fields are those of Araujo et al. 2019,
 * "Computing receptive fields of convolutional neural networks".
 * @throws ShapeError when the layers do not fit
 * @example
 * summarize(models.resnet18(), [224, 224, 3]).multiplyAdds // 1_816_557_056
 */
export function summarize(net: Layer, input: Shape, options: SummaryOptions = {}): Summary {
  const { root: report, output } = describe(net, input, options)
  const root = summarizeLayer(report, { size: 1, jump: 1 }).summary
  const layers = leaves(root)
  const [largest] = layers.filter((layer) => layer.parameters > 0).toSorted((a, b) => b.parameters - a.parameters)
  const { parameters, trainable, states, multiplyAdds, activationBytes } = root
  return {
    input,
    output,
    root,
    layers,
    parameters,
    trainable,
    states,
    multiplyAdds,
    activationBytes,
    largest,
  }
}

/** All in bytes. */
export interface TrainingMemory {
  /** Parameters and running statistics. */
  readonly weights: number
  readonly gradients: number
  /** Adam's two averages of each trained parameter. */
  readonly optimizer: number
  /** The batch, what is kept of it for the backward pass, and the largest of that once more: a gradient on its way. */
  readonly activations: number
  readonly total: number
}

/**
 * About how much memory a training step with Adam takes, f32. Plans of whole steps differ from it by some 15 %: gradients
 * of weights are rarely all there at once, and some algorithms need room to work in.
 */
export function trainingMemory(summary: Summary, batchSize: number): TrainingMemory {
  const largest = summary.layers.reduce((most, layer) => Math.max(most, layer.activationBytes), 0)
  const weights = bytesOfF32 * (summary.parameters + summary.states)
  const gradients = bytesOfF32 * summary.trainable
  const optimizer = 2 * bytesOfF32 * summary.trainable
  const activations = batchSize * (bytesOfF32 * sizeOf(summary.input) + summary.activationBytes + largest)
  return { weights, gradients, optimizer, activations, total: weights + gradients + optimizer + activations }
}
