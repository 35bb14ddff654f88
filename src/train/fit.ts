/** `fit`: from a net and data to a trained model. */
import { nextTurn } from '#platform'
import { ConfigError, ShapeError } from '../base/errors.ts'
import { sameShape, showShape } from '../base/shape.ts'
import { type Dataset, labelsOf, split } from '../data/dataset.ts'
import { augmentBatch } from '../data/index.ts'
import type { Layer } from '../nn/layer.ts'
import { init, type Model } from '../nn/model.ts'
import type { Optimizer } from '../optim/index.ts'
import { crossEntropy, describeDevice, type Tensor, tensor } from '../tensor/index.ts'
import { answerOfModel, type Loss, logitsOf } from './evaluate.ts'
import type { EndEvent, EpochEvent } from './events.ts'
import { identityOf } from './identity.ts'
import { checkAgainst, type FitOptions, readOptions, type Settings } from './options.ts'
import { Training } from './training.ts'

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

const defaultBatchSize = 64

function isModel(net: Layer | Model): net is Model {
  return typeof net === 'function'
}

/**
 * Trains a net on a data set.
 * @param net a description, whose parameters are then made from the seed, or a model to train further
 * @throws ConfigError on options that make no sense, ShapeError when net and data do not fit. When the loss is no number
 * any more: a ConfigError that names the step; the model keeps the weights of the step before
 * @example
 * const run = await fit(simpleCnn(), data.train, { epochs: 5, seed: 1, onEvent: console.log })
 */
export async function fit(net: Layer | Model, dataset: Dataset, options: FitOptions = {}): Promise<Run> {
  const read = readOptions(options)
  const [train, held] = await parts(dataset, read.validation, read.seed)
  checkAgainst(read, train, held)
  const settings = { ...read, batchSize: read.batchSize ?? Math.min(defaultBatchSize, train.length) }
  // Splitting and making parameters take a while; what waits for the event loop comes in between.
  await nextTurn()
  const model = isModel(net) ? net : init(net, { input: train.sampleShape, seed: settings.seed })
  checkFit(model, train)
  await nextTurn()
  const { augment } = settings
  const classes = model.outputShape[model.outputShape.length - 1]
  const { backend } = await describeDevice()
  const training = new Training({
    settings,
    model,
    train,
    held,
    loss: settings.loss ?? (await defaultLoss(settings, train, model, classes)),
    augment: augment === undefined ? undefined : (x, y, key) => augmentBatch(x, y, augment, { key, classes }),
    identity: await identityOf(settings, model, train, held, backend),
  })
  const { epochs, end } = await training.run()
  return { model, epochs, end, optimizer: settings.optimizer }
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

/** Cross-entropy with the smoothing and the weights that were asked for. */
async function defaultLoss(settings: Settings, train: Dataset, model: Model, classes: number): Promise<Loss> {
  const { labelSmoothing, classWeights: asked } = settings
  const answer = answerOfModel(model)
  const logits = (output: Tensor) => logitsOf(answer, output)
  if (asked === undefined) return (output, target) => crossEntropy(logits(output), target, { labelSmoothing })
  const weights = asked === 'balanced' ? balanced(await labelsOf(train), classes) : asked
  if (weights.length !== classes || weights.some((weight) => !(weight >= 0 && Number.isFinite(weight)))) {
    throw new ConfigError({
      where: 'fit',
      what: 'the class weights do not fit the classes',
      got: `${weights.length} weights: ${weights.slice(0, 8).join(', ')}${weights.length > 8 ? ', …' : ''}`,
      expected: `${classes} numbers of at least 0, one an output`,
      fix: "give one for each class, or 'balanced'",
    })
  }
  const classWeights = tensor([...weights])
  return (output: Tensor, target: Tensor) => crossEntropy(logits(output), target, { labelSmoothing, classWeights })
}

/** samples / (classes · samples of the class), as in scikit-learn; 1 for a class without samples. */
function balanced(labels: Int32Array, classes: number): number[] {
  const counts = new Array<number>(classes).fill(0)
  for (const label of labels) counts[label]++
  const occurring = counts.filter(Boolean).length
  return counts.map((count) => (count === 0 ? 1 : labels.length / (occurring * count)))
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
