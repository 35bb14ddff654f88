/** What a command trains on or measures with: a data set by name, or a folder of pictures. */
import { absolutePath, exists, isDirectory } from '#platform'
import { ConfigError, nearest } from '../base/errors.ts'
import {
  type DataFacts,
  type Dataset,
  type FolderProgress,
  type ImageFolderScan,
  makeDataset,
  type nn,
  type OpenImageFolder,
  type Shape,
  scanImageFolder,
  subset,
} from '../index.ts'
import type { Task } from './command.ts'
import { type DataChoice, datasetNames, openDataset } from './data-choice.ts'
import { formatCount } from './progress.ts'
import type { TrainPlan } from './train-plan.ts'

type JsonRecord = { readonly [name: string]: nn.Json }

/** Parts of a data set, ready to be read. */
export interface PreparedData {
  readonly train: Dataset
  /** A part of its own, or the share that the trainer is to hold out. */
  readonly validation: Dataset | number
  readonly test?: Dataset
  /** For data.json. */
  readonly record: JsonRecord
  /** What must be the same when a run is resumed, beside what the trainer sees for itself. */
  readonly identity: JsonRecord
}

export interface Source {
  /** A name, or the absolute path of a folder. */
  readonly dataset: string
  /** For people, and for the names of runs. */
  readonly name: string
  /** Sizes, when these shares are held out and tested with. */
  facts(validation: number, test: number): DataFacts
  /** @throws ConfigError when this data can't be trained on as planned; part of usage, before any work */
  check(plan: TrainPlan): void
  open(plan: TrainPlan, task: Task): Promise<PreparedData>
  /** What a model is measured with that was trained on something else: the part for testing, or all there is. */
  measured(inputShape: Shape, classes: readonly string[], task: Task): Promise<Dataset>
  close(): Promise<void>
}

/** For the help of commands. */
export const dataArgument = `a folder of pictures with one folder for each class, or ${datasetNames.join(', ')}`

/** For people, and for the names of runs. */
export function shortName(name: string): string {
  const parts = name.split(/[/\\]/).filter((part) => part !== '' && part !== '.' && part !== '..')
  return parts.at(-1) ?? 'pictures'
}

/** @throws ConfigError when there is neither a data set nor a folder of this name; opens nothing */
export async function checkSource(name: string): Promise<void> {
  if ((datasetNames as readonly string[]).includes(name) || (await isDirectory(name))) return
  const isFile = await exists(name)
  const meant = isFile ? undefined : nearest(name, datasetNames)
  throw new ConfigError({
    where: 'data set',
    what: isFile ? `'${name}' is a file, not a folder` : `there is no data set or folder '${name}'`,
    expected: dataArgument,
    fix:
      meant === undefined
        ? 'check the path; pictures lie in one folder for each class, such as photos/cats and photos/dogs'
        : `did you mean '${meant}'?`,
  })
}

/**
 * Opens a data set by its name, or looks through a folder.
 * @throws ConfigError when there is neither, or it is not what it is said to be
 */
export async function openSource(name: string, choice: DataChoice, task: Task): Promise<Source> {
  await checkSource(name)
  const known = datasetNames.find((candidate) => candidate === name)
  return known === undefined ? folderSource(name, choice, task) : namedSource(known, choice, task)
}

async function namedSource(name: (typeof datasetNames)[number], choice: DataChoice, task: Task): Promise<Source> {
  const { train, test } = await openDataset(name, choice, task)
  const [height, width, channels] = train.sampleShape
  return {
    dataset: name,
    name,
    facts: (validation) => ({
      samples: Math.round(train.length * (1 - validation)),
      classes: train.classes.length,
      height,
      width,
      channels: channels as 1 | 3,
    }),
    check({ inputShape }) {
      if (inputShape[0] !== height || inputShape[1] !== width) {
        throw new ConfigError({
          where: '--input-size',
          what: `the pictures of ${name} have one size`,
          got: String(inputShape[0]),
          expected: String(height),
          fix: 'leave --input-size out: it is for folders of pictures',
        })
      }
    },
    async open({ validation, seed, limit }) {
      const classes = [...train.classes]
      return {
        train,
        validation,
        test,
        record: {
          classes,
          ...(limit === undefined ? {} : { limit }),
          train: { samples: train.length, heldOut: validation, seed },
          test: { samples: test.length },
        },
        identity: {},
      }
    },
    async measured(_inputShape, classes) {
      const same = classes.length === 0 || classes.join('\n') === train.classes.join('\n')
      if (!same) checkClasses(name, train.classes, classes)
      return test
    },
    close: async () => {},
  }
}

async function folderSource(path: string, { data, limit }: DataChoice, task: Task): Promise<Source> {
  if (data !== undefined) {
    throw new ConfigError({
      where: '--data',
      what: 'the folder of pictures is named already',
      got: `${path} and --data ${data}`,
      expected: '--data for a data set by name only',
      fix: 'leave --data out',
    })
  }
  const scan = await scanImageFolder(path, { signal: task.signal, onProgress: progressOf(task) })
  const { medianHeight, medianWidth, grey, samples } = scan.facts
  let opened: OpenImageFolder | undefined
  return {
    dataset: absolutePath(path),
    name: shortName(path),
    facts: (validation, test) => ({
      samples: Math.round(Math.min(samples, limit ?? samples) * (1 - test) * (1 - validation)),
      classes: scan.classes.length,
      height: medianHeight,
      width: medianWidth,
      channels: grey ? 1 : 3,
    }),
    check() {},
    async open(plan) {
      opened = await openFolder(scan, plan, task)
      return prepared(opened, limit)
    },
    async measured(inputShape, classes) {
      checkClasses(path, scan.classes, classes)
      const whole = { inputShape: inputShape as TrainPlan['inputShape'], validation: 0, test: 0, seed: 0 }
      opened = await openFolder(scan, whole, task)
      const dataset = opened.test ?? opened.train
      const numbers = scan.classes.map((name) => classes.indexOf(name))
      const { label, get } = dataset
      return makeDataset({
        ...dataset,
        classes,
        get: async (i) => {
          const { x, y } = await get(i)
          return { x, y: numbers[y] }
        },
        label: label === undefined ? undefined : (i) => numbers[label(i)],
      })
    },
    close: async () => opened?.close(),
  }
}

/** @throws ConfigError when the data have classes that the model does not know */
function checkClasses(path: string, found: readonly string[], known: readonly string[]): void {
  const unknown = found.filter((name) => !known.includes(name))
  if (unknown.length === 0) return
  const list = (names: readonly string[]) =>
    names.slice(0, 10).join(', ') + (names.length > 10 ? ` and ${names.length - 10} more` : '')
  throw new ConfigError({
    where: path,
    what: 'the data have classes that the model was not trained on',
    got: list(unknown),
    expected: `the model's classes: ${list(known)}`,
    fix: 'measure with data of the same classes; the names of folders are the names of classes',
  })
}

type Parts = Pick<TrainPlan, 'inputShape' | 'validation' | 'test' | 'seed' | 'cache'>

function openFolder(scan: ImageFolderScan, plan: Parts, task: Task): Promise<OpenImageFolder> {
  const { inputShape, validation, test, seed, cache } = plan
  return scan.open({
    inputShape,
    validation,
    test,
    seed,
    ...(cache === undefined ? {} : { cacheBytes: cache * 2 ** 20 }),
    signal: task.signal,
    onProgress: progressOf(task),
    onWarning: (message) => task.terminal.note(`Note: ${message}`),
  })
}

function prepared(data: OpenImageFolder, limit: number | undefined): PreparedData {
  const { train, validation, test, fingerprint } = data
  const first = (dataset: Dataset) => (limit === undefined ? dataset : subset(dataset, spread(dataset.length, limit)))
  return {
    train: first(train),
    validation: validation === undefined ? 0 : first(validation),
    ...(test === undefined ? {} : { test: first(test) }),
    // Asked for when it is written: what turns out to be damaged in an epoch is on it.
    get record() {
      return { ...(data.record as unknown as JsonRecord), ...(limit === undefined ? {} : { limit }) }
    },
    identity: { files: fingerprint, ...(limit === undefined ? {} : { limit }) },
  }
}

/** Places all over a data set that is sorted by class. */
function spread(length: number, limit: number): number[] {
  const count = Math.min(length, limit)
  return Array.from({ length: count }, (_, i) => Math.floor((i * length) / count))
}

const labels: Readonly<Record<FolderProgress['doing'], string>> = {
  list: 'looking for pictures',
  look: 'looking at pictures',
  compare: 'looking for equal files',
  decode: 'reading pictures',
}

/** Progress with the time that is left. */
function progressOf({ terminal }: Task): (progress: FolderProgress) => void {
  let doing: FolderProgress['doing'] | undefined
  let start = 0
  return (progress) => {
    if (progress.doing !== doing) start = performance.now()
    doing = progress.doing
    const { done, total = done } = progress
    const rate = (1000 * done) / Math.max(1, performance.now() - start)
    terminal.progress({
      label: labels[progress.doing],
      done,
      total,
      rate: `${formatCount(rate)} files/s`,
      ...(progress.total === undefined ? {} : { secondsLeft: (total - done) / rate }),
    })
  }
}
