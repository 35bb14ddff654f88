/**
 * Values of floats of 8 or 16 bits from their patterns: F16 has 5 exponent and 10 mantissa bits, F8_E5M2 5 and 2,
 * F8_E4M3 4 and 3. E4M3 has no infinity: its highest pattern alone is not a number.
 */
export function fromSmallFloats(
  bits: Uint16Array | Uint8Array,
  exponentBits: number,
  mantissaBits: number,
): Float32Array {
  const highest = 2 ** exponentBits - 1
  const bias = 2 ** (exponentBits - 1) - 1
  const hasInfinity = exponentBits !== 4
  return Float32Array.from(bits, (pattern) => {
    const sign = pattern >> (exponentBits + mantissaBits) ? -1 : 1
    const exponent = (pattern >> mantissaBits) & highest
    const mantissa = pattern & (2 ** mantissaBits - 1)
    if (exponent === highest && hasInfinity) return mantissa === 0 ? sign * Infinity : Number.NaN
    if (exponent === highest && mantissa === 2 ** mantissaBits - 1) return Number.NaN
    if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits)
    return sign * (1 + mantissa / 2 ** mantissaBits) * 2 ** (exponent - bias)
  })
}
