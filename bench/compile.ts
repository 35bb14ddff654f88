/**
 * How long a newcomer waits, each time in fresh processes of the built package: `npm run build && npx tsx
 * bench/compile.ts [path of index.js]`. Held: the first convolution of 2×2 by 3×3 within 50 ms of the import, the next
 * ones of other sizes within 5 ms each, without a worker; the first training step of `simpleCnn` within 1.5 s, the second within 1.3 times
 * the steady step. Medians of five processes.
 */
import { execFileSync } from 'node:child_process'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const processes = 5
const index = pathToFileURL(resolve(process.argv[2] ?? 'dist/index.js')).href

/** Counts workers; the scripts print their figures as JSON. */
const head = `
import workerThreads from 'node:worker_threads'
import { syncBuiltinESMExports } from 'node:module'
let workers = 0
const { Worker } = workerThreads
workerThreads.Worker = class extends Worker { constructor(...args) { super(...args); workers++ } }
syncBuiltinESMExports()
const start = performance.now()
const juanji = await import('${index}')
const importMs = performance.now() - start
const timed = async (body) => { const from = performance.now(); await body(); return performance.now() - from }
`

const convolutions = `${head}
const { conv2d, tensor } = juanji
const convolve = (height, width) => timed(async () => {
  const x = tensor(new Float32Array(height * width), [height, width])
  await conv2d(x, tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), { padding: 'same' }).array()
})
const firstMs = await convolve(2, 2)
const next = []
for (const [height, width] of [[3, 3], [5, 4], [4, 7], [9, 9], [16, 16], [28, 28]]) next.push(await convolve(height, width))
console.log(JSON.stringify({ importMs, firstMs, secondMs: next[0], slowestNextMs: Math.max(...next), workers }))
`

const training = `${head}
const { compile, createDevice, crossEntropy, init, models, optim, tensor, useDevice, valueAndGrad } = juanji
const device = await createDevice({ threads: 2 })
await useDevice(device)
const x = tensor(Uint8Array.from({ length: 64 * 784 }, (_, i) => i * 37), [64, 28, 28, 1])
const y = tensor(Int32Array.from({ length: 64 }, (_, i) => i % 10))
const ready = performance.now()
const model = init(models.simpleCnn(), { input: [28, 28, 1], seed: 1 })
const adam = optim.adam(1e-3)
const step = compile((x, y) => {
  const [loss, gradients] = valueAndGrad(model.parameters, () => crossEntropy(model(x), y))
  adam.update(model.parameters, gradients)
  return loss
})
await (await step(x, y)).item()
const firstMs = performance.now() - ready
const secondMs = await timed(async () => (await step(x, y)).item())
const steps = []
for (let i = 0; i < 20; i++) steps.push(await timed(async () => (await step(x, y)).item()))
const steadyMs = steps.slice(5).sort((a, b) => a - b)[7]
console.log(JSON.stringify({ importMs, firstMs, secondMs, steadyMs, ratio: secondMs / steadyMs, kernels: device.backend.kernels.compiled }))
`

function medians(script: string): Record<string, number> {
  const runs = Array.from({ length: processes }, () =>
    JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })),
  ) as Record<string, number>[]
  return Object.fromEntries(
    Object.keys(runs[0]).map((name) => {
      const values = runs.map((figures) => figures[name]).sort((a, b) => a - b)
      return [name, Number(values[processes >> 1].toFixed(2))]
    }),
  )
}

function report(name: string, figures: Record<string, number>, holds: boolean): void {
  console.log(JSON.stringify({ name, ...figures, holds }))
  if (!holds) process.exitCode = 1
}

const small = medians(convolutions)
report('conv2d', small, small.firstMs <= 50 && small.slowestNextMs <= 5 && small.workers === 0)
const steps = medians(training)
report('simpleCnn, batch 64, 2 threads', steps, steps.firstMs <= 1500 && steps.ratio <= 1.3)
