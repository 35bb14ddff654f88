export { complexRows } from './complex.ts'
export {
  type BlockPlan,
  chunkOf,
  lengths,
  planBlocks,
  type SignalGeometry,
  spectrumLayout,
  sumLayout,
  transformOperations,
  vectorsOf,
  weightLayout,
} from './plan.ts'
export { gradientProductsCall, gradientProductsSpec, productsCall, productsSpec } from './products.ts'
export { resultCall, resultSpec } from './results.ts'
export { rootsCall, rootsSize, rootsSpec } from './roots.ts'
export { signalCall, signalSpec } from './signal.ts'
export { tapsCall, tapsSpec } from './taps.ts'
export { type WeightArguments, weightCall, weightSpec } from './weights.ts'
