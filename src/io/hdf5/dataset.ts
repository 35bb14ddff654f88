/** Values of a dataset: in one piece or in chunks, as they are or through filters. */
import { sizeOf } from '../../base/shape.ts'
import { arrayTypes, type SafetensorsArray } from '../safetensors-header.ts'
import type { StoredDType } from '../weights/source.ts'
import { walkTree } from './groups.ts'
import { inflate, withoutSum } from './inflate.ts'
import {
  type Hdf5Type,
  type Layout,
  type Message,
  message,
  readDataspace,
  readDatatype,
  readFilters,
  readLayout,
} from './messages.ts'
import type { Span, Storage } from './storage.ts'

const filterNames: Readonly<Record<number, string>> = {
  1: 'deflate',
  2: 'shuffle',
  3: 'fletcher32',
  4: 'szip',
  5: 'nbit',
  6: 'scaleoffset',
  32000: 'lzf',
  32001: 'blosc',
  32004: 'lz4',
  32015: 'zstd',
}
/** The longest array of bytes that every engine makes, 4 GiB. */
const longest = 2 ** 32
/** Deflate makes at most 1,032 bytes of one. */
const mostInflated = 1040

export interface DatasetHeader {
  readonly shape: readonly number[]
  readonly type: Hdf5Type
  readonly layout: Layout
  readonly filters: readonly number[]
  /** For errors: the dataset as such. */
  readonly at: Span
}

/** Undefined when the object is no dataset. */
export function readDatasetHeader(messages: readonly Message[]): DatasetHeader | undefined {
  const find = (type: number) => messages.find((one) => one.type === type)?.body()
  const [space, type, layout, filters] = [message.dataspace, message.datatype, message.layout, message.filters].map(
    find,
  )
  if (space === undefined || type === undefined || layout === undefined) return undefined
  return {
    at: space.fresh(),
    shape: readDataspace(space) ?? [0],
    type: readDatatype(type),
    layout: readLayout(layout),
    filters: filters === undefined ? [] : readFilters(filters),
  }
}

/**
 * The values. Nothing is allocated that is not in the file.
 * @param dtype of the elements, which have the size of the dataset's type
 * @param name for messages
 * @throws FormatError when the file is damaged, UnsupportedError on filters that are not known here
 */
export async function readValues(
  storage: Storage,
  { shape, type, layout, filters, at }: DatasetHeader,
  dtype: StoredDType,
  name: string,
): Promise<SafetensorsArray> {
  const count = sizeOf(shape)
  const size = count * type.size
  if (!Number.isSafeInteger(size))
    throw at.error(`dataset "${name}" is absurdly large`, { got: `${shape.join(' × ')}` })
  if (size > longest) {
    throw at.unsupported(`dataset "${name}" is too long for one array`, {
      got: `${size} bytes`,
      expected: `at most ${longest}`,
      fix: 'split the weights into smaller parts',
    })
  }
  if (layout.kind !== 'chunked' && filters.length > 0) throw at.error(`dataset "${name}" has filters but no chunks`)
  let bytes: Uint8Array<ArrayBuffer>
  if (size === 0) bytes = new Uint8Array(0)
  else if (layout.kind === 'compact') {
    checkSize(at, name, layout.data.remaining, size)
    bytes = layout.data.bytes(size, 'the data').slice()
  } else if (layout.kind === 'contiguous') {
    if (layout.address === undefined) throw at.error(`dataset "${name}" was never written`)
    checkSize(at, name, layout.size, size)
    // Looks at the range before there is an array for it.
    storage.check(layout.address, size, `dataset "${name}"`)
    bytes = new Uint8Array(size)
    await storage.readInto(layout.address, bytes)
  } else bytes = await readChunks(storage, { shape, type, layout, filters, at }, layout, name)
  if (type.kind === 'number' && type.bigEndian) swapBytes(bytes, type.size)
  if (dtype === 'BOOL' && bytes.some((byte) => byte > 1)) throw at.error(`dataset "${name}" holds a boolean above 1`)
  return new arrayTypes[dtype](bytes.buffer, 0, count)
}

function checkSize(at: Span, name: string, held: number, size: number): void {
  if (held >= size) return
  throw at.error(`dataset "${name}" has fewer data than its shape asks for`, {
    got: `${held} bytes`,
    expected: `${size}`,
  })
}

function swapBytes(bytes: Uint8Array, size: number): void {
  for (let i = 0; i < bytes.length; i += size) bytes.subarray(i, i + size).reverse()
}

interface Chunk {
  /** Index of its first element on each axis. */
  readonly start: readonly number[]
  readonly address: number
  readonly storedSize: number
  /** Bits of filters that were left out. */
  readonly mask: number
}

type Chunked = Extract<Layout, { kind: 'chunked' }>

async function readChunks(
  storage: Storage,
  header: DatasetHeader,
  layout: Chunked,
  name: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const { shape, type, filters, at } = header
  const unknown = filters.find((filter) => filter < 1 || filter > 3)
  if (unknown !== undefined) {
    throw at.unsupported(`dataset "${name}" went through a filter that is not known here`, {
      got: filterNames[unknown] ?? `filter ${unknown}`,
      expected: 'deflate (gzip), shuffle, fletcher32',
      fix: 'write the file again without compression, or with gzip',
    })
  }
  if (layout.chunk.length !== shape.length || layout.chunk.some((extent) => extent < 1)) {
    throw at.error(`dataset "${name}" and its chunks do not fit`, {
      got: `chunks of ${layout.chunk.join(' × ')}`,
      expected: `as many axes as ${shape.join(' × ')}`,
    })
  }
  const chunkSize = sizeOf(layout.chunk) * type.size
  const counts = shape.map((extent, axis) => Math.ceil(extent / layout.chunk[axis]))
  const chunks = await findChunks(storage, header, layout, counts, chunkSize, name)
  // All are there, none is larger than its bytes can be, together they are no larger than the file.
  let stored = 0
  for (const chunk of chunks) {
    stored += chunk.storedSize
    const inflated = filters.some((filter, i) => filter === 1 && (chunk.mask & (1 << i)) === 0)
    const most = inflated ? mostInflated * chunk.storedSize + 64 : chunk.storedSize
    if (chunkSize > most || stored > storage.size) {
      throw at.error(`dataset "${name}" has chunks that cannot hold what they should`, {
        got: `${chunk.storedSize} bytes`,
        expected: `a chunk of ${layout.chunk.join(' × ')} elements of ${type.size} bytes`,
        offset: storage.base + chunk.address,
      })
    }
    storage.check(chunk.address, chunk.storedSize, `a chunk of dataset "${name}"`)
  }
  const bytes = new Uint8Array(sizeOf(shape) * type.size)
  for (const chunk of chunks) {
    let data: Uint8Array<ArrayBuffer> = new Uint8Array(chunk.storedSize)
    await storage.readInto(chunk.address, data)
    for (let i = filters.length - 1; i >= 0; i--) {
      if ((chunk.mask & (1 << i)) !== 0) continue
      if (filters[i] === 3) data = withoutSum(data, storage.path, storage.base + chunk.address)
      else if (filters[i] === 2) data = unshuffle(data, type.size)
      else data = await inflate(data, chunkSize + 4, storage.path, storage.base + chunk.address)
    }
    if (data.length < chunkSize) {
      throw at.error(`a chunk of dataset "${name}" is too short`, {
        got: `${data.length} bytes`,
        expected: `${chunkSize}`,
        offset: storage.base + chunk.address,
      })
    }
    place(data, layout.chunk, chunk.start, bytes, shape, type.size)
  }
  return bytes
}

async function findChunks(
  storage: Storage,
  { shape, filters, at }: DatasetHeader,
  layout: Chunked,
  counts: readonly number[],
  chunkSize: number,
  name: string,
): Promise<readonly Chunk[]> {
  const expected = sizeOf(counts)
  const { address } = layout
  const wrong = (got: string) =>
    at.error(`dataset "${name}" does not have the chunks that its shape asks for`, {
      got,
      expected: `${expected} of ${layout.chunk.join(' × ')} for ${shape.join(' × ')}`,
    })
  if (address === undefined) throw at.error(`dataset "${name}" was never written`)
  if (layout.index === 'single') {
    if (expected !== 1) throw wrong('one')
    return [{ start: shape.map(() => 0), address, storedSize: layout.storedSize ?? chunkSize, mask: 0 }]
  }
  if (layout.index === 'implicit') {
    if (filters.length > 0 || !(expected * chunkSize <= storage.size)) throw wrong('a row of them beyond the file')
    return Array.from({ length: expected }, (_, i) => {
      const start = new Array<number>(shape.length)
      for (let axis = shape.length - 1, rest = i; axis >= 0; axis--) {
        start[axis] = (rest % counts[axis]) * layout.chunk[axis]
        rest = Math.floor(rest / counts[axis])
      }
      return { start, address: address + i * chunkSize, storedSize: chunkSize, mask: 0 }
    })
  }
  const found = new Map<number, Chunk>()
  for await (const { key, child } of walkTree(storage, address, 1, 8 + 8 * (shape.length + 1))) {
    const storedSize = key.u32('the size of a chunk')
    const mask = key.u32('the filters of a chunk')
    let place = 0
    const start = shape.map((extent, axis) => {
      const first = key.unsigned(8, 'the place of a chunk')
      if (first >= extent || first % layout.chunk[axis] !== 0)
        throw key.error(`a chunk of dataset "${name}" lies outside`)
      place = place * counts[axis] + first / layout.chunk[axis]
      return first
    })
    found.set(place, { start, address: child, storedSize, mask })
  }
  if (found.size !== expected) throw wrong(`${found.size}`)
  return [...found.values()]
}

/** Bytes of equal rank in elements lie together; this puts the elements together again. */
function unshuffle(data: Uint8Array<ArrayBuffer>, size: number): Uint8Array<ArrayBuffer> {
  const count = Math.floor(data.length / size)
  const result = data.slice()
  for (let byte = 0; byte < size; byte++) {
    for (let i = 0; i < count; i++) result[i * size + byte] = data[byte * count + i]
  }
  return result
}

/** Copies the part of a chunk that lies in the dataset, row by row. */
function place(
  data: Uint8Array,
  chunk: readonly number[],
  start: readonly number[],
  into: Uint8Array,
  shape: readonly number[],
  size: number,
): void {
  const last = shape.length - 1
  if (last < 0) {
    into.set(data.subarray(0, size))
    return
  }
  const within = chunk.map((extent, axis) => Math.min(extent, shape[axis] - start[axis]))
  const rows = sizeOf(within.slice(0, last))
  for (let row = 0; row < rows; row++) {
    let [from, to, fromStep, toStep] = [0, start[last], chunk[last], shape[last]]
    for (let axis = last - 1, rest = row; axis >= 0; axis--) {
      const index = rest % within[axis]
      rest = Math.floor(rest / within[axis])
      from += index * fromStep
      to += (start[axis] + index) * toStep
      fromStep *= chunk[axis]
      toStep *= shape[axis]
    }
    into.set(data.subarray(from * size, (from + within[last]) * size), to * size)
  }
}
