/**
 * Models as ONNX files. Names are those of the model: a node is named after its layer, a tensor of weights after its
 * parameter, and lies as PyTorch has it. Maps are channels first, so that no values are turned on the way.
 *
 * @see https://github.com/onnx/onnx/blob/main/docs/IR.md
 */
import { openFileAtomic } from '#platform'
import { ConfigError, checkOptions, checkRange, UnsupportedError } from '../../base/errors.ts'
import { sameShape } from '../../base/shape.ts'
import { version } from '../../base/version.ts'
import { answerOf, type FlowStep, followLayers } from '../../nn/index.ts'
import type { Model } from '../../nn/model.ts'
import type { ExportStep, OnnxExporter } from './export/exporter.ts'
import { infoOf, type OnnxGraph, type Value, withOpset } from './export/graph.ts'
import { exporters } from './export/layers.ts'
import { axisOf, channelsFirst, natural, orderOf, sampleShape } from './export/layout.ts'
import { addPreprocessing, type Preprocessing } from './export/preprocessing.ts'
import { metadataOf } from './metadata.ts'
import type { MessageInit } from './schema.ts'
import { collect, encodeModel, type Stream, type TensorStream } from './write.ts'

export interface OnnxExportOptions {
  /**
   * Version of ONNX's operators, 13 to 23. Default 17, which runtimes have known since 2022, or the lowest above that has
   * every operator the net needs.
   */
  readonly opset?: number
  /**
   * How samples of several axes come in: `'channels-first'` as PyTorch has pictures and signals, [N, channels, …spatial], or
   * `'channels-last'` as juanji has them, which costs pictures one Transpose. Default: channels first for pictures, and for
   * signals that go into a layer such as conv1d; tokens and rows of features as they are.
   */
  readonly inputLayout?: 'channels-first' | 'channels-last'
  /**
   * What the graph itself does with what comes in: then it takes bytes, or values of another range. Default: nothing; what
   * the model's `pictures` are normalised with then becomes the metadata `pictures`, JSON of scale, mean and std:
   * (byte · scale - mean) / std is what the graph takes.
   */
  readonly preprocessing?: Preprocessing
  /** Names of the classes by number; they become the metadata `classes`, a JSON list. */
  readonly classes?: readonly string[]
  /**
   * Whether probabilities come out: a softmax along the last axis, the channels. Default false. A model that ends in a
   * softmax gets no second one, and behind a logSoftmax there is an Exp.
   */
  readonly softmax?: boolean
  /** Exporters of layers of your own, by type; they go before the ones that are there. */
  readonly exporters?: Readonly<Record<string, OnnxExporter>>
}

export interface OnnxFileOptions extends OnnxExportOptions {
  /**
   * Bytes above which weights are written to a file of their own beside it, named as it with `.data` behind. Default
   * 1.5 GiB: one file cannot hold more than 2 GiB.
   */
  readonly externalDataAbove?: number
}

const optionNames = ['opset', 'inputLayout', 'preprocessing', 'classes', 'softmax', 'exporters'] as const
const usualOpset = 17
/** The versions of ONNX's operators that are written. */
export const onnxOpsets = [13, 23] as const
const [lowestOpset, highestOpset] = onnxOpsets
/** A protobuf message has to be smaller. */
const messageLimit = 2 ** 31
const usualExternalDataAbove = 1.5 * 2 ** 30
/** Tensors of fewer bytes always stay in the file: shapes have to be known without the other one. */
const leastExternalBytes = 1024
/** So that what reads the file can map it into memory. */
const externalAlignment = 4096

/** Of the format, by opset. */
function irVersion(opset: number): number {
  return opset <= 14 ? 7 : opset <= 18 ? 8 : opset <= 20 ? 9 : opset <= 22 ? 10 : 11
}

interface Parts {
  readonly model: Omit<MessageInit<'Model'>, 'graph'>
  readonly graph: MessageInit<'Graph'>
  readonly tensors: readonly TensorStream[]
}

/**
 * A model as the bytes of an ONNX file: in inference form, for batches of any size `N`. Input and output are named `input`
 * and `output`. The input is float32; int32 for a model that begins with an embedding, whatever int64 other exporters make
 * of tokens; uint8 where `preprocessing` says so. What comes out has the type that the last layer gives it, mostly float32.
 * @throws UnsupportedError naming path and type of a layer that has no exporter, and for files above 2 GiB;
 * ConfigError on options that make no sense
 * @example
 * const bytes = await exportOnnx(model, { classes: ['cat', 'dog'], softmax: true })
 */
export async function exportOnnx(model: Model, options: OnnxExportOptions = {}): Promise<Uint8Array> {
  checkOptions('exportOnnx', options, optionNames)
  const { model: head, graph, tensors } = partsOf(model, options)
  const stream = encodeModel(head, graph, tensors)
  if (stream.byteLength >= messageLimit) throw tooLarge(stream.byteLength, 'write it with saveOnnx')
  return collect(stream)
}

/**
 * Writes a model as an ONNX file, beside its place and renamed; above a size the weights go to a file of their own.
 * @returns the paths of the files
 * @throws what {@link exportOnnx} throws, and ConfigError when a file can't be written
 * @example
 * await saveOnnx('digits.onnx', model, { preprocessing: { dtype: 'u8' }, inputLayout: 'channels-last' })
 */
export async function saveOnnx(path: string, model: Model, options: OnnxFileOptions = {}): Promise<readonly string[]> {
  checkOptions('saveOnnx', options, [...optionNames, 'externalDataAbove'])
  const { externalDataAbove = usualExternalDataAbove } = options
  checkRange('saveOnnx', 'externalDataAbove', externalDataAbove, externalDataAbove >= 0, 'bytes, at least 0')
  const parts = partsOf(model, options)
  const whole = encodeModel(parts.model, parts.graph, parts.tensors)
  if (whole.byteLength <= Math.min(externalDataAbove, messageLimit - 1)) {
    await writeStreams([[path, whole]])
    return [path]
  }
  const name = `${path.split(/[\\/]/).at(-1)}.data`
  const { headers, inside, data } = moveOut(parts.tensors, name)
  const file = encodeModel(parts.model, { ...parts.graph, initializer: headers }, inside)
  if (file.byteLength >= messageLimit) throw tooLarge(file.byteLength, 'split the model')
  const dataPath = `${path}.data`
  await writeStreams([
    [dataPath, data],
    [path, file],
  ])
  return [path, dataPath]
}

function tooLarge(bytes: number, fix: string): UnsupportedError {
  return new UnsupportedError({
    where: 'exportOnnx',
    what: 'one ONNX file cannot hold a model of this size',
    got: `${bytes} bytes`,
    expected: `fewer than ${messageLimit}, the limit of protocol buffers`,
    fix,
  })
}

/** Writes all files beside their places; only when every one is complete are they renamed, in this order. */
async function writeStreams(streams: readonly (readonly [path: string, stream: Stream])[]): Promise<void> {
  const files: Awaited<ReturnType<typeof openFileAtomic>>[] = []
  let committed = 0
  try {
    for (const [path, stream] of streams) {
      const file = await openFileAtomic(path)
      files.push(file)
      for await (const piece of stream.pieces()) await file.write(piece)
    }
    for (const file of files) {
      await file.commit()
      committed++
    }
  } catch (error) {
    for (const file of files.slice(committed)) await file.discard()
    throw error
  }
}

/** Tensors whose values lie in a file beside, and the ones that stay. */
function moveOut(
  tensors: readonly TensorStream[],
  location: string,
): { headers: MessageInit<'Tensor'>[]; inside: TensorStream[]; data: Stream } {
  const outside = tensors.filter(({ byteLength }) => byteLength >= leastExternalBytes)
  let end = 0
  const headers = outside.map(({ header, byteLength }) => {
    const offset = Math.ceil(end / externalAlignment) * externalAlignment
    end = offset + byteLength
    const externalData = Object.entries({ location, offset: String(offset), length: String(byteLength) })
    return { ...header, externalData: externalData.map(([key, value]) => ({ key, value })), dataLocation: 1 }
  })
  const data: Stream = {
    byteLength: end,
    async *pieces() {
      let at = 0
      for (const tensor of outside) {
        const gap = Math.ceil(at / externalAlignment) * externalAlignment - at
        if (gap > 0) yield new Uint8Array(gap)
        yield* tensor.pieces()
        at += gap + tensor.byteLength
      }
    },
  }
  return { headers, inside: tensors.filter(({ byteLength }) => byteLength < leastExternalBytes), data }
}

// ── the graph ──

function partsOf(model: Model, options: OnnxExportOptions): Parts {
  const { opset = usualOpset, classes } = options
  const valid = Number.isInteger(opset) && opset >= lowestOpset && opset <= highestOpset
  checkRange('exportOnnx', 'opset', opset, valid, `a whole number from ${lowestOpset} to ${highestOpset}`)
  const { inputLayout = 'channels-first' } = options
  if (inputLayout !== 'channels-first' && inputLayout !== 'channels-last') {
    throw new ConfigError({
      where: 'exportOnnx',
      what: 'there is no such inputLayout',
      got: `'${inputLayout}'`,
      expected: "'channels-first' or 'channels-last'",
      fix: 'leave it out for channels first',
    })
  }
  return withOpset(opset, options.opset !== undefined, (graph) => {
    const { inputs, outputs } = buildGraph(graph, model, options)
    const metadataProps = metadataOf(classes, options.preprocessing === undefined ? model.pictures : undefined)
    return {
      model: {
        irVersion: irVersion(graph.opset),
        producerName: 'juanji',
        producerVersion: version,
        opsetImport: [{ domain: '', version: graph.opset }],
        metadataProps,
      },
      graph: {
        name: 'juanji',
        node: graph.nodes,
        input: inputs,
        output: outputs,
        valueInfo: graph.valueInfo,
      },
      tensors: graph.tensors,
    }
  })
}

function buildGraph(
  graph: OnnxGraph,
  model: Model,
  options: OnnxExportOptions,
): { inputs: MessageInit<'ValueInfo'>[]; outputs: MessageInit<'ValueInfo'>[] } {
  const { preprocessing, inputLayout } = options
  const { inputShape } = model
  const takers = firstLayers(model)
  const type = preprocessing?.dtype === 'u8' ? 'uint8' : takers.has('embedding') ? 'int32' : 'float'
  // Two axes are a signal with channels where a layer for signals takes them; otherwise rows, or a grey picture.
  const hasChannels = inputShape.length > 2 || [...takers].some((taker) => ofSignals.test(taker))
  const first = inputLayout === undefined ? hasChannels && type !== 'int32' : inputLayout === 'channels-first'
  const input = graph.input('input', type, first ? channelsFirst(inputShape) : natural(inputShape))
  // Once, in front of everything; signals and rows of features are turned where somebody asks for it.
  const turned = type !== 'int32' && inputShape.length > 2 ? graph.channelsFirst(input, 'input') : input
  const start = preprocessing === undefined ? turned : addPreprocessing(graph, turned, preprocessing, model.pictures)
  const net = followLayers(model.net, inputShape, start, (step) => exportStep(graph, model, step, options))
  const last = options.softmax === true ? probabilities(graph, model, net) : net
  const output = finish(graph, last, input)
  graph.prune(output.name)
  return { inputs: [infoOf(input)], outputs: [infoOf(output)] }
}

/** Layers that tell channels from places. */
const ofSignals = /1d$|^(batch|group|instance)Norm$|^resize$/

/** Types of the layers that are given the net's input, as it comes or as a value of the same shape. */
function firstLayers({ net, inputShape }: Model): Set<string> {
  const types = new Set<string>()
  followLayers<boolean>(net, inputShape, true, ({ layer, inputs, output }) => {
    if (!inputs.some(({ value }) => value)) return false
    types.add(layer.type)
    return sameShape(output, inputShape)
  })
  return types
}

/** Layers whose result is as constant as their input. */
const rearranging = new Set(['identity', 'dropout', 'reshape', 'flatten', 'permute'])

function exportStep(graph: OnnxGraph, model: Model, step: FlowStep<Value>, options: OnnxExportOptions): Value {
  const { layer, path, inline } = step
  const given = options.exporters ?? {}
  const exporter = Object.hasOwn(given, layer.type)
    ? given[layer.type]
    : Object.hasOwn(exporters, layer.type)
      ? exporters[layer.type]
      : undefined
  if (exporter === undefined) {
    throw new UnsupportedError({
      where: `exportOnnx: ${layer.type}${path === '' ? '' : ` "${path}"`}`,
      what: 'there is no exporter for layers of this type',
      expected: Object.keys(exporters).join(', '),
      fix: `give one that adds its nodes: exportOnnx(model, { exporters: { ${layer.type}: (step) => … } }); src/io/onnx/export/ has examples`,
    })
  }
  const part = inline ? (layer.type === 'binary' ? String(layer.options.op) : layer.type) : ''
  const name = [...(path === '' ? [] : [path]), ...(part === '' ? [] : [part])].join('/')
  const inputs = step.inputs.map(({ value }) => value)
  const constant = inputs.length > 0 && inputs.every((value) => value.constant !== undefined)
  // What maps are combined with lies as they do.
  const maps = model.inputShape.length > 2
  const withBatch = (value: Value) => graph.batched(maps ? graph.channelsFirst(value, name) : value, name)
  const context: ExportStep = {
    graph,
    name: name === '' ? layer.type : name,
    layer,
    options: layer.options,
    inputs: constant && !rearranging.has(layer.type) ? inputs.map(withBatch) : inputs,
    output: step.output,
    channelsFirst: channelsFirst(step.output),
    natural: natural(step.output),
    parameter: (own) => model.get(path === '' ? own : `${path}.${own}`),
  }
  return exporter(context)
}

/** Along the channels, in whatever order they lie; nothing where probabilities come out anyway. */
function probabilities(graph: OnnxGraph, { net, inputShape }: Model, value: Value): Value {
  const answer = answerOf(net, inputShape)
  if (answer === 'probabilities') return value
  if (answer === 'logProbabilities') return graph.value('probabilities', 'Exp', [graph.use(value)], {}, value)
  const last = sampleShape(value.layout).length - 1
  const x = axisOf(value.layout, last) < 0 ? graph.plain(value, 'probabilities').value : value
  return graph.value('probabilities', 'Softmax', [graph.use(x)], { axis: axisOf(x.layout, last) + 1 }, x)
}

/** The graph's output: maps lie as they are, channels first or last; a vector has juanji's order. */
function finish(graph: OnnxGraph, value: Value, input: Value): Value {
  const order = orderOf(value.layout)
  const rank = sampleShape(value.layout).length
  const inOrder = order?.every((axis, i) => axis === i) === true
  const first = order?.every((axis, i) => axis === (i === 0 ? rank - 1 : i - 1)) === true
  const placed = inOrder || first ? value : graph.natural(value, 'output')
  const batched = graph.batched(placed, 'output')
  if (batched.name === input.name) return graph.value('output', 'Identity', [batched.name], {}, batched)
  return graph.rename(batched, 'output')
}
