/** Augmentation inside a compiled training step: what changes the samples of a batch, and their labels. */
import { DTypeError } from '../base/errors.ts'
import { showShape, sizeOf } from '../base/shape.ts'
import { affineWarp, colorMatrix, floor, oneHot, type Tensor, where } from '../tensor/index.ts'
import { colourMap, colourMatrices, composeColour, drawColour, meanGrey } from './augment-colour.ts'
import { Draws } from './augment-draws.ts'
import { compose, drawGeometry, geometryMatrix } from './augment-geometry.ts'
import { eraseSquare, mix } from './augment-mixing.ts'
import { type AugmentOptions, checkAugment } from './augment-options.ts'
import { drawPolicy, noPolicy, type Policy, policySize } from './augment-policy.ts'

export interface AugmentContext {
  /** i32 [2]: a word made of the seed, and the step. Decides all draws. */
  readonly key: Tensor
  /** How many classes there are; labels become shares of them when samples are mixed. */
  readonly classes: number
}

/**
 * Changes the samples of a batch at random, inside `compile()`: everything becomes part of the step. All geometry is one
 * pass over the pictures, all colour another one; changes that are off are not in the program.
 *
 * The same key draws the same changes on every backend, for any number of threads, and again when something is computed
 * twice. Order: geometry; brightness, contrast, saturation, hue; solarize, posterize; cut-out; mix-up or cut-mix, with
 * the sample at the same place from the batch's end, because batches come shuffled.
 * @param x u8 [batch, …sample shape], or f32 in [0, 1]
 * @param y i32 [batch], class numbers
 * @returns x f32 in [0, 1] of the same shape; y as it came, or f32 [batch, classes] with mix-up or cut-mix
 * @throws ConfigError on options that make no sense for these samples, DTypeError, ShapeError
 * @example
 * const step = compile((x: Tensor, y: Tensor, key: Tensor) => {
 *   const batch = augmentBatch(x, y, { crop: 4, flip: 'horizontal' }, { key, classes: 10 })
 *   return crossEntropy(model(batch.x), batch.y)
 * })
 */
export function augmentBatch(
  x: Tensor,
  y: Tensor,
  options: AugmentOptions,
  { key, classes }: AugmentContext,
): { x: Tensor; y: Tensor } {
  const [batch, ...sampleShape] = x.shape
  if (x.dtype !== 'u8' && x.dtype !== 'f32') {
    throw new DTypeError({
      where: 'augment',
      what: `x has dtype ${x.dtype}`,
      got: `x ${x.dtype} ${showShape(x.shape)}`,
      expected: 'u8, or f32 in [0, 1]',
      fix: "cast it first, for instance with .cast('f32')",
    })
  }
  checkAugment(options, sampleShape)
  const draws = new Draws(batch, key, 2 * policySize(options).operations)
  // Vectors of changes run along whole rows, not along the few channels of a pixel.
  const rows = sampleShape.length === 3 ? [batch, sampleShape[0], sampleShape[1] * sampleShape[2]] : undefined
  const isPicture = rows !== undefined
  const policy = isPicture ? drawPolicy(options, sampleShape, draws) : noPolicy
  let result = isPicture ? recolour(moved(x, options, policy, draws), x, options, policy, draws) : toUnit(x)
  result = result.reshape(rows ?? [batch, sizeOf(sampleShape)])
  if (isPicture) result = quantize(result, policy)
  const { cutOut = 0, fill, mixUp = 0, cutMix = 0 } = options
  if (cutOut > 0) result = eraseSquare(result, x.shape, cutOut, typeof fill === 'number' ? fill : 0.5, draws)
  if (mixUp === 0 && cutMix === 0) return { x: result.reshape(x.shape), y }
  const labels = y.dtype === 'f32' ? y : oneHot(y, classes)
  const mixed = mix(result, labels, x.shape, options, draws)
  return { x: mixed.x.reshape(x.shape), y: mixed.y }
}

/** Bytes as a model sees them. */
function toUnit(x: Tensor): Tensor {
  return x.dtype === 'u8' ? x.cast('f32').mul(1 / 255) : x
}

function moved(x: Tensor, options: AugmentOptions, policy: Policy, draws: Draws): Tensor {
  const [batch, height, width] = x.shape
  const geometry = compose(drawGeometry(options, height, width, draws), policy.geometry)
  const matrix = geometryMatrix(geometry, batch)
  return matrix === undefined ? x : affineWarp(x, matrix, { fill: options.fill ?? 'edge' })
}

/** @param original tells the mean grey, which what stands outside must not change */
function recolour(x: Tensor, original: Tensor, options: AugmentOptions, policy: Policy, draws: Draws): Tensor {
  const [batch, height, width, channels] = x.shape
  const colour = composeColour(drawColour(options, draws), policy.colour)
  const map = colourMap(colour, () => meanGrey(original))
  if (map === undefined) return toUnit(x)
  if (channels === 3 && (map.vivid !== map.common || map.turned !== 0))
    return colorMatrix(x, colourMatrices(map, batch))
  const each = (value: Tensor | number) => (typeof value === 'number' ? value : value.reshape(batch, 1, 1))
  const values = toUnit(x).reshape(batch, height, width * channels)
  return values.mul(each(map.common)).add(each(map.offset)).clamp(0, 1).reshape(x.shape)
}

/** Solarize and posterize, f32 [batch, height, width · channels]. */
function quantize(x: Tensor, { solarizeFrom, levels }: Policy): Tensor {
  if (typeof solarizeFrom === 'number' || typeof levels === 'number') return x
  const batch = x.shape[0]
  const turned = where(x.less(solarizeFrom.reshape(batch, 1, 1)), x, x.mul(-1).add(1))
  // Bytes that are rounded below themselves must not fall a level lower.
  const step = levels.mul(1 / 255)
  const lowered = floor(turned.add(1e-4).div(step.reshape(batch, 1, 1))).mul(step.reshape(batch, 1, 1))
  return where(levels.greater(1).reshape(batch, 1, 1), lowered, turned)
}
