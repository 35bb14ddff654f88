/** The builder: records statements into functions and functions into a kernel. */
import type { StorageType } from '../base/dtype.ts'
import { add, type Operand, read } from './expression.ts'
import type {
  Argument,
  BufferParam,
  Expr,
  Kernel,
  KernelFunction,
  Local,
  Pointer,
  ScalarKind,
  ScalarParam,
  Statement,
  ValueType,
} from './language.ts'
import type { Target } from './target.ts'

/** How a parameter of a kernel function is declared. */
export type ParamDeclaration = { readonly pointer: BufferParam } | { readonly int: string }

type ParamValue<D> = D extends { pointer: BufferParam } ? Pointer : Expr
type ParamValues<D extends readonly ParamDeclaration[]> = { -readonly [K in keyof D]: ParamValue<D[K]> }

/** A mutable local together with the expression that reads it. */
export interface Variable {
  readonly local: Local
  readonly value: Expr
}

const intType: ValueType = { kind: 'i32', lanes: 1 }

/** Kind a value has in registers for a dtype in memory: u8 widens to i32, bf16 to f32. */
export function kindOf(dtype: StorageType): ScalarKind {
  return dtype === 'u8' ? 'i32' : dtype === 'bf16' ? 'f32' : dtype
}

export class KernelBuilder {
  readonly target: Target
  readonly #buffers: BufferParam[] = []
  readonly #params: ScalarParam[] = []
  readonly #functions: KernelFunction[] = []
  #block: Statement[] = []
  #names = 0

  constructor(target: Target) {
    this.target = target
  }

  /** Vector width of the target. */
  get lanes(): number {
    return this.target.lanes
  }

  // Parameters of the kernel, in the order in which an invocation lists them.

  buffer(name: string, dtype: StorageType, role: BufferParam['role']): BufferParam {
    const buffer = { name, dtype, role, index: this.#buffers.length }
    this.#buffers.push(buffer)
    return buffer
  }

  int(name: string): Expr {
    return this.#scalar(name, 'i32')
  }

  float(name: string): Expr {
    return this.#scalar(name, 'f32')
  }

  #scalar(name: string, kind: 'i32' | 'f32'): Expr {
    const param = { name, kind, index: this.#params.length }
    this.#params.push(param)
    return { op: 'param', type: { kind, lanes: 1 }, param }
  }

  // Functions.

  /** Defines a function. Calls are separate machine functions: a hot tile must be one (see docs/adr on tiering). */
  function<const D extends readonly ParamDeclaration[]>(
    name: string,
    declarations: D,
    body: (...params: ParamValues<D>) => void,
  ): KernelFunction {
    const params: (Local | Pointer)[] = []
    const values: (Pointer | Expr)[] = []
    for (const declaration of declarations) {
      if ('pointer' in declaration) {
        const pointer: Pointer = { name: this.#name(`p_${declaration.pointer.name}`), buffer: declaration.pointer }
        params.push(pointer)
        values.push(pointer)
      } else {
        const local: Local = { name: this.#name(declaration.int), type: intType }
        params.push(local)
        values.push(read(local))
      }
    }
    const statements = this.#record(() => body(...(values as ParamValues<D>)))
    const definition = { name, params, body: statements }
    this.#functions.push(definition)
    return definition
  }

  /** Defines the task, calls nothing after it: the kernel is complete. */
  task(body: (task: Expr) => void): void {
    this.function('task', [{ int: 'task' }], body)
  }

  call(callee: KernelFunction, ...args: readonly (Argument | number)[]): void {
    const values = args.map(
      (arg): Argument => (typeof arg === 'number' ? { op: 'const', type: intType, value: arg } : arg),
    )
    this.#push({ op: 'call', callee, args: values })
  }

  build(name: string, key: string): Kernel {
    return { name, key, buffers: this.#buffers, params: this.#params, functions: this.#functions }
  }

  // Statements.

  /** Computes once, here; later reads see this value. */
  let(value: Expr, name = 't'): Expr {
    if (value.op === 'const' || value.op === 'param') return value
    return this.variable(value, name).value
  }

  /** A local that `set` may change. */
  variable(initial: Expr, name = 'v'): Variable {
    const local: Local = { name: this.#name(name), type: initial.type }
    this.#push({ op: 'set', local, value: initial })
    return { local, value: read(local) }
  }

  set(variable: Variable, value: Expr): void {
    this.#push({ op: 'set', local: variable.local, value })
  }

  /** A cursor at element `index` of `buffer`. */
  point(buffer: BufferParam, index: Operand = 0, name = `p_${buffer.name}`): Pointer {
    const pointer: Pointer = { name: this.#name(name), buffer }
    this.#push({ op: 'point', pointer, index: this.#operand(index) })
    return pointer
  }

  /** A new cursor `by` elements from another one. */
  pointFrom(from: Pointer, by: Operand = 0): Pointer {
    const pointer: Pointer = { name: this.#name(`p_${from.buffer.name}`), buffer: from.buffer }
    this.#push({ op: 'follow', pointer, from, by: this.#operand(by) })
    return pointer
  }

  /** Moves an existing cursor to `by` elements from another one. */
  follow(pointer: Pointer, from: Pointer, by: Operand = 0): void {
    this.#push({ op: 'follow', pointer, from, by: this.#operand(by) })
  }

  advance(pointer: Pointer, by: Operand): void {
    if (by === 0) return
    this.#push({ op: 'advance', pointer, by: this.#operand(by) })
  }

  /** Hints that the element at the cursor, which may lie outside of its buffer, is read or written soon. */
  prefetch(pointer: Pointer, use: 'read' | 'write' = 'read'): void {
    this.#push({ op: 'prefetch', pointer, use })
  }

  /** Elements from the start of the buffer to the cursor. */
  position(pointer: Pointer): Expr {
    return { op: 'position', type: intType, pointer }
  }

  /** One element as a scalar. */
  load(pointer: Pointer, offset = 0): Expr {
    return { op: 'load', type: { kind: kindOf(pointer.buffer.dtype), lanes: 1 }, pointer, offset, count: 1 }
  }

  /** `count` neighbouring elements (or every `stride`-th one) as a vector, zeros behind them. */
  loadVector(pointer: Pointer, offset = 0, count = this.lanes, stride?: Expr): Expr {
    const lanes = this.lanes
    return {
      op: 'load',
      type: { kind: kindOf(pointer.buffer.dtype), lanes },
      pointer,
      offset,
      count: Math.min(count, lanes),
      stride,
    }
  }

  /** Writes a scalar, or the first `count` lanes of a vector. */
  store(pointer: Pointer, value: Expr, offset = 0, count = value.type.lanes, stride?: Expr): void {
    this.#push({ op: 'store', pointer, offset, value, count: Math.min(count, value.type.lanes), stride })
  }

  /** i32 vector 0, 1, 2, …; the scalar 0 for one lane. */
  laneIndex(lanes = this.lanes): Expr {
    if (lanes === 1) return { op: 'const', type: intType, value: 0 }
    return { op: 'laneIndex', type: { kind: 'i32', lanes } }
  }

  /** Repeats the body `count` times without giving it an index. */
  repeat(count: Operand, body: () => void, options: { atLeastOnce?: boolean } = {}): void {
    const statements = this.#record(body)
    this.#push({
      op: 'loop',
      count: this.#operand(count),
      index: undefined,
      atLeastOnce: options.atLeastOnce ?? false,
      body: statements,
    })
  }

  /** Repeats the body for index 0 … count-1. */
  loop(count: Operand, body: (index: Expr) => void, options: { atLeastOnce?: boolean } = {}): void {
    const index: Local = { name: this.#name('i'), type: intType }
    const statements = this.#record(() => body(read(index)))
    this.#push({
      op: 'loop',
      count: this.#operand(count),
      index,
      atLeastOnce: options.atLeastOnce ?? false,
      body: statements,
    })
  }

  /** Repeats the body for values from, from + 1, … below `to`. */
  range(from: Expr, to: Expr, body: (index: Expr) => void): void {
    this.loop({ op: 'binary', type: intType, name: 'sub', a: to, b: from }, (i) => body(this.let(add(from, i))))
  }

  if(condition: Expr, then: () => void, otherwise: () => void = () => {}): void {
    this.#push({ op: 'if', condition, consequent: this.#record(then), otherwise: this.#record(otherwise) })
  }

  #record(body: () => void): Statement[] {
    const outer = this.#block
    const statements: Statement[] = []
    this.#block = statements
    try {
      body()
    } finally {
      this.#block = outer
    }
    return statements
  }

  #push(statement: Statement): void {
    this.#block.push(statement)
  }

  #operand(value: Operand): Expr {
    return typeof value === 'number' ? { op: 'const', type: intType, value } : value
  }

  #name(base: string): string {
    return `${base}${this.#names++}`
  }
}

/** A kernel by description: equal keys build equal kernels for one target, so caches ask for the key first. */
export interface KernelSpec {
  readonly key: string
  readonly build: (target: Target) => Kernel
}
