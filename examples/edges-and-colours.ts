/**
 * Finds edges and colours in a photograph, with kernels made by hand: nothing is learned here.
 *
 *     npx tsx examples/edges-and-colours.ts photo.jpg [folder]
 *
 * Without a photograph it draws a picture of its own.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { conv2d, type Tensor, tensor } from 'juanji'
import sharp from 'sharp'

const [file, folder = 'edges-and-colours'] = process.argv.slice(2)

/** A house in a meadow. The sun and the sky behind it are equally bright: only their colours differ. */
const drawing = `<svg xmlns="http://www.w3.org/2000/svg" width="480" height="320">
  <rect width="480" height="320" fill="#8fb6d9"/>
  <circle cx="400" cy="70" r="40" fill="#e0a83e"/>
  <rect y="220" width="480" height="100" fill="#5d9440"/>
  <path d="M120 150h150v110H120z" fill="#e8dcc0"/>
  <path d="M105 150 195 80 285 150z" fill="#b5382c"/>
  <path d="M150 190h40v70h-40z" fill="#7a4a2b"/>
  <path d="M215 175h35v35h-35z" fill="#31507a"/>
  <path d="M330 260V170h12V260z" fill="#6b4a2f"/>
  <circle cx="336" cy="150" r="42" fill="#3f7a33"/>
</svg>`

/** The picture as [1, height, width, 3], values from 0 to 1. */
async function readPicture(source: string | Buffer): Promise<Tensor> {
  const { data, info } = await sharp(source)
    .autoOrient()
    .resize({ width: 800, height: 800, fit: 'inside', withoutEnlargement: true })
    .flatten({ background: 'white' })
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
  const shape = [1, info.height, info.width, 3]
  return tensor(new Uint8Array(data), shape, 'u8')
    .cast('f32')
    .mul(1 / 255)
}

/** Writes [1, height, width, channels] with 1 or 3 channels; below 0 is black, above 1 is white. */
async function writePicture(name: string, picture: Tensor): Promise<void> {
  const [, height, width, channels] = picture.shape
  const values = await picture.clamp(0, 1).mul(255).data()
  const raw = { width, height, channels: channels as 1 | 3 }
  await sharp(Uint8Array.from(values, Math.round), { raw })
    .png()
    .toFile(join(folder, `${name}.png`))
}

/** The same with its largest value as white. */
const brightest = (picture: Tensor) => picture.div(picture.max().maximum(1e-6))

// ── kernels: [height, width, channels in, channels out] ──

/** What is on the right less what is on the left: finds upright edges (Sobel and Feldman 1968). */
const sobelUpright = tensor([-1, 0, 1, -2, 0, 2, -1, 0, 1], [3, 3, 1, 1])
/** The same, turned: what is below less what is above. */
const sobelLevel = tensor([-1, -2, -1, 0, 0, 0, 1, 2, 1], [3, 3, 1, 1])
/** How bright a pixel is to the eye (Rec. 601). */
const brightness = tensor([0.299, 0.587, 0.114], [1, 1, 3, 1])
/** Blind to all that is only brighter or darker. */
const redLessGreen = tensor([1, -1, 0], [1, 1, 3, 1])
/** What a pixel has of one colour beyond the others. White, grey and black have nothing of any. */
const colours: Readonly<Record<string, readonly [red: number, green: number, blue: number]>> = {
  red: [1, -0.5, -0.5],
  green: [-0.5, 1, -0.5],
  blue: [-0.5, -0.5, 1],
  yellow: [0.5, 0.5, -1],
}

/** How steep a picture of one channel is, whatever the direction. */
function steepness(picture: Tensor): Tensor {
  return conv2d(picture, sobelUpright).square().add(conv2d(picture, sobelLevel).square()).sqrt()
}

const picture = await readPicture(file ?? Buffer.from(drawing))
await mkdir(folder, { recursive: true })
const grey = conv2d(picture, brightness)
await writePicture('picture', picture)
await writePicture('edges-upright', brightest(conv2d(grey, sobelUpright).abs()))
await writePicture('edges-level', brightest(conv2d(grey, sobelLevel).abs()))
await writePicture('edges', brightest(steepness(grey)))
await writePicture('edges-of-colour', brightest(steepness(conv2d(picture, redLessGreen))))
for (const [name, weights] of Object.entries(colours)) {
  const found = brightest(conv2d(picture, tensor([...weights], [1, 1, 3, 1])).relu())
  // Colour where the kernel has found some, grey elsewhere.
  await writePicture(name, grey.add(picture.sub(grey).mul(found)))
}
const [, height, width] = picture.shape
console.log(`A picture of ${width} × ${height} pixels; what was found is in ${folder}`)
