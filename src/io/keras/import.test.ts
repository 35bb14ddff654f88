import { describe, expect, it } from 'vitest'
import { layerToJson } from '../../nn/layer.ts'
import { adam } from '../../optim/index.ts'
import { compile, crossEntropy, type Tensor, tensor, valueAndGrad } from '../../tensor/index.ts'
import { expectHostileSafe, hostileTimeoutMs } from '../../testing/mutate.ts'
import { openWeights } from '../weights/open.ts'
import { weightsInMemory } from '../weights/source.ts'
import { importKeras, openKerasWeights } from './import.ts'
import {
  functional2,
  layer2,
  layer3,
  numbers,
  sequential2,
  type Values,
  writeH5,
  writeKeras,
  writeWeights3,
  writeWeightsH5,
} from './write-keras.cases.ts'

const encode = (value: object) => new TextEncoder().encode(JSON.stringify(value))

/** A residual block around a model of its own, in both forms of config; what is stored, under both kinds of names. */
const branching = (layer: typeof layer2) => {
  const inner = [
    layer('InputLayer', 'input_2', { batch_input_shape: [null, 4, 4, 2], batch_shape: [null, 4, 4, 2] }),
    layer('Conv2D', 'conv', { filters: 2, kernel_size: [3, 3], padding: 'same', activation: 'relu' }, ['input_2']),
    layer('BatchNormalization', 'bn', { axis: [3], epsilon: 0.001 }, ['conv']),
  ]
  const nested = { ...functional2(inner, 'bn', 'block'), name: 'block' }
  const outer = [
    layer('InputLayer', 'input_1', { batch_input_shape: [null, 4, 4, 2], batch_shape: [null, 4, 4, 2] }),
    { ...layer('Functional', 'block', {}, ['input_1']), config: nested.config },
    layer('Add', 'add', {}, ['block', 'input_1']),
    layer('Flatten', 'flatten', {}, ['add']),
    layer('Dense', 'dense', { units: 3, activation: 'softmax' }, ['flatten']),
  ]
  return functional2(outer, 'dense')
}

const values = {
  kernel: numbers([3, 3, 2, 2], 1),
  bias: numbers([2], 2),
  gamma: numbers([2], 3),
  beta: numbers([2], 4),
  mean: numbers([2], 5),
  variance: { shape: [2], data: Float32Array.of(0.5, 2) },
  dense: numbers([32, 3], 6),
  denseBias: numbers([3], 7),
}

const named = new Map<string, Values>([
  ['block/conv/kernel:0', values.kernel],
  ['block/conv/bias:0', values.bias],
  ['block/bn/gamma:0', values.gamma],
  ['block/bn/beta:0', values.beta],
  ['block/bn/moving_mean:0', values.mean],
  ['block/bn/moving_variance:0', values.variance],
  ['dense/kernel:0', values.dense],
  ['dense/bias:0', values.denseBias],
])

const placed = new Map<string, Values>([
  ['layers/functional/layers/conv2d/vars/0', values.kernel],
  ['layers/functional/layers/conv2d/vars/1', values.bias],
  ...[values.gamma, values.beta, values.mean, values.variance].map(
    (one, i) => [`layers/functional/layers/batch_normalization/vars/${i}`, one] as const,
  ),
  ['layers/dense/vars/0', values.dense],
  ['layers/dense/vars/1', values.denseBias],
])

const layerNames = ['input_1', 'block', 'add', 'flatten', 'dense']
const x = tensor(numbers([2, 4, 4, 2], 8).data, [2, 4, 4, 2])

async function outputs(model: (x: Tensor) => Tensor): Promise<number[]> {
  return [...((await model(x).data()) as Float32Array)]
}

const paths = ['block.conv.weight', 'block.conv.bias', 'block.bn.weight', 'block.bn.bias', 'dense.weight', 'dense.bias']

describe('importKeras', () => {
  it('reads whole models and weights of Keras 2 and Keras 3 alike', async () => {
    const config2 = encode(branching(layer2))
    const config3 = encode(branching(layer3))
    const sources = {
      h5: () => importH5(),
      keras: async () => importKeras(await writeKeras(branching(layer3), placed), { path: 'model.keras' }),
      weights2: async () => importKeras(await writeWeightsH5(named, layerNames), { path: 'w.h5', config: config2 }),
      weights3: async () => importKeras(await writeWeights3(placed), { path: 'w.weights.h5', config: config3 }),
      both: () =>
        importKeras(config2, {
          path: 'config.json',
          weights: weightsInMemory(
            [...named].map(([name, value]) => [name, { ...value, dtype: 'F32' }]),
            { path: 'weights', format: 'memory', layout: 'keras' },
          ),
        }),
    }
    const importH5 = async () => importKeras(await writeH5(branching(layer2), named, layerNames), { path: 'model.h5' })
    const expected = await outputs((await sources.h5()).model)
    expect(expected.length).toBe(6)
    const formats: string[] = []
    for (const source of Object.values(sources)) {
      const { model, report } = await source()
      expect(model.parameters.map(({ name }) => name)).toEqual(paths)
      expect(model.states.map(({ name }) => name)).toEqual(['block.bn.running_mean', 'block.bn.running_var'])
      expect(await outputs(model)).toEqual(expected)
      expect([model.training, report.notes]).toEqual([false, []])
      formats.push(report.format)
    }
    expect(formats).toEqual([
      'Keras HDF5, Keras 2.11.0',
      'Keras 3.3.3 archive',
      'Keras HDF5',
      'Keras 3 HDF5',
      'Keras config, memory',
    ])
  })

  it('makes a row where there is one, a graph elsewhere', async () => {
    const config = sequential2(
      [6, 6, 1],
      [
        layer2('Conv2D', 'conv', { filters: 2, kernel_size: 3, activation: 'relu', use_bias: false }),
        layer2('Flatten', 'flatten'),
        layer2('Dense', 'dense', { units: 2, use_bias: false }),
      ],
    )
    const stored = new Map([
      ['conv/conv/kernel:0', numbers([3, 3, 1, 2])],
      ['dense/dense/kernel:0', numbers([32, 2])],
    ])
    const { model } = await importKeras(await writeH5(config, stored, ['conv', 'flatten', 'dense']))
    expect(layerToJson(model.net)).toEqual({
      type: 'sequential',
      layers: [
        { name: 'conv', type: 'conv2d', options: { filters: 2, kernelSize: 3, bias: false } },
        { name: 'conv_relu', type: 'relu' },
        { name: 'flatten', type: 'flatten' },
        { name: 'dense', type: 'linear', options: { features: 2, bias: false } },
      ],
    })
    const both = await importKeras(await writeKeras(branching(layer3), placed))
    expect(layerToJson(both.model.net)).toMatchObject({
      type: 'graph',
      options: { inputs: { add: ['block', 'input'] } },
      layers: [
        { name: 'block', type: 'sequential' },
        { name: 'add', type: 'binary' },
        { name: 'flatten' },
        { name: 'dense' },
        { name: 'dense_softmax' },
      ],
    })
  })

  it('trains what it read, and leaves alone what Keras had frozen', async () => {
    const config = branching(layer2)
    const dense = config.config.layers[4].config as { trainable: boolean }
    dense.trainable = false
    const { model, report } = await importKeras(await writeH5(config, named, layerNames))
    expect(report.notes).toEqual(['frozen, as in Keras: dense'])
    const before = await model.save()
    const optimizer = adam(0.01)
    const labels = tensor(Int32Array.of(0, 2))
    model.train()
    const step = compile((batch: Tensor) => {
      const [loss, gradients] = valueAndGrad(model.parameters, () => crossEntropy(model(batch), labels))
      optimizer.update(model.parameters, gradients)
      return loss
    })
    const losses: number[] = []
    for (let i = 0; i < 5; i++) losses.push(Number((await (await step(x)).data())[0]))
    expect(losses[4]).toBeLessThan(losses[0])
    const after = await model.save()
    expect(after.get('dense.weight')).toEqual(before.get('dense.weight'))
    expect(after.get('block.conv.weight')).not.toEqual(before.get('block.conv.weight'))
  })

  it('takes the shape of samples where the model leaves it open', async () => {
    const config = sequential2(
      [null, null, 1],
      [layer2('GlobalMaxPooling2D', 'pool'), layer2('Dense', 'd', { units: 1 })],
    )
    const stored = new Map([
      ['d/kernel:0', numbers([1, 1])],
      ['d/bias:0', numbers([1])],
    ])
    const bytes = await writeH5(config, stored, ['pool', 'd'])
    const { model } = await importKeras(bytes, { input: [5, 7, 1] })
    expect(model.inputShape).toEqual([5, 7, 1])
    await expect(importKeras(bytes, { path: 'open.h5' })).rejects.toThrow(
      `open.h5: model_config: the model leaves open how large its samples are.
  got       [any, any, 1]
  expected  a shape without open extents
  fix       give the shape of a sample: input: [224, 224, 3]`,
    )
    await expect(importKeras(bytes, { path: 'open.h5', input: [5, 5, 3] })).rejects.toThrow(
      `open.h5: model_config: the model does not take samples of this shape.
  got       [5, 5, 3]
  expected  [any, any, 1]
  fix       correct the option input`,
    )
  })

  it('lets the middle of a model come out, and tells what it leaves', async () => {
    const { model, report } = await importKeras(await writeKeras(branching(layer3), placed), { output: 'add' })
    expect(model.outputShape).toEqual([4, 4, 2])
    expect(report.notes).toEqual(['stored and not used: layers/dense/vars/0, layers/dense/vars/1'])
  })

  it('takes a border of zeros into the convolution behind it, and no other', async () => {
    const kernel = numbers([3, 3, 1, 2])
    const border = layer2(
      'ZeroPadding2D',
      'border',
      {
        padding: [
          [0, 1],
          [2, 1],
        ],
      },
      ['x'],
    )
    const conv = { filters: 2, kernel_size: [3, 3], strides: [2, 2], padding: 'valid', use_bias: false }
    const layers = [layer2('InputLayer', 'x', { batch_input_shape: [null, 6, 6, 1] }), border]
    const one = functional2([...layers, layer2('Conv2D', 'conv', conv, ['border'])], 'conv')
    const stored = new Map([['conv/kernel:0', kernel]])
    const taken = await importKeras(await writeH5(one, stored, ['conv']))
    expect(layerToJson(taken.model.net).layers).toEqual([
      {
        name: 'conv',
        type: 'conv2d',
        options: {
          filters: 2,
          kernelSize: 3,
          stride: 2,
          bias: false,
          padding: [
            [0, 1],
            [2, 1],
          ],
        },
      },
    ])
    // Someone else takes the border as well: it stays.
    const both = functional2(
      [
        ...layers,
        layer2('Conv2D', 'conv', conv, ['border']),
        layer2(
          'Cropping2D',
          'part',
          {
            cropping: [
              [4, 0],
              [4, 1],
            ],
          },
          ['border'],
        ),
        layer2('Add', 'sum', {}, ['conv', 'part']),
      ],
      'sum',
    )
    const left = await importKeras(await writeH5(both, stored, ['conv']))
    expect(layerToJson(left.model.net).layers?.map(({ name }) => name)).toEqual(['border', 'conv', 'part', 'sum'])
    const pictures = tensor(numbers([1, 6, 6, 1], 5).data, [1, 6, 6, 1])
    const [a, b] = [await outputs(() => taken.model(pictures)), await outputs(() => left.model(pictures))]
    // What is cut out of the border is its corner: the picture's values from [4, 2] on, and the border's own zeros.
    const corner = [4, 5, -1].flatMap((y) =>
      [2, 3, 4, 5].map((c) => (y < 0 ? 0 : numbers([1, 6, 6, 1], 5).data[6 * y + c])),
    )
    expect(b.length).toBe(24)
    for (const [i, value] of b.entries()) expect(value).toBeCloseTo(a[i] + corner[i >> 1], 5)
  })

  it('gives pictures as they are to a model that scales them', async () => {
    const net = (...layers: Parameters<typeof sequential2>[1]) => writeH5(sequential2([1, 2, 1], layers), new Map(), [])
    const { model, report } = await importKeras(await net(layer2('Rescaling', 'scale', { scale: 0.5 })))
    expect(report.notes).toEqual(['pictures go in as 0 … 255: the first layer scales them'])
    expect(await model(tensor(Uint8Array.of(4, 255), [1, 1, 2, 1])).array()).toEqual([[[[2], [127.5]]]])
    const plain = await importKeras(await net(layer2('ReLU', 'relu')))
    expect(await plain.model(tensor(Uint8Array.of(0, 255), [1, 1, 2, 1])).array()).toEqual([[[[0], [1]]]])
  })

  it('uses a layer without weights twice', async () => {
    const relu = {
      ...layer2('ReLU', 'relu'),
      inbound_nodes: [[['x', 0, 0, {}]], [['minus', 0, 0, {}]]],
    }
    const layers = [
      layer2('InputLayer', 'x', { batch_input_shape: [null, 2] }),
      relu,
      layer2('Rescaling', 'minus', { scale: -1 }, ['relu']),
      {
        ...layer2('Add', 'add'),
        inbound_nodes: [
          [
            ['relu', 0, 0, {}],
            ['relu', 1, 0, {}],
            ['x', 0, 0, {}],
          ],
        ],
      },
    ]
    const config = functional2([...layers], 'add')
    const { model } = await importKeras(await writeH5(config, new Map(), []))
    expect(await model(tensor([[1, -2]])).array()).toEqual([[2, -2]])
  })

  it('names what it cannot take', async () => {
    const stack = (...layers: Parameters<typeof sequential2>[1]) =>
      writeH5(sequential2([4, 4, 2], layers), named, layerNames)
    const read = async (bytes: Promise<Uint8Array>) =>
      importKeras(await bytes, { path: 'model.h5' }).catch((error: Error) => {
        throw new Error(error.message.replace(/offset \d+/g, 'offset N'))
      })
    await expect(read(stack(layer2('Attention', 'look')))).rejects.toThrow(
      /^model\.h5: model_config: there is no layer for Attention of Keras \(at byte offset N\)\.\n {2}got {7}layer "look" of class Attention, field config\.layers\[1\]\n {2}expected {2}Activation, ActivityRegularization, [^\n]*\n {2}fix {7}put other layers in its place in Keras; or add it to src\/io\/keras\/layers\.ts$/,
    )
    await expect(read(stack(layer2('Lambda', 'code')))).rejects.toThrow(
      'model.h5: model_config: a Lambda layer is Python code, which is never run (at byte offset N).\n  got       layer "code" of class Lambda',
    )
    await expect(read(stack(layer2('Conv2D', 'conv', { filters: 2, kernel_size: 9 })))).rejects.toThrow(
      `model.h5: model_config: field config.layers[1] is not what was expected (at byte offset N).
  got       an object
  expected  a Conv2D that fits what arrives: the kernel is larger than what arrives, samples of shape [4, 4, 2], kernel [9, 9]
  fix       use padding: 'same', a smaller kernel, or fewer pools and strides before this layer`,
    )
    await expect(read(stack(layer2('Dense', 'other', { units: 3 })))).rejects.toThrow(
      `model.h5: the stored values of layer "other" are not those of the model (at byte offset N of the config).
  got       nothing
  expected  kernel, bias
  fix       put the architecture and the weights of one model together`,
    )
    await expect(read(stack(layer2('Flatten', 'f'), layer2('Dense', 'dense', { units: 4 })))).rejects.toThrow(
      `model.h5: the stored values of layer "dense" are not those of the model (at byte offset N of the config).
  got       kernel [32, 3]
  expected  kernel [32, 4]`,
    )
    const subclassed = writeH5({ class_name: 'MyModel', config: {} }, named, layerNames)
    await expect(read(subclassed)).rejects.toThrow(
      `model.h5: model_config: this model is Python code, which the file does not hold.
  got       class MyModel`,
    )
    const alone = writeWeightsH5(named, layerNames)
    await expect(read(alone)).rejects.toThrow(
      `model.h5: this file holds weights without the layers they belong to.
  got       Keras HDF5
  expected  a whole model, or a config beside the weights`,
    )
    await expect(importKeras(encode(branching(layer2)), { path: 'config.json' })).rejects.toThrow(
      'config.json: a config holds layers without their weights.',
    )
    const circle = functional2(
      [
        layer2('InputLayer', 'x', { batch_input_shape: [null, 2] }),
        layer2('ReLU', 'a', {}, ['b']),
        layer2('ReLU', 'b', {}, ['a']),
      ],
      'b',
    )
    await expect(read(writeH5(circle, named, layerNames))).rejects.toThrow('wires that do not lead in a circle')
    const ends = functional2([...branching(layer2).config.layers], 'dense')
    const several = { ...ends.config, output_layers: [...ends.config.output_layers, ['add', 0, 0]] }
    await expect(read(writeH5({ ...ends, config: several }, named, layerNames))).rejects.toThrow(
      `model.h5: model_config: model "model" has 2 outputs.
  got       "dense", "add"
  expected  one
  fix       choose one of them: output: 'dense'`,
    )
  })

  it('opens weights alone, under the names of Keras', async () => {
    const file = await openKerasWeights(await writeWeightsH5(named, layerNames), 'w.h5')
    expect([file.format, file.layout]).toEqual(['Keras HDF5', 'keras'])
    expect([...file.tensors.keys()].slice(0, 3)).toEqual(['block/conv/kernel', 'block/conv/bias', 'block/bn/gamma'])
    expect(await file.tensors.get('dense/bias')?.read()).toEqual(values.denseBias.data)
    const three = await openKerasWeights(await writeWeights3(placed), 'w.weights.h5')
    expect([...three.tensors.keys()][0]).toBe('layers/dense/vars/0')
    const archive = await openWeights(await writeKeras(branching(layer3), placed), 'model.keras')
    expect([archive.format, archive.tensors.size]).toEqual(['Keras 3.3.3 archive', 8])
    expect((await openWeights(await writeWeights3(placed), 'any')).layout).toBe('keras')
    await expect(openKerasWeights(new Uint8Array(99), 'zeros.h5')).rejects.toThrow('zeros.h5: this is no HDF5 file')
  })

  it('lives through damaged files', { timeout: hostileTimeoutMs }, async () => {
    const files = [await writeH5(branching(layer2), named, layerNames), await writeKeras(branching(layer3), placed)]
    await expectHostileSafe((bytes) => importKeras(bytes, { path: 'hostile' }), files, {
      count: 600,
    })
  })
})
