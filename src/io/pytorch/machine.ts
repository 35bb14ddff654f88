/** The machine that a pickle is a program for: a stack with marks, a memo, and rules for what it would call. */
import type { ByteReader } from '../../base/bytes.ts'
import type { FormatError } from '../../base/errors.ts'
import { kindOf, PyDict, PyGlobal, PyList, PySet, PyTuple, type PyValue, shorten } from './values.ts'

/** What a pickle may call. Each throws to refuse; `error` makes an error at the instruction. */
export interface PickleRules {
  /** `callee(*args)`. */
  call(callee: PyGlobal, args: readonly PyValue[], error: ErrorHere): PyValue
  /** An object of a class, made without calling anything but its constructor. */
  construct(type: PyGlobal, args: readonly PyValue[], error: ErrorHere): PyValue
  /** Sets an object's state. */
  build(object: PyValue, state: PyValue, error: ErrorHere): PyValue
  /** What stands outside of the pickle. */
  persistent(id: PyValue, error: ErrorHere): PyValue
}
export type ErrorHere = (what: string, details?: { got?: string; expected?: string; fix?: string }) => FormatError

/** Thrown when a part of a file ends inside the pickle: to be read again with more of it. */
export class NeedsMore extends Error {}

const mark = Symbol('mark')
type Slot = PyValue | typeof mark

/** No number that counts anything has more bytes. */
const longestNumber = 256

/** Each makes one value or none: a bound for their memory. A tensor takes some forty. */
const mostInstructions = 4e6
/** Of a class or function, with its module. */
const longestName = 1000

export class Machine {
  readonly #reader: ByteReader
  readonly #rules: PickleRules
  readonly #whole: boolean
  readonly #stack: Slot[] = []
  /** Places of marks in the stack. */
  readonly #marks: number[] = []
  readonly #memo = new Map<number, PyValue>()
  /** Offset of the present instruction. */
  #at = 0
  #count = 0

  constructor(reader: ByteReader, rules: PickleRules, whole: boolean) {
    this.#reader = reader
    this.#rules = rules
    this.#whole = whole
  }

  /** The byte of the next instruction, which errors stand at from here on. */
  next(): number {
    this.#at = this.#reader.offset
    if (++this.#count > mostInstructions) throw this.error('the pickle is absurdly long')
    return this.bytes(1, 'an instruction')[0]
  }

  readonly error: ErrorHere = (what, details) => this.#reader.error(what, { offset: this.#at, ...details })

  // ── bytes ──

  bytes(count: number, what: string): Uint8Array {
    if (!this.#whole && count > this.#reader.remaining) throw new NeedsMore()
    return this.#reader.bytes(count, what)
  }

  /** A number without a sign, little-endian, of at most 8 bytes. */
  unsigned(width: number): number {
    const bytes = this.bytes(width, 'a number')
    let value = 0
    for (let i = width - 1; i >= 0; i--) value = value * 256 + bytes[i]
    if (value > Number.MAX_SAFE_INTEGER) throw this.error('a length is absurdly large', { got: `${value}` })
    return value
  }

  text(length: number): string {
    if (!this.#whole && length > this.#reader.remaining) throw new NeedsMore()
    return this.#reader.text(length, 'a text')
  }

  /** Up to the end of the line, which is passed. */
  line(): string {
    const bytes: number[] = []
    for (;;) {
      const byte = this.bytes(1, 'a line')[0]
      if (byte === 0x0a) break
      bytes.push(byte)
      if (bytes.length > 1 << 16) throw this.error('a line is absurdly long')
    }
    return new TextDecoder().decode(Uint8Array.from(bytes)).replace(/\r$/, '')
  }

  // ── stack ──

  push(value: PyValue): void {
    this.#stack.push(value)
  }

  pop(): PyValue {
    const value = this.#stack.pop()
    if (value === undefined || value === mark) {
      throw this.error('the pickle takes a value where there is none', { expected: 'a value on the stack' })
    }
    return value
  }

  /** The value on top, which stays. */
  top(): PyValue {
    const value = this.pop()
    this.push(value)
    return value
  }

  setMark(): void {
    this.#marks.push(this.#stack.length)
    this.#stack.push(mark)
  }

  /** All above the last mark, which goes too. */
  popMark(): PyValue[] {
    const place = this.#marks.pop()
    if (place === undefined || this.#stack[place] !== mark) {
      throw this.error('the pickle goes back to a mark where there is none')
    }
    return this.#stack.splice(place).slice(1) as PyValue[]
  }

  discard(): void {
    if (this.#stack.at(-1) === mark) this.popMark()
    else this.pop()
  }

  // ── memo ──

  put(index: number): void {
    this.#memo.set(index, this.top())
  }
  putNext(): void {
    this.put(this.#memo.size)
  }
  get(index: number): void {
    const value = this.#memo.get(index)
    if (value === undefined) throw this.error(`the pickle refers to value ${index}, which is not there`)
    this.push(value)
  }

  // ── what could call ──

  global(module: PyValue, name: PyValue): PyGlobal {
    if (typeof module !== 'string' || typeof name !== 'string') throw this.error('a name is no text')
    if (module.length + name.length > longestName) throw this.error('a name is absurdly long')
    // Python 2 had these names for the same modules.
    const now = module === '__builtin__' ? 'builtins' : module === 'copy_reg' ? 'copyreg' : module
    return new PyGlobal(`${now}.${name}`)
  }
  call(callee: PyValue, args: PyValue): void {
    this.push(this.#rules.call(this.#callee(callee), this.#args(args), this.#here()))
  }
  construct(type: PyValue, args: PyValue): void {
    this.push(this.#rules.construct(this.#callee(type), this.#args(args), this.#here()))
  }
  build(state: PyValue): void {
    this.push(this.#rules.build(this.pop(), state, this.#here()))
  }
  persistent(id: PyValue): void {
    this.push(this.#rules.persistent(id, this.#here()))
  }

  /** Errors at the present instruction, later too. */
  #here(): ErrorHere {
    const offset = this.#at
    return (what, details) => this.#reader.error(what, { offset, ...details })
  }

  #callee(value: PyValue): PyGlobal {
    if (value instanceof PyGlobal) return value
    throw this.error('the pickle calls what is no function', { got: kindOf(value), expected: 'a function or class' })
  }
  #args(value: PyValue): readonly PyValue[] {
    if (value instanceof PyTuple) return value.items
    throw this.error('the pickle calls with what is no tuple', { got: kindOf(value), expected: 'a tuple' })
  }

  // ── containers ──

  append(values: readonly PyValue[]): void {
    const list = this.top()
    if (!(list instanceof PyList || list instanceof PySet)) {
      throw this.error('the pickle appends to what is no list', { got: kindOf(list), expected: 'a list or a set' })
    }
    for (const value of values) list.items.push(value)
  }

  set(entries: readonly PyValue[]): void {
    const dict = this.top()
    if (!(dict instanceof PyDict) || entries.length % 2 !== 0) {
      throw this.error('the pickle sets entries of what is no dict', { got: kindOf(dict), expected: 'a dict' })
    }
    for (let i = 0; i < entries.length; i += 2) dict.map.set(entries[i], entries[i + 1])
  }

  // ── numbers ──

  /** A whole number in two's complement, little-endian. */
  integer(width: number): number | bigint {
    if (width > longestNumber) throw this.error('a number is absurdly long', { got: `${width} bytes` })
    let value = 0n
    const bytes = this.bytes(width, 'a number')
    for (let i = width - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i])
    return plain(width > 0 ? BigInt.asIntN(8 * width, value) : 0n)
  }

  /** From a line of digits. */
  integerLine(): number | bigint {
    return this.wholeNumber(this.line().replace(/L$/, ''))
  }

  wholeNumber(digits: string): number | bigint {
    if (!/^[+-]?\d{1,512}$/.test(digits)) throw this.error('this is no whole number', { got: shorten(digits) })
    return plain(BigInt(digits.replace('+', '')))
  }

  float(): number {
    const bytes = this.bytes(8, 'a number')
    return new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0)
  }
}

const plain = (value: bigint): number | bigint => {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}
