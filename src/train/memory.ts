/** Whether a step fits in memory, and what would, before anything is computed. */
import { ConfigError } from '../base/errors.ts'
import type { PlannedMemory } from '../tensor/index.ts'

/** The memory a step takes with batches of a size. */
export type MemoryOfBatch = (batchSize: number) => Promise<PlannedMemory>

function fits({ bytes, availableBytes }: PlannedMemory): boolean {
  return availableBytes === undefined || bytes <= availableBytes
}

/** The largest batch size up to `most` that fits, found by halving: planning one takes milliseconds. 0 when none does. */
export async function largestBatchThatFits(memoryOf: MemoryOfBatch, most: number): Promise<number> {
  if (fits(await memoryOf(most))) return most
  let known = 0
  let tooLarge = most
  while (tooLarge - known > 1) {
    const middle = (known + tooLarge) >> 1
    if (fits(await memoryOf(middle))) known = middle
    else tooLarge = middle
  }
  return known
}

/** As few batches as can be that together have these samples, or a few more when no such number divides them. */
function inParts(samples: number, largest: number): { size: number; parts: number } {
  const fewest = Math.ceil(samples / largest)
  for (let parts = fewest; parts < 2 * fewest; parts++) {
    if (samples % parts === 0) return { size: samples / parts, parts }
  }
  return { size: Math.ceil(samples / fewest), parts: fewest }
}

const megabytes = (bytes: number) => `${Math.ceil(bytes / 1e6).toLocaleString('en-US')} MB`

/**
 * @param accumulate batches that make one update now
 * @throws ConfigError when the step does not fit; it tells which batch size does, and how the update stays as it was
 */
export async function checkMemory(memoryOf: MemoryOfBatch, batchSize: number, accumulate: number): Promise<void> {
  const needed = await memoryOf(batchSize)
  if (fits(needed)) return
  const largest = await largestBatchThatFits(memoryOf, batchSize)
  const { bytes, variableBytes, availableBytes = 0 } = needed
  const { size, parts } = inParts(batchSize * accumulate, Math.max(1, largest))
  throw new ConfigError({
    where: 'fit',
    what: 'a step does not fit in memory',
    got: `batch size ${batchSize} takes ${megabytes(bytes)} at its peak, ${megabytes(variableBytes)} of that for weights and what the optimizer keeps beside them`,
    expected: `at most ${megabytes(availableBytes)}${largest === 0 ? '; not even one sample fits' : `: batch size ${largest} fits`}`,
    fix:
      largest === 0
        ? 'use a smaller model or smaller pictures'
        : `--batch-size ${size} --accumulate ${parts} makes updates of ${size * parts} samples in smaller parts (in code batchSize: ${size}, accumulate: ${parts})`,
  })
}
