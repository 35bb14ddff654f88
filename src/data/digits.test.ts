import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { ConfigError } from '../base/errors.ts'
import { testSkeletons, trainSkeletons } from './digit-skeletons.ts'
import { flatten, parseSkeleton } from './digit-strokes.ts'
import { type DigitsOptions, type DigitsSplit, generateDigits } from './digits.ts'

const splits: readonly DigitsSplit[] = ['train', 'test']
const checksum = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex').slice(0, 16)

function messageOf(options: unknown): string {
  try {
    generateDigits(options as DigitsOptions)
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return (error as ConfigError).message
  }
  throw new Error('nothing was thrown')
}

describe('generateDigits', () => {
  it('draws the same bytes on every machine', () => {
    const sums = splits.map((split) => {
      const { images, labels } = generateDigits({ split, count: 1000, seed: 1 })
      return [checksum(images), checksum(labels)]
    })
    expect(sums).toEqual([
      ['47cefe01aec5a8a0', '18e0858b383205d5'],
      ['7f41918408f25b65', '8678b89c4028a92f'],
    ])
  })

  it('makes a picture from seed, split and index alone', () => {
    const few = generateDigits({ split: 'train', count: 37, seed: 5 })
    const many = generateDigits({ split: 'train', count: 80, seed: 5 })
    expect(many.images.subarray(0, few.images.length)).toEqual(few.images)
    expect(many.labels.subarray(0, few.labels.length)).toEqual(few.labels)
    const otherSeed = generateDigits({ split: 'train', count: 37, seed: 6 })
    const otherSplit = generateDigits({ split: 'test', count: 37, seed: 5 })
    for (const other of [otherSeed, otherSplit]) {
      expect(other.images).not.toEqual(few.images)
      expect(other.labels).not.toEqual(few.labels)
    }
  })

  it('holds every class equally often, in no fixed order', () => {
    const { images, labels } = generateDigits({ split: 'test' })
    expect(labels).toHaveLength(2400)
    expect(images).toHaveLength(2400 * 784)
    const counts = new Array<number>(10).fill(0)
    for (const label of labels) counts[label]++
    expect(counts).toEqual(new Array(10).fill(240))
    expect(labels.subarray(0, 10)).not.toEqual(labels.subarray(10, 20))
  })

  it.each(splits)(
    'draws pictures of the %s split as MNIST has them: a fifth inked, centred, none like another',
    (split) => {
      const count = 1000
      const { images } = generateDigits({ split, count, seed: 3 })
      let inked = 0
      const seen = new Set<string>()
      for (let i = 0; i < count; i++) {
        const image = images.subarray(i * 784, (i + 1) * 784)
        let [mass, x, y] = [0, 0, 0]
        image.forEach((value, at) => {
          mass += value
          x += value * (at % 28)
          y += value * Math.floor(at / 28)
          if (value > 0) inked++
        })
        expect(Math.max(...image)).toBeGreaterThan(150)
        expect(Math.abs(x / mass - 14)).toBeLessThan(4.5)
        expect(Math.abs(y / mass - 14)).toBeLessThan(4.5)
        seen.add(checksum(image))
      }
      expect(seen.size).toBe(count)
      expect(inked / images.length).toBeGreaterThan(0.15)
      expect(inked / images.length).toBeLessThan(0.25)
    },
  )

  it('refuses wrong options', () => {
    expect(messageOf({ split: 'tset' })).toBe(
      `generateDigits: unknown split 'tset'.
  expected  'train' or 'test'
  fix       did you mean 'test'?`,
    )
    expect(messageOf({ split: 'train', count: 0 })).toBe(
      `generateDigits: count is not a positive integer.
  got       0
  expected  an integer from 1 to 9007199254740991
  fix       give count a whole number of 1 or more`,
    )
    expect(messageOf({ split: 'train', seed: 0.5 })).toBe(
      `generateDigits: seed is not an integer.
  got       0.5
  expected  an integer from -9007199254740991 to 9007199254740991
  fix       give seed a whole number`,
    )
    expect(messageOf({ split: 'train', sead: 1 })).toBe(
      `generateDigits: unknown option 'sead'.
  expected  split, count, seed
  fix       did you mean 'seed'?`,
    )
  })
})

describe('skeletons', () => {
  it('are well-formed, at least four for each digit of each split', () => {
    for (const skeletons of [trainSkeletons, testSkeletons]) {
      expect(skeletons).toHaveLength(10)
      for (const styles of skeletons) {
        expect(styles.length).toBeGreaterThanOrEqual(4)
        for (const style of styles) {
          expect(style).toMatch(/^-?\d+,-?\d+( -?\d+,-?\d+!?)+( \/ -?\d+,-?\d+( -?\d+,-?\d+!?)+)*$/)
        }
      }
    }
  })

  it('of the test split are not in the training split', () => {
    // Point by point along the path, so that a copy with another spelling or a nudged point would be found too.
    const path = (style: string) =>
      parseSkeleton(style).flatMap((stroke) => {
        const line = flatten(stroke)
        const last = line.length / 2 - 1
        return Array.from({ length: 21 }, (_, i) => 2 * Math.round((i / 20) * last)).flatMap((at) => [
          line[at],
          line[at + 1],
        ])
      })
    for (let digit = 0; digit < 10; digit++) {
      for (const test of testSkeletons[digit].map(path)) {
        for (const train of trainSkeletons[digit].map(path)) {
          if (test.length !== train.length) continue
          const squares = test.reduce((sum, value, i) => sum + (value - train[i]) ** 2, 0)
          expect(Math.sqrt(squares / (test.length / 2)), `digit ${digit}`).toBeGreaterThan(2)
        }
      }
    }
  })
})

describe('flatten', () => {
  it('passes through every point and keeps straight strokes straight', () => {
    const line = flatten({ points: [0, 0, 10, 20, 20, 40], corners: [false, false, false] })
    expect([line[0], line[1]]).toEqual([0, 0])
    expect([line[14], line[15]]).toEqual([10, 20])
    expect([line[28], line[29]]).toEqual([20, 40])
    for (let i = 0; i < line.length; i += 2) expect(line[i + 1]).toBeCloseTo(2 * line[i], 10)
  })

  it('turns sharply at corners only', () => {
    const points = [0, 0, 10, 0, 10, 10]
    const sharp = flatten({ points, corners: [false, true, false] })
    const round = flatten({ points, corners: [false, false, false] })
    expect(sharp[13]).toBeCloseTo(0, 10)
    expect(sharp[16]).toBeCloseTo(10, 10)
    expect(Math.abs(round[13])).toBeGreaterThan(0.1)
  })
})
