/** Measuring and using a trained model. */
import { checkPrecision, type Precision, type TypedArray } from '../base/dtype.ts'
import { ConfigError, ShapeError } from '../base/errors.ts'
import type { Dataset } from '../data/dataset.ts'
import { type Answer, answerOf } from '../nn/flow.ts'
import type { Model } from '../nn/model.ts'
import { type CompiledFunction, compile, crossEntropy, softmaxInput, type Tensor, takeAlong } from '../tensor/index.ts'
import { largestBatchThatFits } from './memory.ts'
import { type Metrics, Tally } from './metrics.ts'

/** Loss of a batch: a scalar. */
export type Loss = (output: Tensor, target: Tensor) => Tensor

type Measure = CompiledFunction<[Tensor, Tensor], readonly [loss: Tensor, answers: Tensor, better: Tensor]>
const measures = new WeakMap<Model, Map<Loss, Partial<Record<Precision, Measure>>>>()
const forwards = new WeakMap<Model, CompiledFunction<[Tensor], Tensor>>()

const mostAtOnce = 256

const logitLoss: Loss = (output, target) => crossEntropy(output, target)
const probabilityLoss: Loss = (output, target) => crossEntropy(logitsOf('probabilities', output), target)

/**
 * Numbers whose softmax are the probabilities of a net that gives what `answer` says. Where a softmax ends the net, they are
 * what it was given, so that a net that is sure and wrong learns as one without a softmax does. Where that cannot be seen
 * (behind a dropout), they are logarithms; the tiny number is for those of 0, which have no gradient.
 */
export function logitsOf(answer: Answer, output: Tensor): Tensor {
  return answer === 'probabilities' ? (softmaxInput(output) ?? output.add(1e-37).log()) : output
}

/** What the net of a model gives. */
export function answerOfModel({ net, inputShape }: Model): Answer {
  return answerOf(net, inputShape)
}

function lossOrDefault(model: Model, loss: Loss | undefined): Loss {
  return loss ?? (answerOfModel(model) === 'probabilities' ? probabilityLoss : logitLoss)
}

/** How many rows have their largest value at the label's place. */
export function correct(output: Tensor, labels: Tensor): Tensor {
  return output.argmax().equal(labels).cast('f32').sum()
}

/** How many outputs of each row are larger than that of its label; all, when that is no number. */
function larger(output: Tensor, labels: Tensor): Tensor {
  const own = takeAlong(output, labels).reshape([...labels.shape, 1])
  return output
    .lessEqual(own)
    .cast('f32')
    .sum(-1)
    .neg()
    .add(output.shape[output.ndim - 1])
}

/** Runs `body` with the model in inference mode. */
export async function inferring<T>(model: Model, body: () => Promise<T>): Promise<T> {
  const { training } = model
  model.eval()
  try {
    return await body()
  } finally {
    model.train(training)
  }
}

export interface Evaluation extends Metrics {
  /** Mean over the samples. */
  readonly loss: number
}

export interface EvaluateOptions {
  /** Default 256. */
  readonly batchSize?: number
  /** Default: crossEntropy, of logits or of what a softmax at the end of the net gives. */
  readonly loss?: Loss
  /** As for `fit`; default `'f32'`. */
  readonly precision?: Precision
  /** Called with the samples done so far. */
  readonly onProgress?: (done: number, total: number) => void
  /** Stops after the batch in progress with the signal's reason. */
  readonly signal?: AbortSignal
}

/**
 * Loss, accuracy and metrics of each class of a model on a data set, in inference mode.
 * @throws ConfigError when the data set is empty, ShapeError when it has more classes than the model has outputs
 */
export async function evaluate(model: Model, dataset: Dataset, options: EvaluateOptions = {}): Promise<Evaluation> {
  if (dataset.length === 0) {
    throw new ConfigError({
      where: 'evaluate',
      what: 'the data set is empty',
      expected: 'at least one sample',
      fix: 'check where the data come from',
    })
  }
  const outputs = model.outputShape[model.outputShape.length - 1]
  if (dataset.classes.length > outputs) {
    throw new ShapeError({
      where: 'evaluate',
      what: 'the data have more classes than the model has outputs',
      got: `${dataset.classes.length} classes, ${outputs} outputs`,
      expected: 'at most one class an output',
      fix: 'measure with data of the classes the model was trained on',
    })
  }
  const loss = lossOrDefault(model, options.loss)
  const { precision = 'f32' } = options
  checkPrecision('evaluate', precision)
  const byLoss = measures.get(model) ?? new Map<Loss, Partial<Record<Precision, Measure>>>()
  measures.set(model, byLoss)
  const known = byLoss.get(loss)
  let measure = known?.[precision]
  if (measure === undefined) {
    const outcome = (x: Tensor, y: Tensor) => {
      const output = model(x)
      return [loss(output, y), output.argmax(), larger(output, y)] as const
    }
    measure = compile(outcome, { precision })
    byLoss.set(loss, { ...known, [precision]: measure })
  }
  const run = measure
  return inferring(model, async () => {
    const tally = new Tally(outputs, dataset.classes)
    let lossSum = 0
    let done = 0
    const size = options.batchSize ?? (await batchThatFits(run, dataset))
    for await (const { x, y } of dataset.batches({ size })) {
      options.signal?.throwIfAborted()
      const [batchLoss, answers, better] = await run(x, y)
      const labels = await y.data()
      lossSum += (await batchLoss.item()) * y.size
      const predicted = await answers.data()
      const places = await better.data()
      for (let i = 0; i < labels.length; i++) tally.add(labels[i], predicted[i], places[i])
      done += y.size
      options.onProgress?.(done, dataset.length)
    }
    return { loss: lossSum / done, ...tally.metrics() }
  })
}

/** Samples at once where nobody says how many: fewer for large pictures. */
function batchThatFits(run: Measure, { length, sampleShape, dtype }: Dataset): Promise<number> {
  const memory = (size: number) => run.memory({ shape: [size, ...sampleShape], dtype }, { shape: [size], dtype: 'i32' })
  return largestBatchThatFits(memory, Math.min(mostAtOnce, length)).then((size) => Math.max(1, size))
}

/** What a classifier says of one sample. */
export interface Prediction {
  /** Class number with the highest probability. */
  readonly label: number
  /** Softmax of the outputs, unless the net itself ends in one. */
  readonly probabilities: Float64Array
}

/**
 * Probabilities of a classifier, one prediction a row of the batch.
 * @param x [batch, …sample shape]; u8 pictures or f32
 */
export async function predict(model: Model, x: Tensor): Promise<Prediction[]> {
  let forward = forwards.get(model)
  if (forward === undefined) {
    const answer = answerOfModel(model)
    forward = compile((input: Tensor) => logitsOf(answer, model(input)))
    forwards.set(model, forward)
  }
  const run = forward
  const output = await inferring(model, () => run(x))
  const logits = await output.data()
  const classes = output.shape[output.ndim - 1]
  return Array.from({ length: logits.length / classes }, (_, row) =>
    probabilitiesOf(logits.subarray(row * classes, (row + 1) * classes)),
  )
}

function probabilitiesOf(logits: TypedArray): Prediction {
  let label = 0
  for (let i = 1; i < logits.length; i++) if (logits[i] > logits[label]) label = i
  const probabilities = Float64Array.from(logits, (logit) => Math.exp(logit - logits[label]))
  const sum = probabilities.reduce((a, b) => a + b, 0)
  return { label, probabilities: probabilities.map((p) => p / sum) }
}
