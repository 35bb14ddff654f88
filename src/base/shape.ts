import { ShapeError } from './errors.ts'

/** Lengths of the axes, outermost first. `[]` is a scalar. */
export type Shape = readonly number[]

/** Number of elements. */
export function sizeOf(shape: Shape): number {
  let size = 1
  for (const extent of shape) size *= extent
  return size
}

/** Elements between neighbours along each axis of a contiguous tensor. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length)
  let stride = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride
    stride *= shape[axis]
  }
  return strides
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((extent, axis) => extent === b[axis])
}

/** `[8, 32, 32, 3]`, as it stands in messages. */
export function showShape(shape: Shape): string {
  return `[${shape.join(', ')}]`
}

/**
 * The common shape of operands that are broadcast as in NumPy: axes are aligned at the end, extents must be equal or 1.
 * @throws ShapeError naming both shapes
 */
export function broadcastShapes(where: string, a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length)
  const shape = new Array<number>(rank)
  for (let i = 1; i <= rank; i++) {
    const x = a[a.length - i] ?? 1
    const y = b[b.length - i] ?? 1
    if (x !== y && x !== 1 && y !== 1) {
      throw new ShapeError({
        where,
        what: `shapes cannot be broadcast together: axis ${rank - i} has ${x} and ${y} elements`,
        got: `${showShape(a)} and ${showShape(b)}`,
        expected: 'equal extents, or 1, on every axis counted from the end',
        fix: 'reshape one operand so that its axes line up, for instance with .reshape or an axis of 1',
      })
    }
    shape[rank - i] = x === 1 ? y : x
  }
  return shape
}

/**
 * Axis counted from the end when negative.
 * @throws ShapeError when the tensor has no such axis
 */
export function normalizeAxis(where: string, axis: number, shape: Shape): number {
  const rank = shape.length
  const normalized = axis < 0 ? axis + rank : axis
  if (!Number.isInteger(axis) || normalized < 0 || normalized >= rank) {
    throw new ShapeError({
      where,
      what: `there is no axis ${axis}`,
      got: `a tensor of shape ${showShape(shape)}`,
      expected: rank === 0 ? 'no axis: it is a scalar' : `an axis from ${-rank} to ${rank - 1}`,
      fix: 'give an axis the tensor has',
    })
  }
  return normalized
}

/** Sorted, distinct, non-negative axes; all of them when `axes` is undefined. */
export function normalizeAxes(where: string, axes: number | readonly number[] | undefined, shape: Shape): number[] {
  if (axes === undefined) return shape.map((_, axis) => axis)
  const list = typeof axes === 'number' ? [axes] : axes
  const normalized = list.map((axis) => normalizeAxis(where, axis, shape)).sort((a, b) => a - b)
  const repeated = normalized.find((axis, i) => axis === normalized[i + 1])
  if (repeated !== undefined) {
    throw new ShapeError({
      where,
      what: `axis ${repeated} is named twice`,
      got: `axes [${list.join(', ')}] of ${showShape(shape)}`,
      expected: 'each axis once',
      fix: 'remove the repetition',
    })
  }
  return normalized
}
