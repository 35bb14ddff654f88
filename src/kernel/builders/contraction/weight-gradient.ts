/**
 * Weight gradients as a contraction: rows are neighbouring (kernel column, channel) positions of the input, columns are
 * output channels, the sum runs over pixels. A task owns its part of the result, so nothing is added across threads; sums
 * stay in registers over a chunk of rows and are then added to the result.
 *
 * With many channels every tap is a section of its own and leaves out the pixels whose tap lies in the border: nothing
 * is padded. With few, the taps of a kernel row are one run of a padded copy of the input.
 */
import type { StorageType } from '../../../base/dtype.ts'
import { KernelBuilder, type KernelSpec } from '../../build.ts'
import { add, div, max, min, mul, rem, sub } from '../../expression.ts'
import type { Expr, Kernel } from '../../language.ts'
import type { Target } from '../../target.ts'
import { type ConvGeometry, runsTogether } from './conv.ts'
import { defineFill } from './copy.ts'
import { accumulateSink, columnsOf, defineSweep, edgeSize, gradientTile } from './tile.ts'

const pixelsPerChunk = 256
const tasksWanted = 32
const mostPieces = 16

/** Whether every tap is a section of its own: then the input needs no border. */
export function tapsApart(g: ConvGeometry, target: Target): boolean {
  return !runsTogether(g) || g.groupIn >= 2 * gradientTile(target).rows || g.kernel[1] === 1
}

/**
 * Whether the upstream gradient is made into panels first, which the tile then reads straight through. Where few tiles
 * read it, copying costs more than it saves.
 */
export function packsUpstream(g: ConvGeometry, target: Target): boolean {
  const tile = gradientTile(target)
  const apart = tapsApart(g, target)
  const tiles = Math.ceil((apart ? g.groupIn : g.kernel[1] * g.groupIn) / tile.rows)
  const sweeps = g.kernel[0] * (apart ? g.kernel[1] : 1) * tiles
  return sweeps >= 8 || g.groupOut % columnsOf(tile, target) !== 0
}

/**
 * Pieces of the batch with results of their own, which are then added in order; depends on the shape alone. A kernel of
 * one tap reads much for what it computes: a task then takes a block of pixels once, for all rows and columns.
 */
export function weightGradientPieces(g: ConvGeometry): number {
  if (g.kernel[0] !== 1 || g.kernel[1] !== 1 || g.groups !== 1) return 1
  const imagesPerPiece = Math.ceil(g.images / mostPieces)
  return Math.ceil(g.images / Math.max(1, imagesPerPiece))
}

/** @param x elements of the input, pairs of images as i32 @param upstream elements of the upstream gradient, pairs likewise */
export function weightGradientSpec(x: StorageType, upstream: StorageType): KernelSpec {
  const key = `weightGradient|${x}|${upstream}`
  return { key, build: (target) => buildWeightGradient(x, upstream, key, target) }
}

/** @param g of the input as the kernel reads it: already padded where taps are not apart */
export function weightGradientCall(g: ConvGeometry, target: Target) {
  const tile = gradientTile(target)
  const columns = columnsOf(tile, target)
  const channels = g.groups * g.groupIn
  const outChannels = g.groups * g.groupOut
  const [kernelRows, kernelColumns] = g.kernel
  const apart = tapsApart(g, target)
  const sections = apart ? kernelColumns : 1
  const sectionRows = apart ? g.groupIn : kernelColumns * g.groupIn
  const groupPanels = Math.ceil(g.groupOut / columns)
  const panels = g.groups * groupPanels
  const pixels = g.outHeight * g.outWidth
  const chunkImages = Math.max(1, Math.min(g.images, Math.floor(pixelsPerChunk / Math.max(1, pixels))))
  const chunkRows = Math.max(1, Math.min(g.outHeight, Math.ceil(pixelsPerChunk / Math.max(1, g.outWidth))))
  // Parts of a section, in multiples of the tile, so that there are enough tasks for several threads.
  const pieces = weightGradientPieces(g)
  const others = pieces > 1 ? pieces : panels * kernelRows * sections
  const tiles = Math.ceil(sectionRows / tile.rows)
  const parts = pieces > 1 ? 1 : Math.max(1, Math.min(tiles, Math.ceil(tasksWanted / others)))
  const partRows = Math.ceil(tiles / parts) * tile.rows
  const realParts = Math.ceil(sectionRows / partRows)
  const packed = packsUpstream(g, target)
  const size = kernelRows * kernelColumns * g.groupIn * outChannels
  const params = [
    g.images,
    Math.ceil(g.images / pieces),
    size,
    pieces > 1 ? panels : 1,
    Math.ceil(panels / (pieces > 1 ? panels : 1)),
    g.height,
    g.width,
    g.outHeight,
    g.outWidth,
    groupPanels,
    g.groupIn,
    g.groupOut,
    channels,
    outChannels,
    kernelRows,
    sections,
    sectionRows,
    partRows,
    realParts,
    chunkImages,
    chunkRows,
    ...g.before,
    ...g.stride,
    ...g.dilation,
    packed ? columns : outChannels,
    packed ? g.images * pixels * columns : columns,
    packed ? groupPanels * g.images * pixels * columns : g.groupOut,
  ]
  const work = g.images * pixels * size
  return { params, tasks: others * realParts, scratch: [edgeSize(tile, target)], work }
}

function buildWeightGradient(xType: StorageType, upstreamType: StorageType, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const tile = gradientTile(target)
  const tileColumns = columnsOf(tile, target)
  const x = k.buffer('x', xType, 'input')
  const upstream = k.buffer('upstream', upstreamType, 'input')
  const output = k.buffer('y', 'f32', 'output')
  const edge = k.buffer('edge', 'f32', 'scratch')
  const [images, imagesPerPiece, pieceSize] = ['images', 'imagesPerPiece', 'pieceSize'].map((n) => k.int(n))
  const [panelsPerTask, panelBlocks] = ['panelsPerTask', 'panelBlocks'].map((n) => k.int(n))
  const [height, width] = ['height', 'width'].map((n) => k.int(n))
  const [outHeight, outWidth] = ['outHeight', 'outWidth'].map((n) => k.int(n))
  const [groupPanels, groupIn, groupOut] = ['groupPanels', 'groupIn', 'groupOut'].map((n) => k.int(n))
  const [channels, outChannels, kernelRows] = ['channels', 'outChannels', 'kernelRows'].map((n) => k.int(n))
  const [sections, sectionRows] = ['sections', 'sectionRows'].map((n) => k.int(n))
  const [partRows, parts] = ['partRows', 'parts'].map((n) => k.int(n))
  const [chunkImages, chunkRows] = ['chunkImages', 'chunkRows'].map((n) => k.int(n))
  const [top, left, strideRows, strideColumns] = ['top', 'left', 'strideRows', 'strideColumns'].map((n) => k.int(n))
  const [dilationRows, dilationColumns] = ['dilationRows', 'dilationColumns'].map((n) => k.int(n))
  const [bStep, bPanel, bGroup] = ['bStep', 'bPanel', 'bGroup'].map((n) => k.int(n))

  // Whether the result already holds earlier chunks travels in the `column` argument, which sums do not need.
  const sweep = defineSweep(k, {
    tile,
    a: x,
    b: upstream,
    aRow: 1,
    aStep: mul(channels, strideColumns),
    bStep,
    bGaps: true,
    outerStep: mul(mul(height, width), channels),
    middleStep: mul(mul(width, channels), strideRows),
    outRow: outChannels,
    sink: accumulateSink(k, output, outChannels),
    edge,
  })

  k.task((task) => {
    const part = k.let(rem(task, parts))
    const rest = k.let(div(task, parts))
    const section = k.let(rem(rest, sections))
    const rest2 = k.let(div(rest, sections))
    const kernelRow = k.let(rem(rest2, kernelRows))
    const rest3 = k.let(div(rest2, kernelRows))
    const firstPanel = k.let(mul(rem(rest3, panelBlocks), panelsPerTask))
    const piece = k.let(div(rest3, panelBlocks))
    const firstRow = k.let(mul(part, partRows))
    const rows = k.let(min(sub(sectionRows, firstRow), partRows))
    const tapRow = mul(add(mul(add(mul(kernelRow, sections), section), sectionRows), firstRow), outChannels)
    const place = k.let(add(mul(piece, pieceSize), tapRow))
    // Pixels whose tap lies inside the input: outputs o with 0 ≤ o·stride + shift < extent.
    const range = (shift: Expr, stride: Expr, extent: Expr, count: Expr) => {
      const first = k.let(min(count, div(add(max(sub(0, shift), 0), sub(stride, 1)), stride)))
      const end = k.let(div(add(max(sub(extent, shift), 0), sub(stride, 1)), stride))
      return { first, count: k.let(max(sub(min(end, count), first), 0)) }
    }
    const down = k.let(sub(mul(kernelRow, dilationRows), top))
    const right = k.let(sub(mul(section, dilationColumns), left))
    const vertical = range(down, strideRows, height, outHeight)
    // A run of several taps reads a padded input: all its pixels count.
    const horizontal = range(right, strideColumns, width, outWidth)
    const start = k.let(
      add(
        mul(
          add(mul(add(mul(vertical.first, strideRows), down), width), add(mul(horizontal.first, strideColumns), right)),
          channels,
        ),
        firstRow,
      ),
    )
    const imageElements = k.let(mul(mul(height, width), channels))
    const lineElements = k.let(mul(mul(width, channels), strideRows))
    const area = k.let(mul(outHeight, outWidth))
    const firstPixel = k.let(add(mul(vertical.first, outWidth), horizontal.first))
    const firstElement = k.let(mul(firstPixel, bStep))
    const innerGap = k.let(mul(sub(outWidth, horizontal.count), bStep))
    const firstImage = k.let(mul(piece, imagesPerPiece))
    const imagesHere = k.let(min(sub(images, firstImage), imagesPerPiece))
    k.loop(div(add(imagesHere, sub(chunkImages, 1)), chunkImages), (i) => {
      const image = k.let(add(firstImage, mul(i, chunkImages)))
      const imageCount = k.let(min(sub(add(firstImage, imagesHere), image), chunkImages))
      // Once even when no pixel counts: the result must be written.
      k.loop(max(div(add(vertical.count, sub(chunkRows, 1)), chunkRows), 1), (j) => {
        const row = k.let(mul(j, chunkRows))
        const rowCount = k.let(min(sub(vertical.count, row), chunkRows))
        const middleGap = k.let(mul(mul(sub(outHeight, rowCount), outWidth), bStep))
        const firstX = k.let(add(start, add(mul(image, imageElements), mul(row, lineElements))))
        const pixel = add(mul(image, area), mul(row, outWidth))
        const firstUpstream = k.let(add(firstElement, mul(pixel, bStep)))
        k.loop(panelsPerTask, (p) => {
          const panel = k.let(add(firstPanel, p))
          const group = k.let(div(panel, groupPanels))
          const panelInGroup = k.let(rem(panel, groupPanels))
          const inside = k.let(mul(panelInGroup, tileColumns))
          const columns = k.let(min(sub(groupOut, inside), tileColumns))
          const a = k.point(x, add(firstX, mul(group, groupIn)))
          const b = k.point(upstream, add(firstUpstream, add(mul(group, bGroup), mul(panelInGroup, bPanel))))
          const out = add(place, add(mul(group, groupOut), inside))
          const sizes = [imageCount, rowCount, horizontal.count, innerGap, middleGap]
          k.call(sweep, a, b, out, add(i, j), columns, rows, ...sizes)
        })
      })
    })
  })
  return k.build(`weight_gradient_${xType}_${tile.rows}x${tileColumns}_${target.name}`, key)
}

// The padded input.

export function padSpec(dtype: StorageType): KernelSpec {
  const key = `padImages|${dtype}`
  return { key, build: (target) => buildPad(dtype, key, target) }
}

export interface PaddedImages {
  readonly images: number
  readonly height: number
  readonly width: number
  readonly channels: number
  readonly before: readonly [number, number]
  readonly paddedHeight: number
  readonly paddedWidth: number
}

export function padCall(p: PaddedImages) {
  const line = p.paddedWidth * p.channels
  const rowsPerTask = Math.max(1, Math.min(p.paddedHeight, Math.ceil(16384 / Math.max(1, line))))
  const blocks = Math.ceil(p.paddedHeight / rowsPerTask)
  const params = [
    p.height,
    p.width,
    p.channels,
    p.paddedWidth,
    p.before[1],
    p.before[0],
    p.paddedHeight,
    rowsPerTask,
    blocks,
  ]
  return { params, tasks: p.images * blocks, work: p.images * p.paddedHeight * line }
}

function buildPad(dtype: StorageType, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const x = k.buffer('x', dtype, 'input')
  const padded = k.buffer('y', dtype, 'output')
  const [height, width, channels] = ['height', 'width', 'channels'].map((n) => k.int(n))
  const [paddedWidth, left, top, paddedHeight] = ['paddedWidth', 'left', 'top', 'paddedHeight'].map((n) => k.int(n))
  const [rowsPerTask, blocks] = ['rowsPerTask', 'blocks'].map((n) => k.int(n))
  const fill = defineFill(k, padded, x, { height, width, channels, paddedWidth, left })
  k.task((task) => {
    const image = k.let(div(task, blocks))
    const row = k.let(mul(rem(task, blocks), rowsPerTask))
    const rows = min(sub(paddedHeight, row), rowsPerTask)
    const to = k.point(padded, mul(mul(add(mul(image, paddedHeight), row), paddedWidth), channels))
    k.call(fill, to, image, sub(row, top), rows)
  })
  return k.build(`pad_images_${dtype}_${target.name}`, key)
}
