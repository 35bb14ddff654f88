/**
 * Reductions: output[kept] = combine over reduced of chain(operands). Two forms: `column` keeps the innermost axis and
 * runs vectors along it, `row` reduces the innermost axis and folds the lanes at the end. Long reductions are cut into
 * pieces by shape alone; a second call folds the pieces in order, so any number of threads gives the same bits.
 */
import type { DType } from '../../base/dtype.ts'
import { KernelBuilder, type KernelSpec, type Variable } from '../build.ts'
import { type Chain, chainKey, emitChain } from '../chain.ts'
import {
  add,
  constant,
  div,
  max,
  min,
  mul,
  ne,
  type Operand,
  reduceLanes,
  rem,
  select,
  splat,
  sub,
} from '../expression.ts'
import type { BufferParam, Expr, Pointer } from '../language.ts'
import type { Target } from '../target.ts'
import { type MapOperand, operandKey, startOf } from './map.ts'

export type Combine = 'sum' | 'max' | 'min'

export interface ReduceShape {
  readonly form: 'row' | 'column'
  readonly combine: Combine
  readonly dtype: DType
  /** Merged kept axes, without the innermost one in column form. */
  readonly keptRank: number
  /** Merged reduced axes, at least 1; in row form the last one is the innermost. */
  readonly reducedRank: number
  readonly operands: readonly MapOperand[]
  /** Has one result. */
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
const elementsPerTask = 32768

/** Additions one accumulator makes one after the other: rounding errors grow with it. Row form has 16 accumulators. */
const longestChain = { row: 8192, column: 512 } as const
const mostPieces = 1024

/** Positions of the outermost reduced axis per piece, and how many pieces that makes. Depends on the shape alone. */
export function pieces(form: 'row' | 'column', reduced: readonly number[]): { piece: number; count: number } {
  const [outermost, ...inner] = reduced
  const perPosition = Math.max(
    1,
    inner.reduce((a, b) => a * b, 1),
  )
  const limit = longestChain[form]
  if (outermost * perPosition <= 2 * limit) return { piece: Math.max(1, outermost), count: 1 }
  const piece = Math.max(1, Math.floor(limit / perPosition), Math.ceil(outermost / mostPieces))
  return { piece, count: Math.ceil(outermost / piece) }
}

export function reduceSpec(shape: ReduceShape): KernelSpec {
  const operands = shape.operands.map(operandKey)
  const key = `reduce|${shape.form}|${shape.combine}|${shape.dtype}|${shape.keptRank}|${shape.reducedRank}|${operands}|${chainKey(shape.chain)}`
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
    const blocks = Math.ceil(args.columns / (vectorsPerBlock * 4))
    // A block is 16 columns whatever the target's lanes: the cut must not change the order of additions.
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

const identity: Record<Combine, { f32: number; i32: number }> = {
  sum: { f32: 0, i32: 0 },
  max: { f32: Number.NEGATIVE_INFINITY, i32: -(2 ** 31) },
  min: { f32: Number.POSITIVE_INFINITY, i32: 2 ** 31 - 1 },
}

function combineValues(combine: Combine, accumulated: Expr, value: Expr): Expr {
  if (combine === 'sum') return add(accumulated, value)
  const best = combine === 'max' ? max(accumulated, value) : min(accumulated, value)
  // A NaN must not be lost, as in PyTorch; the other order of operands keeps one that came earlier.
  return value.type.kind === 'f32' ? select(ne(value, value), value, best) : best
}

interface Stream {
  readonly buffer: BufferParam
  readonly operand: MapOperand
  readonly kept: readonly Expr[]
  readonly reduced: readonly Expr[]
  readonly inner: Expr | undefined
  readonly start: Expr | number
}

function buildReduce(shape: ReduceShape, key: string, target: Target) {
  const k = new KernelBuilder(target)
  const { form, chain, keptRank, reducedRank } = shape
  const kind = shape.dtype === 'f32' ? 'f32' : 'i32'
  const inputs = shape.operands.map((o, i) => k.buffer(`x${i}`, o.dtype, 'input'))
  const y = k.buffer('y', shape.dtype, 'output')
  const keptCount = k.int('keptCount')
  const rowsPerTask = form === 'row' ? k.int('rowsPerTask') : undefined
  const columns = form === 'column' ? k.int('columns') : undefined
  const blocks = form === 'column' ? k.int('blocks') : undefined
  const piece = k.int('piece')
  const pieceCount = k.int('pieceCount')
  const keptExtents = Array.from({ length: keptRank }, (_, i) => k.int(`kept${i}`))
  const reducedExtents = Array.from({ length: reducedRank }, (_, i) => k.int(`reduced${i}`))
  const reducedStrides = form === 'row' ? reducedRank - 1 : reducedRank
  const streams: Stream[] = inputs.map((buffer, i) => ({
    buffer,
    operand: shape.operands[i],
    kept: Array.from({ length: keptRank }, (_, axis) => k.int(`${buffer.name}_kept${axis}`)),
    reduced: Array.from({ length: reducedStrides }, (_, axis) => k.int(`${buffer.name}_reduced${axis}`)),
    inner: shape.operands[i].inner === 'strided' ? k.int(`${buffer.name}_inner`) : undefined,
    start: shape.operands[i].reversed === true ? k.int(`${buffer.name}_start`) : 0,
  }))
  const constants = Array.from({ length: chain.constants }, (_, i) => k.float(`c${i}`))
  const start = (lanes: number) => constant(kind, identity[shape.combine][kind], lanes)

  const value = (pointers: readonly Pointer[], lanes: number, block = 0): Expr => {
    const values = streams.map((s, i) => {
      if (s.operand.inner === 'zero') return splat(k.let(k.load(pointers[i])), lanes)
      if (s.inner === undefined) {
        return k.let(lanes === 1 ? k.load(pointers[i], block * k.lanes) : k.loadVector(pointers[i], block * k.lanes))
      }
      const at = block === 0 ? pointers[i] : k.pointFrom(pointers[i], mul(s.inner, block * k.lanes))
      return k.let(lanes === 1 ? k.load(at) : k.loadVector(at, 0, lanes, s.inner))
    })
    return emitChain(k, chain, values, constants, { lanes, index: () => constant('i32', 0, lanes) })[0]
  }
  const innerStep = (s: Stream, elements: Operand): Expr =>
    s.operand.inner === 'zero' ? constant('i32', 0) : mul(s.inner ?? constant('i32', 1), elements)
  const moveInner = (pointers: readonly Pointer[], elements: number) => {
    for (const [i, s] of streams.entries())
      if (s.operand.inner !== 'zero') k.advance(pointers[i], innerStep(s, elements))
  }

  /** Runs `body` for all positions of the reduced axes from `axis` on, the first of which has `first` positions. */
  const nest = (
    axis: number,
    last: number,
    pointers: readonly Pointer[],
    first: Expr,
    body: (at: readonly Pointer[]) => void,
  ) => {
    if (axis > last) {
      body(pointers)
      return
    }
    k.repeat(axis === 0 ? first : reducedExtents[axis], () => {
      // In column form the body leaves the pointers where they are.
      const inside = axis === last && form === 'column' ? pointers : pointers.map((p) => k.pointFrom(p))
      nest(axis + 1, last, inside, first, body)
      for (const [i, s] of streams.entries()) k.advance(pointers[i], s.reduced[axis])
    })
  }

  const declarations = [...inputs.map((pointer) => ({ pointer })), { pointer: y }]
  /** Pointers at kept position `index` and the start of piece `p`. */
  const pointAt = (index: Expr, pieceIndex: Expr, column?: Expr): Pointer[] => {
    const coordinates: Expr[] = []
    let rest = index
    for (let axis = keptRank - 1; axis >= 0; axis--) {
      coordinates[axis] = axis === 0 ? rest : k.let(rem(rest, keptExtents[axis]))
      if (axis > 0) rest = k.let(div(rest, keptExtents[axis]))
    }
    return streams.map((s) => {
      const along = reducedRank === 1 && form === 'row' ? innerStep(s, piece) : mul(s.reduced[0], piece)
      let at = add(mul(pieceIndex, k.let(along)), s.start)
      for (const [axis, coordinate] of coordinates.entries()) at = add(at, mul(coordinate, s.kept[axis]))
      if (column !== undefined) at = add(at, innerStep(s, column))
      return k.point(s.buffer, at)
    })
  }

  if (form === 'row') {
    const row = k.function('row', [...declarations, { int: 'first' }], (...params) => {
      const first = params.at(-1) as Expr
      const out = params.at(-2) as Pointer
      const pointers = params.slice(0, -2) as Pointer[]
      const wide = Array.from({ length: k.lanes === 1 ? 0 : vectorsPerBlock }, () => k.variable(start(k.lanes), 'acc'))
      const narrow = k.variable(start(1), 'tail')
      const fold = (variable: Variable, x: Expr) => k.set(variable, combineValues(shape.combine, variable.value, x))
      const inner = (at: readonly Pointer[]) => {
        const count = reducedRank === 1 ? first : reducedExtents[reducedRank - 1]
        if (k.lanes === 1) {
          k.repeat(count, () => {
            fold(narrow, value(at, 1))
            moveInner(at, 1)
          })
          return
        }
        const block = vectorsPerBlock * k.lanes
        k.repeat(div(count, block), () => {
          for (const [b, acc] of wide.entries()) fold(acc, value(at, k.lanes, b))
          moveInner(at, block)
        })
        const rest = k.let(rem(count, block))
        k.repeat(div(rest, k.lanes), () => {
          fold(wide[0], value(at, k.lanes))
          moveInner(at, k.lanes)
        })
        k.repeat(rem(rest, k.lanes), () => {
          fold(narrow, value(at, 1))
          moveInner(at, 1)
        })
      }
      nest(0, reducedRank - 2, pointers, first, inner)
      let result = narrow.value
      if (wide.length > 0) {
        const c = (a: Expr, b: Expr) => k.let(combineValues(shape.combine, a, b))
        const folded = c(c(wide[0].value, wide[1].value), c(wide[2].value, wide[3].value))
        // min and max over lanes may drop a NaN; the sum of the lanes that are NaN brings it back.
        result = combineValues(
          shape.combine,
          k.let(reduceLanes(shape.combine === 'sum' ? 'add' : shape.combine, folded)),
          narrow.value,
        )
        if (shape.combine !== 'sum' && kind === 'f32') {
          const nan = k.let(reduceLanes('add', k.let(select(ne(folded, folded), folded, 0))))
          result = select(ne(nan, nan), nan, result)
        }
      }
      k.store(out, k.let(result))
    })
    k.task((task) => {
      const pieceIndex = k.let(rem(task, pieceCount))
      const firstRow = k.let(mul(div(task, pieceCount), rowsPerTask!))
      const extent = k.let(min(sub(reducedExtents[0], mul(pieceIndex, piece)), piece))
      k.loop(min(sub(keptCount, firstRow), rowsPerTask!), (i) => {
        const index = k.let(add(firstRow, i))
        const out = k.point(y, add(mul(pieceIndex, keptCount), index))
        k.call(row, ...pointAt(index, pieceIndex), out, extent)
      })
    })
  } else {
    const block = (name: string, vectors: number, lanes: number) =>
      k.function(name, [...declarations, { int: 'first' }], (...params) => {
        const first = params.at(-1) as Expr
        const out = params.at(-2) as Pointer
        const pointers = params.slice(0, -2) as Pointer[]
        const accumulators = Array.from({ length: vectors }, () => k.variable(start(lanes), 'acc'))
        nest(0, reducedRank - 1, pointers, first, (at) => {
          for (const [b, acc] of accumulators.entries()) {
            k.set(acc, combineValues(shape.combine, acc.value, value(at, lanes, b)))
          }
        })
        for (const [b, acc] of accumulators.entries()) k.store(out, acc.value, b * lanes)
      })
    const vectors = (vectorsPerBlock * 4) / k.lanes
    const full = vectors >= 1 && k.lanes > 1 ? block(`columns${vectors * k.lanes}`, vectors, k.lanes) : undefined
    const vector = k.lanes > 1 ? block('columnsVector', 1, k.lanes) : undefined
    const scalar = block('columnsScalar', 1, 1)
    k.task((task) => {
      const pieceIndex = k.let(rem(task, pieceCount))
      const rest = k.let(div(task, pieceCount))
      const keptIndex = k.let(div(rest, blocks!))
      const column = k.variable(mul(rem(rest, blocks!), vectorsPerBlock * 4), 'column')
      const end = k.let(min(columns!, add(column.value, vectorsPerBlock * 4)))
      const extent = k.let(min(sub(reducedExtents[0], mul(pieceIndex, piece)), piece))
      const run = (callee: typeof scalar, width: number) => {
        const at = pointAt(keptIndex, pieceIndex, column.value)
        const out = k.point(y, add(mul(add(mul(pieceIndex, keptCount), keptIndex), columns!), column.value))
        k.call(callee, ...at, out, extent)
        k.set(column, add(column.value, width))
      }
      if (full !== undefined)
        k.repeat(div(sub(end, column.value), vectors * k.lanes), () => run(full, vectors * k.lanes))
      if (vector !== undefined) k.repeat(div(sub(end, column.value), k.lanes), () => run(vector, k.lanes))
      k.repeat(sub(end, column.value), () => run(scalar, 1))
    })
  }
  return k.build(`${shape.combine}_${form}_${keptRank}k${reducedRank}r_${target.name}`, key)
}
