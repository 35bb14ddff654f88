/** Pools, over windows and over all places. */
import { perAxis, windowOf } from './convolution.ts'
import type { OnnxExporter } from './exporter.ts'
import { reduced } from './reducing.ts'

function pool(type: 'MaxPool' | 'AveragePool', rank: number): OnnxExporter {
  return (step) => {
    const { graph, name, inputs, options } = step
    const x = graph.channelsFirst(inputs[0], name)
    const kernel = perAxis(options.size, rank)
    const { dilations, ...window } = windowOf(
      { ...step, options: { ...options, stride: options.stride ?? kernel, padding: options.padding ?? 0 } },
      kernel,
    )
    const gaps = perAxis(options.dilation, rank).some((gap) => gap > 1)
    if (gaps && type === 'AveragePool') graph.needs(19, 'a mean over windows with gaps')
    const attributes = {
      ...window,
      dilations: gaps ? dilations : undefined,
      ceil_mode: options.ceil === true ? 1 : undefined,
      count_include_pad: type === 'MaxPool' ? undefined : options.countIncludePad === false ? 0 : 1,
    }
    return graph.value(name, type, [graph.use(x)], attributes, { type: 'float', layout: step.channelsFirst })
  }
}

/** Over all places: [channels], or the spatial axes kept with one element each. */
function globalPool(type: 'Mean' | 'Max'): OnnxExporter {
  return (step) => {
    const { graph, name, inputs, options } = step
    const { value, order } = graph.plain(inputs[0], name)
    const last = order.length - 1
    const keepDims = options.keepDims === true
    if (last === 0) return value
    if (order[0] !== last) {
      const spatial = Array.from({ length: last }, (_, axis) => axis)
      return reduced(step, `Reduce${type}`, spatial, keepDims)
    }
    const operator = type === 'Mean' ? 'GlobalAveragePool' : 'GlobalMaxPool'
    if (keepDims) return graph.value(name, operator, [graph.use(value)], {}, { ...value, layout: step.channelsFirst })
    const pooled = graph.node(name, operator, [graph.use(value)])
    return graph.value(`${name}/flat`, 'Flatten', [pooled], { axis: 1 }, { ...value, layout: step.natural })
  }
}

export const pools = {
  maxPool1d: pool('MaxPool', 1),
  maxPool2d: pool('MaxPool', 2),
  maxPool3d: pool('MaxPool', 3),
  avgPool1d: pool('AveragePool', 1),
  avgPool2d: pool('AveragePool', 2),
  avgPool3d: pool('AveragePool', 3),
  globalAvgPool: globalPool('Mean'),
  globalMaxPool: globalPool('Max'),
} as const satisfies Readonly<Record<string, OnnxExporter>>
