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
  /** Default 10: too few for the live view. */
  readonly rows?: number
  readonly environment?: Readonly<Record<string, string>>
  /** Standard input. */
  readonly lines?: readonly string[]
  /** Called with everything that was written so far; may press Ctrl-C. */
  readonly watch?: (written: string, pressCtrlC: () => void) => void
  /** The same, and may press keys. Without it standard input is no terminal. */
  readonly keys?: (written: string, press: (key: string) => void) => void
}

/** Runs one command line in this process. */
export async function juanji(argv: readonly string[], place: Place = {}): Promise<Outcome> {
  let out = ''
  let err = ''
  let interrupt: (() => void) | undefined
  let press: ((key: string) => void) | undefined
  const wrote = () => {
    place.watch?.(out + err, () => interrupt?.())
    place.keys?.(out + err, (key) => press?.(key))
  }
  const stream = (add: (text: string) => void) => ({
    write(text: string) {
      add(text)
      wrote()
    },
    isTerminal: place.terminal ?? false,
    columns: () => place.columns ?? 80,
    rows: () => place.rows ?? 10,
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
    onKey(handler) {
      if (place.keys === undefined) return undefined
      press = handler
      return () => {
        press = undefined
      }
    },
    onLeave: () => () => undefined,
    inForeground: () => true,
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
