/** What a training says while it runs. Progress bars, JSON lines, files listen; the trainer knows none of them. */
export interface StartEvent {
  readonly event: 'start'
  readonly epochs: number
  /** Samples that one pass through the network takes. */
  readonly batchSize: number
  /** Updates of the weights. */
  readonly stepsPerEpoch: number
  readonly trainSamples: number
  readonly validationSamples: number
  readonly parameters: number
  readonly learningRate: number
  readonly optimizer: string
  readonly seed: number
  readonly backend: string
  readonly threads: number
  /** Where a resumed run goes on: steps done in this epoch. */
  readonly resumedAt?: { readonly epoch: number; readonly step: number }
  /** The epochs a resumed run has behind it. */
  readonly history?: readonly EpochEvent[]
}

export interface StepEvent {
  readonly event: 'step'
  readonly epoch: number
  readonly epochs: number
  /** Steps done in this epoch. */
  readonly step: number
  readonly stepsPerEpoch: number
  /** Steps done since the beginning of the run. */
  readonly globalStep: number
  /** Mean over the epoch so far. */
  readonly loss: number
  readonly accuracy: number
  /** The rate of this step. */
  readonly learningRate: number
  /** Over the epoch so far, waiting for data included. */
  readonly samplesPerSecond: number
  readonly secondsLeft: number
}

/** Progress while the held-out data are measured. */
export interface ValidationEvent {
  readonly event: 'validation'
  readonly epoch: number
  readonly done: number
  readonly total: number
}

export interface EpochEvent {
  readonly event: 'epoch'
  /** 1 for the first. */
  readonly epoch: number
  readonly epochs: number
  /** Mean training loss, dropout, augmentation and the like included. */
  readonly loss: number
  readonly accuracy: number
  readonly validationLoss?: number
  readonly validationAccuracy?: number
  /** The rate of the epoch's last step. */
  readonly learningRate: number
  readonly samplesPerSecond: number
  readonly seconds: number
  /** Whether it is the best epoch so far, by validation accuracy. */
  readonly best: boolean
}

/** Why a checkpoint was written: it was time, an epoch ended, somebody asked, the run stops. */
export type CheckpointReason = 'time' | 'epoch' | 'asked' | 'stop'

export interface CheckpointEvent {
  readonly event: 'checkpoint'
  readonly path: string
  readonly epoch: number
  /** Steps done in this epoch. */
  readonly step: number
  readonly reason: CheckpointReason
  readonly bytes: number
  readonly seconds: number
}

/** Something that does not stop the run but that people should know. */
export interface WarningEvent {
  readonly event: 'warning'
  readonly message: string
}

export interface EndEvent {
  readonly event: 'end'
  readonly epochs: number
  /** Training loss of the last epoch. */
  readonly loss: number
  /** The best epoch, whose weights the model has unless the run was aborted. */
  readonly bestEpoch: number
  readonly seconds: number
  /** Stopped by the signal before all epochs were done. */
  readonly aborted: boolean
  /** Ended before all epochs were done: there was no progress any more, or somebody asked. */
  readonly stoppedEarly: boolean
}

export type TrainEvent =
  | StartEvent
  | StepEvent
  | ValidationEvent
  | EpochEvent
  | CheckpointEvent
  | WarningEvent
  | EndEvent
