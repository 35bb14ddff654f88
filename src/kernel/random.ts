/** The generator of base/random.ts in the loop language: the same bits on every machine. */
import type { KernelBuilder } from './build.ts'
import { add, convert, mul, or, shl, shru, splat, xor } from './expression.ts'
import type { Expr } from './language.ts'

const rotations = [13, 15, 26, 6, 17, 29, 16, 24] as const
const parity = 0x1bd11bda

/**
 * Threefry-2x32 with 20 rounds: encrypts the counter under the key. All four are i32; the scalars among them are
 * widened to the lanes of the others.
 */
export function threefry(k: KernelBuilder, key0: Expr, key1: Expr, counter0: Expr, counter1: Expr): [Expr, Expr] {
  const lanes = Math.max(...[key0, key1, counter0, counter1].map((e) => e.type.lanes))
  const wide = (e: Expr, name: string): Expr => k.let(splat(e, lanes), name)
  // Scalar keys are mixed before they are widened.
  const keys = [wide(key0, 'key'), wide(key1, 'key'), wide(mixed(k, key0, key1), 'key')]
  let x = k.let(add(wide(counter0, 'counter'), keys[0]))
  let y = k.let(add(wide(counter1, 'counter'), keys[1]))
  for (let group = 0; group < 5; group++) {
    for (let i = 0; i < 4; i++) {
      const r = rotations[(group % 2) * 4 + i]
      x = k.let(add(x, y))
      y = k.let(xor(or(shl(y, r), shru(y, 32 - r)), x))
    }
    x = k.let(add(x, keys[(group + 1) % 3]))
    y = k.let(add(add(y, keys[(group + 2) % 3]), group + 1))
  }
  return [x, y]
}

function mixed(k: KernelBuilder, key0: Expr, key1: Expr): Expr {
  const lanes = Math.max(key0.type.lanes, key1.type.lanes)
  return k.let(xor(xor(splat(key0, lanes), splat(key1, lanes)), parity), 'key')
}

/** Uniform in [0, 1) from the upper 24 of 32 random bits: exact in f32. */
export function uniform(bits: Expr): Expr {
  return mul(convert(shru(bits, 8), 'f32'), 2 ** -24)
}
