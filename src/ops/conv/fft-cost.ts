/** What convolutions by Fourier transforms cost, in the unit of cost.ts. */
import { wideTile } from '../../kernel/builders/contraction/index.ts'
import {
  type BlockPlan,
  chunkOf,
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

/** Terms of a sum that take as long as beginning and ending it, and how much slower than at its peak a product is. */
const termsOfOverhead = 8
const productCost = 1.2

/** What a call costs besides its work. */
const callCost = 200_000

/** `count` transforms of a vector of channels. */
function transforms(plan: BlockPlan, count: number, target: Target): number {
  return operation(target) * target.lanes * count * transformOperations(plan.length, target)
}

/** Rows of a product in tiles of equal height: a low tile waits for its sums. */
function tileRows(rows: number, target: Target): number {
  const { rows: height } = wideTile(target)
  return Math.max(rows, Math.ceil(rows / height) * Math.min(height, 4))
}

/** Forward pass and input gradient, the transform of the weights included: they are new at every step. */
function costOf(plan: BlockPlan, g: SignalGeometry, target: Target): number {
  const { pairs, chunks } = chunkOf(plan, g, target)
  const [inputs, outputs] = [vectorsOf(g.channels, target), vectorsOf(g.outChannels, target)]
  const columns = 2 * outputs * target.lanes
  const weights = weightLayout(plan, g.channels, g.outChannels, target).size
  const spectra =
    spectrumLayout(plan, pairs, g.channels, target).size + spectrumLayout(plan, pairs, g.outChannels, target).size
  return (
    2 * productCost * plan.slots * tileRows(2 * plan.pairs, target) * columns * (2 * g.channels + termsOfOverhead) +
    transforms(plan, plan.pairs * (inputs + outputs) + 1.3 * Math.ceil(g.channels / 2) * outputs, target) +
    (chunks / 2 + 0.5) * streamed(4 * weights, target) +
    chunks * streamed(4 * spectra, target) +
    (3 * chunks + 2) * callCost
  )
}

function gradientCostOf(plan: BlockPlan, g: SignalGeometry, target: Target): number {
  const { pairs, chunks } = chunkOf(plan, g, target)
  const [inputs, outputs] = [vectorsOf(g.channels, target), vectorsOf(g.outChannels, target)]
  const columns = 2 * outputs * target.lanes
  const sums = sumLayout(plan, g.channels, g.outChannels, target).size
  const spectra =
    spectrumLayout(plan, pairs, g.channels, target).size + spectrumLayout(plan, pairs, g.outChannels, target).size
  return (
    4 *
      productCost *
      plan.slots *
      tileRows(g.channels, target) *
      columns *
      (2 * plan.pairs + chunks * termsOfOverhead) +
    transforms(plan, plan.pairs * (inputs + outputs) + 1.3 * Math.ceil(g.channels / 2) * outputs, target) +
    chunks * streamed(4 * (sums + spectra), target) +
    (3 * chunks + 2) * callCost
  )
}

type PlanCost = (plan: BlockPlan, g: SignalGeometry, target: Target) => number

/** Images that the transform length is chosen for: another batch size must not ask for other kernels. */
const usualImages = 16

function cheapest(g: SignalGeometry, target: Target, cost: PlanCost): number {
  const usual = { ...g, images: usualImages }
  const costs = lengths
    .filter((length) => length >= 2 * g.taps - 1)
    .map((length): [length: number, cost: number] => [length, cost(planBlocks(length, usual), usual, target)])
  return costs.reduce((least, next) => (next[1] < least[1] ? next : least))[0]
}

/** Length of the transforms of the forward pass and the input gradient. */
export function fftLength(g: SignalGeometry, target: Target): number {
  return cheapest(g, target, costOf)
}

export function fftGradientLength(g: SignalGeometry, target: Target): number {
  return cheapest(g, target, gradientCostOf)
}

export function fftCost(g: SignalGeometry, target: Target): number {
  return costOf(planBlocks(fftLength(g, target), g), g, target)
}

export function fftGradientCost(g: SignalGeometry, target: Target): number {
  return gradientCostOf(planBlocks(fftGradientLength(g, target), g), g, target)
}
