/**
 * Models of Keras: whole ones of Keras 2 (`.h5`) and Keras 3 (`.keras`), and configs with weights of any file. Nothing in
 * a file is executed.
 *
 * @see https://keras.io/guides/serialization_and_saving/
 */
import { openRange, type RangeReader, type RangeSource } from '#platform'
import { ConfigError, FormatError, UnsupportedError } from '../../base/errors.ts'
import type { Shape } from '../../base/shape.ts'
import { openHdf5 } from '../hdf5/file.ts'
import type { ImportedModel } from '../imported-model.ts'
import { Field } from '../json-fields.ts'
import type { WeightsFile } from '../weights/source.ts'
import { openZip, type Zip } from '../zip.ts'
import { variablesByName } from './lookup.ts'
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
    const start = await range.read(0, Math.min(range.size, 4))
    if (start[0] === 0x50 && start[1] === 0x4b) return await importArchive(range, options)
    if (start[0] === 0x7b || start[0] === 0x20 || start[0] === 0x0a || start[0] === 0x0d) {
      return await importConfig(range, options)
    }
    return await importHdf5(source, range.path, options)
  } finally {
    await range.close()
  }
}

async function importHdf5(source: RangeSource, path: string, options: KerasOptions): Promise<ImportedModel> {
  const file = await openHdf5(source, path)
  try {
    const { variables, format, config, version } = await readKerasHdf5(file)
    if (options.config === undefined && config === undefined) {
      throw new ConfigError({
        where: path,
        what: 'this file holds weights without the layers they belong to',
        got: format,
        expected: 'a whole model, or a config beside the weights',
        fix: "give the architecture, as model.to_json() writes it: importKeras('model.weights.h5', { config: 'model.json' })",
      })
    }
    const [root, isThree] =
      options.config === undefined
        ? await configOfHdf5(config ?? '', `${path}: model_config`)
        : await readConfigFile(options.config)
    const major = version === undefined ? (isThree ? 3 : 2) : version.startsWith('3') ? 3 : 2
    return await importTopology(root, variables, path, { ...options, major, format: named(format, version) })
  } finally {
    await file.close()
  }
}

const named = (format: string, version: string | undefined) =>
  version === undefined || version === '3' ? format : `${format}, Keras ${version}`

async function configOfHdf5(text: string, path: string): Promise<readonly [Field, boolean]> {
  return [Field.parse(text, path), isKeras3(text)]
}

/** Longest config that makes sense, in bytes: that of a network of 1,000 layers has one. */
const longestConfig = 2 ** 28

async function readConfigFile(source: RangeSource): Promise<readonly [Field, boolean]> {
  const range = await openRange(source, typeof source === 'string' ? undefined : 'config')
  try {
    const text = await textOf(range)
    return [Field.parse(text, range.path), isKeras3(text)]
  } finally {
    await range.close()
  }
}

const isKeras3 = (text: string) => text.includes('__keras_tensor__') || text.includes('"batch_shape"')

async function textOf(range: RangeReader): Promise<string> {
  return decode(await range.read(0, Math.min(range.size, longestConfig)), range.path)
}

function decode(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new FormatError({
      where: path,
      what: 'this is not UTF-8 text',
      got: `${bytes.length} bytes`,
      expected: 'a JSON object',
      fix: 'get the file again',
    })
  }
}

async function importConfig(range: RangeReader, options: KerasOptions): Promise<ImportedModel> {
  const text = await textOf(range)
  const root = Field.parse(text, range.path)
  if (root.get('modelTopology').isThere) {
    throw new UnsupportedError({
      where: range.path,
      what: 'this is a model of TensorFlow.js',
      expected: 'a config of Keras',
      fix: `open it with importTfjs('${range.path}')`,
    })
  }
  const { weights } = options
  if (weights === undefined) {
    throw new ConfigError({
      where: range.path,
      what: 'a config holds layers without their weights',
      expected: 'the weights beside it',
      fix: "give the weights: importKeras('model.h5', { config: 'model.json' }), or { weights } with an open file",
    })
  }
  const version = root.get('keras_version')
  const major = version.isThere ? (version.string().startsWith('3') ? 3 : 2) : isKeras3(text) ? 3 : 2
  const variables = variablesByName(weights.tensors)
  return importTopology(root, variables, weights.path, { ...options, major, format: `Keras config, ${weights.format}` })
}

async function importArchive(range: RangeReader, options: KerasOptions): Promise<ImportedModel> {
  const zip = await openZip(range)
  const root = Field.parse(await entryText(zip, 'config.json'), `${range.path}: config.json`)
  const metadata = zip.entries.has('metadata.json')
    ? Field.parse(await entryText(zip, 'metadata.json'), `${range.path}: metadata.json`).get('keras_version')
    : undefined
  const version = metadata?.isThere ? metadata.string() : '3'
  const entry = zip.entries.get('model.weights.h5')
  if (entry === undefined) throw noEntry(zip, 'model.weights.h5')
  const file = await openHdf5(await entry.read(), `${range.path}: model.weights.h5`)
  try {
    const { variables } = await readKerasHdf5(file)
    const major = version.startsWith('3') ? 3 : 2
    return await importTopology(root, variables, file.path, { ...options, major, format: `Keras ${version} archive` })
  } finally {
    await file.close()
  }
}

async function entryText(zip: Zip, name: string): Promise<string> {
  const entry = zip.entries.get(name)
  if (entry === undefined) throw noEntry(zip, name)
  return decode(await entry.read(longestConfig), `${zip.path}: ${name}`)
}

function noEntry(zip: Zip, name: string): FormatError {
  return new FormatError({
    where: zip.path,
    what: `the archive has no ${name} (at byte offset 0)`,
    got: [...zip.entries.keys()].slice(0, 8).join(', ') || 'nothing',
    expected: 'config.json, metadata.json and model.weights.h5',
    fix: 'save the model again with model.save of Keras',
  })
}

/**
 * The weights of an HDF5 file of Keras, whatever else it holds, in Keras's layout and names.
 * @throws FormatError when it is damaged, or holds none
 */
export async function openKerasWeights(source: RangeSource, path?: string): Promise<WeightsFile> {
  const file = await openHdf5(source, path)
  try {
    const { variables, format, version } = await readKerasHdf5(file)
    return {
      path: file.path,
      format: named(format, version),
      layout: 'keras',
      tensors: variables.tensors,
      metadata: version === undefined ? {} : { keras_version: version },
      close: () => file.close(),
    }
  } catch (error) {
    await file.close()
    throw error
  }
}
