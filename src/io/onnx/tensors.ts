/** Tensors of ONNX files as constants: checked when the file is read, decoded when they are used. */
import { unpackBfloat16 } from '../../base/bfloat16.ts'
import { UnsupportedError } from '../../base/errors.ts'
import { fromSmallFloats } from '../small-floats.ts'
import type { MessageReader } from './read-message.ts'
import { type Message, type OnnxType, tensorTypes } from './schema.ts'
import { type Element, type Known, product, shortName, showElements } from './values.ts'

export type TensorMessage = Message<'Tensor'>

/** Bits an element takes in raw data; types that are not here are not read. */
const bitsOf: Partial<Record<OnnxType, number>> = {
  float: 32,
  uint8: 8,
  int8: 8,
  uint16: 16,
  int16: 16,
  int32: 32,
  int64: 64,
  bool: 8,
  float16: 16,
  double: 64,
  uint32: 32,
  uint64: 64,
  bfloat16: 16,
  float8e4m3fn: 8,
  float8e5m2: 8,
  uint4: 4,
  int4: 4,
}

const names = Object.keys(tensorTypes) as OnnxType[]

/** The name of a number of TensorProto.DataType. */
export const typeName = (number: number | undefined): OnnxType | undefined =>
  names.find((name) => tensorTypes[name] === number)

/** Where the numbers of a tensor stand in a message when they are not raw. */
function typedData(tensor: TensorMessage, type: OnnxType): ArrayLike<number> {
  switch (type) {
    case 'float':
      return tensor.floatData
    case 'double':
      return tensor.doubleData
    case 'int64':
      return tensor.int64Data
    case 'uint32':
    case 'uint64':
      return tensor.uint64Data
    default:
      return tensor.int32Data
  }
}

/** Bytes that a tensor's values take raw; undefined where dims or type make no sense, or the type is not read. */
export function rawBytes(tensor: TensorMessage): number | undefined {
  const type = typeName(tensor.dataType)
  const bits = type === undefined ? undefined : bitsOf[type]
  const bytes = bits === undefined ? Number.NaN : Math.ceil((product(tensor.dims) * bits) / 8)
  return Number.isSafeInteger(bytes) && bytes >= 0 ? bytes : undefined
}

/**
 * A tensor as a constant. That it holds as many elements as its dims say is checked at once.
 * @param external its bytes, where they lie in another file
 * @throws FormatError when dims, type and data do not fit each other
 */
export function readTensor(reader: MessageReader, tensor: TensorMessage, external?: Uint8Array): Known {
  const name = `tensor '${shortName(tensor.name)}'`
  const type = typeName(tensor.dataType)
  const dims = tensor.dims as readonly number[]
  if (type === undefined) {
    throw reader.error(`${name} has an unknown type`, { at: tensor, got: String(tensor.dataType), expected: '1 to 24' })
  }
  const count = product(dims)
  if (!dims.every((extent) => Number.isSafeInteger(extent) && extent >= 0) || !Number.isSafeInteger(count)) {
    throw reader.error(`${name} has impossible dims`, {
      at: tensor,
      got: showElements(dims),
      expected: 'extents from 0',
    })
  }
  const raw = external ?? tensor.rawData
  const bits = bitsOf[type]
  let decode: () => ArrayLike<Element>
  if (bits === undefined) {
    decode = () => {
      throw new UnsupportedError({
        where: reader.path,
        what: `${name} holds ${type}, which is not read`,
        expected: Object.keys(bitsOf).join(', '),
        fix: 'convert the model to float32, and take text out of it',
      })
    }
  } else if (raw !== undefined) {
    const bytes = Math.ceil((count * bits) / 8)
    if (raw.length !== bytes) {
      throw reader.error(`${name} has data of the wrong size`, {
        at: tensor,
        got: `${raw.length} bytes`,
        expected: `${bytes} bytes for ${type} ${showElements(dims)}`,
      })
    }
    decode = () => decodeRaw(raw, type, count)
  } else {
    const data = typedData(tensor, type)
    const values = bits === 4 ? Math.ceil(count / 2) : count
    if (data.length !== values) {
      throw reader.error(`${name} has data of the wrong size`, {
        at: tensor,
        got: `${data.length} numbers`,
        expected: `${values} for ${type} ${showElements(dims)}`,
      })
    }
    decode = () => decodeTyped(data, type, count)
  }
  let decoded: ArrayLike<Element> | undefined
  return {
    kind: 'known',
    type,
    dims,
    get data() {
      decoded ??= decode()
      return decoded
    },
  }
}

/** An array over the bytes themselves where alignment allows. */
function over<T>(
  bytes: Uint8Array,
  type: { new (buffer: ArrayBuffer, offset: number, length: number): T; readonly BYTES_PER_ELEMENT: number },
): T {
  const width = type.BYTES_PER_ELEMENT
  const aligned = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes)
  return new type(aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / width)
}

function decodeRaw(raw: Uint8Array, type: OnnxType, count: number): ArrayLike<number> {
  switch (type) {
    case 'float':
      return over(raw, Float32Array)
    case 'double':
      return over(raw, Float64Array)
    case 'int64':
      return Float64Array.from(over(raw, BigInt64Array), Number)
    case 'uint64':
      return Float64Array.from(over(raw, BigUint64Array), Number)
    case 'int32':
      return over(raw, Int32Array)
    case 'uint32':
      return over(raw, Uint32Array)
    case 'int16':
      return over(raw, Int16Array)
    case 'uint16':
      return over(raw, Uint16Array)
    case 'int8':
      return over(raw, Int8Array)
    case 'float16':
    case 'bfloat16':
      return fromBits(over(raw, Uint16Array), type)
    case 'int4':
    case 'uint4':
      return fromHalfBytes(raw, type, count)
    default:
      return fromBits(raw, type)
  }
}

function decodeTyped(data: ArrayLike<number>, type: OnnxType, count: number): ArrayLike<number> {
  switch (type) {
    case 'float16':
    case 'bfloat16':
      return fromBits(Uint16Array.from(data), type)
    case 'float8e4m3fn':
    case 'float8e5m2':
      return fromBits(Uint8Array.from(data), type)
    case 'int4':
    case 'uint4':
      return fromHalfBytes(Uint8Array.from(data), type, count)
    default:
      return data
  }
}

function fromBits(bits: Uint16Array | Uint8Array, type: OnnxType): ArrayLike<number> {
  switch (type) {
    case 'float16':
      return fromSmallFloats(bits, 5, 10)
    case 'bfloat16':
      return unpackBfloat16(bits as Uint16Array)
    case 'float8e5m2':
      return fromSmallFloats(bits, 5, 2)
    case 'float8e4m3fn':
      return fromSmallFloats(bits, 4, 3)
    default:
      return bits
  }
}

/** Two numbers a byte, the lower half first. */
function fromHalfBytes(bytes: Uint8Array, type: 'int4' | 'uint4', count: number): Int8Array {
  return Int8Array.from({ length: count }, (_, i) => {
    const half = (bytes[i >> 1] >> (i % 2 === 0 ? 0 : 4)) & 15
    return type === 'int4' && half > 7 ? half - 16 : half
  })
}

/**
 * Elements with their axes in another order: what stood at axis `order[i]` stands at axis i.
 * @param extents of the axes as they are
 */
export function turned(data: ArrayLike<number>, extents: readonly number[], order: readonly number[]): Float32Array {
  const result = new Float32Array(data.length)
  if (order.every((axis, i) => axis === i)) {
    result.set(data)
    return result
  }
  const strides = extents.map((_, axis) => product(extents.slice(axis + 1)))
  const to = order.map((axis) => extents[axis])
  const steps = order.map((axis) => strides[axis])
  const last = to.length - 1
  if (order[last] === 0 && to[last] >= block) {
    firstBehind(data, result, to, steps)
    return result
  }
  const place = new Array<number>(last).fill(0)
  let from = 0
  for (let at = 0; at < result.length; ) {
    for (let i = 0, source = from; i < to[last]; i++, source += steps[last]) result[at++] = data[source]
    for (let axis = last - 1; axis >= 0; axis--) {
      from += steps[axis]
      if (++place[axis] < to[axis]) break
      from -= steps[axis] * to[axis]
      place[axis] = 0
    }
  }
  return result
}

/** Elements that fill a cache line. */
const block = 16

/**
 * The turn of most weights, [out, …] to [permuted …, out]. Reading goes along the data in as many rows as make a cache
 * line of the result, so that neither side jumps for every element.
 */
function firstBehind(
  data: ArrayLike<number>,
  result: Float32Array,
  to: readonly number[],
  steps: readonly number[],
): void {
  const outer = to.slice(0, -1)
  const rows = to[outer.length]
  const inner = product(outer)
  // Where each element of a row goes.
  const places = new Uint32Array(inner)
  const place = new Array<number>(outer.length).fill(0)
  for (let i = 0, from = 0; i < inner; i++) {
    places[from] = i * rows
    for (let axis = outer.length - 1; axis >= 0; axis--) {
      from += steps[axis]
      if (++place[axis] < outer[axis]) break
      from -= steps[axis] * outer[axis]
      place[axis] = 0
    }
  }
  for (let first = 0; first < rows; first += block) {
    const end = Math.min(rows, first + block)
    for (let i = 0; i < inner; i++) {
      const at = places[i]
      for (let row = first, from = first * inner + i; row < end; row++, from += inner) result[at + row] = data[from]
    }
  }
}
