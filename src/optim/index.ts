/** Optimizers. The numerics are PyTorch's. */
import { ConfigError, ShapeError } from '../base/errors.ts'
import { expm1, hostScalar, type Parameter, State, type Tensor } from '../tensor/index.ts'

export interface Optimizer {
  readonly name: string
  /** Step size; may be changed at any time, compiled steps read it at every run. */
  learningRate: number
  /** Moves the parameters. Frozen ones stay. @throws ShapeError when there are not as many gradients as parameters */
  update(parameters: readonly Parameter[], gradients: readonly Tensor[]): void
  /** Slots and counters, to save and resume; made at the first update. */
  readonly states: readonly State[]
}

function check(where: string, name: string, value: number, holds: boolean, expected: string): void {
  if (holds) return
  throw new ConfigError({ where, what: `${name} makes no sense`, got: String(value), expected, fix: `correct ${name}` })
}

/** Slots of zeros beside each parameter, and the loop all optimizers share. */
class Slots {
  readonly states: State[] = []
  readonly #slots = new Map<Parameter, readonly State[]>()
  readonly #names: readonly string[]

  constructor(names: readonly string[]) {
    this.#names = names
  }

  of(parameter: Parameter): readonly State[] {
    let slots = this.#slots.get(parameter)
    if (slots === undefined) {
      slots = this.#names.map(
        (name) => new State(`${parameter.name}.${name}`, parameter.shape, () => (into) => into.fill(0)),
      )
      this.#slots.set(parameter, slots)
      this.states.push(...slots)
    }
    return slots
  }
}

function each(
  where: string,
  parameters: readonly Parameter[],
  gradients: readonly Tensor[],
  move: (p: Parameter, g: Tensor) => void,
): void {
  if (parameters.length !== gradients.length) {
    throw new ShapeError({
      where,
      what: 'there are not as many gradients as parameters',
      got: `${gradients.length} gradients, ${parameters.length} parameters`,
      expected: 'the gradients that valueAndGrad gives for these parameters',
      fix: 'give valueAndGrad and update the same list',
    })
  }
  for (const [i, parameter] of parameters.entries()) if (parameter.isTrainable) move(parameter, gradients[i])
}

export interface SgdOptions {
  /** In [0, 1); default 0. */
  readonly momentum?: number
  /** Looks ahead along the momentum (Sutskever et al. 2013); needs momentum. */
  readonly nesterov?: boolean
  /** Added to the gradient, times the parameter, wherever the parameter decays; default 0. */
  readonly weightDecay?: number
}

/**
 * Stochastic gradient descent: v = momentum · v + g; p = p - learningRate · v.
 * @throws ConfigError on values out of range
 */
export function sgd(learningRate = 0.01, options: SgdOptions = {}): Optimizer {
  const { momentum = 0, nesterov = false, weightDecay = 0 } = options
  check('optim.sgd', 'learningRate', learningRate, learningRate >= 0, 'a number of at least 0')
  check('optim.sgd', 'momentum', momentum, momentum >= 0 && momentum < 1, 'a number in [0, 1)')
  check('optim.sgd', 'weightDecay', weightDecay, weightDecay >= 0, 'a number of at least 0')
  const slots = new Slots(momentum === 0 ? [] : ['momentum'])
  const optimizer: Optimizer = {
    name: 'sgd',
    learningRate,
    states: slots.states,
    update(parameters, gradients) {
      const rate = hostScalar(() => optimizer.learningRate)
      each('optim.sgd', parameters, gradients, (parameter, gradient) => {
        const p = parameter.value
        const g = weightDecay > 0 && parameter.decays ? gradient.add(p.mul(weightDecay)) : gradient
        let direction = g
        if (momentum > 0) {
          const [slot] = slots.of(parameter)
          const velocity = slot.value.mul(momentum).add(g)
          slot.assign(velocity)
          direction = nesterov ? g.add(velocity.mul(momentum)) : velocity
        }
        parameter.assign(p.sub(direction.mul(rate)))
      })
    },
  }
  return optimizer
}

export interface AdamOptions {
  /** Decay of the first moment; default 0.9. */
  readonly beta1?: number
  /** Decay of the second moment; default 0.999. */
  readonly beta2?: number
  /** Added to the root of the second moment; default 1e-8. */
  readonly eps?: number
  /** Adam adds it to the gradient, AdamW shrinks the parameter by it; wherever the parameter decays. */
  readonly weightDecay?: number
}

function adamLike(
  name: 'adam' | 'adamw',
  learningRate: number,
  options: AdamOptions,
  decoupled: boolean,
  defaultDecay: number,
): Optimizer {
  const { beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weightDecay = defaultDecay } = options
  const where = `optim.${name}`
  check(where, 'learningRate', learningRate, learningRate >= 0, 'a number of at least 0')
  check(where, 'beta1', beta1, beta1 >= 0 && beta1 < 1, 'a number in [0, 1)')
  check(where, 'beta2', beta2, beta2 >= 0 && beta2 < 1, 'a number in [0, 1)')
  check(where, 'weightDecay', weightDecay, weightDecay >= 0, 'a number of at least 0')
  const slots = new Slots(['m', 'v'])
  const steps = new State('steps', [], new Float32Array(1))
  slots.states.push(steps)
  const optimizer: Optimizer = {
    name,
    learningRate,
    states: slots.states,
    update(parameters, gradients) {
      const step = steps.value.add(1)
      steps.assign(step)
      // 1 - βᵗ, by expm1 since βᵗ is close to 1 in the first steps.
      const correction1 = expm1(step.mul(Math.log(beta1))).neg()
      const correction2 = expm1(step.mul(Math.log(beta2)))
        .neg()
        .sqrt()
      const rate = hostScalar(() => optimizer.learningRate)
      const scale = rate.div(correction1)
      each(where, parameters, gradients, (parameter, gradient) => {
        let p = parameter.value
        let g = gradient
        if (weightDecay > 0 && parameter.decays) {
          if (decoupled) p = p.sub(p.mul(rate.mul(weightDecay)))
          else g = g.add(p.mul(weightDecay))
        }
        const [first, second] = slots.of(parameter)
        const m = first.value.mul(beta1).add(g.mul(1 - beta1))
        const v = second.value.mul(beta2).add(g.mul(g).mul(1 - beta2))
        first.assign(m)
        second.assign(v)
        parameter.assign(p.sub(scale.mul(m.div(v.sqrt().div(correction2).add(eps)))))
      })
    },
  }
  return optimizer
}

/**
 * Adam (Kingma and Ba 2015).
 * @throws ConfigError on values out of range
 */
export function adam(learningRate = 1e-3, options: AdamOptions = {}): Optimizer {
  return adamLike('adam', learningRate, options, false, 0)
}

/**
 * Adam with decoupled weight decay (Loshchilov and Hutter 2019); weightDecay defaults to 0.01 as in PyTorch.
 * @throws ConfigError on values out of range
 */
export function adamw(learningRate = 1e-3, options: AdamOptions = {}): Optimizer {
  return adamLike('adamw', learningRate, options, true, 0.01)
}
