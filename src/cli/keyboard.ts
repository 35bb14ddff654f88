/** Single keys from the terminal, read while a command works. */
import { inForeground } from '#platform'

export interface KeyListener {
  /** A key as the character it writes, letters small. Arrows and the like are left out. */
  key(key: string): void
  /** Ctrl-C: in raw mode the terminal sends it as a character instead of a signal. */
  interrupt(): void
  /** The process is about to be suspended by Ctrl-Z: the terminal has to be left as it was. */
  suspend(): void
}

export interface Keyboard {
  /** Leaves raw mode: the process ends or is suspended. If it does not, keys are read again after a while. */
  leave(): void
  /** Leaves raw mode for good. */
  stop(): void
}

const ctrlC = '\u0003'
const ctrlZ = '\u001a'
const ctrlBackslash = '\u001c'
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what terminals send
const escapeSequence = /\u001b(?:\[[0-?]*[ -/]*[@-~]|O.|.)?/gs
/** How often to look whether the terminal is ours again. */
const lookMs = 500
/** Within this time a suspended process has stopped, if anything stops it at all. */
const suspendMs = 1000

/** The keys in what a terminal sent, Ctrl-C and the like included. */
export function keysOf(text: string): string[] {
  return [...text.replace(escapeSequence, '')].map((key) => key.toLowerCase())
}

/**
 * Puts the terminal into raw mode and reads keys, as long as the terminal is ours: a process in the background would be
 * stopped for either.
 * @returns undefined where standard input is no terminal
 */
export function readKeys(listener: KeyListener): Keyboard | undefined {
  const { stdin } = process
  if (!stdin.isTTY) return undefined
  let reading = false
  let suspendedUntil = 0

  const read = (chunk: Buffer) => {
    for (const key of keysOf(chunk.toString())) {
      if (key === ctrlC) listener.interrupt()
      else if (key === ctrlZ) suspend()
      else if (key === ctrlBackslash) quit()
      else listener.key(key)
    }
  }
  const enter = () => {
    if (reading || performance.now() < suspendedUntil || !inForeground()) return
    reading = true
    stdin.setRawMode(true)
    stdin.on('data', read)
    stdin.resume()
  }
  const leave = () => {
    if (!reading) return
    reading = false
    stdin.off('data', read)
    stdin.pause()
    if (inForeground()) stdin.setRawMode(false)
  }
  const suspend = () => {
    if (process.platform === 'win32') return
    listener.suspend()
    leave()
    suspendedUntil = performance.now() + suspendMs
    // The whole group, as the terminal would: npm, for instance, waits for us.
    process.kill(0, 'SIGTSTP')
  }
  const quit = () => {
    listener.suspend()
    leave()
    process.kill(process.pid, 'SIGQUIT')
  }
  const goOn = () => {
    suspendedUntil = 0
    leave()
    enter()
  }

  if (process.platform !== 'win32') process.on('SIGCONT', goOn)
  const timer = setInterval(enter, lookMs)
  timer.unref()
  enter()
  return {
    leave,
    stop() {
      clearInterval(timer)
      process.off('SIGCONT', goOn)
      leave()
    },
  }
}
