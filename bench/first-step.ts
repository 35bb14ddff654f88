/**
 * How long the first training step of a network takes to be ready, with an empty cache of kernels and with a full one:
 * the first step less a later one, each in a process of its own.
 *
 *   npm run build && npx tsx bench/first-step.ts [network] [runs]
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Tensor } from '../src/index.ts'

const [network = 'resnet18', runs = '3'] = process.argv.slice(2)

if (process.env.JUANJI_BENCH_CHILD !== undefined) {
  const start = performance.now()
  const juanji: typeof import('../src/index.ts') = await import(pathToFileURL(resolve('dist/index.js')).href)
  const { compile, crossEntropy, init, models, optim, tensor, valueAndGrad } = juanji
  const imported = performance.now() - start
  const input = [32, 32, 3]
  const architecture = models.architectures[network as keyof typeof models.architectures]
  const model = init(architecture({ classes: 10, input }), { input, seed: 1 })
  const sgd = optim.sgd(0.01, { momentum: 0.9 })
  const step = compile((x: Tensor, y: Tensor) => {
    const [loss, gradients] = valueAndGrad(model.parameters, () => crossEntropy(model(x), y))
    sgd.update(model.parameters, gradients)
    return loss
  })
  const x = tensor(new Float32Array(32 * 32 * 32 * 3).fill(0.1), [32, ...input])
  const y = tensor(new Int32Array(32))
  const before = performance.now()
  // Traces and plans, compiles nothing.
  await step.memory(x, y)
  const planned = performance.now() - before
  await step(x, y)
  const first = performance.now()
  let later = Number.POSITIVE_INFINITY
  for (let i = 0; i < 3; i++) {
    const again = performance.now()
    await step(x, y)
    later = Math.min(later, performance.now() - again)
  }
  console.log(JSON.stringify({ imported, planned, ready: first - before - later, later }))
  process.exit(0)
}

const folder = mkdtempSync(join(tmpdir(), 'juanji-first-'))
try {
  for (const state of ['cold', 'cached'] as const) {
    for (let run = 0; run < Number(runs); run++) {
      if (state === 'cold') rmSync(folder, { recursive: true, force: true })
      const child = spawnSync(process.execPath, ['--import', 'tsx', fileURLToPath(import.meta.url), network], {
        env: { ...process.env, JUANJI_BENCH_CHILD: '1', JUANJI_CACHE: folder },
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const { imported, planned, ready, later } = JSON.parse(child.stdout)
      const ms = (value: number) => `${value.toFixed(0)} ms`.padStart(8)
      console.log(
        `${network} ${state}: ready after${ms(ready)}, a step${ms(later)} (import${ms(imported)}, of the readiness planning${ms(planned)})`,
      )
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
