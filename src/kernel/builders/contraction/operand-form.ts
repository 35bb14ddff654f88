/** How a contraction reads what it multiplies. */
import type { StorageType } from '../../../base/dtype.ts'

/**
 * `f32`; `bf16`, widened to f32 on the way to the tile; or `pairs`: two bf16 that follow each other in the sum, as the
 * halves of an i32, for `dot2`. In the form of pairs all extents and strides count pairs.
 */
export type OperandForm = 'f32' | 'bf16' | 'pairs'

/** The elements of a buffer of that form. */
export function elementOf(form: OperandForm): StorageType {
  return form === 'pairs' ? 'i32' : form
}

/** The elements the tile reads where they are copied or packed before: bf16 is widened there. */
export function copiedElementOf(form: OperandForm): 'f32' | 'i32' {
  return form === 'pairs' ? 'i32' : 'f32'
}
