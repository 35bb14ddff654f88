/**
 * Our inference beside ONNX Runtime's machine code, on the files that we export: `npx tsx bench/onnx-speed.ts [options]`.
 *
 *     --rounds N     alternations, default 7
 *     --threads N    of both, default 2
 *     --work NAME    only this work; may be given several times
 *     --backend NAME ours, default native
 *     --install      installs onnxruntime-node into the folder of --modules
 *     --modules DIR  where it is, default a folder among the temporary ones
 *     --files DIR    where the exported files go, default that folder
 *     --json         prints every round
 *
 * Both sides load one file or one model in a process of its own and stay; then they take turns, so that a disturbance hits
 * both. A turn is the best of several runs, a ratio the median over the rounds of their time over ours. The outputs are
 * compared first. Samples lie where each side wants them: channels last here, channels first there.
 */
import { type ChildProcess, fork, spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { compile, createDevice, init, type Model, models, type Tensor, tensor, useDevice } from '../src/index.ts'
import { exportOnnx } from '../src/io/onnx/export.ts'
import { processorName } from '../src/platform/node.ts'
import { median } from './ratios.ts'

const peer = 'onnxruntime-node@1.30.0'

interface Work {
  readonly make: models.Architecture
  readonly batch: number
  /** Runs in one turn. */
  readonly runs: number
}

const side = 224
const works: Readonly<Record<string, Work>> = {
  'resnet18-b32': { make: models.resnet18, batch: 32, runs: 3 },
  'mobileNetV2-b1': { make: models.mobileNetV2, batch: 1, runs: 30 },
}

/** Any numbers, the same in every process. @param channelsFirst whether they lie so */
function samples(batch: number, channelsFirst: boolean): Float32Array {
  const values = new Float32Array(batch * side * side * 3)
  const places = side * side
  for (let sample = 0; sample < batch; sample++) {
    for (let place = 0; place < places; place++) {
      for (let channel = 0; channel < 3; channel++) {
        const last = (sample * places + place) * 3 + channel
        const first = (sample * 3 + channel) * places + place
        values[channelsFirst ? first : last] = Math.sin(12.9898 * last) * 2
      }
    }
  }
  return values
}

/** With running statistics as after training, so that no layer works on zeros. */
async function modelOf({ make }: Work): Promise<Model> {
  const model = init(make({ classes: 1000 }), { input: [side, side, 3], seed: 1 })
  for (const state of model.states) {
    if (state.name.endsWith('running_var')) await state.load(new Float32Array(state.size).fill(0.25))
  }
  return model.eval()
}

// ── the processes that are measured ──

interface Question {
  readonly runs: number
}
interface Answer {
  /** The best run. */
  readonly ms: number
  readonly name?: string
  readonly output?: readonly number[]
}

/** Answers questions until the parent ends. @param run computes once and gives the output */
function serve(name: string, run: () => Promise<ArrayLike<number>>): void {
  process.on('message', async ({ runs }: Question) => {
    let best = Number.POSITIVE_INFINITY
    let output: ArrayLike<number> = []
    for (let i = 0; i < Math.max(1, runs); i++) {
      const start = performance.now()
      output = await run()
      best = Math.min(best, performance.now() - start)
    }
    const answer: Answer = runs === 0 ? { ms: best, name, output: Array.from(output) } : { ms: best }
    process.send?.(answer)
  })
}

async function serveOurs(work: Work, threads: number, backend: string): Promise<void> {
  const device = await createDevice({ backend: backend as 'native', threads })
  await useDevice(device)
  const model = await modelOf(work)
  // The batch is an argument on both sides: what is made of the weights alone is made once.
  const x = tensor(samples(work.batch, false), [work.batch, side, side, 3])
  const forward = compile((images: Tensor) => model(images))
  serve(`juanji ${backend}`, async () => (await forward(x)).data())
}

interface Runtime {
  readonly Tensor: new (type: 'float32', data: Float32Array, shape: readonly number[]) => object
  readonly InferenceSession: {
    create(path: string, options: object): Promise<{ run(feeds: object): Promise<{ output: { data: Float32Array } }> }>
  }
}

async function serveTheirs(work: Work, threads: number, file: string, modules: string): Promise<void> {
  const require = createRequire(join(modules, 'package.json'))
  const ort = require('onnxruntime-node') as Runtime
  const session = await ort.InferenceSession.create(file, { intraOpNumThreads: threads, interOpNumThreads: 1 })
  const input = new ort.Tensor('float32', samples(work.batch, true), [work.batch, 3, side, side])
  serve(peer.replace('@', ' '), async () => (await session.run({ input })).output.data)
}

// ── the one that measures ──

function start(...args: readonly string[]): ChildProcess {
  const child = fork(fileURLToPath(import.meta.url), [...args], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  child.on('exit', (code) => {
    if (code !== null && code !== 0) process.exit(code)
  })
  return child
}

/** Threads that wait for work spin for a while and would take a processor from whose turn is next. */
const pauseMs = 300

async function ask(child: ChildProcess, runs: number): Promise<Answer> {
  await new Promise((resolve) => setTimeout(resolve, pauseMs))
  return new Promise((resolve) => {
    child.once('message', (answer) => resolve(answer as Answer))
    child.send({ runs } satisfies Question)
  })
}

async function compare(name: string, options: Options): Promise<void> {
  const work = works[name]
  const file = join(options.files, `${name}.onnx`)
  mkdirSync(options.files, { recursive: true })
  writeFileSync(file, await exportOnnx(await modelOf(work)))
  const shared = [name, String(options.threads)]
  const children = [start('ours', ...shared, options.backend), start('theirs', ...shared, file, options.modules)]
  const [ours, theirs] = children
  // Each answers when it has loaded; these runs warm up.
  const first = [await ask(ours, 0), await ask(theirs, 0)]
  const [a, b] = first.map(({ output = [] }) => output)
  const largest = Math.max(...b.map(Math.abs))
  const error = Math.max(...a.map((value, i) => Math.abs(value - b[i]))) / largest
  const rounds: (readonly [number, number])[] = []
  for (let round = 0; round < options.rounds; round++) {
    const order = round % 2 === 0 ? children : [theirs, ours]
    const times = new Map<ChildProcess, number>()
    for (const child of order) times.set(child, (await ask(child, work.runs)).ms)
    const pair = [times.get(ours) ?? 0, times.get(theirs) ?? 0] as const
    rounds.push(pair)
    if (options.json) console.log(JSON.stringify({ work: name, round: round + 1, ours: pair[0], theirs: pair[1] }))
  }
  for (const child of children) child.kill()
  const each = rounds.map(([our, their]) => their / our)
  const [our, their] = [0, 1].map((at) => median(rounds.map((pair) => pair[at])).toFixed(1))
  const range = [Math.min(...each), Math.max(...each)].map((ratio) => ratio.toFixed(2)).join(' – ')
  console.log(
    `${name}: ${first[0].name} ${our} ms, ${first[1].name} ${their} ms, ratio ${median(each).toFixed(2)} (${range}), largest difference ${error.toExponential(1)} of the largest output`,
  )
}

interface Options {
  readonly rounds: number
  readonly threads: number
  readonly backend: string
  readonly modules: string
  readonly files: string
  readonly json: boolean
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '7' },
      threads: { type: 'string', default: '2' },
      work: { type: 'string', multiple: true },
      backend: { type: 'string', default: 'native' },
      install: { type: 'boolean', default: false },
      modules: { type: 'string', default: join(tmpdir(), 'juanji-peers') },
      files: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const { modules, backend, json } = values
  // Its script would fetch libraries for graphics processors; those for the processor are in the package.
  const install = ['install', '--ignore-scripts', '--prefix', modules, peer]
  if (values.install) spawnSync('npm', install, { stdio: 'inherit' })
  try {
    createRequire(join(modules, 'package.json')).resolve('onnxruntime-node')
  } catch {
    console.error(`npm ${install.join(' ')}, or run this with --install`)
    process.exit(2)
  }
  const names = values.work ?? Object.keys(works)
  const unknown = names.find((name) => !Object.hasOwn(works, name))
  if (unknown !== undefined) {
    console.error(`there is no work ${unknown}; there are ${Object.keys(works).join(', ')}`)
    process.exit(2)
  }
  const [rounds, threads] = [Number(values.rounds), Number(values.threads)]
  console.log(`${processorName() ?? 'unknown processor'}, ${threads} threads on both sides, Node ${process.version}`)
  for (const name of names) {
    await compare(name, { rounds, threads, backend, modules, json, files: values.files ?? modules })
  }
}

const [role, name, threads, ...rest] = process.argv.slice(2)
if (role === 'ours') await serveOurs(works[name], Number(threads), rest[0])
else if (role === 'theirs') await serveTheirs(works[name], Number(threads), rest[0], rest[1])
else await main()
