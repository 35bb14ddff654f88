import { describe, expect, it } from 'vitest'
import { fromBfloat16, packBfloat16, unpackBfloat16 } from '../base/bfloat16.ts'
import type { StorageType } from '../base/dtype.ts'
import { KernelBuilder } from '../kernel/build.ts'
import { constant, int } from '../kernel/expression.ts'
import type { Kernel } from '../kernel/language.ts'
import { verifyKernel } from '../kernel/verify.ts'
import { testDevices } from '../testing/each-backend.ts'
import type { Backend } from './backend.ts'

const patterns = unpackBfloat16(Uint16Array.from({ length: 65536 }, (_, i) => i))

/** f32 around every border between two bf16: the middle, its neighbours, and the patterns just beside the ends. */
const borders = new Float32Array(
  Uint32Array.from({ length: 5 * 65536 }, (_, i) => {
    const offset = [0x0001, 0x7fff, 0x8000, 0x8001, 0xffff][i % 5]
    return ((Math.floor(i / 5) << 16) | offset) >>> 0
  }).buffer,
)

/** y[i] = x[i], written `count` lanes at a time where they are vectors, or every `stride`-th. */
function copyKernel(backend: Backend, from: StorageType, to: StorageType, count: number, stride = 1): Kernel {
  const k = new KernelBuilder(backend.target)
  const x = k.buffer('x', from, 'input')
  const y = k.buffer('y', to, 'output')
  const n = k.int('n')
  k.task(() => {
    const [at, out] = [k.point(x), k.point(y)]
    k.repeat(n, () => {
      const apart = stride === 1 ? undefined : int(stride)
      k.store(out, count === 1 ? k.load(at) : k.loadVector(at, 0, count, apart), 0, count, apart)
      k.advance(at, count * stride)
      k.advance(out, count * stride)
    })
    // What a load of fewer lanes leaves out is zero.
    if (k.lanes > 1) k.store(k.point(y, 4), k.loadVector(k.point(x), 0, 1), 0, 2)
    else k.store(k.point(y, 5), constant('f32', 0))
  })
  const kernel = k.build('copy', `copy|${from}|${to}|${count}|${stride}`)
  verifyKernel(kernel, backend.target)
  return kernel
}

async function copied(
  backend: Backend,
  data: Float32Array,
  from: StorageType,
  to: StorageType,
  count: number,
  stride = 1,
): Promise<Float32Array> {
  const kernel = copyKernel(backend, from, to, count, stride)
  const [x, y] = [from, to].map((dtype) => backend.allocate(data.length * backend.target.bytes[dtype]))
  backend.write(x, 0, from, data)
  backend.write(y, 0, to, new Float32Array(data.length))
  const places = [0, 1].map((region) => ({ region, offset: 0 }))
  const params = [Math.floor(data.length / (count * stride))]
  const table = backend.load([{ kernel, places, scratch: [], params, tasks: 1, work: 1 }], 2)
  await backend.run(table, [x, y])
  const result = await backend.read(y, 0, to, data.length)
  table.release()
  for (const block of [x, y]) backend.free(block)
  return Float32Array.from(result)
}

/** The first elements are written once more at the end: those checked begin behind them. */
const skipped = 8
const bits = (values: Float32Array) => [...packBfloat16(values.subarray(skipped))]

describe.each(testDevices.map((device) => [device.name, device] as const))('bf16 in memory: %s', (_, device) => {
  it('reads every pattern and writes it back', async () => {
    const { backend } = await device.get()
    for (const count of new Set([1, backend.target.lanes])) {
      const read = await copied(backend, patterns, 'bf16', 'f32', count)
      expect(bits(read)).toEqual(bits(patterns))
      const written = await copied(backend, patterns, 'f32', 'bf16', count)
      expect(bits(written)).toEqual(bits(patterns))
    }
  })

  it('rounds to nearest, ties to even, and keeps NaN', async () => {
    const { backend } = await device.get()
    for (const count of new Set([1, backend.target.lanes])) {
      const written = await copied(backend, borders, 'f32', 'bf16', count)
      expect(bits(written)).toEqual(bits(borders))
    }
  })

  it('reads and writes some lanes only, also apart from each other', async () => {
    const { backend } = await device.get()
    const data = borders.subarray(0, 600)
    for (let count = 1; count <= backend.target.lanes; count++) {
      for (const stride of [1, 3]) {
        const whole = Math.floor(data.length / (count * stride)) * count * stride
        const expected = Array.from(data, (value, i) =>
          i < whole && i % stride === 0 ? fromBfloat16(packBfloat16([value])[0]) : 0,
        )
        for (const [from, to] of [
          ['f32', 'bf16'],
          ['bf16', 'f32'],
          ['bf16', 'bf16'],
        ] as const) {
          const result = await copied(backend, data, from, to, count, stride)
          expect(bits(result)).toEqual(bits(Float32Array.from(expected)))
        }
      }
    }
  })

  it('fills lanes that were not asked for with zeros', async () => {
    const { backend } = await device.get()
    const result = await copied(
      backend,
      patterns.map(() => 1.5),
      'bf16',
      'f32',
      1,
    )
    expect([...result.subarray(5, 7)]).toEqual([0, 1.5])
  })
})
