/**
 * A chain: a short program of elementwise steps that the scheduler has fused. The same chain can be the body of a map,
 * the first stage of a reduction or the epilogue of a contraction.
 */
import type { KernelBuilder } from './build.ts'
import { splat } from './expression.ts'
import type { Expr } from './language.ts'

/** What a step may ask about the element(s) it computes. */
export interface ChainContext {
  /** Lanes of the values: 1 in tails, target.lanes otherwise. */
  readonly lanes: number
  /** Linear index of the (first) element in the output, lane by lane. Only maps provide it. */
  index(): Expr
}

export interface ChainStep {
  /** Says what `lower` does, attributes included: equal keys mean equal steps. */
  readonly key: string
  readonly lower: (k: KernelBuilder, args: readonly Expr[], context: ChainContext) => Expr
  /** Numbers of earlier values: inputs come first, then constants, then the steps in order. */
  readonly args: readonly number[]
}

export interface Chain {
  readonly inputs: number
  /** Run-time f32 constants; their values are parameters of the kernel, so that 1/batch compiles nothing. */
  readonly constants: number
  readonly steps: readonly ChainStep[]
  /** Numbers of the values that are the results. */
  readonly results: readonly number[]
}

export const identityChain: Chain = { inputs: 1, constants: 0, steps: [], results: [0] }

export function chainKey(chain: Chain): string {
  const steps = chain.steps.map((step) => `${step.key}(${step.args.join()})`)
  return `${chain.inputs}+${chain.constants}:${steps.join(';')}->${chain.results.join()}`
}

/** Emits the steps and returns the results. `constants` are scalars and are widened here. */
export function emitChain(
  k: KernelBuilder,
  chain: Chain,
  inputs: readonly Expr[],
  constants: readonly Expr[],
  context: ChainContext,
): Expr[] {
  const values: Expr[] = [...inputs, ...constants.map((value) => splat(value, context.lanes))]
  for (const step of chain.steps) {
    const args = step.args.map((i) => values[i])
    values.push(k.let(step.lower(k, args, context)))
  }
  return chain.results.map((i) => values[i])
}
