/** Tables as the runtime walks them: instructions first, then for each the addresses of its buffers and its numbers. */
import { bytesPerElement } from '../../base/dtype.ts'
import type { Instruction } from '../backend.ts'
import { instructionBytes, instructionOffsets } from './runtime-source.ts'

/** A place that holds an address inside a region. */
interface Relocation {
  readonly at: number
  readonly region: number
  readonly offset: number
}

export interface NativeLayout {
  readonly bytes: number
  /** Fills in everything that needs addresses. */
  write(kernels: readonly number[], table: number, regions: readonly number[]): Uint8Array
  readonly scratchBytes: number
  readonly work: number
}

export function layOutTable(instructions: readonly Instruction[]): NativeLayout {
  let bytes = instructionBytes * instructions.length
  const starts = instructions.map(({ kernel }) => {
    const start = bytes
    bytes += 8 * kernel.buffers.length + 8 * Math.ceil(kernel.params.length / 2)
    return start
  })
  const content = new DataView(new ArrayBuffer(bytes))
  const relocations: Relocation[] = []
  let scratchBytes = 0
  let work = 0
  for (const [i, { kernel, places, scratch, params, tasks, work: each }] of instructions.entries()) {
    let nextPlace = 0
    let nextScratch = 0
    let scratchEnd = 0
    for (const buffer of kernel.buffers) {
      const at = starts[i] + 8 * buffer.index
      if (buffer.role === 'scratch') {
        content.setBigInt64(at, BigInt(scratchEnd), true)
        scratchEnd += Math.ceil((scratch[nextScratch++] * bytesPerElement[buffer.dtype]) / 64) * 64
      } else relocations.push({ at, ...places[nextPlace++] })
    }
    for (const param of kernel.params) {
      const at = starts[i] + 8 * kernel.buffers.length + 4 * param.index
      if (param.kind === 'f32') content.setFloat32(at, params[param.index], true)
      else content.setInt32(at, params[param.index], true)
    }
    content.setInt32(instructionBytes * i + instructionOffsets.tasks, tasks, true)
    scratchBytes = Math.max(scratchBytes, scratchEnd)
    work += each
  }
  const write = (kernels: readonly number[], table: number, regions: readonly number[]) => {
    for (const [i, { kernel }] of instructions.entries()) {
      const at = instructionBytes * i
      content.setBigInt64(at + instructionOffsets.kernel, BigInt(kernels[i]), true)
      content.setBigInt64(at + instructionOffsets.buffers, BigInt(table + starts[i]), true)
      content.setBigInt64(at + instructionOffsets.params, BigInt(table + starts[i] + 8 * kernel.buffers.length), true)
    }
    for (const { at, region, offset } of relocations) content.setBigInt64(at, BigInt(regions[region] + offset), true)
    return new Uint8Array(content.buffer)
  }
  return { bytes, write, scratchBytes, work }
}
