/** What printed kernels call: the operations of the loop language that are not one JavaScript operator. */
import { fromBfloat16, toBfloat16 } from '../../base/bfloat16.ts'
import { erf } from './erf.ts'

const float = new Float32Array(1)
const bits = new Int32Array(float.buffer)

/** b < a ? b : a: a NaN in `a` stays. */
function min(a: number, b: number): number {
  if (b < a) return b
  return a
}

/** a < b ? b : a: a NaN in `a` stays. */
function max(a: number, b: number): number {
  if (a < b) return b
  return a
}

/** To the nearest integer, ties to even. */
function round(x: number): number {
  if (Math.abs(x) >= 2 ** 52) return x
  const low = Math.floor(x)
  const rest = x - low
  const up = rest > 0.5 || (rest === 0.5 && low % 2 !== 0)
  const result = up ? low + 1 : low
  return result === 0 && (x < 0 || Object.is(x, -0)) ? -0 : result
}

/** f32 → i32: towards zero, saturating, NaN → 0. */
function toInt(x: number): number {
  if (x >= 2147483647) return 2147483647
  if (x <= -2147483648) return -2147483648
  return x | 0
}

function bitsOf(x: number): number {
  float[0] = x
  return bits[0]
}

function floatOf(x: number): number {
  bits[0] = x
  return float[0]
}

/** Both sides are computed, as on every machine: a load in the side not taken must be a legal one too. */
function select<T>(condition: boolean, a: T, b: T): T {
  return condition ? a : b
}

/** Two products of the bf16 in the halves of a and b, exact in double precision, the upper one first. */
function dot2(a: number, b: number, c: number): number {
  return c + fromBfloat16(a >>> 16) * fromBfloat16(b >>> 16) + fromBfloat16(a) * fromBfloat16(b)
}

/** Rounded to single precision after each addition. */
function dot2Single(a: number, b: number, c: number): number {
  const sum = Math.fround(c + fromBfloat16(a >>> 16) * fromBfloat16(b >>> 16))
  return Math.fround(sum + fromBfloat16(a) * fromBfloat16(b))
}

export interface Runtime {
  readonly min: typeof min
  readonly max: typeof max
  readonly round: typeof round
  readonly toInt: typeof toInt
  readonly bitsOf: typeof bitsOf
  readonly floatOf: typeof floatOf
  readonly select: typeof select
  readonly erf: typeof erf
  readonly dot2: typeof dot2
  readonly dot2Single: typeof dot2Single
  readonly fromBfloat16: typeof fromBfloat16
  readonly toBfloat16: typeof toBfloat16
  /** The index, when it lies inside the buffer. */
  readonly at: (name: string, buffer: ArrayLike<number>, index: number) => number
  readonly quotient: (a: number, b: number) => number
  readonly remainder: (a: number, b: number) => number
  /** The count of a loop that is promised to run at least once. */
  readonly promised: (count: number) => number
}

/** The runtime of one kernel, whose name its complaints carry. */
export function runtimeOf(kernel: string): Runtime {
  const fail = (what: string): never => {
    throw new Error(`kernel ${kernel}: ${what}`)
  }
  return {
    min,
    max,
    round,
    toInt,
    bitsOf,
    floatOf,
    select,
    erf,
    dot2,
    dot2Single,
    fromBfloat16,
    toBfloat16,
    at: (name, buffer, index) => {
      if (!(index >= 0 && index < buffer.length)) {
        fail(
          `index ${index} is outside buffer ${name}, which has ${buffer.length} elements up to the end of its region`,
        )
      }
      return index
    },
    quotient: (a, b) => {
      if (b === 0 || (b === -1 && a === -2147483648)) fail(`${a} / ${b} has no i32 result`)
      return (a / b) | 0
    },
    remainder: (a, b) => {
      if (b === 0) fail(`${a} rem 0 has no result`)
      return (a % b) | 0
    },
    promised: (count) => (count > 0 ? count : fail(`a loop promised to run at least once has count ${count}`)),
  }
}
