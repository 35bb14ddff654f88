/** Address spaces: shared memories, and a best-fit allocator whose free neighbours become one. */

export const pageBytes = 65536
/** 4 GiB, what 32-bit addresses reach. */
export const mostPages = 65536

interface Free {
  offset: number
  bytes: number
}

const alignment = 64
/** Readable bytes behind every block. */
const guard = 64

export class Allocator {
  /** Sorted by offset, never adjacent. */
  readonly #free: Free[] = []
  readonly #sizes = new Map<number, number>()
  #end: number

  constructor(start: number) {
    this.#end = start
  }

  /** The first address with nothing in use at it or behind it. */
  get end(): number {
    return this.#end
  }

  /** Bytes handed out, with alignment. */
  get used(): number {
    let sum = 0
    for (const size of this.#sizes.values()) sum += size
    return sum
  }

  allocate(bytes: number): number {
    const size = Math.ceil((bytes + guard) / alignment) * alignment
    let best = -1
    for (const [i, free] of this.#free.entries()) {
      if (free.bytes >= size && (best < 0 || free.bytes < this.#free[best].bytes)) best = i
    }
    let offset: number
    if (best >= 0) {
      const free = this.#free[best]
      offset = free.offset
      free.offset += size
      free.bytes -= size
      if (free.bytes === 0) this.#free.splice(best, 1)
    } else {
      offset = this.#end
      this.#end += size
    }
    this.#sizes.set(offset, size)
    return offset
  }

  free(offset: number): void {
    const bytes = this.#sizes.get(offset)
    if (bytes === undefined) throw new Error(`address ${offset} is not in use`)
    this.#sizes.delete(offset)
    let at = this.#free.findIndex((free) => free.offset > offset)
    if (at < 0) at = this.#free.length
    this.#free.splice(at, 0, { offset, bytes })
    const next = this.#free[at + 1]
    if (next !== undefined && offset + bytes === next.offset) {
      this.#free[at].bytes += next.bytes
      this.#free.splice(at + 1, 1)
    }
    const previous = this.#free[at - 1]
    if (previous !== undefined && previous.offset + previous.bytes === offset) {
      previous.bytes += this.#free[at].bytes
      this.#free.splice(at, 1)
    }
    // What is free at the end counts as never handed out.
    const last = this.#free.at(-1)
    if (last !== undefined && last.offset + last.bytes === this.#end) {
      this.#end = last.offset
      this.#free.pop()
    }
  }
}

/** Asks for 4 GiB of address space and halves until the engine agrees; only what is used becomes real. */
export function makeSharedMemory(pages: number): { memory: WebAssembly.Memory; maximum: number } {
  for (let maximum = mostPages; ; maximum >>= 1) {
    try {
      return { memory: new WebAssembly.Memory({ initial: pages, maximum, shared: true }), maximum }
    } catch (error) {
      if (maximum <= 256) throw error
    }
  }
}
