/** Opens a model in whatever format it is. */
import { exists, isDirectory, joinPath, readFile, readStart } from '#platform'
import { ConfigError, FormatError } from '../base/errors.ts'
import type { Shape } from '../base/shape.ts'
import type { Layer } from '../nn/layer.ts'
import { init, type Model, type PictureNormalization } from '../nn/model.ts'
import { openHdf5 } from './hdf5/file.ts'
import type { ImportedModel, ImportReport } from './imported-model.ts'
import { importKeras } from './keras/import.ts'
import { readKerasHdf5 } from './keras/variables.ts'
import { type LoadedModel, loadModel } from './model-folder.ts'
import { importOnnx } from './onnx/import.ts'
import { importTfjs } from './tfjs/import.ts'
import { type LoadWeightsOptions, loadWeights, type WeightsReport } from './weights/load.ts'
import { openWeights } from './weights/open.ts'
import type { WeightsFile } from './weights/source.ts'

/** `juanji`: a model folder. `weights`: values alone, which need a network to go into. */
export type ModelFormat = 'juanji' | 'onnx' | 'keras' | 'tfjs' | 'weights'

/** A network for weights that come alone. */
export interface NetworkForWeights {
  readonly net: Layer
  /** One sample, without the batch. */
  readonly input: Shape
  readonly name?: string
  readonly pictures?: PictureNormalization
  /** What becomes of the names in the file before anything else. */
  readonly rename?: (name: string) => string
}

export interface OpenModelOptions extends Omit<LoadWeightsOptions, 'rename'> {
  /**
   * The network that a file of weights is for, chosen by what is in it.
   * @throws what it likes, when there is none
   */
  readonly network?: (file: WeightsFile) => NetworkForWeights
  /** Further names in a file of weights. */
  readonly rename?: LoadWeightsOptions['rename']
  /** Shape of a sample, channels last, for files that leave extents open. */
  readonly input?: Shape
  /** Which of several outputs comes out, where a file has several. */
  readonly output?: string
}

export interface OpenedModel extends LoadedModel {
  readonly format: ModelFormat
  /** What was done on the way in; for files that bring their architecture. */
  readonly imported?: ImportReport
  /** What became of the tensors; for files of weights. */
  readonly weights?: WeightsReport
}

const weightEndings = ['.safetensors', '.safetensors.index.json', '.pt', '.pth', '.th', '.bin', '.ckpt', '.weights.h5']
/** Endings of file names that are opened here, for messages. */
export const modelEndings: readonly string[] = ['.onnx', '.keras', '.h5', '.hdf5', 'model.json', ...weightEndings]

/**
 * What format a model is in, by its name, and by what stands in it where the name does not tell.
 * @throws ConfigError when there is nothing at the path, or its name means nothing here
 */
export async function modelFormat(path: string): Promise<ModelFormat> {
  if (await isDirectory(path)) {
    const json = joinPath(path, 'model.json')
    if (await exists(json)) return (await isTfjs(json)) ? 'tfjs' : 'juanji'
    const weights = ['model.safetensors', 'model.safetensors.index.json']
    for (const name of weights) if (await exists(joinPath(path, name))) return 'weights'
    return 'juanji'
  }
  const name = path.toLowerCase()
  const ends = (...endings: string[]) => endings.some((ending) => name.endsWith(ending))
  if (!(await exists(path))) {
    throw new ConfigError({
      where: path,
      what: 'there is no such file or folder',
      expected: `a model folder, or a file that ends in ${modelEndings.join(', ')}`,
      fix: 'check the path, or train a model: juanji train digits',
    })
  }
  if (ends('.onnx')) return 'onnx'
  if (ends(...weightEndings)) return 'weights'
  if (ends('.keras')) return 'keras'
  if (ends('.h5', '.hdf5')) return (await holdsLayers(path)) ? 'keras' : 'weights'
  if (ends('.json')) return (await isTfjs(path)) ? 'tfjs' : 'juanji'
  throw new ConfigError({
    where: path,
    what: 'the name does not tell what kind of model this is',
    expected: `a model folder, or a file that ends in ${modelEndings.join(', ')}`,
    fix: 'rename the file, if it is one of these',
  })
}

/** Model folders have a model.json as well. */
async function isTfjs(path: string): Promise<boolean> {
  const text = new TextDecoder().decode(await readStart(path, 4096))
  if (/"format"\s*:\s*"juanji-model"/.test(text)) return false
  return /"(modelTopology|weightsManifest)"/.test(text) || /"(modelTopology|weightsManifest)"/.test(await whole(path))
}

/** Keras 2 writes whole models and weights alone with the same ending. */
async function holdsLayers(path: string): Promise<boolean> {
  const file = await openHdf5(path)
  try {
    return (await readKerasHdf5(file)).config !== undefined
  } finally {
    await file.close()
  }
}

async function whole(path: string): Promise<string> {
  return new TextDecoder().decode(await readFile(path))
}

/**
 * Opens a model in whatever format it is: a model folder, ONNX, Keras, TensorFlow.js, or weights alone together with a
 * network. What comes out is an ordinary model in inference mode. Nothing in the file is executed.
 * @throws ConfigError when there is no such model, or weights come without a network; FormatError when it is damaged or
 * does not fit; UnsupportedError naming what of it is not known here
 * @example
 * const { model } = await openModel('squeezenet.onnx')
 * const { model, weights } = await openModel('resnet18.pth', {
 *   network: () => ({ net: models.resnet18(), input: [224, 224, 3] }),
 * })
 */
export async function openModel(path: string, options: OpenModelOptions = {}): Promise<OpenedModel> {
  const format = await modelFormat(path)
  if (format === 'juanji') return { ...(await loadModel(path.replace(/[/\\]model\.json$/, ''))), format }
  if (format === 'weights') return openForNetwork(path, options)
  return { ...asLoaded(await importModel(format, path, options)), format }
}

function importModel(
  format: 'onnx' | 'keras' | 'tfjs',
  path: string,
  options: OpenModelOptions,
): Promise<ImportedModel> {
  const { input, output } = options
  if (format === 'onnx') return importOnnx(path, { input, output })
  if (format === 'tfjs') return importTfjs(path, { input, output })
  return importKeras(path, { input, output })
}

function asLoaded({ model, classes = [], dtype, report }: ImportedModel): Omit<OpenedModel, 'format'> {
  return { model, classes, dtype: dtype ?? dtypeOf(model.inputShape), data: {}, imported: report }
}

/** Samples that can be pictures are taken as bytes. */
function dtypeOf(shape: Shape): 'u8' | 'f32' {
  const channels = shape[shape.length - 1]
  return shape.length === 3 && (channels === 1 || channels === 3) ? 'u8' : 'f32'
}

async function openForNetwork(path: string, options: OpenModelOptions): Promise<OpenedModel> {
  const { network, input: _input, output: _output, ...loading } = options
  const file = await openWeights(path)
  try {
    if (network === undefined) {
      throw new ConfigError({
        where: path,
        what: 'the file holds weights alone, and it is not said what network they are for',
        got: `${file.format}, ${file.tensors.size} tensors`,
        expected: 'a network',
        fix: 'give openModel a network',
      })
    }
    const { net, input, name, pictures, rename } = network(file)
    const model = init(net, { input }).eval()
    model.pictures = pictures
    const weights = await loadWeights(model, file, { ...loading, rename: loading.rename ?? rename })
    if (weights.loaded.length === 0) throw nothingFits(path, file, model)
    return {
      model,
      classes: [],
      dtype: dtypeOf(input),
      data: {},
      ...(name === undefined ? {} : { architecture: name }),
      format: 'weights',
      weights,
    }
  } finally {
    await file.close()
  }
}

/** A model of first values must not look like one that was loaded. */
function nothingFits(path: string, file: WeightsFile, model: Model): FormatError {
  const first = (names: Iterable<string>) => [...names].slice(0, 3).join(', ')
  return new FormatError({
    where: path,
    what: 'not one of its tensors fits the network',
    got: `${first(file.tensors.keys())}, …`,
    expected: `${first(model.parameters.map(({ name }) => name))}, …`,
    fix: 'name the network that they belong to, or say what is called otherwise',
  })
}
