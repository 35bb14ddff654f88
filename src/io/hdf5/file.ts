/**
 * HDF5 files as h5py writes them, read by range: groups, attributes of numbers and texts, datasets of numbers in one
 * piece or in chunks through gzip and shuffle. Whatever the bytes are, the outcome is values or a FormatError with path
 * and byte offset, or an UnsupportedError for what the format knows and we do not.
 *
 * @see https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
 */
import { openRange, type RangeReader, type RangeSource } from '#platform'
import { showStart } from '../../base/bytes.ts'
import { FormatError } from '../../base/errors.ts'
import { type Shape, sizeOf } from '../../base/shape.ts'
import type { SafetensorsArray } from '../safetensors.ts'
import type { StoredDType } from '../weights/source.ts'
import { type DatasetHeader, readDatasetHeader, readValues } from './dataset.ts'
import { GlobalHeap, readLinks } from './groups.ts'
import { type AttributeMessage, type Message, message, readAttribute, readMessages } from './messages.ts'
import { Span, Storage } from './storage.ts'

/** A text, a number or a boolean as 0 or 1; lists of them row by row. */
export type AttributeValue = string | number | readonly (string | number)[]

const signature = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]

export class Hdf5File {
  readonly path: string
  readonly root: Hdf5Group
  readonly #storage: Storage

  constructor(storage: Storage, root: Hdf5Group) {
    this.path = storage.path
    this.#storage = storage
    this.root = root
  }

  /** Lets the file go. Nothing can be read from then on. */
  close(): Promise<void> {
    return this.#storage.close()
  }
}

/** What groups and datasets have in common. */
class Hdf5Object {
  /** From the root: `model_weights/conv2d`; `` for the root itself. */
  readonly path: string
  protected readonly context: Context
  protected readonly messages: readonly Message[]
  #attributes: ReadonlyMap<string, AttributeMessage> | undefined

  constructor(context: Context, path: string, messages: readonly Message[]) {
    this.context = context
    this.path = path
    this.messages = messages
  }

  /**
   * The attribute of a name; undefined when there is none.
   * @throws UnsupportedError when its type is neither number nor text
   */
  async attribute(name: string): Promise<AttributeValue | undefined> {
    this.#attributes ??= readAttributes(this.messages)
    const found = this.#attributes.get(name)
    return found === undefined ? undefined : readAttributeValue(this.context, found)
  }
}

interface Context {
  readonly storage: Storage
  readonly heap: GlobalHeap
  /** Objects that have been opened, by address. */
  readonly objects: Map<number, Hdf5Group | Hdf5Dataset>
}

export class Hdf5Group extends Hdf5Object {
  #links: ReadonlyMap<string, number> | undefined

  /** What is in the group, in the order of the file: h5py's is that of the alphabet. */
  async names(): Promise<readonly string[]> {
    this.#links ??= await readLinks(this.context.storage, this.messages)
    return [...this.#links.keys()]
  }

  /** The group or dataset of a name in this group; undefined when there is none. */
  async child(name: string): Promise<Hdf5Group | Hdf5Dataset | undefined> {
    this.#links ??= await readLinks(this.context.storage, this.messages)
    const address = this.#links.get(name)
    if (address === undefined) return undefined
    return openObject(this.context, address, this.path === '' ? name : `${this.path}/${name}`)
  }

  /** The group or dataset at a path from here, names parted by `/`; undefined when there is none. */
  async find(path: string): Promise<Hdf5Group | Hdf5Dataset | undefined> {
    let found: Hdf5Group | Hdf5Dataset | undefined = this
    for (const name of path.split('/')) {
      if (name === '') continue
      found = found instanceof Hdf5Group ? await found.child(name) : undefined
    }
    return found
  }

  /**
   * All datasets in this group and the groups inside, by path from here.
   * @throws FormatError when groups hold each other
   */
  async datasets(): Promise<Map<string, Hdf5Dataset>> {
    const found = new Map<string, Hdf5Dataset>()
    const seen = new Set<Hdf5Group>([this])
    const walk = async (group: Hdf5Group, prefix: string, depth: number): Promise<void> => {
      for (const name of await group.names()) {
        const inner = await group.child(name)
        if (inner instanceof Hdf5Dataset) found.set(prefix + name, inner)
        if (!(inner instanceof Hdf5Group)) continue
        if (seen.has(inner) || depth > deepest) throw this.messagesError('groups hold each other')
        seen.add(inner)
        await walk(inner, `${prefix}${name}/`, depth + 1)
      }
    }
    await walk(this, '', 0)
    return found
  }

  private messagesError(what: string): FormatError {
    const at = this.messages[0]?.body()
    if (at !== undefined) return at.error(what)
    return new FormatError({ where: this.context.storage.path, what: `${what} (at byte offset 0)` })
  }
}

/** Groups inside groups. */
const deepest = 64

export class Hdf5Dataset extends Hdf5Object {
  readonly shape: Shape
  /** Undefined where the elements are no numbers. */
  readonly dtype: StoredDType | undefined
  readonly #header: DatasetHeader

  constructor(context: Context, path: string, messages: readonly Message[], header: DatasetHeader) {
    super(context, path, messages)
    this.#header = header
    this.shape = header.shape
    this.dtype = header.type.kind === 'number' ? header.type.dtype : undefined
  }

  /** Bytes of an element. */
  get elementSize(): number {
    return this.#header.type.size
  }

  /**
   * The elements in row-major order.
   * @param as what opaque elements are
   * @throws UnsupportedError when they are no numbers, or went through a filter that is not known here
   */
  async read(as: StoredDType | undefined = this.dtype): Promise<SafetensorsArray> {
    const { type, at } = this.#header
    if (as === undefined || !(as === this.dtype || type.kind === 'opaque')) {
      throw at.unsupported(`dataset "${this.path}" holds no numbers`, {
        got: type.kind === 'other' ? type.name : type.kind,
        expected: 'integers or floats of 8 to 64 bits',
      })
    }
    return readValues(this.context.storage, this.#header, as, this.path)
  }
}

async function openObject(context: Context, address: number, path: string): Promise<Hdf5Group | Hdf5Dataset> {
  const known = context.objects.get(address)
  if (known !== undefined) return known
  const messages = await readMessages(context.storage, address)
  const header = readDatasetHeader(messages)
  const opened =
    header === undefined ? new Hdf5Group(context, path, messages) : new Hdf5Dataset(context, path, messages, header)
  context.objects.set(address, opened)
  return opened
}

function readAttributes(messages: readonly Message[]): ReadonlyMap<string, AttributeMessage> {
  const attributes = new Map<string, AttributeMessage>()
  for (const { type, body } of messages) {
    const span = body()
    if (type === message.attributeInfo) {
      span.skip(1)
      if ((span.u8('the flags of attributes') & 1) !== 0) span.skip(2)
      if (span.address('the address of a heap') !== undefined) {
        throw span.unsupported('attributes in a fractal heap are not read', {
          fix: "write the file with h5py as it is by default (libver 'earliest', without track_order)",
        })
      }
    }
    if (type !== message.attribute) continue
    const attribute = readAttribute(span)
    attributes.set(attribute.name, attribute)
  }
  return attributes
}

async function readAttributeValue(context: Context, of: AttributeMessage): Promise<AttributeValue> {
  const { name, type, shape } = of
  const data = of.data.fresh()
  data.skip(of.data.offset - data.offset)
  const count = shape === undefined ? 0 : sizeOf(shape)
  if (!(count * Math.max(1, type.size) <= data.remaining)) {
    throw data.error(`attribute "${name}" is too short`, {
      got: `${data.remaining} bytes`,
      expected: `${count} values of ${type.size} bytes`,
    })
  }
  const values: (string | number)[] = []
  for (let i = 0; i < count; i++) {
    const value = data.span(type.size, `attribute "${name}"`)
    if (type.kind === 'text') values.push(value.text(type.size, `attribute "${name}"`))
    else if (type.kind === 'texts') values.push(await context.heap.text(value))
    else if (type.kind === 'number')
      values.push(numberOf(value.bytes(type.size, 'a number'), type.dtype, type.bigEndian))
    else {
      throw data.unsupported(`attribute "${name}" is neither number nor text`, {
        got: type.kind === 'other' ? type.name : type.kind,
      })
    }
  }
  return shape?.length === 0 ? values[0] : values
}

function numberOf(bytes: Uint8Array, dtype: StoredDType, bigEndian: boolean): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const littleEndian = !bigEndian
  switch (dtype) {
    case 'F64':
      return view.getFloat64(0, littleEndian)
    case 'F32':
      return view.getFloat32(0, littleEndian)
    case 'I64':
      return Number(view.getBigInt64(0, littleEndian))
    case 'I32':
      return view.getInt32(0, littleEndian)
    case 'I16':
      return view.getInt16(0, littleEndian)
    case 'I8':
      return view.getInt8(0)
    default: {
      let value = 0
      for (const byte of bigEndian ? bytes : bytes.toReversed()) value = 256 * value + byte
      return value
    }
  }
}

/**
 * Opens an HDF5 file. Close it in the end.
 * @param source a path (Node), bytes, or a Blob
 * @param path for messages; default: the source's own
 * @throws FormatError when it is none, or damaged
 * @example
 * const file = await openHdf5('model.h5')
 * const kernel = await file.root.find('model_weights/conv2d/conv2d/kernel:0')
 */
export async function openHdf5(source: RangeSource, path?: string): Promise<Hdf5File> {
  const range = await openRange(source, path)
  try {
    return await hdf5Of(range)
  } catch (error) {
    await range.close()
    throw error
  }
}

/** The same of a range that is open. The file closes it. @throws FormatError as {@link openHdf5} */
export async function hdf5Of(range: RangeReader): Promise<Hdf5File> {
  const storage = new Storage(range, range.path)
  const address = await readSuperblock(storage)
  const context: Context = { storage, heap: new GlobalHeap(storage), objects: new Map() }
  const root = await openObject(context, address, '')
  if (root instanceof Hdf5Group) return new Hdf5File(storage, root)
  throw new FormatError({
    where: range.path,
    what: `the root is a dataset (at byte offset ${storage.base + address})`,
    expected: 'a group',
    fix: 'the file is damaged: get it again',
  })
}

/** Finds where the format begins, and reads how long its addresses are; gives the address of the root. */
async function readSuperblock(storage: Storage): Promise<number> {
  const { path, size } = storage
  const read = (offset: number, length: number) =>
    storage.span(offset, Math.min(length, size - offset), 'the beginning')
  let offset = 0
  for (;;) {
    const bytes = offset + 8 <= size ? (await read(offset, 8)).bytes(8, 'the signature') : undefined
    if (bytes !== undefined && signature.every((byte, i) => byte === bytes[i])) break
    if (bytes === undefined || offset > 2 ** 30) {
      const start = (await read(0, 8)).bytes(Math.min(8, size), 'the beginning')
      throw new FormatError({
        where: path,
        what: 'this is no HDF5 file (at byte offset 0)',
        got: showStart(start),
        expected: '89 48 44 46 0d 0a 1a 0a',
        fix: 'check that this is a Keras .h5 or .weights.h5 file, and complete',
      })
    }
    offset = offset === 0 ? 512 : 2 * offset
  }
  const span = await read(offset, 128)
  span.skip(8)
  const versionAt = span.offset
  const version = span.u8('the version of the superblock')
  if (version > 3) {
    throw span.error('the superblock has an unknown version', {
      got: `${version}`,
      expected: '0 to 3',
      offset: versionAt,
    })
  }
  if (version < 2) span.skip(4)
  const sizesAt = span.offset
  const [offsetSize, lengthSize] = [span.u8('the size of an address'), span.u8('the size of a length')]
  const possible = (bytes: number) => bytes === 4 || bytes === 8
  if (!possible(offsetSize) || !possible(lengthSize)) {
    throw span.error('addresses have an impossible size', {
      got: `addresses of ${offsetSize} bytes, lengths of ${lengthSize}`,
      expected: '4 or 8',
      offset: sizesAt,
    })
  }
  storage.offsetSize = offsetSize
  storage.lengthSize = lengthSize
  span.skip(version < 2 ? 9 + (version === 1 ? 4 : 0) : 1)
  // From here on addresses have the size that was just read.
  const at = span.offset
  const rest = new Span(span.bytes(span.remaining, 'the superblock'), at, storage)
  return readAddresses(storage, rest, version, offset)
}

function readAddresses(storage: Storage, span: Span, version: number, offset: number): number {
  const base = span.address('the base of addresses')
  storage.base = base === 0 || base === undefined ? offset : base
  span.address('an address')
  const end = span.address('the end of the file')
  if (end !== undefined && storage.base + end > storage.size && end > storage.size) {
    throw span.error('the file is cut short', {
      got: `${storage.size} bytes`,
      expected: `${end}`,
      fix: 'the file is not complete: get it again',
    })
  }
  if (version < 2) {
    span.address('an address')
    span.skip(storage.offsetSize)
  }
  const root = span.address('the address of the root')
  if (root === undefined) throw span.error('there is no root')
  return root
}
