/** Case records of transposed and of three-dimensional convolutions, against plain loops. */
import { at, type OpCase, tabulate, type Values } from '../../testing/case.ts'
import { type ConvOptions, conv3d, convInputGradientOp, convOp } from './index.ts'
import { type ConvTransposeOptions, convTranspose1d, convTranspose2d } from './transpose.ts'

const each = (value: number | readonly number[] | undefined, rank: number, missing: number): readonly number[] =>
  typeof value === 'object' ? value : new Array<number>(rank).fill(value ?? missing)

/** Every index of a shape. */
function indices(shape: readonly number[]): number[][] {
  const list: number[][] = []
  tabulate(shape, (index) => {
    list.push([...index])
    return 0
  })
  return list
}

function transposed(
  name: string,
  x: readonly number[],
  kernel: readonly number[],
  out: number,
  options: Omit<ConvTransposeOptions, 'bias'>,
  size: readonly number[],
  before: readonly number[],
): OpCase {
  const rank = kernel.length
  const groups = options.groups ?? 1
  const inChannels = x[rank + 1]
  const stride = each(options.stride, rank, 1)
  const dilation = each(options.dilation, rank, 1)
  return {
    name: `convTranspose${rank}d ${name}`,
    ops: [convInputGradientOp],
    inputs: [{ shape: x }, { shape: [...kernel, out / groups, inChannels] }, { shape: [out] }],
    build: (input, weight, bias) =>
      (rank === 1 ? convTranspose1d : convTranspose2d)(input, weight, { ...options, bias }),
    reference(input, weight, bias) {
      const y = tabulate([x[0], ...size, out], (index) => bias.data[index[index.length - 1]])
      const groupOut = out / groups
      for (const i of indices(x)) {
        const channel = i[rank + 1]
        const group = Math.floor(channel / (inChannels / groups))
        for (const t of indices(kernel)) {
          const place = t.map((tap, axis) => i[axis + 1] * stride[axis] + tap * dilation[axis] - before[axis])
          if (place.some((p, axis) => p < 0 || p >= size[axis])) continue
          for (let o = 0; o < groupOut; o++) {
            let linear = i[0]
            for (const [axis, p] of place.entries()) linear = linear * size[axis] + p
            y.data[linear * out + group * groupOut + o] += at(input, i) * at(weight, [...t, o, channel])
          }
        }
      }
      return y
    },
  }
}

function volume(
  name: string,
  x: readonly number[],
  kernel: readonly number[],
  out: number,
  options: Omit<ConvOptions, 'bias' | 'padding'> & { padding?: ConvOptions['padding'] },
  size: readonly number[],
  before: readonly number[],
): OpCase {
  const groups = options.groups ?? 1
  const stride = each(options.stride, 3, 1)
  const dilation = each(options.dilation, 3, 1)
  const groupIn = x[4] / groups
  return {
    name: `conv3d ${name}`,
    ops: [convOp],
    inputs: [{ shape: x }, { shape: [...kernel, groupIn, out] }, { shape: [out] }],
    build: (input, weight, bias) => conv3d(input, weight, { ...options, bias }),
    reference: (input: Values, weight: Values, bias: Values) =>
      tabulate([x[0], ...size, out], ([n, ...rest]) => {
        const o = rest[3]
        const first = Math.floor(o / (out / groups)) * groupIn
        let sum = bias.data[o]
        for (const t of indices(kernel)) {
          const place = t.map((tap, axis) => rest[axis] * stride[axis] + tap * dilation[axis] - before[axis])
          if (place.some((p, axis) => p < 0 || p >= x[axis + 1])) continue
          for (let c = 0; c < groupIn; c++) sum += at(input, [n, ...place, first + c]) * at(weight, [...t, c, o])
        }
        return sum
      }),
  }
}

export const moreConvCases: readonly OpCase[] = [
  transposed('of one tap', [2, 3, 4, 5], [1, 1], 3, {}, [3, 4], [0, 0]),
  transposed('3x3', [1, 4, 5, 3], [3, 3], 6, {}, [6, 7], [0, 0]),
  transposed('3x3 stride 2 padding 1', [2, 4, 3, 5], [3, 3], 4, { stride: 2, padding: 1 }, [7, 5], [1, 1]),
  transposed(
    '3x3 stride 2 padding 1 outputPadding 1',
    [2, 4, 3, 5],
    [3, 3],
    4,
    { stride: 2, padding: 1, outputPadding: 1 },
    [8, 6],
    [1, 1],
  ),
  transposed('2x2 stride 2: tiles', [1, 3, 4, 17], [2, 2], 8, { stride: 2 }, [6, 8], [0, 0]),
  transposed('2x2 stride 3: gaps', [1, 3, 2, 3], [2, 2], 3, { stride: 3, outputPadding: [2, 1] }, [10, 6], [0, 0]),
  transposed('4x4 stride 2 same', [1, 3, 4, 3], [4, 4], 5, { stride: 2, padding: 'same' }, [6, 8], [1, 1]),
  transposed('3x2 stride [2, 3] same', [1, 3, 4, 3], [3, 2], 5, { stride: [2, 3], padding: 'same' }, [6, 12], [0, 0]),
  transposed(
    'dilation [2, 1], outputPadding up to the dilation',
    [1, 4, 3, 2],
    [2, 3],
    3,
    { dilation: [2, 1], padding: 1, outputPadding: [1, 0] },
    [5, 3],
    [1, 1],
  ),
  transposed(
    'dilation 3 stride 2, pads [0, 2], [1, 0]',
    [1, 3, 4, 2],
    [3, 2],
    9,
    {
      dilation: 3,
      stride: 2,
      padding: [
        [0, 2],
        [1, 0],
      ],
      outputPadding: [0, 1],
    },
    [9, 10],
    [0, 1],
  ),
  transposed('groups 2 stride 2', [2, 3, 3, 4], [3, 3], 6, { groups: 2, stride: 2, padding: 1 }, [5, 5], [1, 1]),
  transposed('depthwise stride 2', [1, 4, 4, 8], [4, 4], 8, { groups: 8, stride: 2, padding: 1 }, [8, 8], [1, 1]),
  transposed('of a signal', [2, 5, 3], [4], 5, { stride: 2, padding: 1 }, [10], [1]),
  transposed('of a signal, groups 3', [1, 6, 6], [3], 9, { stride: 3, groups: 3, outputPadding: 1 }, [19], [0]),
  volume('2x3x3', [2, 4, 5, 6, 3], [2, 3, 3], 4, {}, [3, 3, 4], [0, 0, 0]),
  volume(
    'of depth 1',
    [1, 3, 4, 4, 3],
    [1, 3, 3],
    5,
    {
      padding: [
        [0, 0],
        [1, 1],
        [1, 1],
      ],
    },
    [3, 4, 4],
    [0, 1, 1],
  ),
  volume('1x1x1', [2, 3, 2, 4, 5], [1, 1, 1], 6, {}, [3, 2, 4], [0, 0, 0]),
  volume('same', [1, 4, 5, 3, 2], [3, 3, 3], 3, { padding: 'same' }, [4, 5, 3], [1, 1, 1]),
  volume('stride 2 padding 1', [1, 5, 6, 4, 3], [3, 3, 3], 8, { stride: 2, padding: 1 }, [3, 3, 2], [1, 1, 1]),
  volume(
    'stride [1, 2, 1] dilation [2, 1, 2]',
    [1, 6, 5, 6, 2],
    [3, 2, 2],
    3,
    {
      stride: [1, 2, 1],
      dilation: [2, 1, 2],
      padding: [
        [2, 1],
        [0, 1],
        [1, 0],
      ],
    },
    [5, 3, 5],
    [2, 0, 1],
  ),
  volume('groups 2', [2, 3, 4, 3, 4], [2, 2, 2], 6, { groups: 2 }, [2, 3, 2], [0, 0, 0]),
  volume('depthwise', [1, 3, 4, 4, 4], [3, 3, 3], 4, { groups: 4, padding: 1 }, [3, 4, 4], [1, 1, 1]),
  volume('full', [1, 2, 2, 3, 1], [2, 3, 2], 2, { padding: 'full' }, [3, 4, 4], [1, 2, 1]),
]
