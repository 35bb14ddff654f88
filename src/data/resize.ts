/** From a decoded picture of any size to a sample of a model. */
import { ShapeError } from '../base/errors.ts'
import { type Shape, showShape } from '../base/shape.ts'

/** 8-bit pixels, [height, width, channels]. */
export interface Picture {
  readonly width: number
  readonly height: number
  readonly channels: number
  readonly data: Uint8Array
}

/** Source pixels that one result pixel is made of, with weights that sum to 1. */
interface Taps {
  readonly first: number
  readonly weights: Float64Array
}

/**
 * A triangle as wide as two source pixels when enlarging, and as wide as two result pixels when shrinking, so that
 * every source pixel counts: no aliasing. As PyTorch's interpolate with `antialias=True`.
 */
function triangleTaps(from: number, to: number, start: number, extent: number): Taps[] {
  const scale = extent / to
  const reach = Math.max(1, scale)
  return Array.from({ length: to }, (_, i) => {
    const centre = start + (i + 0.5) * scale
    const first = Math.max(0, Math.floor(centre - reach + 0.5))
    const last = Math.min(from, Math.floor(centre + reach + 0.5))
    const weights = Float64Array.from({ length: Math.max(1, last - first) }, (_, j) =>
      Math.max(0, 1 - Math.abs((first + j + 0.5 - centre) / reach)),
    )
    const sum = weights.reduce((a, b) => a + b, 0)
    return {
      first: Math.min(first, from - 1),
      weights: sum > 0 ? weights.map((w) => w / sum) : weights.fill(1 / weights.length),
    }
  })
}

/** Part of a picture, in pixels. */
export interface Crop {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

/**
 * Resizes with antialiased bilinear weights: columns first, then rows, rounded once at the end.
 * @param crop the part to use; default: all of it
 */
export function resizeImage(picture: Picture, width: number, height: number, crop?: Crop): Picture {
  const { channels, data } = picture
  const part = crop ?? { left: 0, top: 0, width: picture.width, height: picture.height }
  const columns = triangleTaps(picture.width, width, part.left, part.width)
  const rows = triangleTaps(picture.height, height, part.top, part.height)
  const narrow = new Float64Array(picture.height * width * channels)
  for (let y = 0; y < picture.height; y++) {
    for (let x = 0; x < width; x++) {
      const { first, weights } = columns[x]
      for (let c = 0; c < channels; c++) {
        let sum = 0
        for (let k = 0; k < weights.length; k++)
          sum += weights[k] * data[(y * picture.width + first + k) * channels + c]
        narrow[(y * width + x) * channels + c] = sum
      }
    }
  }
  const result = new Uint8Array(height * width * channels)
  const row = width * channels
  for (let y = 0; y < height; y++) {
    const { first, weights } = rows[y]
    for (let i = 0; i < row; i++) {
      let sum = 0
      for (let k = 0; k < weights.length; k++) sum += weights[k] * narrow[(first + k) * row + i]
      result[y * row + i] = Math.min(255, Math.max(0, Math.round(sum)))
    }
  }
  return { width, height, channels, data: result }
}

/** Grey by the weights of ITU-R BT.601; transparent parts count as white paper. */
function toChannels(picture: Picture, channels: number): Picture {
  const { width, height, data } = picture
  const from = picture.channels
  const pixels = width * height
  const result = new Uint8Array(pixels * channels)
  for (let i = 0; i < pixels; i++) {
    const alpha = from === 4 || from === 2 ? data[i * from + from - 1] / 255 : 1
    const value = (c: number) => alpha * data[i * from + (from < 3 ? 0 : c)] + 255 * (1 - alpha)
    if (channels === 1) result[i] = Math.round(0.299 * value(0) + 0.587 * value(1) + 0.114 * value(2))
    else for (let c = 0; c < 3; c++) result[i * 3 + c] = Math.round(value(c))
  }
  return { width, height, channels, data: result }
}

export interface PictureOptions {
  /** Turns dark on light into light on dark; default false. */
  readonly invert?: boolean
}

/**
 * What a model for pictures of this shape sees of a picture: turned to grey or colour, its middle cut out in the
 * model's proportions, resized.
 * @param shape [height, width, 1 or 3]
 * @returns bytes of that shape
 * @throws ShapeError when the shape is no picture's
 */
export function pictureToSample(picture: Picture, shape: Shape, options: PictureOptions = {}): Uint8Array {
  const [height, width, channels] = shape
  if (shape.length !== 3 || (channels !== 1 && channels !== 3)) {
    throw new ShapeError({
      where: 'pictureToSample',
      what: 'the model does not take pictures',
      got: `samples of shape ${showShape(shape)}`,
      expected: '[height, width, 1] or [height, width, 3]',
      fix: 'give the model samples in code, with predict',
    })
  }
  const scale = Math.min(picture.width / width, picture.height / height)
  const crop = {
    width: width * scale,
    height: height * scale,
    left: (picture.width - width * scale) / 2,
    top: (picture.height - height * scale) / 2,
  }
  const { data } = resizeImage(toChannels(picture, channels), width, height, crop)
  return options.invert === true ? data.map((value) => 255 - value) : data
}
