/**
 * The products of Winograd's algorithms: C[row][column] = Σ A[row][step] · B[step][column] over whole panels of columns,
 * many times with few terms. A tile keeps its sums in registers from the first term to the last; each height is a
 * function of its own, as in contraction/tile.ts, which also has the edges that these products do not need.
 */
import type { KernelBuilder, Variable } from '../../build.ts'
import { add, constant, div, eq, fma, lt, mul, select, splat, sub } from '../../expression.ts'
import type { BufferParam, Expr, KernelFunction, Pointer } from '../../language.ts'
import type { TileSize } from '../contraction/tile.ts'

export interface ProductSpec {
  readonly tile: TileSize
  readonly a: BufferParam
  readonly b: BufferParam
  readonly out: BufferParam
  /** Elements of A between rows and between terms; numbers are constants of the code. */
  readonly aRow: Expr | number
  readonly aStep: Expr | number
  /** Elements of the result between rows. */
  readonly outRow: number
}

/** Defines a function (a, b, out, rows, terms), which cuts the rows into tiles of nearly equal height. */
export function defineProduct(k: KernelBuilder, spec: ProductSpec): KernelFunction {
  const tiles = Array.from({ length: spec.tile.rows }, (_, i) => defineTile(k, spec, i + 1))
  const declarations = [
    { pointer: spec.a },
    { pointer: spec.b },
    { pointer: spec.out },
    { int: 'rows' },
    { int: 'terms' },
  ] as const
  return k.function('product', declarations, (firstA, b, firstOut, rows, terms) => {
    const a = k.pointFrom(firstA)
    const out = k.pointFrom(firstOut)
    const count = k.let(div(add(rows, spec.tile.rows - 1), spec.tile.rows))
    const low = k.let(div(rows, count))
    const high = k.let(sub(rows, mul(count, low)))
    k.loop(count, (i) => {
      const height = k.let(select(lt(i, high), add(low, 1), low))
      const use = (rows: number): void => {
        const tile = () => {
          k.call(tiles[rows - 1], a, b, out, terms)
          k.advance(a, mul(spec.aRow, rows))
          k.advance(out, spec.outRow * rows)
        }
        if (rows === 1) tile()
        else k.if(eq(height, rows), tile, () => use(rows - 1))
      }
      use(spec.tile.rows)
    })
  })
}

function defineTile(k: KernelBuilder, spec: ProductSpec, rows: number): KernelFunction {
  const { vectors } = spec.tile
  const declarations = [{ pointer: spec.a }, { pointer: spec.b }, { pointer: spec.out }, { int: 'terms' }] as const
  return k.function(`tile${rows}x${vectors * k.lanes}`, declarations, (firstA, firstB, out, terms) => {
    const a = k.pointFrom(firstA)
    const b = k.pointFrom(firstB)
    const zero = constant('f32', 0, k.lanes)
    const sums = Array.from({ length: rows }, (_, i) =>
      Array.from({ length: vectors }, (_, j): Variable => k.variable(zero, `s${i}_${j}_`)),
    )
    // Copies of parameters into locals: a printer may read a parameter from memory each time.
    const local = (value: Expr | number) => (typeof value === 'number' ? value : k.variable(value, 'step').value)
    const aRow = local(spec.aRow)
    const aStep = local(spec.aStep)
    const offsets = sums.map((_, i) => (typeof aRow === 'number' ? i * aRow : k.let(mul(aRow, i), 'row')))
    const element = (i: number): Expr => {
      const offset = offsets[i]
      if (typeof offset === 'number') return k.load(a, offset)
      return i === 0 ? k.load(a) : k.load(k.pointFrom(a, offset))
    }
    k.repeat(terms, () => {
      const right = Array.from({ length: vectors }, (_, j) => k.let(k.loadVector(b, j * k.lanes), 'b'))
      for (const [i, row] of sums.entries()) {
        const left = k.let(splat(element(i), k.lanes), 'a')
        for (const [j, sum] of row.entries()) k.set(sum, fma(left, right[j], sum.value))
      }
      k.advance(a, aStep)
      k.advance(b, vectors * k.lanes)
    })
    store(k, sums, out, spec.outRow)
  })
}

function store(k: KernelBuilder, sums: readonly (readonly Variable[])[], out: Pointer, outRow: number): void {
  for (const [i, row] of sums.entries()) {
    for (const [j, sum] of row.entries()) k.store(out, sum.value, i * outRow + j * k.lanes)
  }
}
