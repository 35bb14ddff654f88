/** What every kernel call of a program costs: counted from its loops, and timed one by one. */
import { now } from '#platform'
import type { Block, Instruction, LoadedTable } from '../backends/backend.ts'
import { dtypeOf, type TypedArray } from '../base/dtype.ts'
import { mapCall, mapSpec } from '../kernel/builders/map.ts'
import { identityChain } from '../kernel/chain.ts'
import { type Counts, countKernel } from '../kernel/count.ts'
import type { Choice, PlannedCall } from '../schedule/index.ts'
import type { Device } from './device.ts'
import { memoryOf, type PlannedMemory } from './memory.ts'
import { type Peak, peakOf } from './peak.ts'
import type { Program } from './program.ts'

/** What a call costs on any machine. */
export interface CallCost {
  /** The ops that it computes: `conv·add·relu`. */
  readonly ops: string
  /** Path of the layer it belongs to; for steps of an optimizer that of the Variable it writes. */
  readonly origin?: string
  /** Name of the kernel: its kind first. */
  readonly kernel: string
  /** For ops that have several ways to be computed: the one that is used, and what else applies. */
  readonly choice?: Choice
  /**
   * Additions and multiplications that it carries out, those of lanes that are thrown away included; undefined where
   * data decides.
   */
  readonly flops: number | undefined
  /** Read and written: each element of memory once, however often the caches hand it out. */
  readonly bytes: number
  /** Memory that holds no value of the model: packed operands, partial sums, scratch of all threads. */
  readonly workspaceBytes: number
}

export interface ProfiledCall extends CallCost {
  /** Best of several rounds, without what starting a call by itself takes. */
  readonly ms: number
}

/** What the program takes; its `bytes` hold the scratch as well. */
export interface ProfiledMemory extends Omit<PlannedMemory, 'availableBytes'> {
  /** Scratch memory of all threads. */
  readonly scratchBytes: number
}

export interface Profile {
  readonly backend: string
  readonly threads: number
  readonly peak: Peak
  readonly calls: readonly ProfiledCall[]
  /** What was computed before the first run and is kept: it costs nothing until a Variable it was made of is written. */
  readonly kept: readonly ProfiledCall[]
  /** Best time of the whole program in one piece. */
  readonly wholeMs: number
  readonly memory: ProfiledMemory
}

export interface ProfileOptions {
  /** How often every call is timed; default 5, less where a run takes seconds. */
  readonly rounds?: number
}

/** Programs that take longer are timed once. */
const slowMs = 2000

/**
 * Runs a program call by call, in order, so that every call finds the caches as it finds them in a run. Variables keep
 * their values.
 */
export async function profileProgram(
  program: Program,
  inputs: readonly TypedArray[],
  options: ProfileOptions = {},
): Promise<Profile> {
  const { device, plan } = program
  await peakOf(device)
  const profile = await program.inspect(inputs, async ({ prologue, run }, table, bound) => {
    const variables = variableNames(plan.regions)
    const { wholeMs, rounds } = await timeWhole(device, table, bound, options.rounds ?? 5)
    const timed = async (calls: readonly PlannedCall[], instructions: readonly Instruction[]) => {
      const times = await timeCalls(device, instructions, bound, rounds)
      return calls.map((call, i) => ({ ...costOf(call, instructions[i], device, variables), ms: times[i] }))
    }
    return {
      backend: device.target.name,
      threads: device.backend.threads,
      kept: await timed(plan.prologue, prologue),
      calls: await timed(plan.calls, run),
      wholeMs,
      memory: profiledMemory(program, inputs, [...prologue, ...run]),
    }
  })
  // Rates of calls that take microseconds are no measure.
  const rates = profile.calls.map(({ flops = 0, ms }) => (ms < leastMs ? 0 : flops / ms / 1e6))
  return { ...profile, peak: await peakOf(device, Math.max(0, ...rates)) }
}

const leastMs = 0.1

function variableNames(regions: Program['plan']['regions']): readonly (string | undefined)[] {
  return regions.map((region) => (region.kind === 'variable' ? region.variable.name : undefined))
}

function costOf(
  call: PlannedCall,
  { kernel, params, tasks, scratch }: Instruction,
  device: Device,
  variables: readonly (string | undefined)[],
): CallCost {
  const { bytes } = device.target
  const counts = countKernel(kernel, params, tasks)
  const scratchBytes = scratch.reduce((sum, size) => sum + size * bytes.f32, 0) * device.backend.threads
  const written = kernel.buffers
    .filter(({ role }) => role !== 'scratch')
    .flatMap(({ role }, i) => (role === 'output' ? (variables[call.places[i].region] ?? []) : []))
  // Of a parameter and its optimizer's slots, which are named after it, the parameter.
  const origin = call.origin ?? written.toSorted((a, b) => a.length - b.length).at(0)
  return {
    ops: call.label.replace(/ \([^()]*\)$/, ''),
    ...(origin === undefined ? {} : { origin }),
    kernel: kernel.name,
    ...(call.choice === undefined ? {} : { choice: call.choice }),
    flops: counts?.flops,
    bytes: bytesOf(call, kernel.buffers, counts, device),
    workspaceBytes: call.workspaceBytes + scratchBytes,
  }
}

/** Each buffer as far as the call touches it, and not more often than once for reading and once for writing. */
function bytesOf(
  { bufferBytes }: PlannedCall,
  buffers: Instruction['kernel']['buffers'],
  counts: Counts | undefined,
  device: Device,
): number {
  let sum = 0
  for (const [i, { index, dtype }] of buffers.filter(({ role }) => role !== 'scratch').entries()) {
    const most = bufferBytes[i]
    if (counts === undefined) sum += most
    else
      for (const elements of [counts.read[index], counts.written[index]])
        sum += Math.min(most, elements * device.target.bytes[dtype])
  }
  return sum
}

async function timeWhole(
  { backend }: Device,
  table: LoadedTable,
  bound: readonly Block[],
  wished: number,
): Promise<{ wholeMs: number; rounds: number }> {
  const once = async () => {
    const start = now()
    await backend.run(table, bound)
    return now() - start
  }
  // The first run compiles, where that has not happened.
  let wholeMs = await once()
  wholeMs = Math.min(wholeMs, await once())
  const rounds = wholeMs > slowMs ? 1 : Math.max(1, wished)
  for (let i = 1; i < rounds; i++) wholeMs = Math.min(wholeMs, await once())
  return { wholeMs, rounds }
}

async function timeCalls(
  device: Device,
  instructions: readonly Instruction[],
  bound: readonly Block[],
  rounds: number,
): Promise<number[]> {
  const { backend } = device
  const tables = instructions.map((instruction) => backend.load([instruction], bound.length))
  try {
    const best = instructions.map(() => Number.POSITIVE_INFINITY)
    for (let round = 0; round < rounds; round++) {
      for (const [i, table] of tables.entries()) {
        const start = now()
        await backend.run(table, bound)
        best[i] = Math.min(best[i], now() - start)
      }
    }
    const starts = await startTimes(device, instructions)
    // What a start takes varies: a call is never taken for nothing but its start.
    return best.map((ms, i) => Math.max(ms / 4, ms - starts[i]))
  } finally {
    for (const table of tables) table.release()
  }
}

/**
 * What it takes to start calls by themselves: the time of a call that does nothing, but says that it does as much. How
 * much there is to do decides whether threads are woken.
 */
async function startTimes(device: Device, instructions: readonly Instruction[]): Promise<number[]> {
  const { backend } = device
  const block = backend.allocate(64)
  const known = new Map<number, number>()
  try {
    const times: number[] = []
    for (const { work } of instructions) {
      const size = Math.round(Math.log2(1 + work))
      let ms = known.get(size)
      if (ms === undefined) {
        const table = backend.load([nothing(device, 2 ** size)], 1)
        ms = Number.POSITIVE_INFINITY
        for (let i = 0; i < 40; i++) {
          const start = now()
          await backend.run(table, [block])
          ms = Math.min(ms, now() - start)
        }
        table.release()
        known.set(size, ms)
      }
      times.push(ms)
    }
    return times
  } finally {
    backend.free(block)
  }
}

/** Copies one number onto itself. */
function nothing(device: Device, work: number): Instruction {
  const one = { dtype: 'f32', inner: 'unit' } as const
  const shape = { rank: 1, operands: [one], outputs: [one], chain: identityChain }
  const place = { region: 0, offset: 0 }
  const call = mapCall(shape, { extents: [1], strides: [[1], [1]], constants: [] })
  return { kernel: device.kernel(mapSpec(shape)), places: [place, place], scratch: [], ...call, work }
}

function profiledMemory(
  { device, plan }: Program,
  inputs: readonly TypedArray[],
  instructions: readonly Instruction[],
): ProfiledMemory {
  const { bytes } = device.target
  const types = inputs.map((values) => ({ shape: [values.length], dtype: dtypeOf(values) }))
  const most = Math.max(0, ...instructions.map(({ scratch }) => scratch.reduce((sum, size) => sum + size, 0)))
  const scratchBytes = most * bytes.f32 * device.backend.threads
  const planned = memoryOf(plan, types, bytes)
  return { ...planned, scratchBytes, bytes: planned.bytes + scratchBytes }
}
