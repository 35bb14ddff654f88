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
