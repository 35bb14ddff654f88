/**
 * Elementary functions on f32 scalars and vectors. Targets with `math: 'intrinsic'` get a call; for the others the
 * function is spelled out here: reduce the argument, evaluate a polynomial, put the pieces together. Polynomials are
 * minimax fits (Remez exchange) of their own, the frames follow Cody and Waite, "Software Manual for the Elementary
 * Functions" (1980), and FreeBSD's msun. Accuracy is that of math.test.ts: about 2 ulp, with or without a fused fma.
 *
 * NaN stays NaN everywhere. Results below 2^-126 may be flushed to 0.
 */
import type { KernelBuilder } from './build.ts'
import {
  abs,
  add,
  and,
  bitcast,
  constant,
  convert,
  div,
  eq,
  floor,
  fma,
  le,
  lt,
  max,
  min,
  mul,
  ne,
  neg,
  or,
  select,
  shl,
  shr,
  sub,
} from './expression.ts'
import type { Expr, IntrinsicName } from './language.ts'

/** 1.5 · 2^23: adding it rounds an f32 below 2^22 to an integer, which then stands in the low bits of the sum. */
const magic = 12582912
const signBit = -0x80000000
/** ln 2 in two parts; the first has 17 bits, so that its product with an exponent is exact. */
const ln2High = 0.69313812255859375
const ln2Low = 9.058001351569e-6
/** π/2 in four parts of 11, 11, 11 and 24 bits: products with integers below 2^13 are exact. */
const halfPi = [1.5703125, 0.0004837512969970703, 7.549533620476723e-8, 2.563344068257089e-12]

/** c0 + c1 x + c2 x² + … by Horner's rule; `x` is a local. */
function polynomial(x: Expr, coefficients: readonly number[]): Expr {
  let result = constant('f32', coefficients[coefficients.length - 1], x.type.lanes)
  for (let i = coefficients.length - 2; i >= 0; i--) result = fma(result, x, coefficients[i])
  return result
}

/** Whether the target calls it; the wide functions below ask first. */
function intrinsic(k: KernelBuilder, name: IntrinsicName, a: Expr): Expr | undefined {
  return k.target.math === 'intrinsic' ? k.let({ op: 'intrinsic', type: a.type, name, a }, name) : undefined
}

/** The magnitude of `a` with the sign of `b`. */
function copySign(k: KernelBuilder, a: Expr, b: Expr): Expr {
  const magnitude = and(bitcast(a, 'i32'), ~signBit)
  return k.let(bitcast(or(magnitude, and(bitcast(b, 'i32'), signBit)), 'f32'))
}

// exp and its family: x = n ln 2 + r, |r| ≤ ln 2 / 2, e^x = 2^n e^r.

interface ReducedExponent {
  /** magic + n: the low bits hold the integer n. */
  readonly shifted: Expr
  /** e^r - 1 */
  readonly fraction: Expr
}

// (e^r - 1 - r) / r², relative error of e^r - 1 below 1.4e-8
const expPolynomial = [0.5, 0.1666654348, 0.04166628048, 0.008366581984, 0.001394644845]

function reduceExponent(k: KernelBuilder, x: Expr): ReducedExponent {
  const shifted = k.let(fma(x, Math.LOG2E, magic))
  const n = k.let(sub(shifted, magic))
  const rough = k.let(fma(n, -ln2High, x))
  const r = k.let(fma(n, -ln2Low, rough), 'r')
  const square = k.let(mul(r, r))
  return { shifted, fraction: k.let(fma(square, polynomial(r, expPolynomial), r)) }
}

/** 2^(n + bias) for the n in the low bits of `shifted`; n + bias lies in -127 … 127, and -127 gives 0. */
function powerOfTwo(k: KernelBuilder, shifted: Expr, bias: number): Expr {
  return k.let(bitcast(shl(add(bitcast(shifted, 'i32'), 127 + bias), 23), 'f32'))
}

/** The largest f32 whose exp is finite, and the smallest whose exp is at least 2^-126. */
const expHigh = 88.72283172607422
const expLow = -87.33654022216797

/** e^x; 0 where the result is below 2^-126. */
export function exp(k: KernelBuilder, a: Expr): Expr {
  const call = intrinsic(k, 'exp', a)
  if (call !== undefined) return call
  const x = k.let(a)
  const { shifted, fraction } = reduceExponent(k, x)
  // Adding n to the exponent field never overflows: where n is 128, e^r is below 1.
  const mantissa = bitcast(add(fraction, 1), 'i32')
  const result = bitcast(add(mantissa, shl(bitcast(shifted, 'i32'), 23)), 'f32')
  const flushed = k.let(select(lt(x, expLow), 0, result))
  return k.let(select(le(x, expHigh), flushed, add(x, Number.POSITIVE_INFINITY)))
}

/** e^x - 1 for x in -87 … 88.7, accurate near 0. */
function expm1Inside(k: KernelBuilder, x: Expr): Expr {
  const { shifted, fraction } = reduceExponent(k, x)
  const half = powerOfTwo(k, shifted, -1)
  const result = k.let(fma(fraction, half, sub(half, 0.5)))
  return k.let(add(result, result))
}

/** e^x - 1, accurate near 0. */
export function expm1(k: KernelBuilder, a: Expr): Expr {
  const call = intrinsic(k, 'expm1', a)
  if (call !== undefined) return call
  const x = k.let(a)
  const result = expm1Inside(k, k.let(max(x, -20)))
  return k.let(select(le(x, expHigh), result, add(x, Number.POSITIVE_INFINITY)))
}

/** 1 / (1 + e^-x), accurate on both sides; 0 where the result is below 2^-126. */
export function sigmoid(k: KernelBuilder, x: Expr): Expr {
  return k.let(div(constant('f32', 1, x.type.lanes), add(exp(k, neg(x)), 1)))
}

/** Hyperbolic tangent, accurate near 0: (e^2a - 1) / (e^2a + 1) for a = |x|. */
export function tanh(k: KernelBuilder, a: Expr): Expr {
  const call = intrinsic(k, 'tanh', a)
  if (call !== undefined) return call
  const x = k.let(a)
  // tanh(10) is 1 in f32.
  const magnitude = k.let(min(abs(x), 10))
  const e = expm1Inside(k, k.let(add(magnitude, magnitude)))
  return copySign(k, k.let(div(e, add(e, 2))), x)
}

// erf(x) / x - 1 in x² for |x| ≤ 0.9, relative error 1.2e-8
const erfNear = [0.1283791512, -0.3761252463, 0.1128214076, -0.02677890845, 0.005011962727, -0.0006090360112]
// -ln(1 - erf(x)) for 0.9 ≤ x ≤ 3.95, relative error of erf 2.8e-8
const erfFar = [0.001822255785, 1.120397806, 0.6504537463, 0.09132283181, -0.01565258019, 0.001261385856]
const erfBorder = 0.9

/** The error function, accurate near 0. */
export function erf(k: KernelBuilder, a: Expr): Expr {
  const call = intrinsic(k, 'erf', a)
  if (call !== undefined) return call
  const x = k.let(a)
  const magnitude = k.let(abs(x))
  const near = k.let(fma(polynomial(k.let(mul(x, x)), erfNear), x, x))
  // erf(4) is 1 in f32.
  const { shifted, fraction } = reduceExponent(k, k.let(neg(polynomial(k.let(min(magnitude, 4)), erfFar))))
  const complement = k.let(mul(add(fraction, 1), powerOfTwo(k, shifted, 0)))
  const far = copySign(k, k.let(sub(1, complement)), x)
  return k.let(select(lt(magnitude, erfBorder), near, far))
}

// Logarithms: u = 2^e m, m in √½ … √2, f = m - 1, s = f / (2 + f), ln m = f - f²/2 + s (f²/2 + R(s²)).

// R(z) / z for ln m = 2 s + s R(s²), relative error of ln m below 2e-9
const logPolynomial = [0.6666677594, 0.3997748196, 0.2987349927]
/** Bits of √½: what lies below it in a mantissa belongs to the exponent before. */
const sqrtHalfBits = 0x3f3504f3

/** ln u + correction + exponent · ln 2 for normal positive u. */
function logInside(k: KernelBuilder, u: Expr, correction: Expr | undefined, exponent: Expr | undefined): Expr {
  const bits = k.let(bitcast(u, 'i32'))
  const power = k.let(shr(sub(bits, sqrtHalfBits), 23))
  const f = k.let(sub(bitcast(sub(bits, shl(power, 23)), 'f32'), 1), 'f')
  const ownExponent = convert(power, 'f32')
  const e = k.let(exponent === undefined ? ownExponent : add(ownExponent, exponent), 'e')
  const s = k.let(div(f, add(f, 2)), 's')
  const z = k.let(mul(s, s), 'z')
  const r = mul(z, polynomial(z, logPolynomial))
  const halfSquare = k.let(mul(mul(f, 0.5), f))
  const low = correction === undefined ? mul(e, ln2Low) : fma(e, ln2Low, correction)
  const tail = k.let(sub(fma(s, add(halfSquare, r), low), halfSquare))
  return k.let(fma(e, ln2High, add(f, tail)))
}

/** `result` for 0 < u < ∞; -∞ at 0, NaN below, u itself for ∞ and NaN. */
function logDomain(k: KernelBuilder, u: Expr, result: Expr): Expr {
  const outside = select(eq(u, 0), Number.NEGATIVE_INFINITY, constant('f32', Number.NaN, u.type.lanes))
  const finite = k.let(select(lt(u, Number.POSITIVE_INFINITY), result, u))
  return k.let(select(le(u, 0), outside, finite))
}

/** Natural logarithm; values below 2^-126 included. */
export function log(k: KernelBuilder, a: Expr): Expr {
  const call = intrinsic(k, 'log', a)
  if (call !== undefined) return call
  const x = k.let(a)
  const tiny = lt(x, 2 ** -126)
  const u = k.let(select(tiny, mul(x, 2 ** 23), x))
  const exponent = k.let(select(tiny, constant('f32', -23, x.type.lanes), 0))
  return logDomain(k, x, logInside(k, u, undefined, exponent))
}

/** ln(1 + x), accurate near 0: what 1 + x loses by rounding is added to its logarithm. */
export function log1p(k: KernelBuilder, a: Expr): Expr {
  const call = intrinsic(k, 'log1p', a)
  if (call !== undefined) return call
  const x = k.let(a)
  const u = k.let(add(x, 1), 'u')
  const lost = k.let(div(sub(x, sub(u, 1)), u))
  return logDomain(k, u, logInside(k, u, lost, undefined))
}

// sin and cos: x = n π/2 + r, |r| ≤ π/4.

// (sin r - r) / r³ and (cos r - 1 + r²/2) / r⁴ in r², errors below 4e-9 and 1e-10
const sinPolynomial = [-0.1666665524, 0.008332171477, -0.0001951630547]
const cosPolynomial = [0.04166664556, -0.001388735604, 2.443710946e-5]

function sine(k: KernelBuilder, a: Expr, quarterTurns: number): Expr {
  const x = k.let(a)
  const shifted = k.let(fma(x, 2 / Math.PI, magic))
  const n = k.let(sub(shifted, magic))
  let r = x
  for (const part of halfPi) r = k.let(fma(n, -part, r), 'r')
  // Far outside the promised range, where n is no longer right, the result still lies in -1 … 1.
  r = k.let(max(min(r, 0.8), -0.8), 'r')
  const square = k.let(mul(r, r))
  const sinR = k.let(fma(mul(r, square), polynomial(square, sinPolynomial), r))
  const cosR = k.let(fma(mul(square, square), polynomial(square, cosPolynomial), sub(1, mul(square, 0.5))))
  const quadrant = k.let(add(bitcast(shifted, 'i32'), quarterTurns))
  const value = select(eq(and(quadrant, 1), 0), sinR, cosR)
  // Bit 1 of the quadrant is the sign.
  const sign = shl(and(quadrant, 2), 30)
  const signed = add(bitcast(value, 'i32'), sign)
  return k.let(bitcast(signed, 'f32'))
}

/** Sine of |x| ≤ 8192; beyond, accuracy is lost bit by bit. */
export function sin(k: KernelBuilder, x: Expr): Expr {
  return intrinsic(k, 'sin', x) ?? sine(k, x, 0)
}

/** Cosine of |x| ≤ 8192; beyond, accuracy is lost bit by bit. */
export function cos(k: KernelBuilder, x: Expr): Expr {
  return intrinsic(k, 'cos', x) ?? sine(k, x, 1)
}

/**
 * x^y as e^(y ln |x|): the relative error is about |y ln x| · 6e-8. A negative x takes integer y; x^0 is 1. An infinite
 * y with |x| = 1 gives NaN.
 */
export function pow(k: KernelBuilder, base: Expr, exponent: Expr): Expr {
  const x = k.let(base)
  const y = k.let(exponent)
  const magnitude = exp(k, k.let(mul(y, log(k, k.let(abs(x))))))
  const half = k.let(mul(y, 0.5))
  const whole = k.let(eq(floor(y), y))
  const odd = and(whole, ne(floor(half), half))
  const ofNegative = select(whole, select(odd, neg(magnitude), magnitude), constant('f32', Number.NaN, x.type.lanes))
  const result = k.let(select(lt(x, 0), ofNegative, magnitude))
  return k.let(select(eq(y, 0), constant('f32', 1, x.type.lanes), result))
}
