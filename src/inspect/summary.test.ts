import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Shape } from '../base/shape.ts'
import { createDevice, type Device, useDevice } from '../engine/index.ts'
import * as models from '../models/index.ts'
import { lenet5, mobileNetV2, resnet8, resnet18, resnet20, simpleCnn } from '../models/index.ts'
import * as nn from '../nn/index.ts'
import { init } from '../nn/model.ts'
import { adam } from '../optim/index.ts'
import { compile, crossEntropy, type Tensor, tensor, valueAndGrad } from '../tensor/index.ts'
import { summarize, trainingMemory } from './index.ts'

const fieldsOf = (net: nn.Layer, input: Shape) =>
  Object.fromEntries(summarize(net, input).layers.map(({ path, receptiveField }) => [path, receptiveField]))

describe('receptive fields', () => {
  it('grow with kernels, faster behind strides and with dilation, and end where all is seen', () => {
    const net = nn.sequential(
      nn.conv2d(4, 3),
      nn.relu(),
      nn.conv2d(4, 3, { stride: 2 }),
      nn.maxPool2d(2),
      nn.conv2d(4, 3, { dilation: 2 }),
      nn.globalAvgPool(),
      nn.linear(3),
    )
    expect(Object.values(fieldsOf(net, [32, 32, 1]))).toEqual([3, 3, 5, 7, 23, undefined, undefined])
  })

  it('are those of the wider way around a block', () => {
    const body = [['conv1', nn.conv2d(8, 3, { stride: 2, padding: 1 })] as const, nn.conv2d(8, 3, { padding: 1 })]
    const narrow = nn.sequential(nn.residual(body, { shortcut: nn.conv2d(8, 1, { stride: 2 }) }), nn.conv2d(8, 3))
    expect(fieldsOf(narrow, [16, 16, 3])).toEqual({ '0.conv1': 3, '0.1': 7, '0.shortcut': 1, '1': 11 })
    const wide = nn.sequential(
      nn.residual(body, { shortcut: nn.conv2d(8, 9, { stride: 2, padding: 4 }) }),
      nn.conv2d(8, 3),
    )
    expect(fieldsOf(wide, [16, 16, 3])).toEqual({ '0.conv1': 3, '0.1': 7, '0.shortcut': 9, '1': 13 })
    const [block] = summarize(wide, [16, 16, 3]).root.layers ?? []
    expect(block.receptiveField).toBe(9)
  })

  it('are the published ones', () => {
    // Araujo et al. 2019 for the networks of TensorFlow; 435 for ResNet-18, 491 for MobileNetV2.
    expect(fieldsOf(resnet18(), [224, 224, 3])['layer4.1.conv2']).toBe(435)
    expect(fieldsOf(mobileNetV2(), [224, 224, 3])['features.18.0']).toBe(491)
    expect(fieldsOf(lenet5(), [28, 28, 1]).pool2).toBe(16)
  })

  it('hold all where a pool or a reduction saw all, also if its axes stay', () => {
    const layers = [['c', nn.conv2d(4, 3, { padding: 1 })] as const]
    const excite = (...pool: readonly (readonly [string, nn.Layer])[]) =>
      nn.graph([...layers, ...pool, ['e', nn.conv2d(4, 1)], ['m', nn.multiply()], ['d', nn.conv2d(8, 3)]], {
        inputs: { m: ['c', 'e'] },
      })
    const all = { p: undefined, e: undefined, m: undefined, d: undefined }
    expect(fieldsOf(excite(['p', nn.globalAvgPool({ keepDims: true })]), [8, 8, 3])).toEqual({ c: 3, ...all })
    expect(fieldsOf(excite(['p', nn.reduce('mean', [-3, 1], { keepDims: true })]), [8, 8, 3])).toEqual({ c: 3, ...all })
    // A mean over the channels leaves the places.
    expect(fieldsOf(nn.sequential(...layers, nn.reduce('mean', [2])), [8, 8, 3])).toEqual({ c: 3, 1: 3 })
    expect(fieldsOf(nn.dft({ axis: 0 }), [8, 2])).toEqual({ '': undefined })
  })

  it('grow slower behind layers that enlarge', () => {
    const through = (up: nn.Layer) =>
      Object.values(
        fieldsOf(
          nn.sequential(nn.conv2d(8, 3, { stride: 2, padding: 1 }), up, nn.conv2d(8, 3, { padding: 1 })),
          [32, 32, 3],
        ),
      )
    expect(through(nn.convTranspose2d(8, 2, { stride: 2 }))).toEqual([3, 3, 5])
    expect(through(nn.convTranspose2d(8, 4, { stride: 2, padding: 1 }))).toEqual([3, 5, 7])
    expect(through(nn.resize({ scale: 2 }))).toEqual([3, 3, 5])
    expect(through(nn.resize({ scale: 2, mode: 'linear' }))).toEqual([3, 5, 7])
    expect(through(nn.depthToSpace(2))).toEqual([3, 3, 5])
    expect(
      Object.values(fieldsOf(nn.sequential(nn.conv2d(4, 2), nn.spaceToDepth(2), nn.conv2d(4, 2)), [9, 9, 1])),
    ).toEqual([2, 3, 5])
  })

  it('of frames are their lengths', () => {
    const net = nn.sequential(nn.stft({ frameLength: 400, frameStep: 160 }), nn.conv2d(2, [3, 1]))
    expect(Object.values(fieldsOf(net, [16000, 1]))).toEqual([400, 400 + 2 * 160])
  })

  it('of one axis are counted along it', () => {
    const net = nn.sequential(nn.embedding(10, 4), nn.conv1d(8, 5, { stride: 2 }), nn.conv1d(8, 3), nn.globalMaxPool())
    expect(Object.values(fieldsOf(net, [20]))).toEqual([1, 5, 9, undefined])
  })
})

describe('totals', () => {
  it('are those of torchvision', () => {
    const { parameters, trainable, states, multiplyAdds, largest } = summarize(resnet18(), [224, 224, 3])
    expect([parameters, trainable, states]).toEqual([11_689_512, 11_689_512, 9_600])
    // Convolutions and the linear layer, and one for each value of a norm.
    expect(multiplyAdds).toBe(1_814_073_344 + 2_483_712)
    expect([largest?.path, largest?.parameters]).toEqual(['layer4.0.conv2', 2_359_296])
  })

  it.each<[models.ArchitectureName, number]>([
    // torchvision's GFLOPS, the original's 0.98 billion operations of Tiny Darknet, and those counted for CIFAR ResNets.
    ['resnet18', 1.81],
    ['resnet34', 3.66],
    ['resnet50', 4.09],
    ['mobileNetV2', 0.3],
    ['squeezeNet', 0.35],
    ['darknetTiny', 0.98 / 2],
    ['resnet20', 0.041],
    ['resnet110', 0.253],
  ])('of %s are %f billion multiply-adds, norms not counted', (name, billions) => {
    const { layers } = summarize(models.architectures[name](), models.usualInputs[name])
    const counted = layers
      .filter(({ type }) => type !== 'batchNorm')
      .reduce((sum, layer) => sum + layer.multiplyAdds, 0)
    expect(Number((counted / 1e9).toFixed(billions < 0.3 ? 3 : 2))).toBe(billions)
  })

  it('leave out what works in place, and frozen parameters where only the trained ones count', () => {
    const found = summarize(simpleCnn(), [28, 28, 1], { trainable: (path) => path.startsWith('8.') })
    expect(found.layers.map(({ activationBytes }) => activationBytes / 4)).toEqual([
      26 * 26 * 32,
      0,
      24 * 24 * 64,
      0,
      12 * 12 * 64,
      0,
      128,
      0,
      10,
    ])
    expect([found.parameters, found.trainable]).toEqual([1_199_882, 1_290])
    expect(found.activationBytes).toBe(4 * (26 * 26 * 32 + 24 * 24 * 64 + 12 * 12 * 64 + 138))
    const kept = found.activationBytes + 4 * (784 + 24 * 24 * 64)
    expect(trainingMemory(found, 32)).toEqual({
      weights: 4 * 1_199_882,
      gradients: 4 * 1_290,
      optimizer: 8 * 1_290,
      activations: 32 * kept,
      total: 4 * 1_199_882 + 12 * 1_290 + 32 * kept,
    })
  })

  it('of a Fourier transform go by its axis', () => {
    expect(summarize(nn.dft({ axis: 0 }), [64, 1000, 1]).multiplyAdds).toBe(64 * 64 * 2 * 1000)
    expect(summarize(nn.dft({ length: 16, onesided: true }), [3, 64, 2]).multiplyAdds).toBe(3 * 9 * 2 * 16 * 2)
  })

  it('of a single layer, and of nothing', () => {
    const one = summarize(nn.linear(3), [5])
    expect([one.layers.length, one.parameters, one.largest?.path]).toEqual([1, 18, ''])
    const none = summarize(nn.sequential(), [5])
    expect([none.layers.length, none.parameters, none.largest, none.output]).toEqual([0, 0, undefined, [5]])
  })
})

describe('the estimate of training memory', () => {
  let device: Device
  beforeAll(async () => {
    device = await createDevice({ backend: 'wasm', threads: 1 })
    await useDevice(device)
  })
  afterAll(() => device.close())

  it.each([
    ['resnet8', resnet8(), 16],
    ['resnet20', resnet20(), 8],
    ['mobileNetV2', mobileNetV2({ input: [32, 32, 3] }), 4],
  ] as const)('lies within 20 %% of what the plan of a step takes: %s', async (_name, net, batch) => {
    const input = [32, 32, 3]
    const model = init(net, { input, seed: 1 })
    const optimizer = adam()
    const step = compile((x: Tensor, y: Tensor) => {
      const [loss, gradients] = valueAndGrad(model.parameters, () => crossEntropy(model(x), y))
      optimizer.update(model.parameters, gradients)
      return loss
    })
    const x = new Float32Array(batch * 3072).map((_, i) => Math.sin(i))
    await step(tensor(x, [batch, ...input]), tensor(new Int32Array(batch)))
    // The arena is as large as the largest plan so far; the cases grow.
    const arena = await device.exclusive(async () => (await device.arena(0)).bytes)
    const { weights, optimizer: slots, total } = trainingMemory(summarize(net, input), batch)
    const taken = arena + weights + slots + 4 * x.length
    expect(total / taken).toBeGreaterThan(0.8)
    expect(total / taken).toBeLessThan(1.2)
  })
})
