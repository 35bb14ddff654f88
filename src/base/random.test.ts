import { describe, expect, it } from 'vitest'
import { Random } from './random.ts'

/** Distribution function of the normal deviate (Abramowitz and Stegun 26.2.17, error below 7.5e-8). */
function below(x: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(x))
  const polynomial = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
  const tail = (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) * polynomial
  return x < 0 ? tail : 1 - tail
}

describe('fillNormal', () => {
  it('draws normal deviates', () => {
    const n = 200_000
    const values = new Float64Array(n)
    new Random(1, 'test').fillNormal(values)
    const sorted = values.slice().sort()
    // Kolmogorov and Smirnov: beyond 1.63 / √n one time in a hundred; the seed is fixed.
    let distance = 0
    for (const [i, x] of sorted.entries()) distance = Math.max(distance, Math.abs(below(x) - (i + 0.5) / n))
    expect(distance).toBeLessThan(1.63 / Math.sqrt(n))
    expect(sorted[0]).toBeLessThan(-4)
    expect(sorted[n - 1]).toBeGreaterThan(4)
  })

  it('has mean and deviation, and goes on where it stopped', () => {
    const whole = new Float32Array(101)
    new Random(7, 'test').fillNormal(whole, 3, 0.5)
    const random = new Random(7, 'test')
    const [first, second] = [new Float32Array(33), new Float32Array(68)]
    random.fillNormal(first, 3, 0.5)
    random.fillNormal(second, 3, 0.5)
    expect([...first, ...second]).toEqual([...whole])
    const mean = whole.reduce((sum, x) => sum + x, 0) / whole.length
    expect(Math.abs(mean - 3)).toBeLessThan(0.2)
  })
})
