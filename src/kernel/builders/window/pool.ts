/**
 * Pooling windows, vectors along channels. Forward passes read windows; gradients walk the same windows and write into
 * them. Windows at the edges are shortened, so padding is never read; small windows inside are straight-line code.
 */
import type { StorageType } from '../../../base/dtype.ts'
import { KernelBuilder, type KernelSpec, type Variable } from '../../build.ts'
import {
  add,
  and,
  constant,
  convert,
  div,
  eq,
  lt,
  max,
  min,
  mul,
  ne,
  not,
  rem,
  select,
  splat,
  sub,
} from '../../expression.ts'
import type { BufferParam, Expr, Kernel } from '../../language.ts'
import type { Target } from '../../target.ts'
import { EpilogueEmitter, type EpilogueShape, epilogueKey, epilogueName } from '../contraction/epilogue.ts'

/**
 * `max`, `mean`: x → y. `maxGradient`: x, y, dy → dx, to the first largest element of each window. `meanGradient`: dy →
 * dx. `maxGather`: x, y, u → the element of u where x has the first largest of each window.
 */
export type PoolMode = 'max' | 'mean' | 'maxGradient' | 'meanGradient' | 'maxGather'

export interface PoolShape {
  readonly mode: PoolMode
  /** Elements of x, y and the upstream gradient, those that the mode has. */
  readonly inputs: readonly StorageType[]
  /** Extents of small windows, which are unrolled; undefined for any others. */
  readonly unrolled: readonly [number, number] | undefined
  /** Whether windows may share elements. */
  readonly overlapping: boolean
  /** Whether there are gaps between the taps of a window. */
  readonly dilated: boolean
  /** What is done to elements before they are stored; only where each is written once. */
  readonly epilogue: EpilogueShape
}

export interface PoolArguments {
  readonly images: number
  readonly height: number
  readonly width: number
  readonly channels: number
  readonly kernel: readonly [number, number]
  readonly stride: readonly [number, number]
  readonly dilation: readonly [number, number]
  readonly before: readonly [number, number]
  readonly outHeight: number
  readonly outWidth: number
  /** Whether the mean of a window divides by the elements of padding too. */
  readonly countIncludePad: boolean
}

const largestUnrolled = 9
const elementsPerTask = 16384
const channelsPerTask = 32
const imagesEnough = 8

function overlap({ kernel, stride, dilation }: PoolArguments): boolean {
  const covers = (axis: 0 | 1) => (kernel[axis] - 1) * dilation[axis] + 1
  return stride[0] < covers(0) || stride[1] < covers(1)
}

function isDilated({ dilation }: PoolArguments): boolean {
  return dilation[0] > 1 || dilation[1] > 1
}

export function poolShape(
  mode: PoolMode,
  g: PoolArguments,
  inputs: readonly StorageType[],
  epilogue: EpilogueShape,
): PoolShape {
  const [rows, columns] = g.kernel
  const unrolled: [number, number] | undefined = rows * columns <= largestUnrolled ? [rows, columns] : undefined
  return { mode, inputs, unrolled, overlapping: overlap(g), dilated: isDilated(g), epilogue }
}

/** Whether the windows tile the input: every element belongs to one of them, none to two. */
export function windowsTile(g: PoolArguments): boolean {
  const covers = (axis: 0 | 1, extent: number, count: number) =>
    g.before[axis] === 0 && g.kernel[axis] === g.stride[axis] && count * g.stride[axis] === extent
  return !isDilated(g) && covers(0, g.height, g.outHeight) && covers(1, g.width, g.outWidth)
}

export function poolSpec(shape: PoolShape): KernelSpec {
  const { mode, inputs, unrolled, overlapping, dilated, epilogue } = shape
  const form = `${unrolled ?? 'any'}${dilated ? ' dilated' : ''}`
  const key = `pool|${mode}|${inputs}|${form}|${writesInput(mode) && overlapping}|${epilogueKey(epilogue)}`
  return { key, build: (target) => buildPool(shape, key, target) }
}

function writesInput(mode: PoolMode): boolean {
  return mode === 'maxGradient' || mode === 'meanGradient'
}

export function poolCall(shape: PoolShape, g: PoolArguments) {
  const scatter = writesInput(shape.mode)
  const perRow = g.outWidth * g.channels
  // Windows that write may share rows: a task then owns whole images, or channels of one.
  const rows = scatter
    ? g.outHeight
    : Math.max(1, Math.min(g.outHeight, Math.ceil(elementsPerTask / Math.max(1, perRow))))
  const blocks = Math.ceil(g.outHeight / Math.max(1, rows))
  const channels = scatter && g.images < imagesEnough ? Math.min(g.channels, channelsPerTask) : g.channels
  const channelBlocks = Math.ceil(g.channels / channels)
  const params = [
    rows,
    blocks,
    channels,
    channelBlocks,
    g.height,
    g.width,
    g.channels,
    ...g.kernel,
    ...g.stride,
    ...(shape.dilated ? g.dilation : []),
    ...g.before,
    g.outHeight,
    g.outWidth,
    windowsTile(g) ? 0 : 1,
    g.countIncludePad ? 1 : 0,
  ]
  const outputs = g.images * g.outHeight * perRow
  const empty = outputs === 0 && !(scatter && g.images * g.height * g.width * g.channels > 0)
  return { params, tasks: empty ? 0 : g.images * blocks * channelBlocks, work: outputs * g.kernel[0] * g.kernel[1] }
}

/** Pointers into the buffers a mode has, at a window's first tap or at its output element. */
interface Streams {
  readonly x: BufferParam | undefined
  readonly y: BufferParam | undefined
  readonly upstream: BufferParam | undefined
}

function buildPool(shape: PoolShape, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const { mode, unrolled } = shape
  const { lanes } = k
  const scatter = writesInput(mode)
  const inputs = [...shape.inputs]
  const input = (name: string, ...modes: PoolMode[]) =>
    modes.includes(mode) ? k.buffer(name, inputs.shift() as StorageType, 'input') : undefined
  const streams: Streams = {
    x: input('x', 'max', 'mean', 'maxGradient', 'maxGather'),
    y: input('y', 'maxGradient', 'maxGather'),
    upstream: input('upstream', 'maxGradient', 'meanGradient', 'maxGather'),
  }
  const epilogue = new EpilogueEmitter(k, shape.epilogue)
  const [rowsPerTask, blocks] = ['rowsPerTask', 'blocks'].map((n) => k.int(n))
  const [channelsOfTask, channelBlocks] = ['channelsPerTask', 'channelBlocks'].map((n) => k.int(n))
  const [height, width, channels] = ['height', 'width', 'channels'].map((n) => k.int(n))
  const [kernelRows, kernelColumns] = ['kernelRows', 'kernelColumns'].map((n) => k.int(n))
  const [strideRows, strideColumns] = ['strideRows', 'strideColumns'].map((n) => k.int(n))
  const [dilationRows, dilationColumns] = shape.dilated
    ? ['dilationRows', 'dilationColumns'].map((n) => k.int(n))
    : [constant('i32', 1), constant('i32', 1)]
  const [top, left, outHeight, outWidth] = ['top', 'left', 'outHeight', 'outWidth'].map((n) => k.int(n))
  const [zeroFirst, includePad] = ['zeroFirst', 'includePad'].map((n) => k.int(n))
  epilogue.declareConstants()

  /** What a window does with its taps; `each` runs its body for every tap with the tap's distance from the first. */
  const lower = (
    at: Expr,
    out: Expr,
    channel: Expr,
    wide: number,
    scale: Expr,
    each: (body: (distance: Expr) => void) => void,
  ): void => {
    const read = (buffer: BufferParam, index: Expr) => {
      const pointer = k.point(buffer, index)
      return k.let(wide === 1 ? k.load(pointer) : k.loadVector(pointer))
    }
    const write = (element: Expr, value: Expr) => {
      const cursors = epilogue.open(element, channel)
      epilogue.emit(value, cursors, epilogue.columnOperands(cursors, 0, wide), 0, wide)
    }
    const tap = (buffer: BufferParam | undefined, distance: Expr) =>
      read(buffer as BufferParam, k.let(add(at, distance)))
    /** Gives a tap of the result its part. */
    const give = (distance: Expr, value: Expr) => {
      const element = k.let(add(at, distance))
      if (!shape.overlapping) {
        write(element, value)
        return
      }
      const [pointer] = epilogue.open(element, channel).outputs
      k.store(pointer, add(wide === 1 ? k.load(pointer) : k.loadVector(pointer), value), 0, wide)
    }
    const number = (value: number) => constant('f32', value, wide)
    switch (mode) {
      case 'max': {
        const best = k.variable(number(Number.NEGATIVE_INFINITY), 'best')
        each((distance) => {
          const value = tap(streams.x, distance)
          // A NaN wins, wherever it stands.
          k.set(best, select(ne(value, value), value, max(best.value, value)))
        })
        write(out, best.value)
        return
      }
      case 'mean': {
        const sum = k.variable(number(0), 'sum')
        each((distance) => k.set(sum, add(sum.value, tap(streams.x, distance))))
        write(out, mul(sum.value, splat(scale, wide)))
        return
      }
      case 'meanGradient': {
        const part = k.let(mul(read(streams.upstream as BufferParam, out), splat(scale, wide)))
        each((distance) => give(distance, part))
        return
      }
      case 'maxGradient': {
        const best = read(streams.y as BufferParam, out)
        const rest = k.variable(read(streams.upstream as BufferParam, out), 'rest')
        each((distance) => {
          const smaller = k.let(lt(tap(streams.x, distance), best))
          give(distance, select(smaller, number(0), rest.value))
          k.set(rest, select(smaller, rest.value, number(0)))
        })
        return
      }
      case 'maxGather': {
        const best = read(streams.y as BufferParam, out)
        const found: Variable = k.variable(number(0), 'found')
        const open = k.variable(constant('bool', 1, wide), 'open')
        each((distance) => {
          const smaller = k.let(lt(tap(streams.x, distance), best))
          const first = and(not(smaller), open.value)
          k.set(found, select(first, tap(streams.upstream, distance), found.value))
          k.set(open, and(open.value, smaller))
        })
        write(out, found.value)
        return
      }
      default:
        mode satisfies never
    }
  }

  const overChannels = (count: Expr, part: (channel: Expr, wide: number) => void): void => {
    if (lanes === 1) {
      k.loop(count, (i) => part(i, 1))
      return
    }
    const vectors = k.let(div(count, lanes))
    k.loop(vectors, (i) => part(k.let(mul(i, lanes)), lanes))
    const done = k.let(mul(vectors, lanes))
    k.loop(rem(count, lanes), (i) => part(k.let(add(done, i)), 1))
  }
  const declarations = ['at', 'out', 'channel', 'count', 'rows', 'taps'].map((int) => ({ int }))
  /** From a tap to the one below it, and to the one on its right. */
  const tapDistances = (): [Expr, Expr] => {
    const line = mul(width, channels)
    return shape.dilated
      ? [k.let(mul(line, dilationRows)), k.let(mul(channels, dilationColumns))]
      : [k.let(line), channels]
  }
  const part = k.function('part', declarations, (...params) => {
    const [at, out, first, count, rows, taps] = params as Expr[]
    const [line, step] = tapDistances()
    const pad = k.let(mul(kernelRows, kernelColumns))
    const counted = select(ne(includePad, 0), pad, mul(rows, taps))
    const scale = k.let(div(constant('f32', 1), convert(k.let(counted), 'f32')))
    overChannels(count, (channel, wide) => {
      lower(k.let(add(at, channel)), k.let(add(out, channel)), add(first, channel), wide, scale, (body) => {
        const start = k.variable(constant('i32', 0), 'row')
        k.repeat(rows, () => {
          const distance = k.variable(start.value, 'tap')
          k.repeat(taps, () => {
            body(distance.value)
            k.set(distance, add(distance.value, step))
          })
          k.set(start, add(start.value, line))
        })
      })
    })
  })
  const full =
    unrolled === undefined
      ? undefined
      : k.function(
          'full',
          [{ int: 'at' }, { int: 'out' }, { int: 'channel' }, { int: 'count' }],
          (at, out, first, count) => {
            const [rows, columns] = unrolled
            const [line, step] = tapDistances()
            const distances: Expr[] = []
            for (let r = 0; r < rows; r++) {
              for (let s = 0; s < columns; s++) distances.push(k.let(add(mul(line, r), mul(step, s))))
            }
            const scale = constant('f32', 1 / (rows * columns))
            overChannels(count, (channel, wide) => {
              const each = (body: (distance: Expr) => void) => distances.forEach(body)
              lower(k.let(add(at, channel)), k.let(add(out, channel)), add(first, channel), wide, scale, each)
            })
          },
        )

  // Taps of an axis inside the input for a window that starts at `start`: from, up to.
  const clip = (start: Expr, extent: Expr, taps: Expr, dilation: Expr): [Expr, Expr] => {
    // Taps before a place, of those at start, start + dilation, …
    const before = (places: Expr) => (shape.dilated ? div(add(places, sub(dilation, 1)), dilation) : places)
    const room = sub(extent, start)
    const from = k.let(before(max(sub(0, start), 0)))
    return [from, k.let(max(from, min(taps, before(shape.dilated ? max(room, 0) : room))))]
  }
  const line = k.function(
    'line',
    [{ int: 'image' }, { int: 'row' }, { int: 'channel' }, { int: 'count' }],
    (image, row, channel, count) => {
      const start = k.let(sub(mul(row, strideRows), top))
      const [fromRow, toRow] = clip(start, height, kernelRows, dilationRows)
      const rows = k.let(sub(toRow, fromRow))
      const distance = (taps: Expr, dilation: Expr) => (shape.dilated ? mul(taps, dilation) : taps)
      const inputRow = k.let(mul(add(mul(image, height), add(start, distance(fromRow, dilationRows))), width))
      const outputRow = k.let(mul(add(mul(image, outHeight), row), outWidth))
      k.loop(outWidth, (i) => {
        const startColumn = k.let(sub(mul(i, strideColumns), left))
        const [from, to] = clip(startColumn, width, kernelColumns, dilationColumns)
        const taps = k.let(sub(to, from))
        const column = add(startColumn, distance(from, dilationColumns))
        const at = k.let(add(mul(add(inputRow, column), channels), channel))
        const out = k.let(add(mul(add(outputRow, i), channels), channel))
        const clipped = () => k.call(part, at, out, channel, count, rows, taps)
        if (full === undefined) clipped()
        else
          k.if(
            eq(mul(rows, taps), mul(kernelRows, kernelColumns)),
            () => k.call(full, at, out, channel, count),
            clipped,
          )
      })
    },
  )
  const zero = scatter
    ? k.function('zero', [{ int: 'at' }, { int: 'count' }], (at, count) => {
        overChannels(count, (channel, wide) => {
          const [pointer] = epilogue.open(k.let(add(at, channel)), channel).outputs
          k.store(pointer, constant('f32', 0, wide), 0, wide)
        })
      })
    : undefined
  k.task((task) => {
    const block = k.let(rem(task, blocks))
    const rest = k.let(div(task, blocks))
    const channel = k.let(mul(rem(rest, channelBlocks), channelsOfTask))
    const image = k.let(div(rest, channelBlocks))
    const count = k.let(min(sub(channels, channel), channelsOfTask))
    if (zero !== undefined) {
      k.if(ne(zeroFirst, 0), () => {
        const pixels = k.let(mul(height, width))
        const first = k.let(mul(image, pixels))
        k.loop(pixels, (i) => k.call(zero, add(mul(add(first, i), channels), channel), count))
      })
    }
    const row = k.let(mul(block, rowsPerTask))
    k.loop(min(sub(outHeight, row), rowsPerTask), (i) => k.call(line, image, add(row, i), channel, count))
  })
  const taps = `${unrolled?.join('x') ?? 'any'}${shape.dilated ? '_dilated' : ''}`
  return k.build(`pool_${mode}_${taps}${epilogueName(shape.epilogue)}_${target.name}`, key)
}
