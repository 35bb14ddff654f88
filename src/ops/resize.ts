/**
 * Resizing as ONNX's Resize defines it (opset 19), axis by axis: nearest takes elements, linear and cubic are a product
 * with a small matrix of weights, or sums of slices or of taken pixels where that costs less.
 */
import { ConfigError, checkOptions, ShapeError } from '../base/errors.ts'
import { showShape } from '../base/shape.ts'
import { dataNode, type Node } from '../graph/node.ts'
import { broadcastTo, expandDims, reshape } from './broadcast.ts'
import { add, like, mul } from './elementwise.ts'
import { take } from './gather.ts'
import { matmul } from './matmul.ts'
import { checkDType, checkFilled } from './operands.ts'
import { padWith } from './rearrange.ts'
import { type Range, slice, stack, transpose } from './shape-ops.ts'

/**
 * Where the middle of output pixel i lies in the input, in pixels from the middle of the first one; s is the scale.
 * `'halfPixel'`: (i + ½)/s - ½. `'pytorchHalfPixel'`: the same, but 0 where one pixel comes out. `'halfPixelSymmetric'`:
 * the same about the middle of the picture where extent · s is not whole. `'asymmetric'`: i/s. `'alignCorners'`: corners
 * lie on corners, i · (in - 1)/(out - 1).
 */
export type ResizeCoordinates = 'halfPixel' | 'pytorchHalfPixel' | 'halfPixelSymmetric' | 'asymmetric' | 'alignCorners'

export type ResizeMode = 'nearest' | 'linear' | 'cubic'
export type NearestRounding = 'halfDown' | 'halfUp' | 'floor' | 'ceil'

export interface ResizeOptions {
  /** Extents that come out, one number or one a spatial axis. Either this or `scale`. */
  readonly size?: number | readonly number[]
  /**
   * Factor of the extents, one number or one a spatial axis; what comes out is rounded down. Given beside `size`, it
   * only says where pixels lie. Default: size over extent.
   */
  readonly scale?: number | readonly number[]
  /** Default `'nearest'`. */
  readonly mode?: ResizeMode
  /** Default `'halfPixel'`, as in PyTorch with align_corners false, and in Keras. */
  readonly coordinates?: ResizeCoordinates
  /** Which neighbour `'nearest'` takes; halves go down unless said otherwise. Default `'halfDown'`. */
  readonly nearestRounding?: NearestRounding
  /** Coefficient a of the cubic kernel (Keys 1981). Default -0.75, as in PyTorch; Keras uses -0.5. */
  readonly cubicCoefficient?: number
  /** Whether pixels outside count for nothing; otherwise the nearest at the edge counts for them. Default false. */
  readonly excludeOutside?: boolean
  /** Whether the kernel of linear and cubic is widened where the picture shrinks. Default false. */
  readonly antialias?: boolean
}

const choices = {
  mode: ['nearest', 'linear', 'cubic'],
  coordinates: ['halfPixel', 'pytorchHalfPixel', 'halfPixelSymmetric', 'asymmetric', 'alignCorners'],
  nearestRounding: ['halfDown', 'halfUp', 'floor', 'ceil'],
} as const
const optionNames = [...Object.keys(choices), 'size', 'scale', 'cubicCoefficient', 'excludeOutside', 'antialias']

/** One axis that changes. */
interface Axis {
  readonly axis: number
  readonly from: number
  readonly to: number
  readonly scale: number
}

/**
 * @param x [batch, ...spatial, channels]; `'nearest'` of any dtype, the others f32
 * @returns [batch, ...outSpatial, channels]
 * @throws ShapeError, DTypeError, ConfigError
 */
export function resize(x: Node, options: ResizeOptions): Node {
  checkOptions('resize', options, optionNames)
  checkFilled('resize', 'x', x)
  if (x.shape.length < 3) {
    throw new ShapeError({
      where: 'resize',
      what: `x has ${x.shape.length} ${x.shape.length === 1 ? 'axis' : 'axes'}`,
      got: `x ${showShape(x.shape)}`,
      expected: 'x [batch, ...spatial, channels]',
      fix: 'reshape it; axes of 1 stand for one image or one channel',
    })
  }
  for (const [name, known] of Object.entries(choices)) {
    const value = options[name as keyof typeof choices]
    if (value !== undefined && !(known as readonly string[]).includes(value)) {
      throw optionError(name, `'${value}'`, known.map((word) => `'${word}'`).join(', '))
    }
  }
  const extents = x.shape.slice(1, -1)
  const sizes = resizedExtents(extents, options)
  const scales = each('scale', options.scale ?? sizes.map((size, i) => size / extents[i]), extents.length)
  const axes = extents.map((from, i): Axis => ({ axis: i + 1, from, to: sizes[i], scale: scales[i] }))
  const { mode = 'nearest' } = options
  if (mode !== 'nearest') checkDType('resize', 'x', x, ['f32'])
  return axes
    .filter(({ from, to, scale }) => from !== to || scale !== 1)
    .sort((a, b) => a.to / a.from - b.to / b.from)
    .reduce((value, axis) => (mode === 'nearest' ? nearest : weighted)(value, axis, options), x)
}

/** Pixels along an axis. */
const largest = 2 ** 24

/** The extents that come out of `resize`. @throws ConfigError */
function resizedExtents(extents: readonly number[], { size, scale }: ResizeOptions): number[] {
  const possible = (sizes: readonly number[]) =>
    sizes.every((extent) => Number.isInteger(extent) && extent >= 1 && extent <= largest)
  if (size !== undefined) {
    const sizes = each('size', size, extents.length)
    if (possible(sizes)) return sizes
    throw optionError('size', `[${sizes.join(', ')}]`, `whole numbers from 1 to ${largest}`)
  }
  if (scale === undefined) throw optionError('size', 'neither size nor scale', 'one of them')
  // As ONNX Runtime, which knows scales in single precision only: 0.6 of 5 pixels are 3.
  const sizes = each('scale', scale, extents.length).map((s, i) => Math.floor(Math.fround(extents[i] * s)))
  if (possible(sizes)) return sizes
  throw optionError('scale', JSON.stringify(scale), `factors that leave 1 to ${largest} pixels`)
}

function each(name: string, value: number | readonly number[], rank: number): number[] {
  const list = typeof value === 'number' ? new Array<number>(rank).fill(value) : [...value]
  if (list.length === rank) return list
  throw optionError(name, `[${list.join(', ')}]`, `one number, or one for each of the ${rank} spatial axes`)
}

function optionError(name: string, got: string, expected: string): ConfigError {
  return new ConfigError({ where: 'resize', what: `${name} makes no sense`, got, expected, fix: `correct ${name}` })
}

/** The place of output pixel i in the input. @param quotient how precise quotients are */
function placeOf(
  i: number,
  { from, to, scale }: Axis,
  coordinates: ResizeCoordinates,
  quotient = (value: number) => value,
): number {
  const half = quotient((i + 0.5) / scale) - 0.5
  switch (coordinates) {
    case 'halfPixel':
      return half
    case 'pytorchHalfPixel':
      return to > 1 ? half : 0
    case 'halfPixelSymmetric':
      return (from / 2) * (1 - to / (scale * from)) + half
    case 'asymmetric':
      return quotient(i / scale)
    case 'alignCorners':
      return to > 1 ? (i * (from - 1)) / (to - 1) : 0
    default:
      return coordinates satisfies never
  }
}

const roundings: Readonly<Record<NearestRounding, (place: number) => number>> = {
  halfDown: (place) => Math.ceil(place - 0.5),
  halfUp: (place) => Math.floor(place + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
}

function nearest(x: Node, a: Axis, { coordinates = 'halfPixel', nearestRounding = 'halfDown' }: ResizeOptions): Node {
  const { axis, from, to } = a
  const places = Array.from({ length: to }, (_, i) => {
    // In single precision, so that halves are halves: 1.5 / 0.6 is 2.5 for any 0.6, as in ONNX Runtime.
    const place = roundings[nearestRounding](Math.fround(placeOf(i, a, coordinates, Math.fround)))
    return Math.min(from - 1, Math.max(0, place))
  })
  const [before, after] = [x.shape.slice(0, axis), x.shape.slice(axis + 1)]
  const times = to / from
  // Every pixel some times, or every some-th one: views.
  if (Number.isInteger(times) && places.every((place, i) => place === Math.floor(i / times))) {
    const repeated = broadcastTo(expandDims(x, axis + 1), [...before, from, times, ...after])
    return reshape(repeated, [...before, to, ...after])
  }
  const step = to > 1 ? places[1] - places[0] : 1
  if (step > 0 && places.every((place, i) => place === places[0] + i * step)) {
    return slice(x, [...before.map(() => null), [places[0], places[to - 1] + 1, step]])
  }
  return alongFront(x, axis, (rows) => take(rows, dataNode(Int32Array.from(places), [to], 'i32')))
}

/** Weight of a pixel at a distance. */
const kernels = {
  linear: { reach: 1, weight: (d: number) => Math.max(0, 1 - d) },
  // Keys 1981, "Cubic convolution interpolation for digital image processing", equation 15
  cubic: {
    reach: 2,
    weight: (d: number, a: number) =>
      d <= 1 ? (a + 2) * d ** 3 - (a + 3) * d ** 2 + 1 : d < 2 ? a * d ** 3 - 5 * a * d ** 2 + 8 * a * d - 4 * a : 0,
  },
} as const

/** What each input pixel counts for in output pixel i. */
function sharesOf(i: number, a: Axis, options: ResizeOptions): [pixel: number, share: number][] {
  const { coordinates = 'halfPixel', cubicCoefficient = -0.75, excludeOutside = false, antialias = false } = options
  const { reach, weight } = kernels[options.mode === 'cubic' ? 'cubic' : 'linear']
  const narrow = antialias ? Math.min(1, a.scale) : 1
  const place = placeOf(i, a, coordinates)
  const shares = new Map<number, number>()
  let sum = 0
  for (let j = Math.floor(place - reach / narrow); j <= Math.ceil(place + reach / narrow); j++) {
    const value = weight(Math.abs(j - place) * narrow, cubicCoefficient)
    if (value === 0 || (excludeOutside && (j < 0 || j >= a.from))) continue
    const pixel = Math.min(a.from - 1, Math.max(0, j))
    shares.set(pixel, (shares.get(pixel) ?? 0) + value)
    sum += value
  }
  return [...shares].map(([pixel, value]) => [pixel, value / sum])
}

/** [to, from]: what every input pixel counts for in every output pixel. */
function weightsOf(a: Axis, options: ResizeOptions): Float64Array {
  const { from, to } = a
  const matrix = new Float64Array(to * from)
  for (let i = 0; i < to; i++) for (const [pixel, share] of sharesOf(i, a, options)) matrix[i * from + pixel] = share
  return matrix
}

function weighted(x: Node, a: Axis, options: ResizeOptions): Node {
  const { axis, from, to } = a
  const product = (values: readonly number[]) => values.reduce((n, extent) => n * extent, 1)
  const [before, after] = [x.shape.slice(0, axis), x.shape.slice(axis + 1)]
  const inner = product(after)
  const vectors = Math.ceil(inner / vectorLanes) * vectorLanes
  if (repeats(a, options) && from * vectors > phasesFrom * inner) return inPhases(x, a, options)
  if (from * vectors > takesFrom * inner) return byTaking(x, a, options)
  const matrix = dataNode(weightsOf(a, options), [to, from], 'f32')
  const y = matmul(matrix, reshape(x, [product(before), from, inner]))
  return reshape(y, [...before, to, ...after])
}

/** Lanes of a wide vector: a product of fewer columns leaves the others empty. */
const vectorLanes = 16
/** Products for a value beyond which sums of slices cost less, with the copies that put them together. */
const phasesFrom = 40
/** The same for pixels that are taken one by one. */
const takesFrom = 20

/** Whether every scale-th output pixel lies alike between its neighbours. */
function repeats({ from, to, scale }: Axis, { coordinates, excludeOutside }: ResizeOptions): boolean {
  return (
    scale > 1 && Number.isInteger(scale) && to === from * scale && coordinates !== 'alignCorners' && !excludeOutside
  )
}

/** Enlarged by a whole number: output pixels that lie alike are one sum of slices, and are then put between each other. */
function inPhases(x: Node, a: Axis, options: ResizeOptions): Node {
  const { axis, from, to, scale } = a
  const { coordinates = 'halfPixel', cubicCoefficient = -0.75 } = options
  const { reach, weight } = kernels[options.mode === 'cubic' ? 'cubic' : 'linear']
  const only = <T>(value: T, other: T): T[] => x.shape.map((_, i) => (i === axis ? value : other))
  const wide = padWith(x, only<readonly [number, number]>([reach, reach], [0, 0]), 'edge')
  const phases = Array.from({ length: scale }, (_, i) => {
    const place = placeOf(i, a, coordinates)
    const taps = Array.from({ length: 2 * reach }, (_, tap) => Math.floor(place) - reach + 1 + tap)
    return taps
      .map((tap): [tap: number, share: number] => [tap, weight(Math.abs(tap - place), cubicCoefficient)])
      .filter(([, share]) => share !== 0)
      .map(([tap, share]) => {
        const part = slice(wide, only<Range | null>([reach + tap, reach + tap + from], null))
        return mul(part, like(part, share))
      })
      .reduce(add)
  })
  return reshape(
    stack(phases, axis + 1),
    x.shape.map((extent, i) => (i === axis ? to : extent)),
  )
}

/** Each output pixel as a sum of input pixels with their shares. */
function byTaking(x: Node, a: Axis, options: ResizeOptions): Node {
  const { axis, to } = a
  const lists = Array.from({ length: to }, (_, i) => sharesOf(i, a, options))
  const taps = lists.reduce((most, { length }) => Math.max(most, length), 1)
  return alongFront(x, axis, (rows) => {
    const shape = rows.shape.map((_, i) => (i === 0 ? to : 1))
    return Array.from({ length: taps }, (_, tap) => {
      const places = Int32Array.from(lists, (list) => list[tap]?.[0] ?? 0)
      const shares = Float64Array.from(lists, (list) => list[tap]?.[1] ?? 0)
      return mul(take(rows, dataNode(places, [to], 'i32')), dataNode(shares, shape, 'f32'))
    }).reduce(add)
  })
}

/** A function of rows, of which an axis gives the number. */
function alongFront(x: Node, axis: number, apply: (rows: Node) => Node): Node {
  const order = x.shape.map((_, i) => i)
  const front = [axis, ...order.filter((i) => i !== axis)]
  return transpose(
    apply(transpose(x, front)),
    order.map((i) => front.indexOf(i)),
  )
}
