/**
 * Spectra of a convolution's weights. What a convolution layer computes is a correlation, so they are conjugated; the
 * factor 1/N of the inverse transform is theirs as well. Two channels are transformed as one complex sequence.
 */
import { KernelBuilder, type KernelSpec } from '../../build.ts'
import { add, constant, div, lt, min, mul, rem, select, sub } from '../../expression.ts'
import type { Kernel, Pointer } from '../../language.ts'
import type { Target } from '../../target.ts'
import { type BlockPlan, vectorsOf, vectorsPerTask, type WeightLayout } from './plan.ts'
import { defineSamples } from './samples.ts'
import { type Complex, defineTransform, halfSize, loadElement, type TransformSpec } from './transform.ts'

export interface WeightShape {
  readonly length: number
  /** Whether neighbouring columns are neighbours in memory. */
  readonly unit: boolean
}

export interface WeightArguments {
  readonly taps: number
  /** Channels that the products add up, and that they give. */
  readonly channels: number
  readonly columns: number
  /** Elements from tap to tap, channel to channel, column to column, and the first one. Taps may run backwards. */
  readonly tap: number
  readonly channel: number
  readonly column: number
  readonly first: number
}

export function weightSpec(shape: WeightShape): KernelSpec {
  const key = `fftWeights|${shape.length}|${shape.unit}`
  return { key, build: (target) => buildWeights(shape, key, target) }
}

export function weightCall(plan: BlockPlan, args: WeightArguments, layout: WeightLayout, target: Target) {
  const vectors = vectorsOf(args.columns, target)
  const pairs = Math.ceil(args.channels / 2)
  const { count, groups } = vectorsPerTask(plan.length, pairs, target)
  const params = [
    args.taps,
    args.channels,
    args.columns,
    args.tap,
    args.channel,
    args.column,
    args.first,
    pairs,
    count,
    groups,
    layout.panel,
    layout.slot,
  ]
  return {
    params,
    tasks: vectors * groups,
    scratch: [2 * halfSize(plan.length, target)],
    work: pairs * vectors * target.lanes * plan.length * 8,
  }
}

function buildWeights(shape: WeightShape, key: string, target: Target): Kernel {
  const { length } = shape
  const k = new KernelBuilder(target)
  const { lanes } = k
  const source = k.buffer('x', 'f32', 'input')
  const roots = k.buffer('roots', 'f32', 'input')
  const spectra = k.buffer('spectra', 'f32', 'output')
  const work = k.buffer('work', 'f32', 'scratch')
  const [taps, channels, columns] = ['taps', 'channels', 'columns'].map((name) => k.int(name))
  const [tap, channel, column, first] = ['tap', 'channel', 'column', 'first'].map((name) => k.int(name))
  const [pairs, perTask, groups, panel, slot] = ['pairs', 'perTask', 'groups', 'panel', 'slot'].map((n) => k.int(n))

  const spec: TransformSpec = { direction: 'forward', length, work, roots }
  const unitColumn = shape.unit ? undefined : column
  const fill = defineSamples(k, { work, source, step: tap, channel: unitColumn })
  const transform = defineTransform(k, spec)
  // q = w_c + i w_c': the spectra are (Q[f] + conj Q[N-f]) / 2 and (Q[f] - conj Q[N-f]) / 2i.
  const declarations = [{ pointer: work }, { pointer: spectra }, { int: 'second' }] as const
  const separate = k.function('separate', declarations, (from, firstTo, second) => {
    const to = k.pointFrom(firstTo)
    const scale = constant('f32', 0.5 / length, lanes)
    const stride = k.variable(slot, 'slot').value
    const put = (at: Pointer, [re, im]: Complex) => {
      k.store(at, re)
      k.store(at, im, lanes)
    }
    const up = k.pointFrom(from)
    const down = k.pointFrom(from, 2 * lanes * length)
    const step = (a: Complex, b: Complex) => {
      const half = (value: typeof scale) => k.let(mul(value, scale))
      // Conjugates of both spectra.
      const one: Complex = [half(add(a[0], b[0])), half(sub(b[1], a[1]))]
      const two: Complex = [half(add(a[1], b[1])), half(sub(a[0], b[0]))]
      put(to, one)
      k.if(lt(0, second), () => put(k.pointFrom(to, 2 * lanes), two))
      k.advance(to, stride)
      k.advance(up, 2 * lanes)
      k.advance(down, -2 * lanes)
    }
    const zero = loadElement(k, up)
    step(zero, zero)
    k.repeat(length / 2, () => step(loadElement(k, up), loadElement(k, down)))
  })
  k.task((task) => {
    const vector = k.let(div(task, groups))
    const firstPair = k.let(mul(rem(task, groups), perTask))
    const firstColumn = k.let(mul(vector, lanes))
    const count = k.let(min(sub(columns, firstColumn), lanes))
    k.loop(min(sub(pairs, firstPair), perTask), (i) => {
      const c = k.let(mul(add(firstPair, i), 2))
      const start = k.let(add(first, add(mul(c, channel), mul(firstColumn, column))))
      const behind = k.let(sub(length, taps))
      k.call(fill, k.point(work), k.point(source, start), 0, taps, behind, count)
      const second = k.let(lt(add(c, 1), channels))
      const present = k.let(select(second, taps, constant('i32', 0)))
      const other = k.point(source, add(start, channel))
      k.call(fill, k.point(work, lanes), other, 0, present, k.let(sub(length, present)), count)
      const spectrum = transform(k.point(work), k.point(work, halfSize(length, target)), k.point(roots))
      const to = k.point(spectra, add(mul(vector, panel), mul(c, 2 * lanes)))
      k.call(separate, spectrum, to, present)
    })
  })
  return k.build(`fft${length}_weights${shape.unit ? '' : '_strided'}_f32_${target.name}`, key)
}
