/** What all commands share: how one is run, its common options, how values of options are read. */
import { type Command, InvalidArgumentError } from 'commander'
import { ConfigError, didYouMean } from '../base/errors.ts'
import { backendNames, createDevice, type Device, type DeviceOptions, useDevice } from '../engine/index.ts'
import type { Io } from './io.ts'
import { Terminal } from './terminal.ts'

/** A command that is running. */
export interface Task {
  readonly terminal: Terminal
  /** Aborted at the first Ctrl-C; the command then saves what there is and throws {@link Interrupted}. */
  readonly signal: AbortSignal
  /** From here on a wrong option is no longer a matter of usage: work has begun. */
  begin(): void
  /** All is done and saved: a Ctrl-C that came too late to stop it is forgotten. */
  complete(): void
  /** Asks the command to stop, as the first Ctrl-C does. */
  stop(): void
  /**
   * Calls the handler with every key until the command ends, Ctrl-C left out. False where no keys can be read: standard
   * input is no terminal.
   */
  onKey(handler: (key: string) => void): boolean
  /** Calls the handler when the command ends, whatever the end. */
  atEnd(handler: () => void): void
  /** Lines of standard input; there are no more after Ctrl-C. */
  lines(): AsyncIterable<string>
}

/** Thrown by a command that stopped because it was asked to. */
export class Interrupted extends Error {}

/** Adds a command to the program; `run` wraps what it does. */
export type AddCommand = (program: Command, run: Runner) => void
export type Runner = (options: CommonOptions, body: (task: Task) => Promise<void>) => Promise<void>

export interface CommonOptions {
  readonly json?: boolean
  readonly verbose?: boolean
}

export interface DeviceChoice {
  readonly backend?: string
  readonly threads?: number
  readonly precise?: boolean
}

/** What has become of a run, for the exit code. */
export interface Progressed {
  begun: boolean
  verbose: boolean
  json: boolean
}

/** Runs a command's body with its terminal and Ctrl-C: the first one asks it to stop, the second one quits. */
export function makeRunner(io: Io, state: Progressed): Runner {
  return async (options, body) => {
    state.verbose = options.verbose ?? false
    state.json = options.json ?? false
    const terminal = new Terminal(io, state.json)
    const controller = new AbortController()
    let complete = false
    const stop = () => {
      if (controller.signal.aborted) return
      controller.abort()
      terminal.note('Stopping after this step. Ctrl-C again quits at once.')
    }
    const atEnd = [
      io.onInterrupt(() => {
        if (controller.signal.aborted) io.quit(130)
        else stop()
      }),
    ]
    try {
      await body({
        terminal,
        signal: controller.signal,
        begin: () => {
          state.begun = true
        },
        complete: () => {
          complete = true
        },
        stop,
        onKey(handler) {
          const stopReading = io.onKey(handler)
          if (stopReading !== undefined) atEnd.push(stopReading)
          return stopReading !== undefined
        },
        atEnd: (handler) => void atEnd.push(handler),
        lines: () => io.lines(controller.signal),
      })
      if (controller.signal.aborted && !complete) throw new Interrupted()
    } catch (error) {
      // What the signal stopped in the middle.
      if (controller.signal.aborted && error === controller.signal.reason) throw new Interrupted()
      throw error
    } finally {
      for (const handler of atEnd) handler()
      terminal.done()
    }
  }
}

/** Adds --json and --verbose, and an example to the help. */
export function withCommonOptions(command: Command, examples: readonly string[]): Command {
  const shown = examples.map((example) => `  $ ${example}`).join('\n')
  return command
    .option('--json', 'print one JSON event a line instead of text')
    .option('--verbose', 'print the stack of an error')
    .addHelpText('after', `\nExample${examples.length > 1 ? 's' : ''}:\n${shown}`)
}

/** Adds --backend, --threads and --precise. */
export function withDeviceOptions(command: Command): Command {
  return command
    .option(
      '--backend <name>',
      `what computes: ${backendNames.join(', ')} (default: JUANJI_BACKEND, or ${backendNames[0]})`,
    )
    .option('--threads <n>', 'threads that compute (default: one a processor)', wholeNumber(1))
    .option('--precise', 'leave out algorithms that are less exact than direct summation')
}

/** Makes the device that was asked for the one that computes. @throws ConfigError on an unknown backend */
export async function chooseDevice(choice: DeviceChoice): Promise<Device> {
  const device = await createDevice(deviceOptions(choice))
  await useDevice(device)
  return device
}

/** What was asked for, as the engine wants it. @throws ConfigError on an unknown backend */
export function deviceOptions({ backend, threads, precise }: DeviceChoice): DeviceOptions {
  const name = backendNames.find((known) => known === backend)
  if (backend !== undefined && name === undefined) throw unknownName('backend', backend, backendNames)
  return { backend: name, threads, precise }
}

/** A reader for options that are whole numbers. */
export function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() === '' || !Number.isSafeInteger(value) || value < least) {
      throw new InvalidArgumentError(`expected a whole number of at least ${least}.`)
    }
    return value
  }
}

/** A reader for options that are positive numbers. */
export function positiveNumber(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0) {
    throw new InvalidArgumentError('expected a number above 0.')
  }
  return value
}

/** @throws ConfigError that suggests the nearest known name */
export function unknownName(what: string, name: string, known: readonly string[]): ConfigError {
  return new ConfigError({
    where: what,
    what: `there is no ${what} '${name}'`,
    expected: known.join(', '),
    fix: didYouMean(name, known),
  })
}

/** A reader for options that are numbers in a range. */
export function number(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() === '' || !(value >= least && value <= most)) {
      throw new InvalidArgumentError(`expected a number from ${least} to ${most}.`)
    }
    return value
  }
}
