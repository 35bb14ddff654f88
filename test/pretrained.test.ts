/** Weights that others trained, in our networks, on real pictures: only where JUANJI_DATA names a folder that has them. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { readSafetensors, type SafetensorsTensor } from '../src/io/index.ts'
import { resnet20 } from '../src/models/index.ts'
import { init } from '../src/nn/model.ts'
import { compile, type Tensor, tensor } from '../src/tensor/index.ts'

const folder = process.env.JUANJI_DATA ?? ''
const weightsFile = join(folder, 'weights', 'cifar10-resnet', 'resnet20-12fca82f.safetensors')
const picturesFile = join(folder, 'images', 'cifar10', 'cifar10-data_batch_1-first4000-lossless.bin.gz')

/** PyTorch's [out, in, height, width] as [height, width, in, out], its [out, in] as [in, out]. */
function turn({ shape, data }: SafetensorsTensor): { shape: number[]; data: Float32Array } {
  const [outputs, inputs = 1, height = 1, width = 1] = shape
  const turned = new Float32Array(data.length)
  for (let i = 0; i < data.length; i++) {
    const place = i % (height * width)
    const input = Math.floor(i / (height * width)) % inputs
    const output = Math.floor(i / (height * width * inputs))
    turned[(place * inputs + input) * outputs + output] = Number(data[i])
  }
  return { shape: shape.length === 4 ? [height, width, inputs, outputs] : shape.toReversed(), data: turned }
}

/** Records of one label and 1,024 bytes each of red, green and blue, normalised as the network was trained. */
function readPictures(): { count: number; labels: Uint8Array; pictures: Float32Array } {
  const bytes = gunzipSync(readFileSync(picturesFile))
  const count = bytes.length / 3073
  const labels = Uint8Array.from({ length: count }, (_, i) => bytes[3073 * i])
  const mean = [0.485, 0.456, 0.406]
  const deviation = [0.229, 0.224, 0.225]
  const pictures = new Float32Array(3072 * count)
  for (let i = 0; i < pictures.length; i++) {
    const channel = i % 3
    const pixel = Math.floor(i / 3) % 1024
    const picture = Math.floor(i / 3072)
    const value = bytes[3073 * picture + 1 + 1024 * channel + pixel]
    pictures[i] = (value / 255 - mean[channel]) / deviation[channel]
  }
  return { count, labels, pictures }
}

it('resnet20 with published weights knows 99.8 % of 4,000 training pictures of CIFAR-10', async (context) => {
  if (process.env.JUANJI_DATA === undefined) context.skip('JUANJI_DATA is not set')
  for (const file of [weightsFile, picturesFile]) if (!existsSync(file)) context.skip(`there is no ${file}`)
  const { tensors } = readSafetensors(readFileSync(weightsFile), weightsFile)
  const model = init(resnet20(), { input: [32, 32, 3] })
  await model.load(new Map([...tensors].map(([name, values]) => [name, turn(values)])), weightsFile)
  model.eval()
  const classify = compile((x: Tensor) => model(x).argmax())
  const { count, labels, pictures } = readPictures()
  expect(count).toBe(4000)
  const batch = 250
  let right = 0
  for (let start = 0; start < count; start += batch) {
    const x = tensor(pictures.subarray(3072 * start, 3072 * (start + batch)), [batch, 32, 32, 3])
    const classes = await (await classify(x)).data()
    right += classes.filter((value, i) => value === labels[start + i]).length
  }
  // PyTorch finds 3,992 as well; one may lie within rounding of another class.
  expect(Math.abs(right - 3992)).toBeLessThanOrEqual(1)
})
