import { describe, expect, test } from 'vitest'
import type { DType, TypedArray } from '../../base/dtype.ts'
import { KernelBuilder, kindOf } from '../../kernel/build.ts'
import * as ex from '../../kernel/expression.ts'
import type {
  BinaryName,
  BufferParam,
  CompareName,
  Expr,
  IntrinsicName,
  Kernel,
  UnaryName,
} from '../../kernel/language.ts'
import type { Backend } from '../backend.ts'
import { erf } from './erf.ts'
import { createInterpretBackend, type InterpretOptions, printJavaScript } from './index.ts'

let serial = 0

interface Data {
  readonly dtype: DType
  readonly role?: 'input' | 'output'
  readonly values: TypedArray
}

/** Builds a kernel over the given buffers, runs one task and returns all buffers as they are afterwards. */
async function execute(
  backend: Backend,
  data: readonly Data[],
  body: (k: KernelBuilder, ...buffers: BufferParam[]) => void,
  options: { tasks?: number; params?: readonly number[]; scratch?: readonly number[] } = {},
): Promise<TypedArray[]> {
  const k = new KernelBuilder(backend.target)
  const buffers = data.map((d, i) => k.buffer(`b${i}`, d.dtype, d.role ?? 'output'))
  body(k, ...buffers)
  const kernel = k.build('test', `test${serial++}`)
  const blocks = data.map((d) => {
    const block = backend.allocate(d.values.length * backend.target.bytes[d.dtype])
    backend.write(block, 0, d.dtype, d.values)
    return block
  })
  const places = data.map((_, region) => ({ region, offset: 0 }))
  const { tasks = 1, params = [], scratch = [] } = options
  const table = backend.load([{ kernel, places, scratch, params, tasks, work: 1 }], blocks.length)
  await backend.run(table, blocks)
  return Promise.all(data.map((d, i) => backend.read(blocks[i], 0, d.dtype, d.values.length)))
}

/** f(inputs) for every element, in vectors of the backend's width where the length allows. */
async function evaluate(
  backend: Backend,
  inputs: readonly Data[],
  out: DType,
  f: (k: KernelBuilder, ...x: Expr[]) => Expr,
): Promise<TypedArray> {
  const n = inputs[0].values.length
  const lanes = backend.target.lanes
  const output: Data = { dtype: out, values: new Float64Array(n) }
  const all = await execute(
    backend,
    [...inputs.map((d) => ({ ...d, role: 'input' as const })), output],
    (k, ...buffers) => {
      k.task(() => {
        const pointers = buffers.map((b) => k.point(b))
        const y = pointers.at(-1)!
        const x = pointers.slice(0, -1)
        if (n % lanes !== 0) throw new Error('length is not a multiple of the lanes')
        k.repeat(n / lanes, () => {
          k.store(y, ex.convert(f(k, ...x.map((p) => (lanes === 1 ? k.load(p) : k.loadVector(p)))), kindOf(out)))
          for (const p of pointers) k.advance(p, lanes)
        })
      })
    },
  )
  return all.at(-1)!
}

const binary = (name: BinaryName, a: Expr, b: Expr): Expr => ({ op: 'binary', type: a.type, name, a, b })
const unary = (name: UnaryName, a: Expr): Expr => ({ op: 'unary', type: a.type, name, a })
const compare = (name: CompareName, a: Expr, b: Expr): Expr => {
  return { op: 'compare', type: { kind: 'bool', lanes: a.type.lanes }, name, a, b }
}

const f32 = (...values: number[]): Data => ({ dtype: 'f32', values: new Float64Array(values) })
const i32 = (...values: number[]): Data => ({ dtype: 'i32', values: new Int32Array(values) })
const bool = (...values: number[]): Data => ({ dtype: 'bool', values: new Uint8Array(values) })
const list = (values: TypedArray): number[] => Array.from(values)

const { fround } = Math
const big = 2147483647
const configurations: InterpretOptions[] = [
  { precision: 'f32', lanes: 1 },
  { precision: 'f32', lanes: 4 },
  { precision: 'f64', lanes: 1 },
  { precision: 'f64', lanes: 4 },
  { precision: 'f32', lanes: 4, checked: false },
]

describe.each(configurations)('interpreter %o', (options) => {
  const backend = createInterpretBackend(options)
  const round = options.precision === 'f64' ? (x: number) => x : fround
  const a = [0.1, -2.5, Number.NaN, 3]
  const b = [0.3, 1.5, 1, Number.NaN]

  test.each([
    ['add', (x: number, y: number) => x + y],
    ['sub', (x: number, y: number) => x - y],
    ['mul', (x: number, y: number) => x * y],
    ['div', (x: number, y: number) => x / y],
    ['min', (x: number, y: number) => (y < x ? y : x)],
    ['max', (x: number, y: number) => (x < y ? y : x)],
  ] as const)('f32 %s', async (name, f) => {
    const got = await evaluate(backend, [f32(...a), f32(...b)], 'f32', (_, x, y) => binary(name, x, y))
    expect(list(got)).toEqual(a.map((x, i) => round(f(round(x), round(b[i])))))
  })

  test.each([
    ['add', (x: number, y: number) => (x + y) | 0],
    ['sub', (x: number, y: number) => (x - y) | 0],
    ['mul', (x: number, y: number) => Math.imul(x, y)],
    ['min', Math.min],
    ['max', Math.max],
    ['and', (x: number, y: number) => x & y],
    ['or', (x: number, y: number) => x | y],
    ['xor', (x: number, y: number) => x ^ y],
  ] as const)('i32 %s', async (name, f) => {
    const x = [big, -7, 123456789, -big - 1]
    const y = [2, 3, 987654321, -1]
    const got = await evaluate(backend, [i32(...x), i32(...y)], 'i32', (_, p, q) => binary(name, p, q))
    expect(list(got)).toEqual(x.map((v, i) => f(v, y[i])))
  })

  test.each([
    ['shl', [-56, 24, 0, 16]],
    ['shr', [-1, 0, -268435456, 0]],
    ['shru', [536870911, 0, 268435456, 0]],
  ] as const)('i32 %s by 3', async (name, expected) => {
    const got = await evaluate(backend, [i32(-7, 3, -2147483648, 2)], 'i32', (_, x) =>
      binary(name, x, ex.constant('i32', 3, x.type.lanes)),
    )
    expect(list(got)).toEqual(expected)
  })

  test('i32 division and remainder of scalars go towards zero', async () => {
    const [, y] = await execute(backend, [i32(-7, 7), i32(0, 0, 0, 0)], (k, x, out) => {
      k.task(() => {
        const [p, q] = [k.point(x), k.point(out)]
        for (const i of [0, 1]) {
          k.store(q, ex.div(k.load(p, i), 2), 2 * i)
          k.store(q, ex.rem(k.load(p, i), 4), 2 * i + 1)
        }
      })
    })
    expect(list(y)).toEqual([-3, -3, 3, 3])
  })

  test.each([
    ['neg', (x: number) => -x],
    ['abs', Math.abs],
    ['sqrt', Math.sqrt],
    ['floor', Math.floor],
    ['ceil', Math.ceil],
    ['trunc', Math.trunc],
  ] as const)('f32 %s', async (name, f) => {
    const x = [2.5, -2.5, -0.25, 1e10]
    const got = await evaluate(backend, [f32(...x)], 'f32', (_, v) => unary(name, v))
    expect(list(got)).toEqual(x.map((v) => round(f(round(v)))))
  })

  test('f32 round takes ties to even', async () => {
    const got = await evaluate(backend, [f32(0.5, 1.5, 2.5, -0.5, -1.5, -2.6, 0.49999997, 8388609)], 'f32', (_, x) =>
      ex.round(x),
    )
    expect(list(got)).toEqual([0, 2, 2, -0, -2, -3, 0, 8388609])
  })

  test('i32 neg and abs wrap', async () => {
    const x = i32(5, -5, -2147483648, 0)
    expect(list(await evaluate(backend, [x], 'i32', (_, v) => ex.neg(v)))).toEqual([-5, 5, -2147483648, 0])
    expect(list(await evaluate(backend, [x], 'i32', (_, v) => ex.abs(v)))).toEqual([5, 5, -2147483648, 0])
  })

  test.each(['exp', 'expm1', 'log', 'log1p', 'sin', 'cos', 'tanh', 'erf'] as const)(
    'intrinsic %s',
    async (name: IntrinsicName) => {
      const x = [0.1, 0.5, 2, 3]
      const f = name === 'erf' ? erf : Math[name]
      const got = await evaluate(backend, [f32(...x)], 'f32', (_, v) => ({ op: 'intrinsic', type: v.type, name, a: v }))
      expect(list(got)).toEqual(x.map((v) => round(f(round(v)))))
    },
  )

  test.each([
    ['eq', [0, 1, 0, 0]],
    ['ne', [1, 0, 1, 1]],
    ['lt', [1, 0, 0, 0]],
    ['le', [1, 1, 0, 0]],
    ['gt', [0, 0, 1, 0]],
    ['ge', [0, 1, 1, 0]],
  ] as const)('compare %s', async (name, expected) => {
    const got = await evaluate(backend, [f32(1, 2, 3, Number.NaN), f32(2, 2, 2, 2)], 'bool', (_, x, y) =>
      compare(name, x, y),
    )
    expect(list(got)).toEqual(expected)
    const ints = await evaluate(backend, [i32(1, 2, 3, 3), i32(2, 2, 2, 2)], 'bool', (_, x, y) => compare(name, x, y))
    expect(list(ints).slice(0, 3)).toEqual(expected.slice(0, 3))
  })

  test('bool and, or, xor, not, select', async () => {
    const [x, y] = [bool(0, 0, 1, 1), bool(0, 1, 0, 1)]
    expect(list(await evaluate(backend, [x, y], 'bool', (_, p, q) => ex.and(p, q)))).toEqual([0, 0, 0, 1])
    expect(list(await evaluate(backend, [x, y], 'bool', (_, p, q) => ex.or(p, q)))).toEqual([0, 1, 1, 1])
    expect(list(await evaluate(backend, [x, y], 'bool', (_, p, q) => ex.xor(p, q)))).toEqual([0, 1, 1, 0])
    expect(list(await evaluate(backend, [x], 'bool', (_, p) => ex.not(p)))).toEqual([1, 1, 0, 0])
    const picked = await evaluate(backend, [x, f32(1, 2, 3, 4), f32(5, 6, 7, 8)], 'f32', (_, c, p, q) =>
      ex.select(c, p, q),
    )
    expect(list(picked)).toEqual([5, 6, 3, 4])
  })

  test('fma rounds twice', async () => {
    const x = [0.1, 1 / 3, -7, 1e-3]
    const got = await evaluate(backend, [f32(...x)], 'f32', (_, v) => ex.fma(v, v, 0.7))
    expect(list(got)).toEqual(x.map((v) => round(round(round(v) * round(v)) + round(0.7))))
  })

  test('convert', async () => {
    const toInt = await evaluate(backend, [f32(-1.9, 1e10, Number.NaN, -1e10)], 'i32', (_, x) => ex.convert(x, 'i32'))
    expect(list(toInt)).toEqual([-1, big, 0, -big - 1])
    const toFloat = await evaluate(backend, [i32(16777217, -3, 0, 1)], 'f32', (_, x) => ex.convert(x, 'f32'))
    expect(list(toFloat)).toEqual([round(16777217), -3, 0, 1])
    expect(list(await evaluate(backend, [f32(0, -0, 0.1, Number.NaN)], 'bool', (_, x) => x))).toEqual([0, 0, 1, 1])
    expect(list(await evaluate(backend, [bool(0, 1, 1, 0)], 'i32', (_, x) => x))).toEqual([0, 1, 1, 0])
    expect(list(await evaluate(backend, [bool(0, 1, 1, 0)], 'f32', (_, x) => x))).toEqual([0, 1, 1, 0])
  })

  test('bitcast', async () => {
    const bits = await evaluate(backend, [f32(1, -2, 0, 0.1)], 'i32', (_, x) => ex.bitcast(x, 'i32'))
    expect(list(bits)).toEqual([0x3f800000, 0xc0000000 | 0, 0, 0x3dcccccd])
    const floats = await evaluate(backend, [i32(...bits)], 'f32', (_, x) => ex.bitcast(x, 'f32'))
    expect(list(floats)).toEqual([1, -2, 0, fround(0.1)])
  })

  test('u8 loads widen, stores keep the low byte', async () => {
    const x: Data = { dtype: 'u8', values: new Uint8Array([0, 1, 200, 255]) }
    expect(list(await evaluate(backend, [x], 'i32', (_, v) => v))).toEqual([0, 1, 200, 255])
    expect(list(await evaluate(backend, [x], 'u8', (_, v) => ex.add(v, 100)))).toEqual([100, 101, 44, 99])
  })

  test('parameters, calls, pointers passed by value, loops, branches and tasks', async () => {
    const x = f32(...Array.from({ length: 12 }, (_, i) => i))
    const [, y] = await execute(
      backend,
      [{ ...x, role: 'input' }, f32(0, 0, 0)],
      (k, input, output) => {
        const scale = k.float('scale')
        const width = k.int('width')
        const row = k.function('row', [{ pointer: input }, { pointer: output }, { int: 'count' }], (p, q, count) => {
          const sum = k.variable(ex.constant('f32', 0))
          k.loop(count, (i) => {
            k.if(
              ex.eq(ex.rem(i, 2), 0),
              () => k.set(sum, ex.add(sum.value, k.load(p))),
              () => k.set(sum, ex.sub(sum.value, k.load(p))),
            )
            k.advance(p, 1)
          })
          k.store(q, ex.mul(sum.value, scale))
        })
        k.task((task) => {
          const p = k.point(input, ex.mul(task, width))
          const q = k.pointFrom(k.point(output), task)
          k.call(row, p, q, width)
          k.if(ex.ne(k.position(p), ex.mul(task, width)), () => k.store(q, ex.constant('f32', -1)))
        })
      },
      { tasks: 3, params: [0.1, 4] },
    )
    expect(list(y)).toEqual([0, 1, 2].map(() => round(-2 * round(0.1))))
  })

  test('a count below one runs no iteration; the count is evaluated once', async () => {
    const [y] = await execute(backend, [i32(0, 0)], (k, out) => {
      k.task(() => {
        const p = k.point(out)
        k.repeat(ex.sub(k.load(p), 3), () => k.store(p, ex.int(9)))
        const n = k.variable(ex.int(3))
        k.loop(n.value, (i) => {
          k.set(n, ex.int(0))
          k.store(p, ex.add(i, 1), 1)
        })
        k.range(ex.int(4), ex.int(4), () => k.store(p, ex.int(9)))
      })
    })
    expect(list(y)).toEqual([0, 3])
  })
})

describe('vectors of 4', () => {
  const backend = createInterpretBackend({ lanes: 4 })

  test('partial loads fill with zeros, partial stores leave the rest', async () => {
    const [, y] = await execute(backend, [f32(1, 2, 3, 4), f32(9, 9, 9, 9, 9, 9)], (k, x, out) => {
      k.task(() => {
        const v = k.let(k.loadVector(k.point(x), 1, 2))
        const q = k.point(out)
        k.store(q, v, 0)
        k.store(q, ex.splat(ex.constant('f32', 7), 4), 4, 1)
      })
    })
    expect(list(y)).toEqual([2, 3, 0, 0, 7, 9])
  })

  test('strided loads and stores', async () => {
    const [, y] = await execute(
      backend,
      [f32(1, 2, 3, 4, 5, 6, 7, 8), f32(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)],
      (k, x, out) => {
        const stride = k.int('stride')
        k.task(() => k.store(k.point(out), k.loadVector(k.point(x), 1, 4, stride), 1, 3, ex.add(stride, 1)))
      },
      { params: [2] },
    )
    expect(list(y)).toEqual([0, 2, 0, 0, 4, 0, 0, 6, 0, 0])
  })

  test('lane index, splat and reductions in lane order', async () => {
    const x = [1e8, 1, -1e8, 1]
    const [, y] = await execute(backend, [f32(...x), f32(0, 0, 0, 0, 0, 0, 0)], (k, input, out) => {
      k.task(() => {
        const v = k.variable(k.loadVector(k.point(input)))
        const q = k.point(out)
        k.store(q, ex.reduceLanes('add', v.value), 4)
        k.store(q, ex.reduceLanes('min', v.value), 5)
        k.store(q, ex.reduceLanes('max', v.value), 6)
        k.set(v, ex.add(ex.splat(ex.reduceLanes('max', v.value), 4), ex.convert(k.laneIndex(), 'f32')))
        k.store(q, v.value)
      })
    })
    expect(list(y)).toEqual([1e8, fround(1e8 + 1), fround(1e8 + 2), fround(1e8 + 3), 1, -1e8, 1e8])
  })

  test('a vector is read whole before an overlapping store', async () => {
    const [y] = await execute(backend, [f32(1, 2, 3, 4, 5)], (k, out) => {
      k.task(() => {
        const p = k.point(out)
        k.store(p, k.loadVector(p), 1)
      })
    })
    expect(list(y)).toEqual([1, 1, 2, 3, 4])
  })
})

describe('checks', () => {
  const load = (k: KernelBuilder, x: BufferParam, index: number, lanes = 1) => {
    const p = k.point(x, index)
    return lanes === 1 ? k.load(p) : k.loadVector(p)
  }

  test('loads and stores outside the region name kernel, buffer, index and length', async () => {
    const backend = createInterpretBackend({ lanes: 4 })
    const outside = (index: number, length: number) =>
      `kernel test: index ${index} is outside buffer b0, which has ${length} elements up to the end of its region`
    await expect(
      execute(backend, [f32(1, 2)], (k, x) => k.task(() => k.store(k.point(x), load(k, x, 2)))),
    ).rejects.toThrow(outside(2, 2))
    await expect(
      execute(backend, [f32(1, 2)], (k, x) => k.task(() => k.store(k.point(x), load(k, x, -1)))),
    ).rejects.toThrow(outside(-1, 2))
    await expect(
      execute(backend, [f32(1, 2)], (k, x) => k.task(() => k.store(k.point(x, 2), ex.constant('f32', 1)))),
    ).rejects.toThrow(outside(2, 2))
    await expect(
      execute(backend, [f32(1, 2, 3)], (k, x) => k.task(() => k.store(k.point(x), load(k, x, 0, 4), 0, 2))),
    ).resolves.toHaveLength(1)
    await expect(
      execute(backend, [f32(1, 2, 3)], (k, x) => k.task(() => k.store(k.point(x), load(k, x, 0, 4), 0))),
    ).rejects.toThrow(outside(3, 3))
  })

  test('the side of a select that is not taken is checked too', async () => {
    const backend = createInterpretBackend()
    const run = execute(backend, [f32(1)], (k, x) => {
      k.task(() => k.store(k.point(x), ex.select(ex.lt(load(k, x, 0), 2), load(k, x, 0), load(k, x, 1))))
    })
    await expect(run).rejects.toThrow('index 1 is outside buffer b0')
  })

  test('integer division by zero and broken promises of loops', async () => {
    const backend = createInterpretBackend()
    const divide = execute(backend, [i32(0)], (k, x) =>
      k.task(() => k.store(k.point(x), ex.div(ex.add(load(k, x, 0), 5), load(k, x, 0)))),
    )
    await expect(divide).rejects.toThrow('kernel test: 5 / 0 has no i32 result')
    const loop = execute(backend, [i32(0)], (k, x) =>
      k.task(() => k.repeat(load(k, x, 0), () => {}, { atLeastOnce: true })),
    )
    await expect(loop).rejects.toThrow('a loop promised to run at least once has count 0')
  })

  test('scratch is garbage at the start of every task', async () => {
    const backend = createInterpretBackend()
    const body = (k: KernelBuilder, out: BufferParam) => {
      const f = k.buffer('strip', 'f32', 'scratch')
      const i = k.buffer('indices', 'i32', 'scratch')
      k.task((task) => {
        const [p, q] = [k.point(f), k.point(i)]
        k.store(k.point(out, task), ex.add(k.load(p), ex.convert(k.load(q), 'f32')))
        k.store(p, ex.constant('f32', 1))
        k.store(q, ex.int(1))
      })
    }
    const [y] = await execute(backend, [f32(0, 0)], body, { tasks: 2, scratch: [4, 4] })
    expect(list(y)).toEqual([Number.NaN, Number.NaN])
  })

  test('new blocks hold garbage', async () => {
    const backend = createInterpretBackend()
    expect(list(await backend.read(backend.allocate(8), 0, 'f32', 2))).toEqual([Number.NaN, Number.NaN])
  })
})

describe('backend', () => {
  const increment = (backend: Backend, key: string): Kernel => {
    const k = new KernelBuilder(backend.target)
    const x = k.buffer('x', 'f32', 'output')
    k.task((task) => {
      const p = k.point(x, task)
      k.store(p, ex.add(k.load(p), 1))
    })
    return k.build('increment', key)
  }
  const instruction = (kernel: Kernel, offset = 0, tasks = 1) => {
    return { kernel, places: [{ region: 0, offset }], scratch: [], params: [], tasks, work: 1 }
  }

  test('equal keys compile once; the cache is bounded', () => {
    const backend = createInterpretBackend()
    backend.load([instruction(increment(backend, 'a')), instruction(increment(backend, 'a'))], 1)
    expect(backend.kernels).toEqual({ cached: 1, compiled: 1 })
    for (let i = 0; i < 1030; i++) {
      backend.load([instruction(increment(backend, `k${i}`)), instruction(increment(backend, 'a'))], 1)
    }
    expect(backend.kernels).toEqual({ cached: 1024, compiled: 1031 })
  })

  test('writes, runs and reads take effect in the order of their calls', async () => {
    const backend = createInterpretBackend()
    const block = backend.allocate(16)
    const table = backend.load([instruction(increment(backend, 'a'), 8, 2)], 1)
    const data = new Float32Array([1, 2, 3, 4])
    backend.write(block, 0, 'f32', data)
    const first = backend.run(table, [block])
    const before = backend.read(block, 0, 'f32', 4)
    backend.write(block, 8, 'f32', data.subarray(0, 2))
    data.fill(0)
    const second = backend.run(table, [block])
    const after = backend.read(block, 0, 'f32', 4)
    backend.free(block)
    expect(list(await before)).toEqual([1, 2, 4, 5])
    expect(list(await after)).toEqual([1, 2, 2, 3])
    await Promise.all([first, second])
    expect(() => backend.write(block, 0, 'f32', data)).toThrow('after it was freed')
  })

  test('a run that fails does not stop the next one', async () => {
    const backend = createInterpretBackend()
    const block = backend.allocate(4)
    backend.write(block, 0, 'f32', new Float32Array([1]))
    const bad = backend.run(backend.load([instruction(increment(backend, 'a'), 0, 2)], 1), [block])
    const good = backend.run(backend.load([instruction(increment(backend, 'a'))], 1), [block])
    await expect(bad).rejects.toThrow('index 1 is outside buffer x')
    await good
    expect(list(await backend.read(block, 0, 'f32', 1))).toEqual([3])
  })

  test('the event loop turns during long runs', async () => {
    const backend = createInterpretBackend()
    const block = backend.allocate(4 * 2 ** 18)
    let turns = 0
    const timer = setInterval(() => turns++, 1)
    await backend.run(backend.load(Array(20).fill(instruction(increment(backend, 'a'), 0, 2 ** 18)), 1), [block])
    clearInterval(timer)
    expect(turns).toBeGreaterThan(0)
  })

  test('double precision keeps 8 bytes an element', async () => {
    const backend = createInterpretBackend({ precision: 'f64' })
    expect([backend.name, backend.target.bytes.f32]).toEqual(['interpret-f64', 8])
    const block = backend.allocate(8)
    backend.write(block, 0, 'f32', new Float64Array([0.1]))
    expect(await backend.read(block, 0, 'f32', 1)).toEqual(new Float64Array([0.1]))
  })

  test('instructions that do not fit their kernel are refused', () => {
    const backend = createInterpretBackend()
    const kernel = increment(backend, 'a')
    const good = instruction(kernel)
    expect(() => backend.load([{ ...good, places: [] }], 1)).toThrow('0 places for 1 buffers')
    expect(() => backend.load([good], 0)).toThrow('region 0 of 0')
    expect(() => backend.load([{ ...good, params: [1] }], 1)).toThrow('1 values for 0 parameters')
    expect(() => backend.load([{ ...good, scratch: [1] }], 1)).toThrow('1 scratch sizes for 0 scratch buffers')
    expect(() => backend.load([{ ...good, tasks: 0.5 }], 1)).toThrow('0.5 tasks')
  })

  test('names that JavaScript reserves or that collide are renamed', async () => {
    const backend = createInterpretBackend()
    const k = new KernelBuilder(backend.target)
    const x = k.buffer('x0', 'f32', 'output')
    const f = k.function('return', [{ pointer: x }], (p) => k.store(p, k.let(k.load(p), 'x')))
    k.task(() => k.call(f, k.point(x, 0, 'a b')))
    const kernel = k.build('line\nbreak', 'names')
    const block = backend.allocate(4)
    backend.write(block, 0, 'f32', new Float32Array([3]))
    await backend.run(backend.load([instruction(kernel)], 1), [block])
    expect(list(await backend.read(block, 0, 'f32', 1))).toEqual([3])
  })

  test('prints one loop a loop', () => {
    const k = new KernelBuilder(createInterpretBackend({ lanes: 2 }).target)
    const x = k.buffer('x', 'f32', 'input')
    const y = k.buffer('y', 'f32', 'output')
    const count = k.int('count')
    k.task((task) => {
      const p = k.point(x, ex.mul(task, count))
      const sum = k.variable(ex.constant('f32', 0, 2), 'sum')
      k.repeat(count, () => {
        k.set(sum, ex.fma(k.loadVector(p), k.loadVector(p), sum.value))
        k.advance(p, 2)
      })
      k.store(k.point(y, task), ex.reduceLanes('add', sum.value))
    })
    const kernel = k.build('squares_f32', 'squares')
    expect(printJavaScript(kernel, { checked: false })).toMatchInlineSnapshot(`
      "'use strict'
      // squares_f32
      const { fround } = Math
      const [x, y] = buffers
      const [count] = params
      function task(task0) {
        let p_x1 = Math.imul(task0, count)
        let sum2_0 = 0
        let sum2_1 = 0
        for (let n = 0, n_end = count; n < n_end; n++) {
          sum2_0 = fround(fround(x[p_x1] * x[p_x1]) + sum2_0)
          sum2_1 = fround(fround(x[p_x1 + 1] * x[p_x1 + 1]) + sum2_1)
          p_x1 += 2
        }
        const p_y3 = task0
        y[p_y3] = fround(sum2_0 + sum2_1)
      }
      return task
      "
    `)
    expect(printJavaScript(kernel)).toContain('x[at("x", x, p_x1 + 1)]')
  })

  test('kinds of unknown options are refused', () => {
    expect(() => createInterpretBackend({ lane: 4 } as InterpretOptions)).toThrow("unknown option 'lane'")
  })
})

describe('erf', () => {
  // Reference values: erf of the C library (glibc, below 1 ulp).
  test.each([
    [0, 0.0],
    [1e-8, 1.1283791670955126e-8],
    [0.1, 0.1124629160182849],
    [0.5, 0.5204998778130465],
    [1, 0.8427007929497149],
    [1.5, 0.9661051464753108],
    [1.9999, 0.9953201979070294],
    [2, 0.9953222650189527],
    [2.0001, 0.9953243313041966],
    [2.5, 0.999593047982555],
    [3, 0.9999779095030014],
    [5.5, 0.9999999999999927],
    [-0.5, -0.5204998778130465],
    [10, 1.0],
    [Number.NEGATIVE_INFINITY, -1],
  ])('erf(%d)', (x, y) => {
    expect(Math.abs(erf(x) - y)).toBeLessThan(1e-15)
  })

  test('erf(NaN) is NaN', () => expect(erf(Number.NaN)).toBeNaN())
})
