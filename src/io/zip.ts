/**
 * Zip archives by range: the directory is read when one opens, an entry when it is asked for. Stored and deflated
 * entries, 64-bit sizes. Nothing is believed: entries that overlap, sizes that no deflate data can reach and names that
 * come twice are refused, so that no archive takes more memory than it has bytes times what deflate can reach.
 *
 * @see PKWARE, ".ZIP File Format Specification" (APPNOTE.TXT), version 6.3.10
 */
import { inflateRaw, type RangeReader } from '#platform'
import { ByteReader } from '../base/bytes.ts'
import { FormatError, UnsupportedError } from '../base/errors.ts'

export interface ZipEntry {
  /** As the archive spells it. A key and no path: it may hold anything. */
  readonly name: string
  /** Bytes when unpacked. */
  readonly size: number
  /** Whether the bytes stand in the archive as they are. */
  readonly stored: boolean
  /** Where the entry's data begin in the archive: to read a stored one by range. */
  start(): Promise<number>
  /**
   * The entry's bytes, checked against its sum.
   * @param limit the most bytes that make sense; default 4 GiB
   * @throws FormatError when it is damaged or larger, UnsupportedError when it is encrypted or packed by another method
   */
  read(limit?: number): Promise<Uint8Array<ArrayBuffer>>
}

export interface Zip {
  readonly path: string
  /** By name, in the order of the archive's directory. Folders are left out. */
  readonly entries: ReadonlyMap<string, ZipEntry>
}

const endBytes = 22
const end64Bytes = 56
const locatorBytes = 20
const longestComment = 0xffff
const mostEntries = 1e7
/** No deflate data unpack to more than this many times their size. */
const steepest = 1032
const methods: Readonly<Record<number, string>> = { 9: 'Deflate64', 12: 'bzip2', 14: 'LZMA', 93: 'Zstandard', 95: 'XZ' }

/** What the archive's end says of its directory. */
interface Place {
  readonly count: number
  readonly size: number
  readonly offset: number
}

/** An entry as the directory describes it. */
interface Described {
  readonly name: string
  readonly flags: number
  readonly method: number
  readonly sum: number
  readonly packed: number
  readonly size: number
  /** Of the header in front of its data. */
  readonly offset: number
  /** Of the description itself, for messages. */
  readonly at: number
}

/**
 * Opens a zip archive. The range stays open: it is closed by whoever opened it.
 * @throws FormatError with path and byte offset when it is none, or damaged
 * @example
 * const zip = await openZip(await openRange('model.keras'))
 * const config = new TextDecoder().decode(await zip.entries.get('config.json')?.read(1e6))
 */
export async function openZip(range: RangeReader): Promise<Zip> {
  const place = await findDirectory(range)
  const reader = new ByteReader(await range.read(place.offset, place.size), range.path, place.offset)
  const described: Described[] = []
  const names = new Set<string>()
  for (let i = 0; i < place.count; i++) {
    const entry = describe(reader, place.offset)
    if (names.has(entry.name)) {
      throw at(range, entry.at, `the archive holds ${JSON.stringify(entry.name)} twice`, { expected: 'each name once' })
    }
    names.add(entry.name)
    described.push(entry)
  }
  if (reader.remaining > 0) throw reader.error('the directory holds more than its entries', { got: rest(reader) })
  checkOverlap(range, described, place.offset)
  const files = described.filter(({ name }) => !name.endsWith('/'))
  return { path: range.path, entries: new Map(files.map((entry) => [entry.name, makeEntry(range, entry)])) }
}

const rest = (reader: ByteReader) => `${reader.remaining} bytes more`

function at(range: RangeReader, offset: number, what: string, details: { got?: string; expected?: string } = {}) {
  const fix = 'the archive is damaged or not a zip archive: get it again'
  return new FormatError({ where: range.path, what: `${what} (at byte offset ${offset})`, ...details, fix })
}

// ── the directory ──

async function findDirectory(range: RangeReader): Promise<Place> {
  const length = Math.min(range.size, endBytes + longestComment + locatorBytes)
  const start = range.size - length
  const tail = await range.read(start, length)
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength)
  let end = length - endBytes
  while (
    end >= 0 &&
    !(view.getUint32(end, true) === 0x06054b50 && end + endBytes + view.getUint16(end + 20, true) === length)
  ) {
    end--
  }
  if (end < 0) {
    throw at(range, Math.max(0, range.size - endBytes), 'the end of a zip archive is not there', {
      got: `${range.size} bytes without the end of a directory`,
      expected: 'the end of the directory, at the end of the file',
    })
  }
  const reader = new ByteReader(tail, range.path, start)
  reader.seek(end + 4)
  const disks = [reader.u16LittleEndian(), reader.u16LittleEndian()]
  const counts = [reader.u16LittleEndian(), reader.u16LittleEndian()]
  const place = { count: counts[1], size: reader.u32LittleEndian(), offset: reader.u32LittleEndian() }
  const wide = end >= locatorBytes && view.getUint32(end - locatorBytes, true) === 0x07064b50
  if (wide) {
    reader.seek(end - locatorBytes + 8)
    return findDirectory64(range, reader.u64LittleEndian('the place of the 64-bit end'), start + end - locatorBytes)
  }
  if (disks.some((disk) => disk !== 0) || counts[0] !== counts[1]) throw split(range, start + end)
  return checkPlace(range, place, start + end)
}

async function findDirectory64(range: RangeReader, offset: number, before: number): Promise<Place> {
  if (offset + end64Bytes > before) {
    throw at(range, before + 8, 'the 64-bit end of the directory is not where it should be', {
      got: `offset ${offset}`,
    })
  }
  const reader = new ByteReader(await range.read(offset, end64Bytes), range.path, offset)
  if (reader.u32LittleEndian() !== 0x06064b50) throw at(range, offset, 'this is not the 64-bit end of a directory')
  reader.seek(16)
  const disks = [reader.u32LittleEndian(), reader.u32LittleEndian()]
  const counts = [reader.u64LittleEndian('the number of entries'), reader.u64LittleEndian('the number of entries')]
  if (disks.some((disk) => disk !== 0) || counts[0] !== counts[1]) throw split(range, offset)
  const size = reader.u64LittleEndian('the size of the directory')
  return checkPlace(range, { count: counts[1], size, offset: reader.u64LittleEndian('its offset') }, offset)
}

const split = (range: RangeReader, offset: number) =>
  at(range, offset, 'the archive is a part of several', { expected: 'an archive of one file' })

/** The directory ends where the record begins that tells its place: nothing may stand in front of the archive. */
function checkPlace(range: RangeReader, place: Place, end: number): Place {
  if (place.offset + place.size === end && place.count * 46 <= place.size && place.count <= mostEntries) return place
  throw at(range, end, 'the directory is not where the end of the archive says', {
    got: `${place.count} entries in ${place.size} bytes at offset ${place.offset}`,
    expected: `a directory that ends at offset ${end}, with at least 46 bytes for each of at most ${mostEntries} entries`,
  })
}

function describe(reader: ByteReader, directory: number): Described {
  const at = directory + reader.offset
  if (reader.u32LittleEndian('an entry') !== 0x02014b50) {
    throw reader.error('this is not an entry of the directory', { offset: reader.offset - 4 })
  }
  reader.bytes(4, 'versions')
  const flags = reader.u16LittleEndian('flags')
  const method = reader.u16LittleEndian('the method')
  reader.bytes(4, 'the time')
  const sum = reader.u32LittleEndian('the sum')
  let packed = reader.u32LittleEndian('the packed size')
  let size = reader.u32LittleEndian('the size')
  const nameLength = reader.u16LittleEndian('the length of the name')
  const extraLength = reader.u16LittleEndian('the length of extra fields')
  const commentLength = reader.u16LittleEndian('the length of the comment')
  reader.bytes(8, 'attributes')
  let offset = reader.u32LittleEndian('the offset')
  const name = decodeName(reader.bytes(nameLength, 'the name'))
  const extraEnd = reader.offset + extraLength
  reader.bytes(extraLength, 'extra fields')
  reader.bytes(commentLength, 'the comment')
  const end = reader.offset
  if (packed === 0xffff_ffff || size === 0xffff_ffff || offset === 0xffff_ffff) {
    seekExtra64(reader, extraEnd - extraLength, extraEnd)
    if (size === 0xffff_ffff) size = reader.u64LittleEndian('the 64-bit size')
    if (packed === 0xffff_ffff) packed = reader.u64LittleEndian('the 64-bit packed size')
    if (offset === 0xffff_ffff) offset = reader.u64LittleEndian('the 64-bit offset')
    reader.seek(end)
  }
  return { name, flags, method, sum, packed, size, offset, at }
}

/** Moves to the extra field that holds sizes of 64 bits, the first behind its length. */
function seekExtra64(reader: ByteReader, start: number, end: number): void {
  reader.seek(start)
  while (reader.offset + 4 <= end) {
    const id = reader.u16LittleEndian()
    const length = reader.u16LittleEndian()
    if (id === 1) return
    reader.seek(Math.min(end, reader.offset + length))
  }
  throw reader.error('the 64-bit sizes of an entry are missing', { offset: start })
}

/** UTF-8 where it is; old archives have code pages, of which ASCII is all that matters. */
function decodeName(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return new TextDecoder('latin1').decode(bytes)
  }
}

/** Entries that share bytes are how small archives unpack to anything. */
function checkOverlap(range: RangeReader, described: readonly Described[], directory: number): void {
  const inOrder = described.toSorted((a, b) => a.offset - b.offset)
  for (const [i, entry] of inOrder.entries()) {
    const { name, offset, packed, size, method } = entry
    const next = inOrder[i + 1]?.offset ?? directory
    // The header in front of the data has 30 bytes and a name, whose length it tells again.
    if (offset + 30 + packed > next) {
      throw at(range, entry.at, `entry ${JSON.stringify(name)} reaches into what follows it`, {
        got: `${packed} bytes of data at offset ${offset}`,
        expected: `an end at offset ${next} or before`,
      })
    }
    if (method === 0 ? size === packed : size <= packed * steepest) continue
    throw at(range, entry.at, `entry ${JSON.stringify(name)} cannot have this size`, {
      got: `${size} bytes packed in ${packed}`,
      expected: method === 0 ? 'equal sizes, since it is not compressed' : `at most ${packed * steepest} bytes`,
    })
  }
}

// ── entries ──

function makeEntry(range: RangeReader, entry: Described): ZipEntry {
  const { name, size, packed, method, flags } = entry
  const where = `entry ${JSON.stringify(name)}`
  const start = async (): Promise<number> => {
    const header = new ByteReader(await range.read(entry.offset, 30), range.path, entry.offset)
    if (header.u32LittleEndian() !== 0x04034b50) throw at(range, entry.offset, `${where} is not where it should be`)
    header.seek(26)
    const data = entry.offset + 30 + header.u16LittleEndian() + header.u16LittleEndian()
    if (data + packed <= range.size) return data
    throw at(range, entry.offset, `${where} reaches beyond the end of the file`)
  }
  const read = async (limit = 2 ** 32): Promise<Uint8Array<ArrayBuffer>> => {
    checkMethod(range.path, where, method, flags)
    if (size > limit) {
      throw at(range, entry.at, `${where} is larger than makes sense`, {
        got: `${size} bytes`,
        expected: `at most ${limit}`,
      })
    }
    const data = await start()
    const raw = await range.read(data, packed)
    const bytes = method === 0 ? raw : await inflateRaw(raw, size)
    if (bytes?.length !== size || crc32(bytes) !== entry.sum) {
      throw at(range, data, `${where} is damaged`, {
        got:
          bytes === undefined
            ? 'data that are not deflate data'
            : bytes.length > size
              ? 'more bytes'
              : `${bytes.length} bytes with another sum`,
        expected: `${size} bytes with the sum ${entry.sum.toString(16).padStart(8, '0')}`,
      })
    }
    return bytes
  }
  return { name, size, stored: method === 0 && (flags & 1) === 0, start, read }
}

function checkMethod(path: string, entry: string, method: number, flags: number): void {
  const encrypted = (flags & 1) !== 0
  if (!encrypted && (method === 0 || method === 8)) return
  throw new UnsupportedError({
    where: path,
    what: `${entry} ${encrypted ? 'is encrypted' : 'is packed by a method that is not known here'}`,
    got: encrypted ? 'an encrypted entry' : `method ${method}${method in methods ? `, ${methods[method]}` : ''}`,
    expected: 'entries that are stored or deflated',
    fix: 'unpack the archive and pack it again without encryption, by deflate',
  })
}

let sums: Uint32Array | undefined

/** The sum that zip, gzip and PNG use: CRC-32 with the polynomial 0xedb88320. */
export function crc32(bytes: Uint8Array): number {
  sums ??= Uint32Array.from({ length: 256 }, (_, byte) => {
    let sum = byte
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1
    return sum
  })
  const table = sums
  let sum = 0xffff_ffff
  for (let i = 0; i < bytes.length; i++) sum = (sum >>> 8) ^ table[(sum ^ bytes[i]) & 0xff]
  return (sum ^ 0xffff_ffff) >>> 0
}
