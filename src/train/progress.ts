/** How far a run has come: all that decides how it goes on, beside the values of weights and slots. */
import type { Field } from '../io/index.ts'
import type { Json } from '../nn/layer.ts'
import type { EpochEvent } from './events.ts'

export interface Best {
  readonly epoch: number
  readonly accuracy: number
  readonly loss: number
}

export interface Progress {
  /** The epoch in progress; 1 for the first, one more than the last when all are done. */
  epoch: number
  /** Steps done in this epoch. */
  step: number
  /** Samples of this epoch that are done. */
  samples: number
  /** Steps done in the run. */
  globalStep: number
  /** Over the samples of this epoch. */
  lossSum: number
  right: number
  /** The rate of the last step. */
  learningRate: number
  /** Spent training, in seconds, pauses left out; and in this epoch. */
  seconds: number
  epochSeconds: number
  history: EpochEvent[]
  best: Best | undefined
  /** Mean loss of the last epoch or part of one. */
  loss: number
  /** Ended before all epochs were done, on purpose. */
  stoppedEarly: boolean
}

export function newProgress(): Progress {
  return {
    epoch: 1,
    step: 0,
    samples: 0,
    globalStep: 0,
    lossSum: 0,
    right: 0,
    learningRate: 0,
    seconds: 0,
    epochSeconds: 0,
    history: [],
    best: undefined,
    loss: Number.NaN,
    stoppedEarly: false,
  }
}

/** JSON keeps every bit of a double, but has no words for NaN and ∞: they are written as text. */
function written(value: number): number | string {
  return Number.isFinite(value) ? value : String(value)
}

function readNumber(field: Field): number {
  const { value } = field
  return value === 'NaN' || value === 'Infinity' || value === '-Infinity' ? Number(value) : field.number()
}

const writtenAll = (record: object): Json =>
  Object.fromEntries(
    Object.entries(record).map(([name, value]) => [name, typeof value === 'number' ? written(value) : value]),
  )

export function progressToJson(progress: Progress): Json {
  const { best, loss, history, ...rest } = progress
  return {
    ...rest,
    loss: written(loss),
    ...(best === undefined ? {} : { best: writtenAll(best) }),
    history: history.map(writtenAll),
  }
}

/** @throws FormatError naming the field that is wrong */
export function progressFromJson(field: Field): Progress {
  const count = (name: string, least = 0) => field.get(name).integer(least)
  const number = (name: string) => readNumber(field.get(name))
  const best = field.get('best')
  return {
    epoch: count('epoch', 1),
    step: count('step'),
    samples: count('samples'),
    globalStep: count('globalStep'),
    lossSum: number('lossSum'),
    right: number('right'),
    learningRate: number('learningRate'),
    seconds: number('seconds'),
    epochSeconds: number('epochSeconds'),
    history: field.get('history').elements().map(epochFromJson),
    best: best.isThere
      ? {
          epoch: best.get('epoch').integer(1),
          accuracy: readNumber(best.get('accuracy')),
          loss: readNumber(best.get('loss')),
        }
      : undefined,
    loss: number('loss'),
    stoppedEarly: field.get('stoppedEarly').value === true,
  }
}

function epochFromJson(field: Field): EpochEvent {
  const number = (name: string) => readNumber(field.get(name))
  const held = field.get('validationAccuracy').isThere
  return {
    event: 'epoch',
    epoch: field.get('epoch').integer(1),
    epochs: field.get('epochs').integer(1),
    loss: number('loss'),
    accuracy: number('accuracy'),
    ...(held ? { validationLoss: number('validationLoss'), validationAccuracy: number('validationAccuracy') } : {}),
    learningRate: number('learningRate'),
    samplesPerSecond: number('samplesPerSecond'),
    seconds: number('seconds'),
    best: field.get('best').value === true,
  }
}
