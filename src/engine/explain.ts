/** A profile in terms of what the machine can do: rates, shares of its peak, what holds a call back. */
import type { Choice } from '../schedule/index.ts'
import type { Peak } from './peak.ts'
import type { Profile, ProfiledCall, ProfiledMemory } from './profile.ts'

/**
 * What a call waits for. `compute` and `memory`: it takes most of its time at the peak rate of arithmetic or of memory.
 * `neither`: it is too small, or its code does not reach the machine's rates.
 */
export type Bound = 'compute' | 'memory' | 'neither'

export interface ExplainedCall extends ProfiledCall {
  /** 10⁹ additions and multiplications a second; undefined where they are not known or nothing was measured. */
  readonly gflops: number | undefined
  /** 10⁹ bytes a second; undefined where nothing was measured. */
  readonly gigabytesPerSecond: number | undefined
  /** Of the measured peak of arithmetic or of memory, whichever is nearer; above 1 where caches are faster than memory. */
  readonly share: number | undefined
  readonly boundBy: Bound
  /** Why it is computed as it is, in a few words. */
  readonly why: string
}

export interface Explanation {
  /** Name of the target: `wasm`. */
  readonly backend: string
  readonly threads: number
  /** What the machine reaches at best. */
  readonly peak: Peak
  /** In the order in which they run. */
  readonly calls: readonly ExplainedCall[]
  /** Of the calls before the first run, whose results are kept until a Variable they were made of is written. */
  readonly kept: readonly ExplainedCall[]
  readonly total: {
    /** Of the calls one by one. */
    readonly ms: number
    /** Of the program in one piece: calls follow each other without a pause, and may find their data in caches. */
    readonly wholeMs: number
    readonly flops: number
    readonly bytes: number
  }
  readonly memory: ProfiledMemory
}

/** From this share of a peak on it counts as what holds a call back. */
const boundFrom = 0.3

export function explainProfile({ backend, threads, peak, calls, kept, wholeMs, memory }: Profile): Explanation {
  const explained = calls.map((call) => explainCall(call, peak))
  const sum = (of: (call: ExplainedCall) => number) => explained.reduce((total, call) => total + of(call), 0)
  return {
    backend,
    threads,
    peak,
    calls: explained,
    kept: kept.map((call) => explainCall(call, peak)),
    total: {
      ms: sum(({ ms }) => ms),
      wholeMs,
      flops: sum(({ flops }) => flops ?? 0),
      bytes: sum(({ bytes }) => bytes),
    },
    memory,
  }
}

function explainCall(call: ProfiledCall, peak: Peak): ExplainedCall {
  const { flops, bytes, ms } = call
  const rate = (amount: number | undefined) => (amount === undefined || ms <= 0 ? undefined : amount / ms / 1e6)
  const gflops = rate(flops)
  const gigabytesPerSecond = rate(bytes)
  const compute = (gflops ?? 0) / peak.gflops
  const memory = (gigabytesPerSecond ?? 0) / peak.gigabytesPerSecond
  const share = Math.max(compute, memory)
  const boundBy = share < boundFrom ? 'neither' : compute >= memory ? 'compute' : 'memory'
  return {
    ...call,
    gflops,
    gigabytesPerSecond,
    share: gigabytesPerSecond === undefined ? undefined : share,
    boundBy,
    why: explainChoice(call.choice),
  }
}

/** Whether the choice was not left to the estimated costs: something was asked for, such as `precise`. */
export function isByRequest({ algorithm, candidates }: Choice): boolean {
  const own = candidates.find(({ name }) => name === algorithm)?.cost ?? 0
  return candidates.some(({ cost }) => cost < own)
}

/** `estimated cost of others: direct 2.33×, winograd2 1.60×`. */
export function explainChoice(choice: Choice | undefined): string {
  if (choice === undefined) return 'one loop for what is fused into it'
  const { algorithm, candidates } = choice
  const own = candidates.find(({ name }) => name === algorithm)?.cost ?? Number.NaN
  const others = candidates.filter(({ name }) => name !== algorithm)
  if (others.length === 0) return 'the only one that applies'
  const compared = others.map(({ name, cost }) => `${name} ${(cost / own).toFixed(2)}×`).join(', ')
  return `${isByRequest(choice) ? 'asked for; ' : ''}estimated cost of others: ${compared}`
}
