/** Hostile files: good ones with something wrong, and the check that a reader lives through them. */
import { environment, now, residentBytes } from '#platform'
import { FormatError, UnsupportedError } from '../base/errors.ts'
import { Random } from '../base/random.ts'

/** Time that a test of hostile files needs, for `it`: long when JUANJI_FUZZ asks for many. */
export const hostileTimeoutMs = environment('JUANJI_FUZZ') === undefined ? 60_000 : 7_200_000

type Change = (bytes: Uint8Array, random: Random) => Uint8Array

/** Lengths and offsets that break arithmetic of 32 bits, of 53 bits, and of signs. */
const evilNumbers = [
  0n,
  1n,
  0x7fn,
  0xffn,
  0x7fffn,
  0xffffn,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_fffen,
  0xffff_ffffn,
  0x1_0000_0000n,
  2n ** 40n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
]
const evilTexts = ['-1', '0', '1e400', '4294967296', '9007199254740993', 'null', '[]', '{}', '""', '../../x', '%2e%2e/']

const at = (bytes: Uint8Array, random: Random) => random.integer(Math.max(1, bytes.length))

function splice(bytes: Uint8Array, start: number, removed: number, inserted: Uint8Array): Uint8Array {
  const behind = bytes.subarray(Math.min(bytes.length, start + removed))
  const result = new Uint8Array(start + inserted.length + behind.length)
  result.set(bytes.subarray(0, start))
  result.set(inserted, start)
  result.set(behind, start + inserted.length)
  return result
}

/** A length from 1 to a sixteenth of the file or 64, short ones more often. */
const someLength = (bytes: Uint8Array, random: Random) =>
  1 + random.integer(1 + random.integer(Math.max(64, bytes.length >> 4)))

const changes: readonly Change[] = [
  function flipBit(bytes, random) {
    if (bytes.length > 0) bytes[at(bytes, random)] ^= 1 << random.integer(8)
    return bytes
  },
  function setByte(bytes, random) {
    if (bytes.length > 0) bytes[at(bytes, random)] = random.integer(256)
    return bytes
  },
  (bytes, random) => bytes.subarray(0, at(bytes, random)),
  (bytes, random) => splice(bytes, at(bytes, random), someLength(bytes, random), new Uint8Array(0)),
  function insert(bytes, random) {
    const inserted = Uint8Array.from({ length: 1 + random.integer(16) }, () => random.integer(256))
    return splice(bytes, at(bytes, random), 0, inserted)
  },
  function repeat(bytes, random) {
    const start = at(bytes, random)
    return splice(bytes, at(bytes, random), 0, bytes.slice(start, start + someLength(bytes, random)))
  },
  function swapBlocks(bytes, random) {
    const length = someLength(bytes, random)
    const [a, b] = [at(bytes, random), at(bytes, random)]
    const [first, second] = [bytes.slice(a, a + length), bytes.slice(b, b + length)]
    bytes.set(second.subarray(0, bytes.length - a), a)
    bytes.set(first.subarray(0, bytes.length - b), b)
    return bytes
  },
  function fill(bytes, random) {
    const start = at(bytes, random)
    return bytes.fill(random.integer(2) * 255, start, start + someLength(bytes, random))
  },
  function evilNumber(bytes, random) {
    const width = [1, 2, 4, 8][random.integer(4)]
    const start = at(bytes, random)
    if (start + width > bytes.length) return bytes
    const value = evilNumbers[random.integer(evilNumbers.length)]
    const littleEndian = random.integer(4) > 0
    for (let i = 0; i < width; i++) {
      const shift = BigInt(8 * (littleEndian ? i : width - 1 - i))
      bytes[start + i] = Number((value >> shift) & 255n)
    }
    return bytes
  },
  /** A number that is written as text, in JSON or in names, becomes another one. */
  function evilText(bytes, random) {
    const start = at(bytes, random)
    const isDigit = (i: number) => bytes[i] >= 0x30 && bytes[i] <= 0x39
    let from = start
    while (from < bytes.length && from < start + 256 && !isDigit(from)) from++
    if (from >= bytes.length || !isDigit(from)) return bytes
    let end = from
    while (isDigit(end)) end++
    const text = evilTexts[random.integer(evilTexts.length)]
    return splice(bytes, from, end - from, new TextEncoder().encode(text))
  },
]

/**
 * Copies of a file with one to four things wrong: flipped bits, cuts, insertions, repeated and swapped blocks, absurd
 * lengths in binary and in text. Equal seeds give equal copies.
 */
export function* mutations(bytes: Uint8Array, count: number, seed = 0): Generator<Uint8Array> {
  for (let i = 0; i < count; i++) {
    const random = new Random(seed, i)
    let changed: Uint8Array = Uint8Array.from(bytes)
    for (let left = 1 + random.integer(4) * random.integer(2); left > 0; left--) {
      changed = changes[random.integer(changes.length)](changed, random)
    }
    yield changed.slice()
  }
}

export interface HostileOptions {
  /** Inputs in all; default 3,000, and what JUANJI_FUZZ says goes before both. */
  readonly count?: number
  /** Default 1. */
  readonly seed?: number
  /** What every message has to begin with; default `'hostile'`: pass it to the reader as the path. */
  readonly path?: string
  /** Whether a FormatError has to tell a byte offset; default true. */
  readonly offset?: boolean
}

/** What came of hostile files, to be looked at by people. */
export interface HostileReport {
  readonly inputs: number
  /** Inputs that were read in spite of what was wrong with them: a changed value is no error. */
  readonly read: number
  readonly slowestMs: number
  /** By how much resident memory grew at most, in bytes; undefined where nothing tells. */
  readonly grownBytes: number | undefined
}

/**
 * Gives a reader mutated copies of good files.
 * @param read reads one file, and everything in it; may return a promise
 * @param files small good ones (they have to be read without an error)
 * @throws Error when anything else than a FormatError or an UnsupportedError with the path comes out; it tells how to
 * make the input again
 * @example
 * await expectHostileSafe((bytes) => readSafetensors(bytes, 'hostile'), [good])
 */
export async function expectHostileSafe(
  read: (bytes: Uint8Array) => unknown,
  files: readonly Uint8Array[],
  options: HostileOptions = {},
): Promise<HostileReport> {
  const { seed = 1, path = 'hostile', offset = true } = options
  const asked = environment('JUANJI_FUZZ')
  const count = asked === undefined ? (options.count ?? 3000) : Number(asked)
  for (const file of files) await read(Uint8Array.from(file))
  const before = residentBytes()
  let most = before
  let passed = 0
  let slowestMs = 0
  let inputs = 0
  for (let i = 0; i < files.length; i++) {
    const share = Math.ceil(count / files.length)
    let number = 0
    for (const bytes of mutations(files[i], share, seed + i)) {
      const start = now()
      try {
        await read(bytes)
        passed++
      } catch (error) {
        const complaint = complain(error, path, offset)
        if (complaint !== undefined) {
          throw new Error(`mutation ${number} of file ${i}, seed ${seed + i}: ${complaint}`, { cause: error })
        }
      }
      slowestMs = Math.max(slowestMs, now() - start)
      if (++inputs % 64 === 0) most = Math.max(most ?? 0, residentBytes() ?? 0)
      number++
    }
  }
  const grownBytes = before === undefined || most === undefined ? undefined : most - before
  const report = { inputs, read: passed, slowestMs, grownBytes }
  if (asked !== undefined) {
    const grown = grownBytes === undefined ? '' : `, memory grew by ${(grownBytes / 2 ** 20).toFixed(0)} MiB`
    console.log(`${inputs} hostile files, ${passed} read, slowest ${slowestMs.toFixed(1)} ms${grown}`)
  }
  return report
}

/** What is wrong with an error; undefined when nothing is. */
function complain(error: unknown, path: string, offset: boolean): string | undefined {
  if (!(error instanceof FormatError || error instanceof UnsupportedError)) {
    return `no FormatError but ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`
  }
  if (!error.message.startsWith(path)) return `the message does not begin with the path: ${error.message}`
  if (offset && error instanceof FormatError && !/byte offset \d+/.test(error.message)) {
    return `the message tells no byte offset: ${error.message}`
  }
  return undefined
}
