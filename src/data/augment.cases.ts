/** Pictures to be augmented, and a step that does it. */
import { compile, type Tensor, tensor } from '../tensor/index.ts'
import { augmentBatch } from './augment.ts'
import type { AugmentOptions } from './augment-options.ts'

export const seedWord = 0x5eed
export const keyAt = (step: number): Tensor => tensor(Int32Array.of(seedWord, step))

/** Smooth enough that interpolation is no lottery, different in every sample. */
export function pictures(batch: number, [height, width, channels]: readonly number[]): Uint8Array {
  return Uint8Array.from({ length: batch * height * width * channels }, (_, i) => {
    const c = i % channels
    const x = Math.floor(i / channels) % width
    const y = Math.floor(i / channels / width) % height
    const n = Math.floor(i / channels / width / height)
    return 128 + 60 * Math.sin(0.7 * x + n + c) + 50 * Math.cos(0.5 * y - 2 * c + n)
  })
}

/** Every option, but none at its limit. */
export const everything: AugmentOptions = {
  ...{ shift: 0.1, crop: 2, flip: 'horizontal', rotate: 15, scale: 0.2, shear: 5, brightness: 0.2, contrast: 0.2 },
  ...{ saturation: 0.3, hue: 0.1, grey: 0.2, cutOut: 0.3, mixUp: 0.4, cutMix: 1, randAugment: 6, fill: 'reflect' },
}

export const shape: readonly number[] = [8, 10, 3]
/** Values of a picture of this shape. */
export const size = 240

export interface Augmented {
  readonly x: Float32Array
  readonly y: ArrayLike<number>
  readonly yShape: readonly number[]
}

/** A batch after one compiled step; sample i is of class i mod 3 unless labels are given. */
export async function augmented(
  options: AugmentOptions,
  batch: number,
  { step = 0, of = shape, data = pictures(batch, of), labels = (i: number) => i % 3 } = {},
): Promise<Augmented> {
  const y = tensor(Int32Array.from({ length: batch }, (_, i) => labels(i)))
  const run = compile((a: Tensor, b: Tensor, key: Tensor) => augmentBatch(a, b, options, { key, classes: 3 }))
  const result = await run(tensor(data, [batch, ...of]), y, keyAt(step))
  return { x: (await result.x.data()) as Float32Array, y: await result.y.data(), yShape: result.y.shape }
}

/** Values as bytes, which is what they are where nothing was interpolated. */
export const asBytes = (values: Float32Array): number[] => Array.from(values, (value) => value * 255)
