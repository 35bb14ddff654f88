/**
 * Reductions: output[kept] = combine over reduced of chain(operands), for several results of the chain at once. Two
 * forms: `column` keeps the innermost axis and runs vectors along it, `row` reduces the innermost axis and folds the lanes
 * at the end. Long reductions are cut into pieces by shape alone, whose results lie one after the other; a fold combines
 * them in order, so any number of threads gives the same bits.
 */
import { KernelBuilder, type KernelSpec } from '../../build.ts'
import { chainKey } from '../../chain.ts'
import type { Kernel } from '../../language.ts'
import type { Target } from '../../target.ts'
import { operandKey, startOf } from '../map.ts'
import { columnTask } from './column.ts'
import { Frame } from './frame.ts'
import { rowTask } from './row.ts'
import { columnsPerTask, type ReduceShape, reducedKey } from './shape.ts'

export interface ReduceArguments {
  readonly kept: readonly number[]
  readonly reduced: readonly number[]
  /** Length of the innermost kept axis; 1 in row form. */
  readonly columns: number
  /** For every operand: strides of the kept axes, the reduced axes and, in column form, the innermost axis. */
  readonly strides: readonly (readonly number[])[]
  readonly constants: readonly number[]
  /** Positions of the outermost reduced axis in one piece. */
  readonly piece: number
}

const elementsPerTask = 32768

/** Additions one accumulator makes one after the other: rounding errors grow with it. Row form has 16 accumulators. */
const longestChain = { row: 8192, column: 512 } as const
const mostPieces = 1024

/**
 * Positions of the outermost reduced axis per piece, how many pieces that makes, and elements that become one in a piece.
 * Depends on the shape alone.
 */
export function pieces(
  form: 'row' | 'column',
  reduced: readonly number[],
): { piece: number; count: number; size: number; lastSize: number } {
  const [outermost, ...inner] = reduced
  const perPosition = inner.reduce((a, b) => a * b, 1)
  const limit = longestChain[form]
  const one = outermost * perPosition <= 2 * limit
  const short = Math.max(Math.floor(limit / Math.max(1, perPosition)), Math.ceil(outermost / mostPieces))
  const piece = Math.max(1, one ? outermost : short)
  const count = one ? 1 : Math.ceil(outermost / piece)
  return { piece, count, size: piece * perPosition, lastSize: (outermost - (count - 1) * piece) * perPosition }
}

export function reduceSpec(shape: ReduceShape): KernelSpec {
  const { form, results, keptRank, reducedRank, chain } = shape
  const operands = shape.operands.map(operandKey)
  const key = `reduce|${form}|${reducedKey(results)}|${keptRank}|${reducedRank}|${operands}|${chainKey(chain)}`
  return { key, build: (target) => buildReduce(shape, key, target) }
}

export function reduceCall(
  shape: ReduceShape,
  args: ReduceArguments,
): { params: number[]; tasks: number; work: number } {
  const keptCount = args.kept.reduce((a, b) => a * b, 1)
  const reducedCount = args.reduced.reduce((a, b) => a * b, 1)
  const pieceCount = Math.max(1, Math.ceil(args.reduced[0] / args.piece))
  const params: number[] = []
  let tasks: number
  if (shape.form === 'row') {
    const rowsPerTask = Math.max(1, Math.min(keptCount, Math.floor(elementsPerTask / 2 / Math.max(1, reducedCount))))
    tasks = Math.ceil(keptCount / rowsPerTask) * pieceCount
    params.push(keptCount, rowsPerTask)
  } else {
    const blocks = Math.ceil(args.columns / columnsPerTask)
    tasks = keptCount * blocks * pieceCount
    params.push(keptCount, args.columns, blocks)
  }
  params.push(args.piece, pieceCount, ...args.kept, ...args.reduced)
  for (const [i, operand] of shape.operands.entries()) {
    const strides = args.strides[i]
    const outer = shape.form === 'row' ? strides.slice(0, -1) : strides.slice(0, shape.keptRank + shape.reducedRank)
    params.push(...outer)
    if (operand.inner === 'strided') params.push(strides[strides.length - 1])
    if (operand.reversed === true) params.push(startOf([...args.kept, ...args.reduced, args.columns], strides))
  }
  params.push(...args.constants)
  return { params, tasks: keptCount * args.columns === 0 ? 0 : tasks, work: keptCount * reducedCount * args.columns }
}

function buildReduce(shape: ReduceShape, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const frame = new Frame(k, shape)
  if (shape.form === 'row') rowTask(frame)
  else columnTask(frame)
  const names = shape.results.map(({ combine }) => combine).join('_')
  return k.build(`${names}_${shape.form}_${shape.keptRank}k${shape.reducedRank}r_${target.name}`, key)
}
