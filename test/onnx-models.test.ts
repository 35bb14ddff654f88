/** ONNX models that others wrote: only where JUANJI_DATA names a folder that has them. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { importOnnx } from '../src/io/onnx/index.ts'
import { MessageReader } from '../src/io/onnx/read-message.ts'
import { readTensor } from '../src/io/onnx/tensors.ts'
import { compile, type Tensor, tensor } from '../src/tensor/index.ts'
import { byImport, difference, type Numbers } from './onnx-judge.ts'

const folder = process.env.JUANJI_DATA ?? ''
const archives = ['pytorch-converted', 'simple'].map((name) => join(folder, 'onnx', `${name}.tar.gz`))
const missing =
  process.env.JUANJI_DATA === undefined ? 'JUANJI_DATA is not set' : archives.find((file) => !existsSync(file))

/** Files of a tar archive by path. */
function untar(bytes: Uint8Array): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>()
  const text = (at: number, length: number) => new TextDecoder().decode(bytes.subarray(at, at + length)).split('\0')[0]
  for (let at = 0; at + 512 <= bytes.length && bytes[at] !== 0; ) {
    const size = Number.parseInt(text(at + 124, 12), 8)
    files.set(text(at, 100), bytes.slice(at + 512, at + 512 + size))
    at += 512 + 512 * Math.ceil(size / 512)
  }
  return files
}

function readNumbers(bytes: Uint8Array, path: string): Numbers {
  const reader = new MessageReader(bytes, path)
  const { dims, data } = readTensor(reader, reader.read('Tensor'))
  return { shape: dims, data: Array.from(data, Number) }
}

const files = missing === undefined ? archives.flatMap((file) => [...untar(gunzipSync(readFileSync(file)))]) : []
const byPath = new Map(files)
const models = [...byPath.keys()].filter(
  (path) => path.endsWith('model.onnx') && /^pytorch|expand_shape|shrink|sign|single_relu/.test(path),
)

describe('models of the ONNX project', () => {
  it('are there', (context) => {
    if (missing !== undefined) context.skip(missing)
    expect(models).toHaveLength(82 + 7)
  })

  it.each(models)('%s', async (path) => {
    const read = (name: string) => {
      const file = path.replace('model.onnx', `test_data_set_0/${name}.pb`)
      const bytes = byPath.get(file)
      return bytes === undefined ? undefined : readNumbers(bytes, file)
    }
    const [input, shape, expected] = [read('input_0'), read('input_1'), read('output_0')]
    const bytes = byPath.get(path) as Uint8Array
    const graph = new MessageReader(bytes, path).read('Model').graph
    const names = graph?.input.map(({ name = '' }) => name) ?? []
    const type = graph?.input[0].type?.tensorType?.elemType === 7 ? 'int64' : 'float'
    const options = shape === undefined ? {} : { values: { [names[1]]: shape } }
    const found = await byImport(bytes, input as Numbers, type, options)
    expect(difference(found, expected as Numbers)).toBe('')
  })
})

const mnistModel = join(folder, 'weights', 'onnx-mnist', 'mnist.onnx')
const mnistFiles = ['t10k-images-idx3-ubyte.gz', 't10k-labels-idx1-ubyte.gz'].map((name) =>
  join(folder, 'images', 'mnist', name),
)

it('mnist.onnx knows 98.9 % of the test images of MNIST', async (context) => {
  if (process.env.JUANJI_DATA === undefined) context.skip('JUANJI_DATA is not set')
  for (const file of [mnistModel, ...mnistFiles]) if (!existsSync(file)) context.skip(`there is no ${file}`)
  const { model } = await importOnnx(mnistModel)
  const [pictures, labels] = mnistFiles.map((file) => gunzipSync(readFileSync(file)))
  const classify = compile((x: Tensor) => model(x).argmax())
  let right = 0
  const batch = 500
  for (let start = 0; start < 10_000; start += batch) {
    const pixels = Float32Array.from(pictures.subarray(16 + 784 * start, 16 + 784 * (start + batch)))
    const classes = await (await classify(tensor(pixels, [batch, 28, 28, 1]))).data()
    for (let i = 0; i < batch; i++) if (classes[i] === labels[8 + start + i]) right++
  }
  expect(right / 10_000).toBeGreaterThanOrEqual(0.989)
})
