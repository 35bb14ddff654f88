/** RandAugment: a few random changes of one strength (Cubuk et al. 2020). */
import { floor, type Tensor, where } from '../tensor/index.ts'
import { type Colour, uncoloured } from './augment-colour.ts'
import type { Draws, Value } from './augment-draws.ts'
import { type Geometry, unmoved } from './augment-geometry.ts'
import type { AugmentOptions } from './augment-options.ts'

/** What a policy does to a batch. */
export interface Policy {
  readonly geometry: Geometry
  readonly colour: Colour
  /** Values from here on are turned to 1 minus themselves; above 1: none. */
  readonly solarizeFrom: Value
  /** Grey levels that become one; 1: none. */
  readonly levels: Value
}

export const noPolicy: Policy = { geometry: unmoved, colour: uncoloured, solarizeFrom: 2, levels: 1 }

const all = [
  'none',
  'rotate',
  'shearX',
  'shearY',
  'shiftX',
  'shiftY',
  'brightness',
  'contrast',
  'saturation',
  'solarize',
  'posterize',
] as const
type Change = (typeof all)[number]

/** Number of changes for each picture, and their strength from 0 to 10. */
export function policySize(options: AugmentOptions): { operations: number; strength: number } {
  const { randAugment = 0 } = options
  const [operations, strength] = typeof randAugment === 'number' ? [2, randAugment] : randAugment
  return { operations: strength === 0 ? 0 : operations, strength }
}

/**
 * Draws the changes of each picture. All of them are in the program; those that a picture does not get are neutral for
 * it. Strength 10 is that of the paper: 30 degrees, shears of 0.3, shifts of 0.3 of the side, factors of 0.1 or 1.9,
 * solarize from 0, 4 bits left.
 * @param draws with two draws by number for each operation
 */
export function drawPolicy(options: AugmentOptions, shape: readonly number[], draws: Draws): Policy {
  const { operations, strength } = policySize(options)
  if (operations === 0) return noPolicy
  const [height, width, channels] = shape
  const part = strength / 10
  const list = all.filter((change) => change !== 'saturation' || channels === 3)
  const picks = Array.from({ length: operations }, (_, i) => ({
    change: floor(draws.uniform(2 * i).mul(list.length)),
    sign: where(draws.uniform(2 * i + 1).less(0.5), -1, 1),
  }))
  /** What a change does, where a picture gets it; drawn twice, it is done twice. */
  const collect = (
    change: Change,
    neutral: number,
    amount: (sign: Tensor) => Tensor | number,
    combine: (a: Tensor, b: Tensor) => Tensor,
  ): Tensor =>
    picks.map((pick) => where(pick.change.equal(list.indexOf(change)), amount(pick.sign), neutral)).reduce(combine)
  const sum = (change: Change, most: number) =>
    collect(
      change,
      0,
      (sign) => sign.mul(most * part),
      (a, b) => a.add(b),
    )
  const factor = (change: Change) =>
    collect(
      change,
      1,
      (sign) => sign.mul(0.9 * part).add(1),
      (a, b) => a.mul(b),
    )
  return {
    geometry: {
      ...unmoved,
      angle: sum('rotate', Math.PI / 6),
      shearX: sum('shearX', 0.3),
      shearY: sum('shearY', 0.3),
      shiftX: sum('shiftX', 0.3 * width),
      shiftY: sum('shiftY', 0.3 * height),
    },
    colour: {
      ...uncoloured,
      brightness: factor('brightness'),
      contrast: factor('contrast'),
      saturation: channels === 3 ? factor('saturation') : 1,
    },
    solarizeFrom: collect(
      'solarize',
      2,
      () => 1 - part,
      (a, b) => a.minimum(b),
    ),
    levels: collect(
      'posterize',
      1,
      () => 2 ** Math.round(4 * part),
      (a, b) => a.maximum(b),
    ),
  }
}
