/** Several safetensors files with an index, as the Hugging Face Hub holds large models. */
import { joinPath, openRange, type RangeReader } from '#platform'
import { ByteReader } from '../../base/bytes.ts'
import { ConfigError, type FormatError } from '../../base/errors.ts'
import { byteOffsetOf, type KeyPlaces, keyPlaces, placeOf } from '../json-keys.ts'
import { openSafetensors } from './safetensors-file.ts'
import type { StoredTensor, WeightsFile } from './source.ts'

const longestIndex = 100_000_000

/** Opens a file that stands beside the index. @throws ConfigError when it is not there */
export type OpenBeside = (name: string) => Promise<RangeReader>

/** Files in the folder of the index. */
export const besideIn =
  (folder: string): OpenBeside =>
  (name) =>
    openRange(joinPath(folder, name))

/**
 * Opens the files that an index (`model.safetensors.index.json`) names. Their headers are read and held against the index.
 * @param index closed when this returns
 * @throws FormatError on an index that is not of this form or names a file outside its folder, files that are missing
 * (all of them), and tensors that are not in their file
 */
export async function openShards(index: RangeReader, open: OpenBeside): Promise<WeightsFile> {
  const { path } = index
  const parsed = await parseIndex(index).finally(() => index.close())
  const shards = await openAll(parsed, open)
  const close = async () => {
    for (const shard of shards.values()) await shard.close()
  }
  try {
    const tensors = new Map<string, StoredTensor>()
    for (const [name, file] of parsed.files) {
      const tensor = shards.get(file)?.tensors.get(name)
      if (tensor === undefined) {
        throw parsed.error(['weight_map', name], `tensor '${name}' is not in the file that the index names`, {
          got: `${shards.get(file)?.tensors.size} other tensors in ${file}`,
          expected: `'${name}' in ${file}`,
        })
      }
      tensors.set(name, tensor)
    }
    const [first] = shards.values()
    const count = shards.size
    return {
      path,
      format: `safetensors in ${count} ${count === 1 ? 'file' : 'files'}`,
      layout: first?.layout ?? 'pytorch',
      layoutIsGuess: first?.layoutIsGuess,
      tensors,
      metadata: first?.metadata ?? {},
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

interface Details {
  readonly got?: string
  readonly expected?: string
  readonly fix?: string
}

interface Index {
  /** The file of each tensor. */
  readonly files: ReadonlyMap<string, string>
  error(keys: readonly string[], what: string, details: Details): FormatError
}

async function parseIndex(range: RangeReader): Promise<Index> {
  const { path, size } = range
  const bytes = new ByteReader(await range.read(0, Math.min(size, longestIndex + 1)), path)
  if (size > longestIndex) {
    throw bytes.error('the index is absurdly large', { got: `${size} bytes`, expected: `at most ${longestIndex}` })
  }
  const text = bytes.text(size, 'the index')
  let places: KeyPlaces = new Map()
  const errorAt = (index: number, what: string, details: Details) =>
    bytes.error(what, {
      offset: byteOffsetOf(text, index),
      fix: 'get the index again, from where the files came from',
      ...details,
    })
  const error: Index['error'] = (keys, what, details) => errorAt(placeOf(places, keys), what, details)
  let root: unknown
  try {
    root = JSON.parse(text)
  } catch (cause) {
    const { message } = cause as Error
    const position = Number(/position (\d+)/.exec(message)?.[1] ?? 0)
    throw errorAt(position, 'the index is not JSON', { got: message, expected: 'a JSON object' })
  }
  places = keyPlaces(text, 2, (key, index) => errorAt(index, `the index names ${key} twice`, {}))
  const map = isRecord(root) && Object.hasOwn(root, 'weight_map') ? root.weight_map : undefined
  if (!isRecord(map)) {
    throw error(['weight_map'], 'the index has no weight_map', { expected: 'an object: tensor names with file names' })
  }
  const files = new Map<string, string>()
  for (const [name, file] of Object.entries(map)) {
    if (typeof file !== 'string' || !isPlainName(file)) {
      throw error(['weight_map', name], `tensor '${name}' is in no file of this folder`, {
        got: JSON.stringify(file)?.slice(0, 80),
        expected: 'the plain name of a .safetensors file beside the index',
      })
    }
    files.set(name, file)
  }
  return { files, error }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Whether a file name stays in its folder on every system. */
function isPlainName(name: string): boolean {
  return /^[^/\\:\p{Cc}]{1,255}$/u.test(name) && name.endsWith('.safetensors')
}

async function openAll(index: Index, open: OpenBeside): Promise<ReadonlyMap<string, WeightsFile>> {
  const names = new Set(index.files.values())
  const shards = new Map<string, WeightsFile>()
  const missing: string[] = []
  try {
    for (const name of names) {
      const range = await open(name).catch((error: unknown) => {
        if (!(error instanceof ConfigError)) throw error
        missing.push(name)
      })
      if (range === undefined) continue
      const shard = await openSafetensors(range).catch(async (error: unknown) => {
        await range.close()
        throw error
      })
      shards.set(name, shard)
    }
    if (missing.length === 0) return shards
    const shown = missing.slice(0, 8).join(', ') + (missing.length > 8 ? ` and ${missing.length - 8} more` : '')
    throw index.error(['weight_map'], `${missing.length} of the ${names.size} files that the index names are missing`, {
      got: `no ${shown}`,
      expected: 'all of them beside the index',
      fix: 'get the missing files too, into the same folder',
    })
  } catch (error) {
    for (const shard of shards.values()) await shard.close()
    throw error
  }
}
