import { expect, test } from 'vitest'
import { type Chart, drawChart } from './chart.ts'
import { formatShort } from './progress.ts'
import { textWidth } from './text-width.ts'

const style = { axis: (text: string) => text, mark: (text: string) => text }
const chart = (curve: Chart['curve'], marks: Chart['marks'] = [], more: Partial<Chart> = {}): Chart => ({
  title: 'loss',
  curve,
  marks,
  label: formatShort,
  from: 0,
  unit: 'epoch',
  bounds: [0, Number.POSITIVE_INFINITY],
  ...more,
})

test('a falling line, with what was measured on held-out data', () => {
  const curve = Array.from({ length: 21 }, (_, x) => ({ x: x / 10, y: 2 - x / 10 }))
  expect(
    drawChart(
      chart(curve, [
        { x: 1, y: 1.5 },
        { x: 2, y: 0.5 },
      ]),
      30,
      4,
      style,
    ),
  ).toEqual([
    'loss                          ',
    '  2.00 ┤⠉⠑⠢⢄⣀                 ',
    '       │     ⠉⠉⠒⠤⣀⡀•          ',
    '       │          ⠈⠉⠑⠢⢄⣀      ',
    '     0 ┤                ⠉⠉⠒⠤⣀•',
    '        0             2 epochs',
  ])
})

test('nothing yet', () => {
  expect(drawChart(chart([]), 24, 4, style)).toEqual([
    'loss                    ',
    '       │                ',
    '       │                ',
    '       │                ',
    '       │                ',
    '        0               ',
  ])
})

test('a constant is drawn, and a share stays within 0 and 100 %', () => {
  const flat = Array.from({ length: 10 }, (_, x) => ({ x, y: 1 }))
  const share = (value: number) => `${Math.round(100 * value)} %`
  const lines = drawChart(chart(flat, [], { bounds: [0, 1], label: share }), 20, 4, style)
  expect(lines[1].trimStart().startsWith('100 % ┤')).toBe(true)
  expect(lines.join('')).toContain('⠉⠉⠉⠉')
})

test('the first steps do not press the rest of the curve flat', () => {
  const curve = Array.from({ length: 200 }, (_, x) => ({ x, y: x < 2 ? 1e6 : 1 + Math.sin(x / 20) / 2 }))
  expect(drawChart(chart(curve), 60, 6, style)[1]).toMatch(/^ {2}1\.50 ┤/)
})

test('every line is as wide as it is asked to be', () => {
  const curve = Array.from({ length: 50 }, (_, x) => ({ x: 3 + x / 7, y: 1 / (1 + x) }))
  for (let columns = 24; columns < 80; columns++) {
    for (const line of drawChart(chart(curve, [{ x: 4, y: 0.5 }], { from: 3 }), columns, 5, style)) {
      expect(textWidth(line)).toBe(columns)
    }
  }
})
