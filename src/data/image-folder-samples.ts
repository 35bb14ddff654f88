/** From files to samples: all at once, to be kept, or one by one when they are asked for. */
import { exists, joinPath } from '#platform'
import { ConfigError } from '../base/errors.ts'
import type { Sample } from './dataset.ts'
import { type FolderContents, type FolderWorkOptions, inPool, type UnreadableFile } from './image-folder-scan.ts'
import { type PicturePool, PictureProblem } from './picture-pool.ts'

export interface SampleWork extends FolderWorkOptions {
  readonly contents: FolderContents
  readonly pool: PicturePool
  readonly inputShape: readonly [height: number, width: number, channels: number]
}

/** A picture that turned out to be damaged when its turn came, and the one that is seen in its place. */
export interface ReplacedFile extends UnreadableFile {
  readonly by: string
}

/** @throws PictureProblem when the picture is damaged, ConfigError when the file can't be read any more */
async function decode({ contents, pool, inputShape }: SampleWork, picture: number): Promise<Uint8Array> {
  const { folder, pictures } = contents
  const { file, height: rows, width: columns } = pictures[picture]
  const [height, width, channels] = inputShape
  const path = joinPath(folder, file)
  try {
    return await pool.ask('sample', { path, height, width, channels }, rows * columns)
  } catch (error) {
    if (!(error instanceof PictureProblem) || error.kind === 'damaged') throw error
    throw await vanished(folder, path, error)
  }
}

async function vanished(folder: string, path: string, { kind, message }: PictureProblem): Promise<ConfigError> {
  const whole = !(await exists(folder))
  return new ConfigError({
    where: whole ? folder : path,
    what: whole
      ? 'the folder of pictures is no longer there'
      : kind === 'missing'
        ? 'this picture is no longer there'
        : `this picture cannot be read any more: ${message}`,
    expected: 'the files that were there when the folder was scanned',
    fix: 'put back what is missing; a run that stopped here can then be resumed from its last checkpoint',
  })
}

/** Decodes every picture; samples lie one after the other by picture number. */
export async function keepSamples(
  work: SampleWork,
): Promise<{ samples: Uint8Array; damaged: ReadonlyMap<number, string> }> {
  const { contents, pool, inputShape, signal, onProgress } = work
  const size = inputShape[0] * inputShape[1] * inputShape[2]
  const total = contents.pictures.length
  const samples = new Uint8Array(total * size)
  const damaged = new Map<number, string>()
  let done = 0
  await inPool(pool, total, signal, async (picture) => {
    try {
      samples.set(await decode(work, picture), picture * size)
    } catch (error) {
      if (!(error instanceof PictureProblem)) throw error
      damaged.set(picture, error.message)
    }
    onProgress?.({ doing: 'decode', done: ++done, total })
  })
  return { samples, damaged }
}

/**
 * Samples of some pictures, decoded each time they are asked for. In the place of a damaged one stands the next of its
 * class in the list, in a circle: which one that is depends on the files alone, not on the order of asking.
 * @param onReplaced is told once of each damaged picture
 */
export function streamSamples(
  work: SampleWork,
  list: readonly number[],
  onReplaced: (replaced: ReplacedFile) => void,
): (place: number) => Promise<Sample> {
  const { contents } = work
  const { pictures, classes, folder } = contents
  const damaged = new Map<number, string>()
  const told = new Set<number>()
  const tryOne = async (picture: number): Promise<Uint8Array | undefined> => {
    if (damaged.has(picture)) return undefined
    return decode(work, picture).catch((error) => {
      if (!(error instanceof PictureProblem)) throw error
      damaged.set(picture, error.message)
      return undefined
    })
  }
  const replace = async (place: number): Promise<Sample> => {
    const lost = list[place]
    const y = pictures[lost].label
    for (let k = 1; k < list.length; k++) {
      const other = list[(place + k) % list.length]
      if (pictures[other].label !== y) continue
      const x = await tryOne(other)
      if (x === undefined) continue
      if (!told.has(lost)) {
        told.add(lost)
        onReplaced({ file: pictures[lost].file, reason: damaged.get(lost) as string, by: pictures[other].file })
      }
      return { x, y }
    }
    throw new ConfigError({
      where: joinPath(folder, pictures[lost].file),
      what: `this picture is damaged (${damaged.get(lost)}), as are all others of class '${classes[y]}' beside it`,
      expected: 'at least one picture of each class that can be decoded',
      fix: 'add pictures of this class, or remove the damaged ones',
    })
  }
  return async (place) => {
    const x = await tryOne(list[place])
    return x === undefined ? replace(place) : { x, y: pictures[list[place]].label }
  }
}
