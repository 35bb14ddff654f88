/** The devices that tests run on, from the definition of the language to the machine. */
import { createInterpretBackend, type InterpretOptions } from '../backends/interpret/index.ts'
import { createDevice, Device } from '../engine/index.ts'
import { whyNoNative } from './why-no-native.ts'

export interface TestDevice {
  readonly name: string
  readonly precision: 'f32' | 'f64'
  /** The device, made at the first call. */
  get(): Promise<Device>
}

function once(name: string, precision: 'f32' | 'f64', make: () => Promise<Device>): TestDevice {
  let device: Promise<Device> | undefined
  return {
    name,
    precision,
    get() {
      device ??= make()
      return device
    },
  }
}

function interpreter(name: string, options: InterpretOptions): TestDevice {
  return once(name, options.precision ?? 'f32', async () => {
    const device = new Device(createInterpretBackend(options))
    // Every kernel is held against the rules of the loop language.
    device.verify = true
    return device
  })
}

/** Double precision, one lane: what the others are held against, and what gradients are checked on. */
export const referenceDevice = interpreter('interpreter f64', { precision: 'f64' })

/** Every backend, with one lane and several, one thread and two. */
export const testDevices: readonly TestDevice[] = [
  referenceDevice,
  interpreter('interpreter f64, 4 lanes', { precision: 'f64', lanes: 4 }),
  interpreter('interpreter f32', { lanes: 1 }),
  interpreter('interpreter f32, 4 lanes, polynomials', { lanes: 4, math: 'polynomial' }),
  once('wasm, 1 thread', 'f32', () => createDevice({ backend: 'wasm', threads: 1 })),
  once('wasm, 2 threads', 'f32', () => createDevice({ backend: 'wasm', threads: 2 })),
  ...(await nativeDevices()),
]

/** Where there is no compiler, or JUANJI_TEST_NATIVE=0 says so, the tests run without them. */
async function nativeDevices(): Promise<TestDevice[]> {
  const missing = await whyNoNative()
  if (missing !== undefined) {
    console.warn(`native devices are ${missing}`)
    return []
  }
  const make = (threads: number) => createDevice({ backend: 'native', threads, nativeExpressions: true })
  return [once('native, 1 thread', 'f32', () => make(1)), once('native, 2 threads', 'f32', () => make(2))]
}

/** Calls `body` for every device in turn. */
export async function eachBackend(body: (device: Device, test: TestDevice) => void | Promise<void>): Promise<void> {
  for (const test of testDevices) await body(await test.get(), test)
}

/** A test's machine with another choice of algorithms. */
export async function choosing(test: TestDevice, choice: Device['choice']): Promise<Device> {
  const { backend, verify } = await test.get()
  const device = new Device(backend)
  device.choice = choice
  device.verify = verify
  return device
}
