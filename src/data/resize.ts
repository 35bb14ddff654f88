/** From a decoded picture of any size to a sample of a model. */
import { ConfigError, ShapeError } from '../base/errors.ts'
import { type Shape, showShape } from '../base/shape.ts'
import { makeResampler, type Picture, type ResizeFilter } from './resample.ts'

export type { Picture, ResizeFilter }

/** Part of a picture, in pixels. */
export interface Crop {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

const { resample, toSample } = makeResampler()

/**
 * Resizes with antialiased weights, as Pillow's `resize((width, height), filter, box)` does: within 1 of its numbers.
 * Channels stay what they are.
 * @param crop the part to use; default: all of it
 * @param filter `'bicubic'` keeps more contrast at edges
 * @throws ConfigError when the new size or the part makes no sense
 */
export function resizeImage(
  picture: Picture,
  width: number,
  height: number,
  crop: Crop = { left: 0, top: 0, width: picture.width, height: picture.height },
  filter: ResizeFilter = 'bilinear',
): Picture {
  const { channels } = picture
  checkResize(picture, width, height, crop)
  const data = resample({
    ...picture,
    left: crop.left,
    top: crop.top,
    partWidth: crop.width,
    partHeight: crop.height,
    toWidth: width,
    toHeight: height,
    toChannels: channels,
    filter,
  })
  return { width, height, channels, data }
}

function checkResize(picture: Picture, width: number, height: number, crop: Crop): void {
  const whole = (extent: number) => Number.isInteger(extent) && extent >= 1
  if (!whole(width) || !whole(height)) {
    throw new ConfigError({
      where: 'resizeImage',
      what: 'the new size makes no sense',
      got: `width ${width}, height ${height}`,
      expected: 'whole numbers of at least 1',
      fix: 'correct the size',
    })
  }
  const inside = (start: number, extent: number, all: number) => start >= 0 && extent > 0 && start + extent <= all
  if (inside(crop.left, crop.width, picture.width) && inside(crop.top, crop.height, picture.height)) return
  throw new ConfigError({
    where: 'resizeImage',
    what: 'the part does not lie in the picture',
    got: `left ${crop.left}, top ${crop.top}, width ${crop.width}, height ${crop.height}`,
    expected: `a part of ${picture.width} x ${picture.height} pixels`,
    fix: 'correct the part',
  })
}

export interface PictureOptions {
  /** Turns dark on light into light on dark; default false. */
  readonly invert?: boolean
}

/**
 * What a model for pictures of this shape sees of a picture: its middle cut out in the model's proportions, laid on
 * white where it is transparent, turned to grey or colour, resized with bilinear weights.
 * @param shape [height, width, 1 or 3]
 * @returns bytes of that shape
 * @throws ShapeError when the shape is no picture's
 */
export function pictureToSample(picture: Picture, shape: Shape, options: PictureOptions = {}): Uint8Array {
  const data = toSample(picture, ...checkPictureShape(shape))
  return options.invert === true ? data.map((value) => 255 - value) : data
}

/** @throws ShapeError when samples of this shape are no pictures */
function checkPictureShape(shape: Shape): readonly [height: number, width: number, channels: number] {
  const [height, width, channels] = shape
  if (shape.length === 3 && (channels === 1 || channels === 3)) return [height, width, channels]
  throw new ShapeError({
    where: 'pictureToSample',
    what: 'the model does not take pictures',
    got: `samples of shape ${showShape(shape)}`,
    expected: '[height, width, 1] or [height, width, 3]',
    fix: 'give the model samples in code, with predict',
  })
}
