/** Runs command lines in this process, for tests: nothing is written but into strings. */
import type { Io } from '../src/cli/io.ts'
import { runProgram } from '../src/cli/program.ts'

export interface Outcome {
  readonly code: number
  readonly out: string
  readonly err: string
}

export interface Place {
  readonly terminal?: boolean
  readonly columns?: number
  readonly environment?: Readonly<Record<string, string>>
  /** Standard input. */
  readonly lines?: readonly string[]
  /** Called with everything that was written so far; may press Ctrl-C. */
  readonly watch?: (written: string, pressCtrlC: () => void) => void
}

/** Runs one command line in this process. */
export async function juanji(argv: readonly string[], place: Place = {}): Promise<Outcome> {
  let out = ''
  let err = ''
  let interrupt: (() => void) | undefined
  const wrote = () => place.watch?.(out + err, () => interrupt?.())
  const stream = (add: (text: string) => void) => ({
    write(text: string) {
      add(text)
      wrote()
    },
    isTerminal: place.terminal ?? false,
    columns: () => place.columns ?? 80,
  })
  const io: Io = {
    out: stream((text) => {
      out += text
    }),
    err: stream((text) => {
      err += text
    }),
    environment: (name) => place.environment?.[name],
    onInterrupt(handler) {
      interrupt = handler
      return () => {
        interrupt = undefined
      }
    },
    async *lines() {
      yield* place.lines ?? []
    },
    quit(code) {
      throw new Error(`quit with ${code}`)
    },
  }
  const code = await runProgram(argv, io)
  return { code, out, err }
}

/** The lines of `--json`. */
export const events = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
