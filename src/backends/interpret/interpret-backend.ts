/**
 * The interpreter: runs kernels as printed JavaScript, one element after the other. It defines what the loop language
 * means; slow and checked by default.
 */
import { packBfloat16, unpackBfloat16 } from '../../base/bfloat16.ts'
import type { StorageType, TypedArray } from '../../base/dtype.ts'
import { checkOptions, UnsupportedError } from '../../base/errors.ts'
import type { BufferParam, Kernel } from '../../kernel/language.ts'
import type { Target } from '../../kernel/target.ts'
import type { Backend, Block, Instruction, KernelCounts, LoadedTable, Place } from '../backend.ts'
import { printJavaScript } from './print-javascript.ts'
import { type Runtime, runtimeOf } from './runtime.ts'

export interface InterpretOptions {
  /**
   * `f32` (default) rounds every result to single precision; `f64` computes in double and keeps f32 in 8 bytes. bf16 is
   * bf16 in both: what is stored as such is rounded to single precision and then to bf16.
   */
  readonly precision?: 'f32' | 'f64'
  /** Vector width that kernels are built for, 1 by default. Others let tests run the wide code. */
  readonly lanes?: number
  /** Checks every index against the end of its region and fills scratch and new blocks with garbage. Default true. */
  readonly checked?: boolean
  /** Lets kernels use `dot2`, as on machines that have it. Default false. */
  readonly bf16Dot?: boolean
  /** `polynomial` makes kernels bring their own exp, log, … as on machine targets. Default `intrinsic`. */
  readonly math?: Target['math']
}

export function createInterpretBackend(options: InterpretOptions = {}): Backend {
  checkOptions('createInterpretBackend', options, ['precision', 'lanes', 'checked', 'math', 'bf16Dot'])
  return new InterpretBackend(options)
}

type Memory =
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
type Task = (task: number) => void
type MakeTask = (runtime: Runtime, buffers: readonly Memory[], params: readonly number[]) => Task

interface Compiled {
  readonly runtime: Runtime
  readonly makeTask: MakeTask
}

interface Step {
  readonly instruction: Instruction
  readonly compiled: Compiled
}

class InterpretBlock implements Block {
  readonly bytes: number
  /** Undefined once freed. */
  memory: ArrayBuffer | undefined

  constructor(memory: ArrayBuffer, bytes: number) {
    this.memory = memory
    this.bytes = bytes
  }
}

class InterpretTable implements LoadedTable {
  readonly steps: readonly Step[]
  readonly regions: number
  released = false

  constructor(steps: readonly Step[], regions: number) {
    this.steps = steps
    this.regions = regions
  }

  release(): void {
    this.released = true
  }
}

const cacheLimit = 1024
/** Work between two looks at the event loop. */
const sliceMs = 10
const garbageInt = -0x5a5a5a5b
const garbageByte = 0xa5

class InterpretBackend implements Backend {
  readonly name: string
  readonly target: Target
  readonly threads = 1
  readonly #precision: 'f32' | 'f64'
  readonly #checked: boolean
  /** Compiled kernels by key, least recently used first. */
  readonly #kernels = new Map<string, Compiled>()
  #compiled = 0
  #bytesInUse = 0
  #closed = false
  /** Settles when everything asked for so far is done. */
  #tail: Promise<void> = Promise.resolve()
  #pending = 0
  #sliceEnd = 0

  constructor(options: InterpretOptions) {
    const precision = options.precision ?? 'f32'
    this.#precision = precision
    this.#checked = options.checked ?? true
    this.name = precision === 'f64' ? 'interpret-f64' : 'interpret'
    this.target = {
      name: this.name,
      lanes: options.lanes ?? 1,
      registers: 15,
      fma: false,
      bf16Dot: options.bf16Dot ?? false,
      math: options.math ?? 'intrinsic',
      bytes: { f32: precision === 'f64' ? 8 : 4, i32: 4, u8: 1, bool: 1, bf16: 2 },
      cacheBytes: 2 ** 20,
    }
  }

  get kernels(): KernelCounts {
    return { cached: this.#kernels.size, compiled: this.#compiled }
  }

  // Memory.

  allocate(bytes: number): Block {
    this.#checkOpen()
    try {
      const memory = new ArrayBuffer(bytes)
      this.#bytesInUse += bytes
      if (this.#checked) new Uint8Array(memory).fill(0xff)
      return new InterpretBlock(memory, bytes)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      throw new UnsupportedError({
        where: this.name,
        what: 'out of memory',
        got: `a block of ${bytes} bytes, which JavaScript does not allocate (${error.message})`,
        fix: 'use a smaller batch or a smaller network',
      })
    }
  }

  free(block: Block): void {
    this.#now(() => {
      if ((block as InterpretBlock).memory !== undefined) this.#bytesInUse -= block.bytes
      ;(block as InterpretBlock).memory = undefined
    })
  }

  get bytesInUse(): number {
    return this.#bytesInUse
  }

  write(block: Block, offset: number, dtype: StorageType, data: TypedArray): void {
    this.#checkOpen()
    const copy = this.#pending === 0 ? data : data.slice()
    const view = this.#view(block, offset, dtype, data.length)
    this.#now(() => {
      if (dtype === 'bool') for (let i = 0; i < copy.length; i++) view[i] = copy[i] !== 0 ? 1 : 0
      else view.set(dtype === 'bf16' ? packBfloat16(copy) : copy)
    })
  }

  read(block: Block, offset: number, dtype: StorageType, length: number): Promise<TypedArray> {
    this.#checkOpen()
    const view = this.#view(block, offset, dtype, length)
    return this.#later(async () => (view instanceof Uint16Array ? unpackBfloat16(view) : view.slice()))
  }

  /** Elements of a block from byte `offset` on: `length` of them, or all up to its end. */
  #view(block: Block, offset: number, dtype: StorageType, length?: number): Memory {
    const memory = (block as InterpretBlock).memory
    if (memory === undefined)
      throw new Error(`${this.name}: a block of ${block.bytes} bytes is used after it was freed`)
    const size = this.target.bytes[dtype]
    const room = Math.floor((block.bytes - offset) / size)
    if (offset % size !== 0)
      throw new Error(`${this.name}: offset ${offset} is not a multiple of ${size}, the size of ${dtype}`)
    if (offset < 0 || (length ?? 0) > room) {
      throw new Error(
        `${this.name}: ${length ?? 0} elements of ${dtype} at byte ${offset} leave the block of ${block.bytes} bytes`,
      )
    }
    return this.#array(dtype, memory, offset, length ?? room)
  }

  #array(dtype: StorageType, memory: ArrayBuffer, offset: number, length: number): Memory {
    switch (dtype) {
      case 'f32':
        return this.#precision === 'f64'
          ? new Float64Array(memory, offset, length)
          : new Float32Array(memory, offset, length)
      case 'i32':
        return new Int32Array(memory, offset, length)
      case 'bf16':
        return new Uint16Array(memory, offset, length)
      case 'u8':
      case 'bool':
        return new Uint8Array(memory, offset, length)
      default:
        return dtype satisfies never
    }
  }

  // Kernels.

  prepare(kernel: Kernel): void {
    this.#checkOpen()
    this.#compile(kernel)
  }

  load(instructions: readonly Instruction[], regions: number): LoadedTable {
    this.#checkOpen()
    const steps = instructions.map((instruction) => {
      this.#checkInstruction(instruction, regions)
      return { instruction, compiled: this.#compile(instruction.kernel) }
    })
    return new InterpretTable(steps, regions)
  }

  #compile(kernel: Kernel): Compiled {
    let compiled = this.#kernels.get(kernel.key)
    if (compiled === undefined) {
      const source = printJavaScript(kernel, { precision: this.#precision, checked: this.#checked })
      const makeTask = new Function('runtime', 'buffers', 'params', source) as MakeTask
      compiled = { runtime: runtimeOf(kernel.name), makeTask }
      this.#compiled++
    }
    this.#kernels.delete(kernel.key)
    this.#kernels.set(kernel.key, compiled)
    if (this.#kernels.size > cacheLimit) {
      const [oldest] = this.#kernels.keys()
      this.#kernels.delete(oldest)
    }
    return compiled
  }

  #checkInstruction({ kernel, places, scratch, params, tasks }: Instruction, regions: number): void {
    const fail = (what: string): never => {
      throw new Error(`${this.name}: instruction of kernel ${kernel.name}: ${what}`)
    }
    const scratchBuffers = kernel.buffers.filter((buffer) => buffer.role === 'scratch').length
    const placed = kernel.buffers.length - scratchBuffers
    if (places.length !== placed) fail(`${places.length} places for ${placed} buffers`)
    if (scratch.length !== scratchBuffers) fail(`${scratch.length} scratch sizes for ${scratchBuffers} scratch buffers`)
    if (params.length !== kernel.params.length) fail(`${params.length} values for ${kernel.params.length} parameters`)
    if (!Number.isInteger(tasks) || tasks < 0) fail(`${tasks} tasks`)
    for (const { region } of places) if (!(region >= 0 && region < regions)) fail(`region ${region} of ${regions}`)
    for (const param of kernel.params) {
      const value = params[param.index]
      if (param.kind === 'i32' && (value | 0) !== value) fail(`parameter ${param.name} = ${value} is not an i32`)
    }
  }

  // Running.

  run(table: LoadedTable, regions: readonly Block[]): Promise<void> {
    this.#checkOpen()
    const { steps, released } = table as InterpretTable
    if (released) throw new Error(`${this.name}: a table is run after its release`)
    return this.#later(async () => {
      for (const step of steps) await this.#step(step, regions)
    })
  }

  async #step({ instruction, compiled }: Step, regions: readonly Block[]): Promise<void> {
    const { kernel, tasks } = instruction
    const places = instruction.places.values()
    const sizes = instruction.scratch.values()
    const scratch: Memory[] = []
    const buffers = kernel.buffers.map((buffer) => {
      if (buffer.role !== 'scratch') return this.#bind(kernel, buffer, places.next().value as Place, regions)
      const length = sizes.next().value as number
      const array = this.#array(buffer.dtype, new ArrayBuffer(length * this.target.bytes[buffer.dtype]), 0, length)
      scratch.push(array)
      return array
    })
    const params = kernel.params.map(({ kind, index }) => {
      const value = instruction.params[index]
      return kind === 'f32' && this.#precision === 'f32' ? Math.fround(value) : value
    })
    const task = compiled.makeTask(compiled.runtime, buffers, params)
    for (let i = 0; i < tasks; i++) {
      if (this.#checked) for (const array of scratch) fillWithGarbage(array)
      task(i)
      if (performance.now() > this.#sliceEnd) await this.#pause()
    }
  }

  #bind(kernel: Kernel, buffer: BufferParam, place: Place, regions: readonly Block[]): Memory {
    const block = regions[place.region]
    if (block === undefined)
      throw new Error(`${this.name}: kernel ${kernel.name}, buffer ${buffer.name}: region ${place.region} is not bound`)
    return this.#view(block, place.offset, buffer.dtype)
  }

  async #pause(): Promise<void> {
    await new Promise<void>((resolve) => setTimeout(resolve, 0))
    this.#sliceEnd = performance.now() + sliceMs
  }

  /** Runs `work` after everything asked for earlier; what fails fails alone. */
  #later<T>(work: () => Promise<T>): Promise<T> {
    this.#pending++
    const result = this.#tail.then(async () => {
      if (this.#sliceEnd === 0) this.#sliceEnd = performance.now() + sliceMs
      try {
        return await work()
      } finally {
        this.#pending--
      }
    })
    this.#tail = result.then(
      () => {},
      () => {},
    )
    return result
  }

  /** Runs `work` at once when nothing is under way, in its turn otherwise. */
  #now(work: () => void): void {
    if (this.#pending === 0) work()
    else void this.#later(async () => work())
  }

  #checkOpen(): void {
    if (this.#closed) throw new Error(`${this.name}: the backend is closed`)
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#tail
    this.#kernels.clear()
  }
}

function fillWithGarbage(array: Memory): void {
  if (array instanceof Int32Array) array.fill(garbageInt)
  else array.fill(array instanceof Uint8Array ? garbageByte : Number.NaN)
}
