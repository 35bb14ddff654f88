/** ONNX Runtime on WebAssembly, with one thread: judges what is written and read here. */
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import * as ort from 'onnxruntime-web/wasm'

ort.env.wasm.numThreads = 1
ort.env.wasm.wasmPaths = `${dirname(createRequire(import.meta.url).resolve('onnxruntime-web'))}/`
ort.env.logLevel = 'error'

export interface RuntimeTensor {
  readonly type: string
  readonly shape: readonly number[]
  readonly data: ArrayLike<number> & { readonly buffer: ArrayBufferLike }
}

/** Runs a model on its one input and gives its one output. */
export async function runOnnx(
  model: Uint8Array,
  inputs: readonly { readonly data: Float32Array | Int32Array | Uint8Array; readonly shape: readonly number[] }[],
): Promise<RuntimeTensor[]> {
  const session = await ort.InferenceSession.create(model, { executionProviders: ['wasm'] })
  const [name] = session.inputNames
  const results: RuntimeTensor[] = []
  for (const { data, shape } of inputs) {
    const type = data instanceof Float32Array ? 'float32' : data instanceof Int32Array ? 'int32' : 'uint8'
    const output = await session.run({ [name]: new ort.Tensor(type, data as never, [...shape]) })
    const tensor = output[session.outputNames[0]]
    results.push({ type: tensor.type, shape: tensor.dims, data: tensor.data as unknown as RuntimeTensor['data'] })
  }
  await session.release()
  return results
}
