/**
 * Depthwise convolution: every channel by itself, vectors along channels, a few pixels of a row in registers. Edges are
 * handled by shorter loops over the taps, not by a border: the input is read where it lies. With a multiplier m, output
 * channels c·m … c·m + m-1 belong to input channel c (`spread`); the input gradient adds them up again (`fold`).
 */
import type { StorageType } from '../../../base/dtype.ts'
import { KernelBuilder, type KernelSpec } from '../../build.ts'
import { add, constant, div, fma, max, min, mul, rem, sub } from '../../expression.ts'
import type { BufferParam, Expr, Kernel, KernelFunction, Pointer } from '../../language.ts'
import type { Target } from '../../target.ts'
import { EpilogueEmitter, type EpilogueShape, epilogueKey, epilogueName } from '../contraction/epilogue.ts'

export interface DepthwiseShape {
  readonly x: StorageType
  readonly weights: StorageType
  readonly multiplier: 'none' | 'spread' | 'fold'
  /** What the code for whole windows has as constants; undefined with a multiplier. */
  readonly inside: Inside | undefined
  readonly epilogue: EpilogueShape
}

/** Constants of the code for whole windows; with them, its addresses cost no instructions. */
export interface Inside {
  readonly channels: number
  readonly kernelColumns: number
  readonly stride: number
  readonly dilation: number
  /** Elements of weights from tap to tap; negative where the kernel is read backwards. */
  readonly tap: number
  /** Input rows from one kernel row to the next. */
  readonly dilationRows: number
}

export function depthwiseShape(
  g: DepthwiseArguments,
  multiplied: 'spread' | 'fold',
  epilogue: EpilogueShape,
  elements: { readonly x: StorageType; readonly weights: StorageType },
): DepthwiseShape {
  if (g.multiplier > 1) return { ...elements, multiplier: multiplied, inside: undefined, epilogue }
  const inside: Inside = {
    channels: g.channels,
    kernelColumns: g.kernel[1],
    stride: g.stride[1],
    dilation: g.dilation[1],
    tap: g.weights.tap,
    dilationRows: g.dilation[0],
  }
  return { ...elements, multiplier: 'none', inside, epilogue }
}

export interface DepthwiseArguments {
  readonly images: number
  readonly height: number
  readonly width: number
  /** Groups: channels of whichever side has fewer. */
  readonly channels: number
  readonly multiplier: number
  readonly kernel: readonly [number, number]
  readonly stride: readonly [number, number]
  readonly dilation: readonly [number, number]
  readonly before: readonly [number, number]
  readonly outHeight: number
  readonly outWidth: number
  readonly out: { readonly first: number; readonly image: number; readonly row: number; readonly pixel: number }
  /** Weights in elements: the first tap, and from tap row to tap row and tap to tap. */
  readonly weights: { readonly first: number; readonly row: number; readonly tap: number }
}

/** Tasks are smaller where there would be few of them. */
const elementsPerTask = [4096, 16384] as const
const tasksWished = 16

/** What is kept in registers for whole windows. */
interface Blocking {
  /** Neighbouring pixels, the most first: what is left of a row takes the next smaller number. */
  readonly pixels: readonly number[]
  /** Taps computed at once where neighbouring pixels read neighbouring inputs, so that each input is loaded once. */
  readonly taps: number
}

function blocking(target: Target, kernelColumns: number): Blocking {
  if (target.registers < 32) return { pixels: [4], taps: 3 }
  return kernelColumns <= 4 ? { pixels: [8, 4, 2], taps: 4 } : { pixels: [14, 7, 3], taps: 7 }
}

/** Vectors of channels that a single pixel at an edge takes at once: sums that do not wait for each other. */
const edgeVectors = 4

export function depthwiseSpec(shape: DepthwiseShape): KernelSpec {
  const inside = shape.inside === undefined ? '' : Object.values(shape.inside)
  const key = `depthwise|${shape.x}|${shape.weights}|${shape.multiplier}|${inside}|${epilogueKey(shape.epilogue)}`
  return { key, build: (target) => buildDepthwise(shape, key, target) }
}

/** Outputs from `first` up to `end` whose windows lie inside the input. */
function interior(
  extent: number,
  count: number,
  stride: number,
  kernel: number,
  dilation: number,
  before: number,
): [number, number] {
  const first = Math.min(count, Math.max(0, Math.ceil(before / stride)))
  const last = Math.floor((extent - 1 + before - Math.max(0, kernel - 1) * dilation) / stride)
  return [first, Math.max(first, Math.min(count, last + 1))]
}

export function depthwiseCall(shape: DepthwiseShape, g: DepthwiseArguments) {
  const [first, end] = interior(g.width, g.outWidth, g.stride[1], g.kernel[1], g.dilation[1], g.before[1])
  const perRow = g.outWidth * g.channels * g.multiplier
  const [least, most] = elementsPerTask
  const wished = Math.max(least, Math.min(most, (g.images * g.outHeight * perRow) / tasksWished))
  const rowsPerTask = Math.max(1, Math.min(g.outHeight, Math.round(wished / Math.max(1, perRow))))
  const blocks = Math.ceil(g.outHeight / rowsPerTask)
  const pixel = g.channels * (shape.multiplier === 'fold' ? g.multiplier : 1)
  const params = [
    rowsPerTask,
    blocks,
    g.height,
    g.width,
    g.channels,
    g.multiplier,
    pixel,
    ...g.kernel,
    ...g.stride,
    ...g.dilation,
    ...g.before,
    g.outHeight,
    g.outWidth,
    first,
    end,
    g.out.first,
    g.out.image,
    g.out.row,
    g.out.pixel,
    g.weights.first,
    g.weights.row,
    g.weights.tap,
  ]
  const outputs = g.images * g.outHeight * perRow
  return { params, tasks: outputs === 0 ? 0 : g.images * blocks, work: outputs * (1 + g.kernel[0] * g.kernel[1]) }
}

function buildDepthwise(shape: DepthwiseShape, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const x = k.buffer('x', shape.x, 'input')
  const weights = k.buffer('weights', shape.weights, 'input')
  const epilogue = new EpilogueEmitter(k, shape.epilogue)
  const [rowsPerTask, blocks, height, width] = ['rowsPerTask', 'blocks', 'height', 'width'].map((n) => k.int(n))
  const [channels, multiplier, pixel] = ['channels', 'multiplier', 'pixel'].map((n) => k.int(n))
  const [kernelRows, kernelColumns] = ['kernelRows', 'kernelColumns'].map((n) => k.int(n))
  const [strideRows, strideColumns] = ['strideRows', 'strideColumns'].map((n) => k.int(n))
  const [dilationRows, dilationColumns] = ['dilationRows', 'dilationColumns'].map((n) => k.int(n))
  const [top, left, outHeight, outWidth] = ['top', 'left', 'outHeight', 'outWidth'].map((n) => k.int(n))
  const [interiorFirst, interiorEnd] = ['interiorFirst', 'interiorEnd'].map((n) => k.int(n))
  const [outFirst, outImage, outRow, outPixel] = ['outFirst', 'outImage', 'outRow', 'outPixel'].map((n) => k.int(n))
  const [weightFirst, weightRow, weightTap] = ['weightFirst', 'weightRow', 'weightTap'].map((n) => k.int(n))
  epilogue.declareConstants()
  const { lanes } = k
  const plain = shape.multiplier === 'none'

  /**
   * `count` neighbouring output pixels of a row, all channels: `rows` × `taps` of the kernel from the pointers on.
   * Everything is a run-time value: edges, multipliers.
   */
  const pixels = (count: number) => {
    const declarations = [
      { pointer: x },
      { pointer: weights },
      { int: 'out' },
      { int: 'rows' },
      { int: 'taps' },
    ] as const
    return k.function(`pixels${count}`, declarations, (firstX, firstWeight, out, rows, taps) => {
      const lineStep = k.let(mul(mul(dilationRows, width), pixel))
      const tapStep = k.let(mul(dilationColumns, pixel))
      const pixelStep = k.let(mul(strideColumns, pixel))
      const offsets = Array.from({ length: count }, (_, i) => k.let(mul(pixelStep, i)))
      const load = (pointer: Pointer, wide: number, stride: Expr | undefined) =>
        wide === 1 ? k.load(pointer) : k.loadVector(pointer, 0, wide, stride)

      const strideX = shape.multiplier === 'fold' ? multiplier : undefined

      /** Sums of one output channel a lane, from pointers at its first tap: of the pixels, or of neighbouring vectors. */
      const sums = (fromX: Pointer, fromWeight: Pointer, wide: number, vectors = 1): readonly Expr[] => {
        const results = Array.from({ length: count * vectors }, () => k.variable(constant('f32', 0, wide), 'sum'))
        const taken = (atX: Pointer, atWeight: Pointer) => {
          const lineX = k.pointFrom(atX)
          const lineWeight = k.pointFrom(atWeight)
          k.repeat(rows, () => {
            const tapX = k.pointFrom(lineX)
            const tapWeight = k.pointFrom(lineWeight)
            k.repeat(taps, () => {
              if (vectors > 1) {
                for (const [j, sum] of results.entries()) {
                  const weight = k.let(k.loadVector(tapWeight, j * wide))
                  k.set(sum, fma(k.let(k.loadVector(tapX, j * wide)), weight, sum.value))
                }
              } else {
                const weight = k.let(load(tapWeight, wide, plain ? undefined : multiplier))
                for (const [i, sum] of results.entries()) {
                  const at = i === 0 ? tapX : k.pointFrom(tapX, offsets[i])
                  k.set(sum, fma(k.let(load(at, wide, strideX)), weight, sum.value))
                }
              }
              k.advance(tapX, tapStep)
              k.advance(tapWeight, weightTap)
            })
            k.advance(lineX, lineStep)
            k.advance(lineWeight, weightRow)
          })
        }
        if (shape.multiplier !== 'fold') taken(fromX, fromWeight)
        else {
          const eachX = k.pointFrom(fromX)
          const eachWeight = k.pointFrom(fromWeight)
          k.repeat(multiplier, () => {
            taken(eachX, eachWeight)
            k.advance(eachX, 1)
            k.advance(eachWeight, 1)
          })
        }
        return results.map((sum) => sum.value)
      }
      const store = (values: readonly Expr[], column: Expr, wide: number) => {
        const stride = shape.multiplier === 'spread' ? multiplier : undefined
        const first = epilogue.open(k.let(add(out, column)), column)
        const held = epilogue.columnOperands(first, 0, wide, stride)
        for (const [i, value] of values.entries()) {
          const at = i === 0 ? first : epilogue.shift(first, mul(outPixel, i))
          epilogue.emit(value, at, held, 0, wide, stride)
        }
      }
      /** Channels `channel` … channel + wide - 1. */
      const part = (channel: Expr, wide: number) => {
        const scaled = (yes: boolean) => (yes ? k.let(mul(channel, multiplier)) : channel)
        const fromX = k.pointFrom(firstX, scaled(shape.multiplier === 'fold'))
        const fromWeight = k.pointFrom(firstWeight, scaled(!plain))
        const column = scaled(shape.multiplier === 'spread')
        if (shape.multiplier !== 'spread') {
          store(sums(fromX, fromWeight, wide), column, wide)
          return
        }
        k.loop(multiplier, (j) => {
          store(sums(fromX, fromWeight, wide), k.let(add(column, j)), wide)
          k.advance(fromWeight, 1)
        })
      }
      const next = k.variable(constant('i32', 0), 'channel')
      if (plain && count === 1 && lanes > 1) {
        const wide = lanes * edgeVectors
        k.repeat(div(channels, wide), () => {
          const channel = next.value
          const values = sums(k.pointFrom(firstX, channel), k.pointFrom(firstWeight, channel), lanes, edgeVectors)
          const first = epilogue.open(k.let(add(out, channel)), channel)
          for (const [j, value] of values.entries()) {
            epilogue.emit(value, first, epilogue.columnOperands(first, j * lanes, lanes), j * lanes, lanes)
          }
          k.set(next, add(channel, wide))
        })
      }
      if (lanes > 1) {
        k.repeat(div(sub(channels, next.value), lanes), () => {
          part(k.let(next.value), lanes)
          k.set(next, add(next.value, lanes))
        })
      }
      k.repeat(sub(channels, next.value), () => {
        part(k.let(next.value), 1)
        k.set(next, add(next.value, 1))
      })
    })
  }
  const one = pixels(1)
  // Without constants a few pixels at a time are all that is worth it.
  const { inside } = shape
  const sizes = inside === undefined ? [4] : blocking(target, inside.kernelColumns).pixels
  const several = sizes.map((size) =>
    inside === undefined
      ? pixels(size)
      : defineWhole(k, size, inside, x, weights, epilogue, outPixel, width, weightRow),
  )

  // Taps of an axis inside the input for a window that starts at `start` (maybe before the input): from, up to.
  const clip = (start: Expr, extent: Expr, taps: Expr, dilation: Expr): [Expr, Expr] => {
    const from = k.let(div(add(max(sub(0, start), 0), sub(dilation, 1)), dilation))
    const to = k.let(min(taps, div(max(add(sub(sub(extent, 1), start), dilation), 0), dilation)))
    return [from, to]
  }
  const line = k.function('line', [{ int: 'image' }, { int: 'row' }], (image, row) => {
    const start = k.let(sub(mul(row, strideRows), top))
    const [fromRow, toRow] = clip(start, height, kernelRows, dilationRows)
    const rows = k.let(sub(toRow, fromRow))
    const inputRow = k.let(mul(add(mul(image, height), add(start, mul(fromRow, dilationRows))), width))
    const weightAt = k.let(add(weightFirst, mul(fromRow, weightRow)))
    const out = k.let(add(outFirst, add(mul(image, outImage), mul(row, outRow))))
    const single = (column: Expr) => {
      const startColumn = k.let(sub(mul(column, strideColumns), left))
      const [from, to] = clip(startColumn, width, kernelColumns, dilationColumns)
      const fromX = k.point(x, mul(add(inputRow, add(startColumn, mul(from, dilationColumns))), pixel))
      const fromWeight = k.point(weights, add(weightAt, mul(from, weightTap)))
      k.call(one, fromX, fromWeight, add(out, mul(column, outPixel)), rows, sub(to, from))
    }
    k.loop(interiorFirst, (i) => single(i))
    const next = k.variable(interiorFirst, 'column')
    for (const [i, size] of sizes.entries()) {
      k.repeat(div(sub(interiorEnd, next.value), size), () => {
        const column = next.value
        const fromX = k.point(x, mul(add(inputRow, sub(mul(column, strideColumns), left)), pixel))
        const weight = k.point(weights, weightAt)
        const taps = inside === undefined ? [kernelColumns] : []
        k.call(several[i], fromX, weight, add(out, mul(column, outPixel)), rows, ...taps)
        k.set(next, add(column, size))
      })
    }
    k.range(next.value, outWidth, (i) => single(i))
  })
  k.task((task) => {
    const image = k.let(div(task, blocks))
    const first = k.let(mul(rem(task, blocks), rowsPerTask))
    k.loop(min(sub(outHeight, first), rowsPerTask), (i) => k.call(line, image, add(first, i)))
  })
  const suffix = plain ? '' : `_${shape.multiplier}`
  return k.build(`depthwise_f32_${sizes[0]}x${lanes}${suffix}${epilogueName(shape.epilogue)}_${target.name}`, key)
}

/** `pixels` neighbouring pixels whose windows lie inside: (x, weights, out, rows of the kernel). */
function defineWhole(
  k: KernelBuilder,
  pixels: number,
  { channels, kernelColumns, stride, dilation, tap: tapStep, dilationRows }: Inside,
  x: BufferParam,
  weights: BufferParam,
  epilogue: EpilogueEmitter,
  outPixel: Expr,
  width: Expr,
  weightRow: Expr,
): KernelFunction {
  const { lanes } = k
  // Neighbours that share inputs take several taps at once, as many as the registers hold.
  const together = stride === dilation ? Math.min(kernelColumns, blocking(k.target, kernelColumns).taps) : 1
  const declarations = [{ pointer: x }, { pointer: weights }, { int: 'out' }, { int: 'rows' }] as const
  return k.function(`whole${pixels}`, declarations, (firstX, firstWeight, out, rows) => {
    const lineStep = k.let(mul(width, channels * dilationRows))
    const rowStep = k.variable(weightRow, 'weightRow').value
    const part = (channel: Expr, wide: number) => {
      const load = (pointer: Pointer, offset: number) =>
        k.let(wide === 1 ? k.load(pointer, offset) : k.loadVector(pointer, offset))
      const sums = Array.from({ length: pixels }, () => k.variable(constant('f32', 0, wide), 'sum'))
      const lineX = k.pointFrom(firstX, channel)
      const lineWeight = k.pointFrom(firstWeight, channel)
      const taps = (count: number, atX: Pointer, atWeight: Pointer) => {
        // Offsets are not negative: a kernel read backwards has its pointer at the last of these taps.
        const last = tapStep < 0 ? count - 1 : 0
        const held = Array.from({ length: count }, (_, tap) => load(atWeight, Math.abs(last - tap) * Math.abs(tapStep)))
        // Place by place, so that an input is in a register only while it is used.
        const places = new Map<number, [pixel: number, tap: number][]>()
        for (let i = 0; i < pixels; i++) {
          for (let tap = 0; tap < count; tap++) {
            const place = i * stride + tap * dilation
            places.set(place, [...(places.get(place) ?? []), [i, tap]])
          }
        }
        for (const place of [...places.keys()].sort((a, b) => a - b)) {
          const value = load(atX, place * channels)
          for (const [i, tap] of places.get(place) as [number, number][])
            k.set(sums[i], fma(value, held[tap], sums[i].value))
        }
      }
      k.repeat(rows, () => {
        const atX = k.pointFrom(lineX)
        const atWeight = k.pointFrom(lineWeight)
        const step = (count: number) => {
          if (tapStep < 0) k.advance(atWeight, (count - 1) * tapStep)
          taps(count, atX, atWeight)
          k.advance(atX, count * dilation * channels)
          k.advance(atWeight, tapStep < 0 ? tapStep : count * tapStep)
        }
        const groups = Math.floor(kernelColumns / together)
        if (groups === 1) step(together)
        else k.repeat(groups, () => step(together))
        const rest = kernelColumns % together
        if (rest > 0) step(rest)
        k.advance(lineX, lineStep)
        k.advance(lineWeight, rowStep)
      })
      const first = epilogue.open(k.let(add(out, channel)), channel)
      const held = epilogue.columnOperands(first, 0, wide)
      for (const [i, sum] of sums.entries()) {
        epilogue.emit(sum.value, i === 0 ? first : epilogue.shift(first, mul(outPixel, i)), held, 0, wide)
      }
    }
    if (lanes > 1) k.loop(constant('i32', Math.floor(channels / lanes)), (i) => part(k.let(mul(i, lanes)), lanes))
    const done = lanes > 1 ? Math.floor(channels / lanes) * lanes : 0
    k.loop(constant('i32', channels - done), (i) => part(k.let(add(i, done)), 1))
  })
}
