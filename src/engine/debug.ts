/**
 * One way to look inside: JUANJI_DEBUG=1 prints every plan, 2 adds how long its runs take, 3 the loops of new kernels.
 * From 1 on kernels are verified before they are compiled. Everything goes to standard error.
 */
import { environment } from '#platform'
import type { Kernel } from '../kernel/language.ts'
import { printKernel } from '../kernel/print.ts'
import type { Plan } from '../schedule/index.ts'

export { verifyKernel } from '../kernel/verify.ts'

export const debugLevel = Number(environment('JUANJI_DEBUG') ?? 0) || 0

/** Everything a plan is going to do, one line a kernel call. */
export function describePlan(plan: Plan, nameOf: (index: number) => string): string {
  const bytes = (n: number) => (n < 2 ** 20 ? `${(n / 2 ** 10).toFixed(1)} KiB` : `${(n / 2 ** 20).toFixed(1)} MiB`)
  const rows = [...plan.prologue, ...plan.calls].map((call, i) => [
    i < plan.prologue.length ? `kept ${i}` : String(i - plan.prologue.length),
    call.label,
    nameOf(i),
    `${call.tasks} ${call.tasks === 1 ? 'task' : 'tasks'}`,
    `work ${call.work.toPrecision(3)}`,
  ])
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(0, ...rows.map((row) => row[column].length)))
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]))
      .join('  ')
      .trimEnd(),
  )
  const kept = plan.prologue.length === 0 ? '' : `, ${plan.prologue.length} kept, ${bytes(plan.keptBytes)}`
  return [`plan: ${plan.calls.length} kernel calls, arena ${bytes(plan.arenaBytes)}${kept}`, ...lines].join('\n')
}

export function debugPlan(plan: Plan, nameOf: (index: number) => string): void {
  if (debugLevel >= 1) console.error(describePlan(plan, nameOf))
}

export function debugKernel(kernel: Kernel): void {
  if (debugLevel >= 3) console.error(printKernel(kernel))
}

/** Times `work` and says so at level 2. */
export async function debugRun<T>(calls: number, work: () => Promise<T>): Promise<T> {
  if (debugLevel < 2) return work()
  const start = performance.now()
  const result = await work()
  console.error(`run: ${calls} kernel calls in ${(performance.now() - start).toFixed(3)} ms`)
  return result
}
