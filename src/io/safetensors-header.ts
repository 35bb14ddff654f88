import type { ByteReader } from '../base/bytes.ts'
import type { FormatError } from '../base/errors.ts'
import { showShape, sizeOf } from '../base/shape.ts'
import { type KeyPlaces, keyPlaces, placeOf } from './json-keys.ts'

/** Array type that holds each element type. F16, BF16 and the 8-bit floats have none: their raw bits are kept. */
export const arrayTypes = {
  F64: Float64Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
  F32: Float32Array,
  I32: Int32Array,
  U32: Uint32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I16: Int16Array,
  U16: Uint16Array,
  F8_E4M3: Uint8Array,
  F8_E5M2: Uint8Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const

/** Element types as files spell them. */
export type SafetensorsDType = keyof typeof arrayTypes
export type SafetensorsArray = InstanceType<(typeof arrayTypes)[SafetensorsDType]>

const dtypes = Object.keys(arrayTypes) as SafetensorsDType[]

/** The reference reads no larger header. */
const maxHeaderBytes = 100_000_000
/** The one name of the header that is not a tensor's. */
export const metadataKey = '__metadata__'

/** A tensor as the header describes it; `begin` and `end` count from the start of the data. */
export interface Entry {
  readonly name: string
  readonly dtype: SafetensorsDType
  readonly shape: number[]
  readonly begin: number
  readonly end: number
}

/** The parsed and checked JSON header; knows where in the file each of its keys stands. */
export class Header {
  readonly entries: Entry[] = []
  readonly metadata: Record<string, string> = {}
  readonly #reader: ByteReader
  /** Where in the file the data begin. */
  readonly dataStart: number
  readonly #start: number
  readonly #text: string
  /** Index in `#text` of each key of the header, by path; keys of deeper objects are not needed. */
  readonly #keys: KeyPlaces

  /** @param reader at the start of the file, of which at least the header is there */
  constructor(reader: ByteReader, fileBytes: number) {
    const length = readHeaderLength(reader, fileBytes)
    this.#reader = reader
    this.#start = reader.offset
    this.#text = reader.text(length, 'the header')
    this.dataStart = reader.offset
    const root = this.#parse()
    this.#keys = keyPlaces(this.#text, 2, (name, index) =>
      this.#errorAt(index, `the header names ${name} twice`, { expected: 'each key once' }),
    )
    for (const [name, value] of Object.entries(root)) {
      if (name === metadataKey) this.#readMetadata(value)
      else this.entries.push(this.#readEntry(name, value))
    }
  }

  /**
   * The entries in the order of their data, which have to fill the file without overlaps and holes.
   * @throws FormatError when they do not
   */
  inOrder(fileBytes: number): Entry[] {
    const dataStart = this.dataStart
    const dataBytes = fileBytes - dataStart
    const entries = this.entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end)
    let end = 0
    for (const entry of entries) {
      const fail = (what: string, details: { got?: string; expected?: string; fix?: string }) =>
        this.error([entry.name, 'data_offsets'], `tensor '${entry.name}' ${what}`, details)
      const got = `data_offsets [${entry.begin}, ${entry.end}]`
      if (entry.begin !== end) {
        const expected = `a begin of ${end}, where the tensors before it end`
        throw fail(entry.begin < end ? 'overlaps another' : 'leaves a hole before it', { got, expected })
      }
      if (entry.end > dataBytes) {
        throw fail('reaches beyond the end of the file', {
          got: `${got}, ${dataBytes} bytes of data`,
          expected: `at least ${dataStart + entry.end} bytes in all, found ${fileBytes}`,
          fix: 'the file is cut short: get it again',
        })
      }
      end = entry.end
    }
    if (end !== dataBytes) {
      throw this.#reader.error('data follows that belongs to no tensor', {
        offset: dataStart + end,
        got: `${dataBytes - end} bytes too many`,
        expected: `${dataStart + end} bytes in all`,
      })
    }
    return entries
  }

  /** A FormatError at the place of a key (the innermost of `keyPath` that exists), or at the header's start. */
  error(
    keyPath: readonly string[],
    what: string,
    details: { got?: string; expected?: string; fix?: string },
  ): FormatError {
    return this.#errorAt(placeOf(this.#keys, keyPath), what, details)
  }

  #errorAt(index: number, what: string, details: { got?: string; expected?: string; fix?: string }): FormatError {
    const offset = this.#start + new TextEncoder().encode(this.#text.slice(0, index)).length
    const fix = 'write the file again with a program that keeps to the format'
    return this.#reader.error(what, { fix, offset, ...details })
  }

  #parse(): object {
    const begin = JSON.stringify(this.#text.slice(0, 8))
    if (!this.#text.startsWith('{')) {
      throw this.#errorAt(0, 'the header is not a JSON object', { got: `${begin}`, expected: "'{' first" })
    }
    try {
      return JSON.parse(this.#text)
    } catch (error) {
      const position = Number(/position (\d+)/.exec((error as Error).message)?.[1] ?? 0)
      throw this.#errorAt(position, 'the header is not JSON', {
        got: (error as Error).message,
        expected: 'a JSON object',
      })
    }
  }

  #readMetadata(value: unknown): void {
    if (!isObject(value)) {
      throw this.error([metadataKey], 'the metadata are not a JSON object', {
        got: show(value),
        expected: 'names with texts',
      })
    }
    for (const [key, text] of Object.entries(value)) {
      if (typeof text !== 'string') {
        throw this.error([metadataKey, key], `metadata ${JSON.stringify(key)} is not a text`, {
          got: show(text),
          expected: 'a string',
        })
      }
      define(this.metadata, key, text)
    }
  }

  #readEntry(name: string, value: unknown): Entry {
    const fail = (key: string, what: string, got: unknown, expected: string) =>
      this.error([name, key], `tensor '${name}' ${what}`, { got: typeof got === 'string' ? got : show(got), expected })
    if (!isObject(value)) throw fail('', 'is not described by a JSON object', value, '{ dtype, shape, data_offsets }')
    for (const key of Object.keys(value)) {
      if (key === 'dtype' || key === 'shape' || key === 'data_offsets') continue
      throw fail(key, `has an unknown field ${JSON.stringify(key)}`, value[key], 'dtype, shape and data_offsets')
    }
    const { dtype, shape, data_offsets: offsets } = value
    if (!dtypes.includes(dtype as SafetensorsDType)) {
      throw fail('dtype', 'has an unknown dtype', show(dtype), dtypes.join(', '))
    }
    if (!isExtents(shape)) throw fail('shape', 'has an impossible shape', shape, 'an array of integers of 0 or more')
    if (!isExtents(offsets) || offsets.length !== 2 || offsets[0] > offsets[1]) {
      throw fail('data_offsets', 'has impossible data_offsets', offsets, '[begin, end], begin not above end')
    }
    const [begin, end] = offsets
    const expected = sizeOf(shape) * arrayTypes[dtype as SafetensorsDType].BYTES_PER_ELEMENT
    if (end - begin !== expected) {
      const got = `data_offsets [${begin}, ${end}], ${end - begin} bytes`
      throw fail(
        'data_offsets',
        'has data of the wrong size',
        got,
        `${expected} bytes for ${dtype} ${showShape(shape)}`,
      )
    }
    return { name, dtype: dtype as SafetensorsDType, shape, begin, end }
  }
}

/**
 * The eight bytes in front of the header.
 * @throws FormatError when they cannot be a header's length
 */
export function readHeaderLength(reader: ByteReader, fileBytes: number): number {
  const length = reader.u64LittleEndian('the header length')
  const left = fileBytes - reader.offset
  if (length <= maxHeaderBytes && length <= left) return length
  const tooLong = length > maxHeaderBytes
  throw reader.error(`the header length is ${tooLong ? 'absurd' : 'greater than the file'}`, {
    offset: 0,
    got: `${length} bytes of header, ${fileBytes} bytes in all`,
    expected: `at most ${tooLong ? maxHeaderBytes : left}`,
    fix: 'check that this is a safetensors file, and complete',
  })
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whether a value is a list of lengths. */
export function isExtents(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((extent) => Number.isSafeInteger(extent) && extent >= 0)
}

/** A JSON value for a message, short. */
function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

/** Sets a property even if it is called `__proto__`. */
function define<T>(object: Record<string, T>, key: string, value: T): void {
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
}
