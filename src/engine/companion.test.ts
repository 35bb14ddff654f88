/** Expressions and compiled functions on two devices that share Variables. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compile, State, tensor } from '../tensor/index.ts'
import { whyNoNative } from '../testing/why-no-native.ts'
import { createDevice, type Device, useDevice } from './index.ts'

const missing = await whyNoNative()

describe.skipIf(missing !== undefined)(`native with WebAssembly for expressions ${missing ?? ''}`, () => {
  let native: Device
  let previous: Device | undefined
  beforeAll(async () => {
    native = await createDevice({ backend: 'native', threads: 2 })
    previous = await useDevice(native)
  })
  afterAll(async () => {
    if (previous !== undefined) await useDevice(previous)
    await native.close()
  })

  it('an expression reads a Variable that lives in native memory, which stays there', async () => {
    const w = new State('w', [3], Float32Array.of(1, 2, 3))
    const double = compile(() => {
      w.assign(w.value.mul(2))
      return undefined
    })
    await double()
    const cached = native.backend.kernels.cached
    expect(await w.value.add(0.5).array()).toEqual([2.5, 4.5, 6.5])
    expect(native.backend.kernels.cached).toBe(cached)
    await double()
    expect([...(await w.data())]).toEqual([4, 8, 12])
  })

  it('what is asked for at once happens in order', async () => {
    for (let i = 0; i < 20; i++) {
      const size = 100_000 + i
      const w = new State('w', [size], new Float32Array(size).fill(1))
      const step = compile(() => {
        w.assign(w.value.mul(2))
        return w.value.sum()
      })
      w.assign(w.value.add(1))
      const read = w.value.sum().data()
      const stepped = step()
      await Promise.all([read, stepped])
      expect([...(await w.data()).subarray(0, 2)]).toEqual([4, 4])
      expect([...(await read)]).toEqual([2 * size])
    }
  })

  it('precise is what the companion is too', async () => {
    const precise = await createDevice({ backend: 'native', threads: 1, precise: true })
    expect(precise.forExpressions([])).not.toBe(precise)
    expect(precise.forExpressions([]).choice).toEqual(precise.choice)
    await precise.close()
  })

  it('gives all its memory back when it is closed', async () => {
    const device = await createDevice({ backend: 'native', threads: 1 })
    device.backend.allocate(1 << 22)
    device.backend.allocate(100)
    expect(device.backend.bytesInUse).toBeGreaterThan(1 << 22)
    await device.close()
    expect(device.backend.bytesInUse).toBe(0)
  })

  it('tensors of two arrays meet', async () => {
    expect(
      await tensor([1, 2])
        .add(tensor([3, 4]))
        .array(),
    ).toEqual([4, 6])
  })
})
