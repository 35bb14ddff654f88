/** QuantizeLinear and DequantizeLinear: of weights, which become floats at once, and between layers. */
import * as nn from '../../../nn/index.ts'
import { computed, type Family, type NodeReader } from '../operator.ts'
import type { OnnxType } from '../schema.ts'
import { typeName } from '../tensors.ts'
import { type Flow, type Known, product, showElements } from '../values.ts'
import { placesOf } from './places.ts'

const types: Partial<Record<OnnxType, nn.QuantizedType>> = {
  uint8: 'u8',
  int8: 'i8',
  uint16: 'u16',
  int16: 'i16',
  uint4: 'u4',
  int4: 'i4',
}

const ranges: Readonly<Record<nn.QuantizedType, readonly [number, number]>> = {
  u8: [0, 255],
  i8: [-128, 127],
  u16: [0, 65535],
  i16: [-32768, 32767],
  u4: [0, 15],
  i4: [-8, 7],
}

interface Steps {
  readonly scales: readonly number[]
  readonly zeros: readonly number[]
}

/** Scales and zero points. @throws UnsupportedError where they depend on the input or hold for blocks */
function stepsOf(node: NodeReader): Steps {
  if (node.int('block_size', 0) !== 0) throw node.unsupported('has scales for blocks')
  const scale = node.known(1)
  if (scale.dims.length > 1) throw node.unsupported('has scales for blocks', { got: showElements(scale.dims) })
  const scales = node.numbers(scale)
  const zeros = node.hasInput(2) ? node.numbers(node.known(2)) : [0]
  const fits = zeros.length === scales.length || zeros.length === 1
  if (fits && scales.length > 0 && scales.every((value) => value > 0 && Number.isFinite(value)))
    return { scales, zeros }
  throw node.error('scale and zero point make no sense', {
    got: `scale ${showElements(scales)}, zero point ${showElements(zeros)}`,
    expected: 'positive scales, and as many zero points',
  })
}

/** The narrow type: that of the zero point, or what output_dtype says. */
function narrow(node: NodeReader): { type: OnnxType; name: nn.QuantizedType } {
  const zero = node.hasInput(2) ? node.known(2).type : undefined
  const type = zero ?? typeName(node.int('output_dtype', undefined)) ?? 'uint8'
  const name = types[type]
  if (name === undefined) throw node.unsupported(`quantises to ${type}`, { expected: Object.keys(types).join(', ') })
  return { type, name }
}

const single = (values: readonly number[]) => (values.every((value) => value === values[0]) ? values[0] : values)

/** The layer over each value, or along an axis where scales differ. */
function layered(node: NodeReader, make: (options: nn.DequantizeOptions) => nn.Layer): Flow {
  const flow = node.flow(0)
  const { scales, zeros } = stepsOf(node)
  const [scale, zeroPoint] = [single(scales), single(zeros)]
  const options = { scale, ...(zeroPoint === 0 ? {} : { zeroPoint }) }
  if (typeof scale === 'number' && typeof zeroPoint === 'number') return node.pointwise(flow, make(options), 'f32')
  const axis = node.axis(node.int('axis', 1), flow.axes.length)
  node.apart(flow, axis)
  const { groups, at } = placesOf(flow, [axis])
  const placed = node.place(flow, groups)
  const place = at[0] === groups.length - 1 ? {} : { axis: at[0] }
  const made = node.add(make({ ...options, ...place }), [placed.layer])
  const order = groups.flat()
  return {
    ...flow,
    ...made,
    dtype: 'f32',
    atoms: order.map((atom) => flow.atoms[atom]),
    axes: flow.axes.map((atoms) => atoms.map((atom) => (atom < 0 ? atom : order.indexOf(atom)))),
  }
}

/** Every element with the scale and zero point of its place. */
function eachElement(
  node: NodeReader,
  value: Known,
  type: OnnxType,
  apply: (x: number, scale: number, zero: number) => number,
): Known {
  const { scales, zeros } = stepsOf(node)
  const many = Math.max(scales.length, zeros.length)
  const axis = many === 1 ? 0 : node.axis(node.int('axis', 1), value.dims.length)
  if (many > 1 && value.dims[axis] !== many) {
    throw node.error('there is not one scale for each place of the axis', {
      got: `${many} scales, value ${showElements(value.dims)}, axis ${axis}`,
      expected: `${value.dims[axis]}`,
    })
  }
  const inner = product(value.dims.slice(axis + 1))
  const { data, known } = computed(node, type, value.dims, [value])
  const from = value.data
  const run = many === 1 ? data.length : inner
  for (let first = 0, row = 0; first < data.length; first += run, row++) {
    const place = row % many
    const [scale, zero] = [scales[place % scales.length], zeros[place % zeros.length]]
    for (let i = first; i < first + run; i++) data[i] = apply(node.plain(from[i]), scale, zero)
  }
  return value.initializer === undefined ? known : { ...known, initializer: value.initializer }
}

function roundEven(x: number): number {
  const below = Math.floor(x)
  return x - below === 0.5 ? below + (below % 2 === 0 ? 0 : 1) : Math.round(x)
}

const versions = [10, 13, 19, 21, 23, 24, 25]

export const quantization: Family = {
  QuantizeLinear: {
    versions,
    least: 2,
    read(node) {
      const { name } = narrow(node)
      return layered(node, (options) => nn.quantize({ ...options, ...(name === 'u8' ? {} : { type: name }) }))
    },
    fold(node, [value]) {
      const { type, name } = narrow(node)
      const [low, high] = ranges[name]
      return eachElement(node, value, type, (x, scale, zero) =>
        Math.min(high, Math.max(low, roundEven(Math.fround(x / scale)) + zero)),
      )
    },
  },
  DequantizeLinear: {
    versions,
    least: 2,
    read: (node) => layered(node, nn.dequantize),
    fold: (node, [value]) => eachElement(node, value, 'float', (x, scale, zero) => (x - zero) * scale),
  },
}
