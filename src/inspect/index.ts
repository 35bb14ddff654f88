export type { ConvolutionStep, ExplainedConvolution, ExplainOptions } from './explain-conv.ts'
export { explainConvolution, printConvolution } from './explain-conv.ts'
export type { Summary } from './summary.ts'
export { summarize } from './summary.ts'
