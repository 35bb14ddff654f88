/**
 * Shows what each option of augmentation does to a picture: a sheet with a row for each option, as PNG.
 *
 *     npx tsx examples/augment-sheet.ts photograph.jpg sheet.png [seed]
 */
import sharp, { type OverlayOptions } from 'sharp'
import {
  type AugmentOptions,
  augmentBatch,
  compile,
  defaultAugment,
  pictureToSample,
  type Tensor,
  tensor,
} from '../src/index.ts'

const [file, into, seed = '1'] = process.argv.slice(2)
if (file === undefined || into === undefined) {
  console.error('usage: npx tsx examples/augment-sheet.ts PICTURE SHEET.png [SEED]')
  process.exit(2)
}

const shape = [96, 128, 3] as const
const [height, width, channels] = shape
const columns = 8
const textWidth = 260

const rows: AugmentOptions[] = [
  {},
  { shift: 0.2 },
  { shift: 0.2, fill: 'reflect' },
  { crop: 12, fill: 0 },
  { flip: 'horizontal' },
  { flip: 'both' },
  { rotate: 30 },
  { rotate: 30, fill: 'reflect' },
  { scale: 0.4 },
  { scale: [1, 2] },
  { shear: 20 },
  { brightness: 0.5 },
  { contrast: 0.7 },
  { saturation: 1 },
  { hue: 0.15 },
  { hue: 0.5 },
  { grey: 0.5 },
  { cutOut: 0.4 },
  { mixUp: 1 },
  { cutMix: 1 },
  { mixUp: 0.4, cutMix: 1 },
  { randAugment: 3 },
  { randAugment: 10 },
  { randAugment: [4, 6] },
  defaultAugment('digits', shape),
  defaultAugment('photographs', shape),
]

const decoded = await sharp(file)
  .rotate()
  .removeAlpha()
  .toColourspace('srgb')
  .raw()
  .toBuffer({ resolveWithObject: true })
const sample = pictureToSample({ ...decoded.info, data: decoded.data } as Parameters<typeof pictureToSample>[0], shape)
// Every other sample is the negative, so that mixing shows.
const batch = new Uint8Array(columns * sample.length)
for (let i = 0; i < columns; i++) {
  batch.set(
    sample.map((value) => (i < columns / 2 ? value : 255 - value)),
    i * sample.length,
  )
}
const x = tensor(batch, [columns, ...shape])
const y = tensor(Int32Array.from({ length: columns }, (_, i) => Number(i >= columns / 2)))
const key = tensor(Int32Array.of(Number(seed), 0))

const layers: OverlayOptions[] = []
for (const [r, options] of rows.entries()) {
  const run = compile((a: Tensor, b: Tensor, k: Tensor) => augmentBatch(a, b, options, { key: k, classes: 2 }))
  const changed = await run(x, y, key)
  const pixels = Uint8Array.from(await changed.x.data(), (value) => Math.round(255 * value))
  const label = JSON.stringify(options).replaceAll('"', '').replaceAll(',', ', ')
  const words = label.match(/.{1,34}(?: |$)/g) ?? [label]
  const lines = words.map((line, i) => `<tspan x="6" dy="${i === 0 ? 0 : 15}">${line}</tspan>`).join('')
  const text = `<svg width="${textWidth}" height="${height}"><text x="6" y="20" font-size="12" font-family="sans-serif">${lines}</text></svg>`
  layers.push({ input: Buffer.from(text), left: 0, top: r * (height + 4) })
  for (let i = 0; i < columns; i++) {
    const input = pixels.subarray(i * sample.length, (i + 1) * sample.length)
    layers.push({
      input: Buffer.from(input),
      raw: { width, height, channels },
      left: textWidth + i * (width + 4),
      top: r * (height + 4),
    })
  }
}
await sharp({
  create: {
    width: textWidth + columns * (width + 4),
    height: rows.length * (height + 4),
    channels: 3,
    background: 'white',
  },
})
  .composite(layers)
  .png()
  .toFile(into)
console.log(`${into}: ${rows.length} options, ${columns} draws each; the right half begins with the negative`)
