/** Blocks of a signal, two by two, into spectra. */
import { KernelBuilder, type KernelSpec } from '../../build.ts'
import { add, constant, div, lt, max, min, mul, rem, select, sub } from '../../expression.ts'
import type { Expr, Kernel } from '../../language.ts'
import type { Target } from '../../target.ts'
import { type BlockPlan, type SpectrumLayout, vectorsOf, vectorsPerTask } from './plan.ts'
import { defineSamples } from './samples.ts'
import { defineToSpectrum, halfSize, type TransformSpec } from './transform.ts'

/** What blocks are cut from. */
export interface SignalArguments {
  readonly plan: BlockPlan
  /** Samples of an image. */
  readonly length: number
  readonly channels: number
  /** Zeros before the first sample. */
  readonly before: number
  /** Samples of a block; what follows them are zeros. */
  readonly samples: number
  readonly firstPair: number
  readonly pairs: number
  readonly layout: SpectrumLayout
  /** `parts`: a row is all real parts, then all imaginary ones; `vectors`: they alternate, vector by vector. */
  readonly order: 'parts' | 'vectors'
}

export function signalSpec(length: number): KernelSpec {
  const key = `fftSignal|${length}`
  return { key, build: (target) => buildSignal(length, key, target) }
}

export function signalCall(args: SignalArguments, target: Target) {
  const { plan, layout } = args
  const vectors = vectorsOf(args.channels, target)
  const { count, groups } = vectorsPerTask(plan.length, vectors, target)
  const params = [
    plan.step,
    plan.blocksOfImage,
    plan.blocks,
    args.length,
    args.channels,
    args.before,
    args.samples,
    2 * args.firstPair,
    vectors,
    count,
    groups,
    layout.slot,
    layout.row,
    args.order === 'parts' ? vectors * target.lanes : target.lanes,
    args.order === 'parts' ? target.lanes : 2 * target.lanes,
  ]
  return {
    params,
    tasks: args.pairs * groups,
    scratch: [2 * halfSize(plan.length, target)],
    work: args.pairs * vectors * target.lanes * plan.length * 8,
  }
}

function buildSignal(length: number, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const x = k.buffer('x', 'f32', 'input')
  const roots = k.buffer('roots', 'f32', 'input')
  const spectrum = k.buffer('spectrum', 'f32', 'output')
  const work = k.buffer('work', 'f32', 'scratch')
  const [step, blocksOfImage, blocks] = ['step', 'blocksOfImage', 'blocks'].map((name) => k.int(name))
  const [extent, channels, before, samples] = ['extent', 'channels', 'before', 'samples'].map((name) => k.int(name))
  const [firstBlock, vectors, perTask, groups] = ['firstBlock', 'vectors', 'perTask', 'groups'].map((n) => k.int(n))
  const [slot, row, part, vector] = ['slot', 'row', 'part', 'vector'].map((name) => k.int(name))

  const spec: TransformSpec = { direction: 'forward', length, work, roots }
  const fill = defineSamples(k, { work, source: x, step: channels })
  const transform = defineToSpectrum(k, spec, spectrum, { slot, row, part })

  /** Calls `fill` for one block; one behind the last is all zeros. */
  const load = (block: Expr, place: number, channel: Expr, count: Expr) => {
    const image = k.let(div(block, blocksOfImage))
    const start = k.let(sub(mul(rem(block, blocksOfImage), step), before))
    const zeros = k.let(min(max(sub(0, start), 0), samples))
    const inside = k.let(max(min(sub(samples, zeros), sub(sub(extent, start), zeros)), 0))
    const real = k.let(select(lt(block, blocks), inside, constant('i32', 0)))
    const from = k.point(x, add(mul(add(mul(image, extent), add(start, zeros)), channels), channel))
    k.call(fill, k.point(work, place), from, zeros, real, sub(sub(length, zeros), real), count)
  }
  k.task((task) => {
    const pair = k.let(div(task, groups))
    const first = k.let(mul(rem(task, groups), perTask))
    const block = k.let(add(firstBlock, mul(pair, 2)))
    k.loop(min(sub(vectors, first), perTask), (i) => {
      const index = k.let(add(first, i))
      const channel = k.let(mul(index, k.lanes))
      const count = k.let(min(sub(channels, channel), k.lanes))
      load(block, 0, channel, count)
      load(k.let(add(block, 1)), k.lanes, channel, count)
      const to = k.point(spectrum, add(mul(mul(pair, 2), row), mul(index, vector)))
      transform(k.point(work), k.point(work, halfSize(length, target)), k.point(roots), to)
    })
  })
  return k.build(`fft${length}_signal_f32_${target.name}`, key)
}
