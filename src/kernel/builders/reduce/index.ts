/** Reductions: many elements become one, in pieces whose number the shape decides. */
export { reduceFoldCall, reduceFoldSpec } from './fold.ts'
export { pieces, type ReduceArguments, reduceCall, reduceSpec } from './reduce.ts'
export type { Combine, Reduced, ReduceShape } from './shape.ts'
