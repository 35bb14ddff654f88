import { FormatError } from './errors.ts'

const knownStarts: readonly (readonly [start: readonly number[], name: string])[] = [
  [[0xff, 0xd8, 0xff], 'a JPEG picture'],
  [[0x89, 0x50, 0x4e, 0x47], 'a PNG picture'],
  [[0x47, 0x49, 0x46, 0x38], 'a GIF picture'],
  [[0x1f, 0x8b], 'gzip data'],
  [[0x50, 0x4b, 0x03, 0x04], 'a zip archive'],
  [[0x25, 0x50, 0x44, 0x46], 'a PDF document'],
  [[0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59], 'a NumPy array'],
  [[0x80, 0x02], 'a Python pickle'],
]

/**
 * What the first bytes of some data look like, as it stands in messages: `"hello wo" (text)`,
 * `50 4b 03 04 14 00 00 00 (a zip archive)`, `no bytes at all`.
 */
export function showStart(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'no bytes at all'
  const start = bytes.subarray(0, 8)
  const known = knownStarts.find(([begin]) => begin.every((byte, i) => byte === bytes[i]))
  if (known === undefined && start.every((byte) => (byte >= 0x20 && byte < 0x7f) || (byte >= 9 && byte <= 13))) {
    const text = JSON.stringify(String.fromCharCode(...start))
    return `${text} (${/^"\s*</.test(text) ? 'HTML or XML' : 'text'})`
  }
  const hex = Array.from(start, (byte) => byte.toString(16).padStart(2, '0')).join(' ')
  return known === undefined ? hex : `${hex} (${known[1]})`
}

/**
 * Reads a binary file from front to back without ever leaving it: every error is a FormatError that names the path
 * and the byte offset.
 *
 * ```ts
 * const reader = new ByteReader(bytes, 'train-labels.idx')
 * const magic = reader.u32BigEndian('magic number')
 * ```
 *
 * The `what` of each method is the field's name, for the message.
 */
export class ByteReader {
  readonly path: string
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #base: number
  #offset = 0

  /** @param base where in the file the bytes begin, when they are a part of it: what messages count from */
  constructor(bytes: Uint8Array, path: string, base = 0) {
    this.path = path
    this.#base = base
    // A Buffer is a Uint8Array whose slice() does not copy; only the plain kind leaves this reader.
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Bytes in all, of the part when it is one. */
  get length(): number {
    return this.#bytes.length
  }

  /** Byte offset of the next read, from the start of the bytes. */
  get offset(): number {
    return this.#offset
  }

  /** Bytes from the offset to the end. */
  get remaining(): number {
    return this.#bytes.length - this.#offset
  }

  /** Moves to a byte offset; the end itself is allowed. @throws FormatError outside the file */
  seek(offset: number): void {
    if (!Number.isInteger(offset) || offset < 0 || offset > this.#bytes.length) {
      throw this.error(`points to byte offset ${this.#base + offset}, outside the file`, {
        got: `offset ${this.#base + offset}`,
        expected: `an offset from ${this.#base} to ${this.#base + this.#bytes.length}`,
      })
    }
    this.#offset = offset
  }

  u8(what = 'a byte'): number {
    return this.#view.getUint8(this.#advance(1, what))
  }

  u16LittleEndian(what = 'a 16-bit number'): number {
    return this.#view.getUint16(this.#advance(2, what), true)
  }

  u16BigEndian(what = 'a 16-bit number'): number {
    return this.#view.getUint16(this.#advance(2, what), false)
  }

  u32LittleEndian(what = 'a 32-bit number'): number {
    return this.#view.getUint32(this.#advance(4, what), true)
  }

  u32BigEndian(what = 'a 32-bit number'): number {
    return this.#view.getUint32(this.#advance(4, what), false)
  }

  /** @throws FormatError also above 2^53 - 1, which a number does not hold */
  u64LittleEndian(what = 'a 64-bit number'): number {
    return this.#u64(true, what)
  }

  /** @throws FormatError also above 2^53 - 1, which a number does not hold */
  u64BigEndian(what = 'a 64-bit number'): number {
    return this.#u64(false, what)
  }

  /** The next `count` bytes: a view, not a copy. */
  bytes(count: number, what = 'data'): Uint8Array {
    const start = this.#advance(count, what)
    return this.#bytes.subarray(start, start + count)
  }

  /** The next `count` bytes as UTF-8. */
  text(count: number, what = 'text'): string {
    const start = this.#offset
    const bytes = this.bytes(count, what)
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    } catch {
      this.#offset = start
      throw this.error(`${what} is not UTF-8`, { got: showStart(bytes), expected: 'UTF-8 text' })
    }
  }

  /** A FormatError at the present offset (or `offset`), to throw where the reader's user finds something wrong. */
  error(what: string, details: { got?: string; expected?: string; fix?: string; offset?: number } = {}): FormatError {
    const { offset = this.#offset, fix = 'check that the file is complete and of this format', ...rest } = details
    return new FormatError({ where: this.path, what: `${what} (at byte offset ${this.#base + offset})`, ...rest, fix })
  }

  #u64(littleEndian: boolean, what: string): number {
    const start = this.#advance(8, what)
    const value = this.#view.getBigUint64(start, littleEndian)
    if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value)
    this.#offset = start
    throw this.error(`${what} is absurdly large`, { got: `${value}`, expected: `at most ${Number.MAX_SAFE_INTEGER}` })
  }

  /** Moves on by `count` bytes and returns where they start. */
  #advance(count: number, what: string): number {
    if (!Number.isSafeInteger(count) || count < 0) {
      throw this.error(`${what} has an impossible length`, { got: `${count} bytes`, expected: 'a length of 0 or more' })
    }
    if (count > this.remaining) {
      const part = this.#base > 0
      throw this.error(`the ${part ? 'data end' : 'file ends'} inside ${what}`, {
        got: `${this.remaining} of ${count} bytes`,
        expected: `at least ${this.#offset + count} bytes ${part ? 'in this part' : 'in all'}, found ${this.#bytes.length}`,
        fix: 'the file is cut short or not of this format: get it again',
      })
    }
    const start = this.#offset
    this.#offset += count
    return start
  }
}
