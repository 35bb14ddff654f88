/** What augmentation draws, and arithmetic on it. */
import { hashString } from '../base/random.ts'
import { randomUniform, slice, type Tensor, tensor } from '../tensor/index.ts'

/** A number for all samples, or f32 [batch] with one for each. */
export type Value = number | Tensor

/** a + b; what changes nothing is left out. */
export function add(a: Value, b: Value): Value {
  if (typeof a !== 'number') return b === 0 ? a : a.add(b)
  return typeof b === 'number' ? a + b : add(b, a)
}

/** a · b; what changes nothing is left out. */
export function mul(a: Value, b: Value): Value {
  if (typeof a !== 'number') return b === 0 ? 0 : b === 1 ? a : a.mul(b)
  return typeof b === 'number' ? a * b : mul(b, a)
}

/** f32 [batch] */
export function perSample(value: Value, batch: number): Tensor {
  return typeof value === 'number' ? tensor(value).broadcastTo([batch]) : value
}

// Each draw has a place of its own, so that an option more does not change what the others draw.
const names = [
  'shiftX',
  'shiftY',
  'cropX',
  'cropY',
  'flipX',
  'flipY',
  'rotate',
  'scale',
  'shear',
  'brightness',
  'contrast',
  'saturation',
  'hue',
  'grey',
  'cutOutX',
  'cutOutY',
  'mixUpRadius',
  'mixUpAngle',
  'cutMixRadius',
  'cutMixAngle',
  'cutMixX',
  'cutMixY',
  'mixing',
] as const
export type DrawName = (typeof names)[number]

const stream = hashString('augment')

/** Uniform numbers for the samples of a batch, all of one key. */
export class Draws {
  readonly batch: number
  readonly #all: Tensor

  /**
   * @param key i32 [2]: a word made of the seed, and the step
   * @param more draws that are known by number
   */
  constructor(batch: number, key: Tensor, more: number) {
    this.batch = batch
    this.#all = randomUniform([names.length + more, batch], key, stream)
  }

  /** In [0, 1), f32 [batch]. */
  uniform(which: DrawName | number): Tensor {
    const row = typeof which === 'number' ? names.length + which : names.indexOf(which)
    return slice(this.#all, [[row, row + 1]]).reshape(this.batch)
  }

  /** In [-reach, reach); the number 0 when nothing is asked for. */
  around(which: DrawName, reach: number): Value {
    return reach === 0 ? 0 : this.uniform(which).mul(2).sub(1).mul(reach)
  }
}
