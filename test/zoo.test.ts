/**
 * Every network by name travels: it is written as ONNX, ONNX Runtime computes the same, it is read again and computes the
 * same, and what was read answers the verbs and learns.
 */
import { describe, expect, it } from 'vitest'
import { exportOnnx } from '../src/io/onnx/export.ts'
import { importOnnx } from '../src/io/onnx/import.ts'
import * as models from '../src/models/index.ts'
import type * as nn from '../src/nn/index.ts'
import { init, type Model } from '../src/nn/model.ts'
import { sgd } from '../src/optim/index.ts'
import { compile, crossEntropy, type Tensor, tensor, valueAndGrad } from '../src/tensor/index.ts'
import { goldenValues } from './golden/values.ts'
import { runOnnx } from './onnx-runtime.ts'

/** All at their full number of parameters; photographs are smaller than usual. Of those with projections one is enough. */
const names = (Object.keys(models.architectures) as models.ArchitectureName[]).filter(
  (name) => name === 'resnet20B' || !name.endsWith('B'),
)

/** A model whose running statistics are not those of the beginning. */
async function modelOf(net: nn.Layer, input: readonly number[]): Promise<Model> {
  const model = init(net, { input, seed: 1 }).eval()
  for (const [i, state] of model.states.entries()) {
    const [scale, offset] = state.name.endsWith('running_var') ? [0.25, 1] : [0.1, 0]
    await state.load(goldenValues(100 + i, state.size).map((value) => scale * value + offset))
  }
  return model
}

/** [batch, height, width, channels] as [batch, channels, height, width]. */
function channelsFirst(values: Float32Array, batch: number, places: number, channels: number): Float32Array {
  return Float32Array.from(values, (_, i) => {
    const [sample, channel, place] = [
      Math.floor(i / (channels * places)),
      Math.floor(i / places) % channels,
      i % places,
    ]
    return values[(sample * places + place) * channels + channel]
  }).subarray(0, batch * places * channels)
}

/** The largest difference, in the unit of the largest value. */
function difference(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(found).toHaveLength(expected.length)
  const largest = (values: number[]) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const wanted = Array.from(expected)
  return largest(wanted.map((value, i) => value - found[i])) / largest(wanted)
}

async function outputOf(model: Model, x: Tensor): Promise<ArrayLike<number>> {
  const forward = compile((batch: Tensor) => model(batch))
  return (await forward(x)).data()
}

/** Losses of a step and of what it left. */
async function step(model: Model, x: Tensor): Promise<number[]> {
  const labels = tensor(Int32Array.from({ length: x.shape[0] }, (_, i) => i % 3))
  const optimizer = sgd(1e-5)
  const learn = compile(() => {
    const [value, gradients] = valueAndGrad(model.parameters, () => crossEntropy(model(x), labels))
    optimizer.update(model.parameters, gradients)
    return value
  })
  const key = await model.random.data()
  const losses: number[] = []
  for (let i = 0; i < 2; i++) {
    // Dropout is to drop the same again.
    await model.random.load(key)
    losses.push(await ((await learn()) as Tensor).item())
  }
  return losses
}

describe('networks by name', () => {
  it.each(names)('%s goes out and comes back', async (name) => {
    const [usual, , channels] = models.usualInputs[name]
    const side = usual > 96 ? 64 : usual
    const input = [side, side, channels]
    const model = await modelOf(models.architectures[name](), input)
    const batch = 2
    const values = goldenValues(3, batch * side * side * channels)
    const x = tensor(values, [batch, ...input])
    const ours = await outputOf(model, x)

    const bytes = await exportOnnx(model)
    const planes = channelsFirst(values, batch, side * side, channels)
    const [theirs] = await runOnnx(bytes, [{ data: planes, shape: [batch, channels, side, side] }])
    expect(difference(theirs.data, ours)).toBeLessThan(1e-4)

    const { model: back } = await importOnnx(bytes)
    expect(back.parameters.map(({ name }) => name).toSorted()).toEqual(
      model.parameters.map(({ name }) => name).toSorted(),
    )
    expect(difference(await outputOf(back, x), ours)).toBeLessThan(1e-4)

    expect(models.head(back).path).toBe(models.head(model).path)
    const mine = await models.replaceHead(back, 3, { seed: 2 })
    const [before, after] = await step(mine.train(), x)
    expect(after).toBeLessThan(before)
  })
})
