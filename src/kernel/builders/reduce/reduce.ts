/**
 * Reductions: output[kept] = combine over reduced of chain(operands), for several results of the chain at once. Two
 * forms: `column` keeps the innermost axis and runs vectors along it, `row` reduces the innermost axis and folds the lanes
 * at the end. Long reductions are cut into pieces by shape alone, whose results lie one after the other; a fold combines
 * them in order, so any number of threads gives the same bits.
 */
import { KernelBuilder, type KernelSpec, type Variable } from '../../build.ts'
import { type Chain, chainKey, emitChain } from '../../chain.ts'
import {
  add,
  constant,
  convert,
  div,
  min,
  mul,
  ne,
  type Operand,
  reduceLanes,
  rem,
  select,
  splat,
  sub,
} from '../../expression.ts'
import type { BufferParam, Expr, Kernel, KernelFunction, Pointer } from '../../language.ts'
import type { Target } from '../../target.ts'
import { type MapOperand, operandKey, startOf } from '../map.ts'
import { type Accumulators, combineValues, type Reduced, reducedKey, startOfResult } from './shape.ts'

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

const vectorsPerBlock = 4
/** Columns of a task: whole stretches of a row, so that a piece is read from memory once. */
const columnsPerTask = 64
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

interface Stream {
  readonly buffer: BufferParam
  readonly operand: MapOperand
  readonly kept: readonly Expr[]
  readonly reduced: readonly Expr[]
  readonly inner: Expr | undefined
  readonly start: Expr | number
}

/** What of a value goes into result `i` of a group. */
type Term = (value: Expr, i: number, group: number) => Expr
/** Returns a value for each group and result; results that were not asked for have none. */
type Sweep = (results: readonly number[], term: Term) => (Expr | undefined)[][]

/** The kernel while it is built: its parameters, and how operands are walked. */
class Frame {
  readonly k: KernelBuilder
  readonly shape: ReduceShape
  readonly #outputs: readonly BufferParam[]
  readonly keptCount: Expr
  readonly rowsPerTask: Expr | undefined
  readonly columns: Expr | undefined
  readonly blocks: Expr | undefined
  readonly piece: Expr
  readonly pieceCount: Expr
  readonly keptExtents: readonly Expr[]
  readonly reducedExtents: readonly Expr[]
  readonly streams: readonly Stream[]
  readonly #constants: readonly Expr[]

  constructor(k: KernelBuilder, shape: ReduceShape) {
    this.k = k
    this.shape = shape
    const { form, keptRank, reducedRank, chain } = shape
    const inputs = shape.operands.map((o, i) => k.buffer(`x${i}`, o.dtype, 'input'))
    this.#outputs = shape.results.map(({ dtype }, i) => k.buffer(`y${i}`, dtype, 'output'))
    this.keptCount = k.int('keptCount')
    this.rowsPerTask = form === 'row' ? k.int('rowsPerTask') : undefined
    this.columns = form === 'column' ? k.int('columns') : undefined
    this.blocks = form === 'column' ? k.int('blocks') : undefined
    this.piece = k.int('piece')
    this.pieceCount = k.int('pieceCount')
    this.keptExtents = Array.from({ length: keptRank }, (_, i) => k.int(`kept${i}`))
    this.reducedExtents = Array.from({ length: reducedRank }, (_, i) => k.int(`reduced${i}`))
    const reducedStrides = form === 'row' ? reducedRank - 1 : reducedRank
    this.streams = inputs.map((buffer, i) => ({
      buffer,
      operand: shape.operands[i],
      kept: Array.from({ length: keptRank }, (_, axis) => k.int(`${buffer.name}_kept${axis}`)),
      reduced: Array.from({ length: reducedStrides }, (_, axis) => k.int(`${buffer.name}_reduced${axis}`)),
      inner: shape.operands[i].inner === 'strided' ? k.int(`${buffer.name}_inner`) : undefined,
      start: shape.operands[i].reversed === true ? k.int(`${buffer.name}_start`) : 0,
    }))
    this.#constants = Array.from({ length: chain.constants }, (_, i) => k.float(`c${i}`))
  }

  /** Results of the chain for `lanes` elements, `block` vectors from the pointers. */
  values(pointers: readonly Pointer[], lanes: number, block = 0): Expr[] {
    const { k } = this
    const operands = this.streams.map((s, i) => {
      if (s.operand.inner === 'zero') return splat(k.let(k.load(pointers[i])), lanes)
      if (s.inner === undefined) {
        return k.let(lanes === 1 ? k.load(pointers[i], block * k.lanes) : k.loadVector(pointers[i], block * k.lanes))
      }
      const at = block === 0 ? pointers[i] : k.pointFrom(pointers[i], mul(s.inner, block * k.lanes))
      return k.let(lanes === 1 ? k.load(at) : k.loadVector(at, 0, lanes, s.inner))
    })
    const index = () => constant('i32', 0, lanes)
    return emitChain(k, this.shape.chain, operands, this.#constants, { lanes, index })
  }

  innerStep(s: Stream, elements: Operand): Expr {
    return s.operand.inner === 'zero' ? constant('i32', 0) : mul(s.inner ?? constant('i32', 1), elements)
  }

  moveInner(pointers: readonly Pointer[], elements: number): void {
    for (const [i, s] of this.streams.entries())
      if (s.operand.inner !== 'zero') this.k.advance(pointers[i], this.innerStep(s, elements))
  }

  /**
   * Runs `body` for all positions of the reduced axes from `axis` to `last`, the first of which has `first` positions.
   * Moves the pointers.
   */
  nest(
    axis: number,
    last: number,
    pointers: readonly Pointer[],
    first: Expr,
    body: (at: readonly Pointer[]) => void,
  ): void {
    const { k } = this
    if (axis > last) {
      body(pointers)
      return
    }
    k.repeat(axis === 0 ? first : this.reducedExtents[axis], () => {
      // In column form the body leaves the pointers where they are.
      const inside = axis === last && this.shape.form === 'column' ? pointers : pointers.map((p) => k.pointFrom(p))
      this.nest(axis + 1, last, inside, first, body)
      for (const [i, s] of this.streams.entries()) k.advance(pointers[i], s.reduced[axis])
    })
  }

  /** Pointers at kept position `index` and the start of piece `p`. */
  pointAt(index: Expr, pieceIndex: Expr, column?: Expr): Pointer[] {
    const { k } = this
    const { keptRank, reducedRank, form } = this.shape
    const coordinates: Expr[] = []
    let rest = index
    for (let axis = keptRank - 1; axis >= 0; axis--) {
      coordinates[axis] = axis === 0 ? rest : k.let(rem(rest, this.keptExtents[axis]))
      if (axis > 0) rest = k.let(div(rest, this.keptExtents[axis]))
    }
    return this.streams.map((s) => {
      const along = reducedRank === 1 && form === 'row' ? this.innerStep(s, this.piece) : mul(s.reduced[0], this.piece)
      let at = add(mul(pieceIndex, k.let(along)), s.start)
      for (const [axis, coordinate] of coordinates.entries()) at = add(at, mul(coordinate, s.kept[axis]))
      if (column !== undefined) at = add(at, this.innerStep(s, column))
      return k.point(s.buffer, at)
    })
  }

  /**
   * The results of one piece, for groups of elements that lie side by side. `sweep` walks over the piece once, adds `term`
   * of the values to the accumulators of the results it is given, and returns them. Deviations take a second walk, over
   * what is still in the cache: from the piece's own mean.
   */
  results(first: Expr, lanes: number, sweep: Sweep): Expr[][] {
    const { k } = this
    const { results } = this.shape
    const numbers = results.map((_, i) => i)
    const isPlain = (i: number) => results[i].combine !== 'deviations'
    const sums = sweep(numbers.filter(isPlain), (value) => value)
    if (numbers.every(isPlain)) return sums as Expr[][]
    const count = k.let(this.reducedExtents.slice(1).reduce((n, extent) => mul(n, extent), first))
    const size = k.let(splat(convert(count, 'f32'), lanes))
    const means = sums.map((group) =>
      results.map((r) => (r.combine === 'deviations' ? k.let(div(group[r.sum] as Expr, size)) : undefined)),
    )
    const deviations = sweep(
      numbers.filter((i) => !isPlain(i)),
      (value, i, group) => {
        const off = k.let(sub(value, splat(means[group][i] as Expr, value.type.lanes)))
        return k.let(mul(off, off))
      },
    )
    return sums.map((group, g) => numbers.map((i) => (group[i] ?? deviations[g][i]) as Expr))
  }

  accumulators(results: readonly number[], lanes: number): Accumulators {
    return this.shape.results.map((result, i) =>
      results.includes(i) ? this.k.variable(startOfResult(result, lanes), 'acc') : undefined,
    )
  }

  /** Adds one term to each accumulator. */
  take(accumulators: Accumulators, values: readonly Expr[], term: Term, group: number): void {
    for (const [i, acc] of accumulators.entries()) {
      if (acc === undefined) continue
      this.k.set(acc, combineValues(this.shape.results[i].combine, acc.value, term(values[i], i, group)))
    }
  }

  /** Stores the results of groups side by side, the first at element `out`. */
  store(groups: readonly (readonly Expr[])[], out: Expr): void {
    for (const [i, buffer] of this.#outputs.entries()) {
      const pointer = this.k.point(buffer, out)
      for (const [g, group] of groups.entries()) this.k.store(pointer, group[i], g * group[i].type.lanes)
    }
  }

  /** A function of a pointer for each operand, the output's element, and the positions of the outermost reduced axis. */
  define(name: string, body: (starts: readonly Pointer[], out: Expr, first: Expr) => void): KernelFunction {
    const declarations = [...this.streams.map(({ buffer }) => ({ pointer: buffer })), { int: 'out' }, { int: 'first' }]
    return this.k.function(name, declarations, (...params) => {
      const [out, first] = params.slice(-2) as [Expr, Expr]
      body(params.slice(0, -2) as Pointer[], out, first)
    })
  }
}

function buildReduce(shape: ReduceShape, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const frame = new Frame(k, shape)
  if (shape.form === 'row') rowTask(frame)
  else columnTask(frame)
  const names = shape.results.map(({ combine }) => combine).join('_')
  return k.build(`${names}_${shape.form}_${shape.keptRank}k${shape.reducedRank}r_${target.name}`, key)
}

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

function rowTask(frame: Frame): void {
  const { k, shape } = frame
  const { reducedRank } = shape
  const row = frame.define('row', (starts, out, first) => {
    const [totals] = frame.results(first, 1, (results, term) => {
      const pointers = starts.map((start) => k.pointFrom(start))
      const blocks = k.lanes === 1 ? 0 : vectorsPerBlock
      const wide = Array.from({ length: blocks }, () => frame.accumulators(results, k.lanes))
      const narrow = frame.accumulators(results, 1)
      frame.nest(0, reducedRank - 2, pointers, first, (at) => {
        const count = reducedRank === 1 ? first : frame.reducedExtents[reducedRank - 1]
        const run = (times: Expr, lanes: number, into: readonly Accumulators[]) =>
          k.repeat(times, () => {
            for (const [b, acc] of into.entries()) frame.take(acc, frame.values(at, lanes, b), term, 0)
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
      const total = (result: Reduced, i: number) => {
        const last = narrow[i]
        return (
          last &&
          foldRow(
            k,
            result,
            wide.map((acc) => (acc[i] as Variable).value),
            last.value,
          )
        )
      }
      return [shape.results.map(total)]
    })
    frame.store([totals], out)
  })
  k.task((task) => {
    const pieceIndex = k.let(rem(task, frame.pieceCount))
    const firstRow = k.let(mul(div(task, frame.pieceCount), frame.rowsPerTask as Expr))
    const extent = k.let(min(sub(frame.reducedExtents[0], mul(pieceIndex, frame.piece)), frame.piece))
    k.loop(min(sub(frame.keptCount, firstRow), frame.rowsPerTask as Expr), (i) => {
      const index = k.let(add(firstRow, i))
      const out = k.let(add(mul(pieceIndex, frame.keptCount), index))
      k.call(row, ...frame.pointAt(index, pieceIndex), out, extent)
    })
  })
}

/** Columns next to each other. Every accumulator belongs to one column: how many there are changes no bits. */
function columnBlock(frame: Frame, name: string, vectors: number, lanes: number): KernelFunction {
  const { k, shape } = frame
  return frame.define(name, (starts, out, first) => {
    const totals = frame.results(first, lanes, (results, term) => {
      const pointers = starts.map((start) => k.pointFrom(start))
      const blocks = Array.from({ length: vectors }, () => frame.accumulators(results, lanes))
      frame.nest(0, shape.reducedRank - 1, pointers, first, (at) => {
        for (const [b, acc] of blocks.entries()) frame.take(acc, frame.values(at, lanes, b), term, b)
      })
      return blocks.map((block) => block.map((acc) => acc?.value))
    })
    frame.store(totals, out)
  })
}

function columnTask(frame: Frame): void {
  const { k } = frame
  // As many accumulators as registers hold beside the operands; deviations have a sweep of their own.
  const deviations = frame.shape.results.filter(({ combine }) => combine === 'deviations').length
  const inSweep = Math.max(deviations, frame.shape.results.length - deviations)
  const vectors = inSweep <= 2 || k.target.registers >= 32 ? vectorsPerBlock : vectorsPerBlock / 2
  const full = k.lanes > 1 ? columnBlock(frame, `columns${vectors * k.lanes}`, vectors, k.lanes) : undefined
  const vector = k.lanes > 1 ? columnBlock(frame, 'columnsVector', 1, k.lanes) : undefined
  const scalar = columnBlock(frame, 'columnsScalar', 1, 1)
  const columns = frame.columns as Expr
  const blocks = frame.blocks as Expr
  k.task((task) => {
    // Neighbouring tasks share rows.
    const perPiece = k.let(mul(frame.keptCount, blocks))
    const pieceIndex = k.let(div(task, perPiece))
    const rest = k.let(rem(task, perPiece))
    const keptIndex = k.let(div(rest, blocks))
    const column = k.variable(mul(rem(rest, blocks), columnsPerTask), 'column')
    const end = k.let(min(columns, add(column.value, columnsPerTask)))
    const extent = k.let(min(sub(frame.reducedExtents[0], mul(pieceIndex, frame.piece)), frame.piece))
    const run = (callee: KernelFunction, width: number) => {
      const at = frame.pointAt(keptIndex, pieceIndex, column.value)
      const out = k.let(add(mul(add(mul(pieceIndex, frame.keptCount), keptIndex), columns), column.value))
      k.call(callee, ...at, out, extent)
      k.set(column, add(column.value, width))
    }
    if (full !== undefined) k.repeat(div(sub(end, column.value), vectors * k.lanes), () => run(full, vectors * k.lanes))
    if (vector !== undefined) k.repeat(div(sub(end, column.value), k.lanes), () => run(vector, k.lanes))
    k.repeat(sub(end, column.value), () => run(scalar, 1))
  })
}
