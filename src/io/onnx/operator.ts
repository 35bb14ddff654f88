/** What operators are read with: a node's attributes and inputs, and the network that grows. */
import { type FormatError, type Problem, UnsupportedError } from '../../base/errors.ts'
import * as nn from '../../nn/index.ts'
import type { Layer } from '../../nn/layer.ts'
import { batchAxisOf, dimsOf } from './layout.ts'
import { Names } from './names.ts'
import type { Made, Network, Weight } from './network.ts'
import type { MessageReader } from './read-message.ts'
import type { Message } from './schema.ts'
import { readTensor, turned } from './tensors.ts'
import {
  Batches,
  dtypeOf,
  type Element,
  type Flow,
  isFloat,
  type Known,
  product,
  shortName,
  showElements,
  type Value,
} from './values.ts'

/** The shortest number that is the same float: 0.2, not 0.20000000298. */
function shortest(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits))
    if (Math.fround(short) === value) return short
  }
  return value
}

/** How one of ONNX's operators comes in. Entries stand in the files of `operators/`, one a family. */
export interface Operator {
  /**
   * The opsets in which the operator began or changed, as far as it is understood: opset 12 is read as the largest of
   * these that is not above it.
   */
  readonly versions: readonly number[]
  /** How many inputs there have to be; default 1. */
  readonly least?: number
  /** Adds layers for it. Inputs that are constants are among `node.inputs`; at least one is not, or there is no `fold`. */
  readonly read: (node: NodeReader) => Value | readonly Value[]
  /** Computes it where all inputs are constants. */
  readonly fold?: (node: NodeReader, inputs: readonly Known[]) => Known | readonly Known[]
}

export type Family = Readonly<Record<string, Operator>>

/** A node that would mix the samples of a batch; the whole input is then taken as one sample. */
export class MixesSamples extends UnsupportedError {}

/** What all nodes of a file share. */
export interface Context {
  readonly reader: MessageReader
  readonly network: Network
  readonly opset: number
  /** The batch that the file declares; undefined where it is open. */
  readonly declaredBatch: number | undefined
  /** Takes from the memory that constants may be computed into. @throws FormatError when there is none left */
  allocate(elements: number, bytesEach?: number): void
  /** Notes that a node has an initializer as its weight. */
  takesWeight(initializer: string, node: object): void
  /** The operators of the nodes that take a value. */
  usersOf(name: string): readonly string[]
  /** Raw data of tensors that lie in other files. */
  readonly external: ReadonlyMap<object, Uint8Array>
}

export class NodeReader {
  readonly node: Message<'Node'>
  readonly context: Context
  /** Missing optional ones are undefined. */
  readonly inputs: readonly (Value | undefined)[]
  /** The version of the operator: the largest of its `versions` that is not above the file's opset. */
  readonly version: number
  /** Name for the layer that does the node's work. */
  readonly name: string
  #layers = 0

  constructor(
    node: Message<'Node'>,
    inputs: readonly (Value | undefined)[],
    version: number,
    name: string,
    context: Context,
  ) {
    this.node = node
    this.inputs = inputs
    this.version = version
    this.name = name
    this.context = context
  }

  get network(): Network {
    return this.context.network
  }
  get opset(): number {
    return this.context.opset
  }

  // ── attributes ──

  #attribute(name: string): Message<'Attribute'> | undefined {
    return this.node.attribute.find((attribute) => attribute.name === name)
  }

  has(name: string): boolean {
    return this.#attribute(name) !== undefined
  }

  int<T extends number | undefined>(name: string, missing: T): number | T {
    const attribute = this.#attribute(name)
    return attribute === undefined ? missing : (attribute.i ?? 0)
  }

  float<T extends number | undefined>(name: string, missing: T): number | T {
    const attribute = this.#attribute(name)
    return attribute === undefined ? missing : shortest(attribute.f ?? 0)
  }

  ints<T extends readonly number[] | undefined>(name: string, missing: T): readonly number[] | T {
    const attribute = this.#attribute(name)
    return attribute === undefined ? missing : attribute.ints
  }

  floats<T extends readonly number[] | undefined>(name: string, missing: T): readonly number[] | T {
    const attribute = this.#attribute(name)
    return attribute === undefined ? missing : attribute.floats
  }

  string<T extends string | undefined>(name: string, missing: T): string | T {
    const attribute = this.#attribute(name)
    return attribute === undefined ? missing : new TextDecoder().decode(attribute.s)
  }

  tensor(name: string): Known | undefined {
    const tensor = this.#attribute(name)?.t
    if (tensor === undefined) return undefined
    return readTensor(this.context.reader, tensor, this.context.external.get(tensor))
  }

  // ── inputs ──

  hasInput(i: number): boolean {
    return this.inputs[i] !== undefined
  }

  input(i: number): Value {
    const value = this.inputs[i]
    if (value === undefined) throw this.error(`input ${i} is missing`, { expected: `at least ${i + 1} inputs` })
    return value
  }

  /** An input as a value of the network; a constant becomes a layer of its own. */
  flow(i: number): Flow {
    const value = this.input(i)
    return value.kind === 'flow' ? value : this.flowOf(value)
  }

  /** A constant as a layer without inputs: trained where it is an initializer of floats. */
  flowOf(value: Known): Flow {
    const dtype = dtypeOf(value.type)
    const trainable = value.initializer !== undefined && isFloat(value.type)
    const shape = value.dims
    const held = dtype === 'f32' ? 'f32' : 'i32'
    const name = value.initializer === undefined ? `${this.name}.constant` : Names.ofValue(value.initializer)
    if (trainable) this.context.takesWeight(value.initializer, this.node)
    const layer = nn.value(shape, { ...(trainable ? {} : { trainable }), dtype: held })
    const made = this.network.add(name, layer, [], { value: () => this.floats32(value) })
    const atoms = shape.filter((extent) => extent !== 1)
    let next = 0
    const axes = shape.map((extent) => (extent === 1 ? [] : [next++]))
    return { kind: 'flow', ...made, dtype: held, atoms, axes }
  }

  /** An input that has to be a constant. @throws UnsupportedError when it depends on the model's input */
  known(i: number): Known {
    const value = this.input(i)
    if (value.kind === 'known') return value
    throw this.unsupported(`input ${i} (${shortName(this.node.input[i])}) depends on the model's input`, {
      expected: 'an initializer or a constant',
    })
  }

  /** A constant's numbers. @throws MixesSamples where they depend on the batch */
  numbers(value: Known): number[] {
    const { data } = value
    return Array.from({ length: data.length }, (_, i) => {
      const item = data[i]
      if (item instanceof Batches) throw this.mixes('computes with the size of the batch')
      return item
    })
  }

  /** Numbers of an attribute of older opsets that became an input. */
  numbersOf(attribute: string, input: number): number[] | undefined {
    const given = this.#attribute(attribute)
    if (given !== undefined) return given.ints.length > 0 ? [...given.ints] : [...given.floats]
    return this.inputs[input] === undefined ? undefined : this.numbers(this.known(input))
  }

  /** A constant of one element. */
  scalar(i: number): number {
    const value = this.known(i)
    const count = product(value.dims)
    if (count !== 1) {
      throw this.error(`input ${i} holds ${count} numbers`, { expected: 'one number' })
    }
    return this.numbers(value)[0]
  }

  /** The values of a constant for a layer. */
  floats32(value: Known): Float32Array {
    const { data } = value
    if (data instanceof Float32Array) return data
    if (ArrayBuffer.isView(data)) return Float32Array.from(data as ArrayLike<number>)
    return Float32Array.from({ length: data.length }, (_, i) => this.plain(data[i]))
  }

  plain(item: Element): number {
    if (item instanceof Batches) throw this.mixes('computes with the size of the batch')
    return item
  }

  /** A weight with its axes in another order: what stood at axis `order[i]` stands at axis i. */
  turned(value: Known, order: readonly number[], extents: readonly number[] = value.dims, times = 1): Weight {
    if (value.initializer !== undefined) this.context.takesWeight(value.initializer, this.node)
    return () => {
      const values = turned(this.floats32(value), extents, order)
      return times === 1 ? values : values.map((item) => item * times)
    }
  }

  /** An axis of a value counted from the front. @throws FormatError when there is none */
  axis(axis: number, rank: number): number {
    const counted = axis < 0 ? axis + rank : axis
    if (Number.isInteger(counted) && counted >= 0 && counted < rank) return counted
    throw this.error(`there is no axis ${axis}`, {
      got: `a value of ${rank} axes`,
      expected: rank === 0 ? 'no axis' : `an axis from ${-rank} to ${rank - 1}`,
    })
  }

  /** Checks that an axis does not hold the batch. */
  apart(flow: Flow, axis: number): void {
    if (flow.axes[axis].includes(-1)) throw this.mixes(`works along axis ${axis}, the batch`)
  }

  /** Checks that the first axis is the batch, or one of extent 1, so that the others are a sample. */
  batchFirst(flow: Flow): void {
    const [first = []] = flow.axes
    const batch = batchAxisOf(flow)
    if (first.length === 0 ? batch === undefined : batch === 0) return
    throw this.mixes('needs the batch in front', showElements(dimsOf(flow)))
  }

  // ── layers ──

  /** Adds a layer under the node's name; further ones are numbered. */
  add(layer: Layer, inputs: readonly string[], weights?: Readonly<Record<string, Weight>>): Made {
    const name = this.#layers++ === 0 ? this.name : `${this.name}.${layer.type}`
    return this.network.add(name, layer, inputs, weights)
  }

  place(flow: Flow, groups: readonly (readonly number[])[], options: { readonly broadcast?: boolean } = {}): Made {
    return this.network.place(flow, groups, { name: this.name, ...options })
  }

  /** A layer that works on each value by itself: wherever values lie, they stay. */
  pointwise(flow: Flow, layer: Layer, dtype = flow.dtype): Flow {
    return { ...flow, ...this.add(layer, [flow.layer]), dtype }
  }

  note(text: string): void {
    if (!this.network.notes.includes(text)) this.network.notes.push(text)
  }

  // ── errors ──

  get title(): string {
    const { name, opType, output } = this.node
    return name === undefined || name === ''
      ? `${shortName(opType)} (output '${shortName(output[0])}')`
      : `${shortName(opType)} '${shortName(name)}'`
  }

  error(what: string, details: { got?: string; expected?: string; fix?: string } = {}): FormatError {
    return this.context.reader.error(`node ${this.title}: ${what}`, { at: this.node, ...details })
  }

  #problem(what: string, details: { got?: string; expected?: string; fix?: string }): Problem {
    const { reader, opset } = this.context
    return {
      where: reader.path,
      what: `node ${this.title}, opset ${opset}: ${what}`,
      fix: 'export the model without it, or teach src/io/onnx/operators to read it',
      ...details,
    }
  }

  unsupported(what: string, details: { got?: string; expected?: string; fix?: string } = {}): UnsupportedError {
    return new UnsupportedError(this.#problem(what, details))
  }

  mixes(what: string, got?: string): MixesSamples {
    return new MixesSamples(
      this.#problem(`${what}, which mixes samples`, {
        ...(got === undefined ? {} : { got }),
        expected: 'operators that treat every sample of a batch by itself',
        fix: 'export the model with a batch that only the first axis stands for',
      }),
    )
  }
}

/**
 * A constant made of other constants; the memory it takes is counted.
 * @param from what it is made of: where these are plain numbers, so is it, which is small and fast
 */
export function computed(
  node: NodeReader,
  type: Known['type'],
  dims: readonly number[],
  from: readonly Known[] = [],
): { data: Element[]; known: Known } {
  const count = product(dims)
  const isPlain = from.length > 0 && from.every(({ data }) => ArrayBuffer.isView(data))
  const isShort = isPlain && isFloat(type) && type !== 'double'
  node.context.allocate(count, isShort ? 4 : 8)
  const made = isShort ? new Float32Array(count) : isPlain ? new Float64Array(count) : new Array<Element>(count).fill(0)
  // Batches are only ever written where some are among `from`.
  const data = made as Element[]
  return { data, known: { kind: 'known', type, dims, data } }
}
