/** Second call of a reduction: combines the results of its pieces in their order, then applies the maps behind it. */
import { KernelBuilder, type KernelSpec } from '../../build.ts'
import { add, div, min, mul, rem, splat, sub } from '../../expression.ts'
import type { Expr, Kernel } from '../../language.ts'
import type { Target } from '../../target.ts'
import { EpilogueEmitter, type EpilogueShape, epilogueKey, epilogueName } from '../contraction/epilogue.ts'
import { combineValues, type Reduced, reducedKey, startOfResult } from './shape.ts'

export interface ReduceFoldShape {
  /** One a buffer of pieces. */
  readonly results: readonly Reduced[]
  readonly epilogue: EpilogueShape
}

export interface ReduceFoldArguments {
  readonly pieces: number
  /** Results in one piece. */
  readonly total: number
  /** Values that went into a result of each piece but the last, and of that. */
  readonly size: number
  readonly lastSize: number
}

const elementsPerTask = 16

export function reduceFoldSpec(shape: ReduceFoldShape): KernelSpec {
  const key = `reduceFold|${reducedKey(shape.results)}|${epilogueKey(shape.epilogue)}`
  return { key, build: (target) => buildReduceFold(shape, key, target) }
}

/** The constants of the epilogue follow the parameters. */
export function reduceFoldCall(args: ReduceFoldArguments): { params: number[]; tasks: number; work: number } {
  const { pieces, total, size, lastSize } = args
  return {
    params: [pieces, total, size, lastSize, size * (pieces - 1) + lastSize],
    tasks: Math.ceil(total / elementsPerTask),
    work: pieces * total,
  }
}

function buildReduceFold(shape: ReduceFoldShape, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const inputs = shape.results.map(({ dtype }, i) => k.buffer(`x${i}`, dtype, 'input'))
  const epilogue = new EpilogueEmitter(k, shape.epilogue)
  const [pieces, total] = ['pieces', 'total'].map((name) => k.int(name))
  const [size, lastSize, count] = ['size', 'lastSize', 'count'].map((name) => k.float(name))
  epilogue.declareConstants()

  const elements = (name: string, lanes: number) =>
    k.function(name, [{ int: 'at' }], (at) => {
      const load = (pointer: Parameters<typeof k.load>[0]) =>
        k.let(lanes === 1 ? k.load(pointer) : k.loadVector(pointer))
      const sums = shape.results.map((result) => k.variable(startOfResult(result, lanes), 'sum'))
      const plain = shape.results.flatMap(({ combine }, i) => (combine === 'deviations' ? [] : [i]))
      const from = inputs.map((input) => k.point(input, at))
      k.repeat(pieces, () => {
        for (const i of plain) {
          k.set(sums[i], combineValues(shape.results[i].combine, sums[i].value, load(from[i])))
          k.advance(from[i], total)
        }
      })
      // Σ over pieces of what they deviate in themselves, and of what their means deviate from the common one.
      for (const [i, result] of shape.results.entries()) {
        if (result.combine !== 'deviations') continue
        const mean = k.let(div(sums[result.sum].value, splat(count, lanes)))
        const own = k.point(inputs[i], at)
        const sum = k.point(inputs[result.sum], at)
        const piece = (values: Expr) => {
          const off = k.let(sub(div(load(sum), splat(values, lanes)), mean))
          k.set(sums[i], add(sums[i].value, add(load(own), mul(mul(off, off), splat(values, lanes)))))
        }
        k.repeat(sub(pieces, 1), () => {
          piece(size)
          k.advance(own, total)
          k.advance(sum, total)
        })
        piece(lastSize)
      }
      const cursors = epilogue.open(at, at)
      const values = sums.map((sum) => sum.value)
      epilogue.emit(values, cursors, epilogue.columnOperands(cursors, 0, lanes), 0, lanes)
    })
  const vector = k.lanes > 1 && k.lanes <= elementsPerTask ? elements('vector', k.lanes) : undefined
  const single = elements('single', 1)
  k.task((task) => {
    const first = k.let(mul(task, elementsPerTask))
    const here = k.let(min(sub(total, first), elementsPerTask))
    if (vector === undefined) {
      k.loop(here, (i) => k.call(single, add(first, i)))
      return
    }
    k.loop(div(here, k.lanes), (i) => k.call(vector, add(first, mul(i, k.lanes))))
    const done = k.let(add(first, sub(here, rem(here, k.lanes))))
    k.loop(rem(here, k.lanes), (i) => k.call(single, add(done, i)))
  })
  const names = shape.results.map(({ combine }) => combine).join('_')
  return k.build(`fold_${names}${epilogueName(shape.epilogue)}_${target.name}`, key)
}
