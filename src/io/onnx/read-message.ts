/** Protobuf messages of the table in schema.ts, read without believing anything. */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import { FormatError } from '../../base/errors.ts'
import { type Field, type Message, type MessageName, messages, type ScalarType, wireTypes } from './schema.ts'

/** How deep messages may lie in each other; a graph inside a node is three deep. */
const maxDepth = 60
/** A message takes two bytes in a file and a hundred here; the largest real networks have a tenth of this. */
const maxMessages = 2_000_000

/** A field as the reader looks it up by its number. */
interface Slot {
  readonly key: string
  readonly item: string
  readonly repeated: boolean
  readonly wire: WireType
}

interface Plan {
  readonly slots: ReadonlyMap<number, Slot>
  readonly lists: readonly string[]
}

const nothing: readonly never[] = []

function planOf(name: MessageName): Plan {
  const slots = new Map<number, Slot>()
  const lists: string[] = []
  for (const [key, [number, type]] of Object.entries(messages[name] as Readonly<Record<string, Field>>)) {
    const repeated = type.endsWith('[]')
    const item = repeated ? type.slice(0, -2) : type
    slots.set(number, { key, item, repeated, wire: wireTypes[item as ScalarType] ?? WireType.LengthDelimited })
    if (repeated) lists.push(key)
  }
  return { slots, lists }
}

/** Reads one file; knows at which byte each of its messages begins. */
export class MessageReader {
  readonly path: string
  readonly #bytes: Uint8Array
  readonly #reader: BinaryReader
  readonly #plans = new Map<string, Plan>()
  readonly #offsets = new WeakMap<object, number>()
  #count = 0

  constructor(bytes: Uint8Array, path: string) {
    this.path = path
    this.#bytes = bytes
    this.#reader = new BinaryReader(bytes)
  }

  /** The whole file as one message. @throws FormatError with path and byte offset */
  read<Name extends MessageName>(name: Name): Message<Name> {
    return this.#message(name, this.#reader.len, 0) as Message<Name>
  }

  /** A FormatError at the byte where a message begins, or at the present one. */
  error(
    what: string,
    details: { got?: string; expected?: string; fix?: string; at?: object | number | undefined } = {},
  ): FormatError {
    const { at, fix = 'check that the file is complete and an ONNX model', ...rest } = details
    const offset = typeof at === 'number' ? at : (this.#offsets.get(at ?? this) ?? this.#reader.pos)
    return new FormatError({ where: this.path, what: `${what} (at byte offset ${offset})`, ...rest, fix })
  }

  /** A message with something else in it, which counts as standing where the first one does. */
  copy<T extends object>(message: T, changes: Partial<T>): T {
    const copied = { ...message, ...changes }
    this.#offsets.set(copied, this.#offsets.get(message) ?? 0)
    return copied
  }

  #message(name: MessageName, end: number, depth: number): object {
    const reader = this.#reader
    if (depth > maxDepth) {
      throw this.error('messages lie too deep in each other', { expected: `at most ${maxDepth} levels` })
    }
    if (++this.#count > maxMessages) {
      throw this.error('the file has too many parts', { expected: `at most ${maxMessages} messages` })
    }
    const plan = this.#plans.get(name) ?? planOf(name)
    this.#plans.set(name, plan)
    const message: Record<string, unknown> = {}
    this.#offsets.set(message, reader.pos)
    for (const key of plan.lists) message[key] = nothing
    while (reader.pos < end) {
      const start = reader.pos
      const [number, wire] = this.#guard(start, () => reader.tag())
      const slot = plan.slots.get(number)
      if (slot === undefined) this.#skip(start, number, wire, end)
      else if (wire === slot.wire) {
        const value = this.#value(slot, end, depth, start)
        if (!slot.repeated) message[slot.key] = value
        else if (message[slot.key] === nothing) message[slot.key] = [value]
        else this.#append(message, slot.key, [value])
      } else if (slot.repeated && wire === WireType.LengthDelimited && slot.wire !== WireType.LengthDelimited) {
        const run = this.#packed(slot, end, start)
        if (message[slot.key] === nothing) message[slot.key] = run
        else this.#append(message, slot.key, run)
      } else {
        throw this.error(`field ${slot.key} of ${name} has wire type ${wire}`, {
          at: start,
          expected: `wire type ${slot.wire}`,
        })
      }
      if (reader.pos > end) throw this.#tooLong(start, `field ${slot?.key ?? number} of ${name}`, end)
    }
    return message
  }

  /** More of a list. A run that came packed is a typed array until then. */
  #append(message: Record<string, unknown>, key: string, more: ArrayLike<unknown>): void {
    const before = message[key] as unknown[] | Float32Array | Float64Array
    const list = Array.isArray(before) ? before : (Array.from(before) as unknown[])
    for (let i = 0; i < more.length; i++) list.push(more[i])
    message[key] = list
  }

  #value(slot: Slot, end: number, depth: number, start: number): unknown {
    const reader = this.#reader
    switch (slot.item) {
      case 'bytes':
        return this.#guard(start, () => reader.bytes())
      case 'string':
        return this.#guard(start, () => reader.string(true))
      case 'int32':
      case 'int64':
      case 'uint64':
      case 'float':
      case 'double':
        return this.#guard(start, () => this.#number(slot.item as ScalarType))
      default: {
        const length = this.#length(start, `field ${slot.key}`, end)
        return this.#message(slot.item as MessageName, reader.pos + length, depth + 1)
      }
    }
  }

  #number(type: ScalarType): number {
    const reader = this.#reader
    if (reader.pos >= reader.len) throw new RangeError('premature EOF')
    switch (type) {
      // An enum or a small integer below 0 takes ten bytes, as all negative numbers do.
      case 'int32':
        return Number(reader.int64()) | 0
      case 'float':
        return reader.float()
      case 'double':
        return reader.double()
      case 'uint64':
        return Number(reader.uint64())
      default:
        return Number(reader.int64())
    }
  }

  #packed(slot: Slot, end: number, start: number): ArrayLike<number> {
    const reader = this.#reader
    const length = this.#length(start, `field ${slot.key}`, end)
    const last = reader.pos + length
    const width = slot.wire === WireType.Bit32 ? 4 : slot.wire === WireType.Bit64 ? 8 : 0
    if (width > 0) {
      if (length % width !== 0) {
        throw this.error(`field ${slot.key} is cut inside a number`, {
          at: start,
          got: `${length} bytes`,
          expected: `a multiple of ${width}`,
        })
      }
      const { buffer } = new Uint8Array(this.#bytes.subarray(reader.pos, last))
      reader.pos = last
      return width === 4 ? new Float32Array(buffer) : new Float64Array(buffer)
    }
    const numbers: number[] = []
    while (reader.pos < last) numbers.push(this.#guard(start, () => this.#number(slot.item as ScalarType)))
    if (reader.pos > last) throw this.#tooLong(start, `field ${slot.key}`, last)
    return numbers
  }

  /** Reads the length of what follows and holds it against what is left. */
  #length(start: number, what: string, end: number): number {
    const length = this.#guard(start, () => this.#reader.uint32())
    if (this.#reader.pos + length > end) throw this.#tooLong(start, what, end, length)
    return length
  }

  #skip(start: number, number: number, wire: WireType, end: number): void {
    if (wire === WireType.StartGroup || wire === WireType.EndGroup) {
      throw this.error(`field ${number} is a group, which ONNX has none of`, { at: start })
    }
    this.#guard(start, () => this.#reader.skip(wire, number))
    if (this.#reader.pos > end) throw this.#tooLong(start, `field ${number}`, end)
  }

  #tooLong(start: number, what: string, end: number, length?: number): FormatError {
    return this.error(`${what} reaches beyond what it is part of`, {
      at: start,
      ...(length === undefined ? {} : { got: `${length} bytes` }),
      expected: `an end at byte ${end} at the latest`,
      fix: 'the file is cut short or not an ONNX model: get it again',
    })
  }

  /** The library's own errors, made ours. */
  #guard<T>(start: number, read: () => T): T {
    try {
      return read()
    } catch (error) {
      if (error instanceof FormatError) throw error
      throw this.error(`not a protobuf message: ${(error as Error).message}`, { at: start })
    }
  }
}
