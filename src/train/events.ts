/** What a training says while it runs. Progress bars, JSON lines, files listen; the trainer knows none of them. */
export interface StartEvent {
  readonly event: 'start'
  readonly epochs: number
  readonly batchSize: number
  readonly stepsPerEpoch: number
  readonly trainSamples: number
  readonly validationSamples: number
  readonly parameters: number
  readonly learningRate: number
  readonly optimizer: string
  readonly seed: number
  readonly backend: string
  readonly threads: number
}

export interface StepEvent {
  readonly event: 'step'
  readonly epoch: number
  /** Steps done in this epoch. */
  readonly step: number
  readonly stepsPerEpoch: number
  /** Mean over the epoch so far. */
  readonly loss: number
  readonly accuracy: number
  /** Over the epoch so far, waiting for data included. */
  readonly samplesPerSecond: number
  readonly secondsLeft: number
}

export interface EpochEvent {
  readonly event: 'epoch'
  /** 1 for the first. */
  readonly epoch: number
  readonly epochs: number
  /** Mean training loss, dropout and the like included. */
  readonly loss: number
  readonly accuracy: number
  readonly validationLoss?: number
  readonly validationAccuracy?: number
  readonly samplesPerSecond: number
  readonly seconds: number
  /** Whether it is the best epoch so far, by validation accuracy. */
  readonly best: boolean
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
}

export type TrainEvent = StartEvent | StepEvent | EpochEvent | EndEvent
