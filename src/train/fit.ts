/** The training loop. */
import { nextTurn } from '#platform'
import type { TypedArray } from '../base/dtype.ts'
import { ConfigError, didYouMean, ShapeError } from '../base/errors.ts'
import type { Shape } from '../base/shape.ts'
import { sameShape, showShape } from '../base/shape.ts'
import { checkBatchSize, type Dataset, split } from '../data/dataset.ts'
import type { Layer } from '../nn/layer.ts'
import { init, type Model } from '../nn/model.ts'
import { adam, type Optimizer } from '../optim/index.ts'
import { compile, describeDevice, type Tensor, valueAndGrad } from '../tensor/index.ts'
import { correct, evaluate, type Loss, lossOrDefault } from './evaluate.ts'
import type { EndEvent, EpochEvent, TrainEvent } from './events.ts'

export const lrSchedules = ['constant', 'cosine'] as const
export type LrSchedule = (typeof lrSchedules)[number]

export interface FitOptions {
  /** Passes over the training data; default 5. */
  readonly epochs?: number
  /** Default 64. */
  readonly batchSize?: number
  /** Default adam(1e-3). */
  readonly optimizer?: Optimizer
  /**
   * How the learning rate goes over the run: `'constant'` (default), or `'cosine'`, from the optimizer's down to 0
   * (Loshchilov and Hutter 2017, without restarts).
   */
  readonly lrSchedule?: LrSchedule
  /** A share of the data to hold out, each class in proportion, or a data set; default 0.1. 0 for none. */
  readonly validation?: number | Dataset
  /** Decides initial weights, split and order. Default 0. */
  readonly seed?: number
  /** Default: crossEntropy of logits. */
  readonly loss?: Loss
  /** Hears everything that happens. */
  readonly onEvent?: (event: TrainEvent) => void
  /** Stops after the step in progress; what was learned so far is kept. */
  readonly signal?: AbortSignal
}

export interface Run {
  /**
   * In inference mode, with the weights of the best epoch by validation; of the last one without validation; of the last
   * step when the signal stopped the run.
   */
  readonly model: Model
  readonly epochs: readonly EpochEvent[]
  readonly end: EndEvent
  readonly optimizer: Optimizer
}

function isModel(net: Layer | Model): net is Model {
  return typeof net === 'function'
}

/**
 * Trains a net on a data set.
 * @param net a description, whose parameters are then made from the seed, or a model to train further
 * @throws ConfigError on options that make no sense, ShapeError when net and data do not fit
 * @example
 * const run = await fit(simpleCnn(), data.train, { epochs: 5, seed: 1, onEvent: console.log })
 */
export async function fit(net: Layer | Model, dataset: Dataset, options: FitOptions = {}): Promise<Run> {
  const { epochs = 5, batchSize = 64, seed = 0, validation = 0.1, lrSchedule = 'constant', signal } = options
  const emit = options.onEvent ?? (() => {})
  checkBatchSize('fit', batchSize)
  if (!lrSchedules.includes(lrSchedule)) {
    throw new ConfigError({
      where: 'fit',
      what: `there is no lrSchedule '${lrSchedule}'`,
      expected: lrSchedules.join(' or '),
      fix: didYouMean(lrSchedule, lrSchedules),
    })
  }
  if (!Number.isInteger(epochs) || epochs < 1) {
    throw new ConfigError({
      where: 'fit',
      what: 'the number of epochs makes no sense',
      got: String(epochs),
      expected: 'a whole number of at least 1',
      fix: 'use for instance 5',
    })
  }
  const optimizer = options.optimizer ?? adam()
  const loss = lossOrDefault(options.loss)
  const [train, held] = await parts(dataset, validation, seed)
  // Splitting and making parameters take a while; what waits for the event loop comes in between.
  await nextTurn()
  const model = isModel(net) ? net : init(net, { input: train.sampleShape, seed })
  checkFit(model, train)

  await nextTurn()

  const step = compile((x: Tensor, y: Tensor) => {
    let output: Tensor | undefined
    const [value, gradients] = valueAndGrad(model.parameters, () => {
      output = model(x)
      return loss(output, y)
    })
    optimizer.update(model.parameters, gradients)
    return [value, correct(output as Tensor, y)] as const
  })

  const stepsPerEpoch = Math.ceil(train.length / batchSize)
  emit({
    event: 'start',
    epochs,
    batchSize,
    stepsPerEpoch,
    trainSamples: train.length,
    validationSamples: held?.length ?? 0,
    parameters: model.parameterCount,
    learningRate: optimizer.learningRate,
    optimizer: optimizer.name,
    seed,
    ...(await describeDevice()),
  })
  const history: EpochEvent[] = []
  const baseRate = optimizer.learningRate
  const rateAt = (progress: number) =>
    lrSchedule === 'cosine' ? (baseRate * (1 + Math.cos(Math.PI * progress))) / 2 : baseRate
  const begin = performance.now()
  let best:
    | {
        epoch: number
        accuracy: number
        loss: number
        weights: Map<string, { shape: Shape; data: TypedArray }> | undefined
      }
    | undefined
  let done = 0
  let meanLoss = Number.NaN
  model.train()
  try {
    for (let epoch = 1; epoch <= epochs && signal?.aborted !== true; epoch++) {
      const start = performance.now()
      let lossSum = 0
      let right = 0
      let seen = 0
      let steps = 0
      for await (const { x, y } of train.batches({ size: batchSize, seed, epoch })) {
        optimizer.learningRate = rateAt((epoch - 1 + steps / stepsPerEpoch) / epochs)
        const [batchLoss, batchRight] = await step(x, y)
        lossSum += (await batchLoss.item()) * y.size
        right += await batchRight.item()
        seen += y.size
        steps++
        const seconds = (performance.now() - start) / 1000
        const samplesPerSecond = seen / seconds
        const samplesLeft = train.length * (epochs - epoch + 1) - seen
        emit({
          event: 'step',
          epoch,
          step: steps,
          stepsPerEpoch,
          loss: lossSum / seen,
          accuracy: right / seen,
          samplesPerSecond,
          secondsLeft: samplesLeft / samplesPerSecond,
        })
        if (signal?.aborted) break
      }
      meanLoss = lossSum / seen
      if (signal?.aborted) break
      const seconds = (performance.now() - start) / 1000
      const measured = held === undefined ? undefined : await evaluate(model, held, { loss })
      const accuracy = measured?.accuracy ?? right / seen
      // Of equal accuracies the one with the smaller loss is better.
      const score = measured?.loss ?? meanLoss
      const isBest =
        best === undefined ||
        held === undefined ||
        accuracy > best.accuracy ||
        (accuracy === best.accuracy && score < best.loss)
      if (isBest)
        best = {
          epoch,
          accuracy,
          loss: score,
          weights: held === undefined || epoch === epochs ? undefined : await model.save(),
        }
      const event: EpochEvent = {
        event: 'epoch',
        epoch,
        epochs,
        loss: meanLoss,
        accuracy: right / seen,
        ...(measured === undefined ? {} : { validationLoss: measured.loss, validationAccuracy: measured.accuracy }),
        samplesPerSecond: seen / seconds,
        seconds,
        best: isBest,
      }
      history.push(event)
      done = epoch
      emit(event)
    }
  } finally {
    optimizer.learningRate = baseRate
    model.eval()
  }
  const aborted = signal?.aborted ?? false
  if (!aborted && best?.weights !== undefined && best.epoch < done) await model.load(best.weights)
  const end: EndEvent = {
    event: 'end',
    epochs: done,
    loss: meanLoss,
    bestEpoch: best?.epoch ?? done,
    seconds: (performance.now() - begin) / 1000,
    aborted,
  }
  emit(end)
  return { model, epochs: history, end, optimizer }
}

async function parts(
  dataset: Dataset,
  validation: number | Dataset,
  seed: number,
): Promise<readonly [train: Dataset, held: Dataset | undefined]> {
  if (dataset.length === 0) {
    throw new ConfigError({
      where: 'fit',
      what: 'the data set is empty',
      expected: 'at least one sample',
      fix: 'check where the data come from',
    })
  }
  if (typeof validation !== 'number') return [dataset, validation]
  return validation === 0 ? [dataset, undefined] : split(dataset, validation, seed)
}

function checkFit(model: Model, train: Dataset): void {
  if (!sameShape(model.inputShape, train.sampleShape)) {
    throw new ShapeError({
      where: 'fit',
      what: 'the model was made for other samples',
      got: `samples of shape ${showShape(train.sampleShape)}`,
      expected: showShape(model.inputShape),
      fix: 'init the model for these samples',
    })
  }
  const outputs = model.outputShape[model.outputShape.length - 1]
  if (train.classes.length > 0 && outputs < train.classes.length) {
    throw new ShapeError({
      where: 'fit',
      what: 'the model has fewer outputs than the data have classes',
      got: `${outputs} outputs, ${train.classes.length} classes`,
      expected: 'one output a class',
      fix: `end the net with nn.linear(${train.classes.length})`,
    })
  }
}
