/**
 * Plays a training that computes nothing, to look at the live view: `npx tsx scripts/play-training.ts`.
 *
 * Options: --epochs 5 --steps 200 --ms 20 (a step) --fail (ends with an error in the second epoch) --plain
 */
import { parseArgs } from 'node:util'
import { Interrupted, makeRunner, type Task } from '../src/cli/command.ts'
import { processIo } from '../src/cli/io.ts'
import { openTrainingView } from '../src/cli/training-keys.ts'

const { values } = parseArgs({
  options: {
    epochs: { type: 'string', default: '5' },
    steps: { type: 'string', default: '200' },
    ms: { type: 'string', default: '20' },
    fail: { type: 'boolean', default: false },
    plain: { type: 'boolean', default: false },
  },
})
const epochs = Number(values.epochs)
const steps = Number(values.steps)
const stepMs = Number(values.ms)
const batchSize = 64

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function play(task: Task): Promise<void> {
  let finishing = false
  let asked = false
  const control = {
    checkpoint() {
      asked = true
    },
    finish() {
      finishing = true
    },
  }
  const view = openTrainingView(task, { control, plain: values.plain })
  const common = { epochs, stepsPerEpoch: steps, batchSize, learningRate: 0.001 }
  view.handle({ event: 'start', ...common, validationSamples: 500 })
  const start = performance.now()
  const done = () => task.signal.aborted || finishing
  for (let epoch = 1; epoch <= epochs && !done(); epoch++) {
    let lossSum = 0
    let rightSum = 0
    const epochStart = performance.now()
    for (let step = 1; step <= steps && !done(); step++) {
      await pause(stepMs)
      const globalStep = (epoch - 1) * steps + step
      const noise = Math.sin(globalStep * 12.9898) * 0.5
      const loss = 2.3 / (1 + globalStep / 40) + 0.05 + 0.05 * noise
      lossSum += loss
      rightSum += Math.max(0, 1 - 0.4 * loss) + 0.02 * noise
      const elapsed = (performance.now() - epochStart) / 1000
      const perStep = (performance.now() - start) / 1000 / globalStep
      view.handle({
        event: 'step',
        ...common,
        epoch,
        step,
        loss: lossSum / step,
        accuracy: rightSum / step,
        learningRate: 0.001 * (1 + Math.cos((Math.PI * globalStep) / (epochs * steps))) * 0.5,
        samplesPerSecond: (batchSize * step) / elapsed,
        secondsLeft: perStep * (epochs * steps - globalStep),
      })
      if (asked)
        view.handle({
          event: 'checkpoint',
          path: 'runs/played-1/checkpoints/last',
          epoch,
          step,
          reason: 'asked',
          bytes: 12e6,
        })
      asked = false
      if (values.fail && epoch === 2 && step === 5) throw new Error('the training failed, as it was asked to')
    }
    if (done()) break
    for (let i = 1; i <= 8; i++) {
      await pause(stepMs)
      view.handle({ event: 'validation', epoch, done: Math.round((500 * i) / 8), total: 500 })
    }
    const loss = lossSum / steps
    view.handle({
      event: 'epoch',
      epoch,
      epochs,
      loss,
      accuracy: rightSum / steps,
      validationLoss: 0.9 * loss + 0.02,
      validationAccuracy: Math.min(1, 1 - 0.3 * loss),
      samplesPerSecond: (1000 * batchSize * steps) / (performance.now() - epochStart),
      seconds: (performance.now() - epochStart) / 1000,
      best: true,
    })
    view.handle({
      event: 'checkpoint',
      path: 'runs/played-1/checkpoints/last',
      epoch,
      step: steps,
      reason: 'epoch',
      bytes: 12e6,
    })
  }
  view.handle({ event: 'end' })
  task.terminal.line(task.signal.aborted ? 'Stopped.' : 'Done.')
}

try {
  await makeRunner(processIo(), { begun: true, verbose: false, json: false })({}, play)
} catch (error) {
  if (!(error instanceof Interrupted)) console.error((error as Error).message)
  process.exitCode = error instanceof Interrupted ? 130 : 1
}
