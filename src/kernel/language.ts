/**
 * The loop language: what every kernel is written in and every backend prints. Typed scalar and vector values, mutable
 * locals, pointers (typed cursors into one buffer each), counted loops, functions without results.
 *
 * A kernel is a function of a task number. The machine calls it for tasks 0 … tasks-1, in any order and on any thread;
 * tasks write disjoint elements. Everything a kernel reads besides its buffers is a parameter, so that one compiled
 * kernel serves every batch size and extent.
 */
import type { StorageType } from '../base/dtype.ts'

export type ScalarKind = 'f32' | 'i32' | 'bool'

/** A value: one scalar (`lanes` 1) or one vector register of the target (`lanes` = target.lanes). */
export interface ValueType {
  readonly kind: ScalarKind
  readonly lanes: number
}

/** Elements of memory a kernel gets by address. Scratch belongs to the thread and holds garbage when a task starts. */
export interface BufferParam {
  readonly name: string
  readonly dtype: StorageType
  readonly role: 'input' | 'output' | 'scratch'
  /** Position among the kernel's buffers. */
  readonly index: number
}

/** A run-time number: extents, strides (in elements), constants. */
export interface ScalarParam {
  readonly name: string
  readonly kind: 'i32' | 'f32'
  /** Position among the kernel's scalar parameters. */
  readonly index: number
}

/** A mutable local variable of a function. */
export interface Local {
  readonly name: string
  readonly type: ValueType
}

/** A mutable cursor into one buffer. Its unit is the buffer's element. */
export interface Pointer {
  readonly name: string
  readonly buffer: BufferParam
}

/** f32 or i32 unless noted. Shifts, and, or, xor, remainder: i32. `and`, `or`, `xor` also take bool. */
export type BinaryName =
  | 'add'
  | 'sub'
  | 'mul'
  | 'div' // f32: division; i32: signed, towards zero, scalar only
  | 'rem' // i32, sign of the dividend, scalar only
  | 'min' // b < a ? b : a, so that a NaN in `a` stays
  | 'max' // a < b ? b : a, so that a NaN in `a` stays
  | 'and'
  | 'or'
  | 'xor'
  | 'shl'
  | 'shr' // arithmetic
  | 'shru' // logical

export type UnaryName =
  | 'neg'
  | 'abs'
  | 'sqrt'
  | 'floor'
  | 'ceil'
  | 'trunc'
  | 'round' // to nearest, ties to even
  | 'not' // bool

/** Functions that a target with `math: 'intrinsic'` prints as calls; for other targets kernel/math.ts expands them. */
export type IntrinsicName = 'exp' | 'expm1' | 'log' | 'log1p' | 'sin' | 'cos' | 'tanh' | 'erf'

export type CompareName = 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge'

export type Expr =
  | { readonly op: 'const'; readonly type: ValueType; readonly value: number }
  | { readonly op: 'local'; readonly type: ValueType; readonly local: Local }
  | { readonly op: 'param'; readonly type: ValueType; readonly param: ScalarParam }
  | { readonly op: 'unary'; readonly type: ValueType; readonly name: UnaryName; readonly a: Expr }
  | { readonly op: 'intrinsic'; readonly type: ValueType; readonly name: IntrinsicName; readonly a: Expr }
  | { readonly op: 'binary'; readonly type: ValueType; readonly name: BinaryName; readonly a: Expr; readonly b: Expr }
  /** Both sides of one type; the result is bool with the same lanes. i32 comparisons are signed. */
  | { readonly op: 'compare'; readonly type: ValueType; readonly name: CompareName; readonly a: Expr; readonly b: Expr }
  /** a * b + c, fused where the target fuses. f32. */
  | { readonly op: 'fma'; readonly type: ValueType; readonly a: Expr; readonly b: Expr; readonly c: Expr }
  /**
   * a and b hold a bf16 in each half of an i32: c + a.high · b.high + a.low · b.low, added in this order, each product
   * exact and each addition rounded to f32. Targets with `bf16Dot`, whose instruction may take numbers below 2^-126 for 0.
   */
  | { readonly op: 'dot2'; readonly type: ValueType; readonly a: Expr; readonly b: Expr; readonly c: Expr }
  | { readonly op: 'select'; readonly type: ValueType; readonly condition: Expr; readonly a: Expr; readonly b: Expr }
  /** Between kinds, same lanes: i32 → f32 rounds, f32 → i32 truncates and saturates (NaN → 0), bool → 0 or 1, number → bool is `≠ 0`. */
  | { readonly op: 'convert'; readonly type: ValueType; readonly a: Expr }
  /** Same bits, other kind (f32 ↔ i32). In the double-precision interpreter the f32 side is rounded to single first. */
  | { readonly op: 'bitcast'; readonly type: ValueType; readonly a: Expr }
  | { readonly op: 'splat'; readonly type: ValueType; readonly a: Expr }
  /** i32 vector 0, 1, 2, … */
  | { readonly op: 'laneIndex'; readonly type: ValueType }
  /** All lanes combined one after the other, lane 0 first; the result is a scalar. f32 or i32. */
  | { readonly op: 'reduceLanes'; readonly type: ValueType; readonly name: 'add' | 'min' | 'max'; readonly a: Expr }
  /**
   * Element(s) at pointer + offset. A vector load takes `count` ≤ lanes elements and fills the rest with zeros; with
   * `stride` lane i is element i × stride (a run-time number of elements), otherwise elements are neighbours.
   * u8 loads give i32, bool loads give bool, bf16 loads give f32.
   */
  | {
      readonly op: 'load'
      readonly type: ValueType
      readonly pointer: Pointer
      readonly offset: number
      readonly count: number
      readonly stride?: Expr
    }
  /** Elements from the start of the buffer to the pointer. */
  | { readonly op: 'position'; readonly type: ValueType; readonly pointer: Pointer }

export type Argument = Expr | Pointer

export type Statement =
  | { readonly op: 'set'; readonly local: Local; readonly value: Expr }
  /** pointer = start of its buffer + index elements */
  | { readonly op: 'point'; readonly pointer: Pointer; readonly index: Expr }
  /** pointer = another pointer into the same buffer + `by` elements */
  | { readonly op: 'follow'; readonly pointer: Pointer; readonly from: Pointer; readonly by: Expr }
  | { readonly op: 'advance'; readonly pointer: Pointer; readonly by: Expr }
  /** The element will be read or written soon. A hint: the pointer may lie anywhere, and most printers leave it out. */
  | { readonly op: 'prefetch'; readonly pointer: Pointer; readonly use: 'read' | 'write' }
  /**
   * Writes the first `count` lanes; i32 values into u8 buffers keep their low byte; bool becomes 0 or 1; f32 values into
   * bf16 buffers are rounded to nearest, ties to even, and NaN stays NaN.
   */
  | {
      readonly op: 'store'
      readonly pointer: Pointer
      readonly offset: number
      readonly value: Expr
      readonly count: number
      readonly stride?: Expr
    }
  /** Evaluates `count` once, then runs the body that many times (not at all when count ≤ 0, unless `atLeastOnce`, where count > 0 is promised). */
  | {
      readonly op: 'loop'
      readonly count: Expr
      readonly index: Local | undefined
      readonly atLeastOnce: boolean
      readonly body: readonly Statement[]
    }
  | {
      readonly op: 'if'
      readonly condition: Expr
      readonly consequent: readonly Statement[]
      readonly otherwise: readonly Statement[]
    }
  | { readonly op: 'call'; readonly callee: KernelFunction; readonly args: readonly Argument[] }

/** A function of scalars and pointers without a result. It sees all buffers and parameters of its kernel. */
export interface KernelFunction {
  readonly name: string
  readonly params: readonly (Local | Pointer)[]
  readonly body: readonly Statement[]
}

export interface Kernel {
  /** Says kind, dtype, tile and target: `contraction_f32_4x8_relu_wasm`. Not unique. */
  readonly name: string
  /** Unique: equal keys mean equal code. */
  readonly key: string
  readonly buffers: readonly BufferParam[]
  readonly params: readonly ScalarParam[]
  /** Callees before callers; the last one is the task, with the task number (i32) as its only parameter. */
  readonly functions: readonly KernelFunction[]
}

export function isPointer(value: Local | Pointer | Expr): value is Pointer {
  return 'buffer' in value
}
