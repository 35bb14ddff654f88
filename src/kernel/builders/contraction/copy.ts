/** Functions that move runs of neighbouring elements: the borders and interiors of padded inputs. */
import { type KernelBuilder, kindOf } from '../../build.ts'
import { add, and, constant, div, ge, lt, max, min, mul, rem, sub } from '../../expression.ts'
import type { BufferParam, Expr, KernelFunction } from '../../language.ts'

const vectorsPerStep = 4

/** (target, source, count): copies `count` elements, converting between f32 and bf16. */
export function defineCopy(k: KernelBuilder, target: BufferParam, source: BufferParam): KernelFunction {
  return k.function('copy', [{ pointer: target }, { pointer: source }, { int: 'count' }], (to, from, count) => {
    const step = (vectors: number, lanes: number) => {
      const values = Array.from({ length: vectors }, (_, i) =>
        k.let(lanes === 1 ? k.load(from, i) : k.loadVector(from, i * lanes)),
      )
      for (const [i, value] of values.entries()) k.store(to, value, i * lanes)
      k.advance(from, vectors * lanes)
      k.advance(to, vectors * lanes)
    }
    steps(k, count, step)
  })
}

/** (target, count): `count` zeros. */
export function defineZero(k: KernelBuilder, target: BufferParam): KernelFunction {
  return k.function('zero', [{ pointer: target }, { int: 'count' }], (to, count) => {
    const step = (vectors: number, lanes: number) => {
      for (let i = 0; i < vectors; i++) k.store(to, constant(kindOf(target.dtype), 0, lanes), i * lanes)
      k.advance(to, vectors * lanes)
    }
    steps(k, count, step)
  })
}

function steps(k: KernelBuilder, count: Expr, step: (vectors: number, lanes: number) => void): void {
  const block = vectorsPerStep * k.lanes
  k.repeat(div(count, block), () => step(vectorsPerStep, k.lanes))
  if (k.lanes === 1) {
    k.repeat(rem(count, block), () => step(1, 1))
    return
  }
  const rest = k.let(rem(count, block))
  k.repeat(div(rest, k.lanes), () => step(1, k.lanes))
  k.repeat(rem(rest, k.lanes), () => step(1, 1))
}

/** Where a padded copy takes its rows from; all in pixels except `channels`. */
export interface PaddedSource {
  readonly height: Expr
  readonly width: Expr
  /** Elements of a pixel. */
  readonly channels: Expr
  /** Columns of the copy. */
  readonly paddedWidth: Expr
  /** Zero columns before the first one of the source; negative skips columns. */
  readonly left: Expr
}

/**
 * (target, image, row, rows): rows `row` … of an image with a border of zeros around it, written one after the other.
 * `row` may be negative or beyond the last row.
 */
export function defineFill(
  k: KernelBuilder,
  target: BufferParam,
  source: BufferParam,
  of: PaddedSource,
): KernelFunction {
  const copy = defineCopy(k, target, source)
  const zero = defineZero(k, target)
  const declarations = [{ pointer: target }, { int: 'image' }, { int: 'row' }, { int: 'rows' }] as const
  return k.function('fill', declarations, (target0, image, row, rows) => {
    const to = k.pointFrom(target0)
    const line = k.let(mul(of.paddedWidth, of.channels))
    // Columns: `before` zeros, `inside` from the source starting at `skip`, `after` zeros.
    const before = k.let(min(max(of.left, 0), of.paddedWidth))
    const skip = k.let(max(sub(constant('i32', 0), of.left), 0))
    const inside = k.let(max(min(sub(of.width, skip), sub(of.paddedWidth, before)), 0))
    const left = k.let(mul(before, of.channels))
    const middle = k.let(mul(inside, of.channels))
    const right = k.let(sub(sub(line, left), middle))
    k.loop(rows, (i) => {
      const y = k.let(add(row, i))
      k.if(
        and(ge(y, 0), lt(y, of.height)),
        () => {
          const from = k.point(source, mul(add(mul(add(mul(image, of.height), y), of.width), skip), of.channels))
          k.call(zero, to, left)
          k.call(copy, k.pointFrom(to, left), from, middle)
          k.call(zero, k.pointFrom(to, add(left, middle)), right)
        },
        () => k.call(zero, to, line),
      )
      k.advance(to, line)
    })
  })
}
