import { bytesPerElement } from '../../base/dtype.ts'
import type { Target } from '../../kernel/target.ts'

/** Vector instructions the printer knows how to use; `plain` is C with vectors of four and nothing taken for granted. */
export type NativeInstructions = 'avx512bf16' | 'avx512' | 'avx2' | 'neon' | 'plain'

/** Bits that the runtime's `features` answers with. */
export const featureBits = { avx512: 1, avx2: 2, neon: 4, avx512bf16: 8 } as const

export function bestInstructions(features: number): NativeInstructions {
  for (const name of ['avx512bf16', 'avx512', 'avx2', 'neon'] as const)
    if ((features & featureBits[name]) !== 0) return name
  return 'plain'
}

export function nativeTarget(instructions: NativeInstructions): Target {
  const common = { name: `native-${instructions}`, math: 'polynomial', bytes: bytesPerElement } as const
  switch (instructions) {
    case 'avx512bf16':
      return { ...common, lanes: 16, registers: 32, fma: true, bf16Dot: true, cacheBytes: 1 << 20 }
    case 'avx512':
      return { ...common, lanes: 16, registers: 32, fma: true, cacheBytes: 1 << 20 }
    case 'avx2':
      return { ...common, lanes: 8, registers: 16, fma: true, cacheBytes: 1 << 19 }
    case 'neon':
      return { ...common, lanes: 4, registers: 32, fma: true, cacheBytes: 1 << 20 }
    case 'plain':
      return { ...common, lanes: 4, registers: 15, fma: false, cacheBytes: 1 << 19 }
    default:
      return instructions satisfies never
  }
}

/** What the compiler is told about the machine. */
export function machineFlags(instructions: NativeInstructions): readonly string[] {
  switch (instructions) {
    case 'avx512bf16':
    case 'avx512':
      return ['-mavx512f', '-mavx512dq', '-mavx512bw', '-mavx512vl', '-mfma', '-mprefer-vector-width=512']
    case 'avx2':
      return ['-mavx2', '-mfma', '-mf16c']
    default:
      return []
  }
}
