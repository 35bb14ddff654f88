import { describe, expect, it } from 'vitest'
import { gradient } from '../autodiff/gradient.ts'
import { constantNode, inputNode, type Node, Variable, variableNode } from '../graph/node.ts'
import * as ops from '../ops/index.ts'
import { referenceDevice } from '../testing/each-backend.ts'
import { Accesses } from './access.ts'
import { fuse } from './fuse.ts'
import { simplify } from './simplify.ts'
import { storageTypes } from './storage.ts'

const weight = (name: string, ...shape: number[]) =>
  variableNode(new Variable(name, shape, 'f32', new Float32Array(shape.reduce((a, b) => a * b, 1))))

/** What goes through memory: the op, the shape and how it lies there. */
async function stored(roots: readonly Node[]): Promise<string[]> {
  const { target } = await referenceDevice.get()
  const { nodes, roots: kept } = simplify(roots)
  const accesses = new Accesses()
  for (const node of nodes) accesses.of(node)
  const sources = new Set(kept.map((root) => accesses.of(root).source))
  const fusion = fuse(nodes, sources, accesses, target, { precision: 'bf16' })
  const types = storageTypes(nodes, fusion, sources, accesses, 'bf16')
  return fusion.units.flatMap(({ members }) =>
    members
      .filter((node) => fusion.stored.has(node))
      .map((node) => `${node.op.name} [${node.shape}] ${types.get(node) ?? node.dtype}`),
  )
}

/** conv - batch norm - relu - conv - batch norm - add - relu, its loss, and the next values of its weights. */
function residualBlock() {
  const x = ops.relu(inputNode(0, [2, 6, 6, 4], 'f32'))
  const weights = [weight('w1', 3, 3, 4, 4), weight('w2', 3, 3, 4, 4)]
  const [scale, shift] = [weight('scale', 4), weight('shift', 4)]
  const first = ops.batchNorm(ops.conv2d(x, weights[0], { padding: 'same' }), scale, shift)
  const second = ops.batchNorm(ops.conv2d(ops.relu(first.y), weights[1], { padding: 'same' }), scale, shift)
  const y = ops.relu(ops.add(second.y, x))
  const head = weight('head', 4, 3)
  const logits = ops.matmul(ops.mean(y, [1, 2]), head)
  const loss = ops.crossEntropy(logits, inputNode(1, [2], 'i32'))
  return { y, loss, running: first.mean, parameters: [...weights, scale, shift, head] }
}

/** One step of gradient descent. */
function updated(loss: Node, parameters: readonly Node[]): Node[] {
  const gradients = gradient(loss, parameters) as readonly Node[]
  const rate = constantNode(0.1)
  return parameters.map((parameter, i) =>
    ops.sub(parameter, ops.mul(gradients[i], ops.broadcastTo(rate, parameter.shape))),
  )
}

describe('what lies in memory as bf16', () => {
  it('activations between contractions, not statistics, in a forward pass', async () => {
    const { loss, running } = residualBlock()
    expect(await stored([loss, running])).toMatchInlineSnapshot(`
      [
        "relu [2,6,6,4] bf16",
        "conv [2,6,6,4] bf16",
        "mul [1,1,1,4] f32",
        "mul [4] f32",
        "relu [2,6,6,4] bf16",
        "conv [2,6,6,4] bf16",
        "mul [1,1,1,4] f32",
        "mul [4] f32",
        "mul [2,4] f32",
        "matmul [2,3] f32",
        "select [2,1] f32",
        "sub [2,1] f32",
        "iota [3] i32",
        "mul [] f32",
      ]
    `)
  })

  it('activations and their gradients, not what the optimizer makes weights of', async () => {
    const { loss, parameters } = residualBlock()
    expect(await stored([loss, ...updated(loss, parameters)])).toMatchInlineSnapshot(`
      [
        "relu [2,6,6,4] bf16",
        "conv [2,6,6,4] bf16",
        "mul [1,1,1,4] f32",
        "rsqrt [1,1,1,4] f32",
        "mul [4] f32",
        "mul [4] f32",
        "relu [2,6,6,4] bf16",
        "conv [2,6,6,4] bf16",
        "mul [1,1,1,4] f32",
        "rsqrt [1,1,1,4] f32",
        "mul [4] f32",
        "mul [4] f32",
        "relu [2,6,6,4] bf16",
        "mul [2,4] f32",
        "matmul [2,3] f32",
        "select [2,1] f32",
        "sub [2,1] f32",
        "reciprocal [2,1] f32",
        "iota [3] i32",
        "logicalAnd [2] bool",
        "select [2] f32",
        "mul [] f32",
        "mul [2,3] bf16",
        "mul [2,4] bf16",
        "sub [4,3] f32",
        "reluMask [2,6,6,4] bf16",
        "sum [1,1,1,4] f32",
        "neg [4] f32",
        "neg [4] f32",
        "mul [4] f32",
        "add [2,6,6,4] bf16",
        "reluMask [2,6,6,4] bf16",
        "convWeightGradient [3,3,4,4] f32",
        "neg [4] f32",
        "neg [4] f32",
        "sub [4] f32",
        "sub [4] f32",
        "add [2,6,6,4] bf16",
        "convWeightGradient [3,3,4,4] f32",
        "sub [3,3,4,4] f32",
        "sub [3,3,4,4] f32",
      ]
    `)
  })

  it('nothing that is handed out, nor what it is made of in maps', async () => {
    const { y } = residualBlock()
    const types = await stored([y])
    expect(types.filter((text) => text.startsWith('relu [2,6,6,4]'))).toMatchInlineSnapshot(`
      [
        "relu [2,6,6,4] f32",
        "relu [2,6,6,4] bf16",
        "relu [2,6,6,4] f32",
      ]
    `)
  })

  it('nothing that a kernel reads which knows f32 alone', async () => {
    const x = ops.relu(inputNode(0, [4, 8], 'f32'))
    const product = ops.matmul(x, weight('w', 8, 5))
    expect(await stored([ops.argmax(product)])).toMatchInlineSnapshot(`
      [
        "relu [4,8] bf16",
        "matmul [4,5] f32",
        "argmax [4] i32",
      ]
    `)
  })

  it('the largest elements of windows only where their input does too', async () => {
    const input = inputNode(0, [1, 4, 4, 8], 'f32')
    const pooled = (x: Node) => ops.conv2d(ops.maxPool(x, { kernelSize: 2 }), weight('w', 1, 1, 8, 8))
    expect(await stored([pooled(ops.relu(input))])).toMatchInlineSnapshot(`
      [
        "relu [1,4,4,8] bf16",
        "maxPool [1,2,2,8] bf16",
        "conv [1,2,2,8] f32",
      ]
    `)
    expect(await stored([pooled(input)])).toMatchInlineSnapshot(`
      [
        "maxPool [1,2,2,8] f32",
        "conv [1,2,2,8] f32",
      ]
    `)
  })
})
