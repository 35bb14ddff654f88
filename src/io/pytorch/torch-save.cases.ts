/** Files as torch.save writes them, made in tests: Python's pickle for the values that a file of weights has. */
import { writeZip } from '../../testing/write-zip.ts'

/** A function or class by name: `torch._utils._rebuild_tensor_v2`. */
export class Name {
  readonly module: string
  readonly name: string
  constructor(path: string) {
    this.module = path.slice(0, path.lastIndexOf('.'))
    this.name = path.slice(path.lastIndexOf('.') + 1)
  }
}
export class Tuple {
  readonly items: readonly Value[]
  constructor(...items: readonly Value[]) {
    this.items = items
  }
}
/** `callee(*args)`, by the instruction REDUCE, or NEWOBJ for `kind: 'new'`; then BUILD where there is a state. */
export class Called {
  readonly callee: Name
  readonly args: Tuple
  readonly kind: 'call' | 'new'
  readonly state: Value | undefined
  constructor(callee: string, args: readonly Value[], options: { kind?: 'call' | 'new'; state?: Value } = {}) {
    this.callee = new Name(callee)
    this.args = new Tuple(...args)
    this.kind = options.kind ?? 'call'
    this.state = options.state
  }
}
/** What stands outside of the pickle. */
export class Outside {
  readonly id: Value
  constructor(id: Value) {
    this.id = id
  }
}
/** A number that is written as a float though it is whole. */
export class Float {
  readonly value: number
  constructor(value: number) {
    this.value = value
  }
}
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Float
  | Name
  | Tuple
  | Called
  | Outside
  | readonly Value[]
  | ReadonlyMap<Value, Value>

class Writer {
  readonly out: number[] = []
  readonly #protocol: number
  readonly #memo = new Map<string, number>()

  constructor(protocol: number) {
    this.#protocol = protocol
  }

  put(...bytes: readonly (number | string)[]): void {
    for (const byte of bytes) this.out.push(typeof byte === 'string' ? byte.charCodeAt(0) : byte)
  }

  unsigned(width: number, value: number): void {
    for (let i = 0, left = value; i < width; i++, left = Math.floor(left / 256)) this.out.push(left % 256)
  }

  text(value: string): void {
    const bytes = new TextEncoder().encode(value)
    if (this.#recall(`text ${value}`)) return
    if (this.#protocol >= 4) {
      this.put(0x8c)
      this.unsigned(1, bytes.length)
    } else {
      this.put('X')
      this.unsigned(4, bytes.length)
    }
    this.put(...bytes)
    this.#remember(`text ${value}`)
  }

  name({ module, name }: Name): void {
    const key = `name ${module} ${name}`
    if (this.#recall(key)) return
    if (this.#protocol >= 4) {
      this.text(module)
      this.text(name)
      this.put(0x93)
    } else {
      this.put('c', ...`${module}\n${name}\n`)
    }
    this.#remember(key)
  }

  #recall(key: string): boolean {
    const index = this.#memo.get(key)
    if (index === undefined) return false
    this.put('h', index)
    return true
  }

  #remember(key: string): void {
    if (this.#memo.size > 255) return
    if (this.#protocol >= 4) this.put(0x94)
    else this.put('q', this.#memo.size)
    this.#memo.set(key, this.#memo.size)
  }

  number(value: number | bigint): void {
    if (typeof value === 'number' && !Number.isInteger(value)) {
      const view = new DataView(new ArrayBuffer(8))
      view.setFloat64(0, value)
      this.put('G', ...new Uint8Array(view.buffer))
    } else if (value >= 0 && value < 256) this.put('K', Number(value))
    else if (value >= -(2 ** 31) && value < 2 ** 31) {
      this.put('J')
      this.unsigned(4, Number(value) >>> 0)
    } else {
      this.put(0x8a, 12)
      for (let i = 0n; i < 12n; i++) this.put(Number((BigInt(value) >> (8n * i)) & 255n))
    }
  }

  value(value: Value): void {
    if (value === null) this.put('N')
    else if (typeof value === 'boolean') this.put(value ? 0x88 : 0x89)
    else if (typeof value === 'number' || typeof value === 'bigint') this.number(value)
    else if (typeof value === 'string') this.text(value)
    else if (value instanceof Uint8Array) this.put('B', ...lengthBytes(value), ...value)
    else if (value instanceof Name) this.name(value)
    else if (value instanceof Tuple) this.sequence('(', value.items, 't')
    else if (value instanceof Float) {
      const view = new DataView(new ArrayBuffer(8))
      view.setFloat64(0, value.value)
      this.put('G', ...new Uint8Array(view.buffer))
    } else if (value instanceof Called) {
      this.name(value.callee)
      this.value(value.args)
      this.put(value.kind === 'new' ? 0x81 : 'R')
      if (value.state !== undefined) {
        this.value(value.state)
        this.put('b')
      }
    } else if (value instanceof Outside) {
      this.value(value.id)
      this.put('Q')
    } else if (value instanceof Map) {
      this.put('}')
      this.sequence('(', [...(value as ReadonlyMap<Value, Value>)].flat(), 'u')
    } else {
      this.put(']')
      this.sequence('(', value as readonly Value[], 'e')
    }
  }

  sequence(start: string, items: readonly Value[], end: string): void {
    this.put(start)
    for (const item of items) this.value(item)
    this.put(end)
  }
}

const lengthBytes = ({ length }: Uint8Array) => [0, 8, 16, 24].map((shift) => (length >> shift) & 255)

export function pickle(value: Value, protocol = 2): Uint8Array {
  const writer = new Writer(protocol)
  writer.put(0x80, protocol)
  writer.value(value)
  writer.put('.')
  return Uint8Array.from(writer.out)
}

/** A storage: its class, elements and bytes. */
export interface SavedStorage {
  readonly kind: string
  readonly count: number
  readonly bytes: Uint8Array
}

export const storageOf = (kind: string, data: ArrayBufferView & { readonly length: number }): SavedStorage => ({
  kind,
  count: data.length,
  bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice(),
})

/** A dict with order, as state_dict() gives it, with the attribute that it has. */
export function stateDict(entries: Readonly<Record<string, Value>>): Value {
  const pairs = Object.entries(entries).map(([name, value]) => new Tuple(name, value))
  const state = new Map([['_metadata', new Called('collections.OrderedDict', [])]])
  return new Called('collections.OrderedDict', [pairs], { state })
}

/** A tensor that looks at a storage. */
export function tensorOf(
  key: string,
  { kind, count }: SavedStorage,
  shape: readonly number[],
  options: { readonly offset?: number; readonly strides?: readonly number[]; readonly id?: readonly Value[] } = {},
): Called {
  const strides = options.strides ?? shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1))
  const id = new Outside(new Tuple('storage', new Name(`torch.${kind}`), key, 'cpu', count, ...(options.id ?? [])))
  const hooks = new Called('collections.OrderedDict', [])
  return new Called('torch._utils._rebuild_tensor_v2', [
    id,
    options.offset ?? 0,
    new Tuple(...shape),
    new Tuple(...strides),
    false,
    hooks,
  ])
}

export interface SaveOptions {
  readonly protocol?: number
  readonly bigEndian?: boolean
}

export function saveZip(
  value: Value,
  storages: Readonly<Record<string, SavedStorage>>,
  { protocol, bigEndian }: SaveOptions = {},
): Uint8Array {
  const text = (words: string) => new TextEncoder().encode(words)
  return writeZip([
    { name: 'archive/data.pkl', bytes: pickle(value, protocol), padding: 18 },
    { name: 'archive/byteorder', bytes: text(bigEndian ? 'big' : 'little') },
    ...Object.entries(storages).map(([key, { bytes }]) => ({ name: `archive/data/${key}`, bytes, padding: 30 })),
    { name: 'archive/version', bytes: text('3\n') },
  ])
}

export function saveLegacy(
  value: Value,
  storages: Readonly<Record<string, SavedStorage>>,
  { protocol }: SaveOptions = {},
): Uint8Array {
  const sizes = new Map<Value, Value>([
    ['protocol_version', 1001],
    ['little_endian', true],
  ])
  const parts: Uint8Array[] = [0x1950a86a20f9469cfc6cn, 1001, sizes, value, Object.keys(storages)].map((part) =>
    pickle(part as Value, protocol),
  )
  for (const { count, bytes } of Object.values(storages)) {
    const head = new Uint8Array(8)
    new DataView(head.buffer).setBigUint64(0, BigInt(count), true)
    parts.push(head, bytes)
  }
  return Uint8Array.from(parts.flatMap((part) => [...part]))
}
