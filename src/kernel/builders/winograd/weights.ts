/**
 * The weights of a Winograd convolution: G g Gᵀ of every pair of channels as panels [panel][point][channel][columns of a
 * tile], which the products read straight through. Columns behind the last one are zeros. Strides may be negative, so
 * that flipped and transposed weights, those of the input gradient, are transformed by the same kernel.
 */
import type { StorageType } from '../../../base/dtype.ts'
import { KernelBuilder, type KernelSpec } from '../../build.ts'
import { add, constant, div, eq, lt, min, mul, rem, sub } from '../../expression.ts'
import type { BufferParam, Expr, Kernel, KernelFunction, Pointer } from '../../language.ts'
import type { Target } from '../../target.ts'
import { columnsOf, wideTile } from '../contraction/tile.ts'
import { algebraOf, type TileOutputs, transformSquare } from './algebra.ts'
import { planePadding } from './tiles.ts'

export interface WeightShape {
  readonly outputs: TileOutputs
  readonly source: StorageType
  /** Whether neighbouring channels are neighbours in memory, and not neighbouring columns. */
  readonly transposed: boolean
}

export interface WeightArguments {
  /** Channels that the products add up. */
  readonly channels: number
  /** Channels that they give. */
  readonly columns: number
  /** Elements from tap row to tap row, tap to tap, channel to channel, column to column, and the first one. */
  readonly row: number
  readonly tap: number
  readonly channel: number
  readonly column: number
  readonly first: number
}

/** Elements of the transformed weights from point to point and from panel to panel. */
export function weightLayout(outputs: TileOutputs, channels: number, target: Target): { plane: number; panel: number } {
  const plane = channels * columnsOf(wideTile(target), target) + planePadding
  return { plane, panel: plane * algebraOf(outputs).points ** 2 }
}

const elementsPerTask = 32_768
/** Channels that are turned at a time, a multiple of any number of lanes. */
const stagedChannels = 16

export function weightSpec(shape: WeightShape): KernelSpec {
  const key = `winogradWeights|${shape.outputs}|${shape.source}|${shape.transposed}`
  return { key, build: (target) => buildWeights(shape, key, target) }
}

/** @returns with `size`, the elements of the transformed weights */
export function weightCall(shape: WeightShape, args: WeightArguments, target: Target) {
  const columns = columnsOf(wideTile(target), target)
  const { plane, panel } = weightLayout(shape.outputs, args.channels, target)
  const panels = Math.ceil(args.columns / columns)
  const points = algebraOf(shape.outputs).points ** 2
  const perTask = Math.max(
    1,
    Math.min(args.channels, Math.ceil(elementsPerTask / (points * columns) / stagedChannels) * stagedChannels),
  )
  const parts = Math.ceil(args.channels / perTask)
  const params = [
    args.channels,
    args.columns,
    args.row,
    args.tap,
    args.channel,
    args.column,
    args.first,
    plane,
    panel,
    perTask,
    parts,
  ]
  const scratch = shape.transposed ? [9 * stagedChannels * columns] : []
  return { params, tasks: panels * parts, scratch, work: panels * panel, size: panels * panel }
}

function loadWide(k: KernelBuilder, pointer: Pointer, offset: number): Expr {
  return k.lanes === 1 ? k.load(pointer, offset) : k.loadVector(pointer, offset)
}

function buildWeights(shape: WeightShape, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const { points, weights: transform } = algebraOf(shape.outputs)
  const tileColumns = columnsOf(wideTile(target), target)
  const source = k.buffer('x', shape.source, 'input')
  const result = k.buffer('y', 'f32', 'output')
  const staged = shape.transposed ? k.buffer('staged', 'f32', 'scratch') : undefined
  const [channels, columns, row, tap] = ['channels', 'columns', 'row', 'tap'].map((name) => k.int(name))
  const [channel, column, first] = ['channel', 'column', 'first'].map((name) => k.int(name))
  const [plane, panelSize, perTask, parts] = ['plane', 'panelSize', 'perTask', 'parts'].map((name) => k.int(name))

  /** One channel of one or `lanes` columns. */
  const square = (load: (i: number, j: number) => Expr, to: Pointer, step: Expr) => {
    const out = k.pointFrom(to)
    transformSquare(k, transform, 3, load, (_i, _j, value) => {
      k.store(out, value)
      k.advance(out, step)
    })
  }
  const tapAt = (from: Pointer, i: number, j: number) => k.pointFrom(from, add(mul(row, i), mul(tap, j)))
  const declarations = [{ pointer: source }, { pointer: result }, { int: 'count' }] as const
  /** All columns of one channel after the other. */
  const channelsOf = (
    count: Expr,
    to: Pointer,
    from: Pointer,
    next: Expr | number,
    load: (i: number, j: number) => Expr,
  ) => {
    const step = k.variable(plane, 'plane').value
    k.repeat(count, () => {
      k.repeat(constant('i32', tileColumns / k.lanes), () => {
        square(load, to, step)
        k.advance(from, k.lanes)
        k.advance(to, k.lanes)
      })
      k.advance(from, next)
    })
  }
  const full =
    staged === undefined
      ? k.function('full', declarations, (firstFrom, firstTo, count) => {
          const from = k.pointFrom(firstFrom)
          const next = k.let(sub(channel, tileColumns))
          channelsOf(count, k.pointFrom(firstTo), from, next, (i, j) => loadWide(k, tapAt(from, i, j), 0))
        })
      : defineTransposed(staged)

  /** Where channels are neighbours in memory and columns are not: some channels are turned in scratch memory first. */
  function defineTransposed(staged: BufferParam): KernelFunction {
    const turn = k.function('turn', [{ pointer: source }, { int: 'count' }], (from, count) => {
      const vectors = k.let(div(count, k.lanes))
      for (let t = 0; t < 9; t++) {
        const at = tapAt(from, Math.floor(t / 3), t % 3)
        k.loop(constant('i32', tileColumns), (i) => {
          const to = k.point(staged, add(i, t * stagedChannels * tileColumns))
          const next = k.pointFrom(at)
          const step = (lanes: number) => {
            const value = k.let(lanes === 1 ? k.load(next) : k.loadVector(next))
            k.store(to, value, 0, lanes, lanes === 1 ? undefined : constant('i32', tileColumns))
            k.advance(next, lanes)
            k.advance(to, lanes * tileColumns)
          }
          k.repeat(vectors, () => step(k.lanes))
          if (k.lanes > 1) k.repeat(rem(count, k.lanes), () => step(1))
          k.advance(at, column)
        })
      }
    })
    const turned = k.function('turned', [{ pointer: result }, { int: 'count' }], (firstTo, count) => {
      const from = k.point(staged)
      const offset = (i: number, j: number) => (3 * i + j) * stagedChannels * tileColumns
      channelsOf(count, k.pointFrom(firstTo), from, 0, (i, j) => loadWide(k, from, offset(i, j)))
    })
    return k.function('full', declarations, (firstFrom, firstTo, count) => {
      const from = k.pointFrom(firstFrom)
      const to = k.pointFrom(firstTo)
      k.loop(div(add(count, stagedChannels - 1), stagedChannels), (i) => {
        const some = k.let(min(sub(count, mul(i, stagedChannels)), stagedChannels))
        k.call(turn, from, some)
        k.call(turned, to, some)
        k.advance(from, stagedChannels)
        k.advance(to, stagedChannels * tileColumns)
      })
    })
  }
  const tail = k.function('tail', [...declarations, { int: 'real' }], (firstFrom, firstTo, count, real) => {
    const from = k.pointFrom(firstFrom)
    const to = k.pointFrom(firstTo)
    k.repeat(count, () => {
      const at = k.pointFrom(from)
      k.loop(constant('i32', tileColumns), (i) => {
        k.if(
          lt(i, real),
          () => square((i, j) => k.load(tapAt(at, i, j)), to, plane),
          () => {
            const out = k.pointFrom(to)
            k.repeat(constant('i32', points * points), () => {
              k.store(out, constant('f32', 0))
              k.advance(out, plane)
            })
          },
        )
        k.advance(at, column)
        k.advance(to, 1)
      })
      k.advance(from, channel)
    })
  })
  k.task((task) => {
    const panel = k.let(div(task, parts))
    const firstChannel = k.let(mul(rem(task, parts), perTask))
    const count = k.let(min(sub(channels, firstChannel), perTask))
    const firstColumn = k.let(mul(panel, tileColumns))
    const real = k.let(min(sub(columns, firstColumn), tileColumns))
    const start = add(first, add(mul(firstColumn, column), mul(firstChannel, channel)))
    const from = k.point(source, start)
    const to = k.point(result, add(mul(panel, panelSize), mul(firstChannel, tileColumns)))
    k.if(
      eq(real, tileColumns),
      () => k.call(full, from, to, count),
      () => k.call(tail, from, to, count, real),
    )
  })
  return k.build(`winograd${shape.outputs}_weights${shape.transposed ? '_transposed' : ''}_f32_${target.name}`, key)
}
