/** Values by pattern, made when a format is first met: looking one up takes a tenth of computing it. */
const tables = new Map<string, Float32Array>()

/**
 * Values of floats of 8 or 16 bits from their patterns: F16 has 5 exponent and 10 mantissa bits, F8_E5M2 5 and 2,
 * F8_E4M3 4 and 3. E4M3 has no infinity: its highest pattern alone is not a number.
 */
export function fromSmallFloats(
  bits: Uint16Array | Uint8Array,
  exponentBits: number,
  mantissaBits: number,
): Float32Array<ArrayBuffer> {
  const key = `${exponentBits} ${mantissaBits}`
  let table = tables.get(key)
  if (table === undefined) {
    table = makeTable(exponentBits, mantissaBits)
    tables.set(key, table)
  }
  const values = new Float32Array(bits.length)
  for (let i = 0; i < bits.length; i++) values[i] = table[bits[i]]
  return values
}

function makeTable(exponentBits: number, mantissaBits: number): Float32Array {
  const highest = 2 ** exponentBits - 1
  const bias = 2 ** (exponentBits - 1) - 1
  const hasInfinity = exponentBits !== 4
  return Float32Array.from({ length: 2 ** (1 + exponentBits + mantissaBits) }, (_, pattern) => {
    const sign = pattern >> (exponentBits + mantissaBits) ? -1 : 1
    const exponent = (pattern >> mantissaBits) & highest
    const mantissa = pattern & (2 ** mantissaBits - 1)
    if (exponent === highest && hasInfinity) return mantissa === 0 ? sign * Infinity : Number.NaN
    if (exponent === highest && mantissa === 2 ** mantissaBits - 1) return Number.NaN
    if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits)
    return sign * (1 + mantissa / 2 ** mantissaBits) * 2 ** (exponent - bias)
  })
}

const float = new Float32Array(1)
const pattern = new Uint32Array(float.buffer)

/** Patterns of the F16 nearest to the values, ties to even; what is beyond 65,504 becomes infinite. */
export function packFloat16(values: ArrayLike<number>): Uint16Array<ArrayBuffer> {
  const packed = new Uint16Array(values.length)
  for (let i = 0; i < values.length; i++) {
    float[0] = values[i]
    const bits = pattern[0]
    const sign = (bits >>> 16) & 0x8000
    const magnitude = bits & 0x7fff_ffff
    if (magnitude > 0x7f80_0000) packed[i] = sign | 0x7e00
    else if (magnitude >= 0x477f_f000) packed[i] = sign | 0x7c00
    else if (magnitude < 0x3880_0000) {
      // Below the smallest normal F16 values are multiples of 2^-24: adding 2^-1 in f32 rounds to just these.
      float[0] = Math.abs(values[i]) + 0.5
      packed[i] = sign | (pattern[0] - 0x3f00_0000)
    } else packed[i] = sign | ((magnitude - 0x3800_0000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13)
  }
  return packed
}
