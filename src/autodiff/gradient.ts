/** Reverse-mode differentiation of a graph. Every rule lives with its op; here they are only put together. */
import { DTypeError, ShapeError } from '../base/errors.ts'
import { showShape } from '../base/shape.ts'
import { type Node, seedNode } from '../graph/node.ts'
import { withOrigin } from '../graph/origin.ts'
import { broadcastTo } from '../ops/broadcast.ts'
import { add } from '../ops/elementwise.ts'

/** Nodes that depend on any of `targets` and that `output` depends on, readers after inputs. */
function between(output: Node, targets: ReadonlySet<Node>): Node[] {
  const order: Node[] = []
  const depends = new Map<Node, boolean>()
  const stack: Node[] = [output]
  while (stack.length > 0) {
    const node = stack[stack.length - 1]
    const open = node.inputs.filter((input) => !depends.has(input))
    if (!depends.has(node) && open.length > 0) {
      stack.push(...open)
      continue
    }
    stack.pop()
    if (depends.has(node)) continue
    const needed = targets.has(node) || node.inputs.some((input) => depends.get(input) === true)
    depends.set(node, needed)
    if (needed) order.push(node)
  }
  return order
}

/**
 * Gradients of `output` with respect to `targets`, as nodes of the targets' shapes; undefined where the output does
 * not depend on a target in a differentiable way.
 * @param upstream gradient of the final loss with respect to `output`; default 1, which asks for a scalar output
 * @throws ShapeError when `output` is no scalar and no upstream gradient is given
 */
export function gradient(output: Node, targets: readonly Node[], upstream?: Node): (Node | undefined)[] {
  if (output.dtype !== 'f32') {
    throw new DTypeError({
      where: 'gradient',
      what: 'the function to differentiate does not return real numbers',
      got: `a value of dtype ${output.dtype}`,
      expected: 'f32',
      fix: 'return a loss, for instance crossEntropy(logits, labels)',
    })
  }
  if (upstream === undefined && output.shape.some((extent) => extent !== 1)) {
    throw new ShapeError({
      where: 'gradient',
      what: 'the function to differentiate does not return a scalar',
      got: `shape ${showShape(output.shape)}`,
      expected: 'one number, shape []',
      fix: 'reduce it, for instance with .mean() or .sum()',
    })
  }
  const wanted = new Set(targets)
  const gradients = new Map<Node, Node>([[output, upstream ?? broadcastTo(seedNode(), output.shape)]])
  const order = between(output, wanted)
  for (const node of order.reverse()) {
    const arriving = gradients.get(node)
    const rule = node.op.gradient
    if (arriving === undefined || rule === 'none' || node.op.kind === 'leaf') continue
    // The rule may be a method of its op.
    const contributions = withOrigin(node.origin, () => rule.call(node.op, node, arriving))
    for (const [i, contribution] of contributions.entries()) {
      if (contribution === undefined) continue
      const input = node.inputs[i]
      const sum = gradients.get(input)
      gradients.set(input, sum === undefined ? contribution : add(sum, contribution))
    }
  }
  return targets.map((target) => gradients.get(target))
}
