/**
 * Products of matrices of complex numbers in split form: C[row][column] = Σ A[row][step] · B[step][column], one vector of
 * columns, real and imaginary parts side by side. Every height is a function of its own, as in contraction/tile.ts.
 */
import type { KernelBuilder } from '../../build.ts'
import { add, constant, div, eq, fma, lt, mul, neg, select, splat, sub } from '../../expression.ts'
import type { BufferParam, Expr, KernelFunction, Pointer } from '../../language.ts'
import type { Target } from '../../target.ts'

export interface ComplexProduct {
  readonly a: BufferParam
  readonly b: BufferParam
  readonly out: BufferParam
  /** Elements of A between rows, between steps, and from real to imaginary parts. */
  readonly aRow: Expr | number
  readonly aStep: Expr | number
  readonly aPart: Expr
  /** Elements of B between steps. */
  readonly bStep: Expr | number
  readonly outRow: Expr
  /** B is conjugated. */
  readonly conjugate: boolean
  /** Not 0 where products are added to what is there. */
  readonly before?: Expr
}

/** Rows of the tallest tile: two sums a row; B in three registers, two values of A, the product where it is not fused. */
export function complexRows(target: Target): number {
  return Math.max(1, Math.min(14, Math.floor((target.registers - (target.fma ? 5 : 7)) / 2)))
}

/** Defines a function (a, b, out, rows, steps), which cuts the rows into tiles of nearly equal height. */
export function defineComplexProduct(k: KernelBuilder, spec: ComplexProduct): KernelFunction {
  const tallest = complexRows(k.target)
  const tiles = Array.from({ length: tallest }, (_, i) => defineTile(k, spec, i + 1))
  const declarations = [
    { pointer: spec.a },
    { pointer: spec.b },
    { pointer: spec.out },
    { int: 'rows' },
    { int: 'steps' },
  ] as const
  return k.function('product', declarations, (firstA, b, firstOut, rows, steps) => {
    const a = k.pointFrom(firstA)
    const out = k.pointFrom(firstOut)
    const count = k.let(div(add(rows, tallest - 1), tallest))
    const low = k.let(div(rows, count))
    const high = k.let(sub(rows, mul(count, low)))
    k.loop(count, (i) => {
      const height = k.let(select(lt(i, high), add(low, 1), low))
      const use = (rows: number): void => {
        const tile = () => {
          k.call(tiles[rows - 1], a, b, out, steps)
          k.advance(a, mul(spec.aRow, rows))
          k.advance(out, mul(spec.outRow, rows))
        }
        if (rows === 1) tile()
        else k.if(eq(height, rows), tile, () => use(rows - 1))
      }
      use(tallest)
    })
  })
}

function defineTile(k: KernelBuilder, spec: ComplexProduct, rows: number): KernelFunction {
  const { lanes } = k
  const declarations = [{ pointer: spec.a }, { pointer: spec.b }, { pointer: spec.out }, { int: 'steps' }] as const
  return k.function(`complex${rows}x${lanes}`, declarations, (firstA, firstB, out, steps) => {
    const a = k.pointFrom(firstA)
    const imaginary = k.pointFrom(firstA, spec.aPart)
    const b = k.pointFrom(firstB)
    const zero = constant('f32', 0, lanes)
    const sums = Array.from({ length: rows }, (_, i) => ({
      re: k.variable(zero, `re${i}_`),
      im: k.variable(zero, `im${i}_`),
    }))
    // Copies of parameters into locals: a printer may read a parameter from memory each time.
    const local = (value: Expr | number) => (typeof value === 'number' ? value : k.variable(value, 'step').value)
    const [aRow, aStep, bStep] = [spec.aRow, spec.aStep, spec.bStep].map(local)
    const offsets = sums.map((_, i) => (typeof aRow === 'number' ? i * aRow : k.let(mul(aRow, i), 'row')))
    const element = (from: Pointer, i: number): Expr => {
      const offset = offsets[i]
      const value =
        typeof offset === 'number' ? k.load(from, offset) : k.load(i === 0 ? from : k.pointFrom(from, offset))
      return k.let(splat(value, lanes), 'a')
    }
    k.repeat(steps, () => {
      const re = k.let(k.loadVector(b), 'b')
      const stored = k.let(k.loadVector(b, lanes), 'b')
      const negated = k.let(neg(stored), 'b')
      const [im, minusIm] = spec.conjugate ? [negated, stored] : [stored, negated]
      for (const [i, sum] of sums.entries()) {
        const left = element(a, i)
        k.set(sum.re, fma(left, re, sum.re.value))
        k.set(sum.im, fma(left, im, sum.im.value))
        const leftIm = element(imaginary, i)
        k.set(sum.re, fma(leftIm, minusIm, sum.re.value))
        k.set(sum.im, fma(leftIm, re, sum.im.value))
      }
      k.advance(a, aStep)
      k.advance(imaginary, aStep)
      k.advance(b, bStep)
    })
    const store = (added: boolean) => {
      for (const [i, { re, im }] of sums.entries()) {
        const at = i === 0 ? out : k.pointFrom(out, mul(spec.outRow, i))
        for (const [offset, sum] of [re.value, im.value].entries())
          k.store(at, added ? add(k.loadVector(at, offset * lanes), sum) : sum, offset * lanes)
      }
    }
    if (spec.before === undefined) store(false)
    else
      k.if(
        eq(spec.before, 0),
        () => store(false),
        () => store(true),
      )
  })
}
