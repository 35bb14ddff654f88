import { beforeAll, describe, expect, it, test } from 'vitest'
import { Random } from '../base/random.ts'
import { arrayDataset, type Dataset } from '../data/index.ts'
import { createDevice } from '../engine/index.ts'
import * as nn from '../nn/index.ts'
import { init } from '../nn/model.ts'
import * as optim from '../optim/index.ts'
import { compile, crossEntropy, type Tensor, tensor, useDevice, valueAndGrad } from '../tensor/index.ts'
import { trainControl } from './control.ts'
import type { EpochEvent, TrainEvent } from './events.ts'
import { fit } from './fit.ts'
import type { FitOptions } from './options.ts'

beforeAll(async () => {
  const device = await createDevice({ backend: 'wasm', threads: 2 })
  await useDevice(device)
  return () => device.close()
})

const features = 6
const classes = ['a', 'b', 'c']

/** Points around three corners; the third class is rare. */
function points(count: number, seed = 1): Dataset {
  const random = new Random(seed, 'points')
  const x = new Float32Array(count * features)
  const y = Int32Array.from({ length: count }, (_, i) => (i % 8 === 0 ? 2 : i % 2))
  for (let i = 0; i < x.length; i++) x[i] = random.normal(i % features === y[Math.floor(i / features)] ? 1.5 : 0, 1)
  return arrayDataset(x, y, [features], 'f32', classes)
}

const net = () => nn.sequential(nn.linear(5), nn.tanh(), nn.linear(3))
const sgd = (rate = 0.1) => optim.sgd(rate, { momentum: 0.9, weightDecay: 0.01 })

async function losses(options: FitOptions, data = points(40)): Promise<number[]> {
  const seen: number[] = []
  await fit(net(), data, {
    optimizer: sgd(),
    epochs: 2,
    validation: 0,
    seed: 3,
    ...options,
    onEvent(event) {
      if (event.event === 'step') seen.push(event.loss)
      options.onEvent?.(event)
    },
  })
  return seen
}

describe('one update', () => {
  it('is that of the batch whatever it is cut into', async () => {
    const whole: TrainEvent[] = []
    const cut: TrainEvent[] = []
    // 40 samples: batches of 24 and 16; cut into 8s they are 24 and 16 again.
    const a = await fit(net(), points(40), { ...base, batchSize: 24, onEvent: (e) => whole.push(e) })
    const b = await fit(net(), points(40), { ...base, batchSize: 8, accumulate: 3, onEvent: (e) => cut.push(e) })
    expect(cut.filter((e) => e.event === 'step')).toHaveLength(4)
    for (const [i, parameter] of a.model.parameters.entries()) {
      const [one, other] = [await parameter.data(), await b.model.parameters[i].data()]
      for (const [j, value] of one.entries()) expect(Math.abs(value - other[j])).toBeLessThan(2e-6)
    }
    expect(Math.abs(a.end.loss - b.end.loss)).toBeLessThan(1e-6)
  })
  const base: FitOptions = { optimizer: undefined, epochs: 2, validation: 0, seed: 3 }

  it('clips as PyTorch does: by the norm of all gradients together', async () => {
    const data = points(20)
    const model = init(net(), { input: [features], seed: 3 })
    const { x, y } = (await data.batches({ size: 20, seed: 3, epoch: 1 })[Symbol.asyncIterator]().next()).value
    const [, gradients] = valueAndGrad(model.parameters, () => crossEntropy(model(x), y))
    const values = await Promise.all(gradients.map((g) => g.data()))
    const norm = Math.sqrt(values.reduce((sum, g) => sum + Float64Array.from(g).reduce((s, v) => s + v * v, 0), 0))
    const before = await model.save()
    const clipNorm = norm / 3
    await fit(model, data, { optimizer: optim.sgd(1), epochs: 1, batchSize: 20, validation: 0, seed: 3, clipNorm })
    for (const [i, parameter] of model.parameters.entries()) {
      const after = await parameter.data()
      const old = before.get(parameter.name)!.data
      for (const [j, value] of after.entries()) expect(value).toBeCloseTo(old[j] - values[i][j] / 3, 5)
    }
  })

  it('smooths labels and weighs classes as crossEntropy does', async () => {
    const data = points(40)
    const [first] = await losses({ batchSize: 40, epochs: 1, labelSmoothing: 0.2, classWeights: [1, 2, 5] }, data)
    const model = init(net(), { input: [features], seed: 3 })
    const { x, y } = (await data.batches({ size: 40 })[Symbol.asyncIterator]().next()).value
    const expected = crossEntropy(model(x), y, { labelSmoothing: 0.2, classWeights: tensor([1, 2, 5]) })
    expect(first).toBeCloseTo(await expected.item(), 5)
    // 'balanced': as many of each class would count the same. 5 of c, 20 of b, 15 of a among 40.
    const [balanced] = await losses({ batchSize: 40, epochs: 1, classWeights: 'balanced' }, data)
    const weights = tensor([40 / (3 * 15), 40 / (3 * 20), 40 / (3 * 5)])
    expect(balanced).toBeCloseTo(await crossEntropy(model(x), y, { classWeights: weights }).item(), 5)
  })
})

describe('parameter groups', () => {
  it('have rates and decays of their own; norms and biases do not decay', async () => {
    const model = init(nn.sequential(nn.linear(2), nn.layerNorm()), { input: [2], seed: 1 })
    const optimizer = optim.sgd(1, {
      weightDecay: 0.5,
      groups: [
        { parameters: '1', rate: 0 },
        { parameters: (p) => p.name === '0.bias', weightDecay: 0.25 },
      ],
    })
    for (const parameter of model.parameters) await parameter.load(new Float32Array(parameter.size).fill(1))
    const step = compile(() => {
      const ones = model.parameters.map((p) => tensor(new Float32Array(p.size).fill(1), p.shape))
      optimizer.update(model.parameters, ones)
      return undefined
    })
    await step()
    const values = Object.fromEntries(
      await Promise.all(model.parameters.map(async (p) => [p.name, (await p.data())[0]] as const)),
    )
    expect(values).toEqual({ '0.weight': -0.5, '0.bias': -0.25, '1.weight': 1, '1.bias': 1 })
  })
})

describe('the look at loss and gradients', () => {
  it('keeps the weights of the step before when the loss is no number', async () => {
    const data = points(40)
    const good = await fit(net(), data, { optimizer: sgd(), epochs: 1, batchSize: 10, validation: 0, seed: 3 })
    const model = init(net(), { input: [features], seed: 3 })
    let calls = 0
    const loss = (output: Tensor, y: Tensor) => crossEntropy(output, y)
    // A batch with a value that is no number comes second in epoch 2.
    const poisoned: Dataset = {
      ...data,
      batches: async function* (options) {
        for await (const { x, y } of data.batches(options)) {
          calls++
          yield { x: calls === 5 ? x.mul(Number.NaN) : x, y }
        }
      },
    }
    const options = { optimizer: sgd(), epochs: 2, batchSize: 10, validation: 0, seed: 3, loss }
    await expect(fit(model, poisoned, options)).rejects.toThrow(
      'fit: the loss is no longer a number: training has diverged.\n' +
        '  got       loss NaN, gradient norm NaN in epoch 2, step 1 (5 of the run), at learning rate 0.1\n' +
        '  expected  finite numbers; the model keeps the weights of the step before\n' +
        '  fix       begin again with a lower learning rate, for instance a tenth (--lr), with warm-up steps (--warmup-steps), or with clipped gradients (--clip-norm 1; in code clipNorm: 1)',
    )
    expect(await model.save()).toEqual(await good.model.save())
  })

  it('also when only a gradient is none', async () => {
    const model = init(nn.sequential(nn.linear(3)), { input: [features], seed: 3 })
    const before = await model.save()
    // √ has an infinite slope at 0: the loss is 0, its gradient is not finite.
    const loss = (output: Tensor) => output.mul(0).abs().sqrt().sum()
    await expect(fit(model, points(20), { loss, epochs: 1, validation: 0 })).rejects.toThrow(
      'the gradients are no longer a number',
    )
    expect(await model.save()).toEqual(before)
  })
})

it('a model with nothing to train is refused', async () => {
  const model = init(net(), { input: [features], seed: 3 })
  for (const parameter of model.parameters) parameter.trainable = false
  await expect(fit(model, points(20), { validation: 0 })).rejects.toThrow('fit: there is nothing to train.')
})

describe('averaged weights', () => {
  it('follow the weights by their formula, and are what is measured and kept', async () => {
    const data = points(30)
    const trail: Float64Array[] = []
    const model = init(nn.sequential(nn.linear(3)), { input: [features], seed: 3 })
    const first = Float64Array.from(await model.get('0.weight').data())
    const plain = await fit(nn.sequential(nn.linear(3)), data, { ...options(data), epochs: 1 })
    trail.push(Float64Array.from(await plain.model.get('0.weight').data()))
    const second = await fit(nn.sequential(nn.linear(3)), data, { ...options(data), epochs: 2 })
    trail.push(Float64Array.from(await second.model.get('0.weight').data()))
    const run = await fit(model, data, { ...options(data), epochs: 2, average: 0.9 })
    const averaged = await run.model.get('0.weight').data()
    const expected = first.slice()
    for (const [t, weights] of trail.entries()) {
      const decay = Math.min(0.9, (1 + t) / (10 + t))
      for (let i = 0; i < expected.length; i++) expected[i] += (1 - decay) * (weights[i] - expected[i])
    }
    for (const [i, value] of averaged.entries()) expect(value).toBeCloseTo(expected[i], 5)
  })
  // One step an epoch.
  const options = (data: Dataset): FitOptions => ({
    optimizer: optim.sgd(0.2),
    batchSize: data.length,
    validation: 0,
    seed: 3,
  })
})

describe('the end', () => {
  it('comes early when nothing gets better', async () => {
    const epochs: EpochEvent[] = []
    // With a rate of 0 the first epoch stays the best.
    const run = await fit(net(), points(40), {
      optimizer: optim.sgd(0),
      epochs: 9,
      earlyStopping: 2,
      validation: 0.25,
      onEvent: (event) => void (event.event === 'epoch' && epochs.push(event)),
    })
    expect(epochs.map(({ best }) => best)).toEqual([true, false, false])
    expect(run.end).toMatchObject({ epochs: 3, bestEpoch: 1, stoppedEarly: true, aborted: false })
  })

  it('comes early when it is asked for, with the part of the epoch measured', async () => {
    const control = trainControl()
    const run = await fit(net(), points(40), {
      epochs: 9,
      batchSize: 4,
      validation: 0.25,
      control,
      onEvent: (event) => void (event.event === 'step' && event.globalStep === 3 && control.finish()),
    })
    expect(run.end).toMatchObject({ epochs: 1, stoppedEarly: true, aborted: false })
    expect(run.epochs[0].validationAccuracy).toBeGreaterThanOrEqual(0)
  })

  it('has the weights of the best epoch by the held-out data', async () => {
    const options = { batchSize: 8, validation: points(30, 2), seed: 3 }
    const train = (epochs: number) =>
      fit(net(), points(60), { ...options, epochs, optimizer: optim.sgd(1.5, { momentum: 0.9 }) })
    const run = await train(6)
    const best = run.epochs.findLast((epoch) => epoch.best)!
    expect(run.end.bestEpoch).toBe(best.epoch)
    // Otherwise the test shows nothing.
    expect(best.epoch).toBeLessThan(6)
    // A run that ends there has these weights.
    const shorter = await train(best.epoch)
    expect(await run.model.save()).toEqual(await shorter.model.save())
  })
})

describe('what makes no sense', () => {
  const cases: [options: FitOptions, message: string][] = [
    [
      { epochs: 0 },
      'fit: epochs makes no sense.\n  got       0\n  expected  a whole number of at least 1, for instance 5\n  fix       correct epochs',
    ],
    [{ epoch: 5 } as FitOptions, "fit: unknown option 'epoch'."],
    [{ batchSize: 2.5 }, 'fit: the batch size makes no sense.'],
    [
      { batchSize: 41, validation: 0 },
      'fit: the batch is larger than the data.\n  got       batches of 41, 40 samples to learn from\n  expected  at most 40\n  fix       make the batch smaller: several updates an epoch learn more',
    ],
    [{ average: 1 }, 'fit: average makes no sense.'],
    [{ clipNorm: 0 }, 'fit: clipNorm makes no sense.'],
    [{ labelSmoothing: 1 }, 'fit: labelSmoothing makes no sense.'],
    [
      { precision: 'bf61' as 'bf16' },
      "fit: there is no precision 'bf61'.\n  expected  f32 or bf16\n  fix       did you mean 'bf16'?",
    ],
    [
      { classWeights: [1, 2] },
      'fit: the class weights do not fit the classes.\n  got       2 weights: 1, 2\n  expected  3 numbers of at least 0, one an output',
    ],
    [{ loss: (y) => y.sum(), labelSmoothing: 0.1 }, 'fit: labelSmoothing and classWeights belong to the default loss.'],
    [{ resume: true }, 'fit: it is not said where the checkpoints are.'],
    [{ lrSchedule: 'cos' as 'cosine' }, "fit: there is no lrSchedule 'cos'."],
    [{ earlyStopping: 0 }, 'fit: earlyStopping makes no sense.'],
    [{ earlyStopping: 2, validation: 0 }, 'fit: earlyStopping needs held-out data.'],
  ]
  test.each(cases)('%j', async (options, message) => {
    await expect(fit(net(), points(40), options)).rejects.toThrow(message)
  })
})
