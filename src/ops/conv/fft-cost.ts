/** What convolutions by Fourier transforms cost, in the unit of cost.ts, and which transform length costs least. */
import {
  type BlockPlan,
  chunkOf,
  complexRows,
  lengths,
  planBlocks,
  type SignalGeometry,
  spectrumLayout,
  sumLayout,
  transformOperations,
  vectorsOf,
  weightLayout,
} from '../../kernel/builders/fft/index.ts'
import type { Target } from '../../kernel/target.ts'
import { streamed } from './cost.ts'

/**
 * A load, store, addition or multiplication of one lane. The halves of a transform fill the first-level cache where
 * vectors are wide.
 */
function operation({ lanes }: Target): number {
  return 2 * (1 + Math.max(0, lanes - 4) / 12)
}

/** Terms of a sum of complex products that take as long as beginning and ending it; how far a product is from its peak. */
const termsOfOverhead = 4
const productCost = 1.2
/** What a call costs besides its work. */
const callCost = 200_000
/** Memory that a call may take for what lies between input and output. */
const mostBytes = 256 * 2 ** 20

/** `count` transforms of a vector of channels. */
function transforms(plan: BlockPlan, count: number, target: Target): number {
  return operation(target) * target.lanes * count * transformOperations(plan.length, target)
}

/** Rows of a product in tiles of equal height: a low tile waits for its sums. */
function tileRows(rows: number, target: Target): number {
  const height = complexRows(target)
  return Math.max(rows, Math.ceil(rows / height) * Math.min(height, 4))
}

/** Elements of the spectra of a chunk, of both operands or of input and output. */
function spectraOf(plan: BlockPlan, g: SignalGeometry, target: Target): number {
  const { pairs } = chunkOf(plan, g, target)
  return spectrumLayout(plan, pairs, g.channels, target).size + spectrumLayout(plan, pairs, g.outChannels, target).size
}

/** What a pass costs with one transform length. */
interface Pass {
  cost(plan: BlockPlan, g: SignalGeometry, target: Target): number
  /** Elements that the pass keeps for all frequencies besides the spectra: those of the weights or their gradients. */
  kept(plan: BlockPlan, g: SignalGeometry, target: Target): number
}

/** Forward pass and input gradient, the transform of the weights included: they are new at every step. */
const convolution: Pass = {
  kept: (plan, g, target) => weightLayout(plan, g.channels, g.outChannels, target).size,
  cost(plan, g, target) {
    const { chunks } = chunkOf(plan, g, target)
    const [inputs, outputs] = [vectorsOf(g.channels, target), vectorsOf(g.outChannels, target)]
    const sums = plan.slots * tileRows(2 * plan.pairs, target) * outputs * target.lanes
    return (
      8 * productCost * sums * (g.channels + termsOfOverhead) +
      transforms(plan, plan.pairs * (inputs + outputs) + 1.3 * Math.ceil(g.channels / 2) * outputs, target) +
      (chunks / 2 + 0.5) * streamed(4 * convolution.kept(plan, g, target), target) +
      chunks * streamed(4 * spectraOf(plan, g, target), target) +
      (3 * chunks + 2) * callCost
    )
  },
}

const weightGradient: Pass = {
  kept: (plan, g, target) => sumLayout(plan, g.channels, g.outChannels, target).size,
  cost(plan, g, target) {
    const { chunks } = chunkOf(plan, g, target)
    const [inputs, outputs] = [vectorsOf(g.channels, target), vectorsOf(g.outChannels, target)]
    const sums = plan.slots * tileRows(g.channels, target) * outputs * target.lanes
    return (
      8 * productCost * sums * (2 * plan.pairs + chunks * termsOfOverhead) +
      transforms(plan, plan.pairs * (inputs + outputs) + 1.3 * Math.ceil(g.channels / 2) * outputs, target) +
      chunks * streamed(4 * (weightGradient.kept(plan, g, target) + spectraOf(plan, g, target)), target) +
      (3 * chunks + 2) * callCost
    )
  },
}

/** Images that the transform length is chosen for: another batch size must not ask for other kernels. */
const usualImages = 16

/** undefined where every length would take too much memory. */
function cheapest({ cost, kept }: Pass, g: SignalGeometry, target: Target): number | undefined {
  const usual = { ...g, images: usualImages }
  let best: { length: number; cost: number } | undefined
  for (const length of lengths) {
    if (length < 2 * g.taps - 1) continue
    const plan = planBlocks(length, usual)
    if (4 * (kept(plan, usual, target) + spectraOf(plan, usual, target)) > mostBytes) continue
    const next = { length, cost: cost(plan, usual, target) }
    if (best === undefined || next.cost < best.cost) best = next
  }
  return best?.length
}

/** Length of the transforms of the forward pass or the input gradient; undefined where all take too much memory. */
export function fftLength(g: SignalGeometry, target: Target): number | undefined {
  return cheapest(convolution, g, target)
}

export function fftGradientLength(g: SignalGeometry, target: Target): number | undefined {
  return cheapest(weightGradient, g, target)
}

export function fftCost(g: SignalGeometry, target: Target): number {
  const length = fftLength(g, target)
  return length === undefined ? Number.POSITIVE_INFINITY : convolution.cost(planBlocks(length, g), g, target)
}

export function fftGradientCost(g: SignalGeometry, target: Target): number {
  const length = fftGradientLength(g, target)
  return length === undefined ? Number.POSITIVE_INFINITY : weightGradient.cost(planBlocks(length, g), g, target)
}
