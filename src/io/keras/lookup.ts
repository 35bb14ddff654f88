/** Where the values of Keras's layers are found. */
import type { StoredTensor } from '../weights/source.ts'
import type { Stored } from './build.ts'

export interface Variable {
  /** As Keras calls it: `kernel`; undefined where only the order tells. */
  readonly variable: string | undefined
  readonly tensor: StoredTensor
}

/** What is stored of layers. */
export interface Variables {
  /** Of one layer, in Keras's order; undefined when there is nothing. */
  of(layer: Stored): readonly Variable[] | undefined
  /** Names of everything that is stored, by which `report` tells what was not asked for. */
  readonly tensors: ReadonlyMap<string, StoredTensor>
}

/** `conv2d/kernel:0` is `kernel` in the scope `conv2d`. */
function split(name: string): { scope: string; variable: string } {
  const plain = name.replace(/:\d+$/, '')
  const at = plain.lastIndexOf('/')
  return { scope: at < 0 ? '' : plain.slice(0, at), variable: plain.slice(at + 1) }
}

/**
 * Variables by their names, as Keras 2 and TensorFlow.js write them: the layer's name is the end of the scope.
 * @param tensors by name; in Keras's order within a layer
 */
export function variablesByName(tensors: ReadonlyMap<string, StoredTensor>): Variables {
  const scopes = new Map<string, Variable[]>()
  const outermost = new Map<string, Variable[]>()
  const add = (to: Map<string, Variable[]>, key: string, variable: Variable) => {
    const found = to.get(key)
    if (found === undefined) to.set(key, [variable])
    else found.push(variable)
  }
  for (const [name, tensor] of tensors) {
    const { scope, variable } = split(name)
    add(scopes, scope, { variable, tensor })
    add(outermost, scope.split('/')[0], { variable, tensor })
  }
  // The last name of a scope is enough where only one scope has it.
  const endings = new Map<string, readonly Variable[] | undefined>()
  for (const [scope, found] of scopes) {
    const end = scope.slice(scope.lastIndexOf('/') + 1)
    endings.set(end, endings.has(end) ? undefined : found)
  }
  return {
    tensors,
    of({ names }) {
      for (let from = 0; from < names.length; from++) {
        const found = scopes.get(names.slice(from).join('/'))
        if (found !== undefined) return found
      }
      const inner = endings.get(names[names.length - 1])
      return names.length === 1 ? (outermost.get(names[0]) ?? inner) : inner
    },
  }
}

/** Those of a file of Keras 3: numbered, in a group for each layer. */
export function variablesByPlace(tensors: ReadonlyMap<string, StoredTensor>): Variables {
  const places = new Map<string, { index: number; tensor: StoredTensor }[]>()
  for (const [name, tensor] of tensors) {
    const match = /^(?:(.*)\/)?vars\/(\d+)$/.exec(name)
    if (match === null) continue
    const found = places.get(match[1] ?? '') ?? []
    found.push({ index: Number(match[2]), tensor })
    places.set(match[1] ?? '', found)
  }
  return {
    tensors,
    of({ place }) {
      // TensorFlow 2.12 and 2.13 gave the list of layers another name.
      const found = places.get(place) ?? places.get(place.replaceAll('layers/', '_layer_checkpoint_dependencies/'))
      return found?.toSorted((a, b) => a.index - b.index).map(({ tensor }) => ({ variable: undefined, tensor }))
    },
  }
}
