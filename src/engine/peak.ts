/** What the machine can do at best through a backend: the figures that speeds are compared with. */
import { now } from '#platform'
import type { Instruction } from '../backends/backend.ts'
import { type MapShape, mapCall, mapSpec } from '../kernel/builders/map.ts'
import { peakFlops, peakSize, peakSpec } from '../kernel/builders/peak.ts'
import { identityChain } from '../kernel/chain.ts'
import type { Device } from './device.ts'

export interface Peak {
  /** Multiplications and additions, in 10⁹ a second, all threads of the device together. */
  readonly gflops: number
  /** Bytes read and written by a copy that fits no cache, in 10⁹ a second. */
  readonly gigabytesPerSecond: number
}

export interface PeakOptions {
  /** How long each measurement lasts, warm-up not counted; default 300. */
  readonly durationMs?: number
  /** Size of the copied array; default 64 MiB. */
  readonly copyBytes?: number
}

const measured = new WeakMap<Device, Promise<Peak>>()

/**
 * The peak rates of a device, measured once, and again when something was faster: then the machine was busy with
 * something else at the time. The best counts.
 * @param seen a rate that was reached, in 10⁹ operations a second
 */
export async function peakOf(device: Device, seen = 0): Promise<Peak> {
  const known = measured.get(device)
  const before = await known
  if (before !== undefined && before.gflops >= seen) return before
  let peak = measured.get(device)
  if (peak === known || peak === undefined) {
    peak = measurePeak(device).then((now) => ({
      gflops: Math.max(now.gflops, before?.gflops ?? 0),
      gigabytesPerSecond: Math.max(now.gigabytesPerSecond, before?.gigabytesPerSecond ?? 0),
    }))
    measured.set(device, peak)
    // What failed is tried again.
    peak.catch(() => measured.delete(device))
  }
  return peak
}

/** Engines improve the code of a kernel while it runs: they get this long. */
const warmUpMs = 200
/** Short, so that some runs fall between what else the machine does; a start takes some 30 µs. */
const runMs = 4
const tasksPerThread = 8
/** The first runs touch memory for the first time, and one may meet a busy machine. */
const fewestRuns = 5

/** Measures the peak rates of a device, in about a second; the best of many runs counts. */
export function measurePeak(device: Device, options: PeakOptions = {}): Promise<Peak> {
  const { durationMs = 300, copyBytes = 64 << 20 } = options
  return device.exclusive(async () => ({
    gflops: await measureFlops(device, durationMs),
    gigabytesPerSecond: await measureCopy(device, copyBytes, durationMs),
  }))
}

async function measureFlops(device: Device, durationMs: number): Promise<number> {
  const { backend, target } = device
  const tasks = tasksPerThread * backend.threads
  const kernel = device.kernel(peakSpec)
  const bestMs = (repeats: number, forMs: number): Promise<number> => {
    const instruction: Instruction = {
      kernel,
      places: [0, 1].map((region) => ({ region, offset: 0 })),
      scratch: [],
      params: [repeats],
      tasks,
      work: repeats * tasks * peakFlops(target),
    }
    return timed(device, [instruction], [2 * target.lanes, peakSize(target) * tasks], forMs)
  }
  // First warm, then as many repeats as make the start of a run not count.
  const few = 10
  const ms = await bestMs(few, warmUpMs)
  const repeats = Math.min(1 << 24, Math.ceil((few * runMs) / Math.max(ms, 1e-3)))
  return (repeats * tasks * peakFlops(target)) / (await bestMs(repeats, durationMs)) / 1e6
}

async function measureCopy(device: Device, bytes: number, durationMs: number): Promise<number> {
  const length = Math.floor(bytes / device.target.bytes.f32)
  const shape: MapShape = {
    rank: 1,
    operands: [{ dtype: 'f32', inner: 'unit' }],
    outputs: [{ dtype: 'f32', inner: 'unit' }],
    chain: identityChain,
  }
  const instruction: Instruction = {
    kernel: device.kernel(mapSpec(shape)),
    places: [0, 1].map((region) => ({ region, offset: 0 })),
    scratch: [],
    ...mapCall(shape, { extents: [length], strides: [[1], [1]], constants: [] }),
  }
  const ms = await timed(device, [instruction], [length, length], durationMs)
  return (2 * length * device.target.bytes.f32) / ms / 1e6
}

/** Best time of a table over f32 buffers of these lengths, run again and again for a while. */
async function timed(
  device: Device,
  instructions: readonly Instruction[],
  lengths: readonly number[],
  forMs: number,
): Promise<number> {
  const { backend, target } = device
  const blocks = lengths.map((length) => backend.allocate(length * target.bytes.f32))
  try {
    // Small values whose sums stay normal numbers: subnormal ones are slow.
    for (const [i, block] of blocks.entries()) backend.write(block, 0, 'f32', new Float32Array(lengths[i]).fill(1e-6))
    const table = backend.load(instructions, blocks.length)
    try {
      let best = Number.POSITIVE_INFINITY
      const end = now() + forMs
      let runs = 0
      do {
        const start = now()
        await backend.run(table, blocks)
        best = Math.min(best, now() - start)
      } while (++runs < fewestRuns || now() < end)
      return best
    } finally {
      table.release()
    }
  } finally {
    for (const block of blocks) backend.free(block)
  }
}
