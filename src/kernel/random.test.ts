import { describe, expect, test } from 'vitest'
import { createInterpretBackend } from '../backends/interpret/index.ts'
import { Random, threefry2x32 } from '../base/random.ts'
import { KernelBuilder } from './build.ts'
import { add, splat } from './expression.ts'
import { threefry, uniform } from './random.ts'
import { verifyKernel } from './verify.ts'

describe.each([1, 4])('threefry with %d lanes', (lanes) => {
  const backend = createInterpretBackend({ lanes, math: 'polynomial' })
  const count = 64

  async function draw(key0: number, key1: number, start: number, high: number) {
    const k = new KernelBuilder(backend.target)
    const bits = k.buffer('bits', 'i32', 'output')
    const floats = k.buffer('floats', 'f32', 'output')
    const [k0, k1, c0, c1] = ['k0', 'k1', 'c0', 'c1'].map((name) => k.int(name))
    k.task(() => {
      const [p, q] = [k.point(bits), k.point(floats)]
      const counter = k.variable(add(splat(c0, lanes), k.laneIndex()))
      k.repeat(count / lanes, () => {
        const [a, b] = threefry(k, k0, k1, counter.value, c1)
        k.store(p, a)
        k.store(p, b, count)
        k.store(q, uniform(a))
        k.set(counter, add(counter.value, lanes))
        k.advance(p, lanes)
        k.advance(q, lanes)
      })
    })
    const kernel = k.build('draw', `draw${lanes}`)
    verifyKernel(kernel, backend.target)
    const blocks = [backend.allocate(8 * count), backend.allocate(4 * count)]
    const places = [0, 1].map((region) => ({ region, offset: 0 }))
    const instruction = { kernel, places, scratch: [], params: [key0, key1, start, high], tasks: 1, work: 1 }
    await backend.run(backend.load([instruction], 2), blocks)
    return [await backend.read(blocks[0], 0, 'i32', 2 * count), await backend.read(blocks[1], 0, 'f32', count)]
  }

  test.each([
    [0, 0, 0, 0],
    [1, 2, 3, 4],
    [-559038737, 0x13198a2e, -5, 7],
    [-1, -1, 2147483640, -1],
  ])('key %d %d, counter %d %d: the bits of the host', async (key0, key1, start, high) => {
    const [bits] = await draw(key0, key1, start, high)
    for (let i = 0; i < count; i++) {
      expect([bits[i], bits[count + i]]).toEqual(threefry2x32(key0, key1, (start + i) | 0, high))
    }
  })

  test('uniform: the numbers of the host', async () => {
    const random = new Random(5, 9)
    const [, floats] = await draw(5, 9, 0, 0)
    for (const value of floats) {
      expect(value).toBe(random.uniform())
      random.uint32()
    }
  })
})
