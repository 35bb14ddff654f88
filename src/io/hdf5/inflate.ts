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
  const result = new Uint8Array(most)
  let length = 0
  const damaged = (got: string) =>
    new FormatError({
      where: path,
      what: `compressed data are damaged (at byte offset ${offset})`,
      got,
      expected: `at most ${most} bytes of zlib data`,
      fix: 'the file is damaged: get it again',
    })
  const reader = new Blob([data]).stream().pipeThrough(new DecompressionStream('deflate')).getReader()
  for (;;) {
    const { done, value } = await reader.read().catch((error: unknown) => {
      throw damaged(error instanceof Error ? error.message : String(error))
    })
    if (done) return result.subarray(0, length)
    if (length + value.length > most) {
      await reader.cancel().catch(() => undefined)
      throw damaged('more')
    }
    result.set(value, length)
    length += value.length
  }
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
