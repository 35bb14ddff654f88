import { expect, it } from 'vitest'
import { init } from '../nn/model.ts'
import { architectures, published, usualInputs } from './index.ts'

/** Names of a layer's values in a file of Keras. */
const valuesOf: Readonly<Record<string, readonly string[]>> = {
  conv2d: ['kernel', 'bias'],
  depthwise_conv2d: ['depthwise_kernel', 'bias'],
  batch_normalization: ['gamma', 'beta', 'moving_mean', 'moving_variance'],
  dense: ['kernel', 'bias'],
}

/** All names in a file with so many layers of each kind; Keras numbers them from `first`, and leaves the number 0 out. */
function namesIn(layers: Readonly<Record<string, number>>, first = 0): string[] {
  return Object.entries(layers).flatMap(([kind, count]) =>
    Array.from({ length: count }, (_, i) => (i + first === 0 ? kind : `${kind}_${i + first}`)).flatMap((layer) =>
      valuesOf[kind].map((value) => `${layer}/${value}`),
    ),
  )
}

it.each([
  ['mlperfResnet8', namesIn({ conv2d: 9, batch_normalization: 7, dense: 1 })],
  ['mobileNetV1', namesIn({ conv2d: 14, depthwise_conv2d: 13, batch_normalization: 27, dense: 1 })],
  [
    'darknetTiny',
    // Convolutions in front of a norm have no bias.
    namesIn({ conv2d: 16, batch_normalization: 15 }, 1).filter(
      (name) => !/^conv2d_\d\/bias|^conv2d_1[0-5]\/bias/.test(name),
    ),
  ],
] as const)('names of Keras become the paths of %s, each its own', (name, names) => {
  const model = init(architectures[name](), { input: usualInputs[name] })
  const rename = published[name]?.rename as (name: string) => string
  const paths = [...model.parameters, ...model.states].map((state) => state.name).toSorted()
  expect(names.map(rename).toSorted()).toEqual(paths)
  // As HDF5 has them, with folders in front and a number behind, and as readers give them that know Keras's values.
  expect(names.map((one) => rename(`model_weights/${one.split('/')[0]}/${one}:0`)).toSorted()).toEqual(paths)
  const turned = names.map((one) =>
    one
      .replace('/', '.')
      .replace(/(depthwise_)?kernel|gamma/, 'weight')
      .replace('beta', 'bias'),
  )
  expect(turned.map(rename).toSorted()).toEqual(paths)
})

it('names of layers stand where Keras made them', () => {
  const of = (name: string) => published[name]?.rename as (name: string) => string
  expect(['conv2d_5/kernel:0', 'batch_normalization_6/moving_variance:0'].map(of('mlperfResnet8'))).toEqual([
    'layer2.0.downsample.weight',
    'layer3.0.bn2.running_var',
  ])
  expect(
    ['depthwise_conv2d_12/depthwise_kernel:0', 'conv2d_13/bias:0', 'batch_normalization_25/gamma:0'].map(
      of('mobileNetV1'),
    ),
  ).toEqual(['blocks.4.1.conv_dw.weight', 'blocks.4.1.conv_pw.bias', 'blocks.4.1.bn1.weight'])
  expect(['conv2d_16/bias', 'batch_normalization_15/beta'].map(of('darknetTiny'))).toEqual([
    'classifier.bias',
    'features.18.bn.bias',
  ])
  // What is no layer of the network keeps its name, for the report of what was unexpected.
  expect(['optimizer/iter:0', 'conv2d_99/kernel:0', 'dense.bias.momentum'].map(of('mlperfResnet8'))).toEqual([
    'optimizer/iter:0',
    'conv2d_99/kernel:0',
    'dense.bias.momentum',
  ])
})

it('what is published is of networks that there are', () => {
  expect(Object.keys(architectures)).toEqual(expect.arrayContaining(Object.keys(published)))
})
