/** Data sets as the command line names them. */
import { ConfigError } from '../base/errors.ts'
import { type Dataset, type DownloadProgress, datasets, subset, type TrainTest } from '../index.ts'
import { Interrupted, type Task, unknownName } from './command.ts'
import { formatBytes, formatDuration } from './progress.ts'

export const datasetNames = ['digits', 'mnist', 'fashion-mnist', 'cifar10'] as const
export type DatasetName = (typeof datasetNames)[number]

/** Help of the option `--data`. */
export const dataHelp =
  'where the files of the data set are (default: images/<dataset> in the folder JUANJI_DATA; else they are downloaded once)'

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

/**
 * Opens a data set; downloads what is not here, and shows how far that is.
 * @throws ConfigError when it is not where it is said to be, FormatError when it is damaged, UnsupportedError when it
 * can't be downloaded, Interrupted when it is stopped meanwhile
 */
export async function openDataset(name: DatasetName, choice: DataChoice, task: Task): Promise<TrainTest> {
  const { data, limit } = choice
  try {
    const { train, test } = await openWhole(name, data, task)
    if (limit === undefined) return { train, test }
    return { train: first(train, limit), test: first(test, limit) }
  } catch (error) {
    if (task.signal.aborted) throw new Interrupted()
    throw error
  } finally {
    task.terminal.done()
  }
}

async function openWhole(name: DatasetName, data: string | undefined, task: Task): Promise<TrainTest> {
  const options = { data, signal: task.signal, onProgress: showDownload(name, task) }
  switch (name) {
    case 'digits':
      if (data !== undefined) {
        throw new ConfigError({
          where: '--data',
          what: 'the digits are generated, they are read from no folder',
          got: `--data ${data}`,
          expected: 'no --data for digits',
          fix: 'leave --data out, or name another data set: juanji train mnist --data DIR',
        })
      }
      return datasets.digits()
    case 'mnist':
      return datasets.mnist(options)
    case 'fashion-mnist':
      return datasets.fashionMnist(options)
    case 'cifar10':
      return datasets.cifar10(options)
    default:
      return name satisfies never
  }
}

function showDownload(dataset: DatasetName, { terminal, begin }: Task): (progress: DownloadProgress) => void {
  let waited = ''
  return (progress) => {
    // From now on a failure is no wrong usage.
    begin()
    const { state, file, path, bytes, total, bytesPerSecond = 0 } = progress
    switch (state) {
      case 'waiting':
        if (waited !== file) terminal.note(`Another process downloads ${file}: waiting for it.`)
        waited = file
        break
      case 'downloading':
        terminal.progress({
          label: file,
          done: bytes,
          total,
          rate: `${formatBytes(bytesPerSecond)}/s`,
          secondsLeft: (total - bytes) / bytesPerSecond,
          details: [`${formatBytes(bytes)} of ${formatBytes(total)}`],
        })
        break
      case 'retrying':
        terminal.note(`${file}: ${progress.reason}. Trying again in ${formatDuration(progress.retrySeconds ?? 0)}.`)
        break
      case 'checking':
        break
      case 'done':
        terminal.event({ event: 'download', dataset, file, bytes, path })
        if (!terminal.json) terminal.note(`Downloaded ${path} (${formatBytes(bytes)}).`)
        break
      default:
        state satisfies never
    }
  }
}

function first(dataset: Dataset, limit: number): Dataset {
  return subset(
    dataset,
    Array.from({ length: Math.min(limit, dataset.length) }, (_, i) => i),
  )
}
