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
  /** What the prologue leaves: it outlives the run. */
  | { readonly kind: 'kept' }

/** Why an op is computed the way it is. */
export interface Choice {
  readonly op: string
  readonly algorithm: string
  /** What applies here, with the cost the choice was made by; only how costs compare means something. */
  readonly candidates: readonly { readonly name: string; readonly cost: number }[]
}

export interface PlannedCall {
  readonly spec: KernelSpec
  readonly places: readonly { readonly region: number; readonly offset: number }[]
  readonly scratch: readonly number[]
  readonly params: readonly number[]
  readonly tasks: number
  readonly work: number
  /** The ops behind the call, for people. */
  readonly label: string
  /** Path of the layer the call belongs to. */
  readonly origin?: string
  /** For ops that have several ways to be computed. */
  readonly choice?: Choice
  /** Bytes of the whole buffer at each place. */
  readonly bufferBytes: readonly number[]
  /** Bytes of those of them that hold no value of the graph: packed operands, partial sums. */
  readonly workspaceBytes: number
}

export interface Output {
  readonly shape: readonly number[]
  readonly dtype: DType
}

export interface Plan {
  /**
   * What gives the same results at every run, until one of the Variables it reads is written: packed and transformed
   * weights, the scale and shift of a normalisation. It runs before the first run, and again when its results are old.
   */
  readonly prologue: readonly PlannedCall[]
  /** Variables that the prologue reads. The program writes none of them. */
  readonly keptFrom: readonly Variable[]
  /** Bytes of the region that the prologue fills. */
  readonly keptBytes: number
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
