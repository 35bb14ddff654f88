export type { ConvolutionStep, ExplainedConvolution, ExplainOptions } from './explain-conv.ts'
export { explainConvolution, printConvolution } from './explain-conv.ts'
export type { LayerSummary, Summary, SummaryOptions, TrainingMemory } from './summary.ts'
export { summarize, trainingMemory } from './summary.ts'
