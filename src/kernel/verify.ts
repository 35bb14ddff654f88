/**
 * Checks a kernel against the rules of the loop language, so that a builder's mistake is an error with a name instead
 * of wrong numbers. Runs in tests and when JUANJI_DEBUG is set, never on the hot path.
 */
import { kindOf } from './build.ts'
import type {
  Argument,
  BinaryName,
  BufferParam,
  Expr,
  Kernel,
  KernelFunction,
  Local,
  Pointer,
  ScalarKind,
  ScalarParam,
  Statement,
  UnaryName,
  ValueType,
} from './language.ts'
import { isPointer } from './language.ts'
import { printStatement } from './print.ts'
import type { Target } from './target.ts'

/** @throws Error that names the kernel, the function, the statement and the broken rule */
export function verifyKernel(kernel: Kernel, target: Target): void {
  new Verifier(kernel, target).verify()
}

const number: readonly ScalarKind[] = ['f32', 'i32']
const float: readonly ScalarKind[] = ['f32']
const int: readonly ScalarKind[] = ['i32']
const bits: readonly ScalarKind[] = ['i32', 'bool']

const binaryKinds: Readonly<Record<BinaryName, readonly ScalarKind[]>> = {
  add: number,
  sub: number,
  mul: number,
  div: number,
  rem: int,
  min: number,
  max: number,
  and: bits,
  or: bits,
  xor: bits,
  shl: int,
  shr: int,
  shru: int,
}

const unaryKinds: Readonly<Record<UnaryName, readonly ScalarKind[]>> = {
  neg: number,
  abs: number,
  sqrt: float,
  floor: float,
  ceil: float,
  trunc: float,
  round: float,
  not: ['bool'],
}

const show = ({ kind, lanes }: ValueType): string => (lanes === 1 ? kind : `${kind}x${lanes}`)
const same = (a: ValueType, b: ValueType): boolean => a.kind === b.kind && a.lanes === b.lanes
const scalarInt: ValueType = { kind: 'i32', lanes: 1 }

class Verifier {
  readonly #kernel: Kernel
  readonly #target: Target
  readonly #buffers: ReadonlySet<BufferParam>
  readonly #params: ReadonlySet<ScalarParam>
  readonly #defined = new Set<KernelFunction>()
  /** The function in which a local or pointer was first written. */
  readonly #owners = new Map<Local | Pointer, KernelFunction>()
  readonly #indices = new Set<Local>()
  /** Locals and pointers that have a value here, innermost block last. */
  #scopes: Set<Local | Pointer>[] = []
  #function: KernelFunction | undefined
  #statement: Statement | undefined

  constructor(kernel: Kernel, target: Target) {
    this.#kernel = kernel
    this.#target = target
    this.#buffers = new Set(kernel.buffers)
    this.#params = new Set(kernel.params)
  }

  verify(): void {
    const { buffers, params, functions } = this.#kernel
    for (const [i, buffer] of buffers.entries())
      this.#check(buffer.index === i, `buffer ${buffer.name} has index ${buffer.index} at position ${i}`)
    for (const [i, param] of params.entries())
      this.#check(param.index === i, `parameter ${param.name} has index ${param.index} at position ${i}`)
    for (const f of functions) this.#checkFunction(f)
    const task = functions.at(-1)
    if (task === undefined) this.#fail('has no functions')
    this.#function = undefined
    const [param] = task.params
    const fits = task.params.length === 1 && !isPointer(param) && same(param.type, scalarInt)
    this.#check(fits, `the last function, ${task.name}, must take the task number (i32) and nothing else`)
  }

  #fail(what: string): never {
    const where = this.#function === undefined ? '' : `, function ${this.#function.name}`
    const at = this.#statement === undefined ? '' : `\n  at ${printStatement(this.#statement)[0]}`
    throw new Error(`kernel ${this.#kernel.name}${where}: ${what}${at}`)
  }

  #check(condition: boolean, what: string): void {
    if (!condition) this.#fail(what)
  }

  // Functions and statements.

  #checkFunction(f: KernelFunction): void {
    this.#function = f
    this.#statement = undefined
    this.#check(!this.#defined.has(f), 'is defined twice')
    for (const param of f.params) {
      this.#own(param)
      if (isPointer(param)) this.#checkBuffer(param.buffer)
      else
        this.#check(param.type.lanes === 1, `parameter ${param.name} is a vector; functions take scalars and pointers`)
    }
    this.#block(f.body, f.params)
    this.#defined.add(f)
  }

  #block(body: readonly Statement[], set: readonly (Local | Pointer)[] = []): void {
    this.#scopes.push(new Set(set))
    const outer = this.#statement
    for (const statement of body) {
      this.#statement = statement
      this.#checkStatement(statement)
    }
    this.#statement = outer
    this.#scopes.pop()
  }

  #own(target: Local | Pointer): void {
    const f = this.#function as KernelFunction
    const owner = this.#owners.get(target) ?? f
    this.#check(owner === f, `${target.name} belongs to function ${owner.name}`)
    this.#owners.set(target, f)
  }

  #write(target: Local | Pointer): void {
    this.#own(target)
    if (!this.#isSet(target)) this.#scopes.at(-1)?.add(target)
  }

  #isSet(target: Local | Pointer): boolean {
    return this.#scopes.some((scope) => scope.has(target))
  }

  #read(target: Local | Pointer): void {
    const owner = this.#owners.get(target)
    if (owner !== undefined && owner !== this.#function) this.#fail(`${target.name} belongs to function ${owner.name}`)
    this.#check(this.#isSet(target), `${target.name} is used before it is set in this block or one around it`)
  }

  #checkStatement(s: Statement): void {
    switch (s.op) {
      case 'set':
        this.#value(s.value)
        this.#lanes(s.local.type)
        this.#check(
          same(s.local.type, s.value.type),
          `${s.local.name} is ${show(s.local.type)}, its value ${show(s.value.type)}`,
        )
        this.#check(!this.#indices.has(s.local), `${s.local.name} is the index of a loop and must not be set`)
        this.#write(s.local)
        return
      case 'point':
        this.#scalarInt(s.index, 'index')
        this.#checkBuffer(s.pointer.buffer)
        this.#write(s.pointer)
        return
      case 'follow':
        this.#read(s.from)
        this.#scalarInt(s.by, 'distance')
        this.#sameBuffer(s.pointer, s.from)
        this.#write(s.pointer)
        return
      case 'advance':
        this.#read(s.pointer)
        this.#scalarInt(s.by, 'distance')
        return
      case 'prefetch':
        this.#read(s.pointer)
        return
      case 'store':
        this.#store(s)
        return
      case 'loop':
        this.#scalarInt(s.count, 'count')
        if (s.index !== undefined) {
          this.#check(same(s.index.type, scalarInt), `loop index ${s.index.name} is ${show(s.index.type)}, not i32`)
          this.#own(s.index)
          this.#indices.add(s.index)
        }
        this.#block(s.body, s.index === undefined ? [] : [s.index])
        return
      case 'if':
        this.#value(s.condition)
        this.#check(
          same(s.condition.type, { kind: 'bool', lanes: 1 }),
          `condition is ${show(s.condition.type)}, not bool`,
        )
        this.#block(s.consequent)
        this.#block(s.otherwise)
        return
      case 'call':
        this.#call(s.callee, s.args)
        return
      default:
        s satisfies never
    }
  }

  #store(s: Extract<Statement, { op: 'store' }>): void {
    const { buffer } = s.pointer
    this.#value(s.value)
    this.#access(s.pointer, s.value.type, s)
    this.#check(buffer.role !== 'input', `stores into ${buffer.name}, which is an input`)
  }

  #call(callee: KernelFunction, args: readonly Argument[]): void {
    if (!this.#defined.has(callee)) {
      this.#fail(
        callee === this.#function ? `${callee.name} calls itself` : `${callee.name} is not defined before its caller`,
      )
    }
    this.#check(
      args.length === callee.params.length,
      `${callee.name} takes ${callee.params.length} arguments, not ${args.length}`,
    )
    for (const [i, param] of callee.params.entries()) {
      const arg = args[i]
      if (isPointer(param)) {
        if (!isPointer(arg)) this.#fail(`argument ${i} of ${callee.name} must be a pointer into ${param.buffer.name}`)
        this.#read(arg)
        this.#sameBuffer(param, arg)
      } else {
        if (isPointer(arg)) this.#fail(`argument ${i} of ${callee.name} must be ${show(param.type)}, not a pointer`)
        this.#value(arg)
        this.#check(
          same(arg.type, param.type),
          `argument ${i} of ${callee.name} is ${show(arg.type)}, not ${show(param.type)}`,
        )
      }
    }
  }

  // Memory.

  #checkBuffer(buffer: BufferParam): void {
    this.#check(this.#buffers.has(buffer), `buffer ${buffer.name} is not one of the kernel's`)
  }

  #sameBuffer(a: Pointer, b: Pointer): void {
    this.#check(a.buffer === b.buffer, `${a.name} points into ${a.buffer.name}, ${b.name} into ${b.buffer.name}`)
  }

  #access(
    pointer: Pointer,
    type: ValueType,
    node: { readonly offset: number; readonly count: number; readonly stride?: Expr },
  ): void {
    this.#read(pointer)
    const kind = kindOf(pointer.buffer.dtype)
    this.#check(type.kind === kind, `${show(type)} value for an element of ${pointer.buffer.name}, which is ${kind}`)
    this.#check(Number.isInteger(node.offset), `offset ${node.offset} is not an integer`)
    const { count } = node
    this.#check(
      Number.isInteger(count) && count >= 1 && count <= type.lanes,
      `count ${count} is not between 1 and ${type.lanes} lanes`,
    )
    if (node.stride !== undefined) this.#scalarInt(node.stride, 'stride')
  }

  // Values.

  #lanes({ lanes }: ValueType): void {
    this.#check(lanes === 1 || lanes === this.#target.lanes, `${lanes} lanes on a target with ${this.#target.lanes}`)
  }

  #scalarInt(e: Expr, what: string): void {
    this.#value(e)
    this.#check(same(e.type, scalarInt), `${what} is ${show(e.type)}, not i32`)
  }

  #kinds(name: string, kind: ScalarKind, allowed: readonly ScalarKind[]): void {
    this.#check(allowed.includes(kind), `${name} takes ${allowed.join(' or ')}, not ${kind}`)
  }

  /** Operands and result of one type. */
  #uniform(name: string, e: Expr, operands: readonly Expr[]): void {
    for (const operand of operands) {
      this.#check(
        same(operand.type, e.type),
        `${name} of ${operands.map((o) => show(o.type)).join(', ')} gives ${show(e.type)}`,
      )
    }
  }

  #value(e: Expr): void {
    this.#lanes(e.type)
    switch (e.op) {
      case 'const':
        this.#check(e.type.kind === 'f32' || (e.value | 0) === e.value, `constant ${e.value} is not ${e.type.kind}`)
        return
      case 'local':
        this.#check(same(e.type, e.local.type), `${e.local.name} is ${show(e.local.type)}, read as ${show(e.type)}`)
        this.#read(e.local)
        return
      case 'param':
        this.#check(this.#params.has(e.param), `parameter ${e.param.name} is not one of the kernel's`)
        this.#check(
          same(e.type, { kind: e.param.kind, lanes: 1 }),
          `parameter ${e.param.name} is ${e.param.kind}, read as ${show(e.type)}`,
        )
        return
      case 'unary':
        this.#value(e.a)
        this.#kinds(e.name, e.type.kind, unaryKinds[e.name])
        this.#uniform(e.name, e, [e.a])
        return
      case 'intrinsic':
        this.#value(e.a)
        this.#check(
          this.#target.math === 'intrinsic',
          `target ${this.#target.name} has no ${e.name}: kernel/math.ts expands it`,
        )
        this.#kinds(e.name, e.type.kind, float)
        this.#uniform(e.name, e, [e.a])
        return
      case 'binary':
        this.#binary(e)
        return
      case 'compare':
        this.#compare(e)
        return
      case 'fma':
        for (const operand of [e.a, e.b, e.c]) this.#value(operand)
        this.#kinds('fma', e.type.kind, float)
        this.#uniform('fma', e, [e.a, e.b, e.c])
        return
      case 'dot2':
        for (const operand of [e.a, e.b, e.c]) this.#value(operand)
        this.#check(this.#target.bf16Dot === true, `target ${this.#target.name} has no dot2`)
        this.#kinds('dot2', e.type.kind, float)
        this.#kinds('dot2', e.a.type.kind, int)
        this.#uniform('dot2', e.a, [e.b])
        this.#uniform('dot2', e, [e.c])
        this.#check(e.a.type.lanes === e.type.lanes, `dot2 of ${show(e.a.type)} gives ${show(e.type)}`)
        return
      case 'select':
        for (const operand of [e.condition, e.a, e.b]) this.#value(operand)
        this.#uniform('select', e, [e.a, e.b])
        this.#check(
          same(e.condition.type, { kind: 'bool', lanes: e.type.lanes }),
          `select of ${show(e.type)} by ${show(e.condition.type)}`,
        )
        return
      case 'convert':
        this.#value(e.a)
        this.#check(e.a.type.lanes === e.type.lanes, `convert from ${show(e.a.type)} to ${show(e.type)}`)
        return
      case 'bitcast':
        this.#value(e.a)
        this.#kinds('bitcast', e.type.kind, number)
        this.#kinds('bitcast', e.a.type.kind, number)
        this.#check(e.a.type.lanes === e.type.lanes, `bitcast from ${show(e.a.type)} to ${show(e.type)}`)
        return
      default:
        this.#vector(e)
    }
  }

  /** Nodes that move between scalars, vectors and memory. */
  #vector(e: Extract<Expr, { op: 'splat' | 'laneIndex' | 'reduceLanes' | 'load' | 'position' }>): void {
    switch (e.op) {
      case 'splat':
        this.#value(e.a)
        this.#check(
          e.a.type.lanes === 1 && e.a.type.kind === e.type.kind,
          `splat of ${show(e.a.type)} gives ${show(e.type)}`,
        )
        return
      case 'laneIndex':
        this.#check(e.type.kind === 'i32' && e.type.lanes > 1, `laneIndex gives a vector of i32, not ${show(e.type)}`)
        return
      case 'reduceLanes':
        this.#value(e.a)
        this.#kinds('reduceLanes', e.type.kind, number)
        this.#check(
          e.a.type.lanes > 1 && same(e.type, { kind: e.a.type.kind, lanes: 1 }),
          `reduceLanes of ${show(e.a.type)} gives ${show(e.type)}`,
        )
        return
      case 'load':
        this.#access(e.pointer, e.type, e)
        return
      case 'position':
        this.#check(same(e.type, scalarInt), `position gives i32, not ${show(e.type)}`)
        this.#read(e.pointer)
        return
      default:
        e satisfies never
    }
  }

  #binary(e: Extract<Expr, { op: 'binary' }>): void {
    this.#value(e.a)
    this.#value(e.b)
    this.#kinds(e.name, e.type.kind, binaryKinds[e.name])
    this.#uniform(e.name, e, [e.a, e.b])
    const scalarOnly = e.type.kind === 'i32' && (e.name === 'div' || e.name === 'rem')
    this.#check(!scalarOnly || e.type.lanes === 1, `${e.name} of i32 is for scalars, not ${show(e.type)}`)
  }

  #compare(e: Extract<Expr, { op: 'compare' }>): void {
    this.#value(e.a)
    this.#value(e.b)
    this.#check(same(e.a.type, e.b.type), `${e.name} of ${show(e.a.type)} and ${show(e.b.type)}`)
    this.#kinds(e.name, e.a.type.kind, number)
    this.#check(
      same(e.type, { kind: 'bool', lanes: e.a.type.lanes }),
      `${e.name} of ${show(e.a.type)} gives ${show(e.type)}`,
    )
  }
}
