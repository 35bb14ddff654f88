/**
 * Us beside other libraries, on this machine: `npm run bench:peers -- [options]`.
 *
 *     --rounds N     alternations, default 5
 *     --threads N    of all participants, default one a processor
 *     --work NAME    only this work; may be given several times
 *     --set NAME     the convolutions of a network, as in `juanji bench --set`
 *     --pairs A:B    what is compared, separated by commas; default all that can run here
 *     --install      installs peers that are packages of JavaScript into the folder of --modules
 *     --modules DIR  where such packages are, default a folder among the temporary ones
 *     --json         prints every row that was measured
 *     --out FILE     writes the table of the day as Markdown: bench/RESULTS.md
 *     --note TEXT    a remark for the table, for instance on what else the machine did
 *
 * Every round runs each participant once, in fresh processes and in changing order, so that a disturbance hits all of
 * them. Times are the best of seven runs; a ratio is the median over the rounds of their time over ours.
 */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { layerSet, layerSetNames } from '../src/cli/layer-sets.ts'
import { isWork, workNames } from '../src/cli/works.ts'
import { processorName } from '../src/platform/node.ts'
import { measure, participants, peerPackages } from './participants.ts'
import { type Comparison, geometricMean, markdownOf, type Rounds, type Row, ratiosOf } from './ratios.ts'

const titles: Readonly<Record<string, string>> = {
  'native:pytorch': 'Machine code beside PyTorch',
  'precise:pytorch': 'Machine code without Winograd (--precise) beside PyTorch',
  'bf16:pytorch-bf16': 'bf16 beside PyTorch under bf16 autocast',
  'bf16:pytorch': 'bf16 beside PyTorch in f32',
  'wasm:onnxruntime-web': 'WebAssembly beside ONNX Runtime Web, forward',
  'wasm:pytorch': 'WebAssembly beside PyTorch, which is machine code',
}

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    threads: { type: 'string', default: String(availableParallelism()) },
    work: { type: 'string', multiple: true },
    set: { type: 'string' },
    pairs: { type: 'string', default: Object.keys(titles).join(',') },
    install: { type: 'boolean', default: false },
    modules: { type: 'string', default: join(tmpdir(), 'juanji-peers') },
    json: { type: 'boolean', default: false },
    out: { type: 'string' },
    note: { type: 'string' },
  },
})
const { modules } = values
const [rounds, threads] = [Number(values.rounds), Number(values.threads)]

function fail(text: string): never {
  console.error(text)
  process.exit(2)
}

if (values.set !== undefined && !layerSetNames.includes(values.set)) fail(`there is no set ${values.set}`)
const works = values.work ?? (values.set === undefined ? workNames : layerSet(values.set).map(({ work }) => work))
for (const work of works) if (!isWork(work)) fail(`there is no work ${work}`)
if (values.install) spawnSync('npm', ['install', '--prefix', modules, ...peerPackages], { stdio: 'inherit' })

const all = new Map(participants(modules).map((participant) => [participant.name, participant]))
const pairs = values.pairs.split(',').map((pair) => pair.split(':'))
const named = [...new Set(pairs.flat())]
const missing = new Map<string, string>()
for (const name of named) {
  const participant = all.get(name) ?? fail(`there is no participant ${name}; there are ${[...all.keys()].join(', ')}`)
  const why = participant.missing()
  if (why === undefined) continue
  missing.set(name, why)
  console.error(`without ${name}: ${why}`)
}
const possible = pairs.filter((pair) => pair.every((name) => !missing.has(name)))
const running = [...new Set(possible.flat())]

const takes = (name: string, work: string) => all.get(name)?.takes?.(work) ?? true
/** Works that a participant is compared on with somebody. */
const worksOf = (name: string) =>
  works.filter((work) => possible.some((pair) => pair.includes(name) && pair.every((other) => takes(other, work))))

const measured = new Map<string, (readonly Row[])[]>(running.map((name) => [name, []]))
for (let round = 0; round < rounds; round++) {
  for (let i = 0; i < running.length; i++) {
    const name = running[(i + round) % running.length]
    console.error(`round ${round + 1} of ${rounds}: ${name}`)
    const rows = measure(all.get(name) as NonNullable<ReturnType<typeof all.get>>, threads, worksOf(name), modules)
    measured.get(name)?.push(rows)
    if (values.json)
      for (const row of rows) console.log(JSON.stringify({ round: round + 1, participant: name, ...row }))
  }
}

const roundsOf = (name: string): Rounds => measured.get(name) ?? []
/** Name and version; how juanji was told to compute where that is not the default. */
const labelOf = (name: string) => {
  const peer = roundsOf(name).flat().at(0)?.peer ?? name
  return name === 'precise' || name === 'bf16' ? `${peer} ${name}` : peer
}
const comparisons: Comparison[] = possible
  .map(([our, their]) => ({
    title: `${titles[`${our}:${their}`] ?? `${our} beside ${their}`}`,
    ours: labelOf(our),
    theirs: labelOf(their),
    ratios: ratiosOf(roundsOf(our), roundsOf(their)),
  }))
  .filter(({ ratios }) => ratios.length > 0)

/** The dense 3×3 convolutions of 64 channels and more, which most of a network's time goes to. */
const dense = new Set(['conv3x3-64@32', 'conv3x3-128@16', 'conv3x3-256@8', 'conv3x3-512@4', 'conv3x3-64@56'])

function denseMean({ ratios }: Comparison): string[] {
  const found = ratios.filter(({ work, figure }) => dense.has(work) && figure === 'forward_backward')
  if (found.length < dense.size) return []
  const mean = geometricMean(found.map(({ ratio }) => ratio)).toFixed(2)
  return ['', `The ${found.length} dense 3×3 works of 64 channels and more, forward + backward: ${mean}×.`]
}

const lines = [
  '# The table of the day',
  '',
  'Written by `npm run build && npm run bench:peers -- --install --out bench/RESULTS.md`; run it on a machine that does nothing else.',
  '',
  `${new Date().toISOString().slice(0, 10)}, ${processorName() ?? 'unknown processor'}, ${threads} threads on both sides, Node ${process.version}.`,
  `${rounds} rounds of fresh processes in changing order; a time is the median over the rounds of the best of seven runs after`,
  'two to warm up, in milliseconds; a ratio is the median over the rounds of their time over ours, so that above 1 we are',
  'faster. What is slower here is bold. Convolutions read input, weights and upstream gradient anew in each run and give',
  'y, dx and dw; PyTorch has its own best layout, channels last.',
  ...(values.note === undefined ? [] : ['', values.note]),
  ...comparisons.flatMap((comparison) => ['', ...markdownOf(comparison), ...denseMean(comparison)]),
  ...(missing.size === 0
    ? []
    : ['', `Not measured: ${[...missing].map(([name, why]) => `${name} (${why})`).join(', ')}.`]),
  '',
]
if (values.out === undefined) console.log(lines.join('\n'))
else writeFileSync(values.out, lines.join('\n'))
