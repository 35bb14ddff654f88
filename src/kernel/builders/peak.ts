/**
 * A kernel that does nothing but multiply and add: the register tile of a contraction over operands that stay in the
 * first-level cache. Its rate is the roof that convolutions and products are held against.
 */
import { KernelBuilder, type KernelSpec } from '../build.ts'
import { fma, splat } from '../expression.ts'
import type { Pointer } from '../language.ts'
import type { Target } from '../target.ts'

/** Rows and vectors of the tile that a target's registers hold. */
export function peakTile(target: Target): { readonly rows: number; readonly vectors: number } {
  const vectors = 2
  // Besides the accumulators: a row of the right side, one broadcast value, and the product where it is not fused.
  const others = vectors + 1 + (target.fma ? 0 : 1)
  return { rows: Math.max(1, 2 * Math.floor((target.registers - others) / vectors / 2)), vectors }
}

export const peakDepth = 128

/** Elements of left side, right side and result that one task touches. */
export function peakSizes(target: Target): { readonly left: number; readonly right: number; readonly result: number } {
  const { rows, vectors } = peakTile(target)
  return { left: rows * peakDepth, right: vectors * target.lanes * peakDepth, result: rows * vectors * target.lanes }
}

/** One task runs the tile `repeats` times (a run-time parameter), `peakFlops` operations each. */
export function peakFlops(target: Target): number {
  const { rows, vectors } = peakTile(target)
  return 2 * rows * vectors * target.lanes * peakDepth
}

export const peakSpec: KernelSpec = {
  key: 'peak',
  build(target) {
    const k = new KernelBuilder(target)
    const { rows, vectors } = peakTile(target)
    const lanes = target.lanes
    const left = k.buffer('left', 'f32', 'input')
    const right = k.buffer('right', 'f32', 'input')
    const result = k.buffer('result', 'f32', 'output')
    const repeats = k.int('repeats')
    const load = (pointer: Pointer, offset: number) =>
      lanes === 1 ? k.load(pointer, offset) : k.loadVector(pointer, offset)
    const tile = k.function('tile', [{ pointer: left }, { pointer: right }, { pointer: result }], (a, b, y) => {
      const sums = Array.from({ length: rows * vectors }, (_, i) => k.variable(load(y, i * lanes), 'sum'))
      k.repeat(
        peakDepth,
        () => {
          const columns = Array.from({ length: vectors }, (_, j) => k.let(load(b, j * lanes)))
          for (let i = 0; i < rows; i++) {
            const value = k.let(splat(k.load(a, i), lanes))
            for (let j = 0; j < vectors; j++) {
              const sum = sums[i * vectors + j]
              k.set(sum, fma(value, columns[j], sum.value))
            }
          }
          k.advance(a, rows)
          k.advance(b, vectors * lanes)
        },
        { atLeastOnce: true },
      )
      for (const [i, sum] of sums.entries()) k.store(y, sum.value, i * lanes)
    })
    const sizes = peakSizes(target)
    k.task((task) => {
      const y = k.point(result, {
        op: 'binary',
        type: task.type,
        name: 'mul',
        a: task,
        b: { op: 'const', type: task.type, value: sizes.result },
      })
      k.repeat(repeats, () => k.call(tile, k.point(left), k.point(right), y))
    })
    return k.build(`peak_f32_${rows}x${vectors * lanes}_${target.name}`, 'peak')
  },
}
