/** Activations: each is one step of a chain, and its gradient reads no more than it must. */
import { ConfigError } from '../base/errors.ts'
import { makeNode, type Node } from '../graph/node.ts'
import type { MapOp } from '../graph/op.ts'
import * as e from '../kernel/expression.ts'
import * as math from '../kernel/math.ts'
import {
  abs,
  add,
  clamp,
  div,
  exp,
  greater,
  less,
  like,
  logicalOr,
  mul,
  neg,
  select,
  square,
  sub,
  tanh,
} from './elementwise.ts'
import { binaryOp, unary, unaryOp, unaryOpWith } from './map-op.ts'
import { checkFinite, type NoAttributes, noAttributes } from './operands.ts'

// y = max(x, 0), NaN stays;  dx = g where y > 0: only y is kept
export const reluOp = unaryOp(
  'relu',
  (_k, x) => e.max(x, 0),
  (g, _x, y) => makeNode(reluMaskOp, [y, g], noAttributes),
)
/** max(x, 0) */
export const relu = unary(reluOp)

// z = g where y > 0, 0 elsewhere;  dg = the same of what arrives
export const reluMaskOp: MapOp<NoAttributes> = binaryOp(
  'reluMask',
  (_k, y, g) => e.select(e.gt(y, 0), g, 0),
  (upstream, y) => [undefined, makeNode(reluMaskOp, [y, upstream], noAttributes)],
)

// y = min(max(x, 0), 6), NaN stays;  dx = g where 0 < y < 6: only y is kept
export const relu6Op = unaryOp(
  'relu6',
  (_k, x) => e.min(e.max(x, 0), 6),
  (g, _x, y) => makeNode(relu6MaskOp, [y, g], noAttributes),
)
/** min(max(x, 0), 6) */
export const relu6 = unary(relu6Op)

// z = g where 0 < y < 6, 0 elsewhere;  dg = the same of what arrives
export const relu6MaskOp: MapOp<NoAttributes> = binaryOp(
  'relu6Mask',
  (_k, y, g) => e.select(e.and(e.gt(y, 0), e.lt(y, 6)), g, 0),
  (upstream, y) => [undefined, makeNode(relu6MaskOp, [y, upstream], noAttributes)],
)

interface Slope {
  readonly slope: number
}
// y = x where x > 0, slope · x elsewhere;  dx = g or slope · g. With a positive slope y has the sign of x: x is not kept.
export const leakyReluOp = unaryOpWith<Slope>(
  'leakyRelu',
  (_k, x, { slope }) => e.select(e.gt(x, 0), x, e.mul(x, slope)),
  (g, x, y, { slope }) => select(greater(slope > 0 ? y : x, like(y, 0)), g, mul(g, like(g, slope))),
)
/** x where positive, slope · x elsewhere. @throws ConfigError unless the slope is finite */
export function leakyRelu(x: Node, slope = 0.01): Node {
  checkFinite('leakyRelu', 'slope', slope)
  return makeNode(leakyReluOp, [x], { slope })
}

interface Alpha {
  readonly alpha: number
}
// y = x where x > 0, α(eˣ - 1) elsewhere;  dx = g or g · (y + α)
export const eluOp = unaryOpWith<Alpha>(
  'elu',
  (k, x, { alpha }) => e.select(e.gt(x, 0), x, e.mul(math.expm1(k, x), alpha)),
  (g, x, y, { alpha }) => select(greater(alpha >= 0 ? y : x, like(y, 0)), g, mul(g, add(y, like(y, alpha)))),
)
/** x where positive, alpha · (eˣ - 1) elsewhere. @throws ConfigError unless alpha is finite */
export function elu(x: Node, alpha = 1): Node {
  checkFinite('elu', 'alpha', alpha)
  return makeNode(eluOp, [x], { alpha })
}

// y = 1 / (1 + e⁻ˣ);  dx = g · y · (1 - y)
export const sigmoidOp = unaryOp('sigmoid', math.sigmoid, (g, _x, y) => mul(mul(g, y), sub(like(y, 1), y)))
/** 1 / (1 + e⁻ˣ) */
export const sigmoid = unary(sigmoidOp)

// y = x · σ(x);  dx = g · σ(x) · (1 + x · (1 - σ(x)))
export const siluOp = unaryOp(
  'silu',
  (k, x) => e.mul(x, math.sigmoid(k, x)),
  (g, x) => {
    const s = sigmoid(x)
    return mul(mul(g, s), add(like(x, 1), mul(x, sub(like(x, 1), s))))
  },
)
/** x · sigmoid(x) */
export const silu = unary(siluOp)

// Φ(x) = ½ (1 + erf(x / √2)), the normal distribution
export const normalDistributionOp = unaryOp(
  'normalDistribution',
  (k, x) => e.mul(e.add(math.erf(k, e.mul(x, Math.SQRT1_2)), 1), 0.5),
  (g, x) => mul(g, normalDensity(x)),
)
/** φ(x) = e^(-x²/2) / √(2π) */
function normalDensity(x: Node): Node {
  return mul(exp(mul(square(x), like(x, -0.5))), like(x, 1 / Math.sqrt(2 * Math.PI)))
}

// y = x · Φ(x);  dx = g · (Φ(x) + x · φ(x))
export const geluOp = unaryOp(
  'gelu',
  (k, x) => e.mul(x, e.mul(e.add(math.erf(k, e.mul(x, Math.SQRT1_2)), 1), 0.5)),
  (g, x) => mul(g, add(makeNode(normalDistributionOp, [x], noAttributes), mul(x, normalDensity(x)))),
)

const geluScale = Math.sqrt(2 / Math.PI)
const geluCubic = 0.044715
const geluInner = (x: ReturnType<typeof e.int>) => e.mul(x, e.add(e.mul(e.mul(x, x), geluScale * geluCubic), geluScale))

// t = tanh(√(2/π) (x + 0.044715 x³));  dt = g · (1 - t²) · √(2/π) (1 + 3 · 0.044715 x²)
export const geluTanhInnerOp: MapOp<NoAttributes> = unaryOp(
  'geluTanhInner',
  (k, x) => math.tanh(k, k.let(geluInner(x))),
  (g, x, t) => mul(mul(g, sub(like(t, 1), square(t))), geluInnerSlope(x)),
)
const geluInnerSlope = (x: Node): Node => add(mul(square(x), like(x, 3 * geluScale * geluCubic)), like(x, geluScale))

// y = ½ x (1 + t), t as above;  dx = g · (½ (1 + t) + ½ x (1 - t²) · √(2/π) (1 + 3 · 0.044715 x²))
export const geluTanhOp = unaryOp(
  'geluTanh',
  (k, x) => e.mul(e.mul(x, 0.5), e.add(math.tanh(k, k.let(geluInner(x))), 1)),
  (g, x) => {
    const t = makeNode(geluTanhInnerOp, [x], noAttributes)
    const bend = mul(mul(x, sub(like(x, 1), square(t))), geluInnerSlope(x))
    return mul(mul(g, like(g, 0.5)), add(add(t, like(x, 1)), bend))
  },
)
/** x · Φ(x); `tanh` is the usual approximation. */
export function gelu(x: Node, form: 'erf' | 'tanh' = 'erf'): Node {
  return makeNode(form === 'erf' ? geluOp : geluTanhOp, [x], noAttributes)
}

// y = ln(1 + eˣ) = max(x, 0) + ln(1 + e^-|x|);  dx = g · σ(x)
export const softplusOp = unaryOp(
  'softplus',
  (k, x) => e.add(e.max(x, 0), math.log1p(k, math.exp(k, k.let(e.neg(e.abs(x)))))),
  (g, x) => mul(g, sigmoid(x)),
)
/** ln(1 + eˣ), without overflow. */
export const softplus = unary(softplusOp)

const hardSigmoidOf = (x: ReturnType<typeof e.int>) => e.min(e.max(e.add(e.mul(x, 1 / 6), 0.5), 0), 1)

// y = min(max(x/6 + ½, 0), 1);  dx = g/6 where 0 < y < 1
export const hardSigmoidOp = unaryOp(
  'hardSigmoid',
  (_k, x) => hardSigmoidOf(x),
  (g, _x, y) => {
    const zero = like(g, 0)
    return select(greater(y, zero), select(greater(like(y, 1), y), mul(g, like(g, 1 / 6)), zero), zero)
  },
)
/**
 * alpha · x + beta held between 0 and 1. Default x/6 + ½, as in PyTorch and Howard et al. 2019; ONNX's default is
 * 0.2 x + 0.5.
 * @throws ConfigError unless both are finite
 */
export function hardSigmoid(x: Node, alpha = 1 / 6, beta = 0.5): Node {
  if (alpha === 1 / 6 && beta === 0.5) return makeNode(hardSigmoidOp, [x], noAttributes)
  checkFinite('hardSigmoid', 'alpha', alpha)
  checkFinite('hardSigmoid', 'beta', beta)
  return clamp(add(mul(x, like(x, alpha)), like(x, beta)), 0, 1)
}

// y = x · hardSigmoid(x);  dx = 0 for x ≤ -3, g for x ≥ 3, g · (x/3 + ½) between
export const hardSwishOp = unaryOp(
  'hardSwish',
  (_k, x) => e.mul(x, hardSigmoidOf(x)),
  (g, x) => {
    const inside = mul(g, add(mul(x, like(x, 1 / 3)), like(x, 0.5)))
    return select(greater(x, like(x, -3)), select(greater(like(x, 3), x), inside, g), like(g, 0))
  },
)
/** x · hardSigmoid(x) (Howard et al. 2019). */
export const hardSwish = unary(hardSwishOp)

// What follows is made of the ops above; the steps become one kernel.

/** ln σ(x) */
export const logSigmoid = (x: Node): Node => neg(softplus(neg(x)))

/** x / (1 + |x|) */
export const softsign = (x: Node): Node => div(x, add(abs(x), like(x, 1)))

/** x · tanh(softplus(x)) (Misra 2019) */
export const mish = (x: Node): Node => mul(x, tanh(softplus(x)))

/** γ · elu(x, α): keeps mean and variance (Klambauer et al. 2017, "Self-normalizing neural networks", equation 2). */
export function selu(x: Node, alpha = 1.6732632423543772, gamma = 1.0507009873554805): Node {
  checkFinite('selu', 'gamma', gamma)
  return mul(elu(x, alpha), like(x, gamma))
}

/** x where positive, alpha · (e^(x/alpha) - 1) elsewhere (Barron 2017). @throws ConfigError unless alpha is positive */
export function celu(x: Node, alpha = 1): Node {
  if (!(alpha > 0 && Number.isFinite(alpha))) {
    throw new ConfigError({
      where: 'celu',
      what: 'alpha makes no sense',
      got: String(alpha),
      expected: 'a positive number',
      fix: 'correct alpha',
    })
  }
  return mul(elu(mul(x, like(x, 1 / alpha))), like(x, alpha))
}

/**
 * x where positive, slope · x elsewhere, with slopes that are learned (He et al. 2015, "Delving deep into rectifiers").
 * @param slope broadcast along the last axes of x: [1], [channels], …
 * @throws ShapeError, DTypeError
 */
export function prelu(x: Node, slope: Node): Node {
  return select(greater(x, like(x, 0)), x, mul(x, slope))
}

/** x held between two numbers, default -1 and 1. @throws ConfigError when the lower one is not below */
export const hardTanh = (x: Node, low = -1, high = 1): Node => clamp(x, low, high)

/** x above alpha, 0 elsewhere. @throws ConfigError unless alpha is finite */
export function thresholdedRelu(x: Node, alpha = 1): Node {
  checkFinite('thresholdedRelu', 'alpha', alpha)
  return select(greater(x, like(x, alpha)), x, like(x, 0))
}

/**
 * Values within ±lambda become 0, others move towards 0 by `bias`: PyTorch's Hardshrink with bias 0, its Softshrink with
 * bias lambda.
 * @throws ConfigError unless both are finite
 */
export function shrink(x: Node, lambda = 0.5, bias = 0): Node {
  checkFinite('shrink', 'lambda', lambda)
  checkFinite('shrink', 'bias', bias)
  const [above, below] = [greater(x, like(x, lambda)), less(x, like(x, -lambda))]
  if (bias === 0) return select(logicalOr(above, below), x, like(x, 0))
  return select(above, sub(x, like(x, bias)), select(below, add(x, like(x, bias)), like(x, 0)))
}
