/** Norms. Running statistics and the scale and shift of every channel are written as the model names them. */
import { sizeOf } from '../../../base/shape.ts'
import { asIs } from './convolution.ts'
import type { ExportStep, OnnxExporter } from './exporter.ts'
import { float, type Value } from './graph.ts'
import { axisOf } from './layout.ts'
import { reduceNode } from './reducing.ts'

/** A vector with a number for each place of the last axis, as the value's places lie. */
export function lastAxisParameter(
  { graph, parameter }: ExportStep,
  name: string,
  { layout }: Value,
  behind = 0,
): string {
  const first = layout.atoms.length - layout.runs[layout.runs.length - 1]
  const axis = layout.axes[axisOf(layout, layout.runs.length - 1)]
  const { atoms, places } = layout
  const turn = { view: atoms.slice(first), axes: axis.map((atom) => atom - first), ...(places && { places }) }
  const state = parameter(name)
  return graph.parameter(state, turn, [sizeOf(state.shape), ...new Array<number>(behind).fill(1)])
}

const batchNorm: OnnxExporter = (step) => {
  const { graph, name, options } = step
  const [input] = step.inputs
  // Channels behind the batch; a flattened map may lie as it does.
  const x = input.layout.runs.length === 1 && input.layout.axes.length === 1 ? input : graph.channelsFirst(input, name)
  const vectors = ['weight', 'bias', 'running_mean', 'running_var'].map((part) => lastAxisParameter(step, part, x))
  const attributes = {
    epsilon: float(options.eps as number),
    // Share of the old statistics, where juanji's is that of the new.
    momentum: float(1 - (options.momentum as number)),
  }
  return graph.value(name, 'BatchNormalization', [graph.use(x), ...vectors], attributes, x)
}

const layerNorm: OnnxExporter = (step) => {
  const { graph, name, options } = step
  const [input] = step.inputs
  const { runs } = input.layout
  const x = axisOf(input.layout, runs.length - 1) < 0 ? graph.plain(input, name).value : input
  const axis = axisOf(x.layout, runs.length - 1)
  const behind = x.layout.axes.length - 1 - axis
  const weight = lastAxisParameter(step, 'weight', x, behind)
  const bias = lastAxisParameter(step, 'bias', x, behind)
  const eps = options.eps as number
  if (behind === 0 && graph.opset >= 17) {
    const inputs = [graph.use(x), weight, bias]
    return graph.value(name, 'LayerNormalization', inputs, { axis: -1, epsilon: float(eps) }, x)
  }
  const node = (part: string, type: string, ...inputs: string[]) => graph.node(`${name}/${part}`, type, inputs)
  const mean = (part: string, of: string) => reduceNode(graph, `${name}/${part}`, 'ReduceMean', of, [axis + 1], true)
  const centred = node('centred', 'Sub', graph.use(x), mean('mean', graph.use(x)))
  const variance = mean('variance', node('square', 'Mul', centred, centred))
  const deviation = node('deviation', 'Sqrt', node('sum', 'Add', variance, graph.scalar(eps)))
  const scaled = node('scaled', 'Mul', node('normal', 'Div', centred, deviation), weight)
  return graph.value(name, 'Add', [scaled, bias], {}, x)
}

/**
 * From opset 21 on an operator; below, groups are the channels of an instance norm, which is what PyTorch writes. (The
 * operator of opset 18 scales groups in place of channels.)
 */
const groupNorm: OnnxExporter = (step) => {
  const { graph, name, options } = step
  const x = graph.channelsFirst(step.inputs[0], name)
  const spatial = x.layout.axes.length - 1
  const groups = options.groups as number
  const epsilon = float(options.eps as number)
  if (graph.opset >= 21) {
    const inputs = [graph.use(x), asIs(step, 'weight'), asIs(step, 'bias')]
    return graph.value(name, 'GroupNormalization', inputs, { epsilon, num_groups: groups }, x)
  }
  const node = (part: string, type: string, ...inputs: string[]) => graph.node(`${name}/${part}`, type, inputs)
  const grouped = node('grouped', 'Reshape', graph.use(x), graph.integers(`${name}/groups`, [0, groups, -1]))
  const ones = graph.constant(`${name}/ones`, 'float', new Array<number>(groups).fill(1))
  const zeros = graph.constant(`${name}/zeros`, 'float', new Array<number>(groups).fill(0))
  const normal = graph.node(`${name}/normal`, 'InstanceNormalization', [grouped, ones, zeros], { epsilon })
  const apart = node('apart', 'Reshape', normal, node('shape', 'Shape', graph.use(x)))
  const scaled = node('scaled', 'Mul', apart, lastAxisParameter(step, 'weight', x, spatial))
  return graph.value(name, 'Add', [scaled, lastAxisParameter(step, 'bias', x, spatial)], {}, x)
}

const instanceNorm: OnnxExporter = (step) => {
  const { graph, name, options } = step
  const x = graph.channelsFirst(step.inputs[0], name)
  const inputs = [graph.use(x), asIs(step, 'weight'), asIs(step, 'bias')]
  return graph.value(name, 'InstanceNormalization', inputs, { epsilon: float(options.eps as number) }, x)
}

/** Over neighbouring channels. */
const lrn: OnnxExporter = ({ graph, name, inputs, options }) => {
  const x = graph.channelsFirst(inputs[0], name)
  const { size = 5, alpha = 1e-4, beta = 0.75, k = 1 } = options as Readonly<Record<string, number | undefined>>
  return graph.value(name, 'LRN', [graph.use(x)], { size, alpha: float(alpha), beta: float(beta), bias: float(k) }, x)
}

export const norms = { batchNorm, layerNorm, groupNorm, instanceNorm, lrn } as const satisfies Readonly<
  Record<string, OnnxExporter>
>
