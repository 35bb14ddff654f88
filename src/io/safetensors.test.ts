import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ConfigError, DTypeError, FormatError, ShapeError } from '../base/errors.ts'
import {
  readSafetensors,
  type SafetensorsDType,
  type SafetensorsTensor,
  safetensorsPieces,
  toFloat32,
  writeSafetensors,
} from './safetensors.ts'
import { arrayTypes } from './safetensors-header.ts'
import { packFloat16 } from './small-floats.ts'

/** A file from a header as text (or value) and data bytes. */
function file(header: unknown, data: ArrayLike<number> = []): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header))
  const bytes = new Uint8Array(8 + text.length + data.length)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true)
  bytes.set(text, 8)
  bytes.set(Array.from(data), 8 + text.length)
  return bytes
}

function messageOf(bytes: Uint8Array): string {
  try {
    readSafetensors(bytes, 'w.safetensors')
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError)
    return (error as FormatError).message
  }
  throw new Error('nothing was thrown')
}

const f32 = (shape: number[], begin: number, end: number) => ({ dtype: 'F32', shape, data_offsets: [begin, end] })

const anyTensor: fc.Arbitrary<SafetensorsTensor> = fc
  .record({
    dtype: fc.constantFrom(...(Object.keys(arrayTypes) as SafetensorsDType[])),
    shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
  })
  .chain(({ dtype, shape }) => {
    const type = arrayTypes[dtype]
    const length = shape.reduce((product, extent) => product * extent, 1) * type.BYTES_PER_ELEMENT
    return fc.uint8Array({ minLength: length, maxLength: length, max: dtype === 'BOOL' ? 1 : 255 }).map((bytes) => ({
      dtype,
      shape,
      data: new type(bytes.slice().buffer),
    }))
  })
const anyName = fc.string({ unit: 'grapheme' }).filter((name) => name !== '__metadata__')
const anyFile = fc.record({
  tensors: fc
    .array(fc.tuple(fc.oneof(anyName, fc.constant('__proto__')), anyTensor), { maxLength: 6 })
    .map((list) => new Map(list)),
  metadata: fc.dictionary(fc.oneof(fc.string(), fc.constant('__proto__')), fc.string({ unit: 'binary' }), {
    noNullPrototype: true,
    maxKeys: 4,
  }),
})

const rawBytes = ({ data }: SafetensorsTensor) => [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)]

describe('writeSafetensors and readSafetensors', () => {
  it('writes the bytes of the reference', () => {
    const tensors = new Map<string, SafetensorsTensor>([
      ['b', { dtype: 'U8', shape: [], data: Uint8Array.of(9) }],
      ['a', { dtype: 'F32', shape: [2, 1], data: Float32Array.of(1, -2) }],
    ])
    const bytes = writeSafetensors(tensors, { z: '1', format: 'pt' })
    const header =
      '{"__metadata__":{"format":"pt","z":"1"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[],"data_offsets":[8,9]}}'
    const padded = header.padEnd(Math.ceil(header.length / 8) * 8)
    expect(new DataView(bytes.buffer).getBigUint64(0, true)).toBe(BigInt(padded.length))
    expect(new TextDecoder().decode(bytes.subarray(8, 8 + padded.length))).toBe(padded)
    expect([...bytes.subarray(8 + padded.length)]).toEqual([0, 0, 128, 63, 0, 0, 0, 192, 9])
    const reversed = new Map([...tensors].reverse())
    expect(writeSafetensors(reversed, { format: 'pt', z: '1' })).toEqual(bytes)
    expect(readSafetensors(bytes, 'x').tensors).toEqual(tensors)
  })

  it('is an empty header for no tensors', () => {
    expect(readSafetensors(writeSafetensors(new Map()), 'x')).toEqual({ tensors: new Map(), metadata: {} })
  })

  it('brings back any tensors and metadata, aligned or not', () => {
    fc.assert(
      fc.property(anyFile, fc.integer({ min: 0, max: 7 }), ({ tensors, metadata }, shift) => {
        const bytes = writeSafetensors(tensors, metadata)
        const shifted = new Uint8Array(bytes.length + shift).subarray(shift)
        shifted.set(bytes)
        const read = readSafetensors(shifted, 'x')
        expect(Object.entries(read.metadata).sort()).toEqual(Object.entries(metadata).sort())
        expect([...read.tensors.keys()].sort()).toEqual([...tensors.keys()].sort())
        for (const [name, tensor] of tensors) {
          const back = read.tensors.get(name)!
          expect([back.dtype, back.shape, back.data.constructor]).toEqual([
            tensor.dtype,
            tensor.shape,
            tensor.data.constructor,
          ])
          expect(rawBytes(back)).toEqual(rawBytes(tensor))
          if (shift === 0) expect(back.data.length === 0 || back.data.buffer === shifted.buffer).toBe(true)
        }
        expect(writeSafetensors(read.tensors, read.metadata)).toEqual(bytes)
      }),
      { numRuns: 300 },
    )
  })

  it('writes the same in pieces, one tensor at a time', async () => {
    const tensors = new Map<string, SafetensorsTensor>([
      ['b', { dtype: 'U8', shape: [3], data: Uint8Array.of(9, 8, 7) }],
      ['a', { dtype: 'F32', shape: [2, 1], data: Float32Array.of(1, -2) }],
    ])
    const asked: string[] = []
    const later = new Map(
      [...tensors].map(([name, { dtype, shape, data }]) => {
        const read = async () => {
          asked.push(name)
          return data
        }
        return [name, { dtype, shape, read }]
      }),
    )
    const bytes: number[] = []
    const seen: string[][] = []
    for await (const piece of safetensorsPieces(later, { k: 'v' })) {
      bytes.push(...piece)
      seen.push([...asked])
    }
    expect(Uint8Array.from(bytes)).toEqual(writeSafetensors(tensors, { k: 'v' }))
    expect(seen).toEqual([[], ['a'], ['a', 'b']])
    const wrong = new Map([['a', { dtype: 'F32' as const, shape: [3], read: async () => Float32Array.of(1) }]])
    await expect(async () => {
      for await (const _piece of safetensorsPieces(wrong));
    }).rejects.toThrow("writeSafetensors: tensor 'a': the data do not fill the shape")
  })

  it('takes a Buffer that lies askew in its memory', () => {
    const tensors = new Map<string, SafetensorsTensor>([
      ['a', { dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) }],
    ])
    const whole = Buffer.concat([Buffer.from([0]), writeSafetensors(tensors)])
    expect(readSafetensors(whole.subarray(1), 'x').tensors).toEqual(tensors)
  })

  it('never fails with anything but a FormatError, whatever happened to the bytes', () => {
    const edit = fc.record({
      at: fc.nat(),
      byte: fc.integer({ min: 0, max: 255 }),
      kind: fc.constantFrom('set', 'insert', 'remove', 'cut'),
    })
    const edits = fc.array(edit, { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(anyFile, edits, ({ tensors, metadata }, list) => {
        let bytes = [...writeSafetensors(tensors, metadata)]
        for (const { at, byte, kind } of list) {
          const i = at % Math.max(1, bytes.length)
          if (kind === 'set') bytes[i] = byte
          else if (kind === 'insert') bytes.splice(i, 0, byte)
          else if (kind === 'remove') bytes.splice(i, 1)
          else bytes = bytes.slice(0, i)
        }
        try {
          readSafetensors(Uint8Array.from(bytes), 'x')
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError)
          expect((error as Error).message).toMatch(/^x: .* \(at byte offset \d+\)\./)
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('never fails with anything but a FormatError, whatever JSON the header is', () => {
    const value = fc.oneof(fc.jsonValue(), fc.constantFrom('F32', 'U8', [2, 2], [0, 16], -1, 1.5, 1e300))
    const tensor = fc.record({ dtype: value, shape: value, data_offsets: value }, { requiredKeys: [] })
    const header = fc.oneof(
      fc.jsonValue(),
      fc.dictionary(fc.oneof(fc.string(), fc.constant('__metadata__')), fc.oneof(tensor, value)),
    )
    fc.assert(
      fc.property(header, (json) => {
        try {
          readSafetensors(file(json, new Uint8Array(16)), 'x')
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError)
        }
      }),
      { numRuns: 1000 },
    )
  })
})

describe('readSafetensors refuses', () => {
  it('a header that does not fit, is absurd, or is not there', () => {
    expect(messageOf(Uint8Array.of(1, 2, 3))).toBe(
      `w.safetensors: the file ends inside the header length (at byte offset 0).
  got       3 of 8 bytes
  expected  at least 8 bytes in all, found 3
  fix       the file is cut short or not of this format: get it again`,
    )
    expect(messageOf(file('{}').fill(9, 0, 1))).toBe(
      `w.safetensors: the header length is greater than the file (at byte offset 0).
  got       9 bytes of header, 10 bytes in all
  expected  at most 2
  fix       check that this is a safetensors file, and complete`,
    )
    expect(messageOf(file('{}').fill(9, 0, 4))).toContain('the header length is absurd (at byte offset 0)')
    expect(messageOf(file('{}').fill(255, 0, 8))).toContain('the header length is absurdly large (at byte offset 0)')
  })

  it('a header that is not JSON', () => {
    expect(messageOf(file(' {}'))).toContain(
      'the header is not a JSON object (at byte offset 8).\n  got       " {}"\n  expected  \'{\' first',
    )
    expect(messageOf(file('{"é":1,}'))).toMatch(/^w\.safetensors: the header is not JSON \(at byte offset 16\)\./)
    expect(messageOf(file('[]'))).toContain('the header is not a JSON object (at byte offset 8)')
    expect(messageOf(file('{'))).toContain('the header is not JSON')
    expect(messageOf(Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff))).toContain(
      'the header is not UTF-8 (at byte offset 8)',
    )
  })

  it('a long name with many fields, without holding the name for each', () => {
    const name = 'n'.repeat(1 << 20)
    const fields = Array.from({ length: 20_000 }, (_, i) => `"k${i}":0`)
    expect(messageOf(file(`{"${name}":{${fields.join(',')}}}`))).toContain('has an unknown field "k0"')
  })

  it('names that come twice', () => {
    const a = JSON.stringify(f32([1], 0, 4))
    expect(messageOf(file(`{"a":${a},"\\u0061" :${a}}`, new Uint8Array(4)))).toBe(
      `w.safetensors: the header names "a" twice (at byte offset ${8 + '{"a":,'.length + a.length}).
  expected  each key once
  fix       write the file again with a program that keeps to the format`,
    )
    expect(messageOf(file('{"a":{"dtype":"F32","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', [1]))).toContain(
      'names "dtype" twice',
    )
    expect(messageOf(file('{"__metadata__":{"k":"1","k":"2"}}'))).toContain('names "k" twice')
  })

  it('tensors that overlap, leave holes, or do not match their bytes', () => {
    expect(messageOf(file({ a: f32([2], 0, 8), b: f32([2], 4, 12) }, new Uint8Array(12)))).toBe(
      `w.safetensors: tensor 'b' overlaps another (at byte offset 93).
  got       data_offsets [4, 12]
  expected  a begin of 8, where the tensors before it end
  fix       write the file again with a program that keeps to the format`,
    )
    expect(messageOf(file({ a: f32([1], 4, 8) }, new Uint8Array(8)))).toContain("tensor 'a' leaves a hole before it")
    expect(messageOf(file({ a: f32([2], 0, 8) }, new Uint8Array(6)))).toContain(
      `tensor 'a' reaches beyond the end of the file (at byte offset 40).
  got       data_offsets [0, 8], 6 bytes of data
  expected  at least 70 bytes in all, found 68
  fix       the file is cut short: get it again`,
    )
    expect(messageOf(file({ a: f32([1], 0, 4) }, new Uint8Array(6)))).toContain(
      'data follows that belongs to no tensor (at byte offset 66).\n  got       2 bytes too many\n  expected  66 bytes in all',
    )
    expect(messageOf(file({ a: f32([3], 0, 8) }, new Uint8Array(8)))).toContain(
      `tensor 'a' has data of the wrong size (at byte offset 40).
  got       data_offsets [0, 8], 8 bytes
  expected  12 bytes for F32 [3]`,
    )
  })

  it('descriptions it does not understand', () => {
    const a = (fields: object) => messageOf(file({ a: { ...f32([1], 0, 4), ...fields } }, new Uint8Array(4)))
    expect(a({ dtype: 'F4' })).toContain(
      'tensor \'a\' has an unknown dtype (at byte offset 14).\n  got       "F4"\n  expected  F64, I64',
    )
    expect(a({ dtype: 'toString' })).toContain('unknown dtype')
    expect(a({ shape: [-1] })).toContain("tensor 'a' has an impossible shape (at byte offset 28).\n  got       [-1]")
    expect(a({ shape: [1.5] })).toContain('impossible shape')
    expect(a({ shape: null })).toContain('impossible shape')
    expect(a({ shape: [2 ** 40, 2 ** 40] })).toContain('has data of the wrong size')
    expect(a({ data_offsets: [4, 0] })).toContain('impossible data_offsets')
    expect(a({ data_offsets: [0, 2, 4] })).toContain('impossible data_offsets')
    expect(a({ layout: 'x' })).toContain('unknown field "layout"')
    expect(messageOf(file({ a: 3 }))).toContain("tensor 'a' is not described by a JSON object (at byte offset 9)")
    expect(messageOf(file({ __metadata__: 3 }))).toContain('the metadata are not a JSON object')
    expect(messageOf(file({ __metadata__: { n: 3 } }))).toContain('metadata "n" is not a text (at byte offset 25)')
    const bool = file({ a: { dtype: 'BOOL', shape: [3], data_offsets: [0, 3] } }, [0, 1, 2])
    expect(messageOf(bool)).toContain(`a BOOL that is neither 0 nor 1 (at byte offset ${bool.length - 1})`)
  })
})

describe('writeSafetensors refuses', () => {
  const write = (name: string, tensor: SafetensorsTensor) => () => writeSafetensors(new Map([[name, tensor]]))

  it('what could not be read back', () => {
    const data = Float32Array.of(1, 2)
    expect(write('__metadata__', { dtype: 'F32', shape: [2], data })).toThrow(ConfigError)
    expect(write('a', { dtype: 'I32', shape: [2], data })).toThrow(
      new DTypeError({
        where: "writeSafetensors: tensor 'a'",
        what: 'the array does not hold the dtype',
        got: 'Float32Array for I32',
        expected: 'Int32Array',
      }),
    )
    expect(write('a', { dtype: 'F32', shape: [3], data })).toThrow(
      new ShapeError({
        where: "writeSafetensors: tensor 'a'",
        what: 'the data do not fill the shape',
        got: '2 elements for [3]',
        expected: '3 elements',
      }),
    )
  })
})

describe('toFloat32', () => {
  const convert = (dtype: SafetensorsDType, data: SafetensorsTensor['data']) => [
    ...toFloat32({ dtype, shape: [data.length], data }),
  ]

  it('knows the small floats', () => {
    const half = [0x0000, 0x8000, 0x3c00, 0xc000, 0x7bff, 0x0001, 0x0400, 0x7c00, 0xfc00, 0x7e00, 0x3555]
    expect(convert('F16', Uint16Array.from(half))).toEqual([
      0,
      -0,
      1,
      -2,
      65504,
      2 ** -24,
      2 ** -14,
      Infinity,
      -Infinity,
      NaN,
      Math.fround(0.333251953125),
    ])
    expect(convert('BF16', Uint16Array.of(0x3f80, 0xc049, 0x7f80, 0x8000))).toEqual([1, -3.140625, Infinity, -0])
    expect(convert('F8_E4M3', Uint8Array.of(0x38, 0x7e, 0x7f, 0x01, 0xb8))).toEqual([1, 448, NaN, 2 ** -9, -1])
    expect(convert('F8_E5M2', Uint8Array.of(0x3c, 0x7b, 0x7c, 0xfc, 0x7f, 0x01))).toEqual([
      1,
      57344,
      Infinity,
      -Infinity,
      NaN,
      2 ** -16,
    ])
  })

  it('packs F16 so that every pattern comes back, and what lies between is rounded to even', () => {
    const patterns = Uint16Array.from({ length: 65536 }, (_, i) => i)
    const values = toFloat32({ dtype: 'F16', shape: [65536], data: patterns })
    const back = packFloat16(values)
    const wrong = patterns.filter((pattern, i) => back[i] !== pattern && !Number.isNaN(values[i]))
    expect([...wrong]).toEqual([])
    const step = 2 ** -10
    expect([
      ...packFloat16([
        1 + step / 2,
        1 + 1.5 * step,
        1 + 0.51 * step,
        65519,
        65520,
        -1e9,
        2 ** -25,
        1.5 * 2 ** -24,
        NaN,
      ]),
    ]).toEqual([0x3c00, 0x3c02, 0x3c01, 0x7bff, 0x7c00, 0xfc00, 0, 2, 0x7e00])
  })

  it('rounds what is wider and copies what is not', () => {
    expect(convert('F64', Float64Array.of(0.1, 2))).toEqual([Math.fround(0.1), 2])
    expect(convert('I64', BigInt64Array.of(-3n, 2n ** 53n + 1n))).toEqual([-3, 2 ** 53])
    expect(convert('BOOL', Uint8Array.of(0, 1))).toEqual([0, 1])
    const data = Float32Array.of(1)
    expect(toFloat32({ dtype: 'F32', shape: [1], data })).not.toBe(data)
  })
})
