/** Every network as an ONNX file and back: the same parameters, the same outputs, and it trains. */
import { describe, expect, it } from 'vitest'
import {
  compile,
  crossEntropy,
  exportOnnx,
  init,
  type Model,
  models,
  nn,
  optim,
  type Shape,
  type Tensor,
  tensor,
  valueAndGrad,
} from '../src/index.ts'
import { importOnnx } from '../src/io/onnx/index.ts'

const classes = 3
const batch = 2

/** With running statistics of its own. */
async function modelOf(net: nn.Layer, input: Shape): Promise<Model> {
  const model = init(net, { input, seed: 1 })
  for (const [i, state] of model.states.entries()) {
    const centre = state.name.endsWith('running_var') ? 0.5 : 0
    await state.load(Float32Array.from({ length: state.size }, (_, j) => centre + 0.05 * Math.sin(3.7 * j + i)))
  }
  return model.eval()
}

const samples = (input: Shape): Tensor =>
  tensor(
    Float32Array.from({ length: batch * input.reduce((a, b) => a * b) }, (_, i) => Math.sin(12.9898 * i)),
    [batch, ...input],
  )

const outputsOf = async (model: Model, x: Tensor): Promise<Float32Array> =>
  Float32Array.from(await (await compile((input: Tensor) => model(input))(x)).data())

/** Losses before and after a step, both in training mode: no dropout has come along. */
async function train(model: Model, x: Tensor): Promise<readonly [number, number]> {
  model.train()
  const labels = tensor(Int32Array.from({ length: batch }, (_, i) => i % classes))
  const optimizer = optim.adam(1e-5)
  const loss = () => crossEntropy(model(x), labels)
  const step = compile(() => {
    const [value, gradients] = valueAndGrad(model.parameters, loss)
    optimizer.update(model.parameters, gradients)
    return value
  })
  const measure = compile(loss)
  const before = await (await (measure() as Promise<Tensor>)).item()
  await step()
  return [before, await (await (measure() as Promise<Tensor>)).item()]
}

async function expectRoundTrip(net: nn.Layer, input: Shape): Promise<Model> {
  const model = await modelOf(net, input)
  const { model: back } = await importOnnx(await exportOnnx(model))
  expect([back.inputShape, back.outputShape]).toEqual([model.inputShape, model.outputShape])
  const [ours, theirs] = [await model.save(), await back.save()]
  const shapes = (values: typeof ours) => [...values].map(([path, { shape }]) => `${path} ${shape}`).sort()
  expect(shapes(theirs)).toEqual(shapes(ours))
  const bytesOf = ({ data }: { data: ArrayBufferView }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  const changed = [...ours].filter(([path, value]) => !bytesOf(value).equals(bytesOf(theirs.get(path) ?? value)))
  expect(changed.map(([path]) => path)).toEqual([])
  const x = samples(input)
  const [expected, found] = [await outputsOf(model, x), await outputsOf(back, x)]
  const largest = Math.max(...expected.map(Math.abs))
  expect(largest).toBeGreaterThan(1e-4)
  for (const [i, value] of expected.entries()) expect(Math.abs(found[i] - value)).toBeLessThan(1e-5 * largest)
  const [before, after] = await train(back, x)
  expect(after).toBeLessThan(before)
  return back
}

describe('every network', () => {
  // The deeper ones for small pictures are resnet20 and resnet20B with more of the same blocks.
  const deeper = /^resnet(32|44|56|110)/
  const names = (Object.keys(models.architectures) as models.ArchitectureName[]).filter((name) => !deeper.test(name))

  it.each(names)('%s', async (name) => {
    const usual = models.usualInputs[name]
    const input = usual[0] > 64 ? [64, 64, 3] : usual
    await expectRoundTrip(models.architectures[name]({ input: usual, classes }), input)
  })
})

describe('nets of every kind', () => {
  it('text: a table, a row of convolutions, the largest of all places', async () => {
    const convolution = (size: number): nn.Layer => nn.sequential(nn.conv1d(6, size), nn.relu(), nn.globalMaxPool())
    const net = nn.sequential(
      ['embedding', nn.embedding(20, 8)],
      [
        'convolutions',
        nn.graph(
          [
            ['three', convolution(3)],
            ['four', convolution(4)],
            ['all', nn.concat()],
          ],
          { inputs: { three: ['input'], four: ['input'], all: ['three', 'four'] } },
        ),
      ],
      ['head', nn.linear(classes)],
    )
    const model = await modelOf(net, [12])
    const { model: back } = await importOnnx(await exportOnnx(model))
    const x = tensor(
      Int32Array.from({ length: batch * 12 }, (_, i) => (i * 7) % 20),
      [batch, 12],
    )
    const [expected, found] = [await outputsOf(model, x), await outputsOf(back, x)]
    for (const [i, value] of expected.entries()) expect(found[i]).toBeCloseTo(value, 5)
    expect(back.parameters.map(({ name }) => name).sort()).toEqual(model.parameters.map(({ name }) => name).sort())
    const [before, after] = await train(back, x)
    expect(after).toBeLessThan(before)
  })

  it('blocks that weigh channels, norms of groups and layers, a shuffle of channels', async () => {
    const weighing = nn.graph(
      [
        ['mean', nn.globalAvgPool({ keepDims: true })],
        ['less', nn.conv2d(4, 1)],
        ['relu', nn.relu()],
        ['more', nn.conv2d(8, 1)],
        ['weight', nn.sigmoid()],
        ['weighed', nn.multiply()],
      ],
      { inputs: { weighed: ['weight', 'input'] } },
    )
    const net = nn.sequential(
      ['stem', nn.conv2d(8, 3, { padding: 'same', stride: 2 })],
      ['norm', nn.groupNorm(2)],
      ['gelu', nn.gelu()],
      ['weigh', weighing],
      ['apart', nn.reshape([8, 8, 2, 4])],
      ['swap', nn.permute([0, 1, 3, 2])],
      ['together', nn.reshape([8, 8, 8])],
      ['depthwise', nn.depthwiseConv2d(3, { padding: 1 })],
      ['layer', nn.layerNorm()],
      ['up', nn.convTranspose2d(4, 2, { stride: 2 })],
      ['flatten', nn.flatten()],
      ['head', nn.linear(classes)],
    )
    await expectRoundTrip(net, [16, 16, 3])
  })

  it.each(['channels-first', 'channels-last'] as const)(
    'bytes that are normalised in the graph, %s',
    async (inputLayout) => {
      const model = await modelOf(models.lenet5({ classes, input: [32, 32, 3] }), [32, 32, 3])
      model.pictures = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
      const bytes = await exportOnnx(model, { inputLayout, preprocessing: { dtype: 'u8' }, classes: ['a', 'b', 'c'] })
      const { model: back, classes: names } = await importOnnx(bytes)
      const x = tensor(
        Uint8Array.from({ length: batch * 32 * 32 * 3 }, (_, i) => (i * 37) % 256),
        [batch, 32, 32, 3],
      )
      const [expected, found] = [await outputsOf(model, x), await outputsOf(back, x)]
      for (const [i, value] of expected.entries()) expect(found[i]).toBeCloseTo(value, 5)
      expect(names).toEqual(['a', 'b', 'c'])
    },
  )
})
