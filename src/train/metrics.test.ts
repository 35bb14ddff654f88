import { expect, it } from 'vitest'
import { Tally } from './metrics.ts'

it('counts as one does by hand', () => {
  const tally = new Tally(3, ['cat', 'dog', 'emu'])
  // Three cats, one said to be a dog; one dog, right; no emu, but one cat said to be one.
  for (const [actual, predicted] of [
    [0, 0],
    [0, 1],
    [0, 2],
    [1, 1],
  ])
    tally.add(actual, predicted, actual === predicted ? 0 : 1)
  const { accuracy, f1, perClass, confusion, samples, top5 } = tally.metrics()
  expect([accuracy, samples, top5]).toEqual([0.5, 4, undefined])
  expect(confusion).toEqual([
    [1, 1, 1],
    [0, 1, 0],
    [0, 0, 0],
  ])
  expect(perClass).toEqual([
    { name: 'cat', precision: 1, recall: 1 / 3, f1: 0.5, samples: 3 },
    { name: 'dog', precision: 0.5, recall: 1, f1: 2 / 3, samples: 1 },
    { name: 'emu', precision: 0, recall: 0, f1: 0, samples: 0 },
  ])
  expect(f1).toBeCloseTo((0.5 + 2 / 3) / 3, 12)
})

it('a class that never occurs does not lower the mean, and top-5 counts with more than five', () => {
  const tally = new Tally(7, [])
  tally.add(0, 0, 0)
  tally.add(1, 0, 4)
  tally.add(1, 0, 5)
  const { f1, top5, perClass } = tally.metrics()
  expect(top5).toBeCloseTo(2 / 3, 12)
  expect(f1).toBeCloseTo((0.5 + 0) / 2, 12)
  expect(perClass[6].name).toBe('6')
})
