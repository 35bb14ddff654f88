import { showStart } from '../base/bytes.ts'
import { FormatError, UnsupportedError } from '../base/errors.ts'
import type { CachedFile, HttpAnswer, NetworkFailure, OpenPartialOptions, PartialFile } from './download.ts'
import type { NativeTools } from './native.ts'
import type { RangeReader, RangeSource } from './ranges.ts'

/**
 * What the library asks of the place where it runs. `node.ts` and `browser.ts` export exactly these names; which of
 * them `#platform` means is said by `imports` in package.json.
 *
 * File functions take paths as the user wrote them, throw a ConfigError that names the path, and an UnsupportedError
 * in a page.
 */
export interface Platform {
  readonly platformName: 'node' | 'browser'

  readFile(path: string): Promise<Uint8Array>
  /** Writes beside the file, flushes and renames: a reader sees the old content or the new, never half of it. */
  writeFileAtomic(path: string, content: Uint8Array | string): Promise<void>
  /** The same for content that comes in pieces and need not fit in memory. */
  openFileAtomic(path: string): Promise<AtomicFile>
  /** The first bytes of a file, fewer where it is shorter: enough to tell what it is. */
  readStart(path: string, bytes: number): Promise<Uint8Array>
  /**
   * Opens a file to be read by range: of a large one only what is asked for. Close it in the end.
   * @param path for messages; default: the source itself where it is a path, the name of a picked file
   * @throws ConfigError when there is no such file, UnsupportedError for a path in a page
   */
  openRange(source: RangeSource, path?: string): Promise<RangeReader>
  /** Names of a folder's entries, sorted by code unit, so that the order is the same everywhere. */
  readDirectory(path: string): Promise<string[]>
  /** The same with what they are. */
  listDirectory(path: string): Promise<DirectoryEntry[]>
  exists(path: string): Promise<boolean>
  isDirectory(path: string): Promise<boolean>
  /** Makes the folder and those above it; an existing one is fine. */
  makeDirectory(path: string): Promise<void>
  /** Removes a file or a folder with all in it; one that is not there is fine. */
  removeTree(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** The path from the root of the file system on; in a page the path itself. */
  absolutePath(path: string): string
  /** The path of an existing file or folder with all links followed. */
  realPath(path: string): Promise<string>
  joinPath(...parts: string[]): string
  /** The user's folder for files that can be made or fetched again; it need not exist yet. */
  cacheFolder(): string

  /**
   * GET of an http or https address; redirects are followed. In Node through the proxy that HTTPS_PROXY or HTTP_PROXY
   * names, in upper or lower case, unless NO_PROXY excepts the host; a page has its browser's settings.
   * @throws NetworkFailure when there is no answer
   */
  httpGet(url: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<HttpAnswer>
  readonly NetworkFailure: typeof NetworkFailure
  /** The SHA-256 sum in hexadecimal. */
  sha256(bytes: Uint8Array): Promise<string>
  /** A complete file of the cache by its name, parts joined by `/`: in the cache folder, or in the page's Cache Storage. */
  cachedFile(name: string): Promise<CachedFile | undefined>
  /**
   * Opens a file of the cache to be filled, with what an earlier try left of it; waits while another process fills it.
   * In a page the bytes are held in memory until they are complete.
   * @throws ConfigError naming the path when the cache folder can't be written, the signal's reason when it is aborted
   */
  openPartialFile(name: string, options?: OpenPartialOptions): Promise<PartialFile>

  /** @throws FormatError with `path` when the data is not gzip, damaged or cut short */
  gunzip(bytes: Uint8Array, path: string): Promise<Uint8Array>
  /**
   * Deflate data without a header, as zip archives hold it. Stops at `size` bytes, whatever the data hold.
   * @returns fewer bytes than `size` or as many, one more when the data hold more; undefined when they are damaged
   */
  inflateRaw(bytes: Uint8Array, size: number): Promise<Uint8Array<ArrayBuffer> | undefined>
  /** @throws FormatError with `path` when the bytes are not a picture */
  decodeImage(bytes: Uint8Array, path: string): Promise<DecodedImage>

  /** Threads the machine runs at once, at least 1. */
  hardwareThreads(): number
  /** The program that runs us and its version, for people: `Node 20.20.2, linux x64`. */
  runtimeName(): string
  /** The processor's own name; undefined where nothing tells. */
  processorName(): string | undefined
  /** Starts a worker from the text of a classic script. Set its handlers before the next `await`. */
  createWorker(source: string, name: string): PlatformWorker
  /**
   * Starts a worker that reads picture files: it is posted `PictureQuestion`s and answers each with a `PictureAnswer`.
   * @param resampler the text of a function that makes `{ toSample(picture, height, width, channels) }`
   * @throws UnsupportedError in a page, and where the package that decodes is missing
   */
  startPictureWorker(resampler: string, name: string): Promise<PlatformWorker>
  /**
   * What machine code made at run time needs: a compiler, a place for libraries, a way to load them.
   * @throws UnsupportedError in a page and on Windows
   */
  nativeTools(): Promise<NativeTools>

  /** Lets everything else run that waits for the event loop: long work on the calling thread is cut with it. */
  nextTurn(): Promise<void>
  startPieces(): Pieces

  /** Milliseconds on a clock that never goes back. */
  now(): number
  /** An environment variable; undefined when unset, and always in a page. */
  environment(name: string): string | undefined
  /** Memory the process holds, in bytes; undefined where nothing tells. */
  residentBytes(): number | undefined
  /** Memory of the machine, or what this process may have of it, in bytes; undefined where nothing tells. */
  memoryBytes(): number | undefined
  /**
   * Whether the terminal belongs to this process and not to the shell behind it, as after `&` or `bg`. A process in the
   * background is stopped when it reads the terminal or changes its mode. May cost a few milliseconds.
   */
  inForeground(): boolean
}

export interface DirectoryEntry {
  readonly name: string
  /** Links to files are files; links to folders are `other`, so that following entries always ends. */
  readonly kind: 'file' | 'folder' | 'other'
}

/** A file that is written beside its place. Either `commit` or `discard` has to be called. */
export interface AtomicFile {
  write(content: Uint8Array | string): Promise<void>
  /** Flushes and renames: from here on the file is in its place. */
  commit(): Promise<void>
  /** Leaves nothing behind. */
  discard(): Promise<void>
}

/** A picture as 8-bit sRGB, turned upright: `data` is [height, width, channels], 3 channels, or 4 when any pixel is transparent. */
export interface DecodedImage {
  readonly width: number
  readonly height: number
  readonly channels: 3 | 4
  readonly data: Uint8Array
}

/**
 * A worker. Its script is written for a browser's worker scope: `self.onmessage = ({ data }) => …` and
 * `self.postMessage(message, transfer)`; Node provides these two as well.
 */
export interface PlatformWorker {
  /** Buffers of `transfer` are handed over instead of copied: here they are empty from then on. */
  post(message: unknown, transfer?: readonly ArrayBuffer[]): void
  /** Sets the one handler of messages from the worker. */
  onMessage(handler: (message: unknown) => void): void
  /** Sets the one handler for a worker that threw, could not start, or stopped without being asked. */
  onError(handler: (error: Error) => void): void
  /** Keeps the process alive while the worker lives. Workers start without that. Nothing in a page. */
  ref(): void
  /** Lets the process end although the worker lives. Nothing in a page. */
  unref(): void
  terminate(): Promise<void>
}

/** How long the calling thread is kept at once. */
const pieceMs = 8

/** Cuts long work on the calling thread: `if (pieces.over) await pieces.next()` lets the event loop go on. */
export class Pieces {
  readonly #nextTurn: () => Promise<void>
  #end = performance.now() + pieceMs

  constructor(nextTurn: () => Promise<void>) {
    this.#nextTurn = nextTurn
  }

  get over(): boolean {
    return performance.now() > this.#end
  }

  async next(): Promise<void> {
    await this.#nextTurn()
    this.#end = performance.now() + pieceMs
  }
}

/** What comes in pieces as one array of at most `size` bytes, of one more when there is more: nothing beyond is kept. */
export async function takeAtMost(chunks: AsyncIterable<Uint8Array>, size: number): Promise<Uint8Array<ArrayBuffer>> {
  const taken: Uint8Array[] = []
  let length = 0
  for await (const chunk of chunks) {
    taken.push(chunk)
    length += chunk.length
    if (length > size) break
  }
  const whole = new Uint8Array(Math.min(length, size + 1))
  let offset = 0
  for (const chunk of taken) {
    whole.set(chunk.subarray(0, whole.length - offset), offset)
    offset += chunk.length
  }
  return whole
}

/** RGB when every pixel is opaque, RGBA otherwise, so that both platforms give the same channels for a picture. */
export function fromRgba(width: number, height: number, rgba: Uint8Array): DecodedImage {
  const pixels = width * height
  for (let pixel = 0; pixel < pixels; pixel++) {
    if (rgba[4 * pixel + 3] !== 255) return { width, height, channels: 4, data: rgba }
  }
  const data = new Uint8Array(3 * pixels)
  for (let pixel = 0; pixel < pixels; pixel++) {
    data[3 * pixel] = rgba[4 * pixel]
    data[3 * pixel + 1] = rgba[4 * pixel + 1]
    data[3 * pixel + 2] = rgba[4 * pixel + 2]
  }
  return { width, height, channels: 3, data }
}

/** The error of a file function in a page. */
export function noFiles(where: string, path: string): UnsupportedError {
  return new UnsupportedError({
    where,
    what: 'a page cannot open files by path',
    got: `'${path}'`,
    expected: 'bytes',
    fix: 'fetch the file, or let the user pick it, and pass its bytes as a Uint8Array; or run in Node',
  })
}

/** The error of `gunzip`; `reason` is what the decompressor said. */
export function damagedGzip(bytes: Uint8Array, path: string, reason: string): FormatError {
  return new FormatError({
    where: path,
    what: `the gzip data is damaged: ${reason.replace(/\.$/, '')}`,
    got: `${bytes.length} bytes that begin with ${showStart(bytes)}`,
    expected: 'a complete gzip file',
    fix: 'get the file again',
  })
}

/** The error of `decodeImage`; `reason` is what the decoder said. */
export function notAPicture(bytes: Uint8Array, path: string, reason: string): FormatError {
  return new FormatError({
    where: path,
    what: `not a picture that can be decoded: ${reason.replace(/\.$/, '')}`,
    got: `${bytes.length} bytes that begin with ${showStart(bytes)}`,
    expected: 'a JPEG, PNG, WebP, GIF or AVIF file',
    fix: 'remove the file, or save it again as JPEG or PNG',
  })
}
