/** Curves drawn with braille characters: a character is 2 dots wide and 4 high. */
import type { Point } from './series.ts'
import { cutEnd, padEnd, padStart } from './text-width.ts'

export interface Chart {
  readonly title: string
  readonly curve: readonly Point[]
  /** Single points, drawn as •. */
  readonly marks: readonly Point[]
  /** Text of a value at the axis. */
  readonly label: (value: number) => string
  /** Where the other axis begins; it ends at the last point. */
  readonly from: number
  /** What it counts, in the singular: `epoch`. */
  readonly unit: string
  /** Values that the axis never leaves: [0, 1] for a share. */
  readonly bounds: readonly [least: number, most: number]
}

export interface ChartStyle {
  readonly axis: (text: string) => string
  readonly mark: (text: string) => string
}

const labelWidth = 6
/** Dots of a character by [row][column], as bits above U+2800. */
const dots = [
  [0x01, 0x08],
  [0x02, 0x10],
  [0x04, 0x20],
  [0x40, 0x80],
] as const
const blank = 0x2800

/**
 * Lines of a chart: title, `rows` lines of the plot with two labels at the axis, one line with where it begins and ends.
 * @param columns width of every line in characters
 */
export function drawChart(chart: Chart, columns: number, rows: number, style: ChartStyle): string[] {
  const width = columns - labelWidth - 2
  const { curve, marks } = chart
  const first = chart.from
  const last = Math.max(first, curve.at(-1)?.x ?? first, marks.at(-1)?.x ?? first)
  const column = (x: number, count: number) =>
    last === first ? 0 : Math.min(count - 1, Math.max(0, Math.floor(((x - first) / (last - first)) * count)))
  const means = columnMeans(curve, (x) => column(x, 2 * width), 2 * width)
  const [bottom, top] = range(means, marks, chart.bounds)
  // From the top, in dots or characters.
  const row = (y: number, count: number) =>
    Math.min(count - 1, Math.max(0, Math.floor(((top - y) / (top - bottom)) * count)))
  const cells = Array.from({ length: rows }, () => new Array<number>(width).fill(blank))
  trace(means, (y) => row(y, 4 * rows), cells)
  const marked = new Set(marks.map(({ x, y }) => row(y, rows) * width + column(x, width)))

  const empty = curve.length + marks.length === 0
  const lines = cells.map((line, y) => {
    const label = empty ? '' : y === 0 ? chart.label(top) : y === rows - 1 ? chart.label(bottom) : ''
    const axis = style.axis(`${padStart(label, labelWidth)} ${label === '' ? '│' : '┤'}`)
    return axis + line.map((bits, x) => (marked.has(y * width + x) ? style.mark('•') : character(bits))).join('')
  })
  const begin = shortNumber(first)
  const end = last === first ? '' : `${shortNumber(last)} ${chart.unit}${shortNumber(last) === '1' ? '' : 's'}`
  const below = `${' '.repeat(labelWidth + 2)}${begin}${padStart(end, width - begin.length)}`
  return [padEnd(cutEnd(chart.title, columns), columns), ...lines, style.axis(below)]
}

function shortNumber(x: number): string {
  return String(Number(x.toFixed(x < 10 ? 2 : 1)))
}

/** A blank where no dot is set: not every font leaves braille's own blank empty. */
function character(bits: number): string {
  return bits === blank ? ' ' : String.fromCharCode(bits)
}

/** Mean of the points in each column of dots; undefined where there are none. */
function columnMeans(curve: readonly Point[], column: (x: number) => number, count: number): (number | undefined)[] {
  const sums = new Float64Array(count)
  const counts = new Uint32Array(count)
  for (const { x, y } of curve) {
    const i = column(x)
    sums[i] += y
    counts[i]++
  }
  return Array.from(sums, (sum, i) => (counts[i] === 0 ? undefined : sum / counts[i]))
}

/** Share of the columns that may lie outside: the first steps of a training are far above all others. */
const outliers = 0.03

function range(
  means: readonly (number | undefined)[],
  marks: readonly Point[],
  [least, most]: readonly [number, number],
): [bottom: number, top: number] {
  const sorted = means.filter((value) => value !== undefined).sort((a, b) => a - b)
  const beside = Math.floor(sorted.length * outliers)
  const inside = [...sorted.slice(beside, sorted.length - beside), ...marks.map(({ y }) => y)]
  if (inside.length === 0) return [0, 1]
  let bottom = Math.min(...inside)
  let top = Math.max(...inside)
  if (top - bottom < 1e-6 * Math.abs(top) + 1e-12) {
    // A straight line belongs in the middle.
    const margin = 0.05 * Math.abs(top) + 1e-6
    bottom -= margin
    top += margin
  }
  return [Math.max(least, bottom), Math.min(most, top)]
}

/** Sets the dots of a curve, upright strokes between neighbouring columns included. */
function trace(means: readonly (number | undefined)[], row: (y: number) => number, cells: number[][]): void {
  let before: { x: number; y: number } | undefined
  for (const [x, mean] of means.entries()) {
    if (mean === undefined) continue
    const y = row(mean)
    const from = before ?? { x, y }
    const steps = Math.max(1, x - from.x, Math.abs(y - from.y))
    for (let i = 0; i <= steps; i++) {
      const dotX = Math.round(from.x + ((x - from.x) * i) / steps)
      const dotY = Math.round(from.y + ((y - from.y) * i) / steps)
      cells[dotY >> 2][dotX >> 1] |= dots[dotY & 3][dotX & 1]
    }
    before = { x, y }
  }
}
