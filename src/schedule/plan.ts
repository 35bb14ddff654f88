/** What the scheduler hands to the engine: kernel calls with places, and what must be bound to each region. */
import type { DType } from '../base/dtype.ts'
import type { Node, Variable } from '../graph/node.ts'
import type { KernelSpec } from '../kernel/build.ts'

/** What a region of memory stands for. Region 0 is always the arena. */
export type Region =
  | { readonly kind: 'arena' }
  | { readonly kind: 'input'; readonly index: number }
  | { readonly kind: 'variable'; readonly variable: Variable }
  | { readonly kind: 'data'; readonly node: Node }
  | { readonly kind: 'hostScalar'; readonly node: Node }
  | { readonly kind: 'output'; readonly index: number }

export interface PlannedCall {
  readonly spec: KernelSpec
  readonly places: readonly { readonly region: number; readonly offset: number }[]
  readonly scratch: readonly number[]
  readonly params: readonly number[]
  readonly tasks: number
  readonly work: number
  /** The ops behind the call, for people. */
  readonly label: string
}

export interface Output {
  readonly shape: readonly number[]
  readonly dtype: DType
}

export interface Plan {
  readonly calls: readonly PlannedCall[]
  readonly regions: readonly Region[]
  readonly outputs: readonly Output[]
  /** Bytes of the arena: activations, gradients and workspace at their peak. */
  readonly arenaBytes: number
  /** Bytes that live at one time at most: no layout of the arena takes less. */
  readonly liveBytes: number
  /** Variables the program writes. */
  readonly assigned: readonly Variable[]
}
