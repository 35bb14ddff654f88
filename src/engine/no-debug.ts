/** What a page gets instead of debug.ts, by `browser` in package.json: it has no environment that could ask for more. */
export const debugLevel = 0

export function verifyKernel(): void {}

export function debugKernel(): void {}

export function debugPlan(): void {}

export function debugRun<T>(_calls: number, work: () => Promise<T>): Promise<T> {
  return work()
}
