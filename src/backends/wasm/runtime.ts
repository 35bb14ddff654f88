/** The module that walks a table of instructions, all threads together. */
import { FunctionCode, i32, ModuleEncoder, op } from './encode.ts'

/** Bytes of the block threads meet at: arrived, generation, sleepers and the poison flag, a cache line each. */
export const barrierBytes = 256
export const barrierOffsets = { arrived: 0, generation: 64, sleepers: 128, poisoned: 192 } as const

/**
 * Exports `walk(table, count, threads, scratch, barrier, spins)`: 0 when all instructions are done, 1 when another
 * thread has failed. An entry of the table is a slot of the function table and the address of a block of arguments.
 * The last thread to arrive at a barrier resets the counter of the instruction that is done.
 */
export function runtimeModule(shared: boolean, maximumPages: number): Uint8Array<ArrayBuffer> {
  const module = new ModuleEncoder()
  module.importMemory('m', 'memory', { shared, maximumPages })
  module.importTable('m', 'table')
  const [table, count, threads, scratch, barrier, spins] = [0, 1, 2, 3, 4, 5]
  const code = new FunctionCode(6)
  const args = code.local(i32)
  const generation = code.local(i32)
  const left = code.local(i32)
  const { arrived, generation: turn, sleepers, poisoned } = barrierOffsets
  const atomicLoad = (offset: number) => code.get(barrier).memory(op.i32AtomicLoad, 2, offset)
  code.get(count).op(op.i32Eqz).block(op.if).int(0).op(op.return).end()
  code.block(op.loop)
  code.get(table).memory(op.i32Load, 2, 4).set(args)
  if (shared) atomicLoad(turn).set(generation)
  code.get(args).get(scratch).get(table).memory(op.i32Load, 2, 0)
  code
    .op(op.callIndirect)
    .u32(module.type([i32, i32], []))
    .u32(0)
  if (!shared) {
    code.get(args).int(0).memory(op.i32Store, 2, 0)
  } else {
    // Arrive. Alone or last: reset the counter, open the barrier.
    code.get(barrier).int(1).memory(op.i32AtomicRmwAdd, 2, arrived).int(1).op(op.i32Add).get(threads).op(op.i32Eq)
    code.block(op.if)
    code.get(args).int(0).memory(op.i32AtomicStore, 2, 0)
    code.get(barrier).int(0).memory(op.i32AtomicStore, 2, arrived)
    code.get(barrier).int(1).memory(op.i32AtomicRmwAdd, 2, turn).op(op.drop)
    atomicLoad(sleepers)
    code.block(op.if)
    code.get(barrier).int(0x7fffffff).memory(op.memoryAtomicNotify, 2, turn).op(op.drop)
    code.end()
    code.op(op.else)
    // The poison flag is set before the generation changes: whoever missed the change sees the flag here.
    atomicLoad(poisoned).block(op.if).int(1).op(op.return).end()
    code.get(spins).set(left)
    code.block(op.block).block(op.loop)
    atomicLoad(turn).get(generation).op(op.i32Ne).index(op.brIf, 1)
    code.get(left).int(1).op(op.i32Sub).tee(left).int(0).op(op.i32GtS).index(op.brIf, 0)
    code.get(barrier).int(1).memory(op.i32AtomicRmwAdd, 2, sleepers).op(op.drop)
    code.get(barrier).get(generation).op(op.i64Const).s32(-1).memory(op.memoryAtomicWait32, 2, turn).op(op.drop)
    code.get(barrier).int(1).memory(op.i32AtomicRmwSub, 2, sleepers).op(op.drop)
    code.index(op.br, 0).end().end()
    code.end()
    atomicLoad(poisoned).block(op.if).int(1).op(op.return).end()
  }
  code.get(table).int(8).op(op.i32Add).set(table)
  code.get(count).int(1).op(op.i32Sub).tee(count).index(op.brIf, 0)
  code.end().int(0)
  module.export('walk', module.function('walk', module.type([i32, i32, i32, i32, i32, i32], [i32]), code.encode()))
  return module.encode('juanji_runtime')
}
