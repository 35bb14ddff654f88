import { describe, expect, it } from 'vitest'
import { goldenError, goldenInput, loadPublished, publishedValues, turnedShape } from '../../test/golden/values.ts'
import type { Shape } from '../base/shape.ts'
import * as nn from '../nn/index.ts'
import { layerToJson } from '../nn/layer.ts'
import { describe as describeNet, init } from '../nn/model.ts'
import { sgd } from '../optim/index.ts'
import { compile, crossEntropy, type Tensor, tensor, valueAndGrad } from '../tensor/index.ts'
import { type ArchitectureName, architectures, lenet5, mobileNetV2, resnet8, resnet18, resnet20 } from './index.ts'

const published = loadPublished()
const names = Object.keys(architectures) as ArchitectureName[]
const parametersOf = (net: nn.Layer, input: Shape) => describeNet(net, input).root.parameters

describe('published networks', () => {
  const photograph = [224, 224, 3]
  it.each([
    ['resnet18', resnet18(), photograph],
    ['resnet20', resnet20(), [32, 32, 3]],
    ['mobileNetV2', mobileNetV2(), photograph],
  ] as const)('%s has their names and shapes', (name, net, input) => {
    const { parameters, tensors } = published[name]
    const model = init(net, { input })
    expect(model.parameterCount).toBe(parameters)
    const ours = new Map([...model.parameters, ...model.states].map((state) => [state.name, state.shape]))
    expect(ours).toEqual(new Map(tensors.map(([path, shape]) => [path, turnedShape(shape)])))
    // Gradients, optimizer slots and files go by this order.
    const order = model.parameters.map((parameter) => parameter.name)
    expect(tensors.map(([path]) => path).filter((path) => order.includes(path))).toEqual(order)
  })

  it.each([
    ['resnet18', resnet18()],
    ['resnet20', resnet20()],
    ['mobileNetV2', mobileNetV2()],
  ] as const)('%s gives their logits', async (name, net) => {
    const network = published[name]
    const { input, logits, tensors } = network
    const model = init(net, { input: input.shape.slice(1) }).eval()
    for (const [place, [path]] of tensors.entries()) await model.get(path).load(publishedValues(network, place))
    const forward = compile((x: Tensor) => model(x))
    const ours = await (await forward(tensor(goldenInput(input), input.shape))).data()
    expect(goldenError(ours, logits)).toBeLessThan(1e-5)
  })

  it('in numbers: 11,689,512 for ResNet-18, 3,504,872 for MobileNetV2', () => {
    expect(parametersOf(resnet18(), photograph)).toBe(11_689_512)
    expect(parametersOf(mobileNetV2(), photograph)).toBe(3_504_872)
  })

  it.each(Object.entries(published.mobileNetV2.widths ?? {}))('mobileNetV2 of width %s', (width, parameters) => {
    expect(parametersOf(mobileNetV2({ width: Number(width) }), photograph)).toBe(parameters)
  })
})

describe('numbers of parameters', () => {
  it.each<[ArchitectureName, Shape, number]>([
    ['simpleCnn', [28, 28, 1], 1_199_882],
    ['lenet5', [28, 28, 1], 61_706],
    ['lenet5', [32, 32, 1], 61_706],
    ['lenet5', [32, 32, 3], 62_006],
    ['resnet8', [32, 32, 3], 78_042],
    // He et al. 2016, table 6: 0.27 M.
    ['resnet20', [32, 32, 3], 269_722],
    ['resnet18', [32, 32, 3], 11_173_962],
    ['mobileNetV2', [32, 32, 3], 2_236_682],
  ])('%s for %j', (name, input, parameters) => {
    expect(parametersOf(architectures[name]({ input }), input)).toBe(parameters)
  })

  it('follow the width', () => {
    const input = [32, 32, 3]
    expect(parametersOf(resnet8({ width: 32 }), input)).toBe(308_650)
    expect(parametersOf(resnet20({ width: 32 }), input)).toBe(1_073_962)
  })
})

describe('forms', () => {
  const sizes = (net: nn.Layer, input: Shape, ...paths: string[]) => {
    const layers = (describeNet(net, input).root.layers ?? []).flatMap((layer) => [layer, ...(layer.layers ?? [])])
    return paths.map((path) => layers.find((layer) => layer.path === path)?.output[0])
  }

  it('resnet18 keeps the size of small pictures and quarters that of others', () => {
    const maps = ['conv1', 'layer1', 'layer2', 'layer3', 'layer4']
    expect(sizes(resnet18({ input: [64, 64, 3] }), [64, 64, 3], ...maps)).toEqual([64, 64, 32, 16, 8])
    expect(sizes(resnet18({ input: [65, 80, 3] }), [65, 80, 3], ...maps)).toEqual([33, 17, 9, 5, 3])
    expect(sizes(resnet18({ form: 'imagenet', input: [64, 64, 3] }), [64, 64, 3], ...maps)).toEqual([32, 16, 8, 4, 2])
    expect(sizes(resnet18({ form: 'cifar' }), [224, 224, 3], 'conv1')).toEqual([224])
  })

  it('mobileNetV2 leaves out strides of small pictures, and the parameters stay', () => {
    const maps = ['features.0', 'features.2', 'features.4', 'features.7', 'features.14', 'features.18']
    const forms = [224, 65, 64, 33, 32, 28].map((side) => {
      const input = [side, side, 3]
      const net = mobileNetV2({ input, classes: 10 })
      expect(parametersOf(net, input)).toBe(2_236_682)
      return sizes(net, input, ...maps)
    })
    expect(forms).toEqual([
      [112, 56, 28, 14, 7, 7],
      [33, 17, 9, 5, 3, 3],
      [64, 32, 16, 8, 4, 4],
      [33, 17, 9, 5, 3, 3],
      [32, 32, 16, 8, 4, 4],
      [28, 28, 14, 7, 4, 4],
    ])
  })

  it('lenet5 puts the border of 32×32 around 28×28', () => {
    expect(sizes(lenet5(), [28, 28, 1], 'conv1', 'pool1', 'conv2', 'pool2')).toEqual([28, 14, 10, 5])
    expect(sizes(lenet5({ input: [32, 32, 1] }), [32, 32, 1], 'conv1', 'pool1', 'conv2', 'pool2')).toEqual([
      28, 14, 10, 5,
    ])
  })

  it('classes: those of ImageNet for large pictures, ten for small ones, or as many as asked for', () => {
    const outputs = (input: Shape, classes?: number) =>
      [resnet18, mobileNetV2].map((make) => describeNet(make({ input, classes }), input).output[0])
    expect([outputs([96, 96, 3]), outputs([32, 32, 3]), outputs([96, 96, 3], 7)]).toEqual([
      [1000, 1000],
      [10, 10],
      [7, 7],
    ])
  })
})

describe('every architecture', () => {
  const input = [32, 32, 3]

  it.each(names)('%s is the same after its description went through a file', (name) => {
    const json = JSON.stringify(layerToJson(architectures[name]({ input, classes: 3 })))
    const copy = nn.layerFromJson(JSON.parse(json))
    expect(JSON.stringify(layerToJson(copy))).toBe(json)
    expect(describeNet(copy, input)).toEqual(describeNet(architectures[name]({ input, classes: 3 }), input))
  })

  it.each(names)('%s learns: a step lowers the loss and moves every parameter', async (name) => {
    const model = init(architectures[name]({ input, classes: 3 }), { input, seed: 2 })
    const x = tensor(
      Float32Array.from({ length: 4 * 3072 }, (_, i) => 0.5 + 0.5 * Math.sin(12.9898 * i)),
      [4, ...input],
    )
    const y = tensor(Int32Array.of(0, 1, 2, 1))
    const before = await model.save()
    const optimizer = sgd(1e-3)
    const loss = () => crossEntropy(model(x), y)
    const step = compile(() => {
      const [value, gradients] = valueAndGrad(model.parameters, loss)
      optimizer.update(model.parameters, gradients)
      return value
    })
    const losses: number[] = []
    for (let i = 0; i < 2; i++) losses.push(await ((await step()) as Tensor).item())
    expect(losses[0]).toBeLessThan(5)
    // Dropout draws anew at every step.
    if (name !== 'mobileNetV2') expect(losses[1]).toBeLessThan(losses[0])
    const after = await model.save()
    for (const [path, { data }] of after) {
      expect(data.every(Number.isFinite), path).toBe(true)
      expect(
        data.some((value, i) => value !== before.get(path)?.data[i]),
        path,
      ).toBe(true)
    }
  })

  it('names what it does not know', () => {
    expect(() => resnet20({ clases: 3 } as object)).toThrow(
      "models.resnet20: unknown option 'clases'.\n" +
        '  expected  classes, input, width\n' +
        "  fix       did you mean 'classes'?",
    )
    expect(() => mobileNetV2({ width: 0 })).toThrow(
      'models.mobileNetV2: width makes no sense.\n' +
        '  got       0\n' +
        '  expected  a factor above 0\n' +
        '  fix       use 1, or 0.35 to 1.4 as in the paper',
    )
  })
})
