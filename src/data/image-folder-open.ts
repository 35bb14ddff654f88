/** Data sets of a folder's pictures: split, decoded once or again and again, and put on record. */
import { memoryBytes } from '#platform'
import { ConfigError, checkOptions } from '../base/errors.ts'
import { showShape } from '../base/shape.ts'
import { type Dataset, makeDataset } from './dataset.ts'
import { nameSome, type SplitName } from './image-folder-layout.ts'
import { hashOf, type ImageFolderRecord, recordOf } from './image-folder-record.ts'
import { keepSamples, type ReplacedFile, type SampleWork, streamSamples } from './image-folder-samples.ts'
import { checkClasses, type FolderContents, type FolderWorkOptions, unreadableWarning } from './image-folder-scan.ts'
import { type Split, splitPictures } from './image-folder-split.ts'
import { startPicturePool } from './picture-pool.ts'

export interface OpenImageFolderOptions extends FolderWorkOptions {
  /** Height, width and channels (1: grey, 3: colour) of the samples; of each picture its middle is taken. */
  readonly inputShape: readonly [height: number, width: number, channels: number]
  /** Share of each class that is held back to choose by, in [0, 1); 0: none. A folder val comes first. Default 0.1. */
  readonly validation?: number
  /** Share of each class that is held back for the last word, in [0, 1); 0: none. A folder test comes first. Default 0.1. */
  readonly test?: number
  /** Another seed holds other pictures back; default 1. */
  readonly seed?: number
  /**
   * Samples are kept in memory when all of them take at most so many bytes, and decoded in every epoch when not.
   * Default: 512 MiB, or a quarter of the machine's memory where that is less. It is not the memory that is free at
   * the moment, so that the same folder opens the same way again.
   */
  readonly cacheBytes?: number
  /** Told of each entry of `warnings` when it comes up, those of an epoch included. */
  readonly onWarning?: (message: string) => void
}

export interface OpenImageFolder {
  /** Samples are u8, [height, width, channels]. */
  readonly train: Dataset
  readonly validation?: Dataset
  readonly test?: Dataset
  /** Whether the samples are kept in memory. */
  readonly cached: boolean
  /** What a user should know of, in the order it came up. Grows when an epoch finds damaged pictures. */
  readonly warnings: readonly string[]
  /** As of now: pictures that were replaced in an epoch are on it. */
  readonly record: ImageFolderRecord
  /** Equal when the names and sizes of the files and the splits are equal: 16 hexadecimal digits. */
  readonly fingerprint: string
  /** Ends the threads that decode. Samples that are kept in memory stay usable. */
  close(): Promise<void>
}

const optionNames = [
  'inputShape',
  'validation',
  'test',
  'seed',
  'cacheBytes',
  'onProgress',
  'signal',
  'onWarning',
] as const satisfies readonly (keyof OpenImageFolderOptions)[]

/** @throws ConfigError on options that make no sense, or when too few pictures can be decoded */
export async function openFolder(contents: FolderContents, options: OpenImageFolderOptions): Promise<OpenImageFolder> {
  checkOpenOptions(options)
  const { inputShape, signal, onProgress } = options
  const bytes = contents.pictures.length * inputShape[0] * inputShape[1] * inputShape[2]
  const cached = bytes <= (options.cacheBytes ?? defaultCacheBytes())
  const pool = await startPicturePool()
  try {
    const work = { contents, pool, inputShape, signal, onProgress }
    // What is damaged is known before the split is made, where all is decoded now.
    const kept = cached ? await keepSamples(work) : undefined
    if (cached) await pool.close()
    return await openSplit(work, kept, options)
  } catch (error) {
    await pool.close()
    throw error
  }
}

type Kept = Awaited<ReturnType<typeof keepSamples>> | undefined

async function openSplit(work: SampleWork, kept: Kept, options: OpenImageFolderOptions): Promise<OpenImageFolder> {
  const { contents, pool, inputShape } = work
  const { classes, pictures } = contents
  const warnings: string[] = []
  const warn = (message: string): void => {
    warnings.push(message)
    options.onWarning?.(message)
  }
  for (const message of contents.warnings) warn(message)

  const damaged = [...(kept?.damaged ?? [])].map(([i, reason]) => ({ file: pictures[i].file, reason }))
  damaged.sort((a, b) => (a.file < b.file ? -1 : 1))
  if (damaged.length > 0) warn(unreadableWarning(damaged))
  const unreadable = [...contents.unreadable, ...damaged].sort((a, b) => (a.file < b.file ? -1 : 1))
  const whole = [...pictures.keys()].filter((i) => kept?.damaged.has(i) !== true)
  checkClasses(
    contents,
    whole.map((i) => pictures[i]),
    unreadable,
  )

  const { split, shares } = splitFolder(contents, whole, options, warn)
  const replaced: ReplacedFile[] = []
  const onReplaced = (file: ReplacedFile): void => {
    replaced.push(file)
    warn(`${file.file} is damaged (${file.reason}): ${file.by} is seen in its place`)
  }
  const dataset = (list: readonly number[]): Dataset | undefined => {
    if (list.length === 0) return undefined
    const size = inputShape[0] * inputShape[1] * inputShape[2]
    const label = (i: number) => pictures[list[i]].label
    return makeDataset({
      length: list.length,
      sampleShape: inputShape,
      dtype: 'u8',
      classes,
      label,
      get:
        kept === undefined
          ? streamSamples(work, list, onReplaced)
          : (i) => ({ x: kept.samples.subarray(list[i] * size, (list[i] + 1) * size), y: label(i) }),
    })
  }
  const hash = await hashOf(contents, split)
  return {
    train: dataset(split.train) as Dataset,
    validation: dataset(split.validation),
    test: dataset(split.test),
    cached: kept !== undefined,
    warnings,
    get record() {
      const { seed = 1 } = options
      return recordOf(contents, { split, shares, seed, inputShape, hash, unreadable, replaced })
    },
    fingerprint: hash.slice(0, 16),
    close: () => pool.close(),
  }
}

/** The folder's own splits where it has them; what it lacks is held back of what there is to train on. */
function splitFolder(
  contents: FolderContents,
  whole: readonly number[],
  { validation = 0.1, test = 0.1, seed = 1 }: OpenImageFolderOptions,
  warn: (message: string) => void,
): { split: Split; shares: ImageFolderRecord['shares'] } {
  const { folder, layout, classes, pictures } = contents
  const given = (part: SplitName) => whole.filter((i) => pictures[i].split === part)
  const own = { validation: given('validation'), test: given('test') }
  const toSplit = layout === 'splits' ? given('train') : whole
  const shares: { validation?: number; test?: number } = {}
  if (own.validation.length === 0) shares.validation = validation
  if (own.test.length === 0) shares.test = test
  const label = (i: number) => pictures[i].label
  const among = new Set(toSplit)
  const duplicates = contents.duplicates
    .map((group) => group.filter((i) => among.has(i)))
    .filter((group) => group.length > 1)
  const made = splitPictures({ pictures: toSplit, label, classes, duplicates, shares, seed })
  const held = (['validation', 'test'] as const).filter((part) => (shares[part] ?? 0) > 0)
  for (const part of held) if (made[part].length === 0) throw nothingHeld(folder, part, toSplit.length, classes.length)
  const counts = held.map((part) => countClasses(made[part], label, classes.length))
  const small = [...classes.keys()].filter((c) => counts.some((count) => count[c] === 0))
  if (small.length > 0) {
    const all = countClasses(toSplit, label, classes.length)
    const few = small.map((c) => `${classes[c]} (${all[c]} ${all[c] === 1 ? 'picture' : 'pictures'})`)
    warn(`too few pictures to hold any back, these classes are only trained on: ${nameSome(few)}`)
  }
  const split = {
    train: made.train,
    validation: shares.validation === undefined ? own.validation : made.validation,
    test: shares.test === undefined ? own.test : made.test,
  }
  return { split, shares }
}

function countClasses(pictures: readonly number[], label: (picture: number) => number, classes: number): number[] {
  const counts = new Array<number>(classes).fill(0)
  for (const i of pictures) counts[label(i)]++
  return counts
}

function nothingHeld(where: string, part: string, pictures: number, classes: number): ConfigError {
  return new ConfigError({
    where,
    what: `there are too few pictures to hold any back for ${part}`,
    got: `${pictures} pictures to train on in ${classes} classes`,
    expected: 'a class with at least one picture for each of training, validation and test',
    fix: `add pictures, or hold none back: ${part}: 0`,
  })
}

/** Of the machine's memory, not of what is free at the moment: the same folder has to open the same way again. */
function defaultCacheBytes(): number {
  return Math.min(512 * 2 ** 20, (memoryBytes() ?? Number.POSITIVE_INFINITY) / 4)
}

/** @throws ConfigError on unknown options and on those that make no sense */
export function checkOpenOptions(options: OpenImageFolderOptions): void {
  checkOptions('image folder', options, optionNames)
  const { inputShape, validation = 0.1, test = 0.1, seed = 1, cacheBytes = 0 } = options
  const shape = Array.isArray(inputShape) ? (inputShape as readonly number[]) : []
  const pictures = shape.length === 3 && shape.every((extent) => Number.isInteger(extent) && extent >= 1)
  if (!pictures || (shape[2] !== 1 && shape[2] !== 3)) {
    throw wrongOption('inputShape', {
      got: Array.isArray(inputShape) ? showShape(shape) : String(inputShape),
      expected: '[height, width, 1] for grey or [height, width, 3] for colour, whole numbers of at least 1',
      fix: 'use for instance [64, 64, 3]',
    })
  }
  const share = (value: number) => value >= 0 && value < 1
  if (!share(validation) || !share(test) || validation + test >= 1) {
    throw wrongOption('validation and test', {
      got: `validation ${validation}, test ${test}`,
      expected: 'shares in [0, 1) that leave something to train on',
      fix: 'use for instance 0.1 and 0.1, or 0 to hold nothing back',
    })
  }
  if (!Number.isSafeInteger(seed)) {
    throw wrongOption('seed', { got: String(seed), expected: 'a whole number', fix: 'use for instance 1' })
  }
  if (!(cacheBytes >= 0)) {
    throw wrongOption('cacheBytes', {
      got: String(cacheBytes),
      expected: 'a number of bytes, 0 or more',
      fix: 'leave it out, or use 0 to keep nothing in memory',
    })
  }
}

function wrongOption(name: string, details: { got: string; expected: string; fix: string }): ConfigError {
  const what = name.includes(' ') ? `${name} make no sense` : `${name} makes no sense`
  return new ConfigError({ where: 'image folder', what, ...details })
}
