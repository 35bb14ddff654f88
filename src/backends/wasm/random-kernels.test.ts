import { expect, it } from 'vitest'
import { differingKernels } from '../../testing/random-kernels.ts'
import { createInterpretBackend } from '../interpret/index.ts'
import { createWasmBackend } from './index.ts'

it('random kernels give the bits of the interpreter', async () => {
  const wasm = createWasmBackend({ threads: 1, relaxedSimd: false })
  const law = createInterpretBackend({ lanes: 4 })
  const seeds = Array.from({ length: 300 }, (_, seed) => seed)
  expect(await differingKernels(wasm, law, seeds)).toEqual([])
  await wasm.close()
  await law.close()
})
