/** JavaScript for single operations of the loop language, given the texts of their operands. */
import type { Expr } from '../../kernel/language.ts'
import type { Runtime } from './runtime.ts'

/** What the operations are printed for. */
export interface Dialect {
  /** f32 values are doubles: results are not rounded. */
  readonly double: boolean
  readonly checked: boolean
  /** Notes that the kernel calls a function of the runtime, and returns its name. */
  readonly helper: (name: keyof Runtime | 'fround') => string
}

/** Operand expressions of a node. */
function operands(e: Expr): readonly Expr[] {
  switch (e.op) {
    case 'const':
    case 'local':
    case 'param':
    case 'laneIndex':
    case 'position':
      return []
    case 'unary':
    case 'intrinsic':
    case 'convert':
    case 'bitcast':
    case 'splat':
    case 'reduceLanes':
      return [e.a]
    case 'binary':
    case 'compare':
      return [e.a, e.b]
    case 'fma':
    case 'dot2':
      return [e.a, e.b, e.c]
    case 'select':
      return [e.condition, e.a, e.b]
    case 'load':
      return e.stride === undefined ? [] : [e.stride]
    default:
      return e satisfies never
  }
}

export function loads(e: Expr): boolean {
  return e.op === 'load' || operands(e).some(loads)
}

/** Whether evaluation may fail in checked mode, so that it must not be skipped. */
export function mayFail(e: Expr): boolean {
  if (e.op === 'load') return true
  if (e.op === 'binary' && e.type.kind === 'i32' && (e.name === 'div' || e.name === 'rem')) return true
  return operands(e).some(mayFail)
}

/** A text that is one operand whatever stands around it. */
const negate = (text: string): string => (text.startsWith('-') ? `(-(${text}))` : `(-${text})`)

/** An f32 result, rounded where f32 is single precision. */
export function rounded(to: Dialect, text: string): string {
  return to.double ? `(${text})` : `${to.helper('fround')}(${text})`
}

export function literal(to: Dialect, e: Extract<Expr, { op: 'const' }>): string {
  if (e.type.kind === 'bool') return e.value !== 0 ? 'true' : 'false'
  if (e.type.kind === 'i32') return String(e.value | 0)
  const value = to.double ? e.value : Math.fround(e.value)
  return Object.is(value, -0) ? '-0' : String(value)
}

export function unary(to: Dialect, e: Extract<Expr, { op: 'unary' }>, a: string): string {
  const integer = e.type.kind === 'i32'
  switch (e.name) {
    case 'neg':
      return integer ? `(${negate(a)} | 0)` : negate(a)
    case 'abs':
      return integer ? `(Math.abs(${a}) | 0)` : `Math.abs(${a})`
    case 'sqrt':
      return rounded(to, `Math.sqrt(${a})`)
    case 'floor':
    case 'ceil':
    case 'trunc':
      return `Math.${e.name}(${a})`
    case 'round':
      return `${to.helper('round')}(${a})`
    case 'not':
      return `!${a}`
    default:
      return e.name satisfies never
  }
}

export function binary(
  to: Dialect,
  name: Extract<Expr, { op: 'binary' }>['name'],
  kind: Expr['type']['kind'],
  a: string,
  b: string,
): string {
  const integer = kind === 'i32'
  const bool = kind === 'bool'
  const arithmetic = (operator: string) =>
    integer ? `(${a} ${operator} ${b} | 0)` : rounded(to, `${a} ${operator} ${b}`)
  const bitwise = (operator: string) => (bool ? `((${a} ${operator} ${b}) !== 0)` : `(${a} ${operator} ${b})`)
  switch (name) {
    case 'add':
      return arithmetic('+')
    case 'sub':
      return arithmetic('-')
    case 'mul':
      return integer ? `Math.imul(${a}, ${b})` : arithmetic('*')
    case 'div':
      return integer && to.checked ? `${to.helper('quotient')}(${a}, ${b})` : arithmetic('/')
    case 'rem':
      return to.checked ? `${to.helper('remainder')}(${a}, ${b})` : arithmetic('%')
    case 'min':
    case 'max':
      return `${to.helper(name)}(${a}, ${b})`
    case 'and':
      return bitwise('&')
    case 'or':
      return bitwise('|')
    case 'xor':
      return bitwise('^')
    case 'shl':
      return `(${a} << ${b})`
    case 'shr':
      return `(${a} >> ${b})`
    case 'shru':
      return `(${a} >>> ${b} | 0)`
    default:
      return name satisfies never
  }
}

export function convert(to: Dialect, e: Extract<Expr, { op: 'convert' }>, a: string): string {
  const from = e.a.type.kind
  const kind = e.type.kind
  if (from === kind) return a
  if (kind === 'bool') return `(${a} !== 0)`
  if (from === 'bool') return `(${a} ? 1 : 0)`
  if (kind === 'i32') return `${to.helper('toInt')}(${a})`
  return to.double ? a : `${to.helper('fround')}(${a})`
}
