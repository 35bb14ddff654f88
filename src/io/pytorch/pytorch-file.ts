/**
 * Weights as PyTorch saves them, in both of its forms: a zip archive with a pickle and a file for each storage (since
 * version 1.6), and pickles followed by the storages ("legacy"). Nothing in a file is executed.
 */
import type { RangeReader } from '#platform'
import { ByteReader } from '../../base/bytes.ts'
import { FormatError, UnsupportedError } from '../../base/errors.ts'
import { arrayTypes } from '../safetensors-header.ts'
import type { StoredTensor, WeightsFile } from '../weights/source.ts'
import { openZip, type Zip, type ZipEntry } from '../zip.ts'
import { type ErrorHere, NeedsMore } from './machine.ts'
import { readPickle } from './pickle.ts'
import { type Storage, type StridedTensor, saveWeightsAlone, torchDTypes, torchRules, unsupported } from './rules.ts'
import { findStateDict } from './state-dict.ts'
import { readStrided, spanOf } from './strided.ts'
import { kindOf, PyList, type PyValue } from './values.ts'

/** Where a storage's bytes are. */
interface Place {
  readonly offset: number
  readonly bytes: number
}

/** A file's value, and where its storages are. */
interface Contents {
  readonly form: string
  readonly root: PyValue
  readonly places: ReadonlyMap<string, Place>
  readonly bigEndian: boolean
  /** Of the pickle, for errors about the whole. */
  readonly offset: number
}

const longestPickle = 2 ** 28
/** Of one that is compressed: PyTorch writes none. */
const longestUnpacked = 2 ** 24
/** The number that legacy files begin with. */
const magic = 0x1950a86a20f9469cfc6cn
const legacyProtocol = 1001

/**
 * Opens a file that torch.save wrote. Tensors are read when they are asked for; tensors that share a storage read it each.
 * @throws FormatError with path and byte offset when it is none, is damaged, or when its pickle calls what no file of
 * weights needs; UnsupportedError for TorchScript, tar files, whole models, and element types that are not known here
 */
export async function openPytorch(range: RangeReader): Promise<WeightsFile> {
  const start = await range.read(0, Math.min(4, range.size))
  const isZip = start[0] === 0x50 && start[1] === 0x4b
  const contents = isZip ? await readZip(range) : await readLegacy(range)
  const { tensors, metadata } = findStateDict(contents.root, (what, got, expected) =>
    errorAt(range.path, contents.offset, what, { got, expected, fix: saveWeightsAlone }),
  )
  const stored = new Map<string, StoredTensor>()
  for (const [name, tensor] of tensors) stored.set(name, storedTensor(range, contents, name, tensor))
  return {
    path: range.path,
    format: contents.form,
    layout: 'pytorch',
    tensors: stored,
    metadata,
    close: () => range.close(),
  }
}

function errorAt(
  path: string,
  offset: number,
  what: string,
  details: { got?: string; expected?: string; fix?: string } = {},
): FormatError {
  const fix = 'the file is damaged or no PyTorch file: get it again'
  return new FormatError({ where: path, what: `${what} (at byte offset ${offset})`, fix, ...details })
}

function storedTensor(range: RangeReader, contents: Contents, name: string, tensor: StridedTensor): StoredTensor {
  const { storage, error } = tensor
  const typeName = tensor.dtype ?? storage.kind
  const dtype = Object.hasOwn(torchDTypes, typeName) ? torchDTypes[typeName] : undefined
  if (dtype === undefined) {
    throw unsupported(error(`tensor '${name}' is of a type that is not known here`), typeName, ...knownTypes)
  }
  const width = arrayTypes[dtype].BYTES_PER_ELEMENT
  const place = contents.places.get(storage.key)
  const unit = storage.kind === 'UntypedStorage' ? 1 : width
  if (place === undefined || place.bytes < storage.count * unit) {
    throw error(`the storage of tensor '${name}' is ${place === undefined ? 'missing' : 'too short'}`, {
      got: place === undefined ? `no storage ${storage.key}` : `${place.bytes} bytes`,
      expected: `${storage.count * unit} bytes`,
    })
  }
  const [first, count] = storage.view ?? [0, Math.floor((storage.count * unit) / width)]
  const span = spanOf(tensor)
  if (span.end > count || span.size > Math.max(1, count) * mostRepeats) {
    throw error(`tensor '${name}' does not fit its storage`, {
      got: `shape [${tensor.shape.join(', ')}], strides [${tensor.strides.join(', ')}], offset ${tensor.offset}`,
      expected: `places below ${count}, and at most ${mostRepeats} times as many elements`,
    })
  }
  const offset = place.offset + first * width
  const read = () => readStrided(range, offset, dtype, tensor, contents.bigEndian)
  return { name, shape: tensor.shape, dtype, read }
}

/** What is expected of an element type, and what to do. */
const knownTypes = ['floats, whole numbers or bool', 'convert it in PyTorch and save it again: tensor.float()'] as const

/** A tensor that repeats elements (`expand`) takes more memory than its file; so many times are no attack. */
const mostRepeats = 16

// ── zip ──

async function readZip(range: RangeReader): Promise<Contents> {
  const zip = await openZip(range)
  const entry = findPickle(zip, range.path)
  const prefix = entry.name.slice(0, -'data.pkl'.length)
  const bigEndian = (await byteOrder(range, zip.entries.get(`${prefix}byteorder`))) === 'big'
  const offset = await entry.start()
  const bytes = await recordOf(range, entry, longestPickle)
  const storages = new Map<string, Storage>()
  const reader = new ByteReader(bytes, range.path, offset)
  const root = readPickle(
    reader,
    torchRules(bytes.length, (storage) => storages.set(storage.key, storage)),
  )
  const places = new Map<string, Place>()
  for (const key of storages.keys()) {
    const data = zip.entries.get(`${prefix}data/${key}`)
    if (data === undefined) continue
    if (!data.stored) throw compressed(range.path, data.name)
    places.set(key, { offset: await data.start(), bytes: data.size })
  }
  return { form: 'PyTorch zip', root, places, bigEndian, offset }
}

function findPickle({ entries }: Zip, path: string): ZipEntry {
  const pickles = [...entries.values()].filter(({ name }) => /^[^/]*\/data\.pkl$/.test(name))
  if (pickles.length === 1) {
    const [pickle] = pickles
    const prefix = pickle.name.slice(0, -'data.pkl'.length)
    if (!entries.has(`${prefix}constants.pkl`)) return pickle
    throw new UnsupportedError({
      where: path,
      what: 'the file is a TorchScript program, not weights alone',
      got: `an archive with ${prefix}constants.pkl`,
      expected: 'a state dict',
      fix: "load it with torch.jit.load and save the weights: torch.save(model.state_dict(), 'weights.pt')",
    })
  }
  const names = [...entries.keys()].slice(0, 8).join(', ')
  throw errorAt(path, 0, 'the zip archive is no PyTorch file', {
    got: names === '' ? 'an empty archive' : `${names}${entries.size > 8 ? ', …' : ''}`,
    expected: 'one folder with data.pkl in it',
  })
}

async function byteOrder(range: RangeReader, entry: ZipEntry | undefined): Promise<string> {
  if (entry === undefined) return 'little'
  return new TextDecoder().decode(await recordOf(range, entry, 64)).trim()
}

/** Of what is stored the sum is not looked at: PyTorch can be told not to compute it. */
async function recordOf(range: RangeReader, entry: ZipEntry, limit: number): Promise<Uint8Array> {
  return entry.stored && entry.size <= limit
    ? range.read(await entry.start(), entry.size)
    : entry.read(Math.min(limit, longestUnpacked))
}

function compressed(path: string, name: string): UnsupportedError {
  return new UnsupportedError({
    where: path,
    what: `storage ${name} is compressed`,
    got: 'an archive that was packed again',
    expected: 'storages as torch.save writes them',
    fix: 'unpack the archive and pack it again without compression: zip -0',
  })
}

// ── legacy ──

/** Five pickles: magic number, protocol, the machine's sizes, the value, keys of the storages. Then the storages. */
async function readLegacy(range: RangeReader): Promise<Contents> {
  const { path, size } = range
  for (let length = Math.min(size, 2 ** 16); ; length = Math.min(size, 4 * length)) {
    const reader = new ByteReader(await range.read(0, length), path)
    try {
      return await readLegacyStart(range, reader, length === size)
    } catch (error) {
      if (!(error instanceof NeedsMore)) throw error
      if (length >= longestPickle) throw errorAt(path, 0, 'the pickle is absurdly long')
    }
  }
}

async function readLegacyStart(range: RangeReader, reader: ByteReader, whole: boolean): Promise<Contents> {
  const storages = new Map<string, { storage: Storage; error: ErrorHere }>()
  const rules = torchRules(reader.length, (storage, error) => storages.set(storage.key, { storage, error }))
  await checkStart(range)
  const first = readPickle(reader, rules, whole)
  if (BigInt(typeof first === 'number' || typeof first === 'bigint' ? first : -1) !== magic) {
    throw errorAt(range.path, 0, 'the pickle is not of a PyTorch file', {
      got: kindOf(first),
      expected: 'the magic number of torch.save',
      fix: saveWeightsAlone,
    })
  }
  const protocolAt = reader.offset
  const protocol = readPickle(reader, rules, whole)
  if (protocol !== legacyProtocol) {
    const got = kindOf(protocol)
    throw errorAt(range.path, protocolAt, 'the protocol is not known', { got, expected: `${legacyProtocol}` })
  }
  readPickle(reader, rules, whole)
  const offset = reader.offset
  const root = readPickle(reader, rules, whole)
  const keysAt = reader.offset
  const keys = readPickle(reader, rules, whole)
  if (!(keys instanceof PyList)) {
    throw errorAt(range.path, keysAt, 'the keys of the storages are no list', { got: kindOf(keys) })
  }
  const places = await placeStorages(range, keys, storages, reader.offset)
  return { form: 'PyTorch, legacy form', root, places, bigEndian: false, offset }
}

async function checkStart(range: RangeReader): Promise<void> {
  const start = await range.read(0, Math.min(512, range.size))
  if (new TextDecoder('latin1').decode(start.subarray(257, 262)) === 'ustar') {
    throw new UnsupportedError({
      where: range.path,
      what: 'the file is a tar archive, the form of PyTorch before 0.1.10',
      expected: 'a zip archive or the legacy form',
      fix: "load it in PyTorch and save it again: torch.save(torch.load(path), 'weights.pt')",
    })
  }
  // The first instruction: of protocol 2 and later, or of a number, a name or a tuple in protocols 0 and 1.
  if ([0x80, ...new TextEncoder().encode('LIc(')].includes(start[0])) return
  throw errorAt(range.path, 0, 'this is no PyTorch file', {
    got: start.length === 0 ? 'no bytes at all' : `a first byte of 0x${start[0].toString(16).padStart(2, '0')}`,
    expected: 'a zip archive or a pickle',
  })
}

/** Storages follow each other in the order of the keys, each behind its number of elements. */
async function placeStorages(
  range: RangeReader,
  keys: PyList,
  storages: ReadonlyMap<string, { storage: Storage; error: ErrorHere }>,
  start: number,
): Promise<ReadonlyMap<string, Place>> {
  const places = new Map<string, Place>()
  let offset = start
  for (const key of keys.items) {
    const known = storages.get(String(key))
    if (known === undefined || places.has(String(key))) {
      const what = known === undefined ? 'a storage follows that no tensor has' : 'a storage follows twice'
      throw errorAt(range.path, offset, what, { got: kindOf(key) })
    }
    const { storage } = known
    const dtype = Object.hasOwn(torchDTypes, storage.kind) ? torchDTypes[storage.kind] : undefined
    if (dtype === undefined) {
      throw unsupported(known.error('a storage is of a type that is not known here'), storage.kind, ...knownTypes)
    }
    const head = new ByteReader(await range.read(offset, Math.min(8, range.size - offset)), range.path, offset)
    const count = head.u64LittleEndian('the length of a storage')
    if (count !== storage.count) {
      throw head.error(`storage ${storage.key} has another length than its tensors say`, {
        offset: 0,
        got: `${count} elements`,
        expected: `${storage.count}`,
      })
    }
    const bytes = count * arrayTypes[dtype].BYTES_PER_ELEMENT
    if (bytes > range.size - offset - 8) {
      throw head.error(`the file ends inside storage ${storage.key}`, {
        got: `${range.size - offset - 8} of ${bytes} bytes`,
        fix: 'the file is cut short: get it again',
      })
    }
    places.set(storage.key, { offset: offset + 8, bytes })
    offset += 8 + bytes
  }
  return places
}
