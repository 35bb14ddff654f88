/** `juanji predict`: what a model says of pictures. */
import { type Command, Option } from 'commander'
import { hardwareThreads, isDirectory, openFileAtomic } from '#platform'
import { ConfigError, FormatError, type JuanjiError } from '../../base/errors.ts'
import { type LoadedModel, predict, tensor } from '../../index.ts'
import {
  type CommonOptions,
  chooseDevice,
  type DeviceChoice,
  Interrupted,
  type Runner,
  type Task,
  wholeNumber,
  withCommonOptions,
  withDeviceOptions,
} from '../command.ts'
import { type ModelFileChoice, modelArgument, openModelFile, withModelFileOptions } from '../model-files.ts'
import { countFiles, findFiles, type LoadedFile, listArgument, loadSample } from '../picture-files.ts'
import {
  csvHeader,
  csvLine,
  makePredictionTable,
  predictionEvent,
  type Ranked,
  rank,
  type TableOptions,
} from '../prediction-output.ts'
import { formatCount, formatDuration } from '../progress.ts'
import { readAhead } from '../read-ahead.ts'

interface PredictOptions extends CommonOptions, DeviceChoice, ModelFileChoice {
  readonly top: number
  readonly invert?: boolean
  readonly batchSize: number
  readonly csv?: boolean
  readonly out?: string
}

export function addPredict(program: Command, run: Runner): void {
  const command = program
    .command('predict')
    .summary('say what is in pictures')
    .description(
      'Say what a trained model sees in pictures (JPEG, PNG, WebP, GIF, AVIF). The middle of each picture is cut out in ' +
        "the model's proportions and resized; a grey model gets it in grey, and transparent parts count as white. The " +
        'digits of the built-in data are light on dark: for dark ink on light paper add --invert. ' +
        'Folders are searched to any depth, and files in them that are no pictures are passed over. Pictures that cannot ' +
        'be read are named on standard error, the others are predicted, and the exit code is 1.',
    )
    .argument('<model>', modelArgument)
    .argument('<files...>', 'picture files, folders, or - for a list of paths on standard input, one a line')
    .option('--top <k>', 'how many classes to name', wholeNumber(1), 3)
    .option('--invert', 'turn dark on light into light on dark first')
    .option('--batch-size <n>', 'pictures at once', wholeNumber(1), 64)
    .addOption(new Option('--csv', 'print CSV: file,class,probability,class2,probability2,…').conflicts('json'))
    .option('--out <file>', 'write CSV into this file instead of printing a table')
  withModelFileOptions(command)
  withDeviceOptions(command)
  withCommonOptions(command, [
    'juanji predict runs/digits-1 seven.png',
    'juanji predict squeezenet.onnx cat.jpg --labels imagenet.txt --normalize imagenet',
    'juanji predict runs/digits-1 photo-of-a-note.jpg --invert',
    'juanji predict runs/photos-1 ./new-photos --top 1 --csv > new-photos.csv',
    "find . -name '*.jpg' | juanji predict runs/photos-1 - --json",
  ])
  command.action((folder: string, files: string[], options: PredictOptions) =>
    run(options, (task) => predictFiles(task, folder, files, options)),
  )
}

async function predictFiles(
  task: Task,
  folder: string,
  files: readonly string[],
  options: PredictOptions,
): Promise<void> {
  const loaded = await openModelFile(folder, options)
  if (loaded.dtype !== 'u8') {
    throw new ConfigError({
      where: folder,
      what: 'the model does not take pictures',
      got: `samples of ${loaded.dtype}`,
      expected: 'a model for u8 pictures',
      fix: 'use the model from code, with predict',
    })
  }
  await chooseDevice(options)
  const single = files.length === 1 && files[0] !== listArgument && !(await isDirectory(files[0]))
  const output = await openOutput(task, loaded, options, single)
  let counts: Counts
  try {
    counts = await predictAll(task, loaded, files, options, { output, single })
    await output.close()
  } catch (error) {
    await output.discard()
    throw error
  }
  conclude(task, counts, options)
}

interface Counts {
  readonly pictures: number
  readonly unreadable: number
  /** Files in folders that are no pictures. */
  readonly skipped: number
  readonly seconds: number
}

/** Predicts batch by batch, while the pictures of the next batch are decoded. */
async function predictAll(
  task: Task,
  loaded: LoadedModel,
  files: readonly string[],
  options: PredictOptions,
  { output, single }: { readonly output: Output; readonly single: boolean },
): Promise<Counts> {
  const { terminal, signal } = task
  const { batchSize } = options
  const start = performance.now()
  const seconds = () => (performance.now() - start) / 1000
  const counts = { pictures: 0, unreadable: 0, skipped: 0 }
  let total: number | undefined
  // What can't be counted is found again, and told, when its turn comes.
  const counting = countFiles(files, signal).catch(() => undefined)
  void counting.then((count) => {
    total = count
  })
  let batch: Extract<LoadedFile, { kind: 'sample' }>[] = []
  const flush = async () => {
    if (signal.aborted) throw new Interrupted()
    if (batch.length === 0) return
    await output.write(await predictBatch(loaded, batch, options.top))
    counts.pictures += batch.length
    batch = []
  }
  const found = findFiles(files, { lines: () => task.lines(), signal })
  const limits = { atOnce: Math.min(4, hardwareThreads()), ahead: Math.max(8, batchSize) }
  for await (const file of readAhead(found, (one) => loadSample(one, loaded.model.inputShape, options), limits)) {
    if (signal.aborted) throw new Interrupted()
    if (file.kind === 'unreadable') {
      if (single) throw file.error
      task.begin()
      counts.unreadable++
      showUnreadable(task, file.path, file.error)
    } else if (file.kind === 'other') counts.skipped++
    else {
      task.begin()
      batch.push(file)
      if (batch.length === batchSize) await flush()
    }
    const done = counts.pictures + batch.length + counts.unreadable + counts.skipped
    const rate = done / seconds()
    if (!single) {
      terminal.progress({
        label: 'pictures',
        done,
        total,
        rate: `${formatCount(rate)} pictures/s`,
        ...(total === undefined ? {} : { secondsLeft: (total - done) / rate }),
      })
    }
  }
  await flush()
  if (counts.pictures + counts.unreadable === 0) throw nothingFound(files, counts.skipped)
  return { ...counts, seconds: seconds() }
}

async function predictBatch(
  { model, classes }: LoadedModel,
  batch: readonly { readonly path: string; readonly sample: Uint8Array }[],
  top: number,
): Promise<Ranked[]> {
  const size = batch[0].sample.length
  const x = new Uint8Array(batch.length * size)
  for (const [i, { sample }] of batch.entries()) x.set(sample, i * size)
  const predictions = await predict(model, tensor(x, [batch.length, ...model.inputShape], 'u8'))
  return predictions.map((prediction, i) => rank(batch[i].path, prediction, classes, top))
}

function showUnreadable({ terminal }: Task, path: string, error: Error): void {
  const reason = error instanceof FormatError || error instanceof ConfigError ? error.problem.what : error.message
  terminal.event({ event: 'unreadable', file: path, reason })
  terminal.note(`${path}: ${reason}`)
}

function conclude({ terminal }: Task, counts: Counts, { out }: PredictOptions): void {
  const { pictures, unreadable, skipped, seconds } = counts
  terminal.event({ event: 'done', ...counts })
  if (!terminal.json && pictures + unreadable + skipped > 1) {
    const parts = [
      `${formatCount(pictures)} picture${pictures === 1 ? '' : 's'} in ${formatDuration(seconds)}`,
      ...(skipped === 0 ? [] : [`${formatCount(skipped)} other file${skipped === 1 ? '' : 's'} passed over`]),
      ...(unreadable === 0 ? [] : [`${formatCount(unreadable)} could not be read`]),
    ]
    terminal.note(`${parts.join(', ')}${out === undefined ? '' : `; the predictions are in ${out}`}`)
  }
  if (unreadable > 0) {
    throw new FormatError({
      where: 'predict',
      what: `${formatCount(unreadable)} of ${formatCount(pictures + unreadable)} pictures could not be read`,
      expected: 'JPEG, PNG, WebP, GIF or AVIF files',
      fix: 'look at the files named above: correct the paths, repair them or leave them out',
    })
  }
}

function nothingFound(files: readonly string[], skipped: number): JuanjiError {
  return new ConfigError({
    where: files.length > 3 ? 'predict' : files.join(' '),
    what: 'there are no pictures in what was named',
    got:
      skipped === 0
        ? 'nothing'
        : skipped === 1
          ? '1 file that is no picture'
          : `${formatCount(skipped)} files that are no pictures`,
    expected: 'JPEG, PNG, WebP, GIF or AVIF files, folders with some, or - and a list of paths on standard input',
    fix: 'check the paths',
  })
}

/** Where predictions go. */
interface Output {
  write(batch: readonly Ranked[]): Promise<void>
  /** All predictions are there. */
  close(): Promise<void>
  /** Not all predictions are there: a file must not look as if. */
  discard(): Promise<void>
}

async function openOutput(task: Task, loaded: LoadedModel, options: PredictOptions, single: boolean): Promise<Output> {
  const { terminal } = task
  const top = Math.min(options.top, classCount(loaded))
  const file = options.out === undefined ? undefined : await openFile(options.out)
  await file?.write(csvHeader(top))
  let head = csvHeader(top)
  const columns = terminal.interactive ? terminal.columns : undefined
  const tableOptions: TableOptions = { classes: loaded.classes, top, columns, single }
  const table = makePredictionTable(tableOptions)
  return {
    async write(batch) {
      for (const one of batch) terminal.event(predictionEvent(one))
      if (file !== undefined) await file.write(batch.map(csvLine).join(''))
      else if (options.csv === true) {
        terminal.data(head + batch.map(csvLine).join(''))
        head = ''
      } else terminal.lines(table(batch))
    },
    close: async () => file?.commit(),
    discard: async () => file?.discard(),
  }
}

/** @throws ConfigError before any work when the file can't be written */
async function openFile(path: string) {
  if (!(await isDirectory(path))) return openFileAtomic(path)
  throw new ConfigError({
    where: path,
    what: 'this is a folder',
    expected: 'a file for the predictions',
    fix: 'add a name: --out predictions.csv',
  })
}

/** How many classes the model tells apart. */
function classCount({ model, classes }: LoadedModel): number {
  return model.outputShape.at(-1) ?? classes.length
}
