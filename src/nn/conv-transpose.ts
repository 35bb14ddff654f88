import { ConfigError, checkOptions, ShapeError } from '../base/errors.ts'
import { type Shape, showShape, sizeOf } from '../base/shape.ts'
import {
  convTranspose1d as convTranspose1dOf,
  convTranspose2d as convTranspose2dOf,
  type Tensor,
} from '../tensor/index.ts'
import { checkInitializer, firstValues, type WeightInitializer } from './initializer.ts'
import { type Built, type Json, type Layer, type Scope, standIn, tried, where } from './layer.ts'
import { type Padding, perAxis } from './window.ts'

export interface ConvTransposeOptions {
  /** Default 1. */
  readonly stride?: number | readonly number[]
  /**
   * What is cut off the output: default `'valid'`, nothing; `'same'`: the output's extent is the input's times the
   * stride.
   */
  readonly padding?: Padding
  /** Elements more at the end of each axis. Default 0. */
  readonly outputPadding?: number | readonly number[]
  /** Default 1. */
  readonly dilation?: number | readonly number[]
  /** Default 1. */
  readonly groups?: number
  /** Default true; leave it out in front of a batch norm. */
  readonly bias?: boolean
  /** How the weight begins; the bias then begins at 0. Default: PyTorch's, both uniform within ±1/√fan-in. */
  readonly initializer?: WeightInitializer
}

const optionNames = ['stride', 'padding', 'outputPadding', 'dilation', 'groups', 'bias', 'initializer']

function convTranspose(
  rank: 1 | 2,
  filters: number,
  kernelSize: number | readonly number[],
  options: ConvTransposeOptions,
): Layer {
  const type = `convTranspose${rank}d`
  const size = perAxis(kernelSize, rank)
  for (const [name, value] of [['filters', filters], ...size.map((extent) => ['kernelSize', extent])] as const) {
    if (Number.isInteger(value) && Number(value) >= 1) continue
    throw new ConfigError({
      where: `nn.${type}`,
      what: `${name} makes no sense`,
      got: String(value),
      expected: 'a whole number of at least 1',
      fix: `correct ${name}`,
    })
  }
  checkOptions(`nn.${type}`, options, optionNames)
  checkInitializer(`nn.${type}`, options.initializer)
  const { stride, dilation, padding = 'valid', outputPadding, groups = 1, initializer } = options
  const op = rank === 1 ? convTranspose1dOf : convTranspose2dOf
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  return {
    type,
    options: { filters, kernelSize, ...(Object.fromEntries(given) as { [name: string]: Json }) },
    build(scope: Scope, input: Shape): Built {
      const inChannels = input[rank]
      if (input.length !== rank + 1 || inChannels % groups !== 0 || filters % groups !== 0) {
        throw new ShapeError({
          where: where(scope, type),
          what:
            input.length === rank + 1
              ? `${groups} groups do not divide the channels`
              : `samples have ${input.length} axes, ${rank + 1} are needed`,
          got: `samples of shape ${showShape(input)}, ${filters} filters`,
          expected: `${rank === 1 ? '[length, channels]' : '[height, width, channels]'}, channels and filters multiples of groups`,
          fix: 'change the layer, or reshape the samples',
        })
      }
      const shape = [...size, filters / groups, inChannels]
      // As PyTorch does, the fan is counted on the axis of the filters.
      const first = firstValues(initializer, shape)
      const weight = scope.parameter('weight', shape, first.weight)
      const bias = options.bias === false ? undefined : scope.parameter('bias', [filters], first.bias)
      checkExtents(scope, type, input, size, options)
      const run = (x: Tensor, w: Tensor, b?: Tensor) =>
        op(x, w, { stride, padding, outputPadding, dilation, groups, bias: b })
      return {
        output: tried(scope, type, () => run(standIn([1, ...input]), standIn(shape))),
        apply: (x) => run(x, weight.value, bias?.value),
      }
    },
    cost(input) {
      const [strides, dilations] = [perAxis(stride, rank), perAxis(dilation, rank)]
      return {
        multiplyAdds: sizeOf(input) * sizeOf(size) * (filters / groups),
        // Of the taps that reach an output, each stride-th lies on an element of the input.
        window: {
          kernelSize: size.map((extent, axis) => Math.ceil(((extent - 1) * dilations[axis] + 1) / strides[axis])),
          stride: strides.map((step) => 1 / step),
          dilation: size.map(() => 1),
        },
      }
    },
  }
}

function checkExtents(
  scope: Scope,
  type: string,
  input: Shape,
  kernelSize: readonly number[],
  { stride, dilation, padding = 'valid', outputPadding = 0 }: ConvTransposeOptions,
): void {
  const rank = kernelSize.length
  const [strides, dilations, more] = [stride, dilation, outputPadding].map((value) => perAxis(value, rank))
  const extents = kernelSize.map((size, axis) => {
    const reach = (size - 1) * dilations[axis] + 1
    if (padding === 'same') return input[axis] * strides[axis]
    const around =
      padding === 'valid'
        ? 0
        : padding === 'full'
          ? 2 * (reach - 1)
          : typeof padding === 'number'
            ? 2 * padding
            : padding[axis][0] + padding[axis][1]
    return (input[axis] - 1) * strides[axis] + reach - around + more[axis]
  })
  if (extents.every((extent) => extent >= 1)) return
  throw new ShapeError({
    where: where(scope, type),
    what: 'the padding leaves nothing of the output',
    got: `samples of shape ${showShape(input)}, kernel ${showShape(kernelSize)}`,
    expected: 'an output of at least one element on every axis',
    fix: 'pad less: padding here cuts off the output',
  })
}

/**
 * Transposed convolution of [batch, length, channels]: a stride of 2 doubles the length. weight
 * [kernelSize, filters / groups, channels].
 * @param filters output channels @param kernelSize taps
 * @throws ConfigError on sizes below 1
 */
export function convTranspose1d(filters: number, kernelSize: number, options: ConvTransposeOptions = {}): Layer {
  return convTranspose(1, filters, kernelSize, options)
}

/**
 * Transposed convolution of [batch, height, width, channels] (Zeiler et al. 2010, "Deconvolutional networks"). weight
 * [kernelHeight, kernelWidth, filters / groups, channels].
 * @param filters output channels @param kernelSize one number, or [height, width]
 * @throws ConfigError on sizes below 1
 */
export function convTranspose2d(
  filters: number,
  kernelSize: number | readonly [number, number],
  options: ConvTransposeOptions = {},
): Layer {
  return convTranspose(2, filters, kernelSize, options)
}
