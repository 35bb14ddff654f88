/** Values rounded to the steps of a narrow integer and back. Between layers they are f32, whole numbers as they are. */
import { sampleAxis } from './arranging.ts'
import type { ExportStep, OnnxExporter } from './exporter.ts'
import type { Value } from './graph.ts'
import { sampleShape } from './layout.ts'

const ranges: Readonly<Record<string, readonly [number, number]>> = {
  u8: [0, 255],
  i8: [-128, 127],
  u16: [0, 65535],
  i16: [-32768, 32767],
  u4: [0, 15],
  i4: [-8, 7],
}
/** Types that the operators take in every opset here. */
const operatorTypes = { u8: 'uint8', i8: 'int8' } as const

interface Steps {
  readonly x: Value
  readonly scales: readonly number[]
  readonly zeros: readonly number[]
  /** Of the ONNX tensor, along which the scales differ. */
  readonly axis: number
  /** Extents with which they are broadcast. */
  readonly extents: readonly number[]
}

/** As many scales as zero points, and where they lie. */
function stepsOf({ graph, name, inputs, options }: ExportStep): Steps {
  const { value, order } = graph.plain(inputs[0], name)
  const list = (numbers: unknown): readonly number[] => (Array.isArray(numbers) ? numbers : [numbers as number])
  const [scales, zeros] = [list(options.scale), list(options.zeroPoint ?? 0)]
  const count = Math.max(scales.length, zeros.length)
  const spread = (numbers: readonly number[]) => Array.from({ length: count }, (_, i) => numbers[i] ?? numbers[0])
  const shape = sampleShape(value.layout)
  const at = shape.length === 0 ? -1 : order.indexOf(sampleAxis((options.axis as number | undefined) ?? -1, shape))
  const extents = order.map((_, i) => (i === at ? count : 1))
  return { x: value, scales: spread(scales), zeros: spread(zeros), axis: at + 1, extents }
}

const quantize: OnnxExporter = (step) => {
  const { graph, name, options } = step
  const { x, scales, zeros, axis, extents } = stepsOf(step)
  const kind = (options.type as string | undefined) ?? 'u8'
  const shape = scales.length === 1 ? [] : [scales.length]
  if (kind === 'u8' || kind === 'i8') {
    const type = operatorTypes[kind]
    const operands = [
      graph.use(x),
      graph.constant(`${name}/scale`, 'float', scales, shape),
      graph.constant(`${name}/zeroPoint`, type, zeros, shape),
    ]
    const attributes = { axis: scales.length === 1 ? undefined : axis }
    const narrow = graph.node(`${name}/${type}`, 'QuantizeLinear', operands, attributes)
    const value = graph.value(name, 'Cast', [narrow], { to: 1 }, { type: 'float', layout: x.layout })
    graph.quantized.set(value.name, { name: narrow, type })
    return value
  }
  const numbers = (part: string, values: readonly number[]) =>
    values.length === 1 ? graph.scalar(values[0]) : graph.constant(`${name}/${part}`, 'float', values, extents)
  const steps = graph.node(`${name}/steps`, 'Div', [graph.use(x), numbers('scale', scales)])
  const whole = graph.node(`${name}/whole`, 'Round', [steps])
  const moved = graph.node(`${name}/moved`, 'Add', [whole, numbers('zeroPoint', zeros)])
  const [low, high] = ranges[kind].map((limit) => graph.scalar(limit))
  return graph.value(name, 'Clip', [moved, low, high], {}, { type: 'float', layout: x.layout })
}

/** DequantizeLinear right behind the operator that quantised; arithmetic behind anything else. */
const dequantize: OnnxExporter = (step) => {
  const { graph, name } = step
  const { x, scales, zeros, axis, extents } = stepsOf(step)
  const result = { type: 'float', layout: x.layout } as const
  const source = graph.quantized.get(x.name)
  const range = source === undefined ? undefined : ranges[source.type === 'uint8' ? 'u8' : 'i8']
  if (source !== undefined && zeros.every((zero) => range !== undefined && zero >= range[0] && zero <= range[1])) {
    const shape = scales.length === 1 ? [] : [scales.length]
    const operands = [
      source.name,
      graph.constant(`${name}/scale`, 'float', scales, shape),
      graph.constant(`${name}/zeroPoint`, source.type, zeros, shape),
    ]
    return graph.value(name, 'DequantizeLinear', operands, { axis: scales.length === 1 ? undefined : axis }, result)
  }
  const numbers = (part: string, values: readonly number[]) =>
    values.length === 1 ? graph.scalar(values[0]) : graph.constant(`${name}/${part}`, 'float', values, extents)
  const centred = graph.node(`${name}/centred`, 'Sub', [graph.use(x), numbers('zeroPoint', zeros)])
  return graph.value(name, 'Mul', [centred, numbers('scale', scales)], {}, result)
}

export const quantizations = { quantize, dequantize } as const satisfies Readonly<Record<string, OnnxExporter>>
