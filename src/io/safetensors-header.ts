import type { ByteReader } from '../base/bytes.ts'
import type { FormatError } from '../base/errors.ts'
import { showShape, sizeOf } from '../base/shape.ts'

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
  readonly #start: number
  readonly #text: string
  /** Index in `#text` of each key of the header, by path; keys of deeper objects are not needed. */
  readonly #keys = new Map<string, number>()

  constructor(reader: ByteReader) {
    const length = reader.u64LittleEndian('the header length')
    if (length > maxHeaderBytes || length > reader.remaining) {
      const tooLong = length > maxHeaderBytes
      throw reader.error(`the header length is ${tooLong ? 'absurd' : 'greater than the file'}`, {
        offset: 0,
        got: `${length} bytes of header, ${reader.length} bytes in all`,
        expected: tooLong ? `at most ${maxHeaderBytes}` : `at most ${reader.remaining}`,
        fix: 'check that this is a safetensors file, and complete',
      })
    }
    this.#reader = reader
    this.#start = reader.offset
    this.#text = reader.text(length, 'the header')
    const root = this.#parse()
    this.#findKeys()
    for (const [name, value] of Object.entries(root)) {
      if (name === metadataKey) this.#readMetadata(value)
      else this.entries.push(this.#readEntry(name, value))
    }
  }

  /** A FormatError at the place of a key (the innermost of `keyPath` that exists), or at the header's start. */
  error(
    keyPath: readonly string[],
    what: string,
    details: { got?: string; expected?: string; fix?: string },
  ): FormatError {
    let index = 0
    for (let depth = keyPath.length; depth > 0 && index === 0; depth--) {
      index = this.#keys.get(JSON.stringify(keyPath.slice(0, depth))) ?? 0
    }
    return this.#errorAt(index, what, details)
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

  /** JSON.parse keeps the last of two equal keys in silence; this looks at the text itself, known to be JSON by now. */
  #findKeys(): void {
    const path: string[] = []
    let depth = 0
    for (let i = 0; i < this.#text.length; i++) {
      const character = this.#text[i]
      if (character === '{' || character === '[') depth++
      else if (character === '}' || character === ']') depth--
      else if (character === '"') {
        const end = endOfString(this.#text, i)
        if (depth <= 2 && isColonNext(this.#text, end)) {
          path.length = depth - 1
          path.push(JSON.parse(this.#text.slice(i, end)))
          this.#addKey(path, i)
        }
        i = end - 1
      }
    }
  }

  #addKey(path: readonly string[], index: number): void {
    const key = JSON.stringify(path)
    if (this.#keys.has(key)) {
      const name = JSON.stringify(path.at(-1))
      throw this.#errorAt(index, `the header names ${name} twice`, { expected: 'each key once' })
    }
    this.#keys.set(key, index)
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

/** Index behind the closing quote of the JSON string that begins at `start`. */
function endOfString(text: string, start: number): number {
  let i = start + 1
  while (text[i] !== '"') i += text[i] === '\\' ? 2 : 1
  return i + 1
}

/** Whether the next character that is not white space is a colon: what stands before it is a key. */
function isColonNext(text: string, index: number): boolean {
  let i = index
  while (text[i] === ' ' || text[i] === '\n' || text[i] === '\r' || text[i] === '\t') i++
  return text[i] === ':'
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
