/**
 * Safetensors: named tensors in one file. Eight bytes of header length (little endian), a JSON header, then the data
 * of all tensors without holes. Reading runs no code and believes nothing: whatever the bytes are, the outcome is
 * tensors or a FormatError.
 *
 * @see https://github.com/huggingface/safetensors
 */
import { unpackBfloat16 } from '../base/bfloat16.ts'
import { ByteReader } from '../base/bytes.ts'
import { ConfigError, DTypeError, ShapeError } from '../base/errors.ts'
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
  const header = new Header(reader)
  const tensors = new Map<string, SafetensorsTensor>()
  const dataStart = reader.offset
  let end = 0
  for (const entry of header.entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (entry.begin !== end) {
      throw header.error(
        [entry.name, 'data_offsets'],
        `tensor '${entry.name}' ${entry.begin < end ? 'overlaps another' : 'leaves a hole before it'}`,
        {
          got: `data_offsets [${entry.begin}, ${entry.end}]`,
          expected: `a begin of ${end}, where the tensors before it end`,
        },
      )
    }
    if (entry.end > bytes.length - dataStart) {
      throw header.error([entry.name, 'data_offsets'], `tensor '${entry.name}' reaches beyond the end of the file`, {
        got: `data_offsets [${entry.begin}, ${entry.end}], ${bytes.length - dataStart} bytes of data`,
        expected: `at least ${dataStart + entry.end} bytes in all, found ${bytes.length}`,
        fix: 'the file is cut short: get it again',
      })
    }
    end = entry.end
  }
  if (dataStart + end !== bytes.length) {
    throw reader.error('data follows that belongs to no tensor', {
      offset: dataStart + end,
      got: `${bytes.length - dataStart - end} bytes too many`,
      expected: `${dataStart + end} bytes in all`,
    })
  }
  for (const entry of header.entries) {
    reader.seek(dataStart + entry.begin)
    tensors.set(entry.name, { dtype: entry.dtype, shape: entry.shape, data: readElements(reader, entry) })
  }
  return { tensors, metadata: header.metadata }
}

function readElements(reader: ByteReader, { name, dtype, begin, end }: Entry): SafetensorsArray {
  const start = reader.offset
  let raw = reader.bytes(end - begin, `tensor '${name}'`)
  const type = arrayTypes[dtype]
  if (raw.byteOffset % type.BYTES_PER_ELEMENT !== 0) raw = raw.slice()
  if (dtype === 'BOOL') {
    const wrong = raw.findIndex((byte) => byte > 1)
    if (wrong >= 0) {
      throw reader.error(`tensor '${name}' holds a BOOL that is neither 0 nor 1`, {
        offset: start + wrong,
        got: `${raw[wrong]}`,
        expected: '0 or 1',
      })
    }
  }
  return new type(raw.buffer as ArrayBuffer, raw.byteOffset, raw.byteLength / type.BYTES_PER_ELEMENT)
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
  const names = [...tensors.keys()].sort(byCodeUnit)
  const width = (name: string) => tensors.get(name)!.data.BYTES_PER_ELEMENT
  names.sort((a, b) => width(b) - width(a))

  const metadataKeys = Object.keys(metadata).sort(byCodeUnit)
  const fields = metadataKeys.map((key) => `${JSON.stringify(key)}:${JSON.stringify(metadata[key])}`)
  const parts = fields.length === 0 ? [] : [`"${metadataKey}":{${fields.join(',')}}`]
  let end = 0
  for (const name of names) {
    const tensor = tensors.get(name)!
    checkWritable(name, tensor)
    const begin = end
    end += tensor.data.byteLength
    parts.push(
      `${JSON.stringify(name)}:${JSON.stringify({ dtype: tensor.dtype, shape: tensor.shape, data_offsets: [begin, end] })}`,
    )
  }
  const text = new TextEncoder().encode(`{${parts.join(',')}}`)
  const headerLength = Math.ceil(text.length / 8) * 8

  const bytes = new Uint8Array(8 + headerLength + end)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerLength), true)
  bytes.fill(0x20, 8, 8 + headerLength)
  bytes.set(text, 8)
  let offset = 8 + headerLength
  for (const name of names) {
    const { data } = tensors.get(name)!
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset)
    offset += data.byteLength
  }
  return bytes
}

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function checkWritable(name: string, { dtype, shape, data }: SafetensorsTensor): void {
  const where = `writeSafetensors: tensor '${name}'`
  if (name === metadataKey) {
    throw new ConfigError({
      where,
      what: 'the format keeps this name for metadata',
      fix: 'give the tensor another name',
    })
  }
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
