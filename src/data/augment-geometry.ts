/** Everything that moves pixels, as one matrix for each picture. */
import { cos, exp, floor, sin, stack, type Tensor, where } from '../tensor/index.ts'
import { add, type Draws, mul, perSample, type Value } from './augment-draws.ts'
import type { AugmentOptions } from './augment-options.ts'

/** How the places of a result lead back to places of the picture; the zeros and ones of {@link unmoved} change nothing. */
export interface Geometry {
  /** Radians. */
  readonly angle: Value
  /** Pixels to the side for each pixel down, and down for each to the side. */
  readonly shearX: Value
  readonly shearY: Value
  /** Factors; negative ones mirror. */
  readonly scaleX: Value
  readonly scaleY: Value
  /** Pixels. */
  readonly shiftX: Value
  readonly shiftY: Value
}

export const unmoved: Geometry = { angle: 0, shearX: 0, shearY: 0, scaleX: 1, scaleY: 1, shiftX: 0, shiftY: 0 }

/** Both, the ranges of the one on top of the other's. */
export function compose(a: Geometry, b: Geometry): Geometry {
  return {
    angle: add(a.angle, b.angle),
    shearX: add(a.shearX, b.shearX),
    shearY: add(a.shearY, b.shearY),
    scaleX: mul(a.scaleX, b.scaleX),
    scaleY: mul(a.scaleY, b.scaleY),
    shiftX: add(a.shiftX, b.shiftX),
    shiftY: add(a.shiftY, b.shiftY),
  }
}

/** Logarithms of the factors. */
function scaleRange(scale: AugmentOptions['scale']): readonly [number, number] {
  if (scale === undefined) return [0, 0]
  if (typeof scale === 'number') return [-Math.log1p(scale), Math.log1p(scale)]
  return [Math.log(scale[0]), Math.log(scale[1])]
}

/** What the options ask for, drawn for pictures [height, width]. */
export function drawGeometry(options: AugmentOptions, height: number, width: number, draws: Draws): Geometry {
  const { shift = 0, crop = 0, flip, rotate = 0, shear = 0 } = options
  const [low, high] = scaleRange(options.scale)
  // Places are led back, so a picture enlarged is one read in smaller steps.
  const zoom =
    low === high
      ? Math.exp(-low)
      : exp(
          draws
            .uniform('scale')
            .mul(low - high)
            .sub(low),
        )
  const mirrored = (name: 'flipX' | 'flipY', on: boolean): Value =>
    on ? where(draws.uniform(name).less(0.5), -1, 1) : 1
  const whole = (name: 'cropX' | 'cropY'): Value =>
    crop === 0 ? 0 : floor(draws.uniform(name).mul(2 * crop + 1)).sub(crop)
  return {
    angle: draws.around('rotate', (rotate * Math.PI) / 180),
    shearX: draws.around('shear', Math.tan((shear * Math.PI) / 180)),
    shearY: 0,
    scaleX: mul(zoom, mirrored('flipX', flip === 'horizontal' || flip === 'both')),
    scaleY: mul(zoom, mirrored('flipY', flip === 'vertical' || flip === 'both')),
    shiftX: add(draws.around('shiftX', shift * width), whole('cropX')),
    shiftY: add(draws.around('shiftY', shift * height), whole('cropY')),
  }
}

/**
 * The matrices for `affineWarp`: scale · shear · turn, and the shift in front.
 * @returns f32 [batch, 6], undefined when nothing moves
 */
export function geometryMatrix(g: Geometry, batch: number): Tensor | undefined {
  if (Object.entries(unmoved).every(([name, value]) => g[name as keyof Geometry] === value)) return undefined
  const c = typeof g.angle === 'number' ? Math.cos(g.angle) : cos(g.angle)
  const s = typeof g.angle === 'number' ? Math.sin(g.angle) : sin(g.angle)
  const row = (scale: Value, x: Value, y: Value): Value[] => {
    const [a, b] = [mul(scale, x), mul(scale, y)]
    return [a, b, add(mul(a, g.shiftX), mul(b, g.shiftY))]
  }
  const minus = (value: Value) => mul(value, -1)
  const entries = [
    ...row(g.scaleX, add(c, minus(mul(g.shearX, s))), add(s, mul(g.shearX, c))),
    ...row(g.scaleY, add(mul(g.shearY, c), minus(s)), add(mul(g.shearY, s), c)),
  ]
  return stack(
    entries.map((entry) => perSample(entry, batch)),
    1,
  )
}
