/** Operators that work element by element with broadcasting, and functions of single numbers. */
import * as nn from '../../../nn/index.ts'
import { align } from '../align.ts'
import { type Combine, foldBinary, foldUnary } from '../fold.ts'
import type { Family, NodeReader, Operator } from '../operator.ts'
import { type Flow, type Known, product, type Value } from '../values.ts'

type BinaryName = Parameters<typeof nn.binary>[0]
type UnaryName = Parameters<typeof nn.unary>[0]

const isBool = new Set<string>([
  'equal',
  'notEqual',
  'less',
  'lessEqual',
  'greater',
  'greaterEqual',
  'and',
  'or',
  'xor',
])

/** One element, whatever its rank: it becomes an option of a layer. */
const isScalar = (value: Value): value is Known => value.kind === 'known' && product(value.dims) === 1

function withRank(flow: Flow, rank: number): Flow {
  const missing = Math.max(0, rank - flow.axes.length)
  return { ...flow, axes: [...new Array<readonly number[]>(missing).fill([]), ...flow.axes] }
}

/** Layers for an operator between two values; at least one of them comes from the input. */
export function joinTwo(node: NodeReader, op: BinaryName, a: Value, b: Value): Flow {
  const dtype = (from: Flow) => (isBool.has(op) ? 'bool' : from.dtype)
  if (a.kind === 'flow' && isScalar(b)) {
    return node.pointwise(withRank(a, b.dims.length), scalarLayer(node, op, b, false), dtype(a))
  }
  if (b.kind === 'flow' && isScalar(a)) {
    return node.pointwise(withRank(b, a.dims.length), scalarLayer(node, op, a, true), dtype(b))
  }
  const { layers, result } = align(node, [a, b])
  const flow = a.kind === 'flow' ? a : (b as Flow)
  return result(node.add(nn.binary(op), layers), dtype(flow))
}

const commutative = new Set<string>(['add', 'mul', 'min', 'max', 'equal', 'notEqual', 'and', 'or', 'xor'])

const largest = 3.4028234663852886e38

/** A number becomes an option; infinite ones, as masks add them, the largest there are. */
function scalarLayer(node: NodeReader, op: BinaryName, value: Known, reversed: boolean) {
  const number = Math.min(largest, Math.max(-largest, node.plain(value.data[0])))
  if (Number.isNaN(number)) throw node.unsupported('computes with a constant that is not a number')
  const reverse = reversed && !commutative.has(op)
  return nn.scalar(op, number, reverse ? { reverse } : {})
}

const divide: Combine = (a, b) => a / b
const modulo: Combine = (a, b) => a - Math.floor(a / b) * b

/**
 * Before opset 7 the second operand was only repeated where an attribute said so, from the axis it said on; where it did
 * not, operands were alike, which broadcasting takes as well.
 */
function legacy(node: NodeReader, [a, b]: readonly Value[]): readonly Value[] {
  const axis = node.int('axis', undefined)
  if (node.opset >= 7 || axis === undefined || node.int('broadcast', 0) !== 1) return [a, b]
  const rank = a.kind === 'flow' ? a.axes.length : a.dims.length
  if (b.kind === 'flow') {
    const behind = rank - node.axis(axis, rank) - b.axes.length
    return [a, { ...b, axes: [...b.axes, ...new Array<readonly number[]>(Math.max(0, behind)).fill([])] }]
  }
  const behind = rank - node.axis(axis, rank) - b.dims.length
  const dims = [...b.dims, ...new Array<number>(Math.max(0, behind)).fill(1)]
  const { initializer } = b
  return [a, { kind: 'known', type: b.type, dims, data: b.data, ...(initializer === undefined ? {} : { initializer }) }]
}

/** An operator of two operands. */
export function binaryOperator(
  versions: readonly number[],
  op: BinaryName,
  combine: Combine,
  type?: Known['type'],
): Operator {
  return {
    versions,
    least: 2,
    read(node) {
      const [a, b] = legacy(node, [node.input(0), node.input(1)])
      return joinTwo(node, op, a, b)
    },
    fold: (node, inputs) => foldBinary(node, op, combine, legacy(node, inputs) as Known[], type),
  }
}

/** Division of whole numbers drops what is behind the point, which no layer does. */
function division(node: NodeReader): Flow {
  const [a, b] = legacy(node, [node.input(0), node.input(1)])
  for (const value of [a, b]) {
    if (value.kind === 'flow' && value.dtype !== 'f32') throw node.unsupported('divides whole numbers')
  }
  return joinTwo(node, 'div', a, b)
}

/** Of whole numbers, too: as floats, which hold them up to 2^24. */
function remainder(node: NodeReader): Flow {
  const op = node.int('fmod', 0) === 1 ? 'fmod' : 'mod'
  const whole = [0, 1].some((i) => node.input(i).kind === 'flow' && node.flow(i).dtype !== 'f32')
  const [a, b] = [node.input(0), node.input(1)].map((value): Value => {
    if (!whole) return value
    return value.kind === 'flow'
      ? node.pointwise(value, nn.cast('f32'), 'f32')
      : { kind: 'known', type: 'float', dims: value.dims, data: value.data }
  })
  const rest = joinTwo(node, op, a, b)
  return whole ? node.pointwise(rest, nn.cast('i32'), 'i32') : rest
}

/** Squares and roots have layers of their own, with better gradients than powers. */
function power(node: NodeReader): Flow {
  const [a, b] = legacy(node, [node.input(0), node.input(1)])
  const exponent = a.kind === 'flow' && b.kind === 'known' && product(b.dims) === 1 ? node.plain(b.data[0]) : undefined
  const op = exponent === 2 ? 'square' : exponent === 0.5 ? 'sqrt' : undefined
  if (a.kind === 'flow' && op !== undefined && b.kind === 'known') {
    return node.pointwise(withRank(a, b.dims.length), nn.unary(op))
  }
  return joinTwo(node, 'pow', a, b)
}

/** Any number of operands, joined two by two. */
function manyOperator(
  versions: readonly number[],
  op: 'add' | 'min' | 'max',
  combine: Combine,
  mean = false,
): Operator {
  return {
    versions,
    read(node) {
      const joined = node.inputs
        .map((_, i) => node.input(i))
        .reduce((a, b) => {
          if (a.kind === 'known' && b.kind === 'known') return foldBinary(node, op, combine, [a, b])
          return joinTwo(node, op, a, b)
        })
      if (joined.kind === 'known' || !mean) return joined
      return node.pointwise(joined, nn.scalar('mul', 1 / node.inputs.length))
    },
    fold(node, inputs) {
      const joined = inputs.reduce((a, b) => foldBinary(node, op, combine, [a, b]))
      return mean ? foldUnary(node, (x) => x / inputs.length, [joined]) : joined
    },
  }
}

/** A function of single numbers. */
export function unaryOperator(
  versions: readonly number[],
  op: UnaryName,
  apply: (x: number) => number,
  type?: Known['type'],
): Operator {
  return {
    versions,
    read(node) {
      const flow = node.flow(0)
      return node.pointwise(flow, nn.unary(op), type === 'bool' ? 'bool' : flow.dtype)
    },
    fold: (node, inputs) => foldUnary(node, apply, inputs, type),
  }
}

function roundEven(x: number): number {
  const below = Math.floor(x)
  if (x - below !== 0.5) return Math.round(x)
  return below % 2 === 0 ? below : below + 1
}

/** Abramowitz and Stegun 1964, 7.1.26, carried further by its series near 0: constants only, 1e-7. */
function erf(x: number): number {
  const a = Math.abs(x)
  if (a < 2) {
    let term = a
    let sum = a
    for (let n = 1; n < 40; n++) {
      term *= (-a * a) / n
      sum += term / (2 * n + 1)
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI)
  }
  let fraction = 0
  for (let n = 60; n > 0; n--) fraction = n / 2 / (a + fraction)
  return Math.sign(x) * (1 - Math.exp(-a * a) / (Math.sqrt(Math.PI) * (a + fraction)))
}

export const elementwise: Family = {
  Add: binaryOperator([1, 6, 7, 13, 14], 'add', (a, b) => a + b),
  Sub: binaryOperator([1, 6, 7, 13, 14], 'sub', (a, b) => a - b),
  Mul: binaryOperator([1, 6, 7, 13, 14], 'mul', (a, b) => a * b),
  Div: { ...binaryOperator([1, 6, 7, 13, 14], 'div', divide), read: division },
  Pow: { ...binaryOperator([1, 7, 12, 13, 15], 'pow', (a, b) => a ** b), read: power },
  Mod: {
    versions: [10, 13],
    least: 2,
    read: remainder,
    fold: (node, inputs) => foldBinary(node, 'mod', node.int('fmod', 0) === 1 ? (a, b) => a % b : modulo, inputs),
  },
  Min: manyOperator([1, 6, 8, 12, 13], 'min', Math.min),
  Max: manyOperator([1, 6, 8, 12, 13], 'max', Math.max),
  Sum: manyOperator([1, 6, 8, 13], 'add', (a, b) => a + b),
  Mean: manyOperator([1, 6, 8, 13], 'add', (a, b) => a + b, true),
  Abs: unaryOperator([1, 6, 13], 'abs', Math.abs),
  Neg: unaryOperator([1, 6, 13], 'neg', (x) => -x),
  Sign: unaryOperator([9, 13], 'sign', Math.sign),
  Reciprocal: unaryOperator([1, 6, 13], 'reciprocal', (x) => 1 / x),
  Sqrt: unaryOperator([1, 6, 13], 'sqrt', Math.sqrt),
  Exp: unaryOperator([1, 6, 13], 'exp', Math.exp),
  Log: unaryOperator([1, 6, 13], 'log', Math.log),
  Floor: unaryOperator([1, 6, 13], 'floor', Math.floor),
  Ceil: unaryOperator([1, 6, 13], 'ceil', Math.ceil),
  Round: unaryOperator([11, 22], 'round', roundEven),
  Erf: unaryOperator([9, 13], 'erf', erf),
  Sin: unaryOperator([7, 22], 'sin', Math.sin),
  Cos: unaryOperator([7, 22], 'cos', Math.cos),
  Tan: unaryOperator([7, 22], 'tan', Math.tan),
  Sinh: unaryOperator([9, 22], 'sinh', Math.sinh),
  Cosh: unaryOperator([9, 22], 'cosh', Math.cosh),
  Asin: unaryOperator([7, 22], 'asin', Math.asin),
  Acos: unaryOperator([7, 22], 'acos', Math.acos),
  Atan: unaryOperator([7, 22], 'atan', Math.atan),
  Asinh: unaryOperator([9, 22], 'asinh', Math.asinh),
  Acosh: unaryOperator([9, 22], 'acosh', Math.acosh),
  Atanh: unaryOperator([9, 22], 'atanh', Math.atanh),
}
