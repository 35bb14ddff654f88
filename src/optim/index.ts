/** Optimizers. The numerics are PyTorch's. */
import { checkOptions, checkRange, ShapeError } from '../base/errors.ts'
import { expm1, hostScalar, type Parameter, State, type Tensor } from '../tensor/index.ts'

export interface Optimizer {
  readonly name: string
  /** Step size; may be changed at any time, compiled steps read it at every run. */
  learningRate: number
  /** What it was made with beside the learning rate, for records and to tell whether a resumed run is the same. */
  readonly options: { readonly [name: string]: number | boolean | string }
  /** Moves the parameters. Frozen ones stay. @throws ShapeError when there are not as many gradients as parameters */
  update(parameters: readonly Parameter[], gradients: readonly Tensor[]): void
  /** Makes the slots of these parameters now, so that saved ones can be loaded; the first update does so by itself. */
  prepare(parameters: readonly Parameter[]): void
  /** Slots and counters, to save and resume. */
  readonly states: readonly State[]
}

/** Parameters that are treated in their own way. */
export interface ParameterGroup {
  /** Paths that begin with one of these, or what a function says. The first group that matches counts. */
  readonly parameters: string | readonly string[] | ((parameter: Parameter) => boolean)
  /** Multiplies the learning rate; default 1. */
  readonly rate?: number
  /** Instead of the optimizer's, and also where the parameter would not decay by itself. */
  readonly weightDecay?: number
}

export interface GroupOptions {
  /** Parameters that belong to no group have the optimizer's own settings. Norms and biases do not decay. */
  readonly groups?: readonly ParameterGroup[]
}

interface Treatment {
  readonly rate: number
  readonly weightDecay: number
}

function treatment(parameter: Parameter, weightDecay: number, groups: readonly ParameterGroup[]): Treatment {
  const group = groups.find(({ parameters }) => {
    if (typeof parameters === 'function') return parameters(parameter)
    const prefixes = typeof parameters === 'string' ? [parameters] : parameters
    return prefixes.some((prefix) => parameter.name === prefix || parameter.name.startsWith(`${prefix}.`))
  })
  return { rate: group?.rate ?? 1, weightDecay: group?.weightDecay ?? (parameter.decays ? weightDecay : 0) }
}

function checkGroups(where: string, groups: readonly ParameterGroup[]): void {
  for (const [i, group] of groups.entries()) {
    checkOptions(`${where}: group ${i}`, group, ['parameters', 'rate', 'weightDecay'])
    const { rate = 1, weightDecay = 0 } = group
    checkRange(where, `rate of group ${i}`, rate, rate >= 0, 'a number of at least 0')
    checkRange(where, `weightDecay of group ${i}`, weightDecay, weightDecay >= 0, 'a number of at least 0')
  }
}

/** Groups as one word for {@link Optimizer.options}. */
const described = (groups: readonly ParameterGroup[]): { readonly [name: string]: string } =>
  groups.length === 0 ? {} : { groups: JSON.stringify(groups.map((g) => ({ ...g, parameters: String(g.parameters) }))) }

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

  prepare(parameters: readonly Parameter[]): void {
    for (const parameter of parameters) if (parameter.trainable) this.of(parameter)
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

export interface SgdOptions extends GroupOptions {
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
  checkOptions('optim.sgd', options, ['momentum', 'nesterov', 'weightDecay', 'groups'])
  const { momentum = 0, nesterov = false, weightDecay = 0, groups = [] } = options
  checkRange('optim.sgd', 'learningRate', learningRate, learningRate >= 0, 'a number of at least 0')
  checkRange('optim.sgd', 'momentum', momentum, momentum >= 0 && momentum < 1, 'a number in [0, 1)')
  checkRange('optim.sgd', 'weightDecay', weightDecay, weightDecay >= 0, 'a number of at least 0')
  checkRange('optim.sgd', 'nesterov', nesterov, !nesterov || momentum > 0, 'momentum above 0 beside it')
  checkGroups('optim.sgd', groups)
  const slots = new Slots(momentum === 0 ? [] : ['momentum'])
  const optimizer: Optimizer = {
    name: 'sgd',
    learningRate,
    options: { momentum, nesterov, weightDecay, ...described(groups) },
    prepare: (parameters) => slots.prepare(parameters),
    states: slots.states,
    update(parameters, gradients) {
      const rate = hostScalar(() => optimizer.learningRate)
      each('optim.sgd', parameters, gradients, (parameter, gradient) => {
        const p = parameter.value
        const own = treatment(parameter, weightDecay, groups)
        const g = own.weightDecay > 0 ? gradient.add(p.mul(own.weightDecay)) : gradient
        let direction = g
        if (momentum > 0) {
          const [slot] = slots.of(parameter)
          const velocity = slot.value.mul(momentum).add(g)
          slot.assign(velocity)
          direction = nesterov ? g.add(velocity.mul(momentum)) : velocity
        }
        parameter.assign(p.sub(direction.mul(own.rate === 1 ? rate : rate.mul(own.rate))))
      })
    },
  }
  return optimizer
}

export interface AdamOptions extends GroupOptions {
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
  const where = `optim.${name}`
  checkOptions(where, options, ['beta1', 'beta2', 'eps', 'weightDecay', 'groups'])
  const { beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weightDecay = defaultDecay, groups = [] } = options
  checkRange(where, 'learningRate', learningRate, learningRate >= 0, 'a number of at least 0')
  checkRange(where, 'beta1', beta1, beta1 >= 0 && beta1 < 1, 'a number in [0, 1)')
  checkRange(where, 'beta2', beta2, beta2 >= 0 && beta2 < 1, 'a number in [0, 1)')
  checkRange(where, 'weightDecay', weightDecay, weightDecay >= 0, 'a number of at least 0')
  checkGroups(where, groups)
  const slots = new Slots(['m', 'v'])
  const steps = new State('steps', [], new Float32Array(1))
  slots.states.push(steps)
  const optimizer: Optimizer = {
    name,
    learningRate,
    options: { beta1, beta2, eps, weightDecay, ...described(groups) },
    prepare: (parameters) => slots.prepare(parameters),
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
        const own = treatment(parameter, weightDecay, groups)
        const scaled = (value: Tensor) => (own.rate === 1 ? value : value.mul(own.rate))
        if (own.weightDecay > 0) {
          if (decoupled) p = p.sub(p.mul(scaled(rate).mul(own.weightDecay)))
          else g = g.add(p.mul(own.weightDecay))
        }
        const [first, second] = slots.of(parameter)
        const m = first.value.mul(beta1).add(g.mul(1 - beta1))
        const v = second.value.mul(beta2).add(g.mul(g).mul(1 - beta2))
        first.assign(m)
        second.assign(v)
        parameter.assign(p.sub(scaled(scale).mul(m.div(v.sqrt().div(correction2).add(eps)))))
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
