/** What this engine's WebAssembly can do, found out by validating tiny modules and never by flags. */
import { FunctionCode, f32, ModuleEncoder, op, v128 } from './encode.ts'

export interface Feature {
  readonly available: boolean
  /** Why not, or how it was found. */
  readonly reason: string
}

export interface WasmFeatures {
  readonly simd: Feature
  readonly relaxedSimd: Feature
  readonly sharedMemory: Feature
}

function validates(emit: (code: FunctionCode) => void): boolean {
  if (typeof WebAssembly === 'undefined') return false
  const module = new ModuleEncoder()
  const code = new FunctionCode(0)
  emit(code)
  module.export('f', module.function('f', module.type([], [f32]), code.encode()))
  return WebAssembly.validate(module.encode('probe'))
}

const pushVector = (code: FunctionCode) => code.op(op.v128Const).raw(new Uint8Array(16))

let detected: WasmFeatures | undefined

export function detectFeatures(): WasmFeatures {
  if (detected !== undefined) return detected
  const simd = validates((code) => {
    code.local(v128)
    pushVector(code).op(op.f32x4ExtractLane).byte(0)
  })
  const relaxed = validates((code) => {
    for (let i = 0; i < 3; i++) pushVector(code)
    code.op(op.f32x4RelaxedMadd).op(op.f32x4ExtractLane).byte(0)
  })
  detected = {
    simd: { available: simd, reason: simd ? 'validates' : 'this engine does not validate 128-bit SIMD' },
    relaxedSimd: {
      available: relaxed,
      reason: relaxed
        ? 'validates'
        : 'this engine does not validate f32x4.relaxed_madd: products and sums round separately',
    },
    sharedMemory: sharedMemory(),
  }
  return detected
}

function sharedMemory(): Feature {
  if (typeof SharedArrayBuffer === 'undefined') {
    const page = typeof window !== 'undefined'
    return {
      available: false,
      reason: page
        ? 'the page is not cross-origin isolated: serve it with Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp'
        : 'this engine has no SharedArrayBuffer',
    }
  }
  try {
    const { buffer } = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })
    if (buffer instanceof SharedArrayBuffer) return { available: true, reason: 'a shared memory can be made' }
  } catch {
    // Told below.
  }
  return { available: false, reason: 'this engine makes no shared WebAssembly memory' }
}
