/**
 * Pooling over one, two or three spatial axes, channels last: largest element or mean of each window, and their
 * gradients. Kernels walk windows of two axes; the depth of a volume is pooled by itself.
 */
import { ConfigError, checkOptions, ShapeError } from '../base/errors.ts'
import { type Shape, showShape } from '../base/shape.ts'
import { dataNode, makeNode, type Node } from '../graph/node.ts'
import type { Algorithm, KernelOp } from '../graph/op.ts'
import {
  type PoolArguments,
  type PoolMode,
  poolCall,
  poolShape,
  poolSpec,
  windowsTile,
} from '../kernel/builders/window/pool.ts'
import { type ReduceOptions, reshape } from './broadcast.ts'
import { epilogueShape, epilogueSpans } from './contraction-calls.ts'
import { covered, outputSize, type Padding, type Pads, perAxis, resolvePads, showValue } from './conv/padding.ts'
import { mul } from './elementwise.ts'
import { checkDType, checkFilled } from './operands.ts'
import { max, mean } from './reduce.ts'

/** One number (or pair) for each spatial axis. */
export interface PoolAttributes {
  readonly kernel: readonly number[]
  readonly stride: readonly number[]
  readonly dilation: readonly number[]
  readonly pads: Pads
  readonly countIncludePad: boolean
}

interface GradientAttributes extends PoolAttributes {
  /** Spatial extents of the input. */
  readonly size: readonly number[]
}

function two(values: readonly number[], missing: number): [number, number] {
  return values.length === 1 ? [missing, values[0]] : [values[0], values[1]]
}

/** @param x shape of the side with the windows @param y shape of the side with one element a window */
function geometry(attributes: PoolAttributes, x: Shape, y: Shape): PoolArguments {
  const [height, width] = two(x.slice(1, -1), 1)
  const [outHeight, outWidth] = two(y.slice(1, -1), 1)
  return {
    images: x[0],
    height,
    width,
    channels: x[x.length - 1],
    kernel: two(attributes.kernel, 1),
    stride: two(attributes.stride, 1),
    dilation: two(attributes.dilation, 1),
    before: two(
      attributes.pads.map(([before]) => before),
      0,
    ),
    outHeight,
    outWidth,
    countIncludePad: attributes.countIncludePad,
  }
}

type Shapes<A> = (node: Node<A>) => [Shape, Shape]

/** Walks over the windows. What they compute is stored once an element, so maps behind it can be taken in. */
function windows<A extends PoolAttributes>(mode: PoolMode, shapes: Shapes<A>): Algorithm<A> {
  return {
    name: 'windows',
    applies: () => true,
    cost(node) {
      const { images, outHeight, outWidth, channels, kernel } = geometry(node.attributes, ...shapes(node))
      return images * outHeight * outWidth * channels * kernel[0] * kernel[1]
    },
    tolerance: 1e-6,
    bf16: () => (mode === 'max' ? 'like-first-input' : 'free'),
    fusesEpilogue: true,
    build(node, inputs, epilogue, context) {
      const g = geometry(node.attributes, ...shapes(node))
      const elements = inputs.map((input) => input.span.buffer.dtype)
      const shape = poolShape(mode, g, elements, epilogueShape(epilogue))
      const spans = [...inputs.map((input) => input.span), ...epilogueSpans(epilogue)]
      const call = poolCall(shape, g)
      context.call({ spec: poolSpec(shape), spans, ...call, params: [...call.params, ...epilogue.constants] })
    },
  }
}

/** Gradients write into the windows: once an element only where these tile the input. */
function gradients<A extends PoolAttributes>(mode: PoolMode, shapes: Shapes<A>): Algorithm<A>[] {
  const tiles = (node: Node<A>) => windowsTile(geometry(node.attributes, ...shapes(node)))
  const plain = windows(mode, shapes)
  return [
    { ...plain, name: 'tiles', applies: tiles },
    // Windows that share elements are added up in memory, so that must be f32.
    { ...plain, applies: (node) => !tiles(node), bf16: () => 'f32', fusesEpilogue: false },
  ]
}

function windowOf({ kernel, stride, dilation, pads, countIncludePad }: PoolAttributes): PoolAttributes {
  return { kernel, stride, dilation, pads, countIncludePad }
}

function poolInfer(where: string) {
  return ([x]: readonly Node[], { kernel, stride, dilation, pads }: PoolAttributes) => {
    checkDType(where, 'x', x, ['f32'])
    checkFilled(where, 'x', x)
    const size = outputSize(where, { size: x.shape.slice(1, -1), kernel, stride, dilation, pads })
    return { shape: [x.shape[0], ...size, x.shape[x.shape.length - 1]], dtype: 'f32' as const }
  }
}

function inputShape(upstream: Node, { size }: GradientAttributes) {
  return { shape: [upstream.shape[0], ...size, upstream.shape[upstream.shape.length - 1]], dtype: 'f32' as const }
}

// Largest element.

/** y[o] = largest x in window o; padding never wins */
export const maxPoolOp: KernelOp<PoolAttributes> = {
  name: 'maxPool',
  kind: 'kernel',
  infer: poolInfer('maxPool'),
  // dx = dy at the first largest element of each window
  gradient: (node, upstream) => {
    const [x] = node.inputs
    const attributes = { ...node.attributes, size: x.shape.slice(1, -1) }
    return [makeNode(maxPoolGradientOp, [x, node, upstream], attributes)]
  },
  algorithms: [windows('max', (node) => [node.inputs[0].shape, node.shape])],
}

/** dx[i] = Σ over windows o whose first largest element is i of dy[o]; inputs x, y, dy */
export const maxPoolGradientOp: KernelOp<GradientAttributes> = {
  name: 'maxPoolGradient',
  kind: 'kernel',
  infer: ([, , upstream], attributes) => inputShape(upstream, attributes),
  // Constant in x and y almost everywhere, linear in dy: d(dy)[o] = u at the first largest element of window o
  gradient: ({ inputs: [x, y], attributes }, u) => [
    undefined,
    undefined,
    makeNode(maxPoolGatherOp, [x, y, u], windowOf(attributes)),
  ],
  algorithms: gradients('maxGradient', (node) => [node.shape, node.inputs[2].shape]),
}

/** z[o] = u at the first largest element of x in window o; inputs x, y, u */
export const maxPoolGatherOp: KernelOp<PoolAttributes> = {
  name: 'maxPoolGather',
  kind: 'kernel',
  infer: ([, y]) => ({ shape: y.shape, dtype: 'f32' }),
  // du = dz at the first largest element of each window
  gradient: ({ inputs: [x, y], attributes }, upstream) => [
    undefined,
    undefined,
    makeNode(maxPoolGradientOp, [x, y, upstream], { ...attributes, size: x.shape.slice(1, -1) }),
  ],
  algorithms: [windows('maxGather', (node) => [node.inputs[0].shape, node.shape])],
}

// Mean.

/** y[o] = Σ x in window o / elements of the window (with or without those of the padding) */
export const avgPoolOp: KernelOp<PoolAttributes> = {
  name: 'avgPool',
  kind: 'kernel',
  infer: poolInfer('avgPool'),
  // dx[i] = Σ over windows o with i of dy[o] / elements of window o
  gradient: ({ inputs: [x], attributes }, upstream) => [
    makeNode(avgPoolGradientOp, [upstream], { ...attributes, size: x.shape.slice(1, -1) }),
  ],
  algorithms: [windows('mean', (node) => [node.inputs[0].shape, node.shape])],
}

/** The transpose of avgPool. */
export const avgPoolGradientOp: KernelOp<GradientAttributes> = {
  name: 'avgPoolGradient',
  kind: 'kernel',
  infer: ([upstream], attributes) => inputShape(upstream, attributes),
  // d(dy) = avgPool(u)
  gradient: ({ attributes }, u) => [makeNode(avgPoolOp, [u], windowOf(attributes))],
  algorithms: gradients('meanGradient', (node) => [node.shape, node.inputs[0].shape]),
}

// Faces.

export interface PoolOptions {
  /** Extent of the window, one number or one a spatial axis. */
  readonly kernelSize: number | readonly number[]
  /** Step of the window. Default: kernelSize. */
  readonly stride?: number | readonly number[]
  /** Distance between the elements of a window. Default 1. */
  readonly dilation?: number | readonly number[]
  /** As for convolutions, but less than the window covers on every side. Default 0. */
  readonly padding?: Padding
  /**
   * Whether a last window may hang over the end, as long as it begins inside the input or the padding before it
   * (PyTorch's and ONNX's ceil mode). What hangs over counts for nothing. Default false.
   */
  readonly ceil?: boolean
}

export interface AvgPoolOptions extends PoolOptions {
  /** Whether elements of the padding count in a window's size. Default true. */
  readonly countIncludePad?: boolean
}

/**
 * Largest element of each window; a NaN wins.
 * @param x [batch, ...spatial, channels] with one, two or three spatial axes
 * @returns [batch, ...outSpatial, channels]
 * @throws ShapeError, DTypeError, ConfigError
 */
export function maxPool(x: Node, options: PoolOptions): Node {
  return pooled(maxPoolOp, x, attributesOf('maxPool', x, options, []))
}

/**
 * Mean of each window.
 * @param x [batch, ...spatial, channels] with one, two or three spatial axes
 * @returns [batch, ...outSpatial, channels]
 * @throws ShapeError, DTypeError, ConfigError
 */
export function avgPool(x: Node, options: AvgPoolOptions): Node {
  const attributes = attributesOf('avgPool', x, options, ['countIncludePad'])
  const y = pooled(avgPoolOp, x, attributes)
  const { overhang, countIncludePad } = attributes
  if (!countIncludePad || overhang.every((count) => count === 0)) return y
  // Windows that hang over the end were divided by all their elements.
  return overhang.reduce((value, count, axis) => {
    if (count === 0) return value
    const shape = y.shape.map((extent, a) => (a === axis + 1 ? extent : 1))
    return mul(value, dataNode(shares(attributes, x.shape[axis + 1], y.shape[axis + 1], axis), shape, 'f32'))
  }, y)
}

/**
 * Mean over all spatial axes.
 * @param x [batch, ...spatial, channels]
 * @returns [batch, channels]; with keepDims [batch, 1, …, channels]
 */
export function globalAvgPool(x: Node, options: ReduceOptions = {}): Node {
  return mean(x, spatialAxes('globalAvgPool', x), options)
}

/** Largest element over all spatial axes: shapes as {@link globalAvgPool}. */
export function globalMaxPool(x: Node, options: ReduceOptions = {}): Node {
  return max(x, spatialAxes('globalMaxPool', x), options)
}

function spatialAxes(where: string, x: Node): number[] {
  if (x.shape.length < 3) throw rankError(where, x)
  return x.shape.slice(1, -1).map((_, axis) => axis + 1)
}

interface Windows extends PoolAttributes {
  /** Elements by which the last window hangs over the padded end of each axis; `pads` hold them. */
  readonly overhang: readonly number[]
}

/** The op over one or two axes; over three, planes first and then their depth, which both pools allow. */
function pooled(op: KernelOp<PoolAttributes>, x: Node, { overhang: _, ...attributes }: Windows): Node {
  if (attributes.kernel.length < 3) return makeNode(op, [x], attributes)
  const part = (from: number, to?: number): PoolAttributes => ({
    kernel: attributes.kernel.slice(from, to),
    stride: attributes.stride.slice(from, to),
    dilation: attributes.dilation.slice(from, to),
    pads: attributes.pads.slice(from, to),
    countIncludePad: attributes.countIncludePad,
  })
  const [images, depth, height, width, channels] = x.shape
  const planes = makeNode(op, [reshape(x, [images * depth, height, width, channels])], part(1))
  const [, outHeight, outWidth] = planes.shape
  const lines = reshape(planes, [images, depth, outHeight * outWidth, channels])
  const along = part(0, 1)
  const y = makeNode(op, [lines], {
    ...along,
    kernel: [...along.kernel, 1],
    stride: [...along.stride, 1],
    dilation: [...along.dilation, 1],
    pads: [...along.pads, [0, 0]],
  })
  return reshape(y, [images, y.shape[1], outHeight, outWidth, channels])
}

/** Elements of all windows over the elements of each that lie in the padded input, along one axis. */
function shares(attributes: Windows, extent: number, outputs: number, axis: number): Float64Array {
  const [kernel, stride, dilation] = [attributes.kernel[axis], attributes.stride[axis], attributes.dilation[axis]]
  const [before, after] = attributes.pads[axis]
  const end = extent + after - attributes.overhang[axis]
  return Float64Array.from({ length: outputs }, (_, o) => {
    const inside = Math.ceil((end - (o * stride - before)) / dilation)
    return kernel / Math.min(kernel, inside)
  })
}

function attributesOf(where: string, x: Node, options: AvgPoolOptions, more: readonly string[]): Windows {
  checkOptions(where, options, ['kernelSize', 'stride', 'dilation', 'padding', 'ceil', ...more])
  const rank = x.shape.length - 2
  if (rank < 1 || rank > 3) throw rankError(where, x)
  if (options.kernelSize === undefined) {
    throw new ConfigError({
      where,
      what: 'kernelSize is missing',
      expected: 'the extent of the window, one number or one for each spatial axis',
      fix: 'give kernelSize: 2',
    })
  }
  const kernel = perAxis(where, 'kernelSize', options.kernelSize, rank)
  const stride = perAxis(where, 'stride', options.stride ?? kernel, rank)
  const dilation = perAxis(where, 'dilation', options.dilation ?? 1, rank)
  const size = x.shape.slice(1, -1)
  const given = resolvePads(where, options.padding ?? 0, { size, kernel, stride, dilation })
  if (given.some((pair, i) => pair.some((pad) => pad >= covered(kernel[i], dilation[i])))) {
    throw new ConfigError({
      where,
      what: 'padding is as large as the window',
      got: `padding ${showValue(options.padding)}, kernelSize ${showValue(kernel)}`,
      expected: 'less padding on each side than the window has elements, so that no window is empty',
      fix: 'pad less, or pad the input itself with pad',
    })
  }
  const overhang = size.map((extent, i) => {
    if (options.ceil !== true) return 0
    const [before, after] = given[i]
    const covers = covered(kernel[i], dilation[i])
    const padded = before + extent + after
    const steps = Math.ceil((padded - covers) / stride[i])
    // A window that would begin behind the input is none.
    const last = steps * stride[i] >= before + extent ? steps - 1 : steps
    return Math.max(0, last * stride[i] + covers - padded)
  })
  const pads = given.map(([before, after], i): [number, number] => [before, after + overhang[i]])
  return { kernel, stride, dilation, pads, countIncludePad: options.countIncludePad ?? true, overhang }
}

function rankError(where: string, x: Node): ShapeError {
  return new ShapeError({
    where,
    what: `x has ${x.shape.length} ${x.shape.length === 1 ? 'axis' : 'axes'}`,
    got: `x ${showShape(x.shape)}`,
    expected:
      'x [batch, length, channels], [batch, height, width, channels] or [batch, depth, height, width, channels]',
    fix: 'reshape it; axes of 1 stand for one image or one channel',
  })
}
