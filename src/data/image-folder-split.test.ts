import { assert, integer, property, record } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type SplitWork, splitPictures } from './image-folder-split.ts'

/** Classes of these sizes, their pictures numbered one class after the other. */
function work(sizes: readonly number[], rest: Partial<SplitWork> = {}): SplitWork {
  const labels = sizes.flatMap((size, label) => new Array<number>(size).fill(label))
  return {
    pictures: [...labels.keys()],
    label: (i) => labels[i],
    classes: sizes.map((_, label) => `class ${label}`),
    duplicates: [],
    shares: { validation: 0.1, test: 0.1 },
    seed: 1,
    ...rest,
  }
}

/** Pictures of each class in each part. */
function counts(given: SplitWork): string[] {
  const split = splitPictures(given)
  const of = (part: readonly number[], label: number) => part.filter((i) => given.label(i) === label).length
  return given.classes.map((_, c) => [split.train, split.validation, split.test].map((part) => of(part, c)).join(' '))
}

test('each class in proportion, at least one for each part, small classes whole to train', () => {
  expect(counts(work([100, 206, 10, 4, 3, 2, 1]))).toEqual([
    '80 10 10',
    '164 21 21',
    '8 1 1',
    '2 1 1',
    '1 1 1',
    '2 0 0',
    '1 0 0',
  ])
  expect(counts(work([100, 2, 1], { shares: { validation: 0.25 } }))).toEqual(['75 25 0', '1 1 0', '1 0 0'])
  expect(counts(work([100, 3], { shares: { validation: 0, test: 0 } }))).toEqual(['100 0 0', '3 0 0'])
  expect(counts(work([4], { shares: { validation: 0.5, test: 0.4 } }))).toEqual(['1 1 2'])
})

test('another seed holds others back, and a class does not depend on the others', () => {
  const { test: one } = splitPictures(work([50, 50]))
  expect(splitPictures(work([50, 50]))).toEqual(splitPictures(work([50, 50])))
  expect(splitPictures(work([50, 50], { seed: 2 })).test).not.toEqual(one)
  expect(splitPictures(work([50, 9])).test.filter((i) => i < 50)).toEqual(one.filter((i) => i < 50))
})

describe('equal files', () => {
  test('are trained on', () => {
    const { train } = splitPictures(
      work([20], {
        duplicates: [
          [3, 4, 5],
          [11, 12],
        ],
      }),
    )
    expect(train).toEqual(expect.arrayContaining([3, 4, 5, 11, 12]))
    expect(
      counts(
        work([20], {
          duplicates: [
            [3, 4, 5],
            [11, 12],
          ],
        }),
      ),
    ).toEqual(['16 2 2'])
  })

  test('are held back together where a class has too few others', () => {
    const given = work([6], {
      duplicates: [
        [0, 1],
        [2, 3],
        [4, 5],
      ],
    })
    expect(counts(given)).toEqual(['2 2 2'])
    const split = splitPictures(given)
    for (const part of [split.train, split.validation, split.test]) expect(part[1]).toBe(part[0] + 1)
    expect(counts(work([6], { duplicates: [[0, 1, 2, 3, 4]] }))).toEqual(['6 0 0'])
  })

  test('in two classes are always trained on', () => {
    const duplicates = [[0, 10]]
    for (let seed = 0; seed < 20; seed++) {
      expect(splitPictures(work([10, 10], { duplicates, seed })).train).toEqual(expect.arrayContaining([0, 10]))
    }
    expect(counts(work([1, 3], { duplicates: [[0, 1]] }))).toEqual(['1 0 0', '1 1 1'])
  })
})

test('whatever the sizes, shares and equal files: all are there once, none is torn from its equals', () => {
  const sizes = record({ a: integer({ min: 1, max: 30 }), b: integer({ min: 1, max: 30 }) })
  const shares = record({ validation: integer({ min: 0, max: 60 }), test: integer({ min: 0, max: 39 }) })
  const groups = record({ first: integer({ min: 0, max: 59 }), size: integer({ min: 2, max: 9 }) })
  assert(
    property(sizes, shares, groups, integer(), ({ a, b }, { validation, test }, { first, size }, seed) => {
      const all = Array.from({ length: a + b }, (_, i) => i)
      const group = all.slice(first, first + size)
      const duplicates = group.length > 1 ? [group] : []
      const split = splitPictures(
        work([a, b], { duplicates, seed, shares: { validation: validation / 100, test: test / 100 } }),
      )
      expect([...split.train, ...split.validation, ...split.test].sort((x, y) => x - y)).toEqual(all)
      const holders = Object.values(split).filter((part) => group.some((i) => part.includes(i)))
      expect(holders.length).toBeLessThanOrEqual(1)
      for (const [low, high] of [
        [0, a],
        [a, a + b],
      ])
        expect(split.train.some((i) => i >= low && i < high)).toBe(true)
    }),
  )
})
