/** What `fit` can be told, and the checks of it. */
import { checkPrecision, type Precision } from '../base/dtype.ts'
import { ConfigError, checkOptions, checkRange } from '../base/errors.ts'
import type { Dataset } from '../data/dataset.ts'
import { checkBatchFits, checkBatchSize } from '../data/dataset.ts'
import { type AugmentOptions, checkAugment } from '../data/index.ts'
import type { Json } from '../nn/layer.ts'
import { adam, type Optimizer } from '../optim/index.ts'
import type { TrainControl } from './control.ts'
import type { Loss } from './evaluate.ts'
import type { TrainEvent } from './events.ts'
import { type LrSchedule, type LrScheduleName, lrScheduleOf } from './lr-schedule.ts'

export interface CheckpointOptions {
  /** Folder of the run; the files go into `checkpoints/` inside it. */
  readonly folder: string
  /**
   * Seconds between two checkpoints inside an epoch; default 60. Longer where writing takes long: never more than a
   * twentieth of the time. One is written after every epoch in any case. 0 writes one after every step.
   */
  readonly everySeconds?: number
  /**
   * Called when options, data and, on resuming, the checkpoint are checked and before anything is written: the place to
   * clear or fill the folder of the run. Only whether another run's checkpoints are in the way is looked at afterwards.
   */
  readonly onBegin?: () => Promise<void>
  /** What else must be the same when the run is resumed: a hash over the files of the data, for instance. */
  readonly identity?: { readonly [name: string]: Json }
}

export interface EarlyStopping {
  /** Epochs without a better one after which the run ends. */
  readonly patience: number
  /** A better epoch is better by more than this share of right answers; default 0. */
  readonly minDelta?: number
}

export interface FitOptions {
  /** Passes over the training data; default 5. */
  readonly epochs?: number
  /** Default 64, or all samples when there are fewer. */
  readonly batchSize?: number
  /** Batches whose gradients make one update of the weights; default 1. Large batches in little memory. */
  readonly accumulate?: number
  /** Default adam(1e-3). */
  readonly optimizer?: Optimizer
  /** How the learning rate goes over the run, by name or from `lrSchedules`; default `'constant'`. */
  readonly lrSchedule?: LrScheduleName | LrSchedule
  /** Steps over which the rate rises in a straight line before the schedule begins; default 0. */
  readonly warmupSteps?: number
  /** Shortens the gradient, all parameters together, to at most this norm; default: not at all. */
  readonly clipNorm?: number
  /** Share of each label that is spread over all classes, in [0, 1); default 0 (Szegedy et al. 2016). */
  readonly labelSmoothing?: number
  /** A factor of the loss for each class, or `'balanced'`: the rarer, the larger. Default: all 1. */
  readonly classWeights?: 'balanced' | readonly number[]
  /** How pictures are changed at random on their way into the network. */
  readonly augment?: AugmentOptions
  /**
   * Decay of the average over the weights of past steps, in [0, 1), for instance 0.999. Held-out data are then measured
   * with the averaged weights, and the model ends with them.
   */
  readonly average?: number
  /** Ends the run when there is no progress on the held-out data; a number is the patience. */
  readonly earlyStopping?: number | EarlyStopping
  /** A share of the data to hold out, each class in proportion, or a data set; default 0.1. 0 for none. */
  readonly validation?: number | Dataset
  /** Decides initial weights, split, order and everything drawn at random. Default 0. */
  readonly seed?: number
  /**
   * `'bf16'` keeps activations and their gradients in half the memory and multiplies bf16, where the processor can twice
   * as fast; weights, their updates, statistics and losses stay f32. Default `'f32'`.
   */
  readonly precision?: Precision
  /** Default: crossEntropy of logits. labelSmoothing and classWeights belong to the default. */
  readonly loss?: Loss
  /** Hears everything that happens. */
  readonly onEvent?: (event: TrainEvent) => void
  /** Stops after the step in progress and writes a checkpoint; what was learned so far is kept. */
  readonly signal?: AbortSignal
  /** For what may be asked while the run goes on: a checkpoint now, an early end. */
  readonly control?: TrainControl
  /** Keeps the run on disk, so that it can be gone on with after it was stopped or killed. */
  readonly checkpoints?: CheckpointOptions
  /**
   * Goes on from the newest checkpoint of `checkpoints.folder`: the run ends with the bits of one that was never
   * stopped. `'anyway'` goes on although data, options or backend are others.
   */
  readonly resume?: boolean | 'anyway'
}

const known = [
  'epochs',
  'batchSize',
  'accumulate',
  'optimizer',
  'lrSchedule',
  'warmupSteps',
  'clipNorm',
  'labelSmoothing',
  'classWeights',
  'augment',
  'average',
  'earlyStopping',
  'validation',
  'seed',
  'precision',
  'loss',
  'onEvent',
  'signal',
  'control',
  'checkpoints',
  'resume',
] satisfies readonly (keyof FitOptions)[]

/** Options with their defaults filled in. */
export interface Settings extends FitOptions {
  readonly epochs: number
  readonly accumulate: number
  readonly optimizer: Optimizer
  readonly schedule: LrSchedule
  readonly warmupSteps: number
  readonly labelSmoothing: number
  readonly stopping: EarlyStopping | undefined
  readonly validation: number | Dataset
  readonly seed: number
  readonly precision: Precision
  readonly emit: (event: TrainEvent) => void
}

/** @throws ConfigError on unknown options and values that make no sense */
export function readOptions(options: FitOptions): Settings {
  checkOptions('fit', options, known)
  const { epochs = 5, accumulate = 1, warmupSteps = 0, labelSmoothing = 0, seed = 0, validation = 0.1 } = options
  const { precision = 'f32' } = options
  const whole = (name: string, value: number, least: number, example: string) =>
    checkRange(
      'fit',
      name,
      value,
      Number.isSafeInteger(value) && value >= least,
      `a whole number of at least ${least}, for instance ${example}`,
    )
  whole('epochs', epochs, 1, '5')
  whole('accumulate', accumulate, 1, '4')
  whole('warmupSteps', warmupSteps, 0, '500')
  checkRange('fit', 'seed', seed, Number.isSafeInteger(seed), 'a whole number')
  checkPrecision('fit', precision)
  if (options.batchSize !== undefined) checkBatchSize('fit', options.batchSize)
  const { clipNorm, checkpoints, resume = false, loss, classWeights } = options
  if (clipNorm !== undefined) checkRange('fit', 'clipNorm', clipNorm, clipNorm > 0, 'a number above 0, for instance 1')
  checkRange('fit', 'labelSmoothing', labelSmoothing, labelSmoothing >= 0 && labelSmoothing < 1, 'a share in [0, 1)')
  if (loss !== undefined && (labelSmoothing > 0 || classWeights !== undefined)) {
    throw new ConfigError({
      where: 'fit',
      what: 'labelSmoothing and classWeights belong to the default loss',
      got: 'a loss of your own beside them',
      expected: 'one or the other',
      fix: 'leave loss out, or smooth and weigh inside it: crossEntropy(output, labels, { labelSmoothing, classWeights })',
    })
  }
  if (resume !== false && checkpoints === undefined) {
    throw new ConfigError({
      where: 'fit',
      what: 'it is not said where the checkpoints are',
      got: 'resume without checkpoints',
      expected: 'the folder of the run',
      fix: "add checkpoints: { folder: '…' }",
    })
  }
  if (checkpoints !== undefined) {
    checkOptions('fit: checkpoints', checkpoints, ['folder', 'everySeconds', 'onBegin', 'identity'])
    const { everySeconds = 0 } = checkpoints
    checkRange('fit', 'checkpoints.everySeconds', everySeconds, everySeconds >= 0, 'a number of at least 0')
  }
  return {
    ...options,
    epochs,
    accumulate,
    warmupSteps,
    labelSmoothing,
    seed,
    precision,
    validation,
    optimizer: options.optimizer ?? adam(),
    schedule: lrScheduleOf(options.lrSchedule ?? 'constant', 'fit'),
    stopping: readStopping(options.earlyStopping),
    emit: options.onEvent ?? (() => {}),
  }
}

function readStopping(option: number | EarlyStopping | undefined): EarlyStopping | undefined {
  if (option === undefined) return undefined
  const stopping = typeof option === 'number' ? { patience: option } : option
  checkOptions('fit: earlyStopping', stopping, ['patience', 'minDelta'])
  const { patience, minDelta = 0 } = stopping
  checkRange('fit', 'earlyStopping', patience, Number.isInteger(patience) && patience >= 1, 'at least 1 epoch')
  checkRange('fit', 'earlyStopping.minDelta', minDelta, minDelta >= 0, 'a number of at least 0')
  return stopping
}

/** @throws ConfigError when the batch is larger than the data, or the pictures can't be changed in the way asked for */
export function checkAgainst(settings: Settings, train: Dataset, held: Dataset | undefined): void {
  const { batchSize, augment, stopping } = settings
  if (stopping !== undefined && held === undefined) {
    throw new ConfigError({
      where: 'fit',
      what: 'earlyStopping needs held-out data',
      got: 'no validation data',
      expected: 'data to see progress by',
      fix: 'hold some out (validation: 0.1), or leave earlyStopping out',
    })
  }
  if (batchSize !== undefined) checkBatchFits('fit', batchSize, train.length)
  if (augment !== undefined) checkAugment(augment, train.sampleShape)
}
