/** What is compiled and started, and what must not be: counted, not timed. bench/compile.ts has the times. */
import { beforeEach, expect, it, vi } from 'vitest'
import { createDevice, type Device } from '../src/engine/index.ts'
import { conv2d, datasets, evaluate, fit, models, predict, tensor, useDevice } from '../src/index.ts'

let workers = 0
vi.mock('#platform', async (original) => {
  const platform = await original<typeof import('../src/platform/node.ts')>()
  const createWorker: typeof platform.createWorker = (source, name) => {
    workers++
    return platform.createWorker(source, name)
  }
  return { ...platform, createWorker }
})

let device: Device
beforeEach(async () => {
  workers = 0
  device = await createDevice({ backend: 'wasm', threads: 2 })
  await useDevice(device)
  return () => device.close()
})

it('after the first epoch, other batch sizes, evaluation and prediction compile nothing', async () => {
  const { train, test } = await datasets.digits({ trainCount: 120, testCount: 70 })
  const counts: number[] = []
  const run = await fit(models.simpleCnn(), train, {
    epochs: 2,
    // 90 to learn from, in batches of 32, 32 and 26; 30 held out.
    batchSize: 32,
    validation: 0.25,
    seed: 1,
    onEvent: ({ event }) => {
      if (event === 'epoch') counts.push(device.backend.kernels.compiled)
    },
  })
  expect(counts[0]).toBeGreaterThan(10)
  await evaluate(run.model, test)
  await evaluate(run.model, test, { batchSize: 7 })
  await predict(run.model, tensor(new Uint8Array(784), [1, 28, 28, 1]))
  await fit(run.model, train, { epochs: 1, batchSize: 17, validation: 0 })
  expect(device.backend.kernels.compiled).toBe(counts[0])
  expect(workers).toBe(2)
})

it('a smaller last batch compiles nothing inside the first epoch', async () => {
  const { train } = await datasets.digits({ trainCount: 75, testCount: 1 })
  const counts: number[] = []
  await fit(models.simpleCnn(), train, {
    epochs: 1,
    batchSize: 32,
    validation: 0,
    onEvent: ({ event }) => {
      if (event === 'step') counts.push(device.backend.kernels.compiled)
    },
  })
  expect(counts).toEqual([counts[0], counts[0], counts[0]])
})

it('a program of an expression is kept from its second time on', async () => {
  const data = new Float32Array(1000)
  const compute = () => tensor(data).mul(3).add(5).data()
  await compute()
  const { bytesInUse } = device.backend
  await compute()
  const kept = device.backend.bytesInUse - bytesInUse
  expect(kept).toBeGreaterThan(8000)
  await compute()
  expect(device.backend.bytesInUse - bytesInUse).toBe(kept)
})

const sizes = [
  [2, 2],
  [3, 3],
  [5, 4],
  [1, 9],
  [20, 31],
]

it('a convolution of other sizes compiles nothing, and small expressions start no worker', async () => {
  const counts: number[] = []
  for (const [height, width] of sizes) {
    const x = tensor(new Float32Array(height * width), [height, width])
    await conv2d(x, tensor(new Float32Array(9), [3, 3]), { padding: 'same' }).data()
    counts.push(device.backend.kernels.compiled)
  }
  expect(counts).toEqual(sizes.map(() => counts[0]))
  expect(workers).toBe(0)
})
