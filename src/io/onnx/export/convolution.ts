/** Convolutions. Weights are written as PyTorch has them: [out, in / groups, …kernel], of transposed ones [in, out / groups, …kernel]. */
import { type Padding, resolvePads } from '../../../ops/conv/padding.ts'
import type { ExportStep, OnnxExporter } from './exporter.ts'
import type { Attributes, Value } from './graph.ts'
import { channelsFirst, sampleShape } from './layout.ts'

/** One number an axis. */
export function perAxis(value: unknown, rank: number, missing = 1): number[] {
  if (Array.isArray(value)) return value as number[]
  return new Array<number>(rank).fill((value as number | undefined) ?? missing)
}

/** [begin of each axis, end of each axis], as ONNX has them. */
export function padsOf(pads: readonly (readonly [number, number])[]): number[] {
  return [...pads.map(([before]) => before), ...pads.map(([, behind]) => behind)]
}

/** Kernel, stride, padding and dilation of a window over the spatial axes. */
export function windowOf({ name, options, inputs }: ExportStep, kernel: readonly number[]): Attributes {
  const size = sampleShape(inputs[0].layout).slice(0, -1)
  const stride = perAxis(options.stride, kernel.length)
  const dilation = perAxis(options.dilation, kernel.length)
  const padding = (options.padding ?? 'valid') as Padding
  const pads = resolvePads(name, padding, { size, kernel, stride, dilation })
  return { kernel_shape: kernel, strides: stride, pads: padsOf(pads), dilations: dilation }
}

/** The inputs of a convolution: what arrives, the weight with its last two axes in front, the bias. */
function operands(step: ExportStep, x: Value, rank: number): string[] {
  const { graph, options } = step
  const weight = step.parameter('weight')
  const axes = [rank + 1, rank, ...Array.from({ length: rank }, (_, axis) => axis)]
  const shape = axes.map((axis) => weight.shape[axis])
  const inputs = [graph.use(x), graph.parameter(weight, { view: weight.shape, axes }, shape)]
  return options.bias === false ? inputs : [...inputs, asIs(step, 'bias')]
}

function convolution(rank: number, depthwise: boolean): OnnxExporter {
  return (step) => {
    const { graph, name, options } = step
    const x = graph.channelsFirst(step.inputs[0], name)
    const groups = depthwise ? sampleShape(x.layout)[rank] : ((options.groups as number | undefined) ?? 1)
    const attributes = { ...windowOf(step, perAxis(options.kernelSize, rank)), group: groups }
    const result = { type: 'float', layout: step.channelsFirst } as const
    return graph.value(name, 'Conv', operands(step, x, rank), attributes, result)
  }
}

/** Padding is what is cut off the output. */
function convTranspose(rank: number): OnnxExporter {
  return (step) => {
    const { graph, name, options, output } = step
    const x = graph.channelsFirst(step.inputs[0], name)
    const [kernel, stride, dilation] = [options.kernelSize, options.stride, options.dilation].map((value) =>
      perAxis(value, rank),
    )
    const extents = sampleShape(x.layout)
    const padding = (options.padding ?? 'valid') as Padding
    const size = stride.map((s, axis) => extents[axis] * s)
    const pads = resolvePads(name, padding, { size, kernel, stride, dilation })
    const more = pads.map(([before, after], axis) => {
      const reach = (extents[axis] - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1
      return output[axis] - (reach - before - after)
    })
    const attributes = {
      kernel_shape: kernel,
      strides: stride,
      pads: padsOf(pads),
      dilations: dilation,
      group: (options.groups as number | undefined) ?? 1,
      output_padding: more.some((extent) => extent > 0) ? more : undefined,
    }
    const result = { type: 'float', layout: step.channelsFirst } as const
    return graph.value(name, 'ConvTranspose', operands(step, x, rank), attributes, result)
  }
}

/** A parameter as it is. */
export function asIs(step: ExportStep, name: string): string {
  const state = step.parameter(name)
  return step.graph.parameter(state, { view: state.shape, axes: state.shape.map((_, axis) => axis) }, state.shape)
}

/** A convolution of 1×1 along the channels: a linear layer at every place of maps that lie channels first. */
export function pointwise(step: ExportStep, x: Value): Value {
  const { graph, name, options, output } = step
  const weight = step.parameter('weight')
  const ones = new Array<number>(output.length - 1).fill(1)
  const shape = [weight.shape[1], weight.shape[0], ...ones]
  const inputs = [graph.use(x), graph.parameter(weight, { view: weight.shape, axes: [1, 0] }, shape)]
  if (options.bias !== false) inputs.push(asIs(step, 'bias'))
  const result = { type: 'float', layout: channelsFirst(output) } as const
  return graph.value(name, 'Conv', inputs, { kernel_shape: ones }, result)
}

export const convolutions = {
  conv1d: convolution(1, false),
  conv2d: convolution(2, false),
  conv3d: convolution(3, false),
  convTranspose1d: convTranspose(1),
  convTranspose2d: convTranspose(2),
  depthwiseConv1d: convolution(1, true),
  depthwiseConv2d: convolution(2, true),
} as const satisfies Readonly<Record<string, OnnxExporter>>
