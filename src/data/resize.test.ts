import { describe, expect, test } from 'vitest'
import { goldenInput, loadResizeCases } from '../../test/golden/values.ts'
import { ConfigError, ShapeError } from '../base/errors.ts'
import { pictureToSample, resizeImage } from './resize.ts'

const grey = (width: number, height: number, at: (x: number, y: number) => number) => ({
  width,
  height,
  channels: 1,
  data: Uint8Array.from({ length: width * height }, (_, i) => at(i % width, Math.floor(i / width))),
})

test('the same size changes nothing', () => {
  const picture = grey(7, 5, (x, y) => (37 * x + 91 * y) % 256)
  expect(resizeImage(picture, 7, 5)).toEqual(picture)
})

test('a flat picture stays flat at any size', () => {
  for (const [width, height] of [
    [1, 1],
    [3, 9],
    [40, 2],
  ]) {
    expect(
      new Set(
        resizeImage(
          grey(13, 8, () => 77),
          width,
          height,
        ).data,
      ),
    ).toEqual(new Set([77]))
  }
})

describe('within 1 of the numbers of Pillow', () => {
  const golden = loadResizeCases()
  test.each(golden)('$name', ({ kind, image, to, filter, box, pixels }) => {
    const [height, width, channels] = image.shape
    const picture = { width, height, channels, data: Uint8Array.from(goldenInput(image)) }
    const [left, top, right, bottom] = box ?? [0, 0, width, height]
    const crop = { left, top, width: right - left, height: bottom - top }
    const result =
      kind === 'sample' ? pictureToSample(picture, to) : resizeImage(picture, to[1], to[0], crop, filter).data
    expect(result).toHaveLength(pixels.length)
    const differences = pixels.map((expected, i) => Math.abs(result[i] - expected))
    expect(Math.max(...differences)).toBeLessThanOrEqual(1)
    // Pillow rounds after each direction, this once: they differ in up to 24 % of the pixels, not in most.
    expect(differences.reduce((a, b) => a + b, 0)).toBeLessThan(0.25 * pixels.length)
  })
  test('enough of them', () => {
    expect(golden.filter(({ kind }) => kind === 'resize').length).toBeGreaterThanOrEqual(30)
    expect(golden.filter(({ kind }) => kind === 'sample').length).toBeGreaterThanOrEqual(9)
  })
})

test('what lies outside the part is not looked at', () => {
  const picture = grey(9, 7, (x, y) => (x >= 2 && x < 6 && y >= 3 && y < 5 ? 40 : 250))
  const crop = { left: 3, top: 3, width: 2, height: 2 }
  // Weights reach one pixel beyond the part: rows 2 … 5, columns 2 … 5.
  const seen = { ...picture, data: picture.data.slice() }
  for (let y = 0; y < 7; y++) for (let x = 0; x < 9; x++) if (y < 2 || y > 5 || x < 2 || x > 5) seen.data[y * 9 + x] = 0
  expect(resizeImage(seen, 2, 2, crop)).toEqual(resizeImage(picture, 2, 2, crop))
})

test('sizes and parts that make no sense', () => {
  const picture = grey(4, 3, () => 0)
  expect(() => resizeImage(picture, 2.5, 0)).toThrow(
    new ConfigError({
      where: 'resizeImage',
      what: 'the new size makes no sense',
      got: 'width 2.5, height 0',
      expected: 'whole numbers of at least 1',
      fix: 'correct the size',
    }),
  )
  expect(() => resizeImage(picture, 2, 2, { left: 2, top: 0, width: 3, height: 3 })).toThrow(
    new ConfigError({
      where: 'resizeImage',
      what: 'the part does not lie in the picture',
      got: 'left 2, top 0, width 3, height 3',
      expected: 'a part of 4 x 3 pixels',
      fix: 'correct the part',
    }),
  )
})

test('shrinking counts every pixel, as PyTorch does', () => {
  // interpolate(a, (3, 3), mode='bilinear', antialias=True), a[y][x] = (37 x + 91 y) mod 256, 8 × 8
  const picture = grey(8, 8, (x, y) => (37 * x + 91 * y) % 256)
  expect([...resizeImage(picture, 3, 3).data]).toEqual([102, 131, 117, 119, 110, 126, 127, 126, 99])
})

test('enlarging interpolates, as PyTorch does', () => {
  const picture = grey(2, 2, (x, y) => 100 * x + 50 * y)
  expect([...resizeImage(picture, 4, 4).data]).toEqual([
    0, 25, 75, 100, 13, 38, 88, 113, 38, 63, 113, 138, 50, 75, 125, 150,
  ])
})

test('a wide colour picture becomes the grey middle of it', () => {
  // Left and right are red; the middle square is white.
  const data = new Uint8Array(4 * 2 * 3).fill(0)
  for (let i = 0; i < 8; i++) {
    const middle = i % 4 === 1 || i % 4 === 2
    data.set(middle ? [255, 255, 255] : [255, 0, 0], 3 * i)
  }
  const picture = { width: 4, height: 2, channels: 3, data }
  expect([...pictureToSample(picture, [2, 2, 1])]).toEqual([255, 255, 255, 255])
  expect([...pictureToSample(picture, [2, 2, 1], { invert: true })]).toEqual([0, 0, 0, 0])
  expect([...pictureToSample(picture, [2, 4, 1])]).toEqual([76, 255, 255, 76, 76, 255, 255, 76])
})

test('transparent parts count as white', () => {
  const picture = { width: 2, height: 1, channels: 4, data: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 255) }
  expect([...pictureToSample(picture, [1, 2, 1])]).toEqual([255, 0])
})

test('a model for something else gets no picture', () => {
  expect(() =>
    pictureToSample(
      grey(2, 2, () => 0),
      [16],
    ),
  ).toThrow(
    new ShapeError({
      where: 'pictureToSample',
      what: 'the model does not take pictures',
      got: 'samples of shape [16]',
      expected: '[height, width, 1] or [height, width, 3]',
      fix: 'give the model samples in code, with predict',
    }),
  )
})
