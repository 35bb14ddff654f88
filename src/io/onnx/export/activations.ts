/** Functions of every value by itself, and what goes along one axis. */

import { sampleAxis } from './arranging.ts'
import type { ExportStep, OnnxExporter } from './exporter.ts'
import { type Attributes, float, turnOf, type Value } from './graph.ts'
import { axisOf, onnxShape, sampleShape } from './layout.ts'
import { lastAxisParameter } from './normalization.ts'

/** A node of one input that leaves values where they are. */
function elementwise(type: string, attributes: (step: ExportStep) => Attributes = () => ({})): OnnxExporter {
  return (step) => {
    const [x] = step.inputs
    return step.graph.value(step.name, type, [step.graph.use(x)], attributes(step), x)
  }
}

const option = (step: ExportStep, name: string, missing: number): number =>
  (step.options[name] as number | undefined) ?? missing

/** Several nodes; the last one has the layer's name. */
function formula(nodes: (x: string, step: ExportStep) => readonly [type: string, ...inputs: string[]]): OnnxExporter {
  return (step) => {
    const [x] = step.inputs
    const [type, ...inputs] = nodes(step.graph.use(x), step)
    return step.graph.value(step.name, type, inputs, {}, x)
  }
}

/** ½ x (1 + erf(x / √2)), or with tanh in its place; from opset 20 on an operator of its own. */
const gelu: OnnxExporter = (step) => {
  const { graph, name, options } = step
  const [value] = step.inputs
  const x = graph.use(value)
  const tanh = options.form === 'tanh'
  if (graph.opset >= 20) return graph.value(name, 'Gelu', [x], { approximate: tanh ? 'tanh' : 'none' }, value)
  const node = (part: string, type: string, ...inputs: string[]) => graph.node(`${name}/${part}`, type, inputs)
  const bend = () => {
    if (!tanh) return node('erf', 'Erf', node('scaled', 'Mul', x, graph.scalar(Math.SQRT1_2)))
    // √(2/π) (x + 0.044715 x³)
    const cube = node('cube', 'Mul', node('square', 'Mul', x, x), x)
    const sum = node('sum', 'Add', x, node('third', 'Mul', cube, graph.scalar(0.044715)))
    return node('tanh', 'Tanh', node('scaled', 'Mul', sum, graph.scalar(Math.sqrt(2 / Math.PI))))
  }
  const factor = node('factor', 'Add', bend(), graph.scalar(1))
  const half = node('half', 'Mul', x, graph.scalar(0.5))
  return graph.value(name, 'Mul', [half, factor], {}, value)
}

/** x · clip(x / 6 + ½, 0, 1), for opsets without the operator. */
function hardSwish(x: string, { graph, name }: ExportStep): readonly [type: string, ...inputs: string[]] {
  return ['Mul', x, graph.node(`${name}/gate`, 'HardSigmoid', [x], { alpha: float(1 / 6), beta: float(0.5) })]
}

/** Along one axis of the sample, in whatever order its places lie. */
function alongAxis(type: 'Softmax' | 'LogSoftmax'): OnnxExporter {
  return ({ graph, name, inputs, options }) => {
    const [x] = inputs
    const axis = sampleAxis((options.axis as number | undefined) ?? -1, sampleShape(x.layout))
    const at = axisOf(x.layout, axis)
    const value = at < 0 ? graph.plain(x, name).value : x
    return graph.value(name, type, [graph.use(value)], { axis: axisOf(value.layout, axis) + 1 }, value)
  }
}

/** Slopes that were learned: one, or one a channel, or one for every value of a sample. */
const prelu: OnnxExporter = (step) => {
  const { graph, name, inputs, options, parameter } = step
  const [x] = inputs
  const slopesOf = (value: Value): string => {
    const weight = parameter('weight')
    const { layout } = value
    if (options.slopes === 'one') return graph.parameter(weight, { view: [1], axes: [0] }, [1])
    if (options.slopes === 'values') {
      return graph.parameter(weight, turnOf(layout), onnxShape(layout))
    }
    const behind = layout.axes.length - 1 - axisOf(layout, layout.runs.length - 1)
    return lastAxisParameter(step, 'weight', value, behind)
  }
  const value = axisOf(x.layout, x.layout.runs.length - 1) < 0 ? graph.plain(x, name).value : x
  return graph.value(name, 'PRelu', [graph.use(value), slopesOf(value)], {}, value)
}

/** Attributes for options that were given; ONNX has the same defaults. */
const given =
  (names: Readonly<Record<string, string>>) =>
  ({ options }: ExportStep): Attributes =>
    Object.fromEntries(
      Object.entries(names).flatMap(([attribute, name]) =>
        options[name] === undefined ? [] : [[attribute, float(options[name] as number)]],
      ),
    )

export const activations = {
  relu: elementwise('Relu'),
  relu6: formula((x, { graph }) => ['Clip', x, graph.scalar(0), graph.scalar(6)]),
  leakyRelu: elementwise('LeakyRelu', (step) => ({ alpha: float(option(step, 'slope', 0.01)) })),
  elu: elementwise('Elu', (step) => ({ alpha: float(option(step, 'alpha', 1)) })),
  selu: elementwise('Selu', given({ alpha: 'alpha', gamma: 'gamma' })),
  celu: elementwise('Celu', given({ alpha: 'alpha' })),
  softplus: elementwise('Softplus'),
  logSigmoid: formula((x, { graph, name }) => {
    const negative = graph.node(`${name}/negative`, 'Neg', [x])
    return ['Neg', graph.node(`${name}/softplus`, 'Softplus', [negative])]
  }),
  softsign: elementwise('Softsign'),
  mish: (step) =>
    step.graph.opset >= 18
      ? elementwise('Mish')(step)
      : formula((x, { graph, name }) => {
          const softplus = graph.node(`${name}/softplus`, 'Softplus', [x])
          return ['Mul', x, graph.node(`${name}/tanh`, 'Tanh', [softplus])]
        })(step),
  hardSigmoid: elementwise('HardSigmoid', (step) => ({
    alpha: float(option(step, 'alpha', 1 / 6)),
    beta: float(option(step, 'beta', 0.5)),
  })),
  hardTanh: formula((x, step) => [
    'Clip',
    x,
    step.graph.scalar(option(step, 'min', -1)),
    step.graph.scalar(option(step, 'max', 1)),
  ]),
  thresholdedRelu: elementwise('ThresholdedRelu', (step) => ({ alpha: float(option(step, 'alpha', 1)) })),
  shrink: elementwise('Shrink', given({ lambd: 'lambda', bias: 'bias' })),
  prelu,
  gelu,
  silu: formula((x, { graph, name }) => ['Mul', x, graph.node(`${name}/sigmoid`, 'Sigmoid', [x])]),
  sigmoid: elementwise('Sigmoid'),
  tanh: elementwise('Tanh'),
  hardSwish: (step) => (step.graph.opset >= 14 ? elementwise('HardSwish')(step) : formula(hardSwish)(step)),
  softmax: alongAxis('Softmax'),
  logSoftmax: alongAxis('LogSoftmax'),
  dropout: ({ inputs }) => inputs[0],
  identity: ({ inputs }) => inputs[0],
} as const satisfies Readonly<Record<string, OnnxExporter>>
