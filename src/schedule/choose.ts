/** Which algorithm computes an op. */
import type { Precision } from '../base/dtype.ts'
import type { Node } from '../graph/node.ts'
import type { Algorithm } from '../graph/op.ts'
import type { Target } from '../kernel/target.ts'

/** What is asked of the choice beyond speed. */
export interface AlgorithmChoice {
  /** Only algorithms with the smallest error to expect: none that trades accuracy for speed. */
  readonly precise?: boolean
  /** The name of an algorithm that is taken wherever it applies, for checks and measurements. */
  readonly algorithm?: string
  /** With `bf16` algorithms that can read and write it, where there are any. Default `f32`. */
  readonly precision?: Precision
}

/**
 * The algorithm with the lowest estimated cost among those that apply and are allowed.
 * @param lasts whether a node has the same value at every run
 */
export function choose(
  node: Node,
  target: Target,
  choice: AlgorithmChoice = {},
  lasts?: (node: Node) => boolean,
): Algorithm {
  if (node.op.kind !== 'kernel') throw new Error(`${node.op.name} has no kernels of its own`)
  const candidates = node.op.algorithms.filter((algorithm) => algorithm.applies(node, target))
  if (candidates.length === 0)
    throw new Error(`${node.op.name}: no algorithm applies to ${node.inputs.map((i) => `[${i.shape}]`).join(' and ')}`)
  const forced = candidates.find(({ name }) => name === choice.algorithm)
  if (forced !== undefined) return forced
  const able = choice.precision === 'bf16' ? candidates.filter(({ bf16 }) => bf16 !== undefined) : []
  const among = able.length > 0 ? able : candidates
  const cost = (algorithm: Algorithm) => algorithm.cost(node, target, choice.precision ?? 'f32', lasts)
  const finest = Math.min(...among.map(({ tolerance }) => tolerance))
  const allowed = choice.precise === true ? among.filter(({ tolerance }) => tolerance <= finest) : among
  return allowed.reduce((best, next) => (cost(next) < cost(best) ? next : best))
}
