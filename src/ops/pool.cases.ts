/** Case records of pooling, against plain loops. */
import { makeNode } from '../graph/node.ts'
import { at, type OpCase, tabulate, type Values } from '../testing/case.ts'
import {
  type AvgPoolOptions,
  avgPool,
  avgPoolGradientOp,
  avgPoolOp,
  globalAvgPool,
  globalMaxPool,
  maxPool,
  maxPoolGatherOp,
  maxPoolGradientOp,
  maxPoolOp,
  type PoolAttributes,
} from './pool.ts'
import { maxOp } from './reduce.ts'

interface Windows {
  readonly attributes: PoolAttributes
  /** Extents of the output. */
  readonly out: readonly number[]
  /** Elements of all windows and how many there are with padding. */
  taps(index: readonly number[]): { readonly inside: readonly (readonly number[])[]; readonly all: number }
}

/** The windows over x, by definition. */
function windows(x: readonly number[], options: AvgPoolOptions): Windows {
  const size = x.slice(1, -1)
  const each = (value: number | readonly number[]) => (typeof value === 'number' ? size.map(() => value) : value)
  const kernel = each(options.kernelSize)
  const stride = each(options.stride ?? kernel)
  const dilation = each(options.dilation ?? 1)
  const covers = kernel.map((extent, i) => (extent - 1) * dilation[i] + 1)
  const padding = options.padding ?? 0
  const pads = size.map((extent, i) => {
    if (padding === 'same') {
      const total = Math.max(0, (Math.ceil(extent / stride[i]) - 1) * stride[i] + covers[i] - extent)
      return [Math.floor(total / 2), Math.ceil(total / 2)]
    }
    if (padding === 'full') return [covers[i] - 1, covers[i] - 1]
    if (typeof padding === 'object') return padding[i] as readonly number[]
    return padding === 'valid' ? [0, 0] : [padding, padding]
  })
  const counts = size.map((extent, i) => {
    const padded = extent + pads[i][0] + pads[i][1]
    let outputs = 0
    while (outputs * stride[i] + covers[i] <= padded) outputs++
    const start = outputs * stride[i]
    const reached = outputs > 0 && start - stride[i] + covers[i] === padded
    return options.ceil === true && !reached && start < pads[i][0] + extent ? outputs + 1 : outputs
  })
  return {
    attributes: {
      kernel,
      stride,
      dilation,
      pads: pads.map(([a, b]) => [a, b]),
      countIncludePad: options.countIncludePad ?? true,
    },
    out: [x[0], ...counts, x[x.length - 1]],
    taps(index) {
      let inside: number[][] = [[index[0]]]
      let all = 1
      for (const [i, extent] of size.entries()) {
        const start = index[i + 1] * stride[i] - pads[i][0]
        const places = Array.from({ length: kernel[i] }, (_, tap) => start + tap * dilation[i])
        all *= places.filter((p) => p < extent + pads[i][1]).length
        inside = inside.flatMap((head) => places.filter((p) => p >= 0 && p < extent).map((p) => [...head, p]))
      }
      const channel = index[index.length - 1]
      return { inside: inside.map((head) => [...head, channel]), all }
    },
  }
}

/** Index of the first largest element of a window. */
function firstLargest(x: Values, inside: readonly (readonly number[])[]): readonly number[] {
  return inside.reduce((best, next) => (at(x, next) > at(x, best) ? next : best))
}

function scatter(
  shape: readonly number[],
  fill: (add: (index: readonly number[], value: number) => void) => void,
): Values {
  const values = tabulate(shape, () => 0)
  fill((index, value) => {
    let linear = 0
    for (const [axis, i] of index.entries()) linear = linear * shape[axis] + i
    values.data[linear] += value
  })
  return values
}

function eachIndex(shape: readonly number[], body: (index: readonly number[]) => void): void {
  tabulate(shape, (index) => {
    body([...index])
    return 0
  })
}

function maxReference(x: Values, options: AvgPoolOptions): Values {
  const w = windows(x.shape, options)
  return tabulate(w.out, (index) => Math.max(...w.taps(index).inside.map((tap) => at(x, tap))))
}

function records(name: string, shape: readonly number[], options: AvgPoolOptions, ties = false): OpCase[] {
  const w = windows(shape, options)
  const size = shape.slice(1, -1)
  const { countIncludePad = true, ...window } = options
  const number = (index: readonly number[]) => (countIncludePad ? w.taps(index).all : w.taps(index).inside.length)
  const { attributes } = w
  const values = ties ? Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => (i * i * 7) % 3) : undefined
  const gradient = ties ? { gradient: 'ties: the largest element changes with the direction' } : {}
  const max: OpCase[] = [
    {
      name: `maxPool ${name}`,
      ops: [maxPoolOp],
      inputs: [{ shape, values }],
      build: (x) => maxPool(x, window),
      reference: (x) => maxReference(x, options),
      ...gradient,
    },
    {
      name: `maxPool ${name}, gradient`,
      ops: [maxPoolGradientOp],
      inputs: [{ shape, values }, { shape: w.out }],
      build: (x, g) => makeNode(maxPoolGradientOp, [x, maxPool(x, window), g], { ...attributes, size }),
      reference: (x, g) =>
        scatter(shape, (add) => eachIndex(w.out, (o) => add(firstLargest(x, w.taps(o).inside), at(g, o)))),
      gradient: 'piecewise constant in x: central differences see the jumps of the upstream gradient',
    },
    {
      name: `maxPool ${name}, gather`,
      ops: [maxPoolGatherOp],
      inputs: [{ shape, values }, { shape }],
      build: (x, u) => makeNode(maxPoolGatherOp, [x, maxPool(x, window), u], attributes),
      reference: (x, u) => tabulate(w.out, (o) => at(u, firstLargest(x, w.taps(o).inside))),
      ...gradient,
    },
  ]
  const average: OpCase[] = [
    {
      name: `avgPool ${name}`,
      ops: [avgPoolOp],
      inputs: [{ shape }],
      build: (x) => avgPool(x, options),
      reference: (x) => tabulate(w.out, (o) => w.taps(o).inside.reduce((sum, tap) => sum + at(x, tap), 0) / number(o)),
    },
    {
      name: `avgPool ${name}, gradient`,
      ops: [avgPoolGradientOp],
      inputs: [{ shape: w.out }],
      build: (g) => makeNode(avgPoolGradientOp, [g], { ...attributes, size }),
      reference: (g) =>
        scatter(shape, (add) =>
          eachIndex(w.out, (o) => {
            for (const tap of w.taps(o).inside) add(tap, at(g, o) / number(o))
          }),
        ),
    },
  ]
  // What hangs over and what has a depth is put together of ops that only know whole windows of two axes.
  const parts = options.ceil === true || size.length === 3 ? 1 : undefined
  const averages = average.slice(0, parts)
  return options.countIncludePad === false ? averages : [...max.slice(0, parts), ...averages]
}

function several(): OpCase[] {
  const both = (name: string, shape: readonly number[], options: AvgPoolOptions) => [
    ...records(name, shape, options),
    ...(options.padding === undefined
      ? []
      : records(`${name}, pad not counted`, shape, { ...options, countIncludePad: false })),
  ]
  return [
    ...both('2x2', [2, 6, 8, 5], { kernelSize: 2 }),
    ...both('2x2, odd size', [1, 7, 9, 17], { kernelSize: 2 }),
    ...both('2x2 of one image, many channels', [1, 4, 6, 70], { kernelSize: 2 }),
    ...both('3x3 stride 2 padding 1', [2, 8, 9, 3], { kernelSize: 3, stride: 2, padding: 1 }),
    ...both('3x3 stride 1, overlapping', [1, 6, 5, 4], { kernelSize: 3, stride: 1 }),
    ...both('3x3 stride 1 same', [1, 5, 6, 3], { kernelSize: 3, stride: 1, padding: 'same' }),
    ...both('2x2 same, odd size', [2, 5, 7, 3], { kernelSize: 2, padding: 'same' }),
    ...both('2x2 stride 3: gaps', [1, 8, 9, 1], { kernelSize: 2, stride: 3 }),
    ...both('3x2 stride [1, 2]', [2, 6, 7, 3], { kernelSize: [3, 2], stride: [1, 2] }),
    ...both('asymmetric', [1, 6, 6, 5], {
      kernelSize: 3,
      stride: 2,
      padding: [
        [0, 1],
        [2, 0],
      ],
    }),
    ...both('3x3 full', [1, 4, 5, 3], { kernelSize: 3, padding: 'full' }),
    ...both('4x4 stride 2 padding 2: not unrolled', [1, 9, 8, 6], { kernelSize: 4, stride: 2, padding: 2 }),
    ...both('whole image', [3, 5, 4, 7], { kernelSize: [5, 4] }),
    ...both('one pixel', [1, 1, 1, 1], { kernelSize: 1 }),
    ...both('1d 2', [2, 10, 3], { kernelSize: 2 }),
    ...both('1d 3 stride 2 padding 1', [2, 11, 5], { kernelSize: 3, stride: 2, padding: 1 }),
    ...both('1d 12 stride 5', [1, 31, 4], { kernelSize: 12, stride: 5 }),
    ...both('2x3 dilation 2', [2, 7, 8, 5], { kernelSize: [2, 3], stride: 1, dilation: 2 }),
    ...both('3x3 dilation [1, 3] stride 2 padding 1', [1, 8, 11, 9], {
      kernelSize: 3,
      stride: 2,
      dilation: [1, 3],
      padding: 1,
    }),
    ...both('2x2 dilation 3 stride 5: apart', [1, 10, 9, 3], { kernelSize: 2, stride: 5, dilation: 3, padding: 1 }),
    ...both('4x4 dilation 2 same: not unrolled', [1, 9, 8, 4], { kernelSize: 4, dilation: 2, padding: 'same' }),
    ...both('1d 3 dilation 4', [2, 17, 3], { kernelSize: 3, stride: 1, dilation: 4 }),
    ...both('3x3 stride 2 ceil', [2, 6, 8, 3], { kernelSize: 3, stride: 2, ceil: true }),
    ...both('3x3 stride 2 padding 1 ceil', [1, 6, 7, 5], { kernelSize: 3, stride: 2, padding: 1, ceil: true }),
    ...both('2x2 stride 3 ceil: the last begins behind', [1, 6, 7, 2], { kernelSize: 2, stride: 3, ceil: true }),
    ...both('larger than the input, ceil', [1, 2, 5, 3], { kernelSize: 3, stride: 2, ceil: true }),
    ...both('1d 3 stride 2 dilation 2 pads [2, 1] ceil', [2, 10, 4], {
      kernelSize: 3,
      stride: 2,
      dilation: 2,
      padding: [[2, 1]],
      ceil: true,
    }),
    ...both('3d 2', [2, 4, 5, 6, 3], { kernelSize: 2 }),
    ...both('3d 3 stride 2 padding 1', [1, 5, 6, 7, 4], { kernelSize: 3, stride: 2, padding: 1 }),
    ...both('3d [1, 2, 3] stride [2, 1, 2] ceil', [1, 4, 3, 6, 2], {
      kernelSize: [1, 2, 3],
      stride: [2, 1, 2],
      padding: [
        [0, 0],
        [0, 1],
        [1, 1],
      ],
      ceil: true,
    }),
    ...both('3d dilation 2', [1, 6, 5, 5, 3], { kernelSize: 2, stride: 1, dilation: 2, padding: 1 }),
    ...records('2x2 ties', [2, 6, 6, 5], { kernelSize: 2 }, true),
    ...records('3x3 ties, overlapping', [1, 7, 7, 5], { kernelSize: 3, stride: 2, padding: 1 }, true).filter((c) =>
      c.name.startsWith('max'),
    ),
    {
      name: 'globalAvgPool',
      ops: [avgPoolOp],
      inputs: [{ shape: [2, 3, 4, 5] }],
      build: (x) => globalAvgPool(x),
      reference: (x) =>
        tabulate([2, 5], ([n, c]) => {
          let sum = 0
          for (let i = 0; i < 12; i++) sum += at(x, [n, Math.floor(i / 4), i % 4, c])
          return sum / 12
        }),
    },
    {
      name: 'globalMaxPool with axes',
      ops: [maxOp],
      inputs: [{ shape: [2, 3, 2, 2, 5] }],
      build: (x) => globalMaxPool(x, { keepDims: true }),
      reference: (x) =>
        tabulate([2, 1, 1, 1, 5], ([n, , , , c]) =>
          Math.max(...Array.from({ length: 12 }, (_, i) => at(x, [n, i >> 2, (i >> 1) & 1, i & 1, c]))),
        ),
    },
  ]
}

const all = several()
const isComposed = ({ name }: OpCase) => /3d|avgPool.*ceil/.test(name)

/** Cases of one op each. */
export const poolCases: readonly OpCase[] = all.filter((record) => !isComposed(record))
/** Pools that are put together of several ops: volumes, and means of windows that hang over. */
export const composedPoolCases: readonly OpCase[] = all.filter(isComposed)
