/** Bytes by range: what readers of large files rest on, the same over a file, a Blob and memory. */
import { FormatError, UnsupportedError } from '../base/errors.ts'

/** A file whose bytes are read where they are needed. Its size is that of the moment it was opened. */
export interface RangeReader {
  /** Where the bytes come from, for messages. */
  readonly path: string
  /** Bytes in all. */
  readonly size: number
  /**
   * The bytes of a range, all of them. Over memory they are a view: not to be written to.
   * @param length at most 4 GiB, the longest array of bytes
   * @throws FormatError naming path and offset when the range leaves the file
   */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>
  /** Fills `into` from an offset on: what is read lands in its final place. @throws FormatError as `read` */
  readInto(offset: number, into: Uint8Array): Promise<void>
  /** Further reads fail. */
  close(): Promise<void>
}

/** What can be opened by range: a path (Node), bytes, or a picked or fetched Blob. */
export type RangeSource = string | Uint8Array | Blob

/** The longest array of bytes that every engine makes, 4 GiB. */
const longest = 2 ** 32

/** What a file that was picked is called. */
export const nameOf = (blob: Blob): string => ('name' in blob && typeof blob.name === 'string' ? blob.name : 'file')

/** @throws FormatError unless `length` bytes at `offset` lie in the file, UnsupportedError when no array can hold them */
export function checkRange(path: string, size: number, offset: number, length: number): void {
  const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0
  if (!whole || offset + length > size) {
    throw new FormatError({
      where: path,
      what: `the file ends before what is to be read (at byte offset ${offset})`,
      got: `${size} bytes in all`,
      expected: `${length} bytes from offset ${offset} on`,
      fix: 'the file is cut short or not of this format: get it again',
    })
  }
  if (length <= longest) return
  throw new UnsupportedError({
    where: path,
    what: `a piece is too long for one array of bytes (at byte offset ${offset})`,
    got: `${length} bytes`,
    expected: `at most ${longest}`,
    fix: 'split what the file holds into smaller parts',
  })
}

/** Bytes in memory; ranges are views of them. */
export function rangesOfBytes(bytes: Uint8Array, path: string): RangeReader {
  // A Buffer's subarray is a Buffer; only the plain kind leaves this reader.
  const plain = new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength)
  const size = plain.length
  return {
    path,
    size,
    async read(offset, length) {
      checkRange(path, size, offset, length)
      return plain.subarray(offset, offset + length)
    },
    async readInto(offset, into) {
      checkRange(path, size, offset, into.length)
      into.set(plain.subarray(offset, offset + into.length))
    },
    async close() {},
  }
}

/** A Blob, as a page gets it from a file that its user picks: only what is asked for is read. */
export function rangesOfBlob(blob: Blob, path: string): RangeReader {
  const { size } = blob
  const read = async (offset: number, length: number) => {
    checkRange(path, size, offset, length)
    return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer())
  }
  return {
    path,
    size,
    read,
    async readInto(offset, into) {
      into.set(await read(offset, into.length))
    },
    async close() {},
  }
}
