/** Pairs of images: y[n] holds image 2 n in its lower halves and image 2 n + 1, or zeros, in its upper ones. */
import { exactPair } from '../../bfloat16.ts'
import { KernelBuilder, type KernelSpec } from '../../build.ts'
import { add, constant, div, lt, min, mul, rem, sub } from '../../expression.ts'
import type { Expr, Kernel, Pointer } from '../../language.ts'
import type { Target } from '../../target.ts'

const elementsPerTask = 16384

export function pairImagesSpec(): KernelSpec {
  const key = 'pairImages'
  return { key, build: (target) => buildPairImages(key, target) }
}

/** @param size elements of an image */
export function pairImagesCall(images: number, size: number) {
  const chunks = Math.ceil(size / elementsPerTask)
  const pairs = Math.ceil(images / 2)
  return { params: [images, size, elementsPerTask, chunks], tasks: pairs * chunks, work: pairs * size }
}

function buildPairImages(key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const x = k.buffer('x', 'bf16', 'input')
  const y = k.buffer('y', 'i32', 'output')
  const [images, size, chunk, chunks] = ['images', 'size', 'chunk', 'chunks'].map((n) => k.int(n))
  const declarations = [{ pointer: x }, { pointer: x }, { pointer: y }, { int: 'count' }] as const
  /** @param two whether there is a second image */
  const define = (two: boolean) =>
    k.function(two ? 'both' : 'single', declarations, (first, second, to, count) => {
      const step = (lanes: number) => {
        const load = (from: Pointer): Expr => k.let(lanes === 1 ? k.load(from) : k.loadVector(from))
        k.store(to, exactPair(load(first), two ? load(second) : constant('f32', 0, lanes)))
        for (const pointer of [first, second, to]) k.advance(pointer, lanes)
      }
      if (k.lanes > 1) k.repeat(div(count, k.lanes), () => step(k.lanes))
      k.repeat(k.lanes > 1 ? rem(count, k.lanes) : count, () => step(1))
    })
  const [both, single] = [define(true), define(false)]
  k.task((task) => {
    const pair = k.let(div(task, chunks))
    const start = k.let(mul(rem(task, chunks), chunk))
    const count = k.let(min(sub(size, start), chunk))
    const first = k.point(x, add(mul(mul(pair, 2), size), start))
    const second = k.pointFrom(first, size)
    const to = k.point(y, add(mul(pair, size), start))
    k.if(
      lt(add(mul(pair, 2), 1), images),
      () => k.call(both, first, second, to, count),
      () => k.call(single, first, second, to, count),
    )
  })
  return k.build(`pair_images_${target.name}`, key)
}
