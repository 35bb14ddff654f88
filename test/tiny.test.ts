/**
 * Read this first: the README's programs at a size that every backend runs in seconds. What happens behind the calls is
 * said where it happens; ARCHITECTURE.md tells it folder by folder.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  compile,
  conv2d,
  createDevice,
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

// A net is a description: three numbers a layer, no weights yet. How many channels come in, each layer finds out later.
const net = nn.sequential(
  nn.conv2d(4, 3, { stride: 2 }), // [28, 28, 1] -> [13, 13, 4]: channels last
  nn.relu(),
  nn.maxPool2d(2), // -> [6, 6, 4]
  nn.flatten(), // -> [144]
  nn.linear(10), // -> a score for each digit
)

// Most programs never name a device: the first computation makes the default one.
describe.each([
  { backend: 'wasm', threads: 2 }, // generated WebAssembly, the fast one
  { backend: 'interpret' }, // the same kernels as plain JavaScript, the definition of what is right
] as const)('on $backend', (options) => {
  let close: () => Promise<void>
  beforeAll(async () => {
    const device = await createDevice(options)
    await useDevice(device)
    close = () => device.close()
  })
  afterAll(() => close())

  it('convolves', async () => {
    const x = tensor([
      [1, 2],
      [3, 4],
    ])
    const kernel = tensor([
      [1, 2, 3],
      [4, 5, 6],
      [7, 8, 9],
    ])
    // This builds a graph; nothing is computed yet.
    const y = conv2d(x, kernel, { padding: 'same' })
    // Asking for values runs it. The first one is 1·5 + 2·6 + 3·8 + 4·9: the kernel is not turned around.
    expect(await y.array()).toEqual([
      [77, 67],
      [47, 37],
    ])
  })

  it('trains a network', async () => {
    // Pictures are drawn when they are looked at; the test pictures are of another handwriting.
    const data = await datasets.digits({ trainCount: 600, testCount: 100 })
    // fit makes the parameters, holds a tenth of the data out, and compiles one step: model, loss, gradients, update.
    const run = await fit(net, data.train, {
      epochs: 4,
      batchSize: 20,
      optimizer: optim.adam(1e-2),
      validation: 0.1,
      seed: 1,
    })
    // It comes back in inference mode, with the weights of the epoch that did best on what was held out.
    const { accuracy } = await evaluate(run.model, data.test)
    expect(accuracy).toBeGreaterThan(0.6)

    const { x, y } = await data.test.get(0)
    const [{ label, probabilities }] = await predict(run.model, tensor(x, [1, 28, 28, 1]))
    expect(probabilities[label]).toBe(Math.max(...probabilities))
    expect(y).toBeLessThan(10)
  })

  it('trains it by hand', async () => {
    const data = await datasets.digits({ trainCount: 200, testCount: 1 })
    // The same seed makes the same parameters, on every backend and machine.
    const model = init(net, { input: [28, 28, 1], seed: 1 })
    const adam = optim.adam(1e-2)
    // The function runs once, to be traced; from then on a step is one call into the machine.
    const step = compile((x, y) => {
      const [loss, gradients] = valueAndGrad(model.parameters, () => crossEntropy(model(x), y))
      adam.update(model.parameters, gradients)
      return loss
    })
    const losses: number[] = []
    for (let epoch = 1; epoch <= 4; epoch++) {
      for await (const { x, y } of data.train.batches({ size: 20, seed: 1, epoch })) {
        losses.push(await (await step(x, y)).item())
      }
    }
    // Ten classes and no idea: about ln 10. Forty steps later it has one.
    expect(losses[0]).toBeCloseTo(Math.log(10), 0)
    expect(losses[39]).toBeLessThan(0.7 * losses[0])
  })
})
