/** Extents that windows give, by the arithmetic of the ops. */
import type { Shape } from '../base/shape.ts'

/** `'valid'`, `'same'`, `'full'`, a number for all sides, or `[before, after]` for every axis. */
export type Padding = 'valid' | 'same' | 'full' | number | readonly (readonly [number, number])[]

/** One number an axis. */
export const perAxis = (value: number | readonly number[] | undefined, rank: number): readonly number[] =>
  value === undefined
    ? new Array<number>(rank).fill(1)
    : typeof value === 'number'
      ? new Array<number>(rank).fill(value)
      : value

export interface Window {
  readonly kernelSize: readonly number[]
  readonly stride?: number | readonly number[]
  readonly dilation?: number | readonly number[]
  readonly padding?: Padding
  readonly ceil?: boolean
}

/** What comes out along each spatial axis of `input`; below 1 where the window does not fit. */
export function windowExtents(input: Shape, window: Window): number[] {
  const { kernelSize, padding = 'valid', ceil = false } = window
  const rank = kernelSize.length
  const strides = perAxis(window.stride, rank)
  const dilations = perAxis(window.dilation, rank)
  return kernelSize.map((size, axis) => {
    const stride = strides[axis]
    const reach = (size - 1) * dilations[axis] + 1
    const extent = input[axis]
    // The same on both sides of the division: ceil mode leaves nothing over.
    if (padding === 'same') return Math.ceil(extent / stride)
    const [before, after] =
      padding === 'valid'
        ? [0, 0]
        : padding === 'full'
          ? [reach - 1, reach - 1]
          : typeof padding === 'number'
            ? [padding, padding]
            : padding[axis]
    const steps = (extent + before + after - reach) / stride
    if (!ceil) return Math.floor(steps) + 1
    // A window that would begin behind the input is none.
    const last = Math.ceil(steps)
    return (last * stride >= before + extent ? last - 1 : last) + 1
  })
}
