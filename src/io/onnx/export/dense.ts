/** Linear layers and tables. */
import { wholeNumbers } from './arranging.ts'
import { asIs, pointwise } from './convolution.ts'
import type { OnnxExporter } from './exporter.ts'
import { memoryOrder, natural, orderOf } from './layout.ts'

/**
 * Vectors: Gemm with PyTorch's weight [out, in], its columns in the order in which the features lie, so that nothing has to
 * be turned behind a flatten. Maps that lie channels first: a convolution of 1×1. Rows of features: MatMul with [in, out].
 */
const linear: OnnxExporter = (step) => {
  const { graph, name, options, inputs, output } = step
  const [x] = inputs
  const weight = step.parameter('weight')
  const bias = options.bias === false ? [] : [asIs(step, 'bias')]
  const result = { type: 'float', layout: natural(output) } as const
  if (output.length === 1) {
    const memory = memoryOrder(x.layout)
    const features = graph.arrange(x, [memory], name)
    const { atoms, places } = x.layout
    const turn = { view: [...atoms, output[0]], axes: [atoms.length, ...memory], ...(places && { places }) }
    const shape = [output[0], weight.shape[0]]
    const matrix = graph.parameter(weight, turn, shape)
    return graph.value(name, 'Gemm', [graph.use(features), matrix, ...bias], { transB: 1 }, result)
  }
  const order = orderOf(x.layout)
  if (order !== undefined && order[0] === output.length - 1 && output.length <= 4) {
    return pointwise(step, graph.channelsFirst(x, name))
  }
  const rows = graph.use(graph.natural(x, name))
  if (bias.length === 0) return graph.value(name, 'MatMul', [rows, asIs(step, 'weight')], {}, result)
  const product = graph.node(`${name}/product`, 'MatMul', [rows, asIs(step, 'weight')])
  return graph.value(name, 'Add', [product, ...bias], {}, result)
}

const embedding: OnnxExporter = (step) => {
  const { graph, name, inputs, output } = step
  const indices = graph.natural(inputs[0], name)
  const places = wholeNumbers(graph, indices, name)
  const result = { type: 'float', layout: natural(output) } as const
  return graph.value(name, 'Gather', [asIs(step, 'weight'), places], { axis: 0 }, result)
}

export const dense = { linear, embedding } as const satisfies Readonly<Record<string, OnnxExporter>>
