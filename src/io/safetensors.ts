/**
 * Safetensors: named tensors in one file. Eight bytes of header length (little endian), a JSON header, then the data
 * of all tensors without holes. Reading runs no code and believes nothing: whatever the bytes are, the outcome is
 * tensors or a FormatError.
 *
 * @see https://github.com/huggingface/safetensors
 */
import { unpackBfloat16 } from '../base/bfloat16.ts'
import { ByteReader } from '../base/bytes.ts'
import { ConfigError, DTypeError, FormatError, ShapeError } from '../base/errors.ts'
import { type Shape, showShape, sizeOf } from '../base/shape.ts'
import {
  arrayTypes,
  type Entry,
  Header,
  isExtents,
  metadataKey,
  type SafetensorsArray,
  type SafetensorsDType,
} from './safetensors-header.ts'
import { fromSmallFloats } from './small-floats.ts'

export type { SafetensorsArray, SafetensorsDType }

export interface SafetensorsTensor {
  readonly dtype: SafetensorsDType
  readonly shape: Shape
  /** The elements in row-major order. BOOL is 0 and 1; F16, BF16 and F8 are raw bits, see `toFloat32`. */
  readonly data: SafetensorsArray
}

export interface SafetensorsFile {
  readonly tensors: Map<string, SafetensorsTensor>
  /** Free text about the file, `{}` when it has none. */
  readonly metadata: Record<string, string>
}

// ── reading ──

/**
 * Opens a safetensors file held in memory. Tensors are views of `bytes` where alignment allows, copies elsewhere.
 *
 * ```ts
 * const { tensors, metadata } = readSafetensors(await readFile('weights.safetensors'), 'weights.safetensors')
 * tensors.get('conv1.weight')?.shape
 * ```
 *
 * @param path where the bytes came from, for messages
 * @throws FormatError with path and byte offset for anything the format does not allow
 */
export function readSafetensors(bytes: Uint8Array, path: string): SafetensorsFile {
  const reader = new ByteReader(bytes, path)
  const header = new Header(reader, bytes.length)
  header.inOrder(bytes.length)
  const tensors = new Map<string, SafetensorsTensor>()
  for (const entry of header.entries) {
    reader.seek(header.dataStart + entry.begin)
    tensors.set(entry.name, { dtype: entry.dtype, shape: entry.shape, data: readElements(reader, entry) })
  }
  return { tensors, metadata: header.metadata }
}

function readElements(reader: ByteReader, { name, dtype, begin, end }: Entry): SafetensorsArray {
  const start = reader.offset
  let raw = reader.bytes(end - begin, `tensor '${name}'`)
  const type = arrayTypes[dtype]
  if (raw.byteOffset % type.BYTES_PER_ELEMENT !== 0) raw = raw.slice()
  if (dtype === 'BOOL') checkBooleans(raw, name, reader.path, start)
  return new type(raw.buffer as ArrayBuffer, raw.byteOffset, raw.byteLength / type.BYTES_PER_ELEMENT)
}

/** @param start byte offset in the file @throws FormatError at the first byte that is neither 0 nor 1 */
export function checkBooleans(bytes: Uint8Array, name: string, path: string, start: number): void {
  const wrong = bytes.findIndex((byte) => byte > 1)
  if (wrong < 0) return
  throw new FormatError({
    where: path,
    what: `tensor '${name}' holds a BOOL that is neither 0 nor 1 (at byte offset ${start + wrong})`,
    got: `${bytes[wrong]}`,
    expected: '0 or 1',
    fix: 'check that the file is complete and of this format',
  })
}

// ── writing ──

/**
 * The bytes of a safetensors file. The same tensors and metadata give the same bytes, in whatever order they come:
 * wide element types first, so that every tensor is aligned, then by name; metadata by key.
 *
 * ```ts
 * writeSafetensors(new Map([['bias', { dtype: 'F32', shape: [3], data: Float32Array.of(1, 2, 3) }]]), { layout: 'channels-last' })
 * ```
 *
 * @throws ShapeError when the data do not fill the shape, DTypeError when the array is not the dtype's, ConfigError for the name `__metadata__`
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, SafetensorsTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  for (const [name, tensor] of tensors) checkWritable(name, tensor)
  const { head, names, dataBytes } = layOut(tensors, metadata)
  const bytes = new Uint8Array(head.length + dataBytes)
  bytes.set(head)
  let offset = head.length
  for (const name of names) {
    const { data } = tensors.get(name)!
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset)
    offset += data.byteLength
  }
  return bytes
}

/** A tensor whose elements are made when their turn comes. */
export interface SafetensorsPiece {
  readonly dtype: SafetensorsDType
  readonly shape: Shape
  read(): Promise<SafetensorsArray>
}

/**
 * The same bytes in pieces, of which one tensor is held at a time: to write what need not be in memory twice.
 *
 * ```ts
 * for await (const piece of safetensorsPieces(tensors)) await file.write(piece)
 * ```
 *
 * @throws as `writeSafetensors`, when the tensor's turn comes
 */
export async function* safetensorsPieces(
  tensors: ReadonlyMap<string, SafetensorsPiece>,
  metadata: Readonly<Record<string, string>> = {},
): AsyncGenerator<Uint8Array> {
  const { head, names } = layOut(tensors, metadata)
  yield head
  for (const name of names) {
    const { dtype, shape, read } = tensors.get(name)!
    const data = await read()
    checkWritable(name, { dtype, shape, data })
    for (let start = 0; start < data.byteLength; start += longestPiece) {
      const length = Math.min(longestPiece, data.byteLength - start)
      yield new Uint8Array(data.buffer, data.byteOffset + start, length)
    }
  }
}

const longestPiece = 2 ** 28

/** Length and header with its padding, and the tensors in the order of their data. */
function layOut(
  tensors: ReadonlyMap<string, Omit<SafetensorsTensor, 'data'>>,
  metadata: Readonly<Record<string, string>>,
): { head: Uint8Array; names: readonly string[]; dataBytes: number } {
  const names = [...tensors.keys()].sort(byCodeUnit)
  const width = (name: string) => arrayTypes[tensors.get(name)!.dtype].BYTES_PER_ELEMENT
  names.sort((a, b) => width(b) - width(a))

  const metadataKeys = Object.keys(metadata).sort(byCodeUnit)
  const fields = metadataKeys.map((key) => `${JSON.stringify(key)}:${JSON.stringify(metadata[key])}`)
  const parts = fields.length === 0 ? [] : [`"${metadataKey}":{${fields.join(',')}}`]
  let end = 0
  for (const name of names) {
    checkName(name)
    const { dtype, shape } = tensors.get(name)!
    const begin = end
    end += sizeOf(shape) * width(name)
    parts.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`)
  }
  const text = new TextEncoder().encode(`{${parts.join(',')}}`)
  const headerLength = Math.ceil(text.length / 8) * 8
  const head = new Uint8Array(8 + headerLength).fill(0x20, 8)
  new DataView(head.buffer).setBigUint64(0, BigInt(headerLength), true)
  head.set(text, 8)
  return { head, names, dataBytes: end }
}

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function checkName(name: string): void {
  if (name !== metadataKey) return
  throw new ConfigError({
    where: `writeSafetensors: tensor '${name}'`,
    what: 'the format keeps this name for metadata',
    fix: 'give the tensor another name',
  })
}

function checkWritable(name: string, { dtype, shape, data }: SafetensorsTensor): void {
  const where = `writeSafetensors: tensor '${name}'`
  if (!(data instanceof arrayTypes[dtype])) {
    throw new DTypeError({
      where,
      what: 'the array does not hold the dtype',
      got: `${(data as object).constructor.name} for ${dtype}`,
      expected: arrayTypes[dtype].name,
    })
  }
  if (!isExtents(shape) || data.length !== sizeOf(shape)) {
    throw new ShapeError({
      where,
      what: 'the data do not fill the shape',
      got: `${data.length} elements for ${showShape(shape)}`,
      expected: `${sizeOf(shape)} elements`,
    })
  }
}

// ── conversion ──

/** The elements as a new Float32Array: exact for F16, BF16, F8 and small integers, rounded for F64 and large ones. */
export function toFloat32({ dtype, data }: SafetensorsTensor): Float32Array {
  switch (dtype) {
    case 'F16':
      return fromSmallFloats(data as Uint16Array, 5, 10)
    case 'BF16':
      return unpackBfloat16(data as Uint16Array)
    case 'F8_E5M2':
      return fromSmallFloats(data as Uint8Array, 5, 2)
    case 'F8_E4M3':
      return fromSmallFloats(data as Uint8Array, 4, 3)
    case 'I64':
    case 'U64':
      return Float32Array.from(data as BigInt64Array | BigUint64Array, Number)
    default:
      return Float32Array.from(data as Exclude<SafetensorsArray, BigInt64Array | BigUint64Array>)
  }
}
