import { describe, expect, it } from 'vitest'
import { fromBfloat16, packBfloat16, roundToBfloat16, toBfloat16, unpackBfloat16 } from './bfloat16.ts'

/** The value of a pattern, from the meaning of its bits. */
function meaningOf(pattern: number): number {
  const sign = pattern >> 15 === 0 ? 1 : -1
  const exponent = (pattern >> 7) & 0xff
  const fraction = pattern & 0x7f
  if (exponent === 0xff) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return exponent === 0 ? sign * fraction * 2 ** -133 : sign * (128 + fraction) * 2 ** (exponent - 134)
}

describe('bfloat16', () => {
  it('gives every pattern the value of its bits and back', () => {
    for (let pattern = 0; pattern < 65536; pattern++) {
      const value = fromBfloat16(pattern)
      if (!Object.is(value, meaningOf(pattern)))
        throw new Error(`pattern ${pattern}: ${value}, not ${meaningOf(pattern)}`)
      const back = toBfloat16(value)
      if (Number.isNaN(value)) expect(Number.isNaN(fromBfloat16(back))).toBe(true)
      else if (back !== pattern) throw new Error(`pattern ${pattern} came back as ${back}`)
    }
  })

  it('rounds to the nearer neighbour, from the middle to the even one', () => {
    for (let pattern = 0; pattern < 0x7f7f; pattern++) {
      const [low, high] = [meaningOf(pattern), meaningOf(pattern + 1)]
      const middle = (low + high) / 2
      // A sixteenth of the distance is exact in f32 for all but the smallest numbers.
      const step = pattern < 0x80 ? 2 ** -149 : (high - low) / 16
      const even = pattern % 2 === 0 ? pattern : pattern + 1
      for (const sign of [1, -1]) {
        const bit = sign === 1 ? 0 : 0x8000
        if (toBfloat16(sign * middle) !== (even | bit)) throw new Error(`the middle above ${pattern}`)
        if (toBfloat16(sign * (middle - step)) !== (pattern | bit)) throw new Error(`below the middle above ${pattern}`)
        if (toBfloat16(sign * (middle + step)) !== ((pattern + 1) | bit))
          throw new Error(`above the middle, ${pattern}`)
      }
    }
  })

  it('becomes infinite from halfway beyond the largest number on', () => {
    const largest = meaningOf(0x7f7f)
    const half = 2 ** 119
    expect(roundToBfloat16(largest + half - 2 ** 104)).toBe(largest)
    expect(roundToBfloat16(largest + half)).toBe(Number.POSITIVE_INFINITY)
    expect(roundToBfloat16(-largest - half)).toBe(Number.NEGATIVE_INFINITY)
  })

  it('keeps every NaN a NaN, also those whose upper half alone would be infinite', () => {
    const words = new Uint32Array([0x7f800001, 0x7fffffff, 0xffffffff, 0xff800001, 0x7fc00000])
    for (const pattern of packBfloat16(new Float32Array(words.buffer))) expect(meaningOf(pattern)).toBeNaN()
  })

  it('packs and unpacks arrays', () => {
    const values = [0, -0, 1, -1.5, 3.140625, Number.POSITIVE_INFINITY]
    expect([...unpackBfloat16(packBfloat16(values))]).toEqual(values)
    expect([...unpackBfloat16(packBfloat16([1.00390625, 1.01171875, Math.PI]))]).toEqual([1, 1.015625, 3.140625])
  })
})
