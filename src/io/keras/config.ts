/** What a Keras config says, in the form of Keras 2 and of Keras 3: layers, and which results each of them takes. */
import { UnsupportedError } from '../../base/errors.ts'
import type { Field } from '../json-fields.ts'
import { listIn } from './options.ts'

export interface KerasLayer {
  readonly name: string
  /** `Conv2D`. */
  readonly className: string
  readonly config: Field
  /** Where this stands in the file, for messages. */
  readonly field: Field
  /** What it takes, for every time it is used. In a Sequential: the result of the one before. */
  readonly calls: readonly Call[]
  /** The layers inside, where this is a model itself. */
  readonly model?: KerasModel
}

/** One use of a layer. */
export interface Call {
  readonly inputs: readonly Taken[]
  /** How the file says it, where it does. */
  readonly field: Field | undefined
}

/** A result: of which layer, and of which of its uses. */
export interface Taken {
  readonly layer: string
  readonly call: number
}

export interface KerasModel {
  readonly name: string
  readonly className: string
  readonly field: Field
  /** In the order of the file, which is that of stored weights. */
  readonly layers: readonly KerasLayer[]
  readonly inputs: readonly string[]
  readonly outputs: readonly Taken[]
  /** Shape of a sample, as far as it is fixed; null along axes that are not. Undefined where nothing tells. */
  readonly inputShape: readonly (number | null)[] | undefined
}

const deepest = 20
const mostLayers = 10_000
const models = ['Model', 'Functional', 'Sequential']

/**
 * @param field the object with `class_name` and `config`
 * @throws FormatError naming the field when it is no config, UnsupportedError when the model is one of Python code
 */
export function readKerasModel(field: Field, depth = 0): KerasModel {
  if (depth > deepest) throw field.error(`models inside models, at most ${deepest} levels`)
  const className = field.get('class_name').string()
  if (!models.includes(className)) {
    throw new UnsupportedError({
      where: field.path,
      what: 'this model is Python code, which the file does not hold',
      got: `class ${className}`,
      expected: 'Sequential or Functional',
      fix: 'build it in Keras from layers as a functional model, give that the weights, and save it',
    })
  }
  // Keras before 2.2.3 wrote the layers of a Sequential without a name around them.
  const config = field.get('config')
  const bare = Array.isArray(config.value)
  const name = bare || !config.get('name').isThere ? className.toLowerCase() : config.get('name').string()
  const entries = (bare ? config : config.get('layers')).elements()
  const layers =
    className === 'Sequential'
      ? readRow(entries, depth)
      : entries.map((entry) => readLayer(entry, readCalls(entry.get('inbound_nodes')), depth))
  const names = new Set<string>()
  for (const layer of layers) {
    if (names.has(layer.name)) throw layer.field.error(`a name of its own for every layer, not "${layer.name}" twice`)
    names.add(layer.name)
  }
  if (layers.length === 0 || layers.length > mostLayers) throw field.get('config').error(`1 to ${mostLayers} layers`)
  const known = { name, className, field, layers }
  if (className === 'Sequential') {
    const first = layers[0]
    const last = layers[layers.length - 1]
    return {
      ...known,
      inputs: [first.className === 'InputLayer' ? first.name : rowInput],
      outputs: [{ layer: last.name, call: 0 }],
      inputShape: shapeOf(first, bare ? undefined : config.get('build_input_shape')),
    }
  }
  const inputs = refs(config.get('input_layers')).map(({ layer }) => layer)
  const input = layers.find((layer) => layer.name === inputs[0])
  return { ...known, inputs, outputs: refs(config.get('output_layers')), inputShape: input && shapeOf(input) }
}

/** What the first layer of a Sequential takes, where no layer stands for the input. */
export const rowInput = ''

function readRow(entries: readonly Field[], depth: number): KerasLayer[] {
  let before = rowInput
  return entries.map((entry, i) => {
    const isInput = i === 0 && entry.get('class_name').value === 'InputLayer'
    const layer = readLayer(entry, isInput ? [] : [{ inputs: [{ layer: before, call: 0 }], field: undefined }], depth)
    before = layer.name
    return layer
  })
}

function readLayer(field: Field, calls: readonly Call[], depth: number): KerasLayer {
  const className = field.get('class_name').string()
  const config = field.get('config')
  const own = field.get('name')
  const inner = Array.isArray(config.value) ? undefined : config.get('name')
  const name = (own.isThere || inner === undefined ? own : inner).string()
  const known = { name, className, config, field, calls }
  return models.includes(className) ? { ...known, model: readKerasModel(field, depth + 1) } : known
}

/** The extents behind the batch. */
function shapeOf(layer: KerasLayer, built?: Field): readonly (number | null)[] | undefined {
  if (layer.model !== undefined) return layer.model.inputShape
  const written = [layer.config.get('batch_shape'), layer.config.get('batch_input_shape'), built]
  const found = written.map((shape) => shape && listIn(shape)).find((shape) => Array.isArray(shape?.value))
  return found
    ?.elements()
    .slice(1)
    .map((extent) => (extent.value === null ? null : extent.integer(1)))
}

/** Every use of a layer: a list of results in the form of Keras 2, or `{ args, kwargs }` in that of Keras 3. */
function readCalls(field: Field): readonly Call[] {
  return field.isThere ? field.elements().map((call) => ({ inputs: refs(call), field: call })) : []
}

/** All results that are named in some form of list, in order. */
function refs(field: Field, depth = 0): Taken[] {
  if (depth > 8) throw field.error('results of layers, in lists of at most 8 levels')
  const { value } = field
  if (Array.isArray(value)) {
    if (typeof value[0] === 'string' && typeof value[1] === 'number') {
      // An operation of TensorFlow has its second operand among the arguments behind.
      const more = field.elements()[3]?.entries() ?? []
      return [taken(field), ...more.flatMap(([, one]) => (Array.isArray(one.value) ? refs(one, depth + 1) : []))]
    }
    return field.elements().flatMap((element) => refs(element, depth + 1))
  }
  if (typeof value !== 'object' || value === null) return []
  if (field.get('class_name').value === '__keras_tensor__') return [taken(field.get('config').get('keras_history'))]
  return [field.get('args'), field.get('kwargs')].flatMap((part) => (part.isThere ? refs(part, depth + 1) : []))
}

function taken(field: Field): Taken {
  const [layer, call, output] = field.elements()
  if (layer === undefined || call === undefined) throw field.error('[layer, use, result]')
  if (output !== undefined && output.integer(0) !== 0) {
    throw new UnsupportedError({
      where: field.path,
      what: 'a layer with several results is not read',
      got: `result ${output.integer(0)} of "${layer.string()}"`,
      expected: 'layers with one result',
      fix: 'cut the model in Keras in front of this layer',
    })
  }
  return { layer: layer.string(), call: call.integer(0) }
}

/** Uses of layers in an order in which they can be computed. @throws FormatError when there is none */
export function inOrder(model: KerasModel): readonly { readonly layer: KerasLayer; readonly call: number }[] {
  const byName = new Map(model.layers.map((layer) => [layer.name, layer]))
  const state = new Map<string, 'open' | 'done'>()
  const order: { layer: KerasLayer; call: number }[] = []
  const waiting: { layer: string; call: number; closing: boolean }[] = []
  for (const start of model.outputs.toReversed()) waiting.push({ ...start, closing: false })
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { layer: name, call, closing } = next
    if (name === rowInput || model.inputs.includes(name)) continue
    const key = `${call} ${name}`
    const layer = byName.get(name)
    const inputs = layer?.calls[call]?.inputs
    if (layer === undefined || inputs === undefined) {
      throw model.field.error(`a layer "${name}"${layer === undefined ? '' : ` that is used ${call + 1} times`}`)
    }
    if (closing) {
      state.set(key, 'done')
      order.push({ layer, call })
    } else if (state.get(key) === 'open') {
      throw layer.field.error(`wires that do not lead in a circle through "${name}"`)
    } else if (!state.has(key)) {
      state.set(key, 'open')
      waiting.push({ ...next, closing: true })
      for (const from of inputs.toReversed()) waiting.push({ ...from, closing: false })
    }
  }
  return order
}
