import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { ConfigError } from '../base/errors.ts'
import { arrayDataset, datasets } from '../data/index.ts'
import { createDevice } from '../engine/index.ts'
import * as nn from '../nn/index.ts'
import * as optim from '../optim/index.ts'
import { useDevice } from '../tensor/index.ts'
import { trainControl } from './control.ts'
import type { TrainEvent } from './events.ts'
import { fit, type Run } from './fit.ts'
import type { FitOptions } from './options.ts'

let full = false
vi.mock('#platform', async (original) => {
  const platform = await original<typeof import('../platform/node.ts')>()
  const writeFileAtomic: typeof platform.writeFileAtomic = async (path, content) => {
    if (full) throw new ConfigError({ where: path, what: 'cannot write: the disk is full', fix: 'free some space' })
    return platform.writeFileAtomic(path, content)
  }
  return { ...platform, writeFileAtomic }
})

beforeAll(async () => {
  const device = await createDevice({ backend: 'wasm', threads: 2 })
  await useDevice(device)
  return () => device.close()
})

let folder: string
beforeEach(async () => {
  full = false
  folder = await mkdtemp(join(tmpdir(), 'juanji-resume-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

// Everything that has a state of its own: norms, dropout, averages, sums of gradients, slots, augmentation.
const net = (filters = 3) =>
  nn.sequential(
    nn.conv2d(filters, 3, { stride: 3 }),
    nn.batchNorm(),
    nn.relu(),
    nn.dropout(0.3),
    nn.flatten(),
    nn.linear(10),
  )
const { train } = await datasets.digits({ trainCount: 90, testCount: 1 })
const options = (): FitOptions => ({
  epochs: 3,
  batchSize: 16,
  accumulate: 2,
  optimizer: optim.adamw(0.01, { weightDecay: 0.1 }),
  lrSchedule: 'oneCycle',
  warmupSteps: 1,
  average: 0.9,
  clipNorm: 1,
  labelSmoothing: 0.1,
  classWeights: 'balanced',
  augment: { shift: 0.1 },
  validation: 0.2,
  seed: 5,
})
// 70 samples: five batches of 16, 16, 16, 16 and 6, three steps an epoch.
const stepsOfRun = 9

const start = (more: FitOptions = {}, of = net()): Promise<Run> =>
  fit(of, train, { ...options(), checkpoints: { folder, everySeconds: 0 }, ...more })

async function result({ model, epochs, end }: Run) {
  const timeless = epochs.map(({ seconds, samplesPerSecond, ...rest }) => rest)
  return { weights: await model.save(), epochs: timeless, loss: end.loss, bestEpoch: end.bestEpoch }
}

/** Aborts when `when` says so. */
function stopping(when: (event: TrainEvent) => boolean): FitOptions {
  const controller = new AbortController()
  return { signal: controller.signal, onEvent: (event) => void (when(event) && controller.abort()) }
}

class Killed extends Error {}

/** Ends as a killed process does: whatever is being written, nothing more happens. */
const killing = (when: (event: TrainEvent) => boolean): FitOptions => ({
  onEvent(event) {
    if (when(event)) throw new Killed()
  },
})

describe('a resumed run', () => {
  let undisturbed: Awaited<ReturnType<typeof result>>
  beforeAll(async () => {
    undisturbed = await result(await fit(net(), train, options()))
  })

  it.each(Array.from({ length: stepsOfRun }, (_, i) => i + 1))(
    'ends with the bits of one that was never stopped: stopped after step %i',
    async (last) => {
      const first = await start(stopping((e) => e.event === 'step' && e.globalStep === last))
      expect(first.end.aborted).toBe(true)
      const events: TrainEvent[] = []
      const second = await start({ resume: true, onEvent: (event) => void events.push(event) })
      const done = last % 3
      const begun = events.find((event) => event.event === 'start')
      // After the last step of an epoch what is left of it is the measuring.
      expect(begun?.resumedAt).toEqual({ epoch: Math.ceil(last / 3), step: done === 0 ? 3 : done })
      expect(await result(second)).toEqual(undisturbed)
    },
  )

  it('the same after measuring was stopped, and after a run that was stopped twice', async () => {
    await start(stopping((e) => e.event === 'validation' && e.epoch === 2))
    await start({ resume: true, ...stopping((e) => e.event === 'step' && e.epoch === 3) })
    expect(await result(await start({ resume: true }))).toEqual(undisturbed)
  })

  it.each([1, 4, 6, 9])('the same after it was killed in step %i', async (step) => {
    await expect(start(killing((e) => e.event === 'step' && e.globalStep === step))).rejects.toThrow(Killed)
    if (step === 1) return
    expect(await result(await start({ resume: true }))).toEqual(undisturbed)
  })

  it('the same after it was killed between the weights of a better epoch and the checkpoint that knows of them', async () => {
    await expect(start(killing((e) => e.event === 'epoch' && e.epoch === 2))).rejects.toThrow(Killed)
    expect(await result(await start({ resume: true }))).toEqual(undisturbed)
  })

  it('the same from the checkpoint before when the newest is damaged, which is told', async () => {
    await start(stopping((e) => e.event === 'step' && e.globalStep === 5))
    const checkpoints = (await readdir(join(folder, 'checkpoints'))).filter((name) => name.startsWith('step-'))
    expect(checkpoints).toEqual(['step-00000004.safetensors', 'step-00000005.safetensors'])
    const newest = join(folder, 'checkpoints', checkpoints[1])
    await truncate(newest, 1000)
    const warnings: string[] = []
    const run = await start({ resume: true, onEvent: (e) => void (e.event === 'warning' && warnings.push(e.message)) })
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain(`${newest} cannot be read and is left out: `)
    expect(await result(run)).toEqual(undisturbed)
  })

  it('the same after it was killed before its first checkpoint, with the weights of the first best epoch written', async () => {
    await mkdir(join(folder, 'checkpoints'))
    await writeFile(join(folder, 'checkpoints', 'best-00001.safetensors'), 'of a run that was killed')
    expect(await result(await start())).toEqual(undisturbed)
  })

  it('the same after the weights of the best epoch could not be written at first', async () => {
    let killed = false
    const run = start({
      checkpoints: { folder, everySeconds: 0 },
      onEvent(event) {
        if (event.event === 'validation') full = event.epoch === 1
        if (event.event === 'step' && event.globalStep === 4) full = false
        killed = event.event === 'step' && event.globalStep === 6
        if (killed) throw new Killed()
      },
    })
    await expect(run).rejects.toThrow(Killed)
    expect(await result(await start({ resume: true }))).toEqual(undisturbed)
  })

  it('does nothing more when all epochs are done', async () => {
    await start()
    const events: TrainEvent[] = []
    expect(await result(await start({ resume: true, onEvent: (e) => void events.push(e) }))).toEqual(undisturbed)
    expect(events.map(({ event }) => event)).toEqual(['start', 'end'])
  })

  it('is the same after a run that could not write for a while, which is told', async () => {
    const warnings: string[] = []
    const run = await start({
      onEvent(event) {
        if (event.event === 'step') full = event.globalStep >= 2 && event.globalStep <= 5
        if (event.event === 'warning') warnings.push(event.message)
      },
    })
    const path = join(folder, 'checkpoints', 'step-00000002.safetensors')
    expect(warnings[0]).toBe(
      `no checkpoint could be written, training goes on: ${path}: cannot write: the disk is full.`,
    )
    expect(await result(run)).toEqual(undisturbed)
    expect(await result(await start({ resume: true }))).toEqual(undisturbed)
  })
})

it('keeps the last two checkpoints and the weights of the best epoch they know of', async () => {
  const control = trainControl()
  const written: string[] = []
  const { end } = await start({
    control,
    checkpoints: { folder, everySeconds: 1e6 },
    onEvent(event) {
      if (event.event === 'step' && event.globalStep === 4) control.checkpoint()
      if (event.event === 'checkpoint') written.push(`${event.reason} ${event.epoch} ${event.step}`)
    },
  })
  expect(written).toEqual(['epoch 2 0', 'asked 2 1', 'epoch 3 0', 'epoch 4 0'])
  const names = await readdir(join(folder, 'checkpoints'))
  expect(names.filter((name) => name.startsWith('step'))).toEqual([
    'step-00000006.safetensors',
    'step-00000009.safetensors',
  ])
  expect(names).toContain(`best-0000${end.bestEpoch}.safetensors`)
})

it('what a killed run left half-written is removed', async () => {
  await start(stopping((e) => e.event === 'step'))
  await writeFile(join(folder, 'checkpoints', 'step-00000002.safetensors.1234.tmp'), 'half')
  await start({ resume: true })
  expect((await readdir(join(folder, 'checkpoints'))).filter((name) => name.endsWith('.tmp'))).toEqual([])
})

it('goes on without the weights of the best epoch when they are lost, which is told', async () => {
  await start(stopping((e) => e.event === 'step' && e.epoch === 3))
  const names = await readdir(join(folder, 'checkpoints'))
  for (const name of names) if (name.startsWith('best')) await rm(join(folder, 'checkpoints', name))
  const warnings: string[] = []
  const run = await start({ resume: true, onEvent: (e) => void (e.event === 'warning' && warnings.push(e.message)) })
  expect(warnings).toHaveLength(1)
  expect(warnings[0]).toMatch(/^the weights of the best epoch are lost, another one will be the best: .*best-0000\d/)
  expect(run.end).toMatchObject({ epochs: 3, bestEpoch: 3 })
})

it('a loss on held-out data that is no number can be resumed', async () => {
  const bad = arrayDataset(new Float32Array(784 * 4).fill(Number.NaN), [0, 1, 2, 3], [28, 28, 1], 'f32', train.classes)
  const more = { validation: bad, average: undefined }
  await start({ ...more, ...stopping((e) => e.event === 'step' && e.epoch === 2) })
  const { epochs } = await start({ ...more, resume: true })
  expect(epochs.map(({ validationLoss }) => validationLoss)).toEqual([Number.NaN, Number.NaN, Number.NaN])
})

it('a refused run has not begun', async () => {
  let begun = 0
  const checkpoints = { folder, onBegin: async () => void begun++ }
  await expect(start({ checkpoints, batchSize: 1000 })).rejects.toThrow('the batch is larger')
  await start({ checkpoints, ...stopping((e) => e.event === 'step') })
  await expect(start({ checkpoints, resume: true, epochs: 9 })).rejects.toThrow('would not repeat')
  expect(begun).toBe(1)
})

describe('what does not fit', () => {
  const message = async (promise: Promise<unknown>) =>
    (await promise.then(String, (error: Error) => error.message)).split('\n')

  it('other options and data are refused, with all that differs', async () => {
    await start(stopping((e) => e.event === 'step' && e.globalStep === 2))
    const path = join(folder, 'checkpoints', 'step-00000002.safetensors')
    const before = await readFile(path)
    expect(await message(start({ resume: true, epochs: 4, seed: 6 }))).toEqual([
      `${path}: the run would not repeat: data, held-out data, epochs, seed are not what the checkpoint was written with.`,
      expect.stringMatching(
        /^ {2}got {7}data 70 of \[28,28,1\] \w+; held-out data 20 of \[28,28,1\] \w+; epochs 4; seed 6$/,
      ),
      expect.stringMatching(/^ {2}expected {2}data 70 of .*; epochs 3; seed 5$/),
      "  fix       resume with the same data, options and backend, or go on all the same with --resume-anyway (in code: resume: 'anyway')",
    ])
    expect(await readFile(path)).toEqual(before)
    const run = await start({ resume: 'anyway', epochs: 4, seed: 6 })
    expect(run.end.epochs).toBe(4)
  })

  it('another network is refused, told to go on or not', async () => {
    await start(stopping((e) => e.event === 'step' && e.globalStep === 2))
    const path = join(folder, 'checkpoints', 'step-00000002.safetensors')
    expect((await message(start({ resume: true }, net(4))))[0]).toBe(
      `${path}: the run would not repeat: network is not what the checkpoint was written with.`,
    )
    const lines = await message(start({ resume: 'anyway' }, net(4)))
    expect(lines[0]).toBe(`${path}: this is the checkpoint of another model or optimizer.`)
    expect(lines[1]).toContain('model.0.weight [3, 3, 1, 3] instead of [3, 3, 1, 4]')
  })

  it('a folder without a checkpoint', async () => {
    expect(await message(start({ resume: true }))).toEqual([
      `${join(folder, 'checkpoints')}: there is no checkpoint to go on from.`,
      '  got       no such folder',
      '  expected  the folder of a run that was stopped after its first checkpoint',
      '  fix       check the path, or begin a new run',
    ])
  })

  it('a new run in the folder of another', async () => {
    await start(stopping((e) => e.event === 'step'))
    expect((await message(start()))[0]).toBe(
      `${join(folder, 'checkpoints')}: the folder already holds the checkpoints of a run.`,
    )
  })

  it('a weights file instead of a checkpoint', async () => {
    await start()
    const names = await readdir(join(folder, 'checkpoints'))
    for (const name of names) {
      if (name.startsWith('step')) await writeFile(join(folder, 'checkpoints', name), '{}')
    }
    expect((await message(start({ resume: true })))[0]).toContain('step-00000009.safetensors')
  })
})
