/**
 * Whether memory stays flat with nothing ever disposed of, looked at in the built package: `npm run build && npx tsx
 * bench/memory.ts [steps|models|expressions …]`; JUANJI_INDEX names another index.js.
 * Held: resident size within ±3 % over 1,000 steps after the first 100; flat over 200 models that are made, trained two
 * steps and dropped, and over 1,000 different small expressions: the last third within 5 % of the third before.
 */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Model, Tensor } from '../src/index.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const index = pathToFileURL(resolve(process.env.JUANJI_INDEX ?? 'dist/index.js')).href
const juanji: typeof import('../src/index.ts') = await import(index)
const { compile, createDevice, crossEntropy, init, models, optim, tensor, useDevice, valueAndGrad } = juanji

const device = await createDevice({ threads: 2 })
await useDevice(device)

function trainer(model: Model): (x: Tensor, y: Tensor) => Promise<Tensor> {
  const adam = optim.adam(1e-3)
  return compile((x, y) => {
    const [loss, gradients] = valueAndGrad(model.parameters, () => crossEntropy(model(x), y))
    adam.update(model.parameters, gradients)
    return loss
  })
}

function batch(size: number, seed: number): readonly [x: Tensor, y: Tensor] {
  const pixels = Uint8Array.from({ length: size * 784 }, (_, i) => ((i + seed) * 2654435761) >>> 24)
  return [tensor(pixels, [size, 28, 28, 1]), tensor(Int32Array.from({ length: size }, (_, i) => (i + seed) % 10))]
}

/** Resident MiB, taken `samples` times while `body` runs `count` times. */
async function watch(count: number, samples: number, body: (i: number) => Promise<void>): Promise<number[]> {
  const sizes: number[] = []
  for (let i = 0; i < count; i++) {
    await body(i)
    if ((i + 1) % (count / samples) === 0) sizes.push(process.memoryUsage.rss() / 2 ** 20)
  }
  return sizes
}

function report(name: string, sizes: readonly number[], change: number, limit: number): void {
  const holds = change <= limit
  const rounded = { residentMiB: sizes.map(Math.round), changePercent: Number((100 * change).toFixed(2)) }
  console.log(JSON.stringify({ name, ...rounded, limitPercent: 100 * limit, holds }))
  if (!holds) process.exitCode = 1
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length

/** Growth of the last third over the third before. */
function growth(sizes: readonly number[]): number {
  const third = Math.floor(sizes.length / 3)
  return mean(sizes.slice(-third)) / mean(sizes.slice(-2 * third, -third)) - 1
}

const works = {
  /** A new batch every step, as in training. */
  async steps() {
    const step = trainer(init(models.simpleCnn(), { input: [28, 28, 1], seed: 1 }))
    const one = async (i: number) => {
      await (await step(...batch(64, i))).item()
    }
    await watch(100, 1, one)
    // What loading left behind, tsx included, is not what is measured. The steps themselves collect as they like.
    collect()
    const sizes = await watch(1000, 40, one)
    const middle = mean(sizes)
    report('1,000 steps after the first 100', sizes, Math.max(...sizes.map((s) => Math.abs(s / middle - 1))), 0.03)
  },

  async models() {
    const [x, y] = batch(8, 1)
    const sizes = await watch(200, 40, async (i) => {
      const step = trainer(init(models.simpleCnn(), { input: [28, 28, 1], seed: i }))
      for (let k = 0; k < 2; k++) await step(x, y)
    })
    report('200 models made, trained two steps and dropped', sizes, growth(sizes), 0.05)
  },

  async expressions() {
    const sizes = await watch(1000, 40, async (i) => {
      // 1 … 32 by 1 … 32 in a mixed order, so that large ones do not come last.
      const place = (i * 421) % 1024
      const [height, width] = [1 + (place % 32), 1 + (place >> 5)]
      const x = tensor(new Float32Array(height * width).fill(i), [height, width])
      await x.mul(i).add(1).sum().item()
    })
    report('1,000 different small expressions', sizes, growth(sizes), 0.05)
  },
}

const chosen = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(works)
for (const name of chosen) await works[name as keyof typeof works]()
await device.close()
