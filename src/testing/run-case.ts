/** Runs case records: against their reference on any device, and their gradients in double precision. */
import type { TypedArray } from '../base/dtype.ts'
import { Random } from '../base/random.ts'
import { sizeOf } from '../base/shape.ts'
import { type Device, evaluate } from '../engine/index.ts'
import { dataNode } from '../graph/node.ts'
import type { CaseInput, OpCase } from './case.ts'
import { checkNodeGradients, type GradientInput } from './check-gradients.ts'
import { expectClose } from './expect-close.ts'

function draw({ shape, dtype = 'f32', values, range = [-1, 1] }: CaseInput, random: Random): GradientInput {
  const number = () => {
    const [low, high] = range
    return dtype === 'f32' ? random.uniform(low, high) : Math.floor(random.uniform(low, high + 1))
  }
  const list = values ?? Array.from({ length: sizeOf(shape) }, number)
  const data: TypedArray =
    dtype === 'f32' ? Float32Array.from(list) : dtype === 'i32' ? Int32Array.from(list) : Uint8Array.from(list)
  return { shape, dtype, data }
}

/** The inputs of a case; equal for every caller. */
export function caseInputs(record: OpCase): GradientInput[] {
  return record.inputs.map((input, i) => draw(input, new Random(i, record.name)))
}

/**
 * Holds a case against its reference.
 * @param tolerance largest error; default the case's own
 * @throws Error when they differ, or differ in shape
 */
export async function runCase(record: OpCase, device: Device, tolerance = record.tolerance ?? 1e-6): Promise<void> {
  const inputs = caseInputs(record)
  const expected = record.reference(...inputs.map(({ shape, data }) => ({ shape, data: Float64Array.from(data) })))
  const node = record.build(...inputs.map(({ shape, dtype, data }) => dataNode(data, shape, dtype)))
  if (node.shape.join() !== expected.shape.join()) {
    throw new Error(`${record.name}: shape [${node.shape}], reference [${expected.shape}]`)
  }
  const [actual] = await evaluate(device, [node])
  expectClose(actual, expected.data, tolerance, record.name)
}

/** Checks the gradients of a case with respect to all its f32 inputs; nothing where the case says that there are none. */
export async function checkCaseGradients(record: OpCase): Promise<void> {
  if (record.gradient !== undefined) return
  const inputs = caseInputs(record)
  const real = inputs.some(({ dtype }) => dtype === 'f32')
  if (!real || record.build(...inputs.map(({ shape, dtype, data }) => dataNode(data, shape, dtype))).dtype !== 'f32')
    return
  await checkNodeGradients(record.build, inputs)
}
