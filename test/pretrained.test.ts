/** Weights that others trained, in our networks, on real pictures: only where JUANJI_DATA names a folder that has them. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it, type TestContext } from 'vitest'
import { mnist } from '../src/data/mnist.ts'
import { type LoadWeightsOptions, loadWeights, openWeights, type WeightsReport } from '../src/io/index.ts'
import { resnet20 } from '../src/models/index.ts'
import * as nn from '../src/nn/index.ts'
import { init, type Model } from '../src/nn/model.ts'
import { compile, type Tensor, tensor } from '../src/tensor/index.ts'

const folder = process.env.JUANJI_DATA ?? ''
const inFolder = (...parts: readonly string[]) => join(folder, ...parts)
const resnetFiles = ['th', 'safetensors'].map((end) =>
  inFolder('weights', 'cifar10-resnet', `resnet20-12fca82f.${end}`),
)
const picturesFile = inFolder('images', 'cifar10', 'cifar10-data_batch_1-first4000-lossless.bin.gz')
/** Of two trainings; right of 10,000 with PyTorch as well. */
const mnistFiles = [
  [inFolder('weights', 'mnist-cnn-burn', 'mnist.safetensors'), 9917],
  [inFolder('weights', 'mnist-cnn-burn', 'mnist.pt'), 9915],
] as const
const mnistFolder = inFolder('images', 'mnist')

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

/** A skip that says why, unless the files are there. */
function need(context: TestContext, ...files: readonly string[]): void {
  if (process.env.JUANJI_DATA === undefined) context.skip('JUANJI_DATA is not set')
  for (const file of files) if (!existsSync(file)) context.skip(`there is no ${file}`)
}

/** Loads a file's weights. */
async function load(model: Model, path: string, options?: LoadWeightsOptions): Promise<WeightsReport> {
  const file = await openWeights(path)
  try {
    return await loadWeights(model, file, options)
  } finally {
    await file.close()
  }
}

/** How many samples get their label. */
async function countRight(model: Model, pictures: Float32Array, labels: Uint8Array, batch: number): Promise<number> {
  const classify = compile((x: Tensor) => model(x).argmax())
  const size = pictures.length / labels.length
  let right = 0
  for (let start = 0; start < labels.length; start += batch) {
    const x = tensor(pictures.subarray(size * start, size * (start + batch)), [batch, ...model.inputShape])
    const classes = await (await classify(x)).data()
    right += classes.filter((value, i) => value === labels[start + i]).length
  }
  return right
}

describe('published weights', () => {
  it('of a ResNet-20, in both forms, know 99.8 % of 4,000 training pictures of CIFAR-10', async (context) => {
    need(context, ...resnetFiles, picturesFile)
    const { count, labels, pictures } = readPictures()
    expect(count).toBe(4000)
    const values: Float32Array[] = []
    for (const path of resnetFiles) {
      const model = init(resnet20(), { input: [32, 32, 3] }).eval()
      const report = await load(model, path)
      expect([report.missing, report.unexpected, report.mismatched, report.layout]).toEqual([[], [], [], 'pytorch'])
      expect([report.loaded.length, report.permuted.length]).toEqual([97, 20])
      values.push((await model.get('layer3.2.conv2.weight').data()) as Float32Array)
      // PyTorch finds 3,992 as well; one may lie within rounding of another class.
      if (path.endsWith('.th')) {
        expect(Math.abs((await countRight(model, pictures, labels, 250)) - 3992)).toBeLessThanOrEqual(1)
      }
    }
    expect(values[1]).toEqual(values[0])
  })

  it('of a network for digits, with a flatten, know 99.2 % of MNIST', async (context) => {
    need(context, ...mnistFiles.map(([path]) => path), mnistFolder)
    const { test } = await mnist({ data: mnistFolder })
    const labels = new Uint8Array(test.length)
    const pictures = new Float32Array(28 * 28 * test.length)
    for (let i = 0; i < test.length; i++) {
      const { x, y } = await test.get(i)
      labels[i] = y
      for (let k = 0; k < 28 * 28; k++) pictures[28 * 28 * i + k] = (x[k] / 255 - 0.1307) / 0.3081
    }
    for (const [path, expected] of mnistFiles) {
      const model = init(digits(), { input: [28, 28, 1] }).eval()
      const report = await load(model, path)
      expect(report.ignored).toEqual(['norm1.num_batches_tracked', 'norm2.num_batches_tracked'])
      expect(await countRight(model, pictures, labels, 250)).toBe(expected)
    }
  })
})

/** The network of burn's example of importing PyTorch's weights. */
const digits = () =>
  nn.sequential(
    ['conv1', nn.conv2d(8, 3)],
    ['relu1', nn.relu()],
    ['conv2', nn.conv2d(16, 3)],
    ['relu2', nn.relu()],
    ['conv3', nn.conv2d(24, 3)],
    ['relu3', nn.relu()],
    ['norm1', nn.batchNorm()],
    ['flat', nn.flatten()],
    ['fc1', nn.linear(32)],
    ['relu4', nn.relu()],
    ['fc2', nn.linear(10)],
    ['norm2', nn.batchNorm()],
  )
