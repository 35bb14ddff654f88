import { describe, expect, it } from 'vitest'
import { differingKernels } from '../../testing/random-kernels.ts'
import { whyNoNative } from '../../testing/why-no-native.ts'
import { createInterpretBackend } from '../interpret/index.ts'
import { createNativeBackend, type NativeBackend, type NativeInstructions } from './index.ts'

const missing = await whyNoNative()

describe.skipIf(missing !== undefined)(`random kernels give the bits of the interpreter ${missing ?? ''}`, () => {
  for (const instructions of ['plain', 'avx2', 'avx512', 'neon'] as const satisfies readonly NativeInstructions[]) {
    it(instructions, async ({ skip }) => {
      let native: NativeBackend
      try {
        native = await createNativeBackend({ threads: 1, instructions })
      } catch (error) {
        return skip((error as Error).message)
      }
      const law = createInterpretBackend({ lanes: native.target.lanes })
      const seeds = Array.from({ length: 60 }, (_, seed) => seed)
      expect(await differingKernels(native, law, seeds)).toEqual([])
      await native.close()
      await law.close()
    })
  }
})
