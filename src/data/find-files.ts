/** Where the files of a data set are: in a folder of the user's, in the cache, or still to be downloaded. */
import { type CachedFile, cachedFile, environment, exists, joinPath, readFile } from '#platform'
import { ConfigError, FormatError } from '../base/errors.ts'
import { unpack } from './checksum.ts'
import { cacheName, type DownloadOptions, download, type RemoteFile } from './download.ts'

/** Options of the data sets that are downloaded by name. */
export interface NamedDataOptions extends DownloadOptions {
  /**
   * The folder with the files, plain or gzip. Without it they are looked for in `images/<data set>` of the folder that
   * JUANJI_DATA names, then in the cache, and downloaded into the cache when they are in neither.
   */
  readonly data?: string
  /** false: never download. Default true. */
  readonly download?: boolean
}

export const namedDataOptions = ['data', 'download', 'mirror', 'onProgress', 'signal'] as const

/** The files of a data set. */
export interface FileSet {
  /** As folders and the command line name it. */
  readonly name: string
  /** As people name it. */
  readonly title: string
  /** Lists of files of which each is the whole data set, names without `.gz`. Messages speak of the first. */
  readonly forms: readonly (readonly string[])[]
  /** Folders inside a folder where the files may lie as well. */
  readonly inner?: readonly string[]
  /** What is downloaded: the files of one form. */
  readonly remotes: readonly RemoteFile[]
  /** The page or address that people get the files from. */
  readonly source: string
  /** What to do with a part of the files. */
  readonly partly?: string
}

/** A file of a data set that is there. */
export interface DataFile {
  readonly path: string
  /** Its bytes, unpacked. @throws FormatError when the gzip data is damaged */
  read(): Promise<Uint8Array>
}

/**
 * Finds all files of one form, or downloads them.
 * @returns the files by their names without `.gz`
 * @throws ConfigError when they are not in the folder that was named, or nowhere and must not be downloaded; what
 * {@link download} throws
 */
export async function findFiles(set: FileSet, options: NamedDataOptions): Promise<Map<string, DataFile>> {
  const places = placesOf(set, options)
  for (const place of places) {
    for (const form of set.forms) {
      const { found, missing } = await lookIn(place, form, set.inner ?? [])
      if (missing.length === 0) return found
    }
  }
  if (options.data !== undefined) {
    const { missing } = await lookIn(options.data, set.forms[0], set.inner ?? [])
    throw missingFiles(set, options.data, missing)
  }
  const files = new Map<string, DataFile>()
  for (const remote of set.remotes) {
    const cached = await cachedFile(cacheName(remote))
    if (cached === undefined && options.download === false) throw nowhere(set, places)
    files.set(remote.name.replace(/\.gz$/, ''), fromCache(cached ?? (await download(remote, options))))
  }
  return files
}

function placesOf({ name }: FileSet, { data }: NamedDataOptions): string[] {
  if (data !== undefined) return [data]
  const root = environment('JUANJI_DATA')
  return root === undefined || root === '' ? [] : [joinPath(root, 'images', name)]
}

async function lookIn(folder: string, names: readonly string[], inner: readonly string[]) {
  const found = new Map<string, DataFile>()
  const missing: string[] = []
  for (const name of names) {
    const path = await findFile([folder, ...inner.map((part) => joinPath(folder, part))], name)
    if (path === undefined) missing.push(name)
    else found.set(name, { path, read: async () => unpack(await readFile(path), path) })
  }
  return { found, missing }
}

/** Copies on the web differ in how they write `-idx3` and whether they are packed. */
async function findFile(folders: readonly string[], name: string): Promise<string | undefined> {
  for (const folder of folders) {
    for (const spelling of new Set([name, name.replace('-idx', '.idx')])) {
      for (const ending of ['', '.gz']) {
        const path = joinPath(folder, spelling + ending)
        if (await exists(path)) return path
      }
    }
  }
  return undefined
}

/** Nobody wrote this file but the download, so that it may be removed. */
function fromCache({ path, read }: CachedFile): DataFile {
  return {
    path,
    async read() {
      try {
        return await unpack(await read(), path)
      } catch (error) {
        if (!(error instanceof FormatError)) throw error
        throw new FormatError({ ...error.problem, fix: 'remove this file: it is downloaded again the next time' })
      }
    },
  }
}

function missingFiles(set: FileSet, folder: string, missing: readonly string[]): ConfigError {
  const { title, forms, source, partly } = set
  const all = missing.length === forms[0].length
  return new ConfigError({
    where: folder,
    what: all ? `${title}'s files are not in this folder` : `some of ${title}'s files are missing`,
    got: all ? 'none of them' : `no ${missing.join(', no ')}`,
    expected: expectedFiles(forms),
    fix:
      `leave the folder out to have them downloaded, or get them from ${source}` +
      (all || partly === undefined ? '' : `; ${partly}`),
  })
}

function nowhere({ name, title, forms }: FileSet, places: readonly string[]): ConfigError {
  return new ConfigError({
    where: name,
    what: `${title}'s files are not here, and are not to be downloaded`,
    got: `nothing ${[...places.map((place) => `in ${place}`), 'in the cache'].join(' nor ')}`,
    expected: expectedFiles(forms),
    fix: 'let them be downloaded, name their folder (--data DIR, or { data } in code), or set JUANJI_DATA to a folder that holds them',
  })
}

function expectedFiles(forms: FileSet['forms']): string {
  return `${forms.map((form) => form.join(', ')).join('; or ')}; each plain or as .gz`
}
