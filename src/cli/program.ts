/** The program `juanji`: its commands, and what their ends mean for the exit code. */
import { Command, CommanderError } from 'commander'
import { ConfigError, JuanjiError, ShapeError } from '../base/errors.ts'
import { version } from '../base/version.ts'
import { type AddCommand, Interrupted, makeRunner, type Progressed } from './command.ts'
import { addBench } from './commands/bench.ts'
import { addCompletion } from './commands/completion.ts'
import { addConvert } from './commands/convert.ts'
import { addDoctor } from './commands/doctor.ts'
import { addEvaluate } from './commands/evaluate.ts'
import { addExplain } from './commands/explain.ts'
import { addPredict } from './commands/predict.ts'
import { addSummary } from './commands/summary.ts'
import { addTrain } from './commands/train.ts'
import type { Io } from './io.ts'

const commands: readonly AddCommand[] = [
  addTrain,
  addEvaluate,
  addPredict,
  addSummary,
  addExplain,
  addConvert,
  addBench,
  addDoctor,
  addCompletion,
]

export const exitCodes = { success: 0, failure: 1, usage: 2, interrupted: 130 } as const

/**
 * Runs one command line.
 * @param argv what stands behind `juanji`
 * @returns the exit code: 0 success, 2 wrong usage before any work, 130 stopped by Ctrl-C, 1 any other failure
 */
export async function runProgram(argv: readonly string[], io: Io): Promise<number> {
  const state: Progressed = { begun: false, verbose: false, json: false }
  try {
    await makeProgram(io, state).parseAsync([...argv], { from: 'user' })
    return exitCodes.success
  } catch (error) {
    return report(error, io, state)
  }
}

/** The program with all its commands; what they say goes to `io`. */
export function makeProgram(io: Io, state: Progressed): Command {
  const program = new Command('juanji')
    .description('Train and use convolutional networks.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .addHelpText(
      'after',
      '\nExamples:\n  $ juanji train digits\n  $ juanji predict runs/digits-1 seven.png\n  $ juanji train --help',
    )
    .showHelpAfterError('(juanji --help lists commands and options; so does --help behind a command)')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.out.write(text),
      writeErr: (text) => io.err.write(text),
      getOutHelpWidth: () => Math.min(io.out.columns(), 110),
      getErrHelpWidth: () => Math.min(io.err.columns(), 110),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
  const run = makeRunner(io, state)
  for (const add of commands) add(program, run)
  return program
}

function report(error: unknown, io: Io, state: Progressed): number {
  if (error instanceof CommanderError) {
    return error.exitCode === 0 ? exitCodes.success : exitCodes.usage
  }
  if (error instanceof Interrupted) return exitCodes.interrupted
  const known = error instanceof JuanjiError
  const name = error instanceof Error ? error.name : 'Error'
  const message = error instanceof Error ? error.message : String(error)
  if (state.json) io.out.write(`${JSON.stringify({ event: 'error', name, message })}\n`)
  if (state.verbose && error instanceof Error) io.err.write(`${error.stack}\n`)
  io.err.write(`${name}: ${message}\n`)
  if (!known && !state.verbose)
    io.err.write('  fix       this should not happen: run it again with --verbose, and report what it prints\n')
  // What was asked for can't be done: nothing has been. A damaged file is not the user's asking.
  const usage = error instanceof ConfigError || error instanceof ShapeError
  return usage && !state.begun ? exitCodes.usage : exitCodes.failure
}
