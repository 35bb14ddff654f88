import { describe, expect, it } from 'vitest'
import { tensor } from '../tensor/index.ts'
import { checkLayer, type LayerCheck } from '../testing/check-layer.ts'
import * as nn from './index.ts'
import { init } from './model.ts'

const image = [8, 8, 4]
const signal = [9, 4]
const cases: Record<string, readonly [layer: nn.Layer, check: LayerCheck][]> = {
  conv1d: [
    [nn.conv1d(6, 3, { padding: 'same', stride: 2 }), { input: signal, output: [5, 6], parameters: 3 * 4 * 6 + 6 }],
  ],
  conv2d: [
    [nn.conv2d(6, 3), { input: image, output: [6, 6, 6], parameters: 9 * 4 * 6 + 6 }],
    [
      nn.conv2d(6, [1, 3], {
        groups: 2,
        bias: false,
        padding: [
          [0, 0],
          [2, 1],
        ],
      }),
      { input: image, output: [8, 9, 6], parameters: 3 * 2 * 6 },
    ],
    [
      nn.conv2d(3, 3, { dilation: 2, padding: 'full' }),
      { input: image, output: [12, 12, 3], parameters: 9 * 4 * 3 + 3 },
    ],
  ],
  depthwiseConv1d: [[nn.depthwiseConv1d(3, { padding: 1 }), { input: signal, output: [9, 4], parameters: 16 }]],
  depthwiseConv2d: [
    [
      nn.depthwiseConv2d(3, { multiplier: 2, stride: 2, padding: 'same' }),
      { input: image, output: [4, 4, 8], parameters: 80 },
    ],
  ],
  linear: [
    [nn.linear(5), { input: [7], output: [5], parameters: 40 }],
    [nn.linear(5, { bias: false }), { input: [3, 7], output: [3, 5], parameters: 35 }],
  ],
  embedding: [[nn.embedding(11, 6), { input: [5], output: [5, 6], parameters: 66, integers: 11 }]],
  batchNorm: [[nn.batchNorm(), { input: image, output: image, parameters: 8 }]],
  layerNorm: [[nn.layerNorm(), { input: [5, 6], output: [5, 6], parameters: 12 }]],
  groupNorm: [[nn.groupNorm(2), { input: image, output: image, parameters: 8 }]],
  maxPool1d: [[nn.maxPool1d(2), { input: signal, output: [4, 4], parameters: 0 }]],
  maxPool2d: [[nn.maxPool2d(3, { stride: 2, padding: 1 }), { input: image, output: [4, 4, 4], parameters: 0 }]],
  avgPool1d: [[nn.avgPool1d(3, { stride: 1 }), { input: signal, output: [7, 4], parameters: 0 }]],
  avgPool2d: [[nn.avgPool2d(2), { input: image, output: [4, 4, 4], parameters: 0 }]],
  globalAvgPool: [[nn.globalAvgPool(), { input: image, output: [4], parameters: 0 }]],
  globalMaxPool: [[nn.globalMaxPool(), { input: signal, output: [4], parameters: 0 }]],
  flatten: [[nn.flatten(), { input: image, output: [256], parameters: 0 }]],
  dropout: [[nn.dropout(0.3), { input: image, output: image, parameters: 0 }]],
  relu: [[nn.relu(), { input: image, output: image, parameters: 0 }]],
  leakyRelu: [[nn.leakyRelu(0.2), { input: image, output: image, parameters: 0 }]],
  elu: [[nn.elu(), { input: image, output: image, parameters: 0 }]],
  gelu: [[nn.gelu('tanh'), { input: image, output: image, parameters: 0 }]],
  silu: [[nn.silu(), { input: image, output: image, parameters: 0 }]],
  sigmoid: [[nn.sigmoid(), { input: image, output: image, parameters: 0 }]],
  tanh: [[nn.tanh(), { input: image, output: image, parameters: 0 }]],
  hardSwish: [[nn.hardSwish(), { input: image, output: image, parameters: 0 }]],
  softmax: [[nn.softmax(), { input: [7], output: [7], parameters: 0 }]],
  sequential: [
    [
      nn.sequential(nn.conv2d(4, 3), nn.relu(), ['pool', nn.maxPool2d(2)], nn.flatten(), nn.linear(3)),
      { input: image, output: [3], parameters: 9 * 16 + 4 + 36 * 3 + 3 },
    ],
  ],
  residual: [
    [nn.residual(nn.conv2d(4, 3, { padding: 1 })), { input: image, output: image, parameters: 148 }],
    [
      nn.residual(nn.conv2d(8, 3, { stride: 2, padding: 1 }), {
        shortcut: nn.conv2d(8, 1, { stride: 2 }),
        activation: 'none',
      }),
      { input: image, output: [4, 4, 8], parameters: 296 + 40 },
    ],
  ],
}

describe('every layer', () => {
  it('has a check', () => expect(Object.keys(cases).sort()).toEqual([...nn.layerTypes].sort()))
  for (const [type, checks] of Object.entries(cases)) {
    for (const [i, [layer, check]] of checks.entries()) it(`${type} ${i}`, () => checkLayer(layer, check))
  }
})

describe('messages', () => {
  it('name the layer and what would fit', () => {
    const net = nn.sequential(['stem', nn.conv2d(8, 3)], nn.maxPool2d(2), ['late', nn.conv2d(8, 5)])
    expect(() => init(net, { input: [8, 8, 1] })).toThrow(
      'conv2d "late": the kernel is larger than what arrives.\n' +
        '  got       samples of shape [3, 3, 8], kernel [5, 5]\n' +
        '  expected  at least one place for the kernel on every axis\n' +
        "  fix       use padding: 'same', a smaller kernel, or fewer pools and strides before this layer",
    )
    expect(() => init(nn.conv2d(8, 3), { input: [28, 28] })).toThrow(
      'conv2d: samples have 2 axes, 3 are needed.\n' +
        '  got       samples of shape [28, 28]\n' +
        '  expected  [height, width, channels]\n' +
        '  fix       reshape the samples; grey images have one channel: [height, width, 1]',
    )
    expect(() => init(nn.residual(nn.conv2d(4, 3)), { input: [8, 8, 4] })).toThrow(
      'body and shortcut give different shapes',
    )
    expect(() => nn.conv2d(0, 3)).toThrow('nn.conv2d: filters makes no sense.\n  got       0')
    expect(() => nn.dropout(1)).toThrow('dropout: the rate makes no sense')
    expect(() => nn.layerFromJson({ type: 'conv2' })).toThrow("did you mean 'conv2d'?")
    expect(() => init(nn.flatten(), { input: [4] })(tensor([1, 2, 3, 4]))).toThrow('add a batch axis of 1 in front')
  })

  it('of loading name what does not fit, and nothing is changed', async () => {
    const model = init(nn.linear(2), { input: [3], seed: 1 })
    const before = await model.get('weight').data()
    const values = new Map([
      ['weight', { shape: [2, 3], data: new Float32Array(6) }],
      ['gain', { shape: [1], data: new Float32Array(1) }],
    ])
    await expect(model.load(values, 'weights.safetensors')).rejects.toThrow(
      'weights.safetensors: the weights are not those of this model.\n' +
        '  got       missing bias; unexpected gain; of another shape weight [2, 3] instead of [3, 2]',
    )
    expect(await model.get('weight').data()).toEqual(before)
  })
})

describe('initial weights', () => {
  it('depend on seed and path alone and keep to their bound', async () => {
    const net = nn.sequential(nn.conv2d(8, 3), nn.conv2d(8, 3))
    const [a, b, c] = [1, 1, 2].map((seed) => init(net, { input: [9, 9, 4], seed }))
    expect(await a.get('0.weight').data()).toEqual(await b.get('0.weight').data())
    expect(await a.get('0.weight').data()).not.toEqual(await c.get('0.weight').data())
    const values = await a.get('0.weight').data()
    const bound = 1 / Math.sqrt(36)
    expect(Math.max(...values)).toBeLessThanOrEqual(bound)
    expect(Math.max(...values)).toBeGreaterThan(0.9 * bound)
    expect(Math.min(...values)).toBeLessThan(-0.9 * bound)
  })
})
