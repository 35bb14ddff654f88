/**
 * Packing: the right operand of a contraction as panels [group][panel][step][columns of a tile], which the tile reads
 * straight through. Columns behind the last one are zeros. Steps are three nested axes with any strides, so that
 * transposed and flipped weights are packed by the same kernel.
 */
import { KernelBuilder, type KernelSpec } from '../../build.ts'
import { add, constant, div, eq, lt, min, mul, rem, sub } from '../../expression.ts'
import type { Kernel } from '../../language.ts'
import type { Target } from '../../target.ts'

export interface PackShape {
  /** Whether neighbouring columns are neighbours in memory. */
  readonly unit: boolean
  /** Columns of a panel. */
  readonly columns: number
}

export interface PackArguments {
  readonly groups: number
  readonly groupStride: number
  /** Columns of a group. */
  readonly columns: number
  readonly columnStride: number
  /** Extents and strides of the steps, outermost first. */
  readonly steps: readonly [number, number, number]
  readonly stepStrides: readonly [number, number, number]
  /** Element of the source that comes first. */
  readonly offset: number
}

const elementsPerTask = 16384

export function panelsOf(columns: number, tileColumns: number): number {
  return Math.ceil(columns / tileColumns)
}

/** Elements of the packed operand. */
export function packedSize(shape: PackShape, args: PackArguments): number {
  const [outer, middle, inner] = args.steps
  return args.groups * panelsOf(args.columns, shape.columns) * outer * middle * inner * shape.columns
}

export function packSpec(shape: PackShape): KernelSpec {
  const key = `pack|${shape.unit}|${shape.columns}`
  return { key, build: (target) => buildPack(shape, key, target) }
}

export function packCall(shape: PackShape, args: PackArguments): { params: number[]; tasks: number; work: number } {
  const [outer, middle, inner] = args.steps
  const panels = panelsOf(args.columns, shape.columns)
  const units = args.groups * panels * outer * middle
  const perTask = Math.max(1, Math.min(units, Math.floor(elementsPerTask / Math.max(1, inner * shape.columns))))
  const params = [
    units,
    perTask,
    panels,
    outer,
    middle,
    inner,
    args.columns,
    args.groupStride,
    args.columnStride,
    ...args.stepStrides,
    args.offset,
  ]
  const size = packedSize(shape, args)
  return { params, tasks: size === 0 ? 0 : Math.ceil(units / perTask), work: size }
}

function buildPack(shape: PackShape, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const { lanes } = k
  const source = k.buffer('x', 'f32', 'input')
  const packed = k.buffer('y', 'f32', 'output')
  const names = [
    'units',
    'perTask',
    'panels',
    'outer',
    'middle',
    'inner',
    'columns',
    'groupStride',
    'columnStride',
  ] as const
  const [units, perTask, panels, outer, middle, inner, columns, groupStride, columnStride] = names.map((n) => k.int(n))
  const [outerStride, middleStride, innerStride] = ['outerStride', 'middleStride', 'innerStride'].map((n) => k.int(n))
  const offset = k.int('offset')

  const full = k.function('full', [{ pointer: source }, { pointer: packed }], (from, to) => {
    const stride = shape.unit ? undefined : k.variable(columnStride, 'stride').value
    const step = k.variable(innerStride, 'step').value
    k.repeat(inner, () => {
      for (let j = 0; j < shape.columns; j += lanes) {
        const at = j === 0 || stride === undefined ? from : k.pointFrom(from, mul(stride, j))
        const value =
          lanes === 1
            ? k.load(at, stride === undefined ? j : 0)
            : k.loadVector(at, stride === undefined ? j : 0, lanes, stride)
        k.store(to, k.let(value), j)
      }
      k.advance(from, step)
      k.advance(to, shape.columns)
    })
  })
  const tail = k.function('tail', [{ pointer: source }, { pointer: packed }, { int: 'count' }], (from, to, count) => {
    k.repeat(inner, () => {
      const at = k.pointFrom(from)
      k.loop(constant('i32', shape.columns), (j) => {
        k.if(
          lt(j, count),
          () => k.store(to, k.load(at)),
          () => k.store(to, constant('f32', 0)),
        )
        k.advance(at, columnStride)
        k.advance(to, 1)
      })
      k.advance(from, innerStride)
    })
  })
  k.task((task) => {
    const first = k.let(mul(task, perTask))
    k.loop(min(sub(units, first), perTask), (i) => {
      const unit = k.let(add(first, i))
      const outerUnit = k.let(div(unit, middle))
      const panelUnit = k.let(div(outerUnit, outer))
      const group = k.let(div(panelUnit, panels))
      const column = k.let(mul(rem(panelUnit, panels), shape.columns))
      const steps = add(mul(rem(outerUnit, outer), outerStride), mul(rem(unit, middle), middleStride))
      const start = add(add(offset, mul(group, groupStride)), add(mul(column, columnStride), steps))
      const from = k.point(source, start)
      const to = k.point(packed, mul(mul(unit, inner), shape.columns))
      const count = k.let(min(sub(columns, column), shape.columns))
      k.if(
        eq(count, shape.columns),
        () => k.call(full, from, to),
        () => k.call(tail, from, to, count),
      )
    })
  })
  return k.build(`pack${shape.columns}${shape.unit ? '' : '_strided'}_${target.name}`, key)
}

export type PackedOperand = { readonly shape: PackShape; readonly args: PackArguments; readonly size: number }

/** How to pack an operand for a tile. */
export function packing(columns: number, args: PackArguments): PackedOperand {
  const shape: PackShape = { unit: args.columnStride === 1, columns }
  return { shape, args, size: packedSize(shape, args) }
}
