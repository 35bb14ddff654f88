/** Place of the largest or smallest value along one axis of a contiguous tensor [outer, count, inner]. */
import type { DType } from '../../base/dtype.ts'
import { KernelBuilder, type KernelSpec } from '../build.ts'
import { add, and, div, eq, gt, int, lt, min, mul, ne, or, rem, select, sub } from '../expression.ts'
import type { Target } from '../target.ts'

export interface ArgReduceShape {
  readonly dtype: DType
  readonly find: 'max' | 'min'
}

export interface ArgReduceArguments {
  readonly outer: number
  readonly count: number
  readonly inner: number
}

const elementsPerTask = 16384

export function argReduceSpec(shape: ArgReduceShape): KernelSpec {
  const key = `arg-reduce|${shape.find}|${shape.dtype}`
  return { key, build: (target) => buildArgReduce(shape, key, target) }
}

export function argReduceCall({ outer, count, inner }: ArgReduceArguments): {
  params: number[]
  tasks: number
  work: number
} {
  const results = outer * inner
  const perTask = Math.max(1, Math.min(results, Math.floor(elementsPerTask / count)))
  return { params: [results, count, inner, perTask], tasks: Math.ceil(results / perTask), work: results * count }
}

function buildArgReduce({ dtype, find }: ArgReduceShape, key: string, target: Target) {
  const k = new KernelBuilder(target)
  const x = k.buffer('x', dtype, 'input')
  const y = k.buffer('y', 'i32', 'output')
  const results = k.int('results')
  const count = k.int('count')
  const inner = k.int('inner')
  const perTask = k.int('perTask')
  const scan = k.function('scan', [{ pointer: x }, { pointer: y }], (from, to) => {
    const best = k.variable(k.load(from), 'best')
    const place = k.variable(int(0), 'place')
    k.loop(sub(count, 1), (i) => {
      k.advance(from, inner)
      const value = k.let(k.load(from))
      const beats = find === 'max' ? gt(value, best.value) : lt(value, best.value)
      // The first NaN wins over numbers, and nothing beats it.
      const nan = and(ne(value, value), eq(best.value, best.value))
      const wins = k.let(dtype === 'f32' ? or(beats, nan) : beats)
      k.set(place, select(wins, add(i, 1), place.value))
      k.set(best, select(wins, value, best.value))
    })
    k.store(to, place.value)
  })
  k.task((task) => {
    const first = k.let(mul(task, perTask))
    k.loop(min(sub(results, first), perTask), (i) => {
      const result = k.let(add(first, i))
      const outerIndex = k.let(div(result, inner))
      const start = add(mul(outerIndex, mul(count, inner)), rem(result, inner))
      k.call(scan, k.point(x, k.let(start)), k.point(y, result))
    })
  })
  return k.build(`arg${find}_${dtype}_${target.name}`, key)
}
