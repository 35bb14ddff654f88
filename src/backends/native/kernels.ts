/** Kernels as machine code: printed, compiled by the system's compiler, kept in the user's cache, loaded. */
import type { Compiler, LibraryCache, NativeTools } from '#platform'
import type { Kernel } from '../../kernel/language.ts'
import { BackendFailure } from '../backend.ts'
import { prelude } from './prelude.ts'
import { printC } from './print-c.ts'
import { machineFlags, type NativeInstructions } from './target.ts'

/**
 * Products and sums are fused where the kernel says so and nowhere else, 32-bit numbers wrap around, and vectors are
 * written out: the compiler's own would only make short loops long.
 */
// biome-ignore format: a command line
const commonFlags = [
  '-std=gnu11', '-O1', '-ffp-contract=off', '-fno-math-errno', '-fno-trapping-math', '-fwrapv', '-fno-tree-vectorize',
  '-fno-semantic-interposition', '-fvisibility=hidden', '-fPIC', '-shared', '-w',
]

export interface CodeMaker {
  readonly tools: NativeTools
  readonly compiler: Compiler
  readonly cache: LibraryCache
  /** How many compilers run at once. */
  readonly parallel: number
  readonly timeoutMs: number
}

/** Compiles C into a library of the cache, or finds it there. @returns its path */
export async function library(
  { tools, compiler, cache, timeoutMs }: CodeMaker,
  source: string,
  flags: readonly string[],
  name: string,
): Promise<{ path: string; compiled: boolean }> {
  const args = [...commonFlags, ...flags]
  const key = tools.hash([tools.machine, compiler.identity, ...args, source].join('\n')).slice(0, 40)
  const known = await cache.find(key)
  if (known !== undefined) return { path: known, compiled: false }
  let failure: string | undefined
  try {
    const path = await cache.add(key, async (path) => {
      const outcome = await tools.compile(compiler, [...args, '-x', 'c', '-o', path, '-'], source, timeoutMs)
      failure = outcome.failure
      if (failure !== undefined) throw new Error(failure)
    })
    return { path, compiled: true }
  } catch (error) {
    const reason = failure === undefined ? (error as Error).message : `${compiler.path}: ${failure}`
    throw new BackendFailure(`${name} could not be compiled: ${reason}`)
  }
}

/** Address of the task in a loaded library. */
type Load = (path: string) => number

export class NativeKernels {
  readonly #maker: CodeMaker
  readonly #load: Load
  readonly #prelude: string
  readonly #flags: readonly string[]
  readonly #addresses = new Map<string, Promise<number>>()
  #waiting: (() => void)[] = []
  #running = 0
  /** How often a compiler ran. */
  compiled = 0

  constructor(maker: CodeMaker, instructions: NativeInstructions, lanes: number, load: Load) {
    this.#maker = maker
    this.#load = load
    this.#prelude = prelude(lanes, instructions)
    this.#flags = machineFlags(instructions)
  }

  get count(): number {
    return this.#addresses.size
  }

  /** Address of a kernel's task. Kernels asked for one after the other are compiled side by side. */
  address(kernel: Kernel): Promise<number> {
    let address = this.#addresses.get(kernel.key)
    if (address === undefined) {
      address = this.#make(kernel)
      this.#addresses.set(kernel.key, address)
      // A later program may try again: the disk may have room by then.
      address.catch(() => this.#addresses.delete(kernel.key))
    }
    return address
  }

  async #make(kernel: Kernel): Promise<number> {
    if (this.#running >= this.#maker.parallel) await new Promise<void>((go) => this.#waiting.push(go))
    this.#running++
    try {
      const source = this.#prelude + printC(kernel)
      const make = () => library(this.#maker, source, this.#flags, `kernel ${kernel.name}`)
      const { path, compiled } = await make()
      if (compiled) this.compiled++
      try {
        return this.#load(path)
      } catch (error) {
        if (compiled) throw error
        // Another process made room in the cache at this moment.
        this.compiled++
        return this.#load((await make()).path)
      }
    } finally {
      this.#running--
      this.#waiting.shift()?.()
    }
  }
}
