/**
 * What a machine must do. A backend knows the loop language, memory and threads; it does not know tensors, ops,
 * gradients or fusion. Adding one is one folder with one object of this type.
 */
import type { StorageType, TypedArray } from '../base/dtype.ts'
import type { Kernel } from '../kernel/language.ts'
import type { Target } from '../kernel/target.ts'

/** A block of the backend's memory. */
export interface Block {
  readonly bytes: number
}

/** Where a kernel's buffer lies: a byte offset inside one of the regions a run binds. */
export interface Place {
  readonly region: number
  readonly offset: number
}

/** One kernel call. All threads share its tasks; the next instruction starts when all of them are done. */
export interface Instruction {
  readonly kernel: Kernel
  /** One for each buffer of the kernel that is not scratch, in order. */
  readonly places: readonly Place[]
  /** Elements of each scratch buffer, in order; every thread has its own. */
  readonly scratch: readonly number[]
  /** Values of the kernel's scalar parameters, in order. */
  readonly params: readonly number[]
  /** The kernel runs for task 0 … tasks-1. */
  readonly tasks: number
  /** Rough cost (multiply-adds or elements touched), to decide whether waking threads pays. */
  readonly work: number
}

/** Kernels a backend holds compiled, and how often it had to compile: a second batch size must not raise the latter. */
export interface KernelCounts {
  readonly cached: number
  readonly compiled: number
}

/** A table of instructions that a backend has made ready to run. */
export interface LoadedTable {
  /** Gives the table back; its kernels stay cached until the backend needs their room. */
  release(): void
}

/** The machine, not the program, is why something cannot be done here: another backend can do it. */
export class BackendFailure extends Error {
  override readonly name = 'BackendFailure'
}

export interface Backend {
  readonly name: string
  readonly target: Target
  /** What its user should know, in one line: why something takes longer than expected. */
  readonly notice?: string
  /** Threads that share the tasks of an instruction. */
  readonly threads: number

  /** Reserves memory, aligned to 64 bytes, contents undefined. At least 64 bytes behind it are readable. @throws UnsupportedError when there is none left, saying how much was asked for and how much there is */
  allocate(bytes: number): Block
  /** Returns memory; the block must not be named again. */
  free(block: Block): void
  /** Bytes reserved and not returned, what the backend keeps for itself included. */
  readonly bytesInUse: number
  /** Most bytes that may be in use; undefined where nothing but the machine's memory limits them. */
  readonly memoryLimitBytes?: number
  /** Copies elements into a block from byte `offset` on, converting to the memory's element type. Takes effect before any later run and after any earlier one. */
  write(block: Block, offset: number, dtype: StorageType, data: TypedArray): void
  /** Copies `length` elements out, after all earlier runs and writes. f32 comes back as Float32Array (Float64Array from the double-precision interpreter), bf16 as Float32Array. */
  read(block: Block, offset: number, dtype: StorageType, length: number): Promise<TypedArray>

  /** Compiles a kernel, or begins to, if it is not compiled yet: long programs are made ready in pieces. */
  prepare(kernel: Kernel): void
  /** Compiles what is not compiled yet, or begins to, and lays the table out for up to `regions` bound blocks. */
  load(instructions: readonly Instruction[], regions: number): LoadedTable
  /**
   * Runs the table with these blocks as its regions, when its kernels are compiled. Runs happen in the order of their calls.
   * @throws BackendFailure when a kernel could not be compiled
   */
  run(table: LoadedTable, regions: readonly Block[]): Promise<void>

  readonly kernels: KernelCounts
  /** Ends threads and frees memory. Only for programs that want to exit or switch backends: nothing else needs it. */
  close(): Promise<void>
}
