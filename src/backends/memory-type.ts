import type { DType, TypedArray } from '../base/dtype.ts'

/** The same values in the memory's element type. */
export function toMemoryType(dtype: DType, data: TypedArray): TypedArray {
  switch (dtype) {
    case 'f32':
      return data instanceof Float32Array ? data : Float32Array.from(data)
    case 'i32':
      return data instanceof Int32Array ? data : Int32Array.from(data)
    case 'u8':
      return data instanceof Uint8Array ? data : Uint8Array.from(data)
    case 'bool':
      return Uint8Array.from(data, (value) => (value !== 0 ? 1 : 0))
    default:
      return dtype satisfies never
  }
}
