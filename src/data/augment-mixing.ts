/** Parts erased, and samples and labels mixed with each other. The partner of sample i is sample batch - 1 - i. */
import { cos, exp, expm1, flip, floor, iota, log, logicalAnd, sqrt, type Tensor, where } from '../tensor/index.ts'
import type { Draws } from './augment-draws.ts'
import type { AugmentOptions } from './augment-options.ts'

/**
 * A draw from Beta(alpha, alpha), made of two uniform ones without rejection: with t of Student's distribution with
 * 2 · alpha degrees of freedom, t / √(2 · alpha + t²) is symmetric beta on (-1, 1) (Devroye 1996, "Random variate
 * generation in one line of code"), and t comes from a polar form of Box and Muller's method (Bailey 1994).
 * @param radius f32 [batch], uniform in [0, 1)
 * @param angle the same, independent
 */
export function symmetricBeta(alpha: number, radius: Tensor, angle: Tensor): Tensor {
  if (alpha === 1) return radius
  // p = u^(1/alpha) for u in (0, 1]; 1 - p is computed for itself, because p is often near 1.
  const power = log(radius.mul(-1).add(1)).mul(1 / alpha)
  const p = exp(power).maximum(1e-30)
  const rest = expm1(power).mul(-1)
  const c = cos(angle.mul(2 * Math.PI))
  const t = c.mul(sqrt(rest.div(rest.mul(c.square()).add(p))))
  // Rounding must not make a share of more than all.
  return t.mul(0.5).add(0.5).clamp(0, 1)
}

/** Part of each picture, in pixels: from `top` up to `bottom`; f32 [batch], whole numbers inside the picture. */
export interface Box {
  readonly top: Tensor
  readonly bottom: Tensor
  readonly left: Tensor
  readonly right: Tensor
}

/**
 * Boxes around places that are uniform over the picture; what hangs over its edge is cut off.
 * @param down, across uniform in [0, 1), f32 [batch]
 * @param size extents in pixels, f32 [batch] or a number
 */
export function boxAround(
  [height, width]: readonly [number, number],
  [down, across]: readonly [Tensor, Tensor],
  [high, wide]: readonly [Tensor | number, Tensor | number],
): Box {
  const side = (centre: Tensor, extent: number, size: Tensor | number): [Tensor, Tensor] => {
    const half = typeof size === 'number' ? size / 2 : size.mul(0.5)
    const start = floor(centre.mul(extent).sub(half).add(0.5))
    return [
      start.clamp(0, extent),
      start.add(typeof size === 'number' ? Math.round(size) : floor(size.add(0.5))).clamp(0, extent),
    ]
  }
  const [top, bottom] = side(down, height, high)
  const [left, right] = side(across, width, wide)
  return { top, bottom, left, right }
}

/** Whether a value lies in the box: bool [batch, height, width · channels]. */
function inBox(box: Box, [batch, height, width, channels]: readonly number[]): Tensor {
  const between = (count: number, low: Tensor, high: Tensor): Tensor => {
    const places = iota(count).cast('f32').broadcastTo([batch, count])
    return logicalAnd(places.greaterEqual(low.reshape(batch, 1)), places.less(high.reshape(batch, 1)))
  }
  const rows = between(height, box.top, box.bottom).reshape(batch, height, 1)
  const columns = between(width * channels, box.left.mul(channels), box.right.mul(channels))
  return logicalAnd(rows, columns.reshape(batch, 1, width * channels))
}

/** Erases a square; its side is `share` of the shorter side. */
export function eraseSquare(x: Tensor, shape: readonly number[], share: number, colour: number, draws: Draws): Tensor {
  const [, height, width] = shape
  const side = Math.max(1, Math.round(share * Math.min(height, width)))
  const box = boxAround([height, width], [draws.uniform('cutOutY'), draws.uniform('cutOutX')], [side, side])
  return where(inBox(box, shape), colour, x)
}

/**
 * Mix-up and cut-mix.
 * @param x f32 [batch, …]; for cut-mix [batch, height, width · channels] of pictures `shape`
 * @param y f32 [batch, classes]
 */
export function mix(
  x: Tensor,
  y: Tensor,
  shape: readonly number[],
  { mixUp = 0, cutMix = 0 }: AugmentOptions,
  draws: Draws,
): { x: Tensor; y: Tensor } {
  const { batch } = draws
  const both = mixUp > 0 && cutMix > 0
  const blends = both ? draws.uniform('mixing').less(0.5) : undefined
  const column = (share: Tensor, rank: number) => share.reshape([batch, ...new Array<number>(rank - 1).fill(1)])
  let mixed = x
  /** Of the sample itself. */
  let share: Tensor | undefined
  const partner = flip(x, 0)
  if (mixUp > 0) {
    const drawn = symmetricBeta(mixUp, draws.uniform('mixUpRadius'), draws.uniform('mixUpAngle'))
    share = blends === undefined ? drawn : where(blends, drawn, 1)
    const own = column(share, x.ndim)
    mixed = x.mul(own).add(partner.mul(own.mul(-1).add(1)))
  }
  if (cutMix > 0) {
    const [, height, width] = shape
    const drawn = symmetricBeta(cutMix, draws.uniform('cutMixRadius'), draws.uniform('cutMixAngle'))
    const kept = blends === undefined ? drawn : where(blends, 1, drawn)
    const part = sqrt(kept.mul(-1).add(1))
    const places = [draws.uniform('cutMixY'), draws.uniform('cutMixX')] as const
    const box = boxAround([height, width], places, [part.mul(height), part.mul(width)])
    mixed = where(inBox(box, shape), partner, mixed)
    // The label goes by what is really seen.
    const area = box.bottom
      .sub(box.top)
      .mul(box.right.sub(box.left))
      .mul(1 / (height * width))
    const rest = area.mul(-1).add(1)
    share = share === undefined ? rest : share.mul(rest)
  }
  if (share === undefined) return { x, y }
  const own = column(share, 2)
  return { x: mixed, y: y.mul(own).add(flip(y, 0).mul(own.mul(-1).add(1))) }
}
