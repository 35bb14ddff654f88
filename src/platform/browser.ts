import { UnsupportedError } from '../base/errors.ts'
import { cachedFile, httpGet, openPartialFile, sha256 } from './browser-download.ts'
import { NetworkFailure } from './download.ts'
import type { NativeTools } from './native.ts'
import {
  type AtomicFile,
  type DecodedImage,
  type DirectoryEntry,
  damagedGzip,
  fromRgba,
  noFiles,
  notAPicture,
  Pieces,
  type PlatformWorker,
  takeAtMost,
} from './platform.ts'
import { nameOf, type RangeReader, type RangeSource, rangesOfBlob, rangesOfBytes } from './ranges.ts'

export type {
  FolderListing,
  PictureAnswer,
  PictureFailure,
  PictureHeader,
  PictureJob,
  PictureJobs,
  PictureQuestion,
} from './pictures.ts'

export type { RangeReader, RangeSource } from './ranges.ts'

export const platformName = 'browser' as const

export type { Compiler, LibraryCache, NativeTools } from './native.ts'

// ── files ──

export async function readFile(path: string): Promise<Uint8Array> {
  throw noFiles('readFile', path)
}

export async function writeFileAtomic(path: string, _content: Uint8Array | string): Promise<void> {
  throw noFiles('writeFileAtomic', path)
}

export async function openFileAtomic(path: string): Promise<AtomicFile> {
  throw noFiles('openFileAtomic', path)
}

export async function readStart(path: string, _bytes: number): Promise<Uint8Array> {
  throw noFiles('readStart', path)
}

export async function openRange(source: RangeSource, path?: string): Promise<RangeReader> {
  if (typeof source === 'string') throw noFiles('openRange', source)
  return source instanceof Uint8Array
    ? rangesOfBytes(source, path ?? 'bytes')
    : rangesOfBlob(source, path ?? nameOf(source))
}

export async function listDirectory(path: string): Promise<DirectoryEntry[]> {
  throw noFiles('listDirectory', path)
}

export async function readDirectory(path: string): Promise<string[]> {
  throw noFiles('readDirectory', path)
}

export async function exists(path: string): Promise<boolean> {
  throw noFiles('exists', path)
}

export async function isDirectory(path: string): Promise<boolean> {
  throw noFiles('isDirectory', path)
}

export async function makeDirectory(path: string): Promise<void> {
  throw noFiles('makeDirectory', path)
}

export async function removeTree(path: string): Promise<void> {
  throw noFiles('removeTree', path)
}

export async function rename(from: string, _to: string): Promise<void> {
  throw noFiles('rename', from)
}

/** Joins with `/`: names inside a model folder that is held in memory. */
export function absolutePath(path: string): string {
  return path
}

export async function realPath(path: string): Promise<string> {
  throw noFiles('realPath', path)
}

export function joinPath(...parts: string[]): string {
  return parts
    .filter((part) => part !== '')
    .join('/')
    .replace(/\/+/g, '/')
}

export function cacheFolder(): string {
  throw noFiles('cacheFolder', 'the cache folder')
}

// ── downloads ──

export type { CachedFile, HttpAnswer, PartialFile } from './download.ts'
export { cachedFile, httpGet, NetworkFailure, openPartialFile, sha256 }

// ── decoding ──

export async function gunzip(bytes: Uint8Array, path: string): Promise<Uint8Array> {
  try {
    const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new DecompressionStream('gzip'))
    return new Uint8Array(await new Response(stream).arrayBuffer())
  } catch {
    throw damagedGzip(bytes, path, 'it is incomplete, or something else')
  }
}

export async function inflateRaw(bytes: Uint8Array, size: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const blob = new Blob([bytes as Uint8Array<ArrayBuffer>])
  const reader = blob.stream().pipeThrough(new DecompressionStream('deflate-raw')).getReader()
  const chunks = {
    async *[Symbol.asyncIterator]() {
      for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value
    },
  }
  try {
    return await takeAtMost(chunks, size)
  } catch {
    return undefined
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

export async function decodeImage(bytes: Uint8Array, path: string): Promise<DecodedImage> {
  const bitmap = await createImageBitmap(new Blob([bytes as Uint8Array<ArrayBuffer>]), {
    imageOrientation: 'from-image',
    premultiplyAlpha: 'none',
    colorSpaceConversion: 'none',
  }).catch((error: Error) => {
    throw notAPicture(bytes, path, error.message)
  })
  const { width, height } = bitmap
  try {
    const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })
    if (context === null) throw new Error('no 2d context')
    context.drawImage(bitmap, 0, 0)
    const { data } = context.getImageData(0, 0, width, height)
    return fromRgba(width, height, new Uint8Array(data.buffer))
  } catch (error) {
    throw new UnsupportedError({
      where: path,
      what: `this browser cannot read the pixels of a ${width} x ${height} picture: ${(error as Error).message}`,
      fix: 'use a smaller picture or a browser with OffscreenCanvas',
    })
  } finally {
    bitmap.close()
  }
}

// ── the machine ──

export async function nativeTools(): Promise<NativeTools> {
  throw new UnsupportedError({
    where: 'native backend',
    what: 'a page cannot run machine code',
    fix: "use the backend 'wasm'",
  })
}

export function hardwareThreads(): number {
  return Math.max(1, globalThis.navigator?.hardwareConcurrency ?? 1)
}

export function runtimeName(): string {
  return globalThis.navigator?.userAgent ?? 'a browser'
}

export function processorName(): string | undefined {
  return undefined
}

export function createWorker(source: string, name: string): PlatformWorker {
  const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }))
  const worker = new Worker(url, { name })
  let handleMessage: ((message: unknown) => void) | undefined
  let handleError: (error: Error) => void = (error) => {
    throw error
  }
  let heard = false
  worker.onmessage = ({ data }) => {
    if (!heard) URL.revokeObjectURL(url) // not before: some browsers fetch the script late
    heard = true
    handleMessage?.(data)
  }
  worker.onerror = (event) => {
    event.preventDefault()
    // A script that threw has a message; one that was not allowed to load has none.
    const blocked = heard || event.message ? undefined : blockedWorker(name)
    handleError(blocked ?? new Error(event.message || `worker '${name}' failed`))
  }
  worker.onmessageerror = () => handleError(new Error(`a message from worker '${name}' could not be read`))
  return {
    post: (message, transfer) => worker.postMessage(message, [...(transfer ?? [])]),
    onMessage: (handler) => {
      handleMessage = handler
    },
    onError: (handler) => {
      handleError = handler
    },
    ref: () => undefined,
    unref: () => undefined,
    terminate: async () => {
      URL.revokeObjectURL(url)
      worker.terminate()
    },
  }
}

export async function startPictureWorker(_resampler: string, _name: string): Promise<PlatformWorker> {
  throw new UnsupportedError({
    where: 'image folder',
    what: 'a page cannot read folders',
    expected: 'samples',
    fix: 'decode the pictures in the page and pass them with arrayDataset or makeDataset; or run in Node',
  })
}

function blockedWorker(name: string): UnsupportedError {
  return new UnsupportedError({
    where: `worker '${name}'`,
    what: 'the page may not start it',
    expected: 'a Content-Security-Policy that lets workers start from blob: addresses',
    fix: "add worker-src 'self' blob: to the policy",
  })
}

export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    // Timers wait 4 ms and more when they follow each other; messages do not.
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(undefined)
  })
}

export function startPieces(): Pieces {
  return new Pieces(nextTurn)
}

export function now(): number {
  return performance.now()
}

export function environment(_name: string): string | undefined {
  return undefined
}

export function residentBytes(): number | undefined {
  return undefined
}

export function memoryBytes(): number | undefined {
  return undefined
}

export function inForeground(): boolean {
  return true
}
