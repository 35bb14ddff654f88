/**
 * What a kernel call does, counted from its loops: arithmetic and memory accesses. Only what decides the control flow is
 * computed, so that counting takes a small part of the time of running.
 */
import type { BinaryName, Expr, Kernel, KernelFunction, Local, Statement } from './language.ts'
import { isPointer } from './language.ts'

export interface Counts {
  /**
   * Additions, multiplications, divisions, minima, maxima and roots of real numbers; a fused one counts as two. Lanes
   * whose results are thrown away count as well: this is what the machine does.
   */
  readonly flops: number
  /** Elements of each buffer that are read, as often as they are. */
  readonly read: readonly number[]
  /** Elements of each buffer that are written, as often as they are. */
  readonly written: readonly number[]
}

/** Statements that are walked before counting gives up. */
const mostSteps = 4_000_000

/**
 * Counts what tasks 0 … tasks-1 do together.
 * @param params values of the kernel's scalar parameters, in order
 * @returns undefined where data decides how often a loop runs, and where counting would take too long
 */
export function countKernel(kernel: Kernel, params: readonly number[], tasks: number): Counts | undefined {
  const counter = new Counter(kernel, params)
  try {
    const total = counter.tasks(tasks)
    const { length } = kernel.buffers
    return {
      flops: total[0],
      read: [...total.subarray(1, 1 + length)],
      written: [...total.subarray(1 + length)],
    }
  } catch (error) {
    if (error instanceof Uncountable) return undefined
    throw error
  }
}

class Uncountable extends Error {}

/** What is known of a function without running it. */
interface Analysis {
  /** Locals that decide how often something happens. */
  readonly deciding: ReadonlySet<Local>
  /** What it did for arguments that decide. */
  readonly known: Map<string, Float64Array>
}

type Environment = Map<Local, number | undefined>

class Counter {
  readonly #kernel: Kernel
  readonly #params: readonly number[]
  readonly #analyses = new Map<KernelFunction, Analysis>()
  readonly #flat = new WeakMap<Expr, Float64Array>()
  #steps = 0

  constructor(kernel: Kernel, params: readonly number[]) {
    this.#kernel = kernel
    this.#params = params
    // Callees come before callers.
    for (const f of kernel.functions)
      this.#analyses.set(f, { deciding: decidingLocals(f, this.#analyses), known: new Map() })
  }

  tasks(count: number): Float64Array {
    const total = this.#zero()
    const task = this.#kernel.functions[this.#kernel.functions.length - 1]
    const [number] = task.params as readonly Local[]
    const { deciding } = this.#analyses.get(task) as Analysis
    if (!deciding.has(number)) {
      const one = this.#zero()
      this.#block(task.body, new Map(), deciding, one)
      return total.map((_, i) => count * one[i])
    }
    for (let i = 0; i < count; i++) this.#block(task.body, new Map([[number, i]]), deciding, total)
    return total
  }

  /** flops, then reads, then writes by buffer. */
  #zero(): Float64Array {
    return new Float64Array(1 + 2 * this.#kernel.buffers.length)
  }

  #block(body: readonly Statement[], at: Environment, deciding: ReadonlySet<Local>, into: Float64Array): void {
    for (const statement of body) {
      if (++this.#steps > mostSteps) throw new Uncountable()
      this.#statement(statement, at, deciding, into)
    }
  }

  #statement(s: Statement, at: Environment, deciding: ReadonlySet<Local>, into: Float64Array): void {
    switch (s.op) {
      case 'set':
        add(into, this.#expression(s.value))
        if (deciding.has(s.local)) at.set(s.local, this.#evaluate(s.value, at))
        return
      case 'store':
        add(into, this.#expression(s.value))
        into[1 + this.#kernel.buffers.length + s.pointer.buffer.index] += s.value.type.lanes === 1 ? 1 : s.count
        return
      case 'loop': {
        const count = this.#evaluate(s.count, at)
        if (count === undefined) throw new Uncountable()
        if (count <= 0) return
        if (!writes(s.body, s.index, deciding)) {
          const one = this.#zero()
          this.#block(s.body, at, deciding, one)
          add(into, one, count)
          return
        }
        for (let i = 0; i < count; i++) {
          if (s.index !== undefined) at.set(s.index, i)
          this.#block(s.body, at, deciding, into)
        }
        return
      }
      case 'if': {
        const condition = this.#evaluate(s.condition, at)
        if (condition !== undefined) {
          this.#block(condition !== 0 ? s.consequent : s.otherwise, at, deciding, into)
          return
        }
        // Data decides: the branch that does more.
        const [one, other] = [s.consequent, s.otherwise].map((body) => {
          const counts = this.#zero()
          this.#block(body, new Map(at), deciding, counts)
          return counts
        })
        for (const i of into.keys()) into[i] += Math.max(one[i], other[i])
        return
      }
      case 'call':
        add(into, this.#call(s, at))
        return
      default:
        // Pointers: arithmetic of whole numbers.
        return
    }
  }

  #call({ callee, args }: Extract<Statement, { op: 'call' }>, at: Environment): Float64Array {
    const { deciding, known } = this.#analyses.get(callee) as Analysis
    const inside: Environment = new Map()
    let key = ''
    for (const [i, param] of callee.params.entries()) {
      if (isPointer(param) || !deciding.has(param)) continue
      const value = this.#evaluate(args[i] as Expr, at)
      inside.set(param, value)
      key += `${value},`
    }
    let counts = known.get(key)
    if (counts === undefined) {
      counts = this.#zero()
      this.#block(callee.body, inside, deciding, counts)
      known.set(key, counts)
    }
    return counts
  }

  /** What computing a value takes, whatever the operands are. */
  #expression(e: Expr): Float64Array {
    const known = this.#flat.get(e)
    if (known !== undefined) return known
    const counts = this.#zero()
    counts[0] += flopsOf(e)
    if (e.op === 'load') counts[1 + e.pointer.buffer.index] += e.type.lanes === 1 ? 1 : e.count
    for (const operand of operandsOf(e)) add(counts, this.#expression(operand))
    this.#flat.set(e, counts)
    return counts
  }

  /** A whole number or a truth value (0 or 1); undefined where data or real numbers decide. */
  #evaluate(e: Expr, at: Environment): number | undefined {
    switch (e.op) {
      case 'const':
        return e.value
      case 'local':
        return at.get(e.local)
      case 'param':
        return this.#params[e.param.index]
      case 'binary': {
        const [a, b] = [this.#evaluate(e.a, at), this.#evaluate(e.b, at)]
        if (a === undefined || b === undefined || e.type.kind === 'f32') return undefined
        return whole[e.name](a, b)
      }
      case 'compare': {
        const [a, b] = [this.#evaluate(e.a, at), this.#evaluate(e.b, at)]
        return a === undefined || b === undefined ? undefined : Number(comparisons[e.name](a, b))
      }
      case 'select': {
        const condition = this.#evaluate(e.condition, at)
        return condition === undefined ? undefined : this.#evaluate(condition !== 0 ? e.a : e.b, at)
      }
      case 'unary': {
        const a = this.#evaluate(e.a, at)
        if (a === undefined || e.type.kind === 'f32') return undefined
        return e.name === 'not' ? Number(a === 0) : e.name === 'neg' ? -a : e.name === 'abs' ? Math.abs(a) : undefined
      }
      default:
        return undefined
    }
  }
}

const whole: Readonly<Record<BinaryName, (a: number, b: number) => number | undefined>> = {
  add: (a, b) => (a + b) | 0,
  sub: (a, b) => (a - b) | 0,
  mul: Math.imul,
  div: (a, b) => (b === 0 ? undefined : (a / b) | 0),
  rem: (a, b) => (b === 0 ? undefined : (a % b) | 0),
  min: Math.min,
  max: Math.max,
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  shl: (a, b) => a << b,
  shr: (a, b) => a >> b,
  shru: (a, b) => (a >>> b) | 0,
}

const comparisons = {
  eq: (a: number, b: number) => a === b,
  ne: (a: number, b: number) => a !== b,
  lt: (a: number, b: number) => a < b,
  le: (a: number, b: number) => a <= b,
  gt: (a: number, b: number) => a > b,
  ge: (a: number, b: number) => a >= b,
}

function flopsOf(e: Expr): number {
  if (e.type.kind !== 'f32') return 0
  switch (e.op) {
    case 'fma':
      return 2 * e.type.lanes
    case 'dot2':
      return 4 * e.type.lanes
    case 'reduceLanes':
      return e.a.type.lanes - 1
    case 'binary':
    case 'intrinsic':
      return e.type.lanes
    case 'unary':
      return e.name === 'sqrt' ? e.type.lanes : 0
    default:
      return 0
  }
}

/** The values a value is computed from, whatever it is. */
function operandsOf(e: Expr): Expr[] {
  const parts: readonly unknown[] = Object.values(e)
  return parts.filter((part): part is Expr => typeof part === 'object' && part !== null && 'op' in part)
}

function add(into: Float64Array, counts: Float64Array, times = 1): void {
  for (let i = 0; i < into.length; i++) into[i] += times * counts[i]
}

/** Whether running the body changes how often something in it happens. */
function writes(body: readonly Statement[], index: Local | undefined, deciding: ReadonlySet<Local>): boolean {
  if (index !== undefined && deciding.has(index)) return true
  return body.some((s) => {
    if (s.op === 'set') return deciding.has(s.local)
    if (s.op === 'loop') return writes(s.body, s.index, deciding)
    return s.op === 'if' && (writes(s.consequent, undefined, deciding) || writes(s.otherwise, undefined, deciding))
  })
}

/** Locals that loops and branches of a function depend on, those of the functions it calls included. */
function decidingLocals(f: KernelFunction, known: ReadonlyMap<KernelFunction, Analysis>): ReadonlySet<Local> {
  const found = new Set<Local>()
  const note = (e: Expr): void => {
    if (e.op === 'local') found.add(e.local)
    for (const operand of operandsOf(e)) note(operand)
  }
  const visit = (body: readonly Statement[]): void => {
    for (const s of body) {
      if (s.op === 'set' && found.has(s.local)) note(s.value)
      if (s.op === 'loop') {
        note(s.count)
        visit(s.body)
      }
      if (s.op === 'if') {
        note(s.condition)
        visit(s.consequent)
        visit(s.otherwise)
      }
      if (s.op !== 'call') continue
      for (const [i, param] of s.callee.params.entries()) {
        if (!isPointer(param) && known.get(s.callee)?.deciding.has(param)) note(s.args[i] as Expr)
      }
    }
  }
  // What decides may itself be computed from other locals, some of them set further down a loop.
  for (let before = -1; before !== found.size; ) {
    before = found.size
    visit(f.body)
  }
  return found
}
