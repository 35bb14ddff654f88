/**
 * A kernel that does nothing but multiply and add, all operands in registers. Its rate is the roof that convolutions and
 * products are held against: they have to load what they multiply as well.
 */
import { KernelBuilder, type KernelSpec } from '../build.ts'
import { fma, mul } from '../expression.ts'
import type { Target } from '../target.ts'

/** Steps of one call of the inner function: enough that its beginning and end do not count. */
export const peakDepth = 4096

/** Sums that are kept at once: besides them a factor, a summand and, where it is not fused, a product take registers. */
export function peakSums(target: Target): number {
  return Math.max(1, target.registers - 3)
}

/** Elements that one task writes, which are also those it starts from. */
export function peakSize(target: Target): number {
  return peakSums(target) * target.lanes
}

/** Operations of one repeat of a task. */
export function peakFlops(target: Target): number {
  return 2 * peakSize(target) * peakDepth
}

/** One task runs `repeats` times (a run-time parameter) over its sums: sum = sum · factor + summand. */
export const peakSpec: KernelSpec = {
  key: 'peak',
  build(target) {
    const k = new KernelBuilder(target)
    const { lanes } = target
    const factors = k.buffer('factors', 'f32', 'input')
    const result = k.buffer('result', 'f32', 'output')
    const repeats = k.int('repeats')
    // The factor comes from memory and each sum depends on the one before: nothing can be moved out of the loop.
    const run = k.function('run', [{ pointer: factors }, { pointer: result }], (f, y) => {
      const load = (p: typeof f, offset: number) => (lanes === 1 ? k.load(p, offset) : k.loadVector(p, offset))
      const factor = k.let(load(f, 0))
      const summand = k.let(load(f, lanes))
      const sums = Array.from({ length: peakSums(target) }, (_, i) => k.variable(load(y, i * lanes), 'sum'))
      k.repeat(
        peakDepth,
        () => {
          for (const sum of sums) k.set(sum, fma(sum.value, factor, summand))
        },
        { atLeastOnce: true },
      )
      for (const [i, sum] of sums.entries()) k.store(y, sum.value, i * lanes)
    })
    k.task((task) => {
      const y = k.point(result, mul(task, peakSize(target)))
      k.repeat(repeats, () => k.call(run, k.point(factors), y))
    })
    return k.build(`peak_f32_${peakSums(target)}x${lanes}_${target.name}`, 'peak')
  },
}
