/** Layers that put values elsewhere, and those that prepare them. */
import * as nn from '../../nn/index.ts'
import type { Field } from '../json-fields.ts'
import { booleanOr, numberOr, pairs, perAxis, short, textOr } from './options.ts'
import { type Converter, type Use, withChannelsLast } from './use.ts'

const padded = (rank: number): Converter => {
  return (use) =>
    withChannelsLast(use, rank, (input) => use.main(nn.pad([...pairs(use.config, 'padding', rank), [0, 0]]), [input]))
}

const cropped = (rank: number): Converter => {
  return (use) =>
    withChannelsLast(use, rank, (input) => {
      const ranges = pairs(use.config, 'cropping', rank).map(
        ([before, after]) => [before, after === 0 ? null : -after] as const,
      )
      return use.main(nn.slice(ranges), [input])
    })
}

/** Nearest repeats values; the others have half-pixel centres. */
const upsampled = (rank: number): Converter => {
  return (use) =>
    withChannelsLast(use, rank, (input) => {
      const scale = short(perAxis(use.config, 'size', rank, 2))
      const mode = textOr(use.config, 'interpolation', interpolations, 'nearest')
      return use.main(nn.resize({ scale, ...resizing(mode) }), [input])
    })
}

type Interpolation = 'nearest' | 'bilinear' | 'bicubic'
const interpolations = ['nearest', 'bilinear', 'bicubic'] as const

/** Pixels have their centres at halves; TensorFlow's cubic kernel is that of Catmull and Rom. */
function resizing(mode: Interpolation) {
  if (mode === 'nearest') return { mode: 'nearest', nearestRounding: 'halfUp' } as const
  return mode === 'bilinear'
    ? ({ mode: 'linear' } as const)
    : ({ mode: 'cubic', cubicCoefficient: -0.5, excludeOutside: true } as const)
}

/** One extent of -1 is found from the others. */
const reshape: Converter = (use) => {
  const extents = use.config
    .get('target_shape')
    .elements()
    .map((extent) => (extent.value === -1 || extent.value === null ? -1 : extent.integer(0)))
  return use.main(nn.reshape(extents), use.inputs)
}

function flatten(use: Use): string {
  const rank = use.shape(0).length - 1
  return withChannelsLast(use, rank, (input) => use.main(nn.flatten(), [input]), { back: false })
}

const permute: Converter = (use) => {
  const dims = use.config
    .get('dims')
    .elements()
    .map((dim) => dim.integer(1) - 1)
  return use.main(nn.permute(dims), use.inputs)
}

const repeat: Converter = (use) => {
  const [features] = use.shape(0)
  const times = use.config.get('n').integer(1)
  return use.main(nn.tile([times, 1]), [use.more('row', nn.reshape([1, features]), use.inputs)])
}

const rescaling: Converter = (use) => {
  const [scale, offset] = [numberOr(use.config, 'scale', 1), numberOr(use.config, 'offset', 0)]
  const scaled = nn.scalar('mul', scale)
  if (offset === 0) return use.main(scaled, use.inputs)
  return use.main(nn.sequential(['scale', scaled], ['offset', nn.scalar('add', offset)]), use.inputs)
}

/** The numbers of a list that may hold lists. */
function numbers(field: Field, depth = 0): number[] {
  if (!Array.isArray(field.value)) return [field.number()]
  if (depth > 8) throw field.error('numbers')
  return field.elements().flatMap((element) => numbers(element, depth + 1))
}

/** (x - mean) / √variance along the last axis, with numbers that were measured before training. */
const normalization: Converter = (use) => {
  const { config } = use
  const shape = use.shape(0)
  const axis = config.get('axis')
  const axes = !axis.isThere || axis.value === null ? [] : numbers(axis)
  const last = axes.length === 1 && (axes[0] === -1 || axes[0] === shape.length)
  if (!last && axes.length > 0) throw axis.error('the last axis, or none')
  if (booleanOr(config, 'invert', false)) throw config.get('invert').error('false')
  const extents = last ? shape.slice(-1) : [1]
  const layer = nn.graph(
    [
      ['mean', nn.value(extents, { trainable: false })],
      ['centred', nn.binary('sub')],
      ['variance', nn.value(extents, { trainable: false })],
      ['root', nn.unary('sqrt')],
      ['deviation', nn.clamp({ min: 1e-7 })],
      ['scaled', nn.binary('div')],
    ],
    { inputs: { centred: ['input', 'mean'], root: ['variance'], scaled: ['centred', 'deviation'] } },
  )
  const [mean, variance] = [config.get('mean'), config.get('variance')]
  if (mean.isThere && mean.value !== null) {
    // The numbers stand in the config, and nothing is stored.
    const slots = [
      { variable: 'mean', to: 'mean.value', values: numbers(mean) },
      { variable: 'variance', to: 'variance.value', values: numbers(variance) },
    ] as const
    return use.main(layer, use.inputs, slots)
  }
  return use.main(layer, use.inputs, [
    { variable: 'mean', to: 'mean.value', turn: 'reshape' },
    { variable: 'variance', to: 'variance.value', turn: 'reshape' },
  ])
}

const resize: Converter = (use) =>
  withChannelsLast(use, 2, (input) => {
    const { config } = use
    for (const name of ['crop_to_aspect_ratio', 'pad_to_aspect_ratio', 'antialias']) {
      if (booleanOr(config, name, false)) throw config.get(name).error('false')
    }
    const size = [config.get('height').integer(1), config.get('width').integer(1)]
    const mode = textOr(config, 'interpolation', interpolations, 'bilinear')
    return use.main(nn.resize({ size, ...resizing(mode) }), [input])
  })

export const arranging: Readonly<Record<string, Converter>> = {
  Flatten: flatten,
  Reshape: reshape,
  Permute: permute,
  RepeatVector: repeat,
  Rescaling: rescaling,
  Normalization: normalization,
  Resizing: resize,
  ...Object.fromEntries(
    [1, 2, 3].flatMap((rank): (readonly [string, Converter])[] => [
      [`ZeroPadding${rank}D`, padded(rank)],
      [`Cropping${rank}D`, cropped(rank)],
      [`UpSampling${rank}D`, upsampled(rank)],
    ]),
  ),
}
