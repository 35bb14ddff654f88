/** A device: a backend with the kernels built for it, the memory of Variables, and the arena all programs share. */

import type { Backend, Block } from '../backends/backend.ts'
import { allocate, type TypedArray } from '../base/dtype.ts'
import { UnsupportedError } from '../base/errors.ts'
import type { Variable } from '../graph/node.ts'
import type { KernelSpec } from '../kernel/build.ts'
import type { Kernel } from '../kernel/language.ts'
import type { AlgorithmChoice, Plan } from '../schedule/index.ts'
import { debugKernel, debugLevel, verifyKernel } from './debug.ts'
import { HeldMemory } from './holdings.ts'

const keptKernels = 2048

/** Where a Variable lives. */
interface Home {
  readonly device: Device
  readonly block: Block
  /** The Variable moved on and its block here is free again. */
  left: boolean
}

/** The values of a Variable that is on no device yet. */
function hostValues({ initial, dtype, size }: Variable): TypedArray {
  if (typeof initial !== 'function') return initial as TypedArray
  const values = allocate(dtype, size)
  initial()(values)
  return values
}

/** How often values of any Variable were replaced. */
let writes = 0

/**
 * Notes that the values of these Variables are being replaced: what was made of them is old. For Variables that live on
 * a device only inside `exclusive`, beside the write: what runs in between would be made of the old values and bear the
 * new version.
 */
export function noteWrites(variables: readonly Variable[]): void {
  if (variables.length > 0) writes++
  for (const variable of variables) variable.version++
}

/** Grows when any Variable is written: a program that sees no change need not look at each of its own. */
export function writesSoFar(): number {
  return writes
}

/** Elements that are made and carried over at a time. */
const pieceSize = 16_384

/** A Variable that is on no device yet has its values on the host. */
const homes = new WeakMap<Variable, Home>()

export class Device {
  readonly backend: Backend
  /** Kernels are verified before they are handed to the backend; tests and JUANJI_DEBUG switch it on. */
  verify = debugLevel > 0
  /** How algorithms are chosen. Set it before the first program: later ones may be kept from before. */
  choice: AlgorithmChoice = {}
  /** What programs hold here. */
  readonly held: HeldMemory
  readonly #kernels = new Map<string, Kernel>()
  readonly #abandoned: FinalizationRegistry<() => void>
  #arena: Block | undefined
  #queue: Promise<unknown> = Promise.resolve()

  /** Told in one line why something slower than expected computes. */
  onNotice: (text: string) => void = (text) => console.warn(`juanji: ${text}`)
  /** Computes what is not compiled, where compiling takes long. */
  #companion: Device | undefined
  /** The device this one is the companion of: it reads Variables there without taking them over. */
  #owner: Device | undefined

  /** @param companion computes expressions outside of compile(), in one queue with this device */
  constructor(backend: Backend, companion?: Device) {
    this.backend = backend
    this.held = new HeldMemory(backend)
    this.#companion = companion
    this.#abandoned = new FinalizationRegistry((release) => release())
    if (companion === undefined) return
    companion.#owner = this
    this.#queue = companion.#queue
  }

  get target() {
    return this.backend.target
  }

  /** Where an expression outside of compile() is computed that changes these Variables. */
  forExpressions(assigned: readonly Variable[]): Device {
    // What lives here stays here: a Variable that two devices change in turn would be carried to and fro.
    const stays = assigned.some((variable) => this.home(variable) !== undefined)
    return this.#companion === undefined || stays ? this : this.#companion
  }

  /** This device computes nothing any more. @returns its companion, which from now on stands alone */
  retire(): Device | undefined {
    const companion = this.#companion
    if (companion === undefined) return undefined
    companion.#owner = undefined
    companion.#queue = this.#queue
    this.#companion = undefined
    return companion
  }

  /**
   * Runs `work` when everything asked for earlier is done, here and on the companion: they share Variables. What belongs
   * together happens in one piece.
   */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    if (this.#owner !== undefined) return this.#owner.exclusive(work)
    const result = this.#queue.then(work)
    this.#queue = result.catch(() => undefined)
    return result
  }

  /** Calls `release` when `owner` has been collected. `release` must not hold `owner`. */
  whenAbandoned(owner: object, release: () => void): void {
    this.#abandoned.register(owner, release)
  }

  kernel(spec: KernelSpec): Kernel {
    const known = this.#kernels.get(spec.key)
    if (known !== undefined) {
      this.#kernels.delete(spec.key)
      this.#kernels.set(spec.key, known)
      return known
    }
    const kernel = spec.build(this.target)
    if (this.verify) verifyKernel(kernel, this.target)
    debugKernel(kernel)
    this.#kernels.set(spec.key, kernel)
    if (this.#kernels.size > keptKernels) this.#kernels.delete(this.#kernels.keys().next().value as string)
    return kernel
  }

  /**
   * Reserves memory. When there is none left, programs give back what they hold, except the one that runs; then what has
   * been dropped is collected: the collector runs when the event loop turns, and is told that memory is short by asking
   * it for as much. Only inside `exclusive`.
   * @throws UnsupportedError when even then there is not enough
   */
  async allocate(bytes: number): Promise<Block> {
    for (let attempt = 1; ; ) {
      try {
        return this.backend.allocate(bytes)
      } catch (error) {
        if (!(error instanceof UnsupportedError)) throw error
        if (this.held.releaseOldest()) continue
        if (attempt > 5) throw error
        void new ArrayBuffer(Math.min(bytes, 2 ** 30))
        await new Promise((resolve) => setTimeout(resolve, 10 * attempt++))
      }
    }
  }

  /** The arena, at least this large. Only inside `exclusive`: nothing may be running. */
  async arena(bytes: number): Promise<Block> {
    if (this.#arena === undefined || this.#arena.bytes < bytes) {
      if (this.#arena !== undefined) this.backend.free(this.#arena)
      this.#arena = undefined
      this.#arena = await this.allocate(Math.max(bytes, 65536))
    }
    return this.#arena
  }

  /**
   * Bytes that a plan may take, those it holds already included; undefined where nothing but the machine's memory limits
   * them.
   * @param held bytes that the plan's program holds, or finds kept by another one
   */
  availableBytes(plan: Plan, held: number): number | undefined {
    const { memoryLimitBytes, bytesInUse } = this.backend
    if (memoryLimitBytes === undefined) return undefined
    let own = held + (this.#arena?.bytes ?? 0)
    for (const region of plan.regions) if (region.kind === 'variable') own += this.home(region.variable)?.bytes ?? 0
    return memoryLimitBytes - (bytesInUse - own)
  }

  /** The Variable's memory when it is here already. */
  home(variable: Variable): Block | undefined {
    const home = homes.get(variable)
    return home?.device === this ? home.block : undefined
  }

  /** The values of a Variable that this device reads but does not take over; undefined where it does. */
  async borrowed(variable: Variable): Promise<TypedArray | undefined> {
    const home = homes.get(variable)
    return home !== undefined && home.device === this.#owner ? home.device.#read(variable, home.block) : undefined
  }

  /** The Variable's memory, filled from the host or from the device it lived on. Only inside `exclusive`. */
  async block(variable: Variable): Promise<Block> {
    const home = homes.get(variable)
    if (home?.device === this) return home.block
    const block = await this.allocate(this.target.bytes[variable.dtype] * variable.size)
    if (home !== undefined) {
      this.backend.write(block, 0, variable.dtype, await home.device.#read(variable, home.block))
    } else this.#writeInitial(variable, block)
    variable.initial = undefined
    if (home !== undefined) {
      home.left = true
      home.device.backend.free(home.block)
    }
    const arrived: Home = { device: this, block, left: false }
    homes.set(variable, arrived)
    this.whenAbandoned(variable, () => {
      if (!arrived.left) arrived.device.backend.free(arrived.block)
    })
    return block
  }

  #writeInitial({ initial, dtype, size }: Variable, block: Block): void {
    if (typeof initial !== 'function') {
      this.backend.write(block, 0, dtype, initial as TypedArray)
      return
    }
    const fill = initial()
    // One array for all pieces: a write takes its copy before it returns.
    const piece = allocate(dtype, Math.min(pieceSize, size))
    for (let start = 0; start < size; start += pieceSize) {
      const part = start + piece.length > size ? piece.subarray(0, size - start) : piece
      fill(part)
      this.backend.write(block, start * this.target.bytes[dtype], dtype, part)
    }
  }

  #read(variable: Variable, block: Block): Promise<TypedArray> {
    return this.backend.read(block, 0, variable.dtype, variable.size)
  }

  /** The values of a Variable, wherever they are. */
  static async read(variable: Variable): Promise<TypedArray> {
    const home = homes.get(variable)
    if (home === undefined) {
      const values = hostValues(variable)
      variable.initial = values
      return values.slice()
    }
    return home.device.exclusive(() => home.device.#read(variable, home.block))
  }

  /** Replaces the values of a Variable, after all that was asked for earlier. `values` is copied at once. */
  static async write(variable: Variable, values: TypedArray): Promise<void> {
    const copy = values.slice()
    for (let done = false; !done; ) {
      const home = homes.get(variable)
      if (home === undefined) {
        noteWrites([variable])
        variable.initial = copy
        return
      }
      done = await home.device.exclusive(async () => {
        // What ran in between may have carried it to another device.
        if (homes.get(variable) !== home) return false
        // Not earlier: a run that was asked for before would take the old values for the new ones.
        noteWrites([variable])
        home.device.backend.write(home.block, 0, variable.dtype, copy)
        return true
      })
    }
  }

  async close(): Promise<void> {
    await this.#queue
    await this.#companion?.close()
    await this.backend.close()
  }
}
