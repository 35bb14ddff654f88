/** Which pictures are trained on, which are held back for choosing and which for the last word. */
import { Random } from '../base/random.ts'
import type { SplitName } from './image-folder-layout.ts'

export interface SplitWork {
  /** Numbers of the pictures to split. */
  readonly pictures: readonly number[]
  /** Class number of a picture. */
  readonly label: (picture: number) => number
  readonly classes: readonly string[]
  /** Groups of equal files, by picture number. */
  readonly duplicates: readonly (readonly number[])[]
  /** Shares of each class that are held back; parts that are not named are not made. */
  readonly shares: { readonly validation?: number; readonly test?: number }
  readonly seed: number
}

export type Split = Readonly<Record<SplitName, readonly number[]>>

/**
 * Splits at random, each class by itself and in proportion, at least one picture of a class for each part. Equal files
 * are one: they are trained on, and held back together only where a class has too few others. Files that are in two
 * classes are always trained on. A class that is too small to give every part one is only trained on.
 *
 * A class's split depends on its own pictures and the seed, not on other classes.
 * @returns picture numbers in ascending order
 */
export function splitPictures({ pictures, label, classes, duplicates, shares, seed }: SplitWork): Split {
  const split: Record<SplitName, number[]> = { train: [], validation: [], test: [] }
  const grouped = new Set(duplicates.flat())
  const single = classes.map((): number[] => [])
  for (const i of pictures) if (!grouped.has(i)) single[label(i)].push(i)
  const equal = classes.map((): (readonly number[])[] => [])
  const fixed = new Array<number>(classes.length).fill(0)
  for (const group of duplicates) {
    const first = label(group[0])
    if (group.every((i) => label(i) === first)) equal[first].push(group)
    else {
      for (const i of group) {
        split.train.push(i)
        fixed[label(i)]++
      }
    }
  }
  for (const [c, name] of classes.entries()) {
    const random = new Random(seed, `split ${name}`)
    const units = [
      ...Array.from(random.shuffle(Int32Array.from(single[c])), (i) => [i]),
      ...Array.from(random.shuffle(Int32Array.from(equal[c].keys())), (i) => equal[c][i]),
    ]
    const held = takeParts(units, fixed[c], shares)
    for (const part of ['train', 'validation', 'test'] as const)
      for (const unit of held[part]) for (const i of unit) split[part].push(i)
  }
  for (const part of Object.values(split)) part.sort((a, b) => a - b)
  return split
}

type Units = readonly (readonly number[])[]

/** @param fixed pictures of the class that are trained on anyway */
function takeParts(units: Units, fixed: number, shares: SplitWork['shares']): Record<SplitName, Units> {
  const parts = (['test', 'validation'] as const).filter((part) => (shares[part] ?? 0) > 0)
  const spare = units.length - (fixed > 0 ? 0 : 1) // one at least is trained on
  const taken: Record<SplitName, Units> = { train: [], validation: [], test: [] }
  if (spare < parts.length) return { ...taken, train: units }
  const pictures = fixed + units.reduce((sum, unit) => sum + unit.length, 0)
  const singles = units.filter((unit) => unit.length === 1).length
  let first = 0
  for (const [k, part] of parts.entries()) {
    const wanted = Math.max(1, Math.round(pictures * (shares[part] as number)))
    // What the parts after this one must get, and no group of equal files while there are others.
    const most = Math.min(spare - first - (parts.length - k - 1), Math.max(1, singles - first))
    const count = Math.min(wanted, most)
    taken[part] = units.slice(first, first + count)
    first += count
  }
  return { ...taken, train: units.slice(first) }
}
