/** Picture files as they are named on a command line: files, folders, lists of paths. */
import { decodeImage, isDirectory, joinPath, listDirectory, readFile, readStart } from '#platform'
import { ConfigError, FormatError } from '../base/errors.ts'
import { type PictureOptions, pictureToSample, type Shape } from '../index.ts'

/** The argument that stands for a list of paths on standard input. */
export const listArgument = '-'

export interface FoundFile {
  readonly path: string
  /** Whether somebody named it; what was met in a folder may be something else than a picture. */
  readonly named: boolean
  /** Set for a folder that can't be listed. */
  readonly error?: Error
}

export interface Search {
  /** Lines of standard input. */
  readonly lines: () => AsyncIterable<string>
  readonly signal: AbortSignal
}

/**
 * The files that are meant, in the order of the arguments and in that of their names within a folder. Folders are
 * walked to any depth; entries that begin with a dot and links to folders are left out.
 */
export async function* findFiles(named: readonly string[], search: Search): AsyncGenerator<FoundFile> {
  for (const path of named) {
    if (path === listArgument) {
      for await (const line of search.lines()) if (line !== '') yield* expand(line, search.signal)
    } else yield* expand(path, search.signal)
  }
}

async function* expand(path: string, signal: AbortSignal): AsyncGenerator<FoundFile> {
  if (await isDirectory(path)) yield* walk(path, signal)
  else yield { path, named: true }
}

async function* walk(folder: string, signal: AbortSignal): AsyncGenerator<FoundFile> {
  if (signal.aborted) return
  const entries = await listDirectory(folder).catch((error: Error) => error)
  if (entries instanceof Error) return yield { path: folder, named: false, error: entries }
  for (const { name, kind } of entries) {
    if (signal.aborted) return
    if (name.startsWith('.')) continue
    const path = joinPath(folder, name)
    if (kind === 'folder') yield* walk(path, signal)
    else if (kind === 'file') yield { path, named: false }
  }
}

/** How many files {@link findFiles} will find; undefined for a list that is not there yet. */
export async function countFiles(named: readonly string[], signal: AbortSignal): Promise<number | undefined> {
  if (named.includes(listArgument)) return undefined
  let count = 0
  const lines = async function* () {}
  for await (const _ of findFiles(named, { lines, signal })) count++
  return count
}

export type LoadedFile =
  | { readonly kind: 'sample'; readonly path: string; readonly sample: Uint8Array }
  | { readonly kind: 'unreadable'; readonly path: string; readonly error: Error }
  /** Met in a folder, and something else than a picture. */
  | { readonly kind: 'other'; readonly path: string }

/**
 * Reads a file as a sample of a model for pictures.
 * @param shape [height, width, 1 or 3]
 * @throws UnsupportedError when pictures can't be decoded here at all, ShapeError when the model takes none
 */
export async function loadSample(found: FoundFile, shape: Shape, options: PictureOptions): Promise<LoadedFile> {
  const { path, named, error } = found
  if (error !== undefined) return { kind: 'unreadable', path, error }
  try {
    if (!named && !looksLikePicture(await readStart(path, 16))) return { kind: 'other', path }
    const picture = await decodeImage(await readFile(path), path)
    return { kind: 'sample', path, sample: pictureToSample(picture, shape, options) }
  } catch (reason) {
    if (reason instanceof FormatError || reason instanceof ConfigError) {
      return { kind: 'unreadable', path, error: reason }
    }
    throw reason
  }
}

const fileBrands = /^(avif|avis|mif1|msf1|hei[cfmsx]|hev[cmsx])/

/**
 * Whether a file that begins with these bytes is meant to be a picture. HEIC and TIFF count, so that people hear that
 * such a file could not be decoded.
 */
export function looksLikePicture(start: Uint8Array): boolean {
  const text = String.fromCharCode(...start.subarray(0, 16))
  return (
    text.startsWith('\u00ff\u00d8\u00ff') || // JPEG
    text.startsWith('\u0089PNG\r\n\u001a\n') ||
    /^GIF8[79]a/.test(text) ||
    /^RIFF.{4}WEBP/s.test(text) ||
    (text.slice(4, 8) === 'ftyp' && fileBrands.test(text.slice(8, 12))) || // AVIF, HEIC
    text.startsWith('II*\0') || // TIFF
    text.startsWith('MM\0*')
  )
}
