import type { OnnxExporter } from './exporter.ts'
import { sampleShape } from './layout.ts'

/** Every stride-th pixel, and channels of zeros around those that are there. */
export const identityShortcut: OnnxExporter = ({ graph, name, inputs, options, channelsFirst }) => {
  const x = graph.channelsFirst(inputs[0], name)
  const channels = sampleShape(x.layout)[2]
  const { filters, stride } = options as { filters: number; stride: number }
  const result = { type: 'float', layout: channelsFirst } as const
  const before = (filters - channels) >> 1
  const behind = filters - channels - before
  const padded = filters > channels
  const list = (part: string, values: readonly number[]) => graph.integers(`${name}/${part}`, values)
  const [height, width] = sampleShape(x.layout)
  const strided = (): string => {
    const places = [
      list('starts', [0, 0]),
      list('ends', [height, width]),
      list('axes', [2, 3]),
      list('steps', [stride, stride]),
    ]
    return graph.node(padded ? `${name}/strided` : name, 'Slice', [graph.use(x), ...places])
  }
  const taken = stride === 1 ? graph.use(x) : strided()
  if (!padded) return stride === 1 ? x : { ...result, name: taken }
  const pads = list('pads', [0, before, 0, 0, 0, behind, 0, 0])
  return graph.value(name, 'Pad', [taken, pads], { mode: 'constant' }, result)
}
