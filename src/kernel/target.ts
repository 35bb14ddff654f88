import type { StorageType } from '../base/dtype.ts'

/** What a kernel may know of the machine it is built for: a plain record, part of every kernel's key. */
export interface Target {
  /** Short name used in kernel names, for instance `wasm-fma`. */
  readonly name: string
  /** f32 (and i32) values in one vector register. */
  readonly lanes: number
  /** Vector registers a register tile may use, scratch registers of the code generator already taken off. */
  readonly registers: number
  /** Whether `a * b + c` is one instruction with one rounding. Where it is not, it is two instructions and two roundings. */
  readonly fma: boolean
  /** Whether `dot2` is an instruction: two bf16 products a lane, added up in f32. Kernels use it there alone. */
  readonly bf16Dot?: boolean
  /** `intrinsic`: exp, log, … are functions of the printer; `polynomial`: kernel/math.ts expands them. */
  readonly math: 'intrinsic' | 'polynomial'
  /** Bytes an element takes in this machine's memory: 8 for f32 in the double-precision interpreter. */
  readonly bytes: Readonly<Record<StorageType, number>>
  /** Bytes one thread may keep hot: the second-level cache. Steers block sizes, never results across thread counts. */
  readonly cacheBytes: number
}
