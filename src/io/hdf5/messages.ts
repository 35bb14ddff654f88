/** What object headers say: HDF5 File Format Specification 3.0, section IV. */
import type { StoredDType } from '../weights/source.ts'
import type { Span, Storage } from './storage.ts'

/** Kinds of messages that are read here. */
export const message = {
  dataspace: 0x01,
  linkInfo: 0x02,
  datatype: 0x03,
  link: 0x06,
  layout: 0x08,
  filters: 0x0b,
  attribute: 0x0c,
  continuation: 0x10,
  symbolTable: 0x11,
  attributeInfo: 0x15,
} as const

export interface Message {
  readonly type: number
  /** The message itself. Each asker gets a fresh one that stands at the beginning. */
  readonly body: () => Span
}

/** @throws FormatError when the header's blocks lead in a circle, or say more than they hold */
export async function readMessages(storage: Storage, address: number): Promise<Message[]> {
  const start = await storage.span(address, 16, 'an object header')
  const version = start.u8('the version of an object header')
  return version === 1 ? readVersion1(storage, address, start) : readVersion2(storage, address)
}

/** A message's body, and where it goes on when it is a continuation. */
function addMessage(found: Message[], blocks: [number, number][], type: number, flags: number, body: Span): void {
  if ((flags & 2) !== 0 && Object.values(message).includes(type as never)) {
    throw body.unsupported('a type or space that is stored elsewhere and shared is not read')
  }
  if (type === message.continuation) {
    const address = body.address('the address of a continuation')
    const length = body.length('the length of a continuation')
    if (address !== undefined) blocks.push([address, length])
    return
  }
  found.push({ type, body: () => body.fresh() })
}

async function readVersion1(storage: Storage, address: number, start: Span): Promise<Message[]> {
  start.skip(1)
  let left = start.u16('the number of messages')
  start.skip(4)
  const size = start.u32('the size of an object header')
  const blocks: [number, number][] = [[address + 16, size]]
  const found: Message[] = []
  for (let i = 0; i < blocks.length; i++) {
    const block = await nextBlock(storage, blocks, i)
    while (left > 0 && block.remaining >= 8) {
      const type = block.u16('the type of a message')
      const length = block.u16('the size of a message')
      const flags = block.u8('the flags of a message')
      block.skip(3)
      addMessage(found, blocks, type, flags, block.span(length, 'a message'))
      left--
    }
  }
  return found
}

async function readVersion2(storage: Storage, address: number): Promise<Message[]> {
  const start = await storage.span(address, Math.min(38, storage.size - storage.base - address), 'an object header')
  start.signature('OHDR')
  const { offset } = start
  const version = start.u8('the version of an object header')
  if (version !== 2) throw start.error('an object header has an unknown version', { got: `${version}`, offset })
  const headerFlags = start.u8('the flags of an object header')
  if ((headerFlags & 0x20) !== 0) start.skip(16, 'the times of an object')
  if ((headerFlags & 0x10) !== 0) start.skip(4, 'the limits of attributes')
  const size = start.unsigned(1 << (headerFlags & 3), 'the size of an object header')
  const blocks: [number, number][] = [[start.offset - storage.base, size]]
  const found: Message[] = []
  for (let i = 0; i < blocks.length; i++) {
    const block = await nextBlock(storage, blocks, i)
    if (i > 0) block.signature('OCHK')
    const behind = i > 0 ? 4 : 0
    const prefix = (headerFlags & 4) === 0 ? 4 : 6
    while (block.remaining - behind >= prefix) {
      const type = block.u8('the type of a message')
      const length = block.u16('the size of a message')
      const flags = block.u8('the flags of a message')
      if (prefix === 6) block.skip(2)
      addMessage(found, blocks, type, flags, block.span(length, 'a message'))
    }
  }
  return found
}

function nextBlock(storage: Storage, blocks: readonly [number, number][], i: number): Promise<Span> {
  const [address, length] = blocks[i]
  return storage.span(address, length, 'a part of an object header').then((span) => {
    if (blocks.findIndex(([other]) => other === address) === i) return span
    throw span.error('the parts of an object header lead in a circle')
  })
}

/** Extents; `[]` of a single value, undefined of one that holds nothing. */
export function readDataspace(span: Span): number[] | undefined {
  const version = span.u8('the version of a dataspace')
  const rank = span.u8('the number of axes')
  span.skip(1)
  if (version === 1) span.skip(5)
  else if (version === 2) {
    if (span.u8('the kind of a dataspace') === 2) return undefined
  } else throw span.error('a dataspace has an unknown version', { got: `${version}`, expected: '1 or 2' })
  return Array.from({ length: rank }, () => span.length('an extent'))
}

export type Hdf5Type =
  | { readonly kind: 'number'; readonly dtype: StoredDType; readonly size: number; readonly bigEndian: boolean }
  | { readonly kind: 'text'; readonly size: number }
  /** Texts of any length, kept elsewhere. */
  | { readonly kind: 'texts'; readonly size: number }
  /** Bytes that mean something to the writer alone. */
  | { readonly kind: 'opaque'; readonly size: number }
  | { readonly kind: 'other'; readonly size: number; readonly name: string }

/** By bytes, bits of the exponent and of the mantissa. */
const floats: Readonly<Record<string, StoredDType | undefined>> = {
  '8:11:52': 'F64',
  '4:8:23': 'F32',
  '2:5:10': 'F16',
  '2:8:7': 'BF16',
}
const otherTypes = ['', '', 'time', '', 'bit field', '', 'compound', 'reference', '', '', 'array']

export function readDatatype(span: Span, depth = 0): Hdf5Type {
  const first = span.u8('a datatype')
  const bits = span.u8('bits of a datatype')
  span.skip(2, 'bits of a datatype')
  const size = span.u32('the size of a datatype')
  const bigEndian = (bits & 1) === 1
  switch (first & 15) {
    case 0: {
      const shift = span.u16('the offset of an integer')
      const precision = span.u16('the precision of an integer')
      if (shift !== 0 || precision !== 8 * size || ![1, 2, 4, 8].includes(size)) {
        return { kind: 'other', size, name: `integer of ${precision} bits in ${size} bytes` }
      }
      const dtype = `${(bits & 8) === 0 ? 'U' : 'I'}${precision}` as StoredDType
      return { kind: 'number', dtype, size, bigEndian }
    }
    case 1: {
      span.skip(5)
      const exponent = span.u8('the size of an exponent')
      span.skip(1)
      const mantissa = span.u8('the size of a mantissa')
      const dtype = floats[`${size}:${exponent}:${mantissa}`]
      if (dtype !== undefined && (bits & 0x40) === 0) return { kind: 'number', dtype, size, bigEndian }
      return { kind: 'other', size, name: `float of ${exponent} exponent and ${mantissa} mantissa bits` }
    }
    case 3:
      return { kind: 'text', size }
    case 5:
      return { kind: 'opaque', size }
    case 8: {
      // h5py writes booleans as an enumeration of bytes.
      const base = depth > 3 ? undefined : readDatatype(span, depth + 1)
      if (base?.kind !== 'number' || base.size !== size) return { kind: 'other', size, name: 'enumeration' }
      return base.dtype === 'I8' ? { ...base, dtype: 'BOOL' } : base
    }
    case 9:
      if ((bits & 15) === 1) return { kind: 'texts', size }
      return { kind: 'other', size, name: 'list of any length' }
    default:
      return { kind: 'other', size, name: otherTypes[first & 15] ?? `class ${first & 15}` }
  }
}

export interface AttributeMessage {
  readonly name: string
  readonly type: Hdf5Type
  readonly shape: readonly number[] | undefined
  readonly data: Span
}

export function readAttribute(span: Span): AttributeMessage {
  const version = span.u8('the version of an attribute')
  if (version < 1 || version > 3) throw span.error('an attribute has an unknown version', { got: `${version}` })
  const flags = span.u8('the flags of an attribute')
  if (version > 1 && flags !== 0) throw span.unsupported('an attribute whose type is stored elsewhere is not read')
  const nameSize = span.u16('the size of a name')
  const typeSize = span.u16('the size of a datatype')
  const spaceSize = span.u16('the size of a dataspace')
  if (version === 3) span.skip(1)
  const padded = (size: number) => (version === 1 ? Math.ceil(size / 8) * 8 : size)
  const name = span.text(padded(nameSize), 'the name of an attribute')
  const type = readDatatype(span.span(padded(typeSize), 'a datatype'))
  const shape = readDataspace(span.span(padded(spaceSize), 'a dataspace'))
  return { name, type, shape, data: span }
}

export type Layout =
  | { readonly kind: 'compact'; readonly data: Span }
  | { readonly kind: 'contiguous'; readonly address: number | undefined; readonly size: number }
  | {
      readonly kind: 'chunked'
      readonly index: 'tree' | 'single' | 'implicit'
      readonly address: number | undefined
      /** Extents of a chunk. */
      readonly chunk: readonly number[]
      /** Of a single chunk that went through filters: its size in the file. */
      readonly storedSize?: number
    }

export function readLayout(span: Span): Layout {
  const version = span.u8('the version of a layout')
  if (version < 3) throw span.unsupported('a layout from before 2004 is not read', { got: `version ${version}` })
  if (version > 5) throw span.error('a layout has an unknown version', { got: `${version}`, expected: '3 to 5' })
  const kind = span.u8('the kind of a layout')
  if (kind === 0) return { kind: 'compact', data: span.span(span.u16('the size of the data'), 'the data') }
  if (kind === 1) {
    return { kind: 'contiguous', address: span.address('the address of the data'), size: span.length('their size') }
  }
  if (kind !== 2) throw span.unsupported('a layout that is spread over several files is not read')
  if (version === 3) {
    const rank = span.u8('the number of axes') - 1
    const address = span.address('the address of the chunks')
    const chunk = Array.from({ length: Math.max(0, rank) }, () => span.u32('the extent of a chunk'))
    return { kind: 'chunked', index: 'tree', address, chunk }
  }
  const flags = span.u8('the flags of a layout')
  const rank = span.u8('the number of axes') - 1
  const width = span.u8('the size of an extent')
  if (![1, 2, 4, 8].includes(width)) throw span.unsupported(`extents of ${width} bytes are not read`)
  const chunk = Array.from({ length: Math.max(0, rank) }, () => span.unsigned(width, 'the extent of a chunk'))
  span.skip(width)
  const form = span.u8('the kind of an index of chunks')
  if (form !== 1 && form !== 2) {
    throw span.unsupported('this index of chunks is not read', {
      got: form === 3 ? 'a fixed array' : form === 4 ? 'an extensible array' : form === 5 ? 'a B-tree 2' : `${form}`,
      fix: "write the file with h5py as it is by default (libver 'earliest'), or without chunks",
    })
  }
  const filtered = form === 1 && (flags & 2) !== 0
  const storedSize = filtered ? span.length('the size of the chunk') : undefined
  if (filtered) span.skip(4)
  const index = form === 1 ? 'single' : 'implicit'
  return { kind: 'chunked', index, address: span.address('the address of the chunks'), chunk, storedSize }
}

/** Numbers of the filters in the order of writing. */
export function readFilters(span: Span): number[] {
  const version = span.u8('the version of a filter pipeline')
  const count = span.u8('the number of filters')
  if (version === 1) span.skip(6)
  else if (version !== 2) throw span.error('a filter pipeline has an unknown version', { got: `${version}` })
  return Array.from({ length: count }, () => {
    const id = span.u16('the number of a filter')
    const nameSize = version === 1 || id >= 256 ? span.u16('the size of a name') : 0
    span.skip(2)
    const values = span.u16('the number of values')
    span.skip(version === 1 ? Math.ceil(nameSize / 8) * 8 : nameSize, 'the name of a filter')
    span.skip(4 * values, 'the values of a filter')
    if (version === 1 && values % 2 === 1) span.skip(4)
    return id
  })
}
