/** Data sets are `{ length, get(i) }` and wrappers around them. */
import { startPieces } from '#platform'
import { allocate, type DType, type TypedArray } from '../base/dtype.ts'
import { ConfigError } from '../base/errors.ts'
import { Random } from '../base/random.ts'
import { type Shape, sizeOf } from '../base/shape.ts'
import { type Tensor, tensor } from '../tensor/index.ts'

/** One sample: values of the data set's sample shape, and its class number. */
export interface Sample {
  readonly x: TypedArray
  readonly y: number
}

export interface Dataset {
  readonly length: number
  /** Shape of one sample, without the batch. */
  readonly sampleShape: Shape
  /** u8 for pictures: a model scales them to [0, 1]. */
  readonly dtype: DType
  /** Names of the classes, by number. */
  readonly classes: readonly string[]
  /** A promise where samples are decoded elsewhere; batches ask ahead for those. */
  get(index: number): Sample | Promise<Sample>
  /** The sample's class number where it is known without making the sample; splitting and counting look at it alone. */
  label?(index: number): number
  /**
   * Batches in a shuffled order, or in the data's own order without a seed. The last one may be smaller.
   * @throws ConfigError when the size is no whole number of at least 1
   */
  batches(options: BatchOptions): AsyncIterable<Batch>
}

/** What is learned from, and what is only looked at when all is decided. */
export interface TrainTest {
  readonly train: Dataset
  readonly test: Dataset
}

export interface BatchOptions {
  readonly size: number
  /** Shuffles; equal seeds and epochs give equal orders. */
  readonly seed?: number
  /** Mixed into the seed, so that every pass has another order. */
  readonly epoch?: number
  /** Leaves out so many samples at the beginning of the order: a run goes on where it stopped. Default 0. */
  readonly start?: number
}

export interface Batch {
  /** [batch, …sample shape] */
  readonly x: Tensor
  /** Class numbers, i32 [batch]. */
  readonly y: Tensor
}

export function checkBatchSize(where: string, size: number): void {
  if (Number.isInteger(size) && size >= 1) return
  throw new ConfigError({
    where,
    what: 'the batch size makes no sense',
    got: String(size),
    expected: 'a whole number of at least 1',
    fix: 'use for instance 64',
  })
}

/** @throws ConfigError when a batch is larger than what there is to learn from */
export function checkBatchFits(where: string, size: number, samples: number): void {
  if (size <= samples) return
  throw new ConfigError({
    where,
    what: 'the batch is larger than the data',
    got: `batches of ${size}, ${samples} samples to learn from`,
    expected: `at most ${samples}`,
    fix: 'make the batch smaller: several updates an epoch learn more',
  })
}

/** A permutation of 0 … length-1. */
export function shuffledOrder(length: number, seed: number, epoch = 0): Int32Array {
  return new Random(seed, `order ${epoch}`).shuffle(Int32Array.from({ length }, (_, i) => i))
}

/** Batches that are being made while one is used, of samples that come by promise. */
const batchesAhead = 2

/** Gathers samples into tensors, in the order given. */
async function* gather(dataset: Dataset, order: ArrayLike<number>, size: number, start: number): AsyncGenerator<Batch> {
  const sampleSize = sizeOf(dataset.sampleShape)
  const pending: (Sample | Promise<Sample>)[] = []
  let asked = start
  const ask = (): void => {
    const sample = dataset.get(order[asked++])
    // One that fails is told when its turn comes; until then it must not count as unhandled.
    if (sample instanceof Promise) sample.catch(() => undefined)
    pending.push(sample)
  }
  for (let first = start; first < order.length; first += size) {
    const count = Math.min(size, order.length - first)
    const x = allocate(dataset.dtype, count * sampleSize)
    const y = new Int32Array(count)
    // Samples may be made or decoded when they are asked for.
    const pieces = startPieces()
    for (let i = 0; i < count; i++) {
      if (pieces.over) await pieces.next()
      if (asked === first + i) ask()
      // What comes by promise comes from elsewhere: others are asked for while this one is waited for.
      const ahead = pending[0] instanceof Promise ? Math.min(order.length, first + (1 + batchesAhead) * size) : 0
      while (asked < ahead) ask()
      const sample = await (pending.shift() as Sample | Promise<Sample>)
      x.set(sample.x, i * sampleSize)
      y[i] = sample.y
    }
    yield { x: tensor(x, [count, ...dataset.sampleShape], dataset.dtype), y: tensor(y, [count]) }
  }
}

/** Makes a data set of its three essentials and `get`. */
export function makeDataset(
  essentials: Pick<Dataset, 'length' | 'sampleShape' | 'dtype' | 'classes' | 'get' | 'label'>,
): Dataset {
  const dataset: Dataset = {
    ...essentials,
    batches({ size, seed, epoch, start = 0 }) {
      checkBatchSize('batches', size)
      const order =
        seed === undefined
          ? Int32Array.from({ length: dataset.length }, (_, i) => i)
          : shuffledOrder(dataset.length, seed, epoch)
      return gather(dataset, order, size, start)
    },
  }
  return dataset
}

/** Samples that lie one after the other in one array. */
export function arrayDataset(
  x: TypedArray,
  y: ArrayLike<number>,
  sampleShape: Shape,
  dtype: DType,
  classes: readonly string[],
): Dataset {
  const size = sizeOf(sampleShape)
  return makeDataset({
    length: y.length,
    sampleShape,
    dtype,
    classes,
    get: (i) => ({ x: x.subarray(i * size, (i + 1) * size), y: y[i] }),
    label: (i) => y[i],
  })
}

/** The samples at these places. */
export function subset(dataset: Dataset, indices: ArrayLike<number>): Dataset {
  const { label } = dataset
  return makeDataset({
    ...dataset,
    length: indices.length,
    get: (i) => dataset.get(indices[i]),
    label: label === undefined ? undefined : (i) => label(indices[i]),
  })
}

/** The class number of every sample; samples are made only where the data set can't tell without. */
export async function labelsOf(dataset: Dataset): Promise<Int32Array> {
  const labels = new Int32Array(dataset.length)
  const pieces = startPieces()
  for (let i = 0; i < labels.length; i++) {
    if (pieces.over) await pieces.next()
    labels[i] = dataset.label === undefined ? (await dataset.get(i)).y : dataset.label(i)
  }
  return labels
}

/**
 * Splits at random, each class in proportion.
 * @param share of the samples that go to the second part, in (0, 1)
 * @throws ConfigError when the share makes no sense or leaves a part empty
 */
export async function split(
  dataset: Dataset,
  share: number,
  seed: number,
): Promise<readonly [rest: Dataset, held: Dataset]> {
  const labels = await labelsOf(dataset)
  const byClass = new Map<number, number[]>()
  for (const i of shuffledOrder(dataset.length, seed)) {
    const y = labels[i]
    const list = byClass.get(y)
    if (list === undefined) byClass.set(y, [i])
    else list.push(i)
  }
  const rest: number[] = []
  const held: number[] = []
  for (const list of byClass.values()) {
    const count = Math.round(list.length * share)
    held.push(...list.slice(0, count))
    rest.push(...list.slice(count))
  }
  if (!(share > 0 && share < 1) || rest.length === 0 || held.length === 0) {
    throw new ConfigError({
      where: 'validation',
      what: 'the share leaves nothing to train or nothing to validate on',
      got: `${share} of ${dataset.length} samples`,
      expected: 'a share in (0, 1) that gives both parts samples',
      fix: 'use for instance 0.1, or 0 for no validation',
    })
  }
  // Sorted, so that the parts depend on the seed alone and reading stays in order.
  const ascending = (a: number, b: number) => a - b
  return [subset(dataset, rest.sort(ascending)), subset(dataset, held.sort(ascending))]
}
