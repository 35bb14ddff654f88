/** Configs and files of Keras for tests, as Keras 2 and Keras 3 write them. */
import type { Shape } from '../../base/shape.ts'
import { sizeOf } from '../../base/shape.ts'
import { writeZip } from '../../testing/write-zip.ts'
import { type GroupToWrite, writeHdf5 } from '../hdf5/write.cases.ts'

export interface Values {
  readonly shape: Shape
  readonly data: Float32Array<ArrayBuffer>
}

type Config = Readonly<Record<string, unknown>>

export interface LayerConfig {
  readonly class_name: string
  readonly config: Config
  readonly name: string
  readonly inbound_nodes: readonly unknown[]
}

/** Numbers that look like nothing, between -1 and 1, the same every time. */
export const numbers = (shape: Shape, salt = 1): Values => ({
  shape,
  data: Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(12.9898 * (i + 1) + 78.233 * salt)),
})

/** A layer in the form of Keras 2; `inputs` are names of layers. */
export function layer2(
  className: string,
  name: string,
  config: Config = {},
  inputs: readonly string[] = [],
): LayerConfig {
  return {
    class_name: className,
    config: { name, trainable: true, dtype: 'float32', ...config },
    name,
    inbound_nodes: inputs.length === 0 ? [] : [inputs.map((input) => [input, 0, 0, {}])],
  }
}

export function sequential2(input: readonly (number | null)[], layers: readonly LayerConfig[], name = 'sequential') {
  const first = layer2('InputLayer', `${name}_input`, { batch_input_shape: [null, ...input], sparse: false })
  const plain = [first, ...layers].map(({ class_name, config }) => ({ class_name, config }))
  return { class_name: 'Sequential', config: { name, layers: plain } }
}

export function functional2(layers: readonly LayerConfig[], output: string, name = 'model') {
  const ends = { input_layers: [[layers[0].name, 0, 0]], output_layers: [[output, 0, 0]] }
  return { class_name: 'Functional', config: { name, layers, ...ends } }
}

/** The same in the form of Keras 3: results are objects, dtypes too. */
export function layer3(
  className: string,
  name: string,
  config: Config = {},
  inputs: readonly string[] = [],
): LayerConfig & Config {
  const result = (input: string) => ({
    class_name: '__keras_tensor__',
    config: { shape: [null, 1], dtype: 'float32', keras_history: [input, 0, 0] },
  })
  const args = inputs.length > 1 ? [inputs.map(result)] : inputs.map(result)
  return {
    module: 'keras.layers',
    class_name: className,
    config: {
      name,
      trainable: true,
      dtype: { module: 'keras', class_name: 'DTypePolicy', config: { name: 'float32' }, registered_name: null },
      ...config,
    },
    registered_name: null,
    build_config: { input_shape: [null, 1] },
    name,
    inbound_nodes: inputs.length === 0 ? [] : [{ args, kwargs: {} }],
  }
}

/** Weights as Keras 2 stores them: a group for each layer, names of variables beside it. */
function legacyGroup(weights: ReadonlyMap<string, Values>, layers: readonly string[]): GroupToWrite {
  const groups = layers.map((name) => {
    const own = [...weights].filter(([path]) => path.startsWith(`${name}/`))
    const group: { [path: string]: GroupToWrite | Values } = {}
    const scoped = own.map(([path]) => (path.split('/').length > 2 ? path.slice(name.length + 1) : path))
    own.forEach(([, values], i) => {
      nest(group, scoped[i].split('/'), values)
    })
    const attributes = { weight_names: scoped }
    return [name, { attributes, inside: group as GroupToWrite['inside'] }] as const
  })
  return { attributes: { layer_names: layers, backend: 'tensorflow' }, inside: Object.fromEntries(groups) }
}

type Tree = { [path: string]: GroupToWrite | Values }

function nest(tree: Tree, [first, ...rest]: readonly string[], values: Values): void {
  if (rest.length === 0) {
    tree[first] = values
    return
  }
  const group = (tree[first] as { inside: Tree } | undefined) ?? { inside: {} }
  tree[first] = group as GroupToWrite
  nest(group.inside, rest, values)
}

/** `model.save('model.h5')`. @param weights by `layer/variable:0` */
export const writeH5 = (config: object, weights: ReadonlyMap<string, Values>, layers: readonly string[]) =>
  writeHdf5({
    attributes: { backend: 'tensorflow', keras_version: '2.11.0', model_config: JSON.stringify(config) },
    inside: { model_weights: legacyGroup(weights, layers) },
  })

/** `model.save_weights('model.h5')` of Keras 2. */
export const writeWeightsH5 = (weights: ReadonlyMap<string, Values>, layers: readonly string[]) =>
  writeHdf5(legacyGroup(weights, layers))

/** `model.save_weights('model.weights.h5')` of Keras 3. @param weights by `layers/conv2d/vars/0` */
export function writeWeights3(weights: ReadonlyMap<string, Values>): Promise<Uint8Array> {
  const tree: Tree = {}
  for (const [path, values] of weights) nest(tree, path.split('/'), values)
  return writeHdf5({ inside: tree as GroupToWrite['inside'] })
}

/** `model.save('model.keras')`. */
export async function writeKeras(config: object, weights: ReadonlyMap<string, Values>): Promise<Uint8Array> {
  const text = (value: object) => new TextEncoder().encode(JSON.stringify(value))
  return writeZip([
    { name: 'metadata.json', bytes: text({ keras_version: '3.3.3', date_saved: '2024-05-01@10:00:00' }) },
    { name: 'config.json', bytes: text(config) },
    { name: 'model.weights.h5', bytes: await writeWeights3(weights) },
  ])
}
