/**
 * Input gradients into few channels. As a convolution most lanes of a vector of channels would be empty; here they are
 * filled with (kernel column, channel) positions: per row of the upstream gradient one product gives what every pixel
 * sends to each of these positions, which is then added where it belongs. A task owns some rows of one image.
 */
import type { StorageType } from '../../../base/dtype.ts'
import { KernelBuilder, type KernelSpec } from '../../build.ts'
import { add, and, constant, div, ge, lt, max, min, mul, rem, sub } from '../../expression.ts'
import type { Kernel } from '../../language.ts'
import type { Target } from '../../target.ts'
import type { ConvGeometry } from './conv.ts'
import { defineCopy, defineZero } from './copy.ts'
import { defineSweep, edgeSize, storeSink, type TileSize, tileOf } from './tile.ts'

export interface ScatterShape {
  readonly upstream: StorageType
  readonly result: StorageType
  /** Vectors that the positions of one kernel row fill. */
  readonly vectors: number
}

export function scatterShape(
  g: ConvGeometry,
  target: Target,
  upstream: StorageType = 'f32',
  result: StorageType = 'f32',
): ScatterShape {
  return { upstream, result, vectors: Math.ceil((g.kernel[1] * g.groupIn) / target.lanes) }
}

/** One vector wide where the positions fill no more, otherwise two. */
export function scatterTile(shape: ScatterShape, target: Target): TileSize {
  return tileOf(target, shape.vectors === 1 ? 1 : 2)
}

/** Elements that the positions of one kernel row take: whole tiles. */
function rowElements(shape: ScatterShape, target: Target): number {
  const { vectors } = scatterTile(shape, target)
  return Math.ceil(shape.vectors / vectors) * vectors * target.lanes
}

export function scatterSpec(shape: ScatterShape): KernelSpec {
  const key = `scatter|${shape.vectors}|${shape.upstream}|${shape.result}`
  return { key, build: (target) => buildScatter(shape, key, target) }
}

/** Images below which their rows are shared among tasks as well; rows near a cut are then computed twice. */
const imagesEnough = 8

/** @param g of the forward convolution; without dilation along the width, groups or negative padding */
export function scatterCall(shape: ScatterShape, g: ConvGeometry, target: Target) {
  const { kernel, stride, before } = g
  const blocks = g.images >= imagesEnough ? 1 : Math.min(g.height, imagesEnough)
  const rowsPerTask = Math.ceil(g.height / blocks)
  const pixels = Math.max((g.outWidth - 1) * stride[1] + kernel[1], before[1] + g.width)
  // The last addition of a row may reach beyond it by less than its vectors.
  const line = Math.ceil((pixels * g.groupIn + rowElements(shape, target)) / target.lanes) * target.lanes
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
  ]
  return {
    params,
    tasks: g.width * g.height * g.groupIn === 0 ? 0 : g.images * Math.ceil(g.height / rowsPerTask),
    scratch: [
      edgeSize(scatterTile(shape, target), target),
      g.outWidth * rowElements(shape, target),
      rowsPerTask * line,
    ],
    work: g.images * g.outHeight * g.outWidth * kernel[0] * kernel[1] * g.groupIn * g.groupOut,
  }
}

function buildScatter(shape: ScatterShape, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const { lanes } = target
  const tile = scatterTile(shape, target)
  const width = rowElements(shape, target)
  const panelWidth = tile.vectors * lanes
  const upstream = k.buffer('upstream', shape.upstream, 'input')
  const weights = k.buffer('weights', 'f32', 'input')
  const output = k.buffer('y', shape.result, 'output')
  const edge = k.buffer('edge', 'f32', 'scratch')
  const sent = k.buffer('sent', 'f32', 'scratch')
  const strip = k.buffer('strip', 'f32', 'scratch')
  const [height, columns, channels] = ['height', 'width', 'channels'].map((n) => k.int(n))
  const [outChannels, outHeight, outWidth] = ['outChannels', 'outHeight', 'outWidth'].map((n) => k.int(n))
  const [kernelRows, top, left] = ['kernelRows', 'top', 'left'].map((n) => k.int(n))
  const [strideRows, strideColumns, dilation] = ['strideRows', 'strideColumns', 'dilation'].map((n) => k.int(n))
  const [rowsPerTask, blocks, line] = ['rowsPerTask', 'blocks', 'line'].map((n) => k.int(n))

  const sweep = defineSweep(k, {
    tile,
    a: upstream,
    b: weights,
    aRow: outChannels,
    aStep: 1,
    bStep: panelWidth,
    outerStep: outChannels,
    middleStep: outChannels,
    outRow: constant('i32', width),
    sink: storeSink(k, sent, constant('i32', width)),
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
      for (let v = 0; v < shape.vectors; v++) {
        const load = (p: typeof to) => (lanes === 1 ? k.load(p, v) : k.loadVector(p, v * lanes))
        k.store(to, add(load(to), load(from)), v * lanes)
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
          for (let panel = 0; panel < width / panelWidth; panel++) {
            const a = k.point(upstream, start)
            const b = k.point(weights, mul(add(mul(r, width / panelWidth), panel), mul(outChannels, panelWidth)))
            k.call(sweep, a, b, panel * panelWidth, 0, panelWidth, outWidth, 1, 1, outChannels)
          }
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
  return k.build(`scatter_f32_${tile.rows}x${panelWidth}_${shape.vectors}_${target.name}`, key)
}
