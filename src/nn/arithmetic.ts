/** Arithmetic as layers: with one input, with a number, and between inputs of a graph. */
import { ConfigError, checkOptions, DTypeError, didYouMean, ShapeError } from '../base/errors.ts'
import { type Shape, showShape, sizeOf } from '../base/shape.ts'
import * as t from '../tensor/index.ts'
import { type Json, joiningLayer, type Layer, where as placeOf, type Scope } from './layer.ts'

type Options = { readonly [name: string]: Json }

/** A name of a table. @throws ConfigError on any other */
function known<T extends string>(layer: string, names: { readonly [K in T]: unknown }, op: string): T {
  if (Object.hasOwn(names, op)) return op as T
  const all = Object.keys(names)
  throw new ConfigError({
    where: `nn.${layer}`,
    what: `there is no operation '${op}'`,
    expected: all.join(', '),
    fix: didYouMean(op, all),
  })
}

/** tan(θ / 2) from tan(θ). */
const halfAngle = (x: t.Tensor): t.Tensor => x.div(t.sqrt(x.square().add(1)).add(1))

/** An eighth of the angle is below 0.2, where five terms of the series give seven digits. */
function arctangent(x: t.Tensor): t.Tensor {
  const z = halfAngle(halfAngle(halfAngle(x.clamp(-1e9, 1e9))))
  const square = z.square()
  const series = [-7, 5, -3].reduce((sum, n) => sum.mul(square).add(1 / n), square.mul(1 / 9))
  return series.mul(square).add(1).mul(z).mul(8)
}

const arcsine = (x: t.Tensor): t.Tensor => arctangent(x.div(t.sqrt(x.square().neg().add(1)).add(1))).mul(2)
const inverseTanh = (x: t.Tensor): t.Tensor => t.log1p(x).sub(t.log1p(x.neg())).mul(0.5)

/**
 * By tanh where that is exact, by logarithms beyond: ln a + ln(1 + √(1 + 1/a²)), in which nothing overflows. The branch that
 * is not taken gets a number at which its gradient is finite.
 */
function inverseSinh(x: t.Tensor): t.Tensor {
  const near = x.abs().less(1)
  const inner = t.where(near, x, 0)
  const outer = t.where(near, 1, x.abs())
  const far = t.log(outer).add(t.log1p(t.sqrt(t.reciprocal(outer).square().add(1))))
  const small = inverseTanh(inner.div(t.sqrt(inner.square().add(1))))
  return t.where(near, small, t.where(x.less(0), far.neg(), far))
}

/** ln(1 + d + √(d (d + 2))) with d = x - 1; below 1 there is none. */
function inverseCosh(x: t.Tensor): t.Tensor {
  const above = x.sub(1)
  return t.log1p(
    t
      .sqrt(above)
      .mul(t.sqrt(above.add(2)))
      .add(above),
  )
}

const unaries = {
  abs: (x) => x.abs(),
  neg: (x) => x.neg(),
  sign: t.sign,
  square: (x) => x.square(),
  sqrt: t.sqrt,
  rsqrt: t.rsqrt,
  reciprocal: t.reciprocal,
  exp: t.exp,
  expm1: t.expm1,
  log: t.log,
  log1p: t.log1p,
  sin: t.sin,
  cos: t.cos,
  tan: (x) => t.sin(x).div(t.cos(x)),
  sinh: (x) => t.expm1(x).sub(t.expm1(x.neg())).mul(0.5),
  cosh: (x) => t.exp(x).add(t.exp(x.neg())).mul(0.5),
  asin: arcsine,
  acos: (x) =>
    arcsine(x)
      .neg()
      .add(Math.PI / 2),
  atan: arctangent,
  asinh: inverseSinh,
  acosh: inverseCosh,
  atanh: inverseTanh,
  erf: t.erf,
  floor: t.floor,
  ceil: t.ceil,
  round: t.round,
  not: (x) => t.logicalNot(x.cast('bool')),
  isNaN: t.isNan,
  isFinite: t.isFiniteNumber,
  isInfinite: (x) => t.logicalNot(t.logicalOr(t.isFiniteNumber(x), t.isNan(x))),
} as const satisfies Readonly<Record<string, (x: t.Tensor) => t.Tensor>>
export type UnaryName = keyof typeof unaries

/** A function of every value by itself. `round` takes the even one of two neighbours; `not` reads numbers as truth. */
export function unary(op: UnaryName): Layer {
  const apply = unaries[known('unary', unaries, op)]
  return { type: 'unary', options: { op }, build: (_scope, input) => ({ output: input, apply }) }
}

type Operand = t.TensorLike
const asBool = (x: t.Tensor): t.Tensor => (x.dtype === 'bool' ? x : x.notEqual(0))
const truth = (x: Operand): t.Tensor => (typeof x === 'number' ? t.tensor([x]).notEqual(0) : asBool(x))

/** Remainders: that of `mod` has the sign of b, as in Python; that of `fmod` the sign of a, as in C. */
const quotient = (a: t.Tensor, b: Operand): t.Tensor => a.div(b)
const truncated = (x: t.Tensor): t.Tensor => t.where(x.less(0), t.ceil(x), t.floor(x))

const binaries = {
  add: (a, b) => a.add(b),
  sub: (a, b) => a.sub(b),
  mul: (a, b) => a.mul(b),
  div: (a, b) => a.div(b),
  pow: (a, b) => a.pow(b),
  min: (a, b) => a.minimum(b),
  max: (a, b) => a.maximum(b),
  mod: (a, b) => a.sub(t.floor(quotient(a, b)).mul(b)),
  fmod: (a, b) => a.sub(truncated(quotient(a, b)).mul(b)),
  equal: (a, b) => a.equal(b),
  notEqual: (a, b) => a.notEqual(b),
  less: (a, b) => a.less(b),
  lessEqual: (a, b) => a.lessEqual(b),
  greater: (a, b) => a.greater(b),
  greaterEqual: (a, b) => a.greaterEqual(b),
  and: (a, b) => t.logicalAnd(asBool(a), truth(b)),
  or: (a, b) => t.logicalOr(asBool(a), truth(b)),
  xor: (a, b) => t.logicalXor(asBool(a), truth(b)),
} as const satisfies Readonly<Record<string, (a: t.Tensor, b: Operand) => t.Tensor>>
export type BinaryName = keyof typeof binaries

/** Shape of samples of several shapes together: NumPy's broadcasting, from the last axis on. */
export function commonShape(scope: Scope, type: string, shapes: readonly Shape[]): Shape {
  const rank = Math.max(...shapes.map((shape) => shape.length))
  return Array.from({ length: rank }, (_, axis) => {
    const extents = shapes.map((shape) => shape[shape.length - rank + axis] ?? 1)
    const extent = extents.find((one) => one !== 1) ?? 1
    if (extents.every((one) => one === 1 || one === extent)) return extent
    throw new ShapeError({
      where: placeOf(scope, type),
      what: 'the inputs do not fit each other',
      got: shapes.map(showShape).join(' and '),
      expected: 'extents that are equal or 1, from the last axis on',
      fix: 'correct the wires of the graph, or reshape one of the inputs',
    })
  })
}

/** `x` with axes of 1 between the batch and its samples, so that these have `rank` axes. */
export function withRank(x: t.Tensor, rank: number): t.Tensor {
  const missing = rank + 1 - x.ndim
  if (missing <= 0) return x
  return x.reshape([x.shape[0], ...new Array<number>(missing).fill(1), ...x.shape.slice(1)])
}

/**
 * Arithmetic between two inputs, with broadcasting: samples are aligned from their last axis. `and`, `or` and `xor` read
 * numbers as truth.
 */
export function binary(op: BinaryName): Layer {
  const apply = binaries[known('binary', binaries, op)]
  return joiningLayer({
    type: 'binary',
    options: { op },
    arity: 2,
    join(scope, inputs) {
      const output = commonShape(scope, 'binary', inputs)
      return { output, apply: ([a, b]) => apply(withRank(a, output.length), withRank(b, output.length)) }
    },
    cost: (_input, output) => ({ multiplyAdds: op === 'mul' || op === 'div' ? sizeOf(output) : 0 }),
  })
}

/** The sum of two inputs. */
export const add = (): Layer => binary('add')
/** The product of two inputs. */
export const multiply = (): Layer => binary('mul')

/**
 * Arithmetic with a number: x op value, or value op x when reversed. The number is of the type of x.
 * @throws ConfigError on a number that is not finite
 * @throws DTypeError, when it is applied, where x holds whole numbers and the value is none: it would be cut off
 */
export function scalar(op: BinaryName, value: number, options: { readonly reverse?: boolean } = {}): Layer {
  const apply = binaries[known('scalar', binaries, op)]
  checkOptions('nn.scalar', options, ['reverse'])
  if (!Number.isFinite(value)) {
    throw new ConfigError({
      where: 'nn.scalar',
      what: 'the value makes no sense',
      got: String(value),
      expected: 'a finite number',
      fix: 'correct the value',
    })
  }
  const { reverse = false } = options
  return {
    type: 'scalar',
    options: { op, value, ...(reverse ? { reverse } : {}) },
    build: (scope, input) => ({
      output: input,
      apply(x) {
        if (!Number.isInteger(value) && x.dtype !== 'f32') {
          throw new DTypeError({
            where: placeOf(scope, 'scalar'),
            what: 'whole numbers meet a number that is none',
            got: `x of ${x.dtype}, ${op} ${value}`,
            expected: 'x of f32, or a whole number',
            fix: "put nn.cast('f32') in front",
          })
        }
        return reverse ? apply(t.tensor([value]).cast(x.dtype), x) : apply(x, value)
      },
    }),
  }
}

/** Values held between min and max, either of which may be left out. @throws ConfigError when min is above max */
export function clamp(options: { readonly min?: number; readonly max?: number }): Layer {
  checkOptions('nn.clamp', options, ['min', 'max'])
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = options
  if (!(min <= max)) {
    throw new ConfigError({
      where: 'nn.clamp',
      what: 'the range is empty',
      got: `min ${min}, max ${max}`,
      expected: 'min at most max',
      fix: 'correct the limits',
    })
  }
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => Number.isFinite(value))) as Options
  return {
    type: 'clamp',
    options: given,
    build: (_scope, input) => ({
      output: input,
      apply(x) {
        if (min === Number.NEGATIVE_INFINITY) return max === Number.POSITIVE_INFINITY ? x : x.minimum(max)
        return max === Number.POSITIVE_INFINITY ? x.maximum(min) : x.clamp(min, max)
      },
    }),
  }
}

/** Values of the second input where the first is true (or not 0), of the third elsewhere, with broadcasting. */
export const where = (): Layer =>
  joiningLayer({
    type: 'where',
    options: {},
    arity: 3,
    join(scope, inputs) {
      const output = commonShape(scope, 'where', inputs)
      return {
        output,
        apply(xs) {
          const [condition, a, b] = xs.map((x) => withRank(x, output.length))
          return t.where(asBool(condition), a, b)
        },
      }
    },
  })

/** Matrix products of the last two axes of two inputs, a […, m, k] · b […, k, n]; a sample of one axis is a row or a column. */
export const matmul = (): Layer =>
  joiningLayer({
    type: 'matmul',
    options: {},
    arity: 2,
    join(scope, [a, b]) {
      const [row, column] = [a.length === 1, b.length === 1]
      const left = row ? [1, ...a] : a
      const right = column ? [...b, 1] : b
      if (a.length === 0 || b.length === 0 || left[left.length - 1] !== right[right.length - 2]) {
        throw new ShapeError({
          where: placeOf(scope, 'matmul'),
          what: 'the inputs cannot be multiplied as matrices',
          got: `${showShape(a)} and ${showShape(b)}`,
          expected: '[…, m, k] and […, k, n] with the same k',
          fix: 'correct the wires of the graph, or permute one of the inputs',
        })
      }
      const batch = commonShape(scope, 'matmul', [left.slice(0, -2), right.slice(0, -2)])
      const full = [...batch, left[left.length - 2], right[right.length - 1]]
      const output = [...batch, ...(row ? [] : full.slice(-2, -1)), ...(column ? [] : full.slice(-1))]
      const as = (x: t.Tensor, shape: Shape) => withRank(x.reshape([x.shape[0], ...shape]), full.length)
      return {
        output,
        apply: ([x, y], count) =>
          as(x, left)
            .matmul(as(y, right))
            .reshape([count, ...output]),
      }
    },
    cost: (input, output) => ({ multiplyAdds: sizeOf(output) * (input[input.length - 1] ?? 1) }),
  })

/** Values of another type: numbers lose what it can't hold; `bool` says what is not 0. */
export function cast(dtype: 'f32' | 'i32' | 'u8' | 'bool'): Layer {
  known('cast', { f32: 0, i32: 0, u8: 0, bool: 0 }, dtype)
  return {
    type: 'cast',
    options: { dtype },
    build: (_scope, input) => ({ output: input, apply: (x) => x.cast(dtype) }),
  }
}

/** What arrives, under another name. */
export const identity = (): Layer => ({
  type: 'identity',
  options: {},
  build: (_scope, input) => ({ output: input, apply: (x) => x }),
  cost: () => ({ multiplyAdds: 0, inPlace: true }),
})
