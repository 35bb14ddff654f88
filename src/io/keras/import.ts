/**
 * Models of Keras: whole ones of Keras 2 (`.h5`) and Keras 3 (`.keras`), and configs with weights of any file. Nothing in
 * a file is executed.
 *
 * @see https://keras.io/guides/serialization_and_saving/
 */
import { openRange, type RangeReader, type RangeSource } from '#platform'
import { ByteReader } from '../../base/bytes.ts'
import { FormatError, UnsupportedError } from '../../base/errors.ts'
import type { Shape } from '../../base/shape.ts'
import { hdf5Of } from '../hdf5/file.ts'
import type { ImportedModel } from '../imported-model.ts'
import { Field } from '../json-fields.ts'
import type { WeightsFile } from '../weights/source.ts'
import { openZip, type Zip, type ZipEntry } from '../zip.ts'
import type { KerasVersion } from './activations.ts'
import { type Variables, variablesByName } from './lookup.ts'
import { importTopology } from './topology.ts'
import { readKerasHdf5 } from './variables.ts'

export interface KerasOptions {
  /** For messages; default: the source's own. */
  readonly path?: string
  /** Shape of a sample, where the model leaves extents open: `[224, 224, 3]`. */
  readonly input?: Shape
  /** Name of the layer whose result comes out; default: the model's only output. */
  readonly output?: string
  /** The architecture, where the source holds weights alone: JSON as `model.to_json()` writes it, as a path or bytes. */
  readonly config?: RangeSource
  /** The weights, where the source is such JSON: any file of weights in Keras's layout. */
  readonly weights?: WeightsFile
}

/**
 * A Keras model as one of ours, in inference mode, with its weights; it trains like any other.
 * Parameters are named after the layers of Keras: `conv2d.weight`, `batch_normalization.running_mean`.
 *
 * ```ts
 * const { model, report } = await importKeras('model.keras')
 * ```
 *
 * @param source a path (Node), bytes, or a Blob of `.keras`, `.h5`, `.weights.h5` or a config as JSON
 * @throws FormatError with path and place when the file is damaged, UnsupportedError naming a layer that is not known here
 */
export async function importKeras(source: RangeSource, options: KerasOptions = {}): Promise<ImportedModel> {
  const range = await openRange(source, options.path)
  try {
    const start = await range.read(0, Math.min(range.size, 2))
    const isText = start[0] === 0x7b || start[0] === 0x20 || start[0] === 0x0a || start[0] === 0x0d
    const stored = isText ? await readConfigAnd(range, options.weights) : await readStored(range, start)
    const config = options.config === undefined ? stored.config : await readConfigFile(options.config)
    if (config === undefined) {
      throw new UnsupportedError({
        where: range.path,
        what: 'this file holds weights without the layers they belong to',
        got: stored.format,
        expected: 'a whole model, or a config beside the weights',
        fix: "give the architecture, as model.to_json() writes it: importKeras('model.weights.h5', { config: 'model.json' })",
      })
    }
    const major = (stored.version ?? config.version) === 3 ? 3 : 2
    const { input, output } = options
    return await importTopology(config.root, stored.variables, stored.path, {
      major,
      format: stored.format,
      input,
      output,
    })
  } finally {
    await range.close()
  }
}

/**
 * The weights of a file of Keras, whatever else it holds, in Keras's layout and names: `conv2d/kernel`, those of Keras 3
 * `layers/conv2d/vars/0`. Close it in the end.
 * @param source a path (Node), bytes, or a Blob of `.h5`, `.weights.h5` or `.keras`
 * @throws FormatError when it is damaged, or holds none
 */
export async function openKerasWeights(source: RangeSource, path?: string): Promise<WeightsFile> {
  const range = await openRange(source, path)
  try {
    return await kerasWeightsOf(range)
  } catch (error) {
    await range.close()
    throw error
  }
}

/** The same of a range that is open, which the file closes. */
export async function kerasWeightsOf(range: RangeReader): Promise<WeightsFile> {
  const { variables, format } = await readStored(range, await range.read(0, Math.min(range.size, 2)))
  const { tensors } = variables
  return { path: range.path, format, layout: 'keras', tensors, metadata: {}, close: () => range.close() }
}

interface Config {
  readonly root: Field
  /** Which Keras wrote it, as far as it tells. */
  readonly version: KerasVersion
}

interface StoredModel {
  /** Of the values, for messages. */
  readonly path: string
  readonly format: string
  readonly variables: Variables
  readonly version?: KerasVersion
  readonly config?: Config
}

const majorOf = (version: string): KerasVersion => (version.startsWith('3') ? 3 : 2)

/** @param start the first two bytes */
async function readStored(range: RangeReader, start: Uint8Array): Promise<StoredModel> {
  if (start[0] === 0x50 && start[1] === 0x4b) return readArchive(range)
  const { variables, format, config, version } = await readKerasHdf5(await hdf5Of(range))
  return {
    path: range.path,
    format: version === undefined || version === '3' ? format : `${format}, Keras ${version}`,
    variables,
    ...(version === undefined ? {} : { version: majorOf(version) }),
    ...(config === undefined ? {} : { config: parseConfig(config, `${range.path}: model_config`) }),
  }
}

/** Longest config that makes sense, in bytes. */
const longestConfig = 2 ** 28

function parseConfig(text: string, path: string): Config {
  const root = Field.parse(text, path, { offsets: true })
  const version = root.get('keras_version')
  // Keras 3 names results by objects, and calls the shape of an input otherwise.
  const isThree = text.includes('__keras_tensor__') || text.includes('"batch_shape"')
  return { root, version: version.isThere ? majorOf(version.string()) : isThree ? 3 : 2 }
}

async function readConfig(range: RangeReader): Promise<Config> {
  return parseConfig(textOf(await range.read(0, Math.min(range.size, longestConfig)), range.path), range.path)
}

async function readConfigFile(source: RangeSource): Promise<Config> {
  const range = await openRange(source, typeof source === 'string' ? undefined : 'config')
  try {
    return await readConfig(range)
  } finally {
    await range.close()
  }
}

async function readConfigAnd(range: RangeReader, weights: WeightsFile | undefined): Promise<StoredModel> {
  const config = await readConfig(range)
  if (config.root.get('modelTopology').isThere) {
    throw new UnsupportedError({
      where: range.path,
      what: 'this is a model of TensorFlow.js',
      expected: 'a config of Keras',
      fix: `open it with importTfjs('${range.path}')`,
    })
  }
  if (weights === undefined) {
    throw new UnsupportedError({
      where: range.path,
      what: 'a config holds layers without their weights',
      expected: 'the weights beside it',
      fix: "give the weights: importKeras('model.h5', { config: 'model.json' }), or { weights } with an open file",
    })
  }
  const variables = variablesByName(weights.tensors)
  return { path: weights.path, format: `Keras config, ${weights.format}`, variables, config }
}

async function readArchive(range: RangeReader): Promise<StoredModel> {
  const zip = await openZip(range)
  const text = async (name: string) => textOf(await entryOf(zip, name).read(longestConfig), `${range.path}: ${name}`)
  const config = parseConfig(await text('config.json'), `${range.path}: config.json`)
  const metadata = zip.entries.has('metadata.json')
    ? Field.parse(await text('metadata.json'), `${range.path}: metadata.json`, { offsets: true })
    : undefined
  const field = metadata?.get('keras_version')
  const version = field?.isThere ? field.string() : undefined
  const entry = entryOf(zip, 'model.weights.h5')
  const path = `${range.path}: model.weights.h5`
  // Keras does not compress: values are read from where they are.
  const weights = entry.stored
    ? partOf(range, path, await entry.start(), entry.size)
    : await openRange(await entry.read(), path)
  const { variables } = await readKerasHdf5(await hdf5Of(weights))
  return {
    path,
    format: `Keras ${version ?? 3} archive`,
    variables,
    config,
    version: version === undefined ? 3 : majorOf(version),
  }
}

function entryOf(zip: Zip, name: string): ZipEntry {
  const entry = zip.entries.get(name)
  if (entry !== undefined) return entry
  throw new FormatError({
    where: zip.path,
    what: `the archive has no ${name} (at byte offset 0)`,
    got: [...zip.entries.keys()].slice(0, 8).join(', ') || 'nothing',
    expected: 'config.json, metadata.json and model.weights.h5',
    fix: 'save the model again with model.save of Keras',
  })
}

/** Some bytes of a range as a range of their own, which the one around it closes. */
function partOf(range: RangeReader, path: string, start: number, size: number): RangeReader {
  const check = (offset: number, length: number) => {
    if (offset >= 0 && length >= 0 && offset + length <= size) return
    throw new FormatError({
      where: path,
      what: `the file ends before what is to be read (at byte offset ${offset})`,
      got: `${size} bytes in all`,
      expected: `${length} bytes from there on`,
      fix: 'get the file again',
    })
  }
  return {
    path,
    size,
    async read(offset, length) {
      check(offset, length)
      return range.read(start + offset, length)
    },
    async readInto(offset, into) {
      check(offset, into.length)
      await range.readInto(start + offset, into)
    },
    close: async () => {},
  }
}

const textOf = (bytes: Uint8Array, path: string): string => new ByteReader(bytes, path).text(bytes.length, 'the file')
