/** Data sets by name. */
import { ConfigError, checkOptions } from '../base/errors.ts'
import { type Dataset, makeDataset, type TrainTest } from './dataset.ts'
import { type PreparedDigits, prepareDigits } from './digits.ts'

export { cifar10 } from './cifar.ts'
export { imageFolder } from './image-folder.ts'
export { fashionMnist, mnist } from './mnist.ts'

const digitNames = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'] as const
const side = 28

export interface DigitsDataOptions {
  /** Another seed gives other pictures; default 1. */
  readonly seed?: number
  /** Pictures to learn from; default 12,000. */
  readonly trainCount?: number
  /** Pictures to test with; default 2,400. */
  readonly testCount?: number
}

/**
 * Grey 28×28 pictures of digits that look handwritten, generated here: nothing is downloaded. The test pictures are of
 * other handwriting than the training pictures. Each is drawn when it is first looked at.
 * @throws ConfigError on an unknown option or a count or seed that makes no sense
 * @example
 * const data = await datasets.digits()
 * data.train.length // 12000
 */
export async function digits(options: DigitsDataOptions = {}): Promise<TrainTest> {
  checkOptions('datasets.digits', options, ['seed', 'trainCount', 'testCount'])
  const { seed = 1, trainCount = 12_000, testCount = 2_400 } = options
  // Wrong options are found now and not at the first sample.
  for (const [name, count] of Object.entries({ trainCount, testCount })) checkCount(name, count)
  prepareDigits({ split: 'train', count: 1, seed })
  return { train: lazyDigits('train', trainCount, seed), test: lazyDigits('test', testCount, seed) }
}

function checkCount(name: string, count: number): void {
  if (Number.isSafeInteger(count) && count >= 1) return
  throw new ConfigError({
    where: 'datasets.digits',
    what: `${name} makes no sense`,
    got: String(count),
    expected: 'a whole number of at least 1',
    fix: `correct ${name}`,
  })
}

function lazyDigits(split: 'train' | 'test', count: number, seed: number): Dataset {
  const size = side * side
  let made: { readonly digits: PreparedDigits; readonly images: Uint8Array; readonly drawn: Uint8Array } | undefined
  const prepared = () => {
    made ??= {
      digits: prepareDigits({ split, count, seed }),
      images: new Uint8Array(count * size),
      drawn: new Uint8Array(count),
    }
    return made
  }
  return makeDataset({
    length: count,
    sampleShape: [side, side, 1],
    dtype: 'u8',
    classes: digitNames,
    get(i) {
      const { digits, images, drawn } = prepared()
      const x = images.subarray(i * size, (i + 1) * size)
      if (drawn[i] === 0) digits.draw(i, x)
      drawn[i] = 1
      return { x, y: digits.labels[i] }
    },
    label: (i) => prepared().digits.labels[i],
  })
}
