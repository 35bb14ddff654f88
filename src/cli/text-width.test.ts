import { expect, test } from 'vitest'
import { cutEnd, cutStart, padEnd, padStart, textWidth } from './text-width.ts'

test('Chinese and emoji take two columns, accents none', () => {
  expect(['seven.png', '猫', 'e\u0301', 'ねこ.png', '🐱', '한국', ''].map(textWidth)).toEqual([9, 2, 1, 8, 2, 4, 0])
})

test('padding fills columns, not characters', () => {
  expect(padEnd('猫', 4)).toBe('猫  ')
  expect(padStart('猫', 4)).toBe('  猫')
  expect(padEnd('long', 2)).toBe('long')
})

test('what is too long says so, and is never too wide', () => {
  expect(cutEnd('Labrador retriever', 8)).toBe('Labrado…')
  expect(cutStart('/home/me/photos/cat.png', 15)).toBe('…photos/cat.png')
  expect(cutEnd('猫猫猫', 4)).toBe('猫…')
  expect(cutStart('猫猫猫', 4)).toBe('…猫')
  expect(cutEnd('fits', 4)).toBe('fits')
  for (let width = 0; width < 12; width++) {
    for (const text of ['猫と犬と鳥', 'abcdefghijklmnop', 'a猫b犬c鳥d']) {
      expect(textWidth(cutEnd(text, width))).toBeLessThanOrEqual(width)
      expect(textWidth(cutStart(text, width))).toBeLessThanOrEqual(width)
    }
  }
})
