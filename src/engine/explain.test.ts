import { describe, expect, it } from 'vitest'
import { explainChoice, explainProfile } from './explain.ts'
import type { Profile, ProfiledCall } from './profile.ts'

const call = (more: Partial<ProfiledCall>): ProfiledCall => {
  return { ops: 'add', kernel: 'map1d_add_wasm', flops: 0, bytes: 0, workspaceBytes: 0, ms: 1, ...more }
}
const profile = (calls: readonly ProfiledCall[]): Profile => ({
  backend: 'wasm',
  threads: 2,
  peak: { gflops: 100, gigabytesPerSecond: 20 },
  calls,
  kept: [],
  wholeMs: 3,
  memory: { keptBytes: 0, arenaBytes: 0, variableBytes: 0, bufferBytes: 0, scratchBytes: 0, bytes: 0 },
})

describe('explainProfile', () => {
  it('holds every call against the peaks', () => {
    const { calls } = explainProfile(
      profile([
        call({ flops: 8e7, bytes: 1e6, ms: 1 }), // 80 GFLOP/s, 1 GB/s
        call({ flops: 1e6, bytes: 1.5e7, ms: 0.5 }), // 2 GFLOP/s, 30 GB/s
        call({ flops: 1e6, bytes: 1e6, ms: 2 }), // 0.5 GFLOP/s, 0.5 GB/s
      ]),
    )
    expect(
      calls.map(({ gflops, gigabytesPerSecond, share, boundBy }) => ({ gflops, gigabytesPerSecond, share, boundBy })),
    ).toEqual([
      { gflops: 80, gigabytesPerSecond: 1, share: 0.8, boundBy: 'compute' },
      { gflops: 2, gigabytesPerSecond: 30, share: 1.5, boundBy: 'memory' },
      { gflops: 0.5, gigabytesPerSecond: 0.5, share: 0.025, boundBy: 'neither' },
    ])
  })

  it('adds the calls up', () => {
    const { total } = explainProfile(
      profile([call({ flops: 5, bytes: 7, ms: 1.5 }), call({ flops: undefined, bytes: 3, ms: 0.5 })]),
    )
    expect(total).toEqual({ ms: 2, wholeMs: 3, flops: 5, bytes: 10 })
  })

  it('knows no rate of what took no time', () => {
    const [explained] = explainProfile(profile([call({ flops: 1, bytes: 4, ms: 0 })])).calls
    expect([explained.gflops, explained.gigabytesPerSecond, explained.share, explained.boundBy]).toEqual([
      undefined,
      undefined,
      undefined,
      'neither',
    ])
  })
})

describe('explainChoice', () => {
  const candidates = [
    { name: 'direct', cost: 200 },
    { name: 'winograd', cost: 80 },
  ]

  it('compares the candidates by their estimated costs', () => {
    expect(explainChoice({ op: 'conv', algorithm: 'winograd', candidates })).toBe(
      'estimated cost of others: direct 2.50×',
    )
    expect(explainChoice({ op: 'conv', algorithm: 'direct', candidates })).toBe(
      'asked for; estimated cost of others: winograd 0.40×',
    )
  })

  it('says when there was nothing to choose', () => {
    expect(explainChoice({ op: 'conv', algorithm: 'direct', candidates: candidates.slice(0, 1) })).toBe(
      'the only one that applies',
    )
    expect(explainChoice(undefined)).toBe('one loop for what is fused into it')
  })
})
