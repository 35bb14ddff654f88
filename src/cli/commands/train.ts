/** `juanji train`: from a data set to a model folder. */
import type { Command } from 'commander'
import { environment, processorName, runtimeName } from '#platform'
import { ConfigError, type JuanjiError } from '../../base/errors.ts'
import { version } from '../../base/version.ts'
import type { Device } from '../../engine/index.ts'
import {
  claimModelFolder,
  clearModelFolder,
  type EpochEvent,
  type Evaluation,
  evaluate,
  fit,
  type LrSchedule,
  lrSchedules,
  models,
  nextRunFolder,
  optim,
  type Run,
  type StartEvent,
  type StepEvent,
  saveModel,
  saveUnfinishedRun,
  type TrainTest,
  writeHistory,
} from '../../index.ts'
import {
  type CommonOptions,
  chooseDevice,
  type DeviceChoice,
  Interrupted,
  positiveNumber,
  type Runner,
  type Task,
  unknownName,
  wholeNumber,
  withCommonOptions,
  withDeviceOptions,
} from '../command.ts'
import { type DataChoice, type DatasetName, dataHelp, datasetName, datasetNames, openDataset } from '../data-choice.ts'
import { drawDemo } from '../demo.ts'
import { formatCount, formatDuration, formatPercent } from '../progress.ts'
import type { Terminal } from '../terminal.ts'

interface TrainOptions extends CommonOptions, DeviceChoice, DataChoice {
  readonly epochs: number
  readonly batchSize: number
  readonly lr?: number
  readonly optimizer: string
  readonly lrSchedule: string
  readonly arch: string
  readonly seed: number
  readonly out?: string
  readonly force?: boolean
  readonly demo?: boolean
}

const architectures = models.architectures
const optimizers = {
  adam: (rate = 1e-3) => optim.adam(rate),
  adamw: (rate = 1e-3) => optim.adamw(rate),
  sgd: (rate = 0.05) => optim.sgd(rate, { momentum: 0.9 }),
} as const

/** Share of the training data that is held out, to choose the best epoch by. */
const validation = 0.1

export function addTrain(program: Command, run: Runner): void {
  const command = program
    .command('train')
    .summary('train a network on a data set')
    .description(
      'Train a network. A tenth of the training data is held out; the model is that of the epoch that does best on it. ' +
        'The test data are looked at once, at the end.',
    )
    .argument(
      '<dataset>',
      `${datasetNames.join(', ')}; digits are generated, the others downloaded once or read from files`,
    )
    .option('--arch <name>', `network: ${Object.keys(architectures).join(', ')}`, 'simpleCnn')
    .option('--epochs <n>', 'passes over the training data', wholeNumber(1), 3)
    .option('--batch-size <n>', 'samples a step', wholeNumber(1), 64)
    .option('--optimizer <name>', `${Object.keys(optimizers).join(', ')} (momentum 0.9)`, 'adam')
    .option('--lr <rate>', 'learning rate (default: 0.001, for sgd 0.05)', positiveNumber)
    .option('--lr-schedule <name>', `how it goes over the run: ${lrSchedules.join(', ')}`, 'cosine')
    .option('--seed <n>', 'decides first weights, validation part and order', wholeNumber(0), 1)
    .option('--data <folder>', dataHelp)
    .option('--limit <n>', 'use only the first n samples, at least 100, for a quick try', wholeNumber(100))
    .option('--out <folder>', 'where the model goes (default: runs/<dataset>-1, -2, …)')
    .option('--force', 'replace a model that is in the folder')
    .option('--demo', 'show some predictions at the end')
  withDeviceOptions(command)
  withCommonOptions(command, ['juanji train digits', 'juanji train mnist --epochs 5 --out my-model'])
  command.action((name: string, options: TrainOptions) => run(options, (task) => train(task, name, options)))
}

/** What has been decided before work begins. */
interface Plan {
  readonly dataset: DatasetName
  readonly architecture: keyof typeof architectures
  readonly optimizer: keyof typeof optimizers
  readonly lrSchedule: LrSchedule
  readonly folder: string
}

async function plan(name: string, options: TrainOptions): Promise<Plan> {
  const dataset = datasetName(name)
  const architecture = Object.keys(architectures).find((known) => known === options.arch)
  if (architecture === undefined) throw unknownName('architecture', options.arch, Object.keys(architectures))
  const optimizer = Object.keys(optimizers).find((known) => known === options.optimizer)
  if (optimizer === undefined) throw unknownName('optimizer', options.optimizer, Object.keys(optimizers))
  const lrSchedule = lrSchedules.find((known) => known === options.lrSchedule)
  if (lrSchedule === undefined) throw unknownName('learning-rate schedule', options.lrSchedule, lrSchedules)
  return {
    dataset,
    lrSchedule,
    architecture: architecture as Plan['architecture'],
    optimizer: optimizer as Plan['optimizer'],
    folder: options.out ?? (await nextRunFolder('runs', dataset)),
  }
}

async function train(task: Task, name: string, options: TrainOptions): Promise<void> {
  const { terminal } = task
  const chosen = await plan(name, options)
  const data = await openDataset(chosen.dataset, options, task)
  const device = await chooseDevice(options)
  const undo = await claimModelFolder(chosen.folder, options)
  task.begin()
  try {
    if (options.force === true) await clearModelFolder(chosen.folder)
    await trainInto(task, chosen, options, data, device)
  } catch (error) {
    if (!(error instanceof Interrupted)) {
      // A reader must never find half a model.
      await clearModelFolder(chosen.folder).catch(() => undefined)
      await undo().catch(() => undefined)
    }
    throw error
  }
  terminal.done()
}

async function trainInto(
  task: Task,
  chosen: Plan,
  options: TrainOptions,
  data: TrainTest,
  device: Device,
): Promise<void> {
  const { terminal, signal } = task
  const { folder } = chosen
  const history: Record<string, string | number | boolean>[] = []
  const head = historyHead(chosen, options, device)
  const record = () => writeHistory(folder, [head, ...history])
  await record()
  let recording: Promise<void> = Promise.resolve()

  const run = await fit(architectures[chosen.architecture]({ classes: data.train.classes.length }), data.train, {
    epochs: options.epochs,
    batchSize: options.batchSize,
    optimizer: optimizers[chosen.optimizer](options.lr),
    lrSchedule: chosen.lrSchedule,
    validation,
    seed: options.seed,
    signal,
    onEvent(event) {
      switch (event.event) {
        case 'start':
          terminal.event({
            ...event,
            dataset: chosen.dataset,
            architecture: chosen.architecture,
            testSamples: data.test.length,
          })
          showStart(terminal, chosen, event, data.test.length)
          break
        case 'step':
          checkLoss(event)
          showStep(terminal, event, options.epochs)
          break
        case 'epoch':
          terminal.event({ ...event })
          showEpoch(terminal, event)
          history.push({ ...event })
          recording = recording.then(record)
          // Told below; until then it must not count as unhandled.
          recording.catch(() => undefined)
          break
        case 'end':
          break
        default:
          event satisfies never
      }
    },
  }).finally(() => recording.catch(() => undefined))
  await recording
  const contents = {
    model: run.model,
    architecture: chosen.architecture,
    classes: data.train.classes,
    dtype: 'u8',
    data: describeData(chosen.dataset, options, data),
    history: [head, ...history],
  } as const
  if (run.end.aborted) {
    await saveUnfinishedRun(folder, contents)
    terminal.event({ event: 'interrupted', epochs: run.end.epochs, folder })
    terminal.line(
      `Stopped. Weights and history so far are in ${folder}; without model.json it counts as an unfinished run.`,
    )
    throw new Interrupted()
  }
  const test = await evaluateTest(terminal, run, data)
  const last = run.epochs.find((epoch) => epoch.epoch === run.end.bestEpoch)
  const metrics = {
    loss: run.end.loss,
    ...(last?.validationAccuracy === undefined ? {} : { validationAccuracy: last.validationAccuracy }),
    testLoss: test.loss,
    testAccuracy: test.accuracy,
  }
  await saveModel(folder, { ...contents, metrics }, { force: true })
  terminal.line()
  terminal.line(terminal.bold(`Test accuracy: ${formatPercent(test.accuracy)}`))
  terminal.line(
    `(${formatCount(test.samples)} samples it never saw, loss ${test.loss.toFixed(4)}; epoch ${run.end.bestEpoch} was the best on the held-out data)`,
  )
  if (options.demo === true && !terminal.json) await drawDemo(terminal, run.model, data.test)
  showNext(terminal, chosen, run.end.seconds)
  terminal.event({
    event: 'done',
    dataset: chosen.dataset,
    architecture: chosen.architecture,
    epochs: run.end.epochs,
    bestEpoch: run.end.bestEpoch,
    seconds: run.end.seconds,
    ...metrics,
    testSamples: test.samples,
    model: folder,
  })
}

function historyHead({ dataset, architecture, optimizer }: Plan, options: TrainOptions, device: Device) {
  const { epochs, batchSize, lr, seed, limit } = options
  return {
    options: {
      dataset,
      architecture,
      optimizer,
      epochs,
      batchSize,
      validation,
      seed,
      ...(lr === undefined ? {} : { lr }),
      ...(limit === undefined ? {} : { limit }),
    },
    machine: {
      juanji: version,
      runtime: runtimeName(),
      processor: processorName() ?? 'unknown',
      backend: device.target.name,
      threads: device.backend.threads,
    },
  }
}

function describeData(dataset: DatasetName, options: TrainOptions, data: TrainTest) {
  return {
    dataset,
    ...(options.limit === undefined ? {} : { limit: options.limit }),
    classes: [...data.train.classes],
    train: { samples: data.train.length, heldOut: validation, seed: options.seed },
    test: { samples: data.test.length },
  }
}

function evaluateTest(terminal: Terminal, run: Run, data: TrainTest): Promise<Evaluation> {
  const start = performance.now()
  return evaluate(run.model, data.test, {
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
}

/** @throws JuanjiError when training has run away */
function checkLoss(event: StepEvent): void {
  if (Number.isFinite(event.loss)) return
  throw new ConfigError({
    where: 'train',
    what: 'the loss is no longer a number: training has diverged',
    got: `loss ${event.loss} in epoch ${event.epoch}, step ${event.step}`,
    expected: 'a finite loss',
    fix: 'lower the learning rate with --lr, for instance to a tenth',
  }) satisfies JuanjiError
}

function showStart(terminal: Terminal, chosen: Plan, event: StartEvent, testSamples: number): void {
  const threads = `${event.threads} thread${event.threads === 1 ? '' : 's'}`
  terminal.line(
    `${terminal.bold('juanji')} trains ${chosen.architecture} (${formatCount(event.parameters)} parameters) on ${chosen.dataset}, with ${event.backend} on ${threads}`,
  )
  terminal.line(
    terminal.dim(
      `${formatCount(event.trainSamples)} images to learn from, ${formatCount(event.validationSamples)} held out, ${formatCount(testSamples)} to test with; ` +
        `batches of ${event.batchSize}, ${event.optimizer}, learning rate ${event.learningRate}, seed ${event.seed}`,
    ),
  )
  terminal.line()
}

function showStep(terminal: Terminal, event: StepEvent, epochs: number): void {
  terminal.progress({
    label: `epoch ${event.epoch}/${epochs}`,
    done: event.step,
    total: event.stepsPerEpoch,
    secondsLeft: event.secondsLeft,
    rate: `${formatCount(event.samplesPerSecond)} images/s`,
    details: [`loss ${event.loss.toFixed(4)}`, `accuracy ${formatPercent(event.accuracy, 1)}`],
  })
}

function showEpoch(terminal: Terminal, event: EpochEvent): void {
  const held = event.validationAccuracy === undefined ? '' : `   held-out ${formatPercent(event.validationAccuracy)}`
  terminal.line(
    `epoch ${event.epoch}/${event.epochs}   loss ${event.loss.toFixed(4)}   accuracy ${formatPercent(event.accuracy)}${held}   ` +
      `${formatCount(event.samplesPerSecond)} images/s   ${formatDuration(event.seconds)}`,
  )
}

function showNext(terminal: Terminal, { dataset, folder }: Plan, seconds: number): void {
  // npm sets this while a script such as `npm start` runs: then `juanji` alone is not on the path.
  const juanji =
    environment('npm_lifecycle_event') === undefined && environment('npm_command') === undefined
      ? 'juanji'
      : 'npx juanji'
  terminal.line()
  terminal.line(`The model is in ${terminal.bold(folder)} (trained in ${formatDuration(seconds)}). What to try next:`)
  terminal.line()
  const next = [
    [`${juanji} predict ${folder} picture.png`, 'what it says of a picture (add --invert for dark ink on light paper)'],
    [`${juanji} summary ${folder}`, 'its layers, and what they cost'],
    ...(dataset === 'digits'
      ? [[`${juanji} train mnist`, 'the same with MNIST, which is downloaded once (11.6 MB)']]
      : []),
    ...(dataset === 'mnist' ? [[`${juanji} evaluate ${folder} digits`, 'how it does on other handwriting']] : []),
    [`${juanji} explain conv --steps`, 'a convolution by hand, number by number'],
    [`${juanji} doctor`, 'what this machine can do'],
  ]
  const width = Math.max(...next.map(([command]) => command.length))
  for (const [command, what] of next) terminal.line(`  ${command.padEnd(width)}  ${terminal.dim(what)}`)
}
