/** Text for numbers, times and the line that shows how far a command is. */
import { padEnd, padStart, textWidth } from './text-width.ts'

/** 12000 as `12,000`. */
export function formatCount(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

/** A share as `98.62 %`. */
export function formatPercent(share: number, digits = 2): string {
  return `${(100 * share).toFixed(digits)} %`
}

/** Bytes as people say them, in powers of ten: `812 B`, `28.9 kB`, `170.1 MB`. */
export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes) || bytes < 999.5) return `${Math.round(bytes)} B`
  const units = ['kB', 'MB', 'GB', 'TB']
  let value = bytes / 1000
  let unit = 0
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${value.toFixed(1)} ${units[unit]}`
}

/** Seconds as people say them: `0.4 s`, `45 s`, `3 min 20 s`, `2 h 5 min`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '? s'
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  const minutes = Math.round(whole / 60)
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** Memory as `312 MiB` or `1.42 GiB`. */
export function formatMemory(bytes: number): string {
  if (bytes >= 2 ** 30) return `${(bytes / 2 ** 30).toFixed(2)} GiB`
  if (bytes >= 2 ** 20) return `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MiB`
  return `${Math.ceil(bytes / 2 ** 10)} KiB`
}

/** A positive value in at most six characters: `2.31`, `0.0912`, `9.1e-4`. */
export function formatShort(value: number): string {
  if (value === 0) return '0'
  const size = Math.abs(value)
  if (size < 0.01 || size >= 1e4) return value.toExponential(1)
  return size < 100 ? value.toPrecision(3) : value.toFixed(0)
}

const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉']

/** A bar of `width` characters. */
export function formatBar(fraction: number, width: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, fraction)) * width * 8)
  const bar = '█'.repeat(Math.floor(filled / 8)) + eighths[filled % 8]
  return bar + '░'.repeat(width - bar.length)
}

export interface Progress {
  /** What is being done: `epoch 2/3`. */
  readonly label: string
  readonly done: number
  /** Undefined as long as nobody knows: then the line counts. */
  readonly total: number | undefined
  /** What is done in a second, with its unit: `3,400 images/s`. */
  readonly rate?: string
  readonly secondsLeft?: number
  /** More to know, most important first; the last ones are left out where the line is narrow. */
  readonly details?: readonly string[]
}

const widestBar = 28
const narrowestBar = 6

function parts({ done, total, rate, secondsLeft, details = [] }: Progress): string[] {
  const left = secondsLeft === undefined ? [] : [`${formatDuration(secondsLeft)} left`]
  return [
    total === undefined ? formatCount(done) : `${Math.floor((100 * done) / Math.max(1, total))} %`,
    ...left,
    ...(rate === undefined ? [] : [rate]),
    ...details,
  ]
}

/**
 * One line of at most `columns` characters: label, bar, per cent, time left, rate, details. What does not fit is left
 * out from the end, then the bar.
 */
export function formatProgress(progress: Progress, columns: number): string {
  const all = parts(progress)
  if (progress.total === undefined) {
    for (let count = all.length; count > 0; count--) {
      const text = `${progress.label}  ${all.slice(0, count).join('  ')}`
      if (text.length <= columns) return text
    }
    return progress.label.slice(0, Math.max(0, columns))
  }
  const fraction = progress.total === 0 ? 1 : progress.done / progress.total
  for (let count = all.length; count > 0; count--) {
    const text = all.slice(0, count).join('  ')
    const room = columns - progress.label.length - text.length - 4
    if (room >= narrowestBar) return `${progress.label}  ${formatBar(fraction, Math.min(room, widestBar))}  ${text}`
  }
  return `${progress.label} ${all[0]}`.slice(0, Math.max(0, columns))
}

/** The same for files and pipes: no bar. */
export function formatPlainProgress(progress: Progress): string {
  return `${progress.label}  ${parts(progress).join('  ')}`
}

/** Rows of cells as lines with aligned columns; numbers to the right. */
export function formatTable(rows: readonly (readonly string[])[], rightFrom = 1): string[] {
  const widths: number[] = []
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, textWidth(cell))
  return rows.map((row) =>
    row
      .map((cell, i) => (i >= rightFrom ? padStart(cell, widths[i]) : padEnd(cell, widths[i])))
      .join('  ')
      .trimEnd(),
  )
}
