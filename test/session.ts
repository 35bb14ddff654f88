/** Command lines on a real terminal, for tests. */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import xterm from '@xterm/headless'
import { onTestFinished } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Whether there is util-linux's command script, which makes the terminals. */
export const hasSessions = process.platform === 'linux' && spawnSync('script', ['--version']).status === 0

/** A command line on a terminal of 80×24 characters that belongs to nobody else. */
export class Session {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #ended: Promise<number>
  #written = ''
  #looked = 0
  #wrote: () => void = () => undefined
  readonly #terminal = new xterm.Terminal({ cols: 80, rows: 24, allowProposedApi: true })

  constructor(command: string) {
    const line = `stty rows 24 cols 80; ${command}`
    this.#child = spawn('script', ['-qefc', line, '/dev/null'], {
      cwd: root,
      env: { ...process.env, SHELL: '/bin/bash', TERM: 'xterm' },
    })
    // A test that fails leaves nothing running.
    onTestFinished(() => void this.#child.kill('SIGHUP'))
    this.#child.stdout.on('data', (data) => {
      this.#written += data
      this.#terminal.write(data, () => this.#wrote())
    })
    this.#ended = new Promise((resolve) => this.#child.on('close', (code) => resolve(code ?? -1)))
  }

  /** Waits until something is written behind what was waited for last. */
  async until(text: string | RegExp): Promise<string> {
    for (;;) {
      const found = new RegExp(text).exec(this.#written.slice(this.#looked))
      if (found !== null) {
        this.#looked += found.index + found[0].length
        return found[0]
      }
      await new Promise<void>((resolve) => {
        this.#wrote = resolve
      })
    }
  }

  /** Waits until the screen shows this. */
  async shows(text: RegExp): Promise<void> {
    for (;;) {
      const buffer = this.#terminal.buffer.active
      const lines = Array.from(
        { length: 24 },
        (_, i) => buffer.getLine(buffer.baseY + i)?.translateToString(true) ?? '',
      )
      if (text.test(lines.join('\n'))) return
      await new Promise<void>((resolve) => {
        this.#wrote = resolve
      })
    }
  }

  press(keys: string): void {
    this.#child.stdin.write(keys)
  }

  async end(): Promise<{ code: number; rest: string }> {
    const code = await this.#ended
    return { code, rest: this.#written.slice(this.#looked) }
  }

  /** Whether the terminal was told last that the cursor is to be seen. */
  get cursorShown(): boolean {
    return this.#written.lastIndexOf('\u001b[?25h') > this.#written.lastIndexOf('\u001b[?25l')
  }
}
