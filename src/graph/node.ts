/** Nodes and leaves: the graph as plain data. */
import type { DType, TypedArray } from '../base/dtype.ts'
import { type Shape, sizeOf } from '../base/shape.ts'
import type { Node, Op } from './op.ts'
import { currentOrigin } from './origin.ts'

export type { Node } from './op.ts'

let nextId = 0

/**
 * Makes a node: the op's shape rule checks the inputs and says what comes out.
 * @throws ShapeError, DTypeError, ConfigError from the op's rule
 */
export function makeNode<A>(op: Op<A>, inputs: readonly Node[], attributes: A): Node<A> {
  const { shape, dtype } = op.infer(inputs, attributes)
  const origin = currentOrigin()
  return { id: nextId++, op, inputs, attributes, shape, dtype, ...(origin === undefined ? {} : { origin }) }
}

// Leaves: where values come from.

function leaf<A extends { readonly shape: Shape; readonly dtype: DType }>(name: string): Op<A> {
  return {
    name,
    kind: 'leaf',
    gradient: 'none',
    infer: (_inputs, attributes) => ({ shape: attributes.shape, dtype: attributes.dtype }),
  }
}

export interface InputAttributes {
  readonly shape: Shape
  readonly dtype: DType
  readonly index: number
}
/** An argument of a compiled function. */
export const inputOp = leaf<InputAttributes>('input')

export interface DataAttributes {
  readonly shape: Shape
  readonly dtype: DType
  readonly data: TypedArray
}
/** Values that lie in an array of the host. */
export const dataOp = leaf<DataAttributes>('data')

export interface ConstantAttributes {
  readonly shape: Shape
  readonly dtype: DType
  readonly value: number
  /** The gradient of a loss with respect to itself: 1 whatever the extents are, so rules may leave it out. */
  readonly seed?: true
}
/** One value everywhere; takes no memory. */
export const constantOp = leaf<ConstantAttributes>('constant')

export interface HostScalarAttributes {
  readonly shape: Shape
  readonly dtype: DType
  readonly read: () => number
}
/** A scalar asked for at every run: the learning rate of the moment. */
export const hostScalarOp = leaf<HostScalarAttributes>('hostScalar')

export interface VariableAttributes {
  readonly shape: Shape
  readonly dtype: DType
  readonly variable: Variable
}
/** The value a Variable has when the program starts. */
export const variableOp = leaf<VariableAttributes>('variable')

/** Writes the next values into an array, from where the last call stopped. */
export type Fill = (into: TypedArray) => void

/**
 * The first values of a Variable, or how to begin making them when they are needed. They are then made piece by piece
 * on their way to the device, and the host never holds them all.
 */
export type InitialValues = TypedArray | (() => Fill)

/** A named buffer that outlives programs: parameter, running statistic, optimizer slot. */
export class Variable {
  readonly name: string
  readonly shape: Shape
  readonly dtype: DType
  /** Host values until a device takes them over; then undefined. The engine alone changes it. */
  initial: InitialValues | undefined
  /** The value assigned last and not yet stored, while a trace or an uncompiled expression is being built. */
  pending: Node | undefined
  /** Counts how often the values were replaced, so that what was made of them is known to be old. The engine alone changes it. */
  version = 0
  /** The one leaf that reads this Variable. */
  leaf: Node | undefined

  constructor(name: string, shape: Shape, dtype: DType, initial: InitialValues) {
    this.name = name
    this.shape = shape
    this.dtype = dtype
    this.initial = initial
  }

  get size(): number {
    return sizeOf(this.shape)
  }
}

export function inputNode(index: number, shape: Shape, dtype: DType): Node {
  return makeNode(inputOp, [], { index, shape, dtype }) as Node
}

export function dataNode(data: TypedArray, shape: Shape, dtype: DType): Node {
  return makeNode(dataOp, [], { data, shape, dtype }) as Node
}

export function constantNode(value: number, dtype: DType = 'f32', shape: Shape = []): Node {
  return makeNode(constantOp, [], { value, dtype, shape }) as Node
}

export function seedNode(): Node {
  return makeNode(constantOp, [], { value: 1, dtype: 'f32', shape: [], seed: true }) as Node
}

/** Whether every element is the seed's 1. */
export function isSeed(node: Node): boolean {
  if (node.op.kind === 'view') return isSeed(node.inputs[0])
  return (node.attributes as Partial<ConstantAttributes> | undefined)?.seed === true
}

export function hostScalarNode(read: () => number, dtype: 'f32' | 'i32' = 'f32'): Node {
  return makeNode(hostScalarOp, [], { read, dtype, shape: [] }) as Node
}

/** The Variable's value at this point of the trace: what was assigned last, or what it held at the start. */
export function variableNode(variable: Variable): Node {
  if (variable.pending !== undefined) return variable.pending
  variable.leaf ??= makeNode(variableOp, [], { variable, shape: variable.shape, dtype: variable.dtype }) as Node
  return variable.leaf
}

/** The same op and attributes on other inputs of the same types; the shape rule is not asked again. */
export function withInputs(node: Node, inputs: readonly Node[]): Node {
  return { ...node, id: nextId++, inputs }
}
