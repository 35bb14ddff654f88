/** How a convolution along one axis is cut into blocks, and how spectra lie in memory. */
import type { Target } from '../../target.ts'
import { stagesOf } from './transform.ts'

/** A convolution of stride 1 along one axis; the padding may be negative. */
export interface SignalGeometry {
  readonly images: number
  /** Samples of an image, and results. */
  readonly length: number
  readonly outLength: number
  readonly channels: number
  readonly outChannels: number
  readonly taps: number
  /** Zeros before the first sample. */
  readonly before: number
}

/** Transform lengths there are kernels for. */
export const lengths = [128, 256, 512, 1024, 2048, 4096] as const

/** Overlap-save: a block of `length` samples gives `step` results. */
export interface BlockPlan {
  readonly length: number
  readonly step: number
  readonly blocksOfImage: number
  readonly blocks: number
  /** Two blocks are transformed as one complex sequence. */
  readonly pairs: number
  readonly slots: number
}

export function planBlocks(length: number, g: SignalGeometry): BlockPlan {
  const step = length - g.taps + 1
  const blocksOfImage = Math.ceil(g.outLength / step)
  const blocks = g.images * blocksOfImage
  return { length, step, blocksOfImage, blocks, pairs: Math.ceil(blocks / 2), slots: length / 2 + 1 }
}

export function vectorsOf(channels: number, target: Target): number {
  return Math.ceil(channels / target.lanes)
}

/** Floats of a cache line: distances of an odd number of lines spread over all sets of a cache. */
const line = 16

function oddLines(size: number): number {
  const lines = Math.ceil(size / line)
  return line * (lines % 2 === 0 ? lines + 1 : lines)
}

/** Spectra of so many rows: elements from slot to slot and row to row. */
export interface SpectrumLayout {
  readonly rows: number
  readonly row: number
  readonly slot: number
  readonly size: number
}

export function spectrumLayout(plan: BlockPlan, pairs: number, channels: number, target: Target): SpectrumLayout {
  const width = 2 * vectorsOf(channels, target) * target.lanes
  // Rows of a tile must not all begin in the same lines of the first-level cache.
  const row = width % 256 === 0 ? width + line : width
  const slot = oddLines(2 * pairs * row)
  return { rows: 2 * pairs, row, slot, size: slot * plan.slots }
}

/** Weights as the products read them: [slot][vector of outputs][channel][real parts, imaginary parts]. */
export interface WeightLayout {
  readonly panel: number
  readonly slot: number
  readonly size: number
}

export function weightLayout(plan: BlockPlan, channels: number, outChannels: number, target: Target): WeightLayout {
  const panel = 2 * channels * target.lanes
  const slot = oddLines(vectorsOf(outChannels, target) * panel)
  return { panel, slot, size: slot * plan.slots }
}

/** Sums of products for the taps: [slot][channel][vector of outputs][real parts, imaginary parts]. */
export function sumLayout(plan: BlockPlan, channels: number, outChannels: number, target: Target) {
  const channel = 2 * vectorsOf(outChannels, target) * target.lanes
  const slot = oddLines(channels * channel)
  return { channel, slot, size: slot * plan.slots }
}

/** Elements that the spectra of a chunk may take: they share the third-level cache. */
const cachesOfSpectra = 6
/** Fewer rows would read the weights too often. */
const fewestPairs = 28

/** Pairs of a chunk: chunks follow one another as calls, so that their spectra stay in the cache. */
export function chunkOf(plan: BlockPlan, g: SignalGeometry, target: Target): { pairs: number; chunks: number } {
  const vectors = vectorsOf(g.channels, target) + vectorsOf(g.outChannels, target)
  const bytes = plan.slots * 2 * 2 * vectors * target.lanes * 4
  const fit = Math.max(fewestPairs, Math.floor((cachesOfSpectra * target.cacheBytes) / bytes))
  const chunks = Math.max(1, Math.ceil(plan.pairs / fit))
  const pairs = Math.max(1, Math.ceil(plan.pairs / chunks))
  return { pairs, chunks: Math.max(1, Math.ceil(plan.pairs / pairs)) }
}

/** Vector operations of one transform: a load, store or arithmetic operation each. */
export function transformOperations(length: number, target: Target): number {
  return length * (13 * stagesOf(length, target) + 4)
}

const operationsPerTask = 60_000

/** Vectors of channels that a task transforms, of `vectors`. */
export function vectorsPerTask(length: number, vectors: number, target: Target): { count: number; groups: number } {
  const worth = Math.max(1, Math.round(operationsPerTask / transformOperations(length, target)))
  const groups = Math.max(1, Math.ceil(vectors / worth))
  return { count: Math.max(1, Math.ceil(vectors / groups)), groups }
}
