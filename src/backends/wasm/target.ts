import { bytesPerElement } from '../../base/dtype.ts'
import type { Target } from '../../kernel/target.ts'

/**
 * 128-bit SIMD. V8 on x64 keeps one of the 16 vector registers for itself, so a tile of m × n accumulators needs
 * m·n + n + 1 ≤ 15 (one more for the product where multiply and add are not fused).
 */
export function wasmTarget(options: { readonly relaxed: boolean }): Target {
  return {
    name: options.relaxed ? 'wasm-fma' : 'wasm',
    lanes: 4,
    registers: 15,
    fma: options.relaxed,
    math: 'polynomial',
    bytes: bytesPerElement,
    cacheBytes: 1 << 20,
  }
}
