import { describe, expect, it } from 'vitest'
import { createDevice, describeDevice, useDevice } from './index.ts'

describe('describeDevice', () => {
  it('tells what decides the bits of a result', async () => {
    const plain = await createDevice({ backend: 'interpret' })
    const before = await useDevice(plain)
    expect(await describeDevice()).toEqual({ backend: 'interpret', threads: 1 })
    await useDevice(await createDevice({ backend: 'interpret', precise: true }))
    expect(await describeDevice()).toEqual({ backend: 'interpret precise', threads: 1 })
    await useDevice(await createDevice({ backend: 'interpret', algorithm: 'direct' }))
    expect(await describeDevice()).toEqual({ backend: 'interpret direct', threads: 1 })
    if (before !== undefined) await useDevice(before)
  })
})
