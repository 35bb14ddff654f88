import { ByteReader, showStart } from '../base/bytes.ts'

/** A regular file in a tar archive. */
export interface TarEntry {
  /** Path in the archive, parts joined by `/`. */
  readonly name: string
  /** A view of the archive's bytes, not a copy. */
  readonly data: Uint8Array
}

const blockSize = 512
const checksumAt = 148
const checksumEnd = 156

/**
 * The regular files of an uncompressed tar archive (POSIX ustar, GNU, and what came before), in their order. Folders,
 * links and extended headers are passed over.
 * @param path names the archive in messages
 * @throws FormatError with the byte offset when it is not a tar archive, damaged or cut short
 */
export function* readTar(bytes: Uint8Array, path: string): Generator<TarEntry> {
  const reader = new ByteReader(bytes, path)
  while (reader.remaining > 0) {
    const start = reader.offset
    const header = reader.bytes(blockSize, 'a header of the archive')
    // Zeros end the archive; what follows is padding.
    if (header.every((byte) => byte === 0)) return
    checkHeader(header, start, reader)
    const size = octal(header.subarray(124, 136))
    if (size === undefined) {
      throw reader.error('the size of a file in the archive is no octal number', {
        offset: start + 124,
        got: showStart(header.subarray(124, 136)),
        expected: 'octal digits',
      })
    }
    const name = nameOf(header)
    const data = reader.bytes(size, `'${name}'`)
    reader.bytes(Math.min(reader.remaining, (blockSize - (size % blockSize)) % blockSize), 'padding')
    // A zero byte is what archives before POSIX have, '7' is a contiguous file.
    if ([0, 0x30, 0x37].includes(header[checksumEnd])) yield { name, data }
  }
}

function checkHeader(header: Uint8Array, offset: number, reader: ByteReader): void {
  let sum = 0
  for (const [i, byte] of header.entries()) sum += i >= checksumAt && i < checksumEnd ? 0x20 : byte
  const expected = octal(header.subarray(checksumAt, checksumEnd))
  if (sum === expected) return
  throw reader.error(offset === 0 ? 'not a tar archive' : 'the archive is damaged', {
    offset,
    got: `a header that begins with ${showStart(header)}`,
    expected: 'a header whose checksum is right',
    fix: 'get the file again',
  })
}

/** Octal digits, with blanks and zero bytes around them; undefined when it is something else. */
function octal(field: Uint8Array): number | undefined {
  const digits = /^[ \0]*([0-7]+)[ \0]*$/.exec(String.fromCharCode(...field))
  return digits === null ? undefined : Number.parseInt(digits[1], 8)
}

function nameOf(header: Uint8Array): string {
  const name = text(header.subarray(0, 100))
  // GNU's headers say 'ustar ' and keep other things where POSIX has the first part of a long path.
  const isPosix = text(header.subarray(257, 263)) === 'ustar'
  const prefix = isPosix ? text(header.subarray(345, 500)) : ''
  return prefix === '' ? name : `${prefix}/${name}`
}

/** The characters before the first zero byte. */
function text(field: Uint8Array): string {
  const end = field.indexOf(0)
  return new TextDecoder().decode(end === -1 ? field : field.subarray(0, end))
}
