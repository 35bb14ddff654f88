/**
 * Trainings that are killed at random moments, with no chance to tidy up, and resumed: every one must end with the bits
 * of the run that was never stopped. A few here; JUANJI_KILLS=30 npx vitest run test/kill.test.ts makes more.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readCheckpoint } from '../src/io/index.ts'

const kills = Number(process.env.JUANJI_KILLS ?? 4)
const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
const slow = 120_000

interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly events: Record<string, unknown>[]
  readonly err: string
}

/** Runs the command in a process of its own; `started` gets it once the training has begun. */
function juanji(argv: readonly string[], started?: (child: ChildProcess) => void): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--import', 'tsx', main, ...argv, '--json'])
    let out = ''
    let err = ''
    let told = false
    child.stdout.on('data', (text) => {
      out += text
      if (!told && out.includes('"event":"start"')) {
        told = true
        started?.(child)
      }
    })
    child.stderr.on('data', (text) => {
      err += text
    })
    child.on('close', (code, signal) => {
      const whole = out.slice(0, out.lastIndexOf('\n') + 1)
      const events = whole
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Record<string, unknown>)
      resolve({ code, signal, events, err })
    })
  })
}

// A checkpoint after every step: a good part of the time goes into writing them. Everything that is drawn at random is on.
const training = [
  ...['train', 'digits', '--limit', '240', '--arch', 'resnet8', '--epochs', '3', '--batch-size', '36'],
  ...['--augment', 'shift=0.1,rotate=10', '--average', '0.9', '--checkpoint-every', '0', '--threads', '1'],
]

let root: string
let whole: { weights: string; loss: unknown; milliseconds: number }
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'juanji-kill-'))
  let begun = 0
  const { code, events, err } = await juanji([...training, '--out', join(root, 'whole')], () => {
    begun = performance.now()
  })
  expect([code, err]).toEqual([0, ''])
  whole = { ...(await result(join(root, 'whole'), events)), milliseconds: performance.now() - begun }
}, slow)
afterAll(() => rm(root, { recursive: true, force: true }))

async function result(folder: string, events: readonly Record<string, unknown>[]) {
  const done = events.at(-1)
  expect(done?.event).toBe('done')
  const bytes = await readFile(join(folder, 'weights.safetensors'))
  return { weights: createHash('sha256').update(bytes).digest('hex'), loss: done?.loss }
}

/** Every checkpoint that is there under its name can be read. */
async function checkReadable(folder: string): Promise<void> {
  const checkpoints = join(folder, 'checkpoints')
  if (!existsSync(checkpoints)) return
  for (const name of await readdir(checkpoints)) {
    if (name.endsWith('.safetensors')) await readCheckpoint(join(checkpoints, name))
  }
}

describe(`killed ${kills} times`, () => {
  it.each(Array.from({ length: kills }, (_, i) => i))(
    'run %i ends with the same bits',
    async (i) => {
      const folder = join(root, `killed-${i}`)
      let argv = [...training, '--out', folder]
      const killSoon = (child: ChildProcess) =>
        void setTimeout(() => child.kill('SIGKILL'), Math.random() * whole.milliseconds)
      let ended = await juanji(argv, killSoon)
      // Twice at most, somewhere in the training; then it may end.
      for (let killed = 1; ended.signal === 'SIGKILL'; killed++) {
        await checkReadable(folder)
        argv = ['train', '--resume', folder, '--checkpoint-every', '0', '--threads', '1']
        ended = await juanji(argv, killed < 2 ? killSoon : undefined)
      }
      expect(ended).toMatchObject({ code: 0, signal: null })
      expect(await result(folder, ended.events)).toEqual({ weights: whole.weights, loss: whole.loss })
    },
    slow,
  )
})

describe('Ctrl-C', () => {
  it(
    'writes a checkpoint and ends with 130; the run goes on from there',
    async () => {
      const folder = join(root, 'interrupted')
      const first = await juanji([...training, '--out', folder], (child) => child.kill('SIGINT'))
      expect(first.code).toBe(130)
      expect(first.events.at(-1)).toMatchObject({ event: 'interrupted', folder })
      const second = await juanji(['train', '--resume', folder, '--threads', '2'])
      expect(second.code).toBe(0)
      expect(await result(folder, second.events)).toEqual({ weights: whole.weights, loss: whole.loss })
    },
    slow,
  )

  it(
    'a second one quits at once',
    async () => {
      const folder = join(root, 'twice')
      const { code, events } = await juanji([...training, '--out', folder], (child) => {
        child.kill('SIGINT')
        // Later than the echo of the first that npm passes on, before the step in progress can end: it is stopped first.
        setTimeout(() => child.kill('SIGINT'), 400)
      })
      expect(code).toBe(130)
      expect(['interrupted', 'start', 'checkpoint']).toContain(events.at(-1)?.event)
    },
    slow,
  )
})
