/** One update of the weights as one compiled call: augmentation, model, loss, gradients, the look at them, the update. */
import type { Precision } from '../base/dtype.ts'
import { ConfigError } from '../base/errors.ts'
import { hashString } from '../base/random.ts'
import type { Batch } from '../data/dataset.ts'
import type { Model } from '../nn/model.ts'
import type { Optimizer } from '../optim/index.ts'
import {
  type ArgumentType,
  assignIf,
  type CompiledFunction,
  compile,
  guarded,
  hostScalar,
  isFiniteNumber,
  type Parameter,
  type PlannedMemory,
  State,
  type Tensor,
  tensor,
  valueAndGrad,
} from '../tensor/index.ts'
import type { Averages } from './average.ts'
import { correct, type Loss } from './evaluate.ts'

/** Changes a batch on its way into the model: pictures, and labels where those are mixed. */
export type Augment = (x: Tensor, y: Tensor, key: Tensor) => { readonly x: Tensor; readonly y: Tensor }

export interface StepParts {
  readonly model: Model
  readonly optimizer: Optimizer
  readonly loss: Loss
  /** Largest norm of all gradients together; longer ones are shortened (Pascanu et al. 2013). */
  readonly clipNorm?: number
  readonly augment?: Augment
  readonly averages?: Averages
  readonly seed: number
  readonly precision?: Precision
  /** Batches whose gradients make one update. */
  readonly accumulate: number
}

export interface StepOutcome {
  /** Mean over the samples. */
  readonly loss: number
  readonly right: number
  readonly samples: number
  /** Norm of all gradients together, before clipping. */
  readonly gradientNorm: number
  /** Whether loss and gradients were numbers. Otherwise this batch has changed neither weights nor slots nor statistics. */
  readonly finite: boolean
}

function nothingToTrain(): ConfigError {
  return new ConfigError({
    where: 'fit',
    what: 'there is nothing to train',
    got: 'a model whose parameters are all frozen, or that has none',
    expected: 'at least one trainable parameter',
    fix: 'set trainable on those that are to learn',
  })
}

/** As PyTorch's clip_grad_norm_ does. */
const normEps = 1e-6

export class TrainStep {
  /** The key augmentation draws from, i32 [2]: a word of the seed, and the batches done so far. */
  readonly random: State
  readonly #parts: StepParts
  readonly #sums: ReadonlyMap<Parameter, State>
  #first = true
  #last = true
  /** Share of the batch in the update. */
  #share = 1
  readonly #run: CompiledFunction<[Tensor, Tensor], readonly [Tensor, Tensor, Tensor]>

  constructor(parts: StepParts) {
    this.#parts = parts
    this.random = new State('augment', [2], Int32Array.of(parts.seed ^ hashString('augment'), 0), 'i32')
    const summed = parts.accumulate > 1 ? parts.model.parameters : []
    this.#sums = new Map(
      summed.map((p) => [p, new State(`gradient.${p.name}`, p.shape, () => (into) => into.fill(0))] as const),
    )
    this.#run = compile((x: Tensor, y: Tensor) => this.#trace(x, y), { precision: parts.precision })
  }

  /** Updates the weights once. @param batches at most `accumulate` of them; their samples count equally */
  async run(batches: readonly Batch[]): Promise<StepOutcome> {
    const samples = batches.reduce((sum, { y }) => sum + y.shape[0], 0)
    let loss = 0
    let right = 0
    let norm = 0
    for (const [i, { x, y }] of batches.entries()) {
      this.#first = i === 0
      this.#last = i === batches.length - 1
      this.#share = y.shape[0] / samples
      const [batchLoss, batchRight, squares] = await this.#run(x, y)
      loss += (await batchLoss.item()) * this.#share
      right += await batchRight.item()
      norm = Math.sqrt(await squares.item())
      if (!Number.isFinite(loss + norm)) break
    }
    return { loss, right, samples, gradientNorm: norm, finite: Number.isFinite(loss + norm) }
  }

  /** What a step with batches of these types takes; where gradients are added up, the step that ends an update. */
  memory(x: ArgumentType, y: ArgumentType): Promise<PlannedMemory> {
    this.#first = this.#parts.accumulate === 1
    this.#last = true
    return this.#run.memory(x, y)
  }

  #trace(x: Tensor, y: Tensor): readonly [loss: Tensor, right: Tensor, squares: Tensor] {
    const { model, optimizer, loss, clipNorm, augment, averages } = this.#parts
    const key = this.random.value
    const input = augment === undefined ? { x, y } : augment(x, y, key)
    // Changed pictures are no bytes any more; the net wants them normalised all the same.
    const pictures = augment !== undefined && x.dtype === 'u8' ? model.normalize(input.x) : input.x
    let output: Tensor | undefined
    const [value, own] = valueAndGrad(model.parameters, () => {
      output = model(pictures)
      return loss(output, input.y)
    })
    let gradients = this.#accumulated(own)
    if (!model.parameters.some((parameter) => parameter.isTrainable)) throw nothingToTrain()
    const squares = model.parameters
      .flatMap((parameter, i) => (parameter.isTrainable ? [gradients[i].square().sum()] : []))
      .reduce((a, b) => a.add(b))
    if (guarded(() => this.#last)) {
      if (clipNorm !== undefined) {
        const factor = tensor(clipNorm).div(squares.sqrt().add(normEps)).minimum(1)
        gradients = gradients.map((gradient) => gradient.mul(factor))
      }
      optimizer.update(model.parameters, gradients)
      averages?.update()
    }
    // A loss or gradient that is no number must not reach the weights.
    assignIf(isFiniteNumber(value.add(squares)))
    if (augment !== undefined) this.random.assign(key.add(tensor(Int32Array.of(0, 1))))
    return [value, correct(output as Tensor, y), squares]
  }

  /** The gradients of this batch added to those of the batches before it. */
  #accumulated(gradients: readonly Tensor[]): readonly Tensor[] {
    if (this.#sums.size === 0) return gradients
    const first = guarded(() => this.#first)
    const last = guarded(() => this.#last)
    const share = hostScalar(() => this.#share)
    return this.#parts.model.parameters.map((parameter, i) => {
      if (!parameter.isTrainable) return gradients[i]
      const sum = this.#sums.get(parameter) as State
      const weighted = gradients[i].mul(share)
      const total = first ? weighted : sum.value.add(weighted)
      if (!last) sum.assign(total)
      return total
    })
  }
}
