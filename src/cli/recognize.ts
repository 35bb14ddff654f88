/** Which of the architectures a file of weights is for. */
import { sizeOf } from '../base/shape.ts'
import { init, models, type nn, type Shape } from '../index.ts'

export interface Recognized {
  readonly name: models.ArchitectureName
  /** How many numbers its head gives. */
  readonly classes: number
  /** Samples that its form is for: [height, width, channels]. */
  readonly input: Shape
  readonly net: nn.Layer
}

const smallPictures: Shape = [32, 32, 3]

/** What a name in a file of weights stands for. */
function pathOf(architecture: models.ArchitectureName, name: string): string {
  const rename = models.published[architecture]?.rename
  const plain = name.replace(/^module\./, '')
  return rename === undefined ? plain : rename(plain)
}

/**
 * The architecture whose parameters and statistics a file of weights holds, by names and numbers of values; `undefined`
 * where it is none of them.
 * @param tensors of the file, by name: the last axis or the first of the head's weight counts the classes
 */
export function recognize(tensors: ReadonlyMap<string, { readonly shape: Shape }>): Recognized | undefined {
  for (const name of Object.keys(models.architectures) as models.ArchitectureName[]) {
    const sizes = new Map<string, Shape>()
    for (const [stored, { shape }] of tensors) {
      if (!stored.endsWith('num_batches_tracked')) sizes.set(pathOf(name, stored), shape)
    }
    for (const input of [models.usualInputs[name], smallPictures]) {
      const found = fits(name, input, sizes)
      if (found !== undefined) return found
    }
  }
  return undefined
}

function fits(
  name: models.ArchitectureName,
  input: Shape,
  tensors: ReadonlyMap<string, Shape>,
): Recognized | undefined {
  const usual = models.architectures[name]({ input })
  const last = tensors.get(`${models.head(usual).path}.weight`)
  if (last === undefined) return undefined
  for (const classes of new Set([last[0], last[last.length - 1]])) {
    const net = models.architectures[name]({ input, classes })
    const { parameters, states } = init(net, { input })
    const all = [...parameters, ...states]
    const equal = all.every(({ name: path, size }) => {
      const shape = tensors.get(path)
      return shape !== undefined && sizeOf(shape) === size
    })
    if (equal && all.length === tensors.size) return { name, classes, input, net }
  }
  return undefined
}
