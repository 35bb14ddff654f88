/** Spectra back into blocks of results, through an epilogue into its outputs. */
import { KernelBuilder, type KernelSpec } from '../../build.ts'
import { add, div, eq, lt, min, mul, neg, rem, sub } from '../../expression.ts'
import type { Expr, Kernel, Pointer } from '../../language.ts'
import type { Target } from '../../target.ts'
import {
  type EpilogueCursors,
  EpilogueEmitter,
  type EpilogueShape,
  epilogueKey,
  epilogueName,
} from '../contraction/epilogue.ts'
import { type BlockPlan, type SpectrumLayout, vectorsOf, vectorsPerTask } from './plan.ts'
import { defineFromSpectrum, halfSize, type TransformSpec } from './transform.ts'

export interface ResultShape {
  readonly length: number
  readonly epilogue: EpilogueShape
}

export interface ResultArguments {
  readonly plan: BlockPlan
  /** Results of an image. */
  readonly length: number
  readonly channels: number
  readonly firstPair: number
  readonly pairs: number
  readonly layout: SpectrumLayout
}

export function resultSpec(shape: ResultShape): KernelSpec {
  const key = `fftResult|${shape.length}|${epilogueKey(shape.epilogue)}`
  return { key, build: (target) => buildResult(shape, key, target) }
}

export function resultCall(args: ResultArguments, target: Target) {
  const { plan, layout } = args
  const vectors = vectorsOf(args.channels, target)
  const { count, groups } = vectorsPerTask(plan.length, vectors, target)
  const params = [
    plan.step,
    plan.blocksOfImage,
    plan.blocks,
    args.length,
    args.channels,
    2 * args.firstPair,
    vectors,
    count,
    groups,
    layout.slot,
    layout.row,
  ]
  return {
    params,
    tasks: args.pairs * groups,
    scratch: [2 * halfSize(plan.length, target)],
    work: args.pairs * vectors * target.lanes * plan.length * 8,
  }
}

function buildResult({ length, epilogue: shape }: ResultShape, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const { lanes } = k
  const spectrum = k.buffer('x', 'f32', 'input')
  const roots = k.buffer('roots', 'f32', 'input')
  const epilogue = new EpilogueEmitter(k, shape)
  const work = k.buffer('work', 'f32', 'scratch')
  const [step, blocksOfImage, blocks, extent] = ['step', 'blocksOfImage', 'blocks', 'extent'].map((n) => k.int(n))
  const [channels, firstBlock, vectors] = ['channels', 'firstBlock', 'vectors'].map((name) => k.int(name))
  const [perTask, groups, slot, row] = ['perTask', 'groups', 'slot', 'row'].map((name) => k.int(name))
  epilogue.declareConstants()

  const spec: TransformSpec = { direction: 'inverse', length, work, roots }
  const value = (at: Pointer) => [k.let(k.loadVector(at)), k.let(k.loadVector(at, lanes))] as const
  const transform = defineFromSpectrum(k, spec, {
    buffer: spectrum,
    slot,
    upper: value,
    lower: (at, other) => {
      const [re, im] = value(k.pointFrom(at, other))
      return [re, k.let(neg(im))]
    },
  })
  const advance = (cursors: EpilogueCursors, by: Expr) => {
    for (const [i, operand] of cursors.operands.entries())
      if (operand !== undefined && shape.operands[i].access === 'same') k.advance(operand, by)
    for (const output of cursors.outputs) k.advance(output, by)
  }
  const ints = ['out', 'column', 'count', 'real'].map((int) => ({ int }))
  const emit = k.function('emit', [{ pointer: work }, ...ints], (...params) => {
    const [from0, out, column, count, real] = params as unknown as [Pointer, Expr, Expr, Expr, Expr]
    const from = k.pointFrom(from0)
    const pixel = k.variable(channels, 'pixel').value
    const whole = () => {
      const cursors = epilogue.open(out, column)
      const held = epilogue.columnOperands(cursors, 0, lanes)
      k.repeat(count, () => {
        epilogue.emit(k.let(k.loadVector(from)), cursors, held, 0, lanes)
        k.advance(from, 2 * lanes)
        advance(cursors, pixel)
      })
    }
    const some = () => {
      k.loop(real, (j) => {
        const at = k.pointFrom(from, j)
        const cursors = epilogue.open(k.let(add(out, j)), k.let(add(column, j)))
        const held = epilogue.columnOperands(cursors, 0, 1)
        k.repeat(count, () => {
          epilogue.emit(k.let(k.load(at)), cursors, held, 0, 1)
          k.advance(at, 2 * lanes)
          advance(cursors, pixel)
        })
      })
    }
    if (lanes === 1) some()
    else k.if(eq(real, lanes), whole, some)
  })
  k.task((task) => {
    const pair = k.let(div(task, groups))
    const first = k.let(mul(rem(task, groups), perTask))
    k.loop(min(sub(vectors, first), perTask), (i) => {
      const index = k.let(add(first, i))
      const column = k.let(mul(index, lanes))
      const real = k.let(min(sub(channels, column), lanes))
      const from = k.point(spectrum, add(mul(mul(pair, 2), row), mul(index, 2 * lanes)))
      const results = transform(from, row, k.point(work), k.point(work, halfSize(length, target)), k.point(roots))
      for (const [place, offset] of [0, lanes].entries()) {
        const block = k.let(add(firstBlock, add(mul(pair, 2), place)))
        const store = () => {
          const start = k.let(mul(rem(block, blocksOfImage), step))
          const count = k.let(min(sub(extent, start), step))
          const out = add(mul(add(mul(div(block, blocksOfImage), extent), start), channels), column)
          k.call(emit, k.pointFrom(results, offset), out, column, count, real)
        }
        if (place === 0) store()
        else k.if(lt(block, blocks), store)
      }
    })
  })
  return k.build(`fft${length}_result_f32${epilogueName(shape)}_${target.name}`, key)
}
