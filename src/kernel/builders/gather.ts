/**
 * Rows by number: gather copies rows of a table, scatter adds rows to a table of zeros. Numbers outside the table are
 * moved to its nearest end, so that nothing outside memory is ever touched.
 */
import type { DType } from '../../base/dtype.ts'
import { KernelBuilder, type KernelSpec } from '../build.ts'
import { add, and, constant, div, ge, lt, max, min, mul, rem, sub } from '../expression.ts'
import type { Expr, Pointer } from '../language.ts'
import type { Target } from '../target.ts'

interface Call {
  readonly params: number[]
  readonly tasks: number
  readonly work: number
}

const elementsPerTask = 16384
/** Tasks a scatter is cut into: each reads all indices, and the number must not depend on the machine. */
const scatterTasks = 32

/** Runs `step` for all elements of a row: vectors first, then what is left. */
function alongRow(k: KernelBuilder, width: Expr, pointers: readonly Pointer[], step: (lanes: number) => void): void {
  const block = (lanes: number) => {
    step(lanes)
    for (const pointer of pointers) k.advance(pointer, lanes)
  }
  if (k.lanes > 1) k.repeat(div(width, k.lanes), () => block(k.lanes))
  k.repeat(k.lanes > 1 ? rem(width, k.lanes) : width, () => block(1))
}

const valueAt = (k: KernelBuilder, pointer: Pointer, lanes: number) =>
  lanes === 1 ? k.load(pointer) : k.loadVector(pointer)

export interface GatherShape {
  readonly dtype: DType
  readonly indices: 'i32' | 'u8'
}

/** Buffers: table [rows, width], indices [count], output [count, width]. */
export function gatherSpec(shape: GatherShape): KernelSpec {
  const key = `gather|${shape.dtype}|${shape.indices}`
  return { key, build: (target) => buildGather(shape, key, target) }
}

export function gatherCall(rows: number, width: number, count: number): Call {
  const perTask = Math.max(1, Math.min(count, Math.floor(elementsPerTask / width)))
  return { params: [rows, width, count, perTask], tasks: Math.ceil(count / perTask), work: count * width }
}

function buildGather(shape: GatherShape, key: string, target: Target) {
  const k = new KernelBuilder(target)
  const table = k.buffer('table', shape.dtype, 'input')
  const indices = k.buffer('indices', shape.indices, 'input')
  const y = k.buffer('y', shape.dtype, 'output')
  const rows = k.int('rows')
  const width = k.int('width')
  const count = k.int('count')
  const perTask = k.int('perTask')
  const run = k.function('rows', [{ pointer: indices }, { pointer: y }, { int: 'first' }], (index, to, many) => {
    const from = k.point(table)
    k.repeat(many, () => {
      const row = k.let(max(min(k.load(index), sub(rows, 1)), 0))
      k.follow(from, k.point(table, mul(row, width)))
      alongRow(k, width, [from, to], (lanes) => k.store(to, valueAt(k, from, lanes), 0, lanes))
      k.advance(index, 1)
    })
  })
  k.task((task) => {
    const first = k.let(mul(task, perTask))
    k.call(run, k.point(indices, first), k.point(y, mul(first, width)), min(sub(count, first), perTask))
  })
  return k.build(`gather_${shape.dtype}_${target.name}`, key)
}

/** Buffers: indices [count], updates [count, width], output [rows, width]. */
export function scatterAddSpec(indices: 'i32' | 'u8'): KernelSpec {
  const key = `scatter-add|${indices}`
  return { key, build: (target) => buildScatterAdd(indices, key, target) }
}

export function scatterAddCall(rows: number, width: number, count: number): Call {
  const perTask = Math.ceil(rows / scatterTasks)
  return { params: [rows, width, count, perTask], tasks: Math.ceil(rows / perTask), work: (rows + count) * width }
}

// A task owns some rows of the output: it goes through all indices and adds what belongs to its rows, in their order.
function buildScatterAdd(indicesType: 'i32' | 'u8', key: string, target: Target) {
  const k = new KernelBuilder(target)
  const indices = k.buffer('indices', indicesType, 'input')
  const updates = k.buffer('updates', 'f32', 'input')
  const y = k.buffer('y', 'f32', 'output')
  const rows = k.int('rows')
  const width = k.int('width')
  const count = k.int('count')
  const perTask = k.int('perTask')
  const clear = k.function('clear', [{ pointer: y }, { int: 'elements' }], (to, elements) => {
    alongRow(k, elements, [to], (lanes) => k.store(to, constant('f32', 0, lanes), 0, lanes))
  })
  const addRow = k.function('addRow', [{ pointer: updates }, { pointer: y }], (from, to) => {
    alongRow(k, width, [from, to], (lanes) => {
      k.store(to, k.let(add(valueAt(k, to, lanes), valueAt(k, from, lanes))), 0, lanes)
    })
  })
  const run = k.function('rows', [{ int: 'firstRow' }, { int: 'endRow' }], (first, end) => {
    const index = k.point(indices)
    const from = k.point(updates)
    k.repeat(count, () => {
      const row = k.let(max(min(k.load(index), sub(rows, 1)), 0))
      k.if(and(ge(row, first), lt(row, end)), () => k.call(addRow, from, k.point(y, mul(row, width))))
      k.advance(index, 1)
      k.advance(from, width)
    })
  })
  k.task((task) => {
    const first = k.let(mul(task, perTask))
    const many = k.let(min(sub(rows, first), perTask))
    k.call(clear, k.point(y, mul(first, width)), mul(many, width))
    k.call(run, first, add(first, many))
  })
  return k.build(`scatter_add_${target.name}`, key)
}
