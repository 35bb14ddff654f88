/** Gradients held against central differences in one random direction, in double precision. */

import { gradient } from '../autodiff/gradient.ts'
import type { DType, TypedArray } from '../base/dtype.ts'
import { Random } from '../base/random.ts'
import { type Shape, sizeOf } from '../base/shape.ts'
import { type Device, Program } from '../engine/index.ts'
import { constantNode, dataNode, inputNode, type Node } from '../graph/node.ts'
import { broadcastTo, mul, sum } from '../ops/index.ts'
import { Tensor } from '../tensor/index.ts'
import { Trace, withTrace } from '../tensor/trace.ts'
import { referenceDevice } from './each-backend.ts'

export interface CheckGradientsOptions {
  /** Largest difference between gradient and central difference, relative to their magnitude; default 1e-6. */
  readonly tolerance?: number
  /** How far the central difference reaches; default 1e-5. */
  readonly step?: number
  /** Directions and the upstream gradient are drawn from it; default 0. */
  readonly seed?: number
}

/** Values of an input; f32 ones are differentiated, the others held. */
export interface GradientInput {
  readonly shape: Shape
  readonly dtype: DType
  readonly data: TypedArray
}

/**
 * Throws when the gradient of a function of tensors does not agree with central differences. Each f32 input is moved
 * along one random direction; everything is computed in double precision. Keep inputs away from kinks such as ReLU at 0.
 * @param f what a user writes: tensors in, one tensor out, of any shape
 * @throws Error that names the input, the gradient and the central difference
 * @example
 * await checkGradients((x, w) => relu(x.matmul(w)).sum(), [x, w])
 */
export async function checkGradients(
  f: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  options: CheckGradientsOptions = {},
): Promise<void> {
  const values: GradientInput[] = []
  for (const input of inputs) values.push({ shape: input.shape, dtype: input.dtype, data: await input.data() })
  // What the function assigns, such as running statistics, is not stored.
  const build = (...nodes: Node[]): Node => {
    const trace = new Trace()
    try {
      return withTrace(trace, () => f(...nodes.map((node) => new Tensor(node))).node)
    } finally {
      trace.abandon()
    }
  }
  await checkNodeGradients(build, values, options)
}

/** {@link checkGradients} for functions of graph nodes, which case records hold. */
export async function checkNodeGradients(
  build: (...inputs: Node[]) => Node,
  inputs: readonly GradientInput[],
  options: CheckGradientsOptions = {},
): Promise<void> {
  const { tolerance = 1e-6, step = 1e-5, seed = 0 } = options
  const device = await referenceDevice.get()
  const random = new Random(seed, 'check-gradients')
  const draw = (size: number) => Float64Array.from({ length: size }, () => random.uniform(-1, 1))
  const arrays = inputs.map(({ dtype, data }) => (dtype === 'f32' ? Float64Array.from(data) : data))
  const nodes = inputs.map(({ shape, dtype }, i) => inputNode(i, shape, dtype))
  const y = build(...nodes)
  const upstream = dataNode(draw(sizeOf(y.shape)), y.shape, 'f32')
  const real = nodes.filter((node) => node.dtype === 'f32')
  const gradients = gradient(y, real, upstream)
  const outputs = gradients.map((g, i) => g ?? broadcastTo(constantNode(0), real[i].shape))
  for (const [i, g] of outputs.entries()) checkShape(i, g, real[i])
  const computed = await run(device, outputs, arrays)
  const value = new Program(device, [sum(mul(y, upstream))], [])
  for (const [i, node] of real.entries()) {
    const at = nodes.indexOf(node)
    const direction = draw(sizeOf(node.shape))
    const moved = async (distance: number): Promise<number> => {
      const values = [...arrays]
      values[at] = Float64Array.from(arrays[at], (x, j) => x + distance * direction[j])
      return (await value.run(values))[0][0]
    }
    const numeric = ((await moved(step)) - (await moved(-step))) / (2 * step)
    let analytic = 0
    let squares = 0
    for (const [j, g] of [...computed[i]].entries()) {
      analytic += g * direction[j]
      squares += g * g
    }
    // A direction may happen to be almost orthogonal to the gradient.
    const magnitude = Math.max(Math.abs(analytic), Math.abs(numeric), 1e-2 * Math.sqrt(squares), 1e-4)
    const error = Math.abs(analytic - numeric) / magnitude
    if (error <= tolerance) continue
    throw new Error(
      `gradient of input ${at} [${node.shape}]: ${analytic} along a random direction, central difference ${numeric}, ` +
        `relative error ${error.toExponential(2)} above ${tolerance}`,
    )
  }
  value.release()
}

function checkShape(i: number, g: Node, input: Node): void {
  if (g.shape.join() !== input.shape.join() || g.dtype !== 'f32') {
    throw new Error(`gradient of input ${i}: ${g.dtype} [${g.shape}] for an input of f32 [${input.shape}]`)
  }
}

async function run(device: Device, outputs: readonly Node[], arrays: readonly TypedArray[]): Promise<TypedArray[]> {
  const program = new Program(device, outputs, [])
  const results = await program.run(arrays)
  program.release()
  return results
}
