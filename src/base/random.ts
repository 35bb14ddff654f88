/**
 * Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): a counter-based
 * generator made of additions, rotations and xor, so that every machine draws the same numbers from the same key.
 */
const parity = 0x1bd11bda

/** What the last encryption gave: two numbers need no tuple, of which millions would be made. */
let firstWord = 0
let secondWord = 0

/** Encrypts the counter (c0, c1) under the key (k0, k1) into `firstWord` and `secondWord`. Written out: it is what initial weights wait for. */
function encrypt(k0: number, k1: number, c0: number, c1: number): void {
  const k2 = k0 ^ k1 ^ parity
  let x = (c0 + k0) | 0
  let y = (c1 + k1) | 0
  x = (x + y) | 0
  y = ((y << 13) | (y >>> 19)) ^ x
  x = (x + y) | 0
  y = ((y << 15) | (y >>> 17)) ^ x
  x = (x + y) | 0
  y = ((y << 26) | (y >>> 6)) ^ x
  x = (x + y) | 0
  y = ((y << 6) | (y >>> 26)) ^ x
  x = (x + k1) | 0
  y = (y + k2 + 1) | 0
  x = (x + y) | 0
  y = ((y << 17) | (y >>> 15)) ^ x
  x = (x + y) | 0
  y = ((y << 29) | (y >>> 3)) ^ x
  x = (x + y) | 0
  y = ((y << 16) | (y >>> 16)) ^ x
  x = (x + y) | 0
  y = ((y << 24) | (y >>> 8)) ^ x
  x = (x + k2) | 0
  y = (y + k0 + 2) | 0
  x = (x + y) | 0
  y = ((y << 13) | (y >>> 19)) ^ x
  x = (x + y) | 0
  y = ((y << 15) | (y >>> 17)) ^ x
  x = (x + y) | 0
  y = ((y << 26) | (y >>> 6)) ^ x
  x = (x + y) | 0
  y = ((y << 6) | (y >>> 26)) ^ x
  x = (x + k0) | 0
  y = (y + k1 + 3) | 0
  x = (x + y) | 0
  y = ((y << 17) | (y >>> 15)) ^ x
  x = (x + y) | 0
  y = ((y << 29) | (y >>> 3)) ^ x
  x = (x + y) | 0
  y = ((y << 16) | (y >>> 16)) ^ x
  x = (x + y) | 0
  y = ((y << 24) | (y >>> 8)) ^ x
  x = (x + k1) | 0
  y = (y + k2 + 4) | 0
  x = (x + y) | 0
  y = ((y << 13) | (y >>> 19)) ^ x
  x = (x + y) | 0
  y = ((y << 15) | (y >>> 17)) ^ x
  x = (x + y) | 0
  y = ((y << 26) | (y >>> 6)) ^ x
  x = (x + y) | 0
  y = ((y << 6) | (y >>> 26)) ^ x
  firstWord = (x + k2) | 0
  secondWord = (y + k0 + 5) | 0
}

/** Encrypts the counter (c0, c1) under the key (k0, k1); all are 32-bit words. */
export function threefry2x32(k0: number, k1: number, c0: number, c1: number): [number, number] {
  encrypt(k0 | 0, k1 | 0, c0, c1)
  return [firstWord, secondWord]
}

/** A 32-bit word for a string (FNV-1a): parameter paths and stream names become parts of keys with it. */
export function hashString(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash | 0
}

/** The normal deviate that a 32-bit unsigned integer stands for: that below which as large a share of them lies. */
function normalOf(word: number): number {
  const p = (word + 0.5) / 2 ** 32
  const q = p - 0.5
  if (Math.abs(q) <= 0.425) {
    const r = 0.180625 - q * q
    const above = ((59.10937472 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179
    return (q * above) / (((67.1875636 * r + 78.757757664) * r + 17.895169469) * r + 1)
  }
  const tail = Math.sqrt(-Math.log(q < 0 ? p : 1 - p))
  let x: number
  if (tail <= 5) {
    const r = tail - 1.6
    const above = ((0.17023821103 * r + 1.3067284816) * r + 2.75681539) * r + 1.4234372777
    x = above / ((0.12021132975 * r + 0.7370016425) * r + 1)
  } else {
    const r = tail - 5
    const above = ((0.017337203997 * r + 0.42868294337) * r + 3.081226386) * r + 6.657905115
    x = above / ((0.012258202635 * r + 0.24197894225) * r + 1)
  }
  return q < 0 ? -x : x
}

/** A stream of random numbers on the host: data order, generated data, initial weights. */
export class Random {
  readonly #k0: number
  readonly #k1: number
  #counter = 0
  #spare: number | undefined

  /** @param seed any integer @param stream a name or number: streams of one seed are independent */
  constructor(seed: number, stream: string | number = 0) {
    this.#k0 = seed | 0
    this.#k1 = typeof stream === 'string' ? hashString(stream) : stream | 0
  }

  /** A 32-bit unsigned integer. */
  uint32(): number {
    if (this.#spare !== undefined) {
      const value = this.#spare
      this.#spare = undefined
      return value
    }
    const counter = this.#counter++
    encrypt(this.#k0, this.#k1, counter | 0, Math.floor(counter / 2 ** 32))
    this.#spare = secondWord >>> 0
    return firstWord >>> 0
  }

  /** Uniform in [low, high), 24 random bits: exact in f32. */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * ((this.uint32() >>> 8) / 2 ** 24)
  }

  /** Uniform integer in [0, bound). */
  integer(bound: number): number {
    return Math.floor((this.uint32() / 2 ** 32) * bound)
  }

  /** Normal deviate (Box and Muller 1958). */
  normal(mean = 0, deviation = 1): number {
    const u = 1 - this.uniform()
    const v = this.uniform()
    return mean + deviation * Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v)
  }

  /**
   * Fills an array with normal deviates, one 32-bit number each, several times as fast as `normal`. Other numbers than
   * those: the inverse of the distribution function (Wichura 1988, algorithm AS 241, PPND7: seven digits).
   */
  fillNormal(into: { [index: number]: number; readonly length: number }, mean = 0, deviation = 1): void {
    const { length } = into
    let i = 0
    if (this.#spare !== undefined && length > 0) into[i++] = mean + deviation * normalOf(this.uint32())
    for (; i + 1 < length; i += 2) {
      const counter = this.#counter++
      encrypt(this.#k0, this.#k1, counter | 0, Math.floor(counter / 2 ** 32))
      const second = secondWord
      into[i] = mean + deviation * normalOf(firstWord >>> 0)
      into[i + 1] = mean + deviation * normalOf(second >>> 0)
    }
    if (i < length) into[i] = mean + deviation * normalOf(this.uint32())
  }

  /** Shuffles in place (Fisher and Yates) and returns the same array. */
  shuffle<T extends { [index: number]: number; readonly length: number }>(array: T): T {
    for (let i = array.length - 1; i > 0; i--) {
      const j = this.integer(i + 1)
      const swap = array[i]
      array[i] = array[j]
      array[j] = swap
    }
    return array
  }
}
