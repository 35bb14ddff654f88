import { ConfigError, checkOptions, ShapeError } from '../base/errors.ts'
import { type Shape, showShape, sizeOf } from '../base/shape.ts'
import { conv1d as conv1dOf, conv2d as conv2dOf, conv3d as conv3dOf, type Tensor } from '../tensor/index.ts'
import { checkInitializer, firstValues, type WeightInitializer } from './initializer.ts'
import { type Built, type Json, type Layer, type Scope, standIn, tried, where } from './layer.ts'
import { type Padding, perAxis, windowExtents } from './window.ts'

export type { Padding } from './window.ts'

export interface ConvOptions {
  /** Default 1. */
  readonly stride?: number | readonly number[]
  /** Default `'valid'`, as in PyTorch. */
  readonly padding?: Padding
  /** Default 1. */
  readonly dilation?: number | readonly number[]
  /** Default 1. */
  readonly groups?: number
  /** Default true; leave it out in front of a batch norm. */
  readonly bias?: boolean
  /** How the weight begins; the bias then begins at 0. Default: PyTorch's, both uniform within ±1/√fan-in. */
  readonly initializer?: WeightInitializer
}

interface Description {
  readonly type: string
  readonly rank: 1 | 2 | 3
  readonly filters: (inChannels: number) => number
  readonly groups: (inChannels: number) => number
  readonly kernelSize: readonly number[]
  readonly options: { readonly [name: string]: Json }
  readonly conv: ConvOptions
}

const optionNames = ['stride', 'padding', 'dilation', 'groups', 'bias', 'initializer']
const depthwiseNames = ['stride', 'padding', 'dilation', 'multiplier', 'bias', 'initializer']

/** Options that were given, for model.json. */
function given(options: ConvOptions): { [name: string]: Json } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [name: string]: Json
  }
}

function convolution(description: Description): Layer {
  const { type, rank, kernelSize, conv } = description
  const op = rank === 1 ? conv1dOf : rank === 2 ? conv2dOf : conv3dOf
  checkOptions(`nn.${type}`, conv, /^depthwise/.test(type) ? depthwiseNames : optionNames)
  checkInitializer(`nn.${type}`, conv.initializer)
  return {
    type,
    options: description.options,
    build(scope: Scope, input: Shape): Built {
      if (input.length !== rank + 1) {
        throw new ShapeError({
          where: where(scope, type),
          what: `samples have ${input.length} axes, ${rank + 1} are needed`,
          got: `samples of shape ${showShape(input)}`,
          expected: ['', '[length, channels]', '[height, width, channels]', '[depth, height, width, channels]'][rank],
          fix: 'reshape the samples; grey images have one channel: [height, width, 1]',
        })
      }
      const inChannels = input[rank]
      const groups = description.groups(inChannels)
      const filters = description.filters(inChannels)
      if (inChannels % groups !== 0 || filters % groups !== 0) {
        throw new ShapeError({
          where: where(scope, type),
          what: `${groups} groups do not divide the channels`,
          got: `${inChannels} input channels, ${filters} filters`,
          expected: 'both to be multiples of groups',
          fix: 'change groups or filters',
        })
      }
      const shape = [...kernelSize, inChannels / groups, filters]
      const first = firstValues(conv.initializer, shape)
      const weight = scope.parameter('weight', shape, first.weight)
      const bias = conv.bias === false ? undefined : scope.parameter('bias', [filters], first.bias)
      const run = (x: Tensor, w: Tensor, b?: Tensor): Tensor =>
        op(x, w, {
          stride: conv.stride,
          padding: conv.padding,
          dilation: conv.dilation,
          groups,
          bias: b,
        } as Parameters<typeof op>[2])
      checkExtents(scope, type, input, kernelSize, conv)
      return {
        output: tried(scope, type, () => run(standIn([1, ...input]), standIn(shape))),
        apply: (x) => run(x, weight.value, bias?.value),
      }
    },
    cost(input, output) {
      const perOutput = sizeOf(kernelSize) * (input[rank] / description.groups(input[rank]))
      return {
        multiplyAdds: sizeOf(output) * perOutput,
        window: { kernelSize, stride: perAxis(conv.stride, rank), dilation: perAxis(conv.dilation, rank) },
      }
    },
  }
}

/** The most likely mistake, told in words of the layer. */
function checkExtents(
  scope: Scope,
  type: string,
  input: Shape,
  kernelSize: readonly number[],
  conv: ConvOptions,
): void {
  const dilation = perAxis(conv.dilation, kernelSize.length)
  const { stride, padding } = conv
  const extents = windowExtents(input, { kernelSize, stride, dilation, padding })
  if (extents.some((extent) => extent < 1)) {
    throw new ShapeError({
      where: where(scope, type),
      what: 'the kernel is larger than what arrives',
      got: `samples of shape ${showShape(input)}, kernel ${showShape(kernelSize)}${dilation.some((d) => d > 1) ? `, dilation ${showShape(dilation)}` : ''}`,
      expected: 'at least one place for the kernel on every axis',
      fix: "use padding: 'same', a smaller kernel, or fewer pools and strides before this layer",
    })
  }
}

function checkPositive(where: string, name: string, value: number): void {
  if (Number.isInteger(value) && value >= 1) return
  throw new ConfigError({
    where,
    what: `${name} makes no sense`,
    got: String(value),
    expected: 'a whole number of at least 1',
    fix: `correct ${name}`,
  })
}

/**
 * 1-D convolution of [batch, length, channels].
 * @param filters output channels @param kernelSize taps
 * @throws ConfigError on sizes below 1
 */
export function conv1d(filters: number, kernelSize: number, options: ConvOptions = {}): Layer {
  checkPositive('nn.conv1d', 'filters', filters)
  checkPositive('nn.conv1d', 'kernelSize', kernelSize)
  return convolution({
    type: 'conv1d',
    rank: 1,
    filters: () => filters,
    groups: () => options.groups ?? 1,
    kernelSize: [kernelSize],
    options: { filters, kernelSize, ...given(options) },
    conv: options,
  })
}

/**
 * 2-D convolution of [batch, height, width, channels]. The input's channels are inferred.
 * @param filters output channels @param kernelSize one number, or [height, width]
 * @throws ConfigError on sizes below 1
 */
export function conv2d(
  filters: number,
  kernelSize: number | readonly [number, number],
  options: ConvOptions = {},
): Layer {
  checkPositive('nn.conv2d', 'filters', filters)
  const size = typeof kernelSize === 'number' ? [kernelSize, kernelSize] : [...kernelSize]
  for (const extent of size) checkPositive('nn.conv2d', 'kernelSize', extent)
  return convolution({
    type: 'conv2d',
    rank: 2,
    filters: () => filters,
    groups: () => options.groups ?? 1,
    kernelSize: size,
    options: { filters, kernelSize, ...given(options) },
    conv: options,
  })
}

/**
 * 3-D convolution of [batch, depth, height, width, channels].
 * @param filters output channels @param kernelSize one number, or [depth, height, width]
 * @throws ConfigError on sizes below 1
 */
export function conv3d(
  filters: number,
  kernelSize: number | readonly [number, number, number],
  options: ConvOptions = {},
): Layer {
  checkPositive('nn.conv3d', 'filters', filters)
  const size = perAxis(kernelSize, 3)
  for (const extent of size) checkPositive('nn.conv3d', 'kernelSize', extent)
  return convolution({
    type: 'conv3d',
    rank: 3,
    filters: () => filters,
    groups: () => options.groups ?? 1,
    kernelSize: size,
    options: { filters, kernelSize, ...given(options) },
    conv: options,
  })
}

export interface DepthwiseOptions extends Omit<ConvOptions, 'groups'> {
  /** Filters for each input channel; default 1. */
  readonly multiplier?: number
}

/** 2-D convolution of every channel with kernels of its own (Howard et al. 2017, "MobileNets"). */
export function depthwiseConv2d(kernelSize: number | readonly [number, number], options: DepthwiseOptions = {}): Layer {
  const { multiplier = 1, ...conv } = options
  checkPositive('nn.depthwiseConv2d', 'multiplier', multiplier)
  const size = typeof kernelSize === 'number' ? [kernelSize, kernelSize] : [...kernelSize]
  for (const extent of size) checkPositive('nn.depthwiseConv2d', 'kernelSize', extent)
  return convolution({
    type: 'depthwiseConv2d',
    rank: 2,
    filters: (inChannels) => inChannels * multiplier,
    groups: (inChannels) => inChannels,
    kernelSize: size,
    options: { kernelSize, multiplier, ...given(conv) },
    conv,
  })
}

/** 1-D convolution of every channel with kernels of its own. */
export function depthwiseConv1d(kernelSize: number, options: DepthwiseOptions = {}): Layer {
  const { multiplier = 1, ...conv } = options
  checkPositive('nn.depthwiseConv1d', 'multiplier', multiplier)
  checkPositive('nn.depthwiseConv1d', 'kernelSize', kernelSize)
  return convolution({
    type: 'depthwiseConv1d',
    rank: 1,
    filters: (inChannels) => inChannels * multiplier,
    groups: (inChannels) => inChannels,
    kernelSize: [kernelSize],
    options: { kernelSize, multiplier, ...given(conv) },
    conv,
  })
}
