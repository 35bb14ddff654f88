/** Convolution, its input gradient and its weight gradient: the derivatives of each are the other two. */
import { DTypeError, ShapeError } from '../../base/errors.ts'
import { type Shape, showShape } from '../../base/shape.ts'
import { makeNode, type Node } from '../../graph/node.ts'
import type { KernelOp } from '../../graph/op.ts'
import { forwardAlgorithms, inputGradientAlgorithms, weightGradientAlgorithms } from './dense.ts'
import { depthwiseForward, depthwiseInputGradient, depthwiseWeightGradient } from './depthwise.ts'
import { fftForward, fftInputGradient, fftWeightGradient } from './fft.ts'
import { type ConvAttributes, type Planar, planar } from './geometry.ts'
import { outputSize } from './padding.ts'
import { winogradForward, winogradInputGradient, winogradWeightGradient } from './winograd.ts'

export interface InputGradientAttributes extends ConvAttributes {
  /** Spatial extents of the input. */
  readonly size: readonly number[]
}

export interface WeightGradientAttributes extends ConvAttributes {
  /** Spatial extents of the kernel. */
  readonly kernel: readonly number[]
}

const inputAxes = [
  '',
  '[batch, length, channels]',
  '[batch, height, width, channels]',
  '[batch, depth, height, width, channels]',
]
const weightAxes = [
  '',
  '[length, inChannels / groups, outChannels]',
  '[height, width, inChannels / groups, outChannels]',
  '[depth, height, width, inChannels / groups, outChannels]',
]

/** The face that a number of spatial axes belongs to, for messages. */
export function faceOf(rank: number): string {
  return `conv${rank}d`
}

function show(input: Shape, weight: Shape, groups: number): string {
  return `input ${showShape(input)}, weight ${showShape(weight)}, groups ${groups}`
}

/** @throws DTypeError */
export function checkReal(where: string, x: Node, weight: Node): void {
  for (const [name, node] of [
    ['input', x],
    ['weight', weight],
  ] as const) {
    if (node.dtype === 'f32') continue
    throw new DTypeError({
      where,
      what: `${name} holds ${node.dtype}`,
      got: `${name} ${showShape(node.shape)} of dtype ${node.dtype}`,
      expected: 'f32',
      fix: `convert it: ${name}.cast('f32')`,
    })
  }
}

/**
 * Ranks and dtypes of input and weight.
 * @throws ShapeError, DTypeError
 */
export function checkOperands(where: string, rank: number, x: Node, weight: Node): void {
  checkReal(where, x, weight)
  if (x.shape.length === rank + 2 && weight.shape.length === rank + 2) return
  const wrong = x.shape.length === rank + 2 ? 'weight' : 'input'
  const got = wrong === 'input' ? x.shape : weight.shape
  throw new ShapeError({
    where,
    what: `${wrong} has ${got.length} ${got.length === 1 ? 'axis' : 'axes'}`,
    got: `input ${showShape(x.shape)}, weight ${showShape(weight.shape)}`,
    expected:
      `input ${inputAxes[rank]} and weight ${weightAxes[rank]}, ` +
      `or both with ${rank === 1 ? '1 axis' : `${rank} axes`} for one ${['', 'signal', 'image', 'volume'][rank]} of one channel`,
    fix: 'reshape it; axes of 1 stand for one image or one channel',
  })
}

/** @throws ShapeError when channels and groups do not fit */
export function checkChannels(where: string, input: Shape, weight: Shape, groups: number): void {
  const channels = input[input.length - 1]
  const groupIn = weight[weight.length - 2]
  const outChannels = weight[weight.length - 1]
  if (channels % groups !== 0 || outChannels % groups !== 0) {
    const which = channels % groups !== 0 ? `${channels} input channels` : `${outChannels} output channels`
    throw new ShapeError({
      where,
      what: `${which} cannot be divided into ${groups} groups`,
      got: show(input, weight, groups),
      expected: 'input and output channels that are multiples of groups',
      fix: `use a number of groups that divides both ${channels} and ${outChannels}`,
    })
  }
  if (channels === groupIn * groups) return
  const weightText = groups === 1 ? `weight expects ${groupIn}` : `weight expects ${groupIn} × ${groups} groups`
  throw new ShapeError({
    where,
    what: `input has ${channels} ${channels === 1 ? 'channel' : 'channels'}, ${weightText}`,
    got: show(input, weight, groups),
    expected: `input's last axis = weight's axis ${weight.length - 2} × groups`,
    fix: `use a weight of shape ${showShape([...weight.slice(0, -2), channels / groups, outChannels])}`,
  })
}

/** y[n, o, k] = Σ over taps t and channels c of x[n, o·stride + t·dilation - before, c] · weight[t, c, k] */
export const convOp: KernelOp<ConvAttributes> = {
  name: 'conv',
  kind: 'kernel',
  infer([x, weight], { stride, dilation, pads, groups }) {
    const rank = stride.length
    const where = faceOf(rank)
    checkOperands(where, rank, x, weight)
    checkChannels(where, x.shape, weight.shape, groups)
    const window = { size: x.shape.slice(1, -1), kernel: weight.shape.slice(0, -2), stride, dilation, pads }
    const outChannels = weight.shape[weight.shape.length - 1]
    return { shape: [x.shape[0], ...outputSize(where, window), outChannels], dtype: 'f32' }
  },
  // dx = inputGradient(dy, weight), dweight = weightGradient(x, dy)
  gradient: ({ inputs: [x, weight], attributes }, upstream) => [
    convInputGradient(upstream, weight, attributes, x.shape.slice(1, -1)),
    convWeightGradient(x, upstream, attributes, weight.shape.slice(0, -2)),
  ],
  algorithms: [
    depthwiseForward(convShapes),
    ...forwardAlgorithms(convShapes),
    ...winogradForward(convShapes),
    fftForward(convShapes),
  ],
}

function convShapes({ inputs: [x, weight], attributes, shape }: Node<ConvAttributes>): Planar {
  return planar(attributes, x.shape, weight.shape, shape)
}

/** dx[n, i, c] = Σ over taps t, outputs o with o·stride + t·dilation - before = i, and k of dy[n, o, k] · weight[t, c, k] */
export const convInputGradientOp: KernelOp<InputGradientAttributes> = {
  name: 'convInputGradient',
  kind: 'kernel',
  infer([upstream, weight], { groups, size }) {
    const groupIn = weight.shape[weight.shape.length - 2]
    return { shape: [upstream.shape[0], ...size, groupIn * groups], dtype: 'f32' }
  },
  // Linear in dy and weight: with u for the gradient of dx, d(dy) = conv(u, weight), d(weight) = weightGradient(u, dy)
  gradient: ({ inputs: [upstream, weight], attributes }, u) => [
    makeNode(convOp, [u, weight], windowOf(attributes)) as Node,
    convWeightGradient(u, upstream, attributes, weight.shape.slice(0, -2)),
  ],
  algorithms: [
    depthwiseInputGradient(inputGradientShapes),
    ...inputGradientAlgorithms(inputGradientShapes),
    ...winogradInputGradient(inputGradientShapes),
    fftInputGradient(inputGradientShapes),
  ],
}

function inputGradientShapes({ inputs: [upstream, weight], attributes, shape }: Node<InputGradientAttributes>): Planar {
  return planar(attributes, shape, weight.shape, upstream.shape)
}

/** dweight[t, c, k] = Σ over images n and outputs o of x[n, o·stride + t·dilation - before, c] · dy[n, o, k] */
export const convWeightGradientOp: KernelOp<WeightGradientAttributes> = {
  name: 'convWeightGradient',
  kind: 'kernel',
  infer([x, upstream], { groups, kernel }) {
    const channels = x.shape[x.shape.length - 1]
    return { shape: [...kernel, channels / groups, upstream.shape[upstream.shape.length - 1]], dtype: 'f32' }
  },
  // Linear in x and dy: with u for the gradient of dweight, dx = inputGradient(dy, u), d(dy) = conv(x, u)
  gradient: ({ inputs: [x, upstream], attributes }, u) => [
    convInputGradient(upstream, u, attributes, x.shape.slice(1, -1)),
    makeNode(convOp, [x, u], windowOf(attributes)) as Node,
  ],
  algorithms: [
    depthwiseWeightGradient(weightGradientShapes),
    ...weightGradientAlgorithms(weightGradientShapes),
    ...winogradWeightGradient(weightGradientShapes),
    fftWeightGradient(weightGradientShapes),
  ],
}

function weightGradientShapes({ inputs: [x, upstream], attributes, shape }: Node<WeightGradientAttributes>): Planar {
  return planar(attributes, x.shape, shape, upstream.shape)
}

function windowOf({ stride, dilation, pads, groups }: ConvAttributes): ConvAttributes {
  return { stride, dilation, pads, groups }
}

function convInputGradient(upstream: Node, weight: Node, attributes: ConvAttributes, size: readonly number[]): Node {
  return makeNode(convInputGradientOp, [upstream, weight], { ...windowOf(attributes), size }) as Node
}

function convWeightGradient(x: Node, upstream: Node, attributes: ConvAttributes, kernel: readonly number[]): Node {
  return makeNode(convWeightGradientOp, [x, upstream], { ...windowOf(attributes), kernel }) as Node
}
