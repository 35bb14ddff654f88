/**
 * Layers models of TensorFlow.js: model.json with the topology of Keras, and shards of weights. Nothing in a file is
 * executed.
 *
 * @see https://github.com/tensorflow/tfjs/tree/master/tfjs-layers
 */
import { isDirectory, joinPath, openRange, type RangeSource } from '#platform'
import { ByteReader } from '../../base/bytes.ts'
import { UnsupportedError } from '../../base/errors.ts'
import type { Shape } from '../../base/shape.ts'
import type { ImportedModel } from '../imported-model.ts'
import { Field } from '../json-fields.ts'
import { variablesByName } from '../keras/lookup.ts'
import { importTopology } from '../keras/topology.ts'
import { readManifest, type ShardSource } from './manifest.ts'

/** The files of a model that are at hand, as in a page. */
export interface TfjsFiles {
  /** model.json: its text, its bytes, or what it holds. */
  readonly json: string | Uint8Array | object
  /** Shards by the names that model.json gives them. */
  readonly shards: ReadonlyMap<string, RangeSource> | Readonly<Record<string, Uint8Array | Blob>>
}

export interface TfjsOptions {
  /** For messages; default: the source's own, `model.json` of files at hand. */
  readonly path?: string
  /** Shape of a sample, where the model leaves extents open: `[224, 224, 3]`. */
  readonly input?: Shape
  /** Name of the layer whose result comes out; default: the model's only output. */
  readonly output?: string
}

/** Longest model.json that makes sense, in bytes: the weights are not in it. */
const longestJson = 2 ** 28

/**
 * A layers model of TensorFlow.js as one of ours, in inference mode, with its weights; it trains like any other.
 * Parameters are named after its layers: `conv2d_1.weight`.
 *
 * ```ts
 * const { model } = await importTfjs('darknettiny/model.json')
 * ```
 *
 * @param source path of model.json or of its folder (Node), or the files
 * @throws FormatError with path and field when something is wrong or missing, UnsupportedError on graph models and on
 * layers that are not known here
 */
export async function importTfjs(source: string | TfjsFiles, options: TfjsOptions = {}): Promise<ImportedModel> {
  const { root, shards } = await openFiles(source, options.path)
  const format = root.get('format')
  const topology = root.get('modelTopology')
  if (format.value === 'graph-model' || (topology.isThere && topology.get('node').isThere)) {
    throw new UnsupportedError({
      where: root.path,
      what: 'this is a graph model, which holds operations of TensorFlow and no layers',
      got: 'format "graph-model"',
      expected: 'format "layers-model"',
      fix: 'convert the model it was made from: save it in Keras as .keras or .h5, or as ONNX with tf2onnx',
    })
  }
  if (format.isThere) format.oneOf('layers-model')
  const inner = topology.get('model_config')
  const version = topology.get('keras_version')
  const keras = version.isThere ? version.string() : undefined
  const manifest = await readManifest(root.get('weightsManifest'), shards)
  try {
    const { input, output } = options
    return await importTopology(inner.isThere ? inner : topology, variablesByName(manifest.tensors), root.path, {
      major: keras?.startsWith('3') ? 3 : 2,
      format: `TensorFlow.js layers${keras === undefined ? '' : `, Keras ${keras.slice(0, 40)}`}`,
      input,
      output,
    })
  } finally {
    await manifest.close()
  }
}

async function openFiles(source: string | TfjsFiles, named?: string): Promise<{ root: Field; shards: ShardSource }> {
  if (typeof source === 'string') {
    const path = (await isDirectory(source)) ? joinPath(source, 'model.json') : source
    const range = await openRange(path, named)
    try {
      const bytes = await range.read(0, Math.min(range.size, longestJson))
      return { root: Field.parse(textOf(bytes, range.path), range.path, { offsets: true }), shards: folderOf(path) }
    } finally {
      await range.close()
    }
  }
  const { json, shards } = source
  const path = named ?? 'model.json'
  const root =
    json instanceof Uint8Array
      ? Field.parse(textOf(json, path), path, { offsets: true })
      : typeof json === 'string'
        ? Field.parse(json, path, { offsets: true })
        : new Field(path, '', json)
  return { root, shards: shards instanceof Map ? shards : new Map(Object.entries(shards)) }
}

/** The folder of a file, as the path spells it. */
function folderOf(path: string): string {
  const end = Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\'))
  return end < 0 ? '' : path.slice(0, end + 1)
}

const textOf = (bytes: Uint8Array, path: string): string => new ByteReader(bytes, path).text(bytes.length, 'the file')
