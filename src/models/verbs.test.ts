import { describe, expect, it } from 'vitest'
import { goldenValues } from '../../test/golden/values.ts'
import type { Shape } from '../base/shape.ts'
import * as nn from '../nn/index.ts'
import { layerToJson } from '../nn/layer.ts'
import { describe as describeNet, init, type Model } from '../nn/model.ts'
import { tensor } from '../tensor/index.ts'
import * as models from './index.ts'

const names = Object.keys(models.architectures) as models.ArchitectureName[]
const pathsOf = (model: Model) => [...model.parameters, ...model.states].map(({ name }) => name)
const batchOf = (shape: Shape, count = 2) =>
  tensor(goldenValues(7, count * shape.reduce((product, extent) => product * extent, 1)), [count, ...shape])

/** Layers as they come from a file: a list with names of paths, and wires. */
const imported = (softmax = true): nn.Layer =>
  nn.graph(
    [
      ['conv1', nn.conv2d(8, 3, { padding: 1 })],
      ['relu', nn.relu()],
      ['layer1.0.conv', nn.conv2d(8, 3, { padding: 1, stride: 2 })],
      ['layer1.0.around', nn.conv2d(8, 1, { stride: 2 })],
      ['layer1.0.add', nn.add()],
      ['layer1.1.conv', nn.conv2d(8, 3, { padding: 1 })],
      ['pool', nn.globalAvgPool()],
      ['auxiliary', nn.linear(3)],
      ['fc', nn.linear(10)],
      ['flat', nn.reshape([10])],
      ['prob', nn.softmax()],
    ].slice(0, softmax ? 11 : 10) as [string, nn.Layer][],
    {
      inputs: {
        'layer1.0.around': ['relu'],
        'layer1.0.add': ['layer1.0.conv', 'layer1.0.around'],
        fc: ['pool'],
      },
    },
  )

describe('head', () => {
  const heads: Readonly<Record<models.ArchitectureName, readonly [path: string, before: Shape]>> = {
    simpleCnn: ['8', [128]],
    lenet5: ['fc3', [84]],
    resnet8: ['linear', [64]],
    resnet20: ['linear', [64]],
    resnet32: ['linear', [64]],
    resnet44: ['linear', [64]],
    resnet56: ['linear', [64]],
    resnet110: ['linear', [64]],
    resnet20B: ['fc', [64]],
    resnet32B: ['fc', [64]],
    resnet44B: ['fc', [64]],
    resnet56B: ['fc', [64]],
    resnet110B: ['fc', [64]],
    resnet18: ['fc', [512]],
    resnet34: ['fc', [512]],
    resnet50: ['fc', [2048]],
    mobileNetV1: ['classifier', [256]],
    mobileNetV2: ['classifier.1', [1280]],
    squeezeNet: ['classifier.1', [13, 13, 512]],
    darknetTiny: ['classifier', [14, 14, 128]],
    mlperfResnet8: ['linear', [64]],
  }

  it.each(names)('%s: head, features and a new head', (name) => {
    const input = models.usualInputs[name]
    const net = models.architectures[name]()
    const [path, before] = heads[name]
    const classes = describeNet(net, input).output[0]
    expect(models.head(net)).toMatchObject({ path, classes })
    const whole = describeNet(net, input).root.parameters
    const front = describeNet(models.features(net), input)
    expect(front.output).toEqual(before)
    const ofHead = (count: number) => (before[before.length - 1] + 1) * count
    expect(front.root.parameters).toBe(whole - ofHead(classes))
    const other = models.replaceHead(net, 7)
    expect(describeNet(other, input).output).toEqual([7])
    expect(describeNet(other, input).root.parameters).toBe(whole - ofHead(classes) + ofHead(7))
    expect(layerToJson(models.replaceHead(other, classes))).toEqual(layerToJson(net))
  })

  it('is found in graphs, behind softmax and reshape, in containers inside of others', () => {
    expect(models.head(imported())).toMatchObject({ path: 'fc', classes: 10 })
    const nested = nn.sequential(['body', nn.graph([['net', imported()]])], ['end', nn.sequential(nn.dropout())])
    expect(models.head(nested).path).toBe('body.net.fc')
    expect(models.head(nn.linear(3))).toMatchObject({ path: '', classes: 3 })
    expect(models.head(nn.conv1d(5, 1))).toMatchObject({ path: '', classes: 5 })
    expect(models.head(nn.sequential(nn.conv2d(4, 3), nn.conv2d(9, [1, 1]), nn.avgPool2d(2))).path).toBe('1')
  })

  it.each<[string, nn.Layer, Shape]>([
    ['flatten "2"', nn.sequential(nn.conv2d(4, 1), nn.relu(), nn.flatten()), [2, 2, 3]],
    ['reduce "1"', nn.sequential(nn.linear(4), nn.reduce('max', [-1], { keepDims: true })), [3]],
    ['reduce "1"', nn.sequential(nn.conv2d(4, 1), nn.reduce('mean', [0, 1, 2])), [2, 2, 3]],
  ])('is none in front of %s, which mixes classes with places', (name, net, input) => {
    const got = `a network that ends in ${name}, which mixes classes with places`
    expect(() => models.head(net)).toThrow(got)
    expect(() => models.replaceHead(net, 5)).toThrow(got)
    expect(() => models.head(init(net, { input }))).toThrow(got)
    expect(models.stages(net, input).map(({ head }) => head)).toEqual([false])
  })

  it.each<[string, nn.Layer, Shape]>([
    ['a pool in front', nn.sequential(nn.globalAvgPool({ keepDims: true }), nn.conv2d(4, 1), nn.flatten()), [2, 2, 3]],
    ['a pool behind', nn.sequential(nn.conv2d(4, 1), nn.globalAvgPool({ keepDims: true }), nn.flatten()), [2, 2, 3]],
    ['a mean over places', nn.sequential(nn.conv2d(4, 1), nn.reduce('mean', [0, 1])), [2, 2, 3]],
  ])('of a convolution stands where one place is left: %s', async (_name, net, input) => {
    expect(models.head(net).classes).toBe(4)
    expect(models.head(init(net, { input })).classes).toBe(4)
    expect((await models.replaceHead(init(net, { input }), 5)).outputShape).toEqual([5])
  })

  it('of a model is known by its shapes', () => {
    const net = nn.sequential(nn.conv2d(4, 1), nn.flatten())
    expect(models.head(init(net, { input: [1, 1, 3] })).path).toBe('0')
  })

  it('features of a graph are cut in front of the head, with all that led to nothing else', () => {
    const front = models.features(imported())
    expect(front.layers?.map(([name]) => name)).toEqual([
      ...['conv1', 'relu', 'layer1.0.conv', 'layer1.0.around', 'layer1.0.add', 'layer1.1.conv', 'pool'],
    ])
    expect(describeNet(front, [8, 8, 3]).output).toEqual([8])
    expect(front.options).toEqual({
      inputs: { 'layer1.0.around': ['relu'], 'layer1.0.add': ['layer1.0.conv', 'layer1.0.around'] },
    })
    expect(describeNet(models.features(nn.linear(3)), [4]).output).toEqual([4])
    expect(describeNet(models.features(nn.graph([['fc', nn.linear(3)]])), [4]).output).toEqual([4])
  })

  it('a new head keeps all else, reshapes to its own classes, and loses its softmax when asked', () => {
    const other = models.replaceHead(imported(), 4)
    expect(describeNet(other, [8, 8, 3]).output).toEqual([4])
    expect(other.layers?.map(([name]) => name)).toEqual(imported().layers?.map(([name]) => name))
    const logits = models.replaceHead(imported(), 10, { logits: true })
    expect(layerToJson(logits)).toEqual(layerToJson(imported(false)))
    const output = nn.graph(
      [
        ['fc', nn.linear(4)],
        ['prob', nn.softmax()],
        ['unused', nn.relu()],
      ],
      { output: 'prob' },
    )
    expect(layerToJson(models.replaceHead(output, 4, { logits: true }))).toEqual(
      layerToJson(
        nn.graph(
          [
            ['fc', nn.linear(4)],
            ['unused', nn.relu()],
          ],
          { output: 'fc' },
        ),
      ),
    )
    const chain = nn.sequential(['body', nn.flatten()], ['fc', nn.linear(4)], ['end', nn.sequential(nn.softmax())])
    expect(layerToJson(models.replaceHead(chain, 2, { logits: true }))).toEqual(
      layerToJson(nn.sequential(['body', nn.flatten()], ['fc', nn.linear(2)])),
    )
  })

  it('a bias that stands by itself belongs to it', async () => {
    const net = nn.graph(
      [
        ['flat', nn.flatten()],
        ['times', nn.linear(10, { bias: false })],
        ['bias', nn.value([10])],
        ['plus', nn.add()],
        ['scale', nn.value([])],
        ['prob', nn.softmax()],
      ],
      { inputs: { plus: ['bias', 'times'], prob: ['plus'] } },
    )
    expect(models.head(net).path).toBe('times')
    expect(models.features(net).layers?.map(([name]) => name)).toEqual(['flat'])
    const model = init(net, { input: [2, 2, 3], seed: 1 })
    await model.get('bias.value').load(new Float32Array(10).fill(3))
    await model.get('scale.value').load(Float32Array.of(3))
    const next = await models.replaceHead(model, 4)
    expect(next.outputShape).toEqual([4])
    expect(await next.get('bias.value').data()).toEqual(new Float32Array(4))
    expect(await next.get('scale.value').data()).toEqual(Float32Array.of(3))
    expect(next.net.layers?.map(([name]) => name)).toEqual(net.layers?.map(([name]) => name))
  })

  it("layers of one's own stay what they are", () => {
    const own: nn.Layer = { type: 'own', options: {}, build: (_scope, input) => ({ output: input, apply: (x) => x }) }
    const net = nn.sequential(own, nn.linear(3))
    expect(models.features(net).layers).toEqual([['0', own]])
    expect(describeNet(models.replaceHead(net, 5), [4]).output).toEqual([5])
  })

  it.each([
    [
      'a residual block',
      nn.sequential(nn.linear(4), ['block', nn.residual(nn.linear(4))]),
      'that ends in residual "block"',
    ],
    [
      'a sum',
      nn.graph(
        [
          ['a', nn.linear(3)],
          ['sum', nn.add()],
        ],
        { inputs: { sum: ['a', 'a'] } },
      ),
      'that ends in binary "sum"',
    ],
    ['a convolution with a window', nn.conv2d(3, 3), 'that ends in conv2d'],
    ['nothing at all', nn.sequential(nn.flatten(), nn.relu()), 'without a layer that could be one'],
  ])('is missing behind %s', (_what, net, got) => {
    expect(() => models.replaceHead(net, 3)).toThrow(
      'models.replaceHead: the network has no head.\n' +
        `  got       a network ${got}\n` +
        '  expected  a linear layer or a 1×1 convolution, and behind it only pools, flatten, activations and dropout\n' +
        '  fix       put one behind the network: nn.sequential(net, nn.flatten(), nn.linear(classes))',
    )
    expect(() => models.head(net)).toThrow('models.head: the network has no head.')
    expect(() => models.features(net)).toThrow('models.features: the network has no head.')
  })
})

describe('of a live model', () => {
  const input = [8, 8, 3]
  const make = () => {
    const model = init(imported(), { input, seed: 3 }).eval()
    model.pictures = { mean: 0.5, std: 0.25 }
    for (const parameter of models.parametersOf(model, 'conv1')) parameter.trainable = false
    return model
  }

  it('a new head keeps all other values, what is frozen, the mode and how pictures are normalised', async () => {
    const model = make()
    const next = await models.replaceHead(model, 4, { seed: 5 })
    expect(pathsOf(next)).toEqual(pathsOf(model))
    for (const state of model.parameters) {
      const values = await next.get(state.name).data()
      if (state.name.startsWith('fc.')) expect(values).toHaveLength(state.name === 'fc.weight' ? 32 : 4)
      else expect(values).toEqual(await state.data())
    }
    expect(next.parameters.filter(({ trainable }) => !trainable).map(({ name }) => name)).toEqual([
      'conv1.weight',
      'conv1.bias',
    ])
    expect([next.training, next.pictures]).toEqual([false, { mean: 0.5, std: 0.25 }])
    const again = await models.replaceHead(model, 4, { seed: 6 })
    expect(await again.get('fc.weight').data()).not.toEqual(await next.get('fc.weight').data())
    // The head begins as its own initializer says, not from what was learned.
    const same = await models.replaceHead(model, 10, { seed: 5 })
    expect(await same.get('fc.weight').data()).not.toEqual(await model.get('fc.weight').data())
    expect((await models.replaceHead(init(nn.linear(3), { input: [2] }), 5)).outputShape).toEqual([5])
  })

  it.each<[string, nn.Layer, Shape]>([
    ['a graph', imported(false), input],
    ['resnet8', models.resnet8(), [16, 16, 3]],
    ['squeezeNet', models.squeezeNet({ input: [20, 20, 3], classes: 4 }), [20, 20, 3]],
  ])('features, then the head: the same as all of %s', async (_name, net, shape) => {
    const model = init(net, { input: shape, seed: 1 }).eval()
    const { path } = models.head(model)
    const front = await models.features(model)
    expect(pathsOf(front)).toEqual(
      pathsOf(model).filter((name) => !/^(fc|linear|classifier\.1|auxiliary)\./.test(name)),
    )
    const x = batchOf(shape)
    const weight = model.get(`${path}.weight`).value
    const seen = front(x)
    const logits = seen
      .reshape([seen.size / weight.shape[weight.ndim - 2], weight.shape[weight.ndim - 2]])
      .matmul(weight.reshape([weight.shape[weight.ndim - 2], weight.shape[weight.ndim - 1]]))
      .add(model.get(`${path}.bias`).value)
    const classes = weight.shape[weight.ndim - 1]
    const ours =
      seen.ndim === 2
        ? logits
        : logits
            .relu()
            .reshape([2, seen.size / seen.shape[3] / 2, classes])
            .mean([1])
    const [wanted, got] = [await model(x).data(), await ours.data()]
    expect(Math.max(...Array.from(got, (value, i) => Math.abs(value - wanted[i])))).toBeLessThan(1e-5)
  })
})

describe('parametersOf', () => {
  const resnet = init(models.resnet18({ input: [32, 32, 3] }), { input: [32, 32, 3] })
  const mobile = init(models.mobileNetV2({ input: [32, 32, 3] }), { input: [32, 32, 3] })
  const paths = (model: Model, pattern: models.PathPattern | readonly models.PathPattern[]) =>
    models.parametersOf(model, pattern).map(({ name }) => name)
  const startingWith = (model: Model, ...starts: string[]) =>
    model.parameters.map(({ name }) => name).filter((name) => starts.some((start) => name.startsWith(start)))

  it('by path, beginning, wildcard, range, choice and regular expression', () => {
    expect(paths(resnet, 'fc.bias')).toEqual(['fc.bias'])
    expect(paths(resnet, 'layer4')).toEqual(startingWith(resnet, 'layer4.'))
    expect(paths(resnet, 'layer4.*')).toEqual(startingWith(resnet, 'layer4.'))
    expect(paths(resnet, '*.bias')).toHaveLength(21)
    expect(paths(resnet, ['layer{3-4}', '{conv1,bn1}'])).toEqual(
      startingWith(resnet, 'conv1.', 'bn1.', 'layer3.', 'layer4.'),
    )
    expect(paths(mobile, 'features.{0-9}')).toEqual(
      startingWith(mobile, ...Array.from({ length: 10 }, (_, i) => `features.${i}.`)),
    )
    expect(paths(mobile, 'features.{1,17-18}.conv')).toEqual(
      startingWith(mobile, 'features.1.conv.', 'features.17.conv.'),
    )
    expect(paths(resnet, /\.bn\d\.weight$/g)).toHaveLength(16)
    expect(paths(resnet, ['layer1.0', 'layer1.0.conv1'])).toEqual(startingWith(resnet, 'layer1.0.'))
  })

  it('says what there is when nothing matches', () => {
    expect(() => models.parametersOf(resnet, ['fc', 'layre4'])).toThrow(
      'models.parametersOf: no parameter of the model has such a path.\n' +
        "  got       'layre4'\n" +
        '  expected  paths that begin with conv1, bn1, layer1.0, layer1.1, layer2.0, layer2.1, layer3.0, layer3.1, layer4.0, layer4.1, fc\n' +
        "  fix       did you mean 'layer4'?",
    )
    expect(() => models.parametersOf(mobile, /^layer/)).toThrow(
      'models.parametersOf: no parameter of the model has such a path.\n' +
        '  got       /^layer/\n' +
        '  expected  paths that begin with features.0, features.1, features.2, features.3, features.4, features.5, features.6, features.7, features.8, features.9, features.10 … classifier.1\n' +
        '  fix       correct the expression',
    )
    expect(() => models.parametersOf(resnet, 'layer{4-1}')).toThrow(
      'models.parametersOf: a range in the pattern makes no sense.\n' +
        "  got       'layer{4-1}'\n" +
        '  expected  the smaller number first, and at most 10,000 of them: {0-9}\n' +
        '  fix       correct the range',
    )
  })
})

describe('stages', () => {
  const short = (stages: readonly models.Stage[]) =>
    stages.map(({ blocks, stride, head }) => [
      stride,
      head ? `head ${blocks}` : `${blocks[0]} … ${blocks[blocks.length - 1]}`,
    ])

  it('are runs of blocks of one size; the head is one of its own', () => {
    expect(short(models.stages(models.resnet50(), [224, 224, 3]))).toEqual([
      [2, 'conv1 … bn1'],
      [4, 'layer1.0 … layer1.2'],
      [8, 'layer2.0 … layer2.3'],
      [16, 'layer3.0 … layer3.5'],
      [32, 'layer4.0 … layer4.2'],
      [undefined, 'head fc'],
    ])
    expect(short(models.stages(models.mobileNetV2(), [224, 224, 3]))).toEqual([
      [2, 'features.0 … features.1'],
      [4, 'features.2 … features.3'],
      [8, 'features.4 … features.6'],
      [16, 'features.7 … features.13'],
      [32, 'features.14 … features.18'],
      [undefined, 'head classifier.1'],
    ])
    expect(short(models.stages(models.squeezeNet(), [224, 224, 3]))).toEqual([
      [2, 'features.0 … features.0'],
      [4, 'features.3 … features.4'],
      [8, 'features.6 … features.7'],
      [16, 'features.9 … features.12'],
      [16, 'head classifier.1'],
    ])
    expect(short(models.stages(models.lenet5(), [28, 28, 1]))).toEqual([
      [1, 'conv1 … conv1'],
      [2, 'conv2 … conv2'],
      [undefined, 'fc1 … fc2'],
      [undefined, 'head fc3'],
    ])
  })

  it('of what comes from elsewhere, and of networks without a head', () => {
    expect(models.stages(init(imported(), { input: [8, 8, 3] }))).toEqual([
      { blocks: ['conv1'], parameters: ['conv1.weight', 'conv1.bias'], stride: 1, head: false },
      {
        blocks: ['layer1.0', 'layer1.1'],
        parameters: ['layer1.0.conv', 'layer1.0.around', 'layer1.1.conv'].flatMap((p) => [`${p}.weight`, `${p}.bias`]),
        stride: 2,
        head: false,
      },
      { blocks: ['auxiliary'], parameters: ['auxiliary.weight', 'auxiliary.bias'], stride: undefined, head: false },
      { blocks: ['fc'], parameters: ['fc.weight', 'fc.bias'], stride: undefined, head: true },
    ])
    const biases = nn.graph(
      [
        ['position', nn.value([1, 1, 3])],
        ['begin', nn.add()],
        ['conv', nn.conv2d(4, 3, { bias: false })],
        ['bias', nn.value([4])],
        ['plus', nn.add()],
        ['down', nn.conv2d(4, 2, { stride: 2 })],
      ],
      { inputs: { begin: ['position', 'input'], plus: ['bias', 'conv'] } },
    )
    // Numbers that stand by themselves belong to what is around them.
    expect(models.stages(biases, [8, 8, 3]).map(({ blocks, stride }) => [stride, ...blocks])).toEqual([
      [1, 'position', 'conv', 'bias'],
      [2, 'down'],
    ])
    const mixed = nn.residual([
      ['conv', nn.conv2d(3, 3, { padding: 1 })],
      ['bn', nn.batchNorm()],
    ])
    expect(short(models.stages(mixed, [8, 8, 3]))).toEqual([[1, 'conv … bn']])
    expect(models.stages(nn.linear(3), [2])).toEqual([
      { blocks: [''], parameters: ['weight', 'bias'], stride: undefined, head: true },
    ])
  })

  it('pass over squeeze and excitation, and count what enlarges', () => {
    const excited = nn.graph(
      [
        ['1.conv', nn.conv2d(4, 3, { stride: 2, padding: 1 })],
        ['1.pool', nn.globalAvgPool({ keepDims: true })],
        ['1_se', nn.conv2d(4, 1)],
        ['1.scaled', nn.multiply()],
        ['2', nn.conv2d(4, 3, { padding: 1 })],
        ['flat', nn.flatten()],
        ['fc', nn.linear(3)],
      ],
      { inputs: { '1.scaled': ['1_se', '1.conv'] } },
    )
    expect(models.stages(excited, [8, 8, 3]).map(({ blocks, stride }) => [stride, ...blocks])).toEqual([
      [2, '1', '1_se', '2'],
      [undefined, 'fc'],
    ])
    const pooled = nn.sequential(
      nn.conv2d(4, 3),
      nn.globalAvgPool({ keepDims: true }),
      nn.conv2d(4, 1),
      nn.conv2d(4, 1),
    )
    expect(models.stages(pooled, [8, 8, 3]).map(({ blocks, stride }) => [stride, ...blocks])).toEqual([
      [1, '0'],
      [undefined, '2'],
      [undefined, '3'],
    ])
    const up = nn.sequential(
      nn.conv2d(8, 3, { stride: 3, padding: 1 }),
      nn.convTranspose2d(8, 3, { stride: 3 }),
      nn.conv2d(8, 3, { padding: 1 }),
      nn.resize({ scale: 2 }),
      nn.conv2d(8, 3, { padding: 1 }),
    )
    expect(models.stages(up, [9, 9, 3]).map(({ blocks, stride }) => [stride, ...blocks])).toEqual([
      [3, '0'],
      [1, '1', '2'],
      [0.5, '4'],
    ])
  })

  it.each(names)('%s: every parameter is in one of them', (name) => {
    const input = models.usualInputs[name]
    const net = models.architectures[name]()
    const model = init(net, { input })
    const stages = models.stages(model)
    expect(stages.flatMap(({ parameters }) => parameters).toSorted()).toEqual(
      model.parameters.map((parameter) => parameter.name).toSorted(),
    )
    expect(stages.map(({ head }) => head).indexOf(true)).toBe(stages.length - 1)
    for (const { parameters } of stages) expect(models.parametersOf(model, parameters)).toHaveLength(parameters.length)
  })
})
