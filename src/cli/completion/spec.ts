/** What there is to complete, read from the program itself: commands, their options, and what stands behind those. */
import type { Argument, Command, Option } from 'commander'
import { precisions } from '../../base/dtype.ts'
import { backendNames } from '../../engine/index.ts'
import { lrScheduleNames, models } from '../../index.ts'
import { datasetNames } from '../data-choice.ts'
import { layerSetNames } from '../layer-sets.ts'
import { normalizationNames } from '../model-files.ts'
import { workNames } from '../works.ts'

export interface CommandSpec {
  /** Empty for the program itself. */
  readonly name: string
  readonly description: string
  readonly options: readonly OptionSpec[]
  /** What stands at each place behind the command. */
  readonly values: readonly ValueSpec[]
}

export interface OptionSpec {
  /** `-h`, `--help`. */
  readonly flags: readonly string[]
  readonly description: string
  /** What it takes; undefined for a switch. */
  readonly value?: ValueSpec
}

export interface ValueSpec {
  /** As the help calls it: `dataset`. */
  readonly label: string
  readonly names: readonly string[]
  /** Paths that may stand here as well. */
  readonly paths: 'none' | 'folders' | 'files'
  /** Whether any number of these may follow. */
  readonly variadic: boolean
}

export interface CompletionSpec {
  readonly program: string
  /** The program itself first. */
  readonly commands: readonly CommandSpec[]
}

export const shells = ['bash', 'zsh', 'fish', 'powershell'] as const
export type Shell = (typeof shells)[number]

const architectures = Object.keys(models.architectures)

/**
 * Names that options and arguments take where their declaration does not list them as commander's choices. An argument
 * may go by its name alone or with its command. A test holds these against what the commands accept.
 */
const knownNames: Readonly<Record<string, readonly string[]>> = {
  '--arch': architectures,
  '--backend': backendNames,
  '--lr-schedule': lrScheduleNames,
  '--normalize': normalizationNames,
  '--precision': precisions,
  '--optimizer': ['adam', 'adamw', 'sgd'],
  '--padding': ['valid', 'same', 'full'],
  '--set': layerSetNames,
  '--work': workNames,
  data: datasetNames,
  'explain what': ['conv', ...architectures],
  'summary model': architectures,
  shell: shells,
}

/** @param program with all its commands */
export function readSpec(program: Command): CompletionSpec {
  const help = program.createHelp()
  const commands = help.visibleCommands(program)
  const names = commands.map((command) => command.name())
  const read = (command: Command, name: string): CommandSpec => ({
    name,
    description: command.summary() || command.description(),
    options: help.visibleOptions(command).map(readOption),
    values: command.registeredArguments.map((argument) => readArgument(argument, name, names)),
  })
  return {
    program: program.name(),
    commands: [read(program, ''), ...commands.map((command) => read(command, command.name()))],
  }
}

function readOption(option: Option): OptionSpec {
  const { short, long, description, argChoices, variadic } = option
  const flags = [short, long].filter((flag) => flag !== undefined)
  const label = /[<[]([^\]>.]+)/.exec(option.flags)?.[1]
  if (label === undefined) return { flags, description }
  const names = argChoices ?? knownNames[long ?? ''] ?? []
  return { flags, description, value: { label, names, paths: pathsOf(label), variadic } }
}

function readArgument(argument: Argument, command: string, commands: readonly string[]): ValueSpec {
  const label = argument.name()
  const known = label === 'command' ? commands : (knownNames[`${command} ${label}`] ?? knownNames[label] ?? [])
  return { label, names: argument.argChoices ?? known, paths: pathsOf(label), variadic: argument.variadic }
}

/** What the help calls a folder or a file is one; data sets are folders, models are either. */
function pathsOf(label: string): ValueSpec['paths'] {
  if (/^(folder|dir|directory|dataset|data|run)$/i.test(label)) return 'folders'
  return /^(files?|paths?|model|in|out)$/i.test(label) ? 'files' : 'none'
}

/** Options that take a value, with the command in front: `train --arch`. */
export function valuedOptions(spec: CompletionSpec): { readonly key: string; readonly value: ValueSpec }[] {
  return spec.commands.flatMap(({ name, options }) =>
    options.flatMap(({ flags, value }) =>
      value === undefined ? [] : flags.map((flag) => ({ key: `${name} ${flag}`, value })),
    ),
  )
}
