/**
 * The register tile that every contraction is made of: acc[i][j] += splat(A[i]) * B[j], a few rows of A by a few vectors
 * of B, over three nested loops. Every height is a function of its own (an engine that tiers up by calls makes it fast
 * after a few of them), the innermost block holds one step (unrolled, older V8 moves all loads to its top and spills).
 */
import type { KernelBuilder, Variable } from '../../build.ts'
import { add, constant, div, dot2, eq, fma, le, lt, mul, select, splat } from '../../expression.ts'
import type { BufferParam, Expr, KernelFunction, Pointer } from '../../language.ts'
import type { Target } from '../../target.ts'
import type { EpilogueEmitter } from './epilogue.ts'

export interface TileSize {
  readonly rows: number
  /** Vectors of columns. */
  readonly vectors: number
}

/** The highest tile of this width that the registers allow, 14 rows at most: more bring nothing and are more code. */
export function tileOf(target: Target, vectors: number): TileSize {
  // The vectors of B and the splat of A; without fused multiply-add also the product, and room for loads made early.
  const held = vectors + (target.fma ? 1 : 4)
  return { rows: Math.max(1, Math.min(14, Math.floor((target.registers - held) / vectors))), vectors }
}

/** Tile of products whose rows are pixels: two vectors wide. */
export function wideTile(target: Target): TileSize {
  return tileOf(target, 2)
}

/** Tile of weight gradients: rows are neighbours in memory, so without fused multiply-add few rows and more columns win. */
export function gradientTile(target: Target): TileSize {
  if (target.fma) return wideTile(target)
  return { rows: Math.max(1, Math.floor((target.registers - 7) / 4)), vectors: 4 }
}

export function columnsOf(tile: TileSize, target: Target): number {
  return tile.vectors * target.lanes
}

/** What becomes of sums. */
export interface Sink {
  /** More than a store: in a tall tile it is better shared by all heights than repeated in each. */
  readonly long?: boolean
  /** Fetches the lines that `tile` is going to write for so many rows. */
  prepare?(out: Expr, rows: number, vectors: number): void
  /** Stores vectors sums[row][vector]; the first element is output element `out` in column `column`, rows are `row` apart. */
  tile(sums: readonly (readonly Expr[])[], out: Expr, column: Expr): void
  /** Stores one vector, `offset` columns from output element `out` in column `column`. */
  vector(sum: Expr, out: Expr, column: Expr, offset: Expr): void
  /** Stores one sum, `offset` columns from output element `out` in column `column`. */
  element(sum: Expr, out: Expr, column: Expr, offset: Expr): void
}

/** Sums go through an epilogue into its outputs. */
export function epilogueSink(k: KernelBuilder, epilogue: EpilogueEmitter, outRow: Expr): Sink {
  const single = (sum: Expr, out: Expr, column: Expr, offset: Expr, lanes: number) => {
    const cursors = epilogue.open(k.let(add(out, offset)), k.let(add(column, offset)))
    epilogue.emit(sum, cursors, epilogue.columnOperands(cursors, 0, lanes), 0, lanes)
  }
  return {
    long: epilogue.steps > 0,
    prepare(out, rows, vectors) {
      for (let i = 0; i < rows; i++) epilogue.fetch(k.let(add(out, mul(outRow, i))), vectors)
    },
    tile(sums, out, column) {
      const first = epilogue.open(out, column)
      const rows = sums.map((_, i) => (i === 0 ? first : epilogue.shift(first, mul(outRow, i))))
      for (let j = 0; j < sums[0].length; j++) {
        const held = epilogue.columnOperands(first, j * k.lanes, k.lanes)
        for (const [i, row] of sums.entries()) epilogue.emit(row[j], rows[i], held, j * k.lanes, k.lanes)
      }
    },
    vector: (sum, out, column, offset) => single(sum, out, column, offset, k.lanes),
    element: (sum, out, column, offset) => single(sum, out, column, offset, 1),
  }
}

function noLast(): never {
  throw new Error('a sweep over whole columns has no last ones')
}

/** Sums are stored as they are. Only for sweeps over whole columns. */
export function storeSink(k: KernelBuilder, output: BufferParam, outRow: Expr): Sink {
  return {
    tile(sums, out) {
      const first = k.point(output, out)
      for (const [i, row] of sums.entries()) {
        const pointer = i === 0 ? first : k.pointFrom(first, mul(outRow, i))
        for (const [j, sum] of row.entries()) k.store(pointer, sum, j * k.lanes)
      }
    },
    vector: noLast,
    element: noLast,
  }
}

/** Sums are stored, or added to what is there: `column` counts the chunks that came before. */
export function accumulateSink(k: KernelBuilder, output: BufferParam, outRow: Expr): Sink {
  const single = (sum: Expr, out: Expr, before: Expr, offset: Expr, load: (pointer: Pointer) => Expr) => {
    const pointer = k.point(output, add(out, offset))
    k.if(
      eq(before, 0),
      () => k.store(pointer, sum),
      () => k.store(pointer, add(load(pointer), sum)),
    )
  }
  return {
    tile(sums, out, before) {
      const first = k.point(output, out)
      const rows = sums.map((_, i) => (i === 0 ? first : k.pointFrom(first, mul(outRow, i))))
      const each = (store: (sum: Expr, pointer: Pointer, offset: number) => void) => {
        for (const [i, row] of sums.entries()) for (const [j, sum] of row.entries()) store(sum, rows[i], j * k.lanes)
      }
      k.if(
        eq(before, 0),
        () => each((sum, pointer, offset) => k.store(pointer, sum, offset)),
        () => each((sum, pointer, offset) => k.store(pointer, add(k.loadVector(pointer, offset), sum), offset)),
      )
    },
    vector: (sum, out, before, offset) => single(sum, out, before, offset, (pointer) => k.loadVector(pointer)),
    element: (sum, out, before, offset) => single(sum, out, before, offset, (pointer) => k.load(pointer)),
  }
}

/** How a sweep reads its operands and where its sums go. Numbers are constants of the code, expressions run-time values. */
export interface SweepSpec {
  readonly tile: TileSize
  readonly a: BufferParam
  readonly b: BufferParam
  /** Elements of A between neighbouring rows. */
  readonly aRow: Expr | number
  /** Elements of A between neighbouring steps of the innermost loop. */
  readonly aStep: Expr | number
  /** Elements of B from one step to the next; B is read straight through all loops, but for the gaps. */
  readonly bStep: Expr | number
  /** Whether elements of B are skipped behind every innermost and every middle loop: two more arguments say how many. */
  readonly bGaps?: boolean
  /** Elements of A between positions of the outer and the middle loop. */
  readonly outerStep: Expr
  readonly middleStep: Expr
  /** Elements of the output between rows. */
  readonly outRow: Expr
  readonly sink: Sink
  /** Room for one tile, where the last columns do not fill it. */
  readonly edge: BufferParam
  /** Rows of A follow each other without gaps: while a tile is computed, the next one is fetched. */
  readonly fetchAhead?: boolean
  /** Elements of B to what the next sweep reads: while tiles are computed, some of it is fetched. */
  readonly nextB?: Expr
  /** Every call covers all columns of the tile. */
  readonly wholeColumns?: boolean
}

/** Elements of the edge scratch of a tile. */
export function edgeSize(tile: TileSize, target: Target): number {
  return tile.rows * columnsOf(tile, target)
}

/** Vectors of a tile up to which every height has its own epilogue. */
const longestTile = 12

/** Names of the arguments that say how many elements of B are skipped. */
function gapNames(spec: SweepSpec): readonly string[] {
  return spec.bGaps === true ? ['innerGap', 'middleGap'] : []
}

/**
 * Defines a function (a, b, out, column, columns, count, outer, middle, run, gaps): `count` rows by `columns` columns (at most
 * those of the tile), cut into tiles of nearly equal height. Each sum has outer × middle × run terms, added in that order.
 */
export function defineSweep(k: KernelBuilder, spec: SweepSpec): KernelFunction {
  const { tile } = spec
  const finish = spec.wholeColumns === true ? undefined : defineFinish(k, spec)
  // Written out for each row of each height, a long epilogue would be most of the code.
  const shared = spec.sink.long === true && tile.rows * tile.vectors > longestTile ? defineShared(k, spec) : undefined
  const full = Array.from({ length: tile.rows }, (_, i) =>
    defineTile(k, spec, i + 1, tile.vectors, i + 1 === tile.rows ? undefined : shared),
  )
  const edges = Array.from({ length: finish === undefined ? 0 : tile.vectors }, (_, j) => ({
    tall: defineTile(k, spec, tile.rows, j + 1, finish),
    single: tile.rows === 1 ? undefined : defineTile(k, spec, 1, j + 1, finish),
  }))
  // Whole vectors that do not fill the tile: the last half of a panel.
  const narrow = Array.from({ length: finish === undefined || k.lanes === 1 ? 0 : tile.vectors - 1 }, (_, j) => ({
    tall: defineTile(k, spec, tile.rows, j + 1, undefined),
    single: tile.rows === 1 ? undefined : defineTile(k, spec, 1, j + 1, undefined),
  }))
  const ints = ['out', 'column', 'columns', 'count', 'outer', 'middle', 'run', ...gapNames(spec)]
  const declarations = [{ pointer: spec.a }, { pointer: spec.b }, ...ints.map((int) => ({ int }))]
  return k.function('sweep', declarations, (...params) => {
    const [firstA, b] = params as unknown as [Pointer, Pointer]
    const [out, column, columns, count, outer, middle, run, ...gaps] = params.slice(2) as Expr[]
    const a = k.pointFrom(firstA)
    const place = k.variable(out, 'place')
    const { nextB } = spec
    // The first tiles fetch a line a term; the others fetch what is there already.
    const ahead = (nextB: Expr, i: Expr) => k.let(select(lt(i, tile.vectors), add(nextB, mul(mul(run, k.lanes), i)), 0))
    const use = (callee: KernelFunction, height: Expr | number, i?: Expr) => {
      const next = nextB === undefined ? [] : [k.pointFrom(b, i === undefined ? 0 : ahead(nextB, i))]
      k.call(callee, a, b, ...next, place.value, column, columns, outer, middle, run, ...gaps)
      k.advance(a, mul(mulOperand(spec.aRow), height))
      k.set(place, add(place.value, mul(spec.outRow, height)))
    }
    const whole = () => {
      const tiles = k.let(div(add(count, tile.rows - 1), tile.rows))
      const low = k.let(div(count, tiles))
      const high = k.let(add(count, mul(mul(tiles, low), -1)))
      k.loop(tiles, (i) => {
        const height = k.let(select(lt(i, high), add(low, 1), low))
        const choose = (h: number): void => {
          if (h === 1) use(full[0], 1, i)
          else
            k.if(
              eq(height, h),
              () => use(full[h - 1], h, i),
              () => choose(h - 1),
            )
        }
        choose(tile.rows)
      })
    }
    const each = ({ tall, single }: (typeof edges)[number]): void => {
      k.repeat(div(count, tile.rows), () => use(tall, tile.rows))
      const rest = k.let(add(count, mul(div(count, tile.rows), -tile.rows)))
      if (single !== undefined) k.repeat(rest, () => use(single, 1))
    }
    const partial = (vectors: number): void => {
      const exact = narrow[vectors - 1]
      if (exact === undefined) each(edges[vectors - 1])
      else
        k.if(
          eq(columns, vectors * k.lanes),
          () => each(exact),
          () => each(edges[vectors - 1]),
        )
    }
    const part = (vectors: number): void => {
      if (vectors === tile.vectors) partial(vectors)
      else
        k.if(
          le(columns, vectors * k.lanes),
          () => partial(vectors),
          () => part(vectors + 1),
        )
    }
    if (finish === undefined) whole()
    else k.if(eq(columns, tile.vectors * k.lanes), whole, () => part(1))
  })
}

function mulOperand(value: Expr | number): Expr {
  return typeof value === 'number' ? constant('i32', value) : value
}

/** One height and width of the tile. With `finish`, sums go to the edge scratch and that function stores the real columns. */
function defineTile(
  k: KernelBuilder,
  spec: SweepSpec,
  rows: number,
  vectors: number,
  finish: KernelFunction | undefined,
): KernelFunction {
  const whole = vectors === spec.tile.vectors && finish?.name !== 'finish'
  const ints = ['out', 'column', 'columns', 'outer', 'middle', 'run', ...gapNames(spec)]
  const pointers = [spec.a, spec.b, ...(spec.nextB === undefined ? [] : [spec.b])].map((pointer) => ({ pointer }))
  const declarations = [...pointers, ...ints.map((int) => ({ int }))]
  const name = `${whole ? 'tile' : 'edge'}${rows}x${vectors * k.lanes}`
  return k.function(name, declarations, (...params) => {
    const [atOuter, firstB] = params as unknown as [Pointer, Pointer]
    const [out, column, columns, outer, middle, run, ...gaps] = params.slice(pointers.length) as Expr[]
    const b = k.pointFrom(firstB)
    const next = spec.nextB === undefined ? undefined : k.pointFrom(params[2] as Pointer)
    const zero = constant('f32', 0, k.lanes)
    // Integers are pairs of bf16.
    const product = spec.a.dtype === 'i32' ? dot2 : fma
    const sums: Variable[][] = []
    for (let i = 0; i < rows; i++) sums.push(Array.from({ length: vectors }, (_, j) => k.variable(zero, `s${i}_${j}_`)))
    // Copies of parameters into locals: a printer may read a parameter from memory each time.
    const local = (value: Expr | number, name: string) =>
      typeof value === 'number' ? value : k.variable(value, name).value
    const aRow = local(spec.aRow, 'aRow')
    const aStep = local(spec.aStep, 'aStep')
    const bStep = local(spec.bStep, 'bStep')
    const offsets = Array.from({ length: rows }, (_, i) =>
      typeof aRow === 'number' ? i * aRow : k.let(mul(aRow, i), 'row'),
    )
    if (whole && k.lanes >= 8) spec.sink.prepare?.(out, rows, vectors)
    const ahead = spec.fetchAhead === true ? k.pointFrom(atOuter, mul(mulOperand(aRow), rows)) : undefined
    k.repeat(outer, () => {
      const atMiddle = k.pointFrom(atOuter)
      k.repeat(middle, () => {
        const a = k.pointFrom(atMiddle)
        k.repeat(run, () => {
          const right = Array.from({ length: vectors }, (_, j) => k.let(k.loadVector(b, j * k.lanes), 'b'))
          for (let i = 0; i < rows; i++) {
            const offset = offsets[i]
            const value =
              typeof offset === 'number' ? k.load(a, offset) : i === 0 ? k.load(a) : k.load(k.pointFrom(a, offset))
            const left = k.let(splat(value, k.lanes), 'a')
            for (const [j, sum] of sums[i].entries()) k.set(sum, product(left, right[j], sum.value))
          }
          k.advance(a, aStep)
          k.advance(b, bStep)
          if (ahead !== undefined) {
            k.prefetch(ahead)
            k.advance(ahead, rows)
          }
          if (next !== undefined) {
            k.prefetch(next)
            k.advance(next, k.lanes)
          }
        })
        k.advance(atMiddle, spec.middleStep)
        if (spec.bGaps === true) k.advance(b, gaps[0])
      })
      k.advance(atOuter, spec.outerStep)
      if (spec.bGaps === true) k.advance(b, gaps[1])
    })
    if (finish === undefined) {
      spec.sink.tile(
        sums.map((row) => row.map((sum) => sum.value)),
        out,
        column,
      )
      return
    }
    const edge = k.point(spec.edge)
    for (const [i, row] of sums.entries()) {
      for (const [j, sum] of row.entries()) k.store(edge, sum.value, (i * spec.tile.vectors + j) * k.lanes)
    }
    k.call(finish, out, column, rows, columns)
  })
}

/** Hands the sums in the edge scratch, whole rows of the tile, to the sink one vector after the other. */
function defineShared(k: KernelBuilder, spec: SweepSpec): KernelFunction {
  const ints = [{ int: 'out' }, { int: 'column' }, { int: 'rows' }, { int: 'columns' }] as const
  return k.function('shared', ints, (out, column, rows) => {
    const edge = k.point(spec.edge)
    const line = k.variable(out, 'line')
    k.repeat(rows, () => {
      const sums = Array.from({ length: spec.tile.vectors }, (_, j) => k.let(k.loadVector(edge, j * k.lanes)))
      spec.sink.tile([sums], line.value, column)
      k.advance(edge, columnsOf(spec.tile, k.target))
      k.set(line, add(line.value, spec.outRow))
    })
  })
}

/** Stores the first `columns` columns of the sums in the edge scratch: whole vectors, then one by one. */
function defineFinish(k: KernelBuilder, spec: SweepSpec): KernelFunction {
  const ints = [{ int: 'out' }, { int: 'column' }, { int: 'rows' }, { int: 'columns' }] as const
  return k.function('finish', ints, (out, column, rows, columns) => {
    k.loop(rows, (i) => {
      const edge = k.point(spec.edge, mul(i, columnsOf(spec.tile, k.target)))
      const line = k.let(add(out, mul(spec.outRow, i)))
      const done = k.lanes === 1 ? constant('i32', 0) : k.let(mul(div(columns, k.lanes), k.lanes))
      if (k.lanes > 1) {
        k.loop(div(columns, k.lanes), (j) => {
          const offset = k.let(mul(j, k.lanes))
          spec.sink.vector(k.let(k.loadVector(edge)), line, column, offset)
          k.advance(edge, k.lanes)
        })
      }
      k.range(done, columns, (j) => {
        const sum = k.let(k.load(edge))
        spec.sink.element(sum, line, column, j)
        k.advance(edge, 1)
      })
    })
  })
}
