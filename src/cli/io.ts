/** The place a command runs in: the process, or a test that listens. */
import { inForeground } from '#platform'
import { readKeys } from './keyboard.ts'

export interface Stream {
  write(text: string): void
  /** Whether a person looks at it, so that a line may be redrawn. */
  readonly isTerminal: boolean
  /** Characters in a line of the terminal, at this moment. */
  columns(): number
  /** Lines of the terminal, at this moment. */
  rows(): number
}

export interface Io {
  /** Results: what a program behind a pipe wants. */
  readonly out: Stream
  /** Progress and errors. */
  readonly err: Stream
  environment(name: string): string | undefined
  /** Calls the handler at every Ctrl-C; returns how to stop listening. */
  onInterrupt(handler: () => void): () => void
  /**
   * Calls the handler with every key, a character each; Ctrl-C goes to `onInterrupt` as ever. Returns how to stop
   * listening; undefined where no keys can be read.
   */
  onKey(handler: (key: string) => void): (() => void) | undefined
  /**
   * Calls the handler before the terminal is somebody else's: when the process ends, however that comes about, and when
   * it is suspended. Returns how to stop listening.
   */
  onLeave(handler: () => void): () => void
  /** Whether the terminal is ours, not that of a shell which runs us in the background. */
  inForeground(): boolean
  /** Lines of standard input without their ends; there are no more once the signal is aborted. */
  lines(signal: AbortSignal): AsyncIterable<string>
  /** Ends the process at once. */
  quit(code: number): void
}

const onePressMs = 300
const lookMs = 1000

function streamOf(stream: NodeJS.WriteStream): Stream {
  return {
    write: (text) => void stream.write(text),
    isTerminal: stream.isTTY === true,
    columns: () => stream.columns ?? 80,
    rows: () => stream.rows ?? 24,
  }
}

export function processIo(): Io {
  // `juanji … | head` closes the pipe: nothing more is wanted, which is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
  const interrupts = new Set<() => void>()
  const leaving = new Leaving()
  return {
    out: streamOf(process.stdout),
    err: streamOf(process.stderr),
    environment: (name) => process.env[name],
    onInterrupt(handler) {
      // One Ctrl-C arrives twice where npm runs us: from the terminal, and passed on by npm.
      let last = Number.NEGATIVE_INFINITY
      const listen = () => {
        const now = performance.now()
        if (now - last > onePressMs) handler()
        last = now
      }
      process.on('SIGINT', listen)
      interrupts.add(handler)
      return () => {
        process.off('SIGINT', listen)
        interrupts.delete(handler)
      }
    },
    onKey(key) {
      const keyboard = readKeys({
        key,
        interrupt: () => {
          for (const handler of interrupts) handler()
        },
        suspend: () => leaving.now(),
      })
      if (keyboard === undefined) return undefined
      const stopListening = leaving.add(() => keyboard.leave())
      return () => {
        stopListening()
        keyboard.stop()
      }
    },
    onLeave: (handler) => leaving.add(handler),
    inForeground: watchForeground(),
    lines: standardInputLines,
    quit: (code) => process.exit(code),
  }
}

/** Signals that end a process without its 'exit' event. */
const endings = ['SIGTERM', 'SIGHUP'] as const

/** What is to be done before the terminal is left; listens to the process only while there is something. */
class Leaving {
  readonly #handlers = new Set<() => void>()
  readonly #signalled = new Map(
    endings.map((signal) => [
      signal,
      () => {
        this.now()
        this.#listen(false)
        process.kill(process.pid, signal)
      },
    ]),
  )

  now = (): void => {
    for (const handler of this.#handlers) handler()
  }

  add(handler: () => void): () => void {
    if (this.#handlers.size === 0) this.#listen(true)
    this.#handlers.add(handler)
    return () => {
      if (this.#handlers.delete(handler) && this.#handlers.size === 0) this.#listen(false)
    }
  }

  #listen(on: boolean): void {
    process[on ? 'on' : 'off']('exit', this.now)
    for (const [signal, handler] of this.#signalled) process[on ? 'on' : 'off'](signal, handler)
  }
}

/** Only a process that was stopped and continued can have changed sides, or one that is in the background. */
function watchForeground(): () => boolean {
  let known: boolean | undefined
  let looked = Number.NEGATIVE_INFINITY
  let listening = false
  return () => {
    if (!listening && process.platform !== 'win32') {
      listening = true
      process.on('SIGCONT', () => {
        known = undefined
      })
    }
    const now = performance.now()
    if (known === undefined || (!known && now - looked > lookMs)) {
      known = inForeground()
      looked = now
    }
    return known
  }
}

async function* standardInputLines(signal: AbortSignal): AsyncGenerator<string> {
  const { stdin } = process
  const stop = () => void stdin.destroy()
  signal.addEventListener('abort', stop)
  const decoder = new TextDecoder()
  let rest = ''
  try {
    for await (const chunk of stdin) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
      rest = lines.pop()!
      for (const line of lines) yield line.replace(/\r$/, '')
    }
    if (rest !== '') yield rest
  } catch (error) {
    // Destroyed while it was read.
    if (!signal.aborted) throw error
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
