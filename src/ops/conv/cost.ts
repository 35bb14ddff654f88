/**
 * What algorithms cost, in one unit: the time of a floating-point operation of a product at the machine's peak. Products
 * count their multiply-adds twice; what is no product is counted in vector operations and in bytes that leave the cache.
 */
import type { ConvGeometry } from '../../kernel/builders/contraction/index.ts'
import { algebraOf, gradientBlocks, type TileOutputs, winogradBlocks } from '../../kernel/builders/winograd/index.ts'
import type { Target } from '../../kernel/target.ts'

/** A load, store, addition or multiplication of one lane: about as long as two multiply-adds, which come in pairs. */
const operation = 4

/** Bytes written to memory and read back, or the other way round. The wider the vectors, the more products they delay. */
export function streamed(bytes: number, target: Target): number {
  return 0.65 * target.lanes * bytes
}

/** The same for bytes that the threads' shared cache holds. */
function shared(bytes: number, target: Target): number {
  return 0.15 * target.lanes * bytes
}

/** Operations of one value of a channel in the transforms of a tile: loads, stores, and arithmetic of both directions. */
const operations = {
  2: { input: 96, output: 44, weights: 60, upstream: 44, weightGradient: 66 },
  4: { input: 264, output: 172, weights: 126, upstream: 204, weightGradient: 171 },
} as const satisfies Record<TileOutputs, object>

/** Terms of a sum that take as long as beginning and ending it. */
const termsOfOverhead = 8
/** Share of the peak that small products reach. */
const productEfficiency = 0.9

function products(outputs: TileOutputs, tiles: number, terms: number, columns: number, target: Target): number {
  const points = algebraOf(outputs).points ** 2
  const padded = Math.ceil(columns / target.lanes) * target.lanes
  return (2 * points * tiles * padded * (terms + termsOfOverhead)) / productEfficiency
}

/** Forward pass and input gradient, the transform of the weights included: they are new at every step. */
export function winogradCost(outputs: TileOutputs, g: ConvGeometry, target: Target): number {
  const { tiles, panelGroups } = winogradBlocks(outputs, g, target)
  const count = operations[outputs]
  const pairs = g.groupIn * g.groupOut
  const weightBytes = 8 * algebraOf(outputs).points ** 2 * pairs
  return (
    products(outputs, tiles, g.groupIn, g.groupOut, target) +
    operation * (tiles * (panelGroups * g.groupIn * count.input + g.groupOut * count.output) + pairs * count.weights) +
    streamed(weightBytes, target)
  )
}

export function winogradGradientCost(outputs: TileOutputs, g: ConvGeometry, target: Target): number {
  const { tiles, chunks } = gradientBlocks(outputs, g, target)
  const count = operations[outputs]
  const pairs = g.groupIn * g.groupOut
  const bytes = 8 * algebraOf(outputs).points ** 2 * tiles * (g.groupIn + g.groupOut)
  return (
    products(outputs, tiles, g.groupIn, g.groupOut, target) +
    operation * tiles * (g.groupIn * count.input + g.groupOut * count.upstream) +
    operation * chunks * pairs * count.weightGradient +
    shared(bytes, target)
  )
}
