/** Values of the loop language as WebAssembly: everything that leaves one result on the stack. */
import { bytesPerElement } from '../../base/dtype.ts'
import {
  type BufferParam,
  type Expr,
  isPointer,
  type Kernel,
  type Local,
  type Pointer,
  type ScalarParam,
} from '../../kernel/language.ts'
import { Bytes, FunctionCode, f32, i32, type Opcode, op, v128, type WasmType } from './encode.ts'
import { compares, scalarBinary, vectorBinary, vectorShift } from './opcode-tables.ts'

/** Words of an instruction's block of arguments: counter, tasks, an address a buffer, the scalar parameters. */
export const argumentWords = { counter: 0, tasks: 1, buffers: 2 } as const

export function valueType(kind: string, lanes: number): WasmType {
  return lanes > 1 ? v128 : kind === 'f32' ? f32 : i32
}

/** The code of one function while it is printed; statements are added by the class that extends this one. */
export class ValuePrinter {
  protected readonly code: FunctionCode
  /** Loads of arguments, put in front of the code. */
  protected readonly prologue = new Bytes()
  readonly #kernel: Kernel
  readonly #fma: boolean
  readonly #locals = new Map<Local | Pointer, number>()
  readonly #loaded = new Map<BufferParam | ScalarParam, number>()
  readonly #spare = new Map<string, number>()

  /** @param params come behind the two hidden ones, the addresses of the arguments and of the thread's scratch */
  constructor(kernel: Kernel, params: readonly (Local | Pointer)[], fma: boolean) {
    this.#kernel = kernel
    this.#fma = fma
    this.code = new FunctionCode(2 + params.length)
    for (const [i, param] of params.entries()) this.#locals.set(param, 2 + i)
  }

  protected local(of: Local | Pointer): number {
    let index = this.#locals.get(of)
    if (index === undefined) {
      index = this.code.local(isPointer(of) ? i32 : valueType(of.type.kind, of.type.lanes))
      this.#locals.set(of, index)
    }
    return index
  }

  /** A local for something in between. Nested users must ask under different names. */
  protected temporary(type: WasmType, name: string): number {
    const key = `${name}${type}`
    let index = this.#spare.get(key)
    if (index === undefined) {
      index = this.code.local(type)
      this.#spare.set(key, index)
    }
    return index
  }

  /** The local a buffer's address or a parameter is loaded into when the function starts. */
  protected argument(param: BufferParam | ScalarParam): number {
    const known = this.#loaded.get(param)
    if (known !== undefined) return known
    const isBuffer = 'dtype' in param
    const word = argumentWords.buffers + (isBuffer ? param.index : this.#kernel.buffers.length + param.index)
    const isFloat = !isBuffer && param.kind === 'f32'
    const local = this.code.local(isFloat ? f32 : i32)
    const load = new FunctionCode(0)
    load.get(0).memory(isFloat ? op.f32Load : op.i32Load, 2, 4 * word)
    if (isBuffer && param.role === 'scratch') load.get(1).op(op.i32Add)
    load.set(local)
    this.prologue.raw(load.view())
    this.#loaded.set(param, local)
    return local
  }

  /** Adds `elements` of the pointer's buffer to the address on the stack. */
  protected addBytes(elements: Expr, pointer: Pointer): void {
    const size = bytesPerElement[pointer.buffer.dtype]
    if (elements.op === 'const') {
      if (elements.value !== 0) this.code.int(elements.value * size).op(op.i32Add)
      return
    }
    this.value(elements)
    if (size > 1) this.code.int(Math.log2(size)).op(op.i32Shl)
    this.code.op(op.i32Add)
  }

  /** Pushes the pointer's address and returns the offset for the instruction: negative ones are added here. */
  protected address(pointer: Pointer, offset: number): number {
    const bytes = offset * bytesPerElement[pointer.buffer.dtype]
    this.code.get(this.local(pointer))
    if (bytes >= 0) return bytes
    this.code.int(bytes).op(op.i32Add)
    return 0
  }

  protected load(e: Extract<Expr, { op: 'load' }>): void {
    const code = this.code
    const { pointer, offset, count } = e
    const { dtype } = pointer.buffer
    const wide = bytesPerElement[dtype] === 4
    if (e.type.lanes === 1) {
      const at = this.address(pointer, offset)
      if (dtype === 'bf16') code.memory(op.i32Load16U, 1, at).int(16).op(op.i32Shl).op(op.f32ReinterpretI32)
      else if (!wide) code.memory(op.i32Load8U, 0, at)
      else code.memory(dtype === 'f32' ? op.f32Load : op.i32Load, 2, at)
      if (dtype === 'bool') code.int(0).op(op.i32Ne)
      return
    }
    if (dtype === 'bf16') {
      if (e.stride === undefined && count === 4) code.memory(op.v128Load16x4U, 1, this.address(pointer, offset))
      else {
        this.lanes(e, e.stride)
        code.op(op.i32x4ExtendLowI16x8U)
      }
      code.int(16).op(op.i32x4Shl)
    } else if (e.stride !== undefined) {
      this.lanes(e, e.stride)
      if (!wide) code.op(op.i16x8ExtendLowI8x16U).op(op.i32x4ExtendLowI16x8U)
    } else if (wide) {
      if (count === 4) code.memory(op.v128Load, 2, this.address(pointer, offset))
      else if (count === 1) code.memory(op.v128Load32Zero, 2, this.address(pointer, offset))
      else if (count === 2) code.memory(op.v128Load64Zero, 2, this.address(pointer, offset))
      else {
        const vector = this.temporary(v128, 'partial')
        code.memory(op.v128Load64Zero, 2, this.address(pointer, offset)).set(vector)
        const at = this.address(pointer, offset + 2)
        code.get(vector).memory(op.v128Load32Lane, 2, at).byte(2)
      }
    } else {
      if (count === 4) code.memory(op.v128Load32Zero, 0, this.address(pointer, offset))
      else this.lanes(e, undefined)
      code.op(op.i16x8ExtendLowI8x16U).op(op.i32x4ExtendLowI16x8U)
    }
    if (dtype === 'bool') this.zero().op(op.i32x4Ne)
  }

  /** Loads lane by lane: with a stride, or a few small elements. What is smaller than 4 bytes comes out packed. */
  protected lanes(e: Extract<Expr, { op: 'load' }>, stride: Expr | undefined): void {
    const code = this.code
    const { pointer, offset, count } = e
    const size = bytesPerElement[pointer.buffer.dtype]
    const loadLane = size === 4 ? op.v128Load32Lane : size === 2 ? op.v128Load16Lane : op.v128Load8Lane
    const vector = this.temporary(v128, 'gathered')
    const address = this.temporary(i32, 'gather')
    this.zero().set(vector)
    const at = this.address(pointer, offset)
    if (at > 0) code.int(at).op(op.i32Add)
    code.set(address)
    for (let lane = 0; lane < count; lane++) {
      code
        .get(address)
        .get(vector)
        .memory(loadLane, 0, stride === undefined ? lane * size : 0)
        .byte(lane)
      code.set(vector)
      if (stride !== undefined && lane < count - 1) {
        code.get(address)
        this.addBytes(stride, pointer)
        code.set(address)
      }
    }
    code.get(vector)
  }

  /**
   * Rounds the f32 on the stack to bf16: to nearest, ties to even, NaN stays NaN. What is left is the pattern in the low
   * half of an i32, or of each lane.
   */
  protected toBfloat16(vector: boolean): void {
    const code = this.code
    const bits = this.temporary(vector ? v128 : i32, 'rounded')
    if (!vector) {
      code.op(op.i32ReinterpretF32).set(bits)
      code.get(bits).int(16).op(op.i32ShrU).int(0x40).op(op.i32Or)
      // bits + 0x7fff + the lowest bit that stays
      code.get(bits).int(0x7fff).op(op.i32Add)
      code.get(bits).int(16).op(op.i32ShrU).int(1).op(op.i32And).op(op.i32Add)
      code.int(16).op(op.i32ShrU)
      code.get(bits).int(0x7fffffff).op(op.i32And).int(0x7f800000).op(op.i32GtU)
      code.op(op.select)
      return
    }
    code.set(bits)
    code.get(bits).int(16).op(op.i32x4ShrU)
    this.splatInt(0x40).op(op.v128Or)
    code.get(bits)
    this.splatInt(0x7fff).op(op.i32x4Add)
    code.get(bits).int(16).op(op.i32x4ShrU)
    this.splatInt(1).op(op.v128And).op(op.i32x4Add)
    code.int(16).op(op.i32x4ShrU)
    code.get(bits).get(bits).op(op.f32x4Ne)
    code.op(op.v128Bitselect)
  }

  protected zero(): FunctionCode {
    this.code.op(op.v128Const).raw(new Uint8Array(16))
    return this.code
  }

  protected splatInt(value: number): FunctionCode {
    this.code.op(op.v128Const)
    for (let lane = 0; lane < 4; lane++) this.code.word(value)
    return this.code
  }

  protected value(e: Expr): void {
    const code = this.code
    const vector = e.type.lanes > 1
    switch (e.op) {
      case 'const':
        if (vector) {
          if (e.type.kind === 'f32') {
            code.op(op.v128Const)
            for (let lane = 0; lane < 4; lane++) code.f32(e.value)
          } else this.splatInt(e.type.kind === 'bool' && e.value !== 0 ? -1 : e.value)
        } else if (e.type.kind === 'f32') code.op(op.f32Const).f32(e.value)
        else code.int(e.type.kind === 'bool' ? Number(e.value !== 0) : e.value)
        return
      case 'local':
        code.get(this.local(e.local))
        return
      case 'param':
        code.get(this.argument(e.param))
        return
      case 'unary':
        this.unary(e)
        return
      case 'intrinsic':
        throw new Error(
          `${this.#kernel.name}: ${e.name} reached WebAssembly; kernel/math.ts expands it for this target`,
        )
      case 'binary':
        this.binary(e)
        return
      case 'compare': {
        this.value(e.a)
        this.value(e.b)
        const [scalarOp, vectorOp] = compares[e.a.type.kind === 'f32' ? 'f32' : 'i32'][e.name]
        code.op(vector ? vectorOp : scalarOp)
        return
      }
      case 'fma':
        this.multiplyAdd(e)
        return
      case 'dot2':
        throw new Error(`${this.#kernel.name}: dot2 reached WebAssembly, which has none`)
      case 'select':
        this.value(e.a)
        this.value(e.b)
        this.value(e.condition)
        code.op(vector ? op.v128Bitselect : op.select)
        return
      case 'convert':
        this.convert(e)
        return
      case 'bitcast':
        this.value(e.a)
        if (!vector) code.op(e.type.kind === 'i32' ? op.i32ReinterpretF32 : op.f32ReinterpretI32)
        return
      case 'splat':
        if (e.a.op === 'load' && bytesPerElement[e.a.pointer.buffer.dtype] > 1) {
          const at = this.address(e.a.pointer, e.a.offset)
          if (e.a.pointer.buffer.dtype === 'bf16') code.memory(op.v128Load16Splat, 1, at).int(16).op(op.i32x4Shl)
          else code.memory(op.v128Load32Splat, 2, at)
          return
        }
        // A mask is all ones or zeros: 0 - flag.
        if (e.type.kind === 'bool') code.int(0)
        this.value(e.a)
        if (e.type.kind === 'bool') code.op(op.i32Sub)
        code.op(e.type.kind === 'f32' ? op.f32x4Splat : op.i32x4Splat)
        return
      case 'laneIndex':
        code.op(op.v128Const).word(0).word(1).word(2).word(3)
        return
      case 'reduceLanes':
        this.reduceLanes(e)
        return
      case 'load':
        this.load(e)
        return
      case 'position': {
        const size = bytesPerElement[e.pointer.buffer.dtype]
        code.get(this.local(e.pointer)).get(this.argument(e.pointer.buffer)).op(op.i32Sub)
        if (size > 1) code.int(Math.log2(size)).op(op.i32ShrS)
        return
      }
      default:
        e satisfies never
    }
  }

  protected unary(e: Extract<Expr, { op: 'unary' }>): void {
    const code = this.code
    const { kind, lanes } = e.type
    const vector = lanes > 1
    if (kind === 'i32' && !vector) {
      if (e.name === 'neg') {
        code.int(0)
        this.value(e.a)
        code.op(op.i32Sub)
      } else {
        // |x| = (x ^ sign) - sign
        const value = code.local(i32)
        const sign = code.local(i32)
        this.value(e.a)
        code.tee(value).int(31).op(op.i32ShrS).tee(sign)
        code.get(value).op(op.i32Xor).get(sign).op(op.i32Sub)
      }
      return
    }
    this.value(e.a)
    if (e.name === 'not') {
      code.op(vector ? op.v128Not : op.i32Eqz)
      return
    }
    if (kind === 'i32') {
      code.op(e.name === 'neg' ? op.i32x4Neg : op.i32x4Abs)
      return
    }
    const table = {
      neg: [op.f32Neg, op.f32x4Neg],
      abs: [op.f32Abs, op.f32x4Abs],
      sqrt: [op.f32Sqrt, op.f32x4Sqrt],
      floor: [op.f32Floor, op.f32x4Floor],
      ceil: [op.f32Ceil, op.f32x4Ceil],
      trunc: [op.f32Trunc, op.f32x4Trunc],
      round: [op.f32Nearest, op.f32x4Nearest],
    } as const
    code.op(table[e.name][vector ? 1 : 0])
  }

  protected binary(e: Extract<Expr, { op: 'binary' }>): void {
    const code = this.code
    const { name, a, b } = e
    const kind = e.type.kind === 'f32' ? 'f32' : 'i32'
    if (e.type.lanes > 1) {
      if (kind === 'f32' && (name === 'min' || name === 'max')) {
        // pmin(a, b) = b < a ? b : a and pmax(a, b) = a < b ? b : a: exactly the language's rules, and one instruction.
        this.value(a)
        this.value(b)
        code.op(name === 'min' ? op.f32x4Pmin : op.f32x4Pmax)
        return
      }
      const shift = vectorShift[name]
      if (shift !== undefined && b.op !== 'const' && b.op !== 'splat') {
        this.shiftLanes(e)
        return
      }
      this.value(a)
      if (shift !== undefined) {
        if (b.op === 'const') code.int(b.value)
        else if (b.op === 'splat') this.value(b.a)
        code.op(shift)
        return
      }
      this.value(b)
      code.op(vectorBinary[kind][name] as Opcode)
      return
    }
    if (name === 'min' || name === 'max') {
      const type = kind === 'f32' ? f32 : i32
      const left = this.code.local(type)
      const right = this.code.local(type)
      this.value(a)
      code.set(left)
      this.value(b)
      code.set(right)
      code.get(right).get(left)
      if (name === 'min') code.get(right).get(left)
      else code.get(left).get(right)
      code.op(kind === 'f32' ? op.f32Lt : op.i32LtS).op(op.select)
      return
    }
    this.value(a)
    this.value(b)
    code.op(scalarBinary[kind][name] as Opcode)
  }

  /** The machine shifts all lanes alike; lanes with numbers of their own go one by one. */
  protected shiftLanes(e: Extract<Expr, { op: 'binary' }>): void {
    const code = this.code
    const value = code.local(v128)
    const by = code.local(v128)
    this.value(e.a)
    code.set(value)
    this.value(e.b)
    code.set(by).get(value)
    for (let lane = 0; lane < 4; lane++) {
      for (const vector of [value, by]) code.get(vector).op(op.i32x4ExtractLane).byte(lane)
      code.op(scalarBinary.i32[e.name] as Opcode)
      code.op(op.i32x4ReplaceLane).byte(lane)
    }
  }

  /** Tails must not differ from whole vectors, so a scalar fused product goes through lane 0 of a vector. */
  protected multiplyAdd(e: Extract<Expr, { op: 'fma' }>): void {
    const code = this.code
    const vector = e.type.lanes > 1
    if (!this.#fma) {
      this.value(e.a)
      this.value(e.b)
      code.op(vector ? op.f32x4Mul : op.f32Mul)
      this.value(e.c)
      code.op(vector ? op.f32x4Add : op.f32Add)
      return
    }
    for (const part of [e.a, e.b, e.c]) {
      this.value(part)
      if (!vector) code.op(op.f32x4Splat)
    }
    code.op(op.f32x4RelaxedMadd)
    if (!vector) code.op(op.f32x4ExtractLane).byte(0)
  }

  protected convert(e: Extract<Expr, { op: 'convert' }>): void {
    const code = this.code
    const vector = e.type.lanes > 1
    const from = e.a.type.kind
    this.value(e.a)
    if (e.type.kind === 'bool') {
      if (from === 'f32') {
        if (vector) this.zero().op(op.f32x4Ne)
        else code.op(op.f32Const).f32(0).op(op.f32Ne)
      } else if (vector) this.zero().op(op.i32x4Ne)
      else code.int(0).op(op.i32Ne)
      return
    }
    if (from === 'bool' && vector) this.splatInt(1).op(op.v128And)
    if (e.type.kind === 'f32') code.op(vector ? op.f32x4ConvertI32x4S : op.f32ConvertI32S)
    else if (from === 'f32') code.op(vector ? op.i32x4TruncSatF32x4S : op.i32TruncSatF32S)
  }

  protected reduceLanes(e: Extract<Expr, { op: 'reduceLanes' }>): void {
    const code = this.code
    const isFloat = e.type.kind === 'f32'
    const type = isFloat ? f32 : i32
    const vector = code.local(v128)
    const extract = (lane: number) =>
      code
        .get(vector)
        .op(isFloat ? op.f32x4ExtractLane : op.i32x4ExtractLane)
        .byte(lane)
    this.value(e.a)
    code.set(vector)
    extract(0)
    const left = code.local(type)
    const right = code.local(type)
    for (let lane = 1; lane < 4; lane++) {
      if (e.name === 'add') {
        extract(lane)
        code.op(isFloat ? op.f32Add : op.i32Add)
        continue
      }
      code.set(left)
      extract(lane)
      code.set(right)
      code.get(right).get(left)
      if (e.name === 'min') code.get(right).get(left)
      else code.get(left).get(right)
      code.op(isFloat ? op.f32Lt : op.i32LtS).op(op.select)
    }
  }
}
