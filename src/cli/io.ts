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
  /** Lines of standard input without their ends; there are no more once the signal is aborted. */
  lines(signal: AbortSignal): AsyncIterable<string>
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
    lines: standardInputLines,
    quit: (code) => process.exit(code),
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
