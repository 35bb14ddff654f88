/**
 * Prints a kernel as JavaScript: one nested function a kernel function, one loop a loop, vectors lane by lane. The
 * text is the body of a function of (runtime, buffers, params) that returns the task.
 */
import type {
  Argument,
  BufferParam,
  Expr,
  Kernel,
  KernelFunction,
  Local,
  Pointer,
  Statement,
} from '../../kernel/language.ts'
import { isPointer } from '../../kernel/language.ts'
import { binary, convert, type Dialect, literal, loads, mayFail, rounded, unary } from './operators.ts'
import type { Runtime } from './runtime.ts'

export interface JavaScriptMode {
  /** `f32` (default): every f32 result is rounded by Math.fround; `f64`: f32 values are doubles. */
  readonly precision?: 'f32' | 'f64'
  /** Checks every index, integer division and `atLeastOnce` promise. Default true. */
  readonly checked?: boolean
}

export function printJavaScript(kernel: Kernel, mode: JavaScriptMode = {}): string {
  return new Printer(kernel, mode).print()
}

type Named = Local | Pointer | BufferParam | KernelFunction | Expr | object

// biome-ignore format: one word list
const reserved = [
  'await', 'break', 'case', 'catch', 'class', 'const', 'continue', 'debugger', 'default', 'delete', 'do', 'else', 'enum',
  'export', 'extends', 'false', 'finally', 'for', 'function', 'if', 'implements', 'import', 'in', 'instanceof',
  'interface', 'let', 'new', 'null', 'package', 'private', 'protected', 'public', 'return', 'static', 'super', 'switch',
  'this', 'throw', 'true', 'try', 'typeof', 'var', 'void', 'while', 'with', 'yield', 'arguments', 'eval', 'undefined',
  'NaN', 'Infinity', 'Math', 'fround', 'runtime', 'buffers', 'params', 'min', 'max', 'round', 'toInt', 'bitsOf',
  'floatOf', 'select', 'erf', 'fromBfloat16', 'toBfloat16', 'dot2',
  'dot2Single', 'at', 'quotient', 'remainder', 'promised',
]

const compareOperators = { eq: '===', ne: '!==', lt: '<', le: '<=', gt: '>', ge: '>=' } as const

class Printer implements Dialect {
  readonly #kernel: Kernel
  readonly double: boolean
  readonly checked: boolean
  readonly #names = new Map<Named, string>()
  readonly #taken = new Set<string>(reserved)
  readonly #helpers = new Set<keyof Runtime | 'fround'>()
  /** How many statements write a local or pointer: one makes it a const. */
  readonly #writes = new Map<Local | Pointer, number>()
  /** Declared locals and pointers, innermost block last. */
  #scopes: Set<Local | Pointer>[] = []
  /** Scalars of the current statement that several lanes share, computed once before it. */
  #hoisted = new Map<Expr, string>()
  #lines: string[] = []
  #indent = ''

  constructor(kernel: Kernel, mode: JavaScriptMode) {
    this.#kernel = kernel
    this.double = mode.precision === 'f64'
    this.checked = mode.checked ?? true
  }

  print(): string {
    const { buffers, params, functions } = this.#kernel
    const bufferNames = buffers.map((buffer) => this.#name(buffer, buffer.name))
    const paramNames = params.map((param) => this.#name(param, param.name))
    for (const f of functions) this.#name(f, f.name)
    for (const f of functions) this.#function(f)
    const runtime = [...this.#helpers].filter((name) => name !== 'fround')
    const head = [`// ${this.#kernel.name}`.replace(/[\r\n\u2028\u2029]/g, ' ')]
    if (this.#helpers.has('fround')) head.push('const { fround } = Math')
    if (runtime.length > 0) head.push(`const { ${runtime.join(', ')} } = runtime`)
    if (buffers.length > 0) head.push(`const [${bufferNames.join(', ')}] = buffers`)
    if (params.length > 0) head.push(`const [${paramNames.join(', ')}] = params`)
    const task = functions.at(-1)
    return [
      "'use strict'",
      ...head,
      ...this.#lines,
      `return ${task === undefined ? '() => {}' : this.#nameOf(task)}`,
      '',
    ].join('\n')
  }

  #name(key: Named, wish: string, lanes = 1): string {
    let base = wish.replace(/[^A-Za-z0-9_$]/g, '_')
    if (!/^[A-Za-z_$]/.test(base)) base = `_${base}`
    const spellings = (name: string) => [
      name,
      ...Array.from({ length: lanes > 1 ? lanes : 0 }, (_, i) => `${name}_${i}`),
    ]
    let name = base
    for (let n = 2; spellings(name).some((spelling) => this.#taken.has(spelling)); n++) name = `${base}$${n}`
    for (const spelling of spellings(name)) this.#taken.add(spelling)
    this.#names.set(key, name)
    return name
  }

  #nameOf(key: Named): string {
    const name = this.#names.get(key)
    if (name === undefined)
      throw new Error(`kernel ${this.#kernel.name}: ${JSON.stringify(key)} is used but not part of it`)
    return name
  }

  #localName(local: Local): string {
    return this.#names.get(local) ?? this.#name(local, local.name, local.type.lanes)
  }

  #pointerName(pointer: Pointer): string {
    return this.#names.get(pointer) ?? this.#name(pointer, pointer.name)
  }

  /** Notes that the kernel calls a function of the runtime. */
  helper(name: keyof Runtime | 'fround'): string {
    this.#helpers.add(name)
    return name
  }

  #line(text: string): void {
    this.#lines.push(this.#indent + text)
  }

  // Statements.

  #function(f: KernelFunction): void {
    this.#countWrites(f.body)
    const names = f.params.map((param) => (isPointer(param) ? this.#pointerName(param) : this.#localName(param)))
    this.#line(`function ${this.#nameOf(f)}(${names.join(', ')}) {`)
    this.#block(f.body, f.params)
    this.#line('}')
  }

  #countWrites(body: readonly Statement[]): void {
    for (const statement of body) {
      switch (statement.op) {
        case 'set':
          this.#writes.set(statement.local, (this.#writes.get(statement.local) ?? 0) + 1)
          break
        case 'point':
        case 'follow':
        case 'advance':
          this.#writes.set(statement.pointer, (this.#writes.get(statement.pointer) ?? 0) + 1)
          break
        case 'loop':
          this.#countWrites(statement.body)
          break
        case 'if':
          this.#countWrites(statement.consequent)
          this.#countWrites(statement.otherwise)
      }
    }
  }

  #block(body: readonly Statement[], declared: readonly (Local | Pointer)[] = []): void {
    const indent = this.#indent
    this.#indent += '  '
    this.#scopes.push(new Set(declared))
    for (const statement of body) {
      this.#hoisted = new Map()
      this.#statement(statement)
    }
    this.#scopes.pop()
    this.#indent = indent
  }

  /** `const `, `let ` or nothing, for a write to a local or pointer here. */
  #declare(target: Local | Pointer): string {
    if (this.#scopes.some((scope) => scope.has(target))) return ''
    this.#scopes.at(-1)?.add(target)
    return this.#writes.get(target) === 1 ? 'const ' : 'let '
  }

  #statement(s: Statement): void {
    switch (s.op) {
      case 'set': {
        const name = this.#localName(s.local)
        const lanes = s.local.type.lanes
        const values = Array.from({ length: lanes }, (_, lane) => this.#value(s.value, lane))
        const declare = this.#declare(s.local)
        for (const [lane, value] of values.entries())
          this.#line(`${declare}${lanes === 1 ? name : `${name}_${lane}`} = ${value}`)
        return
      }
      case 'point': {
        const index = this.#value(s.index, 0)
        this.#line(`${this.#declare(s.pointer)}${this.#pointerName(s.pointer)} = ${index}`)
        return
      }
      case 'follow': {
        const by = this.#sum(this.#pointerName(s.from), this.#value(s.by, 0))
        this.#line(`${this.#declare(s.pointer)}${this.#pointerName(s.pointer)} = ${by}`)
        return
      }
      case 'prefetch':
        return
      case 'advance':
        this.#line(`${this.#pointerName(s.pointer)} += ${this.#value(s.by, 0)}`)
        return
      case 'store':
        this.#store(s)
        return
      case 'loop':
        this.#loop(s)
        return
      case 'if':
        this.#line(`if (${this.#value(s.condition, 0)}) {`)
        this.#block(s.consequent)
        if (s.otherwise.length > 0) {
          this.#line('} else {')
          this.#block(s.otherwise)
        }
        this.#line('}')
        return
      case 'call': {
        const args = s.args.map((arg: Argument) => (isPointer(arg) ? this.#pointerName(arg) : this.#value(arg, 0)))
        this.#line(`${this.#nameOf(s.callee)}(${args.join(', ')})`)
        return
      }
      default:
        s satisfies never
    }
  }

  #store(s: Extract<Statement, { op: 'store' }>): void {
    const stride = s.stride === undefined || s.count === 1 ? undefined : this.#shared(s.stride)
    let values = Array.from({ length: s.count }, (_, lane) => this.#value(s.value, lane))
    if (s.count > 1 && loads(s.value)) {
      // All lanes are read before the first is written: the memory may overlap.
      values = values.map((value) => {
        const name = this.#name({}, 'lane')
        this.#line(`const ${name} = ${value}`)
        return name
      })
    }
    for (const [lane, value] of values.entries()) {
      const element = this.#element(s.pointer, s.offset, lane, stride)
      this.#line(`${element} = ${this.#stored(s.pointer.buffer, value)}`)
    }
  }

  /** A value as the buffer's array holds it. */
  #stored(buffer: BufferParam, value: string): string {
    if (buffer.dtype === 'bool') return `${value} ? 1 : 0`
    return buffer.dtype === 'bf16' ? `${this.helper('toBfloat16')}(${value})` : value
  }

  #loop(s: Extract<Statement, { op: 'loop' }>): void {
    let count = this.#value(s.count, 0)
    if (s.atLeastOnce && this.checked) count = `${this.helper('promised')}(${count})`
    const index = s.index === undefined ? this.#name({}, 'n') : this.#localName(s.index)
    if (/^\d+$/.test(count)) {
      this.#line(`for (let ${index} = 0; ${index} < ${count}; ${index}++) {`)
    } else {
      const end = this.#name({}, `${index}_end`)
      this.#line(`for (let ${index} = 0, ${end} = ${count}; ${index} < ${end}; ${index}++) {`)
    }
    this.#block(s.body, s.index === undefined ? [] : [s.index])
    this.#line('}')
  }

  // Values.

  /** A scalar that several lanes use: computed once, before the statement. */
  #shared(e: Expr): string {
    if (e.op === 'const' || e.op === 'local' || e.op === 'param' || e.op === 'position') return this.#value(e, 0)
    let name = this.#hoisted.get(e)
    if (name === undefined) {
      const value = this.#value(e, 0)
      name = this.#name({}, 's')
      this.#line(`const ${name} = ${value}`)
      this.#hoisted.set(e, name)
    }
    return name
  }

  #sum(a: string, b: string): string {
    if (b === '0') return a
    return b.startsWith('-') ? `${a} - ${b.slice(1)}` : `${a} + ${b}`
  }

  #element(pointer: Pointer, offset: number, lane: number, stride: string | undefined): string {
    const name = this.#nameOf(pointer.buffer)
    let index = this.#sum(this.#pointerName(pointer), String(offset + (stride === undefined ? lane : 0)))
    if (stride !== undefined && lane > 0) index += ` + ${lane === 1 ? '' : `${lane} * `}${stride}`
    if (!this.checked) return `${name}[${index}]`
    return `${name}[${this.helper('at')}(${JSON.stringify(pointer.buffer.name)}, ${name}, ${index})]`
  }

  /** The text of one lane of a value. */
  #value(e: Expr, lane: number): string {
    switch (e.op) {
      case 'const':
        return literal(this, e)
      case 'local':
        return e.type.lanes === 1 ? this.#localName(e.local) : `${this.#localName(e.local)}_${lane}`
      case 'param':
        return this.#nameOf(e.param)
      case 'unary':
        return unary(this, e, this.#value(e.a, lane))
      case 'intrinsic': {
        const a = this.#value(e.a, lane)
        return rounded(this, e.name === 'erf' ? `${this.helper('erf')}(${a})` : `Math.${e.name}(${a})`)
      }
      case 'binary':
        return binary(this, e.name, e.type.kind, this.#value(e.a, lane), this.#value(e.b, lane))
      case 'compare':
        return `(${this.#value(e.a, lane)} ${compareOperators[e.name]} ${this.#value(e.b, lane)})`
      case 'fma':
        return rounded(
          this,
          `${rounded(this, `${this.#value(e.a, lane)} * ${this.#value(e.b, lane)}`)} + ${this.#value(e.c, lane)}`,
        )
      case 'dot2': {
        const [a, b, c] = [e.a, e.b, e.c].map((operand) => this.#value(operand, lane))
        return `${this.helper(this.double ? 'dot2' : 'dot2Single')}(${a}, ${b}, ${c})`
      }
      case 'select': {
        const [condition, a, b] = [e.condition, e.a, e.b].map((operand) => this.#value(operand, lane))
        if (mayFail(e.a) || mayFail(e.b)) return `${this.helper('select')}(${condition}, ${a}, ${b})`
        return `(${condition} ? ${a} : ${b})`
      }
      case 'convert':
        return convert(this, e, this.#value(e.a, lane))
      case 'bitcast':
        return `${this.helper(e.type.kind === 'i32' ? 'bitsOf' : 'floatOf')}(${this.#value(e.a, lane)})`
      case 'splat':
        return this.#shared(e.a)
      case 'laneIndex':
        return String(lane)
      case 'reduceLanes': {
        let result = this.#value(e.a, 0)
        for (let i = 1; i < e.a.type.lanes; i++) result = binary(this, e.name, e.type.kind, result, this.#value(e.a, i))
        return result
      }
      case 'load': {
        const bool = e.type.kind === 'bool'
        if (lane >= e.count) return bool ? 'false' : '0'
        const stride = e.stride === undefined || e.type.lanes === 1 ? undefined : this.#shared(e.stride)
        const element = this.#element(e.pointer, e.offset, lane, stride)
        if (e.pointer.buffer.dtype === 'bf16') return `${this.helper('fromBfloat16')}(${element})`
        return bool ? `(${element} !== 0)` : element
      }
      case 'position':
        return this.#pointerName(e.pointer)
      default:
        return e satisfies never
    }
  }
}
