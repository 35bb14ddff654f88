import { describe, expect, it } from 'vitest'
import { makeNode } from '../graph/node.ts'
import type { MapOp } from '../graph/op.ts'
import { mul as times } from '../kernel/expression.ts'
import { relu, Tensor, tensor } from '../tensor/index.ts'
import { errorText } from './error-text.ts'
import { checkGradients, eachBackend, expectClose, relativeError, testDevices } from './index.ts'
import { whyNoNative } from './why-no-native.ts'

describe('relativeError', () => {
  it('is the largest difference over the largest magnitude', () => {
    expect(relativeError([1, 2, 8.5], [1, 2.25, 8])).toBe(0.0625)
    expect(relativeError([0.5, 0], [0, 0])).toBe(0.5)
  })
  it('takes equal infinities and NaN for equal', () => {
    expect(relativeError([Number.NaN, Number.POSITIVE_INFINITY, 2], [Number.NaN, Number.POSITIVE_INFINITY, 2])).toBe(0)
  })
  it('is infinite for anything else that is not finite, and for other lengths', () => {
    const pairs = [
      [[Number.NaN], [1]],
      [[1], [Number.NaN]],
      [[Number.POSITIVE_INFINITY], [Number.NEGATIVE_INFINITY]],
      [[1], [1, 2]],
    ] as const
    for (const [actual, expected] of pairs) expect(relativeError(actual, expected)).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('expectClose', () => {
  it('names the worst element', () => {
    expect(errorText(() => expectClose([1, 2.5, 4], [1, 2, 4], 1e-3, 'loss'))).toBe(
      'Error: loss: off by 1.25e-1 of the largest magnitude, more than 0.001; element 1 is 2.5, expected 2',
    )
    expect(errorText(() => expectClose([1, Number.NaN, 5], [1, 2, 4]))).toBe(
      'Error: values: off by Infinity of the largest magnitude, more than 0.000001; element 1 is NaN, expected 2',
    )
  })
  it('names lengths that differ', () => {
    expect(errorText(() => expectClose([1], [1, 2]))).toBe('Error: values: got 1 numbers, expected 2')
  })
})

describe('checkGradients', () => {
  const x = tensor([
    [0.5, -1, 2],
    [1.5, 0.25, -0.75],
  ])
  const w = tensor([
    [1, -2],
    [0.5, 1],
    [-1, 2],
  ])

  it('passes right gradients of several inputs, integers held', async () => {
    await checkGradients((a, b) => relu(a.matmul(b)).sum(), [x, w])
    const labels = tensor(Int32Array.of(1, 0, 2))
    await checkGradients((a, l) => a.mul(l.cast('f32')).tanh(), [x, labels])
  })

  it('takes an input that does not matter', async () => {
    await checkGradients((a, _b) => a.square(), [x, w])
  })

  it('finds a wrong gradient', async () => {
    // y = x², whose gradient is said to be g · x
    const wrong: MapOp<object> = {
      name: 'wrong',
      kind: 'map',
      infer: ([a]) => ({ shape: a.shape, dtype: 'f32' }),
      lower: (_k, [a]) => times(a, a),
      gradient: (y, g) => [new Tensor(g).mul(new Tensor(y.inputs[0])).node],
    }
    const check = checkGradients((a) => new Tensor(makeNode(wrong, [a.node], {})), [x])
    await expect(check).rejects.toThrow(/^gradient of input 0 \[2,3\]: .* relative error .* above 0.000001$/)
  })
})

const missing = await whyNoNative()

describe('eachBackend', () => {
  it('visits every device', async () => {
    const seen: string[] = []
    await eachBackend((device, test) => {
      seen.push(`${test.name}: ${device.target.lanes}`)
    })
    expect(seen).toEqual([
      'interpreter f64: 1',
      'interpreter f64, 4 lanes: 4',
      'interpreter f32: 1',
      'interpreter f32, 4 lanes, polynomials: 4',
      'wasm, 1 thread: 4',
      'wasm, 2 threads: 4',
      ...(missing === undefined
        ? [expect.stringMatching(/^native, 1 thread: \d+$/), expect.stringMatching(/^native, 2 threads: \d+$/)]
        : []),
    ])
    expect(testDevices).toHaveLength(seen.length)
  })
})
