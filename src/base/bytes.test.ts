import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteReader, showStart } from './bytes.ts'
import { FormatError } from './errors.ts'

const sample = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 0xc3, 0xa9)

function messageOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError)
    return (error as FormatError).message
  }
  throw new Error('nothing was thrown')
}

describe('ByteReader', () => {
  it('reads numbers of both byte orders', () => {
    const reader = new ByteReader(sample, 'a.bin')
    expect(reader.u8()).toBe(1)
    expect(reader.u16LittleEndian()).toBe(0x0302)
    reader.seek(1)
    expect(reader.u16BigEndian()).toBe(0x0203)
    reader.seek(0)
    expect(reader.u32LittleEndian()).toBe(0x04030201)
    expect(reader.u32BigEndian()).toBe(0x05060708)
    expect(reader.text(2)).toBe('é')
    expect(reader.remaining).toBe(0)
    const wide = new ByteReader(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2), 'a.bin')
    expect([wide.u64LittleEndian(), wide.u64BigEndian()]).toEqual([1, 2])
  })

  it('honours the offset of the view it is given', () => {
    const reader = new ByteReader(sample.subarray(3), 'a.bin')
    expect(reader.u8()).toBe(4)
    expect([...reader.bytes(2)]).toEqual([5, 6])
    expect([reader.offset, reader.length, reader.remaining]).toEqual([3, 7, 4])
  })

  it('says where a file ends too early', () => {
    const reader = new ByteReader(sample, 'data/a.bin')
    reader.seek(8)
    expect(messageOf(() => reader.u32BigEndian('the number of rows'))).toBe(
      `data/a.bin: the file ends inside the number of rows (at byte offset 8).
  got       2 of 4 bytes
  expected  at least 12 bytes in all, found 10
  fix       the file is cut short or not of this format: get it again`,
    )
  })

  it('counts from the start of the file where it reads a part', () => {
    const reader = new ByteReader(Uint8Array.of(1, 2, 3), 'a.bin', 1000)
    reader.u8()
    expect(reader.offset).toBe(1)
    expect(messageOf(() => reader.bytes(5, 'the table'))).toBe(
      `a.bin: the data end inside the table (at byte offset 1001).
  got       2 of 5 bytes
  expected  at least 6 bytes in this part, found 3
  fix       the file is cut short or not of this format: get it again`,
    )
    expect(messageOf(() => reader.seek(9))).toContain('points to byte offset 1009, outside the file')
    expect(reader.error('wrong', { offset: 2 }).message).toContain('wrong (at byte offset 1002)')
  })

  it('refuses absurd numbers, offsets, lengths and text', () => {
    const full = new ByteReader(new Uint8Array(8).fill(255), 'a.bin')
    expect(messageOf(() => full.u64LittleEndian('the header length'))).toBe(
      `a.bin: the header length is absurdly large (at byte offset 0).
  got       18446744073709551615
  expected  at most 9007199254740991
  fix       check that the file is complete and of this format`,
    )
    expect(messageOf(() => full.seek(9))).toContain('points to byte offset 9, outside the file')
    expect(messageOf(() => full.bytes(-1))).toContain('data has an impossible length')
    expect(messageOf(() => full.text(4, 'the name'))).toContain('the name is not UTF-8 (at byte offset 0)')
    expect(full.offset).toBe(0)
  })

  it('never leaves the data, whatever is asked', () => {
    const methods = ['u8', 'u16LittleEndian', 'u32BigEndian', 'u64LittleEndian', 'u64BigEndian'] as const
    const step = fc.oneof(
      fc.constantFrom(...methods).map((method) => (reader: ByteReader) => reader[method]()),
      fc.oneof(fc.integer({ min: -3, max: 12 }), fc.double()).map((n) => (reader: ByteReader) => reader.bytes(n)),
      fc.integer({ min: -3, max: 12 }).map((n) => (reader: ByteReader) => reader.text(n)),
      fc.integer({ min: -3, max: 40 }).map((n) => (reader: ByteReader) => reader.seek(n)),
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 32 }), fc.array(step, { maxLength: 20 }), (bytes, steps) => {
        const reader = new ByteReader(bytes, 'a.bin')
        for (const act of steps) {
          try {
            act(reader)
          } catch (error) {
            expect(error).toBeInstanceOf(FormatError)
          }
          expect(reader.offset).toBeGreaterThanOrEqual(0)
          expect(reader.remaining).toBeGreaterThanOrEqual(0)
        }
      }),
    )
  })
})

describe('showStart', () => {
  it('names what it knows', () => {
    expect(showStart(new Uint8Array())).toBe('no bytes at all')
    expect(showStart(new TextEncoder().encode('hello world'))).toBe('"hello wo" (text)')
    expect(showStart(new TextEncoder().encode('<!doctype html>'))).toBe('"<!doctyp" (HTML or XML)')
    expect(showStart(Uint8Array.of(0x50, 0x4b, 3, 4, 20))).toBe('50 4b 03 04 14 (a zip archive)')
    expect(showStart(Uint8Array.of(0, 0, 8, 3))).toBe('00 00 08 03')
  })
})
