// TensorFlow.js on WebAssembly: the forward convolutions, which are all it can do there. Needs, in some node_modules
// above: npm install --no-save @tensorflow/tfjs @tensorflow/tfjs-backend-wasm
//
//     node bench/peers/tfjs.mjs THREADS [WORK...]      (it has no threads in Node)
import { createRequire } from 'node:module'
import { dirname } from 'node:path'

const require = createRequire(import.meta.url)
const tf = require('@tensorflow/tfjs')
const wasm = require('@tensorflow/tfjs-backend-wasm')
wasm.setWasmPaths(`${dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json'))}/dist/`)
const wanted = process.argv.slice(3)

// batch, channels, height = width, filters, kernel size, stride; padding is half the kernel
const convolutions = {
  'conv3x3-64@32': [32, 64, 32, 64, 3, 1],
  'conv3x3-128@16': [32, 128, 16, 128, 3, 1],
  'conv3x3-256@8': [32, 256, 8, 256, 3, 1],
  'conv3x3-512@4': [32, 512, 4, 512, 3, 1],
  'conv3x3-3to64@32': [32, 3, 32, 64, 3, 1],
  'conv3x3-64@56': [8, 64, 56, 64, 3, 1],
  'conv1x1-256to64@56': [8, 256, 56, 64, 1, 1],
}

async function bestMs(run) {
  await run()
  await run()
  let best = Number.POSITIVE_INFINITY
  for (let i = 0; i < 7; i++) {
    const start = performance.now()
    await run()
    best = Math.min(best, performance.now() - start)
  }
  return best
}

await tf.setBackend('wasm')
await tf.ready()
for (const [work, [batch, channels, size, filters, kernel, stride]] of Object.entries(convolutions)) {
  if (wanted.length > 0 && !wanted.includes(work)) continue
  const x = tf.randomNormal([batch, size, size, channels])
  const weight = tf.randomNormal([kernel, kernel, channels, filters])
  const ms = await bestMs(async () => {
    const y = tf.conv2d(x, weight, stride, kernel >> 1)
    await y.data()
    y.dispose()
  })
  const flops = 2 * batch * filters * Math.ceil(size / stride) ** 2 * channels * kernel ** 2
  const peer = `tfjs-wasm-${tf.version.tfjs}`
  console.log(JSON.stringify({ peer, threads: 1, work, forward_ms: ms, forward_gflops: flops / ms / 1e6 }))
}
