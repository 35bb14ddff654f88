/** ONNX files as ordinary models. */
import { openRange, readFile } from '#platform'
import { ConfigError, checkOptions, didYouMean, FormatError, UnsupportedError } from '../../base/errors.ts'
import { type Shape, sizeOf } from '../../base/shape.ts'
import { init, type PictureNormalization } from '../../nn/model.ts'
import type { ImportedModel } from '../imported-model.ts'
import { besideModel, isExternal, readExternal } from './external.ts'
import { withoutFunctions } from './functions.ts'
import { classesOf, picturesOf } from './metadata.ts'
import { MixesSamples } from './operator.ts'
import { type TakenPictures, takePictures } from './pictures.ts'
import { MessageReader } from './read-message.ts'
import type { Message } from './schema.ts'
import { type GivenValue, type GraphInput, graphInput } from './signature.ts'
import { readTensor, typeName } from './tensors.ts'
import { type AxisOrder, neededNodes, type Translated, type Translation, translate } from './translate.ts'
import { asInitializer, type Known, known } from './values.ts'

export interface ImportOnnxOptions {
  /** Shape of one sample as the model is to take it, channels last; needed where the file leaves extents open. */
  readonly input?: Shape
  /** Values of the graph's inputs that are not the model's, by name. */
  readonly values?: { readonly [name: string]: GivenValue }
  /** The output that the model gives; default: the graph's first. */
  readonly output?: string
  /** Where the file comes as bytes: the files beside it that hold its weights, by name. */
  readonly files?: { readonly [location: string]: Uint8Array | Blob }
}

export interface ImportedOnnx extends ImportedModel {
  /** Which axes of ONNX's input the axes of a sample are. */
  readonly input: AxisOrder
  /** The same of the output. */
  readonly output: AxisOrder
}

const bytesSource = 'ONNX model'

/**
 * A model from an ONNX file: opset 6 to 25, the operators that `onnxOperators()` names. Pictures are taken channels
 * last, [height, width, channels], whatever the file says; weights are turned while they are read. Parameters have the
 * names of the file's initializers where these are paths, otherwise those of its nodes. The first axis of the input is
 * the batch; where the graph mixes the samples of a batch, all of its input is one sample.
 *
 * @param source a path, or the file's bytes
 * @throws FormatError with path and byte offset when the file is damaged, UnsupportedError naming node, operator and
 * opset for what is not read, ConfigError for options that do not fit
 * @example
 * const { model, report } = await importOnnx('resnet18.onnx')
 */
export async function importOnnx(source: string | Uint8Array, options: ImportOnnxOptions = {}): Promise<ImportedOnnx> {
  checkOptions('importOnnx', options, ['input', 'values', 'output', 'files'])
  const isPath = typeof source === 'string'
  const path = isPath ? source : bytesSource
  const bytes = isPath ? await readFile(source) : source
  const opened = openOnnx(bytes, path)
  const open = isPath ? besideModel(opened.reader) : given(path, options)
  const needed = neededNodes(opened.graph.node, outputOf(opened.reader, opened.graph, options))
  const beside = await readExternal(opened.reader, opened.graph, needed, open)
  const { translation, format, pictures, dtype } = readOnnx(
    { ...opened, bytes: opened.bytes + beside.bytes },
    options,
    beside.external,
  )
  const model = init(translation.net, { input: translation.inputShape })
  for (const state of [...model.parameters, ...model.states]) {
    const weight = translation.weights.get(state.name)
    if (weight === undefined) throw new FormatError({ where: path, what: `nothing fills '${state.name}'` })
    await state.load(weight())
    // What was decoded or turned for it is not needed any more.
    translation.weights.delete(state.name)
  }
  model.eval()
  model.pictures = pictures
  return {
    model,
    ...classesOf(opened.file),
    ...(dtype === undefined ? {} : { dtype }),
    report: { format, notes: translation.notes },
    input: translation.input,
    output: translation.output,
  }
}

/** Opens files that a caller has handed over. */
function given(path: string, { files = {} }: ImportOnnxOptions) {
  return async (location: string) => {
    if (Object.hasOwn(files, location)) return openRange(files[location], location)
    throw new ConfigError({
      where: path,
      what: 'weights lie in another file',
      got: `the bytes of the model alone`,
      expected: `'${location}' beside it`,
      fix: `give the path of the model, or the file's bytes: importOnnx(bytes, { files: { '${location}': bytes } })`,
    })
  }
}

export interface OpenedOnnx {
  readonly reader: MessageReader
  readonly file: Message<'Model'>
  readonly graph: Message<'Graph'>
  /** With those of the files beside it that were read. */
  readonly bytes: number
}

/** The messages of a file. @throws FormatError */
export function openOnnx(bytes: Uint8Array, path: string): OpenedOnnx {
  const reader = new MessageReader(bytes, path)
  const file = reader.read('Model')
  const { graph } = file
  if (graph === undefined) throw reader.error('there is no graph in it', { at: file, expected: 'an ONNX model' })
  return { reader, file, graph, bytes: bytes.length }
}

export interface ReadOnnx {
  readonly translation: Translation
  /** For people. */
  readonly format: string
  /** What becomes of pictures, where the graph takes bytes or the file says so. */
  readonly pictures: PictureNormalization | undefined
  /** What the graph takes, where these are no floats. */
  readonly dtype: 'u8' | 'i32' | undefined
}

/** The net of a file and how its parameters are filled; nothing is made yet. */
export function readOnnx(
  { reader, file, graph, bytes }: OpenedOnnx,
  options: ImportOnnxOptions,
  external: ReadonlyMap<object, Uint8Array> = new Map(),
): ReadOnnx {
  const opset = opsetOf(reader, file)
  if (graph.sparseInitializer.length > 0) {
    throw new UnsupportedError({
      where: reader.path,
      what: 'sparse initializers are not read',
      fix: 'export dense weights',
    })
  }
  const constants = new Map<string, Known>()
  for (const tensor of graph.initializer) {
    const name = tensor.name ?? ''
    // What no node takes was not read.
    const isRead = !isExternal(tensor) || external.has(tensor)
    const value = isRead ? readTensor(reader, tensor, external.get(tensor)) : known('float', [0], [])
    constants.set(name, asInitializer(value, name))
  }
  const output = outputOf(reader, graph, options)
  const nodes = withoutFunctions(reader, neededNodes(graph.node, output), file.functions)
  const input = inputOf(reader, graph, nodes, constants, options)
  const taken = takePictures({ ...graph, node: nodes }, constants, input.name)
  const left = taken?.graph.node ?? nodes
  const of: Translated = { reader, graph, nodes: left, opset, constants, input, output, external, bytes }
  const translation = translateEither(of)
  const others = graph.output.map((info) => info.name ?? '').filter((name) => name !== output)
  const notes = [
    ...translation.notes,
    ...notesOfBytes(input, taken),
    ...(others.length === 0 ? [] : [`outputs left out: ${others.join(', ')}`]),
  ]
  return {
    translation: { ...translation, notes },
    format: formatOf(file, opset),
    dtype: input.bytes ? 'u8' : input.dtype === 'i32' ? 'i32' : undefined,
    pictures: picturesOfInput(file, input, taken, translation.inputShape),
  }
}

function picturesOfInput(
  file: Message<'Model'>,
  { bytes, dtype }: GraphInput,
  taken: TakenPictures | undefined,
  shape: Shape,
): PictureNormalization | undefined {
  if (taken === undefined) return bytes ? bytesAsTheyAre : dtype === 'f32' ? picturesOf(file, shape) : undefined
  // A model scales bytes to 0 … 1 without being told.
  const { mean, std } = taken.pictures
  return mean === 0 && std === 1 ? undefined : taken.pictures
}

/** A model scales bytes to 0 … 1 on entry; this takes it back. */
const bytesAsTheyAre: PictureNormalization = { mean: 0, std: 1 / 255 }

function notesOfBytes({ bytes }: GraphInput, taken: TakenPictures | undefined): string[] {
  if (taken === undefined) return bytes ? ['input of bytes: u8 as it is, or f32 from 0 to 255'] : []
  const { mean, std } = taken.pictures
  if (mean === 0 && std === 1) return ['bytes are scaled to 0 … 1 by the model itself']
  return [
    `bytes are normalised by the model itself: mean ${[mean].flat().join(', ')}, deviation ${[std].flat().join(', ')}`,
  ]
}

/** First with the batch open, then, where samples are mixed, with all of the input as one sample. */
function translateEither(of: Translated): Translation {
  try {
    return translate(of, false)
  } catch (error) {
    if (!(error instanceof MixesSamples)) throw error
    try {
      return translate(of, true)
    } catch (second) {
      // Why the batch can't be kept says more than why a whole input can't be taken.
      if (second instanceof MixesSamples || second instanceof ConfigError || second instanceof UnsupportedError)
        throw error
      throw second
    }
  }
}

function opsetOf(reader: MessageReader, file: Message<'Model'>): number {
  const own = file.opsetImport.filter(({ domain = '' }) => domain === '' || domain === 'ai.onnx')
  const opset = Math.max(...own.map(({ version = 1 }) => version))
  // Files of the first years name none.
  if (own.length === 0) return 1
  if (opset >= 1 && Number.isSafeInteger(opset)) return opset
  throw reader.error('the opset makes no sense', { at: own[0], got: String(opset), expected: 'a number from 1' })
}

function formatOf(file: Message<'Model'>, opset: number): string {
  const by = [file.producerName, file.producerVersion].filter((part) => part !== undefined && part !== '').join(' ')
  return `ONNX opset ${opset}${by === '' ? '' : `, written by ${by}`}`
}

function inputOf(
  reader: MessageReader,
  graph: Message<'Graph'>,
  nodes: readonly Message<'Node'>[],
  constants: Map<string, Known>,
  { input, values = {} }: ImportOnnxOptions,
): GraphInput {
  const open = graph.input.filter(({ name = '' }) => !constants.has(name))
  const names = open.map(({ name = '' }) => name)
  for (const [name, given] of Object.entries(values)) {
    const info = open.find((one) => one.name === name)
    if (info === undefined) {
      throw new ConfigError({
        where: reader.path,
        what: `option values names '${name}', which is no open input of the graph`,
        expected: names.join(', '),
        fix: didYouMean(name, names),
      })
    }
    constants.set(name, givenValue(reader, info, given))
  }
  const left = open.filter(({ name = '' }) => !constants.has(name))
  if (left.length === 1) return graphInput(reader, nodes, left[0], input)
  const list = left.map(({ name = '' }) => name).join(', ')
  throw new UnsupportedError({
    where: reader.path,
    what: left.length === 0 ? 'the graph takes no input' : `the graph takes ${left.length} inputs`,
    got: left.length === 0 ? 'none' : list,
    expected: 'one: a model is a function of one batch',
    fix: 'give values for the others: importOnnx(file, { values: { name: numbers } })',
  })
}

function givenValue(reader: MessageReader, info: Message<'ValueInfo'>, given: GivenValue): Known {
  const hasShape = 'shape' in given && 'data' in given
  const data = hasShape ? given.data : (given as ArrayLike<number>)
  const declared = info.type?.tensorType?.shape?.dim.map(({ dimValue = -1 }) => dimValue)
  const fits = declared?.every((extent) => extent >= 0) === true && sizeOf(declared) === data.length
  const shape = hasShape ? given.shape : fits ? declared : [data.length]
  if (sizeOf(shape) !== data.length) {
    throw new ConfigError({
      where: reader.path,
      what: `option values does not fill the input '${info.name ?? ''}'`,
      got: `${data.length} numbers`,
      expected: `${sizeOf(shape)}`,
      fix: 'correct the option',
    })
  }
  return known(typeName(info.type?.tensorType?.elemType) ?? 'float', shape, data)
}

function outputOf(reader: MessageReader, graph: Message<'Graph'>, { output }: ImportOnnxOptions): string {
  const names = graph.output.map(({ name = '' }) => name)
  if (names.length === 0) throw reader.error('the graph has no output', { at: graph })
  if (output === undefined || names.includes(output)) return output ?? names[0]
  throw new ConfigError({
    where: reader.path,
    what: `the graph has no output '${output}'`,
    expected: names.join(', '),
    fix: didYouMean(output, names),
  })
}
