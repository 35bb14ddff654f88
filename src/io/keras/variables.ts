/** What Keras stores in HDF5 files. */
import { FormatError } from '../../base/errors.ts'
import { Hdf5Dataset, type Hdf5File, Hdf5Group } from '../hdf5/file.ts'
import type { StoredTensor } from '../weights/source.ts'
import { type Variables, variablesByName, variablesByPlace } from './lookup.ts'

/** A file's weights and what Keras wrote beside them. */
export interface KerasWeights {
  readonly variables: Variables
  /** `Keras 2 HDF5` or `Keras 3 HDF5`. */
  readonly format: string
  /** The architecture as JSON, where the file has it. */
  readonly config: string | undefined
  readonly version: string | undefined
}

/**
 * Everything that is stored in an HDF5 file of Keras: whole models and weights alone, of Keras 2 and Keras 3.
 * @throws FormatError when there are no weights in it
 */
export async function readKerasHdf5(file: Hdf5File): Promise<KerasWeights> {
  const { root, path } = file
  const text = async (name: string) => {
    const value = await root.attribute(name)
    return typeof value === 'string' ? value : undefined
  }
  const config = await text('model_config')
  const inner = await root.find('model_weights')
  const top = inner instanceof Hdf5Group ? inner : root
  const names = await listOf(top, 'layer_names')
  if (names !== undefined) {
    const version = (await text('keras_version')) ?? (await versionOf(top))
    const tensors = await legacyTensors(path, top, names)
    return { variables: variablesByName(tensors), format: 'Keras HDF5', config, version }
  }
  const tensors = new Map<string, StoredTensor>()
  for (const [name, dataset] of await root.datasets()) {
    const stored = await tensorOf(name, dataset)
    if (stored !== undefined && /(^|\/)vars\/\d+$/.test(name)) tensors.set(name, stored)
  }
  if (tensors.size > 0) return { variables: variablesByPlace(tensors), format: 'Keras 3 HDF5', config, version: '3' }
  throw new FormatError({
    where: path,
    what: 'there are no Keras weights in this HDF5 file (at byte offset 0)',
    got: (await root.names()).slice(0, 8).join(', ') || 'nothing',
    expected: 'an attribute layer_names, a group model_weights, or layers/…/vars/0',
    fix: 'write it with model.save or model.save_weights of Keras',
  })
}

async function versionOf(group: Hdf5Group): Promise<string | undefined> {
  const value = await group.attribute('keras_version')
  return typeof value === 'string' ? value : undefined
}

/** A list of texts; long ones are cut into `name0`, `name1`, …. */
async function listOf(group: Hdf5Group, name: string): Promise<readonly string[] | undefined> {
  const whole = await group.attribute(name)
  if (Array.isArray(whole)) return whole.map(String)
  const all: string[] = []
  for (let i = 0; ; i++) {
    const part = await group.attribute(`${name}${i}`)
    if (!Array.isArray(part)) return i === 0 ? undefined : all
    all.push(...part.map(String))
  }
}

async function legacyTensors(
  path: string,
  top: Hdf5Group,
  layerNames: readonly string[],
): Promise<Map<string, StoredTensor>> {
  const tensors = new Map<string, StoredTensor>()
  for (const layerName of layerNames) {
    const group = await top.find(layerName)
    if (!(group instanceof Hdf5Group)) throw missing(path, `the group of layer "${layerName}"`)
    for (const weight of (await listOf(group, 'weight_names')) ?? []) {
      const dataset = await group.find(weight)
      const where = `${layerName}/${weight}`
      if (!(dataset instanceof Hdf5Dataset)) throw missing(path, `dataset "${where}"`)
      const name = scoped(layerName, weight)
      const stored = await tensorOf(name, dataset)
      if (stored !== undefined) tensors.set(name, stored)
    }
  }
  return tensors
}

/** The name of a variable with its layer's in front, where it does not begin with it, and without the number behind. */
function scoped(layerName: string, weight: string): string {
  const plain = weight.replace(/:\d+$/, '')
  return plain.startsWith(`${layerName}/`) ? plain : `${layerName}/${plain}`
}

function missing(path: string, what: string): FormatError {
  return new FormatError({
    where: path,
    what: `${what} is missing (at byte offset 0)`,
    got: 'its name in the list of those that are stored',
    expected: 'the group or dataset itself',
    fix: 'the file is damaged: write it again with Keras',
  })
}

/** Undefined where the elements are no numbers. */
async function tensorOf(name: string, dataset: Hdf5Dataset): Promise<StoredTensor | undefined> {
  const { shape, dtype, elementSize } = dataset
  if (dtype !== undefined) return { name, shape, dtype, read: () => dataset.read() }
  const isBrain = elementSize === 2 && (await dataset.attribute('dtype')) === 'bfloat16'
  return isBrain ? { name, shape, dtype: 'BF16', read: () => dataset.read('BF16') } : undefined
}
