import { afterAll, expect, it } from 'vitest'
import { datasets } from '../data/index.ts'
import { createDevice, type Device } from '../engine/index.ts'
import * as models from '../models/index.ts'
import * as nn from '../nn/index.ts'
import { init } from '../nn/model.ts'
import * as optim from '../optim/index.ts'
import { compile, crossEntropy, type Tensor, useDevice, valueAndGrad } from '../tensor/index.ts'
import { testDevices } from '../testing/each-backend.ts'
import { evaluate } from './evaluate.ts'
import type { TrainEvent } from './events.ts'
import { fit } from './fit.ts'
import { identityOf } from './identity.ts'
import { readOptions } from './options.ts'

const made: Device[] = []
afterAll(() => Promise.all(made.map((device) => device.close())))

async function use(options: Parameters<typeof createDevice>[0]): Promise<void> {
  const device = await createDevice(options)
  made.push(device)
  await useDevice(device)
}

const hasNative = testDevices.some(({ name }) => name.startsWith('native'))
const backends = hasNative ? (['wasm', 'native'] as const) : (['wasm'] as const)

const data = await datasets.digits({ trainCount: 1200, testCount: 400 })

it.each(backends)('bf16 learns what f32 learns on %s', async (backend) => {
  await use({ backend, threads: 2 })
  const learned = async (precision: 'f32' | 'bf16') => {
    const net = models.simpleCnn({ classes: 10, input: [28, 28, 1] })
    const run = await fit(net, data.train, { epochs: 3, batchSize: 32, validation: 0, seed: 1, precision })
    return evaluate(run.model, data.test, { precision })
  }
  const [single, half] = [await learned('f32'), await learned('bf16')]
  expect(single.accuracy).toBeGreaterThan(0.9)
  // Four of 400 samples: about what another seed changes.
  expect(Math.abs(half.accuracy - single.accuracy)).toBeLessThan(0.0101)
  expect(Math.abs(half.loss - single.loss)).toBeLessThan(0.05)
  // The same bits would mean that nothing was rounded.
  expect(half.loss).not.toBe(single.loss)
})

it.each(backends)(
  'the first losses are near those of f32, with the same bits on any threads, on %s',
  async (backend) => {
    const losses = async (threads: number, precision: 'f32' | 'bf16') => {
      await use({ backend, threads })
      const seen: number[] = []
      const net = models.resnet8({ classes: 10, input: [28, 28, 1], width: 4 })
      await fit(net, (await datasets.digits({ trainCount: 128, testCount: 1 })).train, {
        epochs: 1,
        batchSize: 32,
        validation: 0,
        seed: 2,
        precision,
        onEvent: (event: TrainEvent) => void (event.event === 'step' && seen.push(event.loss)),
      })
      return seen
    }
    const half = await losses(2, 'bf16')
    expect(await losses(1, 'bf16')).toEqual(half)
    const single = await losses(2, 'f32')
    for (const [i, loss] of half.entries()) expect(Math.abs(loss / single[i] - 1)).toBeLessThan(1e-2)
  },
)

it('a step of bf16 needs little more than half the memory', async () => {
  await use({ backend: 'wasm', threads: 1 })
  const bytes = async (precision: 'f32' | 'bf16') => {
    const net = nn.sequential(
      ...[1, 2, 3, 4].flatMap(() => [nn.conv2d(16, 3, { padding: 'same' }), nn.batchNorm(), nn.relu()]),
      nn.flatten(),
      nn.linear(10),
    )
    const model = init(net, { input: [28, 28, 1], seed: 1 })
    const rule = optim.sgd(0.1)
    const step = compile(
      (x: Tensor, y: Tensor) => {
        const [loss, gradients] = valueAndGrad(model.parameters, () => crossEntropy(model(x), y))
        rule.update(model.parameters, gradients)
        return loss
      },
      { precision },
    )
    const x = { shape: [64, 28, 28, 1], dtype: 'f32' as const }
    return (await step.memory(x, { shape: [64], dtype: 'i32' })).arenaBytes
  }
  expect((await bytes('bf16')) / (await bytes('f32'))).toBeLessThan(0.7)
})

it('is part of what a resumed run must repeat, where it is not f32', async () => {
  await use({ backend: 'wasm', threads: 1 })
  const model = init(nn.sequential(nn.flatten(), nn.linear(10)), { input: [28, 28, 1], seed: 1 })
  const identity = (precision?: 'f32' | 'bf16') =>
    identityOf({ ...readOptions({ precision }), batchSize: 8 }, model, data.test, undefined, 'wasm')
  expect(await identity('bf16')).toMatchObject({ precision: 'bf16' })
  expect(await identity('f32')).toEqual(await identity())
  expect(await identity()).not.toHaveProperty('precision')
})

it('compile and evaluate name the precisions they know', async () => {
  expect(() => compile(() => undefined, { precision: 'f16' as 'f32' })).toThrow(
    "compile: there is no precision 'f16'.\n  expected  f32 or bf16",
  )
  const model = init(nn.sequential(nn.flatten(), nn.linear(10)), { input: [28, 28, 1], seed: 1 })
  await expect(evaluate(model, data.test, { precision: 'f16' as 'f32' })).rejects.toThrow(
    "evaluate: there is no precision 'f16'.\n  expected  f32 or bf16",
  )
})
