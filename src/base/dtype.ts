import { ConfigError, didYouMean } from './errors.ts'

/** Element types of tensors. `f32` is the default; `i32` holds labels and indices, `u8` pictures, `bool` masks. */
export type DType = 'f32' | 'i32' | 'u8' | 'bool'

/**
 * How elements lie in a device's memory. `bf16`, the upper half of an f32, is a way to keep f32 values in half the
 * memory: kernels compute with f32 and round what they store, and what is read out is f32. No tensor has it as its dtype.
 */
export type StorageType = DType | 'bf16'

/**
 * How a compiled program computes: all in f32, or with activations, their gradients and what is multiplied in
 * convolutions and matrix products as bf16, sums and everything that outlives the program in f32.
 */
export const precisions = ['f32', 'bf16'] as const
export type Precision = (typeof precisions)[number]

/** @throws ConfigError unless it is one of the precisions */
export function checkPrecision(where: string, precision: string): asserts precision is Precision {
  if ((precisions as readonly string[]).includes(precision)) return
  throw new ConfigError({
    where,
    what: `there is no precision '${precision}'`,
    expected: precisions.join(' or '),
    fix: didYouMean(precision, precisions),
  })
}

/** What a user hands in and gets back; bool travels as 0 and 1 in a Uint8Array. */
export type TypedArray = Float32Array | Float64Array | Int32Array | Uint8Array

/** Bytes an element takes in a file and in the memory of a machine backend. */
export const bytesPerElement: Readonly<Record<StorageType, number>> = { f32: 4, i32: 4, u8: 1, bool: 1, bf16: 2 }

/** A zero-filled array for `length` elements. */
export function allocate(dtype: DType, length: number): Float32Array | Int32Array | Uint8Array {
  switch (dtype) {
    case 'f32':
      return new Float32Array(length)
    case 'i32':
      return new Int32Array(length)
    case 'u8':
    case 'bool':
      return new Uint8Array(length)
    default:
      return dtype satisfies never
  }
}

/** The dtype a typed array stands for; Float64Array counts as f32, to which it is rounded. */
export function dtypeOf(array: TypedArray): DType {
  if (array instanceof Int32Array) return 'i32'
  if (array instanceof Uint8Array) return 'u8'
  return 'f32'
}
