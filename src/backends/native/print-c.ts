/**
 * Prints a kernel as C with vector types: one static function a kernel function, one loop a loop. Every parameter and
 * buffer that a function uses is read once into a local, so that stores cannot force reads again.
 */
import type { StorageType } from '../../base/dtype.ts'
import type {
  Argument,
  BufferParam,
  Expr,
  Kernel,
  KernelFunction,
  Local,
  Pointer,
  ScalarParam,
  Statement,
  ValueType,
} from '../../kernel/language.ts'
import { isPointer } from '../../kernel/language.ts'
import { CValues } from './print-values.ts'

/** The name under which a kernel's library exports its task. */
export const entryName = 'juanji_task'

const elementTypes: Readonly<Record<StorageType, string>> = {
  f32: 'f32',
  i32: 'i32',
  u8: 'u8',
  bool: 'u8',
  bf16: 'u16',
}

function typeName({ kind, lanes }: ValueType): string {
  if (lanes === 1) return kind === 'f32' ? 'f32' : 'i32'
  return kind === 'f32' ? 'vf' : 'vi'
}

/** The kernel's functions in C; `prelude.ts` holds the types and macros they use. */
export function printC(kernel: Kernel): string {
  return new Printer(kernel).print()
}

class Printer {
  readonly #kernel: Kernel
  readonly #names = new Map<Local | Pointer | KernelFunction, string>()
  /** Declared locals and pointers, innermost block last. */
  #scopes: Set<Local | Pointer>[] = []
  #lines: string[] = []
  #indent = ''
  #usedParams = new Set<ScalarParam>()
  #usedBuffers = new Set<BufferParam>()
  readonly #values: CValues

  constructor(kernel: Kernel) {
    this.#kernel = kernel
    this.#values = new CValues({
      local: (local) => this.#name(local),
      param: (param) => {
        this.#usedParams.add(param)
        return `q${param.index}`
      },
      start: (buffer) => {
        this.#usedBuffers.add(buffer)
        return `b${buffer.index}`
      },
    })
  }

  print(): string {
    const { functions } = this.#kernel
    for (const f of functions) this.#function(f)
    const task = functions.at(-1)
    const call = task === undefined ? '' : `${this.#name(task)}(&c, task); `
    return [
      `// ${this.#kernel.name}`.replace(/[\r\n\u2028\u2029\\]/g, ' '),
      ...this.#lines,
      `EXPORT void ${entryName}(i32 task, char *const *b, const param *q, char *s) { context c = {b, q, s}; ${call}}`,
      '',
    ].join('\n')
  }

  #name(key: Local | Pointer | KernelFunction): string {
    let name = this.#names.get(key)
    if (name === undefined) {
      name = `${key.name.replace(/[^A-Za-z0-9_]/g, '_')}_${this.#names.size}`
      if (!/^[A-Za-z]/.test(name)) name = `n${name}`
      this.#names.set(key, name)
    }
    return name
  }

  #line(text: string): void {
    this.#lines.push(this.#indent + text)
  }

  #function(f: KernelFunction): void {
    this.#usedParams = new Set()
    this.#usedBuffers = new Set()
    const outer = this.#lines
    this.#lines = []
    this.#block(f.body, f.params)
    const body = this.#lines
    this.#lines = outer
    const params = f.params.map((param) =>
      isPointer(param)
        ? `${elementTypes[param.buffer.dtype]} *${this.#name(param)}`
        : `${typeName(param.type)} ${this.#name(param)}`,
    )
    this.#line(`static NOINLINE void ${this.#name(f)}(${['const context *c', ...params].join(', ')}) {`)
    for (const param of [...this.#usedParams].sort((a, b) => a.index - b.index)) {
      const type = param.kind === 'f32' ? 'f32' : 'i32'
      this.#line(`  const ${type} q${param.index} = c->q[${param.index}].${param.kind === 'f32' ? 'f' : 'i'};`)
    }
    for (const buffer of [...this.#usedBuffers].sort((a, b) => a.index - b.index)) {
      const type = elementTypes[buffer.dtype]
      const place = buffer.role === 'scratch' ? `c->s + (i64)c->b[${buffer.index}]` : `c->b[${buffer.index}]`
      this.#line(`  ${type} *const b${buffer.index} = (${type} *)(${place});`)
    }
    this.#lines.push(...body)
    this.#line('}')
  }

  #block(body: readonly Statement[], declared: readonly (Local | Pointer)[] = []): void {
    const indent = this.#indent
    this.#indent += '  '
    this.#scopes.push(new Set(declared))
    for (const statement of body) this.#statement(statement)
    this.#scopes.pop()
    this.#indent = indent
  }

  /** The type in front of the first write to a local or pointer, nothing later. */
  #declare(target: Local | Pointer): string {
    if (this.#scopes.some((scope) => scope.has(target))) return ''
    this.#scopes.at(-1)?.add(target)
    return isPointer(target) ? `${elementTypes[target.buffer.dtype]} *` : `${typeName(target.type)} `
  }

  #statement(s: Statement): void {
    const values = this.#values
    switch (s.op) {
      case 'set': {
        const value = values.of(s.value)
        this.#line(`${this.#declare(s.local)}${this.#name(s.local)} = ${value};`)
        return
      }
      case 'point': {
        const place = values.element(values.places.start(s.pointer.buffer), s.index)
        this.#line(`${this.#declare(s.pointer)}${this.#name(s.pointer)} = ${place};`)
        return
      }
      case 'follow': {
        const place = values.element(this.#name(s.from), s.by)
        this.#line(`${this.#declare(s.pointer)}${this.#name(s.pointer)} = ${place};`)
        return
      }
      case 'advance':
        this.#line(`${this.#name(s.pointer)} += ${values.of(s.by)};`)
        return
      case 'prefetch':
        this.#line(`__builtin_prefetch(${this.#name(s.pointer)}, ${s.use === 'write' ? 1 : 0});`)
        return
      case 'store':
        for (const line of values.store(s, this.#name(s.pointer))) this.#line(line)
        return
      case 'loop':
        this.#loop(s)
        return
      case 'if':
        this.#line(`if (${values.of(s.condition)}) {`)
        this.#block(s.consequent)
        if (s.otherwise.length > 0) {
          this.#line('} else {')
          this.#block(s.otherwise)
        }
        this.#line('}')
        return
      case 'call': {
        const args = s.args.map((arg: Argument) => (isPointer(arg) ? this.#name(arg) : values.of(arg as Expr)))
        this.#line(`${this.#name(s.callee)}(${['c', ...args].join(', ')});`)
        return
      }
      default:
        s satisfies never
    }
  }

  #loop(s: Extract<Statement, { op: 'loop' }>): void {
    const count = this.#values.of(s.count)
    // A loop that runs at least once tests at its end only.
    if (s.index === undefined) this.#line(s.atLeastOnce ? `LOOP_ONCE(${count}) {` : `LOOP(${count}) {`)
    else this.#line(`LOOP_INDEX(${this.#name(s.index)}, ${count}) {`)
    this.#block(s.body, s.index === undefined ? [] : [s.index])
    this.#line(s.index === undefined && s.atLeastOnce ? '} LOOP_END' : '}')
  }
}
