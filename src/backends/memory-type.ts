import { packBfloat16, unpackBfloat16 } from '../base/bfloat16.ts'
import type { StorageType, TypedArray } from '../base/dtype.ts'

/** The elements that lie in these bytes of a memory. */
export function fromMemory(dtype: StorageType, bytes: Uint8Array): TypedArray {
  const copy = bytes.slice()
  switch (dtype) {
    case 'f32':
      return new Float32Array(copy.buffer)
    case 'i32':
      return new Int32Array(copy.buffer)
    case 'bf16':
      return unpackBfloat16(new Uint16Array(copy.buffer))
    case 'u8':
    case 'bool':
      return copy
    default:
      return dtype satisfies never
  }
}

/** The same values in the memory's element type. */
export function toMemoryType(dtype: StorageType, data: TypedArray): TypedArray | Uint16Array<ArrayBuffer> {
  switch (dtype) {
    case 'f32':
      return data instanceof Float32Array ? data : Float32Array.from(data)
    case 'i32':
      return data instanceof Int32Array ? data : Int32Array.from(data)
    case 'u8':
      return data instanceof Uint8Array ? data : Uint8Array.from(data)
    case 'bf16':
      return packBfloat16(data)
    case 'bool':
      return Uint8Array.from(data, (value) => (value !== 0 ? 1 : 0))
    default:
      return dtype satisfies never
  }
}
