import { gunzip, sha256 } from '#platform'
import { showStart } from '../base/bytes.ts'
import { FormatError } from '../base/errors.ts'

/** The bytes without gzip, which is told by the first bytes and not by the name. @throws FormatError when it is damaged */
export async function unpack(bytes: Uint8Array, path: string): Promise<Uint8Array> {
  return bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzip(bytes, path) : bytes
}

/**
 * Compares with the sum that was published.
 * @param sum SHA-256 in hexadecimal
 * @param what names the bytes in the message: `the file`
 * @throws FormatError naming `where`
 */
export async function checkSum(bytes: Uint8Array, sum: string, where: string, what: string): Promise<void> {
  const got = await sha256(bytes)
  if (got === sum) return
  throw new FormatError({
    where,
    what: `${what} is not the one that was published`,
    got: `sha256 ${got}, ${bytes.length.toLocaleString('en-US')} bytes that begin with ${showStart(bytes)}`,
    expected: `sha256 ${sum}, uncompressed`,
    fix: 'get the file again',
  })
}
