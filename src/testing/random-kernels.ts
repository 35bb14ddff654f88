/** Kernels made at random, to hold a machine against the law of the loop language. */
import type { Backend } from '../backends/backend.ts'
import { Random } from '../base/random.ts'
import { KernelBuilder, kindOf } from '../kernel/build.ts'
import * as e from '../kernel/expression.ts'
import type { Expr, Pointer, ScalarKind } from '../kernel/language.ts'
import { verifyKernel } from '../kernel/verify.ts'

/**
 * Runs a random kernel for each seed on both backends. Where the machine fuses multiply and add, kernels have no such
 * product: its bits would differ.
 * @param law an interpreter with the machine's lanes, in single precision
 * @returns the seeds whose results differ in any bit
 */
export async function differingKernels(machine: Backend, law: Backend, seeds: readonly number[]): Promise<string[]> {
  const { target } = machine
  const n = 16 * Math.max(4, target.lanes)
  const wrong: string[] = []
  for (const seed of seeds) {
    const r = new Random(seed, 'fuzz')
    const pick = <T>(a: readonly T[]): T => a[r.integer(a.length)]
    const k = new KernelBuilder(target)
    const F = k.buffer('f', 'f32', 'input'),
      I = k.buffer('i', 'i32', 'input'),
      U = k.buffer('u', 'u8', 'input'),
      B = k.buffer('b', 'bool', 'input'),
      H = k.buffer('h', 'bf16', 'input')
    const outs = {
      f32: k.buffer('of', 'f32', 'output'),
      i32: k.buffer('oi', 'i32', 'output'),
      u8: k.buffer('ou', 'u8', 'output'),
      bool: k.buffer('ob', 'bool', 'output'),
      bf16: k.buffer('oh', 'bf16', 'output'),
    } as const
    const pi = k.int('pi'),
      pf = k.float('pf')
    let lanes = 1
    let ptr: Record<'f' | 'i' | 'u' | 'b' | 'h', Pointer>
    const load = (p: Pointer): Expr => {
      const off = r.integer(12) - 6
      if (lanes === 1) return k.load(p, off)
      const count = 1 + r.integer(target.lanes)
      return r.integer(3) === 0
        ? k.loadVector(p, off, count, pick([e.int(3), pi, e.int(0)]))
        : k.loadVector(p, off, count)
    }
    const gen = (kind: ScalarKind, depth: number): Expr => {
      const leaf = depth <= 0 || r.integer(6) === 0
      const g = (kk: ScalarKind) => {
        const v = gen(kk, depth - 1)
        return r.integer(3) === 0 ? k.let(v) : v
      }
      if (kind === 'f32') {
        if (leaf)
          return pick([
            () => load(ptr.f),
            () => load(ptr.h),
            () => e.constant('f32', pick([0, 1, -1.5, 3e9, -0.0]), lanes),
            () => e.splat(pf, lanes),
            () => e.splat(k.load(ptr.f, 2), lanes),
            () => e.splat(k.load(ptr.h, 1), lanes),
          ])()
        return pick([
          () => pick([e.add, e.sub, e.mul, e.div, e.min, e.max])(g('f32'), g('f32')),
          () => pick([e.neg, e.abs, e.floor, e.ceil, e.trunc, e.round, (x: Expr) => e.sqrt(e.abs(x))])(g('f32')),
          () => (target.fma ? g('f32') : e.fma(g('f32'), g('f32'), g('f32'))),
          () => e.select(g('bool'), g('f32'), g('f32')),
          () => e.convert(g(pick(['i32', 'bool'] as const)), 'f32'),
          () => e.splat(lanes > 1 ? e.reduceLanes(pick(['add', 'min', 'max'] as const), g('f32')) : g('f32'), lanes),
        ])()
      }
      if (kind === 'i32') {
        if (leaf)
          return pick([
            () => load(ptr.i),
            () => load(ptr.u),
            () => e.constant('i32', pick([0, 1, -7, 2147483647, -2147483648]), lanes),
            () => e.splat(pi, lanes),
            () => k.laneIndex(lanes),
            () => e.splat(k.position(ptr.f), lanes),
          ])()
        return pick([
          () => pick([e.add, e.sub, e.mul, e.min, e.max, e.and, e.or, e.xor])(g('i32'), g('i32')),
          () => pick([e.shl, e.shr, e.shru])(g('i32'), e.constant('i32', r.integer(32), lanes)),
          () => pick([e.neg, e.abs])(g('i32')),
          () =>
            lanes === 1 ? pick([e.div, e.rem])(e.and(g('i32'), 0xffffff), e.or(e.and(g('i32'), 15), 1)) : g('i32'),
          () => e.select(g('bool'), g('i32'), g('i32')),
          () => e.convert(g(pick(['f32', 'bool'] as const)), 'i32'),
          () => e.bitcast(e.convert(g('i32'), 'f32'), 'i32'),
          () => e.splat(lanes > 1 ? e.reduceLanes(pick(['add', 'min', 'max'] as const), g('i32')) : g('i32'), lanes),
        ])()
      }
      if (leaf)
        return pick([
          () => load(ptr.b),
          () => e.constant('bool', r.integer(2), lanes),
          () => e.splat(k.load(ptr.b, 1), lanes),
        ])()
      return pick([
        () => pick([e.eq, e.ne, e.lt, e.le, e.gt, e.ge])(g('f32'), g('f32')),
        () => pick([e.eq, e.ne, e.lt, e.le, e.gt, e.ge])(g('i32'), g('i32')),
        () => pick([e.and, e.or, e.xor])(g('bool'), g('bool')),
        () => e.not(g('bool')),
        () => e.select(g('bool'), g('bool'), g('bool')),
        () => e.convert(g(pick(['f32', 'i32'] as const)), 'bool'),
      ])()
    }
    k.task((task) => {
      ptr = { f: k.point(F, 20), i: k.point(I, 20), u: k.point(U, 20), b: k.point(B, 20), h: k.point(H, 20) }
      const q = {
        f32: k.point(outs.f32, 16),
        i32: k.point(outs.i32, 16),
        u8: k.point(outs.u8, 16),
        bool: k.point(outs.bool, 16),
        bf16: k.point(outs.bf16, 16),
      }
      k.loop(pick([e.int(2), pi]), () => {
        for (let s = 0; s < 3; s++) {
          lanes = pick([1, target.lanes])
          const d = pick(['f32', 'i32', 'u8', 'bool', 'bf16'] as const)
          const v = gen(kindOf(d), 3)
          const count = lanes === 1 ? 1 : 1 + r.integer(target.lanes)
          const stride = lanes > 1 && r.integer(3) === 0 ? pick([e.int(2), pi]) : undefined
          k.if(e.ge(task, pick([0, 0, 0, 1])), () => k.store(q[d], v, r.integer(10) - 5, count, stride))
        }
        for (const p of Object.values(q)) k.advance(p, 6)
        for (const p of Object.values(ptr)) k.advance(p, 3)
      })
    })
    const built = k.build(`fuzz${seed}`, `fuzz${seed}`)
    verifyKernel(built, target)
    const results: number[][][] = []
    const rr = new Random(seed, 'data')
    const f = Float32Array.from({ length: n }, () =>
      rr.integer(8) === 0 ? [Number.NaN, 0, -0, 1e30, -1e10][rr.integer(5)] : rr.uniform(-20, 20),
    )
    const i = Int32Array.from({ length: n }, () => (rr.integer(6) === 0 ? rr.uint32() | 0 : rr.integer(40) - 20)),
      u = Uint8Array.from({ length: n }, () => rr.integer(256)),
      b = Uint8Array.from({ length: n }, () => rr.integer(2))
    for (const backend of [machine, law]) {
      const dts = ['f32', 'i32', 'u8', 'bool', 'bf16', 'f32', 'i32', 'u8', 'bool', 'bf16'] as const
      const blocks = [f, i, u, b, f, f, i, u, b, f].map((data, j) => {
        const bl = backend.allocate(4 * n)
        backend.write(bl, 0, dts[j], j < 5 ? data : data.map(() => 0))
        return bl
      })
      const t = backend.load(
        [
          {
            kernel: built,
            places: blocks.map((_, region) => ({ region, offset: 0 })),
            scratch: [],
            params: [3, 0.3],
            tasks: 1,
            work: 1,
          },
        ],
        10,
      )
      await backend.run(t, blocks)
      results.push(
        await Promise.all(blocks.slice(5).map(async (bl, j) => [...(await backend.read(bl, 0, dts[5 + j], n))])),
      )
      t.release()
      for (const block of blocks) backend.free(block)
    }
    const same =
      JSON.stringify(results[0].map((a) => a.map((x) => (Object.is(x, -0) ? '-0' : String(x))))) ===
      JSON.stringify(results[1].map((a) => a.map((x) => (Object.is(x, -0) ? '-0' : String(x)))))
    if (!same) wrong.push(`seed ${seed}`)
  }
  return wrong
}
