/** Networks by name, trained from the same weights on the same batches as PyTorch's (test/golden/curves.py). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDevice, type Device, useDevice } from '../src/engine/index.ts'
import { architectures } from '../src/models/index.ts'
import { init } from '../src/nn/model.ts'
import * as optim from '../src/optim/index.ts'
import { compile, crossEntropy, type Tensor, tensor, valueAndGrad } from '../src/tensor/index.ts'
import { whyNoNative } from '../src/testing/why-no-native.ts'
import { type CurveCase, goldenInput, loadCurves, stepInput } from './golden/values.ts'

const curves = loadCurves()
const missing = await whyNoNative()

/** The bits are those of any number of threads; a single one does not wait for others on a busy machine. */
const singlePrecision = [
  { backend: 'wasm', threads: 1 },
  ...(missing === undefined ? [{ backend: 'native', threads: 1 } as const] : []),
] as const
if (missing !== undefined) console.warn(`curves of native are ${missing}`)

async function lossesOf({ name, parameters, batches, optimizer }: CurveCase, steps: number): Promise<number[]> {
  const { count, images, labels } = batches
  const model = init(architectures[name](), { input: images.shape.slice(1) })
  // By place: the order in which a network makes its parameters is part of what is held.
  expect(model.parameters.map((p) => [p.name, p.shape])).toEqual(parameters.map((p) => [p.name, p.shape]))
  for (const [i, parameter] of model.parameters.entries()) await parameter.load(goldenInput(parameters[i]))
  const sgd = optim.sgd(optimizer.learningRate, { momentum: optimizer.momentum })
  const step = compile((x: Tensor, y: Tensor) => {
    const [loss, gradients] = valueAndGrad(model.parameters, () => crossEntropy(model(x), y))
    sgd.update(model.parameters, gradients)
    return loss
  })
  const data = Array.from({ length: count }, (_, t) => ({
    x: tensor(stepInput(images, t), images.shape),
    y: tensor(stepInput(labels, t)),
  }))
  const losses: number[] = []
  for (let t = 0; t < steps; t++) {
    const { x, y } = data[t % count]
    losses.push(await (await step(x, y)).item())
  }
  return losses
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length

describe.each(curves)('$name beside PyTorch', (curve) => {
  let device: Device
  const compute = (options: Parameters<typeof createDevice>[0]) => {
    beforeAll(async () => {
      device = await createDevice(options)
      await useDevice(device)
    })
    afterAll(() => device.close())
  }

  describe('in double precision', () => {
    compute({ backend: 'interpret', precision: 'f64' })
    it('three steps', async () => {
      const losses = await lossesOf(curve, 3)
      for (const [t, loss] of losses.entries()) expect(Math.abs(loss - curve.losses[t]), `step ${t}`).toBeLessThan(1e-8)
    })
  })

  describe.each(singlePrecision)('in single precision: $backend', (options) => {
    compute(options)
    it('200 steps', async () => {
      const losses = await lossesOf(curve, 200)
      const first = losses.slice(0, 10).map((loss, t) => Math.abs(loss - curve.losses[t]))
      expect(Math.max(...first)).toBeLessThan(1e-4)
      expect(Math.abs(mean(losses.slice(-20)) / mean(curve.losses.slice(-20)) - 1)).toBeLessThan(0.03)
    })
  })
})
