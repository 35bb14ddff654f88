import { describe, expect, it } from 'vitest'
import { kernelTable } from './explain-kernels.ts'
import { type KernelWork, kernelAdvice, kernelVariants, type MeasuredVariant } from './kernel-variants.ts'

const work: KernelWork = {
  batch: 32,
  input: [56, 56, 64],
  filters: 64,
  kernels: [1, 3, 5, 7],
  padding: 'same',
  stride: 1,
  dilation: 1,
  groups: 1,
}

/** As if every million multiply-adds took so many microseconds forward, and three times that with gradients. */
function measured(of: KernelWork, microseconds: (name: string) => number): MeasuredVariant[] {
  return kernelVariants(of).map((variant) => {
    const forwardMs = (variant.multiplyAdds * microseconds(variant.name)) / 1e9
    const algorithm = variant.name.startsWith('dw') ? 'depthwise + pointwise' : 'direct'
    return { ...variant, times: [{ algorithm, chosen: true, forwardMs, forwardBackwardMs: 3 * forwardMs }] }
  })
}

describe('kernelVariants', () => {
  it('compares sizes with what sees as much', () => {
    const figures = kernelVariants(work).map(({ net: _net, output, kernel: _kernel, ...rest }) => rest)
    const pixels = 32 * 56 * 56
    const convolution = (name: string, k: number, layers = 1, sees = k) => ({
      name,
      parameters: layers * k * k * 64 * 64,
      multiplyAdds: layers * pixels * k * k * 64 * 64,
      activationBytes: 4 * pixels * 64 * (1 + layers),
      weightBytes: 4 * layers * k * k * 64 * 64,
      receptiveField: sees,
    })
    const separable = (k: number) => ({
      name: `dw ${k}×${k} + 1×1`,
      parameters: k * k * 64 + 64 * 64,
      multiplyAdds: pixels * (k * k * 64 + 64 * 64),
      activationBytes: 4 * pixels * 64 * 3,
      weightBytes: 4 * (k * k * 64 + 64 * 64),
      receptiveField: k,
    })
    expect(figures).toEqual([
      convolution('1×1', 1),
      convolution('3×3', 3),
      convolution('5×5', 5),
      convolution('7×7', 7),
      convolution('2 × 3×3', 3, 2, 5),
      convolution('3 × 3×3', 3, 3, 7),
      separable(3),
      separable(5),
      separable(7),
    ])
  })

  it('gives all variants of a size the same output', () => {
    for (const padding of ['same', 'valid'] as const) {
      const outputs = kernelVariants({ ...work, padding, kernels: [5] }).map(({ output }) => output)
      expect(new Set(outputs.map(String))).toEqual(new Set([padding === 'same' ? '56,56,64' : '52,52,64']))
    }
  })

  it('leaves out what could not stand in', () => {
    const names = (more: Partial<KernelWork>) =>
      kernelVariants({ ...work, kernels: [5], ...more }).map(({ name }) => name)
    expect(names({ groups: 4 })).toEqual(['5×5'])
    expect(names({ stride: 2 })).toEqual(['5×5', 'dw 5×5 + 1×1'])
    expect(names({ padding: 2 })).toEqual(['5×5', 'dw 5×5 + 1×1'])
  })
})

describe('kernelTable', () => {
  it('has a row for each algorithm and fits 100 columns', () => {
    const [one, ...rest] = measured({ ...work, kernels: [3] }, () => 10)
    const other = { algorithm: 'winograd4', chosen: false, forwardMs: 12.34, forwardBackwardMs: 40 }
    const lines = kernelTable([{ ...one, times: [...one.times, other] }, ...rest])
    expect(lines).toEqual([
      'kernel        params    MACs  activ.  weights  sees                algorithm  fwd ms  GF/s  +bwd ms  GF/s',
      '3×3           36.9 k  3.70 G  49 MiB  144 KiB     3                 direct *    37.0   200      111   200',
      '                                                                   winograd4    12.3   600     40.0   555',
      'dw 3×3 + 1×1  4.67 k   469 M  74 MiB   18 KiB     3  depthwise + pointwise *    4.69   200     14.1   200',
    ])
  })
})

describe('kernelAdvice', () => {
  it('names the fastest of what sees as much as the largest kernel', () => {
    expect(kernelAdvice(measured(work, (name) => (name.startsWith('dw') ? 40 : 10)))).toBe(
      'dw 7×7 + 1×1 sees as much as 7×7 and trains in 0.14 times its time, with 0.04 times its parameters.',
    )
    expect(kernelAdvice(measured(work, (name) => (name.startsWith('dw') ? 400 : 10)))).toBe(
      '3 × 3×3 sees as much as 7×7 and trains in 0.55 times its time, with 0.55 times its parameters.',
    )
  })

  it('does not advise what is slower', () => {
    expect(kernelAdvice(measured({ ...work, kernels: [3] }, (name) => (name.startsWith('dw') ? 400 : 10)))).toBe(
      'Nothing here that sees as much as 3×3 trains faster: dw 3×3 + 1×1 takes 5.07 times its time, with 0.13 times its parameters.',
    )
  })

  it('compares sizes where there is nothing else', () => {
    const grouped = { ...work, groups: 2 }
    expect(kernelAdvice(measured({ ...grouped, kernels: [1, 5] }, () => 10))).toBe(
      '5×5 trains in 25 times the time of 1×1, for 25 times the multiply-adds.',
    )
    expect(kernelAdvice(measured({ ...grouped, kernels: [5] }, () => 10))).toBeUndefined()
  })
})
