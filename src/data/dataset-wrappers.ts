/** Data sets made of other data sets. All pass class numbers on without making samples. */
import type { DType, TypedArray } from '../base/dtype.ts'
import { ConfigError, ShapeError } from '../base/errors.ts'
import { type Shape, sameShape, showShape, sizeOf } from '../base/shape.ts'
import { type Dataset, makeDataset, type Sample, shuffledOrder, subset } from './dataset.ts'

export interface MapOptions {
  /** Shape of the new samples; default: that of the old ones. */
  readonly sampleShape?: Shape
  /** Default: that of the old ones. */
  readonly dtype?: DType
}

/**
 * Every sample's values replaced by what `f` makes of them, each time the sample is asked for. Classes stay.
 * @throws ShapeError, when a sample is asked for, if `f` gave another number of values than the shape says
 * @example
 * const light = mapDataset(photos, (x) => x.map((value) => 255 - value))
 */
export function mapDataset(
  dataset: Dataset,
  f: (x: TypedArray, index: number) => TypedArray | Promise<TypedArray>,
  { sampleShape = dataset.sampleShape, dtype = dataset.dtype }: MapOptions = {},
): Dataset {
  const finish = (x: TypedArray, y: number, index: number): Sample => {
    if (x.length === sizeOf(sampleShape)) return { x, y }
    throw new ShapeError({
      where: 'mapDataset',
      what: `the function made another number of values of sample ${index} than the shape has`,
      got: `${x.length} values`,
      expected: `${sizeOf(sampleShape)} values, shape ${showShape(sampleShape)}`,
      fix: 'name the shape of what it makes: mapDataset(data, f, { sampleShape })',
    })
  }
  const apply = ({ x, y }: Sample, index: number): Sample | Promise<Sample> => {
    const made = f(x, index)
    return made instanceof Promise ? made.then((made) => finish(made, y, index)) : finish(made, y, index)
  }
  return makeDataset({
    ...dataset,
    sampleShape,
    dtype,
    get(index) {
      const sample = dataset.get(index)
      return sample instanceof Promise ? sample.then((sample) => apply(sample, index)) : apply(sample, index)
    },
  })
}

/** The same samples in another order, fixed by the seed. Batches shuffle by themselves: see `BatchOptions.seed`. */
export function shuffleDataset(dataset: Dataset, seed: number): Dataset {
  return subset(dataset, shuffledOrder(dataset.length, seed))
}

/**
 * One data set after the other.
 * @throws ConfigError without any, or when classes or element types differ; ShapeError when samples do
 */
export function concatDatasets(...parts: readonly Dataset[]): Dataset {
  const [first, ...rest] = parts
  if (first === undefined) {
    throw new ConfigError({
      where: 'concatDatasets',
      what: 'there is nothing to put together',
      expected: 'one data set or more',
      fix: 'pass the data sets as arguments: concatDatasets(a, b)',
    })
  }
  for (const [i, part] of rest.entries()) checkFits(first, part, i + 1)
  // Place of each part's first sample, and the length of all.
  const starts = [0]
  for (const part of parts) starts.push(starts[starts.length - 1] + part.length)
  const find = (index: number): readonly [part: Dataset, index: number] => {
    let low = 0
    let high = parts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (starts[middle] <= index) low = middle
      else high = middle - 1
    }
    return [parts[low], index - starts[low]]
  }
  const known = parts.every(({ label }) => label !== undefined)
  return makeDataset({
    ...first,
    length: starts[parts.length],
    get(index) {
      const [part, place] = find(index)
      return part.get(place)
    },
    label: known
      ? (index) => {
          const [part, place] = find(index)
          return (part.label as NonNullable<typeof part.label>)(place)
        }
      : undefined,
  })
}

function checkFits(first: Dataset, part: Dataset, place: number): void {
  if (!sameShape(first.sampleShape, part.sampleShape)) {
    throw new ShapeError({
      where: 'concatDatasets',
      what: `samples of part ${place} have another shape than those of part 0`,
      got: showShape(part.sampleShape),
      expected: showShape(first.sampleShape),
      fix: 'bring them to one shape with mapDataset',
    })
  }
  if (first.dtype !== part.dtype) {
    throw new ConfigError({
      where: 'concatDatasets',
      what: `samples of part ${place} have another element type than those of part 0`,
      got: part.dtype,
      expected: first.dtype,
      fix: 'bring them to one type with mapDataset',
    })
  }
  if (first.classes.length === part.classes.length && first.classes.every((name, i) => name === part.classes[i])) return
  throw new ConfigError({
    where: 'concatDatasets',
    what: `part ${place} has other classes than part 0`,
    got: part.classes.join(', '),
    expected: first.classes.join(', '),
    fix: 'put data sets together that have the same classes in the same order',
  })
}
