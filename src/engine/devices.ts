/** Which device computes: the default one, or the one a program asks for. */
import { hardwareThreads } from '#platform'
import type { Backend } from '../backends/backend.ts'
import { ConfigError, didYouMean } from '../base/errors.ts'
import { Device } from './device.ts'

export const backendNames = ['wasm', 'interpret'] as const
export type BackendName = (typeof backendNames)[number]

export interface DeviceOptions {
  /** Default: the fastest that works here, WebAssembly. */
  readonly backend?: BackendName
  /** Threads that compute; default: one per processor, at most 16. The result has the same bits for any number. */
  readonly threads?: number
  /** Whether multiply and add may be one instruction with one rounding; default: where the engine has relaxed SIMD. */
  readonly relaxedSimd?: boolean
  /** `f64` only on the interpreter, for checks. */
  readonly precision?: 'f32' | 'f64'
  /**
   * Only algorithms as accurate as the definition: no Winograd convolutions, whose errors are a few times larger
   * (1e-6 to 5e-6 of the largest result). Default: false.
   */
  readonly precise?: boolean
  /** The name of an algorithm, such as `direct` or `winograd4`, that is taken wherever it applies: for checks and measurements. */
  readonly algorithm?: string
  /** False keeps to one worker with memory of its own, as in pages that are not isolated. */
  readonly sharedMemory?: boolean
}

const mostThreads = 64

/** @throws ConfigError on an unknown backend or a thread count that makes no sense */
export async function createDevice(options: DeviceOptions = {}): Promise<Device> {
  const name: string = options.backend ?? 'wasm'
  const threads = options.threads ?? Math.min(16, hardwareThreads())
  if (!Number.isInteger(threads) || threads < 1 || threads > mostThreads) {
    throw new ConfigError({
      where: 'threads',
      what: 'the number of threads makes no sense',
      got: String(threads),
      expected: `a whole number from 1 to ${mostThreads}`,
      fix: 'leave it out to use every processor',
    })
  }
  const device = new Device(await createBackend(name, threads, options))
  device.choice = { precise: options.precise, algorithm: options.algorithm }
  return device
}

async function createBackend(name: string, threads: number, options: DeviceOptions): Promise<Backend> {
  switch (name) {
    case 'wasm': {
      const { createWasmBackend } = await import('../backends/wasm/index.ts')
      return createWasmBackend({ threads, relaxedSimd: options.relaxedSimd, shared: options.sharedMemory })
    }
    case 'interpret': {
      const { createInterpretBackend } = await import('../backends/interpret/index.ts')
      return createInterpretBackend({ precision: options.precision })
    }
    default:
      throw new ConfigError({
        where: 'backend',
        what: `there is no backend '${name}'`,
        expected: backendNames.join(' or '),
        fix: didYouMean(name, backendNames),
      })
  }
}

let current: Promise<Device> | undefined

/** The device that computes what names no other: made at the first use. */
export function defaultDevice(): Promise<Device> {
  current ??= createDevice()
  return current
}

/**
 * Makes this device compute from now on. Variables move to it when they are next used.
 * @returns the device that computed before, if there was one
 */
export async function useDevice(device: Device): Promise<Device | undefined> {
  const previous = await current
  current = Promise.resolve(device)
  return previous
}
