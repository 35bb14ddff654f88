/** What every file function of Node's platform rests on. */
import * as fs from 'node:fs/promises'
import { dirname } from 'node:path'
import { ConfigError } from '../base/errors.ts'

const causes: Readonly<Record<string, readonly [what: string, fix: string]>> = {
  ENOENT: ['there is no such file or folder', 'check the path'],
  EACCES: ['permission denied', 'choose another path or change the permissions'],
  EPERM: ['permission denied', 'choose another path or change the permissions'],
  EROFS: ['the disk is read-only', 'choose a path that can be written'],
  EISDIR: ['this is a folder, not a file', 'name a file'],
  ENOTDIR: ['a part of this path is a file, not a folder', 'name a folder'],
  EEXIST: ['something else is already there', 'choose another path or remove what is there'],
  ENOTEMPTY: ['the folder is not empty', 'choose another path or remove what is there'],
  ENOSPC: ['the disk is full', 'free some space or choose another disk'],
}

/** Runs an action on a file; what Node throws becomes a ConfigError that names the path. */
export async function guarded<T>(doing: string, path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const code = (error as NodeJS.ErrnoException).code ?? ''
    const [what, fix] = causes[code] ?? [error.message, 'check the path']
    throw new ConfigError({ where: path, what: `cannot ${doing}: ${what}`, fix })
  }
}

export function readFile(path: string): Promise<Uint8Array> {
  return guarded('read', path, async () => {
    const buffer = await fs.readFile(path)
    return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  })
}

/** Makes the renaming itself survive a power cut; some file systems and Windows do not offer it, which is fine. */
export async function syncDirectory(path: string): Promise<void> {
  try {
    const directory = await fs.open(path, 'r')
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  } catch {}
}

/** Folder by folder: Node's own recursive mkdir never returns where a file system answers ENOENT, as /proc does. */
export async function makeWithParents(path: string, again = false): Promise<void> {
  try {
    await fs.mkdir(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' && (await isFolder(path))) return
    const parent = dirname(path)
    if (code !== 'ENOENT' || parent === path) throw error
    if (await isFolder(parent)) {
      // Another process has just made it, or this file system answers ENOENT to everything.
      if (again) throw error
      return makeWithParents(path, true)
    }
    await makeWithParents(parent)
    // Once more from the top: another process may be making the same folders.
    await makeWithParents(path)
  }
}

async function isFolder(path: string): Promise<boolean> {
  return fs.stat(path).then(
    (stat) => stat.isDirectory(),
    () => false,
  )
}
