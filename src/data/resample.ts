/** The arithmetic of resizing, in one function that stands alone: threads that decode pictures are given its text. */

/** How new pixels are weighed together from old ones. */
export type ResizeFilter = 'bilinear' | 'bicubic'

/** 8-bit pixels, [height, width, channels]. */
export interface Picture {
  readonly width: number
  readonly height: number
  /** Grey, grey and alpha, RGB, or RGBA. */
  readonly channels: number
  readonly data: Uint8Array
}

export interface Resampling extends Picture {
  /** The part to use, in pixels, which may be fractions. */
  readonly left: number
  readonly top: number
  readonly partWidth: number
  readonly partHeight: number
  /** The result's size; its channels are 1 or 3, or as many as the picture has: then nothing is converted. */
  readonly toWidth: number
  readonly toHeight: number
  readonly toChannels: number
  readonly filter: ResizeFilter
}

/** Source pixels `first[i]` … `first[i] + count[i] - 1` make result pixel i; their weights begin at `i * stride`. */
interface Taps {
  readonly first: Int32Array
  readonly count: Int32Array
  readonly weights: Float64Array
  readonly stride: number
}

/** Where a row is read from and written to. */
interface Line {
  readonly from: Uint8Array
  readonly fromOffset: number
  readonly to: Float32Array
  readonly toOffset: number
  readonly channels: number
}

export interface Resampler {
  /** @returns bytes, [toHeight, toWidth, toChannels] */
  resample(work: Resampling): Uint8Array
  /** The picture's middle in the proportions of the result, resized with bilinear weights. */
  toSample(picture: Picture, height: number, width: number, channels: number): Uint8Array
}

/**
 * Makes the functions that resize. Every name they need is inside, and all are methods, which no bundler wraps in
 * helpers of its own: the text of this function is a program.
 *
 * A filter is as wide as its support in source pixels when enlarging and in result pixels when shrinking, so that
 * every source pixel counts: no aliasing. As PyTorch's `interpolate` with `antialias=True`, and within 1 of Pillow's
 * `Image.resize`, which rounds twice. Alpha is laid over white before; grey has the weights of ITU-R BT.601.
 */
export function makeResampler(): Resampler {
  const parts = {
    taps(from: number, to: number, start: number, extent: number, filter: ResizeFilter): Taps {
      const scale = extent / to
      const stretch = Math.max(1, scale)
      const reach = (filter === 'bicubic' ? 2 : 1) * stretch
      const stride = 2 * Math.ceil(reach) + 1
      const first = new Int32Array(to)
      const count = new Int32Array(to)
      const weights = new Float64Array(to * stride)
      for (let i = 0; i < to; i++) {
        const centre = start + (i + 0.5) * scale
        const low = Math.min(from - 1, Math.max(0, Math.trunc(centre - reach + 0.5)))
        const taken = Math.max(1, Math.min(from, Math.trunc(centre + reach + 0.5)) - low)
        let sum = 0
        for (let k = 0; k < taken; k++) {
          const weight = parts.weight(Math.abs(low + k - centre + 0.5) / stretch, filter)
          weights[i * stride + k] = weight
          sum += weight
        }
        first[i] = low
        count[i] = taken
        for (let k = 0; k < taken; k++) weights[i * stride + k] = sum === 0 ? 1 / taken : weights[i * stride + k] / sum
      }
      return { first, count, weights, stride }
    },

    /** At a distance d ≥ 0: a triangle, or the cubic of Keys (1981) with a = -1/2. */
    weight(d: number, filter: ResizeFilter): number {
      if (filter === 'bilinear') return d < 1 ? 1 - d : 0
      if (d < 1) return (1.5 * d - 2.5) * d * d + 1
      return d < 2 ? (((d - 5) * d + 8) * d - 4) * -0.5 : 0
    },

    /** Pixels of `line` from `begin` to `end` as grey or colour on white. */
    convert(row: Uint8Array, line: Uint8Array, begin: number, end: number, from: number, to: number): void {
      const alpha = from === 2 || from === 4
      const green = from < 3 ? 0 : 1
      for (let p = begin * from, q = 0; p < end * from; p += from, q += to) {
        let r = line[p]
        let g = line[p + green]
        let b = line[p + 2 * green]
        if (alpha && line[p + from - 1] !== 255) {
          const a = line[p + from - 1]
          const white = 255 * (255 - a) + 127
          r = ((a * r + white) / 255) | 0
          g = ((a * g + white) / 255) | 0
          b = ((a * b + white) / 255) | 0
        }
        if (to === 1) row[q] = (19595 * r + 38470 * g + 7471 * b + 32768) >> 16
        else {
          row[q] = r
          row[q + 1] = g
          row[q + 2] = b
        }
      }
    },

    /** Filters with negative weights overshoot beside edges. */
    clip(value: number): number {
      return value < 0 ? 0 : value > 255 ? 255 : value
    },

    across({ from, fromOffset, to, toOffset, channels }: Line, { first, count, weights, stride }: Taps): void {
      let at = toOffset
      for (let i = 0; i < first.length; i++) {
        const last = i * stride + count[i]
        let p = fromOffset + first[i] * channels
        if (channels === 3) {
          let r = 0
          let g = 0
          let b = 0
          for (let k = i * stride; k < last; k++, p += 3) {
            const w = weights[k]
            r += w * from[p]
            g += w * from[p + 1]
            b += w * from[p + 2]
          }
          to[at++] = parts.clip(r)
          to[at++] = parts.clip(g)
          to[at++] = parts.clip(b)
        } else {
          for (let c = 0; c < channels; c++) {
            let sum = 0
            for (let k = i * stride, q = p + c; k < last; k++, q += channels) sum += weights[k] * from[q]
            to[at++] = parts.clip(sum)
          }
        }
      }
    },

    /** Weighs whole rows together, `extent` values each; the first of them is row `top` of the picture. */
    down(rows: Float32Array, top: number, extent: number, { first, count, weights, stride }: Taps): Uint8Array {
      const result = new Uint8Array(first.length * extent)
      const sums = new Float64Array(extent)
      for (let y = 0; y < first.length; y++) {
        sums.fill(0.5) // the only rounding
        for (let k = 0; k < count[y]; k++) {
          const w = weights[y * stride + k]
          const p = (first[y] + k - top) * extent
          for (let i = 0; i < extent; i++) sums[i] += w * rows[p + i]
        }
        for (let i = 0; i < extent; i++) result[y * extent + i] = parts.clip(sums[i])
      }
      return result
    },

    resample(work: Resampling): Uint8Array {
      const { data, width, channels, toWidth, toHeight, toChannels } = work
      const columns = parts.taps(width, toWidth, work.left, work.partWidth, work.filter)
      const lines = parts.taps(work.height, toHeight, work.top, work.partHeight, work.filter)
      // Only what the result is made of is looked at: outside the part there may be much more.
      const begin = columns.first[0]
      const end = columns.first[toWidth - 1] + columns.count[toWidth - 1]
      const top = lines.first[0]
      const bottom = lines.first[toHeight - 1] + lines.count[toHeight - 1]
      const extent = toWidth * toChannels
      const row = new Uint8Array((end - begin) * toChannels)
      const rows = new Float32Array((bottom - top) * extent)
      for (let y = top; y < bottom; y++) {
        const target = { to: rows, toOffset: (y - top) * extent, channels: toChannels }
        if (channels === toChannels) {
          parts.across({ from: data, fromOffset: y * width * channels, ...target }, columns)
          continue
        }
        parts.convert(row, data.subarray(y * width * channels), begin, end, channels, toChannels)
        parts.across({ from: row, fromOffset: -begin * toChannels, ...target }, columns)
      }
      return parts.down(rows, top, extent, lines)
    },

    toSample(picture: Picture, height: number, width: number, channels: number): Uint8Array {
      const scale = Math.min(picture.width / width, picture.height / height)
      return parts.resample({
        ...picture,
        left: (picture.width - width * scale) / 2,
        top: (picture.height - height * scale) / 2,
        partWidth: width * scale,
        partHeight: height * scale,
        toWidth: width,
        toHeight: height,
        toChannels: channels,
        filter: 'bilinear',
      })
    },
  }
  return parts
}
