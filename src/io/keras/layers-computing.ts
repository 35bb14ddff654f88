/** Layers with parameters: convolutions, products, norms, tables. */
import * as nn from '../../nn/index.ts'
import type { Field } from '../json-fields.ts'
import { booleanOr, integerOr, numberOr, perAxis, short, textOr } from './options.ts'
import { activated, type Converter, type Slot, type Use, withChannelsLast } from './use.ts'

const kernelSlot: Slot = { variable: 'kernel', to: 'weight' }
const bias: Slot = { variable: 'bias', to: 'bias' }

/** Options that all convolutions share; those that are ours by default are left out. */
function windowOf(use: Use, rank: number, kernel: readonly number[]) {
  const { config } = use
  const stride = perAxis(config, 'strides', rank, 1)
  const dilation = perAxis(config, 'dilation_rate', rank, 1)
  const padding = textOr(config, 'padding', ['valid', 'same', 'causal'], 'valid')
  if (padding === 'causal' && rank !== 1) throw config.get('padding').error('"valid" or "same"')
  const hasBias = booleanOr(config, 'use_bias', true)
  const before = (kernel[0] - 1) * dilation[0]
  const options = {
    ...(stride.every((value) => value === 1) ? {} : { stride: short(stride) }),
    ...(dilation.every((value) => value === 1) ? {} : { dilation: short(dilation) }),
    ...(padding === 'valid' ? {} : { padding: padding === 'same' ? ('same' as const) : [[before, 0] as const] }),
    ...(hasBias ? {} : { bias: false }),
  }
  return { options, hasBias }
}

const pair = (values: readonly number[]) => short(values) as number | readonly [number, number]

function convolution(rank: 1 | 2 | 3): Converter {
  return (use) =>
    withChannelsLast(use, rank, (input) => {
      const { config } = use
      const filters = config.get('filters').integer(1)
      const kernel = perAxis(config, 'kernel_size', rank)
      const { options: window, hasBias } = windowOf(use, rank, kernel)
      const groups = integerOr(config, 'groups', 1, 1)
      const options = { ...window, ...(groups === 1 ? {} : { groups }) }
      const layer =
        rank === 1
          ? nn.conv1d(filters, kernel[0], options)
          : rank === 2
            ? nn.conv2d(filters, pair(kernel), options)
            : nn.conv3d(filters, kernel as [number, number, number], options)
      return activated(use, use.main(layer, [input], hasBias ? [kernelSlot, bias] : [kernelSlot]))
    })
}

/** Keras has [...kernel, in, multiplier] where we have [...kernel, 1, in · multiplier]: the same values in the same order. */
const depthwiseSlot: Slot = { variable: 'depthwise_kernel', to: 'weight', turn: 'reshape' }

function depthwise(rank: 1 | 2): Converter {
  return (use) =>
    withChannelsLast(use, rank, (input) => {
      const kernel = perAxis(use.config, 'kernel_size', rank)
      const { options: window, hasBias } = windowOf(use, rank, kernel)
      const multiplier = integerOr(use.config, 'depth_multiplier', 1, 1)
      const options = { ...window, ...(multiplier === 1 ? {} : { multiplier }) }
      const layer = rank === 1 ? nn.depthwiseConv1d(kernel[0], options) : nn.depthwiseConv2d(pair(kernel), options)
      return activated(use, use.main(layer, [input], hasBias ? [depthwiseSlot, bias] : [depthwiseSlot]))
    })
}

function separable(rank: 1 | 2): Converter {
  return (use) =>
    withChannelsLast(use, rank, (input) => {
      const { config } = use
      const filters = config.get('filters').integer(1)
      const kernel = perAxis(config, 'kernel_size', rank)
      const { options, hasBias } = windowOf(use, rank, kernel)
      const multiplier = integerOr(config, 'depth_multiplier', 1, 1)
      const each = { ...options, bias: false, ...(multiplier === 1 ? {} : { multiplier }) }
      const mixed = hasBias ? {} : { bias: false }
      const layer = nn.sequential(
        ['depthwise', rank === 1 ? nn.depthwiseConv1d(kernel[0], each) : nn.depthwiseConv2d(pair(kernel), each)],
        ['pointwise', rank === 1 ? nn.conv1d(filters, 1, mixed) : nn.conv2d(filters, 1, mixed)],
      )
      const slots: readonly Slot[] = [
        { ...depthwiseSlot, to: 'depthwise.weight' },
        { variable: 'pointwise_kernel', to: 'pointwise.weight' },
        ...(hasBias ? [{ variable: 'bias', to: 'pointwise.bias' }] : []),
      ]
      return activated(use, use.main(layer, [input], slots))
    })
}

const dense: Converter = (use) => {
  const hasBias = booleanOr(use.config, 'use_bias', true)
  const layer = nn.linear(use.config.get('units').integer(1), hasBias ? {} : { bias: false })
  return activated(use, use.main(layer, use.inputs, hasBias ? [kernelSlot, bias] : [kernelSlot]))
}

/** The one axis that a norm works along. The batch is counted, as Keras does. */
function axisOf(config: Field): number {
  const field = config.get('axis')
  if (!field.isThere || field.value === null) return -1
  if (!Array.isArray(field.value)) return field.number()
  const axes = field.elements().map((element) => element.number())
  if (axes.length !== 1) throw field.error('one axis')
  return axes[0]
}

/** What is added to variances. */
function epsilonOf(config: Field): number {
  const epsilon = numberOr(config, 'epsilon', 1e-3)
  if (epsilon > 0) return epsilon
  throw config.get('epsilon').error('a number above 0')
}

const affine: readonly Slot[] = [
  { variable: 'gamma', to: 'weight' },
  { variable: 'beta', to: 'bias' },
]

const scaled = (use: Use, slots: readonly Slot[]) =>
  slots.filter(
    ({ variable }) =>
      !(variable === 'gamma' && !booleanOr(use.config, 'scale', true)) &&
      !(variable === 'beta' && !booleanOr(use.config, 'center', true)),
  )

/** Keras's momentum is the share of the old statistics, ours that of the new ones. */
const batchNormalization: Converter = (use) => {
  const axis = axisOf(use.config)
  const momentum = numberOr(use.config, 'momentum', 0.99)
  const layer = nn.batchNorm({
    eps: epsilonOf(use.config),
    momentum: Number((1 - momentum).toPrecision(12)),
  })
  const slots = scaled(use, [
    ...affine,
    { variable: 'moving_mean', to: 'running_mean' },
    { variable: 'moving_variance', to: 'running_var' },
  ])
  return alongLast(use, axis, (input) => use.main(layer, [input], slots))
}

/** A norm of an axis that is not the last gets samples whose last axis it is. */
function alongLast(use: Use, axis: number, compute: (input: string) => string): string {
  const rank = use.shape(0).length
  const at = axis < 0 ? axis + rank : axis - 1
  if (!Number.isInteger(at) || at < 0 || at >= rank || axis === 0) {
    throw use.config.get('axis').error(`an axis from 1 to ${rank}, or negative from the end`)
  }
  if (at === rank - 1) return compute(use.inputs[0])
  const rest = Array.from({ length: rank }, (_, i) => i).filter((i) => i !== at)
  const order = [...rest, at]
  use.note('norms along an axis that is not the last get their samples turned, and turn them back')
  const result = compute(use.more('last', nn.permute(order), use.inputs))
  return use.more('back', nn.permute(order.map((_, i) => order.indexOf(i))), [result])
}

const layerNormalization: Converter = (use) => {
  if (booleanOr(use.config, 'rms_scaling', false)) throw use.config.get('rms_scaling').error('false')
  const layer = nn.layerNorm({ eps: epsilonOf(use.config) })
  return alongLast(use, axisOf(use.config), (input) => use.main(layer, [input], scaled(use, affine)))
}

const groupNormalization: Converter = (use) => {
  const { config } = use
  const shape = use.shape(0)
  const field = config.get('groups')
  // -1: every channel is a group of its own.
  const groups = field.value === -1 ? shape[shape.length - 1] : integerOr(config, 'groups', 1, 32)
  const layer = nn.groupNorm(groups, { eps: epsilonOf(config) })
  return alongLast(use, axisOf(config), (input) => use.main(layer, [input], scaled(use, affine)))
}

/** Keras's result has extent · stride values under 'same', (extent - 1) · stride + max(reach, stride) under 'valid'. */
const transposed =
  (rank: 1 | 2): Converter =>
  (use) =>
    withChannelsLast(use, rank, (input) => {
      const { config } = use
      const filters = config.get('filters').integer(1)
      const kernel = perAxis(config, 'kernel_size', rank)
      const stride = perAxis(config, 'strides', rank, 1)
      const dilation = perAxis(config, 'dilation_rate', rank, 1)
      const outputPadding = config.get('output_padding')
      if (outputPadding.isThere && outputPadding.value !== null) throw outputPadding.error('null')
      const same = textOr(config, 'padding', ['valid', 'same'], 'valid') === 'same'
      const hasBias = booleanOr(config, 'use_bias', true)
      const reach = kernel.map((extent, axis) => (extent - 1) * dilation[axis] + 1)
      // Where windows leave gaps, the values behind the last one come from nowhere but the bias.
      const gaps = reach.map((extent, axis) => Math.max(0, stride[axis] - extent))
      const hasGaps = gaps.some((gap) => gap > 0)
      const cut = reach.map((extent, axis): readonly [number, number] => {
        const around = Math.max(0, extent - stride[axis])
        return [Math.floor(around / 2), around - Math.floor(around / 2)]
      })
      const options = {
        stride: short(stride),
        ...(dilation.every((value) => value === 1) ? {} : { dilation: short(dilation) }),
        ...(same ? { padding: hasGaps ? cut : ('same' as const) } : {}),
        ...(hasGaps ? { outputPadding: short(gaps) } : {}),
        ...(hasBias ? {} : { bias: false }),
      }
      const layer =
        rank === 1
          ? nn.convTranspose1d(filters, kernel[0], options)
          : nn.convTranspose2d(filters, pair(kernel), options)
      return activated(use, use.main(layer, [input], hasBias ? [kernelSlot, bias] : [kernelSlot]))
    })

const embedding: Converter = (use) => {
  const layer = nn.embedding(use.config.get('input_dim').integer(1), use.config.get('output_dim').integer(1))
  return use.main(layer, use.inputs, [{ variable: 'embeddings', to: 'weight' }])
}

/** Shared axes count the batch; along them there is one slope. */
const prelu: Converter = (use) => {
  const field = use.config.get('shared_axes')
  const shared = field.isThere && field.value !== null ? field.elements().map((axis) => axis.integer(1)) : []
  const rank = use.shape(0).length
  const isShared = Array.from({ length: rank }, (_, axis) => shared.includes(axis + 1))
  const slopes = isShared.every(Boolean)
    ? 'one'
    : isShared.slice(0, -1).every(Boolean) && !isShared[rank - 1]
      ? 'channels'
      : 'values'
  if (slopes === 'values' && isShared.some(Boolean)) throw field.error('all axes but the last, all of them, or none')
  return use.main(nn.prelu({ slopes }), use.inputs, [{ variable: 'alpha', to: 'weight', turn: 'reshape' }])
}

export const computing: Readonly<Record<string, Converter>> = {
  Conv1D: convolution(1),
  Conv2D: convolution(2),
  Conv3D: convolution(3),
  DepthwiseConv1D: depthwise(1),
  DepthwiseConv2D: depthwise(2),
  SeparableConv1D: separable(1),
  SeparableConv2D: separable(2),
  Conv1DTranspose: transposed(1),
  Conv2DTranspose: transposed(2),
  Dense: dense,
  BatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
  GroupNormalization: groupNormalization,
  Embedding: embedding,
  PReLU: prelu,
}
