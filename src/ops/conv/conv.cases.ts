/** Case records of convolutions: 1-D and 2-D, the three passes each, against plain loops. */
import { makeNode } from '../../graph/node.ts'
import { at, type OpCase, tabulate, type Values } from '../../testing/case.ts'
import { type ConvOptions, conv1d, conv2d, convInputGradientOp, convOp, convWeightGradientOp } from './index.ts'

type Pair = readonly [number, number]

interface Record {
  readonly name: string
  readonly x: readonly number[]
  readonly kernel: readonly number[]
  readonly out: number
  readonly options: Omit<ConvOptions, 'bias'>
}

const records: Record[] = []

function record(
  name: string,
  x: readonly number[],
  kernel: readonly number[],
  out: number,
  options: Record['options'] = {},
): void {
  records.push({ name, x, kernel, out, options })
}

// The textbook and kernels larger than the input.
record('one pixel', [1, 1, 1, 1], [1, 1], 1)
record('3x3 valid', [1, 5, 5, 1], [3, 3], 1)
record('3x3 same', [1, 5, 6, 1], [3, 3], 1, { padding: 'same' })
record('3x3 full', [2, 4, 3, 2], [3, 3], 3, { padding: 'full' })
record('kernel larger than input, same', [1, 2, 3, 2], [5, 5], 3, { padding: 'same' })
record('kernel larger than input, full', [1, 2, 2, 3], [4, 5], 2, { padding: 'full' })
record('kernel larger than input, 3', [2, 3, 2, 3], [7, 7], 9, { padding: 3 })
record('kernel larger than input, end only', [1, 2, 2, 1], [3, 3], 1, {
  padding: [
    [0, 2],
    [0, 2],
  ],
})
// Strides and dilations.
for (const stride of [1, 2, 3]) {
  for (const dilation of [1, 2, 3]) {
    record(`stride ${stride} dilation ${dilation}`, [2, 9, 10, 3], [3, 3], 5, { stride, dilation })
    record(`stride ${stride} dilation ${dilation} same`, [1, 8, 11, 4], [3, 2], 8, {
      stride,
      dilation,
      padding: 'same',
    })
  }
}
record('stride [2, 1] dilation [1, 3]', [1, 9, 9, 5], [3, 3], 4, { stride: [2, 1], dilation: [1, 3], padding: 2 })
record('stride [1, 3] dilation [2, 1]', [2, 8, 11, 1], [2, 3], 17, {
  stride: [1, 3],
  dilation: [2, 1],
  padding: 'full',
})
record('stride 2 dilation 2 kernel 1', [1, 7, 7, 3], [1, 1], 5, { stride: 2, dilation: 2 })
record('stride beyond the kernel', [1, 11, 10, 3], [2, 2], 3, { stride: 3 })
record('stride beyond the input', [2, 4, 5, 3], [3, 3], 4, { stride: 7, padding: 1 })
record('tail unread', [1, 8, 8, 5], [3, 3], 4, { stride: 2 })
// Padding.
record('padding 1', [2, 6, 7, 3], [3, 3], 5, { padding: 1 })
record('padding per side', [1, 5, 6, 3], [3, 3], 5, {
  padding: [
    [1, 0],
    [2, 3],
  ],
})
record('padding per side, stride 2', [1, 6, 7, 4], [3, 3], 9, {
  stride: 2,
  padding: [
    [0, 1],
    [1, 2],
  ],
})
record('padding wider than the kernel', [1, 3, 3, 2], [2, 2], 3, {
  padding: [
    [3, 0],
    [0, 4],
  ],
})
record('1x1 padding 1', [1, 4, 4, 3], [1, 1], 5, { padding: 1 })
record('even kernel same', [1, 5, 6, 3], [4, 2], 8, { padding: 'same' })
// Few pixels.
record('one-pixel output', [2, 3, 3, 5], [3, 3], 17)
record('one-pixel output, dilated', [1, 5, 7, 3], [3, 3], 5, { dilation: [2, 3] })
record('one-pixel output, stride 3', [3, 5, 5, 3], [3, 3], 4, { stride: 3 })
record('one row', [2, 1, 19, 8], [3, 3], 8, { padding: 'same' })
record('one column', [2, 19, 1, 8], [3, 3], 8, { padding: 'same' })
// Channels that fill no vector, fewer than a vector, many.
for (const [channels, out] of [
  [1, 3],
  [3, 1],
  [5, 17],
  [17, 5],
  [17, 17],
  [1, 1],
  [8, 2],
  [2, 8],
  [31, 33],
] as const) {
  record(`channels ${channels} to ${out}`, [1, 6, 7, channels], [3, 3], out, { padding: 'same' })
}
// 1×1.
record('1x1', [2, 5, 7, 17], [1, 1], 9)
record('1x1 stride 2', [2, 7, 8, 16], [1, 1], 12, { stride: 2 })
record('1x1 many channels', [1, 3, 3, 40], [1, 1], 1)
// Groups.
record('groups 2', [2, 6, 6, 4], [3, 3], 6, { groups: 2, padding: 'same' })
record('groups 3 stride 2', [1, 9, 9, 9], [3, 3], 15, { groups: 3, stride: 2, padding: 1 })
record('groups 2 dilation 2', [1, 8, 8, 34], [3, 3], 20, { groups: 2, dilation: 2, padding: 'same' })
record('groups 4 1x1', [2, 4, 5, 8], [1, 1], 12, { groups: 4 })
record('groups 2 wide', [1, 5, 9, 16], [3, 3], 24, { groups: 2 })
// Depthwise, with multipliers.
record('depthwise', [2, 7, 7, 8], [3, 3], 8, { groups: 8, padding: 'same' })
record('depthwise 5 channels', [1, 8, 9, 5], [3, 3], 5, { groups: 5 })
record('depthwise stride 2', [2, 9, 10, 17], [3, 3], 17, { groups: 17, stride: 2, padding: 'same' })
record('depthwise dilation 3 stride 2', [1, 14, 13, 4], [3, 3], 4, { groups: 4, dilation: 3, stride: 2, padding: 3 })
record('depthwise 7x5', [1, 9, 12, 6], [7, 5], 6, { groups: 6, padding: 'same' })
record('depthwise wider than the input', [1, 3, 2, 4], [5, 7], 4, { groups: 4, padding: 'same' })
record('depthwise multiplier 2', [1, 7, 8, 6], [3, 3], 12, { groups: 6, padding: 'same' })
record('depthwise multiplier 3 stride 2', [1, 9, 9, 5], [3, 3], 15, { groups: 5, stride: 2, padding: 1 })
record('depthwise multiplier 2 dilation 2', [2, 8, 8, 4], [2, 3], 8, { groups: 4, dilation: 2, padding: 'full' })
// Every height and width of a tile.
for (const width of [2, 3, 4, 5, 6, 7, 8, 11, 13]) record(`width ${width + 2}`, [1, 3, width + 2, 6], [3, 3], width + 4)
// 1-D.
record('1d', [2, 9, 3], [3], 5)
record('1d same stride 2', [1, 12, 3], [3], 8, { stride: 2, padding: 'same' })
record('1d full dilation 2', [2, 6, 5], [3], 3, { dilation: 2, padding: 'full' })
record('1d causal dilation 3', [1, 13, 4], [3], 6, { dilation: 3, padding: [[6, 0]] })
record('1d padding [1, 2]', [1, 7, 4], [4], 3, { padding: [1, 2] })
record('1d stride 3 dilation 2', [2, 17, 1], [4], 17, { stride: 3, dilation: 2, padding: 1 })
record('1d kernel 1', [2, 9, 17], [1], 5)
record('1d kernel larger than input', [1, 3, 2], [7], 3, { padding: 'same' })
record('1d groups 2', [1, 12, 6], [3], 10, { groups: 2, padding: 'same' })
record('1d depthwise kernel 9', [2, 24, 8], [9], 8, { groups: 8, padding: 'same' })
record('1d depthwise multiplier 2 stride 2', [1, 13, 5], [3], 10, { groups: 5, stride: 2, padding: 1 })
record('1d long kernel', [2, 90, 3], [64], 5, { padding: 'same' })
record('1d long kernel wider than the input', [1, 20, 5], [70], 3, { padding: [69, 40] })
record('1d kernel 17', [3, 150, 2], [17], 4, { padding: [3, 9] })

/** A convolution as the references see it: always two spatial axes. */
interface Window {
  readonly kernel: Pair
  readonly stride: Pair
  readonly dilation: Pair
  readonly pads: readonly [Pair, Pair]
  readonly groups: number
  readonly size: Pair
  readonly outSize: Pair
}

function windowOf({ x, kernel, options }: Record): Window {
  const one = kernel.length === 1
  const each = (value: number | readonly number[] | undefined, missing: number): Pair => {
    const list = typeof value === 'object' ? value : kernel.map(() => value ?? 1)
    return one ? [missing, list[0]] : [list[0], list[1]]
  }
  const stride = each(options.stride, 1)
  const dilation = each(options.dilation, 1)
  const size: Pair = one ? [1, x[1]] : [x[1], x[2]]
  const taps: Pair = one ? [1, kernel[0]] : [kernel[0], kernel[1]]
  const padding = options.padding ?? 'valid'
  const pads = [0, 1].map((axis): Pair => {
    const covers = (taps[axis] - 1) * dilation[axis] + 1
    if (padding === 'valid' || (one && axis === 0)) return [0, 0]
    if (padding === 'full') return [covers - 1, covers - 1]
    if (padding === 'same') {
      let total = 0
      while (Math.floor((size[axis] + total - covers) / stride[axis]) + 1 < Math.ceil(size[axis] / stride[axis]))
        total++
      return [Math.floor(total / 2), Math.ceil(total / 2)]
    }
    if (typeof padding === 'number') return [padding, padding]
    const pair = padding[one ? 0 : axis]
    return typeof pair === 'number' ? [padding[0] as number, padding[1] as number] : [pair[0], pair[1]]
  })
  const outSize = [0, 1].map((axis) => {
    const covers = (taps[axis] - 1) * dilation[axis] + 1
    return Math.floor((size[axis] + pads[axis][0] + pads[axis][1] - covers) / stride[axis]) + 1
  })
  return {
    kernel: taps,
    stride,
    dilation,
    pads: [pads[0], pads[1]],
    groups: options.groups ?? 1,
    size,
    outSize: [outSize[0], outSize[1]],
  }
}

/** Calls `body` for every product of a convolution: indices of input, weight and output, all with two spatial axes. */
function eachProduct(
  w: Window,
  images: number,
  channels: number,
  out: number,
  body: (x: readonly number[], weight: readonly number[], y: readonly number[]) => void,
): void {
  const groupIn = channels / w.groups
  const groupOut = out / w.groups
  for (let n = 0; n < images; n++) {
    for (let i = 0; i < w.outSize[0]; i++) {
      for (let j = 0; j < w.outSize[1]; j++) {
        for (let k = 0; k < out; k++) {
          for (let r = 0; r < w.kernel[0]; r++) {
            for (let s = 0; s < w.kernel[1]; s++) {
              const h = i * w.stride[0] + r * w.dilation[0] - w.pads[0][0]
              const v = j * w.stride[1] + s * w.dilation[1] - w.pads[1][0]
              if (h < 0 || h >= w.size[0] || v < 0 || v >= w.size[1]) continue
              const group = Math.floor(k / groupOut)
              for (let c = 0; c < groupIn; c++) body([n, h, v, group * groupIn + c], [r, s, c, k], [n, i, j, k])
            }
          }
        }
      }
    }
  }
}

/** Adds up the products that belong to each element of a result. */
function accumulate(
  shape: readonly number[],
  planar: readonly number[],
  fill: (add: (index: readonly number[], value: number) => void) => void,
): Values {
  const values = tabulate(shape, () => 0)
  fill((index, value) => {
    let linear = 0
    for (const [axis, i] of index.entries()) linear = linear * planar[axis] + i
    values.data[linear] += value
  })
  return values
}

/** The values with two spatial axes; 1-D gets an axis of 1 at `axis`. */
function plane(values: Values, one: boolean, axis: number): Values {
  if (!one) return values
  const shape = [...values.shape]
  shape.splice(axis, 0, 1)
  return { shape, data: values.data }
}

function casesOf(r: Record): OpCase[] {
  const w = windowOf(r)
  const one = r.kernel.length === 1
  const face = one ? conv1d : conv2d
  const channels = r.x[r.x.length - 1]
  const images = r.x[0]
  const weight = [...r.kernel, channels / w.groups, r.out]
  const y = [images, ...(one ? [w.outSize[1]] : w.outSize), r.out]
  const planarX = [images, ...w.size, channels]
  const planarWeight = [...w.kernel, channels / w.groups, r.out]
  const planarY = [images, ...w.outSize, r.out]
  const name = r.name.startsWith('1d') ? `conv1d${r.name.slice(2)}` : `conv2d ${r.name}`
  const spatial = <T>(pair: readonly [T, T]): T[] => (one ? [pair[1]] : [...pair])
  const attributes = {
    stride: spatial(w.stride),
    dilation: spatial(w.dilation),
    pads: spatial(w.pads),
    groups: w.groups,
  }
  return [
    {
      name,
      ops: [convOp],
      inputs: [{ shape: r.x }, { shape: weight }],
      build: (x, k) => face(x, k, r.options),
      reference: (x, k) =>
        accumulate(y, planarY, (add) =>
          eachProduct(w, images, channels, r.out, (a, b, c) =>
            add(c, at(plane(x, one, 1), a) * at(plane(k, one, 0), b)),
          ),
        ),
    },
    {
      name: `${name}, input gradient`,
      ops: [convInputGradientOp],
      inputs: [{ shape: y }, { shape: weight }],
      build: (g, k) => makeNode(convInputGradientOp, [g, k], { ...attributes, size: spatial(w.size) }),
      reference: (g, k) =>
        accumulate(r.x, planarX, (add) =>
          eachProduct(w, images, channels, r.out, (a, b, c) =>
            add(a, at(plane(g, one, 1), c) * at(plane(k, one, 0), b)),
          ),
        ),
    },
    {
      name: `${name}, weight gradient`,
      ops: [convWeightGradientOp],
      inputs: [{ shape: r.x }, { shape: y }],
      build: (x, g) => makeNode(convWeightGradientOp, [x, g], { ...attributes, kernel: r.kernel }),
      reference: (x, g) =>
        accumulate(weight, planarWeight, (add) =>
          eachProduct(w, images, channels, r.out, (a, b, c) =>
            add(b, at(plane(x, one, 1), a) * at(plane(g, one, 1), c)),
          ),
        ),
    },
  ]
}

export const convCases: readonly OpCase[] = records.flatMap(casesOf)
