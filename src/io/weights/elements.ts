import type { RangeReader } from '#platform'
import { UnsupportedError } from '../../base/errors.ts'
import { arrayTypes, type SafetensorsArray, type SafetensorsDType } from '../safetensors-header.ts'

/** Of a file's bytes an array can be made over at once; larger ones are filled piece by piece. */
const longestRead = 2 ** 32
const pieceBytes = 2 ** 30

/**
 * Elements that stand in a row in a file, little-endian, read into one array without a second copy; of bytes in memory
 * it is a view where they are aligned.
 * @throws FormatError when the range leaves the file, UnsupportedError when no array is that long
 */
export async function readElements(
  range: RangeReader,
  offset: number,
  dtype: SafetensorsDType,
  count: number,
): Promise<SafetensorsArray> {
  const type = arrayTypes[dtype]
  const bytes = count * type.BYTES_PER_ELEMENT
  if (bytes <= longestRead) {
    let raw = await range.read(offset, bytes)
    if (raw.byteOffset % type.BYTES_PER_ELEMENT !== 0) raw = raw.slice()
    return new type(raw.buffer, raw.byteOffset, count)
  }
  const array = allocate(range.path, dtype, count, offset)
  for (let start = 0; start < bytes; start += pieceBytes) {
    const piece = new Uint8Array(array.buffer as ArrayBuffer, start, Math.min(pieceBytes, bytes - start))
    await range.readInto(offset + start, piece)
  }
  return array
}

function allocate(path: string, dtype: SafetensorsDType, count: number, offset: number): SafetensorsArray {
  try {
    return new arrayTypes[dtype](count)
  } catch {
    throw new UnsupportedError({
      where: path,
      what: `a tensor is too large for this machine's memory or one array (at byte offset ${offset})`,
      got: `${count} elements of ${dtype}`,
      expected: 'a tensor that fits in memory',
      fix: 'split it, or read it on a machine with more memory',
    })
  }
}
