/** bf16 in registers: as f32 values without more bits than a bf16 has, and as the halves of an i32. */
import type { KernelBuilder } from './build.ts'
import { add, and, bitcast, ne, or, select, shru } from './expression.ts'
import type { Expr } from './language.ts'

const upperHalf = -0x10000

/** Bits of `x` rounded to nearest, ties to even, whose upper half is the bf16; the lower one is garbage. NaN stays NaN. */
function roundedBits(k: KernelBuilder, x: Expr): Expr {
  const bits = k.let(bitcast(x, 'i32'))
  const last = and(shru(bits, 16), 1)
  return select(ne(x, x), or(bits, 0x400000), add(add(bits, 0x7fff), last))
}

/** `x` rounded to a bf16, as a store into bf16 memory would. */
export function roundToBfloat16(k: KernelBuilder, x: Expr): Expr {
  return bitcast(and(roundedBits(k, x), upperHalf), 'f32')
}

/** An i32 of two bf16: `low` rounded in its lower half, `high` in its upper one. */
export function bfloat16Pair(k: KernelBuilder, low: Expr, high: Expr): Expr {
  return or(shru(roundedBits(k, low), 16), and(roundedBits(k, high), upperHalf))
}

/** The same of values that are bf16 already. */
export function exactPair(low: Expr, high: Expr): Expr {
  return or(shru(bitcast(low, 'i32'), 16), bitcast(high, 'i32'))
}
