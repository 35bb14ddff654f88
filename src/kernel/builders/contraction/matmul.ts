/** Matrix products: C[batch][m][n] = A[batch][m][k] B[batch][k][n], A through strides, B in panels or direct. */
import type { StorageType } from '../../../base/dtype.ts'
import { KernelBuilder, type KernelSpec } from '../../build.ts'
import { add, div, min, mul, rem, sub } from '../../expression.ts'
import type { Kernel } from '../../language.ts'
import type { Target } from '../../target.ts'
import { defineCopy } from './copy.ts'
import { EpilogueEmitter, type EpilogueShape, epilogueKey, epilogueName } from './epilogue.ts'
import { copiedElementOf, elementOf, type OperandForm } from './operand-form.ts'
import { columnsOf, defineSweep, edgeSize, epilogueSink, wideTile } from './tile.ts'

/** How A lies in memory: neighbours along k, neighbours along m (copied block by block), or neither. */
export type LeftForm = 'k' | 'm' | 'none'

export interface MatmulShape {
  readonly left: LeftForm
  readonly form: OperandForm
  /** Elements of B: packed ones are wide, or pairs. */
  readonly right: StorageType
  readonly epilogue: EpilogueShape
}

export interface MatmulArguments {
  readonly batch: number
  readonly m: number
  readonly n: number
  readonly k: number
  /** Elements of A between matrices, rows and steps. */
  readonly aStrides: readonly [batch: number, m: number, k: number]
  /** B as panels of the tile's columns, or as it lies, with neighbouring columns and n a multiple of the tile's. */
  readonly packed: boolean
  /** Elements of B between matrices and, if direct, steps. */
  readonly bStrides: readonly [batch: number, k: number]
  /** Elements of the output between matrices. */
  readonly outBatch: number
  /** Pieces of k, each with a result of its own, `outPiece` elements apart. */
  readonly pieces: number
  readonly outPiece: number
}

/** Longer sums are cut into pieces with results of their own, which are then added in order. */
export const longestRun = 2304

/** Pieces of a sum of `k` terms; depends on the shape alone. */
export function piecesOf(k: number): number {
  return Math.ceil(k / longestRun)
}

/** Tasks are smaller where there would be few of them, down to what is worth being claimed. */
const multiplyAddsPerTask = [100_000, 400_000] as const
/** Tasks that keep a handful of threads busy to the end; more of them where rows need not be shared for it. */
const tasksWanted = 10
const tasksWished = 40

export function matmulSpec(shape: MatmulShape): KernelSpec {
  const key = `matmul|${shape.left}|${shape.form}|${shape.right}|${epilogueKey(shape.epilogue)}`
  return { key, build: (target) => buildMatmul(shape, key, target) }
}

export function matmulCall(shape: MatmulShape, args: MatmulArguments, target: Target) {
  const tile = wideTile(target)
  const columns = columnsOf(tile, target)
  const panels = Math.ceil(args.n / columns)
  const pieceLength = Math.ceil(args.k / args.pieces)
  // A block of A that stays in the second-level cache while the panels pass by; blocks of equal height.
  const fits = Math.floor(target.cacheBytes / 4 / 4 / Math.max(1, pieceLength))
  const rowsThatFit = Math.max(tile.rows * 4, Math.floor(fits / tile.rows) * tile.rows)
  const others = args.batch * args.pieces * panels
  // Tasks divide what is larger: B, or rows of A and of the result. Rows are what other kernels divide, so that a thread
  // finds in its cache what it computed before.
  const sharesB = args.k * args.n >= args.m * (args.k + args.n)
  const wanted = sharesB ? Math.ceil(tasksWanted / Math.max(1, others)) : tasksWanted
  const shared = shape.left === 'm' ? 1 : Math.min(wanted, Math.ceil(args.m / tile.rows / 2))
  const even = Math.max(1, Math.ceil(args.m / Math.max(1, shared, Math.ceil(args.m / rowsThatFit))))
  const blockRows = sharesB ? even : Math.min(Math.max(1, args.m), Math.ceil(even / tile.rows) * tile.rows)
  const blocks = Math.ceil(args.m / blockRows)
  // Steps of the copy of a block lie an odd number of cache lines apart, so that a tile's steps use all cache sets.
  const copyStride = 16 * (2 * Math.ceil(blockRows / 32) + 1)
  const perPanel = blockRows * columns * pieceLength
  // Copying a block is worth it for several panels only.
  const fewest = shape.left === 'm' ? 8 : 1
  const [least, most] = multiplyAddsPerTask
  const wished = Math.max(least, Math.min(most, (perPanel * others * blocks) / tasksWished))
  const worth = Math.round(wished / Math.max(1, perPanel))
  const panelsPerTask = Math.min(panels, Math.max(fewest, worth))
  const panelGroups = Math.ceil(panels / panelsPerTask)
  const params = [
    args.batch,
    args.m,
    args.n,
    args.k,
    ...args.aStrides,
    args.bStrides[0],
    args.packed ? args.k * columns : columns,
    args.packed ? columns : args.bStrides[1],
    args.outBatch,
    args.outPiece,
    pieceLength,
    blockRows,
    copyStride,
    blocks,
    panels,
    panelsPerTask,
    panelGroups,
    ...(sharesB ? [1, blocks] : [panelGroups, 1]),
  ]
  const tasks = args.m * args.n * args.batch === 0 ? 0 : args.batch * args.pieces * blocks * panelGroups
  const copied = shape.left === 'm' ? [pieceLength * copyStride] : []
  return { params, tasks, scratch: [edgeSize(tile, target), ...copied], work: args.batch * args.m * args.n * args.k }
}

function buildMatmul(shape: MatmulShape, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const tile = wideTile(target)
  const tileColumns = columnsOf(tile, target)
  const a = k.buffer('a', elementOf(shape.form), 'input')
  const b = k.buffer('b', shape.right, 'input')
  const epilogue = new EpilogueEmitter(k, shape.epilogue)
  const edge = k.buffer('edge', 'f32', 'scratch')
  const copied = shape.left === 'm' ? k.buffer('block', copiedElementOf(shape.form), 'scratch') : undefined
  const [batch, m, n, terms] = ['batch', 'm', 'n', 'k'].map((name) => k.int(name))
  const [aBatch, aRow, aStep] = ['aBatch', 'aRow', 'aStep'].map((name) => k.int(name))
  const [bBatch, bPanel, bStep] = ['bBatch', 'bPanel', 'bStep'].map((name) => k.int(name))
  const [outBatch, outPiece, pieceLength] = ['outBatch', 'outPiece', 'pieceLength'].map((name) => k.int(name))
  const [blockRows, copyStride, blocks, panels] = ['blockRows', 'copyStride', 'blocks', 'panels'].map((n) => k.int(n))
  const [panelsPerTask, panelGroups] = ['panelsPerTask', 'panelGroups'].map((name) => k.int(name))
  const [blockTasks, groupTasks] = ['blockTasks', 'groupTasks'].map((name) => k.int(name))
  epilogue.declareConstants()

  const sweep = defineSweep(k, {
    tile,
    a: copied ?? a,
    b,
    aRow: shape.left === 'm' ? 1 : aRow,
    aStep: shape.left === 'k' ? 1 : shape.left === 'm' ? copyStride : aStep,
    bStep,
    fetchAhead: shape.left === 'k' && target.lanes >= 8,
    ...(shape.left === 'k' && target.lanes >= 8 ? { nextB: bPanel } : {}),
    outerStep: terms,
    middleStep: terms,
    outRow: n,
    sink: epilogueSink(k, epilogue, n),
    edge,
  })
  const copy = copied === undefined ? undefined : defineCopy(k, copied, a)

  k.task((task) => {
    const block = k.let(rem(div(task, blockTasks), blocks))
    const group = k.let(rem(div(task, groupTasks), panelGroups))
    const rest = k.let(div(task, mul(blocks, panelGroups)))
    const matrix = k.let(rem(rest, batch))
    const piece = k.let(div(rest, batch))
    const firstTerm = k.let(mul(piece, pieceLength))
    const run = k.let(min(sub(terms, firstTerm), pieceLength))
    const firstRow = k.let(mul(block, blockRows))
    const rows = k.let(min(sub(m, firstRow), blockRows))
    const start = k.let(add(mul(matrix, aBatch), add(mul(firstRow, aRow), mul(firstTerm, aStep))))
    const out = k.let(add(mul(piece, outPiece), add(mul(matrix, outBatch), mul(firstRow, n))))
    if (copied !== undefined && copy !== undefined) {
      const from = k.point(a, start)
      const to = k.point(copied)
      k.repeat(run, () => {
        k.call(copy, to, from, rows)
        k.advance(from, aStep)
        k.advance(to, copyStride)
      })
    }
    const firstPanel = k.let(mul(group, panelsPerTask))
    k.loop(min(sub(panels, firstPanel), panelsPerTask), (i) => {
      const panel = k.let(add(firstPanel, i))
      const column = k.let(mul(panel, tileColumns))
      const columns = k.let(min(sub(n, column), tileColumns))
      const left = copied === undefined ? k.point(a, start) : k.point(copied)
      const right = k.point(b, add(mul(matrix, bBatch), add(mul(panel, bPanel), mul(firstTerm, bStep))))
      k.call(sweep, left, right, add(out, column), column, columns, rows, 1, 1, run)
    })
  })
  return k.build(
    `matmul_${shape.form}_${tile.rows}x${tileColumns}_${shape.left}${epilogueName(shape.epilogue)}_${target.name}`,
    key,
  )
}
