import { describe, expect, it } from 'vitest'
import { errorText } from '../testing/error-text.ts'
import { layerFromJson, layerTypes } from './from-json.ts'
import * as nn from './index.ts'
import { init } from './model.ts'

/** What a factory takes in front of its options. */
const leading: Record<string, readonly unknown[]> = {
  graph: [[['a', nn.relu()]]],
  residual: [nn.relu()],
  conv1d: [2, 3],
  conv2d: [2, 3],
  conv3d: [2, 3],
  convTranspose1d: [2, 3],
  convTranspose2d: [2, 3],
  depthwiseConv1d: [3],
  depthwiseConv2d: [3],
  linear: [2],
  groupNorm: [2],
  maxPool1d: [2],
  maxPool2d: [2],
  maxPool3d: [2],
  avgPool1d: [2],
  avgPool2d: [2],
  avgPool3d: [2],
  identityShortcut: [2],
  pad: [[[0, 0]]],
  depthToSpace: [2],
  spaceToDepth: [2],
  scalar: ['add', 1],
  value: [[2]],
  reduce: ['sum', [0]],
  argmax: [0],
  argmin: [0],
}
const withoutMore = [
  ...['batchNorm', 'layerNorm', 'instanceNorm', 'lrn', 'globalAvgPool', 'globalMaxPool', 'selu', 'hardSigmoid'],
  ...[
    'hardTanh',
    'shrink',
    'prelu',
    'resize',
    'dft',
    'stft',
    'quantize',
    'dequantize',
    'softmax',
    'logSoftmax',
    'clamp',
  ],
]
/** Layers that have no options by name. */
const plain = [
  ...['sequential', 'embedding', 'flatten', 'dropout', 'relu', 'relu6', 'leakyRelu', 'elu', 'gelu', 'silu', 'celu'],
  ...[
    'softplus',
    'logSigmoid',
    'softsign',
    'mish',
    'thresholdedRelu',
    'sigmoid',
    'tanh',
    'hardSwish',
    'unary',
    'binary',
  ],
  ...[
    'where',
    'matmul',
    'cast',
    'identity',
    'reshape',
    'permute',
    'slice',
    'concat',
    'expand',
    'tile',
    'take',
    'gather',
  ],
]

describe('options of layers', () => {
  it('are all looked at here', () => {
    expect([...Object.keys(leading), ...withoutMore, ...plain].sort()).toEqual([...layerTypes].sort())
  })

  it.each([...Object.keys(leading), ...withoutMore])('%s refuses one it does not know', (type) => {
    const make = nn[type as 'relu'] as (...of: unknown[]) => nn.Layer
    expect(errorText(() => make(...(leading[type] ?? []), { unheardOf: 1 }))).toContain(
      `ConfigError: nn.${type}: unknown option 'unheardOf'.`,
    )
  })

  it.each<[string, () => nn.Layer, string]>([
    ['strides', () => nn.conv2d(2, 3, { strides: 2 } as nn.ConvOptions), 'stride'],
    ['epsilon', () => nn.batchNorm({ epsilon: 1 } as nn.BatchNormOptions), 'eps'],
    ['outputs', () => nn.graph([['a', nn.relu()]], { outputs: 'a' } as nn.GraphOptions), 'output'],
    [
      'keepdims',
      () => layerFromJson({ type: 'reduce', options: { op: 'sum', axes: [0], keepdims: true } }),
      'keepDims',
    ],
  ])('%s', (_name, make, meant) => {
    expect(errorText(make)).toMatch(new RegExp(`\\b${meant}\\b`))
  })
})

describe('what ops refuse is told when a layer is built, with its path', () => {
  const build = (layer: nn.Layer, input: readonly number[]) => () => init(nn.sequential(['a', layer]), { input })

  it('of pools', () => {
    expect(
      errorText(build(nn.maxPool2d(2, { padding: 2 }), [8, 8, 3])),
    ).toBe(`ConfigError: maxPool2d "a": padding is as large as the window.
  got       padding 2, kernelSize [2, 2]
  expected  less padding on each side than the window has elements, so that no window is empty
  fix       pad less, or pad the input itself with pad`)
  })

  it.each<[string, nn.Layer]>([
    [
      'convTranspose2d "a": outputPadding has no place',
      nn.convTranspose2d(2, 3, { padding: 'same', outputPadding: 1 }),
    ],
    ['conv2d "a": stride', nn.conv2d(2, 3, { stride: 0 })],
    ['groupNorm "a": ', nn.groupNorm(2)],
    ['resize "a": scale', nn.resize({ scale: [2, 2, 2] })],
    ['lrn "a": ', nn.lrn({ size: 0 })],
    ['slice "a": ', nn.slice([[0, 4, 0]])],
  ])('%s', (text, layer) => {
    expect(errorText(build(layer, [8, 8, 3]))).toContain(`: ${text}`)
  })

  it('hardTanh wants a range', () => {
    expect(errorText(() => nn.hardTanh({ min: 2, max: 1 }))).toBe(`ConfigError: nn.hardTanh: the range is empty.
  got       min 2, max 1
  expected  min below max
  fix       correct the limits`)
  })
})
