/** The place a command runs in: the process, or a test that listens. */

export interface Stream {
  write(text: string): void
  /** Whether a person looks at it, so that a line may be redrawn. */
  readonly isTerminal: boolean
  /** Characters in a line of the terminal, at this moment. */
  columns(): number
}

export interface Io {
  /** Results: what a program behind a pipe wants. */
  readonly out: Stream
  /** Progress and errors. */
  readonly err: Stream
  environment(name: string): string | undefined
  /** Calls the handler at every Ctrl-C; returns how to stop listening. */
  onInterrupt(handler: () => void): () => void
  /** Ends the process at once. */
  quit(code: number): void
}

const onePressMs = 300

function streamOf(stream: NodeJS.WriteStream): Stream {
  return {
    write: (text) => void stream.write(text),
    isTerminal: stream.isTTY === true,
    columns: () => stream.columns ?? 80,
  }
}

export function processIo(): Io {
  // `juanji … | head` closes the pipe: nothing more is wanted, which is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
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
      return () => process.off('SIGINT', listen)
    },
    quit: (code) => process.exit(code),
  }
}
