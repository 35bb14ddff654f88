/**
 * Input gradients into few channels. As a convolution most lanes of a vector of channels would be empty; here they are
 * filled with (kernel column, channel) positions: per row of the upstream gradient one product gives what every pixel
 * sends to each of these positions, which is then added where it belongs. A task owns some rows of one image.
 */
import type { StorageType } from '../../../base/dtype.ts'
import { KernelBuilder, type KernelSpec } from '../../build.ts'
import { add, and, constant, div, ge, lt, max, min, mul, rem, sub } from '../../expression.ts'
import type { Kernel, Pointer } from '../../language.ts'
import type { Target } from '../../target.ts'
import type { ConvGeometry } from './conv.ts'
import { defineCopy, defineZero } from './copy.ts'
import { copiedElementOf, elementOf, type OperandForm } from './operand-form.ts'
import { columnsOf, defineSweep, edgeSize, storeSink, type TileSize, tileOf } from './tile.ts'

export interface ScatterShape {
  /** How the upstream gradient is read. */
  readonly form: OperandForm
  readonly result: StorageType
  /** Vectors that the positions of one kernel row fill, where they are so few that their additions are written out. */
  readonly vectors: number | undefined
}

const mostWrittenOut = 4

/** Vectors that the positions of one kernel row fill. */
export function scatterVectors(g: ConvGeometry, target: Target): number {
  return Math.ceil((g.kernel[1] * g.groupIn) / target.lanes)
}

/** @param result elements of what comes out */
export function scatterShape(g: ConvGeometry, target: Target, form: OperandForm, result: StorageType): ScatterShape {
  const vectors = scatterVectors(g, target)
  return { form, result, vectors: vectors > mostWrittenOut ? undefined : vectors }
}

/** One vector wide where the positions fill no more, otherwise two. */
export function scatterTile(shape: ScatterShape, target: Target): TileSize {
  return tileOf(target, shape.vectors === 1 ? 1 : 2)
}

/** Panels of the tile's columns that hold the positions of one kernel row. */
function panelsOfRow(tile: TileSize, vectors: number): number {
  return Math.ceil(vectors / tile.vectors)
}

export function scatterSpec(shape: ScatterShape): KernelSpec {
  const key = `scatter|${shape.form}|${shape.result}|${shape.vectors ?? 'many'}`
  return { key, build: (target) => buildScatter(shape, key, target) }
}

/** Images below which their rows are shared among tasks as well; rows near a cut are then computed twice. */
const imagesEnough = 8

/** @param g of the forward convolution; without dilation along the width, groups or negative padding */
export function scatterCall(shape: ScatterShape, g: ConvGeometry, target: Target) {
  const { kernel, stride, before } = g
  const tile = scatterTile(shape, target)
  const vectors = scatterVectors(g, target)
  const panels = panelsOfRow(tile, vectors)
  const rowElements = panels * columnsOf(tile, target)
  const blocks = g.images >= imagesEnough ? 1 : Math.min(g.height, imagesEnough)
  const rowsPerTask = Math.ceil(g.height / blocks)
  const pixels = Math.max((g.outWidth - 1) * stride[1] + kernel[1], before[1] + g.width)
  // The last addition of a row may reach beyond it by less than its vectors.
  const line = Math.ceil((pixels * g.groupIn + rowElements) / target.lanes) * target.lanes
  const params = [
    g.height,
    g.width,
    g.groupIn,
    g.groupOut,
    g.outHeight,
    g.outWidth,
    kernel[0],
    ...before,
    ...stride,
    g.dilation[0],
    rowsPerTask,
    Math.ceil(g.height / rowsPerTask),
    line,
    vectors,
    panels,
  ]
  return {
    params,
    tasks: g.width * g.height * g.groupIn === 0 ? 0 : g.images * Math.ceil(g.height / rowsPerTask),
    scratch: [edgeSize(tile, target), g.outWidth * rowElements, rowsPerTask * line],
    work: g.images * g.outHeight * g.outWidth * kernel[0] * kernel[1] * g.groupIn * g.groupOut,
  }
}

function buildScatter(shape: ScatterShape, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const { lanes } = target
  const tile = scatterTile(shape, target)
  const panelWidth = columnsOf(tile, target)
  const upstream = k.buffer('upstream', elementOf(shape.form), 'input')
  const weights = k.buffer('weights', copiedElementOf(shape.form), 'input')
  const output = k.buffer('y', shape.result, 'output')
  const edge = k.buffer('edge', 'f32', 'scratch')
  const sent = k.buffer('sent', 'f32', 'scratch')
  const strip = k.buffer('strip', 'f32', 'scratch')
  const [height, columns, channels] = ['height', 'width', 'channels'].map((n) => k.int(n))
  const [outChannels, outHeight, outWidth] = ['outChannels', 'outHeight', 'outWidth'].map((n) => k.int(n))
  const [kernelRows, top, left] = ['kernelRows', 'top', 'left'].map((n) => k.int(n))
  const [strideRows, strideColumns, dilation] = ['strideRows', 'strideColumns', 'dilation'].map((n) => k.int(n))
  const [rowsPerTask, blocks, line] = ['rowsPerTask', 'blocks', 'line'].map((n) => k.int(n))
  const [vectors, panels] = ['vectors', 'panels'].map((n) => k.int(n))
  // What the code can know, it knows.
  const fixed = shape.vectors === undefined ? undefined : panelsOfRow(tile, shape.vectors)
  const width = fixed === undefined ? mul(panels, panelWidth) : constant('i32', fixed * panelWidth)

  const sweep = defineSweep(k, {
    tile,
    a: upstream,
    b: weights,
    aRow: outChannels,
    aStep: 1,
    bStep: panelWidth,
    outerStep: outChannels,
    middleStep: outChannels,
    outRow: width,
    sink: storeSink(k, sent, width),
    edge,
    wholeColumns: true,
  })
  const zero = defineZero(k, strip)
  const copy = defineCopy(k, output, strip)
  const addRow = k.function('addRow', [{ pointer: strip }], (first) => {
    const to = k.pointFrom(first)
    const from = k.point(sent)
    const step = k.variable(mul(strideColumns, channels), 'step').value
    k.repeat(outWidth, () => {
      const addVector = (target: Pointer, source: Pointer, v: number) => {
        const load = (p: Pointer) => (lanes === 1 ? k.load(p, v) : k.loadVector(p, v * lanes))
        k.store(target, add(load(target), load(source)), v * lanes)
      }
      if (shape.vectors !== undefined) for (let v = 0; v < shape.vectors; v++) addVector(to, from, v)
      else {
        const target = k.pointFrom(to)
        const source = k.pointFrom(from)
        k.repeat(vectors, () => {
          addVector(target, source, 0)
          k.advance(target, lanes)
          k.advance(source, lanes)
        })
      }
      k.advance(to, step)
      k.advance(from, width)
    })
  })

  k.task((task) => {
    const image = k.let(div(task, blocks))
    const firstRow = k.let(mul(rem(task, blocks), rowsPerTask))
    const rows = k.let(min(sub(height, firstRow), rowsPerTask))
    k.call(zero, k.point(strip), mul(rows, line))
    // Rows of the upstream gradient that reach some row of this task.
    const reach = mul(sub(kernelRows, 1), dilation)
    const first = k.let(div(max(add(sub(add(firstRow, top), reach), sub(strideRows, 1)), 0), strideRows))
    const last = k.let(min(outHeight, add(div(sub(add(add(firstRow, rows), top), 1), strideRows), 1)))
    k.range(first, last, (o) => {
      const start = k.let(mul(mul(add(mul(image, outHeight), o), outWidth), outChannels))
      k.loop(kernelRows, (r) => {
        const row = k.let(sub(sub(add(mul(o, strideRows), mul(r, dilation)), top), firstRow))
        k.if(and(ge(row, 0), lt(row, rows)), () => {
          k.loop(panels, (panel) => {
            const a = k.point(upstream, start)
            const b = k.point(weights, mul(add(mul(r, panels), panel), mul(outChannels, panelWidth)))
            k.call(sweep, a, b, mul(panel, panelWidth), 0, panelWidth, outWidth, 1, 1, outChannels)
          })
          k.call(addRow, k.point(strip, mul(row, line)))
        })
      })
    })
    const to = k.point(output, mul(mul(add(mul(image, height), firstRow), columns), channels))
    const from = k.point(strip, mul(left, channels))
    const count = k.let(mul(columns, channels))
    k.repeat(rows, () => {
      k.call(copy, to, from, count)
      k.advance(to, count)
      k.advance(from, line)
    })
  })
  return k.build(`scatter_${shape.form}_${tile.rows}x${panelWidth}_${shape.vectors ?? 'many'}_${target.name}`, key)
}
