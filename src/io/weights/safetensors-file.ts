import type { RangeReader } from '#platform'
import { ByteReader } from '../../base/bytes.ts'
import { checkBooleans } from '../safetensors.ts'
import { type Entry, Header, readHeaderLength } from '../safetensors-header.ts'
import { readElements } from './elements.ts'
import type { StoredTensor, WeightsFile } from './source.ts'

/**
 * Opens a safetensors file by range: the header is read and checked, tensors when they are asked for.
 * @throws FormatError with path and byte offset for anything the format does not allow
 */
export async function openSafetensors(range: RangeReader): Promise<WeightsFile> {
  const start = await range.read(0, Math.min(8, range.size))
  const length = readHeaderLength(new ByteReader(start, range.path), range.size)
  const header = new Header(new ByteReader(await range.read(0, 8 + length), range.path), range.size)
  header.inOrder(range.size)
  const tensors = new Map<string, StoredTensor>()
  for (const entry of header.entries) tensors.set(entry.name, storedTensor(range, header.dataStart, entry))
  const { metadata } = header
  return {
    path: range.path,
    format: 'safetensors',
    ...layoutOf(metadata),
    tensors,
    metadata,
    close: () => range.close(),
  }
}

function storedTensor(range: RangeReader, dataStart: number, entry: Entry): StoredTensor {
  const { name, shape, dtype, begin } = entry
  return {
    name,
    shape,
    dtype,
    async read() {
      const count = shape.reduce((product, extent) => product * extent, 1)
      const data = await readElements(range, dataStart + begin, dtype, count)
      if (dtype === 'BOOL') checkBooleans(data as Uint8Array, name, range.path, dataStart + begin)
      return data
    },
  }
}

/** Files of ours say it; PyTorch's library writes `format: pt`; most others say nothing, and are PyTorch's. */
function layoutOf(metadata: Readonly<Record<string, string>>): Pick<WeightsFile, 'layout' | 'layoutIsGuess'> {
  if (metadata.layout === 'channels-last') return { layout: 'juanji' }
  return { layout: 'pytorch', layoutIsGuess: metadata.layout !== 'channels-first' && metadata.format !== 'pt' }
}
