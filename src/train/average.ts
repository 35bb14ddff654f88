/** Averaged weights: a mean over the last steps, often better than the weights of any one step. */
import { checkRange } from '../base/errors.ts'
import type { Model } from '../nn/model.ts'
import { hostScalar, State } from '../tensor/index.ts'

/**
 * An exponential moving average of parameters and running statistics (Polyak and Juditsky 1992). Early in a run it
 * follows faster: the decay of step t is at most (1 + t) / (10 + t).
 */
export class Averages {
  readonly #model: Model
  readonly #decay: number
  readonly #pairs: readonly (readonly [of: State, average: State])[]
  /** Steps done before this one. The trainer sets it. */
  step = 0

  /** @throws ConfigError unless the decay is in [0, 1) */
  constructor(model: Model, decay: number) {
    checkRange('fit', 'average', decay, decay >= 0 && decay < 1, 'a number in [0, 1), for instance 0.999')
    this.#model = model
    this.#decay = decay
    this.#pairs = [...model.parameters, ...model.states].map((state) => [
      state,
      new State(`average.${state.name}`, state.shape, () => (into) => into.fill(0)),
    ])
  }

  get states(): readonly State[] {
    return this.#pairs.map(([, average]) => average)
  }

  /** Begins with the weights the model has now. */
  async begin(): Promise<void> {
    for (const [state, average] of this.#pairs) await average.load(await state.data())
  }

  /** Moves the averages towards the weights. Part of a step, behind the optimizer. */
  update(): void {
    const rest = hostScalar(() => 1 - Math.min(this.#decay, (1 + this.step) / (10 + this.step)))
    for (const [state, average] of this.#pairs) {
      const before = average.value
      average.assign(before.add(state.value.sub(before).mul(rest)))
    }
  }

  /** Runs `body` while the model has the averaged weights. */
  async within<T>(body: () => Promise<T>): Promise<T> {
    const own = await this.#model.save()
    try {
      for (const [state, average] of this.#pairs) await state.load(await average.data())
      return await body()
    } finally {
      await this.#model.load(own)
    }
  }
}
