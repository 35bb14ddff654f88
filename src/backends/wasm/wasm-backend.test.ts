import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { KernelBuilder } from '../../kernel/build.ts'
import * as e from '../../kernel/expression.ts'
import type { Kernel } from '../../kernel/language.ts'
import { verifyKernel } from '../../kernel/verify.ts'
import type { Backend, Instruction } from '../backend.ts'
import { createInterpretBackend } from '../interpret/index.ts'
import { createWasmBackend, detectFeatures } from './index.ts'
import { Allocator } from './memory.ts'
import { wasmTarget } from './target.ts'

const target = wasmTarget({ relaxed: false })

function kernel(name: string, body: (k: KernelBuilder) => void): Kernel {
  const k = new KernelBuilder(target)
  body(k)
  const built = k.build(name, name)
  verifyKernel(built, target)
  return built
}

/** y[task] = x[task + 1 mod n] + 1, n tasks: every step needs all of the step before. */
const rotate = kernel('rotate', (k) => {
  const x = k.buffer('x', 'f32', 'input')
  const y = k.buffer('y', 'f32', 'output')
  const n = k.int('n')
  k.task((task) => {
    const from = k.point(x, e.rem(e.add(task, 1), n))
    k.store(k.point(y, task), k.let(e.add(k.load(from), 1)))
  })
})

function rotations(steps: number, n: number, work: number): Instruction[] {
  return Array.from({ length: steps }, (_, i) => ({
    kernel: rotate,
    places: [
      { region: i % 2, offset: 0 },
      { region: 1 - (i % 2), offset: 0 },
    ],
    scratch: [],
    params: [n],
    tasks: n,
    work,
  }))
}

async function runRotations(backend: Backend, repetitions: number): Promise<number[]> {
  const n = 37
  const steps = 40
  const blocks = [backend.allocate(4 * n), backend.allocate(4 * n)]
  backend.write(
    blocks[0],
    0,
    'f32',
    Float32Array.from({ length: n }, (_, i) => i),
  )
  const table = backend.load(rotations(steps, n, 1e6), 2)
  for (let i = 0; i < repetitions; i++) await backend.run(table, blocks)
  const values = await backend.read(blocks[0], 0, 'f32', n)
  table.release()
  return [...values]
}

const rotated = (repetitions: number) =>
  Array.from({ length: 37 }, (_, i) => ((i + 40 * repetitions) % 37) + 40 * repetitions)

describe('tables', () => {
  it.each([
    { threads: 1, repetitions: 20 },
    { threads: 2, repetitions: 500 },
    { threads: 3, repetitions: 300 },
  ])('wait for every thread between instructions: $threads threads', async ({ threads, repetitions }) => {
    const backend = createWasmBackend({ threads, relaxedSimd: false })
    expect(backend.threads).toBe(threads)
    expect(await runRotations(backend, repetitions)).toEqual(rotated(repetitions))
    await backend.close()
  })

  it('run in one worker with a memory of its own', async () => {
    const backend = createWasmBackend({ threads: 4, shared: false, relaxedSimd: false })
    expect(backend.threads).toBe(1)
    expect(await runRotations(backend, 5)).toEqual(rotated(5))
    // Larger than the memory it starts with.
    const block = backend.allocate(40_000_000)
    backend.write(block, 39_999_996, 'f32', Float32Array.of(7))
    expect([...(await backend.read(block, 39_999_996, 'f32', 1))]).toEqual([7])
    await backend.close()
  })

  it('run on the calling thread when they are small', async () => {
    const backend = createWasmBackend({ threads: 2, relaxedSimd: false })
    const blocks = [backend.allocate(40), backend.allocate(40)]
    backend.write(blocks[0], 0, 'f32', new Float32Array(10))
    await backend.run(backend.load(rotations(3, 10, 1), 2), blocks)
    expect([...(await backend.read(blocks[1], 0, 'f32', 10))]).toEqual(new Array(10).fill(3))
    await backend.close()
  })

  it('fail when a kernel traps, and the next one runs', async () => {
    const trap = kernel('trap', (k) => {
      const x = k.buffer('x', 'f32', 'output')
      const far = k.int('far')
      k.task(() => k.store(k.point(x, far), e.constant('f32', 1)))
    })
    const backend = createWasmBackend({ threads: 3, relaxedSimd: false })
    const block = backend.allocate(64)
    const instruction: Instruction = {
      kernel: trap,
      places: [{ region: 0, offset: 0 }],
      scratch: [],
      params: [0x3f000000],
      tasks: 1,
      work: 1e9,
    }
    const bad = backend.load([instruction, ...rotations(1, 1, 1)], 2)
    await expect(backend.run(bad, [block, block])).rejects.toThrow('wasm: kernel trap: memory access out of bounds')
    bad.release()
    expect(await runRotations(backend, 3)).toEqual(rotated(3))
    await backend.close()
  })
})

describe('printed code does what the interpreter does', () => {
  const wasm = createWasmBackend({ threads: 1, relaxedSimd: false })
  const interpreter = createInterpretBackend({ lanes: 4 })
  afterAll(async () => {
    await wasm.close()
    await interpreter.close()
  })
  const floats = Float32Array.of(
    -3.7,
    -2.5,
    -1.5,
    -1,
    -0.5,
    -0,
    0,
    0.49999997,
    0.5,
    1,
    1.5,
    2.5,
    3.7,
    1e9,
    -1e9,
    Number.NaN,
  )
  const ints = Int32Array.of(-7, -1, 0, 1, 2, 3, 5, 31, 32, 255, 256, 2 ** 31 - 1, -(2 ** 31), 9, -9, 4)
  const bytes = Uint8Array.of(0, 1, 2, 127, 128, 254, 255, 3, 4, 5, 6, 7, 8, 9, 10, 11)

  async function both(
    name: string,
    body: Parameters<typeof kernel>[1],
    inputs: readonly (Float32Array | Int32Array | Uint8Array)[],
    output: 'f32' | 'i32' | 'u8' | 'bool',
    size = 16,
  ): Promise<void> {
    const built = kernel(name, body)
    const results: unknown[] = []
    for (const backend of [wasm, interpreter]) {
      const blocks = inputs.map((input) => {
        const block = backend.allocate(input.byteLength)
        backend.write(
          block,
          0,
          input instanceof Float32Array ? 'f32' : input instanceof Int32Array ? 'i32' : 'u8',
          input,
        )
        return block
      })
      const out = backend.allocate(4 * size)
      backend.write(out, 0, output, new Float32Array(size))
      const places = [...blocks, out].map((_, region) => ({ region, offset: 0 }))
      await backend.run(
        backend.load([{ kernel: built, places, scratch: [], params: [], tasks: 1, work: 1 }], places.length),
        [...blocks, out],
      )
      results.push([...(await backend.read(out, 0, output, size))])
    }
    expect(results[0]).toEqual(results[1])
  }

  /** Applies `f` to all elements, by vectors and then by scalars. */
  const pointwise =
    (
      dtypes: readonly ('f32' | 'i32' | 'u8')[],
      output: 'f32' | 'i32' | 'u8' | 'bool',
      f: (...args: ReturnType<typeof e.int>[]) => ReturnType<typeof e.int>,
    ) =>
    (k: KernelBuilder) => {
      const xs = dtypes.map((dtype, i) => k.buffer(`x${i}`, dtype, 'input'))
      const y = k.buffer('y', output, 'output')
      k.task(() => {
        const pointers = [...xs, y].map((buffer) => k.point(buffer))
        k.repeat(2, () => {
          k.store(pointers[xs.length], k.let(f(...xs.map((_, i) => k.let(k.loadVector(pointers[i]))))))
          for (const pointer of pointers) k.advance(pointer, 4)
        })
        k.repeat(8, () => {
          k.store(pointers[xs.length], k.let(f(...xs.map((_, i) => k.let(k.load(pointers[i]))))))
          for (const pointer of pointers) k.advance(pointer, 1)
        })
      })
    }
  const reversed = <T extends Float32Array | Int32Array>(array: T): T => array.slice().reverse() as T

  it.each(['add', 'sub', 'mul', 'div', 'min', 'max'] as const)('f32 %s', (name) =>
    both(
      name,
      pointwise(['f32', 'f32'], 'f32', (a, b) => e[name](a, b)),
      [floats, reversed(floats)],
      'f32',
    ),
  )
  it.each(['neg', 'abs', 'sqrt', 'floor', 'ceil', 'trunc', 'round'] as const)('f32 %s', (name) =>
    both(
      name,
      pointwise(['f32'], 'f32', (a) => e[name](a)),
      [floats],
      'f32',
    ),
  )
  it.each(['add', 'sub', 'mul', 'min', 'max', 'and', 'or', 'xor'] as const)('i32 %s', (name) =>
    both(
      `i${name}`,
      pointwise(['i32', 'i32'], 'i32', (a, b) => e[name](a, b)),
      [ints, reversed(ints)],
      'i32',
    ),
  )
  it.each(['shl', 'shr', 'shru'] as const)('i32 %s', (name) =>
    both(
      name,
      pointwise(['i32'], 'i32', (a) => e[name](a, 5)),
      [ints],
      'i32',
    ),
  )
  it.each(['neg', 'abs'] as const)('i32 %s', (name) =>
    both(
      `i${name}`,
      pointwise(['i32'], 'i32', (a) => e[name](a)),
      [ints],
      'i32',
    ),
  )
  it.each(['eq', 'ne', 'lt', 'le', 'gt', 'ge'] as const)('compare %s', async (name) => {
    await both(
      `f${name}`,
      pointwise(['f32', 'f32'], 'bool', (a, b) => e[name](a, b)),
      [floats, reversed(floats)],
      'bool',
    )
    await both(
      `i${name}`,
      pointwise(['i32', 'i32'], 'bool', (a, b) => e[name](a, b)),
      [ints, reversed(ints)],
      'bool',
    )
  })
  it('select, not, fma', async () => {
    await both(
      'select',
      pointwise(['f32', 'f32'], 'f32', (a, b) => e.select(e.not(e.lt(a, b)), a, b)),
      [floats, reversed(floats)],
      'f32',
    )
    await both(
      'fma',
      pointwise(['f32', 'f32'], 'f32', (a, b) => e.fma(a, b, a)),
      [floats, reversed(floats)],
      'f32',
    )
  })
  it('conversions', async () => {
    await both(
      'f32 to i32',
      pointwise(['f32'], 'i32', (a) => e.convert(a, 'i32')),
      [floats],
      'i32',
    )
    await both(
      'i32 to f32',
      pointwise(['i32'], 'f32', (a) => e.convert(a, 'f32')),
      [ints],
      'f32',
    )
    await both(
      'u8 to f32',
      pointwise(['u8'], 'f32', (a) => e.convert(a, 'f32')),
      [bytes],
      'f32',
    )
    await both(
      'i32 to u8',
      pointwise(['i32'], 'u8', (a) => a),
      [ints],
      'u8',
    )
    await both(
      'f32 to bool',
      pointwise(['f32'], 'bool', (a) => e.convert(a, 'bool')),
      [floats],
      'bool',
    )
    await both(
      'bool to f32',
      pointwise(['f32'], 'f32', (a) => e.convert(e.gt(a, 0), 'f32')),
      [floats],
      'f32',
    )
    await both(
      'bits',
      pointwise(['f32'], 'i32', (a) => e.bitcast(a, 'i32')),
      [floats.map((x) => (Number.isNaN(x) ? 8 : x))],
      'i32',
    )
  })
  it('partial, strided and backward vectors', async () => {
    for (const count of [1, 2, 3, 4]) {
      await both(
        `partial ${count}`,
        (k) => {
          const [x, y] = [k.buffer('x', 'f32', 'input'), k.buffer('y', 'f32', 'output')]
          k.task(() => {
            const [p, q] = [k.point(x, 6), k.point(y, 8)]
            k.store(q, k.let(k.loadVector(p, -5, count)), -3, count)
            k.store(q, k.let(k.loadVector(p, 2, count, e.int(2))), 0, count, e.int(2))
          })
        },
        [floats],
        'f32',
      )
      await both(
        `bytes ${count}`,
        (k) => {
          const [x, y] = [k.buffer('x', 'u8', 'input'), k.buffer('y', 'i32', 'output')]
          k.task(() => {
            const [p, q] = [k.point(x, 2), k.point(y)]
            k.store(q, k.let(k.loadVector(p, -1, count)), 0)
            k.store(q, k.let(k.loadVector(p, 1, count, e.int(3))), 4)
          })
        },
        [bytes],
        'i32',
      )
    }
  })
  it('lanes, splats, positions, branches, loops that run not at all', async () => {
    await both(
      'lanes',
      (k) => {
        const [x, y] = [k.buffer('x', 'f32', 'input'), k.buffer('y', 'f32', 'output')]
        const inner = k.function('inner', [{ pointer: y }, { int: 'n' }], (q, n) => {
          k.loop(n, (i) => {
            k.if(
              e.lt(i, 2),
              () => k.store(q, k.let(e.convert(e.mul(i, 10), 'f32'))),
              () => k.store(q, k.let(e.convert(k.position(q), 'f32'))),
            )
            k.advance(q, 1)
          })
        })
        k.task(() => {
          const p = k.point(x)
          const q = k.point(y)
          const v = k.let(k.loadVector(p, 0))
          k.store(q, k.let(e.reduceLanes('add', v)), 0)
          k.store(q, k.let(e.reduceLanes('max', v)), 1)
          k.store(q, k.let(e.reduceLanes('min', v)), 2)
          k.store(q, k.let(e.splat(k.load(p, 3), 4)), 3)
          k.store(q, k.let(e.convert(k.laneIndex(), 'f32')), 7)
          const tail = k.pointFrom(q, 11)
          k.call(inner, tail, e.int(0))
          k.call(inner, tail, e.int(5))
        })
      },
      [floats],
      'f32',
    )
  })
})

describe('allocator', () => {
  it('hands out blocks that never meet, and takes them all back', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.nat(5000), fc.constant(-1)), { maxLength: 200 }), (requests) => {
        const allocator = new Allocator(1024)
        const live: { offset: number; end: number }[] = []
        for (const [i, request] of requests.entries()) {
          if (request < 0) {
            const [gone] = live.splice(i % Math.max(1, live.length), 1)
            if (gone !== undefined) allocator.free(gone.offset)
            continue
          }
          const offset = allocator.allocate(request)
          expect(offset % 64).toBe(0)
          const end = offset + request + 64
          expect(live.every((other) => other.offset >= end || other.end <= offset)).toBe(true)
          live.push({ offset, end })
        }
        for (const { offset } of live) allocator.free(offset)
        expect(allocator.used).toBe(0)
        const before = allocator.end
        if (before > 1024) expect(allocator.allocate(before - 1024 - 64)).toBe(1024)
      }),
    )
  })
  it('refuses to free what is not in use', () => {
    expect(() => new Allocator(0).free(64)).toThrow('address 64 is not in use')
  })
})

describe('features', () => {
  it('say why something is missing', () => {
    for (const feature of Object.values(detectFeatures())) expect(feature.reason).not.toBe('')
    if (!detectFeatures().relaxedSimd.available)
      expect(() => createWasmBackend({ relaxedSimd: true })).toThrow('relaxed SIMD was asked for')
  })
  it('an exhausted memory is told with its sizes', async () => {
    const backend = createWasmBackend({ threads: 1 })
    expect(() => backend.allocate(5 * 2 ** 30)).toThrow(/memory is exhausted.\n {2}got {7}5120.0 MiB asked for/)
    await backend.close()
  })
})
