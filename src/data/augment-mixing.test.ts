import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Random } from '../base/random.ts'
import type { Device } from '../engine/index.ts'
import { compile, createDevice, type Tensor, tensor, useDevice } from '../tensor/index.ts'
import { augmented, keyAt, pictures, shape, size } from './augment.cases.ts'
import { augmentBatch } from './augment.ts'
import { boxAround, symmetricBeta } from './augment-mixing.ts'

describe('erasing and mixing', () => {
  let device: Device
  beforeAll(async () => {
    device = await createDevice({ backend: 'wasm', threads: 1 })
    await useDevice(device)
  })
  afterAll(() => device.close())

  it('cut-out erases a square, cut off at the edges', async () => {
    const batch = 300
    const white = new Uint8Array(batch * size).fill(255)
    const { x } = await augmented({ cutOut: 0.5 }, batch, { data: white })
    const areas = new Set<number>()
    for (let n = 0; n < batch; n++) {
      const rows = new Set<number>()
      const columns = new Set<number>()
      let erased = 0
      for (let p = 0; p < 80; p++) {
        const value = x[n * size + 3 * p]
        for (const c of [1, 2]) expect(x[n * size + 3 * p + c]).toBe(value)
        if (value === 1) continue
        expect(value).toBe(0.5)
        erased++
        rows.add(Math.floor(p / 10))
        columns.add(p % 10)
      }
      expect(erased).toBe(rows.size * columns.size)
      expect(Math.max(rows.size, columns.size)).toBeLessThanOrEqual(4)
      areas.add(erased)
    }
    expect(Math.max(...areas)).toBe(16)
    // A corner of the picture is in the middle of the square.
    expect(Math.min(...areas)).toBe(4)
    expect((await augmented({ cutOut: 0.5, fill: 0.25 }, 1, { data: white.subarray(0, size) })).x).toContain(0.25)
  })

  it('mix-up mixes sample and label alike', async () => {
    const batch = 101
    const data = pictures(batch, shape)
    const { x, y, yShape } = await augmented({ mixUp: 0.4 }, batch)
    expect(yShape).toEqual([batch, 3])
    const partner = (n: number) => batch - 1 - n
    const shares: number[] = []
    for (let n = 0; n < batch; n++) {
      const [own, other] = [n % 3, partner(n) % 3]
      expect(y[3 * n] + y[3 * n + 1] + y[3 * n + 2]).toBeCloseTo(1, 6)
      if (own === other) continue
      const share = y[3 * n + own]
      expect(y[3 * n + other]).toBeCloseTo(1 - share, 6)
      shares.push(share)
      for (let i = 0; i < size; i += 7) {
        const expected = share * data[n * size + i] + (1 - share) * data[partner(n) * size + i]
        expect(x[n * size + i] * 255).toBeCloseTo(expected, 2)
      }
    }
    expect(Math.min(...shares)).toBeLessThan(0.05)
    expect(Math.max(...shares)).toBeGreaterThan(0.95)
  })

  it('cut-mix shares the label by area', async () => {
    const batch = 100
    // The first half of the batch is black and of class 0, the other white and of class 1.
    const data = new Uint8Array(batch * size).fill(255, (batch / 2) * size)
    const { x: values, y: shares } = await augmented({ cutMix: 1 }, batch, {
      data,
      labels: (n) => Number(n >= batch / 2),
    })
    let mean = 0
    for (let n = 0; n < batch; n++) {
      const white = values.subarray(n * size, (n + 1) * size).filter((value) => value === 1).length / size
      expect(shares[3 * n + 1]).toBeCloseTo(white, 6)
      expect(shares[3 * n]).toBeCloseTo(1 - white, 6)
      mean += Math.abs(white - Number(n >= batch / 2)) / batch
    }
    // Half of the area before boxes are cut off at the edges.
    expect(mean).toBeGreaterThan(0.15)
    expect(mean).toBeLessThan(0.5)
  })

  it('with both, each sample gets the one or the other', async () => {
    const batch = 200
    const data = new Uint8Array(batch * size).fill(255, (batch / 2) * size)
    const both = { mixUp: 1, cutMix: 1 }
    const { x: values, y: shares } = await augmented(both, batch, { data, labels: (n) => Number(n >= batch / 2) })
    let blended = 0
    for (let n = 0; n < batch; n++) {
      const picture = values.subarray(n * size, (n + 1) * size)
      if (picture.every((value) => value === picture[0])) blended++
      else expect(picture.every((value) => value === 0 || value === 1)).toBe(true)
      expect(shares[3 * n + 1]).toBeCloseTo(picture.reduce((a, b) => a + b, 0) / size, 5)
    }
    expect(Math.abs(blended - batch / 2)).toBeLessThan(35)
  })

  it('mix-up takes samples that are no pictures, and labels that are shares already', async () => {
    const run = compile((a: Tensor, b: Tensor, key: Tensor) => augmentBatch(a, b, { mixUp: 1 }, { key, classes: 2 }))
    const { x, y } = await run(
      tensor([[1], [3]]),
      tensor([
        [1, 0],
        [0.5, 0.5],
      ]),
      keyAt(0),
    )
    const [[first]] = (await y.array()) as number[][]
    const [[value]] = (await x.array()) as number[][]
    // 1 · share + ½ · (1 - share), and 1 · share + 3 · (1 - share)
    expect(value).toBeCloseTo(3 - 2 * (2 * first - 1), 5)
  })

  it.each([0.1, 0.2, 0.5, 1, 4, 50])('shares are symmetric beta of %d', async (alpha) => {
    const count = 40_000
    const random = new Random(5, `beta ${alpha}`)
    const uniform = () => tensor(Float32Array.from({ length: count }, () => random.uniform()))
    const values = (await symmetricBeta(alpha, uniform(), uniform()).data()) as Float32Array
    const moment = (power: number) => values.reduce((sum, value) => sum + (value - 0.5) ** power, 0) / count
    expect(values.every((value) => value >= 0 && value <= 1)).toBe(true)
    const variance = 1 / (4 * (2 * alpha + 1))
    const fourth = 3 / (16 * (2 * alpha + 1) * (2 * alpha + 3))
    expect(Math.abs(moment(1))).toBeLessThan(5 * Math.sqrt(variance / count))
    expect(moment(2) / variance).toBeCloseTo(1, 1)
    expect(moment(4) / fourth).toBeCloseTo(1, 1)
  })

  it('shares are numbers wherever the draws lie', async () => {
    const ends = [0, 2 ** -24, 0.25, 0.5, 0.75, 1 - 2 ** -24]
    const pairs = ends.flatMap((a) => ends.map((b) => [a, b]))
    const [radius, angle] = [0, 1].map((i) => tensor(Float32Array.from(pairs, (pair) => pair[i])))
    for (const alpha of [1e-6, 0.05, 0.5, 1, 100]) {
      const values = await symmetricBeta(alpha, radius, angle).data()
      expect(values.every((value) => value >= 0 && value <= 1)).toBe(true)
    }
  })

  it('boxes lie inside the picture', async () => {
    const places = tensor(Float32Array.of(0, 0.5, 1 - 2 ** -24))
    const box = boxAround([8, 10], [places, places], [tensor(Float32Array.of(3, 3, 3)), 4])
    const sides = await Promise.all([box.top, box.bottom, box.left, box.right].map((side) => side.array()))
    expect(sides).toEqual([
      [0, 3, 6],
      [2, 6, 8],
      [0, 3, 8],
      [2, 7, 10],
    ])
  })
})
