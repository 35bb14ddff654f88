/** An ONNX graph while it grows: nodes, tensors, and the values between them. */
import { ConfigError } from '../../../base/errors.ts'
import { type Shape, sameShape, sizeOf } from '../../../base/shape.ts'
import type { State } from '../../../tensor/index.ts'
import { type MessageInit, type OnnxType, tensorTypes } from '../schema.ts'
import type { TensorStream } from '../write.ts'
import { type Layout, memoryOrder, natural, onnxShape, ordered, orderOf, sameAxes, sampleShape } from './layout.ts'
import { type Turn, turned } from './turn.ts'

/** Types of values, as ONNX names them. */
export type ValueType = Extract<OnnxType, 'float' | 'int32' | 'int64' | 'uint8' | 'int8' | 'bool'>

/** What a layer gives, as it lies in the graph. */
export interface Value {
  readonly type: ValueType
  readonly layout: Layout
  /** Of the tensor; '' for numbers that depend on no input, which become a tensor where they are used. */
  readonly name: string
  /**
   * Numbers that depend on no input: these, in juanji's order. Their tensor has a batch of 1, and the path of the layer: what
   * holds them elsewhere has no parameter named `value` inside.
   */
  readonly constant?: State
}

/** Whole numbers are integers, `float` marks the others. */
export type AttributeValue = number | string | readonly number[] | { readonly float: number }
export type Attributes = { readonly [name: string]: AttributeValue | undefined }
export const float = (value: number): { readonly float: number } => ({ float: value })

const bytesPerValue: Readonly<Record<ValueType, number>> = { float: 4, int32: 4, int64: 8, uint8: 1, int8: 1, bool: 1 }
/** The batch's extent in shapes. */
export const batchName = 'N'

/** One that the options ask for, or a higher one that some operator needs. */
class OpsetTooLow extends Error {
  readonly opset: number
  constructor(opset: number) {
    super(`opset ${opset}`)
    this.opset = opset
  }
}

/**
 * Builds a graph with the lowest opset from `opset` on that has every operator.
 * @param fixed whether a higher one may not be taken
 * @throws ConfigError when it is fixed and too low
 */
export function withOpset<T>(opset: number, fixed: boolean, build: (graph: OnnxGraph) => T): T {
  try {
    return build(new OnnxGraph(opset, fixed))
  } catch (error) {
    if (!(error instanceof OpsetTooLow)) throw error
    return withOpset(error.opset, fixed, build)
  }
}

export class OnnxGraph {
  readonly opset: number
  readonly #fixed: boolean
  readonly nodes: MessageInit<'Node'>[] = []
  readonly tensors: TensorStream[] = []
  readonly valueInfo: MessageInit<'ValueInfo'>[] = []
  readonly #tensorNames = new Set<string>()
  readonly #nodeNames = new Set<string>()
  /** Tensors that are there already, by what is in them. */
  readonly #known = new Map<string, string>()
  /** Values that were rearranged already. */
  readonly #arranged = new Map<string, Value>()
  /** By the name of a tensor of whole numbers in f32: the narrow one that it was made of. */
  readonly quantized = new Map<string, { readonly name: string; readonly type: 'uint8' | 'int8' }>()
  /** The graph's input, from which the batch's extent is read. */
  #input = ''

  constructor(opset: number, fixed: boolean) {
    this.opset = opset
    this.#fixed = fixed
  }

  /** Says that an operator needs this opset. @throws ConfigError when the options ask for a lower one */
  needs(opset: number, what: string): void {
    if (this.opset >= opset) return
    if (!this.#fixed) throw new OpsetTooLow(opset)
    throw new ConfigError({
      where: 'exportOnnx',
      what: `${what} needs opset ${opset}`,
      got: `opset ${this.opset}`,
      expected: `opset ${opset} or higher`,
      fix: 'leave the opset out: then the lowest one that has all operators is taken',
    })
  }

  // ── names ──

  #unique(names: Set<string>, wanted: string): string {
    let name = wanted
    for (let i = 1; names.has(name); i++) name = `${wanted}_${i}`
    names.add(name)
    return name
  }

  // ── tensors ──

  input(name: string, type: ValueType, layout: Layout): Value {
    this.#input = this.#unique(this.#tensorNames, name)
    return { name: this.#input, type, layout }
  }

  /** A tensor with numbers that the export itself needs; equal ones are one. */
  constant(hint: string, type: ValueType, values: readonly number[], shape: Shape = [values.length]): string {
    const key = `${type} ${shape} ${values}`
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const data =
      type === 'float'
        ? Float32Array.from(values)
        : type === 'int64'
          ? BigInt64Array.from(values, BigInt)
          : type === 'int32'
            ? Int32Array.from(values)
            : type === 'int8'
              ? Int8Array.from(values)
              : Uint8Array.from(values)
    const bytes = new Uint8Array(data.buffer)
    const name = this.#tensor(hint, type, shape, async function* () {
      yield bytes
    })
    this.#known.set(key, name)
    return name
  }

  /** Whole numbers that say a shape, places or axes. */
  integers(hint: string, values: readonly number[]): string {
    return this.constant(hint, 'int64', values)
  }

  /** A single number. */
  scalar(value: number, type: ValueType = 'float'): string {
    return this.constant(`constant_${value}`, type, [value], [])
  }

  /**
   * A tensor with a parameter's or state's values, turned.
   * @param path its name; default: the parameter's path
   */
  parameter(state: State, turn: Turn, shape: Shape, type: ValueType = 'float', path = state.name): string {
    const key = `${state.name} ${type} ${shape} ${turn.view} ${turn.axes} ${turn.places ?? ''}`
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const name = this.#tensor(path, type, shape, async function* () {
      const data = await state.data()
      yield* turned(type === 'int32' ? Int32Array.from(data) : (data as Float32Array), turn)
    })
    this.#known.set(key, name)
    return name
  }

  #tensor(hint: string, type: ValueType, shape: Shape, pieces: TensorStream['pieces']): string {
    const name = this.#unique(this.#tensorNames, hint)
    const header = { dims: shape, dataType: tensorTypes[type], name }
    this.tensors.push({ header, byteLength: sizeOf(shape) * bytesPerValue[type], pieces })
    return name
  }

  // ── nodes ──

  /** Adds a node of one output and gives the name of that. @param name of node and output, made unique */
  node(name: string, type: string, inputs: readonly string[], attributes: Attributes = {}): string {
    const output = this.#unique(this.#tensorNames, name)
    this.nodes.push({
      input: inputs,
      output: [output],
      name: this.#unique(this.#nodeNames, name),
      opType: type,
      attribute: Object.entries(attributes).flatMap(([key, value]) =>
        value === undefined ? [] : [attributeOf(key, value)],
      ),
    })
    return output
  }

  /** A node that gives a layer's value. */
  value(
    name: string,
    type: string,
    inputs: readonly string[],
    attributes: Attributes,
    { layout, type: elements }: Pick<Value, 'layout' | 'type'>,
  ): Value {
    const value = { type: elements, layout, name: this.node(name, type, inputs, attributes) }
    this.valueInfo.push(infoOf(value))
    return value
  }

  /** The name of a value's tensor. */
  use(value: Value): string {
    return value.constant === undefined ? value.name : this.#constantTensor(value, [1])
  }

  /** The tensor of numbers that depend on no input, without a batch. */
  table(value: Value): string {
    return this.#constantTensor(value, [])
  }

  #constantTensor({ constant, layout, type }: Value, batch: Shape): string {
    const state = constant as State
    return this.parameter(
      state,
      turnOf(layout),
      [...batch, ...onnxShape(layout)],
      type,
      state.name.replace(/\.value$/, ''),
    )
  }

  /** The extent of the batch, as a tensor of one number. */
  batch(): string {
    const known = this.#known.get('batch')
    if (known !== undefined) return known
    const name =
      this.opset >= 15
        ? this.node('batch', 'Shape', [this.#input], { start: 0, end: 1 })
        : this.node('batch', 'Gather', [this.node('batch/shape', 'Shape', [this.#input]), this.integers('first', [0])])
    this.#known.set('batch', name)
    return name
  }

  /** Gives a value that depends on no input the batch of the others. */
  batched(value: Value, name: string): Value {
    if (value.constant === undefined) return value
    const rest = this.integers(`${name}/extents`, onnxShape(value.layout))
    const shape = this.node(`${name}/shape`, 'Concat', [this.batch(), rest], { axis: 0 })
    return this.value(`${name}/batched`, 'Expand', [this.use(value), shape], {}, value)
  }

  /** Gives a value's tensor another name, wherever it is used. */
  rename(value: Value, name: string): Value {
    const to = this.#unique(this.#tensorNames, name)
    const renamed = (one: string) => (one === value.name ? to : one)
    for (const [i, node] of this.nodes.entries()) {
      this.nodes[i] = { ...node, input: node.input?.map(renamed), output: node.output?.map(renamed) }
    }
    const at = this.valueInfo.findIndex((info) => info.name === value.name)
    if (at >= 0) this.valueInfo.splice(at, 1)
    return { ...value, name: to }
  }

  /** Takes away what no output needs: branches that lead nowhere, and their tensors. */
  prune(output: string): void {
    const needed = new Set([output])
    for (const { input = [], output: outputs = [] } of this.nodes.toReversed()) {
      if (outputs.some((name) => needed.has(name))) for (const name of input) needed.add(name)
    }
    const keep = <T>(list: T[], names: (one: T) => readonly string[]) => {
      list.splice(0, list.length, ...list.filter((one) => names(one).some((name) => needed.has(name))))
    }
    keep(this.nodes, ({ output: outputs = [] }) => outputs)
    keep(this.tensors, ({ header }) => [header.name ?? ''])
    keep(this.valueInfo, ({ name = '' }) => [name])
  }

  // ── where values lie ──

  /**
   * The same values, which already follow each other in memory as this layout says, seen so: a Reshape where the extents
   * of the ONNX axes differ.
   */
  view(value: Value, layout: Layout, name: string): Value {
    const [had, has] = [onnxShape(value.layout), onnxShape(layout)]
    if (value.constant !== undefined || sameShape(had, has)) return { ...value, layout }
    const result = { ...value, layout }
    if (has.length === 1) return this.value(name, 'Flatten', [value.name], { axis: 1 }, result)
    // 0: the batch stays as it is.
    const wanted = this.integers(`${name}/shape`, [0, ...has])
    return this.value(name, 'Reshape', [value.name, wanted], {}, result)
  }

  /**
   * The same value with these ONNX axes. Costs nothing where the values already follow each other so, a Reshape where only
   * the axes' extents differ, and a Transpose where values have to move.
   */
  arrange(value: Value, axes: Layout['axes'], name: string): Value {
    const layout = { ...value.layout, axes }
    if (value.constant !== undefined || sameAxes(axes, value.layout.axes)) return { ...value, layout }
    return this.#remember(value, layout, () => {
      const same = sameShape(memoryOrder(value.layout), memoryOrder(layout))
      return same ? this.view(value, layout, `${name}/reshaped`) : this.#transpose(value, layout, name)
    })
  }

  #transpose(value: Value, layout: Layout, name: string): Value {
    const transpose = (of: Value, axes: Layout['axes'], order: readonly number[]) => {
      const perm = [0, ...order.map((axis) => axis + 1)]
      const result = { ...of, layout: { ...layout, axes } }
      return this.value(`${name}/transposed`, 'Transpose', [of.name], { perm }, result)
    }
    const { axes } = value.layout
    const order = layout.axes.map((axis) => axes.findIndex((other) => sameShape(axis, other)))
    if (axes.length === order.length && order.every((axis) => axis >= 0)) return transpose(value, layout.axes, order)
    // One axis for each run of atoms that stay together.
    const to = memoryOrder(layout)
    const blocks: number[][] = []
    for (const [i, atom] of memoryOrder(value.layout).entries()) {
      const last = blocks.at(-1)
      if (i > 0 && last !== undefined && to[to.indexOf(atom) - 1] === last.at(-1)) last.push(atom)
      else blocks.push([atom])
    }
    const moved = blocks.toSorted((a, b) => to.indexOf(a[0]) - to.indexOf(b[0]))
    const cut = this.view(value, { ...layout, axes: blocks }, `${name}/cut`)
    const turned = transpose(
      cut,
      moved,
      moved.map((block) => blocks.indexOf(block)),
    )
    return this.view(turned, layout, `${name}/joined`)
  }

  #remember(value: Value, layout: Layout, make: () => Value): Value {
    const key = `${value.name} ${JSON.stringify([layout.atoms, layout.axes])}`
    const known = this.#arranged.get(key)
    if (known !== undefined) return { ...known, layout }
    const made = make()
    this.#arranged.set(key, made)
    return made
  }

  /** The value with one ONNX axis for each of the sample's, in this order. */
  inOrder(value: Value, order: readonly number[], name: string): Value {
    const { layout } = value
    if (layout.places !== undefined) return this.#gathered(value, layout.places, name)
    let atom = 0
    const runs = layout.runs.map((run) => Array.from({ length: run }, () => atom++))
    const arranged = this.arrange(
      value,
      order.map((axis) => runs[axis]),
      name,
    )
    // Whoever asked has one atom an axis from here on.
    return { ...arranged, layout: ordered(sampleShape(layout), order) }
  }

  /** A vector whose features lie anywhere, in its own order. */
  #gathered(value: Value, places: readonly number[], name: string): Value {
    const layout = natural([places.length])
    if (value.constant !== undefined) return { ...value, layout }
    return this.#remember(value, layout, () => {
      const inverse = new Array<number>(places.length)
      for (const [at, place] of places.entries()) inverse[place] = at
      const order = this.integers(`${name}/order`, inverse)
      return this.value(`${name}/gathered`, 'Gather', [value.name, order], { axis: 1 }, { ...value, layout })
    })
  }

  /** Channels first, as most operators of ONNX want it. */
  channelsFirst(value: Value, name: string): Value {
    const last = value.layout.runs.length - 1
    const order = value.layout.runs.map((_, axis) => axis)
    return this.inOrder(value, last < 1 ? order : [last, ...order.slice(0, last)], name)
  }

  /** The sample's axes in their own order. */
  natural(value: Value, name: string): Value {
    return this.inOrder(
      value,
      value.layout.runs.map((_, axis) => axis),
      name,
    )
  }

  /** One ONNX axis for each of the sample's, in whatever order it lies; channels first where axes are mixed. */
  plain(value: Value, name: string): { readonly value: Value; readonly order: readonly number[] } {
    const order = orderOf(value.layout)
    if (order !== undefined) return { value: this.inOrder(value, order, name), order }
    const moved = this.channelsFirst(value, name)
    return { value: moved, order: orderOf(moved.layout) ?? [] }
  }
}

/** How values in juanji's order become those of a tensor. */
export function turnOf({ atoms, axes, places }: Layout): Turn {
  return { view: atoms, axes: axes.flat(), ...(places === undefined ? {} : { places }) }
}

export function infoOf({ name, type, layout }: Value): MessageInit<'ValueInfo'> {
  const extents = onnxShape(layout).map((extent) => ({ dimValue: extent }))
  const shape = { dim: [{ dimParam: batchName }, ...extents] }
  return { name, type: { tensorType: { elemType: tensorTypes[type], shape } } }
}

const text = new TextEncoder()

function attributeOf(name: string, value: AttributeValue): MessageInit<'Attribute'> {
  if (typeof value === 'number') return { name, i: value, type: 2 }
  if (typeof value === 'string') return { name, s: text.encode(value), type: 3 }
  if ('float' in value) return { name, f: value.float, type: 1 }
  return { name, ints: value, type: 7 }
}
