/** Layers that put values elsewhere. Most cost nothing: they only change how a tensor is read. */
import { sizeOf } from '../../../base/shape.ts'
import type { ExportStep, OnnxExporter } from './exporter.ts'
import type { OnnxGraph, Value } from './graph.ts'
import { natural, ordered, orderOf, permuted, placesOf, reshaped, sampleShape, scattered } from './layout.ts'

/** An axis of a sample, counted from the front. */
export function sampleAxis(axis: number, shape: readonly number[]): number {
  return axis < 0 ? axis + shape.length : axis
}

/** Values as samples of another shape: without moving them, or, where they lie otherwise, from juanji's own order. */
const reshape: OnnxExporter = ({ graph, name, inputs, output }) => {
  const [x] = inputs
  const layout = reshaped(x.layout, output)
  if (layout !== undefined) return graph.view(x, layout, name)
  return graph.view(graph.natural(x, name), natural(output), name)
}

/** The value with axes of one element in front of its sample's, which no ONNX axis has yet. */
export function extended(value: Value, rank: number): Value {
  const { atoms, runs, axes } = value.layout
  const missing = rank - runs.length
  const ones = new Array<number>(missing).fill(1)
  const shifted = axes.map((axis) => axis.map((atom) => atom + missing))
  return missing === 0
    ? value
    : { ...value, layout: { atoms: [...ones, ...atoms], runs: [...ones, ...runs], axes: shifted } }
}

/**
 * Inputs that lie alike, one ONNX axis for each of the sample's: as the largest one of as many axes as the result has.
 * Samples with fewer axes get ones in front.
 */
export function alike(graph: OnnxGraph, name: string, inputs: readonly Value[], rank: number): Value[] {
  if (inputs.some(({ layout }) => layout.places !== undefined)) {
    const gathered = inputs.map((value) => (value.layout.places === undefined ? value : graph.natural(value, name)))
    return alike(graph, name, gathered, rank)
  }
  const size = ({ constant, layout }: Value) =>
    constant !== undefined || layout.runs.length < rank ? 0 : sizeOf(layout.atoms)
  const [largest] = inputs.toSorted((a, b) => size(b) - size(a))
  const own = orderOf(largest.layout)
  const rows = own !== undefined && own.length > 1 && own.every((axis, i) => axis === i)
  const order = rows
    ? Array.from({ length: rank }, (_, axis) => axis)
    : graph.plain(extended(largest, rank), name).order
  return inputs.map((value) => graph.inOrder(extended(value, rank), order, name))
}

const permute: OnnxExporter = ({ inputs, options }) => {
  const [x] = inputs
  const shape = sampleShape(x.layout)
  const order = (options.axes as readonly number[]).map((axis) => sampleAxis(axis, shape))
  return { ...x, layout: permuted(x.layout, order) }
}

type Range = readonly [start?: number | null, end?: number | null, step?: number] | null

const int64Max = 2 ** 62

const slice: OnnxExporter = ({ graph, name, inputs, options, output }) => {
  const { value, order } = graph.plain(inputs[0], name)
  const ranges = (options.ranges as unknown as readonly Range[]).flatMap((range, axis) => {
    if (range === null) return []
    const [start, end, step = 1] = range
    const forward = step > 0
    return [{ start: start ?? (forward ? 0 : int64Max), end: end ?? (forward ? int64Max : -int64Max), step, axis }]
  })
  if (ranges.length === 0) return value
  const list = (part: string, of: (range: (typeof ranges)[number]) => number) =>
    graph.integers(`${name}/${part}`, ranges.map(of))
  const places = [
    list('starts', ({ start }) => start),
    list('ends', ({ end }) => end),
    list('axes', ({ axis }) => order.indexOf(axis) + 1),
    list('steps', ({ step }) => step),
  ]
  return graph.value(name, 'Slice', [graph.use(value), ...places], {}, { ...value, layout: ordered(output, order) })
}

/** Vectors one behind the other, each lying as it does. */
function concatVectors({ graph, name, inputs }: ExportStep): Value {
  const places: number[] = []
  const names = inputs.map((value) => {
    const { layout } = value
    const vector = graph.batched(graph.arrange(value, [layout.axes.flat()], name), name)
    const before = places.length
    for (const place of placesOf(layout)) places.push(before + place)
    return graph.use(vector)
  })
  return graph.value(name, 'Concat', names, { axis: 1 }, { type: inputs[0].type, layout: scattered(places) })
}

const concat: OnnxExporter = (step) => {
  const { graph, name, inputs, options, output } = step
  if (output.length === 1) return concatVectors(step)
  const values = alike(graph, name, inputs, output.length).map((value) => graph.batched(value, name))
  const order = orderOf(values[0].layout) ?? []
  const axis = order.indexOf(sampleAxis((options.axis as number | undefined) ?? -1, output)) + 1
  const result = { type: values[0].type, layout: ordered(output, order) }
  return graph.value(
    name,
    'Concat',
    values.map((value) => graph.use(value)),
    { axis },
    result,
  )
}

const expand: OnnxExporter = ({ graph, name, inputs, output }) => {
  const [x] = alike(graph, name, inputs, output.length)
  const order = orderOf(x.layout) ?? []
  const shape = graph.integers(`${name}/shape`, [1, ...order.map((axis) => output[axis])])
  return graph.value(name, 'Expand', [graph.use(x), shape], {}, { type: x.type, layout: ordered(output, order) })
}

const tile: OnnxExporter = ({ graph, name, inputs, options, output }) => {
  const { value, order } = graph.plain(inputs[0], name)
  const repeats = options.repeats as readonly number[]
  const counts = graph.integers(`${name}/repeats`, [1, ...order.map((axis) => repeats[axis])])
  const result = { type: value.type, layout: ordered(output, order) }
  return graph.value(name, 'Tile', [graph.use(value), counts], {}, result)
}

const take: OnnxExporter = ({ graph, name, inputs, options, output }) => {
  const { value, order } = graph.plain(inputs[0], name)
  const axis = sampleAxis(options.axis as number, sampleShape(value.layout))
  const indices = options.indices as number | readonly number[]
  const one = typeof indices === 'number'
  const places = graph.constant(`${name}/indices`, 'int64', one ? [indices] : indices, one ? [] : [indices.length])
  const left = one ? order.filter((other) => other !== axis).map((other) => other - (other > axis ? 1 : 0)) : order
  const result = { type: value.type, layout: ordered(output, left) }
  return graph.value(name, 'Gather', [graph.use(value), places], { axis: order.indexOf(axis) + 1 }, result)
}

/** The tensor of numbers that say places, as Gather takes them. */
export function wholeNumbers(graph: OnnxGraph, value: Value, name: string): string {
  const whole = value.type === 'int32' || value.type === 'int64'
  return whole ? graph.use(value) : graph.node(`${name}/int32`, 'Cast', [graph.use(value)], { to: 6 })
}

/**
 * Every sample has numbers of its own: the axis comes first, and rows of it are gathered. From a table that is the same for
 * all samples, this is a Gather.
 */
const gather: OnnxExporter = (step: ExportStep): Value => {
  const { graph, name, inputs, options, output } = step
  const [data, indices] = inputs
  const shape = sampleShape(data.layout)
  const axis = sampleAxis(options.axis as number, shape)
  const places = graph.natural(indices, name)
  const count = sampleShape(indices.layout).length
  if (data.constant !== undefined && axis === 0) {
    const table = graph.table(data)
    const rows = wholeNumbers(graph, graph.batched(places, name), name)
    return graph.value(name, 'Gather', [table, rows], { axis: 0 }, { type: data.type, layout: natural(output) })
  }
  const others = shape.map((_, other) => other).filter((other) => other !== axis)
  const table = graph.batched(graph.inOrder(data, [axis, ...others], name), name)
  const whole = graph.node(`${name}/int64`, 'Cast', [graph.use(graph.batched(places, name))], { to: 7 })
  const last = graph.node(`${name}/unsqueezed`, 'Unsqueeze', [whole, graph.integers(`${name}/axis`, [-1])])
  // What comes out: the numbers' axes, then the others. In the sample they stand where the axis stood.
  const order = [
    ...Array.from({ length: count }, (_, i) => axis + i),
    ...others.map((other) => (other < axis ? other : other - 1 + count)),
  ]
  const result = { type: data.type, layout: ordered(output, order) }
  return graph.value(name, 'GatherND', [graph.use(table), last], { batch_dims: 1 }, result)
}

export const arrangings = {
  flatten: reshape,
  reshape,
  permute,
  slice,
  concat,
  expand,
  tile,
  take,
  gather,
} as const satisfies Readonly<Record<string, OnnxExporter>>
