/** Programs of precision bf16: the ops on every backend, held against their references on rounded inputs. */
import { describe, expect, it } from 'vitest'
import { createInterpretBackend } from '../src/backends/interpret/index.ts'
import { roundToBfloat16 } from '../src/base/bfloat16.ts'
import type { TypedArray } from '../src/base/dtype.ts'
import { Device } from '../src/engine/device.ts'
import { Program } from '../src/engine/program.ts'
import { dataNode, inputNode, type Node } from '../src/graph/node.ts'
import { convCases } from '../src/ops/conv/conv.cases.ts'
import { conv2d, matmul, neg, reshape } from '../src/ops/index.ts'
import { matmulCases } from '../src/ops/matmul.cases.ts'
import { cases as normCases } from '../src/ops/norm.cases.ts'
import { poolCases } from '../src/ops/pool.cases.ts'
import type { OpCase } from '../src/testing/case.ts'
import { testDevices } from '../src/testing/each-backend.ts'
import { expectClose } from '../src/testing/expect-close.ts'
import { caseInputs } from '../src/testing/run-case.ts'

function interpreter(bf16Dot: boolean): Device {
  const device = new Device(createInterpretBackend({ lanes: 4, bf16Dot }))
  device.verify = true
  return device
}

const devices: readonly (readonly [string, () => Promise<Device>])[] = [
  ['interpreter, 4 lanes', async () => interpreter(false)],
  ['interpreter, 4 lanes, dot2', async () => interpreter(true)],
  ...testDevices.filter(({ name }) => name.endsWith('2 threads')).map(({ name, get }) => [name, () => get()] as const),
]

/** A map in front of an input, so that it goes through memory; it changes no bit. */
const throughMemory = (x: Node): Node => (x.dtype === 'f32' ? neg(neg(x)) : x)

/** The result through memory as well: what a product reads, here with the identity. */
function rounded(y: Node): Node {
  const columns = y.shape[y.shape.length - 1] ?? 1
  const identity = Float32Array.from({ length: columns ** 2 }, (_, i) => (i % (columns + 1) === 0 ? 1 : 0))
  const rows = y.shape.reduce((a, b) => a * b, 1) / columns
  return matmul(reshape(y, [rows, columns]), dataNode(identity, [columns, columns], 'f32'))
}

async function run(
  device: Device,
  root: Node,
  inputs: readonly TypedArray[] = [],
): Promise<{ values: TypedArray; kernels: string[] }> {
  const program = new Program(device, [root], [], 'bf16')
  const [values] = await program.run(inputs)
  program.release()
  return { values, kernels: program.plan.calls.map((call) => call.spec.key) }
}

/** Inputs that bf16 can hold, and what the op makes of them. Beside the first `batched` ones they are constants. */
function prepare(record: OpCase, batched = 9) {
  const inputs = caseInputs(record).map(({ shape, dtype, data }) => ({
    shape,
    dtype,
    data: dtype === 'f32' ? Float32Array.from(data, roundToBfloat16) : data,
  }))
  const expected = record.reference(...inputs.map(({ shape, data }) => ({ shape, data: Float64Array.from(data) })))
  const nodes = inputs.map(({ shape, dtype, data }, i) =>
    i < batched ? throughMemory(inputNode(i, shape, dtype)) : dataNode(data, shape, dtype),
  )
  return { expected: expected.data, inputs: inputs.map(({ data }) => data), nodes }
}

// Half a unit in the last of 8 bits: 2 ** -8 of a number just above a power of two.
const roundingError = 2 ** -8

const families = [
  ['convolutions', convCases, 9],
  ['products', matmulCases, 9],
  ['pools', poolCases, 9],
  // Weights and statistics are no batches.
  ['norms', normCases, 1],
] as const

describe.each(devices)('bf16 on %s', (_, get) => {
  it.each(families)('%s read bf16 and give what f32 gives', async (_family, records, batched) => {
    const device = await get()
    for (const record of records) {
      const { expected, inputs, nodes } = prepare(record, batched)
      const { values } = await run(device, record.build(...nodes), inputs)
      expectClose(values, expected, record.tolerance ?? 2e-6, record.name)
    }
  })

  it.each(families)('%s write bf16', async (_family, records, batched) => {
    const device = await get()
    for (const record of records) {
      const { expected, inputs, nodes } = prepare(record, batched)
      const { values } = await run(device, rounded(record.build(...nodes)), inputs)
      expectClose(values, expected, roundingError + 2 * (record.tolerance ?? 1e-6), record.name)
    }
  })

  it('multiplies bf16 activations with weights that are rounded on the way', async () => {
    const device = await get()
    for (const record of [...convCases, ...matmulCases]) {
      const { expected, inputs, nodes } = prepare(record, 1)
      const { values } = await run(device, record.build(...nodes), inputs)
      expectClose(values, expected, record.tolerance ?? 2e-6, record.name)
    }
  })
})

it('contractions use dot2 where the target has it, and where the sum is one of pairs', async () => {
  const forms = async (bf16Dot: boolean, channels: number) => {
    const size = 2 * 4 * 4 * channels
    const x = throughMemory(inputNode(0, [2, 4, 4, channels], 'f32'))
    const weight = dataNode(new Float32Array(9 * channels * 4), [3, 3, channels, 4], 'f32')
    const { kernels } = await run(interpreter(bf16Dot), conv2d(x, weight), [new Float32Array(size)])
    return kernels.map((key) => key.split('|').slice(0, 2).join(' '))
  }
  expect(await forms(true, 6)).toContain('conv pairs')
  expect(await forms(true, 3)).toContain('conv bf16')
  expect(await forms(false, 6)).toContain('conv bf16')
})
