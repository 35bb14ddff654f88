import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createInterpretBackend } from '../backends/interpret/index.ts'
import { hashString, threefry2x32 } from '../base/random.ts'
import { Device, evaluate, Program } from '../engine/index.ts'
import { inputNode } from '../graph/node.ts'
import * as nn from '../nn/index.ts'
import { init } from '../nn/model.ts'
import { sgd } from '../optim/index.ts'
import { schedule } from '../schedule/index.ts'
import { compile, createDevice, crossEntropy, Tensor, tensor, useDevice, valueAndGrad } from '../tensor/index.ts'
import { eachBackend } from '../testing/each-backend.ts'
import { errorText } from '../testing/error-text.ts'
import { expectClose } from '../testing/expect-close.ts'
import { asBytes, augmented, everything, keyAt, pictures, seedWord, shape, size } from './augment.cases.ts'
import { augmentBatch } from './augment.ts'
import type { AugmentOptions } from './augment-options.ts'

/** The draws of the option at a place of the list, made without the library's ops. */
const places = 'shiftX shiftY cropX cropY flipX flipY rotate scale shear brightness contrast saturation hue'.split(' ')
const drawn = (name: string, sample: number, batch: number, step: number): number =>
  (threefry2x32(seedWord, step, places.indexOf(name) * batch + sample, hashString('augment'))[0] >>> 8) / 2 ** 24

describe('augmentBatch against plain loops', () => {
  const batch = 5
  const shape = [13, 17, 3]
  const [height, width, channels] = shape
  const data = pictures(batch, shape)
  const unit = Float64Array.from(data, (value) => value / 255)
  const step = 7
  const around = (name: string, n: number, reach: number) => (2 * drawn(name, n, batch, step) - 1) * reach

  async function check(options: AugmentOptions, expected: Float64Array, tolerance = 1e-12): Promise<void> {
    const result = augmentBatch(tensor(data, [batch, ...shape]), tensor(Int32Array.of(0, 1, 2, 3, 4)), options, {
      key: keyAt(step),
      classes: 5,
    })
    await eachBackend(async (device, { precision }) => {
      const [x] = await evaluate(device, [result.x.node])
      expectClose(x, expected, precision === 'f64' ? tolerance : 2e-5, JSON.stringify(options))
    })
  }

  it('all geometry together', async () => {
    const expected = new Float64Array(unit.length)
    for (let n = 0; n < batch; n++) {
      const angle = around('rotate', n, (25 * Math.PI) / 180)
      const slant = around('shear', n, Math.tan((10 * Math.PI) / 180))
      const zoom = 1.5 ** -(2 * drawn('scale', n, batch, step) - 1)
      const mirror = drawn('flipX', n, batch, step) < 0.5 ? -1 : 1
      const moveX = around('shiftX', n, 0.2 * width) + Math.floor(5 * drawn('cropX', n, batch, step)) - 2
      const moveY = around('shiftY', n, 0.2 * height) + Math.floor(5 * drawn('cropY', n, batch, step)) - 2
      const pixel = (row: number, column: number, c: number) => {
        const r = Math.min(height - 1, Math.max(0, row))
        const s = Math.min(width - 1, Math.max(0, column))
        return unit[((n * height + r) * width + s) * channels + c]
      }
      for (let i = 0; i < height; i++) {
        for (let j = 0; j < width; j++) {
          // Moved, turned, slanted, scaled and mirrored, one after the other.
          const [x0, y0] = [j - (width - 1) / 2 + moveX, i - (height - 1) / 2 + moveY]
          const [x1, y1] = [Math.cos(angle) * x0 + Math.sin(angle) * y0, Math.cos(angle) * y0 - Math.sin(angle) * x0]
          const [x2, y2] = [zoom * mirror * (x1 + slant * y1), zoom * y1]
          const [column, row] = [x2 + (width - 1) / 2, y2 + (height - 1) / 2]
          const [left, top] = [Math.floor(column), Math.floor(row)]
          const [across, down] = [column - left, row - top]
          for (let c = 0; c < channels; c++) {
            expected[((n * height + i) * width + j) * channels + c] =
              (1 - down) * ((1 - across) * pixel(top, left, c) + across * pixel(top, left + 1, c)) +
              down * ((1 - across) * pixel(top + 1, left, c) + across * pixel(top + 1, left + 1, c))
          }
        }
      }
    }
    await check({ shift: 0.2, crop: 2, flip: 'horizontal', rotate: 25, scale: 0.5, shear: 10 }, expected)
  })

  const hold = (value: number) => Math.min(1, Math.max(0, value))
  const grey = (rgb: readonly number[]) => 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]
  const meanOf = (n: number) => {
    let sum = 0
    for (let p = 0; p < height * width; p++) {
      const at = (n * height * width + p) * 3
      sum += grey([unit[at], unit[at + 1], unit[at + 2]])
    }
    return sum / (height * width)
  }
  /** Chrominance of YIQ, which is that of YUV turned by 33 degrees and mirrored. */
  const [sin33, cos33] = [Math.sin((33 * Math.PI) / 180), Math.cos((33 * Math.PI) / 180)]
  const [scaleU, scaleV] = [0.436 / 0.886, 0.615 / 0.701]
  const turnHue = (rgb: readonly number[], angle: number): number[] => {
    const y = grey(rgb)
    const [u, v] = [scaleU * (rgb[2] - y), scaleV * (rgb[0] - y)]
    const [i, q] = [cos33 * v - sin33 * u, sin33 * v + cos33 * u]
    const [turnedI, turnedQ] = [Math.cos(angle) * i + Math.sin(angle) * q, Math.cos(angle) * q - Math.sin(angle) * i]
    const [newU, newV] = [cos33 * turnedQ - sin33 * turnedI, cos33 * turnedI + sin33 * turnedQ]
    const [red, blue] = [y + newV / scaleV, y + newU / scaleU]
    return [red, (y - 0.299 * red - 0.114 * blue) / 0.587, blue]
  }
  const recoloured = (f: (rgb: readonly number[], n: number) => readonly number[]): Float64Array => {
    const expected = new Float64Array(unit.length)
    for (let p = 0; p < unit.length; p += 3)
      expected.set(f([...unit.subarray(p, p + 3)], Math.floor(p / 3 / height / width)).map(hold), p)
    return expected
  }
  /** Weights of colours are data, and data are in single precision. */
  const singleWeights = 1e-6
  const bright = (n: number) => 1 + around('brightness', n, 0.4)
  const strong = (n: number) => 1 + around('contrast', n, 0.6)

  it('brightness and contrast', async () => {
    const expected = recoloured((rgb, n) => {
      const mean = meanOf(n) * bright(n)
      return rgb.map((value) => mean + (value * bright(n) - mean) * strong(n))
    })
    await check({ brightness: 0.4, contrast: 0.6 }, expected)
  })

  it('all colour together', async () => {
    const expected = recoloured((rgb, n) => {
      const mean = meanOf(n) * bright(n)
      const first = rgb.map((value) => mean + (value * bright(n) - mean) * strong(n))
      const vivid = 1 + around('saturation', n, 0.8)
      const second = first.map((value) => grey(first) + (value - grey(first)) * vivid)
      return turnHue(second, around('hue', n, 0.3 * 2 * Math.PI))
    })
    await check({ brightness: 0.4, contrast: 0.6, saturation: 0.8, hue: 0.3 }, expected, singleWeights)
  })

  it('loss of colour', async () => {
    await check(
      { grey: 1 },
      recoloured((rgb) => [grey(rgb), grey(rgb), grey(rgb)]),
      singleWeights,
    )
  })
})

const interpreter = new Device(createInterpretBackend({ lanes: 4 }))

/** Keys of the kernels that augmentation asks for, with the gradient-free rest of a step behind it. */
function kernels(
  options: AugmentOptions,
  sampleShape: readonly number[],
  batch = 4,
  dtype: 'u8' | 'f32' = 'u8',
): string[] {
  const x = new Tensor(inputNode(0, [batch, ...sampleShape], dtype))
  const result = augmentBatch(x, new Tensor(inputNode(1, [batch], 'i32')), options, {
    key: new Tensor(inputNode(2, [2], 'i32')),
    classes: 10,
  })
  return schedule([result.x.node, result.y.node], [], interpreter.target).calls.map((call) => call.spec.key)
}

describe('the program', () => {
  const neutral: AugmentOptions = { ...{ shift: 0, crop: 0, rotate: 0, scale: [1, 1], shear: 0, fill: 0 } }
  const pale: AugmentOptions = { ...{ brightness: 0, contrast: 0, saturation: 0, hue: 0, grey: 0, cutOut: 0 } }
  it('holds nothing of options that are off', () => {
    const x = new Tensor(inputNode(0, [4, 8, 8, 3], 'f32'))
    const y = new Tensor(inputNode(1, [4], 'i32'))
    const context = { key: new Tensor(inputNode(2, [2], 'i32')), classes: 10 }
    const off = { ...neutral, ...pale, mixUp: 0, cutMix: 0, randAugment: 0 }
    for (const options of [{}, off]) {
      expect(augmentBatch(x, y, options, context).y).toBe(y)
      // What is left are the copies of program arguments to program results, and the scaling of bytes.
      expect(kernels(options, [8, 8, 3], 4, 'f32').length).toBe(2)
      const bytes = new Tensor(inputNode(0, [4, 8, 8, 3], 'u8'))
      const scaled = schedule([bytes.cast('f32').mul(1 / 255).node, y.node], [], interpreter.target)
      expect(kernels(options, [8, 8, 3])).toEqual(scaled.calls.map((call) => call.spec.key))
    }
  })
  it('bends all geometry in one pass, and recolours in one more', () => {
    const count = (options: AugmentOptions, name: string) =>
      kernels(options, [8, 8, 3]).filter((key) => key.startsWith(name)).length
    const geometry: AugmentOptions = {
      shift: 0.1,
      crop: 2,
      flip: 'both',
      rotate: 9,
      scale: 0.2,
      shear: 4,
      randAugment: 5,
    }
    const colour: AugmentOptions = { brightness: 0.1, contrast: 0.1, saturation: 0.1, hue: 0.1, grey: 0.1 }
    expect(count({ ...geometry, ...colour }, 'affine-warp')).toBe(1)
    expect(count({ ...geometry, ...colour }, 'color-matrix')).toBe(1)
    expect(count({ brightness: 0.2, contrast: 0.2 }, 'color-matrix')).toBe(0)
    expect(count({ saturation: 0.2 }, 'affine-warp')).toBe(0)
  })
  it.each([
    { shift: 0.1, crop: 2, flip: 'both', rotate: 9, scale: 0.2, shear: 4 },
    { brightness: 0.1, contrast: 0.1 },
    { saturation: 0.1, hue: 0.1, grey: 0.1, contrast: 0.1 },
    { cutOut: 0.5 },
    { mixUp: 0.2, cutMix: 1 },
    { randAugment: 5 },
  ] satisfies AugmentOptions[])('is the same for every batch size: %o', (options) => {
    const known = new Set(kernels(options, [8, 8, 3], 64))
    for (const batch of [1, 7]) expect(kernels(options, [8, 8, 3], batch).filter((key) => !known.has(key))).toEqual([])
  })
})

describe('keys', () => {
  const shape = [24, 20, 3]
  const batch = 9
  const run = async (device: Device, step: number): Promise<string> => {
    const x = new Tensor(inputNode(0, [batch, ...shape], 'u8'))
    const y = new Tensor(inputNode(1, [batch], 'i32'))
    const context = { key: new Tensor(inputNode(2, [2], 'i32')), classes: 4 }
    const result = augmentBatch(x, y, everything, context)
    const program = new Program(device, [result.x.node, result.y.node], [])
    const labels = Int32Array.from({ length: batch }, (_, i) => i % 4)
    const arrays = await program.run([pictures(batch, shape), labels, Int32Array.of(seedWord, step)])
    program.release()
    return arrays.map((a) => Buffer.from(a.buffer, a.byteOffset, a.byteLength).toString('base64')).join()
  }
  it('give the same bits for any number of threads and after compiling again, others at another step', async () => {
    const seen: string[] = []
    for (const threads of [1, 2, 1]) {
      const device = await createDevice({ backend: 'wasm', threads })
      seen.push(await run(device, 3))
      expect(await run(device, 4)).not.toBe(seen[0])
      await device.close()
    }
    expect(new Set(seen).size).toBe(1)
  })
})

describe('on a device', () => {
  let device: Device
  beforeAll(async () => {
    device = await createDevice({ backend: 'wasm', threads: 1 })
    await useDevice(device)
  })
  afterAll(() => device.close())

  it('crop moves by whole pixels, each way alike', async () => {
    const batch = 500
    const { x } = await augmented({ crop: 2, fill: 0 }, batch)
    const data = pictures(batch, shape)
    const counts = new Map<string, number>()
    for (let n = 0; n < batch; n++) {
      const found: string[] = []
      for (let down = -2; down <= 2; down++) {
        for (let across = -2; across <= 2; across++) {
          let same = true
          for (let i = 0; same && i < size; i++) {
            const [row, column, c] = [Math.floor(i / 30) + down, (Math.floor(i / 3) % 10) + across, i % 3]
            const inside = row >= 0 && row < 8 && column >= 0 && column < 10
            const value = inside ? data[n * size + (row * 10 + column) * 3 + c] : 0
            same = x[n * size + i] === Math.fround(value * Math.fround(1 / 255))
          }
          if (same) found.push(`${down},${across}`)
        }
      }
      expect(found.length).toBe(1)
      counts.set(found[0], (counts.get(found[0]) ?? 0) + 1)
    }
    // 25 moves, 20 of each expected; the deviation of a count is about 4.4.
    expect(counts.size).toBe(25)
    for (const count of counts.values()) expect(Math.abs(count - 20)).toBeLessThan(18)
  })

  it('flip mirrors every other picture and changes no value', async () => {
    const batch = 400
    const data = pictures(batch, shape)
    const { x } = await augmented({ flip: 'both' }, batch)
    const values = asBytes(x)
    const counts = [0, 0, 0, 0]
    for (let n = 0; n < batch; n++) {
      const kind = [0, 1, 2, 3].find((k) => {
        for (let i = 0; i < size; i++) {
          const [row, column, c] = [Math.floor(i / 30), Math.floor(i / 3) % 10, i % 3]
          const from = ((k & 1 ? 7 - row : row) * 10 + (k & 2 ? 9 - column : column)) * 3 + c
          if (Math.abs(values[n * size + i] - data[n * size + from]) > 1e-3) return false
        }
        return true
      })
      counts[kind as number]++
    }
    for (const count of counts) expect(Math.abs(count - 100)).toBeLessThan(40)
  })

  it('shifts, turns and scales are centred', async () => {
    // A blob in the middle of each picture: where its weight goes tells how it was moved.
    const of = [33, 33, 1]
    const batch = 2000
    const blob = Float32Array.from({ length: 33 * 33 }, (_, i) => {
      const [dy, dx] = [Math.floor(i / 33) - 16, (i % 33) - 16]
      return Math.exp(-(dx * dx + 4 * dy * dy) / 18)
    })
    const data = new Float32Array(batch * blob.length)
    for (let n = 0; n < batch; n++) data.set(blob, n * blob.length)
    const run = compile((x: Tensor, y: Tensor, key: Tensor) =>
      augmentBatch(x, y, { shift: 0.2, rotate: 40, scale: 0.25, fill: 0 }, { key, classes: 1 }),
    )
    const { x } = await run(tensor(data, [batch, ...of]), tensor(new Int32Array(batch)), keyAt(1))
    const values = await x.data()
    const sums = { x: 0, y: 0, xx: 0, tilt: 0, size: 0 }
    for (let n = 0; n < batch; n++) {
      let [mass, mx, my, xy] = [0, 0, 0, 0]
      for (let i = 0; i < blob.length; i++) {
        const value = values[n * blob.length + i]
        mass += value
        mx += value * ((i % 33) - 16)
        my += value * (Math.floor(i / 33) - 16)
        xy += value * ((i % 33) - 16) * (Math.floor(i / 33) - 16)
      }
      sums.x += mx / mass
      sums.y += my / mass
      sums.xx += (mx / mass) ** 2
      sums.tilt += xy / mass - (mx / mass) * (my / mass)
      sums.size += Math.log(mass)
    }
    // Shifts are uniform in ±6.6 pixels: deviation 3.8, so the mean of 2000 is off by 0.085 as a rule.
    expect(Math.abs(sums.x / batch)).toBeLessThan(0.3)
    expect(Math.abs(sums.y / batch)).toBeLessThan(0.3)
    expect(sums.xx / batch).toBeCloseTo(6.6 ** 2 / 3, -1)
    expect(Math.abs(sums.tilt / batch)).toBeLessThan(0.15)
    // Logarithms of areas are as often above as below; a little is lost outside the picture.
    const mass = blob.reduce((a, b) => a + b, 0)
    expect(Math.abs(sums.size / batch - Math.log(mass))).toBeLessThan(0.05)
  })

  it('hue keeps grey and brightness', async () => {
    const flat = Uint8Array.from({ length: 4 * size }, (_, i) => (i % size < 120 ? 90 : [120, 100, 110][i % 3]))
    const { x } = await augmented({ hue: 0.5 }, 4, { data: flat })
    const grey = (at: number) => 0.299 * x[at] + 0.587 * x[at + 1] + 0.114 * x[at + 2]
    let changed = 0
    for (let p = 0; p < 4 * size; p += 3) {
      expect(grey(p) * 255).toBeCloseTo(p % size < 120 ? 90 : 0.299 * 120 + 58.7 + 0.114 * 110, 3)
      if (p % size < 120) expect(x[p] * 255).toBeCloseTo(90, 3)
      else changed = Math.max(changed, Math.abs(x[p] * 255 - 120))
    }
    expect(changed).toBeGreaterThan(5)
  })

  it('lets a net learn from it', async () => {
    const model = init(nn.sequential(nn.flatten(), nn.linear(3)), { input: shape, seed: 1 })
    const optimizer = sgd(0.05)
    const step = compile((x: Tensor, y: Tensor, key: Tensor) => {
      const batch = augmentBatch(x, y, everything, { key, classes: 3 })
      const [loss, gradients] = valueAndGrad(model.parameters, () => crossEntropy(model(batch.x), batch.y))
      optimizer.update(model.parameters, gradients)
      return loss
    })
    const clean = compile((x: Tensor, y: Tensor) => crossEntropy(model(x), y))
    // Dark, medium and light pictures.
    const data = Uint8Array.from({ length: 30 * size }, (_, i) => 40 + 80 * (Math.floor(i / size) % 3))
    const labels = tensor(Int32Array.from({ length: 30 }, (_, i) => i % 3))
    const x = tensor(data, [30, ...shape])
    const before = await (await clean(x, labels)).item()
    for (let i = 0; i < 60; i++) await step(x, labels, keyAt(i))
    expect(await (await clean(x, labels)).item()).toBeLessThan(0.9 * before)
  })

  it('keeps values in [0, 1] and gives other pictures at every step', async () => {
    const first = await augmented(everything, 8)
    const second = await augmented(everything, 8, { step: 1 })
    for (const { x, y } of [first, second]) {
      expect(x.every((value) => value >= 0 && value <= 1)).toBe(true)
      for (let n = 0; n < 8; n++) expect(y[3 * n] + y[3 * n + 1] + y[3 * n + 2]).toBeCloseTo(1, 6)
    }
    for (let n = 0; n < 8; n++) {
      const part = (values: typeof first.x) => Array.from(values.subarray(n * size, (n + 1) * size))
      expect(part(first.x)).not.toEqual(part(second.x))
    }
  })
})

describe('what bad input is told', () => {
  it('whole numbers', () => {
    const x = new Tensor(inputNode(0, [2, 8, 8, 3], 'i32'))
    const y = new Tensor(inputNode(1, [2], 'i32'))
    expect(errorText(() => augmentBatch(x, y, {}, { key: keyAt(0), classes: 2 }))).toMatchInlineSnapshot(`
      "DTypeError: augment: x has dtype i32.
        got       x i32 [2, 8, 8, 3]
        expected  u8, or f32 in [0, 1]
        fix       cast it first, for instance with .cast('f32')"
    `)
  })
})
