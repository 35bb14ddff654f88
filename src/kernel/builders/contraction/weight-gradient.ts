/**
 * Weight gradients as a contraction: rows are neighbouring (kernel column, channel) positions of the padded input,
 * columns are output channels, the sum runs over pixels. A task owns its part of the result, so nothing is added across
 * threads; sums stay in registers over a chunk of rows and are then added to the result.
 */
import { KernelBuilder, type KernelSpec } from '../../build.ts'
import { add, div, min, mul, rem, sub } from '../../expression.ts'
import type { Kernel } from '../../language.ts'
import type { Target } from '../../target.ts'
import { type ConvGeometry, runsTogether } from './conv.ts'
import { defineFill } from './copy.ts'
import { accumulateSink, columnsOf, defineSweep, edgeSize, gradientTile } from './tile.ts'

/** The padded input, or the input itself, as this kernel reads it. */
export interface InputLayout {
  /** Element that the first window's first tap reads. */
  readonly first: number
  readonly image: number
  readonly row: number
}

const pixelsPerChunk = 256
const tasksWanted = 32

export function weightGradientSpec(): KernelSpec {
  const key = 'weightGradient'
  return { key, build: (target) => buildWeightGradient(key, target) }
}

export function weightGradientCall(g: ConvGeometry, input: InputLayout, target: Target) {
  const tile = gradientTile(target)
  const columns = columnsOf(tile, target)
  const channels = g.groups * g.groupIn
  const outChannels = g.groups * g.groupOut
  const together = runsTogether(g)
  const [kernelRows, kernelColumns] = g.kernel
  const sections = together ? 1 : kernelColumns
  const sectionRows = together ? kernelColumns * g.groupIn : g.groupIn
  const groupPanels = Math.ceil(g.groupOut / columns)
  const panels = g.groups * groupPanels
  const pixels = g.outHeight * g.outWidth
  const chunkImages = Math.max(1, Math.min(g.images, Math.floor(pixelsPerChunk / Math.max(1, pixels))))
  const chunkRows = Math.max(1, Math.min(g.outHeight, Math.ceil(pixelsPerChunk / Math.max(1, g.outWidth))))
  // Parts of a section, in multiples of the tile, so that there are enough tasks for several threads.
  const others = panels * kernelRows * sections
  const tiles = Math.ceil(sectionRows / tile.rows)
  const parts = Math.max(1, Math.min(tiles, Math.ceil(tasksWanted / others)))
  const partRows = Math.ceil(tiles / parts) * tile.rows
  const realParts = Math.ceil(sectionRows / partRows)
  const params = [
    g.images,
    g.outHeight,
    g.outWidth,
    groupPanels,
    g.groupIn,
    g.groupOut,
    outChannels,
    kernelRows,
    sections,
    sectionRows,
    partRows,
    realParts,
    chunkImages,
    chunkRows,
    input.first,
    input.image,
    input.row * g.stride[0],
    channels * g.stride[1],
    input.row * g.dilation[0],
    channels * g.dilation[1],
  ]
  const work = g.images * pixels * kernelRows * kernelColumns * g.groupIn * outChannels
  return { params, tasks: others * realParts, scratch: [edgeSize(tile, target)], work }
}

function buildWeightGradient(key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const tile = gradientTile(target)
  const tileColumns = columnsOf(tile, target)
  const x = k.buffer('x', 'f32', 'input')
  const upstream = k.buffer('upstream', 'f32', 'input')
  const output = k.buffer('y', 'f32', 'output')
  const edge = k.buffer('edge', 'f32', 'scratch')
  const [images, outHeight, outWidth] = ['images', 'outHeight', 'outWidth'].map((n) => k.int(n))
  const [groupPanels, groupIn] = ['groupPanels', 'groupIn'].map((n) => k.int(n))
  const [groupOut, outChannels, kernelRows] = ['groupOut', 'outChannels', 'kernelRows'].map((n) => k.int(n))
  const [sections, sectionRows] = ['sections', 'sectionRows'].map((n) => k.int(n))
  const [partRows, parts] = ['partRows', 'parts'].map((n) => k.int(n))
  const [chunkImages, chunkRows] = ['chunkImages', 'chunkRows'].map((n) => k.int(n))
  const [first, imageStep, rowStep] = ['first', 'imageStep', 'rowStep'].map((n) => k.int(n))
  const [pixelStep, kernelRowStep, tapStep] = ['pixelStep', 'kernelRowStep', 'tapStep'].map((n) => k.int(n))

  // Whether the result already holds earlier chunks travels in the `column` argument, which sums do not need.
  const sweep = defineSweep(k, {
    tile,
    a: x,
    b: upstream,
    aRow: 1,
    aStep: pixelStep,
    bStep: tileColumns,
    outerStep: imageStep,
    middleStep: rowStep,
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
    const panel = k.let(div(rest2, kernelRows))
    const group = k.let(div(panel, groupPanels))
    const inside = k.let(mul(rem(panel, groupPanels), tileColumns))
    const columns = k.let(min(sub(groupOut, inside), tileColumns))
    const firstRow = k.let(mul(part, partRows))
    const rows = k.let(min(sub(sectionRows, firstRow), partRows))
    const place = mul(add(mul(add(mul(kernelRow, sections), section), sectionRows), firstRow), outChannels)
    const out = k.let(add(place, add(mul(group, groupOut), inside)))
    const taps = add(mul(kernelRow, kernelRowStep), add(mul(section, tapStep), add(mul(group, groupIn), firstRow)))
    const start = k.let(add(first, taps))
    const area = k.let(mul(outHeight, outWidth))
    const right = k.let(mul(panel, mul(images, area)))
    k.loop(div(add(images, sub(chunkImages, 1)), chunkImages), (i) => {
      const image = k.let(mul(i, chunkImages))
      const imageCount = k.let(min(sub(images, image), chunkImages))
      k.loop(div(add(outHeight, sub(chunkRows, 1)), chunkRows), (j) => {
        const row = k.let(mul(j, chunkRows))
        const rowCount = k.let(min(sub(outHeight, row), chunkRows))
        const a = k.point(x, add(start, add(mul(image, imageStep), mul(row, rowStep))))
        const b = k.point(upstream, mul(add(right, add(mul(image, area), mul(row, outWidth))), tileColumns))
        k.call(sweep, a, b, out, add(i, j), columns, rows, imageCount, rowCount, outWidth)
      })
    })
  })
  return k.build(`weight_gradient_f32_${tile.rows}x${tileColumns}_${target.name}`, key)
}

// The padded input.

export function padSpec(): KernelSpec {
  const key = 'padImages'
  return { key, build: (target) => buildPad(key, target) }
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

function buildPad(key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const x = k.buffer('x', 'f32', 'input')
  const padded = k.buffer('y', 'f32', 'output')
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
  return k.build(`pad_images_f32_${target.name}`, key)
}
