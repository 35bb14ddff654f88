/** All operators of ONNX that are read. A new family is one file beside this one and one line here. */
import type { Family, Operator } from '../operator.ts'
import { activations } from './activations.ts'
import { convolution } from './convolution.ts'
import { elementwise } from './elementwise.ts'
import { joining } from './joining.ts'
import { linear } from './linear.ts'
import { logic } from './logic.ts'
import { normalization } from './normalization.ts'
import { parts } from './parts.ts'
import { pooling } from './pooling.ts'
import { quantization } from './quantization.ts'
import { reductions } from './reduction.ts'
import { resizing } from './resizing.ts'
import { signals } from './signal.ts'
import { structure } from './structure.ts'

const families: readonly Family[] = [
  structure,
  joining,
  parts,
  elementwise,
  logic,
  activations,
  linear,
  convolution,
  pooling,
  normalization,
  reductions,
  resizing,
  signals,
  quantization,
]

/** The newest opset whose operators are known. Newer files are read as this one. */
export const newestOpset = 25

/** By name; only of ONNX's own domain. */
export function findOperator(name: string): Operator | undefined {
  return families.find((family) => Object.hasOwn(family, name))?.[name]
}

/** Names of all operators that are read, and the opsets in which each began or changed. */
export function onnxOperators(): ReadonlyMap<string, readonly number[]> {
  const all = families.flatMap((family) => Object.entries(family))
  return new Map(all.map(([name, { versions }]) => [name, versions] as const).sort(([a], [b]) => (a < b ? -1 : 1)))
}
