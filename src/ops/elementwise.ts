/**
 * Arithmetic, comparison, logic, choice, conversion and the elementary functions. NumPy's broadcasting is put in as
 * explicit views, so that no gradient here ever undoes one. Above each op stands what it computes and its gradient;
 * g is the gradient with respect to the result.
 */
import type { DType } from '../base/dtype.ts'
import { ConfigError } from '../base/errors.ts'
import { showShape } from '../base/shape.ts'
import { type ConstantAttributes, constantNode, constantOp, isSeed, makeNode, type Node } from '../graph/node.ts'
import type { MapOp } from '../graph/op.ts'
import { kindOf } from '../kernel/build.ts'
import * as e from '../kernel/expression.ts'
import * as math from '../kernel/math.ts'
import { broadcastTo, broadcastTogether } from './broadcast.ts'
import { binary, binaryOp, unary, unaryOp, unaryOpWith } from './map-op.ts'
import {
  checkDType,
  checkEqualShapes,
  checkFilled,
  checkSameDType,
  type NoAttributes,
  noAttributes,
} from './operands.ts'

const numbers = { dtypes: ['f32', 'i32'] } as const
const toBool = { dtypes: ['f32', 'i32', 'u8'], result: 'bool' } as const
const bools = { dtypes: ['bool'] } as const

/** One value in the shape and dtype of `x`; a parameter of the kernel, so that another value compiles nothing. */
export function like(x: Node, value: number): Node {
  return broadcastTo(constantNode(value, x.dtype), x.shape)
}

// ---------------------------------------------------------------------------------------------- arithmetic

// y = a + b;  da = g, db = g
export const addOp = binaryOp(
  'add',
  (_k, a, b) => e.add(a, b),
  (g) => [g, g],
  numbers,
)
/** a + b */
export const add = binary(addOp)

// y = a - b;  da = g, db = -g
export const subOp = binaryOp(
  'sub',
  (_k, a, b) => e.sub(a, b),
  (g) => [g, neg(g)],
  numbers,
)
/** a - b */
export const sub = binary(subOp)

// y = a · b;  da = g · b, db = g · a
export const mulOp = binaryOp(
  'mul',
  (_k, a, b) => e.mul(a, b),
  (g, a, b) => (isSeed(g) ? [b, a] : [mul(g, b), mul(g, a)]),
  numbers,
)
/** a · b */
export const mul = binary(mulOp)

// y = a / b;  da = g / b, db = -g · y / b
export const divOp = binaryOp(
  'div',
  (_k, a, b) => e.div(a, b),
  (g, _a, b, y) => [div(g, b), neg(div(mul(g, y), b))],
)
/** a / b; f32. */
export const div = binary(divOp)

// y = -x;  dx = -g
export const negOp = unaryOp(
  'neg',
  (_k, x) => e.neg(x),
  (g) => neg(g),
  numbers,
)
export const neg = unary(negOp)

// y = |x|;  dx = g · sign(x)
export const absOp = unaryOp(
  'abs',
  (_k, x) => e.abs(x),
  (g, x) => mul(g, sign(x)),
  numbers,
)
export const abs = unary(absOp)

// y = -1, 0 or 1, NaN for NaN; flat
export const signOp = unaryOp(
  'sign',
  (_k, x) => e.select(e.gt(x, 0), one(x), e.select(e.lt(x, 0), e.neg(one(x)), x)),
  'none',
  numbers,
)
/** -1, 0 or 1. */
export const sign = unary(signOp)

const one = (x: ReturnType<typeof e.int>) => e.constant(x.type.kind, 1, x.type.lanes)

// y = max(a, b), NaN when either is;  da = g where a > b, db = g where b > a, half each where they are equal
export const maximumOp = binaryOp(
  'maximum',
  (_k, a, b) => keepNaN(b, e.max(a, b)),
  (g, a, b) => [shareOf(g, a, b, greater), shareOf(g, b, a, greater)],
  numbers,
)
/** The larger of the two; NaN when either is. */
export const maximum = binary(maximumOp)

// y = min(a, b), NaN when either is;  da = g where a < b, db = g where b < a, half each where they are equal
export const minimumOp = binaryOp(
  'minimum',
  (_k, a, b) => keepNaN(b, e.min(a, b)),
  (g, a, b) => [shareOf(g, a, b, less), shareOf(g, b, a, less)],
  numbers,
)
/** The smaller of the two; NaN when either is. */
export const minimum = binary(minimumOp)

type Value = ReturnType<typeof e.int>

/** `e.max(a, b)` and `e.min(a, b)` keep a NaN in `a`; this keeps one in `b` too. */
function keepNaN(b: Value, result: Value): Value {
  return b.type.kind === 'f32' ? e.select(e.ne(b, b), b, result) : result
}

/** Gradient of maximum and minimum with respect to `a`. */
function shareOf(g: Node, a: Node, b: Node, wins: (a: Node, b: Node) => Node): Node {
  return select(wins(a, b), g, select(equal(a, b), mul(g, like(g, 0.5)), like(g, 0)))
}

// y = x²;  dx = 2 · g · x
export const squareOp = unaryOp(
  'square',
  (_k, x) => e.mul(x, x),
  (g, x) => mul(add(g, g), x),
  numbers,
)
export const square = unary(squareOp)

// y = √x;  dx = g / (2y)
export const sqrtOp = unaryOp(
  'sqrt',
  (_k, x) => e.sqrt(x),
  (g, _x, y) => div(g, add(y, y)),
)
export const sqrt = unary(sqrtOp)

// y = 1 / √x;  dx = -½ · g · y³
export const rsqrtOp = unaryOp(
  'rsqrt',
  (_k, x) => e.div(one(x), e.sqrt(x)),
  (g, _x, y) => mul(mul(g, like(g, -0.5)), mul(y, square(y))),
)
/** 1 / √x */
export const rsqrt = unary(rsqrtOp)

// y = 1 / x;  dx = -g · y²
export const reciprocalOp = unaryOp(
  'reciprocal',
  (_k, x) => e.div(one(x), x),
  (g, _x, y) => neg(mul(g, square(y))),
)
/** 1 / x */
export const reciprocal = unary(reciprocalOp)

// y = aᵇ;  da = g · b · aᵇ⁻¹ (0 where b = 0),  db = g · y · ln a (0 where a = 0 ≤ b)
export const powOp = binaryOp(
  'pow',
  (k, a, b) => math.pow(k, a, b),
  (g, a, b, y) => {
    const zero = like(g, 0)
    const slope = mul(b, makeNode(powOp, [a, sub(b, like(b, 1))], noAttributes))
    const flat = logicalAnd(equal(a, zero), greaterEqual(b, zero))
    return [mul(g, select(equal(b, zero), zero, slope)), mul(g, select(flat, zero, mul(y, log(a))))]
  },
)

/**
 * a to the power b. A negative `a` takes whole numbers `b`. The constants 2, 3, -1, ½ and -½ become exact operations.
 */
export function pow(a: Node, b: Node): Node {
  checkSameDType('pow', a, b)
  if ((b.op as unknown) === constantOp && b.shape.length === 0 && a.dtype === 'f32') {
    switch ((b.attributes as ConstantAttributes).value) {
      case 0.5:
        return sqrt(a)
      case -0.5:
        return rsqrt(a)
      case -1:
        return reciprocal(a)
      case 1:
        return a
      case 2:
        return square(a)
      case 3:
        return mul(square(a), a)
    }
  }
  return makeNode(powOp, broadcastTogether('pow', a, b), noAttributes)
}

// ---------------------------------------------------------------------------------------------- functions

// y = eˣ;  dx = g · y
export const expOp = unaryOp('exp', math.exp, (g, _x, y) => mul(g, y))
export const exp = unary(expOp)

// y = eˣ - 1;  dx = g · (y + 1)
export const expm1Op = unaryOp('expm1', math.expm1, (g, _x, y) => mul(g, add(y, like(y, 1))))
/** eˣ - 1, accurate near 0. */
export const expm1 = unary(expm1Op)

// y = ln x;  dx = g / x
export const logOp = unaryOp('log', math.log, (g, x) => div(g, x))
/** Natural logarithm. */
export const log = unary(logOp)

// y = ln(1 + x);  dx = g / (1 + x)
export const log1pOp = unaryOp('log1p', math.log1p, (g, x) => div(g, add(x, like(x, 1))))
/** ln(1 + x), accurate near 0. */
export const log1p = unary(log1pOp)

// y = sin x;  dx = g · cos x
export const sinOp = unaryOp('sin', math.sin, (g, x) => mul(g, cos(x)))
export const sin = unary(sinOp)

// y = cos x;  dx = -g · sin x
export const cosOp = unaryOp('cos', math.cos, (g, x) => neg(mul(g, sin(x))))
export const cos = unary(cosOp)

// y = tanh x;  dx = g · (1 - y²)
export const tanhOp = unaryOp('tanh', math.tanh, (g, _x, y) => mul(g, sub(like(y, 1), square(y))))
export const tanh = unary(tanhOp)

// y = erf x;  dx = g · 2/√π · e^(-x²)
export const erfOp = unaryOp('erf', math.erf, (g, x) =>
  mul(mul(g, like(g, 2 / Math.sqrt(Math.PI))), exp(neg(square(x)))),
)
export const erf = unary(erfOp)

// Steps: flat, no gradient.
export const floorOp = unaryOp('floor', (_k, x) => e.floor(x), 'none')
export const floor = unary(floorOp)
export const ceilOp = unaryOp('ceil', (_k, x) => e.ceil(x), 'none')
export const ceil = unary(ceilOp)
export const roundOp = unaryOp('round', (_k, x) => e.round(x), 'none')
/** To the nearest whole number, halves to the even one. */
export const round = unary(roundOp)

// y = min(max(x, low), high), NaN stays;  dx = g where low ≤ x ≤ high
interface ClampAttributes {
  readonly low: number
  readonly high: number
}
export const clampOp: MapOp<ClampAttributes> = unaryOpWith<ClampAttributes>(
  'clamp',
  (_k, x, { low, high }) => e.min(e.max(x, low), high),
  (g, x, _y, { low, high }) =>
    select(logicalAnd(greaterEqual(x, like(x, low)), lessEqual(x, like(x, high))), g, like(g, 0)),
  { ...numbers, key: ({ low, high }) => `${low},${high}` },
)
/**
 * `x` held between two numbers.
 * @throws ConfigError when `low` is above `high`
 */
export function clamp(x: Node, low: number, high: number): Node {
  if (!(low <= high)) {
    throw new ConfigError({
      where: 'clamp',
      what: 'the bounds make no sense',
      got: `${low} and ${high}`,
      expected: 'the lower bound first',
      fix: 'swap them',
    })
  }
  const whole = (bound: number) => Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, bound))
  const [least, most] = x.dtype === 'i32' ? [whole(Math.ceil(low)), whole(Math.floor(high))] : [low, high]
  return makeNode(clampOp, [x], { low: least, high: most })
}

// ---------------------------------------------------------------------------------------------- comparison and logic

export const equalOp = binaryOp('equal', (_k, a, b) => e.eq(a, b), 'none', toBool)
export const equal = binary(equalOp)
export const notEqualOp = binaryOp('notEqual', (_k, a, b) => e.ne(a, b), 'none', toBool)
export const notEqual = binary(notEqualOp)
export const lessOp = binaryOp('less', (_k, a, b) => e.lt(a, b), 'none', toBool)
export const less = binary(lessOp)
export const lessEqualOp = binaryOp('lessEqual', (_k, a, b) => e.le(a, b), 'none', toBool)
export const lessEqual = binary(lessEqualOp)
export const greaterOp = binaryOp('greater', (_k, a, b) => e.gt(a, b), 'none', toBool)
export const greater = binary(greaterOp)
export const greaterEqualOp = binaryOp('greaterEqual', (_k, a, b) => e.ge(a, b), 'none', toBool)
export const greaterEqual = binary(greaterEqualOp)

export const isNaNOp = unaryOp('isNaN', (_k, x) => e.ne(x, x), 'none', { result: 'bool' })
export const isNan = unary(isNaNOp)
export const isFiniteOp = unaryOp('isFinite', (_k, x) => e.lt(e.abs(x), Number.POSITIVE_INFINITY), 'none', {
  result: 'bool',
})
/** Neither infinite nor NaN. */
export const isFiniteNumber = unary(isFiniteOp)

export const logicalAndOp = binaryOp('logicalAnd', (_k, a, b) => e.and(a, b), 'none', bools)
export const logicalAnd = binary(logicalAndOp)
export const logicalOrOp = binaryOp('logicalOr', (_k, a, b) => e.or(a, b), 'none', bools)
export const logicalOr = binary(logicalOrOp)
export const logicalXorOp = binaryOp('logicalXor', (_k, a, b) => e.xor(a, b), 'none', bools)
export const logicalXor = binary(logicalXorOp)
export const logicalNotOp = unaryOp('logicalNot', (_k, x) => e.not(x), 'none', bools)
export const logicalNot = unary(logicalNotOp)

// y = c ? a : b;  da = c ? g : 0, db = c ? 0 : g
export const selectOp: MapOp<NoAttributes> = {
  name: 'select',
  kind: 'map',
  infer([condition, a, b]) {
    checkDType('select', 'condition', condition, ['bool'])
    checkSameDType('select', a, b)
    checkEqualShapes('select', [condition, a, b])
    checkFilled('select', 'condition', condition)
    return { shape: a.shape, dtype: a.dtype }
  },
  lower: (_k, [condition, a, b]) => e.select(condition, a, b),
  gradient(y, g) {
    if (y.dtype !== 'f32') return [undefined, undefined, undefined]
    const [condition] = y.inputs
    return [undefined, select(condition, g, like(g, 0)), select(condition, like(g, 0), g)]
  },
}
/** Elements of `a` where the condition (bool) holds, of `b` elsewhere, with broadcasting. @throws ShapeError, DTypeError */
export function select(condition: Node, a: Node, b: Node): Node {
  checkDType('select', 'condition', condition, ['bool'])
  checkSameDType('select', a, b)
  return makeNode(selectOp, broadcastTogether('select', condition, a, b), noAttributes)
}

// ---------------------------------------------------------------------------------------------- conversion

interface CastAttributes {
  readonly dtype: DType
}
// Nothing real comes out of an integer, and an integer depends on nothing differentiably.
export const castOp: MapOp<CastAttributes> = {
  name: 'cast',
  kind: 'map',
  gradient: 'none',
  infer([x], { dtype }) {
    checkFilled('cast', 'x', x)
    return { shape: x.shape, dtype }
  },
  lower(_k, [x], { dtype }) {
    const value = e.convert(x, kindOf(dtype))
    return dtype === 'u8' ? e.min(e.max(value, 0), 255) : value
  },
}
/**
 * The values in another dtype. To i32 and u8 the fraction is cut off and values outside the range are held at its ends
 * (NaN gives 0); to bool everything but 0 is true.
 * @throws ConfigError on an unknown dtype
 */
export function cast(x: Node, dtype: DType): Node {
  const known: readonly string[] = ['f32', 'i32', 'u8', 'bool']
  if (!known.includes(dtype)) {
    throw new ConfigError({
      where: 'cast',
      what: `there is no dtype '${dtype}'`,
      got: `'${dtype}' for a tensor ${showShape(x.shape)}`,
      expected: known.join(', '),
      fix: "use 'f32' for real numbers",
    })
  }
  return x.dtype === dtype ? x : makeNode(castOp, [x], { dtype })
}
