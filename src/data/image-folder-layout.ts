/** Which files of a folder are meant to be pictures of which class. */
import { exists, type FolderListing, isDirectory, joinPath } from '#platform'
import { ConfigError } from '../base/errors.ts'
import { type PicturePool, PictureProblem } from './picture-pool.ts'

export type SplitName = 'train' | 'validation' | 'test'

/** A file in a class folder, whatever it is. */
export interface FoundFile {
  /** Path below the folder, with `/`. */
  readonly file: string
  /** Number of its class. */
  readonly label: number
  /** The split whose folder it lies in; undefined where the folder has no splits. */
  readonly split: SplitName | undefined
}

export interface FolderLayout {
  /** The folder that holds the classes or splits; below the one that was named when that only wraps it. */
  readonly folder: string
  readonly layout: 'classes' | 'splits'
  /** Sorted by code unit. */
  readonly classes: readonly string[]
  readonly files: readonly FoundFile[]
  /** Things in class folders that are no files at all. */
  readonly strange: readonly string[]
  readonly warnings: readonly string[]
}

const splitNames: Readonly<Record<string, SplitName>> = {
  train: 'train',
  training: 'train',
  val: 'validation',
  valid: 'validation',
  validation: 'validation',
  test: 'test',
  testing: 'test',
}

const litter = new Set(['thumbs.db', 'desktop.ini', '__macosx'])

const expectedLayout = 'a subfolder for each class (DIR/cat/1.jpg, DIR/dog/2.jpg), or these below train, val and test'

/** A folder's own entries, without what systems leave behind. */
interface Listing {
  readonly identity: string
  readonly folders: readonly string[]
  readonly files: readonly string[]
  readonly others: readonly string[]
}

/** Walks a folder. It holds no more than names. */
export class FolderWalk {
  readonly #pool: PicturePool
  readonly #onFiles: (count: number) => void
  readonly #signal: AbortSignal | undefined
  readonly #files: FoundFile[] = []
  readonly #strange: string[] = []
  readonly #warnings: string[] = []

  /** @param onFiles is told how many files have been found so far */
  constructor(pool: PicturePool, onFiles: (count: number) => void, signal?: AbortSignal) {
    this.#pool = pool
    this.#onFiles = onFiles
    this.#signal = signal
  }

  /** @throws ConfigError when the folder has no form that classes can be told from */
  async walk(path: string): Promise<FolderLayout> {
    if (!(await exists(path))) throw noFolder(path, 'there is no such folder', 'check the path')
    if (!(await isDirectory(path))) throw noFolder(path, 'this is a file, not a folder', 'name the folder it lies in')
    const { folder, listing } = await this.#unwrap(path)
    if (listing.folders.length === 0) throw await this.#noClasses(folder, listing)
    const splits = listing.folders.map((name) => splitNames[name.toLowerCase()])
    const hasSplits = splits.every((split) => split !== undefined)
    const classes = hasSplits
      ? await this.#walkSplits(folder, listing, splits)
      : await this.#walkClasses(folder, '', listing.folders, listing.folders, undefined)
    await this.#lookAtLoose(folder, '', listing.files)
    if (classes.length === 1) throw oneClass(folder, classes[0])
    return {
      folder,
      layout: hasSplits ? 'splits' : 'classes',
      classes,
      files: this.#files,
      strange: this.#strange,
      warnings: this.#warnings,
    }
  }

  async #list(folder: string, below = ''): Promise<Listing> {
    this.#signal?.throwIfAborted()
    const path = below === '' ? folder : joinPath(folder, below)
    const { identity, entries }: FolderListing = await this.#pool.ask('list', { path }).catch((error) => {
      if (!(error instanceof PictureProblem)) throw error
      throw noFolder(path, `cannot list: ${error.message}`, 'check the folder and its permissions')
    })
    const kept = entries.filter(({ name }) => !name.startsWith('.') && !litter.has(name.toLowerCase()))
    const named = (kind: string) => kept.filter((entry) => entry.kind === kind).map(({ name }) => name)
    return { identity, folders: named('folder'), files: named('file'), others: named('other') }
  }

  /** Archives often unpack to one folder that holds everything: what the user names is then one too high. */
  async #unwrap(path: string): Promise<{ folder: string; listing: Listing }> {
    const top = await this.#list(path)
    const names: string[] = []
    let listing = top
    while (listing.folders.length === 1 && splitNames[listing.folders[0].toLowerCase()] === undefined) {
      names.push(listing.folders[0])
      listing = await this.#list(path, names.join('/'))
    }
    if (names.length === 0 || listing.folders.length === 0) return { folder: path, listing: top }
    this.#warnings.push(`the classes are looked for in ${names.join('/')}, since there is no other folder`)
    return { folder: joinPath(path, ...names), listing }
  }

  async #walkSplits(folder: string, listing: Listing, splits: readonly SplitName[]): Promise<readonly string[]> {
    const twice = splits.find((split, i) => splits.indexOf(split) !== i)
    if (twice !== undefined) throw splitTwice(folder, twice, listing.folders)
    if (!splits.includes('train')) throw noTrain(folder, listing.folders)
    const inside = new Map<SplitName, { name: string; listing: Listing }>()
    for (const [i, name] of listing.folders.entries()) {
      inside.set(splits[i], { name, listing: await this.#list(folder, name) })
    }
    const classes = (inside.get('train') as { listing: Listing }).listing.folders
    for (const split of ['train', 'validation', 'test'] as const) {
      const found = inside.get(split)
      if (found === undefined) continue
      const { folders, files } = found.listing
      const path = joinPath(folder, found.name)
      if (folders.length === 0) throw await this.#noClassesInSplit(path, split, found.listing)
      const unknown = folders.filter((name) => !classes.includes(name))
      if (unknown.length > 0) throw unknownClasses(path, unknown, classes)
      await this.#walkClasses(folder, found.name, folders, classes, split)
      await this.#lookAtLoose(path, `${found.name}/`, files)
      const missing = classes.filter((name) => !folders.includes(name))
      if (missing.length > 0) this.#warnings.push(`${found.name} has no folder for ${nameSome(missing)}`)
    }
    return classes
  }

  /** Collects the files of class folders, those nested in them included. */
  async #walkClasses(
    folder: string,
    below: string,
    names: readonly string[],
    classes: readonly string[],
    split: SplitName | undefined,
  ): Promise<readonly string[]> {
    for (const name of names) {
      const label = classes.indexOf(name)
      const files: string[] = []
      await this.#collect(folder, below === '' ? name : `${below}/${name}`, [], files)
      files.sort()
      for (const file of files) this.#files.push({ file, label, split })
      this.#onFiles(this.#files.length)
    }
    return classes
  }

  async #collect(folder: string, below: string, above: readonly string[], into: string[]): Promise<void> {
    const { identity, folders, files, others } = await this.#list(folder, below)
    if (above.includes(identity)) return // a link back up
    for (const name of files) into.push(`${below}/${name}`)
    for (const name of others) this.#strange.push(`${below}/${name}`)
    for (const name of folders) await this.#collect(folder, `${below}/${name}`, [...above, identity], into)
  }

  /** How many of some files are pictures; no more than twenty are looked at. */
  async #pictures(folder: string, files: readonly string[]): Promise<number> {
    const looks = files.slice(0, 20).map((name) =>
      this.#pool.ask('header', { path: joinPath(folder, name) }).then(
        () => 1,
        () => 0,
      ),
    )
    return (await Promise.all(looks)).reduce<number>((a, b) => a + b, 0)
  }

  async #lookAtLoose(folder: string, prefix: string, files: readonly string[]): Promise<void> {
    if ((await this.#pictures(folder, files)) === 0) return
    const named = nameSome(files.map((name) => prefix + name))
    this.#warnings.push(`pictures outside the class folders are left out: ${named}`)
  }

  async #noClasses(folder: string, { files, others }: Listing): Promise<ConfigError> {
    const fix = 'put the pictures of each class into a subfolder of its own'
    if (files.length + others.length === 0) return noFolder(folder, 'the folder is empty', fix)
    const pictures = await this.#pictures(folder, files)
    const what =
      pictures > 0
        ? 'the pictures lie in the folder itself, so that their classes are not known'
        : 'there are no class folders in it'
    return noFolder(folder, what, fix, `${files.length} ${files.length === 1 ? 'file' : 'files'}, no folders`)
  }

  async #noClassesInSplit(path: string, split: SplitName, { files }: Listing): Promise<ConfigError> {
    const unlabelled = split !== 'train' && (await this.#pictures(path, files)) > 0
    return noFolder(
      path,
      'there are no class folders in it',
      unlabelled
        ? 'move it elsewhere: pictures whose class is not known are for predict, not for training'
        : `put the pictures of each class into a subfolder of its own${split === 'train' ? '' : ', or remove this folder'}`,
      files.length === 0 ? 'an empty folder' : `${files.length} ${files.length === 1 ? 'file' : 'files'}, no folders`,
    )
  }
}

/** Names for a message: three at most, then how many more. */
export function nameSome(names: readonly string[]): string {
  const shown = names.slice(0, 3).join(', ')
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown
}

function noFolder(where: string, what: string, fix: string, got?: string): ConfigError {
  return new ConfigError({ where, what, got, expected: expectedLayout, fix })
}

function oneClass(where: string, name: string): ConfigError {
  return new ConfigError({
    where,
    what: 'there is one class only, so that there is nothing to tell apart',
    got: `the folder ${name}`,
    expected: expectedLayout,
    fix: 'add a folder with pictures of another class',
  })
}

function splitTwice(where: string, split: SplitName, folders: readonly string[]): ConfigError {
  return new ConfigError({
    where,
    what: `two folders are for ${split}`,
    got: folders.join(', '),
    expected: 'one folder each for train, val and test',
    fix: 'put their pictures together, or remove one',
  })
}

function noTrain(where: string, folders: readonly string[]): ConfigError {
  return new ConfigError({
    where,
    what: 'there is nothing to train on',
    got: folders.join(', '),
    expected: expectedLayout,
    fix: 'add a folder train; if these names are meant as classes, rename them',
  })
}

function unknownClasses(where: string, unknown: readonly string[], classes: readonly string[]): ConfigError {
  return new ConfigError({
    where,
    what: 'there are classes that train does not have',
    got: nameSome(unknown),
    expected: `only classes of train: ${classes.slice(0, 10).join(', ')}${classes.length > 10 ? ', …' : ''}`,
    fix: 'correct the names, or add pictures of these classes to train',
  })
}
