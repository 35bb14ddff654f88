/**
 * What decoding costs an epoch: training on a folder of pictures whose samples are kept, on one whose pictures are
 * decoded in every epoch, and on the same samples as tensors in memory, in alternation.
 *
 *     npx tsx bench/epoch.ts PHOTOS [ROUNDS]
 */
import { arrayDataset, type Dataset, datasets, fit, models, optim } from '../src/index.ts'

const [photos, rounds = '5'] = process.argv.slice(2)
if (photos === undefined) throw new Error('name a folder of pictures: npx tsx bench/epoch.ts PHOTOS')

const inputShape = [64, 64, 3] as const
const options = { inputShape, validation: 0, test: 0, seed: 1 }
const kept = await datasets.imageFolder(photos, options)
const decoded = await datasets.imageFolder(photos, { ...options, cacheBytes: 0 })
const { length, classes } = kept.train
const x = new Uint8Array(length * 64 * 64 * 3)
const y = new Int32Array(length)
for (let i = 0; i < length; i++) {
  const sample = await kept.train.get(i)
  x.set(sample.x, i * 64 * 64 * 3)
  y[i] = sample.y
}
const parts: readonly (readonly [string, Dataset])[] = [
  ['tensors in memory', arrayDataset(x, y, inputShape, 'u8', classes)],
  ['folder, kept', kept.train],
  ['folder, decoded every epoch', decoded.train],
]

async function epoch(dataset: Dataset): Promise<number> {
  const net = models.resnet8({ classes: classes.length })
  const { epochs } = await fit(net, dataset, {
    epochs: 1,
    batchSize: 32,
    validation: 0,
    seed: 1,
    optimizer: optim.adamw(),
  })
  return epochs[0].seconds
}

const seconds = new Map(parts.map(([name]) => [name, [] as number[]]))
await epoch(parts[0][1])
for (let round = 0; round < Number(rounds); round++) {
  for (const [name, dataset] of parts) seconds.get(name)?.push(await epoch(dataset))
}
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]
const base = median(seconds.get(parts[0][0]) as number[])
console.log(`${length} pictures, resnet8 on 64×64, batches of 32; median of ${rounds}`)
for (const [name, values] of seconds) {
  const list = values.map((value) => value.toFixed(1)).join(' ')
  console.log(`${name.padEnd(28)} ${median(values).toFixed(2)} s   ${(median(values) / base).toFixed(3)}×   (${list})`)
}
await kept.close()
await decoded.close()
process.exit(0)
