/** Fourier transforms. Real and imaginary part are the last axis, so that axes have juanji's own order here. */
import { sampleAxis } from './arranging.ts'
import type { OnnxExporter } from './exporter.ts'
import { sampleShape } from './layout.ts'

const dft: OnnxExporter = ({ graph, name, inputs, options, output, natural }) => {
  const x = graph.natural(inputs[0], name)
  const shape = sampleShape(x.layout)
  const { axis = -2, length, inverse, onesided } = options as { [option: string]: unknown }
  const at = sampleAxis(axis as number, shape)
  graph.needs(17, 'a Fourier transform')
  const inputOf = (part: string, value: number) => graph.constant(`${name}/${part}`, 'int64', [value], [])
  const places = [graph.use(x), length === undefined ? '' : inputOf('length', length as number)]
  const asInput = graph.opset >= 20
  if (asInput) places.push(inputOf('axis', at + 1))
  const half = onesided === true && inverse !== true
  const attributes = {
    axis: asInput ? undefined : at + 1,
    inverse: inverse === true ? 1 : undefined,
    onesided: half ? 1 : undefined,
  }
  const result = { type: 'float', layout: natural } as const
  const given = asInput || length !== undefined ? places : places.slice(0, 1)
  if (onesided !== true || half) return graph.value(name, 'DFT', given, attributes, result)
  // The operator gives one side of forward transforms only.
  const whole = graph.node(`${name}/whole`, 'DFT', given, attributes)
  const range = [0, output[at], at + 1].map((value, i) =>
    graph.integers(`${name}/${['start', 'end', 'axis'][i]}`, [value]),
  )
  return graph.value(name, 'Slice', [whole, ...range], {}, result)
}

const stft: OnnxExporter = ({ graph, name, inputs, options, natural }) => {
  const x = graph.natural(inputs[0], name)
  const {
    frameStep,
    frameLength,
    window,
    onesided = true,
  } = options as {
    readonly frameStep: number
    readonly frameLength?: number
    readonly window?: readonly number[]
    readonly onesided?: boolean
  }
  graph.needs(17, 'a Fourier transform')
  const number = (part: string, value: number) => graph.constant(`${name}/${part}`, 'int64', [value], [])
  const optional = [
    window === undefined ? '' : graph.constant(`${name}/window`, 'float', window),
    frameLength === undefined ? '' : number('frameLength', frameLength),
  ]
  const operands = [graph.use(x), number('frameStep', frameStep), ...optional]
  return graph.value(name, 'STFT', operands, { onesided: onesided ? 1 : 0 }, { type: 'float', layout: natural })
}

export const signals = { dft, stft } as const satisfies Readonly<Record<string, OnnxExporter>>
