import { exists, isDirectory, joinPath, openRange, type RangeReader, readDirectory } from '#platform'
import { showStart } from '../../base/bytes.ts'
import { ConfigError, FormatError } from '../../base/errors.ts'
import { kerasWeightsOf } from '../keras/import.ts'
import { openPytorch } from '../pytorch/pytorch-file.ts'
import { openSafetensors } from './safetensors-file.ts'
import { besideIn, openShards } from './shards.ts'
import type { WeightsFile } from './source.ts'

/** Names that PyTorch's users give. */
const torchNames = /\.(pt|pth|th|ckpt|pkl|tar)$/
const indexEnd = '.safetensors.index.json'

/**
 * Opens a file of weights by range, whatever its format: safetensors, the index of several, a folder that holds either,
 * what torch.save wrote (nothing in it is executed), or what Keras did. Close it in the end.
 * @param source a path, bytes, or a Blob that a page's user picked; an index needs a path
 * @param name for messages; default: the path
 * @throws ConfigError when there is no such file, FormatError with path and byte offset when it is of no known format or
 * damaged
 * @example
 * const file = await openWeights('resnet18.pth')
 * console.log(file.format, [...file.tensors.keys()])
 * await file.close()
 */
export async function openWeights(source: string | Uint8Array | Blob, name?: string): Promise<WeightsFile> {
  const path = typeof source === 'string' && (await isDirectory(source)) ? await findInFolder(source) : source
  const range = await openRange(path, name)
  try {
    return await openByStart(range, typeof path === 'string' ? path : undefined)
  } catch (error) {
    await range.close()
    throw error
  }
}

async function openByStart(range: RangeReader, path: string | undefined): Promise<WeightsFile> {
  const start = await range.read(0, Math.min(16, range.size))
  // Safetensors: eight bytes of length, then a JSON object.
  if (start[8] === 0x7b && start[7] === 0) return openSafetensors(range)
  const isHdf5 = start[0] === 0x89 && start[1] === 0x48
  if (isHdf5 || range.path.endsWith('.keras')) {
    return kerasWeightsOf(range)
  }
  const isZip = start[0] === 0x50 && start[1] === 0x4b
  if (isZip || start[0] === 0x80 || torchNames.test(range.path) || (await isTar(range))) {
    return openPytorch(range)
  }
  if (start[0] === 0x7b && path !== undefined) {
    const folder = path.slice(0, Math.max(0, path.search(/[/\\][^/\\]*$/))) || (/^[/\\]/.test(path) ? '/' : '.')
    return openShards(range, besideIn(folder))
  }
  if (range.path.endsWith('.safetensors')) return openSafetensors(range)
  throw new FormatError({
    where: range.path,
    what: 'this is no file of weights of a format that is known here (at byte offset 0)',
    got: showStart(start),
    expected: 'safetensors, an index of several (….safetensors.index.json), or what torch.save wrote',
    fix: 'convert the file to safetensors with the program that wrote it',
  })
}

async function isTar(range: RangeReader): Promise<boolean> {
  return range.size >= 512 && new TextDecoder('latin1').decode(await range.read(257, 5)) === 'ustar'
}

/** The index of a folder, or the one safetensors file in it. */
async function findInFolder(folder: string): Promise<string> {
  const names = await readDirectory(folder)
  const files = names.filter((name) => name.endsWith('.safetensors'))
  const indexes = names.filter((name) => name.endsWith(indexEnd))
  const usual = joinPath(folder, `model${indexEnd}`)
  if (await exists(usual)) return usual
  if (indexes.length === 1) return joinPath(folder, indexes[0])
  if (indexes.length === 0 && files.length === 1) return joinPath(folder, files[0])
  if (files.includes('model.safetensors')) return joinPath(folder, 'model.safetensors')
  const found = [...indexes, ...files].slice(0, 8).join(', ')
  throw new ConfigError({
    where: folder,
    what: 'the folder does not tell which weights are meant',
    got: found === '' ? 'no safetensors file' : found,
    expected: `model${indexEnd}, or one safetensors file`,
    fix: 'name the file itself',
  })
}
