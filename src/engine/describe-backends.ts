/** Which backends work here, and why not: for people who look for what slows them down. */
import type { Feature } from '../backends/wasm/index.ts'
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
    case 'wasm': {
      const { detectFeatures } = await import('../backends/wasm/index.ts')
      const { simd, relaxedSimd, sharedMemory } = detectFeatures()
      return {
        name,
        available: simd.available,
        remark: simd.available ? 'WebAssembly, the fast one' : simd.reason,
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
