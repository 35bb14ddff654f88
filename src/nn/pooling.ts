import { ShapeError } from '../base/errors.ts'
import { type Shape, showShape } from '../base/shape.ts'
import { avgPool as avgPoolOf, maxPool as maxPoolOf, type Tensor } from '../tensor/index.ts'
import { type Json, type Layer, where } from './layer.ts'

export interface PoolLayerOptions {
  /** Default: the window's size, so that windows do not overlap. */
  readonly stride?: number
  /** On all sides; default 0. */
  readonly padding?: number
}

function pool(
  type: string,
  rank: 1 | 2,
  size: number,
  options: PoolLayerOptions,
  apply: (x: Tensor, options: { kernelSize: number; stride: number; padding: number }) => Tensor,
): Layer {
  const { stride = size, padding = 0 } = options
  return {
    type,
    options: { size, ...(options as { [name: string]: Json }) },
    build(scope, input) {
      const extents = input.slice(0, rank).map((extent) => Math.floor((extent + 2 * padding - size) / stride) + 1)
      if (input.length !== rank + 1 || extents.some((extent) => extent < 1)) {
        throw new ShapeError({
          where: where(scope, type),
          what:
            input.length === rank + 1
              ? 'the window is larger than what arrives'
              : `samples have ${input.length} axes, ${rank + 1} are needed`,
          got: `samples of shape ${showShape(input)}, window ${size}`,
          expected:
            rank === 1
              ? '[length, channels], length at least the window'
              : '[height, width, channels], each at least the window',
          fix: 'use a smaller window, or fewer pools before this layer',
        })
      }
      return { output: [...extents, input[rank]], apply: (x) => apply(x, { kernelSize: size, stride, padding }) }
    },
    cost: (_input: Shape, _output: Shape) => ({
      multiplyAdds: 0,
      window: {
        kernelSize: new Array<number>(rank).fill(size),
        stride: new Array<number>(rank).fill(stride),
        dilation: new Array<number>(rank).fill(1),
      },
    }),
  }
}

/** Largest value of each window of `size` × `size`. */
export const maxPool2d = (size: number, options: PoolLayerOptions = {}): Layer =>
  pool('maxPool2d', 2, size, options, maxPoolOf)
/** Mean of each window of `size` × `size`; padding counts as zeros, as in PyTorch. */
export const avgPool2d = (size: number, options: PoolLayerOptions = {}): Layer =>
  pool('avgPool2d', 2, size, options, avgPoolOf)
export const maxPool1d = (size: number, options: PoolLayerOptions = {}): Layer =>
  pool('maxPool1d', 1, size, options, maxPoolOf)
export const avgPool1d = (size: number, options: PoolLayerOptions = {}): Layer =>
  pool('avgPool1d', 1, size, options, avgPoolOf)

function globalPool(type: string, reduce: (x: Tensor, axes: number[]) => Tensor): Layer {
  return {
    type,
    options: {},
    build: (_scope, input) => ({
      output: [input[input.length - 1]],
      apply: (x) =>
        reduce(
          x,
          Array.from({ length: x.ndim - 2 }, (_, i) => i + 1),
        ),
    }),
  }
}

/** Mean over all places: [batch, …, channels] to [batch, channels]. */
export const globalAvgPool = (): Layer => globalPool('globalAvgPool', (x, axes) => x.mean(axes))
/** Largest value over all places. */
export const globalMaxPool = (): Layer => globalPool('globalMaxPool', (x, axes) => x.max(axes))
