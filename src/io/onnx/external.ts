/** Values of tensors that lie in other files of the model's folder. */
import { joinPath, openRange, type RangeReader, realPath } from '#platform'
import type { MessageReader } from './read-message.ts'
import type { Message } from './schema.ts'
import { rawBytes, type TensorMessage } from './tensors.ts'
import { shortName } from './values.ts'

/** Opens a file by its location in the folder. */
type Open = (location: string) => Promise<RangeReader>

const isExternal = (tensor: TensorMessage): boolean => tensor.dataLocation === 1

/** All tensors of a graph; those of graphs inside nodes are not read anyway. */
function tensorsOf(graph: Message<'Graph'>): TensorMessage[] {
  const constants = graph.node.flatMap((node) => node.attribute.flatMap(({ t }) => (t === undefined ? [] : [t])))
  return [...graph.initializer, ...constants]
}

/** A path below the folder on every system: plain names, no way up, no drive. */
const staysInside = (location: string): boolean =>
  /^[^\\:\p{Cc}]{1,1000}$/u.test(location) &&
  location.split('/').every((part) => part !== '' && part !== '.' && part !== '..')

/** Where the values of a tensor are. */
function placeOf(reader: MessageReader, tensor: TensorMessage): { location: string; offset: number; length: number } {
  const entries = new Map(tensor.externalData.map(({ key = '', value = '' }) => [key, value]))
  const name = `tensor '${shortName(tensor.name)}'`
  const location = entries.get('location') ?? ''
  const length = rawBytes(tensor)
  const offset = Number(entries.get('offset') ?? 0)
  if (!staysInside(location)) {
    throw reader.error(`${name} lies in no file of the model's folder`, {
      at: tensor,
      got: JSON.stringify(location.slice(0, 120)),
      expected: 'a path that stays in the folder',
    })
  }
  const given = Number(entries.get('length') ?? length)
  if (length === undefined || given !== length || !Number.isSafeInteger(offset) || offset < 0) {
    throw reader.error(`${name} says in an impossible way where its values are`, {
      at: tensor,
      got: [...entries].map(([key, value]) => `${key} ${value.slice(0, 40)}`).join(', '),
      expected: `an offset from 0${length === undefined ? '' : ` and a length of ${length}`}`,
    })
  }
  return { location, offset, length }
}

/** Opens files beside the model; links that lead out of its folder are refused. */
export function besideModel(reader: MessageReader): Open {
  const folder = joinPath(reader.path, '..')
  return async (location) => {
    const path = joinPath(folder, location)
    const [inside, real] = [await realPath(folder), await realPath(path)]
    if (!real.startsWith(joinPath(inside, 'x').slice(0, -1))) {
      throw reader.error(`'${location}' is a link out of the model's folder`, { expected: 'a file in the folder' })
    }
    return openRange(path)
  }
}

/**
 * Reads the values of all tensors that are not in the file itself.
 * @throws FormatError when a location leaves the folder, or offset and length do not fit; ConfigError when a file is missing
 */
export async function readExternal(
  reader: MessageReader,
  graph: Message<'Graph'>,
  open: Open,
): Promise<Map<object, Uint8Array>> {
  const found = new Map<object, Uint8Array>()
  const files = new Map<string, RangeReader>()
  try {
    for (const tensor of tensorsOf(graph).filter(isExternal)) {
      const { location, offset, length } = placeOf(reader, tensor)
      const file = files.get(location) ?? (await open(location))
      files.set(location, file)
      found.set(tensor, await file.read(offset, length))
    }
  } finally {
    for (const file of files.values()) await file.close()
  }
  return found
}
