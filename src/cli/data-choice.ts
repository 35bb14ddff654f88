/** Data sets as the command line names them. */
import { ConfigError } from '../base/errors.ts'
import { type Dataset, datasets, subset, type TrainTest } from '../index.ts'
import { unknownName } from './command.ts'

export const datasetNames = ['digits', 'mnist'] as const
export type DatasetName = (typeof datasetNames)[number]

export interface DataChoice {
  /** The folder of the data set. */
  readonly data?: string
  /** At most so many samples of each part. */
  readonly limit?: number
}

/** @throws ConfigError with the nearest known name */
export function datasetName(name: string): DatasetName {
  const known = datasetNames.find((candidate) => candidate === name)
  if (known === undefined) throw unknownName('data set', name, datasetNames)
  return known
}

/** Opens a data set. @throws ConfigError when it is not where it is said to be, FormatError when it is damaged */
export async function openDataset(name: DatasetName, { data, limit }: DataChoice): Promise<TrainTest> {
  const { train, test } = await openWhole(name, data)
  if (limit === undefined) return { train, test }
  return { train: first(train, limit), test: first(test, limit) }
}

async function openWhole(name: DatasetName, folder: string | undefined): Promise<TrainTest> {
  switch (name) {
    case 'digits':
      if (folder !== undefined) {
        throw new ConfigError({
          where: '--data',
          what: 'the digits are generated, they are read from no folder',
          got: `--data ${folder}`,
          expected: 'no --data for digits',
          fix: 'leave --data out, or name another data set: juanji train mnist --data DIR',
        })
      }
      return datasets.digits()
    case 'mnist':
      return datasets.mnist(folder === undefined ? {} : { data: folder })
    default:
      return name satisfies never
  }
}

function first(dataset: Dataset, limit: number): Dataset {
  return subset(
    dataset,
    Array.from({ length: Math.min(limit, dataset.length) }, (_, i) => i),
  )
}
