/**
 * A case record: one op with inputs, attributes and an independent reference. It feeds four uses: correctness against
 * the reference on the double-precision interpreter, parity of every backend, the gradient check, the benchmark.
 */
import type { DType } from '../base/dtype.ts'
import type { Shape } from '../base/shape.ts'
import type { Node } from '../graph/node.ts'
import type { Op } from '../graph/op.ts'

/** Numbers of a tensor in double precision, row by row. */
export interface Values {
  readonly shape: Shape
  readonly data: Float64Array
}

export interface CaseInput {
  readonly shape: Shape
  /** Default f32. */
  readonly dtype?: DType
  /**
   * Given outright, or drawn uniformly from [low, high] by a seed made of the case's name; default [-1, 1]. Integers
   * and bools are drawn as integers. Keep inputs away from kinks (ReLU at 0, ties of max) where gradients are checked.
   */
  readonly values?: readonly number[]
  readonly range?: readonly [low: number, high: number]
}

export interface OpCase {
  /** Unique: `conv2d stride 2 dilation 3`. */
  readonly name: string
  /** The ops the case is about, for the test that every op has one. */
  readonly ops: readonly Op[]
  readonly inputs: readonly CaseInput[]
  readonly build: (...inputs: Node[]) => Node
  /** Plain loops that know nothing of the op's own code. */
  readonly reference: (...inputs: Values[]) => Values
  /** Largest absolute difference over largest magnitude in f32; default 1e-6. Say why when it is more. */
  readonly tolerance?: number
  /** False where there is no gradient or a kink cannot be avoided: say which. Default: check all f32 inputs. */
  readonly gradient?: false | string
}

/** A case's reference result made of a function of the output index. */
export function tabulate(shape: Shape, value: (index: readonly number[]) => number): Values {
  const size = shape.reduce((a, b) => a * b, 1)
  const data = new Float64Array(size)
  const index = shape.map(() => 0)
  for (let i = 0; i < size; i++) {
    data[i] = value(index)
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      if (++index[axis] < shape[axis]) break
      index[axis] = 0
    }
  }
  return { shape, data }
}

/** The element at an index. */
export function at(values: Values, index: readonly number[]): number {
  let linear = 0
  for (const [axis, i] of index.entries()) linear = linear * values.shape[axis] + i
  return values.data[linear]
}
