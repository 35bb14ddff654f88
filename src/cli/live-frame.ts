/** What the live view shows of a training: lines of text made from what is known of it. */
import { type Chart, drawChart } from './chart.ts'
import { formatBar, formatCount, formatDuration, formatMemory, formatPercent, formatShort } from './progress.ts'
import type { Point } from './series.ts'
import { cutEnd, padEnd, textWidth } from './text-width.ts'

/** What is known of a training. Times are in milliseconds of the same clock. */
export interface LiveState {
  readonly now: number
  readonly startedAt: number
  readonly epochs: number
  readonly stepsPerEpoch: number
  readonly validationSamples: number
  readonly epoch: number
  /** Steps done in this epoch. */
  readonly step: number
  /** Means over the epoch so far; undefined before the first step. */
  readonly loss?: number
  readonly accuracy?: number
  readonly learningRate?: number
  readonly samplesPerSecond?: number
  /** When the run will be done. */
  readonly endsAt?: number
  /** Set while held-out data are measured. */
  readonly measuring?: { readonly done: number; readonly total: number }
  /** What was measured last. */
  readonly heldOut?: { readonly loss: number; readonly accuracy: number }
  readonly bestEpoch?: number
  readonly checkpoint?: { readonly epoch: number; readonly step: number; readonly at: number }
  readonly memoryBytes?: number
  /** Where the run began, in epochs: above 0 when it was resumed. */
  readonly from: number
  /** Curves over epochs: 1.5 is the middle of the second one. */
  readonly lossCurve: readonly Point[]
  readonly accuracyCurve: readonly Point[]
  readonly heldOutLosses: readonly Point[]
  readonly heldOutAccuracies: readonly Point[]
  /** The last line: keys, or what is about to happen. */
  readonly footer: string
  /** Shown in place of the charts. */
  readonly help?: readonly string[]
}

export interface FrameStyle {
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
  readonly green: (text: string) => string
}

/** The smallest terminal that has room for a frame. */
export const leastColumns = 60
export const leastRows = 15

/** Lines of a frame beside those of the plots. */
const fixedRows = 9
const leastPlotRows = 4
const mostPlotRows = 12
const mostColumns = 140
const between = '   '

/**
 * Lines that fit a terminal of at least 60×15 characters: at most `rows` - 2 of them, each at most `columns` - 1 wide.
 * Their number depends on the size of the terminal alone, so that the view stands still.
 */
export function drawFrame(state: LiveState, columns: number, rows: number, style: FrameStyle): string[] {
  const width = Math.min(columns - 1, mostColumns)
  const plotRows = Math.max(leastPlotRows, Math.min(mostPlotRows, Math.floor((rows - fixedRows) / 2)))
  return [
    '',
    ...bars(state, width, style),
    ...(state.help === undefined ? charts(state, width, plotRows, style) : helpLines(state.help, width, plotRows + 2)),
    ...facts(state, width, style),
    style.dim(cutEnd(state.footer, width)),
  ]
}

/** As many of the parts as fit, most important first. */
function fit(parts: readonly (string | undefined)[], width: number, gap = '  '): string {
  let line = ''
  for (const part of parts) {
    if (part === undefined) continue
    const longer = line === '' ? part : `${line}${gap}${part}`
    if (textWidth(longer) > width) break
    line = longer
  }
  return line
}

// ── how far ──

function bars(state: LiveState, width: number, style: FrameStyle): string[] {
  const { epoch, epochs, step, stepsPerEpoch, measuring, samplesPerSecond, endsAt, now, startedAt } = state
  const labels = [measuring === undefined ? `epoch ${epoch}/${epochs}` : 'held-out', 'run']
  const labelWidth = Math.max(`epoch ${epochs}/${epochs}`.length, labels[0].length)
  const barWidth = Math.max(10, Math.min(30, width - labelWidth - 40))
  const line = (label: string, share: number, parts: readonly (string | undefined)[]) => {
    const begin = `${padEnd(label, labelWidth)}  ${formatBar(share, barWidth)}  ${`${Math.floor(100 * share)} %`.padStart(5)}`
    return style.bold(label) + fit([begin, ...parts], width).slice(label.length)
  }
  const left = endsAt === undefined ? undefined : `${formatDuration(Math.max(0, endsAt - now) / 1000)} left`
  const done = (epoch - 1) * stepsPerEpoch + step
  return [
    measuring === undefined
      ? line(labels[0], step / stepsPerEpoch, [
          samplesPerSecond === undefined ? undefined : `${formatCount(samplesPerSecond)} images/s`,
          `step ${formatCount(step)}/${formatCount(stepsPerEpoch)}`,
        ])
      : line(labels[0], measuring.done / Math.max(1, measuring.total), [
          `${formatCount(measuring.done)}/${formatCount(measuring.total)} images`,
        ]),
    line(labels[1], done / (epochs * stepsPerEpoch), [left, `${formatDuration((now - startedAt) / 1000)} gone`]),
  ]
}

// ── curves ──

function charts(state: LiveState, width: number, rows: number, style: FrameStyle): string[] {
  const columns = Math.floor((width - between.length) / 2)
  const legend = state.heldOutLosses.length === 0 ? '' : '  • held-out'
  const charts: readonly Chart[] = [
    {
      title: `loss${legend}`,
      curve: state.lossCurve,
      marks: state.heldOutLosses,
      label: formatShort,
      from: state.from,
      unit: 'epoch',
      bounds: [0, Number.POSITIVE_INFINITY],
    },
    {
      title: `accuracy${legend}`,
      curve: state.accuracyCurve,
      marks: state.heldOutAccuracies,
      label: (share) => (share >= 0.9995 ? '100 %' : formatPercent(share, 1)),
      from: state.from,
      unit: 'epoch',
      bounds: [0, 1],
    },
  ]
  const [left, right] = charts.map((chart) => drawChart(chart, columns, rows, { axis: style.dim, mark: style.green }))
  return left.map((line, i) => `${line}${between}${right[i]}`)
}

function helpLines(help: readonly string[], width: number, rows: number): string[] {
  return Array.from({ length: rows }, (_, i) => cutEnd(help[i] ?? '', width))
}

// ── numbers ──

function facts(state: LiveState, width: number, style: FrameStyle): string[] {
  const { loss, accuracy, learningRate, heldOut, bestEpoch, checkpoint, memoryBytes, now } = state
  const scores = (of: { loss: number; accuracy: number }) => [
    `loss ${of.loss.toFixed(4)}`,
    `accuracy ${formatPercent(of.accuracy).padStart(8)}`,
  ]
  const rest = [
    learningRate === undefined ? undefined : `learning rate ${formatRate(learningRate)}`,
    memoryBytes === undefined ? undefined : `memory ${formatMemory(memoryBytes)}`,
  ]
  const ago = checkpoint === undefined ? '' : `${roughly((now - checkpoint.at) / 1000)} ago`
  const saved =
    checkpoint === undefined ? undefined : `saved at epoch ${checkpoint.epoch}, step ${checkpoint.step}, ${ago}`
  const training =
    loss === undefined || accuracy === undefined ? ['waiting for the first step'] : scores({ loss, accuracy })
  const held =
    heldOut !== undefined
      ? [...scores(heldOut), bestEpoch === undefined ? undefined : `best epoch ${bestEpoch}`]
      : [state.validationSamples === 0 ? 'none' : 'measured after each epoch']
  const line = (label: string, parts: readonly (string | undefined)[]) =>
    style.dim(padEnd(label, 8)) + between + fit(parts, width - 8 - between.length, between)
  return [
    line('training', training),
    line('held-out', held),
    // Where there is no room for all of it, how long ago is what counts.
    saved === undefined
      ? fit(rest, width, between)
      : ([fit([...rest, saved], width, between), fit([...rest, saved], width)].find((text) => text.endsWith(saved)) ??
        fit([...rest, `saved ${ago}`], width)),
  ]
}

function formatRate(rate: number): string {
  return rate < 1e-4 ? rate.toExponential(2) : String(Number(rate.toPrecision(3)))
}

/** Seconds in the largest unit only. */
function roughly(seconds: number): string {
  if (seconds < 60) return `${Math.floor(seconds)} s`
  return seconds < 3600 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`
}
