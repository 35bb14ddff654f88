/** What the kernels want to know of a convolution: two spatial axes, phases of a stride. 1-D is 2-D with height 1. */
import type { Shape } from '../../base/shape.ts'
import type { ConvGeometry } from '../../kernel/builders/contraction/index.ts'
import type { Pads } from './padding.ts'

/** Window of a convolution; one number (or pair) for each spatial axis. */
export interface ConvAttributes {
  readonly stride: readonly number[]
  readonly dilation: readonly number[]
  readonly pads: Pads
  readonly groups: number
}

type Two = readonly [number, number]

/** A convolution over two spatial axes, in full. */
export interface Planar {
  readonly images: number
  readonly size: Two
  readonly outSize: Two
  readonly kernel: Two
  readonly stride: Two
  readonly dilation: Two
  readonly before: Two
  readonly groups: number
  /** Channels of a group. */
  readonly groupIn: number
  readonly groupOut: number
}

function two(values: readonly number[], missing: number): Two {
  return values.length === 1 ? [missing, values[0]] : [values[0], values[1]]
}

/** @param x shape of the input @param weight shape of the kernel @param y shape of the output */
export function planar(attributes: ConvAttributes, x: Shape, weight: Shape, y: Shape): Planar {
  const { groups } = attributes
  return {
    images: x[0],
    size: two(x.slice(1, -1), 1),
    outSize: two(y.slice(1, -1), 1),
    kernel: two(weight.slice(0, -2), 1),
    stride: two(attributes.stride, 1),
    dilation: two(attributes.dilation, 1),
    before: two(
      attributes.pads.map(([before]) => before),
      0,
    ),
    groups,
    groupIn: x[x.length - 1] / groups,
    groupOut: weight[weight.length - 1] / groups,
  }
}

export function forwardGeometry(p: Planar): ConvGeometry {
  const [outHeight, outWidth] = p.outSize
  const channels = p.groups * p.groupOut
  return {
    images: p.images,
    height: p.size[0],
    width: p.size[1],
    groups: p.groups,
    groupIn: p.groupIn,
    groupOut: p.groupOut,
    kernel: p.kernel,
    stride: p.stride,
    dilation: p.dilation,
    before: p.before,
    outHeight,
    outWidth,
    out: { first: 0, image: outHeight * outWidth * channels, row: outWidth * channels, pixel: channels },
  }
}

/** Taps of one axis that reach the inputs a, a + stride, a + 2 stride, …: taps last, last - step, …, `count` of them. */
interface Phase {
  readonly count: number
  /** The tap with the largest number, which the flipped kernel starts with. */
  readonly last: number
  readonly step: number
  readonly dilation: number
  readonly before: number
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b)
}

function phase(a: number, stride: number, dilation: number, before: number, kernel: number): Phase {
  const common = gcd(stride, dilation)
  const step = stride / common
  let first = 0
  while (first < step && (a + before - first * dilation) % stride !== 0) first++
  const count = first === step || first >= kernel ? 0 : Math.floor((kernel - 1 - first) / step) + 1
  if (count === 0) return { count: 0, last: 0, step, dilation: 1, before: 0 }
  // Input a + stride·q meets tap first + step·t at output q + base - t·(dilation / common).
  const base = (a + before - first * dilation) / stride
  const apart = dilation / common
  return { count, last: first + (count - 1) * step, step, dilation: apart, before: (count - 1) * apart - base }
}

/** One dense convolution of the upstream gradient that gives the input gradient at every stride-th row and column. */
export interface PhaseConvolution {
  readonly geometry: ConvGeometry
  /** The first tap of the flipped kernel, and how many taps further the next ones lie, backwards. */
  readonly last: Two
  readonly step: Two
}

/** The input gradient as stride² convolutions with parts of the flipped kernel; nothing is multiplied by zeros. */
export function inputGradientPhases(p: Planar): PhaseConvolution[] {
  const [height, width] = p.size
  const channels = p.groups * p.groupIn
  const phases: PhaseConvolution[] = []
  for (let a = 0; a < Math.min(p.stride[0], height); a++) {
    const rows = phase(a, p.stride[0], p.dilation[0], p.before[0], p.kernel[0])
    for (let b = 0; b < Math.min(p.stride[1], width); b++) {
      const columns = phase(b, p.stride[1], p.dilation[1], p.before[1], p.kernel[1])
      const none = rows.count === 0 || columns.count === 0
      phases.push({
        geometry: {
          images: p.images,
          height: p.outSize[0],
          width: p.outSize[1],
          groups: p.groups,
          groupIn: p.groupOut,
          groupOut: p.groupIn,
          kernel: none ? [0, 0] : [rows.count, columns.count],
          stride: [1, 1],
          dilation: [rows.dilation, columns.dilation],
          before: none ? [0, 0] : [rows.before, columns.before],
          outHeight: Math.ceil((height - a) / p.stride[0]),
          outWidth: Math.ceil((width - b) / p.stride[1]),
          out: {
            first: (a * width + b) * channels,
            image: height * width * channels,
            row: p.stride[0] * width * channels,
            pixel: p.stride[1] * channels,
          },
        },
        last: [rows.last, columns.last],
        step: [rows.step, columns.step],
      })
    }
  }
  return phases
}

/** Elements of a [...kernel, groupIn, outChannels] weight from tap row to tap row, tap to tap, channel to channel. */
export function weightStrides(p: Planar): [number, number, number] {
  const channel = p.groups * p.groupOut
  return [p.kernel[1] * p.groupIn * channel, p.groupIn * channel, channel]
}

/** Multiply-adds of the three passes, which are equal but for the edges. */
export function multiplyAdds(p: Planar): number {
  return p.images * p.outSize[0] * p.outSize[1] * p.kernel[0] * p.kernel[1] * p.groupIn * p.groupOut * p.groups
}

/** 1×1 with stride 1 and no padding: a matrix product over all pixels. */
export function isPointwise(p: Planar): boolean {
  const one = ([a, b]: Two) => a === 1 && b === 1
  const same = p.size[0] === p.outSize[0] && p.size[1] === p.outSize[1]
  return p.groups === 1 && one(p.kernel) && one(p.stride) && p.before[0] === 0 && p.before[1] === 0 && same
}

/** Every input channel is a group of its own; with a multiplier it has several outputs. */
export function isDepthwise(p: Planar): boolean {
  return p.groups > 1 && p.groupIn === 1
}
