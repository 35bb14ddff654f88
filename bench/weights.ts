/**
 * What files of weights cost: how soon 100 MB are in a model, and how much memory a large sharded set takes when it is
 * opened. The large files are sparse: they have their sizes and take hardly any disk. They lie in a temporary folder (or
 * the one that is given) and are removed.
 *
 *     npx tsx bench/weights.ts [FOLDER]
 */
import { spawnSync } from 'node:child_process'
import { mkdtemp, open, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadWeights, openWeights, writeSafetensors } from '../src/io/index.ts'
import * as nn from '../src/nn/index.ts'
import { init } from '../src/nn/model.ts'

const MiB = 2 ** 20
const rss = () => process.memoryUsage.rss() / MiB

/** What an action gives, its time and the processor time it took, in milliseconds. */
async function timed<T>(action: () => Promise<T>): Promise<[T, number, number]> {
  const start = performance.now()
  const before = process.cpuUsage()
  const result = await action()
  const { user, system } = process.cpuUsage(before)
  return [result, performance.now() - start, (user + system) / 1000]
}

/** A safetensors file of its full size that holds zeros, but for a mark at the end of each tensor. */
async function writeSparse(path: string, tensors: readonly (readonly [name: string, elements: number])[]) {
  let end = 0
  const header: Record<string, unknown> = {}
  for (const [name, elements] of tensors) {
    header[name] = { dtype: 'F32', shape: [elements], data_offsets: [end, end + 4 * elements] }
    end += 4 * elements
  }
  const text = JSON.stringify(header)
  const padded = text.padEnd(Math.ceil(text.length / 8) * 8)
  const head = Buffer.alloc(8 + padded.length)
  head.writeBigUInt64LE(BigInt(padded.length))
  head.write(padded, 8)
  const file = await open(path, 'w')
  await file.write(head)
  await file.truncate(head.length + end)
  let at = head.length
  for (const [i, [, elements]] of tensors.entries()) {
    for (const place of [0, 2 ** 29 + 1, elements - 1]) {
      if (place < elements)
        await file.write(Buffer.from(Float32Array.of(i + 1 + place / 2 ** 30).buffer), 0, 4, at + 4 * place)
    }
    at += 4 * elements
  }
  await file.close()
}

async function loadHundred(folder: string): Promise<void> {
  // 25.2 million values: convolutions as in ResNet-50's last stage, and a linear layer.
  const make = () =>
    nn.sequential(
      ...Array.from({ length: 10 }, () => nn.conv2d(512, 3, { padding: 1 })),
      nn.globalAvgPool(),
      nn.linear(1000),
    )
  const path = join(folder, 'hundred.safetensors')
  const model = init(make(), { input: [7, 7, 512] })
  const tensors = new Map(
    [...model.parameters].map(({ name, shape }) => {
      const theirs = shape.length === 4 ? [shape[3], shape[2], shape[0], shape[1]] : [...shape].reverse()
      const size = shape.reduce((a, b) => a * b, 1)
      return [
        name,
        { dtype: 'F32' as const, shape: theirs, data: Float32Array.from({ length: size }, (_, i) => i % 7) },
      ] as const
    }),
  )
  await writeFile(path, writeSafetensors(new Map(tensors)))
  const megabytes = (await stat(path)).size / 1e6
  for (let round = 0; round < 4; round++) {
    const into = init(make(), { input: [7, 7, 512] })
    const [, ms, cpuMs] = await timed(async () => {
      const file = await openWeights(path)
      await loadWeights(into, file)
      await file.close()
    })
    const [, readMs] = await timed(async () => {
      const file = await openWeights(path)
      for (const tensor of file.tensors.values()) await tensor.read()
      await file.close()
    })
    console.log(
      `${megabytes.toFixed(0)} MB: opened, read and turned into a model in ${ms.toFixed(0)} ms (${cpuMs.toFixed(0)} ms of processor time); opened and read ${readMs.toFixed(0)} ms`,
    )
  }
}

async function openLarge(folder: string): Promise<void> {
  const shards = 5
  const weight_map: Record<string, string> = {}
  for (let shard = 0; shard < shards; shard++) {
    const name = `model-${shard + 1}-of-${shards}.safetensors`
    const tensors = Array.from({ length: 64 }, (_, i) => [`layer${shard}.${i}.weight`, 2 ** 22] as const)
    for (const [tensor] of tensors) weight_map[tensor] = name
    await writeSparse(join(folder, name), tensors)
  }
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map }))
  const before = rss()
  const [file, ms] = await timed(() => openWeights(folder))
  const opened = rss()
  let most = opened
  let wrong = 0
  const [, readMs] = await timed(async () => {
    let i = 0
    for (const tensor of file.tensors.values()) {
      const data = await tensor.read()
      const last = 2 ** 22 - 1
      const mark = (i++ % 64) + 1
      if (data[0] !== mark || data[last] !== Math.fround(mark + last / 2 ** 30)) wrong++
      most = Math.max(most, rss())
    }
  })
  await file.close()
  console.log(
    `5 GiB in ${shards} files, ${file.tensors.size} tensors: opened in ${ms.toFixed(0)} ms with ${(opened - before).toFixed(0)} MiB more memory; ` +
      `all read one after the other in ${(readMs / 1000).toFixed(1)} s, at most ${(most - before).toFixed(0)} MiB more, ${wrong} wrong`,
  )
}

/** One tensor of so many GiB: longer than what Node reads at once, 5 also than the longest array of bytes. */
async function readBeyond(folder: string, gibibytes: number): Promise<void> {
  const elements = gibibytes * 2 ** 28
  const path = join(folder, 'beyond.safetensors')
  await writeSparse(path, [
    ['small', 3],
    ['large', elements],
  ])
  const file = await openWeights(path)
  const before = rss()
  const [data, ms] = await timed(async () => (await file.tensors.get('large')?.read()) as Float32Array)
  const places = [0, 2 ** 29 + 1, elements - 1]
  const right = places.every((place) => data[place] === Math.fround(2 + place / 2 ** 30)) && data[7] === 0
  console.log(
    `a tensor of ${gibibytes} GiB: ${right && data.length === elements ? 'right' : 'WRONG'} in ${(ms / 1000).toFixed(1)} s, ` +
      `${((rss() - before) / 1024).toFixed(2)} GiB more memory`,
  )
  await file.close()
}

const parts: Readonly<Record<string, (folder: string) => Promise<void>>> = {
  hundred: loadHundred,
  sharded: openLarge,
  beyond2: (folder) => readBeyond(folder, 3),
  beyond4: (folder) => readBeyond(folder, 5),
}

// Each part in a process of its own, so that none has the memory of another.
const [parent = tmpdir(), part] = process.argv.slice(2)
if (part === undefined) {
  for (const name of Object.keys(parts)) {
    spawnSync(process.execPath, [...process.execArgv, process.argv[1], parent, name], { stdio: 'inherit' })
  }
} else {
  const folder = await mkdtemp(join(parent, 'juanji-weights-'))
  try {
    await parts[part](folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
