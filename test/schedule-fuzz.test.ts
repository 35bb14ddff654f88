/**
 * The scheduler against itself: whatever a random expression is fused into, its values are those it has when every
 * single node is stored by itself. And all backends agree on them.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { gradient } from '../src/autodiff/gradient.ts'
import { createInterpretBackend } from '../src/backends/interpret/index.ts'
import { createWasmBackend } from '../src/backends/wasm/index.ts'
import { Random } from '../src/base/random.ts'
import { Device } from '../src/engine/device.ts'
import { Program } from '../src/engine/program.ts'
import { constantNode, dataNode, type Node, Variable, variableNode } from '../src/graph/node.ts'
import * as ops from '../src/ops/index.ts'

/** Grows an expression from random choices; shapes stay small, values near 1. */
function grow(seed: number, steps: number): { nodes: Node[]; variables: Variable[] } {
  const random = new Random(seed, 'fuzz')
  const pick = <T>(list: readonly T[]): T => list[random.integer(list.length)]
  const values = (size: number) => Float32Array.from({ length: size }, () => random.uniform(0.25, 1.25))
  const variables = [0, 1].map((i) => new Variable(`v${i}`, [3, 5], 'f32', values(15)))
  const nodes: Node[] = [
    ...variables.map(variableNode),
    dataNode(values(15), [3, 5], 'f32'),
    dataNode(values(5), [5], 'f32'),
    dataNode(values(60), [4, 3, 5], 'f32'),
    constantNode(0.5),
  ]
  const size = (node: Node) => node.shape.reduce((a, b) => a * b, 1)
  const fits = (a: Node, b: Node) => {
    const rank = Math.min(a.shape.length, b.shape.length)
    for (let i = 1; i <= rank; i++) {
      const [x, y] = [a.shape[a.shape.length - i], b.shape[b.shape.length - i]]
      if (x !== y && x !== 1 && y !== 1) return false
    }
    return true
  }
  const squash = (node: Node) => ops.add(ops.mul(ops.tanh(node), constantNode(0.5)), constantNode(0.75))
  for (let i = 0; i < steps; i++) {
    const a = pick(nodes)
    const rank = a.shape.length
    switch (random.integer(15)) {
      case 0:
      case 1:
      case 2: {
        const b = pick(nodes)
        if (fits(a, b)) nodes.push(pick([ops.add, ops.mul, ops.maximum, ops.sub])(a, b))
        break
      }
      case 3:
        nodes.push(pick([ops.relu, ops.sigmoid, ops.square, ops.exp])(squash(a)))
        break
      case 4:
        if (rank > 0)
          nodes.push(pick([ops.sum, ops.mean, ops.max])(a, random.integer(rank), { keepDims: random.integer(2) === 1 }))
        break
      case 11: {
        // Several over the same values, and maps on what they give.
        const axes = rank > 1 && random.integer(2) === 1 ? [rank - 2, rank - 1] : [0]
        const other = fits(a, nodes[0]) && rank === 2 ? nodes[0] : a
        if (rank === 0) break
        const [first, second] = [ops.mean(a, axes), ops.sum(squash(ops.mul(a, other)), axes)]
        if (axes.length > 1 || first.shape.join() === second.shape.join())
          nodes.push(ops.sigmoid(ops.add(first, second)))
        nodes.push(squash(ops.variance(a, axes, { correction: 0, keepDims: random.integer(2) === 1 })))
        break
      }
      case 12:
        if (rank === 3 && a.shape[1] > 1) {
          const pool = pick([ops.maxPool, ops.avgPool])
          const y = ops.relu(ops.sub(pool(a, { kernelSize: 2 }), constantNode(0.5)))
          nodes.push(y)
          // Ties would make the gradient depend on rounding.
          if (pool === ops.avgPool) nodes.push(ops.relu(gradient(ops.sum(ops.square(y)), [a])[0] as Node))
        }
        break
      case 13:
        if (rank >= 2 && size(a) > a.shape[rank - 1]) {
          const [scale, shift] = [1, 2].map(() => dataNode(values(a.shape[rank - 1]), [a.shape[rank - 1]], 'f32'))
          nodes.push(squash(ops.batchNorm(squash(a), scale, shift, 0.1).y))
        }
        break
      case 5:
        nodes.push(ops.transpose(a))
        break
      case 6:
        if (rank > 0) nodes.push(ops.flip(a, random.integer(rank)))
        break
      case 7:
        nodes.push(ops.reshape(a, [size(a)]))
        break
      case 8:
        if (rank > 0 && a.shape[0] > 1) nodes.push(ops.slice(a, [[1, undefined]]))
        break
      case 9:
        if (size(a) <= 120 && rank > 0) nodes.push(ops.concat([a, ops.neg(a)], random.integer(rank)))
        break
      case 10:
        if (rank === 2 && size(a) <= 200) nodes.push(squash(ops.matmul(a, ops.transpose(a))))
        break
      default:
        if (rank === 3 && size(a) <= 300) {
          const channels = a.shape[2]
          const weight = dataNode(values(2 * channels * 3), [2, channels, 3], 'f32')
          nodes.push(squash(ops.conv1d(a, weight, { padding: 'same', bias: dataNode(values(3), [3], 'f32') })))
        }
    }
  }
  return { nodes, variables }
}

function largestDifference(actual: ArrayLike<number>, wanted: ArrayLike<number>): number {
  if (actual.length !== wanted.length) return Number.POSITIVE_INFINITY
  let difference = 0
  for (let i = 0; i < wanted.length; i++) {
    const d = Math.abs(actual[i] - wanted[i])
    difference = Math.max(difference, Number.isNaN(d) ? Number.POSITIVE_INFINITY : d)
  }
  return difference
}

describe('random expressions', () => {
  let exact: Device
  let wasm: Device
  beforeAll(() => {
    exact = new Device(createInterpretBackend({ precision: 'f64', lanes: 4 }))
    wasm = new Device(createWasmBackend({ threads: 2 }))
    exact.verify = true
  })
  afterAll(async () => {
    await exact.close()
    await wasm.close()
  })

  it('have the same values fused and node by node, on every backend', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.integer({ min: 5, max: 40 }), async (seed, steps) => {
        const { nodes, variables } = grow(seed, steps)
        const computed = nodes.filter((node) => node.op.kind !== 'leaf')
        const alone = await new Program(exact, computed, []).run([])
        if (computed.length === 0) return
        // Differences may cancel to nothing, so errors count against the largest value anywhere in the expression.
        let scale = 1
        for (const values of alone) for (const value of values) scale = Math.max(scale, Math.abs(value))
        // Only the last values, and an update of the variables that reads them; the rest may be fused away.
        const wanted = computed.slice(-3)
        const updates = variables.map((variable, i) => ({
          variable,
          value: ops.add(variableNode(variable), ops.mul(variableNode(variables[1 - i]), constantNode(0.5))),
        }))
        for (const device of [exact, wasm]) {
          const before = await Promise.all(variables.map((variable) => Device.read(variable)))
          const fused = await new Program(device, wanted, updates).run([])
          for (const [i, values] of fused.entries()) {
            const error = largestDifference(values, alone[computed.length - wanted.length + i]) / scale
            expect(error, `seed ${seed}, ${steps} steps, output ${i}`).toBeLessThan(device === exact ? 1e-12 : 2e-5)
          }
          for (const [i, variable] of variables.entries()) {
            const after = await Device.read(variable)
            for (const [j, value] of after.entries()) expect(value).toBeCloseTo(before[i][j] + before[1 - i][j] / 2, 5)
            // The next device starts from the same values.
            await Device.write(variable, before[i])
          }
        }
      }),
      { numRuns: 200 },
    )
  })
})
