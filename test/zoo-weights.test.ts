/** Published weights in the networks of the zoo, and networks in files of others: only where JUANJI_DATA names a folder that has them. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it, type TestContext } from 'vitest'
import { decodeImage } from '#platform'
import { pictureToSample } from '../src/data/index.ts'
import { loadWeights, openModel, openWeights } from '../src/io/index.ts'
import * as models from '../src/models/index.ts'
import { init, type Model } from '../src/nn/model.ts'
import { compile, softmax, type Tensor, tensor } from '../src/tensor/index.ts'

const inFolder = (...parts: readonly string[]) => join(process.env.JUANJI_DATA ?? '', ...parts)
const weights = {
  mlperfResnet8: inFolder('weights', 'mlperf-tiny', 'pretrainedResnet.safetensors'),
  mobileNetV1: inFolder('weights', 'mlperf-tiny', 'vww_96.safetensors'),
  darknetTiny: inFolder('weights', 'tfjs', 'darknettiny', 'darknettiny.safetensors'),
}

/** A skip that says why, unless the files are there. */
function need(context: TestContext, ...files: readonly string[]): void {
  if (process.env.JUANJI_DATA === undefined) context.skip('JUANJI_DATA is not set')
  for (const file of files) if (!existsSync(file)) context.skip(`there is no ${file}`)
}

/** A network with all that was published for it. */
async function load(name: keyof typeof weights): Promise<Model> {
  const model = init(models.architectures[name](), { input: models.usualInputs[name] }).eval()
  const { pictures, rename } = models.published[name] as models.PublishedWeights
  model.pictures = pictures
  const file = await openWeights(weights[name])
  const report = await loadWeights(model, file, { rename })
  await file.close()
  expect(report.loaded).toHaveLength(model.parameters.length + model.states.length)
  return model
}

/** A photograph as the sample of a model: its middle, a square. */
async function photograph(file: string, side: number): Promise<Uint8Array> {
  const picture = await decodeImage(readFileSync(file), file)
  return pictureToSample(picture, [side, side, 3])
}

describe('published weights', () => {
  it("MLPerf's ResNet-8 knows 93 % of 4,000 pictures of CIFAR-10", async (context) => {
    const file = inFolder('images', 'cifar10', 'cifar10-data_batch_1-first4000-lossless.bin.gz')
    need(context, weights.mlperfResnet8, file)
    const model = await load('mlperfResnet8')
    // Records of one label and 1,024 bytes each of red, green and blue.
    const bytes = gunzipSync(readFileSync(file))
    const count = bytes.length / 3073
    const pictures = Uint8Array.from({ length: 3072 * count }, (_, i) => {
      const [picture, pixel, channel] = [Math.floor(i / 3072), Math.floor((i % 3072) / 3), i % 3]
      return bytes[3073 * picture + 1 + 1024 * channel + pixel]
    })
    const classify = compile((x: Tensor) => model(x).argmax())
    const batch = 500
    let right = 0
    for (let start = 0; start < count; start += batch) {
      const x = tensor(pictures.subarray(3072 * start, 3072 * (start + batch)), [batch, 32, 32, 3])
      const classes = await (await classify(x)).data()
      right += classes.filter((value, i) => value === bytes[3073 * (start + i)]).length
    }
    // TensorFlow finds 92.98 %; one may lie within rounding of another class.
    expect(Math.abs(right - 3719)).toBeLessThanOrEqual(1)
  })

  it('Tiny Darknet names what is on photographs, as surely as TensorFlow.js', async (context) => {
    const file = (name: string) => inFolder('pictures', name)
    const list = file('darknet-imagenet.shortnames-1000.list')
    const expected = [
      ['sandbox-panda.jpg', 'giant panda', 0.996],
      ['tfjs-pizza.jpg', 'pizza', 0.886],
      ['ort-goldfish.jpg', 'goldfish', 0.795],
    ] as const
    need(context, weights.darknetTiny, list, ...expected.map(([name]) => file(name)))
    const model = await load('darknetTiny')
    const classes = readFileSync(list, 'utf8').trim().split('\n')
    const classify = compile((x: Tensor) => softmax(model(x)))
    for (const [name, what, probability] of expected) {
      const x = tensor(await photograph(file(name), 224), [1, 224, 224, 3])
      const found = Array.from(await (await classify(x)).data())
      const most = found.indexOf(Math.max(...found))
      expect([name, classes[most]]).toEqual([name, what])
      expect(Math.abs(found[most] - probability)).toBeLessThan(0.02)
    }
  })

  it('of visual wake words fit, and see no person in a pizza', async (context) => {
    const file = inFolder('pictures', 'tfjs-pizza.jpg')
    need(context, weights.mobileNetV1, file)
    const model = await load('mobileNetV1')
    const [nobody, person] = await softmax(model(tensor(await photograph(file, 96), [1, 96, 96, 3]))).data()
    expect(nobody).toBeGreaterThan(person)
  })
})

describe('networks in files of others answer what ours do', () => {
  const files = {
    keras: inFolder('weights', 'mlperf-tiny', 'pretrainedResnet.h5'),
    tfjs: inFolder('weights', 'tfjs', 'darknettiny', 'model.json'),
    onnx: inFolder('weights', 'onnx-mnist', 'mnist.onnx'),
  }

  it.for<[keyof typeof files, string, seen: readonly number[], strides: readonly (number | undefined)[]]>([
    ['keras', 'dense', [64], [1, 2, 4, undefined]],
    ['tfjs', 'conv2d_16', [14, 14, 128], [1, 2, 4, 8, 16, 16]],
    ['onnx', 'Times212', [256], [1, 2, undefined]],
  ])('%s', async ([format, path, seen, strides], context) => {
    need(context, files[format])
    const { model } = await openModel(files[format])
    const [classes] = model.outputShape
    expect(models.head(model)).toMatchObject({ path, classes })
    expect((await models.features(model)).outputShape).toEqual(seen)
    expect(models.stages(model).map(({ stride }) => stride)).toEqual(strides)
    const mine = await models.replaceHead(model, 3, { logits: true, seed: 1 })
    expect(mine.outputShape).toEqual([3])
    expect(mine.net.layers?.map(([, { type }]) => type)).not.toContain('softmax')
    const [first] = models.stages(mine)[0].parameters
    expect(await mine.get(first).data()).toEqual(await model.get(first).data())
  })
})
