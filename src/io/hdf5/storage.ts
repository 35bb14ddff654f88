import type { RangeReader } from '#platform'
import { FormatError, UnsupportedError } from '../../base/errors.ts'

interface Details {
  readonly got?: string
  readonly expected?: string
  readonly fix?: string
  /** Default: where the next read would begin. */
  readonly offset?: number
}

/** A structure of the file, read from front to back; its errors name the path and the offset in the whole file. */
export class Span {
  readonly path: string
  /** Bytes of an address, and of a length. */
  readonly offsetSize: number
  readonly lengthSize: number
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #start: number
  #at = 0

  constructor(bytes: Uint8Array, start: number, of: { path: string; offsetSize: number; lengthSize: number }) {
    this.path = of.path
    this.offsetSize = of.offsetSize
    this.lengthSize = of.lengthSize
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#start = start
  }

  /** Where the next read begins, from the start of the file. */
  get offset(): number {
    return this.#start + this.#at
  }

  get remaining(): number {
    return this.#bytes.length - this.#at
  }

  error(what: string, details: Details = {}): FormatError {
    const { offset = this.offset, fix = 'the file is damaged: get it again', ...rest } = details
    return new FormatError({ where: this.path, what: `${what} (at byte offset ${offset})`, ...rest, fix })
  }

  /** Something that the format knows and we do not read. */
  unsupported(what: string, details: Details = {}): UnsupportedError {
    const {
      offset = this.offset,
      fix = 'write the file again with h5py as it is by default, or with h5repack',
      ...rest
    } = details
    return new UnsupportedError({ where: this.path, what: `${what} (at byte offset ${offset})`, ...rest, fix })
  }

  #advance(count: number, what: string): number {
    if (!(count <= this.remaining)) {
      throw this.error(`${what} does not fit where it stands`, {
        got: `${this.remaining} bytes left of the structure`,
        expected: `${count}`,
      })
    }
    const at = this.#at
    this.#at += count
    return at
  }

  u8(what: string): number {
    return this.#view.getUint8(this.#advance(1, what))
  }

  u16(what: string): number {
    return this.#view.getUint16(this.#advance(2, what), true)
  }

  u32(what: string): number {
    return this.#view.getUint32(this.#advance(4, what), true)
  }

  /** An unsigned number of 1, 2, 4 or 8 bytes. */
  unsigned(size: number, what: string): number {
    if (size === 1) return this.u8(what)
    if (size === 2) return this.u16(what)
    if (size === 4) return this.u32(what)
    const offset = this.offset
    const value = this.#view.getBigUint64(this.#advance(8, what), true)
    if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value)
    throw this.error(`${what} is absurdly large`, { got: `${value}`, offset })
  }

  length(what: string): number {
    return this.unsigned(this.lengthSize, what)
  }

  /** An address, undefined where all its bits are set: there is nothing. */
  address(what: string): number | undefined {
    const bytes = this.#bytes.subarray(this.#at, this.#at + this.offsetSize)
    if (bytes.length === this.offsetSize && bytes.every((byte) => byte === 255)) {
      this.#at += this.offsetSize
      return undefined
    }
    return this.unsigned(this.offsetSize, what)
  }

  skip(count: number, what = 'a reserved field'): void {
    this.#advance(count, what)
  }

  bytes(count: number, what: string): Uint8Array {
    const at = this.#advance(count, what)
    return this.#bytes.subarray(at, at + count)
  }

  /** The next `count` bytes as a structure of their own. */
  span(count: number, what: string): Span {
    const { offset } = this
    return new Span(this.bytes(count, what), offset, this)
  }

  /** The same structure, from its beginning. */
  fresh(): Span {
    return new Span(this.#bytes, this.#start, this)
  }

  /** UTF-8 of `count` bytes, up to the first zero. */
  text(count: number, what: string): string {
    const { offset } = this
    const bytes = this.bytes(count, what)
    const end = bytes.indexOf(0)
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(end < 0 ? bytes : bytes.subarray(0, end))
    } catch {
      throw this.error(`${what} is not UTF-8`, { expected: 'UTF-8 text', offset })
    }
  }

  /** UTF-8 up to the next zero, which has to be there. */
  zeroEnded(what: string): string {
    const length = this.#bytes.indexOf(0, this.#at) - this.#at
    if (length < 0) throw this.error(`${what} has no end`)
    return this.text(length, what)
  }

  /** The four letters that structures begin with. */
  signature(letters: string): void {
    const { offset } = this
    const got = String.fromCharCode(...this.bytes(4, `the signature ${letters}`))
    if (got === letters) return
    throw this.error(`there is no ${letters} where one should be`, {
      got: JSON.stringify(got),
      expected: `"${letters}"`,
      offset,
    })
  }
}

const pageBytes = 2 ** 16
const mostPages = 64

/**
 * The file behind the structures. What is read of it is counted: structures that overlap, or are pointed to again and
 * again, could otherwise stand for far more than there is.
 */
export class Storage {
  readonly path: string
  readonly size: number
  /** Addresses count from here: some files begin with something else. */
  base = 0
  offsetSize = 8
  lengthSize = 8
  readonly #range: RangeReader
  readonly #pages = new Map<number, Uint8Array>()
  #left: number

  constructor(range: RangeReader, path: string) {
    this.path = path
    this.size = range.size
    this.#range = range
    this.#left = 4 * range.size + 2 ** 20
  }

  /** Counts work that a structure at an offset asks for. */
  spend(count: number, offset: number): void {
    this.#left -= count
    if (this.#left >= 0) return
    throw new FormatError({
      where: this.path,
      what: `structures that lie over each other describe far more than the file holds (at byte offset ${offset})`,
      got: `more than ${4 * this.size} bytes of structures`,
      expected: `at most the ${this.size} bytes of the file`,
      fix: 'the file is damaged: get it again',
    })
  }

  /** @throws FormatError unless the file has so many bytes at an address */
  check(address: number, length: number, what: string): void {
    const offset = this.base + address
    const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && length >= 0
    if (whole && offset + length <= this.size) return
    throw new FormatError({
      where: this.path,
      what: `${what} lies outside of the file (at byte offset ${offset})`,
      got: `${this.size} bytes in all`,
      expected: `${length} bytes there`,
      fix: 'the file is cut short or damaged: get it again',
    })
  }

  /** Some bytes at an address, as a structure. */
  async span(address: number, length: number, what: string): Promise<Span> {
    const offset = this.base + address
    this.check(address, length, what)
    this.spend(length, offset)
    return new Span(await this.#bytes(offset, length), offset, this)
  }

  async #bytes(offset: number, length: number): Promise<Uint8Array> {
    const page = Math.floor(offset / pageBytes)
    if (offset + length > (page + 1) * pageBytes) return this.#range.read(offset, length)
    let bytes = this.#pages.get(page)
    if (bytes === undefined) {
      const start = page * pageBytes
      bytes = await this.#range.read(start, Math.min(pageBytes, this.size - start))
      if (this.#pages.size >= mostPages) this.#pages.clear()
      this.#pages.set(page, bytes)
    }
    // A copy: a structure that is kept must not keep its page.
    const start = offset - page * pageBytes
    return bytes.slice(start, start + length)
  }

  /** Values at an address, straight into their place. */
  readInto(address: number, into: Uint8Array): Promise<void> {
    return this.#range.readInto(this.base + address, into)
  }

  close(): Promise<void> {
    return this.#range.close()
  }
}
