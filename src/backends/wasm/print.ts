/** Kernels as WebAssembly modules. One machine function a kernel function; nothing is unrolled or merged on the way. */

import { bytesPerElement } from '../../base/dtype.ts'
import { isPointer, type Kernel, type KernelFunction, type Statement } from '../../kernel/language.ts'
import { FunctionCode, i32, ModuleEncoder, op, v128 } from './encode.ts'
import { argumentWords, ValuePrinter, valueType } from './print-values.ts'

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

/** A function with its statements. */
class FunctionPrinter extends ValuePrinter {
  readonly #function: KernelFunction
  readonly #indices: ReadonlyMap<KernelFunction, number>

  constructor(kernel: Kernel, f: KernelFunction, indices: ReadonlyMap<KernelFunction, number>, fma: boolean) {
    super(kernel, f.params, fma)
    this.#function = f
    this.#indices = indices
  }

  print(): Uint8Array {
    this.#statements(this.#function.body)
    return this.code.encode(this.prologue)
  }

  #statements(body: readonly Statement[]): void {
    for (const statement of body) this.#statement(statement)
  }

  #statement(s: Statement): void {
    const code = this.code
    switch (s.op) {
      case 'set':
        this.value(s.value)
        code.set(this.local(s.local))
        return
      case 'point':
        code.get(this.argument(s.pointer.buffer))
        this.addBytes(s.index, s.pointer)
        code.set(this.local(s.pointer))
        return
      case 'follow':
        code.get(this.local(s.from))
        this.addBytes(s.by, s.pointer)
        code.set(this.local(s.pointer))
        return
      case 'prefetch':
        return
      case 'advance':
        code.get(this.local(s.pointer))
        this.addBytes(s.by, s.pointer)
        code.set(this.local(s.pointer))
        return
      case 'store':
        this.#store(s)
        return
      case 'loop':
        this.#loop(s)
        return
      case 'if':
        this.value(s.condition)
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
          if (isPointer(arg)) code.get(this.local(arg))
          else this.value(arg)
        }
        code.index(op.call, this.#indices.get(s.callee) as number)
        return
      default:
        s satisfies never
    }
  }

  #loop(s: Extract<Statement, { op: 'loop' }>): void {
    const code = this.code
    const { index, count } = s
    if (count.op === 'const' && count.value <= 0) return
    const guarded = !s.atLeastOnce && count.op !== 'const'
    // Loops nest, so each has a counter of its own.
    const limit = code.local(i32)
    this.value(count)
    if (guarded) {
      code.tee(limit).int(0).op(op.i32GtS)
      code.block(op.if)
    } else code.set(limit)
    if (index !== undefined) code.int(0).set(this.local(index))
    code.block(op.loop)
    this.#statements(s.body)
    if (index === undefined) {
      code.get(limit).int(1).op(op.i32Sub).tee(limit).index(op.brIf, 0)
    } else {
      const i = this.local(index)
      code.get(i).int(1).op(op.i32Add).tee(i).get(limit).op(op.i32LtS).index(op.brIf, 0)
    }
    code.end()
    if (guarded) code.end()
  }

  #store(s: Extract<Statement, { op: 'store' }>): void {
    const code = this.code
    const { pointer, offset, value, count } = s
    const { dtype } = pointer.buffer
    const wide = bytesPerElement[dtype] === 4
    if (value.type.lanes === 1) {
      const at = this.address(pointer, offset)
      this.value(value)
      if (dtype === 'bf16') {
        this.toBfloat16(false)
        code.memory(op.i32Store16, 1, at)
      } else if (!wide) code.memory(op.i32Store8, 0, at)
      else code.memory(dtype === 'f32' ? op.f32Store : op.i32Store, 2, at)
      return
    }
    if (wide && count === 4 && s.stride === undefined) {
      const at = this.address(pointer, offset)
      this.value(value)
      code.memory(op.v128Store, 2, at)
      return
    }
    const vector = this.temporary(v128, 'stored')
    this.value(value)
    if (dtype === 'bool') this.splatInt(1).op(op.v128And)
    if (dtype === 'bf16') {
      this.toBfloat16(true)
      if (count === 4 && s.stride === undefined) code.get(this.temporary(v128, 'rounded')).op(op.i16x8NarrowI32x4U)
    }
    code.set(vector)
    if (dtype === 'bf16' && count === 4 && s.stride === undefined) {
      const at = this.address(pointer, offset)
      code.get(vector).memory(op.v128Store64Lane, 1, at).byte(0)
      return
    }
    if (s.stride === undefined && wide) {
      if (count >= 2) {
        const at = this.address(pointer, offset)
        code.get(vector).memory(op.v128Store64Lane, 2, at).byte(0)
      }
      if (count !== 2) {
        const at = this.address(pointer, offset + count - 1)
        code
          .get(vector)
          .memory(op.v128Store32Lane, 2, at)
          .byte(count - 1)
      }
      return
    }
    // Small elements stand in the low bits of their lanes.
    const size = bytesPerElement[dtype]
    const storeLane = size === 4 ? op.v128Store32Lane : size === 2 ? op.v128Store16Lane : op.v128Store8Lane
    const place = (lane: number) => (4 / size) * lane
    if (s.stride === undefined) {
      for (let lane = 0; lane < count; lane++) {
        const at = this.address(pointer, offset + lane)
        code.get(vector).memory(storeLane, 0, at).byte(place(lane))
      }
      return
    }
    const address = this.temporary(i32, 'scatter')
    const at = this.address(pointer, offset)
    if (at > 0) code.int(at).op(op.i32Add)
    code.set(address)
    for (let lane = 0; lane < count; lane++) {
      code.get(address).get(vector)
      code.memory(storeLane, 0, 0).byte(place(lane))
      if (lane === count - 1) break
      code.get(address)
      this.addBytes(s.stride, pointer)
      code.set(address)
    }
  }
}
