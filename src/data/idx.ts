import { ByteReader, showStart } from '../base/bytes.ts'
import { FormatError, UnsupportedError } from '../base/errors.ts'
import { showShape, sizeOf } from '../base/shape.ts'

/** An array as an IDX file holds it (MNIST and its relatives). */
export interface IdxArray {
  /** Lengths of the axes, outermost first: [60000, 28, 28] for MNIST's pictures. */
  readonly shape: number[]
  readonly data: Uint8Array
}

/** Element types of the format by their code; only the first is read. */
const typeNames: Readonly<Record<number, string>> = {
  8: 'unsigned bytes',
  9: 'signed bytes',
  11: '16-bit integers',
  12: '32-bit integers',
  13: '32-bit floats',
  14: '64-bit floats',
}
const unsignedBytes = 8
const mostAxes = 8

/**
 * Reads an IDX file of unsigned bytes, already decompressed: two zero bytes, the element type, the number of axes, the
 * axes' lengths (32 bits, big-endian), the elements.
 *
 * ```ts
 * const { shape, data } = readIdx(await gunzip(bytes, path), path) // [10000, 28, 28]
 * ```
 *
 * @param path names the file in messages
 * @returns `data` is a view of `bytes`, not a copy
 * @throws FormatError when the bytes are not a complete IDX file and nothing else
 * @throws UnsupportedError when the elements are of another type
 */
export function readIdx(bytes: Uint8Array, path: string): IdxArray {
  const reader = new ByteReader(bytes, path)
  const axes = readMagic(reader, bytes)
  const shape = Array.from({ length: axes }, (_, axis) => readExtent(reader, axis))
  const size = sizeOf(shape)
  if (!Number.isSafeInteger(size)) {
    throw reader.error('the size is absurd', {
      offset: 4,
      got: `an array of shape ${showShape(shape)}`,
      expected: `at most ${Number.MAX_SAFE_INTEGER} elements`,
      fix: 'the header is damaged or the file is of another format: get it again',
    })
  }
  if (reader.remaining < size) {
    throw reader.error('the file is cut short', {
      offset: bytes.length,
      got: `${bytes.length} bytes`,
      expected: `${reader.offset + size} bytes: a header of ${reader.offset}, then ${size} for shape ${showShape(shape)}`,
      fix: 'get the file again',
    })
  }
  const data = reader.bytes(size, 'the elements')
  if (reader.remaining > 0) {
    throw reader.error('bytes follow the last element', {
      got: `${bytes.length} bytes`,
      expected: `${reader.offset} bytes for shape ${showShape(shape)}`,
      fix: 'get the file again; if two files were joined, separate them',
    })
  }
  return { shape, data }
}

/** The first four bytes; returns the number of axes. */
function readMagic(reader: ByteReader, bytes: Uint8Array): number {
  if (bytes.length >= 2 && (bytes[0] !== 0 || bytes[1] !== 0)) {
    const compressed = bytes[0] === 0x1f && bytes[1] === 0x8b
    throw reader.error('not an IDX file', {
      got: `bytes that begin with ${showStart(bytes)}`,
      expected: '00 00 08, then the number of axes',
      fix: compressed ? 'decompress it first, or let its name end in .gz' : 'check that this is the file you meant',
    })
  }
  reader.seek(Math.min(2, bytes.length))
  const type = reader.u8('the element type')
  if (type !== unsignedBytes) {
    const name = typeNames[type]
    if (name === undefined) {
      throw reader.error('unknown element type', {
        offset: 2,
        got: `type 0x${type.toString(16).padStart(2, '0')}`,
        expected: '0x08 (unsigned bytes)',
      })
    }
    throw new UnsupportedError({
      where: reader.path,
      what: `IDX files of ${name} are not read (at byte offset 2)`,
      got: `type 0x${type.toString(16).padStart(2, '0')} (${name})`,
      expected: '0x08 (unsigned bytes)',
      fix: 'convert the file to unsigned bytes',
    })
  }
  const axes = reader.u8('the number of axes')
  if (axes < 1 || axes > mostAxes) {
    throw reader.error('the number of axes is absurd', {
      offset: 3,
      got: `${axes} axes`,
      expected: `1 to ${mostAxes}: 1 for labels, 3 for grey pictures`,
    })
  }
  return axes
}

function readExtent(reader: ByteReader, axis: number): number {
  const offset = reader.offset
  const extent = reader.u32BigEndian(`the length of axis ${axis}`)
  if (extent > 0) return extent
  throw reader.error(`axis ${axis} is empty`, { offset, got: 'length 0', expected: 'a length of 1 or more' })
}

/**
 * Checks that pictures and labels belong together.
 * @param images shape [count, rows, columns]
 * @param labels shape [count], each below `classes`
 * @param classes 10 unless given
 * @throws FormatError naming the file that is wrong
 */
export function checkIdxPair(
  imagesPath: string,
  images: IdxArray,
  labelsPath: string,
  labels: IdxArray,
  classes = 10,
): void {
  checkAxes(imagesPath, images, 3, 'pictures, [count, rows, columns]')
  checkAxes(labelsPath, labels, 1, 'labels, [count]')
  const count = images.shape[0]
  if (labels.shape[0] !== count) {
    throw new FormatError({
      where: labelsPath,
      what: 'there are not as many labels as pictures (at byte offset 4)',
      got: `${labels.shape[0]} labels, ${count} pictures in ${imagesPath}`,
      expected: 'one label for each picture',
      fix: 'take both files from the same split: train with train, t10k with t10k',
    })
  }
  const wrong = labels.data.findIndex((label) => label >= classes)
  if (wrong === -1) return
  throw new FormatError({
    where: labelsPath,
    what: `label ${wrong} is out of range (at byte offset ${8 + wrong})`,
    got: `${labels.data[wrong]}`,
    expected: `0 to ${classes - 1}, for ${classes} classes`,
    fix: 'check that this is the labels file, and the number of classes',
  })
}

function checkAxes(path: string, { shape }: IdxArray, axes: number, meaning: string): void {
  if (shape.length === axes) return
  throw new FormatError({
    where: path,
    what: 'the number of axes is wrong (at byte offset 3)',
    got: `shape ${showShape(shape)}`,
    expected: `${axes} ${axes === 1 ? 'axis' : 'axes'}: ${meaning}`,
    fix: 'check that pictures and labels are not exchanged',
  })
}
