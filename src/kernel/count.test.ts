import { describe, expect, it } from 'vitest'
import { wasmTarget } from '../backends/wasm/target.ts'
import { KernelBuilder, type KernelSpec } from './build.ts'
import { type ConvGeometry, convCall, convSpec, plainStore } from './builders/contraction/index.ts'
import { mapCall, mapSpec } from './builders/map.ts'
import { peakFlops, peakSpec } from './builders/peak.ts'
import { identityChain } from './chain.ts'
import { countKernel } from './count.ts'
import * as e from './expression.ts'

const target = wasmTarget({ relaxed: false })

/** A kernel of one input and one output with two whole numbers as parameters. */
function kernel(body: Parameters<typeof built>[1]): ReturnType<KernelSpec['build']> {
  return built('counted', body)
}

function built(
  name: string,
  body: (
    k: KernelBuilder,
    x: ReturnType<KernelBuilder['point']>,
    y: ReturnType<KernelBuilder['point']>,
    task: Parameters<typeof e.add>[0] & object,
    n: ReturnType<KernelBuilder['int']>,
  ) => void,
) {
  const k = new KernelBuilder(target)
  const [x, y] = [k.buffer('x', 'f32', 'input'), k.buffer('y', 'f32', 'output')]
  const n = k.int('n')
  k.task((task) => body(k, k.point(x), k.point(y), task, n))
  return k.build(name, name)
}

describe('countKernel', () => {
  it('counts what the peak kernel says of itself', () => {
    const counts = countKernel(peakSpec.build(target), [10], 16)
    expect(counts?.flops).toBe(10 * 16 * peakFlops(target))
  })

  it('counts every element that a copy moves once', () => {
    const one = { dtype: 'f32', inner: 'unit' } as const
    const shape = { rank: 1, operands: [one], outputs: [one], chain: identityChain }
    const { params, tasks } = mapCall(shape, { extents: [100_003], strides: [[1], [1]], constants: [] })
    expect(countKernel(mapSpec(shape).build(target), params, tasks)).toEqual({
      flops: 0,
      read: [100_003, 0],
      written: [0, 100_003],
    })
  })

  it('counts the multiply-adds of a convolution, and the lanes it throws away', () => {
    const geometry = (groupOut: number): ConvGeometry => ({
      images: 2,
      height: 8,
      width: 8,
      groups: 1,
      groupIn: 3,
      groupOut,
      kernel: [3, 3],
      stride: [1, 1],
      dilation: [1, 1],
      before: [0, 0],
      outHeight: 6,
      outWidth: 6,
      out: { first: 0, image: 36 * groupOut, row: 6 * groupOut, pixel: groupOut },
    })
    const flopsFor = (groupOut: number) => {
      const shape = { form: 'f32' as const, padded: false, epilogue: plainStore }
      const { params, tasks } = convCall(shape, geometry(groupOut), target)
      return countKernel(convSpec(shape).build(target), params, tasks)?.flops as number
    }
    const multiplyAdds = 2 * 36 * 27 * 16
    expect(flopsFor(16)).toBeGreaterThanOrEqual(2 * multiplyAdds)
    expect(flopsFor(16)).toBeLessThan(2 * multiplyAdds * 1.5)
    // One filter takes as much as those that fill a vector.
    expect(flopsFor(1)).toBe(flopsFor(4))
  })

  it('follows loops whose length depends on the task', () => {
    // Task t adds t numbers.
    const counted = kernel((k, x, y, task) => {
      const sum = k.variable(k.load(x))
      k.repeat(task, () => k.set(sum, e.add(sum.value, k.load(x, 1))))
      k.store(y, sum.value)
    })
    expect(countKernel(counted, [0], 5)).toEqual({ flops: 10, read: [15, 0], written: [0, 5] })
  })

  it('takes the branch that is taken', () => {
    const counted = kernel((k, x, y, task, n) => {
      k.if(
        e.lt(task, n),
        () => k.store(y, e.mul(k.load(x), k.load(x, 1))),
        () => k.store(y, k.load(x)),
      )
    })
    expect(countKernel(counted, [2], 5)).toEqual({ flops: 2, read: [7, 0], written: [0, 5] })
  })

  it('takes the larger branch where data decides', () => {
    const counted = kernel((k, x, y) => {
      k.if(
        e.lt(k.load(x), 0),
        () => k.store(y, k.load(x)),
        () => k.store(y, e.fma(k.load(x), k.load(x, 1), k.load(x, 2))),
      )
    })
    expect(countKernel(counted, [0], 1)?.flops).toBe(2)
  })

  it('does not guess where data decides how often a loop runs', () => {
    const counted = kernel((k, x, y) => {
      const count = k.let(e.convert(k.load(x), 'i32'))
      k.repeat(count, () => k.store(y, k.load(x)))
    })
    expect(countKernel(counted, [0], 1)).toBeUndefined()
  })
})
