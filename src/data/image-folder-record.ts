/** What is written down of a folder of pictures, so that a run can be judged and repeated. */
import type { SplitName } from './image-folder-layout.ts'
import type { ReplacedFile } from './image-folder-samples.ts'
import type { FolderContents, UnreadableFile } from './image-folder-scan.ts'
import type { Split } from './image-folder-split.ts'

/** A folder's pictures as they were opened: plain JSON. Paths are below the folder, with `/`. */
export interface ImageFolderRecord {
  readonly kind: 'image-folder'
  /** As it was named, or the one in it that holds the classes. */
  readonly folder: string
  readonly layout: 'classes' | 'splits'
  /** Names by class number, with the pictures in each part. */
  readonly classes: readonly {
    readonly name: string
    readonly train: number
    readonly validation: number
    readonly test: number
  }[]
  readonly inputShape: readonly number[]
  readonly seed: number
  /** What was held back of the pictures to train on; a part that has a folder of its own is not named. */
  readonly shares: { readonly validation?: number; readonly test?: number }
  /** SHA-256 over the split lists and the sizes of their files, in hexadecimal. */
  readonly hash: string
  readonly splits: Readonly<Record<SplitName, readonly string[]>>
  /** Left out. */
  readonly unreadable: readonly UnreadableFile[]
  /** Found to be damaged in an epoch. */
  readonly replaced: readonly ReplacedFile[]
  /** Groups of equal files that are not all in one part. */
  readonly duplicatesAcrossSplits: readonly (readonly string[])[]
  /** Groups of equal files in all. */
  readonly duplicateGroups: number
}

export interface OpenedSplit
  extends Pick<ImageFolderRecord, 'inputShape' | 'seed' | 'shares' | 'hash' | 'unreadable' | 'replaced'> {
  readonly split: Split
}

const parts = ['train', 'validation', 'test'] as const

export function recordOf(contents: FolderContents, opened: OpenedSplit): ImageFolderRecord {
  const { folder, layout, classes, pictures, duplicates } = contents
  const { split, inputShape, seed, shares, hash, unreadable, replaced } = opened
  const counts = classes.map((name) => ({ name, train: 0, validation: 0, test: 0 }))
  const partOf = new Map<number, SplitName>()
  for (const part of parts) {
    for (const i of split[part]) {
      counts[pictures[i].label][part]++
      partOf.set(i, part)
    }
  }
  const files = (list: readonly number[]) => list.map((i) => pictures[i].file)
  const used = duplicates.map((group) => group.filter((i) => partOf.has(i))).filter((group) => group.length > 1)
  const across = used.filter((group) => group.some((i) => partOf.get(i) !== partOf.get(group[0])))
  return {
    kind: 'image-folder',
    folder,
    layout,
    classes: counts,
    inputShape: [...inputShape],
    seed,
    shares,
    hash,
    splits: { train: files(split.train), validation: files(split.validation), test: files(split.test) },
    unreadable: [...unreadable],
    replaced: [...replaced].sort((a, b) => (a.file < b.file ? -1 : 1)),
    duplicatesAcrossSplits: across.map(files),
    duplicateGroups: used.length,
  }
}

/** SHA-256 over names and sizes of the files, part by part. */
export async function hashOf({ pictures }: FolderContents, split: Split): Promise<string> {
  const lines = parts.flatMap((part) => [part, ...split[part].map((i) => `${pictures[i].file}\t${pictures[i].bytes}`)])
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(lines.join('\n')))
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
