/** One file, so that the last test can tell which classes none has looked at. */
import { describe, expect, it } from 'vitest'
import type { Shape } from '../../base/shape.ts'
import { sizeOf } from '../../base/shape.ts'
import { tensor } from '../../tensor/index.ts'
import { expectHostileSafe, hostileTimeoutMs } from '../../testing/mutate.ts'
import { Field } from '../json-fields.ts'
import { weightsInMemory } from '../weights/source.ts'
import { buildNet } from './build.ts'
import { readKerasModel } from './config.ts'
import { importKeras } from './import.ts'
import { kerasClasses } from './layers.ts'
import { functional2, layer2, layer3, numbers, sequential2, type Values } from './write-keras.cases.ts'

const encode = (value: object) => new TextEncoder().encode(JSON.stringify(value))

function weightsOf(weights: Readonly<Record<string, Values>>) {
  const tensors = Object.entries(weights).map(([name, values]) => [name, { ...values, dtype: 'F32' as const }] as const)
  return weightsInMemory(tensors, { path: 'weights', format: 'memory', layout: 'keras' })
}

const load = (config: object, weights: Readonly<Record<string, Values>>) =>
  importKeras(encode(config), { path: 'config.json', weights: weightsOf(weights) })

/** Classes that some test has looked at. */
const tried = new Set<string>()

/** What one layer makes of numbers. */
async function through(
  input: Values,
  className: string,
  config: object,
  weights: Readonly<Record<string, Values>> = {},
  version: 2 | 3 = 2,
) {
  tried.add(className)
  const made = (version === 2 ? layer2 : layer3)(className, 'layer', config as Record<string, unknown>)
  const named = Object.fromEntries(Object.entries(weights).map(([name, values]) => [`layer/${name}:0`, values]))
  const whole = { ...sequential2(input.shape, [made]), ...(version === 3 ? { keras_version: '3.3.3' } : {}) }
  const { model } = await load(whole, named)
  const result = model(tensor(input.data, [1, ...input.shape]))
  return { shape: model.outputShape, data: [...(await result.data())] as number[], model }
}

const line = (...data: readonly number[]): Values => ({ shape: [data.length], data: Float32Array.from(data) })
const one = async (className: string, config: object, data: readonly number[], version: 2 | 3 = 2) =>
  (await through(line(...data), className, config, {}, version)).data

function close(actual: readonly number[], expected: readonly number[]) {
  expect(actual.length).toBe(expected.length)
  for (const [i, value] of expected.entries()) expect(actual[i]).toBeCloseTo(value, 4)
}

/** TensorFlow's padding: what lies before the first place of a window. */
const before = (extent: number, reach: number, stride: number, same: boolean) =>
  same ? Math.floor(Math.max(0, (Math.ceil(extent / stride) - 1) * stride + reach - extent) / 2) : 0
const outputs = (extent: number, reach: number, stride: number, same: boolean) =>
  same ? Math.ceil(extent / stride) : Math.floor((extent - reach) / stride) + 1

interface Window {
  readonly kernel: readonly [number, number]
  readonly stride: readonly [number, number]
  readonly dilation?: readonly [number, number]
  readonly same: boolean
}

/** Visits every tap of every window over [height, width, …]: output place, input place, tap. */
function taps(
  [height, width]: Shape,
  { kernel, stride, dilation = [1, 1], same }: Window,
  visit: (out: number, at: number, tap: number) => void,
): [number, number] {
  const reach = kernel.map((extent, axis) => (extent - 1) * dilation[axis] + 1)
  const extents = [height, width]
  const [rows, columns] = extents.map((extent, axis) => outputs(extent, reach[axis], stride[axis], same))
  const [top, left] = extents.map((extent, axis) => before(extent, reach[axis], stride[axis], same))
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      for (let i = 0; i < kernel[0]; i++) {
        for (let j = 0; j < kernel[1]; j++) {
          const y = row * stride[0] - top + i * dilation[0]
          const x = column * stride[1] - left + j * dilation[1]
          if (y < 0 || x < 0 || y >= height || x >= width) continue
          visit(row * columns + column, y * width + x, i * kernel[1] + j)
        }
      }
    }
  }
  return [rows, columns]
}

describe('layers with parameters', () => {
  it.each([
    [{ kernel: [3, 2], stride: [1, 1], same: false }],
    [{ kernel: [3, 3], stride: [2, 2], same: true }],
    [{ kernel: [2, 3], stride: [1, 2], same: true }],
    [{ kernel: [3, 3], stride: [1, 1], dilation: [2, 1], same: true }],
  ] as const)('Conv2D %j', async (window: Window) => {
    const x = numbers([6, 7, 3])
    const kernel = numbers([...window.kernel, 3, 4], 2)
    const bias = numbers([4], 3)
    const config = {
      filters: 4,
      kernel_size: window.kernel,
      strides: window.stride,
      dilation_rate: window.dilation ?? [1, 1],
      padding: window.same ? 'same' : 'valid',
      activation: 'relu',
    }
    const { data, shape, model } = await through(x, 'Conv2D', config, { kernel, bias })
    const expected = new Float64Array(sizeOf(shape)).map((_, i) => bias.data[i % 4])
    const extents = taps(x.shape, window, (out, at, tap) => {
      for (let i = 0; i < 12; i++) {
        expected[4 * out + (i % 4)] += x.data[3 * at + Math.floor(i / 4)] * kernel.data[12 * tap + i]
      }
    })
    expect(shape).toEqual([...extents, 4])
    close(
      data,
      [...expected].map((value) => Math.max(0, value)),
    )
    expect(model.parameters.map(({ name }) => name)).toEqual(['layer.weight', 'layer.bias'])
  })

  it('turns samples with channels first', async () => {
    const x = numbers([4, 5, 3])
    const first = { shape: [3, 4, 5], data: new Float32Array(60) }
    const swap = (from: ArrayLike<number>, channels: number, places: number) =>
      Array.from({ length: channels * places }, (_, i) => from[(i % places) * channels + Math.floor(i / places)])
    first.data.set(swap(x.data, 3, 20))
    const weights = { kernel: numbers([3, 3, 3, 2], 2), bias: numbers([2], 3) }
    const config = { filters: 2, kernel_size: [3, 3], activation: 'relu' }
    const last = await through(x, 'Conv2D', config, weights)
    const turned = await through(first, 'Conv2D', { ...config, data_format: 'channels_first' }, weights)
    expect(turned.shape).toEqual([2, 2, 3])
    close(turned.data, swap(last.data, 2, 6))
    expect(turned.model.parameters.map(({ name }) => name)).toEqual(['layer.weight', 'layer.bias'])
  })

  it('DepthwiseConv2D and SeparableConv2D with a multiplier', async () => {
    const x = numbers([5, 5, 2])
    const depthwise = numbers([3, 3, 2, 3], 2)
    const window = { kernel: [3, 3], stride: [2, 2], same: true } as const
    const middle = new Float64Array(9 * 6)
    taps(x.shape, window, (out, at, tap) => {
      for (let i = 0; i < 6; i++) {
        middle[6 * out + i] += x.data[2 * at + Math.floor(i / 3)] * depthwise.data[6 * tap + i]
      }
    })
    const config = { kernel_size: [3, 3], strides: [2, 2], padding: 'same', depth_multiplier: 3 }
    const bias = numbers([6], 3)
    const first = await through(x, 'DepthwiseConv2D', config, { depthwise_kernel: depthwise, bias })
    expect(first.shape).toEqual([3, 3, 6])
    close(
      first.data,
      [...middle].map((value, i) => value + bias.data[i % 6]),
    )
    const pointwise = numbers([1, 1, 6, 2], 4)
    const second = await through(
      x,
      'SeparableConv2D',
      { ...config, filters: 2, use_bias: false },
      { depthwise_kernel: depthwise, pointwise_kernel: pointwise },
    )
    const mixed = Array.from({ length: 18 }, (_, i) => {
      let sum = 0
      for (let c = 0; c < 6; c++) sum += middle[6 * (i >> 1) + c] * pointwise.data[2 * c + (i % 2)]
      return sum
    })
    close(second.data, mixed)
    expect(second.model.parameters.map(({ name }) => name)).toEqual([
      'layer.depthwise.weight',
      'layer.pointwise.weight',
    ])
  })

  it.each([
    [3, 2, true],
    [3, 2, false],
    [2, 3, true],
    [2, 3, false],
    [4, 2, true],
    [1, 1, false],
  ])('Conv2DTranspose: kernel %i, stride %i, same %s', async (size, stride, same) => {
    const x = numbers([3, 4, 2])
    const kernel = numbers([size, size, 3, 2], 2)
    const config = { filters: 3, kernel_size: size, strides: stride, padding: same ? 'same' : 'valid' }
    const { data, shape } = await through(x, 'Conv2DTranspose', config, { kernel, bias: numbers([3], 3) })
    const extents = [3, 4].map((extent) => (same ? extent * stride : (extent - 1) * stride + Math.max(size, stride)))
    expect(shape).toEqual([...extents, 3])
    const expected = new Float64Array(sizeOf(shape)).map((_, i) => numbers([3], 3).data[i % 3])
    // The gradient of the convolution with these windows.
    taps(extents, { kernel: [size, size], stride: [stride, stride], same }, (out, at, tap) => {
      for (let i = 0; i < 6; i++) {
        expected[3 * at + Math.floor(i / 2)] += x.data[2 * out + (i % 2)] * kernel.data[6 * tap + i]
      }
    })
    close(data, [...expected])
  })

  it('Conv1D that looks back only', async () => {
    const kernel = { shape: [2, 1, 1], data: Float32Array.of(10, 1) }
    const x = { shape: [5, 1], data: Float32Array.of(1, 2, 3, 4, 5) }
    const config = { filters: 1, kernel_size: [2], padding: 'causal', dilation_rate: [2], use_bias: false }
    expect((await through(x, 'Conv1D', config, { kernel })).data).toEqual([1, 2, 13, 24, 35])
  })

  it('Conv3D, Dense on rows, Embedding', async () => {
    const cube = { shape: [2, 2, 2, 1], data: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8) }
    const kernel = { shape: [2, 2, 2, 1, 1], data: Float32Array.of(1, 0, 0, 0, 0, 0, 0, 10) }
    const config = { filters: 1, kernel_size: [2, 2, 2], use_bias: false }
    expect((await through(cube, 'Conv3D', config, { kernel })).data).toEqual([81])
    const rows = { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) }
    const product = { kernel: { shape: [2, 1], data: Float32Array.of(1, 10) }, bias: line(0.5) }
    expect((await through(rows, 'Dense', { units: 1 }, product)).data).toEqual([21.5, 43.5])
    const table = { embeddings: { shape: [3, 2], data: Float32Array.of(0, 1, 2, 3, 4, 5) } }
    tried.add('Embedding')
    const words = sequential2([1], [layer2('Embedding', 'words', { input_dim: 3, output_dim: 2 })])
    const { model, dtype } = await load(words, { 'words/embeddings:0': table.embeddings })
    expect(dtype).toBe('i32')
    expect(await model(tensor(Int32Array.of(2), [1, 1])).array()).toEqual([[[4, 5]]])
  })

  it('BatchNormalization: momentum and epsilon are turned, parts may be missing', async () => {
    const stored = { moving_mean: line(1, 2), moving_variance: line(4, 9) }
    const x = line(3, 5)
    const plain = await through(
      x,
      'BatchNormalization',
      { axis: [1], momentum: 0.99, epsilon: 1e-7, scale: false, center: false },
      stored,
    )
    close(plain.data, [1, 1])
    expect(plain.model.net).toMatchObject({ layers: [['layer', { options: { eps: 1e-7, momentum: 0.01 } }]] })
    const whole = { gamma: line(2, 3), beta: line(10, 20), ...stored }
    close((await through(x, 'BatchNormalization', { axis: -1, epsilon: 1e-7 }, whole)).data, [12, 23])
    // Channels first: the norm gets them last.
    const first = { shape: [2, 1, 2], data: Float32Array.of(3, 5, 5, 8) }
    close((await through(first, 'BatchNormalization', { axis: 1, epsilon: 1e-7 }, whole)).data, [12, 14, 23, 26])
    await expect(through(x, 'BatchNormalization', { axis: 4 }, whole)).rejects.toThrow(
      `config.json: field config.layers[1].config.axis is not what was expected (at byte offset 313).
  got       4
  expected  an axis from 1 to 1, or negative from the end`,
    )
  })

  it('LayerNormalization, GroupNormalization', async () => {
    const affine = { gamma: line(1, 2), beta: line(0, 1) }
    close((await through(line(1, 3), 'LayerNormalization', { axis: [1], epsilon: 1e-7 }, affine)).data, [-1, 3])
    const x = { shape: [2, 2], data: Float32Array.of(1, 10, 3, 30) }
    close((await through(x, 'GroupNormalization', { groups: -1, epsilon: 1e-7 }, affine)).data, [-1, -1, 1, 3])
  })

  it('PReLU with one slope a channel and with one a value', async () => {
    const x = { shape: [1, 2, 2], data: Float32Array.of(-1, -2, -3, 4) }
    const channels = { alpha: { shape: [1, 1, 2], data: Float32Array.of(0.5, 0.25) } }
    expect((await through(x, 'PReLU', { shared_axes: [1, 2] }, channels)).data).toEqual([-0.5, -0.5, -1.5, 4])
    const values = { alpha: { shape: [1, 2, 2], data: Float32Array.of(1, 2, 3, 4) } }
    expect((await through(x, 'PReLU', { shared_axes: null }, values)).data).toEqual([-1, -4, -9, 4])
  })

  it('Normalization with stored numbers and with those of the config', async () => {
    const x = line(3, 5)
    const stored = { mean: line(1, 2), variance: line(4, 9), count: line(7) }
    close((await through(x, 'Normalization', { axis: [-1] }, stored)).data, [1, 1])
    close((await through(x, 'Normalization', { axis: -1, mean: [[1, 2]], variance: [[4, 9]] })).data, [1, 1])
    close((await through(x, 'Normalization', { axis: null, mean: 1, variance: 4 })).data, [1, 2])
  })
})

describe('layers without parameters', () => {
  it('pools: under same padding the mean is that of what is there', async () => {
    const x = { shape: [3, 3, 1], data: Float32Array.from({ length: 9 }, (_, i) => i + 1) }
    const same = { pool_size: [2, 2], strides: [2, 2], padding: 'same' }
    expect((await through(x, 'MaxPooling2D', same)).data).toEqual([5, 6, 8, 9])
    expect((await through(x, 'AveragePooling2D', same)).data).toEqual([3, 4.5, 7.5, 9])
    const wide = { pool_size: [1, 3], strides: [1, 1], padding: 'valid' }
    expect((await through(x, 'MaxPooling2D', wide)).data).toEqual([3, 6, 9])
    const row = { shape: [4, 1], data: Float32Array.of(1, 4, 2, 8) }
    expect((await through(row, 'MaxPooling1D', { pool_size: [2], strides: null })).data).toEqual([4, 8])
    expect((await through(row, 'AveragePooling1D', { pool_size: 2, strides: 1 })).data).toEqual([2.5, 3, 5])
    const cube = { shape: [2, 2, 2, 1], data: Float32Array.from({ length: 8 }, (_, i) => i) }
    expect((await through(cube, 'MaxPooling3D', { pool_size: [2, 2, 2] })).data).toEqual([7])
    expect((await through(cube, 'AveragePooling3D', { pool_size: 2 })).data).toEqual([3.5])
  })

  it('global pools, with and without their axes', async () => {
    const x = { shape: [2, 1, 2], data: Float32Array.of(1, 2, 3, 8) }
    expect((await through(x, 'GlobalAveragePooling2D', {})).data).toEqual([2, 5])
    const kept = await through(x, 'GlobalMaxPooling2D', { keepdims: true })
    expect([kept.shape, kept.data]).toEqual([
      [1, 1, 2],
      [3, 8],
    ])
    const first = await through(x, 'GlobalAveragePooling2D', { data_format: 'channels_first' })
    expect(first.data).toEqual([1.5, 5.5])
  })

  it('borders, cuts, other sizes', async () => {
    const x = { shape: [2, 2, 1], data: Float32Array.of(1, 2, 3, 4) }
    const padded = await through(x, 'ZeroPadding2D', {
      padding: [
        [1, 0],
        [0, 1],
      ],
    })
    expect(padded.data).toEqual([0, 0, 0, 1, 2, 0, 3, 4, 0])
    expect((await through(x, 'ZeroPadding2D', { padding: [0, 1] })).shape).toEqual([2, 4, 1])
    expect(
      (
        await through(x, 'Cropping2D', {
          cropping: [
            [1, 0],
            [0, 1],
          ],
        })
      ).data,
    ).toEqual([3])
    const nearest = await through(x, 'UpSampling2D', { size: [1, 2], interpolation: 'nearest' })
    expect(nearest.data).toEqual([1, 1, 2, 2, 3, 3, 4, 4])
    const row = { shape: [1, 2, 1], data: Float32Array.of(0, 4) }
    const bilinear = await through(row, 'UpSampling2D', { size: [1, 2], interpolation: 'bilinear' })
    close(bilinear.data, [0, 1, 3, 4])
    const resized = await through(row, 'Resizing', { height: 2, width: 1, interpolation: 'bilinear' })
    close(resized.data, [2, 2])
    const line1 = { shape: [2, 1], data: Float32Array.of(1, 2) }
    expect((await through(line1, 'UpSampling1D', { size: 3 })).data).toEqual([1, 1, 1, 2, 2, 2])
    expect((await through(line1, 'ZeroPadding1D', { padding: [1, 2] })).data).toEqual([0, 1, 2, 0, 0])
    expect((await through(line1, 'Cropping1D', { cropping: [1, 0] })).data).toEqual([2])
  })

  it('shapes', async () => {
    const x = { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }
    expect((await through(x, 'Reshape', { target_shape: [3, -1] })).shape).toEqual([3, 2])
    expect((await through(x, 'Permute', { dims: [2, 1] })).data).toEqual([1, 4, 2, 5, 3, 6])
    expect((await through(x, 'Flatten', {})).data).toEqual([1, 2, 3, 4, 5, 6])
    // Flatten puts channels last before it writes them in a row.
    const first = { shape: [2, 1, 2], data: Float32Array.of(1, 2, 3, 4) }
    expect((await through(first, 'Flatten', { data_format: 'channels_first' })).data).toEqual([1, 3, 2, 4])
    expect((await through(line(1, 2), 'RepeatVector', { n: 2 })).data).toEqual([1, 2, 1, 2])
    expect((await through(line(1, 2), 'Rescaling', { scale: 0.5, offset: -1 })).data).toEqual([-0.5, 0])
  })

  it('activations as Keras 2 and Keras 3 mean them', async () => {
    const x = [-4, -1, 0.5, 2, 8]
    const sigmoid = (value: number) => 1 / (1 + Math.exp(-value))
    const known: Readonly<Record<string, (value: number) => number>> = {
      relu: (v) => Math.max(0, v),
      relu6: (v) => Math.min(6, Math.max(0, v)),
      elu: (v) => (v > 0 ? v : Math.exp(v) - 1),
      selu: (v) => 1.05070098 * (v > 0 ? v : 1.67326324 * (Math.exp(v) - 1)),
      softplus: (v) => Math.log1p(Math.exp(v)),
      softsign: (v) => v / (1 + Math.abs(v)),
      tanh: Math.tanh,
      sigmoid,
      swish: (v) => v * sigmoid(v),
      silu: (v) => v * sigmoid(v),
      exponential: Math.exp,
      linear: (v) => v,
      leaky_relu: (v) => (v > 0 ? v : 0.2 * v),
      mish: (v) => v * Math.tanh(Math.log1p(Math.exp(v))),
      hard_silu: (v) => (v * Math.min(6, Math.max(0, v + 3))) / 6,
      log_sigmoid: (v) => Math.log(sigmoid(v)),
      hard_tanh: (v) => Math.min(1, Math.max(-1, v)),
      celu: (v) => (v > 0 ? v : Math.exp(v) - 1),
    }
    for (const [name, value] of Object.entries(known)) {
      close(await one('Activation', { activation: name }, x), x.map(value))
    }
    const clip = (v: number) => Math.min(1, Math.max(0, v))
    close(
      await one('Activation', { activation: 'hard_sigmoid' }, x),
      x.map((v) => clip(0.2 * v + 0.5)),
    )
    close(
      await one('Activation', { activation: 'hard_sigmoid' }, x, 3),
      x.map((v) => clip(v / 6 + 0.5)),
    )
    const sum = x.reduce((so, v) => so + Math.exp(v), 0)
    close(
      await one('Softmax', { axis: -1 }, x),
      x.map((v) => Math.exp(v) / sum),
    )
    const serialized = {
      activation: { module: 'builtins', class_name: 'function', config: 'tanh', registered_name: 'function' },
    }
    close(await one('Activation', serialized, x, 3), x.map(Math.tanh))
    await expect(one('Activation', { activation: 'sin' }, x)).rejects.toThrow(
      /field config\.layers\[1\]\.config\.activation is not what was expected \(at byte offset 311\)\.\n {2}got {7}"sin"\n {2}expected {2}an activation of: celu, elu,/,
    )
  })

  it('activations that are layers', async () => {
    const x = [-4, -1, 0.5, 2, 8]
    close(await one('ReLU', { max_value: 6, negative_slope: 0, threshold: 0 }, x), [0, 0, 0.5, 2, 6])
    close(await one('ReLU', { max_value: null, negative_slope: 0.5, threshold: 0 }, x), [-2, -0.5, 0.5, 2, 8])
    close(await one('ReLU', { max_value: 3, negative_slope: 0.5 }, x), [-2, -0.5, 0.5, 2, 3])
    close(await one('ReLU', { threshold: 1 }, x), [0, 0, 0, 2, 8])
    close(await one('LeakyReLU', { alpha: 0.1 }, x), [-0.4, -0.1, 0.5, 2, 8])
    close(await one('LeakyReLU', { negative_slope: 0.5 }, x, 3), [-2, -0.5, 0.5, 2, 8])
    close(await one('LeakyReLU', {}, x), [-1.2, -0.3, 0.5, 2, 8])
    close(await one('ELU', { alpha: 2 }, [-1]), [2 * (Math.exp(-1) - 1)])
    close(await one('ThresholdedReLU', { theta: 1 }, x), [0, 0, 0, 2, 8])
    close(await one('Dropout', { rate: 0.5 }, x), x)
    close(await one('GaussianNoise', { stddev: 1 }, x), x)
  })

  it('several inputs', async () => {
    const net = (className: string, config: object, ...inputs: string[]) =>
      functional2(
        [
          layer2('InputLayer', 'x', { batch_input_shape: [null, 2] }),
          layer2('Rescaling', 'twice', { scale: 2 }, ['x']),
          layer2('Rescaling', 'minus', { scale: -1, offset: 1 }, ['x']),
          layer2(className, 'all', config as Record<string, unknown>, inputs),
        ],
        'all',
      )
    const result = async (className: string, config: object, ...inputs: string[]) => {
      tried.add(className)
      const { model } = await load(net(className, config, ...inputs), {})
      return [...(await model(tensor([[3, -5]])).data())]
    }
    expect(await result('Add', {}, 'x', 'twice', 'minus')).toEqual([7, -9])
    expect(await result('Subtract', {}, 'x', 'twice')).toEqual([-3, 5])
    expect(await result('Multiply', {}, 'x', 'twice', 'minus')).toEqual([-36, 300])
    close((await result('Average', {}, 'x', 'twice', 'minus')) as number[], [7 / 3, -3])
    expect(await result('Maximum', {}, 'x', 'twice', 'minus')).toEqual([6, 6])
    expect(await result('Minimum', {}, 'x', 'twice')).toEqual([3, -10])
    expect(await result('Concatenate', { axis: -1 }, 'twice', 'x')).toEqual([6, -10, 3, -5])
    expect(await result('Concatenate', { axis: 1 }, 'twice', 'x')).toEqual([6, -10, 3, -5])
  })

  it('arithmetic between layers, as Keras 3 and TensorFlow write it', async () => {
    const input = layer2('InputLayer', 'x', { batch_input_shape: [null, 2] })
    const net = async (...layers: ReturnType<typeof layer2>[]) => {
      for (const { class_name } of layers) tried.add(class_name)
      const { model } = await load(functional2([input, ...layers], layers[layers.length - 1].name), {})
      return [...(await model(tensor([[3, -5]])).data())]
    }
    const [x] = layer3('Any', 'any', {}, ['x']).inbound_nodes as [{ args: unknown[] }]
    const op = (className: string, ...args: unknown[]) => ({
      ...layer3(className, 'op'),
      inbound_nodes: [{ args: args.map((one) => (one === 'x' ? x.args[0] : one)), kwargs: {} }],
    })
    expect(await net(op('Add', 'x', 3))).toEqual([6, -2])
    expect(await net(op('Subtract', 1, 'x'))).toEqual([-2, 6])
    expect(await net(op('Multiply', 'x', 0.5))).toEqual([1.5, -2.5])
    expect(await net(op('Divide', 'x', 2))).toEqual([1.5, -2.5])
    expect(await net(op('TrueDivide', 15, 'x'))).toEqual([5, -3])
    const lambda = (name: string, from: string, named: object) => ({
      ...layer2('TFOpLambda', name, { function: name.replace(/^tf\./, '') }),
      inbound_nodes: [[from, 0, 0, { name: null, ...named }]],
    })
    const relu = layer2('ReLU', 'relu', { max_value: 6 }, ['tf.__operators__.add'])
    const half = lambda('tf.math.multiply', 'relu', { y: 0.5 })
    expect(await net(lambda('tf.__operators__.add', 'x', { y: 3 }), relu, half)).toEqual([3, 0])
    const both = lambda('tf.math.subtract', 'relu', { y: ['x', 0, 0] })
    expect(await net(lambda('tf.__operators__.add', 'x', { y: 3 }), relu, both)).toEqual([3, 5])
    await expect(net(lambda('tf.linalg.det', 'x', {}))).rejects.toThrow('"linalg.det"')
  })

  it('layers that only change what training sees are left out', async () => {
    const left = kerasClasses().filter((name) => /Noise|Dropout|Random|Regularization/.test(name) && name !== 'Dropout')
    for (const name of [...left, 'Identity']) expect(await one(name, {}, [1, -2]), name).toEqual([1, -2])
  })

  it('lives through damaged configs', { timeout: hostileTimeoutMs }, async () => {
    const chain = [
      layer2('ZeroPadding2D', 'a', {
        padding: [
          [1, 0],
          [0, 1],
        ],
      }),
      layer2('Conv2D', 'b', { filters: 4, kernel_size: [3, 3], strides: [1, 1], padding: 'same', activation: 'relu' }),
      layer2('BatchNormalization', 'c', { axis: [3], momentum: 0.99, epsilon: 0.001 }),
      layer2('PReLU', 'd', { shared_axes: [1, 2] }),
      layer2('DepthwiseConv2D', 'e', { kernel_size: [3, 3], depth_multiplier: 2, dilation_rate: [2, 2] }),
      layer2('MaxPooling2D', 'f', { pool_size: [2, 2], strides: [1, 1], padding: 'same' }),
      layer2('SeparableConv2D', 'g', { filters: 4, kernel_size: 3, padding: 'same', depth_multiplier: 1 }),
      layer2('Conv2DTranspose', 'h', { filters: 2, kernel_size: 3, strides: 2, padding: 'same' }),
      layer2('UpSampling2D', 'i', { size: [2, 2], interpolation: 'bilinear' }),
      layer2('Cropping2D', 'j', {
        cropping: [
          [1, 1],
          [0, 1],
        ],
      }),
      layer2('Resizing', 'k', { height: 6, width: 6 }),
      layer2('GroupNormalization', 'l', { groups: 2, axis: -1 }),
      layer2('Normalization', 'm', { axis: -1, mean: [1, 2], variance: [3, 4] }),
      layer2('Rescaling', 'n', { scale: 0.1, offset: 1 }),
      layer2('ReLU', 'o', { max_value: 5, negative_slope: 0.1, threshold: 0 }),
      layer2('Permute', 'p', { dims: [3, 1, 2] }),
      layer2('AveragePooling2D', 'q', { pool_size: 2, data_format: 'channels_first' }),
      layer2('Reshape', 'r', { target_shape: [-1, 9] }),
      layer2('Conv1D', 's', { filters: 3, kernel_size: [2], padding: 'causal' }),
      layer2('LayerNormalization', 't', { axis: [-1] }),
      layer2('Softmax', 'u', { axis: 1 }),
      layer2('GlobalAveragePooling1D', 'v', { keepdims: false }),
      layer2('RepeatVector', 'w', { n: 2 }),
      layer2('Flatten', 'x'),
      layer2('Dense', 'y', { units: 5, activation: 'hard_sigmoid' }),
      layer2('Dropout', 'z', { rate: 0.25 }),
    ]
    const text = encode(sequential2([8, 8, 2], chain))
    const read = (bytes: Uint8Array) => {
      const model = readKerasModel(Field.parse(new TextDecoder().decode(bytes), 'hostile', { offsets: true }))
      buildNet(model, { version: 2, input: (model.inputShape ?? [8, 8, 2]).map((extent) => extent ?? 8) })
    }
    await expectHostileSafe(read, [text], { count: 1000 })
  })

  it('no class is without a test', () => {
    // The input is in all of them; separable and transposed convolutions of rows are those of pictures.
    const others = ['InputLayer', 'Conv1DTranspose', 'DepthwiseConv1D', 'SeparableConv1D', 'Cropping3D', 'UpSampling3D']
    const more = [
      'ZeroPadding3D',
      'GlobalAveragePooling1D',
      'GlobalAveragePooling3D',
      'GlobalMaxPooling1D',
      'GlobalMaxPooling3D',
    ]
    expect(kerasClasses().filter((name) => !tried.has(name) && ![...others, ...more].includes(name))).toEqual([])
  })
})
