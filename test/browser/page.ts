/** The page's program: trains when asked to, and watches how long timers, frames and input would have waited. */
import { type TrainingOptions, train } from './training.ts'

/** Ticks until the function it returns is called, which gives the longest time between two ticks, in milliseconds. */
function watch(schedule: (tick: () => void) => void): () => number {
  let last = performance.now()
  let longest = 0
  let on = true
  const tick = () => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
    if (on) schedule(tick)
  }
  schedule(tick)
  return () => {
    on = false
    return Math.max(longest, performance.now() - last)
  }
}

export interface PageResult {
  readonly losses: readonly number[]
  readonly threads: number
  readonly isolated: boolean
  readonly seconds: number
  readonly longestTimerGapMs: number
  readonly longestFrameGapMs: number
  /** Longest task of the main thread, as the browser saw it; 0 when none took 50 ms. */
  readonly longestTaskMs: number
}

export async function trainAndWatch(options: TrainingOptions): Promise<PageResult> {
  let longestTaskMs = 0
  const tasks = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) longestTaskMs = Math.max(longestTaskMs, duration)
  })
  tasks.observe({ type: 'longtask' })
  const timers = watch((tick) => setTimeout(tick, 4))
  const frames = watch((tick) => requestAnimationFrame(tick))
  const start = performance.now()
  const result = await train(options)
  const seconds = (performance.now() - start) / 1000
  const gaps = { longestTimerGapMs: timers(), longestFrameGapMs: frames() }
  tasks.disconnect()
  return { ...result, isolated: crossOriginIsolated, seconds, ...gaps, longestTaskMs }
}

Object.assign(globalThis, { trainAndWatch })
