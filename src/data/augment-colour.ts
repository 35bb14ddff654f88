/** Everything that recolours, as one affine map for each picture. */
import { cos, sin, slice, type Tensor, tensor, where } from '../tensor/index.ts'
import { add, type Draws, mul, type Value } from './augment-draws.ts'
import type { AugmentOptions } from './augment-options.ts'

/** Factors and an angle; the ones and zero of {@link uncoloured} change nothing. */
export interface Colour {
  readonly brightness: Value
  readonly contrast: Value
  readonly saturation: Value
  /** Radians. */
  readonly hue: Value
}

export const uncoloured: Colour = { brightness: 1, contrast: 1, saturation: 1, hue: 0 }

/** Both, one on top of the other. */
export function composeColour(a: Colour, b: Colour): Colour {
  return {
    brightness: mul(a.brightness, b.brightness),
    contrast: mul(a.contrast, b.contrast),
    saturation: mul(a.saturation, b.saturation),
    hue: add(a.hue, b.hue),
  }
}

/** What the options ask for. */
export function drawColour(options: AugmentOptions, draws: Draws): Colour {
  const { brightness = 0, contrast = 0, saturation = 0, hue = 0, grey = 0 } = options
  const vivid = add(1, draws.around('saturation', saturation))
  return {
    brightness: add(1, draws.around('brightness', brightness)),
    contrast: add(1, draws.around('contrast', contrast)),
    saturation: grey === 0 ? vivid : where(draws.uniform('grey').less(grey), 0, vivid),
    hue: draws.around('hue', hue * 2 * Math.PI),
  }
}

/** y = offset + common · (grey part of x) + vivid · (coloured part of x) + turned · (coloured part, a quarter turn on) */
export interface ColourMap {
  readonly offset: Value
  readonly common: Value
  readonly vivid: Value
  readonly turned: Value
}

/**
 * Brightness, then contrast about the mean grey, then saturation and hue; in this order, in one map.
 * @param mean mean grey of each picture in [0, 1], asked for when contrast changes
 * @returns undefined when nothing changes
 */
export function colourMap(c: Colour, mean: () => Tensor): ColourMap | undefined {
  if (Object.entries(uncoloured).every(([name, value]) => c[name as keyof Colour] === value)) return undefined
  const common = mul(c.brightness, c.contrast)
  const pull = add(1, mul(c.contrast, -1))
  const offset = pull === 0 ? 0 : mul(mul(pull, c.brightness), mean())
  const strength = mul(common, c.saturation)
  if (typeof c.hue === 'number') return { offset, common, vivid: strength, turned: 0 }
  return { offset, common, vivid: mul(strength, cos(c.hue)), turned: mul(strength, sin(c.hue)) }
}

/** Weights of ITU-R BT.601 for the grey Y of a colour. */
const luma = [0.299, 0.587, 0.114]
/** U = 0.436 / (1 - 0.114) · (B - Y) over V = 0.615 / (1 - 0.299) · (R - Y), of the same recommendation. */
const ratio = 0.436 / 0.886 / (0.615 / 0.701)

/** Rows that make red, green and blue of a colour's grey part, its coloured part, and that part a quarter turn on. */
const parts = (() => {
  const unit = (channel: number) => luma.map((_, c) => Number(c === channel))
  const coloured = luma.map((_, channel) => unit(channel).map((one, c) => one - luma[c]))
  // The turn in the plane of U and V, which is that of YIQ's I and Q: what was V becomes -U, what was U becomes V.
  const red = coloured[2].map((x) => ratio * x)
  const blue = coloured[0].map((x) => -x / ratio)
  // Grey does not change, so green makes up for both.
  const green = red.map((x, c) => -(luma[0] * x + luma[2] * blue[c]) / luma[1])
  return { common: [luma, luma, luma], vivid: coloured, turned: [red, green, blue] }
})()

/** The matrices for `colorMatrix`, f32 [batch, 3, 4]. */
export function colourMatrices(map: ColourMap, batch: number): Tensor {
  const terms: [Value, number[]][] = [
    [map.common, parts.common.flatMap((row) => [...row, 0])],
    [map.vivid, parts.vivid.flatMap((row) => [...row, 0])],
    [map.turned, parts.turned.flatMap((row) => [...row, 0])],
    [map.offset, [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]],
  ]
  const matrices = terms
    .filter(([value]) => value !== 0)
    .map(([value, entries]) => tensor(entries).mul(typeof value === 'number' ? value : value.reshape(batch, 1)))
  return matrices
    .reduce((a, b) => a.add(b))
    .broadcastTo([batch, 12])
    .reshape(batch, 3, 4)
}

/**
 * The mean grey of each picture, as the model will see it: 0 to 1 for u8.
 * @param x u8 or f32 [batch, height, width, channels]
 * @returns f32 [batch]
 */
export function meanGrey(x: Tensor): Tensor {
  const [batch, height, width, channels] = x.shape
  const mean =
    channels === 3
      ? luma
          .map((weight, c) =>
            slice(x, [null, null, null, [c, c + 1]])
              .reshape(batch, height * width)
              .cast('f32')
              .mul(weight),
          )
          .reduce((a, b) => a.add(b))
          .mean(1)
      : x
          .reshape(batch, height * width * channels)
          .cast('f32')
          .mean(1)
  return x.dtype === 'u8' ? mean.mul(1 / 255) : mean
}
