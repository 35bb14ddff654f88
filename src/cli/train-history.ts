/** How a run goes, on disk while it goes. */
import { processorName, runtimeName } from '#platform'
import { version } from '../base/version.ts'
import type { Device } from '../engine/index.ts'
import { type EpochEvent, writeHistory } from '../index.ts'
import type { Terminal } from './terminal.ts'
import type { TrainPlan } from './train-plan.ts'

type HistoryLine = Parameters<typeof writeHistory>[1][number]

/** history.jsonl: the head, then a line an epoch. Written after every epoch, so that a crash loses none. */
export class History {
  readonly #terminal: Terminal
  readonly #folder: string
  readonly #head: HistoryLine
  epochs: readonly EpochEvent[] = []
  /** Settles when everything so far has been written, or could not be, which is told: the next time has it all. */
  written: Promise<void> = Promise.resolve()

  constructor(terminal: Terminal, folder: string, head: HistoryLine) {
    this.#terminal = terminal
    this.#folder = folder
    this.#head = head
  }

  get lines(): readonly HistoryLine[] {
    return [this.#head, ...this.epochs.map((event) => ({ ...event }))]
  }

  write(epochs: readonly EpochEvent[]): void {
    this.epochs = epochs
    const { lines } = this
    this.written = this.written
      .then(() => writeHistory(this.#folder, lines))
      .catch((error: Error) => this.#terminal.note(`warning: ${error.message.split('\n')[0]}`))
  }
}

/** The first line: how the run was begun, and on what. */
export function historyHead(plan: TrainPlan, device: Device): HistoryLine {
  return {
    options: { ...plan } as unknown as HistoryLine,
    machine: {
      juanji: version,
      runtime: runtimeName(),
      processor: processorName() ?? 'unknown',
      backend: device.target.name,
      threads: device.backend.threads,
    },
  }
}
