import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Device } from '../engine/index.ts'
import { createDevice, type Tensor, useDevice } from '../tensor/index.ts'
import { asBytes, augmented, keyAt } from './augment.cases.ts'
import { Draws } from './augment-draws.ts'
import { drawPolicy } from './augment-policy.ts'

describe('randAugment', () => {
  let device: Device
  beforeAll(async () => {
    device = await createDevice({ backend: 'wasm', threads: 1 })
    await useDevice(device)
  })
  afterAll(() => device.close())

  it('gives each picture as many changes as asked for, all of them equally often', async () => {
    const batch = 4400
    const draws = new Draws(batch, keyAt(0), 2)
    const policy = drawPolicy({ randAugment: [1, 10] }, [32, 32, 3], draws)
    const changed = {
      rotate: [policy.geometry.angle, 0],
      shearX: [policy.geometry.shearX, 0],
      shearY: [policy.geometry.shearY, 0],
      shiftX: [policy.geometry.shiftX, 0],
      shiftY: [policy.geometry.shiftY, 0],
      brightness: [policy.colour.brightness, 1],
      contrast: [policy.colour.contrast, 1],
      saturation: [policy.colour.saturation, 1],
      solarize: [policy.solarizeFrom, 2],
      posterize: [policy.levels, 1],
    } as Record<string, [Tensor, number]>
    const each = new Int32Array(batch)
    for (const [name, [value, neutral]] of Object.entries(changed)) {
      const amounts = await value.data()
      let count = 0
      for (const [i, amount] of amounts.entries()) {
        if (Math.abs(amount - neutral) < 1e-6) continue
        count++
        each[i]++
      }
      // 400 expected, deviation 19.
      expect(Math.abs(count - 400), name).toBeLessThan(95)
    }
    // One of the eleven is to change nothing.
    expect(Math.max(...each)).toBe(1)
    expect(Math.abs(each.filter((count) => count === 0).length - 400)).toBeLessThan(95)
    expect(Math.max(...(await changed.rotate[0].data()))).toBeCloseTo(Math.PI / 6, 6)
    expect(Math.min(...(await changed.shiftX[0].data()))).toBeCloseTo(-9.6, 5)
    expect(Math.min(...(await changed.brightness[0].data()))).toBeCloseTo(0.1, 6)
  })

  it('solarize and posterize change what they should', async () => {
    const batch = 600
    const ramp = Uint8Array.from({ length: batch * 256 }, (_, i) => i % 256)
    const { x } = await augmented({ randAugment: [1, 5], fill: 'edge' }, batch, { data: ramp, of: [16, 16, 1] })
    let [solarized, posterized] = [0, 0]
    for (let n = 0; n < batch; n++) {
      const values = asBytes(x.subarray(n * 256, (n + 1) * 256)).map((value) => Math.round(value * 100) / 100)
      if (values.every((value, i) => value === (i < 127.5 ? i : 255 - i))) solarized++
      if (values.every((value, i) => value === i - (i % 4))) posterized++
    }
    // A tenth of the changes each.
    expect(Math.abs(solarized - 60)).toBeLessThan(35)
    expect(Math.abs(posterized - 60)).toBeLessThan(35)
  })
})
