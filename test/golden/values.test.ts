import { describe, expect, it } from 'vitest'
import {
  type ConvCase,
  convInputs,
  type Golden,
  goldenError,
  goldenInput,
  goldenIntegers,
  goldenValues,
  loadConvCases,
  loadOpCases,
  loadTraining,
  samplePositions,
  stepInput,
} from './values.ts'

describe('the formula gives what `python3 values.py` prints', () => {
  it('values in (-1, 1)', () => {
    expect([...goldenValues(1, 5)]).toEqual([
      -0.8319091796875, 0.2550048828125, -0.8614501953125, -0.8453369140625, 0.5313720703125,
    ])
    expect([...goldenValues(4_000_000_000, 3)]).toEqual([-0.1097412109375, -0.2967529296875, 0.8653564453125])
  })

  it('scale, offset and step', () => {
    expect([...goldenValues(2, 4, { scale: 0.3, offset: 0.1 })]).toEqual([
      -0.19967040419578552, 0.011486816219985485, -0.006237792782485485, -0.18685302138328552,
    ])
    expect([...goldenValues(3, 6, { step: 0.5 })]).toEqual([-0.5, 0, -0.5, -0.5, -1, 0.5])
  })

  it('integers and sample positions', () => {
    expect([...goldenIntegers(5, 8, 10)]).toEqual([6, 1, 1, 8, 9, 5, 7, 5])
    expect(samplePositions(1000).slice(0, 6)).toEqual([0, 999, 400, 373, 457, 303])
  })

  it('100,000 values: their sums', () => {
    const values = goldenValues(9, 100_000)
    expect(values.reduce((sum, v) => sum + v, 0)).toBe(303.059326171875)
    expect(values.reduce((sum, v) => sum + v * v, 0)).toBeCloseTo(33403.221397161484, 6)
  })

  it('descriptions choose floats or integers; step t adds t to the salt', () => {
    expect(goldenInput({ shape: [2, 4], salt: 5, integers: 10 })).toEqual(goldenIntegers(5, 8, 10))
    expect(goldenInput({ shape: [2, 2], salt: 2, scale: 0.3, offset: 0.1 })[1]).toBe(0.011486816219985485)
    expect(stepInput({ shape: [3], salt: 4 }, 2)).toEqual(goldenValues(6, 3))
  })
})

describe('goldenError', () => {
  const whole: Golden = { shape: [3], max: 4, values: [1, -4, 2] }

  it('is the largest difference over the largest magnitude', () => {
    expect(goldenError([1, -4, 2], whole)).toBe(0)
    expect(goldenError([1, -4, 2.5], whole)).toBe(0.125)
    expect(goldenError([0.5], { shape: [], max: 0, values: [0] })).toBe(0.5)
  })

  it('is infinite for another length and for what is not a number', () => {
    expect(goldenError([1, -4], whole)).toBe(Infinity)
    expect(goldenError([1, NaN, 2], whole)).toBe(Infinity)
    expect(goldenError([1, Infinity, 2], whole)).toBe(Infinity)
  })

  it('sees an error between the samples: wrong, missing or swapped elements', () => {
    const size = 5000
    const good = Float64Array.from(goldenValues(77, size))
    const sum = (f: (v: number, i: number) => number) => good.reduce((total, v, i) => total + f(v, i), 0)
    const weights = goldenValues(0, size)
    const sampled: Golden = {
      shape: [size],
      max: good.reduce((max, v) => Math.max(max, Math.abs(v)), 0),
      samples: samplePositions(size).map((p) => good[p]),
      sum: sum((v) => v),
      sumOfSquares: sum((v) => v * v),
      dot: sum((v, i) => v * weights[i]),
    }
    expect(goldenError(good, sampled)).toBe(0)
    expect(goldenError(Float32Array.from(good, Math.fround), sampled)).toBe(0)
    const taken = new Set(samplePositions(size))
    const free = Array.from(good.keys()).find((i) => !taken.has(i) && !taken.has(i + 1))!
    expect(goldenError(good.with(free, good[free] + 0.5), sampled)).toBeGreaterThan(1e-3)
    expect(goldenError(good.with(free, NaN), sampled)).toBe(Infinity)
    expect(goldenError(good.with(free, good[free + 1]).with(free + 1, good[free]), sampled)).toBeGreaterThan(1e-4)
    expect(goldenError(good.with(0, good[0] + 0.5), sampled)).toBeGreaterThan(0.4)
  })
})

describe('the files', () => {
  it('hold enough cases, named apart', () => {
    for (const cases of [loadConvCases(), loadOpCases()])
      expect(new Set(cases.map((c) => c.name)).size).toBe(cases.length)
    expect(loadConvCases().length).toBeGreaterThanOrEqual(80)
    expect(loadOpCases('softmax', 'erf').every((c) => c.op === 'softmax' || c.op === 'erf')).toBe(true)
    const { optimizers, networks } = loadTraining()
    expect(optimizers.every((c) => c.steps.length === 10)).toBe(true)
    expect(networks.map((c) => [c.name, c.losses.length])).toEqual([
      ['simpleCnn', 30],
      ['residual', 20],
    ])
  })

  // Layouts, groups and padding as README.md says: the sum written out, for every convolution case.
  it.each(loadConvCases().map((c) => [c.name, c] as const))('%s: agrees with the definition', (_, c) => {
    expect(goldenError(definition(c), c.y)).toBeLessThan(1e-9)
  })
})

/** Convolution by its definition; 1-D as one row. */
function definition(c: ConvCase): Float64Array {
  const two = <T>(shape: readonly T[], one: T, at: number) =>
    c.x.length === 3 ? [...shape.slice(0, at), one, ...shape.slice(at)] : shape
  const [batch, height, width, channels] = two(c.x, 1, 1)
  const [kernelHeight, kernelWidth, depth, outChannels] = two(c.weight, 1, 0)
  const [, outHeight, outWidth] = two(c.y.shape, 1, 1)
  const { stride = 1, dilation = 1, groups = 1, padding = 'valid' } = c.options
  const [strideY, strideX] = typeof stride === 'number' ? [stride, stride] : stride
  const [dilationY, dilationX] = typeof dilation === 'number' ? [dilation, dilation] : dilation
  const before = (axis: number, size: number, k: number, s: number, d: number): number => {
    if (padding === 'valid') return 0
    if (padding === 'full') return (k - 1) * d
    if (padding === 'same') return Math.floor(Math.max((Math.ceil(size / s) - 1) * s + (k - 1) * d + 1 - size, 0) / 2)
    if (typeof padding === 'number') return padding
    return two(padding, [0, 0], 0)[axis][0]
  }
  const top = c.x.length === 3 ? 0 : before(0, height, kernelHeight, strideY, dilationY)
  const left = before(1, width, kernelWidth, strideX, dilationX)
  const { x, weight, bias } = convInputs(c)
  const y = new Float64Array(batch * outHeight * outWidth * outChannels)
  for (let at = 0; at < y.length; at++) {
    const o = at % outChannels
    const column = Math.floor(at / outChannels) % outWidth
    const row = Math.floor(at / outChannels / outWidth) % outHeight
    const image = Math.floor(at / outChannels / outWidth / outHeight)
    const first = Math.floor(o / (outChannels / groups)) * depth
    let sum = bias === undefined ? 0 : bias[o]
    for (let ky = 0; ky < kernelHeight; ky++) {
      const iy = row * strideY - top + ky * dilationY
      if (iy < 0 || iy >= height) continue
      for (let kx = 0; kx < kernelWidth; kx++) {
        const ix = column * strideX - left + kx * dilationX
        if (ix < 0 || ix >= width) continue
        const from = ((image * height + iy) * width + ix) * channels + first
        const by = (ky * kernelWidth + kx) * depth * outChannels + o
        for (let d = 0; d < depth; d++) sum += x[from + d] * weight[by + d * outChannels]
      }
    }
    y[at] = sum
  }
  return y
}
