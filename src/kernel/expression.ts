/** Constructors for values of the loop language, with the constant folding that keeps index arithmetic readable. */
import type { BinaryName, CompareName, Expr, Local, ScalarKind, UnaryName, ValueType } from './language.ts'

/** A plain number stands for a constant of the other operand's type. */
export type Operand = Expr | number

export function constant(kind: ScalarKind, value: number, lanes = 1): Expr {
  return { op: 'const', type: { kind, lanes }, value }
}

export const int = (value: number): Expr => constant('i32', value)

export function read(local: Local): Expr {
  return { op: 'local', type: local.type, local }
}

function like(operand: Operand, other: ValueType): Expr {
  return typeof operand === 'number' ? { op: 'const', type: other, value: operand } : operand
}

function pair(a: Operand, b: Operand): [Expr, Expr] {
  if (typeof a !== 'number') return [a, like(b, a.type)]
  if (typeof b !== 'number') return [like(a, b.type), b]
  return [int(a), int(b)]
}

const fold: Partial<Record<BinaryName, (a: number, b: number) => number>> = {
  add: (a, b) => (a + b) | 0,
  sub: (a, b) => (a - b) | 0,
  mul: (a, b) => Math.imul(a, b),
  div: (a, b) => Math.trunc(a / b) | 0,
  rem: (a, b) => (a % b) | 0,
  min: (a, b) => (b < a ? b : a),
  max: (a, b) => (a < b ? b : a),
  shl: (a, b) => a << b,
}

function binary(name: BinaryName, x: Operand, y: Operand): Expr {
  const [a, b] = pair(x, y)
  if (a.type.kind === 'i32' && a.type.lanes === 1) {
    if (a.op === 'const' && b.op === 'const') {
      const f = fold[name]
      if (f !== undefined && !(b.value === 0 && (name === 'div' || name === 'rem'))) return int(f(a.value, b.value))
    }
    if (b.op === 'const') {
      if (b.value === 0 && (name === 'add' || name === 'sub')) return a
      if (b.value === 1 && (name === 'mul' || name === 'div')) return a
      if (b.value === 0 && name === 'mul') return int(0)
    }
    if (a.op === 'const') {
      if (a.value === 0 && name === 'add') return b
      if (a.value === 1 && name === 'mul') return b
      if (a.value === 0 && name === 'mul') return int(0)
    }
  }
  return { op: 'binary', type: a.type, name, a, b }
}

export const add = (a: Operand, b: Operand): Expr => binary('add', a, b)
export const sub = (a: Operand, b: Operand): Expr => binary('sub', a, b)
export const mul = (a: Operand, b: Operand): Expr => binary('mul', a, b)
export const div = (a: Operand, b: Operand): Expr => binary('div', a, b)
export const rem = (a: Operand, b: Operand): Expr => binary('rem', a, b)
/** b < a ? b : a: a NaN in `a` stays, one in `b` is dropped. */
export const min = (a: Operand, b: Operand): Expr => binary('min', a, b)
/** a < b ? b : a: a NaN in `a` stays, one in `b` is dropped. */
export const max = (a: Operand, b: Operand): Expr => binary('max', a, b)
export const and = (a: Operand, b: Operand): Expr => binary('and', a, b)
export const or = (a: Operand, b: Operand): Expr => binary('or', a, b)
export const xor = (a: Operand, b: Operand): Expr => binary('xor', a, b)
export const shl = (a: Operand, b: Operand): Expr => binary('shl', a, b)
export const shr = (a: Operand, b: Operand): Expr => binary('shr', a, b)
export const shru = (a: Operand, b: Operand): Expr => binary('shru', a, b)

function unary(name: UnaryName, a: Expr): Expr {
  return { op: 'unary', type: a.type, name, a }
}
export const neg = (a: Expr): Expr => unary('neg', a)
export const abs = (a: Expr): Expr => unary('abs', a)
export const sqrt = (a: Expr): Expr => unary('sqrt', a)
export const floor = (a: Expr): Expr => unary('floor', a)
export const ceil = (a: Expr): Expr => unary('ceil', a)
export const trunc = (a: Expr): Expr => unary('trunc', a)
export const round = (a: Expr): Expr => unary('round', a)
export const not = (a: Expr): Expr => unary('not', a)

function compare(name: CompareName, x: Operand, y: Operand): Expr {
  const [a, b] = pair(x, y)
  return { op: 'compare', type: { kind: 'bool', lanes: a.type.lanes }, name, a, b }
}
export const eq = (a: Operand, b: Operand): Expr => compare('eq', a, b)
export const ne = (a: Operand, b: Operand): Expr => compare('ne', a, b)
export const lt = (a: Operand, b: Operand): Expr => compare('lt', a, b)
export const le = (a: Operand, b: Operand): Expr => compare('le', a, b)
export const gt = (a: Operand, b: Operand): Expr => compare('gt', a, b)
export const ge = (a: Operand, b: Operand): Expr => compare('ge', a, b)

/** a * b + c */
export function fma(a: Expr, b: Operand, c: Operand): Expr {
  return { op: 'fma', type: a.type, a, b: like(b, a.type), c: like(c, a.type) }
}

/** c + the products of the two bf16 in each i32 of a and b. For targets with `bf16Dot`. */
export function dot2(a: Expr, b: Expr, c: Expr): Expr {
  return { op: 'dot2', type: c.type, a, b, c }
}

export function select(condition: Expr, x: Operand, y: Operand): Expr {
  const [a, b] = pair(x, y)
  return { op: 'select', type: a.type, condition, a, b }
}

export function convert(a: Expr, kind: ScalarKind): Expr {
  return a.type.kind === kind ? a : { op: 'convert', type: { kind, lanes: a.type.lanes }, a }
}

export function bitcast(a: Expr, kind: 'f32' | 'i32'): Expr {
  return a.type.kind === kind ? a : { op: 'bitcast', type: { kind, lanes: a.type.lanes }, a }
}

/** The scalar in every lane; unchanged when `lanes` is the number of lanes it has. */
export function splat(a: Expr, lanes: number): Expr {
  if (a.type.lanes === lanes) return a
  if (a.op === 'const') return { op: 'const', type: { kind: a.type.kind, lanes }, value: a.value }
  return { op: 'splat', type: { kind: a.type.kind, lanes }, a }
}

export function reduceLanes(name: 'add' | 'min' | 'max', a: Expr): Expr {
  return a.type.lanes === 1 ? a : { op: 'reduceLanes', type: { kind: a.type.kind, lanes: 1 }, name, a }
}
