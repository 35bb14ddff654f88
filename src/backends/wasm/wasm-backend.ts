/** The WebAssembly backend: memory, kernels, tables and the workers that walk them. */
import { hardwareThreads } from '#platform'
import { bytesPerElement, type StorageType, type TypedArray } from '../../base/dtype.ts'
import { UnsupportedError } from '../../base/errors.ts'
import type { Kernel } from '../../kernel/language.ts'
import type { Backend, Block, Instruction, KernelCounts, LoadedTable } from '../backend.ts'
import { fromMemory, toMemoryType } from '../memory-type.ts'
import { detectFeatures } from './features.ts'
import { Allocator, makeSharedMemory, mostPages, pageBytes } from './memory.ts'
import { printModule } from './print.ts'
import { barrierBytes, barrierOffsets, runtimeModule } from './runtime.ts'
import { layOutTable, type Slot, WasmBlock, WasmTable } from './table.ts'
import { wasmTarget } from './target.ts'
import { type Reply, Thread } from './thread.ts'

export interface WasmOptions {
  /** Threads that compute; one where memory cannot be shared. */
  readonly threads?: number
  /** Default: where the engine has it. */
  readonly relaxedSimd?: boolean
  /** False keeps to one worker with a memory of its own. Default: shared where the engine can. */
  readonly shared?: boolean
}

/** Some way up: a cursor may start before its buffer (in a border that is never read), but never below address 0. */
const firstAddress = 2 ** 20
/** Tables with less work than this run at once on the calling thread, where memory is shared. */
const inlineWork = 200_000
const keptKernels = 1024
/** Spare bytes behind each thread's scratch. */
const scratchGuard = 128

/** Walks a table on the calling thread or in a worker: see runtime.ts. */
type Walk = (table: number, count: number, threads: number, scratch: number, barrier: number, spins: number) => number

export function createWasmBackend(options: WasmOptions = {}): Backend {
  const features = detectFeatures()
  if (!features.simd.available) {
    throw new UnsupportedError({
      where: 'wasm backend',
      what: 'WebAssembly SIMD is missing',
      got: features.simd.reason,
      expected: 'Node 20.19 or later, or a browser of 2023 or later',
      fix: "use the backend 'interpret' for small things, or a newer engine",
    })
  }
  return new WasmBackend(options)
}

class WasmBackend implements Backend {
  readonly name = 'wasm'
  readonly target
  readonly threads: number
  readonly #shared: boolean
  readonly #memory: WebAssembly.Memory | undefined
  readonly #maximumPages: number
  readonly #allocator = new Allocator(firstAddress)
  #pages = 32
  readonly #slots = new Map<string, Slot>()
  readonly #freeSlots: number[] = []
  #slotCount = 1
  #compiled = 0
  #threadList: Thread[] | undefined
  readonly #runtime: WebAssembly.Module
  readonly #barrier: number
  /** The calling thread's own instances. */
  readonly #functions: WebAssembly.Table | undefined
  readonly #own = new Map<number, WebAssembly.Module>()
  #walk: Walk | undefined
  #scratch: { address: number; bytes: number } | undefined
  #tail: Promise<unknown> = Promise.resolve()
  #pending = 0
  /** Why the contents of the memory cannot be trusted any more. */
  #lost: Error | undefined
  #closed = false

  constructor(options: WasmOptions) {
    const features = detectFeatures()
    const relaxed = options.relaxedSimd ?? features.relaxedSimd.available
    if (relaxed && !features.relaxedSimd.available) {
      throw new UnsupportedError({
        where: 'wasm backend',
        what: 'relaxed SIMD was asked for and is missing',
        got: features.relaxedSimd.reason,
        expected: 'an engine with relaxed SIMD',
        fix: 'leave relaxedSimd out',
      })
    }
    this.target = wasmTarget({ relaxed })
    this.#shared = options.shared ?? features.sharedMemory.available
    this.threads = this.#shared ? (options.threads ?? hardwareThreads()) : 1
    if (this.#shared) {
      const { memory, maximum } = makeSharedMemory(this.#pages)
      this.#memory = memory
      this.#maximumPages = maximum
      this.#functions = new WebAssembly.Table({ element: 'anyfunc', initial: 64 })
    } else this.#maximumPages = mostPages
    this.#runtime = new WebAssembly.Module(runtimeModule(this.#shared, this.#maximumPages))
    this.#barrier = this.#allocator.allocate(barrierBytes)
  }

  get kernels(): KernelCounts {
    return { cached: this.#slots.size, compiled: this.#compiled }
  }

  // Memory.

  allocate(bytes: number): Block {
    this.#checkOpen()
    return new WasmBlock(this.#reserve(bytes), bytes)
  }

  get bytesInUse(): number {
    return this.#allocator.used
  }

  get memoryLimitBytes(): number {
    return this.#maximumPages * pageBytes
  }

  #reserve(bytes: number): number {
    const address = this.#allocator.allocate(bytes)
    const { end } = this.#allocator
    const needed = Math.ceil((end + pageBytes) / pageBytes)
    if (needed <= this.#pages) return address
    // By an eighth more, so that many small requests do not grow the memory one by one.
    const wanted = Math.min(this.#maximumPages, Math.max(needed, Math.ceil(this.#pages * 1.125)))
    if (needed > this.#maximumPages || !(this.#grow(wanted) || this.#grow(needed))) {
      this.#allocator.free(address)
      throw new UnsupportedError({
        where: 'wasm backend',
        what: 'memory is exhausted',
        got: `${megabytes(bytes)} asked for, ${megabytes(this.#allocator.used)} in use`,
        expected: `at most ${megabytes(this.#maximumPages * pageBytes)} in all`,
        fix: 'use a smaller batch size or a smaller model',
      })
    }
    return address
  }

  #grow(pages: number): boolean {
    if (this.#memory === undefined) {
      if (this.#threadList !== undefined)
        this.#unheard(this.#ask(this.#threadList[0], { action: 'grow', pages: pages - this.#pages }))
    } else {
      try {
        this.#memory.grow(pages - this.#pages)
      } catch {
        return false
      }
    }
    this.#pages = pages
    return true
  }

  free(block: Block): void {
    const { address } = block as WasmBlock
    // What still runs may read it.
    if (this.#pending === 0) this.#allocator.free(address)
    else this.#unheard(this.#later(async () => this.#allocator.free(address)))
  }

  write(block: Block, offset: number, dtype: StorageType, data: TypedArray): void {
    this.#checkOpen()
    const address = (block as WasmBlock).address + offset
    const converted = toMemoryType(dtype, data)
    if (this.#memory !== undefined) {
      const copy = (from: typeof converted) => {
        new Uint8Array((this.#memory as WebAssembly.Memory).buffer, address, from.byteLength).set(
          new Uint8Array(from.buffer, from.byteOffset, from.byteLength),
        )
      }
      if (this.#pending === 0) copy(converted)
      else {
        const kept = converted === data ? converted.slice() : converted
        this.#unheard(this.#later(async () => copy(kept)))
      }
      return
    }
    const bytes = new Uint8Array(converted.byteLength)
    bytes.set(new Uint8Array(converted.buffer, converted.byteOffset, converted.byteLength))
    this.#unheard(
      this.#later(async () => {
        await this.#ask(this.#started()[0], { action: 'write', address, bytes }, [bytes.buffer])
      }),
    )
  }

  read(block: Block, offset: number, dtype: StorageType, length: number): Promise<TypedArray> {
    this.#checkOpen()
    const address = (block as WasmBlock).address + offset
    const size = length * bytesPerElement[dtype]
    return this.#later(async () => {
      if (this.#memory !== undefined) return fromMemory(dtype, new Uint8Array(this.#memory.buffer, address, size))
      const reply = await this.#ask(this.#started()[0], { action: 'read', address, length: size })
      return fromMemory(dtype, reply.bytes as Uint8Array)
    })
  }

  // Kernels and tables.

  prepare(kernel: Kernel): void {
    this.#checkOpen()
    this.#slot(kernel)
  }

  load(instructions: readonly Instruction[], _regions: number): LoadedTable {
    this.#checkOpen()
    const slots = instructions.map(({ kernel }) => {
      const slot = this.#slot(kernel)
      slot.users++
      return slot
    })
    const layout = layOutTable(instructions, slots)
    const block = new WasmBlock(this.#reserve(layout.words.byteLength), layout.words.byteLength)
    return new WasmTable(layout, block, slots, (table) => {
      for (const slot of table.slots) slot.users--
      this.free(table.block)
    })
  }

  #slot(kernel: Kernel): Slot {
    const known = this.#slots.get(kernel.key)
    if (known !== undefined) {
      this.#slots.delete(kernel.key)
      this.#slots.set(kernel.key, known)
      return known
    }
    const bytes = printModule(kernel, { shared: this.#shared, maximumPages: this.#maximumPages, fma: this.target.fma })
    // Before there is a new one, which has no users yet.
    if (this.#slots.size >= keptKernels) this.#evict()
    const slot: Slot = {
      index: this.#freeSlots.pop() ?? this.#slotCount++,
      module: new WebAssembly.Module(bytes),
      users: 0,
    }
    this.#compiled++
    this.#slots.set(kernel.key, slot)
    return slot
  }

  #evict(): void {
    for (const [key, slot] of this.#slots) {
      if (slot.users > 0 || this.#pending > 0) continue
      this.#slots.delete(key)
      this.#freeSlots.push(slot.index)
      return
    }
  }

  // Running.

  run(table: LoadedTable, regions: readonly Block[]): Promise<void> {
    this.#checkOpen()
    const loaded = table as WasmTable
    return this.#later(async () => {
      try {
        await this.#bind(loaded, regions)
        if (this.#memory !== undefined && loaded.work < inlineWork) this.#runInline(loaded)
        else await this.#runOnThreads(loaded)
      } catch (error) {
        this.#mend(loaded)
        throw error
      }
    })
  }

  /** Writes the addresses of the regions into the table. */
  async #bind(table: WasmTable, regions: readonly Block[]): Promise<void> {
    const addresses = regions.map((region) => (region as WasmBlock).address)
    const fresh = table.bound.length === 0
    if (
      !fresh &&
      addresses.length === table.bound.length &&
      addresses.every((address, i) => address === table.bound[i])
    )
      return
    for (const { word, region, offset } of table.relocations) table.words[word] = addresses[region] + offset
    table.bound = addresses
    const bytes = new Uint8Array(table.words.buffer)
    if (this.#memory !== undefined) new Uint8Array(this.#memory.buffer, table.block.address, bytes.length).set(bytes)
    else await this.#ask(this.#started()[0], { action: 'write', address: table.block.address, bytes: bytes.slice() })
  }

  #runInline(table: WasmTable): void {
    const functions = this.#functions as WebAssembly.Table
    const imports = { m: { memory: this.#memory as WebAssembly.Memory } }
    this.#walk ??= new WebAssembly.Instance(this.#runtime, { m: { ...imports.m, table: functions } }).exports
      .walk as Walk
    for (const { index, module } of table.slots) {
      if (this.#own.get(index) === module) continue
      if (index >= functions.length) functions.grow(Math.max(functions.length, index + 1 - functions.length))
      functions.set(index, new WebAssembly.Instance(module, imports).exports.run as () => void)
      this.#own.set(index, module)
    }
    this.#walk(table.block.address, table.instructions, 1, this.#scratchFor(table.scratchBytes), this.#barrier, 0)
  }

  async #runOnThreads(table: WasmTable): Promise<void> {
    const threads = this.#started()
    const scratch = this.#scratchFor(table.scratchBytes)
    const each = (this.#scratch as { bytes: number }).bytes
    // With more threads than processors a spinning one keeps another from its work.
    const spins = threads.length > hardwareThreads() ? 1000 : 100_000
    const replies = threads.map((thread, i) => {
      const modules = [...new Set(table.slots)]
        .filter(({ index, module }) => thread.known.get(index) !== module)
        .map(({ index, module }) => [index, module] as const)
      for (const [index, module] of modules) thread.known.set(index, module)
      const message = {
        action: 'run',
        modules,
        table: table.block.address,
        count: table.instructions,
        threads: threads.length,
        scratch: scratch + i * each,
        spins,
      }
      return this.#ask(thread, message).catch((error) => {
        this.#poison() // A worker that died could not do it; for the others once more does no harm.
        throw error
      })
    })
    const outcomes = await Promise.allSettled(replies)
    const failure = outcomes.find((outcome) => outcome.status === 'rejected')
    if (failure !== undefined) throw failure.reason
  }

  /** Sends away all threads that wait at the barrier or will come there. */
  #poison(): void {
    if (this.#memory === undefined) return
    const words = new Int32Array(this.#memory.buffer)
    Atomics.store(words, (this.#barrier + barrierOffsets.poisoned) >>> 2, 1)
    Atomics.add(words, (this.#barrier + barrierOffsets.generation) >>> 2, 1)
    Atomics.notify(words, (this.#barrier + barrierOffsets.generation) >>> 2)
  }

  /** After a failure: opens the barrier again, lets the table write itself anew and replaces workers that died. */
  #mend(table: WasmTable): void {
    table.bound = []
    for (const thread of this.#threadList ?? []) thread.known.clear()
    if (this.#memory === undefined) return
    const words = new Int32Array(this.#memory.buffer)
    for (const offset of Object.values(barrierOffsets)) Atomics.store(words, (this.#barrier + offset) >>> 2, 0)
    if (!this.#threadList?.some((thread) => thread.failed)) return
    for (const thread of this.#threadList) void thread.worker.terminate()
    this.#threadList = undefined
  }

  #scratchFor(bytes: number): number {
    const each = Math.ceil((bytes + scratchGuard) / 64) * 64
    if (this.#scratch === undefined || this.#scratch.bytes < each) {
      if (this.#scratch !== undefined) this.#allocator.free(this.#scratch.address)
      this.#scratch = undefined
      const size = Math.max(each, 16_384)
      this.#scratch = { address: this.#reserve(size * this.threads), bytes: size }
    }
    return this.#scratch.address
  }

  #started(): Thread[] {
    if (this.#threadList === undefined) {
      this.#threadList = Array.from({ length: this.threads }, (_, i) => new Thread(`juanji ${i}`))
      for (const thread of this.#threadList) {
        const message = {
          action: 'start',
          memory: this.#memory,
          pages: this.#pages,
          maximumPages: this.#maximumPages,
          runtime: this.#runtime,
          barrier: this.#barrier,
        }
        // Messages arrive in order: nothing needs to wait for this one. Its failure shows in the first run.
        this.#ask(thread, message).catch(() => {})
      }
    }
    return this.#threadList
  }

  #ask(thread: Thread, message: object, transfer: readonly ArrayBuffer[] = []): Promise<Reply> {
    return thread.ask(message, transfer)
  }

  /** For work nobody awaits: its failure is told by the next run or read, and by all after it. */
  #unheard(work: Promise<unknown>): void {
    work.catch((error: Error) => {
      this.#lost ??= error
    })
  }

  #later<T>(work: () => Promise<T>): Promise<T> {
    this.#pending++
    const guarded = () => {
      if (this.#lost !== undefined) throw this.#lost
      return work()
    }
    const result = this.#tail.then(guarded).finally(() => {
      this.#pending--
    })
    this.#tail = result.catch(() => {})
    return result
  }

  #checkOpen(): void {
    if (this.#closed) throw new Error('wasm: the backend is used after close()')
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#tail
    await Promise.all((this.#threadList ?? []).map((thread) => thread.worker.terminate()))
    this.#threadList = undefined
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`
}
