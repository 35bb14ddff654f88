/** What a plan takes: known before anything runs. */
import { bytesPerElement, type DType } from '../base/dtype.ts'
import { sizeOf } from '../base/shape.ts'
import type { DataAttributes } from '../graph/node.ts'
import type { Plan, Region } from '../schedule/index.ts'

/** An argument of a compiled function, as far as planning must know it. */
export interface ArgumentType {
  readonly shape: readonly number[]
  readonly dtype: DType
}

export interface PlannedMemory {
  /** Weights, running statistics, slots of the optimizer: what outlives the step. */
  readonly variableBytes: number
  /** Activations, gradients and workspace at their peak. */
  readonly arenaBytes: number
  /** Arguments, results and fixed data. */
  readonly bufferBytes: number
  /** What was made of Variables and is kept from run to run: packed and transformed weights. */
  readonly keptBytes: number
  /** All of that. */
  readonly bytes: number
  /** Bytes the device has for it; undefined where nothing but the machine's memory limits them. */
  readonly availableBytes: number | undefined
}

/** Bytes of a plan on a machine whose elements take `bytes` each. */
export function memoryOf(
  plan: Plan,
  inputs: readonly ArgumentType[],
  bytes: Readonly<Record<DType, number>> = bytesPerElement,
): Omit<PlannedMemory, 'availableBytes'> {
  const of = ({ dtype, shape }: ArgumentType) => bytes[dtype] * sizeOf(shape)
  const held = (region: Region): number => {
    switch (region.kind) {
      case 'arena':
      case 'variable':
      case 'kept':
        return 0
      case 'input':
        return of(inputs[region.index])
      case 'data':
      case 'hostScalar':
        return of(region.node.attributes as DataAttributes)
      case 'output':
        return of(plan.outputs[region.index])
      default:
        return region satisfies never
    }
  }
  let variableBytes = 0
  let bufferBytes = 0
  for (const region of plan.regions) {
    if (region.kind === 'variable') variableBytes += of(region.variable)
    else bufferBytes += held(region)
  }
  const { arenaBytes, keptBytes } = plan
  const sum = variableBytes + arenaBytes + bufferBytes + keptBytes
  return { variableBytes, arenaBytes, bufferBytes, keptBytes, bytes: sum }
}
