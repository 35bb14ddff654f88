/** What a compiled function makes of its weights once and keeps, and when it makes it anew. */
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createDevice, Device, defaultDevice, Program, useDevice } from '../src/engine/index.ts'
import { hostScalarNode, inputNode, type Node, Variable, variableNode } from '../src/graph/node.ts'
import {
  compile,
  crossEntropy,
  init,
  type Model,
  nn,
  optim,
  State,
  type Tensor,
  tensor,
  UnsupportedError,
  valueAndGrad,
} from '../src/index.ts'
import { add, conv2d, matmul, mul } from '../src/ops/index.ts'
import { choosing, testDevices } from '../src/testing/each-backend.ts'

const input = [8, 8, 4]
/** Convolutions by Winograd, of single channels, with strides and of 1×1, each with a normalisation; a product. */
const network = () =>
  nn.sequential(
    nn.conv2d(20, 3, { padding: 1 }),
    nn.batchNorm(),
    nn.relu(),
    nn.conv2d(20, 3, { padding: 1, groups: 20, bias: false }),
    nn.batchNorm(),
    nn.conv2d(24, 1, { bias: false }),
    nn.batchNorm(),
    nn.conv2d(7, 3, { stride: 2 }),
    nn.flatten(),
    nn.linear(5),
  )
const values = (size: number, seed: number) => Float32Array.from({ length: size }, (_, i) => Math.sin(seed + i * 0.37))
const batch = (count: number, seed = 1) => tensor(values(count * 8 * 8 * 4, seed), [count, ...input])

function evaluated(): Model {
  const model = init(network(), { input, seed: 1 })
  model.eval()
  return model
}

/** The same computation with nothing kept: a program without arguments keeps nothing. */
async function unkept(model: Model, x: Tensor, precision: 'f32' | 'bf16' = 'f32'): Promise<number[]> {
  const held = new State('x', x.shape, Float32Array.from(await x.data()))
  const whole = compile(() => model(held.value), { precision })
  expect((await whole.explain()).kept).toEqual([])
  return [...(await (await whole()).data())]
}

const bits = async (result: Promise<Tensor>) => [...(await (await result).data())]

let previous: Device
beforeAll(async () => {
  previous = await defaultDevice()
})
afterEach(async () => {
  await useDevice(previous)
})

/** Winograd wherever it applies, or nowhere: what is kept must not decide the bits by deciding the algorithm. */
const devices: readonly (readonly [string, () => Promise<Device>])[] = testDevices
  .filter(({ name }) => name.endsWith('2 threads') || name === 'interpreter f32')
  .flatMap((test) => [
    [test.name, () => choosing(test, { algorithm: 'winograd4' })] as const,
    [`${test.name}, precise`, () => choosing(test, { precise: true })] as const,
  ])

describe.each(devices)('%s', (_name, get) => {
  it.each(['f32', 'bf16'] as const)('gives the bits of a program that keeps nothing, %s', async (precision) => {
    await useDevice(await get())
    const model = evaluated()
    const f = compile((x: Tensor) => model(x), { precision })
    for (const x of [batch(2), batch(2, 5)]) {
      const expected = await unkept(model, x, precision)
      expect(await bits(f(x))).toEqual(expected)
      expect(await bits(f(x))).toEqual(expected)
    }
  })

  it('follows what others write: values from a file, another program, an expression', async () => {
    await useDevice(await get())
    const model = evaluated()
    const f = compile((x: Tensor) => model(x))
    const x = batch(2)
    const results = [await bits(f(x))]
    const same = async () => {
      const now = await bits(f(x))
      expect(now).toEqual(await unkept(model, x))
      expect(results).not.toContainEqual(now)
      results.push(now)
    }

    const weight = model.get('0.weight')
    await weight.load(Float32Array.from(await weight.data(), (value) => 2 * value))
    await same()

    const sgd = optim.sgd(0.1)
    const step = compile((images: Tensor, labels: Tensor) => {
      const [loss, gradients] = valueAndGrad(model.parameters, () => crossEntropy(model(images), labels))
      sgd.update(model.parameters, gradients)
      return loss
    })
    await step(x, tensor(Int32Array.of(1, 2), [2]))
    await same()

    model.train()
    await compile((images: Tensor) => model(images))(x) // The running statistics alone.
    model.eval()
    await same()

    weight.assign(weight.value.mul(0.5))
    await same()
  })
})

describe('what is kept', () => {
  const variable = (name: string, shape: readonly number[]) =>
    new Variable(
      name,
      shape,
      'f32',
      values(
        shape.reduce((a, b) => a * b, 1),
        name.length,
      ),
    )
  const x = inputNode(0, [32, 16], 'f32')
  const programs: Device[] = []
  const onDevice = async () => {
    const device = await createDevice({ backend: 'interpret' })
    programs.push(device)
    return device
  }
  afterEach(async () => {
    for (const device of programs.splice(0)) await device.close()
  })

  /** Labels of what a program computes before its first run. */
  const prologue = async (outputs: readonly Node[], assignments: { variable: Variable; value: Node }[] = []) => {
    const { plan } = new Program(await onDevice(), outputs, assignments)
    return plan.prologue.map(({ label }) => label)
  }

  it('is made of Variables that the program does not write, and of nothing that changes', async () => {
    const [a, b] = [variable('a', [4, 4]), variable('bb', [4, 3])]
    const x = inputNode(0, [9, 4], 'f32')
    const weights = matmul(variableNode(a), variableNode(b))
    expect(await prologue([matmul(x, weights)])).toEqual(['matmul (blocked)', 'matmul (blocked)', 'matmul (blocked)'])
    // The product of the two is made at every run: a changes.
    const assigned = [{ variable: a, value: mul(variableNode(a), variableNode(a)) }]
    expect(await prologue([matmul(x, weights)], assigned)).toEqual(['matmul (blocked)'])
    // What the program hands out is written at every run.
    expect(await prologue([x, weights])).toEqual(['matmul (blocked)'])
    expect(await prologue([weights])).toEqual([])
  })

  it('lies where nothing but its own calls writes, and they write nothing else that lasts', async () => {
    const device = await onDevice()
    const [w, s] = [variable('w', [3, 3, 8, 8]), variable('s', [8])]
    const image = inputNode(0, [1, 8, 8, 8], 'f32')
    const y = add(
      conv2d(image, variableNode(w), { padding: 1 }),
      conv2d(image, mul(variableNode(w), variableNode(w)), { padding: 1 }),
    )
    const { plan } = new Program(device, [mul(y, variableNode(s))], [])
    const written = (calls: typeof plan.calls) =>
      calls.flatMap((call) =>
        device
          .kernel(call.spec)
          .buffers.filter(({ role }) => role !== 'scratch')
          .flatMap(({ role }, i) => (role === 'output' ? [plan.regions[call.places[i].region].kind] : [])),
      )
    expect(new Set(written(plan.prologue))).toEqual(new Set(['arena', 'kept']))
    expect(new Set(written(plan.calls))).toEqual(new Set(['arena', 'output']))
  })

  it('counts as memory, and an explanation shows it', async () => {
    const model = evaluated()
    const f = compile((images: Tensor) => model(images))
    const { keptBytes, bytes, variableBytes, arenaBytes, bufferBytes } = await f.memory(batch(2))
    // Transformed weights of the first convolution and packed ones of the others hold at least as many numbers.
    expect(keptBytes).toBeGreaterThan(4 * (9 * 4 * 20 + 20 * 24 + 9 * 24 * 7 + 63 * 5))
    expect(bytes).toBe(variableBytes + arenaBytes + bufferBytes + keptBytes)
    const { kept, calls, memory } = await f.explain(batch(2))
    expect(memory.keptBytes).toBe(keptBytes)
    expect(kept.map(({ kernel }) => kernel.split('_')[0])).toEqual(expect.arrayContaining(['map1d', 'pack']))
    expect(calls.filter(({ kernel }) => kernel.startsWith('pack'))).toEqual([])
  })

  it('is given back with the program, and made anew after that', async () => {
    const device = await onDevice()
    const w = variable('w', [16, 16])
    const program = new Program(device, [matmul(x, variableNode(w))], [])
    const run = async () => [...(await program.run([values(512, 3)]))[0]]
    const first = await run()
    const before = device.backend.bytesInUse
    expect(program.plan.keptBytes).toBeGreaterThanOrEqual(1024)
    expect(program.heldBytes).toBeGreaterThanOrEqual(program.plan.keptBytes)
    program.release()
    expect(device.backend.bytesInUse).toBeLessThanOrEqual(before - program.plan.keptBytes)
    expect(await run()).toEqual(first)
  })

  /** A product with weights of 2 × 2 ^ 16 bytes and more, packed. */
  const product = (device: Device, rows: number, weights: Variable) => {
    const program = new Program(device, [matmul(inputNode(0, [rows, 128], 'f32'), variableNode(weights))], [])
    expect(program.plan.keptBytes).toBeGreaterThan(65_536)
    return { program, run: async () => [...(await program.run([values(rows * 128, 3)]))[0]] }
  }

  it('is shared by the programs of several batch sizes, and renewed by whichever runs first', async () => {
    const device = await onDevice()
    const w = variable('w', [128, 160])
    const products = [16, 32, 64].map((rows) => product(device, rows, w))
    const { keptBytes } = products[0].program.plan
    const buffers = () =>
      products.reduce((sum, { program }) => sum + Math.max(0, program.heldBytes - program.plan.keptBytes), 0)
    const first: number[][] = []
    for (const { run } of products) {
      first.push(await run())
      expect(device.held.bytes).toBe(buffers() + keptBytes)
    }
    const doubled = values(128 * 160, 1).map((value) => 2 * value)
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
    ]) {
      await Device.write(w, doubled)
      for (const i of order) expect(await products[i].run()).toEqual(first[i].map((value) => 2 * value))
      await Device.write(w, values(128 * 160, 1))
      for (const i of order.toReversed()) expect(await products[i].run()).toEqual(first[i])
    }
    products[0].program.release()
    expect(device.held.bytes).toBe(buffers() + keptBytes)
    expect(await products[1].run()).toEqual(first[1])
    products[1].program.release()
    products[2].program.release()
    expect(device.held.bytes).toBe(0)
  })

  it('is given back by programs that did not run for long when it is too much', async () => {
    const device = await onDevice()
    const products = Array.from({ length: 7 }, (_, i) => product(device, 16, variable('v'.repeat(i + 1), [128, 160])))
    device.held.mostBytes = 2 * products[0].program.plan.keptBytes
    const first: number[][] = []
    for (const { run } of products) first.push(await run())
    // The last four always stay.
    const held = () => products.map(({ program }) => program.heldBytes > 0)
    expect(held()).toEqual([false, false, false, true, true, true, true])
    expect(device.held.bytes).toBe(4 * products[3].program.heldBytes)
    await products[3].run()
    expect(await products[0].run()).toEqual(first[0])
    expect(held()).toEqual([true, false, false, true, false, true, true])
    for (const [i, { run }] of products.entries()) expect(await run()).toEqual(first[i])
    // Below the limit all stay.
    device.held.mostBytes = 7 * products[3].program.heldBytes
    for (const [i, { run }] of products.entries()) expect(await run()).toEqual(first[i])
    expect(held()).toEqual(products.map(() => true))
  })

  it('is given back when memory runs out, and fails only where one program alone is too much', async () => {
    const device = await onDevice()
    const { backend } = device
    const allocate = backend.allocate.bind(backend)
    const limit = 400_000
    backend.allocate = (bytes) => {
      if (backend.bytesInUse + bytes <= limit) return allocate(bytes)
      throw new UnsupportedError({ where: 'test', what: 'out of memory', expected: 'less', fix: 'use less' })
    }
    const w = ['w', 'ww'].map((name) => variable(name, [128, 160]))
    const products = [product(device, 16, w[0]), product(device, 16, w[1])]
    const first: number[][] = []
    for (let round = 0; round < 3; round++) {
      for (const [i, { run }] of products.entries()) {
        first[i] ??= await run()
        expect(await run()).toEqual(first[i])
        expect(products.map(({ program }) => program.heldBytes > 0)).toEqual([i === 0, i === 1])
      }
    }
    await expect(product(device, 16, variable('w', [128, 1600])).run()).rejects.toThrow('out of memory')
    expect(await products[0].run()).toEqual(first[0])
  })

  it('belongs to one program for equal normalisations of pictures', async () => {
    await useDevice(await onDevice())
    const model = init(nn.sequential(nn.flatten(), nn.linear(2)), { input: [2, 2, 3], seed: 1 })
    let traced = 0
    const f = compile((images: Tensor) => {
      traced++
      return model(images)
    })
    const x = tensor(
      Uint8Array.from({ length: 12 }, (_, i) => 20 * i),
      [1, 2, 2, 3],
    )
    const run = (mean: number) => {
      model.pictures = { mean: [mean, 0.4, 0.4], std: 0.2 }
      return bits(f(x))
    }
    const first = await run(0.5)
    expect(await run(0.5)).toEqual(first)
    expect(traced).toBe(1)
    expect(await run(0.6)).not.toEqual(first)
    expect(traced).toBe(2)
  })

  it('is not kept of more than 64 programs of a function', async () => {
    await useDevice(await onDevice())
    const w = new State('w', [1], Float32Array.of(3))
    let traced = 0
    const f = compile((images: Tensor) => {
      traced++
      return images.mul(w.value)
    })
    const run = async (rows: number) => expect(await bits(f(tensor(new Float32Array(rows).fill(2))))).toContain(6)
    for (let rows = 1; rows <= 64; rows++) await run(rows)
    await run(1)
    expect(traced).toBe(64)
    await run(65)
    await run(1)
    expect(traced).toBe(65)
    await run(2)
    expect(traced).toBe(66)
  })

  it('belongs to what is available to the program that holds it or would share it', async () => {
    const device = await onDevice()
    const limit = 2 ** 24
    Object.defineProperty(device.backend, 'memoryLimitBytes', { value: limit })
    const w = variable('w', [128, 160])
    const [one, other] = [16, 32].map((rows) => product(device, rows, w))
    const available = (program: Program, rows: number) =>
      program.memory([{ shape: [rows, 128], dtype: 'f32' }]).availableBytes
    expect(available(one.program, 16)).toBe(limit)
    await one.run()
    expect(available(one.program, 16)).toBe(limit)
    // Arguments and results of the other program are in use, what it keeps is shared.
    expect(available(other.program, 32)).toBe(limit - (one.program.heldBytes - one.program.plan.keptBytes))
  })

  it('follows values that are loaded while calls wait for their turn', async () => {
    await useDevice(await onDevice())
    const model = evaluated()
    const weight = model.get('9.weight')
    const original = Float32Array.from(await weight.data())
    const f = compile((images: Tensor) => model(images))
    const x = batch(1)
    const first = await bits(f(x))
    await weight.load(original.map((value) => 2 * value))
    const second = await bits(f(x))
    expect(second).not.toEqual(first)
    for (let ticks = 0; ticks < 12; ticks++) {
      await weight.load(original)
      expect(await bits(f(x))).toEqual(first)
      const waiting = [f(x), f(x), f(x), f(x)]
      for (let i = 0; i < ticks; i++) await undefined
      await Promise.all([...waiting, weight.load(original.map((value) => 2 * value))])
      expect(await bits(f(x)), `${ticks} ticks`).toEqual(second)
    }
  })

  it('stays old while runs fail before it is renewed', async () => {
    const device = await onDevice()
    const w = variable('w', [16, 16])
    let fails = false
    const factor = hostScalarNode(() => {
      if (fails) throw new Error('no factor')
      return 1
    })
    const program = new Program(device, [mul(matmul(x, variableNode(w)), factor)], [])
    const run = async () => [...(await program.run([values(512, 3)]))[0]]
    const first = await run()
    await Device.write(
      w,
      values(256, 1).map((value) => 2 * value),
    )
    fails = true
    await expect(run()).rejects.toThrow('no factor')
    await expect(run()).rejects.toThrow('no factor')
    fails = false
    expect(await run()).toEqual(first.map((value) => 2 * value))
  })

  it('follows a model from device to device and what changed it there', async () => {
    const model = evaluated()
    const f = compile((images: Tensor) => model(images))
    const [one, other] = [await onDevice(), await onDevice()]
    await useDevice(one)
    const first = await bits(f(batch(1)))
    await useDevice(other)
    expect(await bits(f(batch(1)))).toEqual(first)
    const bias = model.get('9.bias')
    await bias.load(new Float32Array(5).fill(1))
    bias.assign(bias.value.mul(2))
    const weight = model.get('9.weight')
    weight.assign(weight.value.mul(3))
    const changed = await bits(f(batch(1)))
    expect(changed).not.toEqual(first)
    await useDevice(one)
    expect(await bits(f(batch(1)))).toEqual(changed)
  })

  it('stays as it is while a step that would change it is explained', async () => {
    await useDevice(await onDevice())
    const model = evaluated()
    const f = compile((images: Tensor) => model(images))
    const first = await bits(f(batch(1)))
    const sgd = optim.sgd(0.1)
    const step = compile((images: Tensor) => {
      const [loss, gradients] = valueAndGrad(model.parameters, () => model(images).sum())
      sgd.update(model.parameters, gradients)
      return loss
    })
    await step.explain(batch(1))
    expect(await bits(f(batch(1)))).toEqual(first)
  })
})
