/** Layers. Each is a description; parameters come into being in init(). */

export * from './activations.ts'
export {
  add,
  type BinaryName,
  binary,
  cast,
  clamp,
  identity,
  matmul,
  multiply,
  scalar,
  type UnaryName,
  unary,
  where,
} from './arithmetic.ts'
export { concat, expand, gather, permute, reshape, type SliceRange, slice, take, tile } from './arrange.ts'
export * from './containers.ts'
export * from './conv-transpose.ts'
export * from './convolution.ts'
export * from './dense.ts'
export { type Answer, type Arrived, answerOf, type FlowStep, followLayers } from './flow.ts'
export { type GraphOptions, graph } from './graph.ts'
export type { WeightInitializer } from './initializer.ts'
export type {
  Built,
  Initializer,
  Joined,
  Json,
  Layer,
  LayerCost,
  LayerJson,
  LayerReport,
  Scope,
  Through,
} from './layer.ts'
export { joiningLayer } from './layer.ts'
export * from './normalization.ts'
export * from './pooling.ts'
export * from './quantization.ts'
export { argmax, argmin, type ReduceLayerOptions, type ReductionName, reduce } from './reducing.ts'
export * from './shortcut.ts'
export * from './signal.ts'
export * from './spatial.ts'
export { type ValueOptions, value } from './value.ts'
