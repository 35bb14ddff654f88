/** Optimizers and whole training runs against PyTorch's numbers in double precision (test/golden). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDevice, type Device, useDevice } from '../src/engine/index.ts'
import { simpleCnn } from '../src/models/index.ts'
import * as nn from '../src/nn/index.ts'
import { init, type Model } from '../src/nn/model.ts'
import * as optim from '../src/optim/index.ts'
import { compile, crossEntropy, Parameter, type Tensor, tensor, valueAndGrad } from '../src/tensor/index.ts'
import {
  goldenError,
  goldenInput,
  loadTraining,
  type NetworkCase,
  type OptimizerOptions,
  stepInput,
} from './golden/values.ts'

const { optimizers, networks } = loadTraining()

function makeOptimizer(
  name: 'sgd' | 'adam' | 'adamw',
  { learningRate, epsilon, ...rest }: OptimizerOptions & { readonly name?: string },
) {
  const { name: _, ...options } = rest
  if (name === 'sgd') return optim.sgd(learningRate, options)
  const make = name === 'adam' ? optim.adam : optim.adamw
  return make(learningRate, { ...options, eps: epsilon })
}

function residualNet(): nn.Layer {
  const conv = (filters: number, stride = 1) => nn.conv2d(filters, 3, { stride, padding: 1, bias: false })
  const body = (filters: number, stride: number) =>
    nn.sequential(
      ['conv1', conv(filters, stride)],
      ['norm1', nn.batchNorm()],
      nn.relu(),
      ['conv2', conv(filters)],
      ['norm2', nn.batchNorm()],
    )
  const shortcut = nn.sequential(['conv', nn.conv2d(16, 1, { stride: 2, bias: false })], ['norm', nn.batchNorm()])
  return nn.sequential(
    ['stem', nn.sequential(['conv', conv(8)], ['norm', nn.batchNorm()], nn.relu())],
    ['block1', nn.residual(body(8, 1))],
    ['block2', nn.residual(body(16, 2), { shortcut })],
    nn.globalAvgPool(),
    ['linear', nn.linear(10)],
  )
}

async function build(network: NetworkCase): Promise<Model> {
  const net = network.name === 'simpleCnn' ? simpleCnn() : residualNet()
  const model = init(net, { input: network.batches.images.shape.slice(1), seed: 1 })
  for (const [i, parameter] of model.parameters.entries()) {
    expect(parameter.shape).toEqual(network.parameters[i].shape)
    await parameter.load(goldenInput(network.parameters[i]))
    parameter.decays = true
  }
  return model
}

async function train(network: NetworkCase, steps: number): Promise<{ model: Model; losses: number[] }> {
  const model = await build(network)
  const optimizer = makeOptimizer(network.optimizer.name, network.optimizer)
  const step = compile((x: Tensor, y: Tensor) => {
    const [loss, gradients] = valueAndGrad(model.parameters, () => crossEntropy(model(x), y))
    optimizer.update(model.parameters, gradients)
    return loss
  })
  const losses: number[] = []
  const { count, images, labels } = network.batches
  for (let t = 0; t < steps; t++) {
    const loss = await step(tensor(stepInput(images, t % count), images.shape), tensor(stepInput(labels, t % count)))
    losses.push(await loss.item())
  }
  return { model, losses }
}

describe.each([
  { backend: 'interpret', precision: 'f64' },
  { backend: 'wasm', threads: 2 },
] as const)('on $backend', (options) => {
  let device: Device
  beforeAll(async () => {
    device = await createDevice(options)
    await useDevice(device)
  })
  afterAll(() => device.close())
  const exact = options.backend === 'interpret'

  it.each(optimizers)(
    'optimizer $name',
    async ({ optimizer: name, options: settings, parameter: spec, gradient, steps }) => {
      const parameter = new Parameter('p', spec.shape, goldenInput(spec), true)
      const optimizer = makeOptimizer(name, settings)
      const step = compile((g: Tensor) => {
        optimizer.update([parameter], [g])
        return g
      })
      for (const [t, expected] of steps.entries()) {
        await step(tensor(stepInput(gradient, t)))
        const values = await parameter.data()
        // Golden numbers have ten digits; the constants of the update travel as f32 everywhere but in the interpreter.
        for (const [i, value] of expected.entries())
          expect(Math.abs(values[i] - value)).toBeLessThan(exact ? 1e-9 : 1e-6)
      }
    },
  )

  it('residual network, twenty steps', async () => {
    const network = networks.find((n) => n.name === 'residual') as NetworkCase
    const { model, losses } = await train(network, network.losses.length)
    for (const [t, loss] of network.losses.entries())
      expect(Math.abs(losses[t] / loss - 1), `step ${t}`).toBeLessThan(exact ? 1e-8 : 2e-5)
    for (const [i, spec] of network.parameters.entries()) {
      expect(goldenError(await model.parameters[i].data(), network.after[spec.name]), spec.name).toBeLessThan(
        exact ? 1e-8 : 2e-4,
      )
    }
    for (const state of model.states) {
      const name = state.name.replace('.body', '').replace('running_mean', 'mean').replace('running_var', 'variance')
      expect(goldenError(await state.data(), network.running[name]), name).toBeLessThan(exact ? 1e-8 : 2e-4)
    }
    model.eval()
    const { images } = network.batches
    const forward = compile((x: Tensor) => model(x))
    const logits = await forward(tensor(stepInput(images, 0), images.shape))
    expect(goldenError(await logits.data(), network.evaluation)).toBeLessThan(exact ? 1e-8 : 2e-4)
  })

  // The interpreter would take minutes.
  it.runIf(!exact)('simpleCnn, ten steps', async () => {
    const network = networks.find((n) => n.name === 'simpleCnn') as NetworkCase
    const { losses } = await train(network, 10)
    for (let t = 0; t < 10; t++) expect(Math.abs(losses[t] / network.losses[t] - 1), `step ${t}`).toBeLessThan(1e-4)
  })
})
