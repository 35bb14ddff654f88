import { afterEach, describe, expect, it } from 'vitest'
import { createWasmBackend } from '../backends/wasm/index.ts'
import { Random } from '../base/random.ts'
import { makeDataset } from '../data/dataset.ts'
import { Device, useDevice } from '../engine/index.ts'
import * as nn from '../nn/index.ts'
import { init } from '../nn/model.ts'
import { adam, sgd } from '../optim/index.ts'
import {
  type ArgumentType,
  compile,
  crossEntropy,
  type PlannedMemory,
  type Tensor,
  valueAndGrad,
} from '../tensor/index.ts'
import { errorText } from '../testing/error-text.ts'
import { fit } from './fit.ts'
import { checkMemory, largestBatchThatFits } from './memory.ts'
import { TrainStep } from './step.ts'

/** Steps that take 10 MB and 3 MB a sample, where there are `available`. */
const planned = (available: number | undefined, asked: number[] = []) => {
  return async (batch: number): Promise<PlannedMemory> => {
    asked.push(batch)
    const arenaBytes = 3e6 * batch
    return {
      variableBytes: 1e7,
      arenaBytes,
      bufferBytes: 0,
      keptBytes: 0,
      bytes: 1e7 + arenaBytes,
      availableBytes: available,
    }
  }
}

describe('the largest batch that fits', () => {
  it('is found in few plans', async () => {
    const asked: number[] = []
    expect(await largestBatchThatFits(planned(1e8, asked), 1000)).toBe(30)
    expect(asked.length).toBeLessThan(12)
  })
  it('is what was asked for, after one plan, where nothing limits it', async () => {
    const asked: number[] = []
    expect(await largestBatchThatFits(planned(undefined, asked), 1000)).toBe(1000)
    expect(await largestBatchThatFits(planned(4e9, asked), 1000)).toBe(1000)
    expect(asked).toEqual([1000, 1000])
  })
  it('is none where one sample is too much', async () => {
    expect(await largestBatchThatFits(planned(1.2e7), 64)).toBe(0)
  })
})

const rejection = async (work: Promise<unknown>): Promise<string> => {
  let thrown: unknown
  await work.catch((error: unknown) => {
    thrown = error
  })
  return errorText(() => {
    throw thrown
  })
}

describe('a step that does not fit', () => {
  it('is refused with the batch that does, and how to keep the update', async () => {
    expect(await rejection(checkMemory(planned(1e8), 64, 1))).toMatchInlineSnapshot(`
      "ConfigError: fit: a step does not fit in memory.
        got       batch size 64 takes 202 MB at its peak, 10 MB of that for weights and what the optimizer keeps beside them
        expected  at most 100 MB: batch size 30 fits
        fix       --batch-size 16 --accumulate 4 makes updates of 64 samples in smaller parts (in code batchSize: 16, accumulate: 4)"
    `)
    expect(await rejection(checkMemory(planned(1e8), 61, 1))).toContain(
      '--batch-size 21 --accumulate 3 makes updates of 63',
    )
    expect(await rejection(checkMemory(planned(1e8), 40, 2))).toMatchInlineSnapshot(`
      "ConfigError: fit: a step does not fit in memory.
        got       batch size 40 takes 130 MB at its peak, 10 MB of that for weights and what the optimizer keeps beside them
        expected  at most 100 MB: batch size 30 fits
        fix       --batch-size 20 --accumulate 4 makes updates of 80 samples in smaller parts (in code batchSize: 20, accumulate: 4)"
    `)
  })
  it('is refused where not even one sample fits', async () => {
    expect(await rejection(checkMemory(planned(1.1e7), 64, 1))).toMatchInlineSnapshot(`
      "ConfigError: fit: a step does not fit in memory.
        got       batch size 64 takes 202 MB at its peak, 10 MB of that for weights and what the optimizer keeps beside them
        expected  at most 11 MB; not even one sample fits
        fix       use a smaller model or smaller pictures"
    `)
  })
})

describe('with a machine that has little memory', () => {
  let previous: Device | undefined
  let device: Device | undefined
  let limit = 0
  const small = async (bytes: number): Promise<Device> => {
    limit = bytes
    const backend = createWasmBackend({ threads: 1 })
    const limited = new Proxy(backend, {
      get(target, name) {
        if (name === 'memoryLimitBytes') return limit
        const value = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    device = new Device(limited)
    previous = await useDevice(device)
    return device
  }
  afterEach(async () => {
    if (previous !== undefined) await useDevice(previous)
    await device?.close()
  })

  const random = new Random(1, 'memory')
  const data = makeDataset({
    length: 64,
    sampleShape: [16, 16, 1],
    dtype: 'f32',
    classes: ['a', 'b'],
    get: (i) => ({ x: Float32Array.from({ length: 256 }, () => random.normal()), y: i % 2 }),
  })
  const net = () =>
    nn.sequential(nn.conv2d(16, 3, { padding: 1 }), nn.batchNorm(), nn.relu(), nn.globalAvgPool(), nn.linear(2))

  it('fit ends before anything is touched, and what it proposes runs', async () => {
    // What 32 samples take, and a bit less than that.
    await small(2 ** 32)
    const model = init(net(), { input: [16, 16, 1], seed: 0 })
    model.train()
    const parts = { model, optimizer: adam(), loss: crossEntropy, seed: 0, accumulate: 1 }
    const whole = await new TrainStep(parts).memory(
      { shape: [32, 16, 16, 1], dtype: 'f32' },
      { shape: [32], dtype: 'i32' },
    )
    limit = 0.7 * whole.bytes
    let begun = false
    const onBegin = async () => {
      begun = true
    }
    const checkpoints = { folder: 'never-made', onBegin }
    const text = await rejection(fit(net(), data, { epochs: 1, batchSize: 32, validation: 0, checkpoints }))
    expect(begun).toBe(false)
    const [, batchSize, accumulate] = /--batch-size (\d+) --accumulate (\d+)/.exec(text) ?? []
    expect(Number(batchSize) * Number(accumulate)).toBeGreaterThanOrEqual(32)
    const run = await fit(net(), data, {
      epochs: 1,
      batchSize: Number(batchSize),
      accumulate: Number(accumulate),
      validation: 0.25,
    })
    expect(run.end.epochs).toBe(1)
  })

  it('what is told beforehand is what is taken', async () => {
    const { backend } = await small(2 ** 32)
    const model = init(net(), { input: [16, 16, 1], seed: 1 })
    const optimizer = sgd(0.1, { momentum: 0.9 })
    model.train()
    const step = compile((x: Tensor, y: Tensor) => {
      const [loss, gradients] = valueAndGrad(model.parameters, () => crossEntropy(model(x), y))
      optimizer.update(model.parameters, gradients)
      return loss
    })
    const types: [ArgumentType, ArgumentType] = [
      { shape: [32, 16, 16, 1], dtype: 'f32' },
      { shape: [32], dtype: 'i32' },
    ]
    const before = backend.bytesInUse
    const told = await step.memory(...types)
    expect(backend.bytesInUse).toBe(before)
    for await (const { x, y } of data.batches({ size: 32 })) {
      await step(x, y)
      break
    }
    const taken = backend.bytesInUse - before
    // Blocks are aligned, and kernels, tables and scratch have their own memory.
    expect(told.bytes).toBeLessThanOrEqual(taken)
    expect(told.bytes).toBeGreaterThan(0.8 * taken)
  })
})
