/**
 * What algorithms cost, in one unit: the time of a floating-point operation of a product at the machine's peak. Products
 * count their multiply-adds twice; what is no product is counted in vector operations and in bytes that leave the cache.
 */
import {
  type ConvGeometry,
  columnsOf,
  gradientTile,
  type TileSize,
  wideTile,
} from '../../kernel/builders/contraction/index.ts'
import { algebraOf, gradientBlocks, type TileOutputs, winogradBlocks } from '../../kernel/builders/winograd/index.ts'
import type { Target } from '../../kernel/target.ts'

/** A load, store, addition or multiplication of one lane: two or three of them begin while two multiply-adds do. */
const operation = 2

/** What the processor's shared cache is taken to hold, in caches of one thread. */
const sharedCaches = 16

/**
 * Bytes that leave a thread's cache, each written and read once. The wider the vectors, the more products they delay;
 * those of a large buffer go to memory, which all threads share.
 */
export function streamed(bytes: number, target: Target): number {
  return target.lanes * bytes * (bytes > 2 * sharedCaches * target.cacheBytes ? 0.4 : 0.13)
}

/** Columns that are computed: a tile that is not filled takes as long as a full one. */
export function columnsComputed(channels: number, tile: TileSize, target: Target): number {
  const columns = columnsOf(tile, target)
  return Math.ceil(channels / columns) * columns
}

/** Lanes that a transform keeps busy: channels behind the last vector are computed one by one. */
function lanesOf(channels: number, { lanes }: Target): number {
  return (Math.floor(channels / lanes) + (channels % lanes)) * lanes
}

/** Operations of one channel in the transforms of a tile: loads, stores, and the arithmetic of both directions. */
const operations = {
  2: { input: 96, output: 44, weights: 60, upstream: 44, weightGradient: 66 },
  4: { input: 264, output: 172, weights: 126, upstream: 204, weightGradient: 171 },
} as const satisfies Record<TileOutputs, object>

/** Terms of a sum that take as long as beginning and ending it. */
const termsOfOverhead = 5

/** Sums of `terms` products for every point and tile, or pair of channels. */
function products(outputs: TileOutputs, sums: number, terms: number): number {
  return 2 * algebraOf(outputs).points ** 2 * sums * (terms + termsOfOverhead)
}

/**
 * Forward pass and input gradient, the transform of the weights included unless it is kept: in training they are new at
 * every step.
 */
export function winogradCost(outputs: TileOutputs, g: ConvGeometry, target: Target, kept = false): number {
  const { tiles, panelGroups } = winogradBlocks(outputs, g, target)
  const count = operations[outputs]
  const pairs = g.groupIn * g.groupOut
  const columns = columnsComputed(g.groupOut, wideTile(target), target)
  const input = panelGroups * lanesOf(g.groupIn, target) * count.input
  return (
    products(outputs, tiles * columns, g.groupIn) +
    operation * tiles * (input + lanesOf(g.groupOut, target) * count.output) +
    (kept ? 0 : operation * pairs * count.weights) +
    streamed((kept ? 4 : 8) * algebraOf(outputs).points ** 2 * pairs, target)
  )
}

export function winogradGradientCost(outputs: TileOutputs, g: ConvGeometry, target: Target): number {
  const { tiles, chunks } = gradientBlocks(outputs, g, target)
  const count = operations[outputs]
  const columns = columnsComputed(g.groupOut, gradientTile(target), target)
  // Chunks are small enough for the shared cache, however many there are.
  const bytes = (8 * algebraOf(outputs).points ** 2 * tiles * (g.groupIn + columns)) / chunks
  return (
    chunks * products(outputs, g.groupIn * columns, tiles / chunks) +
    operation * tiles * (lanesOf(g.groupIn, target) * count.input + lanesOf(g.groupOut, target) * count.upstream) +
    operation * chunks * g.groupIn * lanesOf(g.groupOut, target) * count.weightGradient +
    chunks * streamed(bytes, target)
  )
}
