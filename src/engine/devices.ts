/** Which device computes: the default one, or the one a program asks for. */
import { environment, hardwareThreads, platformName } from '#platform'
import { BackendFailure } from '../backends/backend.ts'
import { ConfigError, didYouMean, UnsupportedError } from '../base/errors.ts'
import type { Variable } from '../graph/node.ts'
import { Device } from './device.ts'

/** The fastest first. */
export const backendNames = ['native', 'wasm', 'interpret'] as const
export type BackendName = (typeof backendNames)[number]

export interface DeviceOptions {
  /** Default: what JUANJI_BACKEND names, or the fastest that works here. */
  readonly backend?: BackendName
  /**
   * Only algorithms as accurate as the definition: no Winograd convolutions, whose errors are a few times larger
   * (1e-6 to 5e-6 of the largest result), and no Fourier transforms. Default: false.
   */
  readonly precise?: boolean
  /** The name of an algorithm, such as `direct` or `winograd4`, that is taken wherever it applies: for checks and measurements. */
  readonly algorithm?: string
  /** Threads that compute; default: one per processor, at most 16. The result has the same bits for any number. */
  readonly threads?: number
  /** WebAssembly: whether multiply and add may be one instruction with one rounding; default: where the engine has relaxed SIMD. */
  readonly relaxedSimd?: boolean
  /** `f64` only on the interpreter, for checks. */
  readonly precision?: 'f32' | 'f64'
  /** WebAssembly: false keeps to one worker with memory of its own, as in pages that are not isolated. */
  readonly sharedMemory?: boolean
  /**
   * Native: whether expressions outside of compile() are made into machine code as well. A compiler takes tens of
   * milliseconds for a kernel, so by default WebAssembly computes them.
   */
  readonly nativeExpressions?: boolean
  /** Told in one line why something slower than expected computes. Default: a warning on the console. */
  readonly onNotice?: (text: string) => void
}

const mostThreads = 64

/** @throws ConfigError on an unknown backend or a thread count that makes no sense, UnsupportedError when the backend that was asked for does not work here */
export function createDevice(options: DeviceOptions = {}): Promise<Device> {
  return create(options, undefined)
}

/** @param companion WebAssembly that computed expressions before, to go on with it */
async function create(options: DeviceOptions, companion: Promise<Device> | undefined): Promise<Device> {
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
  const wished = environment('JUANJI_BACKEND') || undefined
  if (options.backend !== undefined) return makeDevice('backend', options.backend, threads, options, companion)
  if (wished !== undefined) return makeDevice('JUANJI_BACKEND', wished, threads, options, companion)
  if (platformName === 'browser') return makeDevice('backend', 'wasm', threads, options, undefined)
  try {
    return await makeDevice('backend', 'native', threads, options, companion)
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error
    const { what, fix } = error.problem
    const device = await (companion ?? makeDevice('backend', 'wasm', threads, options, undefined))
    notify(device, `WebAssembly computes, several times slower than machine code: ${what}. ${fix}`)
    return device
  }
}

function notify(device: Device, text: string): void {
  device.onNotice(text.replace(/\s*\n\s*/g, ' '))
}

async function makeDevice(
  where: string,
  name: string,
  threads: number,
  options: DeviceOptions,
  companion: Promise<Device> | undefined,
): Promise<Device> {
  const device = await makeNamed(where, name, threads, options, companion)
  device.choice = { precise: options.precise, algorithm: options.algorithm }
  if (options.onNotice !== undefined) device.onNotice = options.onNotice
  if (device.backend.notice !== undefined) notify(device, device.backend.notice)
  return device
}

async function makeNamed(
  where: string,
  name: string,
  threads: number,
  options: DeviceOptions,
  companion: Promise<Device> | undefined,
): Promise<Device> {
  switch (name) {
    case 'native': {
      const { createNativeBackend } = await import('../backends/native/index.ts')
      const backend = await createNativeBackend({ threads, compiler: environment('JUANJI_CC') || undefined })
      if (options.nativeExpressions === true) return new Device(backend)
      return new Device(backend, await (companion ?? makeDevice(where, 'wasm', threads, options, undefined)))
    }
    case 'wasm': {
      const { createWasmBackend } = await import('../backends/wasm/index.ts')
      return new Device(createWasmBackend({ threads, relaxedSimd: options.relaxedSimd, shared: options.sharedMemory }))
    }
    case 'interpret': {
      const { createInterpretBackend } = await import('../backends/interpret/index.ts')
      return new Device(createInterpretBackend({ precision: options.precision }))
    }
    default:
      throw new ConfigError({
        where,
        what: `there is no backend '${name}'`,
        expected: backendNames.join(' or '),
        fix: didYouMean(name, backendNames),
      })
  }
}

let current: Promise<Device> | undefined
/** WebAssembly for the expressions that come before anything is compiled: they must not wait for a compiler. */
let early: Promise<Device> | undefined

/** The device that computes what names no other: made at the first use. */
export function defaultDevice(): Promise<Device> {
  current ??= create({}, early)
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

/**
 * Does work on the device that computes. When its machine fails, not the program, WebAssembly computes from then on, and
 * the work is done there: nothing has been computed or assigned before, though Variables may have moved.
 */
export async function onDefaultDevice<T>(work: (device: Device) => Promise<T>): Promise<T> {
  const device = await defaultDevice()
  try {
    return await work(device)
  } catch (error) {
    if (!(error instanceof BackendFailure)) throw error
    if ((await current) === device) {
      notify(device, `WebAssembly computes from here on, several times slower than machine code: ${error.message}`)
      current = Promise.resolve(device.retire() ?? (await replacement(device)))
    }
    return work(await defaultDevice())
  }
}

function replacement({ backend: { threads }, choice: { precise, algorithm }, onNotice }: Device): Promise<Device> {
  return createDevice({ backend: 'wasm', threads, precise, algorithm, onNotice })
}

/** Does the work of an expression outside of compile() that changes these Variables, without waiting for a compiler. */
export async function onExpressionDevice<T>(
  assigned: readonly Variable[],
  work: (device: Device) => Promise<T>,
): Promise<T> {
  const wished = environment('JUANJI_BACKEND') || 'native'
  if (current === undefined && wished === 'native' && platformName !== 'browser') {
    early ??= makeDevice('backend', 'wasm', Math.min(16, hardwareThreads()), {}, undefined)
    return work(await early)
  }
  return onDefaultDevice((device) => work(device.forExpressions(assigned)))
}
