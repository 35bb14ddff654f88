/** The values of a run's states: taken out, and put back. */
import { FormatError } from '../base/errors.ts'
import { sameShape, showShape } from '../base/shape.ts'
import type { CheckpointTensor } from '../io/index.ts'
import type { State } from '../tensor/index.ts'

export type Weights = ReadonlyMap<string, CheckpointTensor>

/** The values of states, to be written. */
export async function valuesOf(states: ReadonlyMap<string, State>): Promise<Weights> {
  const values = new Map<string, CheckpointTensor>()
  for (const [name, state] of states) {
    const data = await state.data()
    values.set(name, {
      shape: state.shape,
      data: data instanceof Int32Array ? Int32Array.from(data) : Float32Array.from(data),
    })
  }
  return values
}

/**
 * Puts values of a checkpoint back. Nothing is changed unless all fit.
 * @throws FormatError naming what is missing, unexpected or of another shape
 */
export async function restore(path: string, states: ReadonlyMap<string, State>, values: Weights): Promise<void> {
  const wrong: string[] = []
  for (const [name, state] of states) {
    const value = values.get(name)
    if (value === undefined) wrong.push(`no ${name}`)
    else if (!sameShape(value.shape, state.shape))
      wrong.push(`${name} ${showShape(value.shape)} instead of ${showShape(state.shape)}`)
  }
  for (const name of values.keys()) if (!states.has(name)) wrong.push(`unexpected ${name}`)
  if (wrong.length > 0) {
    throw new FormatError({
      where: path,
      what: 'this is the checkpoint of another model or optimizer',
      got: wrong.slice(0, 4).join('; ') + (wrong.length > 4 ? ` and ${wrong.length - 4} more` : ''),
      expected: `${states.size} tensors named and shaped as in this run`,
      fix: 'go on with the network and the optimizer that the run was begun with',
    })
  }
  for (const [name, state] of states) await state.load((values.get(name) as CheckpointTensor).data)
}
