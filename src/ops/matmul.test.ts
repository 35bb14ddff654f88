import { describe, expect, test } from 'vitest'
import { goldenError, goldenInput, loadOpCases } from '../../test/golden/values.ts'
import { gradient } from '../autodiff/gradient.ts'
import { evaluate } from '../engine/index.ts'
import { dataNode, inputNode, type Node } from '../graph/node.ts'
import { testDevices } from '../testing/each-backend.ts'
import { checkCaseGradients, runCase } from '../testing/run-case.ts'
import { matmulCases } from './matmul.cases.ts'
import { matmul } from './matmul.ts'

for (const device of testDevices) {
  test(`cases on ${device.name}`, async () => {
    for (const record of matmulCases) await runCase(record, await device.get())
  })

  test(`PyTorch's numbers on ${device.name}`, async () => {
    for (const golden of loadOpCases('matmul')) {
      const inputs = Object.values(golden.inputs).map((spec) => dataNode(goldenInput(spec), spec.shape, 'f32'))
      const y = matmul(inputs[0], inputs[1])
      const upstream = golden.upstream && dataNode(goldenInput(golden.upstream), y.shape, 'f32')
      const results = await evaluate(await device.get(), [y, ...(gradient(y, inputs, upstream) as Node[])])
      const expected = [golden.outputs.y, golden.gradients.a, golden.gradients.b]
      for (const [i, result] of results.entries()) {
        expect(goldenError(result, expected[i]), `${golden.name}, result ${i}`).toBeLessThan(2e-6)
      }
    }
  })
}

test.each(matmulCases.map((c) => [c.name, c] as const))('gradients of %s', async (_name, record) =>
  checkCaseGradients(record),
)

describe('what is refused', () => {
  const input = (...shape: number[]) => inputNode(0, shape, 'f32')
  const cases: [string, () => unknown, string][] = [
    [
      'inner extents that differ',
      () => matmul(input(2, 3), input(2, 3)),
      `matmul: a has 3 columns, b has 2 rows.
  got       a [2, 3], b [2, 3]
  expected  a [..., m, k] and b [..., k, n] with the same k
  fix       transpose one of them, or check which axis is which`,
    ],
    [
      'vectors of different length',
      () => matmul(input(4), input(1)),
      `matmul: a has 4 columns, b has 1 row.
  got       a [4], b [1]
  expected  a [..., m, k] and b [..., k, n] with the same k
  fix       transpose one of them, or check which axis is which`,
    ],
    [
      'a scalar',
      () => matmul(input(), input(3)),
      `matmul: an operand is a scalar.
  got       a [], b [3]
  expected  operands of at least one axis
  fix       multiply by a scalar with mul`,
    ],
    [
      'batches that cannot be broadcast',
      () => matmul(input(2, 3, 4), input(3, 4, 5)),
      `matmul: shapes cannot be broadcast together: axis 0 has 2 and 3 elements.
  got       [2] and [3]
  expected  equal extents, or 1, on every axis counted from the end
  fix       reshape one operand so that its axes line up, for instance with .reshape or an axis of 1`,
    ],
    [
      'integers',
      () => matmul(inputNode(0, [2, 3], 'i32'), input(3, 4)),
      `matmul: a has dtype i32.
  got       a i32 [2, 3]
  expected  f32
  fix       cast it first, for instance with .cast('f32')`,
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
