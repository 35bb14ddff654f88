export type { CompiledFunction, CompileOptions, Tree } from './compile.ts'
export { compile } from './compile.ts'
export type { ValueAndGradients } from './differentiate.ts'
export { valueAndGrad } from './differentiate.ts'
export * from './functions.ts'
export type { Fill, InitialValues } from './parameter.ts'
export { assignIf, Parameter, State } from './parameter.ts'
export * from './spatial-functions.ts'
export type { Nested, TensorLike } from './tensor.ts'
export { realize, Tensor, tensor } from './tensor.ts'
export { atEndOfStep, guarded, within } from './trace.ts'

import { defaultDevice } from '../engine/index.ts'

export type {
  ArgumentType,
  BackendName,
  Bound,
  DeviceOptions,
  ExplainedCall,
  Explanation,
  PlannedMemory,
} from '../engine/index.ts'
export { createDevice, useDevice } from '../engine/index.ts'

/** Where things are computed, for people and logs. `backend` tells all that decides the bits of a result. */
export async function describeDevice(): Promise<{ backend: string; threads: number }> {
  const { backend, choice } = await defaultDevice()
  const asked = [choice.precise === true ? 'precise' : undefined, choice.algorithm]
  const name = [backend.target.name, ...asked].filter((part) => part !== undefined).join(' ')
  return { backend: name, threads: backend.threads }
}
