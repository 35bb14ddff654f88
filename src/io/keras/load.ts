/** Puts stored values into a model, one variable at a time: no second copy of all of them. */
import { FormatError } from '../../base/errors.ts'
import { type Shape, sameShape, showShape, sizeOf } from '../../base/shape.ts'
import { init, type Model } from '../../nn/model.ts'
import { toFloat32 } from '../safetensors.ts'
import type { StoredTensor } from '../weights/source.ts'
import type { BuiltNet, Stored } from './build.ts'
import type { Variable, Variables } from './lookup.ts'
import type { Slot } from './use.ts'

/**
 * A model of a net with stored values, in inference mode. Layers that Keras was not to train are frozen.
 * @param path the file of the values, for messages
 * @returns the model and what is to be told of it
 * @throws FormatError naming layer and variable when values are missing or of another shape
 */
export async function loadStored(
  { net, stored }: BuiltNet,
  input: Shape,
  variables: Variables,
  path: string,
): Promise<{ model: Model; notes: string[] }> {
  const model = init(net, { input })
  const used = new Set<StoredTensor>()
  for (const layer of stored) {
    // Nothing is allocated for a parameter before its stored shape is known to be that of the model.
    const slots = layer.slots.filter(({ values }) => values === undefined)
    const found = slots.length === 0 ? [] : match(layer, slots, variables.of(layer), path)
    for (const [i, slot] of slots.entries()) {
      const { tensor } = found[i]
      used.add(tensor)
      await loadSlot(model, layer, slot, tensor, path)
    }
    for (const { to, values } of layer.slots) {
      if (values === undefined) continue
      const state = model.get(`${layer.path}.${to}`)
      // One number stands for all, as long as that is no way to ask for memory.
      if (values.length !== state.size && !(values.length === 1 && state.size <= 2 ** 16)) {
        throw problem(path, layer, `has ${values.length} numbers in its config`, `1 or ${state.size}`)
      }
      await state.load(Float32Array.from({ length: state.size }, (_, i) => values[i % values.length]))
    }
  }
  return { model: model.eval(), notes: [...freeze(model, stored), ...leftOver(variables, used)] }
}

const inConfig = (at: string): string => at.replace(/\)$/, ' of the config)')

function problem(path: string, layer: Stored, got: string, expected: string): FormatError {
  return new FormatError({
    where: path,
    what: `the stored values of layer "${layer.names.join('/')}" are not those of the model${inConfig(layer.field.at)}`,
    got,
    expected,
    fix: 'put the architecture and the weights of one model together',
  })
}

/** By name where all names are there, else by order. */
function match(
  layer: Stored,
  slots: readonly Slot[],
  found: readonly Variable[] | undefined,
  path: string,
): readonly Variable[] {
  const named = slots.map(({ variable }) => found?.find((one) => one.variable === variable))
  if (named.every((one) => one !== undefined)) return named
  if (found?.length === slots.length) return found
  const got = found?.map(({ variable, tensor }) => variable ?? tensor.name).join(', ')
  throw problem(path, layer, got ?? 'nothing', slots.map(({ variable }) => variable).join(', '))
}

async function loadSlot(model: Model, layer: Stored, slot: Slot, tensor: StoredTensor, path: string): Promise<void> {
  const state = model.get(`${layer.path}.${slot.to}`)
  const fits = slot.turn === 'reshape' ? sizeOf(tensor.shape) === state.size : sameShape(tensor.shape, state.shape)
  if (!fits) {
    throw problem(
      path,
      layer,
      `${slot.variable} ${showShape(tensor.shape)}`,
      `${slot.variable} ${showShape(state.shape)}`,
    )
  }
  const data = await tensor.read()
  await state.load(data instanceof Float32Array ? data : toFloat32({ dtype: tensor.dtype, shape: tensor.shape, data }))
}

function freeze(model: Model, stored: readonly Stored[]): string[] {
  const frozen = stored.filter(({ trainable }) => !trainable)
  for (const parameter of model.parameters) {
    if (frozen.some(({ path }) => parameter.name.startsWith(`${path}.`))) parameter.trainable = false
  }
  if (frozen.length === 0) return []
  const names = frozen.slice(0, 3).map(({ path }) => path)
  const more = frozen.length > 3 ? ` and ${frozen.length - 3} more` : ''
  return [`frozen, as in Keras: ${names.join(', ')}${more}`]
}

function leftOver({ tensors }: Variables, used: ReadonlySet<StoredTensor>): string[] {
  // Random numbers that dropout draws, and what was counted while measuring.
  const names = [...tensors].filter(([name, tensor]) => !used.has(tensor) && !/seed_generator|\/count$/.test(name))
  if (names.length === 0) return []
  const some = names.slice(0, 4).map(([name]) => name)
  return [`stored and not used: ${some.join(', ')}${names.length > 4 ? ` and ${names.length - 4} more` : ''}`]
}
