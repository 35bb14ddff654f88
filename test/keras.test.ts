/** Networks that others trained in Keras, on real pictures: only where JUANJI_DATA names a folder that has them. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import sharp from 'sharp'
import { expect, it, type TestContext } from 'vitest'
import { importKeras } from '../src/io/keras/import.ts'
import { importTfjs } from '../src/io/tfjs/import.ts'
import { openWeights } from '../src/io/weights/open.ts'
import { compile, softmax, type Tensor, tensor } from '../src/tensor/index.ts'

const folder = process.env.JUANJI_DATA ?? ''

/** The path of a file of the data; skips the test where it is not there. */
function find(context: TestContext, ...parts: string[]): string {
  if (process.env.JUANJI_DATA === undefined) context.skip('JUANJI_DATA is not set')
  const path = join(folder, ...parts)
  if (!existsSync(path)) context.skip(`there is no ${path}`)
  return path
}

/** The middle of a picture as [1, size, size, 3], 0 … 255. */
async function picture(path: string, size: number): Promise<Float32Array> {
  const { width, height } = await sharp(path).metadata()
  const side = Math.min(width, height)
  const [left, top] = [(width - side) >> 1, (height - side) >> 1]
  const middle = sharp(path).extract({ left, top, width: side, height: side })
  const pixels = await middle.resize(size, size, { kernel: 'linear' }).removeAlpha().raw().toBuffer()
  return Float32Array.from(pixels)
}

it("the ResNet-8 of MLPerf Tiny in Keras's HDF5 knows 92.98 % of 4,000 pictures of CIFAR-10", async (context) => {
  const path = find(context, 'weights', 'mlperf-tiny', 'pretrainedResnet.h5')
  const pictures = find(context, 'images', 'cifar10', 'cifar10-data_batch_1-first4000-lossless.bin.gz')
  const { model } = await importKeras(path)
  expect(model.parameterCount).toBe(78_186)
  const bytes = gunzipSync(readFileSync(pictures))
  const classify = compile((x: Tensor) => model(x).argmax())
  let right = 0
  for (let start = 0; start < 4000; start += 250) {
    // Records of a label and 1,024 bytes each of red, green and blue.
    const values = Float32Array.from({ length: 250 * 3072 }, (_, i) => {
      const record = 3073 * (start + Math.floor(i / 3072))
      return bytes[record + 1 + 1024 * (i % 3) + (Math.floor(i / 3) % 1024)]
    })
    const classes = await (await classify(tensor(values, [250, 32, 32, 3]))).data()
    right += classes.filter((value, i) => value === bytes[3073 * (start + i)]).length
  }
  // TensorFlow finds 3,719.
  expect(Math.abs(right - 3719)).toBeLessThanOrEqual(1)
})

it('the person detector of MLPerf Tiny is built from its config and finds that animals are none', async (context) => {
  const config = find(context, 'weights', 'mlperf-tiny', 'vww_96.keras-config.json')
  const weights = await openWeights(find(context, 'weights', 'mlperf-tiny', 'vww_96.safetensors'))
  const { model } = await importKeras(config, { weights })
  await weights.close()
  expect([model.inputShape, model.outputShape, model.parameterCount]).toEqual([[96, 96, 3], [2], 216_322])
  for (const name of ['darknet-dog.jpg', 'ort-cat.jpg', 'ort-daisy.jpg']) {
    const values = await picture(find(context, 'pictures', name), 96)
    const [nobody, person] = await model(
      tensor(
        values.map((value) => value / 255),
        [1, 96, 96, 3],
      ),
    ).data()
    expect(Number(nobody) + Number(person)).toBeCloseTo(1, 4)
    expect(Number(nobody), name).toBeGreaterThan(0.5)
  }
})

it('the Darknet of TensorFlow.js names a panda, a pizza and a goldfish', async (context) => {
  const { model } = await importTfjs(find(context, 'weights', 'tfjs', 'darknettiny', 'model.json'))
  const names = readFileSync(find(context, 'pictures', 'darknet-imagenet.shortnames-1000.list'), 'utf8').split('\n')
  const known = {
    'sandbox-panda.jpg': ['giant panda', 0.996],
    'tfjs-pizza.jpg': ['pizza', 0.886],
    'ort-goldfish.jpg': ['goldfish', 0.795],
  } as const
  const recognize = compile((x: Tensor) => softmax(model(x)))
  for (const [file, [name, share]] of Object.entries(known)) {
    const values = await picture(find(context, 'pictures', file), 224)
    const shares = await (
      await recognize(
        tensor(
          values.map((value) => value / 255),
          [1, 224, 224, 3],
        ),
      )
    ).data()
    const best = shares.indexOf(Math.max(...(shares as Float32Array)) as never)
    expect(names[best]).toBe(name)
    expect(Math.abs(Number(shares[best]) - share)).toBeLessThan(0.02)
  }
})
