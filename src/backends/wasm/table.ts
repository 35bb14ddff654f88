/** Blocks of memory and tables of instructions. */
import { bytesPerElement } from '../../base/dtype.ts'
import type { Block, Instruction, LoadedTable } from '../backend.ts'
import { makeBallast } from '../ballast.ts'
import { argumentWords } from './print-values.ts'

/** The exported driver of a kernel's module. */
export interface Slot {
  readonly index: number
  readonly module: WebAssembly.Module
  /** Loaded tables that use it. */
  users: number
}

export class WasmBlock implements Block {
  readonly bytes: number
  readonly address: number
  /** Keeps the collector interested. */
  readonly ballast: ArrayBuffer | undefined

  constructor(address: number, bytes: number) {
    this.address = address
    this.bytes = bytes
    this.ballast = makeBallast(bytes)
  }
}

/** A word that holds an address inside a region. */
export interface Relocation {
  readonly word: number
  readonly region: number
  readonly offset: number
}

/** A table before it has an address. */
export interface TableLayout {
  /** Pairs of slot and address of the arguments first, the blocks of arguments behind them. */
  readonly words: Int32Array
  /** Where the block of arguments of each instruction begins, in words. */
  readonly starts: readonly number[]
  readonly relocations: readonly Relocation[]
  readonly work: number
  readonly scratchBytes: number
}

/** Lays out the words of a table: everything but addresses. */
export function layOutTable(instructions: readonly Instruction[], slots: readonly Slot[]): TableLayout {
  let wordCount = 2 * instructions.length
  const starts = instructions.map(({ kernel }) => {
    // A line of its own for each counter.
    wordCount = Math.ceil(wordCount / 16) * 16
    const start = wordCount
    wordCount += argumentWords.buffers + kernel.buffers.length + kernel.params.length
    return start
  })
  const words = new Int32Array(wordCount)
  const floats = new Float32Array(words.buffer)
  const relocations: Relocation[] = []
  let work = 0
  let scratchBytes = 0
  for (const [i, instruction] of instructions.entries()) {
    const { kernel, places, scratch, params, tasks } = instruction
    const start = starts[i]
    words[2 * i] = slots[i].index
    words[start + argumentWords.tasks] = tasks
    let nextPlace = 0
    let nextScratch = 0
    let scratchEnd = 0
    for (const buffer of kernel.buffers) {
      const word = start + argumentWords.buffers + buffer.index
      if (buffer.role === 'scratch') {
        words[word] = scratchEnd
        scratchEnd += Math.ceil((scratch[nextScratch++] * bytesPerElement[buffer.dtype]) / 64) * 64
      } else relocations.push({ word, ...places[nextPlace++] })
    }
    for (const param of kernel.params) {
      const word = start + argumentWords.buffers + kernel.buffers.length + param.index
      if (param.kind === 'f32') floats[word] = params[param.index]
      else words[word] = params[param.index]
    }
    work += instruction.work
    scratchBytes = Math.max(scratchBytes, scratchEnd)
  }
  return { words, starts, relocations, work, scratchBytes }
}

export class WasmTable implements LoadedTable {
  readonly instructions: number
  readonly block: WasmBlock
  readonly words: Int32Array
  readonly relocations: readonly Relocation[]
  readonly slots: readonly Slot[]
  readonly work: number
  readonly scratchBytes: number
  /** Region addresses the words hold now. */
  bound: readonly number[] = []
  readonly #release: (table: WasmTable) => void
  #released = false

  constructor(layout: TableLayout, block: WasmBlock, slots: readonly Slot[], release: (table: WasmTable) => void) {
    this.instructions = slots.length
    this.block = block
    this.words = layout.words
    this.relocations = layout.relocations
    this.slots = slots
    this.work = layout.work
    this.scratchBytes = layout.scratchBytes
    this.#release = release
    for (const [i, start] of layout.starts.entries()) layout.words[2 * i + 1] = block.address + 4 * start
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    this.#release(this)
  }
}
