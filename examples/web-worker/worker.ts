/** The worker: it makes the data, trains, and tells the page. */
import { type Dataset, datasets, evaluate, fit, init, type Model, models, optim, predict, tensor } from 'juanji'
import type { Shown, StartMessage, WorkerMessage } from './messages.ts'

const tell = (message: WorkerMessage) => self.postMessage(message)

self.onmessage = ({ data }: MessageEvent<StartMessage>) => {
  train(data).catch((error: Error) => tell({ kind: 'error', message: error.message }))
}

async function train({ pictures, epochs }: StartMessage): Promise<void> {
  const { train, test } = await datasets.digits({ trainCount: pictures, testCount: 500 })
  const model = init(models.simpleCnn(), { input: train.sampleShape, seed: 1 })
  const run = await fit(model, train, {
    epochs,
    optimizer: optim.adam(1e-3),
    lrSchedule: 'cosine',
    seed: 1,
    onEvent(event) {
      if (event.event === 'start') tell({ kind: 'start', backend: event.backend, threads: event.threads })
      else if (event.event === 'step') {
        const { epoch, step, stepsPerEpoch, loss } = event
        tell({ kind: 'step', done: (epoch - 1) * stepsPerEpoch + step, total: epochs * stepsPerEpoch, loss })
      } else if (event.event === 'epoch') {
        tell({ kind: 'epoch', epoch: event.epoch, accuracy: event.validationAccuracy ?? 0 })
      }
    },
  })
  const { accuracy } = await evaluate(run.model, test)
  tell({ kind: 'end', accuracy, seconds: run.end.seconds, shown: await look(run.model, test) })
}

/** What the model says of twelve test pictures. */
async function look(model: Model, test: Dataset): Promise<Shown[]> {
  const samples = await Promise.all(Array.from({ length: 12 }, (_, i) => test.get(i)))
  const pixels = samples.map(({ x }) => Uint8Array.from(x))
  const batch = new Uint8Array(pixels.flatMap((picture) => [...picture]))
  const predictions = await predict(model, tensor(batch, [samples.length, ...test.sampleShape], 'u8'))
  return samples.map(({ y }, i) => ({ pixels: pixels[i], label: y, predicted: predictions[i].label }))
}
