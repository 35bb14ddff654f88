/** A summary as a table that fits the terminal. */
import type { LayerSummary, Shape, Summary, TrainingMemory } from '../index.ts'
import { formatCount, formatPercent, formatTable } from './progress.ts'

export const showExtents = (shape: Shape): string => shape.join('×')

/** 11689512 as `11.7 M`. Three digits. */
export function formatShort(value: number): string {
  const units = ['', ' k', ' M', ' G', ' T']
  let scaled = value
  let unit = 0
  // 999.5 would be written as 1000.
  while (scaled >= 999.5 && unit < units.length - 1) {
    scaled /= 1000
    unit++
  }
  return unit === 0
    ? formatCount(value)
    : `${scaled.toFixed(scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0)}${units[unit]}`
}

/** Bytes as `3.1 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let scaled = bytes
  let unit = 0
  while (scaled >= 1023.5 && unit < units.length - 1) {
    scaled /= 1024
    unit++
  }
  return `${scaled.toFixed(unit > 0 && scaled < 9.95 ? 1 : 0)} ${units[unit]}`
}

interface Row {
  readonly layer: LayerSummary
  /** Its path below the layer around it. */
  readonly name: string
  readonly depth: number
  /** Whether the layers inside have rows of their own. */
  readonly open: boolean
}

/** Rows down to a depth; below it, what is inside is told as a sum. */
function rowsOf(layers: readonly LayerSummary[], around: string, depth: number, most: number): readonly Row[] {
  return layers.flatMap((layer): readonly Row[] => {
    const open = layer.layers !== undefined && depth + 1 < most
    // In a graph names may hold dots.
    const name = around === '' ? layer.path : layer.path.slice(around.length + 1)
    return [{ layer, name, depth, open }, ...(open ? rowsOf(layer.layers ?? [], layer.path, depth + 1, most) : [])]
  })
}

const tree = ({ root }: Summary, depth: number) => rowsOf(root.layers ?? [root], '', 0, depth)

/** Layers whose numbers add up to the totals: those without others inside, and those at the depth asked for. */
export function layersToDepth(summary: Summary, depth: number): readonly LayerSummary[] {
  return tree(summary, depth)
    .filter(({ open }) => !open)
    .map(({ layer }) => layer)
}

type Column = readonly [heading: string, cell: (row: Row) => string]

/** A number of a layer; blank for 0, and where the layers inside tell theirs, so that columns add up. */
const number =
  (of: (layer: LayerSummary) => number, format: (value: number) => string) =>
  ({ layer, open }: Row): string =>
    open || of(layer) === 0 ? '' : format(of(layer))

const name: Column = ['layer', ({ name: own, depth }) => '  '.repeat(depth) + own]
const type: Column = ['type', ({ layer }) => layer.type]
const output: Column = ['output', ({ layer }) => showExtents(layer.output)]
const activations: Column = ['memory', number((layer) => layer.activationBytes, formatBytes)]
const sees: Column = [
  'sees',
  ({ layer }) => (layer.receptiveField === undefined ? 'all' : formatCount(layer.receptiveField)),
]
const parameters = (heading: string, format: (value: number) => string): Column => [
  heading,
  number((layer) => layer.parameters, format),
]
const multiplyAdds = (heading: string, format: (value: number) => string): Column => [
  heading,
  number((layer) => layer.multiplyAdds, format),
]

/** From the fullest to the narrowest. */
const layouts: readonly (readonly Column[])[] = [
  [
    name,
    type,
    output,
    parameters('parameters', formatCount),
    multiplyAdds('multiply-adds', formatCount),
    activations,
    sees,
  ],
  [name, type, output, parameters('params', formatShort), multiplyAdds('MACs', formatShort), activations, sees],
  [name, type, output, parameters('params', formatShort), multiplyAdds('MACs', formatShort), sees],
  [name, output, parameters('params', formatShort), multiplyAdds('MACs', formatShort), sees],
]

/**
 * The layers as a table, those inside others indented: the fullest layout that fits.
 * @param columns characters in a line @param depth levels shown; what lies deeper is told as sums
 */
export function summaryTable(summary: Summary, columns: number, depth = Number.POSITIVE_INFINITY): string[] {
  const rows = tree(summary, depth)
  const tables = layouts.map((layout) => {
    const cells = [layout.map(([heading]) => heading), ...rows.map((row) => layout.map(([, cell]) => cell(row)))]
    return formatTable(cells, layout.indexOf(output))
  })
  const fitting = tables.find((lines) => lines.every((line) => line.length <= columns))
  return fitting ?? tables[tables.length - 1]
}

/** `11,689,512 parameters (11.69 M)`: both how many exactly, and how one says it. */
const exactly = (value: number, unit: string): string => {
  const short = value < 1e6 ? '' : value < 1e9 ? ` (${(value / 1e6).toFixed(2)} M)` : ` (${(value / 1e9).toFixed(2)} G)`
  return `${formatCount(value)} ${unit}${short}`
}

/** Totals in sentences, and what a training step is estimated to take. */
export function summaryTotals(summary: Summary, batchSize: number, memory: TrainingMemory): string[] {
  const { largest } = summary
  const frozen = summary.parameters - summary.trainable
  const states = summary.states === 0 ? '' : ` and ${formatCount(summary.states)} running statistics`
  const lines = [
    `${exactly(summary.parameters, 'parameters')}${frozen === 0 ? '' : `, ${formatCount(frozen)} of them frozen,`}${states}`,
    `${exactly(summary.multiplyAdds, 'multiply-adds')} a sample`,
    `${formatBytes(summary.activationBytes)} of activations a sample, kept while training`,
  ]
  if (largest !== undefined) {
    const share = formatPercent(largest.parameters / summary.parameters, 0)
    lines.push(
      `largest layer: ${largest.path === '' ? largest.type : largest.path}, ${formatCount(largest.parameters)} parameters (${share})`,
    )
  }
  const fixed = memory.weights + memory.gradients + memory.optimizer
  return [
    ...lines,
    '',
    `Training with Adam at batch size ${formatCount(batchSize)} takes about ${formatBytes(memory.total)} (estimate, f32):`,
    `  ${formatBytes(fixed)} for weights, their gradients and Adam's two averages`,
    `  ${formatBytes(memory.activations)} for the batch, its activations, and the largest of them once more`,
  ]
}
