/**
 * bfloat16: the upper 16 bits of an f32. Rounding is to nearest, ties to even; NaN stays NaN (its highest mantissa bit is
 * set, so that cutting the rest off leaves no infinity); what is beyond the largest bf16 becomes infinite.
 */

const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)

/** The pattern of the bf16 nearest to `value`, which is rounded to f32 first. */
export function toBfloat16(value: number): number {
  float[0] = value
  const pattern = bits[0]
  if (Number.isNaN(value)) return (pattern >>> 16) | 0x40
  return ((pattern + 0x7fff + ((pattern >>> 16) & 1)) >>> 16) & 0xffff
}

/** The value of a pattern. */
export function fromBfloat16(pattern: number): number {
  bits[0] = pattern << 16
  return float[0]
}

/** `value` rounded to a bf16. */
export function roundToBfloat16(value: number): number {
  return fromBfloat16(toBfloat16(value))
}

/** Patterns of the bf16 nearest to the values. */
export function packBfloat16(values: ArrayLike<number>): Uint16Array<ArrayBuffer> {
  const patterns = new Uint16Array(values.length)
  for (let i = 0; i < values.length; i++) patterns[i] = toBfloat16(values[i])
  return patterns
}

/** Values of the patterns. */
export function unpackBfloat16(patterns: Uint16Array): Float32Array<ArrayBuffer> {
  const values = new Float32Array(patterns.length)
  const words = new Uint32Array(values.buffer)
  for (let i = 0; i < patterns.length; i++) words[i] = patterns[i] << 16
  return values
}
