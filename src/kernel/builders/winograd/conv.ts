/**
 * Winograd's convolution in one kernel. A task takes a block of tiles: it transforms them into scratch memory of its
 * thread, and for each panel of output channels multiplies them with the transformed weights, one small product a point,
 * and transforms the results back on their way through the epilogue. Nothing in between leaves the cache.
 *
 * scratch: transformed tiles [point][tile][channel], products [tile][point][column of the panel]
 */
import type { StorageType } from '../../../base/dtype.ts'
import { KernelBuilder, type KernelSpec } from '../../build.ts'
import { add, and, constant, div, eq, min, mul, rem, sub } from '../../expression.ts'
import type { Kernel } from '../../language.ts'
import type { Target } from '../../target.ts'
import type { ConvGeometry } from '../contraction/conv.ts'
import { EpilogueEmitter, type EpilogueShape, epilogueKey, epilogueName } from '../contraction/epilogue.ts'
import { columnsOf, wideTile } from '../contraction/tile.ts'
import { algebraOf, type TileOutputs, transformSquare } from './algebra.ts'
import { defineProduct } from './product.ts'
import { defineTileTransform, locate, patchChannels, patchSize, planePadding, type TileGrid } from './tiles.ts'
import { weightLayout } from './weights.ts'

export interface WinogradShape {
  readonly outputs: TileOutputs
  /** Elements of the input. */
  readonly input: StorageType
  readonly epilogue: EpilogueShape
}

/** How the work is cut. */
export interface WinogradBlocks {
  /** Tiles of an image, of all images, of a task. */
  readonly rows: number
  readonly columns: number
  readonly tiles: number
  readonly tilesPerTask: number
  readonly tileBlocks: number
  readonly panels: number
  readonly panelsPerTask: number
  readonly panelGroups: number
}

/** Tasks that keep a handful of threads busy to the end. */
const tasksWanted = 8
/** Output channels that pay for transforming the input once more. */
const columnsWorthATransform = 128
const mostTiles = 32
/** Fewer tiles than this would read the weights too often; those that come from memory each time, half as often. */
const fewestTiles = 16
const cachesOfWeights = 16

export function winogradBlocks(outputs: TileOutputs, g: ConvGeometry, target: Target): WinogradBlocks {
  const { points } = algebraOf(outputs)
  const rows = Math.ceil(g.outHeight / outputs)
  const columns = Math.ceil(g.outWidth / outputs)
  const tiles = g.images * rows * columns
  const bytes = points ** 2 * g.groupIn * 4
  const fit = Math.floor(target.cacheBytes / 2 / Math.max(1, bytes))
  const fewest = bytes * g.groupOut > cachesOfWeights * target.cacheBytes ? 2 * fewestTiles : fewestTiles
  const blocks = Math.ceil(tiles / Math.max(fewest, Math.min(mostTiles, fit)))
  const tilesPerTask = Math.max(1, Math.ceil(tiles / Math.max(1, blocks)))
  const tileBlocks = Math.ceil(tiles / tilesPerTask)
  const width = columnsOf(wideTile(target), target)
  const panels = Math.ceil(g.groupOut / width)
  const groups = Math.min(
    Math.ceil(tasksWanted / Math.max(1, tileBlocks)),
    Math.max(1, Math.floor(g.groupOut / columnsWorthATransform)),
  )
  const panelsPerTask = Math.max(1, Math.ceil(panels / groups))
  const panelGroups = Math.ceil(panels / panelsPerTask)
  return { rows, columns, tiles, tilesPerTask, tileBlocks, panels, panelsPerTask, panelGroups }
}

export function winogradSpec(shape: WinogradShape): KernelSpec {
  const key = `winograd|${shape.outputs}|${shape.input}|${epilogueKey(shape.epilogue)}`
  return { key, build: (target) => buildWinograd(shape, key, target) }
}

export function winogradCall(shape: WinogradShape, g: ConvGeometry, target: Target) {
  const { outputs } = shape
  const points = algebraOf(outputs).points ** 2
  const b = winogradBlocks(outputs, g, target)
  const channels = g.groupIn
  // Rows of a product must not all begin in the same lines of the first-level cache.
  const tileStride = channels > 0 && channels % 256 === 0 ? channels + planePadding : channels
  const plane = b.tilesPerTask * tileStride + planePadding
  const weights = weightLayout(outputs, channels, target)
  const params = [
    b.rows,
    b.columns,
    b.tiles,
    b.tilesPerTask,
    b.tileBlocks,
    b.panels,
    b.panelsPerTask,
    channels,
    g.groupOut,
    g.height,
    g.width,
    ...g.before,
    g.outHeight,
    g.outWidth,
    tileStride,
    plane,
    weights.plane,
    weights.panel,
    g.out.first,
    g.out.image,
    g.out.row,
    g.out.pixel,
  ]
  const width = columnsOf(wideTile(target), target)
  const products = b.tilesPerTask * points * width
  return {
    params,
    tasks: b.tileBlocks * b.panelGroups,
    scratch: [points * plane, products, patchSize(algebraOf(outputs).points), outputs ** 2 * target.lanes],
    work: b.tiles * points * channels * g.groupOut,
  }
}

function buildWinograd(shape: WinogradShape, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const { outputs } = shape
  const algebra = algebraOf(outputs)
  const points = algebra.points ** 2
  const tile = wideTile(target)
  const tileColumns = columnsOf(tile, target)
  const x = k.buffer('x', shape.input, 'input')
  const weights = k.buffer('weights', 'f32', 'input')
  const epilogue = new EpilogueEmitter(k, shape.epilogue)
  const transformed = k.buffer('v', 'f32', 'scratch')
  const products = k.buffer('m', 'f32', 'scratch')
  const patch = k.buffer('patch', 'f32', 'scratch')
  const edge = k.buffer('edge', 'f32', 'scratch')
  const [rows, columns, tiles, tilesPerTask] = ['rows', 'columns', 'tiles', 'tilesPerTask'].map((n) => k.int(n))
  const [tileBlocks, panels, panelsPerTask] = ['tileBlocks', 'panels', 'panelsPerTask'].map((n) => k.int(n))
  const [channels, outChannels, height, width] = ['channels', 'outChannels', 'height', 'width'].map((n) => k.int(n))
  const [top, left, outHeight, outWidth] = ['top', 'left', 'outHeight', 'outWidth'].map((n) => k.int(n))
  const [tileStride, plane] = ['tileStride', 'plane'].map((n) => k.int(n))
  const [weightPlane, weightPanel] = ['weightPlane', 'weightPanel'].map((n) => k.int(n))
  const [outFirst, outImage, outRow, outPixel] = ['outFirst', 'outImage', 'outRow', 'outPixel'].map((n) => k.int(n))
  epilogue.declareConstants()

  const grid: TileGrid = { height, width, channels, rows, columns, step: outputs, top, left }
  const transform = defineTileTransform(k, {
    source: x,
    patch,
    result: transformed,
    grid,
    side: algebra.points,
    transform: algebra.input,
    plane,
    blockChannels: patchChannels,
    block: patchChannels,
  })
  const product = defineProduct(k, {
    tile,
    a: transformed,
    b: weights,
    out: products,
    aRow: tileStride,
    aStep: 1,
    outRow: points * tileColumns,
  })

  /** A whole tile in one or `lanes` columns. */
  const whole = k.function('whole', [{ pointer: products }, { int: 'out' }, { int: 'column' }], (from, out, column) => {
    const first = epilogue.open(out, column)
    const held = epilogue.columnOperands(first, 0, k.lanes)
    const load = (i: number, j: number) => {
      const offset = (i * algebra.points + j) * tileColumns
      return k.lanes === 1 ? k.load(from, offset) : k.loadVector(from, offset)
    }
    let line = first
    let at = first
    transformSquare(k, algebra.output, algebra.points, load, (i, j, value) => {
      if (j > 0) at = epilogue.shift(at, outPixel)
      else if (i > 0) {
        line = epilogue.shift(line, outRow)
        at = line
      }
      epilogue.emit(k.let(value), at, held, 0, k.lanes)
    })
  })
  /** The first `high` rows and `wide` columns of a tile that reaches beyond the output, or of single channels. */
  const definePart = (lanes: number) =>
    k.function(
      `part${lanes}`,
      [{ pointer: products }, { int: 'out' }, { int: 'column' }, { int: 'high' }, { int: 'wide' }],
      (from, out, column, high, wide) => {
        const load = (i: number, j: number) => {
          const offset = (i * algebra.points + j) * tileColumns
          return lanes === 1 ? k.load(from, offset) : k.loadVector(from, offset)
        }
        const kept = k.point(edge)
        transformSquare(k, algebra.output, algebra.points, load, (i, j, value) =>
          k.store(kept, value, (i * outputs + j) * lanes),
        )
        k.loop(high, (i) => {
          k.loop(wide, (j) => {
            const value = k.pointFrom(kept, mul(add(mul(i, outputs), j), lanes))
            const place = k.let(add(out, add(mul(i, outRow), mul(j, outPixel))))
            const cursors = epilogue.open(place, column)
            const held = epilogue.columnOperands(cursors, 0, lanes)
            epilogue.emit(k.let(lanes === 1 ? k.load(value) : k.loadVector(value)), cursors, held, 0, lanes)
          })
        })
      },
    )
  const single = definePart(1)
  const part = k.lanes === 1 ? single : definePart(k.lanes)

  const outGrid: TileGrid = { ...grid, top: 0, left: 0 }
  const store = k.function(
    'store',
    [{ pointer: products }, { int: 'tile' }, { int: 'firstColumn' }],
    (firstFrom, tile, firstColumn) => {
      const { image, row, column } = locate(k, outGrid, tile)
      const high = k.let(min(sub(outHeight, row), outputs))
      const wide = k.let(min(sub(outWidth, column), outputs))
      const place = add(mul(image, outImage), add(mul(row, outRow), mul(column, outPixel)))
      const out = k.let(add(outFirst, add(place, firstColumn)))
      const count = k.let(min(sub(outChannels, firstColumn), tileColumns))
      const done = k.let(mul(div(count, k.lanes), k.lanes))
      k.loop(div(count, k.lanes), (i) => {
        const offset = k.let(mul(i, k.lanes))
        const from = k.pointFrom(firstFrom, offset)
        k.if(
          and(eq(high, outputs), eq(wide, outputs)),
          () => k.call(whole, from, add(out, offset), add(firstColumn, offset)),
          () => k.call(part, from, add(out, offset), add(firstColumn, offset), high, wide),
        )
      })
      k.loop(sub(count, done), (i) => {
        const offset = k.let(add(done, i))
        k.call(single, k.pointFrom(firstFrom, offset), add(out, offset), add(firstColumn, offset), high, wide)
      })
    },
  )
  const panelOf = k.function('panel', [{ int: 'panel' }, { int: 'first' }, { int: 'count' }], (panel, first, count) => {
    const a = k.point(transformed)
    const b = k.point(weights, mul(panel, weightPanel))
    const out = k.point(products)
    k.repeat(constant('i32', points), () => {
      k.call(product, a, b, out, count, channels)
      k.advance(a, plane)
      k.advance(b, weightPlane)
      k.advance(out, tileColumns)
    })
    k.loop(count, (i) => {
      const from = k.point(products, mul(i, points * tileColumns))
      k.call(store, from, add(first, i), mul(panel, tileColumns))
    })
  })

  k.task((task) => {
    const first = k.let(mul(rem(task, tileBlocks), tilesPerTask))
    const count = k.let(min(sub(tiles, first), tilesPerTask))
    const firstPanel = k.let(mul(div(task, tileBlocks), panelsPerTask))
    k.loop(count, (i) => {
      k.loop(div(add(channels, patchChannels - 1), patchChannels), (j) => {
        const channel = k.let(mul(j, patchChannels))
        const to = k.point(transformed, add(mul(i, tileStride), channel))
        k.call(transform, to, add(first, i), channel, min(sub(channels, channel), patchChannels))
      })
    })
    k.loop(min(sub(panels, firstPanel), panelsPerTask), (i) => k.call(panelOf, add(firstPanel, i), first, count))
  })
  const name = `winograd${outputs}_f32_${tile.rows}x${tileColumns}${epilogueName(shape.epilogue)}_${target.name}`
  return k.build(name, key)
}
