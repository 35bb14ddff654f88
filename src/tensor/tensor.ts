/** What users hold: a value that is computed when it is asked for. */
import { allocate, type DType, dtypeOf, type TypedArray } from '../base/dtype.ts'
import { ConfigError, ShapeError } from '../base/errors.ts'
import { type Shape, showShape, sizeOf } from '../base/shape.ts'
import { evaluate, onExpressionDevice } from '../engine/index.ts'
import { constantNode, type DataAttributes, dataNode, dataOp, type Node } from '../graph/node.ts'
import * as ops from '../ops/index.ts'
import { currentTrace, takeUnstored } from './trace.ts'

/** Numbers nested as deep as the tensor has axes; a plain number for a scalar. */
export type Nested = number | readonly Nested[]

/** A tensor, or a number that takes the other operand's dtype. */
export type TensorLike = Tensor | number

export class Tensor {
  #node: Node

  /** Users make tensors with {@link tensor}; ops make them of nodes. */
  constructor(node: Node) {
    this.#node = node
  }

  get node(): Node {
    return this.#node
  }
  get shape(): Shape {
    return this.#node.shape
  }
  get dtype(): DType {
    return this.#node.dtype
  }
  get ndim(): number {
    return this.#node.shape.length
  }
  /** Number of elements. */
  get size(): number {
    return sizeOf(this.#node.shape)
  }

  /**
   * The values, row by row. Runs what is needed; afterwards the tensor holds its values and is computed no more.
   * @throws ConfigError inside compile(), where there are no values yet
   */
  async data(): Promise<TypedArray> {
    await realize(this)
    return (this.#node.attributes as DataAttributes).data
  }

  /** The values as nested arrays; a number for a scalar; booleans count as 0 and 1. */
  async array(): Promise<Nested> {
    const data = await this.data()
    const nest = (axis: number, offset: number, size: number): Nested => {
      if (axis === this.shape.length) return data[offset]
      const step = size / this.shape[axis]
      return Array.from({ length: this.shape[axis] }, (_, i) => nest(axis + 1, offset + i * step, step))
    }
    return nest(0, 0, data.length)
  }

  /** The only value. @throws ShapeError when there are more */
  async item(): Promise<number> {
    if (this.size !== 1) {
      throw new ShapeError({
        where: 'item',
        what: 'the tensor holds more than one value',
        got: `shape ${showShape(this.shape)}`,
        expected: 'one element',
        fix: 'reduce it first, or read .data()',
      })
    }
    return (await this.data())[0]
  }

  /** Engine only: replaces the computation by its result. */
  settle(data: TypedArray): void {
    this.#node = dataNode(data, this.shape, this.dtype)
  }

  /** Whether the values are already there. */
  get isSettled(): boolean {
    return (this.#node.op as unknown) === dataOp
  }

  toString(): string {
    return `Tensor(${this.dtype}, ${showShape(this.shape)})`
  }

  // Arithmetic, with NumPy's broadcasting. Formulas, shapes and errors stand with the ops.

  add(other: TensorLike): Tensor {
    return this.#binary(ops.add, other)
  }
  sub(other: TensorLike): Tensor {
    return this.#binary(ops.sub, other)
  }
  mul(other: TensorLike): Tensor {
    return this.#binary(ops.mul, other)
  }
  div(other: TensorLike): Tensor {
    return this.#binary(ops.div, other)
  }
  maximum(other: TensorLike): Tensor {
    return this.#binary(ops.maximum, other)
  }
  minimum(other: TensorLike): Tensor {
    return this.#binary(ops.minimum, other)
  }
  pow(other: TensorLike): Tensor {
    return this.#binary(ops.pow, other)
  }
  equal(other: TensorLike): Tensor {
    return this.#binary(ops.equal, other)
  }
  notEqual(other: TensorLike): Tensor {
    return this.#binary(ops.notEqual, other)
  }
  less(other: TensorLike): Tensor {
    return this.#binary(ops.less, other)
  }
  lessEqual(other: TensorLike): Tensor {
    return this.#binary(ops.lessEqual, other)
  }
  greater(other: TensorLike): Tensor {
    return this.#binary(ops.greater, other)
  }
  greaterEqual(other: TensorLike): Tensor {
    return this.#binary(ops.greaterEqual, other)
  }
  matmul(other: Tensor): Tensor {
    return new Tensor(ops.matmul(this.#node, other.#node))
  }

  neg(): Tensor {
    return new Tensor(ops.neg(this.#node))
  }
  abs(): Tensor {
    return new Tensor(ops.abs(this.#node))
  }
  square(): Tensor {
    return new Tensor(ops.square(this.#node))
  }
  sqrt(): Tensor {
    return new Tensor(ops.sqrt(this.#node))
  }
  exp(): Tensor {
    return new Tensor(ops.exp(this.#node))
  }
  log(): Tensor {
    return new Tensor(ops.log(this.#node))
  }
  tanh(): Tensor {
    return new Tensor(ops.tanh(this.#node))
  }
  sigmoid(): Tensor {
    return new Tensor(ops.sigmoid(this.#node))
  }
  relu(): Tensor {
    return new Tensor(ops.relu(this.#node))
  }
  clamp(low: number, high: number): Tensor {
    return new Tensor(ops.clamp(this.#node, low, high))
  }
  cast(dtype: DType): Tensor {
    return new Tensor(ops.cast(this.#node, dtype))
  }

  reshape(...shape: number[] | [Shape]): Tensor {
    return new Tensor(ops.reshape(this.#node, typeof shape[0] === 'object' ? shape[0] : (shape as number[])))
  }
  transpose(...axes: number[]): Tensor {
    return new Tensor(ops.transpose(this.#node, axes.length === 0 ? undefined : axes))
  }
  broadcastTo(shape: Shape): Tensor {
    return new Tensor(ops.broadcastTo(this.#node, shape))
  }

  sum(axes?: number | readonly number[], options?: { keepDims?: boolean }): Tensor {
    return new Tensor(ops.sum(this.#node, axes, options))
  }
  mean(axes?: number | readonly number[], options?: { keepDims?: boolean }): Tensor {
    return new Tensor(ops.mean(this.#node, axes, options))
  }
  max(axes?: number | readonly number[], options?: { keepDims?: boolean }): Tensor {
    return new Tensor(ops.max(this.#node, axes, options))
  }
  min(axes?: number | readonly number[], options?: { keepDims?: boolean }): Tensor {
    return new Tensor(ops.min(this.#node, axes, options))
  }
  argmax(axis = -1): Tensor {
    return new Tensor(ops.argmax(this.#node, axis))
  }
  softmax(axis = -1): Tensor {
    return new Tensor(ops.softmax(this.#node, axis))
  }

  #binary(op: (a: Node, b: Node) => Node, other: TensorLike): Tensor {
    return new Tensor(op(this.#node, typeof other === 'number' ? constantNode(other, this.dtype) : other.#node))
  }
}

/**
 * Makes a tensor of numbers.
 * @param values nested arrays (all rows of equal length), a number, or a typed array together with `shape`; a typed array is not copied
 * @param shape needed for typed arrays with more than one axis
 * @param dtype default: f32 for arrays and Float32Array, i32 for Int32Array, u8 for Uint8Array
 * @throws ShapeError when rows differ in length or the shape does not hold as many elements
 * @example
 * tensor([[1, 2], [3, 4]])
 * tensor(new Float32Array(6), [2, 3])
 */
export function tensor(values: Nested | TypedArray, shape?: Shape, dtype?: DType): Tensor {
  if (ArrayBuffer.isView(values)) return fromTyped(values, shape ?? [values.length], dtype ?? dtypeOf(values))
  const found: number[] = []
  for (let level: Nested = values; typeof level !== 'number'; level = level[0]) {
    found.push(level.length)
    if (level.length === 0) break
  }
  const flat: number[] = []
  const collect = (level: Nested, axis: number): void => {
    const isNumber = typeof level === 'number' || typeof level === 'boolean'
    if (isNumber === axis < found.length || (!isNumber && level.length !== found[axis])) {
      throw new ShapeError({
        where: 'tensor',
        what: 'the nested arrays are not of equal length',
        got: isNumber
          ? `a number at depth ${axis}`
          : `${Array.isArray(level) ? level.length : typeof level} elements at depth ${axis}`,
        expected: axis < found.length ? `${found[axis]} elements, as in the first row` : 'a number',
        fix: 'pad the rows, or make one tensor of each',
      })
    }
    if (isNumber) flat.push(Number(level))
    else for (const inner of level as readonly Nested[]) collect(inner, axis + 1)
  }
  collect(values, 0)
  const type = dtype ?? 'f32'
  const data = allocate(type, flat.length)
  data.set(flat)
  return fromTyped(data, shape ?? found, type)
}

function fromTyped(data: TypedArray, shape: Shape, dtype: DType): Tensor {
  if (sizeOf(shape) !== data.length || shape.some((extent) => !Number.isInteger(extent) || extent < 0)) {
    throw new ShapeError({
      where: 'tensor',
      what: 'the shape does not hold as many elements as there are values',
      got: `${data.length} values, shape ${showShape(shape)} (${sizeOf(shape)} elements)`,
      expected: 'one value an element',
      fix: 'correct the shape',
    })
  }
  return new Tensor(dataNode(data, shape, dtype))
}

/**
 * Computes several tensors in one program; each then holds its values.
 * @throws ConfigError inside compile()
 */
export async function realize(...tensors: readonly Tensor[]): Promise<void> {
  if (currentTrace() !== undefined) {
    throw new ConfigError({
      where: 'data',
      what: 'there are no values while a function is being compiled',
      got: 'a value asked for inside compile()',
      expected: 'tensors to be returned from the function',
      fix: 'return the tensor and read it outside',
    })
  }
  const waiting = tensors.filter((t) => !t.isSettled)
  const assignments = takeUnstored()
  if (waiting.length === 0 && assignments.length === 0) return
  const roots = waiting.map((t) => t.node)
  const assigned = assignments.map(({ variable }) => variable)
  const results = await onExpressionDevice(assigned, (device) => evaluate(device, roots, assignments))
  for (const [i, t] of waiting.entries()) t.settle(results[i])
}
