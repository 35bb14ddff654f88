import { spawn } from 'node:child_process'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { whyNoNative } from '../../testing/why-no-native.ts'

const missing = await whyNoNative()
const root = fileURLToPath(new URL('../../../', import.meta.url))
const index = fileURLToPath(new URL('../../index.ts', import.meta.url))

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'juanji-native-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Runs a program in a process of its own, on the default device. */
async function run(name: string, program: string, env: Record<string, string> = {}): Promise<string> {
  const file = join(folder, `${name}.mts`)
  await writeFile(file, program)
  const child = spawn(process.execPath, ['--import', 'tsx', file], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, JUANJI_BACKEND: '', TSX_TSCONFIG_PATH: join(root, 'tsconfig.json'), ...env },
  })
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  child.stderr.on('data', (chunk) => {
    output += chunk
  })
  const code = await new Promise((done) => child.on('close', (code, signal) => done(signal ?? code)))
  return `${output.trim()} (${code})`
}

const training = `
  import { compile, State } from '${index}'
  const w = new State('w', [300_000], new Float32Array(300_000).fill(1))
  const step = compile(() => { w.assign(w.value.mul(1.5).add(0.25)); return w.value.sum() })
  await step()
`

describe.skipIf(missing !== undefined)(`processes ${missing ?? ''}`, () => {
  it('a program ends by itself', async () => {
    expect(await run('ends', `${training}; console.log((await w.data())[0])`)).toBe('1.75 (0)')
  })

  it('a worker ends, again and again, and the process lives', async () => {
    // In one file: a worker has no loader for TypeScript.
    await build({
      stdin: { contents: training, resolveDir: root, loader: 'ts' },
      bundle: true,
      format: 'esm',
      platform: 'node',
      outfile: join(folder, 'inside.mjs'),
      alias: { '#platform': join(root, 'src/platform/node.ts') },
      external: ['sharp', 'undici'],
      logLevel: 'error',
    })
    const program = `
      import { Worker } from 'node:worker_threads'
      for (let i = 0; i < 5; i++) {
        const worker = new Worker(new URL('./inside.mjs', import.meta.url))
        await new Promise((done, failed) => { worker.on('exit', done); worker.on('error', failed) })
      }
      await new Promise((done) => setTimeout(done, 100))
      console.log('alive')`
    expect(await run('workers', program)).toBe('alive (0)')
  })

  it('expressions wait for no compiler; the first compiled function does', async () => {
    const compiler = join(folder, 'noting-cc')
    await writeFile(compiler, `#!/bin/sh\necho called >> ${folder}/calls\nexec cc "$@"\n`)
    await chmod(compiler, 0o755)
    const program = `
      import { existsSync } from 'node:fs'
      import { compile, conv2d, tensor } from '${index}'
      const x = tensor([[1, 2], [3, 4]])
      console.log(JSON.stringify(await conv2d(x, x, { padding: 'same' }).array()), existsSync('${folder}/calls'))
      console.log(JSON.stringify(await (await compile((a) => a.mul(2))(x)).array()), existsSync('${folder}/calls'))
      console.log(JSON.stringify(await x.add(1).array()))`
    const output = await run('early', program, { JUANJI_CC: compiler, JUANJI_CACHE: join(folder, 'cache') })
    expect(output).toBe('[[30,14],[11,4]] false\n[[2,4],[6,8]] true\n[[2,3],[4,5]] (0)')
    expect(await readFile(join(folder, 'calls'), 'utf8')).toMatch(/^(called\n)+$/)
  })
})
