/** `juanji predict`: what a model says of pictures. */
import type { Command } from 'commander'
import { decodeImage, readFile } from '#platform'
import { ConfigError } from '../../base/errors.ts'
import { type LoadedModel, loadModel, type Prediction, pictureToSample, predict, tensor } from '../../index.ts'
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
import { formatPercent, formatTable } from '../progress.ts'

interface PredictOptions extends CommonOptions, DeviceChoice {
  readonly top: number
  readonly invert?: boolean
}

export function addPredict(program: Command, run: Runner): void {
  const command = program
    .command('predict')
    .summary('say what is in pictures')
    .description(
      'Say what a trained model sees in pictures (JPEG, PNG, WebP, GIF, AVIF). The middle of each picture is cut out in ' +
        "the model's proportions and resized; a grey model gets it in grey, and transparent parts count as white. The " +
        'digits of the built-in data are light on dark: for dark ink on light paper add --invert.',
    )
    .argument('<model>', 'folder that train wrote')
    .argument('<files...>', 'picture files')
    .option('--top <k>', 'how many classes to name', wholeNumber(1), 3)
    .option('--invert', 'turn dark on light into light on dark first')
  withDeviceOptions(command)
  withCommonOptions(command, [
    'juanji predict runs/digits-1 seven.png',
    'juanji predict runs/digits-1 photo-of-a-note.jpg --invert',
  ])
  command.action((folder: string, files: string[], options: PredictOptions) =>
    run(options, (task) => predictFiles(task, folder, files, options)),
  )
}

const batchSize = 64

async function predictFiles(
  task: Task,
  folder: string,
  files: readonly string[],
  options: PredictOptions,
): Promise<void> {
  const { terminal, signal } = task
  const loaded = await loadModel(folder)
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
  // Every file is opened first: a wrong one is found before anything is printed.
  const samples: Uint8Array[] = []
  for (const [i, file] of files.entries()) {
    if (signal.aborted) throw new Interrupted()
    const picture = await decodeImage(await readFile(file), file)
    samples.push(pictureToSample(picture, loaded.model.inputShape, options))
    if (files.length > 1) terminal.progress({ label: 'pictures', done: i + 1, total: files.length })
  }
  task.begin()
  for (let start = 0; start < files.length; start += batchSize) {
    if (signal.aborted) throw new Interrupted()
    const part = samples.slice(start, start + batchSize)
    show(task, loaded, files.slice(start, start + batchSize), await predictBatch(loaded, part), options.top)
  }
}

function predictBatch({ model }: LoadedModel, samples: readonly Uint8Array[]): Promise<Prediction[]> {
  const size = samples[0].length
  const x = new Uint8Array(samples.length * size)
  for (const [i, sample] of samples.entries()) x.set(sample, i * size)
  return predict(model, tensor(x, [samples.length, ...model.inputShape], 'u8'))
}

function show(
  { terminal }: Task,
  { classes }: LoadedModel,
  files: readonly string[],
  predictions: readonly Prediction[],
  top: number,
): void {
  const rows = predictions.map(({ probabilities }, i) => {
    const best = Array.from(probabilities, (probability, label) => ({
      class: classes[label] ?? String(label),
      probability,
    }))
      .sort((a, b) => b.probability - a.probability)
      .slice(0, top)
    terminal.event({
      event: 'prediction',
      file: files[i],
      class: best[0].class,
      probability: best[0].probability,
      top: best,
    })
    return [files[i], ...best.flatMap((one) => [one.class, formatPercent(one.probability, 1)])]
  })
  terminal.lines(formatTable(rows))
}
