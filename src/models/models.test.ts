import { describe, expect, it } from 'vitest'
import {
  goldenError,
  goldenInput,
  loadPublished,
  type PublishedName,
  publishedValues,
  turnedShape,
} from '../../test/golden/values.ts'
import type { Shape } from '../base/shape.ts'
import { layerFromJson } from '../nn/from-json.ts'
import type * as nn from '../nn/index.ts'
import { layerToJson } from '../nn/layer.ts'
import { describe as describeNet, dryScope, init } from '../nn/model.ts'
import { sgd } from '../optim/index.ts'
import { compile, crossEntropy, type Tensor, tensor, valueAndGrad } from '../tensor/index.ts'
import {
  type ArchitectureName,
  architectures,
  lenet5,
  mobileNetV2,
  resnet8,
  resnet18,
  resnet20,
  usualInputs,
} from './index.ts'

const published = loadPublished()
const names = Object.keys(architectures) as ArchitectureName[]
const parametersOf = (net: nn.Layer, input: Shape) => describeNet(net, input).root.parameters

/** Paths and shapes of all there is in a net, in order. Nothing is allocated. */
function tensorsOf(net: nn.Layer, input: Shape): (readonly [path: string, shape: Shape])[] {
  const found: (readonly [string, Shape])[] = []
  const collecting = (scope: nn.Scope): nn.Scope => ({
    ...scope,
    child: (name) => collecting(scope.child(name)),
    parameter(...of) {
      const parameter = scope.parameter(...of)
      found.push([parameter.name, parameter.shape])
      return parameter
    },
    state(...of) {
      const state = scope.state(...of)
      found.push([state.name, state.shape])
      return state
    },
  })
  net.build(collecting(dryScope('')), input)
  return found
}

/** The networks of the golden numbers, as they are for their usual inputs. */
const publishedNames = Object.keys(published) as PublishedName[]

describe('published networks', () => {
  const photograph = [224, 224, 3]

  it.each(publishedNames)('%s has their names and shapes', (name) => {
    const { parameters, tensors } = published[name]
    const usual = usualInputs[name]
    const net = architectures[name]()
    const found = tensorsOf(net, usual)
    expect(parametersOf(net, usual)).toBe(parameters)
    expect(new Map(found)).toEqual(new Map(tensors.map(([path, shape]) => [path, turnedShape(shape)])))
    // Gradients, optimizer slots and files go by this order.
    const isState = (path: string) => /running_(mean|var)$/.test(path)
    const order = (paths: readonly string[]) => paths.filter((path) => !isState(path))
    expect(order(tensors.map(([path]) => path))).toEqual(order(found.map(([path]) => path)))
  })

  it.each(publishedNames)('%s gives their logits', async (name) => {
    const network = published[name]
    const { input, logits, tensors } = network
    const model = init(architectures[name](), { input: input.shape.slice(1) }).eval()
    for (const [place, [path]] of tensors.entries()) await model.get(path).load(publishedValues(network, place))
    const forward = compile((x: Tensor) => model(x))
    const ours = await (await forward(tensor(goldenInput(input), input.shape))).data()
    expect(goldenError(ours, logits)).toBeLessThan(1e-5)
  })

  it.each<[ArchitectureName, number]>([
    ['resnet18', 11_689_512],
    ['resnet34', 21_797_672],
    ['resnet50', 25_557_032],
    ['mobileNetV2', 3_504_872],
    ['squeezeNet', 1_235_496],
    // In akamaster's own count 0.27, 0.46, 0.66, 0.85 and 1.7 million.
    ['resnet20', 269_722],
    ['resnet32', 464_154],
    ['resnet44', 658_586],
    ['resnet56', 853_018],
    ['resnet110', 1_727_962],
    ['resnet20B', 272_474],
    ['resnet32B', 466_906],
    ['resnet44B', 661_338],
    ['resnet56B', 855_770],
    ['resnet110B', 1_730_714],
    // The published files hold 221,794, 78,666 and 1,046,488 values, running statistics among them.
    ['mobileNetV1', 221_794 - 5_472],
    ['mlperfResnet8', 78_666 - 480],
    ['darknetTiny', 1_046_488 - 4_384],
  ])('%s has %i parameters at full size', (name, parameters) => {
    expect(parametersOf(architectures[name](), usualInputs[name])).toBe(parameters)
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
    const copy = layerFromJson(JSON.parse(json))
    expect(JSON.stringify(layerToJson(copy))).toBe(json)
    expect(describeNet(copy, input)).toEqual(describeNet(architectures[name]({ input, classes: 3 }), input))
  })

  it.each(names)('%s learns: a step lowers the loss and moves every parameter', async (name) => {
    const small = [16, 16, 3]
    const model = init(architectures[name]({ input: small, classes: 3 }), { input: small, seed: 2 })
    const x = tensor(goldenInput({ shape: [4, ...small], salt: 1 }), [4, ...small])
    const y = tensor(Int32Array.of(0, 1, 2, 1))
    const before = await model.save()
    // Norms of four samples make gradients of deep networks large; those of linear bottlenecks are small.
    const optimizer = sgd(name === 'mobileNetV2' ? 1e-3 : 1e-5)
    const loss = () => crossEntropy(model(x), y)
    const step = compile(() => {
      const [value, gradients] = valueAndGrad(model.parameters, loss)
      optimizer.update(model.parameters, gradients)
      return value
    })
    const losses: number[] = []
    const key = await model.random.data()
    for (let i = 0; i < 2; i++) {
      // Dropout is to drop the same again.
      await model.random.load(key)
      losses.push(await ((await step()) as Tensor).item())
    }
    expect(losses[0]).toBeLessThan(10)
    expect(losses[1]).toBeLessThan(losses[0])
    const after = await model.save()
    for (const [path, { data }] of after) {
      const old = before.get(path)?.data ?? data
      expect(data.every(Number.isFinite), path).toBe(true)
      expect(
        data.some((value, i) => value !== old[i]),
        path,
      ).toBe(true)
    }
  })

  it('names what it does not know', () => {
    expect(() => resnet20({ clases: 3 } as object)).toThrow(
      "models.resnet20: unknown option 'clases'.\n" +
        '  expected  classes, input, width, shortcut\n' +
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
