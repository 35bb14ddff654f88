import { describe, expect, it } from 'vitest'
import { geometricMean, markdownOf, type Row, ratiosOf } from './ratios.ts'

const row = (work: string, figures: Readonly<Record<string, number>>): Row => ({ peer: 'x-1', work, ...figures })

describe('ratiosOf', () => {
  it('takes the median of the ratios, not the ratio of the medians', () => {
    const ours = [10, 20, 10].map((ms) => [row('a', { forward_ms: ms, forward_gflops: 1 })])
    const theirs = [30, 20, 20].map((ms) => [row('a', { forward_ms: ms, forward_gflops: 2 })])
    expect(ratiosOf(ours, theirs)).toEqual([
      { work: 'a', figure: 'forward', ourMs: 10, theirMs: 20, ratio: 2, range: [1, 3] },
    ])
  })

  it('leaves out what one of them has not measured in every round', () => {
    const ours = [
      [row('a', { forward_ms: 1 }), row('b', { forward_ms: 1, forward_backward_ms: 2 })],
      [row('a', { forward_ms: 1 }), row('b', { forward_ms: 1, forward_backward_ms: 2 })],
    ]
    const theirs = [[row('a', { forward_ms: 2 }), row('b', { forward_ms: 2 })], [row('b', { forward_ms: 2 })]]
    expect(ratiosOf(ours, theirs).map(({ work, figure }) => `${work} ${figure}`)).toEqual(['b forward'])
  })
})

describe('markdownOf', () => {
  it('shows losing cases in bold, and how many there are', () => {
    const ratios = [
      { work: 'a', figure: 'forward_backward', ourMs: 10, theirMs: 20, ratio: 2, range: [1.5, 3] },
      { work: 'b', figure: 'forward_backward', ourMs: 100, theirMs: 50, ratio: 0.5, range: [0.5, 0.5] },
      { work: 'n', figure: 'train_step', ourMs: 1.234, theirMs: 1.234, ratio: 1, range: [0.9, 1.1] },
    ] as const
    expect(markdownOf({ title: 'Native beside x', ours: 'juanji', theirs: 'x-1', ratios }).join('\n')).toBe(`\
## Native beside x

| work | pass | juanji, ms | x-1, ms | ratio | of the rounds |
|---|---|---:|---:|---:|---|
| a | forward + backward | 10.0 | 20.0 | 2.00× | 1.50–3.00 |
| b | forward + backward | 100 | 50.0 | **0.50×** |  |
| n | training step | 1.23 | 1.23 | 1.00× | 0.90–1.10 |

Geometric means: forward + backward 1.00×, training step 1.00×. Slower here in 1 of 3.`)
  })

  it('means are geometric', () => expect(geometricMean([1, 4])).toBeCloseTo(2))
})
