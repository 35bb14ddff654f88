import { inflateRaw } from '#platform'
import { FormatError } from '../../base/errors.ts'

/**
 * Undoes deflate (zlib's form).
 * @param most bytes that may come out
 * @param offset of the data in the file, for messages
 * @throws FormatError when the data are damaged, or more than `most` bytes come out
 */
export async function inflate(
  data: Uint8Array<ArrayBuffer>,
  most: number,
  path: string,
  offset: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const damaged = (got: string) =>
    new FormatError({
      where: path,
      what: `compressed data are damaged (at byte offset ${offset})`,
      got,
      expected: `at most ${most} bytes of zlib data`,
      fix: 'the file is damaged: get it again',
    })
  const end = data.length - 4
  if (end < 2 || (data[0] & 15) !== 8 || (256 * data[0] + data[1]) % 31 !== 0) throw damaged('no zlib data')
  const result = await inflateRaw(data.subarray(2, end), most)
  if (result === undefined) throw damaged('data that are not deflate data')
  if (result.length > most) throw damaged('more')
  if (new DataView(data.buffer, data.byteOffset).getUint32(end) !== adler32(result)) throw damaged('another sum')
  return result
}

/** The sum behind zlib data (RFC 1950, section 8.2). */
function adler32(bytes: Uint8Array): number {
  let [first, second] = [1, 0]
  for (let i = 0; i < bytes.length; ) {
    // So many bytes do not overflow 32 bits.
    for (const end = Math.min(bytes.length, i + 3800); i < end; i++) {
      first += bytes[i]
      second += first
    }
    first %= 65521
    second %= 65521
  }
  return second * 65536 + first
}

/**
 * Takes the sum away that the filter fletcher32 puts behind the data.
 * @throws FormatError when it is not theirs
 */
export function withoutSum(data: Uint8Array<ArrayBuffer>, path: string, offset: number): Uint8Array<ArrayBuffer> {
  const values = data.subarray(0, Math.max(0, data.length - 4))
  const stored = data.length < 4 ? undefined : new DataView(data.buffer, data.byteOffset).getUint32(values.length, true)
  const fold = (sum: number) => (sum & 0xffff) + Math.floor(sum / 0x10000)
  let [first, second] = [0, 0]
  for (let i = 0; i < values.length; ) {
    // Words of two bytes, the larger part first; 360 of them do not overflow.
    for (const end = Math.min(values.length, i + 720); i < end; i += 2) {
      first += 256 * values[i] + (values[i + 1] ?? 0)
      second += first
    }
    first = fold(first)
    second = fold(second)
  }
  const sum = fold(second) * 0x10000 + fold(first)
  if (sum === stored) return values
  throw new FormatError({
    where: path,
    what: `data and their sum do not fit (at byte offset ${offset})`,
    got: `the sum ${stored?.toString(16) ?? 'missing'}`,
    expected: sum.toString(16),
    fix: 'the file is damaged: get it again',
  })
}
