/** `juanji explain conv --input … --kernel …`: what kernel sizes cost here. */
import { Random } from '../base/random.ts'
import { type Shape, sizeOf } from '../base/shape.ts'
import { createDevice, type Device, useDevice } from '../engine/index.ts'
import { compile, init, Parameter, State, valueAndGrad } from '../index.ts'
import { type DeviceChoice, deviceOptions, Interrupted, type Task } from './command.ts'
import {
  effectiveGflops,
  type KernelVariant,
  type KernelWork,
  kernelAdvice,
  kernelVariants,
  type MeasuredVariant,
  type VariantTime,
} from './kernel-variants.ts'
import { formatTable } from './progress.ts'
import { formatBytes, formatShort, showExtents } from './summary-table.ts'

/** How long one measurement may take, at least two runs in any case. */
const measureMs = 1500
const mostRuns = 7

/** @throws ShapeError, ConfigError when a convolution does not fit the input, before anything is measured */
export async function explainKernels(task: Task, work: KernelWork, choice: DeviceChoice): Promise<void> {
  const { terminal, signal } = task
  const variants = kernelVariants(work)
  const bench = new KernelBench(choice)
  const device = await bench.device(undefined)
  task.begin()
  const measured: MeasuredVariant[] = []
  try {
    for (const [done, variant] of variants.entries()) {
      if (signal.aborted) throw new Interrupted()
      terminal.progress({ label: variant.name, done, total: variants.length })
      measured.push({ ...variant, times: await bench.measure(variant, work) })
    }
  } finally {
    await bench.close()
  }
  const { batch, input, filters } = work
  const threads = `${device.backend.threads} ${device.backend.threads === 1 ? 'thread' : 'threads'}`
  terminal.line(`${batch} × ${showExtents(input)} to ${filters} filters, ${device.target.name}, ${threads}`)
  terminal.line()
  terminal.lines(kernelTable(measured))
  terminal.line()
  const advice = kernelAdvice(measured)
  terminal.lines(legend(measured))
  if (advice !== undefined) terminal.lines(['', advice])
  for (const { net: _net, times, ...variant } of measured) {
    const rates = times.map((time) => ({
      ...time,
      forwardGflops: effectiveGflops(variant.multiplyAdds, time.forwardMs),
      forwardBackwardGflops: effectiveGflops(3 * variant.multiplyAdds, time.forwardBackwardMs),
    }))
    terminal.event({ event: 'kernel', ...variant, times: rates })
  }
  const { kernels: _kernels, ...settings } = work
  terminal.event({ event: 'done', ...settings, backend: device.target.name, threads: device.backend.threads, advice })
}

function legend(variants: readonly MeasuredVariant[]): string[] {
  const times = variants.flatMap((variant) => variant.times)
  return [
    "MACs are the batch's multiply-adds, forward; sees: input pixels along an axis; GF/s counts two for each of them.",
    ...(variants.some(({ name }) => name.startsWith('dw '))
      ? ['dw: depthwise, a filter for each channel; the 1×1 behind it mixes the channels.']
      : []),
    ...(times.some(({ chosen }) => !chosen) ? ['*: what is chosen when nobody says otherwise.'] : []),
  ]
}

/** A row for every variant and algorithm. At most 100 columns wide. */
export function kernelTable(variants: readonly MeasuredVariant[]): string[] {
  const several = variants.some(({ times }) => times.length > 1)
  const rows = variants.flatMap((variant) =>
    variant.times.map(({ algorithm, chosen, forwardMs, forwardBackwardMs }, i) => {
      const fixed = [
        variant.name,
        formatShort(variant.parameters),
        formatShort(variant.multiplyAdds),
        formatBytes(variant.activationBytes),
        formatBytes(variant.weightBytes),
        String(variant.receptiveField),
      ]
      return [
        ...(i === 0 ? fixed : fixed.map(() => '')),
        `${algorithm}${several && chosen ? ' *' : ''}`,
        digits(forwardMs),
        digits(effectiveGflops(variant.multiplyAdds, forwardMs)),
        digits(forwardBackwardMs),
        digits(effectiveGflops(3 * variant.multiplyAdds, forwardBackwardMs)),
      ]
    }),
  )
  const head = [
    'kernel',
    'params',
    'MACs',
    'activ.',
    'weights',
    'sees',
    'algorithm',
    'fwd ms',
    'GF/s',
    '+bwd ms',
    'GF/s',
  ]
  return formatTable([head, ...rows])
}

const digits = (value: number): string => value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)

/** Times variants, on a device for each algorithm that is forced. */
class KernelBench {
  readonly #choice: DeviceChoice
  readonly #devices = new Map<string | undefined, Device>()

  constructor(choice: DeviceChoice) {
    this.#choice = choice
  }

  async device(algorithm: string | undefined): Promise<Device> {
    let device = this.#devices.get(algorithm)
    if (device === undefined) {
      device = await createDevice({ ...deviceOptions(this.#choice), algorithm })
      this.#devices.set(algorithm, device)
    }
    await useDevice(device)
    return device
  }

  /** All devices but the one that nothing was forced on, which goes on computing. */
  async close(): Promise<void> {
    await this.device(undefined)
    for (const [algorithm, device] of this.#devices) if (algorithm !== undefined) await device.close()
  }

  async measure(variant: KernelVariant, work: KernelWork): Promise<VariantTime[]> {
    await this.device(undefined)
    const { forward, both } = programs(variant, work)
    const choices = new Map((await forward.explain()).calls.flatMap(({ choice }) => (choice ? [[choice, true]] : [])))
    const used = [...choices.keys()]
    const time = async (algorithm: string, chosen: boolean): Promise<VariantTime> => {
      return { algorithm, chosen, forwardMs: await bestMs(forward), forwardBackwardMs: await bestMs(both) }
    }
    const names = [...new Set(used.map((choice) => choice.algorithm))]
    const times = [await time(names.join(' + '), true)]
    // Of several layers each would have candidates of its own.
    if (used.length !== 1 || this.#choice.precise === true) return times
    for (const { name } of used[0].candidates) {
      if (name === used[0].algorithm) continue
      await this.device(name)
      times.push(await time(name, false))
    }
    return times
  }
}

/** Input, weights and upstream gradient are read anew at every run, and all results are stored. */
function programs({ net, output }: KernelVariant, { batch, input }: KernelWork) {
  const model = init(net, { input, seed: 1 })
  const x = new Parameter('x', [batch, ...input], normal('x', [batch, ...input]))
  const outputShape = [batch, ...output]
  const upstream = new State('upstream', outputShape, normal('upstream', outputShape))
  const y = new State('y', outputShape, new Float32Array(sizeOf(outputShape)))
  const gradients = [x, ...model.parameters].map(
    ({ name, shape, size }) => new State(`gradient of ${name}`, shape, new Float32Array(size)),
  )
  const forward = compile(() => {
    y.assign(model(x.value))
    return undefined
  })
  const both = compile(() => {
    const [, found] = valueAndGrad([x, ...model.parameters], () => {
      const result = model(x.value)
      y.assign(result)
      return result.mul(upstream.value).sum()
    })
    for (const [i, gradient] of found.entries()) gradients[i].assign(gradient)
    return undefined
  })
  return { forward, both }
}

function normal(name: string, shape: Shape): Float32Array {
  const random = new Random(1, name)
  return Float32Array.from({ length: sizeOf(shape) }, () => random.normal())
}

/** Best of a few runs after one to warm up. */
async function bestMs(run: () => Promise<unknown>): Promise<number> {
  await run()
  let best = Number.POSITIVE_INFINITY
  const begin = performance.now()
  for (let i = 0; i < mostRuns && (i < 2 || performance.now() - begin < measureMs); i++) {
    const start = performance.now()
    await run()
    best = Math.min(best, performance.now() - start)
  }
  return best
}
