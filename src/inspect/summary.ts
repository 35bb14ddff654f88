/** What a network is made of and what it costs. */
import type { Shape } from '../base/shape.ts'
import type { Layer, LayerReport } from '../nn/index.ts'
import { describe } from '../nn/model.ts'

export interface LayerSummary extends LayerReport {
  /** Input pixels along height (or length) that one output value depends on; undefined once all of them may count. */
  readonly receptiveField: number | undefined
}

export interface Summary {
  readonly input: Shape
  readonly output: Shape
  readonly layers: readonly LayerSummary[]
  readonly parameters: number
  /** For one sample, forward. */
  readonly multiplyAdds: number
}

/** Describes every layer for samples of a shape; makes no parameters. @throws ShapeError when the layers do not fit */
export function summarize(net: Layer, input: Shape): Summary {
  const { reports, output } = describe(net, input)
  let field: number | undefined = 1
  let jump = 1
  // Layers aside (shortcuts) see less than the path they go around.
  const layers = reports.map((report): LayerSummary => {
    const aside = report.path.split('.').includes('shortcut')
    if (report.window !== undefined && field !== undefined && !aside) {
      field += (report.window.kernelSize[0] - 1) * report.window.dilation[0] * jump
      jump *= report.window.stride[0]
    } else if (report.input.length > 1 && report.output.length === 1) field = undefined
    return { ...report, receptiveField: aside || report.input.length < 2 ? undefined : field }
  })
  const sum = (of: (report: LayerReport) => number) => reports.reduce((total, report) => total + of(report), 0)
  return { input, output, layers, parameters: sum((r) => r.parameters), multiplyAdds: sum((r) => r.multiplyAdds) }
}
