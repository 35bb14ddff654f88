import { spawnSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import * as fs from 'node:fs/promises'
import { createRequire } from 'node:module'
import { availableParallelism, cpus, homedir, totalmem } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import { createInflateRaw, gunzip as zlibGunzip } from 'node:zlib'
import { UnsupportedError } from '../base/errors.ts'
import { type CachedFile, NetworkFailure, type OpenPartialOptions, type PartialFile } from './download.ts'
import type { NativeTools } from './native.ts'
import { cachedFileAt, inCache, openPartialAt } from './node-cache.ts'
import { guarded, makeWithParents, readFile, syncDirectory } from './node-files.ts'
import { httpGet } from './node-http.ts'
import { decodePicture, pictureWorkerSource } from './picture-worker.ts'
import {
  type AtomicFile,
  type DecodedImage,
  type DirectoryEntry,
  damagedGzip,
  fromRgba,
  notAPicture,
  Pieces,
  type Platform,
  type PlatformWorker,
  takeAtMost,
} from './platform.ts'

export type {
  FolderListing,
  PictureAnswer,
  PictureFailure,
  PictureHeader,
  PictureJob,
  PictureJobs,
  PictureQuestion,
} from './pictures.ts'

export const platformName: Platform['platformName'] = 'node'

export type { Compiler, LibraryCache, NativeTools } from './native.ts'

// ── files ──

export { openRange } from './node-ranges.ts'
export type { RangeReader, RangeSource } from './ranges.ts'
export { readFile }

export async function writeFileAtomic(path: string, content: Uint8Array | string): Promise<void> {
  const file = await openFileAtomic(path)
  try {
    await file.write(content)
    await file.commit()
  } catch (error) {
    await file.discard()
    throw error
  }
}

export async function openFileAtomic(path: string): Promise<AtomicFile> {
  const beside = `${path}.${randomUUID()}.tmp`
  const file = await guarded('write', path, () => fs.open(beside, 'wx'))
  return {
    write: (content) => guarded('write', path, () => file.writeFile(content)),
    commit: () =>
      guarded('write', path, async () => {
        await file.sync()
        await file.close()
        await fs.rename(beside, path)
        await syncDirectory(dirname(path))
      }),
    async discard() {
      await file.close().catch(() => undefined)
      await fs.rm(beside, { force: true }).catch(() => undefined)
    },
  }
}

export function readDirectory(path: string): Promise<string[]> {
  return guarded('list', path, async () => (await fs.readdir(path)).sort())
}

export function listDirectory(path: string): Promise<DirectoryEntry[]> {
  return guarded('list', path, async () => {
    const entries = await fs.readdir(path, { withFileTypes: true })
    entries.sort((a, b) => (a.name < b.name ? -1 : 1))
    return Promise.all(
      entries.map(async (entry) => {
        const folder = entry.isDirectory()
        const file =
          entry.isFile() || (entry.isSymbolicLink() && (await isFile(join(path, entry.name)).catch(() => false)))
        return { name: entry.name, kind: folder ? 'folder' : file ? 'file' : 'other' }
      }),
    )
  })
}

async function isFile(path: string): Promise<boolean> {
  return (await fs.stat(path)).isFile()
}

export function readStart(path: string, bytes: number): Promise<Uint8Array> {
  return guarded('read', path, async () => {
    const file = await fs.open(path, 'r')
    try {
      const start = new Uint8Array(bytes)
      const { bytesRead } = await file.read(start, 0, bytes, 0)
      return start.subarray(0, bytesRead)
    } finally {
      await file.close()
    }
  })
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

export function removeTree(path: string): Promise<void> {
  return guarded('remove', path, () => fs.rm(path, { recursive: true, force: true }))
}

export function rename(from: string, to: string): Promise<void> {
  return guarded(`rename to ${to}`, from, () => fs.rename(from, to))
}

export function absolutePath(path: string): string {
  return resolve(path)
}

export function realPath(path: string): Promise<string> {
  return guarded('find', path, () => fs.realpath(path))
}

export function joinPath(...parts: string[]): string {
  return join(...parts)
}

export function cacheFolder(): string {
  const chosen = environment('JUANJI_CACHE')
  if (chosen !== undefined && chosen !== '') return chosen
  if (process.platform === 'win32') {
    return join(environment('LOCALAPPDATA') ?? join(homedir(), 'AppData', 'Local'), 'juanji', 'Cache')
  }
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'juanji')
  return join(environment('XDG_CACHE_HOME') ?? join(homedir(), '.cache'), 'juanji')
}

// ── downloads ──

export type { CachedFile, HttpAnswer, PartialFile } from './download.ts'
export { httpGet, NetworkFailure }

export async function sha256(bytes: Uint8Array): Promise<string> {
  return createHash('sha256').update(bytes).digest('hex')
}

export function cachedFile(name: string): Promise<CachedFile | undefined> {
  return cachedFileAt(join(cacheFolder(), name))
}

export async function openPartialFile(name: string, options?: OpenPartialOptions): Promise<PartialFile> {
  const path = join(cacheFolder(), name)
  await inCache(() => makeDirectory(dirname(path)))
  return openPartialAt(path, options)
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

export function inflateRaw(bytes: Uint8Array, size: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const stream = createInflateRaw({ chunkSize: Math.min(2 ** 20, size + 1024) })
  return new Promise((resolve) => {
    stream.on('error', () => resolve(undefined))
    takeAtMost(stream, size).then(resolve, () => resolve(undefined))
    stream.end(bytes)
  })
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
    const { width, height, channels, data } = await decodePicture(sharp, bytes)
    const plain = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    return channels === 4 ? fromRgba(width, height, plain) : { width, height, channels: 3, data: plain }
  } catch (error) {
    throw notAPicture(bytes, path, (error as Error).message)
  }
}

export async function startPictureWorker(resampler: string, name: string): Promise<PlatformWorker> {
  // Loaded here as well: with glibc the main thread has to come first, and what is missing is said clearly.
  await loadSharp()
  const address = pathToFileURL(createRequire(import.meta.url).resolve('sharp')).href
  return createWorker(pictureWorkerSource(address, resampler), name)
}

// ── the machine ──

export async function nativeTools(): Promise<NativeTools> {
  const { openNativeTools } = await import('./node-native.ts')
  return openNativeTools()
}

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
  worker.unref() // not before: to listen for messages is to hold the process
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

export function memoryBytes(): number | undefined {
  // A container's limit; 0 or absurdly large where there is none.
  const limit = process.constrainedMemory() ?? 0
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem()
}

export function inForeground(): boolean {
  const groups = process.platform === 'linux' ? linuxGroups() : process.platform === 'win32' ? [] : psGroups()
  const [own, terminals] = groups
  // -1 or 0: there is no terminal that could stop us.
  return !(terminals > 0) || own === terminals
}

/** Process group of this process, and the one its terminal listens to. */
function linuxGroups(): number[] {
  try {
    // pid (name) state parent group session terminal terminalGroup …
    const stat = readFileSync('/proc/self/stat', 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return [Number(fields[2]), Number(fields[5])]
  } catch {
    return []
  }
}

function psGroups(): number[] {
  const { stdout } = spawnSync('ps', ['-o', 'pgid=,tpgid=', '-p', String(process.pid)], { encoding: 'utf8' })
  return (stdout ?? '').trim().split(/\s+/).map(Number)
}
