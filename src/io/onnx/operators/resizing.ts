/** Resize and what came before it. */
import * as nn from '../../../nn/index.ts'
import { dimsOf } from '../layout.ts'
import type { Family, NodeReader } from '../operator.ts'
import { Batches, type Element, type Flow, showElements } from '../values.ts'
import { behindChannelsLast } from './convolution.ts'
import { channelsLast, perAxis } from './windows.ts'

type Options = Parameters<typeof nn.resize>[0]

const coordinates: Readonly<Record<string, Options['coordinates']>> = {
  half_pixel: 'halfPixel',
  pytorch_half_pixel: 'pytorchHalfPixel',
  half_pixel_symmetric: 'halfPixelSymmetric',
  align_corners: 'alignCorners',
  asymmetric: 'asymmetric',
}

const roundings: Readonly<Record<string, Options['nearestRounding']>> = {
  round_prefer_floor: 'halfDown',
  round_prefer_ceil: 'halfUp',
  floor: 'floor',
  ceil: 'ceil',
}

const modes: Readonly<Record<string, Options['mode']>> = {
  nearest: 'nearest',
  linear: 'linear',
  bilinear: 'linear',
  cubic: 'cubic',
}

function oneOf<T>(node: NodeReader, name: string, value: string, known: Readonly<Record<string, T>>): T {
  if (Object.hasOwn(known, value)) return known[value]
  throw node.unsupported(`${name} '${value}' is not read`, { expected: Object.keys(known).join(', ') })
}

/** Numbers for the axes of ONNX's value; axes that are not named have `missing`. */
function forAllAxes(
  node: NodeReader,
  values: ArrayLike<Element>,
  rank: number,
  missing: readonly Element[],
): Element[] {
  const axes = node.ints('axes', undefined)?.map((axis) => node.axis(axis, rank)) ?? missing.map((_, axis) => axis)
  if (values.length !== axes.length) {
    throw node.error('scales or sizes do not fit the input', { got: showElements(values), expected: `${axes.length}` })
  }
  return missing.map((one, axis) => (axes.includes(axis) ? values[axes.indexOf(axis)] : one))
}

/** Scales of the spatial axes. @throws UnsupportedError where batch or channels are resized */
function spatialScales(node: NodeReader, scales: readonly Element[]): number[] {
  const numbers = scales.map((scale) => node.plain(scale))
  if (numbers[0] === 1 && numbers[1] === 1) return numbers.slice(2)
  throw node.unsupported('resizes other axes than spatial ones', { got: `scales ${showElements(scales)}` })
}

function sizesAsOptions(node: NodeReader, flow: Flow, extents: readonly number[], sizes: ArrayLike<Element>): Options {
  const dims = dimsOf(flow)
  const wanted = forAllAxes(node, sizes, dims.length, dims)
  const same = (a: Element, b: Element): boolean =>
    a instanceof Batches ? (b instanceof Batches ? a.times === b.times : b === node.context.declaredBatch) : a === b
  const [batch] = wanted
  // Sizes were traced with some batch, which only then is what they say: they hold for every batch here.
  const isTraced = dims[0] instanceof Batches && node.context.declaredBatch === undefined && typeof batch === 'number'
  if (isTraced) node.note(`Resize gives sizes for a batch of ${batch} where the batch is open: taken for every batch`)
  if (!(isTraced || same(dims[0], batch)) || !same(dims[1], wanted[1])) {
    throw node.unsupported('resizes other axes than spatial ones', { got: `sizes ${showElements(wanted)}` })
  }
  const size = wanted.slice(2).map((extent) => node.plain(extent))
  const policy = node.string('keep_aspect_ratio_policy', 'stretch')
  if (policy === 'stretch') return { size: perAxis(size) }
  // One scale for all axes that are named: the smallest, or the largest.
  const named = node.ints('axes', undefined)?.map((axis) => node.axis(axis, dims.length) - 2)
  const scales = size.flatMap((extent, i) => (named === undefined || named.includes(i) ? [extent / extents[i]] : []))
  const pick = oneOf(node, 'keep_aspect_ratio_policy', policy, { not_larger: Math.min, not_smaller: Math.max })
  const scale = pick(...scales)
  const isNamed = (i: number) => named === undefined || named.includes(i)
  return {
    size: perAxis(extents.map((extent, i) => (isNamed(i) ? Math.round(extent * scale) : extent))),
    scale: perAxis(extents.map((_, i) => (isNamed(i) ? scale : 1))),
  }
}

/** Scales are floats: 7/6 times 6 is not quite 7, and pixels halfway between two would go the wrong way. */
function scalesAsOptions(
  node: NodeReader,
  flow: Flow,
  extents: readonly number[],
  scales: ArrayLike<Element>,
): Options {
  const ones = flow.axes.map(() => 1)
  const spatial = spatialScales(node, forAllAxes(node, scales, ones.length, ones))
  const sizes = spatial.map((scale, i) => scale * extents[i])
  const rounded = sizes.map(Math.round)
  const meant = sizes.every((size, i) => rounded[i] >= 1 && Math.abs(size - rounded[i]) <= 1e-6 * rounded[i])
  const exact = sizes.every(Number.isInteger)
  return meant && !exact ? { size: perAxis(rounded) } : { scale: perAxis(spatial) }
}

function resized(node: NodeReader, options: (flow: Flow, extents: readonly number[]) => Options): Flow {
  const flow = node.flow(0)
  const { groups, rank, extents } = channelsLast(node, flow)
  const layer = nn.resize(options(flow, extents.slice(0, rank)))
  const made = node.add(layer, [node.place(flow, groups).layer])
  return behindChannelsLast(flow, groups, made)
}

/** As it was before opset 11: pixels lie at i / scale, and nearest cuts, or rounds up where the picture shrinks. */
function legacy(node: NodeReader, scales: readonly number[]): Flow {
  return resized(node, () => {
    const scale = spatialScales(node, scales)
    const mode = oneOf(node, 'mode', node.string('mode', 'nearest'), modes)
    const shrinks = scale.filter((one) => one < 1).length
    if (mode === 'nearest' && shrinks > 0 && scale.some((one) => one > 1)) {
      throw node.unsupported('takes nearest pixels and both shrinks and stretches', { got: showElements(scales) })
    }
    return {
      scale: perAxis(scale),
      mode,
      coordinates: 'asymmetric',
      ...(mode === 'nearest' ? { nearestRounding: shrinks > 0 ? 'ceil' : 'floor' } : {}),
    }
  })
}

function resize(node: NodeReader): Flow {
  if (node.version < 11) return legacy(node, node.numbers(node.known(1)))
  const mode = oneOf(node, 'mode', node.string('mode', 'nearest'), modes)
  const place = oneOf(
    node,
    'coordinate_transformation_mode',
    node.string('coordinate_transformation_mode', 'half_pixel'),
    coordinates,
  )
  const rounding = oneOf(node, 'nearest_mode', node.string('nearest_mode', 'round_prefer_floor'), roundings)
  const flags = { excludeOutside: 'exclude_outside', antialias: 'antialias' } as const
  const set = Object.entries(flags).filter(([, name]) => node.int(name, 0) === 1)
  const coefficient = node.float('cubic_coeff_a', -0.75)
  const scales = node.hasInput(2) ? node.known(2).data : []
  return resized(node, (flow, extents) => ({
    ...(scales.length > 0
      ? scalesAsOptions(node, flow, extents, scales)
      : sizesAsOptions(node, flow, extents, node.known(3).data)),
    mode,
    ...(place === 'halfPixel' ? {} : { coordinates: place }),
    ...(mode !== 'nearest' || rounding === 'halfDown' ? {} : { nearestRounding: rounding }),
    ...(mode !== 'cubic' || coefficient === -0.75 ? {} : { cubicCoefficient: coefficient }),
    ...(mode === 'nearest' ? {} : Object.fromEntries(set.map(([option]) => [option, true]))),
  }))
}

export const resizing: Family = {
  Resize: { versions: [10, 11, 13, 18, 19], read: resize },
  Upsample: {
    versions: [7, 9],
    read: (node) => legacy(node, node.floats('scales', undefined) ?? node.numbers(node.known(1))),
  },
}
