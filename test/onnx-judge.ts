/** Small ONNX models, run by ONNX Runtime and by what comes of them here. */
import * as ort from 'onnxruntime-web/wasm'
import { type ImportOnnxOptions, importOnnx } from '../src/io/onnx/index.ts'
import { attributeTypes, type MessageInit, type OnnxType, tensorTypes } from '../src/io/onnx/schema.ts'
import { encodeMessage } from '../src/io/onnx/write.ts'
import type { Model } from '../src/nn/model.ts'
import { compile, type Tensor, tensor } from '../src/tensor/index.ts'
import './onnx-runtime.ts'

export interface Constant {
  readonly type: OnnxType
  readonly dims: readonly number[]
  readonly data: readonly number[]
  /** A Constant node gives it instead of an initializer. */
  readonly asNode?: boolean
}

/** Numbers that look drawn at random, the same each time. */
export function numbers(count: number, least = -1.7, most = 1.7, seed = 1): number[] {
  return Array.from({ length: count }, (_, i) => {
    const wave = Math.sin(12.9898 * (i + 1) + 78.233 * seed) * 43758.5453
    return least + (most - least) * (wave - Math.floor(wave))
  })
}

const count = (dims: readonly number[]) => dims.reduce((a, b) => a * b, 1)
let seed = 1

/** A weight: floats of a shape. */
export const w = (dims: readonly number[], least = -1, most = 1): Constant => ({
  type: 'float',
  dims,
  data: numbers(count(dims), least, most, ++seed),
})
/** A vector of int64. */
export const ints = (...data: number[]): Constant => ({ type: 'int64', dims: [data.length], data })
export const scalar = (value: number, type: OnnxType = 'float'): Constant => ({ type, dims: [], data: [value] })
export const constant = (type: OnnxType, dims: readonly number[], data: readonly number[]): Constant => ({
  type,
  dims,
  data,
})
export const asNode = (one: Constant): Constant => ({ ...one, asNode: true })
/** A float attribute; plain numbers are ints. */
export const f = (value: number) => ({ f: value })
export const fs = (...values: number[]) => ({ floats: values })

export type AttributeValue =
  | number
  | string
  | readonly number[]
  | Constant
  | { readonly f: number }
  | { readonly floats: readonly number[] }
export type Attributes = { readonly [name: string]: AttributeValue }

export interface NodeCase {
  readonly op: string
  /** Names of values, constants, or nothing for an input that is left out. */
  readonly inputs: readonly (string | Constant | undefined)[]
  readonly attributes?: Attributes
  /** Default: `y` of the last node, otherwise `t` and the node's place. */
  readonly outputs?: readonly string[]
}

export interface OnnxCase {
  readonly name: string
  /** Default 21. */
  readonly opset?: number
  /** Dims of the graph's input `x`, the batch in front. */
  readonly input: readonly number[]
  /** Whether the file names the batch. Default: no, it stands there as N. */
  readonly fixed?: boolean
  readonly type?: OnnxType
  readonly range?: readonly [least: number, most: number]
  readonly nodes: readonly NodeCase[]
  readonly options?: ImportOnnxOptions
  /** Of the largest value; default 1e-4. */
  readonly tolerance?: number
}

/** A case of one node: `x` and the constants are its inputs, unless `inputs` says otherwise. */
export function one(
  op: string,
  input: readonly number[],
  inputs: readonly (string | Constant | undefined)[] = ['x'],
  attributes: Attributes = {},
  more: Partial<OnnxCase> = {},
): OnnxCase {
  const list = inputs.includes('x') ? inputs : ['x', ...inputs]
  const shown = Object.entries(attributes).map(([name, value]) => `${name} ${JSON.stringify(value)}`)
  const shapes = list.flatMap((item) => (typeof item === 'object' ? [`[${item.dims}]`] : []))
  const name = `${op}${more.opset === undefined ? '' : ` (opset ${more.opset})`} [${input}] ${[...shapes, ...shown].join(', ')}`
  return { name, input, nodes: [{ op, inputs: list, attributes }], ...more }
}

function encodeTensor(name: string, { type, dims, data }: Constant): MessageInit<'Tensor'> {
  const base = { name, dims, dataType: tensorTypes[type] }
  if (type === 'float') return { ...base, rawData: new Uint8Array(Float32Array.from(data).buffer) }
  if (type === 'int64') return { ...base, int64Data: data }
  if (type === 'double') return { ...base, doubleData: data }
  return { ...base, int32Data: data }
}

function encodeAttribute(name: string, value: AttributeValue): MessageInit<'Attribute'> {
  if (typeof value === 'number') return { name, i: value, type: attributeTypes.int }
  if (typeof value === 'string') return { name, s: new TextEncoder().encode(value), type: attributeTypes.string }
  if (Array.isArray(value)) return { name, ints: value, type: attributeTypes.ints }
  if ('f' in value) return { name, f: value.f, type: attributeTypes.float }
  if ('floats' in value) return { name, floats: value.floats, type: attributeTypes.floats }
  return { name, t: encodeTensor('', value as Constant), type: attributeTypes.tensor }
}

/** The bytes of a case's model. */
export function encodeCase({ opset = 21, input, fixed = false, type = 'float', nodes }: OnnxCase): Uint8Array {
  const initializer: MessageInit<'Tensor'>[] = []
  const list: MessageInit<'Node'>[] = []
  nodes.forEach(({ op, inputs, attributes = {}, outputs }, i) => {
    const names = inputs.map((item, j) => {
      if (item === undefined) return ''
      if (typeof item === 'string') return item
      const name = `layer${i}.c${j}`
      if (item.asNode) list.push({ opType: 'Constant', output: [name], attribute: [encodeAttribute('value', item)] })
      else initializer.push(encodeTensor(name, item))
      return name
    })
    const attribute = Object.entries(attributes).map(([name, value]) => encodeAttribute(name, value))
    const output = outputs ?? [i === nodes.length - 1 ? 'y' : `t${i}`]
    list.push({ opType: op, input: names, output, attribute })
  })
  const dim = input.map((extent, i) => (i === 0 && !fixed ? { dimParam: 'N' } : { dimValue: extent }))
  return encodeMessage('Model', {
    irVersion: opset >= 21 ? 10 : opset >= 15 ? 8 : opset >= 9 ? 4 : 3,
    opsetImport: [{ domain: '', version: opset }],
    graph: {
      name: 'g',
      node: list,
      initializer,
      input: [
        { name: 'x', type: { tensorType: { elemType: tensorTypes[type], shape: { dim } } } },
        // Before IR version 4 initializers had to be inputs.
        ...(opset >= 9
          ? []
          : initializer.map(({ name, dims = [], dataType }) => ({
              name,
              type: { tensorType: { elemType: dataType, shape: { dim: dims.map((dimValue) => ({ dimValue })) } } },
            }))),
      ],
      output: [{ name: 'y' }],
    },
  })
}

const runtimeTypes: Partial<Record<OnnxType, string>> = {
  float: 'float32',
  int64: 'int64',
  int32: 'int32',
  bool: 'bool',
}

export interface Numbers {
  readonly shape: readonly number[]
  readonly data: readonly number[]
}

/** What ONNX Runtime makes of it. */
export async function byRuntime(bytes: Uint8Array, input: Numbers, type: OnnxType): Promise<Numbers> {
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ['wasm'] })
  const data =
    type === 'int64'
      ? BigInt64Array.from(input.data, BigInt)
      : type === 'int32'
        ? Int32Array.from(input.data)
        : type === 'bool'
          ? Uint8Array.from(input.data)
          : Float32Array.from(input.data)
  const output = await session.run({
    x: new ort.Tensor(runtimeTypes[type] as 'float32', data as never, [...input.shape]),
  })
  const { dims, data: found } = output.y
  await session.release()
  return { shape: dims, data: Array.from(found as unknown as ArrayLike<number>, Number) }
}

/** Elements with the axes in another order: axis i of the result is axis `order[i]`. */
export function reordered({ shape, data }: Numbers, order: readonly number[]): Numbers {
  const strides = shape.map((_, axis) => count(shape.slice(axis + 1)))
  const to = order.map((axis) => shape[axis])
  const result = data.map((_, index) => {
    let rest = index
    let from = 0
    for (let i = to.length - 1; i >= 0; i--) {
      from += (rest % to[i]) * strides[order[i]]
      rest = Math.floor(rest / to[i])
    }
    return data[from]
  })
  return { shape: to, data: result }
}

const inverse = (order: readonly number[]) => order.map((_, i) => order.indexOf(i))

/** What the imported model makes of it, in ONNX's order. @param alone whether samples are tried by themselves, too */
export async function byImport(
  bytes: Uint8Array,
  input: Numbers,
  type: OnnxType,
  options?: ImportOnnxOptions,
  alone = false,
): Promise<Numbers> {
  const { model, input: taken, output: given } = await importOnnx(bytes, options)
  const orderOf = ({ axes, batch }: typeof taken) => (batch === undefined ? axes : [batch, ...axes])
  const turned = reordered(input, orderOf(taken))
  const array = type === 'float' ? Float32Array.from(turned.data) : Int32Array.from(turned.data)
  const shape = taken.batch === undefined ? [1, ...turned.shape] : turned.shape
  const y = await compile((x: Tensor) => model(x))(tensor(array, shape))
  const data = Array.from(await y.data())
  if (alone && taken.batch !== undefined && given.batch !== undefined && shape[0] > 1)
    await checkOneSample(model, array, shape, y)
  const order = orderOf(given)
  if (order.length === y.shape.length) return reordered({ shape: y.shape, data }, inverse(order))
  // A sample that is whole has a batch of one in front that ONNX knows nothing of.
  return reordered({ shape: y.shape.slice(1), data }, inverse(order))
}

/** A sample by itself has to give what it gives among others. */
async function checkOneSample(model: Model, x: Float32Array | Int32Array, shape: readonly number[], y: Tensor) {
  const one = tensor(x.slice(0, x.length / shape[0]), [1, ...shape.slice(1)])
  const found = await compile((sample: Tensor) => model(sample))(one)
  const all = { shape: found.shape, data: Array.from(await y.data()).slice(0, found.size) }
  const wrong = difference({ shape: found.shape, data: Array.from(await found.data()) }, all)
  if (wrong !== '') throw new Error(`samples are mixed: ${wrong}`)
}

/** Nothing, or what differs. */
export function difference(found: Numbers, expected: Numbers, tolerance = 1e-4): string {
  if (found.shape.join() !== expected.shape.join()) return `shape [${found.shape}] instead of [${expected.shape}]`
  const scale = Math.max(1, ...expected.data.map(Math.abs).filter(Number.isFinite))
  const wrong = found.data.findIndex(
    (value, i) => !(Math.abs(value - expected.data[i]) <= tolerance * scale || Object.is(value, expected.data[i])),
  )
  return wrong < 0 ? '' : `value ${wrong}: ${found.data[wrong]} instead of ${expected.data[wrong]}`
}

/** Runs a case by both. */
export async function judge(of: OnnxCase): Promise<string> {
  const bytes = encodeCase(of)
  const { input, type = 'float', range, tolerance, options } = of
  const [least, most] = range ?? [-1.7, 1.7]
  const drawn = numbers(count(input), least, most)
  const data = type === 'float' ? drawn : drawn.map((value) => Math.floor(value))
  const alone = of.nodes.length > 1 || of.fixed === true
  const expected = await byRuntime(bytes, { shape: input, data }, type)
  return difference(await byImport(bytes, { shape: input, data }, type, options, alone), expected, tolerance)
}
