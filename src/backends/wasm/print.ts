/** Kernels as WebAssembly modules. One machine function a kernel function; nothing is unrolled or merged on the way. */
import { bytesPerElement } from '../../base/dtype.ts'
import {
  type BinaryName,
  type BufferParam,
  type CompareName,
  type Expr,
  isPointer,
  type Kernel,
  type KernelFunction,
  type Local,
  type Pointer,
  type ScalarParam,
  type Statement,
} from '../../kernel/language.ts'
import { Bytes, FunctionCode, f32, i32, ModuleEncoder, type Opcode, op, v128, type WasmType } from './encode.ts'

/** Words of an instruction's block of arguments: counter, tasks, an address a buffer, the scalar parameters. */
export const argumentWords = { counter: 0, tasks: 1, buffers: 2 } as const

export interface PrintOptions {
  readonly shared: boolean
  readonly maximumPages: number
  /** Whether relaxed_madd may be used. */
  readonly fma: boolean
}

/** The module of a kernel. It exports `run(args, scratch)`, which claims tasks until none is left. */
export function printModule(kernel: Kernel, options: PrintOptions): Uint8Array<ArrayBuffer> {
  const module = new ModuleEncoder()
  module.importMemory('m', 'memory', options)
  const indices = new Map<KernelFunction, number>()
  for (const f of kernel.functions) {
    const printer = new FunctionPrinter(kernel, f, indices, options.fma)
    const type = module.type(
      [i32, i32, ...f.params.map((param) => (isPointer(param) ? i32 : valueType(param.type.kind, param.type.lanes)))],
      [],
    )
    indices.set(f, module.function(f.name, type, printer.print()))
  }
  const task = indices.get(kernel.functions[kernel.functions.length - 1]) as number
  module.export('run', module.function('run', module.type([i32, i32], []), driver(task)))
  return module.encode(kernel.name)
}

/** Claims task after task. The counter is atomic, so that a slow thread gets fewer. */
function driver(task: number): Uint8Array {
  const code = new FunctionCode(2)
  const number = code.local(i32)
  code.block(op.loop)
  code
    .get(0)
    .int(1)
    .memory(op.i32AtomicRmwAdd, 2, 4 * argumentWords.counter)
    .tee(number)
  code
    .get(0)
    .memory(op.i32Load, 2, 4 * argumentWords.tasks)
    .op(op.i32LtS)
  code.block(op.if)
  code.get(0).get(1).get(number).index(op.call, task)
  code.index(op.br, 1).end().end()
  return code.encode()
}

function valueType(kind: string, lanes: number): WasmType {
  return lanes > 1 ? v128 : kind === 'f32' ? f32 : i32
}

const scalarBinary: Record<'f32' | 'i32', Partial<Record<BinaryName, Opcode>>> = {
  f32: { add: op.f32Add, sub: op.f32Sub, mul: op.f32Mul, div: op.f32Div },
  i32: {
    add: op.i32Add,
    sub: op.i32Sub,
    mul: op.i32Mul,
    div: op.i32DivS,
    rem: op.i32RemS,
    and: op.i32And,
    or: op.i32Or,
    xor: op.i32Xor,
    shl: op.i32Shl,
    shr: op.i32ShrS,
    shru: op.i32ShrU,
  },
}
const vectorBinary: Record<'f32' | 'i32', Partial<Record<BinaryName, Opcode>>> = {
  f32: { add: op.f32x4Add, sub: op.f32x4Sub, mul: op.f32x4Mul, div: op.f32x4Div },
  i32: {
    add: op.i32x4Add,
    sub: op.i32x4Sub,
    mul: op.i32x4Mul,
    min: op.i32x4MinS,
    max: op.i32x4MaxS,
    and: op.v128And,
    or: op.v128Or,
    xor: op.v128Xor,
  },
}
const vectorShift: Partial<Record<BinaryName, Opcode>> = { shl: op.i32x4Shl, shr: op.i32x4ShrS, shru: op.i32x4ShrU }
const compares: Record<'f32' | 'i32', Record<CompareName, readonly [scalar: Opcode, vector: Opcode]>> = {
  f32: {
    eq: [op.f32Eq, op.f32x4Eq],
    ne: [op.f32Ne, op.f32x4Ne],
    lt: [op.f32Lt, op.f32x4Lt],
    le: [op.f32Le, op.f32x4Le],
    gt: [op.f32Gt, op.f32x4Gt],
    ge: [op.f32Ge, op.f32x4Ge],
  },
  i32: {
    eq: [op.i32Eq, op.i32x4Eq],
    ne: [op.i32Ne, op.i32x4Ne],
    lt: [op.i32LtS, op.i32x4LtS],
    le: [op.i32LeS, op.i32x4LeS],
    gt: [op.i32GtS, op.i32x4GtS],
    ge: [op.i32GeS, op.i32x4GeS],
  },
}

class FunctionPrinter {
  readonly #kernel: Kernel
  readonly #function: KernelFunction
  readonly #indices: ReadonlyMap<KernelFunction, number>
  readonly #fma: boolean
  readonly #code: FunctionCode
  readonly #prologue = new Bytes()
  readonly #locals = new Map<Local | Pointer, number>()
  readonly #loaded = new Map<BufferParam | ScalarParam, number>()
  readonly #spare = new Map<string, number>()

  constructor(kernel: Kernel, f: KernelFunction, indices: ReadonlyMap<KernelFunction, number>, fma: boolean) {
    this.#kernel = kernel
    this.#function = f
    this.#indices = indices
    this.#fma = fma
    this.#code = new FunctionCode(2 + f.params.length)
    for (const [i, param] of f.params.entries()) this.#locals.set(param, 2 + i)
  }

  print(): Uint8Array {
    this.#statements(this.#function.body)
    return this.#code.encode(this.#prologue)
  }

  // Locals.

  #local(of: Local | Pointer): number {
    let index = this.#locals.get(of)
    if (index === undefined) {
      index = this.#code.local(isPointer(of) ? i32 : valueType(of.type.kind, of.type.lanes))
      this.#locals.set(of, index)
    }
    return index
  }

  /** A local for something in between. Nested users must ask under different names. */
  #temporary(type: WasmType, name: string): number {
    const key = `${name}${type}`
    let index = this.#spare.get(key)
    if (index === undefined) {
      index = this.#code.local(type)
      this.#spare.set(key, index)
    }
    return index
  }

  /** The local a buffer's address or a parameter is loaded into when the function starts. */
  #argument(param: BufferParam | ScalarParam): number {
    const known = this.#loaded.get(param)
    if (known !== undefined) return known
    const isBuffer = 'dtype' in param
    const word = argumentWords.buffers + (isBuffer ? param.index : this.#kernel.buffers.length + param.index)
    const isFloat = !isBuffer && param.kind === 'f32'
    const local = this.#code.local(isFloat ? f32 : i32)
    const load = new FunctionCode(0)
    load.get(0).memory(isFloat ? op.f32Load : op.i32Load, 2, 4 * word)
    if (isBuffer && param.role === 'scratch') load.get(1).op(op.i32Add)
    load.set(local)
    this.#prologue.raw(load.view())
    this.#loaded.set(param, local)
    return local
  }

  // Statements.

  #statements(body: readonly Statement[]): void {
    for (const statement of body) this.#statement(statement)
  }

  #statement(s: Statement): void {
    const code = this.#code
    switch (s.op) {
      case 'set':
        this.#value(s.value)
        code.set(this.#local(s.local))
        return
      case 'point':
        code.get(this.#argument(s.pointer.buffer))
        this.#addBytes(s.index, s.pointer)
        code.set(this.#local(s.pointer))
        return
      case 'follow':
        code.get(this.#local(s.from))
        this.#addBytes(s.by, s.pointer)
        code.set(this.#local(s.pointer))
        return
      case 'advance':
        code.get(this.#local(s.pointer))
        this.#addBytes(s.by, s.pointer)
        code.set(this.#local(s.pointer))
        return
      case 'store':
        this.#store(s)
        return
      case 'loop':
        this.#loop(s)
        return
      case 'if':
        this.#value(s.condition)
        code.block(op.if)
        this.#statements(s.consequent)
        if (s.otherwise.length > 0) {
          code.op(op.else)
          this.#statements(s.otherwise)
        }
        code.end()
        return
      case 'call':
        code.get(0).get(1)
        for (const arg of s.args) {
          if (isPointer(arg)) code.get(this.#local(arg))
          else this.#value(arg)
        }
        code.index(op.call, this.#indices.get(s.callee) as number)
        return
      default:
        s satisfies never
    }
  }

  /** Adds `elements` of the pointer's buffer to the address on the stack. */
  #addBytes(elements: Expr, pointer: Pointer): void {
    const size = bytesPerElement[pointer.buffer.dtype]
    if (elements.op === 'const') {
      if (elements.value !== 0) this.#code.int(elements.value * size).op(op.i32Add)
      return
    }
    this.#value(elements)
    if (size > 1) this.#code.int(Math.log2(size)).op(op.i32Shl)
    this.#code.op(op.i32Add)
  }

  #loop(s: Extract<Statement, { op: 'loop' }>): void {
    const code = this.#code
    const { index, count } = s
    if (count.op === 'const' && count.value <= 0) return
    const guarded = !s.atLeastOnce && count.op !== 'const'
    // Loops nest, so each has a counter of its own.
    const limit = code.local(i32)
    this.#value(count)
    if (guarded) {
      code.tee(limit).int(0).op(op.i32GtS)
      code.block(op.if)
    } else code.set(limit)
    if (index !== undefined) code.int(0).set(this.#local(index))
    code.block(op.loop)
    this.#statements(s.body)
    if (index === undefined) {
      code.get(limit).int(1).op(op.i32Sub).tee(limit).index(op.brIf, 0)
    } else {
      const i = this.#local(index)
      code.get(i).int(1).op(op.i32Add).tee(i).get(limit).op(op.i32LtS).index(op.brIf, 0)
    }
    code.end()
    if (guarded) code.end()
  }

  // Memory.

  /** Pushes the pointer's address and returns the offset for the instruction: negative ones are added here. */
  #address(pointer: Pointer, offset: number): number {
    const bytes = offset * bytesPerElement[pointer.buffer.dtype]
    this.#code.get(this.#local(pointer))
    if (bytes >= 0) return bytes
    this.#code.int(bytes).op(op.i32Add)
    return 0
  }

  #load(e: Extract<Expr, { op: 'load' }>): void {
    const code = this.#code
    const { pointer, offset, count } = e
    const { dtype } = pointer.buffer
    const wide = bytesPerElement[dtype] === 4
    if (e.type.lanes === 1) {
      const at = this.#address(pointer, offset)
      if (!wide) code.memory(op.i32Load8U, 0, at)
      else code.memory(dtype === 'f32' ? op.f32Load : op.i32Load, 2, at)
      if (dtype === 'bool') code.int(0).op(op.i32Ne)
      return
    }
    if (e.stride !== undefined) {
      this.#lanes(e, e.stride)
    } else if (wide) {
      if (count === 4) code.memory(op.v128Load, 2, this.#address(pointer, offset))
      else if (count === 1) code.memory(op.v128Load32Zero, 2, this.#address(pointer, offset))
      else if (count === 2) code.memory(op.v128Load64Zero, 2, this.#address(pointer, offset))
      else {
        const vector = this.#temporary(v128, 'partial')
        code.memory(op.v128Load64Zero, 2, this.#address(pointer, offset)).set(vector)
        const at = this.#address(pointer, offset + 2)
        code.get(vector).memory(op.v128Load32Lane, 2, at).byte(2)
      }
    } else {
      if (count === 4) code.memory(op.v128Load32Zero, 0, this.#address(pointer, offset))
      else this.#lanes(e, undefined)
      code.op(op.i16x8ExtendLowI8x16U).op(op.i32x4ExtendLowI16x8U)
    }
    if (dtype === 'bool') this.#zero().op(op.i32x4Ne)
  }

  /** Loads lane by lane: with a stride, or a few bytes. Bytes come out packed. */
  #lanes(e: Extract<Expr, { op: 'load' }>, stride: Expr | undefined): void {
    const code = this.#code
    const { pointer, offset, count } = e
    const wide = bytesPerElement[pointer.buffer.dtype] === 4
    const vector = this.#temporary(v128, 'gathered')
    const address = this.#temporary(i32, 'gather')
    this.#zero().set(vector)
    const at = this.#address(pointer, offset)
    if (at > 0) code.int(at).op(op.i32Add)
    code.set(address)
    for (let lane = 0; lane < count; lane++) {
      code
        .get(address)
        .get(vector)
        .memory(wide ? op.v128Load32Lane : op.v128Load8Lane, 0, stride === undefined ? lane : 0)
        .byte(lane)
      code.set(vector)
      if (stride !== undefined && lane < count - 1) {
        code.get(address)
        this.#addBytes(stride, pointer)
        code.set(address)
      }
    }
    code.get(vector)
    if (!wide && stride !== undefined) code.op(op.i16x8ExtendLowI8x16U).op(op.i32x4ExtendLowI16x8U)
  }

  #store(s: Extract<Statement, { op: 'store' }>): void {
    const code = this.#code
    const { pointer, offset, value, count } = s
    const { dtype } = pointer.buffer
    const wide = bytesPerElement[dtype] === 4
    if (value.type.lanes === 1) {
      const at = this.#address(pointer, offset)
      this.#value(value)
      if (!wide) code.memory(op.i32Store8, 0, at)
      else code.memory(dtype === 'f32' ? op.f32Store : op.i32Store, 2, at)
      return
    }
    if (wide && count === 4 && s.stride === undefined) {
      const at = this.#address(pointer, offset)
      this.#value(value)
      code.memory(op.v128Store, 2, at)
      return
    }
    const vector = this.#temporary(v128, 'stored')
    this.#value(value)
    if (dtype === 'bool') this.#splatInt(1).op(op.v128And)
    code.set(vector)
    if (s.stride === undefined && wide) {
      if (count >= 2) {
        const at = this.#address(pointer, offset)
        code.get(vector).memory(op.v128Store64Lane, 2, at).byte(0)
      }
      if (count !== 2) {
        const at = this.#address(pointer, offset + count - 1)
        code
          .get(vector)
          .memory(op.v128Store32Lane, 2, at)
          .byte(count - 1)
      }
      return
    }
    if (s.stride === undefined) {
      for (let lane = 0; lane < count; lane++) {
        const at = this.#address(pointer, offset + lane)
        code
          .get(vector)
          .memory(op.v128Store8Lane, 0, at)
          .byte(4 * lane)
      }
      return
    }
    const address = this.#temporary(i32, 'scatter')
    const at = this.#address(pointer, offset)
    if (at > 0) code.int(at).op(op.i32Add)
    code.set(address)
    for (let lane = 0; lane < count; lane++) {
      code.get(address).get(vector)
      code.memory(wide ? op.v128Store32Lane : op.v128Store8Lane, 0, 0).byte(wide ? lane : 4 * lane)
      if (lane === count - 1) break
      code.get(address)
      this.#addBytes(s.stride, pointer)
      code.set(address)
    }
  }

  // Values.

  #zero(): FunctionCode {
    this.#code.op(op.v128Const).raw(new Uint8Array(16))
    return this.#code
  }

  #splatInt(value: number): FunctionCode {
    this.#code.op(op.v128Const)
    for (let lane = 0; lane < 4; lane++) this.#code.word(value)
    return this.#code
  }

  #value(e: Expr): void {
    const code = this.#code
    const vector = e.type.lanes > 1
    switch (e.op) {
      case 'const':
        if (vector) {
          if (e.type.kind === 'f32') {
            code.op(op.v128Const)
            for (let lane = 0; lane < 4; lane++) code.f32(e.value)
          } else this.#splatInt(e.type.kind === 'bool' && e.value !== 0 ? -1 : e.value)
        } else if (e.type.kind === 'f32') code.op(op.f32Const).f32(e.value)
        else code.int(e.type.kind === 'bool' ? Number(e.value !== 0) : e.value)
        return
      case 'local':
        code.get(this.#local(e.local))
        return
      case 'param':
        code.get(this.#argument(e.param))
        return
      case 'unary':
        this.#unary(e)
        return
      case 'intrinsic':
        throw new Error(
          `${this.#kernel.name}: ${e.name} reached WebAssembly; kernel/math.ts expands it for this target`,
        )
      case 'binary':
        this.#binary(e)
        return
      case 'compare': {
        this.#value(e.a)
        this.#value(e.b)
        const [scalarOp, vectorOp] = compares[e.a.type.kind === 'f32' ? 'f32' : 'i32'][e.name]
        code.op(vector ? vectorOp : scalarOp)
        return
      }
      case 'fma':
        this.#multiplyAdd(e)
        return
      case 'select':
        this.#value(e.a)
        this.#value(e.b)
        this.#value(e.condition)
        code.op(vector ? op.v128Bitselect : op.select)
        return
      case 'convert':
        this.#convert(e)
        return
      case 'bitcast':
        this.#value(e.a)
        if (!vector) code.op(e.type.kind === 'i32' ? op.i32ReinterpretF32 : op.f32ReinterpretI32)
        return
      case 'splat':
        if (e.a.op === 'load' && e.a.pointer.buffer.dtype !== 'u8' && e.a.pointer.buffer.dtype !== 'bool') {
          code.memory(op.v128Load32Splat, 2, this.#address(e.a.pointer, e.a.offset))
          return
        }
        // A mask is all ones or zeros: 0 - flag.
        if (e.type.kind === 'bool') code.int(0)
        this.#value(e.a)
        if (e.type.kind === 'bool') code.op(op.i32Sub)
        code.op(e.type.kind === 'f32' ? op.f32x4Splat : op.i32x4Splat)
        return
      case 'laneIndex':
        code.op(op.v128Const).word(0).word(1).word(2).word(3)
        return
      case 'reduceLanes':
        this.#reduceLanes(e)
        return
      case 'load':
        this.#load(e)
        return
      case 'position': {
        const size = bytesPerElement[e.pointer.buffer.dtype]
        code.get(this.#local(e.pointer)).get(this.#argument(e.pointer.buffer)).op(op.i32Sub)
        if (size > 1) code.int(Math.log2(size)).op(op.i32ShrS)
        return
      }
      default:
        e satisfies never
    }
  }

  #unary(e: Extract<Expr, { op: 'unary' }>): void {
    const code = this.#code
    const { kind, lanes } = e.type
    const vector = lanes > 1
    if (kind === 'i32' && !vector) {
      if (e.name === 'neg') {
        code.int(0)
        this.#value(e.a)
        code.op(op.i32Sub)
      } else {
        // |x| = (x ^ sign) - sign
        const value = code.local(i32)
        const sign = code.local(i32)
        this.#value(e.a)
        code.tee(value).int(31).op(op.i32ShrS).tee(sign)
        code.get(value).op(op.i32Xor).get(sign).op(op.i32Sub)
      }
      return
    }
    this.#value(e.a)
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

  #binary(e: Extract<Expr, { op: 'binary' }>): void {
    const code = this.#code
    const { name, a, b } = e
    const kind = e.type.kind === 'f32' ? 'f32' : 'i32'
    if (e.type.lanes > 1) {
      if (kind === 'f32' && (name === 'min' || name === 'max')) {
        // pmin(a, b) = b < a ? b : a and pmax(a, b) = a < b ? b : a: exactly the language's rules, and one instruction.
        this.#value(a)
        this.#value(b)
        code.op(name === 'min' ? op.f32x4Pmin : op.f32x4Pmax)
        return
      }
      const shift = vectorShift[name]
      if (shift !== undefined && b.op !== 'const' && b.op !== 'splat') {
        this.#shiftLanes(e)
        return
      }
      this.#value(a)
      if (shift !== undefined) {
        if (b.op === 'const') code.int(b.value)
        else if (b.op === 'splat') this.#value(b.a)
        code.op(shift)
        return
      }
      this.#value(b)
      code.op(vectorBinary[kind][name] as Opcode)
      return
    }
    if (name === 'min' || name === 'max') {
      const type = kind === 'f32' ? f32 : i32
      const left = this.#code.local(type)
      const right = this.#code.local(type)
      this.#value(a)
      code.set(left)
      this.#value(b)
      code.set(right)
      code.get(right).get(left)
      if (name === 'min') code.get(right).get(left)
      else code.get(left).get(right)
      code.op(kind === 'f32' ? op.f32Lt : op.i32LtS).op(op.select)
      return
    }
    this.#value(a)
    this.#value(b)
    code.op(scalarBinary[kind][name] as Opcode)
  }

  /** The machine shifts all lanes alike; lanes with numbers of their own go one by one. */
  #shiftLanes(e: Extract<Expr, { op: 'binary' }>): void {
    const code = this.#code
    const value = code.local(v128)
    const by = code.local(v128)
    this.#value(e.a)
    code.set(value)
    this.#value(e.b)
    code.set(by).get(value)
    for (let lane = 0; lane < 4; lane++) {
      for (const vector of [value, by]) code.get(vector).op(op.i32x4ExtractLane).byte(lane)
      code.op(scalarBinary.i32[e.name] as Opcode)
      code.op(op.i32x4ReplaceLane).byte(lane)
    }
  }

  /** Tails must not differ from whole vectors, so a scalar fused product goes through lane 0 of a vector. */
  #multiplyAdd(e: Extract<Expr, { op: 'fma' }>): void {
    const code = this.#code
    const vector = e.type.lanes > 1
    if (!this.#fma) {
      this.#value(e.a)
      this.#value(e.b)
      code.op(vector ? op.f32x4Mul : op.f32Mul)
      this.#value(e.c)
      code.op(vector ? op.f32x4Add : op.f32Add)
      return
    }
    for (const part of [e.a, e.b, e.c]) {
      this.#value(part)
      if (!vector) code.op(op.f32x4Splat)
    }
    code.op(op.f32x4RelaxedMadd)
    if (!vector) code.op(op.f32x4ExtractLane).byte(0)
  }

  #convert(e: Extract<Expr, { op: 'convert' }>): void {
    const code = this.#code
    const vector = e.type.lanes > 1
    const from = e.a.type.kind
    this.#value(e.a)
    if (e.type.kind === 'bool') {
      if (from === 'f32') {
        if (vector) this.#zero().op(op.f32x4Ne)
        else code.op(op.f32Const).f32(0).op(op.f32Ne)
      } else if (vector) this.#zero().op(op.i32x4Ne)
      else code.int(0).op(op.i32Ne)
      return
    }
    if (from === 'bool' && vector) this.#splatInt(1).op(op.v128And)
    if (e.type.kind === 'f32') code.op(vector ? op.f32x4ConvertI32x4S : op.f32ConvertI32S)
    else if (from === 'f32') code.op(vector ? op.i32x4TruncSatF32x4S : op.i32TruncSatF32S)
  }

  #reduceLanes(e: Extract<Expr, { op: 'reduceLanes' }>): void {
    const code = this.#code
    const isFloat = e.type.kind === 'f32'
    const type = isFloat ? f32 : i32
    const vector = code.local(v128)
    const extract = (lane: number) =>
      code
        .get(vector)
        .op(isFloat ? op.f32x4ExtractLane : op.i32x4ExtractLane)
        .byte(lane)
    this.#value(e.a)
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
