/** A plan made ready on a device: kernels compiled, table loaded, memory for inputs and outputs. */
import { nextTurn, startPieces } from '#platform'
import { BackendFailure, type Block, type Instruction, type LoadedTable } from '../backends/backend.ts'
import type { DType, Precision, TypedArray } from '../base/dtype.ts'
import { sizeOf } from '../base/shape.ts'
import type { DataAttributes, HostScalarAttributes, Node } from '../graph/node.ts'
import { type Assignment, type Plan, type PlannedCall, type Region, schedule } from '../schedule/index.ts'
import { debugPlan, debugRun } from './debug.ts'
import { type Device, noteWrites, writesSoFar } from './device.ts'
import { Holdings, type Kept, prologueKey, type Tables } from './holdings.ts'
import { type ArgumentType, memoryOf, type PlannedMemory } from './memory.ts'

/** The calls of a program with their kernels. */
export interface Inspected {
  readonly prologue: readonly Instruction[]
  readonly run: readonly Instruction[]
}

/** Calls of a program that is made ready without letting the event loop go on first. */
const smallProgram = 8

export class Program {
  readonly plan: Plan
  readonly device: Device
  /** Regions of what runs every time. */
  readonly #needed: readonly number[]
  readonly #holdings = new Holdings()
  /**
   * Goes when the program goes. What is registered outlives every collection of young objects: registering the program
   * would make each plan of an expression that is computed once an old object.
   */
  readonly #anchor = {}

  constructor(
    device: Device,
    outputs: readonly Node[],
    assignments: readonly Assignment[],
    precision: Precision = 'f32',
  ) {
    this.device = device
    this.plan = schedule(outputs, assignments, device.target, { ...device.choice, precision })
    const read = this.plan.calls.flatMap(({ places }) => places.map(({ region }) => region))
    this.#needed = [...new Set(read)].sort((a, b) => a - b)
    const holdings = this.#holdings
    device.whenAbandoned(this.#anchor, () => device.held.release(holdings))
  }

  /** Plans in a turn of the event loop of its own: what comes before, tracing, took a while already. */
  static async plan(
    device: Device,
    outputs: readonly Node[],
    assignments: readonly Assignment[],
    precision?: Precision,
  ): Promise<Program> {
    await nextTurn()
    return new Program(device, outputs, assignments, precision)
  }

  /**
   * Runs once: reads `inputs` and Variables, writes Variables, returns the outputs as arrays of the host.
   * @param data values for the plan's data leaves when they are not the ones it was made with
   */
  run(inputs: readonly TypedArray[], data?: (node: Node) => TypedArray): Promise<TypedArray[]> {
    return this.device.exclusive(() => this.#run(inputs, data))
  }

  async #run(inputs: readonly TypedArray[], data: ((node: Node) => TypedArray) | undefined): Promise<TypedArray[]> {
    const { plan, device } = this
    const { backend } = device
    device.held.begin(this.#holdings)
    const tables = await this.#load()
    if (plan.keptBytes > 0 && this.#holdings.kept === undefined) await this.#keep()
    const renews = this.#isOld()
    const versions = renews ? this.#versions() : []
    const bound = await this.#bindAll(inputs, data, renews)
    noteWrites(plan.assigned)
    try {
      if (renews) await this.#renew(tables, bound, versions)
      await debugRun(plan.calls.length, () => backend.run(tables.run, bound))
    } catch (error) {
      // A kernel could not be compiled: the next run asks for it anew.
      if (error instanceof BackendFailure) device.held.dropTables(this.#holdings)
      throw error
    }
    const results: TypedArray[] = new Array(plan.outputs.length)
    for (const [i, region] of plan.regions.entries()) {
      if (region.kind !== 'output') continue
      const { shape, dtype } = plan.outputs[region.index]
      results[region.index] = await backend.read(bound[i], 0, dtype, sizeOf(shape))
    }
    return results
  }

  /** Whether what is kept is not there yet, or was made of values that a Variable no longer has. */
  #isOld(): boolean {
    const { kept } = this.#holdings
    if (kept === undefined) return false
    const { versions } = kept
    if (versions === undefined) return true
    const written = writesSoFar()
    if (kept.comparedAt === written) return false
    // It stays old until it has been renewed, whatever fails before.
    if (this.plan.keptFrom.some(({ version }, i) => version !== versions[i])) kept.versions = undefined
    else kept.comparedAt = written
    return kept.versions === undefined
  }

  /** Versions of the Variables that what is kept is made of. */
  #versions(): readonly number[] {
    return this.plan.keptFrom.map(({ version }) => version)
  }

  /**
   * Computes what is kept.
   * @param versions those from before the Variables were bound: what is written from then on makes it old
   */
  async #renew({ prologue }: Tables, bound: readonly Block[], versions: readonly number[]): Promise<void> {
    const { kept } = this.#holdings
    if (prologue === undefined || kept === undefined) return
    kept.versions = undefined
    await debugRun(this.plan.prologue.length, () => this.device.backend.run(prologue, bound))
    kept.versions = versions
  }

  /**
   * Hands the calls and the memory they work on to somebody who looks at them one by one. Nothing else runs on the
   * device meanwhile, and Variables keep their values whatever is run.
   */
  inspect<T>(
    inputs: readonly TypedArray[],
    look: (calls: Inspected, table: LoadedTable, bound: readonly Block[]) => Promise<T>,
  ): Promise<T> {
    const { device, plan } = this
    const { backend } = device
    return device.exclusive(async () => {
      device.held.begin(this.#holdings)
      const tables = await this.#load()
      await this.#keep()
      const versions = this.#versions()
      const bound = await this.#bindAll(inputs, undefined, true)
      await this.#renew(tables, bound, versions)
      const made = (call: PlannedCall) => ({ ...call, kernel: device.kernel(call.spec) })
      const kept = await Promise.all(
        plan.assigned.map(async (variable) => {
          const block = await device.block(variable)
          return { variable, block, values: await backend.read(block, 0, variable.dtype, variable.size) }
        }),
      )
      try {
        return await look({ prologue: plan.prologue.map(made), run: plan.calls.map(made) }, tables.run, bound)
      } finally {
        for (const { variable, block, values } of kept) backend.write(block, 0, variable.dtype, values)
      }
    })
  }

  /** @param all whether the prologue runs too: most Variables are read by it alone */
  async #bindAll(
    inputs: readonly TypedArray[],
    data: ((node: Node) => TypedArray) | undefined,
    all: boolean,
  ): Promise<readonly Block[]> {
    const { plan, device } = this
    const arena = await device.arena(plan.arenaBytes)
    const bound = new Array<Block>(plan.regions.length).fill(arena)
    const pieces = startPieces()
    for (const i of all ? plan.regions.keys() : this.#needed) {
      const region = plan.regions[i]
      // After the first run nearly all of them: no promise for each at every step.
      const home = region.kind === 'variable' ? device.home(region.variable) : undefined
      // The first run carries every Variable over.
      if (home === undefined && pieces.over) await pieces.next()
      bound[i] = home ?? (await this.#bind(i, region, inputs, data))
    }
    return bound
  }

  /** Builds and compiles what is missing, in pieces: the caller's event loop goes on. */
  async #load(): Promise<Tables> {
    const holdings = this.#holdings
    if (holdings.tables !== undefined) return holdings.tables
    const { device, plan } = this
    const instructions: Instruction[] = []
    const pieces = startPieces()
    // What led here, tracing and planning a large program, was a piece of its own.
    if (plan.calls.length > smallProgram) await pieces.next()
    for (const call of [...plan.prologue, ...plan.calls]) {
      if (pieces.over) await pieces.next()
      const kernel = device.kernel(call.spec)
      device.backend.prepare(kernel)
      instructions.push({ ...call, kernel })
    }
    debugPlan(plan, (call) => instructions[call].kernel.name)
    const { backend } = device
    const first = plan.prologue.length
    holdings.tables = {
      prologue: first === 0 ? undefined : backend.load(instructions.slice(0, first), plan.regions.length),
      run: backend.load(instructions.slice(first), plan.regions.length),
    }
    return holdings.tables
  }

  async #bind(
    i: number,
    region: Region,
    inputs: readonly TypedArray[],
    data: ((node: Node) => TypedArray) | undefined,
  ): Promise<Block> {
    const { device } = this
    const { backend, target } = device
    const held = this.#holdings.blocks.get(i)
    const own = async (dtype: DType, size: number): Promise<Block> =>
      held ?? this.#hold(i, await device.allocate(target.bytes[dtype] * size))
    switch (region.kind) {
      case 'arena':
        return device.arena(this.plan.arenaBytes)
      case 'variable': {
        const { variable } = region
        const values = this.plan.assigned.includes(variable) ? undefined : await device.borrowed(variable)
        if (values === undefined) return device.block(variable)
        const block = await own(variable.dtype, variable.size)
        backend.write(block, 0, variable.dtype, values)
        return block
      }
      case 'input': {
        const values = inputs[region.index]
        const dtype = values instanceof Int32Array ? 'i32' : values instanceof Uint8Array ? 'u8' : 'f32'
        const block = await own(dtype, values.length)
        backend.write(block, 0, dtype, values)
        return block
      }
      case 'data': {
        const attributes = region.node.attributes as DataAttributes
        const block = await own(attributes.dtype, sizeOf(attributes.shape))
        if (held === undefined || data !== undefined)
          backend.write(block, 0, attributes.dtype, data?.(region.node) ?? attributes.data)
        return block
      }
      case 'hostScalar': {
        const { dtype, read } = region.node.attributes as HostScalarAttributes
        const block = await own(dtype, 1)
        backend.write(block, 0, dtype, dtype === 'f32' ? Float64Array.of(read()) : Int32Array.of(read()))
        return block
      }
      case 'output': {
        const { shape, dtype } = this.plan.outputs[region.index]
        return own(dtype, sizeOf(shape))
      }
      case 'kept':
        return (this.#holdings.kept as Kept).block
      default:
        return region satisfies never
    }
  }

  #hold(region: number, block: Block): Block {
    return this.device.held.buffer(this.#holdings, region, block)
  }

  /** Memory for what is kept, where there is any: that of a program which keeps the same, or its own. */
  async #keep(): Promise<void> {
    const { plan, device } = this
    const { held } = device
    const holdings = this.#holdings
    if (plan.keptBytes === 0 || holdings.kept !== undefined) return
    const key = prologueKey(plan)
    if (held.share(holdings, key) === undefined) held.keep(holdings, key, await device.allocate(plan.keptBytes))
  }

  /** Bytes of memory this program holds, what it shares included, without the arena and Variables. */
  get heldBytes(): number {
    const { bufferBytes, kept } = this.#holdings
    return bufferBytes + (kept?.block.bytes ?? 0)
  }

  /** What a run takes, known before the first. @param inputs types of the arguments */
  memory(inputs: readonly ArgumentType[]): PlannedMemory {
    const { plan, device } = this
    const { kept } = this.#holdings
    const shared = kept === undefined && plan.keptBytes > 0 ? device.held.keptBytes(prologueKey(plan)) : 0
    const availableBytes = device.availableBytes(plan, this.heldBytes + shared)
    return { ...memoryOf(plan, inputs, device.target.bytes), availableBytes }
  }

  /** Gives memory and table back; the next run takes them anew. */
  release(): void {
    this.device.held.release(this.#holdings)
  }
}
