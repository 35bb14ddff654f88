import { expect, test } from 'vitest'
import { createInterpretBackend } from '../backends/interpret/index.ts'
import { wasmTarget } from '../backends/wasm/target.ts'
import { peakDepth, peakFlops, peakSize, peakSpec, peakSums } from '../kernel/builders/peak.ts'
import { verifyKernel } from '../kernel/verify.ts'
import { Device } from './device.ts'
import { measurePeak } from './peak.ts'

test('the sums use the registers a target has, and no more', () => {
  expect(peakSums(wasmTarget({ relaxed: false }))).toBe(12)
})

test('the kernel multiplies and adds as often as it is counted for', async () => {
  const backend = createInterpretBackend({ lanes: 4 })
  const { target } = backend
  const kernel = peakSpec.build(target)
  verifyKernel(kernel, target)
  const lengths = [2 * target.lanes, 2 * peakSize(target)]
  const blocks = lengths.map((length) => backend.allocate(length * target.bytes.f32))
  for (const [i, block] of blocks.entries()) backend.write(block, 0, 'f32', new Float32Array(lengths[i]).fill(1))
  const places = [0, 1].map((region) => ({ region, offset: 0 }))
  const table = backend.load([{ kernel, places, scratch: [], params: [5], tasks: 2, work: 1 }], 2)
  await backend.run(table, blocks)
  const result = await backend.read(blocks[1], 0, 'f32', lengths[1])
  // Times one and plus one, once a step, in every one of the 5 repeats.
  expect(new Set(result)).toEqual(new Set([1 + 5 * peakDepth]))
  expect(peakFlops(target)).toBe(2 * peakDepth * peakSize(target))
})

test('rates come out positive', async () => {
  const device = new Device(createInterpretBackend())
  const peak = await measurePeak(device, { durationMs: 1, copyBytes: 1 << 12 })
  expect(peak.gflops).toBeGreaterThan(0)
  expect(peak.gigabytesPerSecond).toBeGreaterThan(0)
})
