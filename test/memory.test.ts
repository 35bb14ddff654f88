/** Nothing is ever disposed of: what is dropped gives its memory back. bench/memory.ts looks at the resident size. */
import { setTimeout as wait } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createDevice, type Device } from '../src/engine/index.ts'
import {
  compile,
  crossEntropy,
  datasets,
  evaluate,
  fit,
  init,
  nn,
  optim,
  predict,
  tensor,
  useDevice,
  valueAndGrad,
} from '../src/index.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

let device: Device
beforeAll(async () => {
  device = await createDevice({ backend: 'wasm', threads: 2 })
  await useDevice(device)
})
afterAll(() => device.close())

const net = nn.sequential(nn.conv2d(4, 3), nn.batchNorm(), nn.relu(), nn.flatten(), nn.linear(10))
const input = [12, 12, 1]
const x = tensor(new Uint8Array(8 * 144), [8, ...input])
const y = tensor(Int32Array.from({ length: 8 }, (_, i) => i))

/** Bytes in use when everything that was dropped has been collected. */
async function settled(): Promise<number> {
  let bytes = device.backend.bytesInUse
  for (let unchanged = 0; unchanged < 5; unchanged++) {
    collect()
    await wait(10)
    if (device.backend.bytesInUse !== bytes) unchanged = -1
    bytes = device.backend.bytesInUse
  }
  return bytes
}

async function handMade(seed: number): Promise<void> {
  const model = init(net, { input, seed })
  const adam = optim.adam(1e-3)
  const step = compile((images, labels) => {
    const [loss, gradients] = valueAndGrad(model.parameters, () => crossEntropy(model(images), labels))
    adam.update(model.parameters, gradients)
    return loss
  })
  for (let k = 0; k < 2; k++) await (await step(x, y)).item()
  await predict(model.eval(), x)
}

async function fitted(seed: number): Promise<void> {
  const { train } = await datasets.digits({ trainCount: 60, testCount: 1 })
  const { model } = await fit(nn.sequential(nn.flatten(), nn.linear(10)), train, { epochs: 2, batchSize: 20, seed })
  await evaluate(model, train)
}

it('models that are trained and dropped leave nothing', async () => {
  await handMade(0)
  const before = await settled()
  for (let seed = 1; seed <= 6; seed++) await handMade(seed)
  expect(device.backend.bytesInUse).toBeGreaterThan(before)
  expect(await settled()).toBe(before)
})

it('runs of fit, with validation and evaluation, leave nothing', async () => {
  await fitted(0)
  const before = await settled()
  for (let seed = 1; seed <= 3; seed++) await fitted(seed)
  expect(await settled()).toBe(before)
})

it('expressions that come once leave nothing', async () => {
  const expression = (n: number) => tensor(new Float32Array(n)).mul(n).exp().sum().item()
  await expression(1)
  const before = await settled()
  for (let n = 2; n < 100; n++) await expression(n)
  expect(await settled()).toBe(before)
})

it('expressions that come again keep a bounded number of programs', async () => {
  // Sizes from `from` on, each twice; buffers of 400 elements at most, so each program takes 6 KiB and less.
  const expressions = async (from: number, to: number) => {
    for (let n = from; n < to; n++) for (let k = 0; k < 2; k++) await tensor(new Float32Array(n)).add(1).data()
  }
  const before = await settled()
  await expressions(1, 400)
  expect(await settled()).toBeLessThan(before + 128 * 6 * 1024)
})
