import type { RangeReader } from '#platform'
import { type Shape, sizeOf, stridesOf } from '../../base/shape.ts'
import { arrayTypes, type SafetensorsArray } from '../safetensors-header.ts'
import { readElements } from '../weights/elements.ts'
import type { StoredDType } from '../weights/source.ts'

/** How a tensor looks at a storage, counted in elements. */
export interface Strided {
  readonly offset: number
  readonly shape: Shape
  readonly strides: readonly number[]
}

/** The places of a storage that a tensor looks at, and how many elements it has. */
export function spanOf({ offset, shape, strides }: Strided): { begin: number; end: number; size: number } {
  if (shape.includes(0)) return { begin: 0, end: 0, size: 0 }
  const size = sizeOf(shape)
  const reach = shape.reduce((sum, extent, axis) => sum + (extent - 1) * strides[axis], 0)
  return { begin: offset, end: offset + reach + 1, size }
}

/**
 * The elements of a strided tensor in row-major order. One without gaps is read into its array at once; of others what
 * they look at is read, and then picked.
 * @param start byte offset of the storage
 */
export async function readStrided(
  range: RangeReader,
  start: number,
  dtype: StoredDType,
  tensor: Strided,
  bigEndian: boolean,
): Promise<SafetensorsArray> {
  const { begin, end, size } = spanOf(tensor)
  const width = arrayTypes[dtype].BYTES_PER_ELEMENT
  let elements = await readElements(range, start + begin * width, dtype, end - begin)
  if (bigEndian && width > 1) elements = swapped(elements, dtype)
  return isContiguous(tensor) ? elements : pick(elements, dtype, tensor, size)
}

/** Axes of one element may have any stride. */
function isContiguous({ shape, strides }: Strided): boolean {
  const expected = stridesOf(shape)
  return shape.includes(0) || shape.every((extent, axis) => extent === 1 || strides[axis] === expected[axis])
}

function pick(elements: SafetensorsArray, dtype: StoredDType, tensor: Strided, size: number): SafetensorsArray {
  const { shape, strides } = tensor
  // Of one element type, which the compiler is not told: bigint stays bigint.
  const from = elements as Float32Array
  const picked = new arrayTypes[dtype](size) as Float32Array
  const last = shape.length - 1
  const extent = shape[last]
  const step = strides[last]
  const index = new Array<number>(last).fill(0)
  for (let to = 0, base = 0; to < size; ) {
    for (let i = 0, at = base; i < extent; i++, at += step) picked[to++] = from[at]
    for (let axis = last - 1; axis >= 0; axis--) {
      base += strides[axis]
      if (++index[axis] < shape[axis]) break
      base -= index[axis] * strides[axis]
      index[axis] = 0
    }
  }
  return picked as SafetensorsArray
}

/** A copy with the bytes of each element turned around: the file may be somebody's memory. */
function swapped(elements: SafetensorsArray, dtype: StoredDType): SafetensorsArray {
  const copy = elements.slice()
  const bytes = new Uint8Array(copy.buffer, copy.byteOffset, copy.byteLength)
  const width = arrayTypes[dtype].BYTES_PER_ELEMENT
  for (let i = 0; i < bytes.length; i += width) bytes.subarray(i, i + width).reverse()
  return copy
}
