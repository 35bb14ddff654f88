import { checkOptions, ShapeError } from '../base/errors.ts'
import { showShape } from '../base/shape.ts'
import { avgPool as avgPoolOf, maxPool as maxPoolOf, type Tensor } from '../tensor/index.ts'
import { type Json, type Layer, standIn, tried, where } from './layer.ts'
import { type Padding, perAxis, windowExtents } from './window.ts'

/** Extent of a window: one number, or one a spatial axis. */
export type PoolSize = number | readonly number[]

export interface PoolLayerOptions {
  /** Default: the window's size, so that windows do not overlap. */
  readonly stride?: number | readonly number[]
  /** Default 0. */
  readonly padding?: Padding
  /** Distance between the elements of a window. Default 1. */
  readonly dilation?: number | readonly number[]
  /** Whether a last window may hang over the end (PyTorch's and ONNX's ceil mode). Default false. */
  readonly ceil?: boolean
}

export interface AvgPoolLayerOptions extends PoolLayerOptions {
  /** Whether padding counts in a window's size, as zeros. Default true, as in PyTorch. */
  readonly countIncludePad?: boolean
}

const axes = [
  '',
  '[length, channels], length',
  '[height, width, channels], each',
  '[depth, height, width, channels], each',
]

const optionNames = ['stride', 'padding', 'dilation', 'ceil']

function pool(
  type: string,
  rank: 1 | 2 | 3,
  size: PoolSize,
  options: AvgPoolLayerOptions,
  apply: (x: Tensor, options: AvgPoolLayerOptions & { kernelSize: readonly number[] }) => Tensor,
): Layer {
  const kernelSize = perAxis(size, rank)
  checkOptions(`nn.${type}`, options, [...optionNames, ...(type.startsWith('avg') ? ['countIncludePad'] : [])])
  const { stride = kernelSize, dilation = 1, padding = 0 } = options
  return {
    type,
    options: { size, ...(options as { [name: string]: Json }) },
    build(scope, input) {
      const fits = input.length === rank + 1
      const extents = fits ? windowExtents(input, { ...options, kernelSize, stride, padding }) : []
      if (!fits || extents.some((extent) => extent < 1)) {
        throw new ShapeError({
          where: where(scope, type),
          what: fits
            ? 'the window is larger than what arrives'
            : `samples have ${input.length} axes, ${rank + 1} are needed`,
          got: `samples of shape ${showShape(input)}, window ${typeof size === 'number' ? size : showShape(size)}`,
          expected: `${axes[rank]} at least the window`,
          fix: 'use a smaller window, or fewer pools before this layer',
        })
      }
      const run = (x: Tensor) => apply(x, { ...options, kernelSize })
      return { output: tried(scope, type, () => run(standIn([1, ...input]))), apply: run }
    },
    cost: () => ({
      multiplyAdds: 0,
      window: { kernelSize, stride: perAxis(stride, rank), dilation: perAxis(dilation, rank) },
    }),
  }
}

/** Largest value of each window of `size` × `size`. */
export const maxPool2d = (size: PoolSize, options: PoolLayerOptions = {}): Layer =>
  pool('maxPool2d', 2, size, options, maxPoolOf)
/** Mean of each window of `size` × `size`. */
export const avgPool2d = (size: PoolSize, options: AvgPoolLayerOptions = {}): Layer =>
  pool('avgPool2d', 2, size, options, avgPoolOf)
export const maxPool1d = (size: PoolSize, options: PoolLayerOptions = {}): Layer =>
  pool('maxPool1d', 1, size, options, maxPoolOf)
export const avgPool1d = (size: PoolSize, options: AvgPoolLayerOptions = {}): Layer =>
  pool('avgPool1d', 1, size, options, avgPoolOf)
export const maxPool3d = (size: PoolSize, options: PoolLayerOptions = {}): Layer =>
  pool('maxPool3d', 3, size, options, maxPoolOf)
export const avgPool3d = (size: PoolSize, options: AvgPoolLayerOptions = {}): Layer =>
  pool('avgPool3d', 3, size, options, avgPoolOf)

export interface GlobalPoolOptions {
  /** Whether spatial axes stay, with extent 1. Default false. */
  readonly keepDims?: boolean
}

function globalPool(
  type: string,
  options: GlobalPoolOptions,
  reduce: (x: Tensor, axes: number[], options: { keepDims: boolean }) => Tensor,
): Layer {
  checkOptions(`nn.${type}`, options, ['keepDims'])
  const { keepDims = false } = options
  return {
    type,
    options: keepDims ? { keepDims } : {},
    build: (_scope, input) => ({
      output: [...(keepDims ? input.slice(0, -1).map(() => 1) : []), input[input.length - 1]],
      apply: (x) =>
        reduce(
          x,
          Array.from({ length: x.ndim - 2 }, (_, i) => i + 1),
          { keepDims },
        ),
    }),
    cost: () => ({ multiplyAdds: 0, seesAll: true }),
  }
}

/** Mean over all places: [batch, …, channels] to [batch, channels]. */
export const globalAvgPool = (options: GlobalPoolOptions = {}): Layer =>
  globalPool('globalAvgPool', options, (x, axes, keep) => x.mean(axes, keep))
/** Largest value over all places. */
export const globalMaxPool = (options: GlobalPoolOptions = {}): Layer =>
  globalPool('globalMaxPool', options, (x, axes, keep) => x.max(axes, keep))
