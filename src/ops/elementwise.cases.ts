import type { DType } from '../base/dtype.ts'
import type { Shape } from '../base/shape.ts'
import { constantNode, type Node } from '../graph/node.ts'
import type { Op } from '../graph/op.ts'
import { at, type CaseInput, type OpCase, tabulate, type Values } from '../testing/case.ts'
import * as o from './elementwise.ts'
import * as shapes from './shape-ops.ts'

/** The element that NumPy's broadcasting puts at an index of the result. */
function spreadAt(values: Values, index: readonly number[]): number {
  const missing = index.length - values.shape.length
  return at(
    values,
    values.shape.map((extent, axis) => (extent === 1 ? 0 : index[axis + missing])),
  )
}

type Range = readonly [number, number]

/** One function of one number on an odd shape. */
function unary(
  name: string,
  op: Op,
  build: (x: Node) => Node,
  f: (x: number) => number,
  input: Partial<CaseInput> = {},
  more: Partial<OpCase> = {},
): OpCase {
  return {
    name,
    ops: [op],
    inputs: [{ shape: [3, 1, 17], range: [-2, 2], ...input }],
    build,
    reference: (x) => tabulate(x.shape, (i) => f(at(x, i))),
    ...more,
  }
}

function binary(
  name: string,
  ops: readonly Op[],
  build: (a: Node, b: Node) => Node,
  f: (a: number, b: number) => number,
  a: CaseInput,
  b: CaseInput,
  shape: Shape,
  more: Partial<OpCase> = {},
): OpCase {
  return {
    name,
    ops,
    inputs: [a, b],
    build,
    reference: (x, y) => tabulate(shape, (i) => f(spreadAt(x, i), spreadAt(y, i))),
    ...more,
  }
}

/** Σ (-1)ⁿ x²ⁿ⁺¹ / (n! (2n + 1)) · 2/√π, enough terms for |x| ≤ 3. */
export function erfSeries(x: number): number {
  let sum = 0
  let power = x
  for (let n = 0; n < 80; n++) {
    sum += power / (2 * n + 1)
    power *= -(x * x) / (n + 1)
  }
  return (sum * 2) / Math.sqrt(Math.PI)
}

const evenRound = (x: number): number => {
  const low = Math.floor(x)
  const rest = x - low
  if (rest !== 0.5) return Math.round(x)
  return low % 2 === 0 ? low : low + 1
}

const shape = [5, 33]
const positive: Range = [0.3, 3]
const special = [Number.NaN, 1, -1, 0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2.5]
const specials = (values = special): CaseInput => ({ shape: [values.length], values })
const kink = 'a kink or flat'

const arithmetic: OpCase[] = [
  binary('add', [o.addOp], o.add, (a, b) => a + b, { shape }, { shape }, shape),
  binary('sub', [o.subOp], o.sub, (a, b) => a - b, { shape }, { shape }, shape),
  binary('mul', [o.mulOp], o.mul, (a, b) => a * b, { shape }, { shape }, shape),
  binary('div', [o.divOp], o.div, (a, b) => a / b, { shape }, { shape, range: positive }, shape),
  binary('pow', [o.powOp], o.pow, (a, b) => a ** b, { shape, range: positive }, { shape, range: [-2, 2] }, shape, {
    // |y ln x| · 6e-8 for each rounding of the exponent
    tolerance: 2e-6,
  }),
  binary(
    'pow of a negative base',
    [o.powOp],
    o.pow,
    (a, b) => a ** b,
    specials([-2, -1.5, -3, 2, 0]),
    specials([2, 3, -1, 0, 4]),
    [5],
    {
      tolerance: 1e-6,
      gradient: 'no gradient of a negative base with respect to the exponent',
    },
  ),
  ...([2, 3, 1, -1, 0.5, -0.5] as const).map((exponent) =>
    unary(
      `pow ${exponent}`,
      o.powOp,
      (x) => o.pow(x, constantNode(exponent)),
      (x) => x ** exponent,
      { range: positive },
    ),
  ),
  binary('maximum', [o.maximumOp], o.maximum, Math.max, { shape }, { shape }, shape),
  binary('minimum', [o.minimumOp], o.minimum, Math.min, { shape }, { shape }, shape),
  binary(
    'maximum of specials',
    [o.maximumOp],
    o.maximum,
    Math.max,
    specials(),
    specials([1, Number.NaN, 3, 4, 5, 6, 7]),
    [7],
    { gradient: kink },
  ),
  binary(
    'minimum of specials',
    [o.minimumOp],
    o.minimum,
    Math.min,
    specials(),
    specials([1, Number.NaN, 3, 4, 5, 6, 7]),
    [7],
    { gradient: kink },
  ),
  binary(
    'maximum of equals shares the gradient',
    [o.maximumOp],
    (a) => o.add(o.maximum(a, a), a),
    (a) => 2 * a,
    { shape: [7] },
    { shape: [1] },
    [7],
  ),
]

const i32: Partial<CaseInput> = { dtype: 'i32', range: [-9, 9] }
const integers: OpCase[] = [
  binary('add i32', [o.addOp], o.add, (a, b) => a + b, { shape, ...i32 }, { shape, ...i32 }, shape),
  binary('sub i32', [o.subOp], o.sub, (a, b) => a - b, { shape, ...i32 }, { shape: [33], ...i32 }, shape),
  binary('mul i32', [o.mulOp], o.mul, (a, b) => a * b, { shape, ...i32 }, { shape: [5, 1], ...i32 }, shape),
  binary('maximum i32', [o.maximumOp], o.maximum, Math.max, { shape, ...i32 }, { shape, ...i32 }, shape),
  binary('minimum i32', [o.minimumOp], o.minimum, Math.min, { shape, ...i32 }, { shape, ...i32 }, shape),
  unary('neg i32', o.negOp, o.neg, (x) => 0 - x, i32),
  unary('abs i32', o.absOp, o.abs, Math.abs, i32),
  unary('sign i32', o.signOp, o.sign, (x) => Number(x > 0) - Number(x < 0), i32),
  unary('square i32', o.squareOp, o.square, (x) => x * x, i32),
  unary(
    'clamp i32',
    o.clampOp,
    (x) => o.clamp(x, -2.5, Number.POSITIVE_INFINITY),
    (x) => Math.max(x, -2),
    i32,
  ),
]

const functions: OpCase[] = [
  unary('neg', o.negOp, o.neg, (x) => -x),
  unary('abs', o.absOp, o.abs, Math.abs),
  unary('sign', o.signOp, o.sign, Math.sign, {}, { gradient: 'flat' }),
  unary('square', o.squareOp, o.square, (x) => x * x),
  unary('sqrt', o.sqrtOp, o.sqrt, Math.sqrt, { range: positive }),
  unary('rsqrt', o.rsqrtOp, o.rsqrt, (x) => 1 / Math.sqrt(x), { range: positive }),
  unary('reciprocal', o.reciprocalOp, o.reciprocal, (x) => 1 / x, { range: positive }),
  unary('exp', o.expOp, o.exp, Math.exp),
  unary('exp far out', o.expOp, o.exp, Math.exp, specials([0, 88, -80, Number.NEGATIVE_INFINITY]), {
    gradient: 'too steep for central differences',
  }),
  unary('expm1', o.expm1Op, o.expm1, Math.expm1),
  unary('expm1 near 0', o.expm1Op, o.expm1, Math.expm1, { range: [-1e-4, 1e-4] }),
  unary('log', o.logOp, o.log, Math.log, { range: positive }),
  unary('log1p', o.log1pOp, o.log1p, Math.log1p, { range: [-0.7, 3] }),
  unary('log1p near 0', o.log1pOp, o.log1p, Math.log1p, { range: [-1e-4, 1e-4] }),
  unary('sin', o.sinOp, o.sin, Math.sin, { range: [-9, 9] }),
  unary('cos', o.cosOp, o.cos, Math.cos, { range: [-9, 9] }),
  unary('tanh', o.tanhOp, o.tanh, Math.tanh, { shape: [1001] }),
  unary('erf', o.erfOp, o.erf, erfSeries, { shape: [257] }),
  unary('floor', o.floorOp, o.floor, Math.floor, {}, { gradient: 'flat' }),
  unary('ceil', o.ceilOp, o.ceil, Math.ceil, { range: [0.1, 5] }, { gradient: 'flat' }),
  unary('round', o.roundOp, o.round, evenRound, specials([0.5, 1.5, 2.5, 2.6, 3.4, 7]), { gradient: 'flat' }),
  unary(
    'clamp',
    o.clampOp,
    (x) => o.clamp(x, -0.5, 1),
    (x) => Math.min(1, Math.max(-0.5, x)),
  ),
  unary(
    'clamp from below',
    o.clampOp,
    (x) => o.clamp(x, -0.5, Number.POSITIVE_INFINITY),
    (x) => Math.max(-0.5, x),
  ),
  unary(
    'clamp of specials',
    o.clampOp,
    (x) => o.clamp(x, 0, 2),
    (x) => Math.min(2, Math.max(0, x)),
    specials(),
    { gradient: kink },
  ),
  unary('isNan', o.isNaNOp, o.isNan, (x) => Number(Number.isNaN(x)), specials()),
  unary('isFiniteNumber', o.isFiniteOp, o.isFiniteNumber, (x) => Number(Number.isFinite(x)), specials()),
]

const comparisons = [
  ['equal', o.equalOp, o.equal, (a: number, b: number) => a === b],
  ['notEqual', o.notEqualOp, o.notEqual, (a: number, b: number) => a !== b],
  ['less', o.lessOp, o.less, (a: number, b: number) => a < b],
  ['lessEqual', o.lessEqualOp, o.lessEqual, (a: number, b: number) => a <= b],
  ['greater', o.greaterOp, o.greater, (a: number, b: number) => a > b],
  ['greaterEqual', o.greaterEqualOp, o.greaterEqual, (a: number, b: number) => a >= b],
] as const

const logic = [
  ['logicalAnd', o.logicalAndOp, o.logicalAnd, (a: number, b: number) => a & b],
  ['logicalOr', o.logicalOrOp, o.logicalOr, (a: number, b: number) => a | b],
  ['logicalXor', o.logicalXorOp, o.logicalXor, (a: number, b: number) => a ^ b],
] as const

const bool: Partial<CaseInput> = { dtype: 'bool', range: [0, 1] }
const choices: OpCase[] = [
  ...comparisons.flatMap(([name, op, build, f]) =>
    (['f32', 'i32', 'u8'] as const).map((dtype) => {
      const input: CaseInput = { shape: [3, 11], dtype, values: Array.from({ length: 33 }, (_, i) => (i * 7) % 4) }
      const row: CaseInput = { shape: [11], dtype, values: [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2] }
      return binary(`${name} ${dtype}`, [op], build, (a, b) => Number(f(a, b)), input, row, [3, 11])
    }),
  ),
  ...comparisons.map(([name, op, build, f]) =>
    binary(
      `${name} of NaN`,
      [op],
      build,
      (a, b) => Number(f(a, b)),
      specials(),
      specials([1, 1, 0, Number.NaN, 5, -5, Number.NaN]),
      [7],
    ),
  ),
  ...logic.map(([name, op, build, f]) => binary(name, [op], build, f, { shape, ...bool }, { shape, ...bool }, shape)),
  unary('logicalNot', o.logicalNotOp, o.logicalNot, (x) => 1 - x, bool),
  ...(['f32', 'i32', 'u8', 'bool'] as const).map(
    (dtype): OpCase => ({
      name: `select ${dtype}`,
      ops: [o.selectOp],
      inputs: [
        { shape: [5, 1], ...bool },
        { shape: [33], dtype, range: dtype === 'bool' ? [0, 1] : [0, 9] },
        { shape: [5, 33], dtype, range: dtype === 'bool' ? [0, 1] : [0, 9] },
      ],
      build: o.select,
      reference: (c, a, b) => tabulate([5, 33], (i) => (spreadAt(c, i) !== 0 ? spreadAt(a, i) : spreadAt(b, i))),
    }),
  ),
]

const castValues: Record<DType, { values: readonly number[] }> = {
  f32: { values: [0, 1, -1, 2.9, -2.9, 254.5, 300, -300, 3e9, Number.NaN, 0.3] },
  i32: { values: [0, 1, -1, 2, 255, 256, -300, 70000, 5, 6, 7] },
  u8: { values: [0, 1, 2, 3, 128, 200, 255, 7, 8, 9, 10] },
  bool: { values: [0, 1, 1, 0, 1, 0, 0, 1, 1, 1, 0] },
}
const castTo: Record<DType, (x: number) => number> = {
  f32: (x) => x,
  i32: (x) => (Number.isNaN(x) ? 0 : Math.min(2 ** 31 - 1, Math.max(-(2 ** 31), Math.trunc(x))) + 0),
  u8: (x) => (Number.isNaN(x) ? 0 : Math.min(255, Math.max(0, Math.trunc(x))) + 0),
  bool: (x) => (x !== 0 ? 1 : 0),
}
const casts: OpCase[] = (['f32', 'i32', 'u8', 'bool'] as const).flatMap((from) =>
  (['f32', 'i32', 'u8', 'bool'] as const)
    .filter((to) => to !== from)
    .map((to) =>
      unary(
        `cast ${from} to ${to}`,
        o.castOp,
        (x) => o.cast(x, to),
        castTo[to],
        { shape: [11], dtype: from, values: castValues[from].values },
        { gradient: 'integers' },
      ),
    ),
)

// Shapes: the same op on everything an operand can be.
const layouts: OpCase[] = [
  binary('add of scalars', [o.addOp], o.add, (a, b) => a + b, { shape: [] }, { shape: [] }, []),
  binary('mul of a scalar and a vector', [o.mulOp], o.mul, (a, b) => a * b, { shape: [] }, { shape: [1003] }, [1003]),
  binary('mul of a row and a column', [o.mulOp], o.mul, (a, b) => a * b, { shape: [7] }, { shape: [5, 1] }, [5, 7]),
  binary(
    'add over five axes',
    [o.addOp],
    o.add,
    (a, b) => a + b,
    { shape: [2, 1, 3, 1, 5] },
    { shape: [4, 1, 3, 1] },
    [2, 4, 3, 3, 5],
  ),
  binary(
    'mul over five axes',
    [o.mulOp],
    o.mul,
    (a, b) => a * b,
    { shape: [1, 3, 1, 2, 1] },
    { shape: [2, 1, 4, 1, 3] },
    [2, 3, 4, 2, 3],
  ),
  binary('add of extents 1', [o.addOp], o.add, (a, b) => a + b, { shape: [1, 1] }, { shape: [1] }, [1, 1]),
  binary('sub of many rows', [o.subOp], o.sub, (a, b) => a - b, { shape: [301, 65] }, { shape: [65] }, [301, 65]),
  {
    name: 'mul of a transposed, a flipped and a strided operand',
    ops: [o.mulOp, shapes.transposeOp, shapes.sliceOp],
    inputs: [{ shape: [9, 5] }, { shape: [5, 9] }, { shape: [11, 18] }],
    build: (a, b, c) =>
      o.mul(
        o.mul(shapes.transpose(a), shapes.flip(b)),
        shapes.slice(c, [
          [8, undefined, -2],
          [1, undefined, 2],
        ]),
      ),
    reference: (a, b, c) =>
      tabulate([5, 9], ([i, j]) => at(a, [j, i]) * at(b, [4 - i, 8 - j]) * at(c, [8 - 2 * i, 1 + 2 * j])),
  },
  {
    name: 'a transposed tensor of rank 4 plus itself',
    ops: [o.addOp],
    inputs: [{ shape: [3, 4, 5, 3] }],
    build: (x) => o.add(shapes.transpose(x, [3, 2, 1, 0]), shapes.transpose(x, [0, 2, 1, 3])),
    reference: (x) => tabulate([3, 5, 4, 3], ([a, b, c, d]) => at(x, [d, c, b, a]) + at(x, [a, c, b, d])),
  },
]

export const cases: readonly OpCase[] = [...arithmetic, ...integers, ...functions, ...choices, ...casts, ...layouts]
