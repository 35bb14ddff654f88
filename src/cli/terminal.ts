/** What a command says: lines for people, or with --json one event a line. */
import type { Io } from './io.ts'
import { formatPlainProgress, formatProgress, type Progress } from './progress.ts'
import { textWidth } from './text-width.ts'

export type Event = { readonly event: string; readonly [name: string]: unknown }

const redrawMs = 80
const plainMs = 10_000

/** Terminals that know these show what is between them at once. */
const beginFrame = '\u001b[?2026h'
const endFrame = '\u001b[?2026l'
const wrapOff = '\u001b[?7l'
const wrapOn = '\u001b[?7h'
const hideCursor = '\u001b[?25l'
const showCursor = '\u001b[?25h'
const eraseLine = '\u001b[K'
const eraseBelow = '\u001b[J'
// biome-ignore lint/suspicious/noControlCharactersInRegex: styles are control sequences
const styles = /\u001b\[[\d;]*m/g

export class Terminal {
  readonly json: boolean
  /** Whether colours may be used in lines. */
  readonly colours: boolean
  readonly #io: Io
  /** Whether the progress line is there. */
  #drawn = false
  /** Lines that are redrawn in place below all others, and the columns each takes. */
  #pinned: { readonly lines: readonly string[]; readonly widths: readonly number[] } | undefined
  #stopListening: (() => void) | undefined
  #last = Number.NEGATIVE_INFINITY

  constructor(io: Io, json: boolean) {
    this.#io = io
    this.json = json
    this.colours = io.out.isTerminal && !(io.environment('NO_COLOR') ?? '') && io.environment('TERM') !== 'dumb'
  }

  /** Whether a person reads the results. */
  get interactive(): boolean {
    return this.#io.out.isTerminal
  }

  /** Characters in a line. */
  get columns(): number {
    return this.#io.out.columns()
  }

  /** Lines on the screen. */
  get rows(): number {
    return this.#io.out.rows()
  }

  /** Whether a person watches on a terminal that can redraw lines. */
  get canRedraw(): boolean {
    return !this.json && this.interactive && this.#io.environment('TERM') !== 'dumb'
  }

  /** Whether lines may be pinned at this moment: the terminal is not that of a shell which runs us in the background. */
  get canPin(): boolean {
    return this.canRedraw && this.#io.inForeground()
  }

  /** A line for people. Nothing with --json. */
  line(text = ''): void {
    if (this.json) return
    this.#clear()
    const lines = this.#pinned?.lines
    if (lines === undefined) this.#io.out.write(`${text}\n`)
    else this.#io.out.write(`${beginFrame}${this.#toTop()}${eraseBelow}${text}\n${this.#draw(lines)}${endFrame}`)
  }

  lines(texts: readonly string[]): void {
    for (const text of texts) this.line(text)
  }

  /** Results in a format for programs, such as CSV. Nothing with --json. */
  data(text: string): void {
    if (this.json) return
    this.done()
    this.#io.out.write(text)
  }

  /** An event for programs. Nothing without --json. */
  event(event: Event): void {
    if (this.json) this.#io.out.write(`${JSON.stringify(event)}\n`)
  }

  /** A remark that belongs to no result. */
  note(text: string): void {
    this.#clear()
    const lines = this.#pinned?.lines
    if (lines !== undefined) this.#io.out.write(`${beginFrame}${this.#toTop()}${eraseBelow}`)
    this.#io.err.write(`${text}\n`)
    if (lines !== undefined) this.#io.out.write(`${this.#draw(lines)}${endFrame}`)
  }

  /**
   * Shows lines below all others, in the place of those that were pinned before. Other lines are written above them. One
   * frame is one string, so that nothing flickers; the cursor is hidden until {@link unpin}, and shown again however the
   * process ends.
   * @param lines each shorter than the terminal is wide, and together not more than it is high
   */
  pin(lines: readonly string[]): void {
    if (!this.canPin) return
    this.#clear()
    const first = this.#pinned === undefined
    if (first) this.#stopListening = this.#io.onLeave(() => this.unpin())
    const begin = first ? `${beginFrame}${hideCursor}` : `${beginFrame}${this.#toTop()}`
    this.#io.out.write(`${begin}${this.#draw(lines)}${endFrame}`)
  }

  /** Takes pinned lines away. */
  unpin(): void {
    if (this.#pinned === undefined) return
    this.#io.out.write(`${beginFrame}${this.#toTop()}${eraseBelow}${showCursor}${endFrame}`)
    this.#pinned = undefined
    this.#stopListening?.()
  }

  /** How far it is: redrawn in place on a terminal, a line every ten seconds elsewhere. Costs little when called often. Nothing while lines are pinned. */
  progress(progress: Progress): void {
    if (this.json || this.#pinned !== undefined) return
    const now = performance.now()
    if (this.#io.err.isTerminal && this.#io.environment('TERM') !== 'dumb' && this.#io.inForeground()) {
      if (now - this.#last < redrawMs) return
      this.#last = now
      this.#io.err.write(`\r${formatProgress(progress, this.#io.err.columns() - 1)}\u001b[K`)
      this.#drawn = true
    } else {
      if (this.#last === Number.NEGATIVE_INFINITY) this.#last = now
      if (now - this.#last < plainMs) return
      this.#last = now
      this.#io.err.write(`${formatPlainProgress(progress)}\n`)
    }
  }

  /** Takes the progress line and pinned lines away. */
  done(): void {
    this.#clear()
    this.unpin()
  }

  bold(text: string): string {
    return this.#styled('1', text)
  }
  dim(text: string): string {
    return this.#styled('2', text)
  }
  green(text: string): string {
    return this.#styled('32', text)
  }
  red(text: string): string {
    return this.#styled('31', text)
  }

  #styled(code: string, text: string): string {
    return this.colours ? `\u001b[${code}m${text}\u001b[0m` : text
  }

  /** Text of a frame from its first line on; afterwards the cursor is at the end of the last one. */
  #draw(lines: readonly string[]): string {
    const columns = this.columns
    this.#pinned = { lines, widths: lines.map((line) => Math.min(columns, textWidth(line.replace(styles, '')))) }
    return `${wrapOff}${lines.map((line) => `${line}${eraseLine}`).join('\n')}${eraseBelow}${wrapOn}`
  }

  /** To the first pinned line. A terminal that has become narrower has broken lines that were too long for it. */
  #toTop(): string {
    const { widths } = this.#pinned!
    const columns = Math.max(1, this.columns)
    const above = widths.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / columns)), -1)
    return above > 0 ? `\r\u001b[${above}A` : '\r'
  }

  #clear(): void {
    if (!this.#drawn) return
    this.#drawn = false
    this.#last = Number.NEGATIVE_INFINITY
    this.#io.err.write('\r\u001b[K')
  }
}
