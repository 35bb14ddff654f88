/** Pools, over windows and over all places. */
import { padsOf, perAxis } from './convolution.ts'
import type { ExportStep, OnnxExporter } from './exporter.ts'
import type { Value } from './graph.ts'
import { channelsFirst, natural } from './layout.ts'
import { reduced } from './reducing.ts'

function pool(type: 'MaxPool' | 'AveragePool', rank: number): OnnxExporter {
  return ({ graph, name, inputs, options, output }) => {
    const x = graph.channelsFirst(inputs[0], name)
    const kernel = perAxis(options.size, rank)
    const stride = options.stride === undefined ? kernel : perAxis(options.stride, rank)
    const padding = perAxis(options.padding, rank, 0)
    const attributes = {
      kernel_shape: kernel,
      strides: stride,
      pads: padsOf(padding.map((zeros) => [zeros, zeros])),
      count_include_pad: type === 'AveragePool' ? 1 : undefined,
    }
    return graph.value(name, type, [graph.use(x)], attributes, { type: 'float', layout: channelsFirst(output) })
  }
}

/** Over all places: [channels]. */
function globalPool(type: 'Mean' | 'Max'): OnnxExporter {
  return (step: ExportStep): Value => {
    const { graph, name, inputs, output } = step
    const { value, order } = graph.plain(inputs[0], name)
    const last = order.length - 1
    if (last === 0) return value
    if (order[0] !== last) {
      const spatial = Array.from({ length: last }, (_, axis) => axis)
      return reduced(step, `Reduce${type}`, spatial, false)
    }
    const pooled = graph.node(name, type === 'Mean' ? 'GlobalAveragePool' : 'GlobalMaxPool', [graph.use(value)])
    return graph.value(`${name}/flat`, 'Flatten', [pooled], { axis: 1 }, { type: 'float', layout: natural(output) })
  }
}

export const pools = {
  maxPool1d: pool('MaxPool', 1),
  maxPool2d: pool('MaxPool', 2),
  avgPool1d: pool('AveragePool', 1),
  avgPool2d: pool('AveragePool', 2),
  globalAvgPool: globalPool('Mean'),
  globalMaxPool: globalPool('Max'),
} as const satisfies Readonly<Record<string, OnnxExporter>>
