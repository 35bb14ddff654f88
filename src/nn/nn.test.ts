import { describe, expect, it } from 'vitest'
import { Parameter, tensor, valueAndGrad } from '../tensor/index.ts'
import { checkLayer, type LayerCheck } from '../testing/check-layer.ts'
import { layerFromJson, layerTypes } from './from-json.ts'
import * as nn from './index.ts'
import { layerToJson } from './layer.ts'
import { describe as describeNet, init } from './model.ts'

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
    [
      nn.conv2d(6, 3, { initializer: { kind: 'he', fan: 'out' } }),
      { input: image, output: [6, 6, 6], parameters: 9 * 4 * 6 + 6 },
    ],
  ],
  conv3d: [
    [
      nn.conv3d(4, [2, 3, 3], { stride: [1, 2, 2], padding: 1, groups: 2 }),
      { input: [3, 5, 5, 2], output: [4, 3, 3, 4], parameters: 18 * 4 + 4 },
    ],
  ],
  convTranspose1d: [
    [
      nn.convTranspose1d(6, 4, { stride: 2, padding: 1, bias: false }),
      { input: signal, output: [18, 6], parameters: 4 * 6 * 4 },
    ],
  ],
  convTranspose2d: [
    [nn.convTranspose2d(6, 2, { stride: 2 }), { input: image, output: [16, 16, 6], parameters: 4 * 24 + 6 }],
    [
      nn.convTranspose2d(6, [3, 4], { stride: 2, padding: 1, outputPadding: [1, 0], groups: 2 }),
      { input: image, output: [16, 16, 6], parameters: 12 * 3 * 4 + 6 },
    ],
    [
      nn.convTranspose2d(3, 3, { stride: 3, padding: 'same', dilation: 2 }),
      { input: [3, 2, 4], output: [9, 6, 3], parameters: 9 * 12 + 3 },
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
    [nn.linear(5, { initializer: { kind: 'normal', deviation: 0.5 } }), { input: [7], output: [5], parameters: 40 }],
  ],
  embedding: [[nn.embedding(11, 6), { input: [5], output: [5, 6], parameters: 66, integers: 11 }]],
  batchNorm: [[nn.batchNorm(), { input: image, output: image, parameters: 8 }]],
  instanceNorm: [[nn.instanceNorm(), { input: image, output: image, parameters: 8 }]],
  lrn: [[nn.lrn({ size: 3, alpha: 0.5 }), { input: image, output: image, parameters: 0 }]],
  layerNorm: [[nn.layerNorm(), { input: [5, 6], output: [5, 6], parameters: 12 }]],
  groupNorm: [[nn.groupNorm(2), { input: image, output: image, parameters: 8 }]],
  maxPool1d: [[nn.maxPool1d(2), { input: signal, output: [4, 4], parameters: 0 }]],
  maxPool2d: [[nn.maxPool2d(3, { stride: 2, padding: 1 }), { input: image, output: [4, 4, 4], parameters: 0 }]],
  maxPool3d: [[nn.maxPool3d([1, 2, 2]), { input: [3, 4, 5, 2], output: [3, 2, 2, 2], parameters: 0 }]],
  avgPool3d: [[nn.avgPool3d(2, { ceil: true }), { input: [3, 4, 5, 2], output: [2, 2, 3, 2], parameters: 0 }]],
  avgPool1d: [[nn.avgPool1d(3, { stride: 1 }), { input: signal, output: [7, 4], parameters: 0 }]],
  avgPool2d: [
    [nn.avgPool2d(2), { input: image, output: [4, 4, 4], parameters: 0 }],
    [
      nn.avgPool2d([3, 2], { stride: [2, 1], dilation: [1, 3], padding: 'same', countIncludePad: false }),
      { input: image, output: [4, 8, 4], parameters: 0 },
    ],
    [
      nn.avgPool2d(3, {
        stride: 2,
        padding: [
          [0, 1],
          [1, 0],
        ],
        ceil: true,
      }),
      { input: image, output: [4, 4, 4], parameters: 0 },
    ],
  ],
  globalAvgPool: [
    [nn.globalAvgPool(), { input: image, output: [4], parameters: 0 }],
    [nn.globalAvgPool({ keepDims: true }), { input: image, output: [1, 1, 4], parameters: 0 }],
  ],
  globalMaxPool: [[nn.globalMaxPool(), { input: signal, output: [4], parameters: 0 }]],
  flatten: [[nn.flatten(), { input: image, output: [256], parameters: 0 }]],
  dropout: [[nn.dropout(0.3), { input: image, output: image, parameters: 0 }]],
  identityShortcut: [
    [nn.identityShortcut(4), { input: image, output: image, parameters: 0 }],
    [nn.identityShortcut(9, { stride: 2 }), { input: [7, 8, 4], output: [4, 4, 9], parameters: 0 }],
  ],
  relu: [[nn.relu(), { input: image, output: image, parameters: 0 }]],
  relu6: [[nn.relu6(), { input: image, output: image, parameters: 0 }]],
  leakyRelu: [[nn.leakyRelu(0.2), { input: image, output: image, parameters: 0 }]],
  elu: [[nn.elu(), { input: image, output: image, parameters: 0 }]],
  gelu: [[nn.gelu('tanh'), { input: image, output: image, parameters: 0 }]],
  silu: [[nn.silu(), { input: image, output: image, parameters: 0 }]],
  selu: [[nn.selu(), { input: image, output: image, parameters: 0 }]],
  celu: [[nn.celu(2), { input: image, output: image, parameters: 0 }]],
  softplus: [[nn.softplus(), { input: image, output: image, parameters: 0 }]],
  logSigmoid: [[nn.logSigmoid(), { input: image, output: image, parameters: 0 }]],
  softsign: [[nn.softsign(), { input: image, output: image, parameters: 0 }]],
  mish: [[nn.mish(), { input: image, output: image, parameters: 0 }]],
  hardSigmoid: [
    [nn.hardSigmoid(), { input: image, output: image, parameters: 0 }],
    [nn.hardSigmoid({ alpha: 0.2 }), { input: image, output: image, parameters: 0 }],
  ],
  hardTanh: [[nn.hardTanh({ min: -0.51 }), { input: image, output: image, parameters: 0 }]],
  thresholdedRelu: [[nn.thresholdedRelu(0.3), { input: image, output: image, parameters: 0 }]],
  shrink: [[nn.shrink({ bias: 0.25 }), { input: image, output: image, parameters: 0 }]],
  prelu: [
    [nn.prelu(), { input: image, output: image, parameters: 1 }],
    [nn.prelu({ slopes: 'channels', initial: 0.1 }), { input: image, output: image, parameters: 4 }],
    [nn.prelu({ slopes: 'values' }), { input: signal, output: signal, parameters: 36 }],
  ],
  pad: [
    [
      nn.pad(
        [
          [1, 0],
          [0, 2],
          [0, 0],
        ],
        { value: 0.5 },
      ),
      { input: image, output: [9, 10, 4], parameters: 0 },
    ],
    [
      nn.pad(
        [
          [2, 1],
          [0, 0],
        ],
        { mode: 'reflect' },
      ),
      { input: signal, output: [12, 4], parameters: 0 },
    ],
  ],
  resize: [
    [nn.resize({ scale: 2 }), { input: image, output: [16, 16, 4], parameters: 0 }],
    [
      nn.resize({ size: [5, 11], mode: 'cubic', coordinates: 'alignCorners' }),
      { input: image, output: [5, 11, 4], parameters: 0 },
    ],
  ],
  depthToSpace: [[nn.depthToSpace(2, { order: 'CRD' }), { input: [3, 4, 8], output: [6, 8, 2], parameters: 0 }]],
  spaceToDepth: [[nn.spaceToDepth(2), { input: image, output: [4, 4, 16], parameters: 0 }]],
  dft: [
    [nn.dft({ onesided: true }), { input: [9, 1], output: [5, 2], parameters: 0 }],
    [nn.dft({ axis: 0, inverse: true, length: 6 }), { input: [8, 3, 2], output: [6, 3, 2], parameters: 0 }],
  ],
  stft: [[nn.stft({ frameStep: 3, window: [0, 0.5, 1, 0.5] }), { input: [12, 1], output: [3, 3, 2], parameters: 0 }]],
  quantize: [
    [nn.quantize({ scale: 0.02, zeroPoint: 128 }), { input: image, output: image, parameters: 0, gradient: false }],
    [
      nn.quantize({ scale: [0.1, 0.2, 0.5, 1], type: 'i8' }),
      { input: image, output: image, parameters: 0, gradient: false },
    ],
  ],
  dequantize: [
    [
      nn.dequantize({ scale: [0.1, 0.2, 0.5], zeroPoint: [1, 2, -3], axis: 0 }),
      { input: [3, 8], output: [3, 8], parameters: 0 },
    ],
  ],
  sigmoid: [[nn.sigmoid(), { input: image, output: image, parameters: 0 }]],
  tanh: [[nn.tanh(), { input: image, output: image, parameters: 0 }]],
  hardSwish: [[nn.hardSwish(), { input: image, output: image, parameters: 0 }]],
  softmax: [[nn.softmax(), { input: [7], output: [7], parameters: 0 }]],
  logSoftmax: [[nn.logSoftmax({ axis: 0 }), { input: [7, 3], output: [7, 3], parameters: 0 }]],
  unary: [
    [nn.unary('abs'), { input: image, output: image, parameters: 0 }],
    [nn.unary('tan'), { input: [3], output: [3], parameters: 0 }],
    [nn.unary('cosh'), { input: [3], output: [3], parameters: 0 }],
  ],
  binary: [
    [
      nn.graph(
        [
          ['gate', nn.reduce('mean', [0, 1])],
          ['scaled', nn.binary('mul')],
        ],
        {
          inputs: { scaled: ['input', 'gate'] },
        },
      ),
      { input: image, output: image, parameters: 0 },
    ],
  ],
  scalar: [
    [nn.scalar('sub', 3, { reverse: true }), { input: image, output: image, parameters: 0 }],
    [nn.scalar('fmod', 0.4), { input: [5], output: [5], parameters: 0 }],
  ],
  clamp: [
    [nn.clamp({ min: -0.51, max: 0.52 }), { input: image, output: image, parameters: 0 }],
    [nn.clamp({ max: 0.52 }), { input: [9], output: [9], parameters: 0 }],
  ],
  where: [
    [
      nn.graph(
        [
          ['large', nn.scalar('greater', 0.3)],
          ['squared', nn.unary('square')],
          ['chosen', nn.where()],
        ],
        { inputs: { squared: ['input'], chosen: ['large', 'squared', 'input'] } },
      ),
      { input: image, output: image, parameters: 0 },
    ],
  ],
  matmul: [
    [
      nn.graph(
        [
          ['turned', nn.permute([1, 0])],
          ['gram', nn.matmul()],
        ],
        { inputs: { gram: ['turned', 'input'] } },
      ),
      { input: [5, 3], output: [3, 3], parameters: 0 },
    ],
    [
      nn.graph(
        [
          ['table', nn.value([4, 3, 2])],
          ['product', nn.matmul()],
        ],
        { inputs: { product: ['input', 'table'] } },
      ),
      { input: [3], output: [4, 2], parameters: 24 },
    ],
  ],
  cast: [[nn.cast('f32'), { input: [5], output: [5], parameters: 0 }]],
  identity: [[nn.identity(), { input: image, output: image, parameters: 0 }]],
  value: [
    [
      nn.graph(
        [
          ['position', nn.value([8, 4])],
          ['sum', nn.add()],
        ],
        { inputs: { sum: ['input', 'position'] } },
      ),
      { input: image, output: image, parameters: 32 },
    ],
  ],
  reshape: [[nn.reshape([4, -1, 2]), { input: image, output: [4, 32, 2], parameters: 0 }]],
  permute: [[nn.permute([2, 0, -2]), { input: [8, 7, 4], output: [4, 8, 7], parameters: 0 }]],
  slice: [[nn.slice([null, [1, null, 2], [-1, null, -1]]), { input: [3, 8, 4], output: [3, 4, 4], parameters: 0 }]],
  concat: [
    [
      nn.graph(
        [
          ['a', nn.conv2d(2, 1)],
          ['b', nn.conv2d(3, 3, { padding: 1 })],
          ['both', nn.concat()],
        ],
        { inputs: { b: ['input'], both: ['a', 'b', 'input'] } },
      ),
      { input: image, output: [8, 8, 9], parameters: 10 + 111 },
    ],
  ],
  expand: [[nn.expand([2, 8, 8, 4]), { input: [1, 8, 4], output: [2, 8, 8, 4], parameters: 0 }]],
  tile: [[nn.tile([2, 1, 3]), { input: [2, 3, 2], output: [4, 3, 6], parameters: 0 }]],
  take: [
    [nn.take(1, [3, -1, 0]), { input: [2, 8, 3], output: [2, 3, 3], parameters: 0 }],
    [nn.take(-1, 1), { input: image, output: [8, 8], parameters: 0 }],
  ],
  gather: [
    [
      nn.graph(
        [
          ['places', nn.argmax(-1)],
          ['gathered', nn.gather(1)],
        ],
        { inputs: { gathered: ['input', 'places'] } },
      ),
      { input: [5, 4], output: [5, 5], parameters: 0 },
    ],
  ],
  reduce: [
    [nn.reduce('max', [-1, 0]), { input: [3, 5, 4], output: [5], parameters: 0 }],
    [nn.reduce('prod', [1], { keepDims: true }), { input: [2, 5], output: [2, 1], parameters: 0 }],
    [nn.reduce('l2', [0]), { input: [6], output: [], parameters: 0 }],
    [nn.reduce('logSumExp', [0, 1]), { input: [6, 2], output: [], parameters: 0 }],
  ],
  argmax: [[nn.sequential(nn.argmax(0), nn.cast('f32')), { input: [5, 4], output: [4], parameters: 0 }]],
  argmin: [
    [
      nn.sequential(nn.argmin(-1, { keepDims: true }), nn.cast('f32')),
      { input: [5, 4], output: [5, 1], parameters: 0 },
    ],
  ],
  graph: [
    [
      nn.graph(
        [
          ['layer1.0.conv', nn.conv2d(4, 3, { padding: 1 })],
          ['layer1.0.bn', nn.batchNorm()],
          ['layer1.0.sum', nn.add()],
          ['unused', nn.relu()],
        ],
        { inputs: { 'layer1.0.sum': ['layer1.0.bn', 'input'] }, output: 'layer1.0.sum' },
      ),
      { input: image, output: image, parameters: 9 * 16 + 4 + 8 },
    ],
  ],
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
    [
      nn.residual(
        [['conv1', nn.conv2d(8, 3, { stride: 2, padding: 1 })], nn.tanh(), ['conv2', nn.conv2d(8, 3, { padding: 1 })]],
        { shortcut: ['downsample', nn.conv2d(8, 1, { stride: 2 })] },
      ),
      { input: image, output: [4, 4, 8], parameters: 296 + 584 + 40 },
    ],
    [
      nn.residual([['conv', nn.conv2d(8, 3, { stride: 2, padding: 1 })]], {
        shortcut: nn.identityShortcut(8, { stride: 2 }),
      }),
      { input: image, output: [4, 4, 8], parameters: 296 },
    ],
  ],
}

describe('every layer', () => {
  it('has a check', () => expect(Object.keys(cases).sort()).toEqual([...layerTypes].sort()))
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
    expect(() => init(nn.residual(nn.identityShortcut(3)), { input: [8, 8, 4] })).toThrow(
      'identityShortcut "body": channels cannot be taken away.\n' +
        '  got       samples of shape [8, 8, 4], 3 filters\n' +
        '  expected  [height, width, channels], at most as many channels as filters\n' +
        '  fix       use nn.conv2d(filters, 1, { stride }) as the shortcut',
    )
    expect(() => nn.identityShortcut(8, { stride: 0 })).toThrow('nn.identityShortcut: stride makes no sense')
    expect(() => nn.residual([['conv', nn.relu()]], { shortcut: ['conv', nn.relu()] })).toThrow(
      'nn.residual: the layers cannot be told apart by name.\n' +
        '  got       "conv", "conv"\n' +
        '  expected  names that differ, are not empty and hold no dot: paths are made of them\n' +
        '  fix       rename "conv"',
    )
    expect(() => nn.residual([])).toThrow(
      'nn.residual: the body is empty.\n' +
        '  expected  at least one layer that the shortcut goes around\n' +
        '  fix       give the body its layers',
    )
    const { layers, options } = layerToJson(nn.residual(nn.relu(), { shortcut: ['around', nn.relu()] }))
    expect(() => layerFromJson({ type: 'residual', options, layers: layers?.slice(0, 1) })).toThrow(
      'residual: there is no layer "around", which is to be the shortcut.\n' +
        '  got       "body"\n' +
        '  expected  the shortcut among the layers inside\n' +
        '  fix       save the model again',
    )
    expect(() => nn.sequential(['a.b', nn.relu()])).toThrow('fix       rename "a.b"')
    expect(() => nn.conv2d(0, 3)).toThrow('nn.conv2d: filters makes no sense.\n  got       0')
    expect(() => nn.linear(3, { initializer: { kind: 'normal', deviation: -1 } })).toThrow(
      'nn.linear: initializer makes no sense.\n' +
        '  got       {"kind":"normal","deviation":-1}\n' +
        "  expected  { kind: 'he', fan: 'in' | 'out', distribution?: 'normal' | 'uniform' }, { kind: 'glorot' }, { kind: 'normal', deviation }, { kind: 'uniform', bound } or { kind: 'constant', value }\n" +
        "  fix       correct it, or leave it out: PyTorch's default",
    )
    expect(() => layerFromJson({ type: 'conv2d', options: { filters: 1, kernelSize: 1, initializer: 'he' } })).toThrow(
      'nn.conv2d: initializer makes no sense.\n  got       "he"',
    )
    expect(() => nn.dropout(1)).toThrow('dropout: the rate makes no sense')
    expect(() => nn.convTranspose2d(4, 0)).toThrow('nn.convTranspose2d: kernelSize makes no sense.\n  got       0')
    expect(() => init(nn.sequential(['up', nn.convTranspose1d(4, 2, { padding: 1 })]), { input: [1, 3] })).toThrow(
      'convTranspose1d "up": the padding leaves nothing of the output.\n' +
        '  got       samples of shape [1, 3], kernel [2]\n' +
        '  expected  an output of at least one element on every axis\n' +
        '  fix       pad less: padding here cuts off the output',
    )
    expect(() => init(nn.pad([[0, 1]]), { input: [8, 8, 4] })).toThrow(
      'pad: samples have 3 axes, the border has 1.\n' +
        '  got       samples of shape [8, 8, 4]\n' +
        '  expected  [before, after] for every axis of a sample\n' +
        '  fix       give [0, 0] for axes that stay as they are',
    )
    expect(() => init(nn.depthToSpace(2), { input: [8, 8, 6] })).toThrow(
      'depthToSpace: the samples are not made of blocks of 2×2.\n' +
        '  got       samples of shape [8, 8, 6]\n' +
        '  expected  [height, width, channels], channels a multiple of 4\n' +
        '  fix       use another block',
    )
    expect(() => nn.resize({})).toThrow('nn.resize: neither size nor scale is given')
    expect(() => nn.prelu({ slopes: 'all' as 'one' })).toThrow(
      'nn.prelu: the options make no sense.\n  got       {"slopes":"all"}',
    )
    expect(() => layerFromJson({ type: 'conv2' })).toThrow("did you mean 'conv2d'?")
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

  it('of an initializer have its deviation, and biases begin at 0', async () => {
    const measured = async (layer: nn.Layer, input: readonly number[]) => {
      const model = init(layer, { input, seed: 1 })
      expect((await model.get('bias').data()).every((value) => value === 0)).toBe(true)
      const values = await model.get('weight').data()
      return Math.sqrt(Array.from(values).reduce((sum, value) => sum + value * value, 0) / values.length)
    }
    const near = (value: number, wanted: number) => expect(Math.abs(value / wanted - 1)).toBeLessThan(0.02)
    const he = (fan: 'in' | 'out') => ({ initializer: { kind: 'he', fan } }) as const
    near(await measured(nn.conv2d(64, 3, he('in')), [3, 3, 32]), Math.sqrt(2 / (9 * 32)))
    near(await measured(nn.conv2d(64, 3, he('out')), [3, 3, 32]), Math.sqrt(2 / (9 * 64)))
    near(await measured(nn.conv2d(64, 3, { groups: 2, ...he('in') }), [3, 3, 64]), Math.sqrt(2 / (9 * 32)))
    // PyTorch counts all output channels, also of a depthwise convolution.
    near(await measured(nn.depthwiseConv2d(3, he('out')), [3, 3, 1024]), Math.sqrt(2 / (9 * 1024)))
    near(await measured(nn.linear(100, { initializer: { kind: 'normal', deviation: 0.01 } }), [200]), 0.01)
    near(await measured(nn.conv2d(64, 3, { initializer: { kind: 'glorot' } }), [3, 3, 32]), Math.sqrt(2 / (9 * 96)))
    const uniform = { kind: 'he', fan: 'in', distribution: 'uniform' } as const
    near(await measured(nn.conv2d(64, 3, { initializer: uniform }), [3, 3, 32]), Math.sqrt(2 / (9 * 32)))
    const drawn = await init(nn.linear(64, { initializer: uniform }), { input: [150] })
      .get('weight')
      .data()
    expect(Math.max(...Array.from(drawn, Math.abs))).toBeCloseTo(Math.sqrt(6 / 150), 4)
  })
})

describe('identityShortcut', () => {
  it('takes every stride-th pixel and puts channels of zeros on both sides', async () => {
    const model = init(nn.identityShortcut(5, { stride: 2 }), { input: [3, 3, 2] })
    const x = tensor(
      Float32Array.from({ length: 18 }, (_, i) => i + 1),
      [1, 3, 3, 2],
    )
    expect(await model(x).array()).toEqual([
      [
        [
          [0, 1, 2, 0, 0],
          [0, 5, 6, 0, 0],
        ],
        [
          [0, 13, 14, 0, 0],
          [0, 17, 18, 0, 0],
        ],
      ],
    ])
  })
})

describe('quantize', () => {
  it('rounds halves to the even number before the zero point, holds values in range, and lets gradients through', async () => {
    const model = init(nn.quantize({ scale: 0.5, zeroPoint: 3 }), { input: [6] })
    const x = tensor([[0.25, 0.75, -0.25, -2, 127, 0.6]])
    expect(await model(x).array()).toEqual([[3, 5, 3, 0, 255, 4]])
    const weight = new Parameter('x', [1, 6], Float32Array.of(0.25, 0.75, -0.25, -2, 127, 0.6))
    const [, [gradient]] = valueAndGrad([weight], () => model(weight.value).sum())
    expect(await gradient.array()).toEqual([[2, 2, 2, 0, 0, 2]])
  })
})

describe('the description of a net', () => {
  const net = nn.sequential(
    ['stem', nn.conv2d(4, 3, { padding: 1 })],
    ['block', nn.residual([['conv', nn.conv2d(4, 3, { padding: 1 })], ['norm', nn.batchNorm()], nn.relu()])],
    nn.globalAvgPool(),
  )

  it('is a tree with sums, and its leaves', () => {
    const { root, reports, output } = describeNet(net, [8, 8, 1], {
      trainable: (path) => !path.startsWith('block.conv'),
    })
    expect(output).toEqual([4])
    expect(reports.map(({ path }) => path)).toEqual(['stem', 'block.conv', 'block.norm', 'block.2', '2'])
    expect([root.path, root.type, root.layers?.map(({ path }) => path)]).toEqual([
      '',
      'sequential',
      ['stem', 'block', '2'],
    ])
    expect([root.parameters, root.trainable, root.states]).toEqual([40 + 148 + 8, 40 + 8, 8])
    expect(root.multiplyAdds).toBe(64 * 9 * 4 + 64 * 9 * 16 + 256)
    const [, block] = root.layers ?? []
    expect([block.parameters, block.trainable, block.states]).toEqual([156, 8, 8])
    expect([block.input, block.output]).toEqual([
      [8, 8, 4],
      [8, 8, 4],
    ])
    expect(block.branches).toEqual([['conv', 'norm', '2'], []])
  })
})
