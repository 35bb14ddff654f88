/** Reductions along the innermost axis: vectors run along it, and their lanes are folded at the end. */
import type { KernelBuilder, Variable } from '../../build.ts'
import { add, div, min, mul, ne, reduceLanes, rem, select, sub } from '../../expression.ts'
import type { Expr, Pointer } from '../../language.ts'
import type { Frame } from './frame.ts'
import { type Accumulators, combineValues, type Reduced, vectorsPerBlock } from './shape.ts'

/** The lanes of the four accumulators of a row, and of what did not fill a vector, as one. */
function foldRow(k: KernelBuilder, result: Reduced, wide: readonly Expr[], narrow: Expr): Expr {
  if (wide.length === 0) return narrow
  const { combine, dtype } = result
  const c = (a: Expr, b: Expr) => k.let(combineValues(combine, a, b))
  const folded = c(c(wide[0], wide[1]), c(wide[2], wide[3]))
  const across = combine === 'max' || combine === 'min' ? combine : 'add'
  const best = combineValues(combine, k.let(reduceLanes(across, folded)), narrow)
  if (across === 'add' || dtype !== 'f32') return k.let(best)
  // min and max over lanes may drop a NaN; the sum of the lanes that are NaN brings it back.
  const nan = k.let(reduceLanes('add', k.let(select(ne(folded, folded), folded, 0))))
  return k.let(select(ne(nan, nan), nan, best))
}

/** Tasks of a few rows each; a row is one result, or one piece of it. */
export function rowTask(frame: Frame): void {
  const { k, outputs } = frame
  const row = frame.define('row', ['out', 'first'], (starts, out, first) => {
    const totals: Expr[] = []
    for (const results of frame.sweeps) {
      const sums = sweep(frame, starts, first, frame.means(results, totals, first, 1), results)
      for (const i of results) totals[i] = sums[i]
    }
    for (const [i, output] of outputs.entries()) k.store(k.point(output, out), totals[i])
  })
  k.task((task) => {
    const pieceIndex = k.let(rem(task, frame.pieceCount))
    const firstRow = k.let(mul(div(task, frame.pieceCount), frame.rowsPerTask as Expr))
    const along = k.let(mul(pieceIndex, frame.piece))
    const extent = k.let(min(sub(frame.reducedExtents[0], along), frame.piece))
    k.loop(min(sub(frame.keptCount, firstRow), frame.rowsPerTask as Expr), (i) => {
      const index = k.let(add(firstRow, i))
      const out = k.let(add(mul(pieceIndex, frame.keptCount), index))
      k.call(row, ...frame.pointAt(index, along), out, extent)
    })
  })
}

/** One walk over a row. @returns the results that were asked for, at their numbers */
function sweep(
  frame: Frame,
  starts: readonly Pointer[],
  first: Expr,
  means: readonly (Expr | undefined)[],
  results: readonly number[],
): Expr[] {
  const { k, shape } = frame
  const { reducedRank } = shape
  const pointers = starts.map((start) => k.pointFrom(start))
  const blocks = k.lanes === 1 ? 0 : vectorsPerBlock
  const wide = Array.from({ length: blocks }, () => frame.accumulators(results, k.lanes))
  const narrow = frame.accumulators(results, 1)
  frame.nest(0, reducedRank - 2, pointers, first, (at) => {
    const count = reducedRank === 1 ? first : frame.reducedExtents[reducedRank - 1]
    const run = (times: Expr, lanes: number, into: readonly Accumulators[]) =>
      k.repeat(times, () => {
        for (const [b, acc] of into.entries()) frame.take(acc, frame.values(at, lanes, b), means)
        frame.moveInner(at, lanes * into.length)
      })
    if (blocks === 0) {
      run(count, 1, [narrow])
      return
    }
    run(div(count, blocks * k.lanes), k.lanes, wide)
    const rest = k.let(rem(count, blocks * k.lanes))
    run(div(rest, k.lanes), k.lanes, wide.slice(0, 1))
    run(rem(rest, k.lanes), 1, [narrow])
  })
  const totals: Expr[] = []
  for (const i of results) {
    const values = wide.map((acc) => (acc[i] as Variable).value)
    totals[i] = foldRow(k, shape.results[i], values, (narrow[i] as Variable).value)
  }
  return totals
}
