import { expect, test } from 'vitest'
import { createInterpretBackend } from '../backends/interpret/index.ts'
import { wasmTarget } from '../backends/wasm/target.ts'
import { peakDepth, peakFlops, peakSizes, peakSpec, peakTile } from '../kernel/builders/peak.ts'
import { verifyKernel } from '../kernel/verify.ts'
import { Device } from './device.ts'
import { measurePeak } from './peak.ts'

test('the tile uses the registers a target has, and no more', () => {
  expect(peakTile(wasmTarget({ relaxed: false }))).toEqual({ rows: 4, vectors: 2 })
  expect(peakTile(wasmTarget({ relaxed: true }))).toEqual({ rows: 6, vectors: 2 })
})

test('the kernel multiplies and adds as often as it is counted for', async () => {
  const backend = createInterpretBackend({ lanes: 4 })
  const { target } = backend
  const kernel = peakSpec.build(target)
  verifyKernel(kernel, target)
  const sizes = peakSizes(target)
  const lengths = [sizes.left, sizes.right, 2 * sizes.result]
  const blocks = lengths.map((length) => backend.allocate(length * target.bytes.f32))
  const fill = [3, 2, 1]
  for (const [i, block] of blocks.entries()) backend.write(block, 0, 'f32', new Float32Array(lengths[i]).fill(fill[i]))
  const places = [0, 1, 2].map((region) => ({ region, offset: 0 }))
  const table = backend.load([{ kernel, places, scratch: [], params: [5], tasks: 2, work: 1 }], 3)
  await backend.run(table, blocks)
  const result = await backend.read(blocks[2], 0, 'f32', lengths[2])
  // Every one of the 5 repeats adds 3 · 2 once a step to every element.
  expect(new Set(result)).toEqual(new Set([1 + 5 * 6 * peakDepth]))
  expect(peakFlops(target)).toBe(2 * peakDepth * sizes.result)
})

test('rates come out positive', async () => {
  const device = new Device(createInterpretBackend())
  const peak = await measurePeak(device, { durationMs: 1, copyBytes: 1 << 12 })
  expect(peak.gflops).toBeGreaterThan(0)
  expect(peak.gigabytesPerSecond).toBeGreaterThan(0)
})
