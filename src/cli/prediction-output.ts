/** Predictions as a table, as CSV and as events. */
import type { Prediction } from '../index.ts'
import { formatBar, formatPercent } from './progress.ts'
import type { Event } from './terminal.ts'
import { cutEnd, cutStart, padEnd, textWidth } from './text-width.ts'

/** The likeliest classes of one picture, likeliest first. */
export interface Ranked {
  readonly file: string
  readonly top: readonly RankedClass[]
}

export interface RankedClass {
  readonly class: string
  readonly probability: number
}

/** @param classes names by number; a class without one goes by its number */
export function rank(file: string, prediction: Prediction, classes: readonly string[], top: number): Ranked {
  const all = Array.from(prediction.probabilities, (probability, label) => ({
    class: classes[label] ?? String(label),
    probability,
  }))
  return { file, top: all.sort((a, b) => b.probability - a.probability).slice(0, top) }
}

export function predictionEvent({ file, top }: Ranked): Event {
  return { event: 'prediction', file, class: top[0].class, probability: top[0].probability, top }
}

// ── CSV ──

/** Header of a CSV file: `file,class,probability,class2,probability2,…` and a line end. */
export function csvHeader(top: number): string {
  const names = Array.from({ length: top }, (_, i) =>
    i === 0 ? 'class,probability' : `class${i + 1},probability${i + 1}`,
  )
  return `file,${names.join(',')}\n`
}

/** One line of a CSV file, quoted as RFC 4180 says; probabilities have six digits. */
export function csvLine({ file, top }: Ranked): string {
  const cells = top.flatMap((one) => [csvCell(one.class), String(Number(one.probability.toPrecision(6)))])
  return `${[csvCell(file), ...cells].join(',')}\n`
}

function csvCell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

// ── the table ──

export interface TableOptions {
  readonly classes: readonly string[]
  /** How many classes a picture gets. */
  readonly top: number
  /** Columns of the terminal; undefined for a file or a pipe, where lines may have any length and nothing is cut. */
  readonly columns: number | undefined
  /** Whether there is but one picture. */
  readonly single: boolean
}

const percentWidth = 7
const gap = 2
const widestClass = 24
const narrowestClass = 10
const narrowestFile = 16
const widestBar = 30

/**
 * Makes a table batch by batch. One picture a line: file, then classes with their probabilities. Where that does not fit
 * the terminal, and for a single picture on one, a class a line below the file, with bars.
 * @returns a function from the next pictures to their lines
 */
export function makePredictionTable(options: TableOptions): (batch: readonly Ranked[]) => string[] {
  const { classes, top, columns, single } = options
  const longest = classes.reduce((most, name) => Math.max(most, textWidth(name)), 1)
  if (columns === undefined) {
    let fileWidth = 0
    return (batch) => {
      fileWidth = Math.max(fileWidth, ...batch.map(({ file }) => textWidth(file)))
      return batch.map((one) => row(one, fileWidth, longest))
    }
  }
  const perClass = (width: number) => gap + width + gap + percentWidth
  const most = Math.floor((columns - narrowestFile) / top) - perClass(0)
  const classWidth = Math.min(longest, widestClass, most)
  if (single || classWidth < Math.min(longest, narrowestClass))
    return (batch) => batch.flatMap((one) => block(one, columns))
  const room = columns - top * perClass(classWidth)
  let fileWidth = 0
  return (batch) => {
    fileWidth = Math.min(room, Math.max(fileWidth, ...batch.map(({ file }) => textWidth(file))))
    return batch.map((one) => row(one, fileWidth, classWidth))
  }
}

function percent(probability: number): string {
  return formatPercent(probability, 1).padStart(percentWidth)
}

function row({ file, top }: Ranked, fileWidth: number, classWidth: number): string {
  const cells = top.map((one) => `${padEnd(cutEnd(one.class, classWidth), classWidth)}  ${percent(one.probability)}`)
  return [padEnd(cutStart(file, fileWidth), fileWidth), ...cells].join('  ')
}

function block({ file, top }: Ranked, columns: number): string[] {
  const longest = Math.max(...top.map((one) => textWidth(one.class)))
  const classWidth = Math.max(1, Math.min(longest, columns - 2 * gap - percentWidth))
  const bar = Math.min(widestBar, columns - 3 * gap - classWidth - percentWidth)
  const lines = top.map((one) => {
    const text = `  ${padEnd(cutEnd(one.class, classWidth), classWidth)}  ${percent(one.probability)}`
    return bar < 4 ? text : `${text}  ${formatBar(one.probability, bar).replaceAll('░', '')}`.trimEnd()
  })
  return [cutStart(file, columns), ...lines]
}
