import { describe, expect, test } from 'vitest'
import { goldenError, goldenInput, loadOpCases } from '../../test/golden/values.ts'
import { gradient } from '../autodiff/gradient.ts'
import { evaluate } from '../engine/index.ts'
import { dataNode, inputNode, type Node } from '../graph/node.ts'
import { testDevices } from '../testing/each-backend.ts'
import { checkCaseGradients, runCase } from '../testing/run-case.ts'
import { composedPoolCases, poolCases } from './pool.cases.ts'
import { type AvgPoolOptions, avgPool, globalAvgPool, maxPool, type PoolOptions } from './pool.ts'

for (const device of testDevices) {
  test(`cases on ${device.name}`, async () => {
    for (const record of [...poolCases, ...composedPoolCases]) await runCase(record, await device.get())
  })

  test(`PyTorch's numbers on ${device.name}`, async () => {
    for (const golden of loadOpCases('maxPool', 'avgPool')) {
      const spec = golden.inputs.x
      const x = dataNode(goldenInput(spec), spec.shape, 'f32')
      const pool = golden.op === 'maxPool' ? maxPool : avgPool
      const y = pool(x, golden.options as PoolOptions)
      const upstream = golden.upstream && dataNode(goldenInput(golden.upstream), y.shape, 'f32')
      const results = await evaluate(await device.get(), [y, ...(gradient(y, [x], upstream) as Node[])])
      expect(goldenError(results[0], golden.outputs.y), golden.name).toBeLessThan(1e-6)
      expect(goldenError(results[1], golden.gradients.x), `${golden.name}, gradient`).toBeLessThan(1e-6)
    }
  })

  test(`a NaN wins on ${device.name}`, async () => {
    const nan = Number.NaN
    const x = dataNode(Float32Array.of(nan, 1, 2, 3, 4, nan, 5, 6), [1, 8, 1], 'f32')
    const [y] = await evaluate(await device.get(), [maxPool(x, { kernelSize: 2 })])
    expect(Array.from(y)).toEqual([nan, 3, nan, 6])
  })
}

test.each([...poolCases, ...composedPoolCases].map((c) => [c.name, c] as const))(
  'gradients of %s',
  async (_name, record) => checkCaseGradients(record),
)

describe('what is refused', () => {
  const x = inputNode(0, [1, 4, 4, 3], 'f32')
  const cases: [string, () => unknown, string][] = [
    [
      'an input without spatial axes',
      () => maxPool(inputNode(0, [4, 3], 'f32'), { kernelSize: 2 }),
      `maxPool: x has 2 axes.
  got       x [4, 3]
  expected  x [batch, length, channels], [batch, height, width, channels] or [batch, depth, height, width, channels]
  fix       reshape it; axes of 1 stand for one image or one channel`,
    ],
    [
      'the same for the global mean',
      () => globalAvgPool(inputNode(0, [3], 'f32')),
      `globalAvgPool: x has 1 axis.
  got       x [3]
  expected  x [batch, length, channels], [batch, height, width, channels] or [batch, depth, height, width, channels]
  fix       reshape it; axes of 1 stand for one image or one channel`,
    ],
    [
      'no window',
      () => avgPool(x, {} as AvgPoolOptions),
      `avgPool: kernelSize is missing.
  expected  the extent of the window, one number or one for each spatial axis
  fix       give kernelSize: 2`,
    ],
    [
      'a window of 0',
      () => maxPool(x, { kernelSize: 0 }),
      `maxPool: kernelSize makes no sense.
  got       kernelSize 0
  expected  a whole number of at least 1, or one for each of the 2 spatial axes
  fix       give kernelSize: 1 or more`,
    ],
    [
      'a window larger than the input',
      () => maxPool(x, { kernelSize: 5, stride: 1 }),
      `maxPool: the kernel is larger than the input.
  got       input [4, 4], kernel [5, 5]
  expected  the kernel to fit into the input with its padding on every spatial axis
  fix       padding 'same' gives an output of [4, 4], 'full' one of [8, 8], 1 on every side one of [2, 2]; or use a smaller kernel`,
    ],
    [
      'padding as large as the window',
      () => maxPool(x, { kernelSize: 2, padding: 2 }),
      `maxPool: padding is as large as the window.
  got       padding 2, kernelSize [2, 2]
  expected  less padding on each side than the window has elements, so that no window is empty
  fix       pad less, or pad the input itself with pad`,
    ],
    [
      'integers',
      () => maxPool(inputNode(0, [1, 4, 4, 3], 'i32'), { kernelSize: 2 }),
      `maxPool: x has dtype i32.
  got       x i32 [1, 4, 4, 3]
  expected  f32
  fix       cast it first, for instance with .cast('f32')`,
    ],
    [
      'an option of the other pool',
      () => maxPool(x, { kernelSize: 2, countIncludePad: false } as PoolOptions),
      `maxPool: unknown option 'countIncludePad'.
  expected  kernelSize, stride, dilation, padding, ceil
  fix       use one of: kernelSize, stride, dilation, padding, ceil`,
    ],
  ]
  test.each(cases)('%s', (_name, make, message) => expect(messageOf(make)).toBe(message))
})

function messageOf(make: () => unknown): string {
  try {
    make()
  } catch (error) {
    return (error as Error).message
  }
  return 'nothing was thrown'
}
