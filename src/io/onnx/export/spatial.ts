/** Borders, other sizes, blocks of pixels as channels, shortcuts without parameters. */
import { UnsupportedError } from '../../../base/errors.ts'
import { perAxis } from './convolution.ts'
import type { ExportStep, OnnxExporter } from './exporter.ts'
import { float } from './graph.ts'
import { ordered, sampleShape } from './layout.ts'
import { identityShortcut } from './shortcut.ts'

const pad: OnnxExporter = ({ graph, name, inputs, options, output }) => {
  const { value, order } = graph.plain(inputs[0], name)
  const { mode, value: border = 0 } = options as { mode: string; value?: number }
  if (mode === 'wrap') graph.needs(19, "a border of mode 'wrap'")
  const pads = options.pads as unknown as readonly (readonly [number, number])[]
  const sides = [0, 1].flatMap((side) => [0, ...order.map((axis) => pads[axis][side])])
  const places = graph.integers(`${name}/pads`, sides)
  const filled = mode === 'constant' && border !== 0 ? [graph.scalar(border, value.type)] : []
  const result = { type: value.type, layout: ordered(output, order) }
  return graph.value(name, 'Pad', [graph.use(value), places, ...filled], { mode }, result)
}

const coordinateModes: Readonly<Record<string, string>> = {
  halfPixel: 'half_pixel',
  pytorchHalfPixel: 'pytorch_half_pixel',
  halfPixelSymmetric: 'half_pixel_symmetric',
  asymmetric: 'asymmetric',
  alignCorners: 'align_corners',
}
const nearestModes: Readonly<Record<string, string>> = {
  halfDown: 'round_prefer_floor',
  halfUp: 'round_prefer_ceil',
  floor: 'floor',
  ceil: 'ceil',
}

interface ResizeOptions {
  readonly size?: number | readonly number[]
  readonly scale?: number | readonly number[]
  readonly mode?: string
  readonly coordinates?: string
  readonly nearestRounding?: string
  readonly cubicCoefficient?: number
  readonly excludeOutside?: boolean
  readonly antialias?: boolean
}

/**
 * Factors that make these extents of those. A size alone gives the factor; both have to agree, for ONNX knows one. Factors
 * are single precision, and what they give is rounded down: where the nearest one falls short, the next one is taken.
 */
function scalesOf({ name, options, inputs, output }: ExportStep): number[] {
  const { scale } = options as ResizeOptions
  const extents = sampleShape(inputs[0].layout).slice(0, -1)
  const wanted = scale === undefined ? undefined : perAxis(scale, extents.length)
  return extents.map((extent, axis) => {
    const nearest = Math.fround(wanted?.[axis] ?? output[axis] / extent)
    const next = Math.fround(nearest * (1 + 2 ** -23))
    const factor = [nearest, next].find((one) => Math.floor(extent * one) === output[axis])
    if (factor !== undefined) return factor
    throw new UnsupportedError({
      where: `exportOnnx: resize "${name}"`,
      what: 'size and scale say different extents, and ONNX knows only one of them',
      got: `extent ${extent}, size ${output[axis]}, scale ${nearest}`,
      expected: 'a size that is extent · scale, rounded down',
      fix: 'leave out the scale or the size',
    })
  })
}

const resize: OnnxExporter = (step) => {
  const { graph, name, inputs } = step
  const options = step.options as ResizeOptions
  const x = graph.channelsFirst(inputs[0], name)
  const { mode = 'nearest', coordinates = 'halfPixel' } = options
  if (coordinates === 'halfPixelSymmetric') graph.needs(19, "resizing with coordinates 'halfPixelSymmetric'")
  if (options.antialias === true) graph.needs(18, 'resizing with antialias')
  const scales = graph.constant(`${name}/scales`, 'float', [1, 1, ...scalesOf(step)])
  const attributes = {
    mode,
    coordinate_transformation_mode: coordinateModes[coordinates],
    nearest_mode: mode === 'nearest' ? nearestModes[options.nearestRounding ?? 'halfDown'] : undefined,
    cubic_coeff_a: mode === 'cubic' ? float(options.cubicCoefficient ?? -0.75) : undefined,
    exclude_outside: options.excludeOutside === true ? 1 : undefined,
    antialias: options.antialias === true ? 1 : undefined,
  }
  const result = { type: x.type, layout: step.channelsFirst }
  return graph.value(name, 'Resize', [graph.use(x), '', scales], attributes, result)
}

const depthToSpace: OnnxExporter = ({ graph, name, inputs, options, channelsFirst }) => {
  const x = graph.channelsFirst(inputs[0], name)
  const attributes = { blocksize: options.block as number, mode: options.order as string }
  return graph.value(name, 'DepthToSpace', [graph.use(x)], attributes, { type: x.type, layout: channelsFirst })
}

/** ONNX has one order, block row, block column, channel. For the other one the channels are taken in another order. */
const spaceToDepth: OnnxExporter = ({ graph, name, inputs, options, output, channelsFirst }) => {
  const x = graph.channelsFirst(inputs[0], name)
  const block = options.block as number
  const result = { type: x.type, layout: channelsFirst }
  if (options.order !== 'CRD') {
    return graph.value(name, 'SpaceToDepth', [graph.use(x)], { blocksize: block }, result)
  }
  const blocks = graph.node(`${name}/blocks`, 'SpaceToDepth', [graph.use(x)], { blocksize: block })
  const count = output[2] / (block * block)
  const places = Array.from({ length: output[2] }, (_, i) => (i % (block * block)) * count + Math.floor(i / block ** 2))
  return graph.value(name, 'Gather', [blocks, graph.integers(`${name}/channels`, places)], { axis: 1 }, result)
}

export const spatial = {
  pad,
  resize,
  depthToSpace,
  spaceToDepth,
  identityShortcut,
} as const satisfies Readonly<Record<string, OnnxExporter>>
