import * as fs from 'node:fs/promises'
import { ConfigError, FormatError } from '../base/errors.ts'
import { guarded } from './node-files.ts'
import { checkRange, nameOf, type RangeReader, type RangeSource, rangesOfBlob, rangesOfBytes } from './ranges.ts'

/** Bytes Node is asked for at once; it reads at most 2 GiB. */
const pieceBytes = 2 ** 30

export async function openRange(source: RangeSource, path?: string): Promise<RangeReader> {
  if (source instanceof Uint8Array) return rangesOfBytes(source, path ?? 'bytes')
  if (typeof source !== 'string') return rangesOfBlob(source, path ?? nameOf(source))
  const name = path ?? source
  const file = await guarded('read', name, () => fs.open(source, 'r'))
  try {
    const stat = await guarded('read', name, () => file.stat())
    if (!stat.isFile()) {
      const what = stat.isDirectory() ? 'this is a folder, not a file' : 'this is no ordinary file'
      throw new ConfigError({ where: name, what: `cannot read: ${what}`, fix: 'name a file' })
    }
    return rangesOfFile(file, name, stat.size)
  } catch (error) {
    await file.close().catch(() => undefined)
    throw error
  }
}

function rangesOfFile(file: fs.FileHandle, path: string, size: number): RangeReader {
  const readInto = async (offset: number, into: Uint8Array) => {
    checkRange(path, size, offset, into.length)
    let done = 0
    while (done < into.length) {
      const length = Math.min(pieceBytes, into.length - done)
      const { bytesRead } = await guarded('read', path, () => file.read(into, done, length, offset + done))
      if (bytesRead === 0) {
        throw new FormatError({
          where: path,
          what: `the file became shorter while it was read (at byte offset ${offset + done})`,
          got: `${offset + done} bytes`,
          expected: `${size} bytes, as when it was opened`,
          fix: 'read it when nothing writes to it',
        })
      }
      done += bytesRead
    }
  }
  return {
    path,
    size,
    readInto,
    async read(offset, length) {
      checkRange(path, size, offset, length)
      const bytes = new Uint8Array(length)
      await readInto(offset, bytes)
      return bytes
    },
    close: () => guarded('close', path, () => file.close()),
  }
}
