/** What is in a folder of pictures: sizes, kinds, files that are none, files that are there twice. No picture is kept. */
import { joinPath, type PictureHeader } from '#platform'
import { ConfigError } from '../base/errors.ts'
import { type FolderLayout, FolderWalk, type FoundFile, nameSome } from './image-folder-layout.ts'
import { type PicturePool, PictureProblem } from './picture-pool.ts'

/** How far a folder is: files found (their number is not known before), pictures looked at, compared or decoded. */
export interface FolderProgress {
  readonly doing: 'list' | 'look' | 'compare' | 'decode'
  readonly done: number
  readonly total?: number
}

export interface FolderWorkOptions {
  readonly onProgress?: (progress: FolderProgress) => void
  readonly signal?: AbortSignal
}

/** A file that is left out, and why. */
export interface UnreadableFile {
  /** Path below the folder, with `/`. */
  readonly file: string
  readonly reason: string
}

/** A picture that has a readable header. */
export interface FoundPicture extends FoundFile {
  /** Of the file. */
  readonly bytes: number
  /** Of the picture, upright. */
  readonly height: number
  readonly width: number
}

/** What was found: everything that opening needs. */
export interface FolderContents extends Omit<FolderLayout, 'files' | 'strange'> {
  readonly pictures: readonly FoundPicture[]
  readonly unreadable: readonly UnreadableFile[]
  /** Numbers of pictures whose files are equal, two or more in each group. */
  readonly duplicates: readonly (readonly number[])[]
  /** No picture has colour, as far as a sample of those that could have it shows. */
  readonly grey: boolean
}

/** @throws ConfigError when classes can't be told, or one has no picture */
export async function readFolder(
  path: string,
  pool: PicturePool,
  { onProgress = () => undefined, signal }: FolderWorkOptions,
): Promise<FolderContents> {
  const walk = new FolderWalk(pool, (done) => onProgress({ doing: 'list', done }), signal)
  const { files, strange, ...layout } = await walk.walk(path)
  const work: Work = { folder: layout.folder, pool, onProgress, signal }
  const unreadable: UnreadableFile[] = strange.map((file) => ({ file, reason: 'neither a file nor a folder' }))
  const { pictures, headers } = await readHeaders(files, work, unreadable)
  unreadable.sort((a, b) => (a.file < b.file ? -1 : 1))
  checkClasses(layout, pictures, unreadable)
  const duplicates = await findDuplicates(pictures, headers, work)
  const grey = await looksGrey(pictures, headers, work)
  const contents = { ...layout, pictures, unreadable, duplicates, grey }
  return { ...contents, warnings: [...layout.warnings, ...warningsOf(contents)] }
}

interface Work {
  readonly folder: string
  readonly pool: PicturePool
  readonly onProgress: (progress: FolderProgress) => void
  readonly signal: AbortSignal | undefined
}

/** Does something for 0 … count-1, as many at a time as the pool is wide. The first error ends it. */
export async function inPool(
  pool: PicturePool,
  count: number,
  signal: AbortSignal | undefined,
  action: (i: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < count) {
      signal?.throwIfAborted()
      await action(next++)
    }
  }
  try {
    await Promise.all(Array.from({ length: Math.min(count, pool.width) }, lane))
  } finally {
    next = count
  }
}

async function readHeaders(
  files: readonly FoundFile[],
  { folder, pool, onProgress, signal }: Work,
  unreadable: UnreadableFile[],
): Promise<{ pictures: FoundPicture[]; headers: PictureHeader[] }> {
  const found = new Array<{ picture: FoundPicture; header: PictureHeader } | UnreadableFile>(files.length)
  let done = 0
  await inPool(pool, files.length, signal, async (i) => {
    const { file, label, split } = files[i]
    try {
      const header = await pool.ask('header', { path: joinPath(folder, file) })
      const { bytes, height, width } = header
      found[i] = { picture: { file, label, split, bytes, height, width }, header }
    } catch (error) {
      if (!(error instanceof PictureProblem)) throw error
      found[i] = { file, reason: error.message }
    }
    onProgress({ doing: 'look', done: ++done, total: files.length })
  })
  const pictures: FoundPicture[] = []
  const headers: PictureHeader[] = []
  for (const one of found) {
    if ('reason' in one) unreadable.push(one)
    else {
      pictures.push(one.picture)
      headers.push(one.header)
    }
  }
  return { pictures, headers }
}

/** @throws ConfigError naming the first class that has no picture to train on */
export function checkClasses(
  { folder, layout, classes }: Pick<FolderLayout, 'folder' | 'layout' | 'classes'>,
  pictures: readonly FoundPicture[],
  unreadable: readonly UnreadableFile[],
): void {
  const counts = new Array<number>(classes.length).fill(0)
  for (const { label, split = 'train' } of pictures) if (split === 'train') counts[label]++
  const empty = counts.indexOf(0)
  if (empty < 0) return
  const place = layout === 'splits' ? 1 : 0
  const inside = unreadable.filter(({ file }) => file.split('/')[place] === classes[empty])
  throw new ConfigError({
    where: folder,
    what: `class '${classes[empty]}' has no picture to train on`,
    got: inside.length === 0 ? 'no files' : nameSome(inside.map(({ file, reason }) => `${file} (${reason})`)),
    expected: 'JPEG, PNG, WebP, GIF, AVIF or TIFF files in the folder of each class',
    fix: 'add pictures of this class, or remove its folder',
  })
}

/** Equal bytes. Only files that have the same length and begin with the same 64 KiB are read to their end. */
async function findDuplicates(
  pictures: readonly FoundPicture[],
  headers: readonly PictureHeader[],
  { folder, pool, onProgress, signal }: Work,
): Promise<number[][]> {
  const alike = groupBy(headers, ({ bytes, startDigest }) => `${bytes} ${startDigest}`)
  const open = alike.flat().filter((i) => !headers[i].startIsAll)
  const digests = new Map<number, string>()
  await inPool(pool, open.length, signal, async (k) => {
    const i = open[k]
    // A file that is gone by now is missed when it is decoded.
    const digest = await pool.ask('digest', { path: joinPath(folder, pictures[i].file) }).catch((error) => {
      if (error instanceof PictureProblem) return `${i}`
      throw error
    })
    digests.set(i, digest)
    onProgress({ doing: 'compare', done: digests.size, total: open.length })
  })
  return alike.flatMap((group) =>
    groupBy(group, (i) => digests.get(i) ?? '').map((places) => places.map((place) => group[place])),
  )
}

/** Places of the values that share a key with another, group by group. */
function groupBy<T>(values: readonly T[], key: (value: T) => string): number[][] {
  const groups = new Map<string, number[]>()
  for (const [i, value] of values.entries()) {
    const name = key(value)
    const group = groups.get(name)
    if (group === undefined) groups.set(name, [i])
    else group.push(i)
  }
  return [...groups.values()].filter((group) => group.length > 1)
}

/** Pictures that are decoded to see whether there is colour in them. */
const looked = 48

/** Differences between channels up to here are what compression makes of grey. */
const slightlyColoured = 12

async function looksGrey(
  pictures: readonly FoundPicture[],
  headers: readonly PictureHeader[],
  { folder, pool, signal }: Work,
): Promise<boolean> {
  const open = headers.flatMap(({ grey }, i) => (grey ? [] : [i]))
  const count = Math.min(looked, open.length)
  let grey = true
  await inPool(pool, count, signal, async (k) => {
    if (!grey) return
    const { file, height, width } = pictures[open[Math.floor((k * open.length) / count)]]
    const input = { path: joinPath(folder, file), height: 32, width: 32, channels: 3 }
    const pixels = await pool.ask('sample', input, height * width).catch((error) => {
      if (error instanceof PictureProblem) return new Uint8Array()
      throw error
    })
    for (let i = 0; i < pixels.length; i += 3) {
      const [r, g, b] = pixels.subarray(i, i + 3)
      if (Math.max(r, g, b) - Math.min(r, g, b) > slightlyColoured) grey = false
    }
  })
  return grey
}

function warningsOf({ layout, pictures, unreadable, duplicates }: Omit<FolderContents, 'warnings'>): string[] {
  const warnings: string[] = []
  if (unreadable.length > 0) warnings.push(unreadableWarning(unreadable))
  const example = ([first, second]: readonly number[]) => `${pictures[first].file} and ${pictures[second].file}`
  const differ = (what: (picture: FoundPicture) => unknown) =>
    duplicates
      .map((group) => [group[0], group.find((i) => what(pictures[i]) !== what(pictures[group[0]])) ?? -1])
      .filter(([, other]) => other >= 0)
  const mixed = differ(({ label }) => label)
  if (mixed.length > 0) {
    warnings.push(`${count(mixed.length, 'picture is', 'pictures are')} in more than one class: ${example(mixed[0])}`)
  }
  const across = differ(({ split }) => split)
  if (across.length > 0) {
    const what = count(across.length, 'picture is', 'pictures are')
    warnings.push(`${what} in two of train, val and test, where results look better by it: ${example(across[0])}`)
  }
  if (layout === 'classes' && duplicates.length > mixed.length) {
    const what = count(duplicates.length, 'picture is', 'pictures are')
    warnings.push(`${what} there more than once, and only trained on: ${example(duplicates[0])}`)
  }
  return warnings
}

const count = (number: number, one: string, many: string): string =>
  `${number.toLocaleString('en-US')} ${number === 1 ? one : many}`

export function unreadableWarning(unreadable: readonly UnreadableFile[]): string {
  const named = nameSome(unreadable.map(({ file, reason }) => `${file} (${reason})`))
  return `${count(unreadable.length, 'file is no readable picture', 'files are no readable pictures')}: ${named}`
}
