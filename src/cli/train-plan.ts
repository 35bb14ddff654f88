/** All that is decided before a training begins: by the command line, by the recipe, or by the run that is resumed. */
import { absolutePath, exists, joinPath, readFile } from '#platform'
import { type Precision, precisions } from '../base/dtype.ts'
import { ConfigError } from '../base/errors.ts'
import {
  type AugmentOptions,
  checkAugment,
  chooseRecipe,
  type DataFacts,
  type LrScheduleName,
  lrScheduleNames,
  models,
  optim,
  type RecipeChoices,
} from '../index.ts'
import type { CommonOptions, DeviceChoice } from './command.ts'
import { unknownName } from './command.ts'

export const architectures = models.architectures
export type ArchitectureName = models.ArchitectureName
export const optimizerNames = ['adam', 'adamw', 'sgd'] as const
export type OptimizerName = (typeof optimizerNames)[number]

export const precisionHelp =
  'f32, or bf16: activations in half the memory, and faster where the processor multiplies bf16 (default: f32)'

/** What `juanji train` was told. */
export interface TrainOptions extends CommonOptions, DeviceChoice {
  readonly arch?: string
  readonly inputSize?: number
  readonly epochs?: number
  readonly batchSize?: number
  readonly accumulate?: number
  readonly optimizer?: string
  readonly lr?: number
  readonly lrSchedule?: string
  readonly warmupSteps?: number
  readonly weightDecay?: number
  readonly clipNorm?: number
  readonly labelSmoothing?: number
  readonly classWeights?: string
  readonly average?: number
  readonly earlyStopping?: number
  readonly augment?: string
  readonly validation?: number
  readonly test?: number
  readonly seed?: number
  readonly precision?: string
  readonly data?: string
  readonly limit?: number
  readonly cache?: number
  readonly out?: string
  readonly force?: boolean
  readonly resume?: string
  readonly resumeAnyway?: boolean
  readonly checkpointEvery?: number
  readonly plain?: boolean
  readonly demo?: boolean
}

/** Written into the run's history, and read again when it is resumed. */
export interface TrainPlan {
  /** A name, or the absolute path of a folder. */
  readonly dataset: string
  readonly data?: string
  readonly limit?: number
  /** Most MiB of decoded pictures that are kept. */
  readonly cache?: number
  readonly seed: number
  /** Runs of earlier versions do not tell: f32. */
  readonly precision?: Precision
  readonly validation: number
  readonly test: number
  readonly arch: ArchitectureName
  readonly inputShape: readonly [number, number, 1 | 3]
  readonly epochs: number
  readonly batchSize: number
  readonly accumulate: number
  readonly optimizer: OptimizerName
  readonly learningRate: number
  readonly weightDecay: number
  readonly lrSchedule: LrScheduleName
  readonly warmupSteps: number
  readonly labelSmoothing: number
  /** 0 for none, as are the ones below. */
  readonly average: number
  readonly clipNorm: number
  readonly earlyStopping: number
  readonly balanced: boolean
  readonly augment: AugmentOptions
}

/** What is asked for by name, checked before any work. @throws ConfigError with the nearest known name */
export function readChoices(options: TrainOptions): RecipeChoices {
  const { arch, optimizer, lrSchedule, classWeights } = options
  const names = Object.keys(architectures)
  if (arch !== undefined && !names.includes(arch)) throw unknownName('architecture', arch, names)
  const optimizerName = optimizerNames.find((known) => known === optimizer)
  if (optimizer !== undefined && optimizerName === undefined) throw unknownName('optimizer', optimizer, optimizerNames)
  const schedule = lrScheduleNames.find((known) => known === lrSchedule)
  if (lrSchedule !== undefined && schedule === undefined)
    throw unknownName('learning-rate schedule', lrSchedule, lrScheduleNames)
  if (classWeights !== undefined && classWeights !== 'balanced') {
    throw unknownName('class weighting', classWeights, ['balanced'])
  }
  return {
    arch,
    optimizer: optimizerName,
    lrSchedule: schedule,
    inputSize: options.inputSize,
    batchSize: options.batchSize,
    epochs: options.epochs,
    learningRate: options.lr,
    weightDecay: options.weightDecay,
    labelSmoothing: options.labelSmoothing,
    average: options.average,
    augment: options.augment === undefined ? undefined : readAugment(options.augment),
  }
}

/** @throws ConfigError on an unknown precision */
export function readPrecision(name: string | undefined): Precision | undefined {
  const precision = precisions.find((known) => known === name)
  if (name !== undefined && precision === undefined) throw unknownName('precision', name, precisions)
  return precision
}

/** A number, two numbers as `2:5`, or a word. */
function readAmount(text: string): number | string | readonly number[] {
  const numbers = text.split(':').map((part) => (part.trim() === '' ? Number.NaN : Number(part)))
  if (numbers.some(Number.isNaN)) return text
  return numbers.length === 1 ? numbers[0] : numbers
}

/** `none`, or `shift=0.1,rotate=10,flip`. What there is and in which ranges, `checkAugment` knows. */
export function readAugment(text: string): AugmentOptions {
  if (text === 'none') return {}
  const entries = text.split(',').map((part) => {
    const [name, ...value] = part.split('=').map((word) => word.trim())
    // The usual mirror is meant by the name alone.
    return [name, name === 'flip' && value.length === 0 ? 'horizontal' : readAmount(value.join('='))] as const
  })
  return Object.fromEntries(entries) as AugmentOptions
}

/** @returns the plan, and why what the recipe chose was chosen */
export function makePlan(
  dataset: string,
  facts: DataFacts,
  options: TrainOptions,
): { readonly plan: TrainPlan; readonly reasons: readonly { readonly choice: string; readonly why: string }[] } {
  const recipe = chooseRecipe(facts, readChoices(options))
  checkAugment(recipe.augment, recipe.inputShape)
  const plan: TrainPlan = {
    dataset,
    // It must be found again from another folder.
    ...(options.data === undefined ? {} : { data: absolutePath(options.data) }),
    ...(options.limit === undefined ? {} : { limit: options.limit }),
    ...(options.cache === undefined ? {} : { cache: options.cache }),
    seed: options.seed ?? 1,
    precision: readPrecision(options.precision) ?? 'f32',
    validation: options.validation ?? 0.1,
    test: options.test ?? 0.1,
    arch: recipe.arch as ArchitectureName,
    inputShape: recipe.inputShape,
    epochs: recipe.epochs,
    batchSize: recipe.batchSize,
    accumulate: options.accumulate ?? 1,
    optimizer: recipe.optimizer,
    learningRate: recipe.learningRate,
    weightDecay: recipe.weightDecay,
    lrSchedule: recipe.lrSchedule,
    warmupSteps: options.warmupSteps ?? 0,
    labelSmoothing: recipe.labelSmoothing,
    average: recipe.average,
    clipNorm: options.clipNorm ?? 0,
    earlyStopping: options.earlyStopping ?? 0,
    balanced: options.classWeights === 'balanced',
    augment: recipe.augment,
  }
  return { plan, reasons: recipe.reasons }
}

export function makeOptimizer({ optimizer, learningRate, weightDecay }: TrainPlan): optim.Optimizer {
  switch (optimizer) {
    case 'adam':
      return optim.adam(learningRate, { weightDecay })
    case 'adamw':
      return optim.adamw(learningRate, { weightDecay })
    case 'sgd':
      return optim.sgd(learningRate, { momentum: 0.9, weightDecay })
    default:
      return optimizer satisfies never
  }
}

// ── resuming ──

/** The plan of a run that was begun in this folder, with what the command line says now put in its place. */
export async function resumedPlan(folder: string, options: TrainOptions): Promise<TrainPlan> {
  const written = await readPlan(folder)
  if (written === undefined) {
    throw new ConfigError({
      where: folder,
      what: 'there is no run to resume',
      got: (await exists(folder)) ? 'a folder whose history.jsonl does not say how a run was begun' : 'no such folder',
      expected: 'the folder of a run of juanji train',
      fix: 'check the path, or begin a new run',
    })
  }
  const { validation, test, seed, limit, cache, data, accumulate, warmupSteps, clipNorm, earlyStopping } = options
  const choices = readChoices(options)
  const { inputSize, learningRate, augment, ...rest } = choices
  const now = {
    ...rest,
    learningRate,
    augment,
    validation,
    test,
    seed,
    precision: readPrecision(options.precision),
    limit,
    cache,
    data,
    accumulate,
    warmupSteps,
    clipNorm,
    earlyStopping,
    inputShape: inputSize === undefined ? undefined : [inputSize, inputSize, written.inputShape[2]],
    balanced: options.classWeights === undefined ? undefined : true,
  }
  const given = Object.fromEntries(Object.entries(now).filter(([, value]) => value !== undefined))
  return { ...written, ...given }
}

/** How a run was begun; undefined when the folder does not tell. */
export async function readPlan(folder: string): Promise<TrainPlan | undefined> {
  const path = joinPath(folder, 'history.jsonl')
  if (!(await exists(path))) return undefined
  const [head] = new TextDecoder().decode(await readFile(path)).split('\n', 1)
  try {
    const { options } = JSON.parse(head) as { options?: TrainPlan }
    if (options !== undefined && isPlan(options)) return options
  } catch {
    // It tells nothing.
  }
  return undefined
}

/** What was written by somebody else may be anything. */
function isPlan(options: TrainPlan): boolean {
  const numbers = [
    'seed',
    'validation',
    'test',
    'epochs',
    'batchSize',
    'accumulate',
    'learningRate',
    'average',
  ] as const
  return (
    typeof options.dataset === 'string' &&
    Object.hasOwn(architectures, options.arch) &&
    (optimizerNames as readonly string[]).includes(options.optimizer) &&
    lrScheduleNames.includes(options.lrSchedule) &&
    Array.isArray(options.inputShape) &&
    typeof options.augment === 'object' &&
    numbers.every((name) => typeof options[name] === 'number')
  )
}
