/**
 * Weight gradient of a depthwise convolution: a few taps of a kernel row in registers, vectors along channels, sums over
 * the pixels for which all of them lie inside the input; the pixels at the edges are added tap by tap.
 */
import type { StorageType } from '../../../base/dtype.ts'
import { KernelBuilder, type KernelSpec } from '../../build.ts'
import { add, constant, div, eq, fma, int, lt, max, min, mul, rem, sub } from '../../expression.ts'
import type { BufferParam, Expr, Kernel, KernelFunction, Pointer } from '../../language.ts'
import type { Target } from '../../target.ts'
import type { DepthwiseArguments } from './depthwise.ts'

const tapsInRegisters = 3
/** Vectors of channels whose pixels of one image stay in the cache while the kernel rows pass. */
const vectorsPerTask = 4
const tasksWanted = 16

/** Constants of the code, with which addresses cost no instructions; undefined with a multiplier. */
interface Fixed {
  readonly channels: number
  readonly stride: number
  readonly dilation: number
  readonly kernelColumns: number
}

/**
 * Neighbouring pixels whose upstream gradients are held in registers, the most first, where windows overlap: every input
 * is loaded once and goes into the sums of all taps of a kernel row. None where they do not, or do not fit.
 */
function heldPixels(fixed: Fixed | undefined, target: Target): readonly number[] {
  if (fixed === undefined || fixed.stride !== 1 || fixed.dilation !== 1 || target.lanes === 1) return []
  // Besides the sums an input, and where multiply and add are not fused a product.
  const room = target.registers - fixed.kernelColumns - (target.fma ? 2 : 4)
  return [14, 7, 3].filter((pixels) => pixels <= room)
}

interface Elements {
  readonly x: StorageType
  readonly upstream: StorageType
}

/** @param elements of the input and of the upstream gradient */
export function depthwiseWeightsSpec(g: DepthwiseWeightsArguments, elements: Elements): KernelSpec {
  const [stride, dilation, kernelColumns] = [g.stride[1], g.dilation[1], g.kernel[1]]
  const fixed = g.multiplier > 1 ? undefined : { channels: g.channels, stride, dilation, kernelColumns }
  const key = `depthwiseWeights|${elements.x}|${elements.upstream}|${fixed === undefined ? 'multiplied' : Object.values(fixed)}`
  return { key, build: (target) => buildDepthwiseWeights(fixed, elements, key, target) }
}

export type DepthwiseWeightsArguments = Omit<DepthwiseArguments, 'out' | 'weights'>

/** Pieces of the batch with results of their own; depends on the shape alone. */
export function depthwisePieces(g: DepthwiseWeightsArguments, target: Target): number {
  const others = Math.ceil(g.channels / (vectorsPerTask * target.lanes))
  const imagesPerPiece = Math.ceil(g.images / Math.max(1, Math.ceil(tasksWanted / others)))
  return Math.ceil(g.images / Math.max(1, imagesPerPiece))
}

export function depthwiseWeightsCall(g: DepthwiseWeightsArguments, target: Target) {
  const pieces = depthwisePieces(g, target)
  const channelBlocks = Math.ceil(g.channels / (vectorsPerTask * target.lanes))
  const params = [
    g.images,
    Math.ceil(g.images / pieces),
    channelBlocks,
    g.height,
    g.width,
    g.channels,
    g.multiplier,
    ...g.kernel,
    ...g.stride,
    ...g.dilation,
    ...g.before,
    g.outHeight,
    g.outWidth,
  ]
  const work = g.images * g.outHeight * g.outWidth * g.channels * g.multiplier * g.kernel[0] * g.kernel[1]
  return { params, tasks: pieces * channelBlocks, work }
}

function buildDepthwiseWeights(fixed: Fixed | undefined, elements: Elements, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const { lanes } = k
  const x = k.buffer('x', elements.x, 'input')
  const upstream = k.buffer('upstream', elements.upstream, 'input')
  const output = k.buffer('y', 'f32', 'output')
  const [images, imagesPerPiece, channelBlocks] = ['images', 'imagesPerPiece', 'channelBlocks'].map((n) => k.int(n))
  const number = (name: string, value: number | undefined): Expr => {
    const param = k.int(name)
    return value === undefined ? param : int(value)
  }
  const [height, width] = ['height', 'width'].map((n) => k.int(n))
  const channels = number('channels', fixed?.channels)
  const multiplier = number('multiplier', fixed === undefined ? undefined : 1)
  const [kernelRows, kernelColumns] = ['kernelRows', 'kernelColumns'].map((n) => k.int(n))
  const strideRows = k.int('strideRows')
  const strideColumns = number('strideColumns', fixed?.stride)
  const dilationRows = k.int('dilationRows')
  const dilationColumns = number('dilationColumns', fixed?.dilation)
  const [top, left, outHeight, outWidth] = ['top', 'left', 'outHeight', 'outWidth'].map((n) => k.int(n))
  const stride = fixed === undefined ? multiplier : undefined
  /** Vectors side by side, so that there are enough independent sums. */
  const forms = [
    ...(fixed === undefined || lanes === 1 || heldPixels(fixed, target).length > 0
      ? []
      : [{ wide: lanes, vectors: 2 }]),
    ...(lanes === 1 ? [] : [{ wide: lanes, vectors: 1 }]),
    { wide: 1, vectors: 1 },
  ]

  /** Adds, for `taps` taps from the pointers on, the sums over `rows` × `columns` pixels to the result. */
  const tapSums = (taps: number, { wide, vectors }: (typeof forms)[number]): KernelFunction => {
    const declarations = [
      { pointer: x },
      { pointer: upstream },
      { pointer: output },
      { int: 'rows' },
      { int: 'columns' },
    ] as const
    return k.function(`taps${taps}x${wide * vectors}`, declarations, (lineX, lineUp, out, rows, columns) => {
      const outChannels = k.let(mul(channels, multiplier))
      const stepX = k.let(mul(strideColumns, channels))
      const rowX = k.let(mul(mul(strideRows, width), channels))
      const rowUp = k.let(mul(outWidth, outChannels))
      const apart = k.let(mul(dilationColumns, channels))
      const offsets = Array.from({ length: taps }, (_, i) => k.let(mul(apart, i)))
      const sums = offsets.map(() => Array.from({ length: vectors }, () => k.variable(constant('f32', 0, wide), 'sum')))
      const load = (from: Pointer, offset = 0, step?: Expr) =>
        k.let(wide === 1 ? k.load(from, offset) : k.loadVector(from, offset, wide, step))
      k.repeat(rows, () => {
        const atX = k.pointFrom(lineX)
        const atUp = k.pointFrom(lineUp)
        k.repeat(columns, () => {
          const up = Array.from({ length: vectors }, (_, j) => load(atUp, j * wide, stride))
          for (const [i, row] of sums.entries()) {
            const offset = offsets[i]
            const at = offset.op === 'const' ? atX : k.pointFrom(atX, offset)
            const first = offset.op === 'const' ? offset.value : 0
            for (const [j, sum] of row.entries()) k.set(sum, fma(load(at, first + j * wide), up[j], sum.value))
          }
          k.advance(atX, stepX)
          k.advance(atUp, outChannels)
        })
        k.advance(lineX, rowX)
        k.advance(lineUp, rowUp)
      })
      for (const row of sums) {
        for (const [j, sum] of row.entries()) {
          const total = k.let(add(load(out, j * wide, stride), sum.value))
          k.store(out, total, j * wide, wide, wide === 1 ? undefined : stride)
        }
        k.advance(out, outChannels)
      }
    })
  }
  /** The sums of all taps of a kernel row over `rows` × `columns` pixels, of one vector of channels. */
  const pixelsHeld = heldPixels(fixed, target)
  const rowSums =
    fixed === undefined || pixelsHeld.length === 0
      ? undefined
      : defineRowSums(k, fixed, pixelsHeld, x, upstream, output)
  const variants = forms.map((form) => Array.from({ length: tapsInRegisters }, (_, i) => tapSums(i + 1, form)))

  /** Outputs of a row that tap `tap` reaches inside the input: from, up to. */
  const reach = (tap: Expr, extent: Expr, count: Expr, step: Expr, dilation: Expr, before: Expr): [Expr, Expr] => {
    const shift = k.let(sub(before, mul(tap, dilation)))
    const from = k.let(min(count, div(add(max(shift, 0), sub(step, 1)), step)))
    const to = k.let(max(from, min(count, div(max(add(add(sub(extent, 1), shift), step), 0), step))))
    return [from, to]
  }

  const part = [{ int: 'image' }, { int: 'kernelRow' }, { int: 'channel' }, { int: 'out' }] as const
  /** All taps of a kernel row for one vector of channels (and one place of the multiplier) of one image. */
  const rowOfTaps = forms.map(({ wide, vectors }, v) =>
    k.function(`rowOfTaps${wide * vectors}`, [...part, { int: 'place' }], (image, kernelRow, channel, out, place) => {
      const [fromRow, toRow] = reach(kernelRow, height, outHeight, strideRows, dilationRows, top)
      const rows = k.let(sub(toRow, fromRow))
      const outChannels = k.let(mul(channels, multiplier))
      const inputRow = k.let(sub(add(mul(fromRow, strideRows), mul(kernelRow, dilationRows)), top))
      const lineX = k.let(mul(add(mul(image, height), inputRow), width))
      const lineUp = k.let(mul(add(mul(image, outHeight), fromRow), outWidth))
      const upChannel = k.let(add(mul(channel, multiplier), place))
      const run = (callee: KernelFunction, tap: Expr, from: Expr, to: Expr) => {
        const column = sub(add(mul(from, strideColumns), mul(tap, dilationColumns)), left)
        const atX = k.point(x, add(mul(add(lineX, column), channels), channel))
        const atUp = k.point(upstream, add(mul(add(lineUp, from), outChannels), upChannel))
        const atOut = k.point(output, add(out, add(mul(tap, outChannels), upChannel)))
        k.call(callee, atX, atUp, atOut, rows, sub(to, from))
      }
      const runWhole = (callee: KernelFunction, from: Expr, to: Expr) => {
        const atX = k.point(x, add(mul(add(lineX, sub(from, left)), channels), channel))
        const atUp = k.point(upstream, add(mul(add(lineUp, from), channels), channel))
        const rowX = mul(mul(strideRows, width), channels)
        k.call(
          callee,
          atX,
          atUp,
          k.point(output, add(out, channel)),
          rows,
          sub(to, from),
          rowX,
          mul(outWidth, channels),
        )
      }
      const whole = wide > 1 && vectors === 1 ? rowSums : undefined
      const groups = whole !== undefined ? int(1) : k.let(div(add(kernelColumns, tapsInRegisters - 1), tapsInRegisters))
      k.loop(groups, (i) => {
        // Groups of nearly equal size: their bounds are i·columns / groups.
        const first = k.let(div(mul(i, kernelColumns), groups))
        const end = k.let(div(mul(add(i, 1), kernelColumns), groups))
        const size = k.let(sub(end, first))
        const [low] = reach(first, width, outWidth, strideColumns, dilationColumns, left)
        const [, reached] = reach(sub(end, 1), width, outWidth, strideColumns, dilationColumns, left)
        const high = k.let(max(low, reached))
        const choose = (n: number): void => {
          if (n === 1) run(variants[v][0], first, low, high)
          else
            k.if(
              eq(size, n),
              () => run(variants[v][n - 1], first, low, high),
              () => choose(n - 1),
            )
        }
        if (whole !== undefined) runWhole(whole, low, high)
        else choose(tapsInRegisters)
        k.range(first, end, (tap) => {
          const [from, to] = reach(tap, width, outWidth, strideColumns, dilationColumns, left)
          const before = k.let(min(low, to))
          k.if(lt(from, before), () => run(variants[v][0], tap, from, before))
          const after = k.let(max(high, from))
          k.if(lt(after, to), () => run(variants[v][0], tap, after, to))
        })
      })
    }),
  )

  k.task((task) => {
    const firstChannel = k.let(mul(rem(task, channelBlocks), vectorsPerTask * lanes))
    const piece = k.let(div(task, channelBlocks))
    const count = k.let(min(sub(channels, firstChannel), vectorsPerTask * lanes))
    const outChannels = k.let(mul(channels, multiplier))
    const row = k.let(mul(kernelColumns, outChannels))
    const start = k.let(mul(piece, mul(kernelRows, row)))
    k.loop(k.let(mul(kernelRows, kernelColumns)), (tap) => {
      const zeros: Pointer = k.point(output, add(start, add(mul(tap, outChannels), mul(firstChannel, multiplier))))
      k.repeat(mul(count, multiplier), () => {
        k.store(zeros, constant('f32', 0))
        k.advance(zeros, 1)
      })
    })
    const firstImage = k.let(mul(piece, imagesPerPiece))
    k.loop(min(sub(images, firstImage), imagesPerPiece), (i) => {
      const image = k.let(add(firstImage, i))
      k.loop(multiplier, (place) => {
        const next = k.variable(firstChannel, 'channel')
        const remaining = k.variable(count, 'remaining')
        for (const [v, { wide, vectors }] of forms.entries()) {
          const size = wide * vectors
          const times = k.let(div(remaining.value, size))
          k.repeat(times, () => {
            k.loop(kernelRows, (kernelRow) => {
              k.call(rowOfTaps[v], image, kernelRow, next.value, add(start, mul(kernelRow, row)), place)
            })
            k.set(next, add(next.value, size))
          })
          k.set(remaining, rem(remaining.value, size))
        }
      })
    })
  })
  return k.build(
    `depthwise_weights_f32_${heldPixels(fixed, target)[0] ?? tapsInRegisters}x${lanes}${fixed === undefined ? '_multiplied' : ''}_${target.name}`,
    key,
  )
}

/** (x, upstream, output, rows, columns): all taps of a kernel row, for pixels whose taps lie inside the input. */
function defineRowSums(
  k: KernelBuilder,
  { channels, kernelColumns }: Fixed,
  pixelsHeld: readonly number[],
  x: BufferParam,
  upstream: BufferParam,
  output: BufferParam,
): KernelFunction {
  const { lanes } = k
  const declarations = [
    { pointer: x },
    { pointer: upstream },
    { pointer: output },
    { int: 'rows' },
    { int: 'columns' },
    { int: 'rowX' },
    { int: 'rowUp' },
  ] as const
  return k.function('rowSums', declarations, (lineX, lineUp, out, rows, columns, rowX, rowUp) => {
    const taps = Array.from({ length: kernelColumns }, (_, tap) => tap)
    const sums = taps.map((tap) => k.variable(k.loadVector(out, tap * channels), 'sum'))
    k.repeat(rows, () => {
      const atX = k.pointFrom(lineX)
      const atUp = k.pointFrom(lineUp)
      const left = k.variable(columns, 'left')
      for (const pixels of [...pixelsHeld, 1]) {
        k.repeat(div(left.value, pixels), () => {
          const up = Array.from({ length: pixels }, (_, i) => k.let(k.loadVector(atUp, i * channels)))
          for (let place = 0; place < pixels + kernelColumns - 1; place++) {
            const value = k.let(k.loadVector(atX, place * channels))
            for (const tap of taps) {
              const pixel = up[place - tap]
              if (pixel !== undefined) k.set(sums[tap], fma(value, pixel, sums[tap].value))
            }
          }
          k.advance(atX, pixels * channels)
          k.advance(atUp, pixels * channels)
        })
        k.set(left, rem(left.value, pixels))
      }
      k.advance(lineX, rowX)
      k.advance(lineUp, rowUp)
    })
    for (const tap of taps) k.store(out, sums[tap].value, tap * channels, lanes)
  })
}
