import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FormatError, JuanjiError, UnsupportedError } from '../base/errors.ts'
import { checkIdxPair, readIdx } from './idx.ts'

/** A file from its parts; nothing checks that they fit. */
function file(shape: readonly number[], data: ArrayLike<number>, type = 8): Uint8Array {
  const bytes = new Uint8Array(4 + 4 * shape.length + data.length)
  const view = new DataView(bytes.buffer)
  bytes.set([0, 0, type, shape.length])
  for (const [axis, extent] of shape.entries()) view.setUint32(4 + 4 * axis, extent)
  bytes.set(Array.from(data), 4 + 4 * shape.length)
  return bytes
}

function textOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    expect(error).toBeInstanceOf(JuanjiError)
    return `${error}`
  }
  throw new Error('nothing was thrown')
}

const textOfFile = (bytes: Uint8Array) => textOf(() => readIdx(bytes, 'data/a.idx'))
const labels = (data: number[]) => ({ shape: [data.length], data: Uint8Array.from(data) })
const images = (count: number) => ({ shape: [count, 2, 2], data: new Uint8Array(4 * count) })

describe('readIdx', () => {
  it('reads any shape back', () => {
    const anyArray = fc
      .array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 })
      .chain((shape) => fc.tuple(fc.constant(shape), fc.uint8Array({ minLength: size(shape), maxLength: size(shape) })))
    const size = (shape: number[]) => shape.reduce((product, extent) => product * extent, 1)
    fc.assert(
      fc.property(anyArray, ([shape, data]) => {
        expect(readIdx(file(shape, data), 'a.idx')).toEqual({ shape, data })
      }),
    )
  })

  it('honours the offset of the view it is given', () => {
    const bytes = Uint8Array.of(7, 7, ...file([3], [4, 5, 6]))
    expect(readIdx(bytes.subarray(2), 'a.idx')).toEqual({ shape: [3], data: Uint8Array.of(4, 5, 6) })
  })

  it('refuses what is not IDX', () => {
    expect(textOfFile(new TextEncoder().encode('<html><body>'))).toBe(
      `FormatError: data/a.idx: not an IDX file (at byte offset 0).
  got       bytes that begin with "<html><b" (HTML or XML)
  expected  00 00 08, then the number of axes
  fix       check that this is the file you meant`,
    )
    expect(textOfFile(Uint8Array.of(0x1f, 0x8b, 8, 0))).toBe(
      `FormatError: data/a.idx: not an IDX file (at byte offset 0).
  got       bytes that begin with 1f 8b 08 00 (gzip data)
  expected  00 00 08, then the number of axes
  fix       decompress it first, or let its name end in .gz`,
    )
    expect(textOfFile(Uint8Array.of(0, 0, 7, 1))).toBe(
      `FormatError: data/a.idx: unknown element type (at byte offset 2).
  got       type 0x07
  expected  0x08 (unsigned bytes)
  fix       check that the file is complete and of this format`,
    )
  })

  it('names an element type that it does not read', () => {
    const bytes = file([1], [0, 0, 0, 0], 13)
    expect(() => readIdx(bytes, 'a.idx')).toThrow(UnsupportedError)
    expect(textOfFile(bytes)).toBe(
      `UnsupportedError: data/a.idx: IDX files of 32-bit floats are not read (at byte offset 2).
  got       type 0x0d (32-bit floats)
  expected  0x08 (unsigned bytes)
  fix       convert the file to unsigned bytes`,
    )
  })

  it('says what is missing from a file cut short', () => {
    expect(textOfFile(new Uint8Array())).toBe(
      `FormatError: data/a.idx: the file ends inside the element type (at byte offset 0).
  got       0 of 1 bytes
  expected  at least 1 bytes in all, found 0
  fix       the file is cut short or not of this format: get it again`,
    )
    expect(textOfFile(file([2, 3], []).subarray(0, 9))).toBe(
      `FormatError: data/a.idx: the file ends inside the length of axis 1 (at byte offset 8).
  got       1 of 4 bytes
  expected  at least 12 bytes in all, found 9
  fix       the file is cut short or not of this format: get it again`,
    )
    expect(textOfFile(file([2, 3], [1, 2, 3, 4, 5]))).toBe(
      `FormatError: data/a.idx: the file is cut short (at byte offset 17).
  got       17 bytes
  expected  18 bytes: a header of 12, then 6 for shape [2, 3]
  fix       get the file again`,
    )
  })

  it('refuses trailing bytes and absurd dimensions', () => {
    expect(textOfFile(file([2], [1, 2, 3]))).toBe(
      `FormatError: data/a.idx: bytes follow the last element (at byte offset 10).
  got       11 bytes
  expected  10 bytes for shape [2]
  fix       get the file again; if two files were joined, separate them`,
    )
    expect(textOfFile(file([4294967295, 4294967295], []))).toBe(
      `FormatError: data/a.idx: the size is absurd (at byte offset 4).
  got       an array of shape [4294967295, 4294967295]
  expected  at most 9007199254740991 elements
  fix       the header is damaged or the file is of another format: get it again`,
    )
    expect(textOfFile(file([3, 0], []))).toBe(
      `FormatError: data/a.idx: axis 1 is empty (at byte offset 8).
  got       length 0
  expected  a length of 1 or more
  fix       check that the file is complete and of this format`,
    )
    expect(textOfFile(Uint8Array.of(0, 0, 8, 200))).toBe(
      `FormatError: data/a.idx: the number of axes is absurd (at byte offset 3).
  got       200 axes
  expected  1 to 8: 1 for labels, 3 for grey pictures
  fix       check that the file is complete and of this format`,
    )
  })

  it('reads or refuses whatever it is given', () => {
    const anyStart = fc.constantFrom([], [0, 0], [0, 0, 8], [0, 0, 8, 1, 0, 0, 0])
    fc.assert(
      fc.property(anyStart, fc.uint8Array({ maxLength: 40 }), (start, rest) => {
        try {
          const { shape, data } = readIdx(Uint8Array.from([...start, ...rest]), 'a.idx')
          expect(4 + 4 * shape.length + data.length).toBe(start.length + rest.length)
        } catch (error) {
          expect(error instanceof FormatError || error instanceof UnsupportedError).toBe(true)
        }
      }),
    )
  })
})

describe('checkIdxPair', () => {
  const check = (pictures: { shape: number[]; data: Uint8Array }, list: typeof pictures, classes?: number) =>
    textOf(() => checkIdxPair('images.idx', pictures, 'labels.idx', list, classes))

  it('accepts a pair', () => {
    checkIdxPair('images.idx', images(3), 'labels.idx', labels([0, 9, 5]))
    checkIdxPair('images.idx', images(1), 'labels.idx', labels([255]), 256)
  })

  it('refuses different counts', () => {
    expect(check(images(3), labels([1, 2]))).toBe(
      `FormatError: labels.idx: there are not as many labels as pictures (at byte offset 4).
  got       2 labels, 3 pictures in images.idx
  expected  one label for each picture
  fix       take both files from the same split: train with train, t10k with t10k`,
    )
  })

  it('refuses labels out of range', () => {
    expect(check(images(3), labels([1, 10, 11]))).toBe(
      `FormatError: labels.idx: label 1 is out of range (at byte offset 9).
  got       10
  expected  0 to 9, for 10 classes
  fix       check that this is the labels file, and the number of classes`,
    )
    expect(check(images(1), labels([2]), 2)).toContain('expected  0 to 1, for 2 classes')
  })

  it('refuses files that are exchanged', () => {
    expect(check(labels([1, 2]), images(2))).toBe(
      `FormatError: images.idx: the number of axes is wrong (at byte offset 3).
  got       shape [2]
  expected  3 axes: pictures, [count, rows, columns]
  fix       check that pictures and labels are not exchanged`,
    )
    expect(check(images(2), images(2))).toBe(
      `FormatError: labels.idx: the number of axes is wrong (at byte offset 3).
  got       shape [2, 2, 2]
  expected  1 axis: labels, [count]
  fix       check that pictures and labels are not exchanged`,
    )
  })
})

describe('MNIST', () => {
  const folder = join(process.env.JUANJI_DATA ?? '', 'images', 'mnist')

  it('is read whole', (context) => {
    if (process.env.JUANJI_DATA === undefined) context.skip('JUANJI_DATA is not set')
    if (!existsSync(folder)) context.skip(`there is no ${folder}`)
    const read = (name: string) => readIdx(gunzipSync(readFileSync(join(folder, name))), name)
    for (const [split, count] of [['train', 60_000] as const, ['t10k', 10_000] as const]) {
      const pictures = read(`${split}-images-idx3-ubyte.gz`)
      const list = read(`${split}-labels-idx1-ubyte.gz`)
      checkIdxPair('images', pictures, 'labels', list)
      expect(pictures.shape).toEqual([count, 28, 28])
      expect(list.shape).toEqual([count])
      expect(new Set(list.data).size).toBe(10)
    }
    expect([...read('t10k-labels-idx1-ubyte.gz').data.subarray(0, 8)]).toEqual([7, 2, 1, 0, 4, 1, 4, 9])
  })
})

describe('Fashion-MNIST', () => {
  const folder = join(process.env.JUANJI_DATA ?? '', 'images', 'fashion-mnist-sample')

  it('is read from files with names of their own', (context) => {
    if (process.env.JUANJI_DATA === undefined) context.skip('JUANJI_DATA is not set')
    if (!existsSync(folder)) context.skip(`there is no ${folder}`)
    const read = (name: string) => readIdx(gunzipSync(readFileSync(join(folder, name))), name)
    const pictures = read('sample900-images-idx3-ubyte.gz')
    const list = read('sample900-labels-idx1-ubyte.gz')
    checkIdxPair('images', pictures, 'labels', list)
    expect(pictures.shape).toEqual([900, 28, 28])
    expect([...list.data]).toEqual(Array.from({ length: 900 }, (_, i) => Math.floor(i / 90)))
    // Of the pixels alone, as another program computed it.
    expect(createHash('sha256').update(pictures.data).digest('hex')).toBe(
      '86efcd8ae29baccc34638f6a479365dfbb1b54fe1c3cac41a71a694b9d4cd220',
    )
  })
})
