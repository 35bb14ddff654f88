/**
 * Sums of products of spectra, conj(dY) X added up over both rows of all pairs of blocks, back into the gradient of the
 * weights. What the pairing mixed cancels in the sum of the two rows. Two channels are transformed as one sequence.
 */
import { KernelBuilder, type KernelSpec } from '../../build.ts'
import { add, constant, div, eq, lt, min, mul, rem, select, sub } from '../../expression.ts'
import type { BufferParam, Expr, Kernel, Pointer } from '../../language.ts'
import type { Target } from '../../target.ts'
import { type BlockPlan, sumLayout, vectorsOf, vectorsPerTask } from './plan.ts'
import { type Complex, defineFromSpectrum, halfSize, type SlotReader, type TransformSpec } from './transform.ts'

export function tapsSpec(length: number): KernelSpec {
  const key = `fftTaps|${length}`
  return { key, build: (target) => buildTaps(length, key, target) }
}

export function tapsCall(plan: BlockPlan, taps: number, channels: number, outChannels: number, target: Target) {
  const sums = sumLayout(plan, channels, outChannels, target)
  const vectors = vectorsOf(outChannels, target)
  const pairs = Math.ceil(channels / 2)
  const { count, groups } = vectorsPerTask(plan.length, pairs, target)
  const params = [taps, channels, outChannels, pairs, count, groups, sums.channel, sums.slot]
  return {
    params,
    tasks: vectors * groups,
    scratch: [2 * halfSize(plan.length, target)],
    work: pairs * vectors * target.lanes * plan.length * 8,
  }
}

/** The spectra of two channels as one: D_c + i D_c', and the conjugates of both so joined for frequency N - f. */
function reader(k: KernelBuilder, sums: BufferParam, slot: Expr): SlotReader {
  const sum = (at: Pointer): Complex => [k.let(k.loadVector(at)), k.let(k.loadVector(at, k.lanes))]
  return {
    buffer: sums,
    slot,
    upper: (at, other) => {
      const [a, b] = [sum(at), sum(k.pointFrom(at, other))]
      return [k.let(sub(a[0], b[1])), k.let(add(a[1], b[0]))]
    },
    lower: (at, other) => {
      const [a, b] = [sum(at), sum(k.pointFrom(at, other))]
      return [k.let(add(a[0], b[1])), k.let(sub(b[0], a[1]))]
    },
  }
}

function buildTaps(length: number, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const { lanes } = k
  const sums = k.buffer('sums', 'f32', 'input')
  const roots = k.buffer('roots', 'f32', 'input')
  const out = k.buffer('y', 'f32', 'output')
  const work = k.buffer('work', 'f32', 'scratch')
  const [taps, channels, columns, pairs] = ['taps', 'channels', 'columns', 'pairs'].map((name) => k.int(name))
  const [perTask, groups, channel, slot] = ['perTask', 'groups', 'channel', 'slot'].map((name) => k.int(name))

  const spec: TransformSpec = { direction: 'inverse', length, work, roots }
  const transform = defineFromSpectrum(k, spec, reader(k, sums, slot))
  const declarations = [{ pointer: work }, { pointer: out }, { int: 'count' }] as const
  const store = k.function('store', declarations, (firstFrom, firstTo, count) => {
    const from = k.pointFrom(firstFrom)
    const to = k.pointFrom(firstTo)
    const step = k.variable(mul(channels, columns), 'step').value
    const scale = 0.5 / length
    const whole = () => {
      k.repeat(taps, () => {
        k.store(to, mul(k.loadVector(from), scale))
        k.advance(from, 2 * lanes)
        k.advance(to, step)
      })
    }
    const some = () => {
      k.repeat(taps, () => {
        const at = k.pointFrom(from)
        const element = k.pointFrom(to)
        k.repeat(count, () => {
          k.store(element, mul(k.load(at), scale))
          k.advance(at, 1)
          k.advance(element, 1)
        })
        k.advance(from, 2 * lanes)
        k.advance(to, step)
      })
    }
    if (lanes === 1) some()
    else k.if(eq(count, lanes), whole, some)
  })
  k.task((task) => {
    const vector = k.let(div(task, groups))
    const firstPair = k.let(mul(rem(task, groups), perTask))
    const column = k.let(mul(vector, lanes))
    const count = k.let(min(sub(columns, column), lanes))
    k.loop(min(sub(pairs, firstPair), perTask), (i) => {
      const c = k.let(mul(add(firstPair, i), 2))
      const from = k.point(sums, add(mul(c, channel), mul(column, 2)))
      const second = k.let(lt(add(c, 1), channels))
      // A last channel without a partner is its own; its copy is not stored.
      const other = k.let(select(second, channel, constant('i32', 0)))
      const results = transform(from, other, k.point(work), k.point(work, halfSize(length, target)), k.point(roots))
      const to = k.point(out, add(mul(c, columns), column))
      k.call(store, results, to, count)
      k.if(second, () => k.call(store, k.pointFrom(results, lanes), k.pointFrom(to, columns), count))
    })
  })
  return k.build(`fft${length}_taps_f32_${target.name}`, key)
}
