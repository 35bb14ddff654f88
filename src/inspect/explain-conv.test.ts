import { expect, test } from 'vitest'
import { ShapeError } from '../base/errors.ts'
import { type ExplainOptions, explainConvolution, printConvolution } from './explain-conv.ts'

const input = [
  [1, 2],
  [3, 4],
]
const kernel = [
  [1, 2, 3],
  [4, 5, 6],
  [7, 8, 9],
]

test('the textbook convolution, same', () => {
  const { output, steps, padding } = explainConvolution(input, kernel, { padding: 'same' })
  expect(output).toEqual([
    [77, 67],
    [47, 37],
  ])
  expect(padding).toEqual([
    [1, 1],
    [1, 1],
  ])
  expect(steps).toHaveLength(4)
  expect(steps[1]).toEqual({
    index: [0, 1],
    origin: [-1, 0],
    window: [
      [undefined, undefined, undefined],
      [1, 2, undefined],
      [3, 4, undefined],
    ],
    products: [
      [undefined, undefined, undefined],
      [4, 10, undefined],
      [21, 32, undefined],
    ],
    sum: 67,
    storedAt: 1,
  })
})

test('the formula read literally: zeros beyond the end', () => {
  const padding = [
    [0, 2],
    [0, 2],
  ] as const
  expect(explainConvolution(input, kernel, { padding }).output).toEqual([
    [37, 18],
    [11, 4],
  ])
})

test('no place for the kernel: the error is that of conv2d', () => {
  expect(() => explainConvolution(input, kernel)).toThrow(ShapeError)
})

const larger = Array.from({ length: 7 }, (_, i) => Array.from({ length: 6 }, (_, j) => ((5 * i + 3 * j) % 11) - 4))
const settings: ExplainOptions[] = [
  {},
  { padding: 'same' },
  { padding: 'full' },
  { padding: 2, stride: 2 },
  { padding: 'same', stride: 3 },
  { padding: 'same', stride: [2, 1], dilation: 2 },
  {
    padding: [
      [0, 3],
      [2, 1],
    ],
    dilation: [1, 2],
  },
]

test.each(settings)('agrees with conv2d: %o', async (options) => {
  const { output, tensor } = explainConvolution(larger, [[1, -2, 3], kernel[1]], options)
  expect(await tensor.array()).toEqual(output)
})

test('as text', () => {
  const lines = printConvolution(
    explainConvolution([[1, 2, 3]], [[10, -1]], {
      padding: [
        [0, 0],
        [1, 0],
      ],
      stride: 2,
    }),
    {
      steps: true,
    },
  )
  expect(lines.join('\n')).toBe(`\
Convolution of 1×3 by 1×2, padding 0 above, 0 below, 1 left, 0 right, stride 2×2: 1×2

  input       kernel     output
  1  2  3  ∗  10  -1  =  -1  17

· is padding; it counts as 0

Step 1 of 2: the window begins at input[0][-1]
  window     kernel     products
  ·  1    ×  10  -1  =   ·  -1
  sum -1 = -1
  stored in output[0][0], element 0 × 2 + 0 = 0

Step 2 of 2: the window begins at input[0][1]
  window     kernel     products
  2  3    ×  10  -1  =  20  -3
  sum 20 - 3 = 17
  stored in output[0][1], element 0 × 2 + 1 = 1`)
})
