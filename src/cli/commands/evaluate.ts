/** `juanji evaluate`: how good a model is. */
import type { Command } from 'commander'
import { ConfigError } from '../../base/errors.ts'
import { type Dataset, type Evaluation, evaluate, type LoadedModel } from '../../index.ts'
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
import { type DataChoice, dataHelp } from '../data-choice.ts'
import { type ModelFileChoice, modelArgument, openModelFile, withModelFileOptions } from '../model-files.ts'
import { formatCount, formatPercent, formatTable } from '../progress.ts'
import { precisionHelp, readPlan, readPrecision } from '../train-plan.ts'
import { classTable } from '../train-report.ts'
import { dataArgument, openSource, type Source } from '../training-data.ts'

interface EvaluateOptions extends CommonOptions, DeviceChoice, DataChoice, ModelFileChoice {
  readonly batchSize: number
  readonly precision?: string
  readonly confusion?: boolean
}

export function addEvaluate(program: Command, run: Runner): void {
  const command = program
    .command('evaluate')
    .summary('measure a model on test data')
    .description(
      'Measure a trained model: loss, accuracy, and precision, recall and F1 of each class. Without data: on the test part ' +
        'of what it was trained on, which it never saw. A folder without a part for testing is measured as a whole.',
    )
    .argument('<model>', modelArgument)
    .argument('[data]', `${dataArgument} (default: what it was trained on)`)
    .option('--data <folder>', dataHelp)
    .option('--limit <n>', 'use only the first n samples', wholeNumber(1))
    .option('--batch-size <n>', 'samples at once', wholeNumber(1), 256)
    .option('--precision <name>', precisionHelp)
    .option('--confusion', 'print how often each class was taken for each other')
  withModelFileOptions(command)
  withDeviceOptions(command)
  withCommonOptions(command, [
    'juanji evaluate runs/photos-1',
    'juanji evaluate mnist.onnx mnist --normalize raw',
    'juanji evaluate runs/photos-1 ./other-photos --confusion',
    'juanji evaluate runs/digits-1 mnist',
  ])
  command.action((folder: string, data: string | undefined, options: EvaluateOptions) =>
    run(options, (task) => measure(task, folder, data, options)),
  )
}

async function measure(task: Task, folder: string, given: string | undefined, options: EvaluateOptions): Promise<void> {
  const { terminal, signal } = task
  const precision = readPrecision(options.precision)
  const loaded = await openModelFile(folder, options)
  const { source, open } = await sourceOf(task, folder, loaded, given, options)
  try {
    await chooseDevice(options)
    task.begin()
    const dataset = await open()
    const start = performance.now()
    const result = await evaluate(loaded.model, dataset, {
      batchSize: options.batchSize,
      precision,
      onProgress(done, total) {
        if (signal.aborted) throw new Interrupted()
        const rate = (1000 * done) / (performance.now() - start)
        terminal.progress({
          label: source.name,
          done,
          total,
          rate: `${formatCount(rate)} images/s`,
          secondsLeft: (total - done) / rate,
        })
      },
    })
    const seconds = (performance.now() - start) / 1000
    show(task, result, source.name, options)
    const { loss, accuracy, f1, top5, perClass, confusion, samples } = result
    terminal.event({
      event: 'done',
      model: folder,
      dataset: source.dataset,
      testLoss: loss,
      testAccuracy: accuracy,
      ...(top5 === undefined ? {} : { testTop5: top5 }),
      testF1: f1,
      perClass,
      confusion,
      testSamples: samples,
      samplesPerSecond: samples / seconds,
    })
  } finally {
    await source.close()
  }
}

interface Measured {
  readonly source: Source
  readonly open: () => Promise<Dataset>
}

/** What to measure with: what is named, or the test part of what the model was trained on. */
async function sourceOf(
  task: Task,
  folder: string,
  { model, classes, data }: Pick<LoadedModel, 'model' | 'classes' | 'data'>,
  given: string | undefined,
  options: EvaluateOptions,
): Promise<Measured> {
  if (given !== undefined) {
    const source = await openSource(given, options, task)
    return { source, open: () => source.measured(model.inputShape, classes, task) }
  }
  const plan = await readPlan(folder)
  const name = plan?.dataset ?? data.dataset
  if (typeof name !== 'string') {
    throw new ConfigError({
      where: folder,
      what: 'the folder does not say what the model was trained on',
      expected: dataArgument,
      fix: `name it: juanji evaluate ${folder} DATA`,
    })
  }
  if (plan === undefined) return sourceOf(task, folder, { model, classes, data }, name, options)
  const source = await openSource(name, { ...plan, ...options }, task)
  return {
    source,
    async open() {
      const { test, record } = await source.open(plan, task)
      checkSameSplit(folder, name, data.hash, record.hash)
      if (test !== undefined) return test
      throw new ConfigError({
        where: folder,
        what: 'nothing was left to test with when the model was trained',
        expected: 'data it was not trained on',
        fix: `name some: juanji evaluate ${folder} DATA`,
      })
    },
  }
}

/** Of other pictures another part would be taken, with some in it that were learned from. @throws ConfigError */
function checkSameSplit(folder: string, name: string, then: unknown, now: unknown): void {
  if (then === now) return
  throw new ConfigError({
    where: name,
    what: 'the pictures are no longer those the model was trained with: what it never saw cannot be told',
    got: `split ${String(now).slice(0, 16)}`,
    expected: `split ${String(then).slice(0, 16)}, as in data.json`,
    fix: `measure with pictures that it was not trained on: juanji evaluate ${folder} OTHER-PICTURES`,
  })
}

const mostConfused = 30

function show({ terminal }: Task, result: Evaluation, name: string, options: EvaluateOptions): void {
  const { accuracy, top5, f1, loss, samples, perClass, confusion } = result
  terminal.line(`Test accuracy: ${terminal.bold(formatPercent(accuracy))}`)
  const five = top5 === undefined ? '' : `, top-5 ${formatPercent(top5)}`
  terminal.line(`(${formatCount(samples)} samples of ${name}, loss ${loss.toFixed(4)}${five}, F1 ${formatPercent(f1)})`)
  if (perClass.length > 1) terminal.lines(['', ...classTable(result)])
  if (options.confusion !== true) return
  const shown = perClass.slice(0, mostConfused)
  const rows = shown.map(({ name: actual }, i) => [actual, ...confusion[i].slice(0, mostConfused).map(String)])
  terminal.lines(['', 'A row a class, a column what it was taken for:', ''])
  terminal.lines(formatTable([['', ...shown.map((one) => one.name)], ...rows]))
}
