/** Values of tensors that lie in other files of the model's folder. */
import { joinPath, openRange, type RangeReader, realPath } from '#platform'
import type { MessageReader } from './read-message.ts'
import type { Message } from './schema.ts'
import { rawBytes, type TensorMessage } from './tensors.ts'
import { shortName } from './values.ts'

/** Opens a file by its location in the folder. */
type Open = (location: string) => Promise<RangeReader>

export const isExternal = (tensor: TensorMessage): boolean => tensor.dataLocation === 1

/** The tensors that nodes take; those of graphs inside nodes are not read anyway. */
function tensorsOf(graph: Message<'Graph'>, nodes: readonly Message<'Node'>[]): TensorMessage[] {
  const taken = new Set(nodes.flatMap(({ input }) => input))
  const constants = nodes.flatMap((node) => node.attribute.flatMap(({ t }) => (t === undefined ? [] : [t])))
  return [...graph.initializer.filter(({ name = '' }) => taken.has(name)), ...constants]
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

interface OpenFile {
  readonly file: RangeReader
  /** What was read of it, by offset and length: tied weights lie at the same place. */
  readonly ranges: Map<string, Uint8Array>
  read: number
}

/** Ranges of one file that overlap may hold this many times its bytes; no exporter writes any that do. */
const mostOverlap = 2

/**
 * Reads the values of the tensors that nodes take and that are not in the file itself. Every range is read once.
 * @param nodes those that the output needs
 * @returns the values by tensor, and how many bytes these are in all
 * @throws FormatError when a location leaves the folder, offset and length do not fit, or ranges overlap beyond measure;
 * ConfigError when a file is missing
 */
export async function readExternal(
  reader: MessageReader,
  graph: Message<'Graph'>,
  nodes: readonly Message<'Node'>[],
  open: Open,
): Promise<{ readonly external: Map<object, Uint8Array>; readonly bytes: number }> {
  const external = new Map<object, Uint8Array>()
  const files = new Map<string, OpenFile>()
  let bytes = 0
  try {
    for (const tensor of tensorsOf(graph, nodes).filter(isExternal)) {
      const { location, offset, length } = placeOf(reader, tensor)
      const opened = files.get(location) ?? { file: await open(location), ranges: new Map(), read: 0 }
      files.set(location, opened)
      const key = `${offset} ${length}`
      const before = opened.ranges.get(key)
      if (before === undefined) {
        opened.read += length
        if (opened.read > mostOverlap * opened.file.size && offset + length <= opened.file.size) {
          throw reader.error(`the tensors in '${location}' overlap`, {
            at: tensor,
            got: `tensors of ${opened.read} bytes and more`,
            expected: `at most ${mostOverlap} times the ${opened.file.size} bytes of the file`,
          })
        }
        bytes += length
        opened.ranges.set(key, await opened.file.read(offset, length))
      }
      external.set(tensor, opened.ranges.get(key) as Uint8Array)
    }
  } finally {
    for (const { file } of files.values()) await file.close()
  }
  return { external, bytes }
}
