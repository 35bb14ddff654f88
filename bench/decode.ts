/**
 * A folder of pictures as a data set, looked at in the built package: `npm run build && npx tsx bench/decode.ts
 * [pictures]`; JUANJI_INDEX names another index.js. Makes 20,000 JPEGs of 256 × 256 pixels (or as many as it is told) in
 * a temporary folder, scans it and passes over its batches twice, decoding in every epoch, then from memory.
 * Held: resident size stays under 1.5 GiB; without a cache the last third of it is within 5 % of the third before.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import sharp from 'sharp'

const index = pathToFileURL(resolve(process.env.JUANJI_INDEX ?? 'dist/index.js')).href
const { scanImageFolder }: typeof import('../src/index.ts') = await import(index)

const count = Number(process.argv[2] ?? 20_000)
const classes = 10
const side = 256
const limitMiB = 1536

/** Soft blobs of colour with some grain: about 20 KB each, as photographs of this size have. */
async function makePictures(folder: string): Promise<void> {
  const make = async (i: number) => {
    const coarse = Uint8Array.from({ length: 16 * 16 * 3 }, (_, k) => ((k + 1) * (i + 7) * 2654435761) >>> 24)
    const soft = sharp(coarse, { raw: { width: 16, height: 16, channels: 3 } }).resize(side, side, { kernel: 'cubic' })
    const jpeg = await soft.jpeg({ quality: 90 }).toBuffer()
    await writeFile(join(folder, `${i % classes}`, `${i}.jpg`), jpeg)
  }
  for (let c = 0; c < classes; c++) await mkdir(join(folder, `${c}`))
  for (let i = 0; i < count; i += 8) {
    await Promise.all(Array.from({ length: Math.min(8, count - i) }, (_, k) => make(i + k)))
  }
}

const residentMiB = () => process.memoryUsage.rss() / 2 ** 20
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length

function report(name: string, values: Record<string, unknown>, holds = true): void {
  console.log(JSON.stringify({ name, ...values, holds }))
  if (!holds) process.exitCode = 1
}

/** Two passes over the batches; 30 samples of resident size. */
async function pass(name: string, inputShape: [number, number, number], cacheBytes?: number): Promise<void> {
  const started = performance.now()
  const scan = await scanImageFolder(folder)
  const scanSeconds = (performance.now() - started) / 1000
  const data = await scan.open({ inputShape, cacheBytes, validation: 0, test: 0 })
  const openSeconds = (performance.now() - started) / 1000 - scanSeconds
  const steps = 2 * Math.ceil(data.train.length / 64)
  const sizes: number[] = []
  const rates: number[] = []
  let step = 0
  for (let epoch = 0; epoch < 2; epoch++) {
    const begin = performance.now()
    for await (const { x } of data.train.batches({ size: 64, seed: 1, epoch })) {
      if (x.shape[1] !== inputShape[0]) throw new Error('a sample has another shape')
      if (++step % Math.max(1, Math.floor(steps / 30)) === 0) sizes.push(residentMiB())
    }
    rates.push(data.train.length / ((performance.now() - begin) / 1000))
  }
  await data.close()
  const third = Math.floor(sizes.length / 3)
  const growth = mean(sizes.slice(-third)) / mean(sizes.slice(-2 * third, -third)) - 1
  const peak = Math.max(...sizes)
  report(
    name,
    {
      cached: data.cached,
      scanSeconds: Number(scanSeconds.toFixed(1)),
      openSeconds: Number(openSeconds.toFixed(1)),
      picturesPerSecond: rates.map(Math.round),
      residentMiB: sizes.map(Math.round),
      growthPercent: Number((100 * growth).toFixed(2)),
    },
    peak < limitMiB && (data.cached || growth <= 0.05),
  )
}

const folder = await mkdtemp(join(tmpdir(), 'juanji-decode-'))
try {
  const started = performance.now()
  await makePictures(folder)
  report('made', { pictures: count, seconds: Math.round((performance.now() - started) / 1000) })
  await pass('64 x 64 x 3, decoded in every epoch', [64, 64, 3], 0)
  await pass('128 x 128 x 3, kept if it fits', [128, 128, 3])
  await pass('64 x 64 x 3, kept if it fits', [64, 64, 3])
} finally {
  await rm(folder, { recursive: true })
}
