import { describe, expect, test } from 'vitest'
import { convInputs, goldenError, goldenValues, loadConvCases } from '../../../test/golden/values.ts'
import { gradient } from '../../autodiff/gradient.ts'
import { evaluate } from '../../engine/index.ts'
import { constantNode, dataNode, inputNode, makeNode, type Node } from '../../graph/node.ts'
import { choosing, testDevices } from '../../testing/each-backend.ts'
import { expectClose } from '../../testing/expect-close.ts'
import { checkCaseGradients, runCase } from '../../testing/run-case.ts'
import { relu } from '../activations.ts'
import { add, greater, mul } from '../elementwise.ts'
import { matmul } from '../matmul.ts'
import { convCases } from './conv.cases.ts'
import {
  type ConvOptions,
  conv,
  conv1d,
  conv2d,
  conv3d,
  convInputGradientOp,
  convTranspose1d,
  convTranspose2d,
} from './index.ts'

for (const device of testDevices) {
  describe(`convolution cases on ${device.name}`, () => {
    test.each(convCases.map((c) => [c.name, c] as const))('%s', async (_name, record) => {
      await runCase(record, await choosing(device, { precise: true }))
    })
  })

  test(`PyTorch's numbers: result and gradients on ${device.name}`, async () => {
    for (const golden of loadConvCases()) {
      const v = convInputs(golden)
      const inputs = [dataNode(v.x, golden.x, 'f32'), dataNode(v.weight, golden.weight, 'f32')]
      if (v.bias !== undefined) inputs.push(dataNode(v.bias, [v.bias.length], 'f32'))
      const [x, weight, bias] = inputs
      const y = conv(x, weight, { ...golden.options, bias })
      const nodes = [y, ...gradient(y, inputs, dataNode(v.upstream, golden.y.shape, 'f32'))] as Node[]
      const results = await evaluate(await device.get(), nodes)
      const expected = [golden.y, golden.dx, golden.dw, golden.db]
      for (const [i, result] of results.entries()) {
        expect(goldenError(result, expected[i] as typeof golden.y), `${golden.name}, result ${i}`).toBeLessThan(1e-5)
      }
    }
  })
}

describe('gradients of the result and of both gradients', () => {
  test.each(convCases.map((c) => [c.name, c] as const))('%s', async (_name, record) => checkCaseGradients(record))
})

describe('maps that are fused behind', () => {
  const random = (salt: number, shape: readonly number[]) =>
    dataNode(
      goldenValues(
        salt,
        shape.reduce((a, b) => a * b, 1),
      ),
      shape,
      'f32',
    )
  const attributes = {
    stride: [2, 2],
    dilation: [1, 1],
    pads: [
      [1, 1],
      [1, 0],
    ] as const,
    groups: 1,
  }
  const cases: [string, Node][] = [
    ['a convolution', conv2d(random(1, [2, 7, 9, 5]), random(2, [3, 3, 5, 17]), { padding: 'same' })],
    ['grouped', conv2d(random(1, [2, 7, 9, 6]), random(2, [3, 3, 3, 18]), { groups: 2 })],
    ['1x1', conv2d(random(1, [2, 7, 9, 5]), random(2, [1, 1, 5, 17]))],
    ['depthwise', conv2d(random(1, [2, 7, 9, 6]), random(2, [3, 3, 1, 6]), { groups: 6, padding: 'same' })],
    ['depthwise with a multiplier', conv2d(random(1, [2, 7, 9, 6]), random(2, [3, 3, 1, 18]), { groups: 6 })],
    [
      'the phases of an input gradient',
      makeNode(convInputGradientOp, [random(1, [2, 4, 4, 5]), random(2, [3, 3, 7, 5])], {
        ...attributes,
        size: [7, 8],
      }),
    ],
    ['a matrix product', matmul(random(1, [9, 30]), random(2, [30, 19]))],
    ['a product in pieces', matmul(random(1, [9, 5000]), random(2, [5000, 19]))],
    ['several products', matmul(random(1, [2, 1, 9, 30]), random(2, [2, 3, 30, 19]))],
  ]
  test.each(cases)('%s', async (_name, node) => {
    const columns = node.shape[node.shape.length - 1]
    const bias = goldenValues(3, columns)
    const other = random(4, node.shape)
    const scale = dataNode(Float32Array.of(1.5), [], 'f32')
    const rectified = relu(add(node, dataNode(bias, [columns], 'f32')))
    const mask = greater(rectified, constantNode(0.25))
    const scaled = add(mul(rectified, other), scale)
    const [plain] = await evaluate(await testDevices[0].get(), [node])
    const residual = goldenValues(4, plain.length)
    const first = Array.from(plain, (value, i) => Math.max(0, value + bias[i % columns]))
    for (const device of testDevices) {
      const [a, b, c] = await evaluate(await device.get(), [rectified, mask, scaled])
      expectClose(a, first, 3e-6, device.name)
      expectClose(
        c,
        first.map((value, i) => value * residual[i] + 1.5),
        3e-6,
        device.name,
      )
      expect(b).toEqual(Uint8Array.from(a, (value) => Number(value > 0.25)))
    }
  })
})

const input = (...shape: number[]) => inputNode(0, shape, 'f32')

/** Result and gradients of a small network's layers: convolutions of several kinds, a matrix product. */
function layers(batch: number, size: number): Node[] {
  const data = (salt: number, ...shape: number[]) =>
    dataNode(
      goldenValues(
        salt,
        shape.reduce((a, b) => a * b, 1),
      ),
      shape,
      'f32',
    )
  const x = data(1, batch, size, size, 12)
  const weights = [data(2, 3, 3, 12, 40), data(3, 3, 3, 6, 20), data(4, 5, 5, 1, 12), data(5, 1, 1, 12, 33)]
  const options: ConvOptions[] = [{ padding: 'same' }, { groups: 2, stride: 2 }, { groups: 12, padding: 2 }, {}]
  const convolved = weights.map((w, i) => conv2d(x, w, options[i]))
  const [a, b] = [data(6, batch, 3000), data(7, 3000, 21)]
  return [...convolved.map((y, i) => [y, x, weights[i]]), [matmul(a, b), a, b]].flatMap(([y, left, right]) => [
    y,
    ...(gradient(y, [left, right], data(8, ...y.shape)) as Node[]),
  ])
}

test('one thread and two give the same bits', async () => {
  const [one, two] = testDevices.filter((device) => device.name.startsWith('wasm'))
  const expected = await evaluate(await one.get(), layers(7, 19))
  expect(await evaluate(await two.get(), layers(7, 19))).toEqual(expected)
})

test('other batch sizes and extents compile no kernel', async () => {
  const device = await testDevices[testDevices.length - 1].get()
  await evaluate(device, layers(8, 16))
  const { compiled } = device.backend.kernels
  for (const [batch, size] of [
    [3, 16],
    [1, 16],
    [8, 21],
    [70, 9],
  ])
    await evaluate(device, layers(batch, size))
  expect(device.backend.kernels.compiled).toBe(compiled)
})

describe('the textbook', () => {
  const x = dataNode(Float32Array.of(1, 2, 3, 4), [2, 2], 'f32')
  const k = dataNode(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9), [3, 3], 'f32')
  const values = async (node: Node) => Array.from((await evaluate(await testDevices[0].get(), [node]))[0])

  test('same', async () => {
    const y = conv2d(x, k, { padding: 'same' })
    expect(y.shape).toEqual([2, 2])
    expect(await values(y)).toEqual([77, 67, 47, 37])
  })
  test('zeros beyond the edge', async () => {
    expect(
      await values(
        conv2d(x, k, {
          padding: [
            [0, 2],
            [0, 2],
          ],
        }),
      ),
    ).toEqual([37, 18, 11, 4])
  })
  test('full', async () => {
    const y = conv2d(x, k, { padding: 'full' })
    expect(y.shape).toEqual([4, 4])
    expect(await values(y)).toEqual(full)
  })
  test('a signal', async () => {
    const signal = dataNode(Float32Array.of(1, 2, 3, 4), [4], 'f32')
    const kernel = dataNode(Float32Array.of(1, 0, -1), [3], 'f32')
    const y = conv1d(signal, kernel)
    expect(y.shape).toEqual([2])
    expect(await values(y)).toEqual([-2, -2])
    expect(await values(conv(signal, kernel, { padding: [2, 0] }))).toEqual([-1, -2, -2, -2])
  })
  // Every window's sum, by hand: x[i - 2 + r, j - 2 + s] k[r, s].
  const full = [9, 26, 23, 14, 33, 77, 67, 36, 21, 47, 37, 18, 9, 18, 11, 4]
})

describe('what is refused', () => {
  const cases: [string, () => unknown, string][] = [
    [
      'a kernel larger than the input',
      () => conv2d(input(2, 2), input(3, 3)),
      `conv2d: the kernel is larger than the input.
  got       input [2, 2], kernel [3, 3]
  expected  the kernel to fit into the input with its padding on every spatial axis
  fix       padding 'same' gives an output of [2, 2], 'full' one of [4, 4], 1 on every side one of [2, 2]; or use a smaller kernel`,
    ],
    [
      'a dilated kernel larger than the padded input',
      () => conv1d(input(1, 4, 3), input(5, 3, 2), { dilation: 3, stride: 2, padding: 1 }),
      `conv1d: the kernel is larger than the padded input.
  got       input [4], padded to [6], kernel [5], which covers [13] with dilation [3]
  expected  the kernel to fit into the input with its padding on every spatial axis
  fix       padding 'same' gives an output of [2], 'full' one of [8], 5 on every side one of [1]; or use a smaller kernel`,
    ],
    [
      'other channels than the weight expects',
      () => conv2d(input(8, 32, 32, 3), input(3, 3, 16, 32)),
      `conv2d: input has 3 channels, weight expects 16.
  got       input [8, 32, 32, 3], weight [3, 3, 16, 32], groups 1
  expected  input's last axis = weight's axis 2 × groups
  fix       use a weight of shape [3, 3, 3, 32]`,
    ],
    [
      'other channels than the groups expect',
      () => conv1d(input(8, 32, 1), input(3, 2, 4), { groups: 1 }),
      `conv1d: input has 1 channel, weight expects 2.
  got       input [8, 32, 1], weight [3, 2, 4], groups 1
  expected  input's last axis = weight's axis 1 × groups
  fix       use a weight of shape [3, 1, 4]`,
    ],
    [
      'groups that do not divide the input channels',
      () => conv2d(input(1, 5, 5, 5), input(3, 3, 2, 4), { groups: 2 }),
      `conv2d: 5 input channels cannot be divided into 2 groups.
  got       input [1, 5, 5, 5], weight [3, 3, 2, 4], groups 2
  expected  input and output channels that are multiples of groups
  fix       use a number of groups that divides both 5 and 4`,
    ],
    [
      'groups that do not divide the output channels',
      () => conv2d(input(1, 5, 5, 4), input(3, 3, 2, 5), { groups: 2 }),
      `conv2d: 5 output channels cannot be divided into 2 groups.
  got       input [1, 5, 5, 4], weight [3, 3, 2, 5], groups 2
  expected  input and output channels that are multiples of groups
  fix       use a number of groups that divides both 4 and 5`,
    ],
    [
      'a weight of the wrong rank',
      () => conv2d(input(1, 5, 5, 4), input(3, 3, 2)),
      `conv2d: weight has 3 axes.
  got       input [1, 5, 5, 4], weight [3, 3, 2]
  expected  input [batch, height, width, channels] and weight [height, width, inChannels / groups, outChannels], or both with 2 axes for one image of one channel
  fix       reshape it; axes of 1 stand for one image or one channel`,
    ],
    [
      'an input of the wrong rank',
      () => conv1d(input(5), input(3, 1, 2)),
      `conv1d: input has 1 axis.
  got       input [5], weight [3, 1, 2]
  expected  input [batch, length, channels] and weight [length, inChannels / groups, outChannels], or both with 1 axis for one signal of one channel
  fix       reshape it; axes of 1 stand for one image or one channel`,
    ],
    [
      'four spatial axes',
      () => conv(input(1, 4, 4, 4, 4, 2), input(3, 3, 3, 3, 2, 2)),
      `conv: there is no convolution of 4 spatial axes.
  got       input [1, 4, 4, 4, 4, 2], weight [3, 3, 3, 3, 2, 2]
  expected  one, two or three spatial axes: input [batch, ...spatial, channels], weight [...kernel, inChannels / groups, outChannels]
  fix       fold further axes into the batch`,
    ],
    [
      'a volume smaller than the kernel',
      () => conv3d(input(1, 2, 4, 4, 2), input(3, 3, 3, 2, 2)),
      `conv3d: the kernel is larger than the input.
  got       input [2, 4, 4], kernel [3, 3, 3]
  expected  the kernel to fit into the input with its padding on every spatial axis
  fix       padding 'same' gives an output of [2, 4, 4], 'full' one of [4, 6, 6], 1 on every side one of [2, 4, 4]; or use a smaller kernel`,
    ],
    [
      'channels of a volume',
      () => conv3d(input(1, 4, 4, 4, 3), input(3, 3, 3, 2, 2)),
      `conv3d: input has 3 channels, weight expects 2.
  got       input [1, 4, 4, 4, 3], weight [3, 3, 3, 2, 2], groups 1
  expected  input's last axis = weight's axis 3 × groups
  fix       use a weight of shape [3, 3, 3, 3, 2]`,
    ],
    [
      'a transposed convolution with a weight as PyTorch stores it',
      () => convTranspose2d(input(1, 5, 5, 4), input(4, 8, 3, 3)),
      `convTranspose2d: input has 4 channels, weight expects 3.
  got       input [1, 5, 5, 4], weight [4, 8, 3, 3], groups 1
  expected  input [batch, height, width, inChannels] and weight [height, width, outChannels / groups, inChannels]
  fix       weights of PyTorch and ONNX, [inChannels, outChannels / groups, ...kernel], are to be transposed`,
    ],
    [
      'a transposed convolution whose output is all cut off',
      () => convTranspose1d(input(1, 1, 4), input(2, 8, 4), { padding: 1 }),
      `convTranspose1d: the padding leaves nothing of the output.
  got       input [1, 1, 4], kernel [2], stride [1], padding 1
  expected  an output of at least one element on every spatial axis
  fix       pad less: padding here cuts off the output`,
    ],
    [
      'outputPadding beside same',
      () => convTranspose1d(input(1, 3, 4), input(3, 8, 4), { padding: 'same', stride: 2, outputPadding: 1 }),
      `convTranspose1d: outputPadding has no place beside padding 'same'.
  got       outputPadding 1
  expected  an output of the extent of the input times the stride
  fix       leave it out, or give the padding in numbers`,
    ],
    [
      'integers',
      () => conv2d(inputNode(0, [1, 5, 5, 1], 'u8'), input(3, 3, 1, 2)),
      `conv2d: input holds u8.
  got       input [1, 5, 5, 1] of dtype u8
  expected  f32
  fix       convert it: input.cast('f32')`,
    ],
    [
      'a bias of another length',
      () => conv2d(input(1, 5, 5, 1), input(3, 3, 1, 2), { bias: input(3) }),
      `conv2d: bias does not fit the output channels.
  got       bias [3], output [1, 3, 3, 2]
  expected  bias [2]
  fix       give one number for each output channel`,
    ],
  ]
  const options: [string, ConvOptions, string][] = [
    [
      'stride 0',
      { stride: 0 },
      `conv2d: stride makes no sense.
  got       stride 0
  expected  a whole number of at least 1, or one for each of the 2 spatial axes
  fix       give stride: 1 or more`,
    ],
    [
      'a dilation for another rank',
      { dilation: [1, 2, 3] },
      `conv2d: dilation makes no sense.
  got       dilation [1, 2, 3]
  expected  a whole number of at least 1, or one for each of the 2 spatial axes
  fix       give dilation: 1 or more`,
    ],
    [
      'groups 0',
      { groups: 0 },
      `conv2d: groups makes no sense.
  got       groups 0
  expected  a whole number of at least 1 that divides input and output channels
  fix       leave it out for an ordinary convolution, or give the number of input channels for a depthwise one`,
    ],
    [
      'negative padding',
      { padding: -1 },
      `conv2d: padding makes no sense.
  got       padding -1
  expected  'valid', 'same', 'full', a whole number of at least 0, or [[top, bottom], [left, right]]
  fix       for instance padding: 'same'`,
    ],
    [
      'padding for another rank',
      { padding: [[1, 2]] },
      `conv2d: padding makes no sense.
  got       padding [[1, 2]]
  expected  'valid', 'same', 'full', a whole number of at least 0, or [[top, bottom], [left, right]]
  fix       for instance padding: 'same'`,
    ],
    [
      'a mistyped padding',
      { padding: 'smae' as 'same' },
      `conv2d: padding makes no sense.
  got       padding 'smae'
  expected  'valid', 'same', 'full', a whole number of at least 0, or [[top, bottom], [left, right]]
  fix       did you mean 'same'?`,
    ],
    [
      'a mistyped option',
      { strides: 2 } as ConvOptions,
      `conv2d: unknown option 'strides'.
  expected  stride, dilation, groups, padding, bias
  fix       did you mean 'stride'?`,
    ],
  ]
  test.each(cases)('%s', (_name, make, message) => expect(messageOf(make)).toBe(message))
  test.each(options)('%s', (_name, given, message) => {
    expect(messageOf(() => conv2d(input(1, 5, 5, 1), input(3, 3, 1, 2), given))).toBe(message)
  })
})

function messageOf(make: () => unknown): string {
  try {
    make()
  } catch (error) {
    return (error as Error).message
  }
  return 'nothing was thrown'
}
