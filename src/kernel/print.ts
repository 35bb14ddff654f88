/** Prints a kernel as short pseudo-code, for people: `JUANJI_DEBUG`, error messages, snapshots. */
import type { Argument, Expr, Kernel, Pointer, Statement, ValueType } from './language.ts'
import { isPointer } from './language.ts'

export function printKernel(kernel: Kernel): string {
  const lines = [`kernel ${kernel.name}`]
  for (const buffer of kernel.buffers) lines.push(`  ${buffer.role} ${buffer.name}: ${buffer.dtype}`)
  for (const param of kernel.params) lines.push(`  param ${param.name}: ${param.kind}`)
  for (const f of kernel.functions) {
    const params = f.params.map((param) => (isPointer(param) ? `*${param.name}` : param.name))
    lines.push(`${f.name}(${params.join(', ')})`, ...printBlock(f.body))
  }
  return `${lines.join('\n')}\n`
}

function printBlock(body: readonly Statement[]): string[] {
  const lines = body.flatMap(printStatement).map((line) => `  ${line}`)
  return lines.length > 0 ? lines : ['  nothing']
}

const printType = ({ kind, lanes }: ValueType): string => (lanes === 1 ? kind : `${kind}x${lanes}`)

/** The statement's lines, its body indented below it. */
export function printStatement(s: Statement): string[] {
  switch (s.op) {
    case 'set':
      return [`${s.local.name}: ${printType(s.local.type)} = ${printExpr(s.value)}`]
    case 'point':
      return [`${s.pointer.name} = &${s.pointer.buffer.name}[${printExpr(s.index)}]`]
    case 'follow':
      return [`${s.pointer.name} = ${plus(s.from.name, s.by)}`]
    case 'advance':
      return [`${s.pointer.name} += ${printExpr(s.by)}`]
    case 'prefetch':
      return [`prefetch ${s.pointer.name} to ${s.use}`]
    case 'store':
      return [
        `${memory(s.pointer, s.offset, s.value.type.lanes === 1 ? 0 : s.count, s.stride)} = ${printExpr(s.value)}`,
      ]
    case 'loop': {
      const index = s.index === undefined ? '' : `${s.index.name} < `
      const promise = s.atLeastOnce ? ', at least once' : ''
      return [`loop ${index}${printExpr(s.count)}${promise}`, ...printBlock(s.body)]
    }
    case 'if': {
      const otherwise = s.otherwise.length > 0 ? ['else', ...printBlock(s.otherwise)] : []
      return [`if ${printExpr(s.condition)}`, ...printBlock(s.consequent), ...otherwise]
    }
    case 'call':
      return [`${s.callee.name}(${s.args.map(printArgument).join(', ')})`]
    default:
      return s satisfies never
  }
}

const printArgument = (arg: Argument): string => (isPointer(arg) ? `*${arg.name}` : printExpr(arg))

function plus(name: string, by: Expr): string {
  return by.op === 'const' && by.value === 0 ? name : `${name} + ${printExpr(by, true)}`
}

/** `p[3]` is one element, `p[3:4]` four neighbours from 3 on, `p[3:4:s]` four that are s apart. */
function memory(pointer: Pointer, offset: number, count: number, stride: Expr | undefined): string {
  if (count === 0) return `${pointer.name}[${offset}]`
  return `${pointer.name}[${offset}:${count}${stride === undefined ? '' : `:${printExpr(stride)}`}]`
}

const operators: Readonly<Record<string, string>> = {
  add: '+',
  sub: '-',
  mul: '*',
  div: '/',
  rem: '%',
  and: '&',
  or: '|',
  xor: '^',
  shl: '<<',
  shr: '>>',
  shru: '>>>',
  eq: '==',
  ne: '!=',
  lt: '<',
  le: '<=',
  gt: '>',
  ge: '>=',
}

/** @param nested whether the text is an operand, so that an operator gets parentheses */
export function printExpr(e: Expr, nested = false): string {
  switch (e.op) {
    case 'const':
      return printConst(e)
    case 'local':
      return e.local.name
    case 'param':
      return e.param.name
    case 'unary':
    case 'intrinsic':
      return `${e.name}(${printExpr(e.a)})`
    case 'binary':
    case 'compare': {
      const operator = operators[e.name]
      if (operator === undefined) return `${e.name}(${printExpr(e.a)}, ${printExpr(e.b)})`
      const text = `${printExpr(e.a, true)} ${operator} ${printExpr(e.b, true)}`
      return nested ? `(${text})` : text
    }
    case 'fma':
      return `fma(${printExpr(e.a)}, ${printExpr(e.b)}, ${printExpr(e.c)})`
    case 'dot2':
      return `dot2(${printExpr(e.a)}, ${printExpr(e.b)}, ${printExpr(e.c)})`
    case 'select':
      return `select(${printExpr(e.condition)}, ${printExpr(e.a)}, ${printExpr(e.b)})`
    case 'convert':
      return `${e.type.kind}(${printExpr(e.a)})`
    case 'bitcast':
      return `bits.${e.type.kind}(${printExpr(e.a)})`
    case 'splat':
      return `splat(${printExpr(e.a)})`
    case 'laneIndex':
      return 'lane'
    case 'reduceLanes':
      return `lanes.${e.name}(${printExpr(e.a)})`
    case 'load':
      return memory(e.pointer, e.offset, e.type.lanes === 1 ? 0 : e.count, e.stride)
    case 'position':
      return `position(${e.pointer.name})`
    default:
      return e satisfies never
  }
}

function printConst(e: Extract<Expr, { op: 'const' }>): string {
  if (e.type.kind === 'bool') return e.value !== 0 ? 'true' : 'false'
  const text = Object.is(e.value, -0) ? '-0' : String(e.value)
  return e.type.kind === 'f32' && Number.isInteger(e.value) ? `${text}.0` : text
}
