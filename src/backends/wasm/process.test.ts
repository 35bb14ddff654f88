import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, beforeAll, expect, it } from 'vitest'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'juanji-wasm-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** A program that makes a backend and a table of long work, then does `body`. */
async function runProgram(name: string, body: string): Promise<{ code: number | null; output: string }> {
  const here = fileURLToPath(new URL('.', import.meta.url))
  const file = join(folder, `${name}.mjs`)
  await build({
    stdin: {
      contents: `
        import { createWasmBackend } from './index.ts'
        import { KernelBuilder } from '../../kernel/build.ts'
        import { add, constant } from '../../kernel/expression.ts'
        const backend = createWasmBackend({ threads: 2 })
        const k = new KernelBuilder(backend.target)
        const y = k.buffer('y', 'f32', 'output')
        k.task((task) => {
          const p = k.point(y, task)
          k.store(p, constant('f32', 0))
          k.repeat(1_000_000, () => k.store(p, add(k.load(p), 1)))
        })
        const instruction = { kernel: k.build('count', 'count'), places: [{ region: 0, offset: 0 }], scratch: [], params: [], tasks: 100, work: 1e8 }
        const block = backend.allocate(400)
        const table = backend.load([instruction], 1)
        ${body}`,
      resolveDir: here,
      loader: 'ts',
    },
    bundle: true,
    format: 'esm',
    platform: 'node',
    outfile: file,
    alias: { '#platform': fileURLToPath(new URL('../../platform/node.ts', import.meta.url)) },
    external: ['sharp', 'undici'],
    logLevel: 'error',
  })
  const child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  return { code, output }
}

it('a program ends by itself while workers idle', async () => {
  const body = `await backend.run(table, [block]); await backend.run(table, [block]); console.log('ran')`
  expect(await runProgram('idle', body)).toEqual({ code: 0, output: 'ran\n' })
})

it('a program does not end while a run is in flight, and its event loop stays free', async () => {
  const body = `
    let ticks = 0
    const timer = setInterval(() => ticks++, 1)
    timer.unref()
    backend.run(table, [block])
      .then(() => backend.read(block, 0, 'f32', 100))
      .then((data) => console.log(data.every((value) => value === 1_000_000), ticks > 1))`
  expect(await runProgram('busy', body)).toEqual({ code: 0, output: 'true true\n' })
})
