/** A Keras model as layers of ours, and where their values are stored. */
import { ConfigError, ShapeError, UnsupportedError } from '../../base/errors.ts'
import type { Shape } from '../../base/shape.ts'
import type { Layer } from '../../nn/index.ts'
import type { Field } from '../json-fields.ts'
import type { KerasVersion } from './activations.ts'
import { inOrder, type KerasLayer, type KerasModel, rowInput, type Taken } from './config.ts'
import { converterOf, kerasClasses } from './layers.ts'
import { snakeCase } from './naming.ts'
import type { Slot, Use } from './use.ts'
import { netInput, Wiring } from './wiring.ts'

/** A layer that has stored values. */
export interface Stored {
  /** Names of the Keras layers around it and of itself. */
  readonly names: readonly string[]
  /** Where Keras 3 keeps its values: `layers/functional/layers/conv2d`. */
  readonly place: string
  /** Path of the layer that takes them. */
  readonly path: string
  readonly slots: readonly Slot[]
  readonly trainable: boolean
  /** Where the config describes it. */
  readonly field: Field
}

export interface BuiltNet {
  readonly net: Layer
  readonly stored: readonly Stored[]
  readonly notes: readonly string[]
}

export interface BuildOptions {
  readonly version: KerasVersion
  /** Shape of a sample. */
  readonly input: Shape
  /** Name of the layer whose result comes out. */
  readonly output?: string
}

/** Where a model stands in the one that is read. */
interface Around {
  readonly names: readonly string[]
  readonly place: string
  readonly path: string
  readonly trainable: boolean
}

/**
 * @throws UnsupportedError naming a layer for which there is none here; FormatError naming a field that makes no sense,
 * or a layer that does not fit what it takes
 */
export function buildNet(model: KerasModel, options: BuildOptions): BuiltNet {
  const stored: Stored[] = []
  const notes = new Map<string, string[]>()
  const note = (text: string, name: string) => {
    const names = notes.get(text) ?? []
    names.push(name)
    notes.set(text, names)
  }
  const around = { names: [], place: '', path: '', trainable: true }
  const net = buildModel(model, options, around, stored, note)
  return { net, stored, notes: [...notes].map(([text, names]) => `${text} (${someOf(names)})`) }
}

const someOf = (names: readonly string[]) =>
  names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ')

type Note = (text: string, name: string) => void

function buildModel(model: KerasModel, options: BuildOptions, around: Around, stored: Stored[], note: Note): Layer {
  const wanted = options.output === undefined ? model.outputs : [{ layer: options.output, call: 0 }]
  checkEnds(model, wanted)
  const wiring = new Wiring(
    options.input,
    model.layers.map((layer) => layer.name),
  )
  const places = placesOf(model, around.place)
  const results = new Map<string, string>()
  const resultOf = ({ layer, call }: Taken): string =>
    layer === rowInput || model.inputs.includes(layer) ? netInput : (results.get(`${call} ${layer}`) ?? netInput)
  for (const { layer, call } of inOrder({ ...model, outputs: wanted })) {
    const inputs = layer.calls[call].inputs.map(resultOf)
    const name = call > 0 || layer.name === netInput || layer.name === '' ? wiring.free(layer.name) : layer.name
    const own: Around = {
      names: [...around.names, layer.name],
      place: places.get(layer.name) ?? '',
      path: around.path === '' ? name : `${around.path}.${name}`,
      trainable: around.trainable && layer.config.value !== null && isTrainable(layer),
    }
    const keep = (slots: readonly Slot[]) => {
      if (slots.length === 0) return
      if (call > 0) throw sharedWeights(layer)
      stored.push({ ...own, slots, field: layer.field })
    }
    const use: Use = {
      config: layer.config,
      className: layer.className,
      field: layer.field,
      call: layer.calls[call].field,
      version: options.version,
      inputs,
      shape: (input) => wiring.shape(inputs[input] ?? netInput),
      main(made, from = inputs, slots = []) {
        keep(slots)
        return wiring.add(name, made, from)
      },
      more: (suffix, made, from) => wiring.add(wiring.free(`${name}_${suffix}`), made, from),
      note: (text) => note(text, layer.name),
    }
    results.set(`${call} ${layer.name}`, convert(layer, use, options, own, stored, note, call))
  }
  return wiring.finish(resultOf(wanted[0]))
}

function isTrainable({ config, model }: KerasLayer): boolean {
  if (Array.isArray(config.value)) return true
  const field = config.get('trainable')
  return model !== undefined && !field.isThere ? true : field.value !== false
}

function convert(
  layer: KerasLayer,
  use: Use,
  options: BuildOptions,
  own: Around,
  stored: Stored[],
  note: Note,
  call: number,
): string {
  if (use.inputs.length === 0) throw layer.field.error('a layer that takes a result')
  try {
    if (layer.model !== undefined) {
      if (call > 0) throw sharedWeights(layer)
      const inner = { ...options, input: use.shape(0), output: undefined }
      return use.main(buildModel(layer.model, inner, own, stored, note), use.inputs)
    }
    const converter = converterOf(layer.className)
    if (converter === undefined) throw unknownClass(layer, own.names)
    return converter(use)
  } catch (error) {
    if (!(error instanceof ShapeError || error instanceof ConfigError)) throw error
    const { problem } = error
    throw layer.field.error(
      `a ${layer.className} that fits what arrives: ${problem.what}${problem.got === undefined ? '' : `, ${problem.got}`}`,
      problem.fix,
    )
  }
}

function unknownClass(layer: KerasLayer, names: readonly string[]): UnsupportedError {
  const isCode = layer.className === 'Lambda'
  return new UnsupportedError({
    where: layer.field.path,
    what: `${isCode ? 'a Lambda layer is Python code, which is never run' : `there is no layer for ${layer.className} of Keras`}${layer.field.at}`,
    got: `layer "${names.join('/')}" of class ${layer.className}, field ${layer.field.name}`,
    expected: kerasClasses().join(', '),
    fix: isCode
      ? 'put a layer of Keras in its place'
      : 'put other layers in its place in Keras; or add it to src/io/keras/layers.ts',
  })
}

function sharedWeights(layer: KerasLayer): UnsupportedError {
  return new UnsupportedError({
    where: layer.field.path,
    what: 'a layer with weights that is used more than once is not read',
    got: `${layer.className} "${layer.name}", used ${layer.calls.length} times`,
    expected: 'layers with weights of their own',
    fix: 'make a copy of the layer for each use in Keras',
  })
}

function checkEnds(model: KerasModel, outputs: readonly Taken[]): void {
  const several = model.inputs.length !== 1 ? 'input' : outputs.length !== 1 ? 'output' : undefined
  if (several === undefined) return
  const names = several === 'input' ? model.inputs : outputs.map(({ layer }) => layer)
  throw new UnsupportedError({
    where: model.field.path,
    what: `model "${model.name}" has ${names.length} ${several}s`,
    got: names.map((name) => `"${name}"`).join(', '),
    expected: 'one',
    fix:
      several === 'input'
        ? 'cut the model in Keras so that it takes one input'
        : `choose one of them: output: '${names[0] ?? ''}'`,
  })
}

/**
 * Where Keras 3 keeps values of the layers of a model: by class, not by name, counted where there are several of one
 * (saving_lib.py).
 */
function placesOf(model: KerasModel, around: string): ReadonlyMap<string, string> {
  const counts = new Map<string, number>()
  const places = new Map<string, string>()
  for (const { name, className } of model.layers) {
    // A Sequential does not count the layer that stands for its input.
    if (model.className === 'Sequential' && className === 'InputLayer') continue
    const snake = snakeCase(className)
    const count = counts.get(snake) ?? 0
    counts.set(snake, count + 1)
    places.set(name, `${around === '' ? '' : `${around}/`}layers/${snake}${count === 0 ? '' : `_${count}`}`)
  }
  return places
}
