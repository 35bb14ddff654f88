import { describe, expect, it } from 'vitest'
import { type Device, evaluate } from '../engine/index.ts'
import { dataNode, inputNode } from '../graph/node.ts'
import { eachBackend } from '../testing/each-backend.ts'
import { errorText } from '../testing/error-text.ts'
import { affineWarp, colorMatrix } from './image.ts'

const bytes = (...shape: number[]) => inputNode(0, shape, 'u8')
const real = (...shape: number[]) => inputNode(1, shape, 'f32')

const picture = (height: number, width: number, channels: number): Uint8Array =>
  Uint8Array.from({ length: height * width * channels }, (_, i) => (i * 97 + (i >> 3) * 41) % 256)

async function warp(
  device: Device,
  data: Uint8Array,
  shape: number[],
  matrix: number[],
  fill: number | 'edge' | 'reflect',
) {
  const m = dataNode(Float32Array.from(matrix), [1, 6], 'f32')
  return (await evaluate(device, [affineWarp(dataNode(data, [1, ...shape], 'u8'), m, { fill })]))[0]
}

describe('affineWarp moves whole pixels without changing a bit of them', () => {
  const [height, width] = [12, 12]
  /** The result made of the pixels at (row, column) of the input, with -1 for the fill. */
  const moves: [string, number[], (i: number, j: number) => [row: number, column: number]][] = [
    ['the identity', [1, 0, 0, 0, 1, 0], (i, j) => [i, j]],
    ['a shift', [1, 0, 3, 0, 1, -5], (i, j) => [i - 5, j + 3]],
    ['a mirror image', [-1, 0, 0, 0, 1, 0], (i, j) => [i, width - 1 - j]],
    ['a quarter turn', [0, -1, 0, 1, 0, 0], (i, j) => [j, width - 1 - i]],
    ['a half turn', [-1, 0, 0, 0, -1, 0], (i, j) => [height - 1 - i, width - 1 - j]],
  ]
  it.each(moves)('%s', async (_name, matrix, from) => {
    for (const channels of [1, 3]) {
      const data = picture(height, width, channels)
      await eachBackend(async (device, { precision }) => {
        const exact = (value: number) => (precision === 'f32' ? Math.fround(value) : value)
        const expected = Array.from({ length: data.length }, (_, k) => {
          const [i, j] = [Math.floor(k / channels / width), Math.floor(k / channels) % width]
          const [row, column] = from(i, j)
          if (row < 0 || row >= height || column < 0 || column >= width) return exact(0.3)
          return exact(data[(row * width + column) * channels + (k % channels)] * exact(1 / 255))
        })
        expect(Array.from(await warp(device, data, [height, width, channels], matrix, 0.3))).toEqual(expected)
      })
    }
  })
})

it('single precision gives the same bits on every backend', async () => {
  const results = new Set<string>()
  const turned = [0.9, 0.31, 1.7, -0.31, 0.9, -0.4]
  const colours = dataNode(
    Float32Array.from({ length: 12 }, (_, i) => Math.sin(i + 1) / 2),
    [1, 3, 4],
    'f32',
  )
  const data = dataNode(picture(13, 11, 3), [1, 13, 11, 3], 'u8')
  await eachBackend(async (device, { precision }) => {
    if (precision === 'f64') return
    const warped = affineWarp(data, dataNode(Float32Array.from(turned), [1, 6], 'f32'), { fill: 0.1 })
    const [result] = await evaluate(device, [colorMatrix(warped, colours)])
    results.add(Buffer.from(result.buffer, result.byteOffset, result.byteLength).toString('hex'))
  })
  expect(results.size).toBe(1)
})

describe('affineWarp with matrices that make no sense', () => {
  it.each([Number.NaN, Number.POSITIVE_INFINITY, -1e30, 1e38])('never reads outside the picture: %s', async (wrong) => {
    const data = picture(5, 6, 3)
    await eachBackend(async (device) => {
      for (const fill of [0.25, 'edge', 'reflect'] as const) {
        for (const place of [0, 1, 2, 3, 4, 5]) {
          const matrix = [1, 0, 0, 0, 1, 0]
          matrix[place] = wrong
          const result = await warp(device, data, [5, 6, 3], matrix, fill)
          // What is read is a pixel or the fill; only 0 · ∞ may leave no number.
          expect(Array.from(result).every((value) => Number.isNaN(value) || (value >= 0 && value <= 1.0001))).toBe(true)
        }
      }
    })
  })
})

describe('image: what bad input is told', () => {
  it('pictures of real numbers without a batch', () => {
    expect(errorText(() => affineWarp(real(5, 6, 3), real(5, 6)))).toMatchInlineSnapshot(`
      "ShapeError: affineWarp: x does not hold pictures.
        got       x [5, 6, 3]
        expected  [batch, height, width, channels]
        fix       reshape x; one picture has a batch axis of 1"
    `)
  })
  it('pictures of whole numbers', () => {
    expect(errorText(() => affineWarp(inputNode(0, [2, 5, 6, 3], 'i32'), real(2, 6)))).toMatchInlineSnapshot(`
      "DTypeError: affineWarp: x has dtype i32.
        got       x i32 [2, 5, 6, 3]
        expected  f32 or u8
        fix       cast it first, for instance with .cast('f32')"
    `)
  })
  it('one matrix for two pictures', () => {
    expect(errorText(() => affineWarp(bytes(2, 5, 6, 3), real(1, 6)))).toMatchInlineSnapshot(`
      "ShapeError: affineWarp: there is not one matrix for each picture.
        got       x [2, 5, 6, 3], matrix [1, 6]
        expected  matrix [2, 6]
        fix       reshape the matrix, or repeat one with broadcastTo"
    `)
  })
  it('a matrix of bytes', () => {
    expect(errorText(() => affineWarp(bytes(2, 5, 6, 3), bytes(2, 6)))).toMatchInlineSnapshot(`
      "DTypeError: affineWarp: matrix has dtype u8.
        got       matrix u8 [2, 6]
        expected  f32
        fix       cast it first, for instance with .cast('f32')"
    `)
  })
  it('a fill that is none', () => {
    const wrong = { fill: 'wrap' as 'edge' }
    expect(errorText(() => affineWarp(bytes(2, 5, 6, 3), real(2, 6), wrong))).toMatchInlineSnapshot(`
      "ConfigError: affineWarp: fill makes no sense.
        got       'wrap'
        expected  a finite number, 'edge' or 'reflect'
        fix       use for instance 0"
    `)
    expect(errorText(() => affineWarp(bytes(2, 5, 6, 3), real(2, 6), { fill: Number.NaN }))).toMatchInlineSnapshot(`
      "ConfigError: affineWarp: fill makes no sense.
        got       NaN
        expected  a finite number, 'edge' or 'reflect'
        fix       use for instance 0"
    `)
  })
  it('colours of grey pictures', () => {
    expect(errorText(() => colorMatrix(bytes(2, 5, 6, 1), real(2, 3, 4)))).toMatchInlineSnapshot(`
      "ShapeError: colorMatrix: x does not hold pictures.
        got       x [2, 5, 6, 1]
        expected  [batch, height, width, 3]
        fix       reshape x; one picture has a batch axis of 1"
    `)
  })
  it('a matrix without offsets', () => {
    expect(errorText(() => colorMatrix(bytes(2, 5, 6, 3), real(2, 3, 3)))).toMatchInlineSnapshot(`
      "ShapeError: colorMatrix: there is not one matrix for each picture.
        got       x [2, 5, 6, 3], matrix [2, 3, 3]
        expected  matrix [2, 3, 4]
        fix       reshape the matrix, or repeat one with broadcastTo"
    `)
  })
})
