import type { Random } from '../base/random.ts'

/** The path of a pen between touching down and lifting, as the skeletons' text gives it. */
export interface Stroke {
  /** x, y of each point, y downwards, the digit about 100 high. */
  readonly points: readonly number[]
  /** Whether the pen turns sharply at each point. */
  readonly corners: readonly boolean[]
}

/** A stroke as a chain of short straight pieces: x, y, x, y, …, with the pen's radius at each point. */
export interface Polyline {
  readonly points: Float64Array
  readonly radii: Float64Array
}

/** Reads a skeleton's text: `x,y x,y! x,y / x,y x,y`. */
export function parseSkeleton(text: string): Stroke[] {
  return text.split(' / ').map((stroke) => {
    const points: number[] = []
    const corners: boolean[] = []
    for (const point of stroke.split(' ')) {
      const [x, y] = point.replace('!', '').split(',')
      points.push(Number(x), Number(y))
      corners.push(point.endsWith('!'))
    }
    return { points, corners }
  })
}

/** Straight pieces a curve between two points becomes. */
const piecesPerCurve = 7

/**
 * The smooth curve through a stroke's points (centripetal Catmull-Rom), as x, y, x, y, …; corners stay sharp.
 * Additions, products, quotients and roots only: these are exact everywhere, unlike sines and powers.
 */
export function flatten(stroke: Stroke): Float64Array {
  const { points, corners } = stroke
  const count = points.length / 2
  const out = new Float64Array(2 * ((count - 1) * piecesPerCurve + 1))
  out[0] = points[0]
  out[1] = points[1]
  const knot = new Float64Array(count - 1)
  for (let i = 0; i + 1 < count; i++) {
    const dx = points[2 * i + 2] - points[2 * i]
    const dy = points[2 * i + 3] - points[2 * i + 1]
    knot[i] = Math.sqrt(Math.sqrt(dx * dx + dy * dy)) + 1e-6
  }
  // Derivative with respect to the knots at point i, seen from curve `side` (the one before or after the point).
  const slope = (i: number, side: number, axis: number): number => {
    const rise = (k: number) => (points[2 * k + 2 + axis] - points[2 * k + axis]) / knot[k]
    if (i === 0 || i === count - 1 || corners[i]) return rise(side)
    return (rise(i - 1) * knot[i] + rise(i) * knot[i - 1]) / (knot[i - 1] + knot[i])
  }
  for (let i = 0; i + 1 < count; i++) {
    for (let axis = 0; axis < 2; axis++) {
      const a = points[2 * i + axis]
      const b = points[2 * i + 2 + axis]
      const da = slope(i, i, axis) * knot[i]
      const db = slope(i + 1, i, axis) * knot[i]
      for (let k = 1; k <= piecesPerCurve; k++) {
        const t = k / piecesPerCurve
        const value = a + t * (da + t * (3 * (b - a) - 2 * da - db + t * (2 * (a - b) + da + db)))
        out[2 * (i * piecesPerCurve + k) + axis] = value
      }
    }
  }
  return out
}

/** About normal with deviation 1, never beyond 3.5: the sum of four uniform numbers, so that no logarithm is needed. */
export function bell(random: Random): number {
  return (random.uniform() + random.uniform() + random.uniform() + random.uniform() - 2) * 1.7320508075688772
}

/** A smooth random displacement of the plane: the quadratic and cubic terms of a polynomial for each axis. */
export class Field {
  readonly #coefficients: number[]

  /** @param strength deviation of each term at the edge of the digit, in units of the skeletons */
  constructor(random: Random, strength: number) {
    this.#coefficients = Array.from({ length: 14 }, () => strength * bell(random))
  }

  /** Displacement along an axis (0: x, 1: y) at a point given in units of the skeletons. */
  at(x: number, y: number, axis: number): number {
    const u = (x - 32) / 40
    const v = (y - 50) / 50
    const [uu, uv, vv, uuu, uuv, uvv, vvv] = this.#coefficients.slice(7 * axis)
    return u * (u * (uu + u * uuu + v * uuv) + v * (uv + v * uvv)) + v * v * (vv + v * vvv)
  }
}
