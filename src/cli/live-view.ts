/** A training as one watches it: a few lines redrawn in place, with the epochs that are done above them. */
import { residentBytes } from '#platform'
import { drawFrame, leastColumns, leastRows } from './live-frame.ts'
import { formatBytes, formatCount, formatDuration, formatPercent } from './progress.ts'
import { Series, Smoothed, Unaveraged } from './series.ts'
import type { Terminal } from './terminal.ts'

/** What the view uses of the trainer's events. */
export type LiveEvent =
  | {
      readonly event: 'start'
      readonly epochs: number
      readonly stepsPerEpoch: number
      readonly validationSamples: number
      readonly learningRate: number
      readonly resumedAt?: { readonly epoch: number; readonly step: number }
      /** The epochs a resumed run has behind it. */
      readonly history?: readonly EpochDone[]
    }
  | {
      readonly event: 'step'
      readonly epoch: number
      readonly step: number
      readonly stepsPerEpoch: number
      /** Means over the epoch so far. */
      readonly loss: number
      readonly accuracy: number
      readonly learningRate?: number
      readonly samplesPerSecond: number
      readonly secondsLeft: number
    }
  | { readonly event: 'validation'; readonly epoch: number; readonly done: number; readonly total: number }
  | EpochDone
  | {
      readonly event: 'checkpoint'
      readonly path: string
      readonly epoch: number
      readonly step: number
      readonly reason: 'time' | 'epoch' | 'asked' | 'stop'
      readonly bytes: number
    }
  | { readonly event: 'warning'; readonly message: string }
  | { readonly event: 'end' }

interface EpochDone {
  readonly event: 'epoch'
  readonly epoch: number
  readonly epochs: number
  readonly loss: number
  readonly accuracy: number
  readonly validationLoss?: number
  readonly validationAccuracy?: number
  readonly samplesPerSecond: number
  readonly seconds: number
  readonly best: boolean
}

type Of<Name extends LiveEvent['event']> = Extract<LiveEvent, { readonly event: Name }>

export interface LiveViewOptions {
  /** One line of progress instead of the view. */
  readonly plain?: boolean
  /** Keys that can be pressed and what they do; default none. */
  readonly keys?: readonly KeyHelp[]
  /** Milliseconds on a clock; default performance.now. */
  readonly now?: () => number
  /** Default: the resident memory of this process. */
  readonly memory?: () => number | undefined
}

export interface KeyHelp {
  readonly key: string
  /** A word or two, for the last line of the view. */
  readonly short: string
  /** A sentence, for the help. */
  readonly long: string
}

const redrawMs = 100
/** Times left and the like go on although nothing happens. */
const idleRedrawMs = 1000
const timerMs = 250

/**
 * Listens to a training and shows it. On a terminal of at least 60×15 characters that is the live view; elsewhere one
 * line of progress, and every ten seconds a line where nothing can be redrawn. Finished epochs are ordinary lines.
 */
export class LiveView {
  readonly #terminal: Terminal
  readonly #options: LiveViewOptions
  readonly #now: () => number
  #start: Of<'start'> | undefined
  #startedAt = 0
  #step: Of<'step'> | undefined
  #stepAt = 0
  #epoch = 1
  #measuring: { readonly done: number; readonly total: number } | undefined
  #heldOut: { readonly loss: number; readonly accuracy: number } | undefined
  #bestEpoch: number | undefined
  #checkpoint: { readonly epoch: number; readonly step: number; readonly at: number } | undefined
  readonly #loss = new Curve()
  readonly #accuracy = new Curve()
  #message: string | undefined
  #showsHelp = false
  #drawnAt = Number.NEGATIVE_INFINITY
  #waiting = false
  #memory: { readonly bytes: number | undefined; readonly at: number } | undefined
  #timer: ReturnType<typeof setInterval> | undefined

  constructor(terminal: Terminal, options: LiveViewOptions = {}) {
    this.#terminal = terminal
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
  }

  handle(event: LiveEvent): void {
    switch (event.event) {
      case 'start':
        this.#begin(event)
        break
      case 'step':
        this.#takeStep(event)
        break
      case 'validation':
        this.#epoch = event.epoch
        this.#measuring = event
        break
      case 'epoch':
        this.#endEpoch(event)
        break
      case 'checkpoint':
        this.#takeCheckpoint(event)
        break
      case 'warning':
        this.#terminal.note(`warning: ${event.message}`)
        break
      case 'end':
        this.close()
        return
      default:
        event satisfies never
    }
    this.#refresh(event.event !== 'step' && event.event !== 'validation')
  }

  /** Shows the keys and what they do, or hides it. */
  toggleHelp(): void {
    if (!this.#isLive) {
      for (const line of this.#helpLines()) this.#terminal.note(line)
      return
    }
    this.#showsHelp = !this.#showsHelp
    this.#refresh(true)
  }

  /** Says what is about to happen, until something else is said. */
  say(message: string): void {
    this.#message = message
    if (this.#isLive) this.#refresh(true)
    else this.#terminal.note(message)
  }

  /** Takes the view away and leaves the terminal as it was. More than once does nothing. */
  close(): void {
    clearInterval(this.#timer)
    this.#start = undefined
    this.#terminal.done()
  }

  // ── what happens ──

  #begin(event: Of<'start'>): void {
    this.#start = event
    this.#startedAt = this.#now()
    this.#epoch = event.resumedAt?.epoch ?? 1
    for (const epoch of event.history ?? []) {
      this.#loss.addEpoch(epoch.epoch, epoch.loss)
      this.#accuracy.addEpoch(epoch.epoch, epoch.accuracy)
      this.#takeResult(epoch)
    }
    clearInterval(this.#timer)
    this.#timer = setInterval(() => {
      if (this.#waiting || this.#now() - this.#drawnAt >= idleRedrawMs) this.#refresh(true)
    }, timerMs)
    this.#timer.unref()
  }

  #takeStep(event: Of<'step'>): void {
    this.#step = event
    this.#stepAt = this.#now()
    this.#epoch = event.epoch
    this.#measuring = undefined
    const x = event.epoch - 1 + event.step / event.stepsPerEpoch
    this.#loss.add(event.epoch, x, event.step, event.loss)
    this.#accuracy.add(event.epoch, x, event.step, event.accuracy)
  }

  #endEpoch(event: EpochDone): void {
    this.#measuring = undefined
    this.#takeResult(event)
    this.#terminal.line(epochLine(event, this.#terminal.interactive ? this.#terminal.columns : undefined))
  }

  #takeResult({ epoch, best, validationLoss, validationAccuracy }: EpochDone): void {
    if (best) this.#bestEpoch = epoch
    if (validationLoss !== undefined && validationAccuracy !== undefined) {
      this.#heldOut = { loss: validationLoss, accuracy: validationAccuracy }
      this.#loss.marks.add(epoch, validationLoss)
      this.#accuracy.marks.add(epoch, validationAccuracy)
    }
  }

  #takeCheckpoint(event: Of<'checkpoint'>): void {
    const { epoch, step, path, bytes, reason } = event
    this.#checkpoint = { epoch, step, at: this.#now() }
    if (reason !== 'asked') return
    this.#message = undefined
    this.#terminal.line(`checkpoint of epoch ${epoch}, step ${step}: ${path} (${formatBytes(bytes)})`)
  }

  // ── what is seen ──

  get #isLive(): boolean {
    const { columns, rows, canPin } = this.#terminal
    return this.#options.plain !== true && canPin && columns >= leastColumns && rows >= leastRows
  }

  /** @param must although the last frame is young */
  #refresh(must: boolean): void {
    if (this.#start === undefined) return
    if (!this.#isLive) {
      this.#terminal.unpin()
      if (this.#step !== undefined) this.#terminal.progress(this.#line(this.#step))
      return
    }
    const now = this.#now()
    this.#waiting = !must && now - this.#drawnAt < redrawMs
    if (this.#waiting) return
    this.#drawnAt = now
    this.#terminal.pin(this.#frame(this.#start, now))
  }

  /** The same in one line. */
  #line(step: Of<'step'>) {
    const { epochs } = this.#start!
    if (this.#measuring !== undefined) return { label: `epoch ${this.#epoch}/${epochs}, held-out`, ...this.#measuring }
    return {
      label: `epoch ${step.epoch}/${epochs}`,
      done: step.step,
      total: step.stepsPerEpoch,
      secondsLeft: step.secondsLeft,
      rate: `${formatCount(step.samplesPerSecond)} images/s`,
      details: [`loss ${step.loss.toFixed(4)}`, `accuracy ${formatPercent(step.accuracy, 1)}`],
    }
  }

  #frame(start: Of<'start'>, now: number): string[] {
    const terminal = this.#terminal
    const step = this.#step
    const from = start.resumedAt
    return drawFrame(
      {
        now,
        startedAt: this.#startedAt,
        epochs: start.epochs,
        stepsPerEpoch: start.stepsPerEpoch,
        validationSamples: start.validationSamples,
        epoch: this.#epoch,
        step: step?.step ?? from?.step ?? 0,
        loss: step?.loss,
        accuracy: step?.accuracy,
        learningRate: step?.learningRate ?? start.learningRate,
        samplesPerSecond: step?.samplesPerSecond,
        endsAt: step === undefined ? undefined : this.#stepAt + 1000 * step.secondsLeft,
        measuring: this.#measuring,
        heldOut: this.#heldOut,
        bestEpoch: this.#bestEpoch,
        checkpoint: this.#checkpoint,
        memoryBytes: this.#memoryBytes(now),
        from: from === undefined || start.history !== undefined ? 0 : from.epoch - 1 + from.step / start.stepsPerEpoch,
        lossCurve: this.#loss.series.points(),
        accuracyCurve: this.#accuracy.series.points(),
        heldOutLosses: this.#loss.marks.points(),
        heldOutAccuracies: this.#accuracy.marks.points(),
        footer: this.#message ?? this.#keysLine(),
        help: this.#showsHelp ? this.#helpLines() : undefined,
      },
      terminal.columns,
      terminal.rows,
      {
        bold: (text) => terminal.bold(text),
        dim: (text) => terminal.dim(text),
        green: (text) => terminal.green(text),
      },
    )
  }

  #memoryBytes(now: number): number | undefined {
    if (this.#memory === undefined || now - this.#memory.at >= idleRedrawMs) {
      this.#memory = { bytes: (this.#options.memory ?? residentBytes)(), at: now }
    }
    return this.#memory.bytes
  }

  #keysLine(): string {
    const keys = this.#options.keys ?? []
    return keys.length === 0 ? 'Ctrl-C stop' : keys.map(({ key, short }) => `${key} ${short}`).join('   ')
  }

  #helpLines(): string[] {
    const keys = [
      ...(this.#options.keys ?? []),
      { key: 'Ctrl-C', long: 'stop after this step; a second time quits at once' },
    ]
    return ['keys', ...keys.map(({ key, long }) => `  ${key.padEnd(6)}  ${long}`)]
  }
}

/** A curve over epochs, from means over the epoch so far. */
class Curve {
  readonly series = new Series()
  /** What was measured on held-out data. */
  readonly marks = new Series()
  readonly #smoothed = new Smoothed()
  #unaveraged = new Unaveraged()
  #epoch = 0

  add(epoch: number, x: number, step: number, mean: number): void {
    if (epoch !== this.#epoch) this.#unaveraged = new Unaveraged()
    this.#epoch = epoch
    this.series.add(x, this.#smoothed.add(this.#unaveraged.next(step, mean)))
  }

  /** An epoch of which only the mean is known. */
  addEpoch(epoch: number, mean: number): void {
    this.series.add(epoch - 0.5, mean)
  }
}

/** One line for a finished epoch; a narrow terminal gets less. */
function epochLine(event: EpochDone, columns = Number.POSITIVE_INFINITY): string {
  const held = event.validationAccuracy === undefined ? [] : [`held-out ${formatPercent(event.validationAccuracy)}`]
  const rate = `${formatCount(event.samplesPerSecond)} images/s`
  const seconds = formatDuration(event.seconds)
  const always = [
    `epoch ${event.epoch}/${event.epochs}`,
    `loss ${event.loss.toFixed(4)}`,
    `accuracy ${formatPercent(event.accuracy)}`,
    ...held,
  ]
  const forms = [
    [...always, rate, seconds].join('   '),
    [...always, seconds].join('   '),
    [...always, seconds].join('  '),
  ]
  return forms.find((form) => form.length <= columns) ?? always.join('  ')
}
