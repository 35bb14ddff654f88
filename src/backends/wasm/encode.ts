/** A small encoder of WebAssembly binaries: bytes, function bodies and modules (core specification, section 5). */

/** Value types, as they are encoded. */
export const i32 = 0x7f
export const i64 = 0x7e
export const f32 = 0x7d
export const v128 = 0x7b
export type WasmType = typeof i32 | typeof i64 | typeof f32 | typeof v128

/** A block without parameters and results. */
export const emptyBlock = 0x40

/** Instructions. Those with a prefix byte are `prefix × 0x1000 + number`. */
export const op = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  return: 0x0f,
  call: 0x10,
  callIndirect: 0x11,
  drop: 0x1a,
  select: 0x1b,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  globalGet: 0x23,
  globalSet: 0x24,
  i32Load: 0x28,
  f32Load: 0x2a,
  i32Load8U: 0x2d,
  i32Load16U: 0x2f,
  i32Store: 0x36,
  f32Store: 0x38,
  i32Store8: 0x3a,
  i32Store16: 0x3b,
  i32Const: 0x41,
  i64Const: 0x42,
  f32Const: 0x43,
  i32Eqz: 0x45,
  i32Eq: 0x46,
  i32Ne: 0x47,
  i32LtS: 0x48,
  i32LtU: 0x49,
  i32GtS: 0x4a,
  i32GtU: 0x4b,
  i32LeS: 0x4c,
  i32LeU: 0x4d,
  i32GeS: 0x4e,
  i32GeU: 0x4f,
  f32Eq: 0x5b,
  f32Ne: 0x5c,
  f32Lt: 0x5d,
  f32Gt: 0x5e,
  f32Le: 0x5f,
  f32Ge: 0x60,
  i32Add: 0x6a,
  i32Sub: 0x6b,
  i32Mul: 0x6c,
  i32DivS: 0x6d,
  i32RemS: 0x6f,
  i32And: 0x71,
  i32Or: 0x72,
  i32Xor: 0x73,
  i32Shl: 0x74,
  i32ShrS: 0x75,
  i32ShrU: 0x76,
  f32Abs: 0x8b,
  f32Neg: 0x8c,
  f32Ceil: 0x8d,
  f32Floor: 0x8e,
  f32Trunc: 0x8f,
  f32Nearest: 0x90,
  f32Sqrt: 0x91,
  f32Add: 0x92,
  f32Sub: 0x93,
  f32Mul: 0x94,
  f32Div: 0x95,
  f32ConvertI32S: 0xb2,
  i32ReinterpretF32: 0xbc,
  f32ReinterpretI32: 0xbe,
  i32TruncSatF32S: 0xfc000,
  v128Load: 0xfd000,
  v128Load16x4U: 0xfd004,
  v128Load16Splat: 0xfd008,
  v128Load32Splat: 0xfd009,
  v128Store: 0xfd00b,
  v128Const: 0xfd00c,
  i8x16Shuffle: 0xfd00d,
  i32x4Splat: 0xfd011,
  f32x4Splat: 0xfd013,
  i32x4ExtractLane: 0xfd01b,
  i32x4ReplaceLane: 0xfd01c,
  f32x4ExtractLane: 0xfd01f,
  i32x4Eq: 0xfd037,
  i32x4Ne: 0xfd038,
  i32x4LtS: 0xfd039,
  i32x4LtU: 0xfd03a,
  i32x4GtS: 0xfd03b,
  i32x4GtU: 0xfd03c,
  i32x4LeS: 0xfd03d,
  i32x4LeU: 0xfd03e,
  i32x4GeS: 0xfd03f,
  i32x4GeU: 0xfd040,
  f32x4Eq: 0xfd041,
  f32x4Ne: 0xfd042,
  f32x4Lt: 0xfd043,
  f32x4Gt: 0xfd044,
  f32x4Le: 0xfd045,
  f32x4Ge: 0xfd046,
  v128Not: 0xfd04d,
  v128And: 0xfd04e,
  v128Or: 0xfd050,
  v128Xor: 0xfd051,
  v128Bitselect: 0xfd052,
  v128Load8Lane: 0xfd054,
  v128Load16Lane: 0xfd055,
  v128Load32Lane: 0xfd056,
  v128Store8Lane: 0xfd058,
  v128Store16Lane: 0xfd059,
  v128Store32Lane: 0xfd05a,
  v128Store64Lane: 0xfd05b,
  v128Load32Zero: 0xfd05c,
  v128Load64Zero: 0xfd05d,
  f32x4Ceil: 0xfd067,
  f32x4Floor: 0xfd068,
  f32x4Trunc: 0xfd069,
  f32x4Nearest: 0xfd06a,
  i16x8NarrowI32x4U: 0xfd086,
  i16x8ExtendLowI8x16U: 0xfd089,
  i32x4Abs: 0xfd0a0,
  i32x4Neg: 0xfd0a1,
  i32x4ExtendLowI16x8U: 0xfd0a9,
  i32x4Shl: 0xfd0ab,
  i32x4ShrS: 0xfd0ac,
  i32x4ShrU: 0xfd0ad,
  i32x4Add: 0xfd0ae,
  i32x4Sub: 0xfd0b1,
  i32x4Mul: 0xfd0b5,
  i32x4MinS: 0xfd0b6,
  i32x4MaxS: 0xfd0b8,
  f32x4Abs: 0xfd0e0,
  f32x4Neg: 0xfd0e1,
  f32x4Sqrt: 0xfd0e3,
  f32x4Add: 0xfd0e4,
  f32x4Sub: 0xfd0e5,
  f32x4Mul: 0xfd0e6,
  f32x4Div: 0xfd0e7,
  f32x4Pmin: 0xfd0ea,
  f32x4Pmax: 0xfd0eb,
  i32x4TruncSatF32x4S: 0xfd0f8,
  f32x4ConvertI32x4S: 0xfd0fa,
  f32x4RelaxedMadd: 0xfd105,
  memoryAtomicNotify: 0xfe000,
  memoryAtomicWait32: 0xfe001,
  i32AtomicLoad: 0xfe010,
  i32AtomicStore: 0xfe017,
  i32AtomicRmwAdd: 0xfe01e,
  i32AtomicRmwSub: 0xfe025,
} as const

export type Opcode = (typeof op)[keyof typeof op]

/** Bytes that grow. */
export class Bytes {
  #data = new Uint8Array(256)
  #length = 0

  get length(): number {
    return this.#length
  }

  byte(value: number): this {
    if (this.#length === this.#data.length) this.#grow(1)
    this.#data[this.#length++] = value
    return this
  }

  /** Unsigned LEB128. */
  u32(value: number): this {
    let rest = value >>> 0
    while (rest >= 0x80) {
      this.byte((rest & 0x7f) | 0x80)
      rest >>>= 7
    }
    return this.byte(rest)
  }

  /** Signed LEB128 of a 32-bit value; smaller values of 64 bits look the same. */
  s32(value: number): this {
    let rest = value | 0
    for (;;) {
      const low = rest & 0x7f
      rest >>= 7
      if ((rest === 0 && low < 0x40) || (rest === -1 && low >= 0x40)) return this.byte(low)
      this.byte(low | 0x80)
    }
  }

  /** Four bytes, little end first. */
  f32(value: number): this {
    return this.raw(new Uint8Array(new Float32Array([value]).buffer))
  }

  /** Four bytes, little end first. */
  word(value: number): this {
    return this.byte(value & 0xff)
      .byte((value >> 8) & 0xff)
      .byte((value >> 16) & 0xff)
      .byte((value >> 24) & 0xff)
  }

  text(value: string): this {
    const bytes = new TextEncoder().encode(value)
    return this.u32(bytes.length).raw(bytes)
  }

  raw(bytes: Uint8Array): this {
    if (this.#length + bytes.length > this.#data.length) this.#grow(bytes.length)
    this.#data.set(bytes, this.#length)
    this.#length += bytes.length
    return this
  }

  /** The bytes so far; valid until the next one is written. */
  view(): Uint8Array {
    return this.#data.subarray(0, this.#length)
  }

  #grow(more: number): void {
    const data = new Uint8Array(Math.max(2 * this.#data.length, this.#length + more))
    data.set(this.view())
    this.#data = data
  }
}

/** The code of a function: instructions and locals. Parameters are locals 0 … parameters-1. */
export class FunctionCode extends Bytes {
  readonly #parameters: number
  readonly #locals: WasmType[] = []

  constructor(parameters: number) {
    super()
    this.#parameters = parameters
  }

  /** Declares a local variable. */
  local(type: WasmType): number {
    return this.#parameters + this.#locals.push(type) - 1
  }

  op(code: Opcode): this {
    if (code < 0x100) return this.byte(code)
    return this.byte(code >>> 12).u32(code & 0xfff)
  }

  /** An instruction with one index: locals, functions, labels. */
  index(code: Opcode, index: number): this {
    return this.op(code).u32(index)
  }

  get(local: number): this {
    return this.index(op.localGet, local)
  }

  set(local: number): this {
    return this.index(op.localSet, local)
  }

  tee(local: number): this {
    return this.index(op.localTee, local)
  }

  int(value: number): this {
    return this.op(op.i32Const).s32(value)
  }

  /** A load or store at the address on the stack + `offset`; `align` is log2 of the alignment in bytes. */
  memory(code: Opcode, align: number, offset: number): this {
    return this.op(code).u32(align).u32(offset)
  }

  block(code: typeof op.block | typeof op.loop | typeof op.if): this {
    return this.op(code).byte(emptyBlock)
  }

  end(): this {
    return this.op(op.end)
  }

  /** The entry of the code section: size, locals (equal neighbours together), `prologue`, instructions, end. */
  encode(prologue?: Bytes): Uint8Array {
    const groups: [count: number, type: WasmType][] = []
    for (const type of this.#locals) {
      const last = groups.at(-1)
      if (last !== undefined && last[1] === type) last[0]++
      else groups.push([1, type])
    }
    const body = new Bytes().u32(groups.length)
    for (const [count, type] of groups) body.u32(count).byte(type)
    if (prologue !== undefined) body.raw(prologue.view())
    body.raw(this.view()).byte(op.end)
    return new Bytes().u32(body.length).raw(body.view()).view()
  }
}

export interface MemoryImport {
  readonly shared: boolean
  readonly maximumPages: number
}

interface Definition {
  readonly name: string
  readonly type: number
  readonly code: Uint8Array
}

const external = { function: 0, table: 1, memory: 2, global: 3 } as const
const functionReference = 0x70

/** A module: imports come first, then functions in the order of their definition. */
export class ModuleEncoder {
  readonly #types: string[] = []
  readonly #typeBytes: Uint8Array[] = []
  readonly #imports: Uint8Array[] = []
  readonly #functions: Definition[] = []
  readonly #globals: number[] = []
  readonly #exports: Uint8Array[] = []

  /** Index of a function type; equal ones are one. */
  type(parameters: readonly WasmType[], results: readonly WasmType[]): number {
    const key = `${parameters.join()}|${results.join()}`
    const known = this.#types.indexOf(key)
    if (known >= 0) return known
    const bytes = new Bytes().byte(0x60).u32(parameters.length).raw(Uint8Array.from(parameters))
    this.#typeBytes.push(bytes.u32(results.length).raw(Uint8Array.from(results)).view())
    return this.#types.push(key) - 1
  }

  importMemory(module: string, name: string, memory: MemoryImport): void {
    const flags = memory.shared ? 3 : 1
    const bytes = new Bytes().text(module).text(name).byte(external.memory)
    this.#imports.push(bytes.byte(flags).u32(1).u32(memory.maximumPages).view())
  }

  /** Imports a table of functions, at least one long. */
  importTable(module: string, name: string): void {
    const bytes = new Bytes().text(module).text(name).byte(external.table)
    this.#imports.push(bytes.byte(functionReference).byte(0).u32(1).view())
  }

  /** A mutable i32, 0 at first, exported. */
  global(name: string): number {
    const index = this.#globals.push(0) - 1
    this.#exports.push(new Bytes().text(name).byte(external.global).u32(index).view())
    return index
  }

  /** Adds a function and returns its index. */
  function(name: string, type: number, code: Uint8Array): number {
    return this.#functions.push({ name, type, code }) - 1
  }

  export(name: string, functionIndex: number): void {
    this.#exports.push(new Bytes().text(name).byte(external.function).u32(functionIndex).view())
  }

  /** @param name shown by debuggers and in stack traces, as are the names of functions */
  encode(name: string): Uint8Array<ArrayBuffer> {
    const module = new Bytes().raw(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0))
    const section = (id: number, items: readonly Uint8Array[]): void => {
      if (items.length === 0) return
      const body = new Bytes().u32(items.length)
      for (const item of items) body.raw(item)
      module.byte(id).u32(body.length).raw(body.view())
    }
    section(1, this.#typeBytes)
    section(2, this.#imports)
    section(
      3,
      this.#functions.map(({ type }) => new Bytes().u32(type).view()),
    )
    section(
      6,
      this.#globals.map(() => Uint8Array.of(i32, 1, op.i32Const, 0, op.end)),
    )
    section(7, this.#exports)
    section(
      10,
      this.#functions.map(({ code }) => code),
    )
    const names = new Bytes().text('name')
    const moduleName = new Bytes().text(name)
    names.byte(0).u32(moduleName.length).raw(moduleName.view())
    const functionNames = new Bytes().u32(this.#functions.length)
    for (const [index, { name }] of this.#functions.entries()) functionNames.u32(index).text(name)
    names.byte(1).u32(functionNames.length).raw(functionNames.view())
    module.byte(0).u32(names.length).raw(names.view())
    return new Uint8Array(module.view())
  }
}
