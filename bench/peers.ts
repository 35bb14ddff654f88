/**
 * Us beside other libraries, on this machine: `npm run bench:peers -- [--rounds N] [--threads N] [--work NAME]`.
 *
 * Every round runs juanji and each peer once, in fresh processes and in changing order, so that a disturbance hits all
 * of them. Printed are medians over the rounds and our rate over theirs. A peer that is not installed is left out.
 */
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

interface Row {
  readonly peer: string
  readonly work: string
  readonly [figure: string]: number | string
}

interface Peer {
  readonly name: string
  /** Why it can't run here; undefined when it can. */
  readonly missing: string | undefined
  readonly command: (threads: number, work: string | undefined) => readonly [program: string, ...args: string[]]
}

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

function missingPython(module: string): string | undefined {
  for (const program of pythons) {
    if (spawnSync(program, ['-c', `import ${module}`]).status === 0) return undefined
  }
  return `python3 has no module ${module}`
}

/** Debian's PyTorch belongs to Debian's Python, which another python3 may hide. */
const pythons = ['python3', '/usr/bin/python3']

function python(module: string): string {
  return pythons.find((program) => spawnSync(program, ['-c', `import ${module}`]).status === 0) ?? pythons[0]
}

function missingPackages(...names: string[]): string | undefined {
  const { resolve } = createRequire(import.meta.url)
  for (const name of names) {
    try {
      resolve(`${name}/package.json`)
    } catch {
      return `npm install --no-save ${names.join(' ')}`
    }
  }
  return undefined
}

const optional = (work: string | undefined) => (work === undefined ? [] : [work])

const peers: readonly Peer[] = [
  {
    name: 'juanji',
    missing: undefined,
    command: (threads, work) => [
      process.execPath,
      here('../dist/cli/main.js'),
      'bench',
      '--json',
      '--threads',
      String(threads),
      ...(work === undefined ? [] : ['--work', work]),
    ],
  },
  {
    name: 'pytorch',
    missing: missingPython('torch'),
    command: (threads, work) => [python('torch'), here('peers/pytorch.py'), String(threads), ...optional(work)],
  },
  {
    name: 'onnxruntime',
    missing: missingPackages('onnxruntime-web'),
    command: (threads, work) => [process.execPath, here('peers/onnxruntime.mjs'), String(threads), ...optional(work)],
  },
  {
    name: 'tfjs',
    missing: missingPackages('@tensorflow/tfjs', '@tensorflow/tfjs-backend-wasm'),
    command: (threads, work) => [process.execPath, here('peers/tfjs.mjs'), String(threads), ...optional(work)],
  },
]

function measure(peer: Peer, threads: number, work: string | undefined): Row[] {
  const [program, ...args] = peer.command(threads, work)
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 26 })
  if (status !== 0) throw new Error(`${peer.name} ended with ${status}:\n${stderr}`)
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Row)
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Medians by work and figure, in milliseconds. */
type Medians = Map<string, Map<string, number>>

function medians(rows: readonly Row[]): Medians {
  const lists = new Map<string, Map<string, number[]>>()
  for (const row of rows) {
    const figures = lists.get(row.work) ?? new Map<string, number[]>()
    lists.set(row.work, figures)
    for (const [figure, value] of Object.entries(row)) {
      if (!figure.endsWith('_ms') || typeof value !== 'number') continue
      figures.set(figure, [...(figures.get(figure) ?? []), value])
    }
  }
  return new Map(
    [...lists].map(([work, figures]) => [work, new Map([...figures].map(([name, values]) => [name, median(values)]))]),
  )
}

function print(name: string, ours: Medians, theirs: Medians): void {
  console.log(
    `\njuanji beside ${name}: milliseconds, median; the ratio is their time over ours, above 1 we are faster\n`,
  )
  const logs: number[] = []
  for (const [work, figures] of theirs) {
    for (const [figure, theirMs] of figures) {
      const ourMs = ours.get(work)?.get(figure)
      if (ourMs === undefined) continue
      logs.push(Math.log(theirMs / ourMs))
      const cells = [work.padEnd(22), figure.replace(/_ms$/, '').padEnd(18), ourMs.toFixed(2).padStart(10)]
      console.log([...cells, theirMs.toFixed(2).padStart(10), (theirMs / ourMs).toFixed(2).padStart(7)].join(' '))
    }
  }
  const mean = Math.exp(logs.reduce((a, b) => a + b, 0) / logs.length)
  console.log(`${'geometric mean'.padEnd(22)} ${''.padEnd(18)} ${''.padEnd(21)} ${mean.toFixed(2).padStart(7)}`)
}

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    threads: { type: 'string', default: String(availableParallelism()) },
    work: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})
const threads = Number(values.threads)
const installed = peers.filter((peer) => peer.missing === undefined)
for (const { name, missing } of peers) if (missing !== undefined) console.error(`without ${name}: ${missing}`)

const rows = new Map<string, Row[]>(installed.map(({ name }) => [name, []]))
for (let round = 0; round < Number(values.rounds); round++) {
  for (let i = 0; i < installed.length; i++) {
    const peer = installed[(i + round) % installed.length]
    console.error(`round ${round + 1}: ${peer.name}`)
    const measured = measure(peer, threads, values.work)
    rows.get(peer.name)?.push(...measured)
    if (values.json) for (const row of measured) console.log(JSON.stringify({ round: round + 1, ...row }))
  }
}
const ours = medians(rows.get('juanji') ?? [])
for (const { name } of installed) if (name !== 'juanji') print(name, ours, medians(rows.get(name) ?? []))
