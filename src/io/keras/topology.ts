import { ConfigError, UnsupportedError } from '../../base/errors.ts'
import { type Shape, showShape } from '../../base/shape.ts'
import { followLayers } from '../../nn/flow.ts'
import type { Model } from '../../nn/model.ts'
import type { ImportedModel } from '../imported-model.ts'
import type { Field } from '../json-fields.ts'
import type { KerasVersion } from './activations.ts'
import { buildNet } from './build.ts'
import { type KerasModel, readKerasModel } from './config.ts'
import { loadStored } from './load.ts'
import type { Variables } from './lookup.ts'

export interface Topology {
  readonly major: KerasVersion
  /** For people. */
  readonly format: string
  /** Shape of a sample, where the model leaves extents open. */
  readonly input?: Shape
  /** Name of the layer whose result comes out. */
  readonly output?: string
}

/**
 * A topology in Keras's form with values from anywhere.
 * @param path of the values, for messages
 */
export async function importTopology(
  root: Field,
  variables: Variables,
  path: string,
  { major, format, input, output }: Topology,
): Promise<ImportedModel> {
  const kerasModel = readKerasModel(root)
  const shape = inputShape(kerasModel, input)
  const built = buildNet(kerasModel, { version: major, input: shape, output })
  const { model, notes } = await loadStored(built, shape, variables, path)
  if (scalesItself(kerasModel)) {
    // Bytes become 0 … 1 on entry otherwise.
    model.pictures = { mean: 0, std: 1 / 255 }
    notes.push('pictures go in as 0 … 255: the first layer scales them')
  }
  return {
    model,
    ...(takesNumbers(model) ? { dtype: 'i32' } : {}),
    report: { format, notes: [...built.notes, ...notes] },
  }
}

/** Whether what goes in are rows of a table by their numbers, as of words. */
function takesNumbers({ net, inputShape }: Model): boolean {
  let found = false
  followLayers(net, inputShape, true, ({ layer, inputs }) => {
    found ||= layer.type === 'embedding' && inputs.some(({ value }) => value)
    return layer.type === 'identity' && inputs[0].value
  })
  return found
}

/** Whether a model begins with a layer that takes pictures as they are; those that only change what is trained on aside. */
function scalesItself({ layers }: KerasModel): boolean {
  const first = layers.find(({ className }) => !/^(InputLayer|Random.*|Resizing|ZeroPadding2D)$/.test(className))
  if (first?.model !== undefined) return scalesItself(first.model)
  return first?.className === 'Rescaling' || first?.className === 'Normalization'
}

function inputShape(model: KerasModel, given: Shape | undefined): Shape {
  const { inputShape: shape } = model
  const where = model.field.path
  if (given !== undefined) {
    const fits =
      shape === undefined ||
      (shape.length === given.length && shape.every((extent, axis) => extent === null || extent === given[axis]))
    if (fits && given.every((extent) => Number.isSafeInteger(extent) && extent >= 1)) return given
    throw new ConfigError({
      where,
      what: 'the model does not take samples of this shape',
      got: showShape(given),
      expected: shape === undefined ? 'whole numbers of at least 1' : showOpen(shape),
      fix: 'correct the option input',
    })
  }
  if (shape === undefined || shape.some((extent) => extent === null)) {
    throw new UnsupportedError({
      where,
      what: 'the model leaves open how large its samples are',
      got: shape === undefined ? 'no shape' : showOpen(shape),
      expected: 'a shape without open extents',
      fix: 'give the shape of a sample: input: [224, 224, 3]',
    })
  }
  return shape as Shape
}

const showOpen = (shape: readonly (number | null)[]) => `[${shape.map((extent) => extent ?? 'any').join(', ')}]`
