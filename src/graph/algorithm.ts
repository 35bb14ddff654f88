/** What an algorithm gets and gives: buffers, calls, epilogues. */
import type { StorageType } from '../base/dtype.ts'
import type { KernelSpec } from '../kernel/build.ts'
import type { Chain } from '../kernel/chain.ts'
import type { Target } from '../kernel/target.ts'
import type { Layout } from './layout.ts'

/** A buffer while a plan is made; only its identity counts until memory is laid out. */
export interface BufferRef {
  readonly dtype: StorageType
  /** Elements. */
  readonly size: number
}

/** A buffer from element `offset` on. */
export interface Span {
  readonly buffer: BufferRef
  readonly offset: number
}

export interface KernelCall {
  readonly spec: KernelSpec
  /** One for each buffer of the kernel that is not scratch. */
  readonly spans: readonly Span[]
  /** Elements of each scratch buffer. */
  readonly scratch?: readonly number[]
  readonly params: readonly number[]
  readonly tasks: number
  /** Multiply-adds or elements touched, roughly. */
  readonly work: number
}

/** An input of a kernel op: contiguous unless the algorithm says that it `acceptsStrides`, which are never negative. */
export interface KernelInput {
  readonly span: Span
  readonly layout: Layout
}

/** An operand of an epilogue: of the output's shape, one value per channel (last axis), or one value. */
export interface EpilogueOperand {
  readonly span: Span
  readonly access: 'same' | 'channel' | 'scalar'
}

/**
 * What the scheduler has fused behind a kernel: value 0 of the chain is what the op computed, then come the operands.
 * The op's own output is not stored unless the chain's results name it.
 */
export interface Epilogue {
  readonly chain: Chain
  readonly operands: readonly EpilogueOperand[]
  readonly constants: readonly number[]
  /** One for each result of the chain, contiguous, of the output's shape. */
  readonly outputs: readonly Span[]
}

export interface BuildContext {
  readonly target: Target
  /** Memory for the duration of this op's calls. */
  temporary(dtype: StorageType, size: number): Span
  /**
   * Memory that one call fills from `sources` alone and that is only read afterwards: weights in the order in which a
   * kernel wants them. Where the sources stay the same from run to run it is filled once and kept.
   */
  prepared(dtype: StorageType, size: number, sources: readonly Span[], fill: (into: Span) => KernelCall): Span
  call(call: KernelCall): void
}
