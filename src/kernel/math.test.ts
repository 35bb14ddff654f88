import { describe, expect, test } from 'vitest'
import { erf as preciseErf } from '../backends/interpret/erf.ts'
import { createInterpretBackend } from '../backends/interpret/index.ts'
import { KernelBuilder } from './build.ts'
import type { Expr, Kernel } from './language.ts'
import { cos, erf, exp, expm1, log, log1p, pow, sigmoid, sin, tanh } from './math.ts'
import { verifyKernel } from './verify.ts'

type Emit = (k: KernelBuilder, x: Expr, y: Expr) => Expr

const { fround } = Math
const backends = {
  scalar: createInterpretBackend({ math: 'polynomial', checked: false }),
  vector: createInterpretBackend({ math: 'polynomial', lanes: 4, checked: false }),
  intrinsic: createInterpretBackend({ lanes: 4 }),
  double: createInterpretBackend({ precision: 'f64' }),
}

function elementwise(name: string, on: keyof typeof backends, emit: Emit): Kernel {
  const { target } = backends[on]
  const k = new KernelBuilder(target)
  const [a, b] = ['a', 'b'].map((buffer) => k.buffer(buffer, 'f32', 'input'))
  const out = k.buffer('out', 'f32', 'output')
  const vectors = k.int('vectors')
  k.task(() => {
    const pointers = [a, b, out].map((buffer) => k.point(buffer))
    k.repeat(vectors, () => {
      const [x, y] = pointers.slice(0, 2).map((p) => k.let(target.lanes === 1 ? k.load(p) : k.loadVector(p)))
      k.store(pointers[2], emit(k, x, y))
      for (const p of pointers) k.advance(p, target.lanes)
    })
  })
  const kernel = k.build(name, name)
  verifyKernel(kernel, target)
  return kernel
}

/** emit(x, y) for every element; lengths are multiples of 4. */
async function evaluate(
  on: keyof typeof backends,
  name: string,
  emit: Emit,
  x: ArrayLike<number>,
  y: ArrayLike<number> = x,
) {
  const backend = backends[on]
  const size = backend.target.bytes.f32
  const blocks = [0, 1, 2].map(() => backend.allocate(x.length * size))
  backend.write(blocks[0], 0, 'f32', Float64Array.from(x))
  backend.write(blocks[1], 0, 'f32', Float64Array.from(y))
  const places = [0, 1, 2].map((region) => ({ region, offset: 0 }))
  const params = [x.length / backend.target.lanes]
  const instruction = { kernel: elementwise(name, on, emit), places, scratch: [], params, tasks: 1, work: 1 }
  await backend.run(backend.load([instruction], 3), blocks)
  return backend.read(blocks[2], 0, 'f32', x.length)
}

/** f32 values spread evenly over an interval, jittered so that they are not all round. */
function samples(low: number, high: number, count = 20000): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => low + ((i + 0.5 + 0.3 * Math.sin(i)) / count) * (high - low))
}

/** f32 values of both signs, spread evenly over exponents. */
function magnitudes(low: number, high: number, count = 20000): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => {
    return (i % 2 === 0 ? 1 : -1) * low * (high / low) ** ((i + 0.5) / count)
  })
}

const smallest = 2 ** -126
const preciseSigmoid = (x: number) => 1 / (1 + Math.exp(-x))

// Relative tolerances; 1 ulp is 6e-8 to 1.2e-7.
const cases: [string, Emit, (x: number) => number, Float32Array, number][] = [
  ['exp', exp, Math.exp, samples(-87.3, 88.7), 1e-7],
  ['exp', exp, Math.exp, samples(-1, 1), 1e-7],
  ['exp', exp, Math.exp, samples(88, 88.72283, 400), 1e-7],
  ['exp', exp, Math.exp, samples(-87.33654, -87, 400), 1e-7],
  ['expm1', expm1, Math.expm1, samples(-20, 88.7), 2e-7],
  ['expm1', expm1, Math.expm1, samples(-1, 1), 2e-7],
  ['expm1', expm1, Math.expm1, magnitudes(1e-30, 1), 2e-7],
  ['log', log, Math.log, samples(0.5, 2), 1.5e-7],
  ['log', log, Math.log, magnitudes(1e-44, 3e38).map(Math.abs), 1.5e-7],
  ['log1p', log1p, Math.log1p, samples(-0.99, 3), 1.5e-7],
  ['log1p', log1p, Math.log1p, magnitudes(1e-30, 0.9), 1.5e-7],
  ['log1p', log1p, Math.log1p, magnitudes(1, 1e38).map(Math.abs), 1.5e-7],
  ['sin', sin, Math.sin, samples(-8, 8), 1.5e-7],
  ['sin', sin, Math.sin, samples(-8192, 8192), 2e-7],
  ['cos', cos, Math.cos, samples(-8, 8), 1.5e-7],
  ['cos', cos, Math.cos, samples(-8192, 8192), 2e-7],
  ['tanh', tanh, Math.tanh, samples(-12, 12), 2.5e-7],
  ['tanh', tanh, Math.tanh, magnitudes(1e-30, 1), 2.5e-7],
  ['erf', erf, preciseErf, samples(-5, 5), 1.5e-7],
  ['erf', erf, preciseErf, magnitudes(1e-30, 1), 1.5e-7],
  ['sigmoid', sigmoid, preciseSigmoid, samples(-87, 30), 2.5e-7],
]

describe('polynomials', () => {
  test.each(cases)('%s', async (name, emit, reference, x, tolerance) => {
    const scalar = await evaluate('scalar', name, emit, x)
    let worst = 0
    let at = 0
    for (const [i, value] of x.entries()) {
      const expected = reference(value)
      const error = Math.abs(scalar[i] - expected) / Math.max(Math.abs(expected), smallest)
      if (!(error <= worst)) [worst, at] = [error, value]
    }
    expect(worst, `at ${at}`).toBeLessThan(tolerance)
    expect(await evaluate('vector', name, emit, x)).toEqual(scalar)
  })

  const { NaN: nan, POSITIVE_INFINITY: inf, NEGATIVE_INFINITY: minus } = Number
  test.each<[string, Emit, number[], number[]]>([
    ['exp', exp, [nan, inf, minus, 0, 88.7229, 1e30, -1e30, -87.5, -200], [nan, inf, 0, 1, inf, inf, 0, 0, 0]],
    ['expm1', expm1, [nan, inf, minus, 0, 88.7229, 1e30, -1e30, -30], [nan, inf, -1, 0, inf, inf, -1, -1]],
    ['log', log, [nan, inf, minus, 0, -0, -1, 1, -1e-40], [nan, inf, nan, minus, minus, nan, 0, nan]],
    ['log1p', log1p, [nan, inf, minus, 0, -1, -2, -1.0000001], [nan, inf, nan, 0, minus, nan, nan]],
    ['sin', sin, [nan, inf, minus, 0], [nan, nan, nan, 0]],
    ['cos', cos, [nan, inf, minus, 0], [nan, nan, nan, 1]],
    ['tanh', tanh, [nan, inf, minus, 0, -0, 1e30, -1e30], [nan, 1, -1, 0, -0, 1, -1]],
    ['erf', erf, [nan, inf, minus, 0, 1e30, -1e30, 3.95, 4.5], [nan, 1, -1, 0, 1, -1, 1, 1]],
    ['sigmoid', sigmoid, [nan, inf, minus, 0, 1e30, -1e30, 100, -200], [nan, 1, 0, 0.5, 1, 0, 1, 0]],
  ])('%s of special values', async (name, emit, x, expected) => {
    for (const on of ['scalar', 'vector'] as const) {
      const padded = [...x, ...Array(12 - x.length).fill(0)]
      const got = await evaluate(on, name, emit, padded)
      expect(Array.from(got).slice(0, x.length)).toEqual(expected)
    }
  })

  test('sin and cos of huge values stay in -1 … 1', async () => {
    for (const emit of [sin, cos]) {
      const got = await evaluate('scalar', `huge ${emit.name}`, emit, magnitudes(1e4, 3e38, 1000))
      for (const value of got) expect(Math.abs(value)).toBeLessThanOrEqual(1)
    }
  })
})

describe('pow', () => {
  test.each(['scalar', 'vector', 'intrinsic'] as const)('%s', async (on) => {
    const x = [2, 2, 9, 0.5, -2, -2, -2, 0, 0, 0, 0, 5, -1, 10, 1e-3, -3]
    const y = [3, -1, 0.5, 10, 3, 2, 0.5, 2, 0, -1, 0.5, 0, 7, 5, 2.5, -3]
    const got = await evaluate(on, 'pow', pow, x, y)
    for (const [i, value] of got.entries()) {
      const expected = fround(x[i]) ** y[i]
      if (Number.isFinite(expected))
        expect(Math.abs(value - expected), `${x[i]} ** ${y[i]}`).toBeLessThanOrEqual(2e-6 * Math.abs(expected))
      else expect(value, `${x[i]} ** ${y[i]}`).toEqual(expected)
    }
  })

  test('error grows with the exponent of the result only', async () => {
    const x = samples(0.01, 100, 4000)
    const y = samples(-8, 8, 4000).map((_, i, all) => all[(i * 1237) % 4000])
    const got = await evaluate('scalar', 'pow', pow, x, y)
    for (const [i, value] of got.entries()) {
      const expected = x[i] ** y[i]
      expect(Math.abs(value / expected - 1)).toBeLessThan(2e-7 + 1.5e-7 * Math.abs(Math.log(expected)))
    }
  })
})

describe('intrinsics', () => {
  test.each(cases)('%s', async (name, emit, reference, x) => {
    const few = x.filter((_, i) => i % 100 === 0)
    const double = await evaluate('double', name, emit, few)
    for (const [i, value] of double.entries()) {
      expect(Math.abs(value - reference(few[i]))).toBeLessThanOrEqual(1e-14 * Math.abs(reference(few[i])))
    }
    const single = await evaluate('intrinsic', name, emit, few)
    for (const [i, value] of single.entries()) {
      expect(Math.abs(value - reference(few[i]))).toBeLessThanOrEqual(2e-7 * Math.abs(reference(few[i])))
    }
  })
})
