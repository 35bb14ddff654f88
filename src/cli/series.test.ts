import { expect, test } from 'vitest'
import { Series, Smoothed, Unaveraged } from './series.ts'

test('a series keeps its shape in bounded memory', () => {
  const series = new Series()
  const count = 1_000_003
  for (let i = 0; i < count; i++) series.add(i, i < count / 2 ? 1 : 3)
  const points = series.points()
  expect(points.length).toBeGreaterThan(400)
  expect(points.length).toBeLessThanOrEqual(1025)
  for (const [i, { x, y }] of points.entries()) {
    if (i > 0) expect(x).toBeGreaterThan(points[i - 1].x)
    if (Math.abs(x - count / 2) > 2000) expect(y).toBe(x < count / 2 ? 1 : 3)
  }
  // The newest values are in it, although they are not yet a whole point.
  expect(points.at(-1)!.x).toBeGreaterThan(count - 2000)
})

test('few values are kept as they are, and what is no number is left out', () => {
  const series = new Series()
  for (const [x, y] of [
    [0, 1],
    [1, Number.NaN],
    [2, Number.POSITIVE_INFINITY],
    [3, -1],
  ])
    series.add(x, y)
  expect(series.points()).toEqual([
    { x: 0, y: 1 },
    { x: 3, y: -1 },
  ])
})

test('smoothing begins at the first value and follows slowly', () => {
  const smoothed = new Smoothed()
  expect([smoothed.add(5), smoothed.add(5), smoothed.add(Number.NaN)]).toEqual([5, 5, 5])
  const after = smoothed.add(0)
  expect(after).toBeGreaterThan(3)
  expect(after).toBeLessThan(4)
})

test('values of steps come back from means over all of them', () => {
  const values = [3, 1, 4, 1, 5, 9, 2, 6]
  const mean = (count: number) => values.slice(0, count).reduce((a, b) => a + b) / count
  const each = new Unaveraged()
  for (const [i, value] of values.entries()) expect(each.next(i + 1, mean(i + 1))).toBeCloseTo(value, 12)
  const pairs = new Unaveraged()
  expect([2, 4, 6, 8].map((count) => pairs.next(count, mean(count)))).toEqual(
    [2, 2.5, 7, 4].map((v) => expect.closeTo(v, 12)),
  )
  // A run that is resumed in the middle of an epoch tells the mean of all before at first.
  expect(new Unaveraged().next(100, 0.5)).toBe(0.5)
})
