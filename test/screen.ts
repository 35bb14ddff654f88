/** A terminal without a window, for tests: what a person would see of what was written. */
import xterm from '@xterm/headless'
import type { Io, Stream } from '../src/cli/io.ts'

export interface Screen {
  readonly io: Io
  /** All that was written, one string a call. */
  readonly writes: readonly string[]
  /** Lines that are to be seen, and those above them that have scrolled away. */
  text(): Promise<{ readonly scrolled: readonly string[]; readonly seen: readonly string[] }>
  /** The lines that are to be seen, without blank ones at the end. */
  seen(): Promise<string>
  resize(columns: number, rows: number): Promise<void>
  press(key: string): void
  /** As Ctrl-C would. */
  interrupt(): void
  /** As the end of the process or Ctrl-Z would. */
  leave(): void
  foreground: boolean
  /** Whether the last thing said of the cursor is that it is hidden. */
  readonly cursorHidden: boolean
}

export interface ScreenOptions {
  readonly environment?: Readonly<Record<string, string>>
  /** Whether standard output is this screen; default true. */
  readonly out?: boolean
  /** Whether keys can be read; default true. */
  readonly keys?: boolean
}

/** @param columns and rows: the size of the terminal in characters */
export function openScreen(columns: number, rows: number, options: ScreenOptions = {}): Screen {
  const terminal = new xterm.Terminal({
    cols: columns,
    rows,
    convertEol: true,
    allowProposedApi: true,
    scrollback: 1000,
  })
  const writes: string[] = []
  const interrupts = new Set<() => void>()
  const leaving = new Set<() => void>()
  const keys = new Set<(key: string) => void>()
  const listen = <T>(handlers: Set<T>, handler: T) => {
    handlers.add(handler)
    return () => void handlers.delete(handler)
  }
  const stream = (isTerminal: boolean): Stream => ({
    write(text) {
      if (!isTerminal) return
      writes.push(text)
      terminal.write(text)
    },
    isTerminal,
    columns: () => (isTerminal ? terminal.cols : 80),
    rows: () => terminal.rows,
  })
  // What is written is read in later turns of the event loop.
  const settled = () => new Promise<void>((resolve) => terminal.write('', resolve))
  const text = async () => {
    await settled()
    const buffer = terminal.buffer.active
    const lines = Array.from({ length: buffer.length }, (_, i) => buffer.getLine(i)!.translateToString(true))
    return { scrolled: lines.slice(0, buffer.baseY), seen: lines.slice(buffer.baseY) }
  }
  const screen: Screen = {
    io: {
      out: stream(options.out ?? true),
      err: stream(true),
      environment: (name) => options.environment?.[name],
      onInterrupt: (handler) => listen(interrupts, handler),
      onKey: (handler) => ((options.keys ?? true) ? listen(keys, handler) : undefined),
      onLeave: (handler) => listen(leaving, handler),
      inForeground: () => screen.foreground,
      async *lines() {},
      quit(code) {
        throw new Error(`quit with ${code}`)
      },
    },
    writes,
    text,
    seen: async () => (await text()).seen.join('\n').trimEnd(),
    async resize(newColumns, newRows) {
      await settled()
      terminal.resize(newColumns, newRows)
    },
    press(key) {
      for (const handler of [...keys]) handler(key)
    },
    interrupt() {
      for (const handler of [...interrupts]) handler()
    },
    leave() {
      for (const handler of [...leaving]) handler()
    },
    foreground: true,
    get cursorHidden() {
      const all = writes.join('')
      return all.lastIndexOf('\u001b[?25l') > all.lastIndexOf('\u001b[?25h')
    },
  }
  return screen
}
