/** The native backend: kernels as machine code, memory outside of JavaScript, a pool of threads that walks tables. */
import { cacheFolder, hardwareThreads, joinPath, memoryBytes, nativeTools } from '#platform'
import { bytesPerElement, type StorageType, type TypedArray } from '../../base/dtype.ts'
import { UnsupportedError } from '../../base/errors.ts'
import type { Kernel } from '../../kernel/language.ts'
import type { Target } from '../../kernel/target.ts'
import {
  type Backend,
  BackendFailure,
  type Block,
  type Instruction,
  type KernelCounts,
  type LoadedTable,
} from '../backend.ts'
import { makeBallast } from '../ballast.ts'
import { fromMemory, toMemoryType } from '../memory-type.ts'
import { type CodeMaker, library, NativeKernels } from './kernels.ts'
import { entryName } from './print-c.ts'
import { type Runtime, runtimeSource } from './runtime-source.ts'
import { layOutTable, type NativeLayout } from './table.ts'
import { bestInstructions, featureBits, type NativeInstructions, nativeTarget } from './target.ts'

export interface NativeOptions {
  /** Threads that compute; default: one per processor. */
  readonly threads?: number
  /** Vector instructions; default: the best that the processor has. */
  readonly instructions?: NativeInstructions
  /** The C compiler: a name on the search path, or a path. Default: cc, gcc or clang. */
  readonly compiler?: string
  /** The folder for compiled kernels. */
  readonly cache?: string
  /** A compiler that takes longer for one kernel is stopped; default 60,000. */
  readonly compilerTimeoutMs?: number
}

/** Tables with less work than this run at once on the calling thread. */
const inlineWork = 200_000
/** Of the machine's memory, for what is planned. */
const shareOfMemory = 0.8
/** Readable bytes behind every block. */
const guard = 128
/** About as long as it takes to wake a thread: 30 to 60 µs. */
const spins = 3000

/**
 * Finds a compiler, makes the runtime and tries it.
 * @throws UnsupportedError saying what is missing and what to do about it
 */
export async function createNativeBackend(options: NativeOptions = {}): Promise<NativeBackend> {
  const tools = await nativeTools()
  const names = options.compiler === undefined ? ['cc', 'gcc', 'clang'] : [options.compiler]
  const compilers = await tools.findCompilers(names)
  if (compilers.length === 0) {
    throw new UnsupportedError({
      where: 'native backend',
      what: options.compiler === undefined ? 'there is no C compiler' : `there is no compiler '${options.compiler}'`,
      expected: names.join(', '),
      fix: 'install one (Debian: apt install gcc; macOS: xcode-select --install), or name one with JUANJI_CC',
    })
  }
  const cache = await tools.openLibraryCache(options.cache ?? joinPath(cacheFolder(), 'kernels'))
  const { compilerTimeoutMs: timeoutMs = 60_000 } = options
  let failure: Error | undefined
  for (const compiler of compilers) {
    const maker: CodeMaker = { tools, compiler, cache, parallel: hardwareThreads(), timeoutMs }
    try {
      return await startBackend(maker, options)
    } catch (error) {
      failure ??= error as Error
    }
  }
  throw new UnsupportedError({
    where: 'native backend',
    what: (failure as Error).message,
    fix: "use another C compiler (JUANJI_CC names one), or the backend 'wasm'",
  })
}

/** Makes the runtime and tries it. */
async function startBackend(maker: CodeMaker, options: NativeOptions): Promise<NativeBackend> {
  const { tools, cache } = maker
  const { path } = await library(maker, runtimeSource, runtimeFlags(tools.machine), 'the runtime')
  const runtime = tools.loadAddon(path) as Runtime
  const features = runtime.features()
  const instructions = options.instructions ?? bestInstructions(features)
  if (instructions !== 'plain' && (features & featureBits[instructions]) === 0)
    throw new Error(`this processor has no ${instructions}`)
  return new NativeBackend(maker, runtime, instructions, options.threads ?? hardwareThreads(), cache.notice)
}

/** Symbols of Node itself are found when the addon is loaded. */
function runtimeFlags(machine: string): string[] {
  return machine.startsWith('darwin') ? ['-pthread', '-undefined', 'dynamic_lookup'] : ['-pthread']
}

class NativeBlock implements Block {
  readonly ballast: ArrayBuffer | undefined
  readonly address: number
  readonly bytes: number
  readonly reserved: number

  constructor(address: number, bytes: number, reserved: number) {
    this.address = address
    this.bytes = bytes
    this.reserved = reserved
    this.ballast = makeBallast(bytes)
  }
}

class NativeTable implements LoadedTable {
  readonly layout: NativeLayout
  /** Addresses of the instructions' kernels. */
  readonly kernels: Promise<readonly number[]>
  readonly block: NativeBlock
  readonly instructions: number
  bound: readonly number[] = []
  readonly #release: () => void
  #released = false

  constructor(
    layout: NativeLayout,
    kernels: Promise<readonly number[]>,
    block: NativeBlock,
    instructions: number,
    release: () => void,
  ) {
    this.layout = layout
    this.kernels = kernels
    this.block = block
    this.instructions = instructions
    this.#release = release
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    this.#release()
  }
}

/** What a backend holds that the collector does not see. */
interface Resources {
  readonly runtime: Runtime
  readonly pool: number
  /** Addresses in use, and their bytes. */
  readonly live: Map<number, number>
}

function endOf({ runtime, pool, live }: Resources): void {
  runtime.closePool(pool)
  for (const [address, bytes] of live) runtime.free(address, bytes)
  live.clear()
}

/** Ends the threads of backends that nobody holds any more. */
const abandoned = new FinalizationRegistry(endOf)

export class NativeBackend implements Backend {
  readonly name = 'native'
  readonly target: Target
  readonly threads: number
  /** Path of the compiler. */
  readonly compiler: string
  /** Why kernels are compiled anew in every run; undefined where they are kept. */
  readonly notice: string | undefined
  readonly #runtime: Runtime
  readonly #kernels: NativeKernels
  readonly #pool: number
  readonly #resources: Resources
  readonly #availableMemory: () => number | undefined
  #scratch: { block: NativeBlock; bytes: number } | undefined
  #bytes = 0
  #tail: Promise<unknown> = Promise.resolve()
  #pending = 0
  #closed = false

  constructor(
    maker: CodeMaker,
    runtime: Runtime,
    instructions: NativeInstructions,
    threads: number,
    notice: string | undefined,
  ) {
    this.target = nativeTarget(instructions)
    this.threads = threads
    this.compiler = maker.compiler.path
    this.notice = notice
    this.#runtime = runtime
    this.#availableMemory = maker.tools.availableMemory
    this.#kernels = new NativeKernels(maker, instructions, this.target.lanes, (path) => {
      const address = runtime.symbol(path, entryName)
      if (typeof address === 'string') throw new BackendFailure(`${path} cannot be loaded: ${address}`)
      return address
    })
    // With more threads than processors a spinning one keeps another from its work.
    this.#pool = runtime.openPool(threads, threads > hardwareThreads() ? 50 : spins)
    if (this.#pool === 0) throw new Error(`${threads} threads could not be started`)
    this.#resources = { runtime, pool: this.#pool, live: new Map() }
    abandoned.register(this, this.#resources, this)
  }

  get kernels(): KernelCounts {
    return { cached: this.#kernels.count, compiled: this.#kernels.compiled }
  }

  // Memory.

  get bytesInUse(): number {
    return this.#bytes
  }

  /** A share of the machine's memory, and not what is left of it: what is planned must not depend on the moment. */
  get memoryLimitBytes(): number | undefined {
    const bytes = memoryBytes()
    return bytes === undefined ? undefined : Math.floor(bytes * shareOfMemory)
  }

  allocate(bytes: number): Block {
    this.#checkOpen()
    return this.#reserve(bytes)
  }

  #reserve(bytes: number): NativeBlock {
    const reserved = Math.ceil((bytes + guard) / 64) * 64
    const available = this.#availableMemory()
    // The system hands out more than it has and kills the process later: better an error now.
    const fits = available === undefined || reserved < available || reserved < 2 ** 26
    const address = fits ? this.#runtime.allocate(reserved) : 0
    if (address === 0) {
      throw new UnsupportedError({
        where: 'native backend',
        what: 'memory is exhausted',
        got: `${megabytes(bytes)} asked for, ${megabytes(this.#bytes)} in use`,
        expected: available === undefined ? 'less' : `at most ${megabytes(available)} more`,
        fix: 'use a smaller batch size or a smaller model',
      })
    }
    this.#bytes += reserved
    const block = new NativeBlock(address, bytes, reserved)
    this.#resources.live.set(address, reserved)
    return block
  }

  #release({ address, reserved }: NativeBlock): void {
    // A collector may come for it after the backend was closed.
    if (!this.#resources.live.delete(address)) return
    this.#runtime.free(address, reserved)
    this.#bytes -= reserved
  }

  free(block: Block): void {
    // What still runs may read it.
    if (this.#pending === 0) this.#release(block as NativeBlock)
    else void this.#later(async () => this.#release(block as NativeBlock))
  }

  write(block: Block, offset: number, dtype: StorageType, data: TypedArray): void {
    this.#checkOpen()
    const address = (block as NativeBlock).address + offset
    const converted = toMemoryType(dtype, data)
    const copy = (from: typeof converted) => {
      if (from.byteLength > 0) this.#runtime.write(address, bytesOf(from), from.byteLength)
    }
    if (this.#pending === 0) copy(converted)
    else {
      const kept = converted === data ? converted.slice() : converted
      void this.#later(async () => copy(kept))
    }
  }

  read(block: Block, offset: number, dtype: StorageType, length: number): Promise<TypedArray> {
    this.#checkOpen()
    const address = (block as NativeBlock).address + offset
    return this.#later(async () => {
      const bytes = new Uint8Array(length * bytesPerElement[dtype])
      if (bytes.length > 0) this.#runtime.read(address, bytes, bytes.length)
      return fromMemory(dtype, bytes)
    })
  }

  // Kernels and tables.

  prepare(kernel: Kernel): void {
    this.#checkOpen()
    this.#kernels.address(kernel).catch(() => {}) // `load` asks again and throws.
  }

  load(instructions: readonly Instruction[], _regions: number): LoadedTable {
    this.#checkOpen()
    const kernels = Promise.all(instructions.map(({ kernel }) => this.#kernels.address(kernel)))
    kernels.catch(() => {}) // The first run throws it.
    const layout = layOutTable(instructions)
    const block = this.#reserve(layout.bytes)
    return new NativeTable(layout, kernels, block, instructions.length, () => this.free(block))
  }

  // Running.

  run(table: LoadedTable, regions: readonly Block[]): Promise<void> {
    this.#checkOpen()
    const loaded = table as NativeTable
    return this.#later(async () => {
      this.#bind(loaded, await loaded.kernels, regions)
      const { layout, block, instructions } = loaded
      const scratch = this.#scratchFor(layout.scratchBytes)
      const inline = layout.work < inlineWork
      const { address } = scratch.block
      if (inline) this.#runtime.run(this.#pool, block.address, instructions, address, scratch.bytes, 1)
      else await this.#runtime.runLater(this.#pool, block.address, instructions, address, scratch.bytes, this.threads)
    })
  }

  /** Writes the addresses of the regions into the table. */
  #bind(table: NativeTable, kernels: readonly number[], regions: readonly Block[]): void {
    const addresses = regions.map((region) => (region as NativeBlock).address)
    const { bound, block, layout } = table
    if (bound.length > 0 && addresses.every((address, i) => address === bound[i])) return
    table.bound = addresses
    const content = layout.write(kernels, block.address, addresses)
    if (content.length > 0) this.#runtime.write(block.address, content, content.length)
  }

  #scratchFor(bytes: number): { block: NativeBlock; bytes: number } {
    // Threads' parts begin in different cache sets.
    const each = Math.ceil((bytes + guard) / 4096) * 4096 + 64 * 17
    if (this.#scratch === undefined || this.#scratch.bytes < each) {
      const old = this.#scratch
      this.#scratch = undefined
      if (old !== undefined) this.#release(old.block)
      this.#scratch = { block: this.#reserve(each * this.threads), bytes: each }
    }
    return this.#scratch
  }

  #later<T>(work: () => Promise<T>): Promise<T> {
    this.#pending++
    const result = this.#tail.then(work).finally(() => {
      this.#pending--
    })
    this.#tail = result.catch(() => {})
    return result
  }

  #checkOpen(): void {
    if (this.#closed) throw new Error('native: the backend is used after close()')
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#tail
    abandoned.unregister(this)
    endOf(this.#resources)
    this.#bytes = 0
  }
}

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}

function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`
}
