/** Which algorithm computes an op. */
import type { Node } from '../graph/node.ts'
import type { Algorithm } from '../graph/op.ts'
import type { Target } from '../kernel/target.ts'

/** What is asked of the choice beyond speed. */
export interface AlgorithmChoice {
  /** Only algorithms with the smallest error to expect: none that trades accuracy for speed. */
  readonly precise?: boolean
  /** The name of an algorithm that is taken wherever it applies, for checks and measurements. */
  readonly algorithm?: string
}

/** The algorithm with the lowest estimated cost among those that apply and are allowed. */
export function choose(node: Node, target: Target, choice: AlgorithmChoice = {}): Algorithm {
  if (node.op.kind !== 'kernel') throw new Error(`${node.op.name} has no kernels of its own`)
  const candidates = node.op.algorithms.filter((algorithm) => algorithm.applies(node, target))
  if (candidates.length === 0)
    throw new Error(`${node.op.name}: no algorithm applies to ${node.inputs.map((i) => `[${i.shape}]`).join(' and ')}`)
  const forced = candidates.find(({ name }) => name === choice.algorithm)
  if (forced !== undefined) return forced
  const finest = Math.min(...candidates.map(({ tolerance }) => tolerance))
  const allowed = choice.precise === true ? candidates.filter(({ tolerance }) => tolerance <= finest) : candidates
  return allowed.reduce((best, next) => (next.cost(node, target) < best.cost(node, target) ? next : best))
}
