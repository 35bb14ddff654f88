import { describe, expect, it, test } from 'vitest'
import { lrScheduleNames, lrScheduleOf, lrSchedules, rateFactor } from './lr-schedule.ts'

describe('schedules', () => {
  it('constant', () => {
    expect([0, 0.3, 0.99].map(lrSchedules.constant().at)).toEqual([1, 1, 1])
  })

  it('step falls at its moments', () => {
    const { at } = lrSchedules.step({ at: [0.5, 0.75], factor: 0.1 })
    expect([0, 0.499, 0.5, 0.74, 0.75, 0.99].map(at)).toEqual([1, 1, 0.1, 0.1, 0.1 ** 2, 0.1 ** 2])
  })

  it('cosine goes from 1 to its floor', () => {
    const { at } = lrSchedules.cosine({ floor: 0.2 })
    expect(at(0)).toBe(1)
    expect(at(0.5)).toBeCloseTo(0.6, 12)
    expect(at(1)).toBeCloseTo(0.2, 12)
  })

  // torch.optim.lr_scheduler.OneCycleLR(sgd(1), max_lr=1, total_steps=11).get_last_lr(), steps 0, 1, 2, …: its rise ends
  // at step pct_start · total_steps - 1 = 2.3 and the run at step 10. Here moments are shares of the run.
  it('oneCycle is that of PyTorch', () => {
    const pytorch = [
      0.04, 0.422341, 0.960261, 0.979747, 0.884476, 0.726087, 0.530583, 0.330058, 0.157433, 0.041046, 0.000004,
    ]
    const { at } = lrSchedules.oneCycle({ rise: 0.23 })
    for (const [step, rate] of pytorch.entries()) expect(at(step / 10), `step ${step}`).toBeCloseTo(rate, 5)
  })

  it('warm-up rises in a straight line to where the schedule begins', () => {
    const factors = Array.from({ length: 8 }, (_, step) => rateFactor(lrSchedules.cosine(), step, 8, 3))
    expect(factors.slice(0, 4)).toEqual([0.25, 0.5, 0.75, 1])
    // One-cycle begins low: warm-up leads to there.
    const low = Array.from({ length: 4 }, (_, step) => rateFactor(lrSchedules.oneCycle({ start: 0.1 }), step, 8, 3))
    for (const [i, factor] of low.entries()) expect(factor).toBeCloseTo(0.025 * (i + 1), 12)
    expect(factors[7]).toBeCloseTo((1 + Math.cos(Math.PI * 0.8)) / 2, 12)
  })
})

describe('what makes no sense', () => {
  test('an unknown name', () => {
    expect(() => lrScheduleOf('cosin' as 'cosine', 'fit')).toThrow(
      "ConfigError: fit: there is no lrSchedule 'cosin'.\n  expected  constant, step, cosine, oneCycle\n  fix       did you mean 'cosine'?".slice(
        13,
      ),
    )
    expect(lrScheduleNames).toEqual(['constant', 'step', 'cosine', 'oneCycle'])
  })

  test.each([
    [() => lrSchedules.step({ at: [0.7, 0.5] }), 'lrSchedules.step: at makes no sense'],
    [() => lrSchedules.step({ factor: 0 }), 'lrSchedules.step: factor makes no sense'],
    [() => lrSchedules.cosine({ floor: 2 }), 'lrSchedules.cosine: floor makes no sense'],
    [() => lrSchedules.oneCycle({ rise: 1 }), 'lrSchedules.oneCycle: rise makes no sense'],
    [() => lrSchedules.oneCycle({ rize: 1 } as object), "lrSchedules.oneCycle: unknown option 'rize'"],
  ])('%#', (make, message) => expect(make).toThrow(message))
})
