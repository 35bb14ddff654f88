import { randomUUID } from 'node:crypto'
import * as fs from 'node:fs/promises'
import { availableParallelism, cpus, homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import { gunzip as zlibGunzip } from 'node:zlib'
import { ConfigError, UnsupportedError } from '../base/errors.ts'
import { type DecodedImage, damagedGzip, fromRgba, notAPicture, Pieces, type PlatformWorker } from './platform.ts'

export const platformName = 'node' as const

// ── files ──

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

async function guarded<T>(doing: string, path: string, action: () => Promise<T>): Promise<T> {
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

export function writeFileAtomic(path: string, content: Uint8Array | string): Promise<void> {
  return guarded('write', path, async () => {
    const beside = `${path}.${randomUUID()}.tmp`
    try {
      const file = await fs.open(beside, 'wx')
      try {
        await file.writeFile(content)
        await file.sync()
      } finally {
        await file.close()
      }
      await fs.rename(beside, path)
    } catch (error) {
      await fs.rm(beside, { force: true }).catch(() => undefined)
      throw error
    }
    await syncDirectory(dirname(path))
  })
}

/** Makes the renaming itself survive a power cut; some file systems and Windows do not offer it, which is fine. */
async function syncDirectory(path: string): Promise<void> {
  try {
    const directory = await fs.open(path, 'r')
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  } catch {}
}

export function readDirectory(path: string): Promise<string[]> {
  return guarded('list', path, async () => (await fs.readdir(path)).sort())
}

export async function exists(path: string): Promise<boolean> {
  return (await fs.stat(path).catch(() => undefined)) !== undefined
}

export async function isDirectory(path: string): Promise<boolean> {
  return (await fs.stat(path).catch(() => undefined))?.isDirectory() ?? false
}

export function makeDirectory(path: string): Promise<void> {
  return guarded('make this folder', path, () => makeWithParents(path))
}

/** Folder by folder: Node's own recursive mkdir never returns where a file system answers ENOENT, as /proc does. */
async function makeWithParents(path: string): Promise<void> {
  try {
    await fs.mkdir(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' && (await isDirectory(path))) return
    const parent = dirname(path)
    if (code !== 'ENOENT' || parent === path || (await isDirectory(parent))) throw error
    await makeWithParents(parent)
    await fs.mkdir(path)
  }
}

export function removeTree(path: string): Promise<void> {
  return guarded('remove', path, () => fs.rm(path, { recursive: true, force: true }))
}

export function rename(from: string, to: string): Promise<void> {
  return guarded(`rename to ${to}`, from, () => fs.rename(from, to))
}

export function joinPath(...parts: string[]): string {
  return join(...parts)
}

export function cacheFolder(): string {
  const chosen = environment('JUANJI_CACHE')
  if (chosen !== undefined) return chosen
  if (process.platform === 'win32') {
    return join(environment('LOCALAPPDATA') ?? join(homedir(), 'AppData', 'Local'), 'juanji', 'Cache')
  }
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'juanji')
  return join(environment('XDG_CACHE_HOME') ?? join(homedir(), '.cache'), 'juanji')
}

// ── decoding ──

const inflate = promisify(zlibGunzip)

export async function gunzip(bytes: Uint8Array, path: string): Promise<Uint8Array> {
  try {
    const buffer = await inflate(bytes)
    return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  } catch (error) {
    throw damagedGzip(bytes, path, (error as Error).message)
  }
}

async function loadSharp() {
  try {
    return (await import('sharp')).default
  } catch (error) {
    throw new UnsupportedError({
      where: 'decodeImage',
      what: 'pictures are decoded by the package sharp, which could not be loaded',
      got: (error as Error).message.trim().split('\n')[0],
      fix: 'npm install sharp',
    })
  }
}

export async function decodeImage(bytes: Uint8Array, path: string): Promise<DecodedImage> {
  const sharp = await loadSharp()
  try {
    const { data, info } = await sharp(bytes, { failOn: 'error', ignoreIcc: true })
      .autoOrient()
      .toColourspace('srgb')
      .ensureAlpha()
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true })
    return fromRgba(info.width, info.height, new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  } catch (error) {
    throw notAPicture(bytes, path, (error as Error).message)
  }
}

// ── the machine ──

export function hardwareThreads(): number {
  return Math.max(1, availableParallelism())
}

export function runtimeName(): string {
  return `Node ${process.versions.node}, ${process.platform} ${process.arch}`
}

export function processorName(): string | undefined {
  return cpus()[0]?.model.trim() || undefined
}

/** Gives a worker thread the two names that a browser's worker has; one line, so that line numbers stay right. */
const workerScope = `{ const { parentPort } = process.getBuiltinModule('node:worker_threads'); globalThis.self = globalThis; globalThis.onmessage = null; globalThis.postMessage = (message, transfer) => parentPort.postMessage(message, transfer); parentPort.on('message', (data) => globalThis.onmessage?.({ data })) };`

export function createWorker(source: string, name: string): PlatformWorker {
  // No execArgv: a loader or --input-type given to the program must not change how this script is read.
  const worker = new Worker(workerScope + source, { eval: true, name, execArgv: [] })
  worker.unref()
  let ended = false
  let handleMessage: ((message: unknown) => void) | undefined
  let handleError: (error: Error) => void = (error) => {
    throw error
  }
  worker.on('message', (message: unknown) => handleMessage?.(message))
  worker.on('error', (error: Error) => {
    ended = true
    handleError(error)
  })
  worker.on('exit', (code) => {
    if (!ended) handleError(new Error(`worker '${name}' stopped by itself with exit code ${code}`))
    ended = true
  })
  return {
    post: (message, transfer) => worker.postMessage(message, transfer),
    onMessage: (handler) => {
      handleMessage = handler
    },
    onError: (handler) => {
      handleError = handler
    },
    ref: () => worker.ref(),
    unref: () => worker.unref(),
    terminate: async () => {
      ended = true
      await worker.terminate()
    },
  }
}

export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

export function startPieces(): Pieces {
  return new Pieces(nextTurn)
}

export function now(): number {
  return performance.now()
}

export function environment(name: string): string | undefined {
  return process.env[name]
}

export function residentBytes(): number | undefined {
  return process.memoryUsage.rss()
}
