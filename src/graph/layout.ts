/** Where elements lie, and arithmetic on iteration spaces. */
import type { Shape } from '../base/shape.ts'

/** Where the elements of a tensor lie in the buffer of the node it is a view of, in elements. */
export interface Layout {
  readonly shape: Shape
  readonly strides: readonly number[]
  readonly offset: number
}

/**
 * Merges neighbouring axes that every stream walks as one: axis i joins i + 1 when stride[i] = stride[i+1] · extent[i+1]
 * for all streams. Extents of 1 are not special, so that a batch of one sample asks for the same kernel as any other.
 * @param strides one list for each stream, as long as `extents`
 * @returns at least one axis; a space without axes has one of extent 1
 */
export function mergeAxes(
  extents: readonly number[],
  strides: readonly (readonly number[])[],
): { extents: number[]; strides: number[][] } {
  if (extents.length === 0) return { extents: [1], strides: strides.map(() => [0]) }
  const merged = [extents[extents.length - 1]]
  const kept = strides.map((stream) => [stream[extents.length - 1]])
  for (let axis = extents.length - 2; axis >= 0; axis--) {
    const joins = strides.every((stream, i) => stream[axis] === kept[i][0] * merged[0])
    if (joins) merged[0] *= extents[axis]
    else merged.unshift(extents[axis])
    if (!joins) for (const [i, stream] of strides.entries()) kept[i].unshift(stream[axis])
  }
  return { extents: merged, strides: kept }
}
