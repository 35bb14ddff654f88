import { describe, expect, test } from 'vitest'
import { convInputs, goldenError, goldenValues, loadConvCases } from '../../../test/golden/values.ts'
import { gradient } from '../../autodiff/gradient.ts'
import { type Device, evaluate } from '../../engine/index.ts'
import { constantNode, dataNode, inputNode, makeNode, type Node } from '../../graph/node.ts'
import type { KernelOp } from '../../graph/op.ts'
import { schedule } from '../../schedule/index.ts'
import { choosing, referenceDevice, type TestDevice, testDevices } from '../../testing/each-backend.ts'
import { expectClose, relativeError } from '../../testing/expect-close.ts'
import { runCase } from '../../testing/run-case.ts'
import { relu } from '../activations.ts'
import { add, greater, mul } from '../elementwise.ts'
import { convCases } from './conv.cases.ts'
import { type ConvOptions, conv, conv2d, convInputGradientOp, convWeightGradientOp } from './index.ts'

const algorithms = ['winograd4', 'winograd2'] as const

/**
 * In single precision the transforms cancel: errors are a few times those of direct sums and relative to the largest
 * result, not to each (measured up to 5e-6 for F(4×4, 3×3) with 512 channels). In double precision nothing is lost.
 */
const toleranceOn = (device: TestDevice) => (device.precision === 'f64' ? 1e-7 : 2e-5)

function random(salt: number, ...shape: readonly number[]): Node {
  const size = shape.reduce((a, b) => a * b, 1)
  return dataNode(goldenValues(salt, size), shape, 'f32')
}

/** Result, input gradient and weight gradient. */
function passes(x: readonly number[], out: number, padding: ConvOptions['padding'] = 'same'): Node[] {
  const input = random(1, ...x)
  const weight = random(2, 3, 3, x[3], out)
  const y = conv2d(input, weight, { padding })
  return [y, ...(gradient(y, [input, weight], random(3, ...y.shape)) as Node[])]
}

const shapes: [string, readonly number[], number, ConvOptions['padding']][] = [
  ['one pixel', [1, 1, 1, 1], 1, 'same'],
  ['one pixel, full', [2, 1, 1, 3], 5, 'full'],
  ['one output', [1, 3, 3, 5], 17, 'valid'],
  ['whole tiles', [2, 8, 8, 16], 16, 'same'],
  ['partial tiles', [1, 7, 9, 17], 3, 'same'],
  ['no padding', [2, 10, 13, 8], 12, 'valid'],
  ['more channels than a patch holds', [1, 6, 5, 70], 33, 'same'],
  [
    'padding per side',
    [1, 5, 6, 3],
    9,
    [
      [3, 0],
      [1, 5],
    ],
  ],
  ['padding wider than the kernel', [1, 4, 3, 4], 4, 6],
  ['one row', [3, 1, 21, 5], 8, 'same'],
  ['one column', [3, 21, 1, 5], 8, 'same'],
  ['several tasks and chunks', [3, 30, 31, 9], 18, 'same'],
]

/** Cases that the algorithms apply to. */
const cases = convCases.filter((record) => {
  const node = record.build(...record.inputs.map(({ shape }, i) => inputNode(i, shape, 'f32')))
  return (node.op as KernelOp<unknown>).algorithms.some(
    ({ name, applies }) => name === 'winograd4' && applies(node, { lanes: 1 } as never),
  )
})

const goldens = new Set(
  loadConvCases()
    .filter(({ weight, options: { stride = 1, dilation = 1, groups = 1 } }) => {
      const square = weight.length === 4 && weight[0] === 3 && weight[1] === 3
      return square && [stride, dilation, groups].flat().every((value) => value === 1)
    })
    .map(({ name }) => name),
)

test('some of the recorded cases are 3×3 with stride 1', () => {
  expect(cases.length).toBeGreaterThan(60)
  expect(goldens.size).toBeGreaterThan(0)
})

for (const algorithm of algorithms) {
  describe.each(testDevices.map((device) => [device.name, device] as const))(`${algorithm} on %s`, (_name, device) => {
    const tolerance = toleranceOn(device)

    test.each(cases.map((c) => [c.name, c] as const))('%s', async (_case, record) => {
      await runCase(record, await choosing(device, { algorithm }), tolerance)
    })

    test.each(shapes)('%s', async (_shape, x, out, padding) => {
      const expected = await evaluate(await choosing(referenceDevice, { precise: true }), passes(x, out, padding))
      const actual = await evaluate(await choosing(device, { algorithm }), passes(x, out, padding))
      for (const [i, values] of actual.entries()) expectClose(values, expected[i], tolerance, `pass ${i}`)
    })

    test("PyTorch's numbers", async () => {
      for (const golden of loadConvCases().filter(({ name }) => goldens.has(name))) {
        const v = convInputs(golden)
        const inputs = [dataNode(v.x, golden.x, 'f32'), dataNode(v.weight, golden.weight, 'f32')]
        if (v.bias !== undefined) inputs.push(dataNode(v.bias, [v.bias.length], 'f32'))
        const [x, weight, bias] = inputs
        const y = conv(x, weight, { ...golden.options, bias })
        const nodes = [y, ...gradient(y, inputs, dataNode(v.upstream, golden.y.shape, 'f32'))] as Node[]
        const results = await evaluate(await choosing(device, { algorithm }), nodes)
        const expected = [golden.y, golden.dx, golden.dw, golden.db]
        for (const [i, result] of results.entries())
          expect(goldenError(result, expected[i] as typeof golden.y), `${golden.name}, result ${i}`).toBeLessThan(2e-5)
      }
    })

    test('maps that are fused behind', async () => {
      const attributes = {
        stride: [1, 1],
        dilation: [1, 1],
        pads: [
          [1, 1],
          [1, 0],
        ] as const,
        groups: 1,
      }
      const nodes: Node[] = [
        conv2d(random(1, 2, 7, 9, 5), random(2, 3, 3, 5, 17), { padding: 'same' }),
        makeNode(convInputGradientOp, [random(1, 2, 7, 8, 17), random(2, 3, 3, 6, 17)], {
          ...attributes,
          size: [7, 9],
        }),
      ]
      for (const node of nodes) await checkEpilogues(node, device, algorithm)
    })
  })
}

/** Bias, activation, residual, and an output of another type beside them. */
async function checkEpilogues(node: Node, device: TestDevice, algorithm: string): Promise<void> {
  const columns = node.shape[node.shape.length - 1]
  const bias = goldenValues(3, columns)
  const rectified = relu(add(node, dataNode(bias, [columns], 'f32')))
  const mask = greater(rectified, constantNode(0.25))
  const scaled = add(mul(rectified, random(4, ...node.shape)), dataNode(Float32Array.of(1.5), [], 'f32'))
  const { target } = await device.get()
  const calls = schedule([rectified, mask, scaled], [], target, { algorithm }).calls
  expect(calls.length, 'kernels').toBe(2)
  const [plain] = await evaluate(await choosing(referenceDevice, { precise: true }), [node])
  const residual = goldenValues(4, plain.length)
  const expected = Array.from(plain, (value, i) => Math.max(0, value + bias[i % columns]))
  const [a, b, c] = await evaluate(await choosing(device, { algorithm }), [rectified, mask, scaled])
  expectClose(a, expected, toleranceOn(device), 'rectified')
  expectClose(
    c,
    expected.map((value, i) => value * residual[i] + 1.5),
    toleranceOn(device),
    'scaled',
  )
  expect(b).toEqual(Uint8Array.from(a, (value) => Number(value > 0.25)))
}

const machines = testDevices.filter(({ name }) => !name.startsWith('interpreter'))

test.each(algorithms)('%s: the same bits for any number of threads', async (algorithm) => {
  const nodes = () => [...passes([5, 17, 19, 24], 40), ...passes([2, 6, 6, 130], 150)]
  for (const kind of new Set(machines.map(({ name }) => name.split(',')[0]))) {
    const same = machines.filter(({ name }) => name.startsWith(kind))
    const results = await Promise.all(same.map(async (m) => evaluate(await choosing(m, { algorithm }), nodes())))
    for (const result of results) expect(result).toEqual(results[0])
  }
})

test.each(algorithms)('%s: another batch, extent or number of channels compiles no kernel', async (algorithm) => {
  const device = await choosing(machines[0], { algorithm })
  await evaluate(device, passes([8, 16, 16, 24], 40))
  const { compiled } = device.backend.kernels
  for (const [x, out] of [
    [[3, 16, 16, 24], 40],
    [[1, 5, 7, 24], 41],
    [[70, 9, 8, 3], 5],
  ] as const)
    await evaluate(device, passes(x, out))
  expect(device.backend.kernels.compiled).toBe(compiled)
})

test('errors grow with the channels, and stay below those that the choice assumes', async () => {
  const errors = async (device: Device, exact: ArrayLike<number>[]) =>
    (await evaluate(device, passes([1, 8, 8, 256], 64))).map((values, i) => relativeError(values, exact[i]))
  const exact = await evaluate(await choosing(referenceDevice, { precise: true }), passes([1, 8, 8, 256], 64))
  for (const error of await errors(await choosing(machines[0], { algorithm: 'winograd4' }), exact))
    expect(error).toBeLessThan(6e-6)
  for (const error of await errors(await choosing(machines[0], { algorithm: 'winograd2' }), exact))
    expect(error).toBeLessThan(3e-6)
})

describe('the choice', () => {
  const chosen = (device: Device, node: Node, options = {}) => {
    const { calls } = schedule([node], [], device.target, options)
    return /\((\w+)\)$/.exec(calls[calls.length - 1].label)?.[1]
  }
  const layer = (batch: number, channels: number, size: number, out: number) =>
    conv2d(inputNode(0, [batch, size, size, channels], 'f32'), inputNode(1, [3, 3, channels, out], 'f32'), {
      padding: 1,
    })

  test('takes the larger tile for layers of real networks', async () => {
    const device = await machines[0].get()
    for (const [batch, channels, size] of [
      [32, 64, 32],
      [32, 128, 16],
      [32, 256, 8],
      [8, 64, 56],
    ])
      expect(chosen(device, layer(batch, channels, size, channels))).toBe('winograd4')
  })
  test('stays with the definition for few channels and for a single small picture', async () => {
    const device = await machines[0].get()
    for (const [batch, channels, size, out] of [
      [32, 3, 32, 64],
      [32, 1, 28, 8],
      [1, 512, 2, 512],
    ])
      expect(chosen(device, layer(batch, channels, size, out))).toBe('direct')
  })
  test('takes the smaller tile where the weights are most of the work', async () => {
    expect(chosen(await machines[0].get(), layer(8, 512, 4, 512))).toBe('winograd2')
  })
  test('leaves them out when asked to be precise, and takes what is asked for by name', async () => {
    const device = await machines[0].get()
    const node = layer(32, 64, 32, 64)
    expect(chosen(device, node, { precise: true })).toBe('direct')
    expect(chosen(device, node, { algorithm: 'winograd2' })).toBe('winograd2')
    expect(chosen(device, conv2d(random(1, 1, 4, 4, 2), random(2, 1, 1, 2, 2)), { algorithm: 'winograd2' })).toBe(
      'pointwise',
    )
  })
  test('applies to every pass', async () => {
    const device = await machines[0].get()
    const weight = inputNode(1, [3, 3, 64, 64], 'f32')
    const image = inputNode(0, [32, 32, 32, 64], 'f32')
    const attributes = {
      stride: [1, 1],
      dilation: [1, 1],
      pads: [
        [1, 1],
        [1, 1],
      ] as const,
      groups: 1,
    }
    const dx = makeNode(convInputGradientOp, [image, weight], { ...attributes, size: [32, 32] }) as Node
    const dw = makeNode(convWeightGradientOp, [image, image], { ...attributes, kernel: [3, 3] }) as Node
    expect([dx, dw].map((node) => chosen(device, node))).toEqual(['winograd4', 'winograd4'])
  })
})
