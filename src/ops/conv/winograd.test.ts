import { describe, expect, test } from 'vitest'
import { goldenValues } from '../../../test/golden/values.ts'
import { Device, evaluate } from '../../engine/index.ts'
import { dataNode, makeNode, type Node } from '../../graph/node.ts'
import { referenceDevice, type TestDevice, testDevices } from '../../testing/each-backend.ts'
import { expectClose, relativeError } from '../../testing/expect-close.ts'
import { runCase } from '../../testing/run-case.ts'
import { relu } from '../activations.ts'
import { add, greater, mul } from '../elementwise.ts'
import { convCases } from './conv.cases.ts'
import { type ConvOptions, conv2d, convInputGradientOp, convWeightGradientOp } from './index.ts'

const algorithms = ['winograd4', 'winograd2'] as const

/**
 * In single precision the transforms cancel: errors are a few times those of direct sums and relative to the largest
 * result, not to each (measured up to 5e-6 for F(4×4, 3×3) with 512 channels). In double precision the algorithm is exact.
 */
const tolerance = (device: TestDevice) => (device.precision === 'f64' ? 1e-7 : 2e-5)

/** The same machine with another choice. */
async function choosing(test: TestDevice, algorithm: string): Promise<Device> {
  const { backend, verify } = await test.get()
  const device = new Device(backend)
  device.choice = { algorithm }
  device.verify = verify
  return device
}

const random = (salt: number, ...shape: readonly number[]) =>
  dataNode(
    goldenValues(
      salt,
      shape.reduce((a, b) => a * b, 1),
    ),
    shape,
    'f32',
  )

/** Result and both gradients. */
function passes(x: readonly number[], out: number, padding: ConvOptions['padding']): Node[] {
  const input = random(1, ...x)
  const weight = random(2, 3, 3, x[3], out)
  const y = conv2d(input, weight, { padding })
  const upstream = random(3, ...y.shape)
  const { stride, dilation, pads, groups } = y.attributes as Record<string, unknown> & { stride: number[] }
  const attributes = { stride, dilation, pads, groups } as never as Parameters<typeof makeGradients>[2]
  return [y, ...makeGradients(input, [weight, upstream], attributes)]
}

function makeGradients(
  input: Node,
  [weight, upstream]: readonly [Node, Node],
  attributes: { stride: number[]; dilation: number[]; pads: [number, number][]; groups: number },
): Node[] {
  return [
    makeNode(convInputGradientOp, [upstream, weight], { ...attributes, size: input.shape.slice(1, 3) }) as Node,
    makeNode(convWeightGradientOp, [input, upstream], { ...attributes, kernel: [3, 3] }) as Node,
  ]
}

const shapes: [string, readonly number[], number, ConvOptions['padding']][] = [
  ['one pixel', [1, 1, 1, 1], 1, 'same'],
  ['one pixel, full', [2, 1, 1, 3], 5, 'full'],
  ['one output', [1, 3, 3, 5], 17, 'valid'],
  ['whole tiles', [2, 8, 8, 16], 16, 'same'],
  ['partial tiles', [1, 7, 9, 17], 3, 'same'],
  ['no padding', [2, 10, 13, 8], 12, 'valid'],
  ['wider than a patch', [1, 6, 5, 70], 33, 'same'],
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

for (const algorithm of algorithms) {
  describe.each(testDevices.map((device) => [device.name, device] as const))(`${algorithm} on %s`, (_name, device) => {
    const cases = convCases.filter(({ inputs: [a, b] }) => a.shape.length === 4 && b.shape.length === 4)
    test.each(cases.map((c) => [c.name, c] as const))('%s', async (_case, record) => {
      await runCase(record, await choosing(device, algorithm), tolerance(device))
    })

    test.each(shapes)('%s', async (_shape, x, out, padding) => {
      const expected = await evaluate(await choosing(referenceDevice, 'direct'), passes(x, out, padding))
      const actual = await evaluate(await choosing(device, algorithm), passes(x, out, padding))
      for (const [i, values] of actual.entries()) expectClose(values, expected[i], tolerance(device), `pass ${i}`)
    })
  })
}
