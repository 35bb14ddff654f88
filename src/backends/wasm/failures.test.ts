import { describe, expect, it, vi } from 'vitest'
import { KernelBuilder } from '../../kernel/build.ts'
import * as e from '../../kernel/expression.ts'
import type { Instruction } from '../backend.ts'
import { createWasmBackend } from './index.ts'
import { printModule } from './print.ts'
import { wasmTarget } from './target.ts'

const target = wasmTarget({ relaxed: false })
function kernel(name: string, body: (k: KernelBuilder) => void) {
  const k = new KernelBuilder(target)
  body(k)
  return k.build(name, name)
}
const gather = kernel('gather', (k) => {
  const i = k.buffer('i', 'i32', 'input')
  const y = k.buffer('y', 'f32', 'output')
  k.task((t) => {
    const at = k.let(k.load(k.point(i, t)))
    const n = k.let(k.load(k.point(y, at)))
    k.store(k.point(y, t), e.add(n, 1))
  })
})
const places = [
  { region: 0, offset: 0 },
  { region: 1, offset: 0 },
]
describe('review', () => {
  it('allocates inside the memory after a refusal', async () => {
    const b = createWasmBackend({ threads: 1, relaxedSimd: false })
    expect(() => b.allocate(5 * 2 ** 30)).toThrow()
    const block = b.allocate(100 * 2 ** 20)
    b.write(block, 100 * 2 ** 20 - 4, 'f32', Float32Array.of(3))
    expect([...(await b.read(block, 100 * 2 ** 20 - 4, 'f32', 1))]).toEqual([3])
    await b.close()
  })
  it('keeps the kernels of a table apart, however many are in use', async () => {
    const b = createWasmBackend({ threads: 1, relaxedSimd: false })
    const y = b.allocate(8)
    const store = (i: number, place: number): Instruction => {
      const k = new KernelBuilder(b.target)
      const out = k.buffer('y', 'i32', 'output')
      k.task(() => k.store(k.point(out), e.int(i)))
      const places = [{ region: 0, offset: 4 * place }]
      return { kernel: k.build(`store${i}`, `store ${i}`), places, scratch: [], params: [], tasks: 1, work: 1 }
    }
    const tables = Array.from({ length: 520 }, (_, i) => b.load([store(2 * i, 0), store(2 * i + 1, 1)], 1))
    for (const i of [0, 511, 512, 513, 519]) {
      await b.run(tables[i], [y])
      expect(Array.from(await b.read(y, 0, 'i32', 2))).toEqual([2 * i, 2 * i + 1])
    }
    await b.close()
  })
  it.each([1, 1e9])('a table that trapped runs whole again, work %d', async (work) => {
    const b = createWasmBackend({ threads: 2, relaxedSimd: false })
    const [i, y] = [b.allocate(64), b.allocate(64)]
    b.write(y, 0, 'f32', new Float32Array(16))
    b.write(i, 0, 'i32', new Int32Array(16).fill(0x3f000000))
    const one: Instruction = { kernel: gather, places, scratch: [], params: [], tasks: 16, work }
    const t = b.load([one], 2)
    await expect(b.run(t, [i, y])).rejects.toThrow()
    b.write(
      i,
      0,
      'i32',
      Int32Array.from({ length: 16 }, (_, n) => n),
    )
    b.write(y, 0, 'f32', new Float32Array(16))
    await b.run(t, [i, y])
    expect([...(await b.read(y, 0, 'f32', 16))]).toEqual(new Array(16).fill(1))
    await b.close()
  })
  it('abs of abs', async () => {
    const k1 = kernel('abs2', (k) => {
      const y = k.buffer('y', 'i32', 'output')
      k.task(() => {
        const p = k.point(y)
        k.store(p, e.abs(e.abs(k.load(p))))
        k.store(p, e.abs(e.sub(e.abs(k.load(p, 1)), 3)), 1)
      })
    })
    const b = createWasmBackend({ threads: 1, relaxedSimd: false })
    const y = b.allocate(8)
    b.write(y, 0, 'i32', Int32Array.of(-5, -1))
    await b.run(
      b.load([{ kernel: k1, places: [{ region: 0, offset: 0 }], scratch: [], params: [], tasks: 1, work: 1 }], 1),
      [y],
    )
    expect([...(await b.read(y, 0, 'i32', 2))]).toEqual([5, 2])
    await b.close()
  })
  it('vectors shift by a vector', () => {
    const k1 = kernel('vshift', (k) => {
      const y = k.buffer('y', 'i32', 'output')
      k.task((t) => {
        const p = k.point(y)
        k.store(p, e.shl(k.loadVector(p), k.let(e.splat(t, 4))))
      })
    })
    expect(WebAssembly.validate(printModule(k1, { shared: true, maximumPages: 65536, fma: false }))).toBe(true)
  })
  it('cursor before the first block', async () => {
    const k1 = kernel('before', (k) => {
      const y = k.buffer('y', 'f32', 'output')
      k.task(() => {
        const p = k.point(y, -40000)
        k.store(p, e.constant('f32', 7), 40001)
      })
    })
    const b = createWasmBackend({ threads: 1, relaxedSimd: false })
    const y = b.allocate(8)
    await b.run(
      b.load([{ kernel: k1, places: [{ region: 0, offset: 0 }], scratch: [], params: [], tasks: 1, work: 1 }], 1),
      [y],
    )
    expect((await b.read(y, 4, 'f32', 1))[0]).toBe(7)
    await b.close()
  })
})
describe('a worker that dies', () => {
  it.each(['dies', 'cannot instantiate'])('rejects the run: %s', async (how) => {
    vi.resetModules()
    vi.doMock('#platform', async (original) => {
      const real = (await original()) as typeof import('../../platform/node.ts')
      return {
        ...real,
        createWorker: (source: string, name: string) => {
          const w = real.createWorker(source, name)
          let fail: (error: Error) => void = () => {}
          return {
            ...w,
            onError: (h: (error: Error) => void) => {
              fail = h
              w.onError(h)
            },
            post: (m: { action: string; modules: [number, unknown][] }, t?: readonly ArrayBuffer[]) => {
              if (name.endsWith('1') && m.action === 'run') {
                if (how === 'dies') {
                  setTimeout(() => fail(new Error('killed')), 5)
                  return
                }
                m = { ...m, modules: [[1, 'no module']] }
              }
              w.post(m, t)
            },
          }
        },
      }
    })
    const { createWasmBackend: create } = await import('./index.ts')
    const b = create({ threads: 2, relaxedSimd: false })
    const [i, y] = [b.allocate(64), b.allocate(64)]
    b.write(i, 0, 'i32', new Int32Array(16))
    const t = b.load([{ kernel: gather, places, scratch: [], params: [], tasks: 16, work: 1e9 }], 2)
    const outcome = await Promise.race([
      b.run(t, [i, y]).then(
        () => 'done',
        (x: Error) => x.message,
      ),
      new Promise((r) => setTimeout(() => r('hangs'), 2000)),
    ])
    expect(outcome).not.toBe('hangs')
    expect(outcome).not.toBe('done')
    vi.doUnmock('#platform')
  })
})
