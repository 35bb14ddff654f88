/**
 * Winograd's minimal filtering: 3×3 windows of a tile of m×m outputs as (m + 2)² products instead of 9 m².
 *
 *   Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A
 *
 * (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016.) F(2×2, 3×3) interpolates at 0, ±1 and ∞,
 * F(4×4, 3×3) at 0, ±3/4, ±3/2 and ∞: the same work as with the usual 0, ±1, ±2, ∞ and a third of the error.
 */
import type { KernelBuilder } from '../../build.ts'
import { add, fma, mul, neg, sub } from '../../expression.ts'
import type { Expr } from '../../language.ts'

/** Outputs of a tile along one axis. */
export type TileOutputs = 2 | 4

/** One-dimensional transform: the values it takes are locals, those it gives are read once. */
export type Transform = (k: KernelBuilder, values: readonly Expr[]) => Expr[]

export interface Algebra {
  readonly outputs: TileOutputs
  /** Inputs of a tile along one axis, which is also the number of points. */
  readonly points: number
  /** Bᵀ: points inputs to points. */
  readonly input: Transform
  /** G: three taps to points. */
  readonly weights: Transform
  /** Aᵀ: points to outputs. */
  readonly output: Transform
  /** A: upstream gradients of the outputs to points. */
  readonly upstream: Transform
  /** Gᵀ: points to the gradients of three taps. */
  readonly weightGradient: Transform
}

const f2: Algebra = {
  outputs: 2,
  points: 4,
  input: (_k, [d0, d1, d2, d3]) => [sub(d0, d2), add(d1, d2), sub(d2, d1), sub(d1, d3)],
  weights(k, [g0, g1, g2]) {
    const even = k.let(mul(add(g0, g2), 0.5))
    const odd = k.let(mul(g1, 0.5))
    return [g0, add(even, odd), sub(even, odd), g2]
  },
  output: (_k, [m0, m1, m2, m3]) => [add(m0, add(m1, m2)), sub(sub(m1, m2), m3)],
  upstream: (_k, [d0, d1]) => [d0, add(d0, d1), sub(d0, d1), neg(d1)],
  weightGradient(k, [u0, u1, u2, u3]) {
    const half = k.let(mul(add(u1, u2), 0.5))
    return [add(u0, half), mul(sub(u1, u2), 0.5), add(half, u3)]
  },
}

/** F(4×4, 3×3) at 0, ±a, ±b, ∞. */
function fourAt(a: number, b: number): Algebra {
  const [a2, b2] = [a * a, b * b]
  // Products of the distances from a point to the others.
  const atZero = a2 * b2
  const atA = 2 * a2 * (a2 - b2)
  const atB = 2 * b2 * (b2 - a2)
  return {
    outputs: 4,
    points: 6,
    input(k, [d0, d1, d2, d3, d4, d5]) {
      const evenA = k.let(fma(d2, -b2, d4))
      const oddA = k.let(mul(fma(d1, -b2, d3), a))
      const evenB = k.let(fma(d2, -a2, d4))
      const oddB = k.let(mul(fma(d1, -a2, d3), b))
      return [
        fma(d0, atZero, fma(d2, -(a2 + b2), d4)),
        add(evenA, oddA),
        sub(evenA, oddA),
        add(evenB, oddB),
        sub(evenB, oddB),
        fma(d1, atZero, fma(d3, -(a2 + b2), d5)),
      ]
    },
    weights(k, [g0, g1, g2]) {
      const evenA = k.let(fma(g2, a2 / atA, mul(g0, 1 / atA)))
      const oddA = k.let(mul(g1, a / atA))
      const evenB = k.let(fma(g2, b2 / atB, mul(g0, 1 / atB)))
      const oddB = k.let(mul(g1, b / atB))
      return [mul(g0, 1 / atZero), add(evenA, oddA), sub(evenA, oddA), add(evenB, oddB), sub(evenB, oddB), g2]
    },
    output(k, [m0, m1, m2, m3, m4, m5]) {
      const [evenA, oddA] = [k.let(add(m1, m2)), k.let(sub(m1, m2))]
      const [evenB, oddB] = [k.let(add(m3, m4)), k.let(sub(m3, m4))]
      return [
        add(m0, add(evenA, evenB)),
        fma(oddA, a, mul(oddB, b)),
        fma(evenA, a2, mul(evenB, b2)),
        fma(oddA, a * a2, fma(oddB, b * b2, m5)),
      ]
    },
    upstream(k, [d0, d1, d2, d3]) {
      const evenA = k.let(fma(d2, a2, d0))
      const oddA = k.let(fma(d3, a * a2, mul(d1, a)))
      const evenB = k.let(fma(d2, b2, d0))
      const oddB = k.let(fma(d3, b * b2, mul(d1, b)))
      return [d0, add(evenA, oddA), sub(evenA, oddA), add(evenB, oddB), sub(evenB, oddB), d3]
    },
    weightGradient(k, [u0, u1, u2, u3, u4, u5]) {
      const [evenA, oddA] = [k.let(add(u1, u2)), k.let(sub(u1, u2))]
      const [evenB, oddB] = [k.let(add(u3, u4)), k.let(sub(u3, u4))]
      return [
        fma(u0, 1 / atZero, fma(evenA, 1 / atA, mul(evenB, 1 / atB))),
        fma(oddA, a / atA, mul(oddB, b / atB)),
        fma(evenA, a2 / atA, fma(evenB, b2 / atB, u5)),
      ]
    },
  }
}

const f4 = fourAt(0.75, 1.5)

export function algebraOf(outputs: TileOutputs): Algebra {
  return outputs === 2 ? f2 : f4
}

/** Applies a one-dimensional transform to the columns and then to the rows of a square of `size`² values. */
export function transformSquare(
  k: KernelBuilder,
  transform: Transform,
  size: number,
  load: (row: number, column: number) => Expr,
  store: (row: number, column: number, value: Expr) => void,
): void {
  const columns: Expr[][] = []
  for (let column = 0; column < size; column++) {
    const values = Array.from({ length: size }, (_, row) => k.let(load(row, column)))
    columns.push(transform(k, values).map((value) => k.let(value)))
  }
  for (const i of columns[0].keys()) {
    const line = columns.map((column) => column[i])
    for (const [j, value] of transform(k, line).entries()) store(i, j, value)
  }
}
