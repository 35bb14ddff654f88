/** `juanji train`: from a data set or a folder of pictures to a model folder. */
import type { Command } from 'commander'
import { exists, joinPath } from '#platform'
import { ConfigError } from '../../base/errors.ts'
import type { Device } from '../../engine/index.ts'
import {
  claimModelFolder,
  clearModelFolder,
  type Evaluation,
  evaluate,
  fit,
  hasCheckpoint,
  lrScheduleNames,
  nextRunFolder,
  type Run,
  saveModel,
  type TrainEvent,
  trainControl,
  writeData,
  writeHistory,
} from '../../index.ts'
import {
  chooseDevice,
  Interrupted,
  number,
  positiveNumber,
  type Runner,
  type Task,
  wholeNumber,
  withCommonOptions,
  withDeviceOptions,
} from '../command.ts'
import { dataHelp } from '../data-choice.ts'
import { drawDemo } from '../demo.ts'
import { formatCount } from '../progress.ts'
import { History, historyHead } from '../train-history.ts'
import {
  architectures,
  makeOptimizer,
  makePlan,
  optimizerNames,
  precisionHelp,
  readChoices,
  readPrecision,
  resumedPlan,
  type TrainOptions,
  type TrainPlan,
} from '../train-plan.ts'
import { commandName, showNext, showStart, showTest } from '../train-report.ts'
import { checkSource, dataArgument, openSource, type PreparedData, type Source, shortName } from '../training-data.ts'
import { openTrainingView } from '../training-keys.ts'

export function addTrain(program: Command, run: Runner): void {
  const share = number(0, 0.9)
  const command = program
    .command('train')
    .summary('train a network on a data set or a folder of pictures')
    .description(
      'Train a network. What is not said is chosen from the size of the data, and told. A tenth of the training data is ' +
        'held out; the model is that of the epoch that does best on it. The test data are looked at once, at the end. ' +
        'A run that was stopped or killed goes on with --resume.',
    )
    .argument('[data]', dataArgument)
    .option('--arch <name>', `network: ${Object.keys(architectures).join(', ')}`)
    .option('--input-size <n>', 'side of the pictures the network gets, in pixels; for folders', wholeNumber(8))
    .option('--epochs <n>', 'passes over the training data', wholeNumber(1))
    .option('--batch-size <n>', 'samples at once', wholeNumber(1))
    .option('--accumulate <n>', 'batches that make one update of the weights (default: 1)', wholeNumber(1))
    .option('--optimizer <name>', `${optimizerNames.join(', ')} (momentum 0.9)`)
    .option('--lr <rate>', 'learning rate', positiveNumber)
    .option('--lr-schedule <name>', `how it goes over the run: ${lrScheduleNames.join(', ')}`)
    .option('--warmup-steps <n>', 'steps over which the rate rises first (default: 0)', wholeNumber(0))
    .option('--weight-decay <x>', 'decay of the weights; norms and biases have none', number(0, 10))
    .option('--clip-norm <x>', 'shortens gradients to this norm (default: not at all)', positiveNumber)
    .option('--label-smoothing <x>', 'share of each label that is spread over all classes', number(0, 0.99))
    .option('--class-weights <how>', "'balanced': rare classes count more")
    .option('--average <x>', 'decay of the average over past weights; 0 for none', number(0, 0.99999))
    .option(
      '--augment <how>',
      'none, or how pictures are changed at random: shift=0.1,rotate=10,scale=0.1,flip,cutOut=0.3,mixUp=0.2,…',
    )
    .option('--early-stopping <n>', 'end after n epochs without a better one', wholeNumber(1))
    .option('--validation <share>', 'share of the training data to hold out (default: 0.1)', share)
    .option('--test <share>', 'share to test with, where a folder has no part for it (default: 0.1)', share)
    .option(
      '--seed <n>',
      'decides first weights, split, order and what is drawn at random (default: 1)',
      wholeNumber(0),
    )
    .option('--precision <name>', precisionHelp)
    .option('--data <folder>', dataHelp)
    .option('--limit <n>', 'use only the first n samples, at least 100, for a quick try', wholeNumber(100))
    .option(
      '--cache <mib>',
      'decoded pictures are kept when they take at most so much memory (default: 512)',
      number(0, 1e6),
    )
    .option('--out <folder>', 'where the model goes (default: runs/<data>-1, -2, …)')
    .option('--force', 'replace a model that is in the folder')
    .option('--resume <folder>', 'go on with a run that was stopped or killed')
    .option('--resume-anyway', 'also where data, options or backend are others: the bits are then others too')
    .option('--checkpoint-every <seconds>', 'how often a checkpoint is written (default: 60)', number(0, 1e9))
    .option('--plain', 'no live view: one line of progress')
    .option('--demo', 'show some predictions at the end')
  withDeviceOptions(command)
  withCommonOptions(command, [
    'juanji train ./photos                      one folder for each class',
    'juanji train digits',
    'juanji train mnist --arch resnet8 --epochs 10 --out my-model',
    'juanji train --resume runs/photos-1',
  ])
  command.action((data: string | undefined, options: TrainOptions) =>
    run(options, (task) => train(task, data, options)),
  )
}

/** All that is there when work begins. */
interface Setup {
  readonly source: Source
  readonly plan: TrainPlan
  readonly reasons: readonly { readonly choice: string; readonly why: string }[]
  readonly folder: string
  readonly device: Device
}

async function train(task: Task, name: string | undefined, options: TrainOptions): Promise<void> {
  readChoices(options)
  readPrecision(options.precision)
  const folder = await chooseFolder(name, options)
  // Before anything is downloaded or decoded.
  const undo = options.resume === undefined ? await claimModelFolder(folder, options) : async () => {}
  let setup: Setup | undefined
  let begun = false
  try {
    setup = await (options.resume === undefined ? newRun : resumedRun)(task, folder, name, options)
    await trainInto(task, setup, options, () => {
      begun = true
    })
  } catch (error) {
    if (!begun) await undo().catch(() => undefined)
    else if (!(error instanceof Interrupted)) await tidy(task, folder, options, undo)
    throw error
  } finally {
    await setup?.source.close()
  }
}

/** After a failure: a reader must never find half a model; what a run can go on from stays. */
async function tidy({ terminal }: Task, folder: string, options: TrainOptions, undo: () => Promise<void>) {
  if (await hasCheckpoint(folder)) {
    terminal.note(`The run can go on from its last checkpoint: ${commandName()} train --resume ${folder}`)
  } else if (options.resume === undefined) {
    await clearModelFolder(folder).catch(() => undefined)
    await undo().catch(() => undefined)
  }
}

/** @throws ConfigError when it is not said what to train on, or options exclude each other */
async function chooseFolder(name: string | undefined, options: TrainOptions): Promise<string> {
  const { resume, resumeAnyway, out, force } = options
  if (resume === undefined && resumeAnyway === true) {
    throw new ConfigError({
      where: '--resume-anyway',
      what: 'it is not said what to resume',
      expected: '--resume FOLDER beside it',
      fix: 'add --resume and the folder of the run',
    })
  }
  if (resume !== undefined) {
    if (out === undefined && force !== true) return resume
    throw new ConfigError({
      where: '--resume',
      what: 'a resumed run goes on in its own folder',
      got: force === true ? '--force' : `--out ${out}`,
      expected: '--resume without --out and --force',
      fix: 'leave them out, or begin a new run without --resume',
    })
  }
  if (name === undefined) {
    throw new ConfigError({
      where: 'train',
      what: 'it is not said what to train on',
      expected: dataArgument,
      fix: 'for instance juanji train ./photos, or juanji train digits; a stopped run goes on with --resume FOLDER',
    })
  }
  await checkSource(name)
  return out ?? nextRunFolder('runs', shortName(name))
}

type Begin = (task: Task, folder: string, name: string | undefined, options: TrainOptions) => Promise<Setup>

const newRun: Begin = async (task, folder, name, options) => {
  const source = await openSource(name as string, options, task)
  const { validation = 0.1, test = 0.1 } = options
  const { plan, reasons } = makePlan(source.dataset, source.facts(validation, test), options)
  source.check(plan)
  return { source, plan, reasons, folder, device: await chooseDevice(options) }
}

const resumedRun: Begin = async (task, folder, name, options) => {
  const plan = await resumedPlan(folder, options)
  const source = await openSource(name ?? plan.dataset, { ...plan, ...options }, task)
  return {
    source,
    plan: { ...plan, dataset: source.dataset },
    reasons: [],
    folder,
    device: await chooseDevice(options),
  }
}

/** @param onBegin called when all is checked, and from here on the folder is the run's */
async function trainInto(task: Task, given: Setup, options: TrainOptions, onBegin: () => void): Promise<void> {
  const { terminal, signal } = task
  const { folder, source } = given
  const data = await source.open(given.plan, task)
  const setup = { ...given, plan: withBatchThatFits(given.plan, data, options) }
  const { plan } = setup
  const record = () => ({ dataset: plan.dataset, ...data.record })
  const history = new History(terminal, folder, historyHead(plan, setup.device))
  const begin = async () => {
    onBegin()
    task.begin()
    if (options.force === true) await clearModelFolder(folder)
    await writeData(folder, record())
    // From here on the run can be resumed.
    if (options.resume === undefined) await writeHistory(folder, history.lines)
  }
  const control = trainControl()
  const view = openTrainingView(task, { control, plain: options.plain })
  let run: Run
  try {
    run = await fit(
      architectures[plan.arch]({ classes: data.train.classes.length, input: plan.inputShape }),
      data.train,
      {
        ...fitOptions(plan, data),
        signal,
        control,
        checkpoints: { folder, everySeconds: options.checkpointEvery, onBegin: begin, identity: data.identity },
        resume: await howToResume(task, folder, options),
        onEvent: (event) => listen(terminal, event, { setup, data, history, show: (event) => view.handle(event) }),
      },
    )
  } finally {
    view.close()
    await history.written
  }
  if (run.end.aborted) return stopped(task, run, folder)
  const test = data.test === undefined ? undefined : await evaluateTest(task, run, data, folder)
  const metrics = { loss: run.end.loss, ...bestMetrics(run), ...testMetrics(test) }
  const contents = {
    model: run.model,
    architecture: plan.arch,
    classes: data.train.classes,
    dtype: 'u8',
    data: record(),
    metrics,
    history: history.lines,
  } as const
  await saveModel(folder, contents, { force: true })
  task.complete()
  if (test !== undefined) showTest(terminal, test, run)
  if (options.demo === true && !terminal.json && data.test !== undefined) await drawDemo(terminal, run.model, data.test)
  showNext(terminal, folder, run.end.seconds, plan.dataset === 'digits')
  terminal.event({
    event: 'done',
    dataset: plan.dataset,
    architecture: plan.arch,
    epochs: run.end.epochs,
    bestEpoch: run.end.bestEpoch,
    stoppedEarly: run.end.stoppedEarly,
    seconds: run.end.seconds,
    ...metrics,
    ...(test === undefined ? {} : { testSamples: test.samples }),
    model: folder,
  })
}

/** A run that was killed before its first checkpoint begins again: nothing is lost but what was never written. */
async function howToResume({ terminal }: Task, folder: string, { resume, resumeAnyway }: TrainOptions) {
  if (resume === undefined) return false
  if (await hasCheckpoint(folder)) return resumeAnyway === true ? 'anyway' : true
  if (await exists(joinPath(folder, 'model.json'))) {
    throw new ConfigError({
      where: folder,
      what: 'this run is finished, and its checkpoints are gone',
      got: 'a model without checkpoints/',
      expected: 'a run that was stopped',
      fix: `use the model, or train a new one: ${commandName()} train DATA`,
    })
  }
  terminal.note('There is no checkpoint yet: the run begins again.')
  return false
}

/** A batch that the recipe chose is made smaller where so few samples are left to learn from. */
function withBatchThatFits(plan: TrainPlan, data: PreparedData, { batchSize }: TrainOptions): TrainPlan {
  const share = typeof data.validation === 'number' ? 1 - data.validation : 1
  const samples = Math.max(1, Math.floor(data.train.length * share))
  return batchSize === undefined && plan.batchSize > samples ? { ...plan, batchSize: samples } : plan
}

function fitOptions(plan: TrainPlan, data: PreparedData) {
  const some = <T>(value: T, off: T): T | undefined => (value === off ? undefined : value)
  return {
    epochs: plan.epochs,
    batchSize: plan.batchSize,
    accumulate: plan.accumulate,
    optimizer: makeOptimizer(plan),
    lrSchedule: plan.lrSchedule,
    warmupSteps: plan.warmupSteps,
    labelSmoothing: plan.labelSmoothing,
    average: some(plan.average, 0),
    clipNorm: some(plan.clipNorm, 0),
    earlyStopping: some(plan.earlyStopping, 0),
    classWeights: plan.balanced ? ('balanced' as const) : undefined,
    augment: Object.keys(plan.augment).length === 0 ? undefined : plan.augment,
    validation: data.validation,
    seed: plan.seed,
    precision: plan.precision,
  }
}

interface Listening {
  readonly setup: Setup
  readonly data: PreparedData
  readonly history: History
  readonly show: (event: TrainEvent) => void
}

function listen(terminal: Task['terminal'], event: TrainEvent, { setup, data, history, show }: Listening): void {
  const { plan, source, reasons } = setup
  switch (event.event) {
    case 'start': {
      const testSamples = data.test?.length ?? 0
      const classes = data.train.classes.length
      terminal.event({ ...event, history: undefined, dataset: plan.dataset, architecture: plan.arch, testSamples })
      showStart(terminal, event, { name: source.name, plan, classes, testSamples, reasons })
      history.write(event.history ?? [])
      break
    }
    case 'epoch':
      terminal.event({ ...event })
      history.write([...history.epochs, event])
      break
    case 'checkpoint':
    case 'warning':
      terminal.event({ ...event })
      break
    case 'step':
    case 'validation':
    case 'end':
      break
    default:
      event satisfies never
  }
  show(event)
}

/** @throws Interrupted always */
function stopped({ terminal }: Task, run: Run, folder: string): never {
  const resume = `${commandName()} train --resume ${folder}`
  terminal.event({ event: 'interrupted', epochs: run.end.epochs, folder, resume })
  terminal.line(`Stopped, nothing is lost. To go on: ${terminal.bold(resume)}`)
  throw new Interrupted()
}

function bestMetrics({ epochs, end }: Run): { validationAccuracy?: number } {
  const accuracy = epochs.find(({ epoch }) => epoch === end.bestEpoch)?.validationAccuracy
  return accuracy === undefined ? {} : { validationAccuracy: accuracy }
}

function testMetrics(test: Evaluation | undefined): { [name: string]: number } {
  if (test === undefined) return {}
  const { loss, accuracy, f1, top5 } = test
  return { testLoss: loss, testAccuracy: accuracy, testF1: f1, ...(top5 === undefined ? {} : { testTop5: top5 }) }
}

async function evaluateTest(task: Task, run: Run, data: PreparedData, folder: string): Promise<Evaluation> {
  const { terminal, signal } = task
  const start = performance.now()
  try {
    return await evaluate(run.model, data.test as NonNullable<PreparedData['test']>, {
      signal,
      onProgress(done, total) {
        const rate = (1000 * done) / (performance.now() - start)
        terminal.progress({
          label: 'test',
          done,
          total,
          rate: `${formatCount(rate)} images/s`,
          secondsLeft: (total - done) / rate,
        })
      },
    })
  } catch (error) {
    // The last checkpoint is behind all epochs: resumed, the run comes back to here.
    if (signal.aborted) stopped(task, run, folder)
    throw error
  }
}
