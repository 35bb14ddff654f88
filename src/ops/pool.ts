/** Pooling over one or two spatial axes, channels last: largest element or mean of each window, and their gradients. */
import { ConfigError, checkOptions, ShapeError } from '../base/errors.ts'
import { type Shape, showShape } from '../base/shape.ts'
import { makeNode, type Node } from '../graph/node.ts'
import type { Algorithm, KernelOp } from '../graph/op.ts'
import {
  type PoolArguments,
  type PoolMode,
  poolCall,
  poolShape,
  poolSpec,
  windowsTile,
} from '../kernel/builders/window/pool.ts'
import { epilogueShape, epilogueSpans } from './contraction-calls.ts'
import { outputSize, type Padding, type Pads, perAxis, resolvePads, showValue } from './conv/padding.ts'
import { checkDType, checkFilled } from './operands.ts'
import { mean } from './reduce.ts'

/** One number (or pair) for each spatial axis. */
export interface PoolAttributes {
  readonly kernel: readonly number[]
  readonly stride: readonly number[]
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

function windowOf({ kernel, stride, pads, countIncludePad }: PoolAttributes): PoolAttributes {
  return { kernel, stride, pads, countIncludePad }
}

function poolInfer(where: string) {
  return ([x]: readonly Node[], { kernel, stride, pads }: PoolAttributes) => {
    checkDType(where, 'x', x, ['f32'])
    checkFilled(where, 'x', x)
    const size = outputSize(where, { size: x.shape.slice(1, -1), kernel, stride, dilation: kernel.map(() => 1), pads })
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
  /** As for convolutions, but less than the window on every side. Default 0. */
  readonly padding?: Padding
}

export interface AvgPoolOptions extends PoolOptions {
  /** Whether elements of the padding count in a window's size. Default true. */
  readonly countIncludePad?: boolean
}

/**
 * Largest element of each window; a NaN wins.
 * @param x [batch, ...spatial, channels] with one or two spatial axes
 * @returns [batch, ...outSpatial, channels]
 * @throws ShapeError, DTypeError, ConfigError
 */
export function maxPool(x: Node, options: PoolOptions): Node {
  return makeNode(maxPoolOp, [x], attributesOf('maxPool', x, options, []))
}

/**
 * Mean of each window.
 * @param x [batch, ...spatial, channels] with one or two spatial axes
 * @returns [batch, ...outSpatial, channels]
 * @throws ShapeError, DTypeError, ConfigError
 */
export function avgPool(x: Node, options: AvgPoolOptions): Node {
  return makeNode(avgPoolOp, [x], attributesOf('avgPool', x, options, ['countIncludePad']))
}

/**
 * Mean over all spatial axes.
 * @param x [batch, ...spatial, channels]
 * @returns [batch, channels]
 */
export function globalAvgPool(x: Node): Node {
  if (x.shape.length < 3) throw rankError('globalAvgPool', x)
  return mean(
    x,
    x.shape.slice(1, -1).map((_, axis) => axis + 1),
  )
}

function attributesOf(where: string, x: Node, options: AvgPoolOptions, more: readonly string[]): PoolAttributes {
  checkOptions(where, options, ['kernelSize', 'stride', 'padding', ...more])
  const rank = x.shape.length - 2
  if (rank !== 1 && rank !== 2) throw rankError(where, x)
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
  const window = { size: x.shape.slice(1, -1), kernel, stride, dilation: kernel.map(() => 1) }
  const pads = resolvePads(where, options.padding ?? 0, window)
  if (pads.some((pair, i) => pair.some((pad) => pad >= kernel[i]))) {
    throw new ConfigError({
      where,
      what: 'padding is as large as the window',
      got: `padding ${showValue(options.padding)}, kernelSize ${showValue(kernel)}`,
      expected: 'less padding on each side than the window has elements, so that no window is empty',
      fix: 'pad less, or pad the input itself with pad',
    })
  }
  return { kernel, stride, pads, countIncludePad: options.countIncludePad ?? true }
}

function rankError(where: string, x: Node): ShapeError {
  return new ShapeError({
    where,
    what: `x has ${x.shape.length} ${x.shape.length === 1 ? 'axis' : 'axes'}`,
    got: `x ${showShape(x.shape)}`,
    expected: 'x [batch, length, channels] or [batch, height, width, channels]',
    fix: 'reshape it; axes of 1 stand for one image or one channel',
  })
}
