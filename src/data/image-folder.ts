/** Any folder of pictures as a data set. */
import { checkOptions } from '../base/errors.ts'
import { checkOpenOptions, type OpenImageFolder, type OpenImageFolderOptions, openFolder } from './image-folder-open.ts'
import { type FolderContents, type FolderWorkOptions, readFolder, type UnreadableFile } from './image-folder-scan.ts'
import { startPicturePool } from './picture-pool.ts'

/** What there is to choose an input size by. */
export interface ImageFolderFacts {
  /** Readable pictures. */
  readonly samples: number
  /** Readable pictures of each class, by class number. */
  readonly perClass: readonly number[]
  /** In pixels, of upright pictures. */
  readonly medianHeight: number
  readonly medianWidth: number
  /** The picture with the most pixels: height, width. */
  readonly largest: readonly [height: number, width: number]
  /** No picture has colour: known from the files, or seen in a sample of 48 of them. */
  readonly grey: boolean
  /** `classes`: a subfolder for each class; `splits`: these below train, val and test. */
  readonly layout: 'classes' | 'splits'
}

export interface ImageFolderScan {
  /** The folder that holds the classes or splits. */
  readonly folder: string
  /** Names of the class folders, sorted by code unit. */
  readonly classes: readonly string[]
  readonly facts: ImageFolderFacts
  readonly unreadable: readonly UnreadableFile[]
  /** What a user should know of. They are repeated by `open`. */
  readonly warnings: readonly string[]
  /**
   * Splits the pictures and makes data sets of them. Pictures are decoded in threads: now, when the samples fit into
   * `cacheBytes`, or else in every epoch, ahead of where `batches` is. What can't be decoded is left out when that is
   * found now; when it is found in an epoch, the next picture of its class stands in its place, always the same one.
   * @throws ConfigError on options that make no sense, when a class has no whole picture, or there are too few to
   * split. A sample of a file that has gone since rejects with a ConfigError that names it.
   */
  open(options: OpenImageFolderOptions): Promise<OpenImageFolder>
}

/**
 * Looks through a folder of JPEG, PNG, WebP, GIF, AVIF or TIFF files, told by what is in them and not by their names:
 * a subfolder for each class, folders nested in it included, or these below `train`, `val` (`valid`, `validation`) and
 * `test`. Where a folder is the only thing in the one that is named, the classes are looked for in it. Hidden files and
 * what systems leave behind are passed over. Every file's first 64 KiB are read, in threads, and none is kept.
 * @throws ConfigError when the folder is not there or classes can't be told; UnsupportedError in a page, and where the
 * package sharp is not installed
 * @example
 * const scan = await scanImageFolder('./photos')
 * const data = await scan.open({ inputShape: [64, 64, 3], seed: 1 })
 */
export async function scanImageFolder(path: string, options: FolderWorkOptions = {}): Promise<ImageFolderScan> {
  checkOptions('scanImageFolder', options, ['onProgress', 'signal'])
  const pool = await startPicturePool()
  try {
    const contents = await readFolder(path, pool, options)
    const { folder, classes, unreadable, warnings } = contents
    const open = (options: OpenImageFolderOptions) => openFolder(contents, options)
    return { folder, classes, facts: factsOf(contents), unreadable, warnings, open }
  } finally {
    await pool.close()
  }
}

/**
 * A folder of pictures as data sets: `scanImageFolder` and `open` in one.
 * @example
 * const data = await datasets.imageFolder('./photos', { inputShape: [64, 64, 3] })
 * const run = await fit(net, data.train, { epochs: 10 })
 * await data.close()
 */
export async function imageFolder(path: string, options: OpenImageFolderOptions): Promise<OpenImageFolder> {
  checkOpenOptions(options) // before the work of scanning
  const { onProgress, signal } = options
  return (await scanImageFolder(path, { onProgress, signal })).open(options)
}

function factsOf({ pictures, classes, grey, layout }: FolderContents): ImageFolderFacts {
  const perClass = new Array<number>(classes.length).fill(0)
  for (const { label } of pictures) perClass[label]++
  const largest = pictures.reduce((a, b) => (b.height * b.width > a.height * a.width ? b : a))
  return {
    samples: pictures.length,
    perClass,
    medianHeight: median(pictures.map(({ height }) => height)),
    medianWidth: median(pictures.map(({ width }) => width)),
    largest: [largest.height, largest.width],
    grey,
    layout,
  }
}

/** The middle one; the lower of two. */
function median(values: readonly number[]): number {
  return Int32Array.from(values).sort()[(values.length - 1) >> 1]
}
