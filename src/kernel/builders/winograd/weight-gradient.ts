/**
 * The weight gradient by the adjoint of Winograd's algorithm: dg = Gᵀ [Σ over tiles (Bᵀ x B) ⊙ (A dy Aᵀ)] G.
 *
 * One kernel transforms a chunk of tiles of both operands, another multiplies them, a product over the chunk's tiles for
 * every point, and transforms the sums back to nine taps at once. Chunks follow one another as calls and are added to
 * the result in their order, so it has the same bits for any number of threads.
 *
 * transformed input [point][block of channels][tile][channel], upstream [point][panel][tile][column of a tile]
 */
import type { StorageType } from '../../../base/dtype.ts'
import { KernelBuilder, type KernelSpec } from '../../build.ts'
import { add, constant, div, eq, min, mul, rem, sub } from '../../expression.ts'
import type { BufferParam, Expr, Kernel, KernelFunction, Pointer } from '../../language.ts'
import type { Target } from '../../target.ts'
import type { ConvGeometry } from '../contraction/conv.ts'
import { columnsOf, gradientTile } from '../contraction/tile.ts'
import { algebraOf, type TileOutputs, transformSquare } from './algebra.ts'
import { defineProduct } from './product.ts'
import { defineTileTransform, patchChannels, patchSize, planePadding, type TileGrid } from './tiles.ts'

/** How the work is cut. */
export interface GradientBlocks {
  readonly rows: number
  readonly columns: number
  readonly tiles: number
  readonly chunkTiles: number
  readonly chunks: number
  /** Channels of a block, and how many blocks there are. */
  readonly blockChannels: number
  readonly blocks: number
  readonly panels: number
  /** Elements of the transformed operands from block to block and from point to point. */
  readonly block: number
  readonly plane: number
  readonly panel: number
  readonly upstreamPlane: number
}

const tasksWanted = 8
const channelsOfBlock = [64, 32, 16]
/** A chunk's sums stay in registers; shorter chunks are loaded and stored too often. */
const fewestTiles = 128
const tilesPerTask = 8

export function gradientBlocks(outputs: TileOutputs, g: ConvGeometry, target: Target): GradientBlocks {
  const points = algebraOf(outputs).points ** 2
  const rows = Math.ceil(g.outHeight / outputs)
  const columns = Math.ceil(g.outWidth / outputs)
  const tiles = g.images * rows * columns
  const width = columnsOf(gradientTile(target), target)
  const panels = Math.ceil(g.groupOut / width)
  const wanted =
    channelsOfBlock.find((channels) => Math.ceil(g.groupIn / channels) * panels >= tasksWanted) ??
    channelsOfBlock[channelsOfBlock.length - 1]
  const blocks = Math.ceil(g.groupIn / wanted)
  const blockChannels = Math.ceil(g.groupIn / blocks / target.lanes) * target.lanes
  // Both transformed operands of a chunk share the third-level cache.
  const bytes = 4 * points * (blocks * blockChannels + panels * width)
  const fit = Math.max(fewestTiles, Math.floor((4 * target.cacheBytes) / bytes))
  const chunks = Math.max(1, Math.ceil(tiles / fit))
  const chunkTiles = Math.max(1, Math.ceil(tiles / chunks))
  const block = chunkTiles * blockChannels
  const panel = chunkTiles * width
  return {
    rows,
    columns,
    tiles,
    chunkTiles,
    chunks: Math.max(1, Math.ceil(tiles / chunkTiles)),
    blockChannels,
    blocks,
    panels,
    block,
    plane: blocks * block + planePadding,
    panel,
    upstreamPlane: panels * panel + planePadding,
  }
}

/** Elements of the transformed input and upstream gradient of a chunk. */
export function gradientSizes(outputs: TileOutputs, b: GradientBlocks): { input: number; upstream: number } {
  const points = algebraOf(outputs).points ** 2
  return { input: points * b.plane, upstream: points * b.upstreamPlane }
}

function tilesOf(b: GradientBlocks, chunk: number): number {
  return Math.max(0, Math.min(b.chunkTiles, b.tiles - chunk * b.chunkTiles))
}

// The transform of both operands.

/** @param input elements of the input @param sent elements of the upstream gradient */
export function gradientTilesSpec(outputs: TileOutputs, input: StorageType, sent: StorageType): KernelSpec {
  const key = `winogradGradientTiles|${outputs}|${input}|${sent}`
  return { key, build: (target) => buildTiles(outputs, input, sent, key, target) }
}

export function gradientTilesCall(outputs: TileOutputs, g: ConvGeometry, b: GradientBlocks, chunk: number) {
  const tiles = tilesOf(b, chunk)
  const params = [
    b.rows,
    b.columns,
    chunk * b.chunkTiles,
    tiles,
    g.height,
    g.width,
    ...g.before,
    g.groupIn,
    g.outHeight,
    g.outWidth,
    g.groupOut,
    b.blockChannels,
    b.block,
    b.plane,
    b.panel,
    b.upstreamPlane,
  ]
  const points = algebraOf(outputs).points
  return {
    params,
    tasks: Math.ceil(tiles / tilesPerTask),
    scratch: [patchSize(points)],
    work: tiles * points ** 2 * (g.groupIn + g.groupOut),
  }
}

function buildTiles(outputs: TileOutputs, input: StorageType, sent: StorageType, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const algebra = algebraOf(outputs)
  const tileColumns = columnsOf(gradientTile(target), target)
  const x = k.buffer('x', input, 'input')
  const upstream = k.buffer('upstream', sent, 'input')
  const transformed = k.buffer('v', 'f32', 'output')
  const transformedUpstream = k.buffer('z', 'f32', 'output')
  const patch = k.buffer('patch', 'f32', 'scratch')
  const [rows, columns, firstTile, tiles] = ['rows', 'columns', 'firstTile', 'tiles'].map((n) => k.int(n))
  const [height, width, top, left, channels] = ['height', 'width', 'top', 'left', 'channels'].map((n) => k.int(n))
  const [outHeight, outWidth, outChannels] = ['outHeight', 'outWidth', 'outChannels'].map((n) => k.int(n))
  const [blockChannels, block, plane] = ['blockChannels', 'block', 'plane'].map((n) => k.int(n))
  const [panel, upstreamPlane] = ['panel', 'upstreamPlane'].map((n) => k.int(n))

  const grid: TileGrid = { height, width, channels, rows, columns, step: outputs, top, left }
  const transformInput = defineTileTransform(k, {
    source: x,
    patch,
    result: transformed,
    grid,
    side: algebra.points,
    transform: algebra.input,
    plane,
    blockChannels,
    block,
  })
  const transformUpstream = defineTileTransform(k, {
    source: upstream,
    patch,
    result: transformedUpstream,
    grid: { ...grid, height: outHeight, width: outWidth, channels: outChannels, top: 0, left: 0 },
    side: outputs,
    transform: algebra.upstream,
    plane: upstreamPlane,
    blockChannels: tileColumns,
    block: panel,
  })
  k.task((task) => {
    const first = k.let(mul(task, tilesPerTask))
    const count = k.let(min(sub(tiles, first), tilesPerTask))
    // Tile by tile inside: neighbours are written to neighbouring lines.
    const each = (
      transform: KernelFunction,
      of: { channels: Expr; blockChannels: Expr | number; block: Expr },
      result: BufferParam,
    ) => {
      const together = k.let(div(constant('i32', patchChannels), of.blockChannels))
      const width = k.let(mul(together, of.blockChannels))
      k.loop(div(add(of.channels, sub(width, 1)), width), (j) => {
        const channel = k.let(mul(j, width))
        const some = k.let(min(sub(of.channels, channel), width))
        const to = k.point(result, add(mul(mul(j, together), of.block), mul(first, of.blockChannels)))
        k.loop(count, (i) => {
          k.call(transform, to, add(add(firstTile, first), i), channel, some)
          k.advance(to, of.blockChannels)
        })
      })
    }
    each(transformInput, { channels, blockChannels, block }, transformed)
    each(transformUpstream, { channels: outChannels, blockChannels: tileColumns, block: panel }, transformedUpstream)
  })
  return k.build(`winograd${outputs}_gradient_tiles_f32_${target.name}`, key)
}

// The products, and the way back to the taps.

export function gradientProductsSpec(outputs: TileOutputs): KernelSpec {
  const key = `winogradGradientProducts|${outputs}`
  return { key, build: (target) => buildProducts(outputs, key, target) }
}

export function gradientProductsCall(
  outputs: TileOutputs,
  g: ConvGeometry,
  b: GradientBlocks,
  chunk: number,
  target: Target,
) {
  const points = algebraOf(outputs).points ** 2
  const tiles = tilesOf(b, chunk)
  const params = [
    chunk,
    tiles,
    g.groupIn,
    g.groupOut,
    b.blockChannels,
    b.blocks,
    b.block,
    b.plane,
    b.panel,
    b.upstreamPlane,
  ]
  return {
    params,
    tasks: b.blocks * b.panels,
    scratch: [b.blockChannels * points * columnsOf(gradientTile(target), target)],
    work: tiles * points * g.groupIn * g.groupOut,
  }
}

function buildProducts(outputs: TileOutputs, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const algebra = algebraOf(outputs)
  const points = algebra.points ** 2
  const tile = gradientTile(target)
  const tileColumns = columnsOf(tile, target)
  const transformed = k.buffer('v', 'f32', 'input')
  const transformedUpstream = k.buffer('z', 'f32', 'input')
  const output = k.buffer('y', 'f32', 'output')
  const sums = k.buffer('sums', 'f32', 'scratch')
  const [chunk, tiles, channels, outChannels] = ['chunk', 'tiles', 'channels', 'outChannels'].map((n) => k.int(n))
  const [blockChannels, blocks, block, plane] = ['blockChannels', 'blocks', 'block', 'plane'].map((n) => k.int(n))
  const [panel, upstreamPlane] = ['panel', 'upstreamPlane'].map((n) => k.int(n))

  const product = defineProduct(k, {
    tile,
    a: transformed,
    b: transformedUpstream,
    out: sums,
    aRow: 1,
    aStep: blockChannels,
    outRow: points * tileColumns,
  })

  /** The nine taps of one or `lanes` columns; chunks behind the first are added to what is there. */
  const defineFinish = (lanes: number) =>
    k.function(`finish${lanes}`, [{ pointer: sums }, { pointer: output }], (from, to) => {
      const load = (pointer: Pointer, offset = 0) =>
        lanes === 1 ? k.load(pointer, offset) : k.loadVector(pointer, offset)
      const tap = k.let(mul(channels, outChannels))
      const read = (i: number, j: number) => load(from, (i * algebra.points + j) * tileColumns)
      const taps: { value: Expr; at: Pointer }[] = []
      transformSquare(k, algebra.weightGradient, algebra.points, read, (i, j, value) => {
        taps.push({ value: k.let(value), at: k.pointFrom(to, mul(tap, 3 * i + j)) })
      })
      k.if(
        eq(chunk, 0),
        () => {
          for (const { value, at } of taps) k.store(at, value)
        },
        () => {
          for (const { value, at } of taps) k.store(at, add(load(at), value))
        },
      )
    })
  const single = defineFinish(1)
  const wide = k.lanes === 1 ? single : defineFinish(k.lanes)

  k.task((task) => {
    const blockIndex = k.let(rem(task, blocks))
    const panelIndex = k.let(div(task, blocks))
    const channel = k.let(mul(blockIndex, blockChannels))
    const count = k.let(min(sub(channels, channel), blockChannels))
    const column = k.let(mul(panelIndex, tileColumns))
    const real = k.let(min(sub(outChannels, column), tileColumns))
    const a = k.point(transformed, mul(blockIndex, block))
    const b = k.point(transformedUpstream, mul(panelIndex, panel))
    const out = k.point(sums)
    k.repeat(constant('i32', points), () => {
      k.call(product, a, b, out, count, tiles)
      k.advance(a, plane)
      k.advance(b, upstreamPlane)
      k.advance(out, tileColumns)
    })
    k.loop(count, (i) => {
      const from = k.point(sums, mul(i, points * tileColumns))
      const to = k.point(output, add(mul(add(channel, i), outChannels), column))
      k.repeat(div(real, k.lanes), () => {
        k.call(wide, from, to)
        k.advance(from, k.lanes)
        k.advance(to, k.lanes)
      })
      if (k.lanes === 1) return
      k.repeat(rem(real, k.lanes), () => {
        k.call(single, from, to)
        k.advance(from, 1)
        k.advance(to, 1)
      })
    })
  })
  return k.build(`winograd${outputs}_gradient_f32_${tile.rows}x${tileColumns}_${target.name}`, key)
}
