/** Names of a group and where they lead, and the heap that holds texts of any length. */
import { type Message, message } from './messages.ts'
import type { Span, Storage } from './storage.ts'

/**
 * Addresses of the objects in a group, by name. Links to other files or by path are left out.
 * @throws UnsupportedError on groups as `libver='latest'` writes them when they are large
 */
export async function readLinks(storage: Storage, messages: readonly Message[]): Promise<Map<string, number>> {
  const links = new Map<string, number>()
  for (const { type, body } of messages) {
    if (type === message.symbolTable) await readSymbolTable(storage, body(), links)
    else if (type === message.link) readLink(body(), links)
    else if (type === message.linkInfo) {
      const span = body()
      span.skip(1)
      if ((span.u8('the flags of links') & 1) !== 0) span.skip(8)
      if (span.address('the address of a heap') === undefined) continue
      throw span.unsupported('a group whose names are in a fractal heap is not read', {
        fix: "write the file with h5py as it is by default (libver 'earliest', without track_order)",
      })
    }
  }
  return links
}

function add(links: Map<string, number>, name: string, address: number | undefined, at: Span): void {
  if (links.has(name)) throw at.error(`a group holds "${name}" twice`)
  if (address === undefined) throw at.error(`"${name}" leads nowhere`)
  links.set(name, address)
}

function readLink(span: Span, links: Map<string, number>): void {
  const version = span.u8('the version of a link')
  if (version !== 1) throw span.error('a link has an unknown version', { got: `${version}`, expected: '1' })
  const flags = span.u8('the flags of a link')
  const kind = (flags & 8) === 0 ? 0 : span.u8('the kind of a link')
  if ((flags & 4) !== 0) span.skip(8)
  if ((flags & 16) !== 0) span.skip(1)
  const name = span.text(span.unsigned(1 << (flags & 3), 'the size of a name'), 'a name')
  if (kind === 0) add(links, name, span.address('the address of an object'), span)
}

async function readSymbolTable(storage: Storage, span: Span, links: Map<string, number>): Promise<void> {
  const tree = span.address('the address of a B-tree')
  const heap = span.address('the address of a heap')
  if (tree === undefined || heap === undefined) throw span.error('a group has no names')
  const head = await storage.span(heap, 8 + 2 * storage.lengthSize + storage.offsetSize, 'a local heap')
  head.signature('HEAP')
  head.skip(4)
  const size = head.length('the size of a heap')
  head.skip(storage.lengthSize)
  const data = head.address('the address of names')
  if (data === undefined) throw head.error('a heap has no data')
  const names = await storage.span(data, size, 'names')
  for await (const { child } of walkTree(storage, tree, 0, storage.lengthSize)) {
    const node = await storage.span(child, 8, 'a symbol table')
    node.signature('SNOD')
    node.skip(2)
    const count = node.u16('the number of names')
    const entrySize = 2 * storage.offsetSize + 24
    const entries = await storage.span(child + 8, count * entrySize, 'names and addresses')
    for (let i = 0; i < count; i++) {
      const at = entries.unsigned(storage.offsetSize, 'the place of a name')
      const address = entries.address('the address of an object')
      const isSoft = entries.u32('the kind of a link') === 2
      entries.skip(20)
      const from = names.fresh()
      from.skip(at, 'the place of a name')
      if (!isSoft) add(links, from.zeroEnded('a name'), address, entries)
    }
  }
}

/**
 * Leaves of a B-tree of version 1 with their keys: type 0 leads to names, 1 to chunks.
 * @throws FormatError when it is no tree
 */
export async function* walkTree(
  storage: Storage,
  root: number,
  type: 0 | 1,
  keySize: number,
): AsyncGenerator<{ readonly key: Span; readonly child: number }> {
  const seen = new Set([root])
  const waiting: { address: number; level?: number }[] = [{ address: root }]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const head = await storage.span(next.address, 8 + 2 * storage.offsetSize, 'a node of a B-tree')
    head.signature('TREE')
    const { offset } = head
    const gotType = head.u8('the type of a B-tree')
    if (gotType !== type)
      throw head.error('a B-tree is of another type', { got: `${gotType}`, expected: `${type}`, offset })
    const level = head.u8('the level of a node')
    if (next.level !== undefined && level !== next.level) {
      throw head.error('a node stands on the wrong level', { got: `${level}`, expected: `${next.level}`, offset })
    }
    const count = head.u16('the number of children')
    const entries = await storage.span(
      next.address + 8 + 2 * storage.offsetSize,
      count * (keySize + storage.offsetSize),
      'the children of a node',
    )
    const children: { key: Span; child: number }[] = []
    for (let i = 0; i < count; i++) {
      const key = entries.span(keySize, 'a key')
      const child = entries.address('the address of a child')
      if (child === undefined) throw entries.error('a child of a node is missing')
      if (seen.has(child)) throw entries.error('the children of a node lead in a circle')
      seen.add(child)
      children.push({ key, child })
    }
    if (level === 0) yield* children
    else for (const { child } of children.reverse()) waiting.push({ address: child, level: level - 1 })
  }
}

/** Texts of any length, kept in collections. */
export class GlobalHeap {
  readonly #storage: Storage
  readonly #collections = new Map<number, ReadonlyMap<number, Span>>()

  constructor(storage: Storage) {
    this.#storage = storage
  }

  /** The text that a reference stands for: length, address of the collection, number in it. */
  async text(reference: Span): Promise<string> {
    const length = reference.u32('the length of a text')
    const address = reference.address('the address of a text')
    const index = reference.u32('the number of a text')
    if (length === 0 || address === undefined || address === 0) return ''
    const collection = this.#collections.get(address) ?? (await this.#open(address))
    const object = collection.get(index)
    if (object === undefined) throw reference.error(`a collection has no text ${index}`)
    this.#storage.spend(length, reference.offset)
    return object.fresh().text(length, 'a text')
  }

  async #open(address: number): Promise<ReadonlyMap<number, Span>> {
    const storage = this.#storage
    const head = await storage.span(address, 8 + storage.lengthSize, 'a collection of texts')
    head.signature('GCOL')
    head.skip(4)
    const size = head.length('the size of a collection') - (8 + storage.lengthSize)
    const rest = await storage.span(address + 8 + storage.lengthSize, Math.max(0, size), 'a collection of texts')
    const objects = new Map<number, Span>()
    while (rest.remaining >= 8 + storage.lengthSize) {
      const index = rest.u16('the number of a text')
      rest.skip(6)
      const length = rest.length('the size of a text')
      // Number 0 is the free space behind all others.
      if (index === 0) break
      objects.set(index, rest.span(length, 'a text'))
      rest.skip(Math.min(rest.remaining, (8 - (length % 8)) % 8))
    }
    this.#collections.set(address, objects)
    return objects
  }
}
