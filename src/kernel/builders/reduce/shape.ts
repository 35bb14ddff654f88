/** What reductions and the folds of their pieces have in common: results and how they are combined. */
import type { DType } from '../../../base/dtype.ts'
import type { Variable } from '../../build.ts'
import type { Chain } from '../../chain.ts'
import { add, constant, max, min, ne, select } from '../../expression.ts'
import type { Expr } from '../../language.ts'
import type { MapOperand } from '../map.ts'

/** How many elements become one. `deviations` is Σ (x - mean x)². */
export type Combine = 'sum' | 'max' | 'min' | 'deviations'

/** Something a reduction computes. Deviations need the sum of the same values, another result: its number. */
export type Reduced =
  | { readonly combine: 'sum' | 'max' | 'min'; readonly dtype: DType }
  | { readonly combine: 'deviations'; readonly dtype: 'f32'; readonly sum: number }

export interface ReduceShape {
  readonly form: 'row' | 'column'
  /** One for each result of the chain. */
  readonly results: readonly Reduced[]
  /** Merged kept axes, without the innermost one in column form. */
  readonly keptRank: number
  /** Merged reduced axes, at least 1; in row form the last one is the innermost. */
  readonly reducedRank: number
  readonly operands: readonly MapOperand[]
  readonly chain: Chain
}

export function reducedKey(results: readonly Reduced[]): string {
  return results.map((r) => `${r.combine}${r.combine === 'deviations' ? r.sum : ''}.${r.dtype}`).join()
}

const identity = {
  sum: { f32: 0, i32: 0 },
  max: { f32: Number.NEGATIVE_INFINITY, i32: -(2 ** 31) },
  min: { f32: Number.POSITIVE_INFINITY, i32: 2 ** 31 - 1 },
  deviations: { f32: 0, i32: 0 },
} as const satisfies Record<Combine, { f32: number; i32: number }>

/** What an accumulator begins with. */
export function startOfResult({ combine, dtype }: Reduced, lanes: number): Expr {
  const kind = dtype === 'f32' ? 'f32' : 'i32'
  return constant(kind, identity[combine][kind], lanes)
}

export function combineValues(combine: Combine, accumulated: Expr, value: Expr): Expr {
  if (combine === 'sum' || combine === 'deviations') return add(accumulated, value)
  const best = combine === 'max' ? max(accumulated, value) : min(accumulated, value)
  // A NaN must not be lost, as in PyTorch; the other order of operands keeps one that came earlier.
  return value.type.kind === 'f32' ? select(ne(value, value), value, best) : best
}

/** One a result; the results that a sweep does not collect have none. */
export type Accumulators = readonly (Variable | undefined)[]

/** Vectors that are walked over side by side. */
export const vectorsPerBlock = 4
/** Columns of a task: whole stretches of a row, so that a piece is read from memory once. */
export const columnsPerTask = 64
