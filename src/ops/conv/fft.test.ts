import { describe, expect, test } from 'vitest'
import { goldenValues } from '../../../test/golden/values.ts'
import { gradient } from '../../autodiff/gradient.ts'
import { type Device, evaluate } from '../../engine/index.ts'
import { constantNode, dataNode, inputNode, makeNode, type Node } from '../../graph/node.ts'
import type { KernelOp } from '../../graph/op.ts'
import { schedule } from '../../schedule/index.ts'
import { checkNodeGradients } from '../../testing/check-gradients.ts'
import { choosing, referenceDevice, type TestDevice, testDevices } from '../../testing/each-backend.ts'
import { expectClose, relativeError } from '../../testing/expect-close.ts'
import { runCase } from '../../testing/run-case.ts'
import { relu } from '../activations.ts'
import { add, greater, mul } from '../elementwise.ts'
import { convCases } from './conv.cases.ts'
import { type ConvOptions, conv1d, conv2d, convInputGradientOp } from './index.ts'

/**
 * Every stage rounds once, and the errors of a result are those of the largest one: about 1e-7 · √log₂ N of it, measured
 * up to 3e-7. In double precision nothing is lost.
 */
const toleranceOn = (device: TestDevice) => (device.precision === 'f64' ? 1e-14 : 1e-6)

const choice = { algorithm: 'fft' }

function random(salt: number, ...shape: readonly number[]): Node {
  const size = shape.reduce((a, b) => a * b, 1)
  return dataNode(goldenValues(salt, size), shape, 'f32')
}

/** Result, input gradient and weight gradient. */
function passes(x: readonly number[], taps: number, out: number, padding: ConvOptions['padding']): Node[] {
  const input = random(1, ...x)
  const weight = random(2, taps, x[2], out)
  const y = conv1d(input, weight, { padding })
  return [y, ...(gradient(y, [input, weight], random(3, ...y.shape)) as Node[])]
}

const shapes: [string, readonly number[], number, number, ConvOptions['padding']][] = [
  ['one result', [1, 64, 1], 64, 1, 'valid'],
  ['fewer samples than taps', [2, 3, 5], 64, 3, 'full'],
  ['samples that end in the padding', [1, 70, 3], 65, 17, 'same'],
  ['the last block is one result', [1, 193 + 63, 5], 64, 5, [0, 1]],
  ['one signal, an odd number of blocks', [1, 500, 17], 64, 32, 'valid'],
  ['several signals, blocks of two in a pair', [3, 300, 3], 64, 5, 'same'],
  ['full', [2, 257, 32], 64, 17, 'full'],
  ['padding at the front', [1, 301, 5], 100, 33, [99, 0]],
  ['padding wider than the kernel', [1, 90, 1], 64, 3, [200, 130]],
  ['the fewest taps', [2, 333, 17], 16, 16, 'same'],
  ['speech', [2, 1600, 1], 400, 18, 'same'],
  ['more taps than most transforms have samples', [1, 900, 2], 1030, 3, 'same'],
  ['the most taps', [1, 700, 1], 2048, 2, 'full'],
  ['long sums of blocks', [40, 200, 3], 70, 2, 'same'],
]

const { target: referenceTarget } = await referenceDevice.get()

/** Recorded cases that the algorithm applies to. */
const cases = convCases.filter((record) => {
  const node = record.build(...record.inputs.map(({ shape }, i) => inputNode(i, shape, 'f32')))
  return (node.op as KernelOp<unknown>).algorithms.some(
    ({ name, applies }) => name === 'fft' && applies(node, referenceTarget),
  )
})

const known = new Map<string, Promise<ArrayLike<number>[]>>()

/** Direct sums in double precision, computed once. */
function exactly(...args: Parameters<typeof passes>): Promise<ArrayLike<number>[]> {
  const key = JSON.stringify(args)
  const values =
    known.get(key) ?? choosing(referenceDevice, { precise: true }).then((device) => evaluate(device, passes(...args)))
  known.set(key, values)
  return values
}

describe.each(testDevices.map((device) => [device.name, device] as const))('fft on %s', (_name, device) => {
  test.each(cases.map((c) => [c.name, c] as const))('%s', async (_case, record) => {
    await runCase(record, await choosing(device, choice), device.precision === 'f64' ? 1e-7 : 1e-6)
  })

  test.each(shapes)('%s', async (_shape, x, taps, out, padding) => {
    const expected = await exactly(x, taps, out, padding)
    const actual = await evaluate(await choosing(device, choice), passes(x, taps, out, padding))
    for (const [i, values] of actual.entries()) expectClose(values, expected[i], toleranceOn(device), `pass ${i}`)
  })

  test('maps that are fused behind', async () => {
    const attributes = { stride: [1], dilation: [1], pads: [[30, 20]] as const, groups: 1 }
    await checkEpilogues(conv1d(random(1, 2, 150, 5), random(2, 64, 5, 17), { padding: 'same' }), device)
    const upstream = random(1, 2, 137, 17)
    const weight = random(2, 64, 18, 17)
    await checkEpilogues(makeNode(convInputGradientOp, [upstream, weight], { ...attributes, size: [150] }), device)
  })
})

/** Bias, activation, residual, and an output of another type beside them. */
async function checkEpilogues(node: Node, device: TestDevice): Promise<void> {
  const columns = node.shape[node.shape.length - 1]
  const bias = goldenValues(3, columns)
  const rectified = relu(add(node, dataNode(bias, [columns], 'f32')))
  const mask = greater(rectified, constantNode(0.25))
  const scaled = add(mul(rectified, random(4, ...node.shape)), dataNode(Float32Array.of(1.5), [], 'f32'))
  const { target } = await device.get()
  const calls = schedule([rectified, mask, scaled], [], target, choice).calls
  expect(calls.length, 'kernels').toBe(5)
  const [plain] = await evaluate(await choosing(referenceDevice, { precise: true }), [node])
  const residual = goldenValues(4, plain.length)
  const expected = Array.from(plain, (value, i) => Math.max(0, value + bias[i % columns]))
  const [a, b, c] = await evaluate(await choosing(device, choice), [rectified, mask, scaled])
  const tolerance = device.precision === 'f64' ? 1e-7 : 1e-6
  expectClose(a, expected, tolerance, 'rectified')
  const products = expected.map((value, i) => value * residual[i] + 1.5)
  expectClose(c, products, tolerance, 'scaled')
  expect(b).toEqual(Uint8Array.from(a, (value) => Number(value > 0.25)))
}

test('some of the recorded cases are long and one-dimensional, in all passes', () => {
  expect(cases.length).toBeGreaterThanOrEqual(6)
})

test('results of the two blocks of a pair do not mix, whatever their size', async () => {
  const values = new Float32Array(2 * 512)
  values.fill(1e-3, 0, 512)
  values.fill(1e3, 512)
  const x = dataNode(values, [2, 512, 1], 'f32')
  const y = conv1d(x, random(2, 64, 1, 1))
  const [expected] = await evaluate(await choosing(referenceDevice, { precise: true }), [y])
  const [actual] = await evaluate(await choosing(referenceDevice, choice), [y])
  expectClose(Array.from(actual).slice(0, 449), Array.from(expected).slice(0, 449), 1e-9)
})

test('gradients of the result and of both gradients', async () => {
  const build = (x: Node, weight: Node) => conv1d(x, weight, { padding: 'same' })
  const data = (salt: number, shape: readonly number[]) => ({
    shape,
    dtype: 'f32' as const,
    data: goldenValues(
      salt,
      shape.reduce((a, b) => a * b, 1),
    ),
  })
  await checkNodeGradients(build, [data(1, [1, 40, 2]), data(2, [17, 2, 3])])
})

const machines = testDevices.filter(({ name }) => !name.startsWith('interpreter'))

test('the same bits for any number of threads', async () => {
  const nodes = () => [...passes([5, 700, 24], 70, 40, 'same'), ...passes([2, 2000, 3], 64, 5, 'valid')]
  for (const kind of new Set(machines.map(({ name }) => name.split(',')[0]))) {
    const same = machines.filter(({ name }) => name.startsWith(kind))
    const results = await Promise.all(same.map(async (m) => evaluate(await choosing(m, choice), nodes())))
    for (const result of results) expect(result).toEqual(results[0])
  }
})

test('another batch or number of channels compiles no kernel', async () => {
  const device = await choosing(machines[0], choice)
  await evaluate(device, passes([8, 600, 24], 64, 24, 'same'))
  const { compiled } = device.backend.kernels
  for (const batch of [1, 3, 30]) await evaluate(device, passes([batch, 600, 24], 64, 24, 'same'))
  await evaluate(device, passes([2, 600, 20], 70, 21, 'same'))
  expect(device.backend.kernels.compiled).toBe(compiled)
})

test('errors stay below those that the choice assumes', async () => {
  const nodes = passes([2, 1500, 20], 400, 24, 'same')
  const exact = await evaluate(await choosing(referenceDevice, choice), nodes)
  for (const machine of machines) {
    const actual = await evaluate(await choosing(machine, choice), nodes)
    for (const [i, values] of actual.entries()) expect(relativeError(values, exact[i]), `pass ${i}`).toBeLessThan(5e-7)
  }
})

describe('the choice', () => {
  const chosen = (device: Device, node: Node, options = {}) => {
    const { calls } = schedule([node], [], device.target, options)
    return /\((\w+)\)$/.exec(calls[calls.length - 1].label)?.[1]
  }
  const layer = (batch: number, length: number, channels: number, taps: number, out: number, options = {}) =>
    conv1d(
      inputNode(0, [batch, length, channels], 'f32'),
      inputNode(1, [taps, channels / (('groups' in options ? options.groups : 1) as number), out], 'f32'),
      options,
    )

  test.each(machines.map((machine) => [machine.name, machine] as const))(
    'takes it for long kernels on %s',
    async (_, m) => {
      const device = await m.get()
      for (const channels of [32, 64, 128, 256])
        expect(chosen(device, layer(8, 4096, channels, 64, channels))).toBe('fft')
      expect(chosen(device, layer(8, 16_000, 1, 400, 64))).toBe('fft')
    },
  )
  test('stays with the definition for short signals and small works', async () => {
    const device = await machines[0].get()
    expect(chosen(device, layer(1, 64, 1, 64, 1))).toBe('direct')
    expect(chosen(device, layer(1, 80, 4, 64, 4))).toBe('direct')
  })
  test('stays with the definition where spectra would take too much memory', async () => {
    const device = await machines[0].get()
    expect(chosen(device, layer(1, 4096, 1024, 64, 1024), choice)).toBe('direct')
  })
  test('leaves it out when asked to be precise', async () => {
    expect(chosen(await machines[0].get(), layer(8, 4096, 64, 64, 64), { precise: true })).toBe('direct')
  })
  test('applies to no other stride, dilation, groups, or second axis', async () => {
    const device = await machines[0].get()
    for (const options of [{ stride: 2 }, { dilation: 2 }, { groups: 2 }])
      expect(chosen(device, layer(8, 4096, 8, 64, 8, options), choice)).not.toBe('fft')
    const plane = conv2d(inputNode(0, [2, 3, 400, 4], 'f32'), inputNode(1, [1, 64, 4, 4], 'f32'))
    expect(chosen(device, plane, choice)).not.toBe('fft')
  })
})
