/**
 * Affine warps of pictures, bilinear. A row of output at a time: first, in vectors along the row, where the four taps of
 * each pixel lie and what they weigh; then the taps, pixel by pixel. Products are added without fma, so that equal
 * matrices give the same bits on every machine that computes in single precision.
 */
import { KernelBuilder, type KernelSpec } from '../build.ts'
import {
  abs,
  add,
  constant,
  convert,
  div,
  floor,
  gt,
  lt,
  max,
  min,
  mul,
  rem,
  select,
  splat,
  sub,
} from '../expression.ts'
import type { Expr, Kernel, KernelFunction, Pointer } from '../language.ts'
import type { Target } from '../target.ts'

/** What stands outside a picture: one value, its nearest pixel, or the picture mirrored at the centres of its edge pixels. */
export type WarpBorder = 'constant' | 'edge' | 'reflect'

export interface WarpShape {
  /** u8 is scaled by 1 / 255. */
  readonly dtype: 'u8' | 'f32'
  /** Small counts are part of the code. */
  readonly channels: 1 | 2 | 3 | 4 | 'any'
  readonly border: WarpBorder
}

export interface WarpArguments {
  readonly images: number
  readonly height: number
  readonly width: number
  readonly channels: number
  /** Outside, in units of the output; read with the border `constant`. */
  readonly fill: number
}

const elementsPerTask = 16384
/** Weights of the taps, and the border's share. */
const valuesPerPixel = 5
/** More elements than any vector has. */
const longestVector = 16
/** Distance at which a tap weighs nothing. */
const faraway = 2 ** 24

export function warpShape(dtype: 'u8' | 'f32', channels: number, border: WarpBorder): WarpShape {
  return {
    dtype,
    channels: channels === 1 || channels === 2 || channels === 3 || channels === 4 ? channels : 'any',
    border,
  }
}

/** Buffers: x [images, height, width, channels], matrix [images, 6], y of the shape of x, scratch. */
export function warpSpec(shape: WarpShape): KernelSpec {
  const key = `affine-warp|${shape.dtype}|${shape.channels}|${shape.border}`
  return { key, build: (target) => buildWarp(shape, key, target) }
}

const axisParams = ['centre', 'last', 'lastFirst', 'period', 'inverse', 'step'] as const

/** What a kernel needs to know of an axis; see `tapsAt`. */
function axisValues(extent: number): number[] {
  const last = extent - 1
  const period = Math.max(1, 2 * last)
  // A single pixel has no second tap.
  return [last / 2, last, Math.max(0, last - 1), period, 1 / period, extent > 1 ? 1 : faraway]
}

export function warpCall({ images, height, width, channels, fill }: WarpArguments) {
  const perRow = width * channels
  const rows = Math.max(1, Math.min(height, Math.ceil(elementsPerTask / perRow)))
  const blocks = Math.ceil(height / rows)
  // Reading a whole vector where a pixel has fewer channels is fine as long as enough elements follow.
  const wideImages = Math.max(0, images - Math.ceil(longestVector / (height * perRow)))
  const row = width + longestVector
  return {
    params: [rows, blocks, height, width, channels, wideImages, fill, ...axisValues(width), ...axisValues(height)],
    tasks: images * blocks,
    scratch: [row, valuesPerPixel * row],
    work: images * height * perRow * 8,
  }
}

/** Buffers and parameters of the kernel, in order. */
function declare(k: KernelBuilder, shape: WarpShape) {
  const x = k.buffer('x', shape.dtype, 'input')
  const matrix = k.buffer('matrix', 'f32', 'input')
  const y = k.buffer('y', 'f32', 'output')
  // Where the first tap of each pixel of a row begins, in elements of its picture.
  const starts = k.buffer('starts', 'i32', 'scratch')
  // Weights of the four taps, and what the border adds: [vectors of pixels, 5, lanes].
  const weights = k.buffer('weights', 'f32', 'scratch')
  const [rowsPerTask, blocks, height, width] = ['rowsPerTask', 'blocks', 'height', 'width'].map((name) => k.int(name))
  const channels = k.int('channels')
  const wideImages = k.int('wideImages')
  const fill = k.float('fill')
  const [across, down] = ['X', 'Y'].map((axis) => axisParams.map((name) => k.float(`${name}${axis}`)))
  return {
    ...{ x, matrix, y, starts, weights, rowsPerTask, blocks, height, width, wideImages, fill, across, down },
    channels: shape.channels === 'any' ? channels : constant('i32', shape.channels),
  }
}

type Declared = ReturnType<typeof declare>

/** The first of two taps along an axis, and what it and the next weigh. */
interface Taps {
  readonly first: Expr
  readonly near: Expr
  readonly far: Expr
}

/** All the axis' parameters but `centre` in vectors. */
function wideAxis(k: KernelBuilder, params: readonly Expr[]) {
  const [last, lastFirst, period, inverse, step] = params.slice(1).map((value) => k.let(splat(value, k.lanes), 'axis'))
  return { last, lastFirst, period, inverse, step }
}

/** Taps of places counted from the first pixel. Nothing that is no number becomes an address. */
function tapsAt(k: KernelBuilder, border: WarpBorder, place: Expr, axis: ReturnType<typeof wideAxis>): Taps {
  const zero = constant('f32', 0, k.lanes)
  let inside = k.let(place)
  if (border === 'reflect') {
    const distance = k.let(abs(inside))
    const rest = k.let(sub(distance, mul(floor(k.let(mul(distance, axis.inverse))), axis.period)))
    inside = k.let(min(rest, sub(axis.period, rest)))
  }
  if (border !== 'constant') inside = k.let(min(max(zero, inside), axis.last))
  const first = k.let(min(max(zero, floor(inside)), axis.lastFirst))
  const distance = k.let(sub(inside, first))
  // A tap a pixel away or farther weighs nothing: so taps outside the picture need no test.
  const weight = (from: Expr) => k.let(max(zero, sub(constant('f32', 1, k.lanes), abs(from))))
  return { first, near: weight(distance), far: weight(sub(distance, axis.step)) }
}

/** The first half: `starts` and `weights` of a row. They are padded, so that there is no tail. */
function buildLocate(k: KernelBuilder, shape: WarpShape, d: Declared) {
  const { lanes } = k
  const wide = (value: Expr) => splat(value, lanes)
  return k.function('locate', [{ pointer: d.matrix }, { int: 'row' }], (m, row) => {
    const columns = wideAxis(k, d.across)
    const rows = wideAxis(k, d.down)
    const v = k.let(sub(convert(row, 'f32'), d.down[0]))
    // x = xx · u + xy · v + x0, and y alike; u and v count from the middle, x and y from the first pixel.
    const line = (offset: number, centre: Expr) => ({
      slope: k.let(wide(k.load(m, offset)), 'slope'),
      start: k.let(wide(k.let(add(add(mul(k.load(m, offset + 1), v), k.load(m, offset + 2)), centre))), 'start'),
    })
    const xs = line(0, d.across[0])
    const ys = line(3, d.down[0])
    const u = k.variable(sub(convert(k.laneIndex(), 'f32'), wide(d.across[0])), 'u')
    const to = k.point(d.starts)
    const weigh = k.point(d.weights)
    k.repeat(div(add(d.width, lanes - 1), lanes), () => {
      const across = tapsAt(k, shape.border, add(mul(xs.slope, u.value), xs.start), columns)
      const down = tapsAt(k, shape.border, add(mul(ys.slope, u.value), ys.start), rows)
      const pixel = add(mul(convert(down.first, 'i32'), wide(d.width)), convert(across.first, 'i32'))
      k.store(to, mul(pixel, wide(d.channels)))
      const [near, far] = [down.near, down.far].map((w) => (shape.dtype === 'u8' ? k.let(mul(w, 1 / 255)) : w))
      const products = [mul(across.near, near), mul(across.far, near), mul(across.near, far), mul(across.far, far)]
      if (shape.border === 'constant') {
        const covered = mul(add(across.near, across.far), add(down.near, down.far))
        products.push(mul(wide(d.fill), sub(constant('f32', 1, lanes), covered)))
      }
      for (const [i, product] of products.entries()) k.store(weigh, product, i * lanes)
      k.set(u, add(u.value, lanes))
      k.advance(to, lanes)
      k.advance(weigh, valuesPerPixel * lanes)
    })
  })
}

/** The second half: a row of results. `whole`: vectors are loaded whole where a pixel has fewer channels. */
function buildSample(k: KernelBuilder, shape: WarpShape, d: Declared, name: string, whole: boolean) {
  const { lanes } = k
  return k.function(name, [{ pointer: d.x }, { pointer: d.y }], (image, to) => {
    const from = k.point(d.starts)
    const weigh = k.point(d.weights)
    const none = constant('i32', 0)
    const toNextColumn = k.let(select(gt(d.width, 1), d.channels, none))
    const toNextRow = k.let(select(gt(d.height, 1), mul(d.width, d.channels), none))

    /** Sums what is `offset` elements from the taps of the pixel in a lane: one value, or a vector of `count`. */
    const sum = (taps: readonly Pointer[], lane: number, offset: number, count: number) => {
      const isVector = count > 1
      const values = taps.map((tap) => {
        if (!isVector) return convert(k.load(tap, offset), 'f32')
        return convert(k.loadVector(tap, offset, whole ? lanes : count), 'f32')
      })
      const weight = (i: number) => splat(k.load(weigh, i * lanes + lane), isVector ? lanes : 1)
      const products = values.map((value, i) => mul(value, weight(i)))
      if (shape.border === 'constant') products.push(weight(4))
      k.store(
        to,
        products.reduce((a, b) => add(a, b)),
        offset,
        count,
      )
    }
    /** The pixel of a lane; moves `to` to the next. */
    const pixel = (lane: number) => {
      const topLeft = k.pointFrom(image, k.load(from, lane))
      const bottomLeft = k.pointFrom(topLeft, toNextRow)
      const taps = [topLeft, k.pointFrom(topLeft, toNextColumn), bottomLeft, k.pointFrom(bottomLeft, toNextColumn)]
      if (shape.channels !== 'any') {
        for (let done = 0; done < shape.channels; done += lanes)
          sum(taps, lane, done, Math.min(lanes, shape.channels - done))
        k.advance(to, shape.channels)
        return
      }
      const block = (count: number) => {
        sum(taps, lane, 0, count)
        for (const pointer of [...taps, to]) k.advance(pointer, count)
      }
      if (lanes > 1) k.repeat(div(d.channels, lanes), () => block(lanes))
      k.repeat(lanes > 1 ? rem(d.channels, lanes) : d.channels, () => block(1))
    }
    if (lanes > 1) {
      k.repeat(div(d.width, lanes), () => {
        for (let lane = 0; lane < lanes; lane++) pixel(lane)
        k.advance(from, lanes)
        k.advance(weigh, valuesPerPixel * lanes)
      })
    }
    k.repeat(lanes > 1 ? rem(d.width, lanes) : d.width, () => {
      pixel(0)
      k.advance(from, 1)
      k.advance(weigh, lanes > 1 ? 1 : valuesPerPixel)
    })
  })
}

function buildWarp(shape: WarpShape, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const d = declare(k, shape)
  const { lanes } = k
  const locate = buildLocate(k, shape, d)
  const sample = buildSample(k, shape, d, 'sample', false)
  const partial = lanes > 1 && shape.channels !== 'any' && shape.channels > 1 && shape.channels < lanes
  const sampleWide = partial ? buildSample(k, shape, d, 'sampleWide', true) : sample
  k.task((task) => {
    const image = k.let(div(task, d.blocks))
    const firstRow = k.let(mul(rem(task, d.blocks), d.rowsPerTask))
    const rows = k.let(min(sub(d.height, firstRow), d.rowsPerTask))
    const size = k.let(mul(d.width, d.channels))
    const from = k.point(d.x, mul(mul(image, d.height), size))
    const to = k.point(d.y, mul(add(mul(image, d.height), firstRow), size))
    const m = k.point(d.matrix, mul(image, 6))
    k.loop(rows, (i) => {
      k.call(locate, m, add(firstRow, i))
      const call = (f: KernelFunction) => k.call(f, from, to)
      if (partial)
        k.if(
          lt(image, d.wideImages),
          () => call(sampleWide),
          () => call(sample),
        )
      else call(sample)
      k.advance(to, size)
    })
  })
  return k.build(`affine_warp_${shape.dtype}_${shape.channels}_${shape.border}_${target.name}`, key)
}
