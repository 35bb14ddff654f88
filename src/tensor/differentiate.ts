import { gradient } from '../autodiff/gradient.ts'
import { constantNode, variableNode } from '../graph/node.ts'
import { broadcastTo, identity } from '../ops/index.ts'
import type { Parameter } from './parameter.ts'
import { Tensor } from './tensor.ts'

/** The loss, and one gradient a parameter in the order of the parameters. */
export type ValueAndGradients = readonly [value: Tensor, gradients: readonly Tensor[]]

/**
 * Value and gradients of a loss.
 * With parameters: differentiates `loss()` with respect to the trainable ones and returns `[value, gradients]` at once;
 * gradients stand in the order of the parameters, zeros for those the loss does not depend on.
 * With a function: returns a function of tensors to `[value, gradients]`, one gradient an argument.
 * @throws ShapeError when the loss is no scalar
 * @example
 * const [loss, gradients] = valueAndGrad(model.parameters, () => crossEntropy(model(x), y))
 * const [value, [dx]] = valueAndGrad((x: Tensor) => x.square().sum())(tensor([1, 2]))
 */
export function valueAndGrad(parameters: readonly Parameter[], loss: () => Tensor): ValueAndGradients
export function valueAndGrad<A extends readonly Tensor[]>(f: (...args: A) => Tensor): (...args: A) => ValueAndGradients
export function valueAndGrad<A extends readonly Tensor[]>(
  first: readonly Parameter[] | ((...args: A) => Tensor),
  loss?: () => Tensor,
): ValueAndGradients | ((...args: A) => ValueAndGradients) {
  if (typeof first === 'function') {
    return (...args) => {
      // The arguments get nodes of their own, so that the same tensor given twice has two gradients.
      const inputs = args.map((arg) => new Tensor(identity(arg.node)))
      const value = first(...(inputs as unknown as A))
      return [
        value,
        gradients(
          value,
          inputs.map((input) => input.node),
          inputs,
        ),
      ]
    }
  }
  const value = (loss as () => Tensor)()
  const trainable = first.map((parameter) => parameter.isTrainable)
  const nodes = first.map((parameter) => variableNode(parameter.variable))
  const wanted = nodes.filter((_, i) => trainable[i])
  const found = gradients(
    value,
    wanted,
    first.filter((_, i) => trainable[i]),
  )
  let next = 0
  return [value, first.map((parameter, i) => (trainable[i] ? found[next++] : zeros(parameter.shape)))]
}

function gradients(
  value: Tensor,
  nodes: Parameters<typeof gradient>[1],
  like: readonly { readonly shape: readonly number[] }[],
): Tensor[] {
  return gradient(value.node, nodes).map((node, i) => (node === undefined ? zeros(like[i].shape) : new Tensor(node)))
}

function zeros(shape: readonly number[]): Tensor {
  return new Tensor(broadcastTo(constantNode(0), shape))
}
