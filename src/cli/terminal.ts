/** What a command says: lines for people, or with --json one event a line. */
import type { Io } from './io.ts'
import { formatPlainProgress, formatProgress, type Progress } from './progress.ts'

export type Event = { readonly event: string; readonly [name: string]: unknown }

const redrawMs = 80
const plainMs = 10_000

export class Terminal {
  readonly json: boolean
  /** Whether colours may be used in lines. */
  readonly colours: boolean
  readonly #io: Io
  #drawn = false
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

  /** A line for people. Nothing with --json. */
  line(text = ''): void {
    if (this.json) return
    this.#clear()
    this.#io.out.write(`${text}\n`)
  }

  lines(texts: readonly string[]): void {
    for (const text of texts) this.line(text)
  }

  /** Results in a format for programs, such as CSV. Nothing with --json. */
  data(text: string): void {
    if (this.json) return
    this.#clear()
    this.#io.out.write(text)
  }

  /** An event for programs. Nothing without --json. */
  event(event: Event): void {
    if (this.json) this.#io.out.write(`${JSON.stringify(event)}\n`)
  }

  /** A remark that belongs to no result. */
  note(text: string): void {
    this.#clear()
    this.#io.err.write(`${text}\n`)
  }

  /** How far it is: redrawn in place on a terminal, a line every ten seconds elsewhere. Costs little when called often. */
  progress(progress: Progress): void {
    if (this.json) return
    const now = performance.now()
    if (this.#io.err.isTerminal && this.#io.environment('TERM') !== 'dumb') {
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

  /** Takes the progress line away. */
  done(): void {
    this.#clear()
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

  #clear(): void {
    if (!this.#drawn) return
    this.#drawn = false
    this.#last = Number.NEGATIVE_INFINITY
    this.#io.err.write('\r\u001b[K')
  }
}
