/** Reductions that keep the innermost axis: vectors run along it, every lane is a result of its own. */
import { add, div, min, mul, rem, sub } from '../../expression.ts'
import type { Expr, KernelFunction, Pointer } from '../../language.ts'
import type { Frame } from './frame.ts'
import { columnsPerTask, vectorsPerBlock } from './shape.ts'

/** Tasks of some columns of a piece. */
export function columnTask(frame: Frame): void {
  const { k } = frame
  // Every accumulator belongs to one column: how many lie side by side changes no bits.
  const widths =
    k.lanes === 1
      ? [[1, 1]]
      : ([
          [vectorsOf(frame), k.lanes],
          [1, k.lanes],
          [1, 1],
        ] as const)
  const blocks = widths.map(([vectors, lanes]) => ({
    width: vectors * lanes,
    block: columnBlock(frame, `columns${vectors * lanes}`, vectors, lanes),
  }))
  const [columns, blocksPerRow] = [frame.columns, frame.blocks] as [Expr, Expr]
  k.task((task) => {
    // Neighbouring tasks share rows.
    const perPiece = k.let(mul(frame.keptCount, blocksPerRow))
    const pieceIndex = k.let(div(task, perPiece))
    const rest = k.let(rem(task, perPiece))
    const keptIndex = k.let(div(rest, blocksPerRow))
    const column = k.variable(mul(rem(rest, blocksPerRow), columnsPerTask), 'column')
    const end = k.let(min(columns, add(column.value, columnsPerTask)))
    const along = k.let(mul(pieceIndex, frame.piece))
    const extent = k.let(min(sub(frame.reducedExtents[0], along), frame.piece))
    const firstOut = k.let(mul(add(mul(pieceIndex, frame.keptCount), keptIndex), columns))
    for (const { width, block } of blocks) {
      k.repeat(div(sub(end, column.value), width), () => {
        const at = frame.pointAt(keptIndex, along, column.value)
        k.call(block, ...at, k.let(add(firstOut, column.value)), extent)
        k.set(column, add(column.value, width))
      })
    }
  })
}

/** Vectors of columns side by side: as many accumulators as registers hold beside the operands. */
function vectorsOf({ k, sweeps }: Frame): number {
  const most = Math.max(...sweeps.map((results) => results.length))
  return most <= 2 || k.target.registers >= 32 ? vectorsPerBlock : vectorsPerBlock / 2
}

function columnBlock(frame: Frame, name: string, vectors: number, lanes: number): KernelFunction {
  const { k, outputs } = frame
  return frame.define(name, ['out', 'first'], (starts, out, first) => {
    const blocks = Array.from({ length: vectors }, (_, b) => b)
    const totals: Expr[][] = blocks.map(() => [])
    for (const results of frame.sweeps) {
      const means = blocks.map((b) => frame.means(results, totals[b], first, lanes))
      const sums = sweep(frame, starts, first, lanes, means, results)
      for (const b of blocks) for (const i of results) totals[b][i] = sums[b][i]
    }
    for (const [i, output] of outputs.entries()) {
      const pointer = k.point(output, out)
      for (const b of blocks) k.store(pointer, totals[b][i], b * lanes)
    }
  })
}

/** One walk over a piece. @returns for each vector the results that were asked for, at their numbers */
function sweep(
  frame: Frame,
  starts: readonly Pointer[],
  first: Expr,
  lanes: number,
  means: readonly (readonly (Expr | undefined)[])[],
  results: readonly number[],
): Expr[][] {
  const { k, shape } = frame
  const pointers = starts.map((start) => k.pointFrom(start))
  const blocks = means.map(() => frame.accumulators(results, lanes))
  frame.nest(0, shape.reducedRank - 1, pointers, first, (at) => {
    for (const [b, block] of blocks.entries()) frame.take(block, frame.values(at, lanes, b), means[b])
  })
  return blocks.map((block) => block.map((acc) => acc?.value as Expr))
}
