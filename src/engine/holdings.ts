/** What programs hold on a device, beside the arena and Variables: shared where it is equal, given back when it is too much. */
import type { Backend, Block, LoadedTable } from '../backends/backend.ts'
import type { DataAttributes } from '../graph/node.ts'
import type { Plan } from '../schedule/index.ts'
import { lasting } from './identity.ts'

export interface Tables {
  /** What is computed before the first run, where there is anything. */
  readonly prologue: LoadedTable | undefined
  readonly run: LoadedTable
}

/** What a prologue leaves. Programs whose prologues do the same share it. */
export class Kept {
  readonly key: string
  readonly block: Block
  /** Versions of the Variables that it was made of; undefined where nothing is there yet. */
  versions: readonly number[] | undefined
  /** Writes to any Variable when these versions were last found to be the present ones. */
  comparedAt = 0
  /** Programs that hold it. */
  holders = 0

  constructor(key: string, block: Block) {
    this.key = key
    this.block = block
  }
}

/** Everything a program holds that the collector does not see. */
export class Holdings {
  tables: Tables | undefined
  kept: Kept | undefined
  readonly blocks = new Map<number, Block>()

  /** Bytes of its buffers, without what it keeps. */
  get bufferBytes(): number {
    let bytes = 0
    for (const block of this.blocks.values()) bytes += block.bytes
    return bytes
  }
}

/** Programs that hold no more than this are left alone. */
const small = 65_536
/** So many programs, those that ran last, keep what they hold while there is memory at all. */
const fewest = 4
const gibibyte = 2 ** 30

/** What the programs of a device hold. */
export class HeldMemory {
  /** From here on programs that did not run for long give back what they hold. Default: 1 GiB, at most a quarter of what the backend has. */
  mostBytes: number
  readonly #backend: Backend
  readonly #kept = new Map<string, Kept>()
  /** Those that hold much, in the order of their last runs. */
  readonly #large = new Set<Holdings>()
  #running: Holdings | undefined

  constructor(backend: Backend) {
    this.#backend = backend
    this.mostBytes = Math.min(gibibyte, (backend.memoryLimitBytes ?? 4 * gibibyte) / 4)
  }

  /** From here on this program runs: it gives nothing back meanwhile. */
  begin(holdings: Holdings): void {
    if (this.#running === holdings) return
    this.#running = holdings
    if (this.#large.delete(holdings)) this.#large.add(holdings)
  }

  /** Takes what a program with an equal prologue keeps already. */
  share(holdings: Holdings, key: string): Kept | undefined {
    const kept = this.#kept.get(key)
    return kept === undefined ? undefined : this.#hold(holdings, kept)
  }

  /** Takes memory for what a prologue leaves. */
  keep(holdings: Holdings, key: string, block: Block): Kept {
    const kept = new Kept(key, block)
    this.#kept.set(key, kept)
    return this.#hold(holdings, kept)
  }

  #hold(holdings: Holdings, kept: Kept): Kept {
    kept.holders++
    holdings.kept = kept
    if (kept.block.bytes > small) this.#grown(holdings)
    return kept
  }

  /** Bytes that a program with such a prologue need not take: another one holds them. */
  keptBytes(key: string): number {
    return this.#kept.get(key)?.block.bytes ?? 0
  }

  /** Takes a buffer. */
  buffer(holdings: Holdings, region: number, block: Block): Block {
    holdings.blocks.set(region, block)
    if (block.bytes > small) this.#grown(holdings)
    return block
  }

  #grown(holdings: Holdings): void {
    this.#large.add(holdings)
    while (this.#large.size > fewest && this.bytes > this.mostBytes && this.releaseOldest()) {}
  }

  /** Bytes that programs hold which hold much, what they share once. */
  get bytes(): number {
    let bytes = 0
    for (const holdings of this.#large) bytes += holdings.bufferBytes
    for (const { block } of this.#kept.values()) bytes += block.bytes
    return bytes
  }

  /** Gives back what the program holds that has not run for longest. @returns false when there is none but the one that runs */
  releaseOldest(): boolean {
    for (const holdings of this.#large) {
      if (holdings === this.#running) continue
      this.release(holdings)
      return true
    }
    return false
  }

  /** Gives back all that a program holds; its next run takes it anew. */
  release(holdings: Holdings): void {
    this.dropTables(holdings)
    const { kept } = holdings
    holdings.kept = undefined
    if (kept !== undefined && --kept.holders === 0) {
      this.#kept.delete(kept.key)
      this.#backend.free(kept.block)
    }
    for (const block of holdings.blocks.values()) this.#backend.free(block)
    holdings.blocks.clear()
    this.#large.delete(holdings)
    if (this.#running === holdings) this.#running = undefined
  }

  dropTables(holdings: Holdings): void {
    holdings.tables?.prologue?.release()
    holdings.tables?.run.release()
    holdings.tables = undefined
  }
}

/** Larger arrays are told apart by what they are, smaller ones by what they hold: every trace makes its own. */
const smallArray = 4096
const exact = (value: number) => (Object.is(value, -0) ? '-0' : String(value))

/** What a prologue does, as text: where it is equal, equal bytes come to lie in equal places. */
export function prologueKey({ prologue, regions, keptBytes }: Plan): string {
  const names = new Map<number, string>()
  const nameOf = (index: number): string => {
    const region = regions[index]
    switch (region.kind) {
      case 'variable':
        return `variable${lasting.of(region.variable)}`
      case 'data': {
        const { data, dtype } = region.node.attributes as DataAttributes
        if (data.length > smallArray) return `array${lasting.of(data)}`
        return `${dtype}[${Array.from(data, exact)}]`
      }
      default:
        return region.kind
    }
  }
  const named = (index: number): string => {
    const name = names.get(index) ?? nameOf(index)
    names.set(index, name)
    return name
  }
  const calls = prologue.map(({ spec, places, scratch, params, tasks }) => [
    spec.key,
    places.map(({ region, offset }) => `${named(region)}+${offset}`),
    scratch,
    params.map(exact),
    tasks,
  ])
  return JSON.stringify([keptBytes, calls])
}
