/** Convolutions. Weights are written as PyTorch has them: [out, in / groups, …kernel]. */
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
function windowOf({ name, options, inputs }: ExportStep, kernel: readonly number[]): Attributes {
  const size = sampleShape(inputs[0].layout).slice(0, -1)
  const stride = perAxis(options.stride, kernel.length)
  const dilation = perAxis(options.dilation, kernel.length)
  const padding = (options.padding ?? 'valid') as Padding
  const pads = resolvePads(name, padding, { size, kernel, stride, dilation })
  return { kernel_shape: kernel, strides: stride, pads: padsOf(pads), dilations: dilation }
}

/** [out, in / groups, …kernel] from [...kernel, in / groups, out]. */
function kernelFirst(rank: number): number[] {
  return [rank + 1, rank, ...Array.from({ length: rank }, (_, axis) => axis)]
}

function convolution(rank: number, depthwise: boolean): OnnxExporter {
  return (step) => {
    const { graph, name, options, output } = step
    const x = graph.channelsFirst(step.inputs[0], name)
    const inChannels = sampleShape(x.layout)[rank]
    const weight = step.parameter('weight')
    const turn = { view: weight.shape, axes: kernelFirst(rank) }
    const inputs = [
      graph.use(x),
      graph.parameter(
        weight,
        turn,
        turn.axes.map((axis) => weight.shape[axis]),
      ),
    ]
    if (options.bias !== false) inputs.push(asIs(step, 'bias'))
    const attributes: Attributes = {
      ...windowOf(step, perAxis(options.kernelSize, rank)),
      group: depthwise ? inChannels : ((options.groups as number | undefined) ?? 1),
    }
    return graph.value(name, 'Conv', inputs, attributes, { type: 'float', layout: channelsFirst(output) })
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
  depthwiseConv1d: convolution(1, true),
  depthwiseConv2d: convolution(2, true),
} as const satisfies Readonly<Record<string, OnnxExporter>>
