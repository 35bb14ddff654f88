/** `juanji evaluate`: how good a model is. */
import type { Command } from 'commander'
import { ConfigError } from '../../base/errors.ts'
import { evaluate, loadModel } from '../../index.ts'
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
import { type DataChoice, dataHelp, datasetName, datasetNames, openDataset } from '../data-choice.ts'
import { formatCount, formatPercent } from '../progress.ts'

interface EvaluateOptions extends CommonOptions, DeviceChoice, DataChoice {
  readonly batchSize: number
}

export function addEvaluate(program: Command, run: Runner): void {
  const command = program
    .command('evaluate')
    .summary('measure a model on test data')
    .description('Measure loss and accuracy of a trained model on the test part of a data set.')
    .argument('<model>', 'folder that train wrote')
    .argument('[dataset]', `${datasetNames.join(', ')} (default: the one it was trained on)`)
    .option('--data <folder>', dataHelp)
    .option('--limit <n>', 'use only the first n samples', wholeNumber(1))
    .option('--batch-size <n>', 'samples at once', wholeNumber(1), 256)
  withDeviceOptions(command)
  withCommonOptions(command, ['juanji evaluate runs/digits-1', 'juanji evaluate runs/digits-1 mnist --data ./mnist'])
  command.action((folder: string, dataset: string | undefined, options: EvaluateOptions) =>
    run(options, (task) => measure(task, folder, dataset, options)),
  )
}

async function measure(task: Task, folder: string, given: string | undefined, options: EvaluateOptions): Promise<void> {
  const { terminal, signal } = task
  const asked = given === undefined ? undefined : datasetName(given)
  const { model, data: info } = await loadModel(folder)
  const name = asked ?? datasetName(trainedOn(folder, info.dataset))
  const { test } = await openDataset(name, options, task)
  await chooseDevice(options)
  task.begin()
  const start = performance.now()
  const result = await evaluate(model, test, {
    batchSize: options.batchSize,
    onProgress(done, total) {
      if (signal.aborted) throw new Interrupted()
      const rate = (1000 * done) / (performance.now() - start)
      terminal.progress({
        label: name,
        done,
        total,
        rate: `${formatCount(rate)} images/s`,
        secondsLeft: (total - done) / rate,
      })
    },
  })
  terminal.line(`Test accuracy: ${formatPercent(result.accuracy)}`)
  terminal.line(`(${formatCount(result.samples)} samples of ${name}, loss ${result.loss.toFixed(4)})`)
  const seconds = (performance.now() - start) / 1000
  terminal.event({
    event: 'done',
    model: folder,
    dataset: name,
    testLoss: result.loss,
    testAccuracy: result.accuracy,
    testSamples: result.samples,
    samplesPerSecond: result.samples / seconds,
  })
}

function trainedOn(folder: string, dataset: unknown): string {
  if (typeof dataset === 'string') return dataset
  throw new ConfigError({
    where: folder,
    what: 'data.json does not say what the model was trained on',
    expected: `a data set: ${datasetNames.join(' or ')}`,
    fix: `name one: juanji evaluate ${folder} ${datasetNames[0]}`,
  })
}
