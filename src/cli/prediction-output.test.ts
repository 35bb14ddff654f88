import { expect, test } from 'vitest'
import { csvHeader, csvLine, makePredictionTable, type Ranked, rank } from './prediction-output.ts'
import { textWidth } from './text-width.ts'

const one = (file: string, ...top: (readonly [string, number])[]): Ranked => ({
  file,
  top: top.map(([name, probability]) => ({ class: name, probability })),
})

test('classes are ranked by probability; one without a name goes by its number', () => {
  const prediction = { label: 2, probabilities: Float64Array.of(0.25, 0.125, 0.5, 0.125) }
  expect(rank('a.png', prediction, ['cat', 'dog'], 3)).toEqual(one('a.png', ['2', 0.5], ['cat', 0.25], ['dog', 0.125]))
  expect(rank('a.png', prediction, ['cat', 'dog'], 99).top).toHaveLength(4)
})

test('CSV is quoted where it has to be', () => {
  expect(csvHeader(1)).toBe('file,class,probability\n')
  expect(csvHeader(3)).toBe('file,class,probability,class2,probability2,class3,probability3\n')
  expect(csvLine(one('plain name.png', ['cat', 0.75], ['dog', 1 / 3]))).toBe('plain name.png,cat,0.75,dog,0.333333\n')
  expect(csvLine(one('a,b.png', ['say "cat"', 1], ['two\nlines', 1.23456789e-9]))).toBe(
    '"a,b.png","say ""cat""",1,"two\nlines",1.23457e-9\n',
  )
})

const digits = [
  one('a/seven.png', ['7', 0.9983], ['1', 0.0012], ['9', 0.0005]),
  one('b.png', ['1', 1], ['7', 0], ['9', 0]),
]
const classes = Array.from({ length: 10 }, (_, i) => String(i))

test('one picture a line where that fits', () => {
  const table = makePredictionTable({ classes, top: 3, columns: 80, single: false })
  expect(table(digits)).toEqual([
    'a/seven.png  7   99.8 %  1    0.1 %  9    0.1 %',
    'b.png        1  100.0 %  7    0.0 %  9    0.0 %',
  ])
  // The next batch keeps to the same columns.
  expect(table(digits.slice(1))).toEqual(['b.png        1  100.0 %  7    0.0 %  9    0.0 %'])
})

test('a terminal cuts long names, a file does not', () => {
  const long = [one(`${'deep/'.repeat(20)}cat.jpg`, ['a class with a really long name', 0.5])]
  const names = ['a class with a really long name', 'short']
  expect(makePredictionTable({ classes: names, top: 1, columns: 60, single: false })(long)).toEqual([
    '…p/deep/deep/deep/cat.jpg  a class with a really l…   50.0 %',
  ])
  expect(makePredictionTable({ classes: names, top: 1, columns: undefined, single: false })(long)).toEqual([
    `${'deep/'.repeat(20)}cat.jpg  a class with a really long name   50.0 %`,
  ])
})

test('a class a line, with bars, where lines would be too long and for a single picture', () => {
  const names = ['golden retriever', 'labrador retriever', 'kuvasz', '猫']
  const photo = one('photo.jpg', ['golden retriever', 0.931], ['kuvasz', 0.042], ['猫', 0.0004])
  const expected = [
    'photo.jpg',
    '  golden retriever   93.1 %  ███████████████████████████▉',
    '  kuvasz              4.2 %  █▎',
    '  猫                  0.0 %',
  ]
  expect(makePredictionTable({ classes: names, top: 3, columns: 80, single: true })([photo])).toEqual(expected)
  expect(makePredictionTable({ classes: names, top: 3, columns: 70, single: false })([photo])).toEqual(expected)
})

test('no line is wider than the terminal', () => {
  const names = ['golden retriever', 'x', '金毛寻回犬']
  const batch = [
    one('a/long/path/to/some/photo.jpg', ...names.map((name) => [name, 1 / 3] as const)),
    one('图片/猫.jpg', ['x', 1]),
  ]
  for (let columns = 24; columns < 120; columns++) {
    for (const single of [true, false]) {
      for (const line of makePredictionTable({ classes: names, top: 3, columns, single })(batch)) {
        expect(textWidth(line)).toBeLessThanOrEqual(columns)
      }
    }
  }
})
