// ONNX Runtime Web on WebAssembly: forward convolutions; it cannot train. Needs, in some node_modules above:
// npm install --no-save onnxruntime-web
//
//     node bench/peers/onnxruntime.mjs THREADS [WORK...]
//
// Works are named as below, or are layers such as b8-3x3s2-64to128@56.
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { pathToFileURL } from 'node:url'

const [threads = '2', ...wanted] = process.argv.slice(2)
const folder = `${dirname(createRequire(import.meta.url).resolve('onnxruntime-web'))}/`
const ort = await import(pathToFileURL(`${folder}ort.wasm.min.mjs`).href)
ort.env.wasm.numThreads = Number(threads)
ort.env.wasm.wasmPaths = folder

// batch, channels, height = width, filters, kernel size, stride, groups (1)
const convolutions = {
  'conv3x3-64@32': [32, 64, 32, 64, 3, 1],
  'conv3x3-128@16': [32, 128, 16, 128, 3, 1],
  'conv3x3-256@8': [32, 256, 8, 256, 3, 1],
  'conv3x3-512@4': [32, 512, 4, 512, 3, 1],
  'conv3x3-3to64@32': [32, 3, 32, 64, 3, 1],
  'conv3x3-64@56': [8, 64, 56, 64, 3, 1],
  'conv1x1-256to64@56': [8, 256, 56, 64, 1, 1],
  'conv7x7s2-3to64@224': [8, 3, 224, 64, 7, 2],
}

// A model of one node, in protocol buffers: a field is its number and kind, then a number or a length and bytes.
const number = (value) => (value < 128 ? [value] : [(value % 128) + 128, ...number(Math.floor(value / 128))])
const scalar = (field, value) => [...number(8 * field), ...number(value)]
const nested = (field, ...parts) => {
  const body = parts.flat()
  return [...number(8 * field + 2), ...number(body.length), ...body]
}
const name = (field, value) => nested(field, [...new TextEncoder().encode(value)])

/** AttributeProto: name 1, integer 3, integers 8, type 20 (2 is an integer, 7 a list of them). */
const attribute = (key, values) => nested(5, name(1, key), ...values.map((value) => scalar(8, value)), scalar(20, 7))
/** ValueInfoProto: name 1, type 2; a tensor type has an element type (1 is float) and a shape. */
const tensor = (field, key, shape) => {
  const dimensions = shape.map((extent) => nested(1, scalar(1, extent)))
  return nested(field, name(1, key), nested(2, nested(1, scalar(1, 1), nested(2, ...dimensions))))
}

/** The convolution a name such as b8-3x3s2-64to128@56 or b8-dw7x7s1-96@56 stands for. */
function layer(name) {
  const match = /^b(\d+)-(dw)?(\d+)x\3s(\d+)-(\d+)(?:to(\d+))?@(\d+)$/.exec(name)
  if (match === null) return undefined
  const [batch, kernel, stride, channels, size] = [1, 3, 4, 5, 7].map((group) => Number(match[group]))
  const groups = match[2] === undefined ? 1 : channels
  return [batch, channels, size, groups > 1 ? channels : Number(match[6]), kernel, stride, groups]
}

/** Half the kernel; kernels without a middle stand side by side. */
const padding = (kernel) => (kernel % 2 === 0 ? 0 : kernel >> 1)

function model(x, weight, y, stride, groups) {
  const kernel = weight[2]
  const node = nested(
    1,
    name(1, 'x'),
    name(1, 'w'),
    name(2, 'y'),
    name(4, 'Conv'),
    attribute('kernel_shape', [kernel, kernel]),
    attribute('strides', [stride, stride]),
    attribute('pads', Array(4).fill(padding(kernel))),
    nested(5, name(1, 'group'), scalar(3, groups), scalar(20, 2)),
  )
  const graph = nested(7, node, name(2, 'conv'), tensor(11, 'x', x), tensor(11, 'w', weight), tensor(12, 'y', y))
  return Uint8Array.from([...scalar(1, 8), ...graph, ...nested(8, scalar(2, 17))])
}

const random = (shape) => {
  const size = shape.reduce((a, b) => a * b, 1)
  return new ort.Tensor(
    'float32',
    Float32Array.from({ length: size }, () => Math.random() - 0.5),
    shape,
  )
}

for (const work of wanted.length > 0 ? wanted : Object.keys(convolutions)) {
  const numbers = convolutions[work] ?? layer(work)
  if (numbers === undefined) continue
  const [batch, channels, size, filters, kernel, stride, groups = 1] = numbers
  const out = Math.floor((size + 2 * padding(kernel) - kernel) / stride) + 1
  const shapes = [
    [batch, channels, size, size],
    [filters, channels / groups, kernel, kernel],
    [batch, filters, out, out],
  ]
  const session = await ort.InferenceSession.create(model(...shapes, stride, groups))
  const feeds = { x: random(shapes[0]), w: random(shapes[1]) }
  let best = Number.POSITIVE_INFINITY
  for (let run = 0; run < 9; run++) {
    const start = performance.now()
    await session.run(feeds)
    // The first two runs warm up.
    if (run >= 2) best = Math.min(best, performance.now() - start)
  }
  const operations = 2 * batch * filters * out * out * (channels / groups) * kernel * kernel
  const figures = { forward_ms: best, forward_gflops: operations / best / 1e6 }
  console.log(
    JSON.stringify({ peer: `onnxruntime-web-${ort.env.versions.web}`, threads: Number(threads), work, ...figures }),
  )
}
process.exit(0)
