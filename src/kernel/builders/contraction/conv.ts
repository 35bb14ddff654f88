/**
 * Convolution as a contraction without an im2col matrix: per task one block of output rows of one image. Where the input
 * needs a border, the task first fills a strip of its own with the padded rows; the register tile never sees an edge.
 * The input gradient is the same kernel with other weights, one call for each phase of the stride.
 */
import { KernelBuilder, type KernelSpec } from '../../build.ts'
import { add, div, min, mul, rem, sub } from '../../expression.ts'
import type { Kernel } from '../../language.ts'
import type { Target } from '../../target.ts'
import { defineFill } from './copy.ts'
import { EpilogueEmitter, type EpilogueShape, epilogueKey, epilogueName } from './epilogue.ts'
import { copiedElementOf, elementOf, type OperandForm } from './operand-form.ts'
import { columnsOf, defineSweep, edgeSize, epilogueSink, wideTile } from './tile.ts'

/** A two-dimensional convolution over channels-last images; the padding may be negative. */
export interface ConvGeometry {
  readonly images: number
  readonly height: number
  readonly width: number
  readonly groups: number
  /** Channels of one group of the input and of the output. */
  readonly groupIn: number
  readonly groupOut: number
  readonly kernel: readonly [rows: number, columns: number]
  readonly stride: readonly [number, number]
  readonly dilation: readonly [number, number]
  /** Zeros before the first row and column. */
  readonly before: readonly [number, number]
  readonly outHeight: number
  readonly outWidth: number
  /** Where results go, in elements: the first one, and from image to image, row to row, pixel to pixel. */
  readonly out: { readonly first: number; readonly image: number; readonly row: number; readonly pixel: number }
}

export interface ConvShape {
  readonly form: OperandForm
  /** Whether the input is copied into strips: where some window reaches beyond it, and where bf16 is widened. */
  readonly padded: boolean
  readonly epilogue: EpilogueShape
}

/** Rows (or columns) of input that `count` windows span. */
function span(count: number, stride: number, kernel: number, dilation: number): number {
  return (count - 1) * stride + (kernel - 1) * dilation + 1
}

export function needsBorder(g: ConvGeometry): boolean {
  if (g.kernel[0] === 0 || g.kernel[1] === 0) return false
  const reaches = (axis: 0 | 1, extent: number, count: number) =>
    g.before[axis] > 0 || span(count, g.stride[axis], g.kernel[axis], g.dilation[axis]) - g.before[axis] > extent
  return reaches(0, g.height, g.outHeight) || reaches(1, g.width, g.outWidth)
}

/** Kernel columns and channels are one contiguous run where nothing lies between them. */
export function runsTogether(g: ConvGeometry): boolean {
  return g.groups === 1 && (g.dilation[1] === 1 || g.kernel[1] === 1)
}

/** Tasks are smaller where there would be few of them. */
const multiplyAddsPerTask = [100_000, 600_000] as const
const tasksWished = 16

export function convSpec(shape: ConvShape): KernelSpec {
  const key = `conv|${shape.form}|${shape.padded}|${epilogueKey(shape.epilogue)}`
  return { key, build: (target) => buildConv(shape, key, target) }
}

export function convCall(shape: ConvShape, g: ConvGeometry, target: Target) {
  const tile = wideTile(target)
  const columns = columnsOf(tile, target)
  const channels = g.groups * g.groupIn
  const together = runsTogether(g)
  const [kernelRows, kernelColumns] = g.kernel
  const terms = kernelRows * kernelColumns * g.groupIn
  const groupPanels = Math.ceil(g.groupOut / columns)
  const panels = g.groups * groupPanels
  const lineWidth = shape.padded ? Math.max(1, span(g.outWidth, g.stride[1], kernelColumns, g.dilation[1])) : g.width
  const line = lineWidth * channels

  // The strip and a few panels share the second-level cache; rows of border are filled once a task.
  const stripBudget = Math.floor(target.cacheBytes / 3 / 4)
  const overlap = (kernelRows - 1) * g.dilation[0] + 1 - g.stride[0]
  const rowsThatFit = Math.max(1, Math.floor((stripBudget / Math.max(1, line) - overlap) / g.stride[0]))
  const perRow = g.outWidth * terms * g.groupOut * g.groups
  const [least, most] = multiplyAddsPerTask
  const work = g.images * g.outHeight * perRow
  const worth = Math.max(least, Math.min(most, work / 2 / tasksWished))
  const rowsWorth = Math.max(1, Math.ceil((2 * worth) / Math.max(1, perRow)))
  const rowBlocks = Math.ceil(
    g.outHeight / Math.min(g.outHeight, rowsThatFit, Math.max(rowsWorth, shape.padded ? 4 : 1)),
  )
  const rowsPerTask = Math.ceil(g.outHeight / rowBlocks)
  const panelsThatFit = Math.max(4, Math.floor(target.cacheBytes / 2 / 4 / Math.max(1, terms * columns)))
  const panelsWorth = Math.ceil(worth / Math.max(1, rowsPerTask * g.outWidth * terms * columns))
  const panelGroups = Math.ceil(panels / Math.max(1, Math.min(panels, Math.max(panelsWorth, panelsThatFit))))
  const panelsPerTask = Math.ceil(panels / panelGroups)

  const params = [
    g.images,
    rowsPerTask,
    rowBlocks,
    g.outHeight,
    g.outWidth,
    panels,
    groupPanels,
    panelsPerTask,
    g.groupIn,
    g.groupOut,
    // The loops of a sum.
    kernelRows,
    together ? Math.min(1, kernelColumns) : kernelColumns,
    together ? kernelColumns * g.groupIn : g.groupIn,
    g.dilation[0] * line,
    g.dilation[1] * channels,
    // Pixels.
    g.stride[1] * channels,
    g.stride[0] * line,
    g.out.first,
    g.out.image,
    g.out.row,
    g.out.pixel,
    g.before[0],
    g.before[1],
    g.height,
    g.width,
    channels,
    lineWidth,
    g.stride[0],
    Math.max(0, overlap + g.stride[0]),
  ]
  const strip = shape.padded ? [Math.max(0, (rowsPerTask - 1) * g.stride[0] + overlap + g.stride[0]) * line] : []
  const outputs = g.images * g.outHeight * g.outWidth * panels
  return {
    params,
    tasks: outputs === 0 ? 0 : g.images * rowBlocks * panelGroups,
    scratch: [edgeSize(tile, target), ...strip],
    work,
  }
}

function buildConv(shape: ConvShape, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const tile = wideTile(target)
  const tileColumns = columnsOf(tile, target)
  const x = k.buffer('x', elementOf(shape.form), 'input')
  const copied = copiedElementOf(shape.form)
  const weights = k.buffer('weights', copied, 'input')
  const epilogue = new EpilogueEmitter(k, shape.epilogue)
  const edge = k.buffer('edge', 'f32', 'scratch')
  const strip = shape.padded ? k.buffer('strip', copied, 'scratch') : undefined
  const [images, rowsPerTask, rowBlocks] = ['images', 'rowsPerTask', 'rowBlocks'].map((n) => k.int(n))
  const [outHeight, outWidth] = ['outHeight', 'outWidth'].map((n) => k.int(n))
  const [panels, groupPanels, panelsPerTask] = ['panels', 'groupPanels', 'panelsPerTask'].map((n) => k.int(n))
  const [groupIn, groupOut] = ['groupIn', 'groupOut'].map((n) => k.int(n))
  const [outer, middle, run] = ['kernelRows', 'taps', 'run'].map((n) => k.int(n))
  const [outerStep, middleStep] = ['kernelRowStep', 'tapStep'].map((n) => k.int(n))
  const [pixelStep, rowStep] = ['pixelStep', 'rowStep'].map((n) => k.int(n))
  const [outFirst, outImage, outRow, outPixel] = ['outFirst', 'outImage', 'outRow', 'outPixel'].map((n) => k.int(n))
  const [top, left, height, width, channels] = ['top', 'left', 'height', 'width', 'channels'].map((n) => k.int(n))
  const [lineWidth, strideRows, spanRows] = ['lineWidth', 'strideRows', 'spanRows'].map((n) => k.int(n))
  epilogue.declareConstants()

  const sweep = defineSweep(k, {
    tile,
    a: strip ?? x,
    b: weights,
    aRow: pixelStep,
    aStep: 1,
    bStep: tileColumns,
    outerStep,
    middleStep,
    outRow: outPixel,
    sink: epilogueSink(k, epilogue, outPixel),
    edge,
  })
  const fill =
    strip === undefined ? undefined : defineFill(k, strip, x, { height, width, channels, paddedWidth: lineWidth, left })

  // One panel of output channels for the rows of a task.
  const declarations = [{ int: 'panel' }, { int: 'start' }, { int: 'out' }, { int: 'rows' }] as const
  const panelRows = k.function('panelRows', declarations, (panel, start, out, rows) => {
    const group = k.let(div(panel, groupPanels))
    const inside = k.let(mul(rem(panel, groupPanels), tileColumns))
    const columns = k.let(min(sub(groupOut, inside), tileColumns))
    const column = k.let(add(mul(group, groupOut), inside))
    const terms = k.let(mul(mul(outer, middle), run))
    const a = k.point(strip ?? x, add(start, mul(group, groupIn)))
    const b = k.point(weights, mul(panel, mul(terms, tileColumns)))
    const place = k.variable(add(out, column), 'place')
    k.repeat(rows, () => {
      k.call(sweep, a, b, place.value, column, columns, outWidth, outer, middle, run)
      k.advance(a, rowStep)
      k.set(place, add(place.value, outRow))
    })
  })

  k.task((task) => {
    const block = k.let(rem(task, rowBlocks))
    const rest = k.let(div(task, rowBlocks))
    const image = k.let(rem(rest, images))
    const firstPanel = k.let(mul(div(rest, images), panelsPerTask))
    const firstRow = k.let(mul(block, rowsPerTask))
    const rows = k.let(min(sub(outHeight, firstRow), rowsPerTask))
    const inputRow = k.let(sub(mul(firstRow, strideRows), top))
    if (strip !== undefined && fill !== undefined) {
      k.call(fill, k.point(strip), image, inputRow, add(mul(sub(rows, 1), strideRows), spanRows))
    }
    const direct = k.let(mul(sub(mul(add(mul(image, height), inputRow), width), left), channels))
    const start = strip === undefined ? direct : 0
    const out = k.let(add(outFirst, add(mul(image, outImage), mul(firstRow, outRow))))
    k.loop(min(sub(panels, firstPanel), panelsPerTask), (i) => k.call(panelRows, add(firstPanel, i), start, out, rows))
  })
  const name = `conv_${shape.form}_${tile.rows}x${tileColumns}${shape.padded ? '_padded' : ''}${epilogueName(shape.epilogue)}_${target.name}`
  return k.build(name, key)
}
