/** Which backends work here, and why not: for people who look for what slows them down. */
import { environment } from '#platform'
import type { Feature } from '../backends/wasm/index.ts'
import { UnsupportedError } from '../base/errors.ts'
import { type BackendName, backendNames } from './devices.ts'

export interface BackendReport {
  readonly name: BackendName
  readonly available: boolean
  /** What it is for, or why it is not there. */
  readonly remark: string
  /** Parts of the engine it uses. */
  readonly features: Readonly<Record<string, Feature>>
  /** Most bytes all data may take; undefined where nothing but the machine's memory limits them. */
  readonly memoryLimitBytes?: number
}

export async function describeBackends(): Promise<BackendReport[]> {
  return Promise.all(backendNames.map(describeBackend))
}

async function describeBackend(name: BackendName): Promise<BackendReport> {
  switch (name) {
    case 'native':
      return describeNative()
    case 'wasm': {
      const { detectFeatures } = await import('../backends/wasm/index.ts')
      const { simd, relaxedSimd, sharedMemory } = detectFeatures()
      return {
        name,
        available: simd.available,
        remark: simd.available ? 'WebAssembly, fast everywhere' : simd.reason,
        features: {
          simd,
          relaxedSimd,
          sharedMemory,
          threads: sharedMemory.available
            ? { available: true, reason: 'over shared memory' }
            : { available: false, reason: 'threads need shared memory; one worker computes' },
        },
        memoryLimitBytes: memoryLimit(sharedMemory.available),
      }
    }
    case 'interpret':
      return { name, available: true, remark: 'plain JavaScript, slow: for checks', features: {} }
    default:
      return name satisfies never
  }
}

async function describeNative(): Promise<BackendReport> {
  try {
    const { createNativeBackend } = await import('../backends/native/index.ts')
    const backend = await createNativeBackend({ threads: 1, compiler: environment('JUANJI_CC') || undefined })
    const { target, compiler, notice } = backend
    await backend.close()
    const remark = `machine code made by ${compiler}, the fastest`
    const kept = { available: notice === undefined, reason: notice ?? 'compiled kernels are kept for the next run' }
    const instructions = { available: true, reason: target.name.replace('native-', '') }
    return { name: 'native', available: true, remark, features: { instructions, cache: kept } }
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error
    const { what, fix } = error.problem
    return { name: 'native', available: false, remark: `${what}; ${fix}`, features: {} }
  }
}

const pageBytes = 65536

/** The largest memory that may be declared; declaring takes none. */
function memoryLimit(shared: boolean): number {
  for (let maximum = 65536; maximum > 1; maximum >>= 1) {
    try {
      new WebAssembly.Memory({ initial: 1, maximum, shared })
      return maximum * pageBytes
    } catch {
      // Halved until the engine agrees, as the backend does.
    }
  }
  return pageBytes
}
