import { expect, test } from 'vitest'
import {
  formatBar,
  formatBytes,
  formatCount,
  formatDuration,
  formatPercent,
  formatPlainProgress,
  formatProgress,
  formatTable,
} from './progress.ts'

test('numbers, shares and times', () => {
  expect(formatCount(1199882)).toBe('1,199,882')
  expect(formatPercent(0.98625)).toBe('98.63 %')
  expect(formatPercent(1, 1)).toBe('100.0 %')
  expect([0, 0.44, 9.96, 59.4, 59.6, 200, 3599.7, 7500, Number.POSITIVE_INFINITY].map(formatDuration)).toEqual([
    '0.0 s',
    '0.4 s',
    '10 s',
    '59 s',
    '1 min 0 s',
    '3 min 20 s',
    '1 h 0 min',
    '2 h 5 min',
    '? s',
  ])
})

test('bytes', () => {
  expect([0, 812.4, 999.6, 28_881, 999_949, 999_950, 170_052_171, 5e9, 2e15].map(formatBytes)).toEqual([
    '0 B',
    '812 B',
    '1.0 kB',
    '28.9 kB',
    '999.9 kB',
    '1.0 MB',
    '170.1 MB',
    '5.0 GB',
    '2000.0 TB',
  ])
})

test('a bar has the width it is given, whatever the share', () => {
  expect(formatBar(0, 4)).toBe('░░░░')
  expect(formatBar(0.5, 4)).toBe('██░░')
  expect(formatBar(0.53, 4)).toBe('██▏░')
  expect(formatBar(1, 4)).toBe('████')
  for (let i = -5; i <= 105; i++) expect([...formatBar(i / 100, 7)]).toHaveLength(7)
})

const progress = {
  label: 'epoch 2/3',
  done: 85,
  total: 169,
  rate: '3,400 images/s',
  secondsLeft: 5.02,
  details: ['loss 0.0912', 'accuracy 97.1 %'],
}

test('the line says all where there is room', () => {
  expect(formatProgress(progress, 120)).toBe(
    'epoch 2/3  ██████████████▏░░░░░░░░░░░░░  50 %  5.0 s left  3,400 images/s  loss 0.0912  accuracy 97.1 %',
  )
})

test('the line leaves out what does not fit, and is never too long', () => {
  expect(formatProgress(progress, 63)).toBe('epoch 2/3  █████████░░░░░░░░░  50 %  5.0 s left  3,400 images/s')
  expect(formatProgress(progress, 24)).toBe('epoch 2/3  ███▌░░░  50 %')
  expect(formatProgress(progress, 16)).toBe('epoch 2/3 50 %')
  for (let columns = 0; columns < 130; columns++) {
    expect([...formatProgress(progress, columns)].length).toBeLessThanOrEqual(columns)
  }
})

test('as long as nobody knows how many there are, the line counts', () => {
  const counting = { label: 'pictures', done: 1234, total: undefined, rate: '310 pictures/s' }
  expect(formatProgress(counting, 80)).toBe('pictures  1,234  310 pictures/s')
  expect(formatProgress(counting, 16)).toBe('pictures  1,234')
  expect(formatProgress(counting, 5)).toBe('pictu')
  expect(formatPlainProgress(counting)).toBe('pictures  1,234  310 pictures/s')
})

test('a file gets no bar', () => {
  expect(formatPlainProgress(progress)).toBe(
    'epoch 2/3  50 %  5.0 s left  3,400 images/s  loss 0.0912  accuracy 97.1 %',
  )
  expect(formatPlainProgress({ label: 'test', done: 0, total: 0 })).toBe('test  0 %')
})

test('a table aligns numbers to the right', () => {
  expect(
    formatTable([
      ['work', 'ms'],
      ['a', '10.0'],
      ['longer', '2.5'],
    ]),
  ).toEqual(['work      ms', 'a       10.0', 'longer   2.5'])
  expect(
    formatTable([
      ['猫', '10.0'],
      ['dog', '2.5'],
    ]),
  ).toEqual(['猫   10.0', 'dog   2.5'])
})
