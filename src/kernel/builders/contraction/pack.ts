/**
 * Packing: the right operand of a contraction as panels [group][panel][step][columns of a tile], which the tile reads
 * straight through. Columns behind the last one are zeros. Steps are three nested axes with any strides, so that
 * transposed and flipped weights are packed by the same kernel.
 */
import type { StorageType } from '../../../base/dtype.ts'
import { bfloat16Pair, exactPair, roundToBfloat16 } from '../../bfloat16.ts'
import { KernelBuilder, type KernelSpec, kindOf } from '../../build.ts'
import { add, constant, div, eq, lt, min, mul, rem, sub } from '../../expression.ts'
import type { Expr, Kernel, Pointer } from '../../language.ts'
import type { Target } from '../../target.ts'

/**
 * What becomes of the elements: copied (bf16 is widened), rounded to what a bf16 holds, or two that follow each other in
 * the innermost steps made the halves of an i32, the first one the lower half.
 */
export type PackForm = 'copy' | 'round' | 'pairs'

export interface PackShape {
  readonly source: StorageType
  readonly form: PackForm
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
  /** Elements between the halves of a pair; the steps are those of pairs. */
  readonly pairStride?: number
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
  const key = `pack|${shape.source}|${shape.form}|${shape.unit}|${shape.columns}`
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
    ...(shape.form === 'pairs' ? [args.pairStride as number] : []),
  ]
  const size = packedSize(shape, args)
  return { params, tasks: size === 0 ? 0 : Math.ceil(units / perTask), work: size }
}

function buildPack(shape: PackShape, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const { lanes } = k
  const { form } = shape
  const source = k.buffer('x', shape.source, 'input')
  const packed = k.buffer('y', form === 'pairs' || shape.source === 'i32' ? 'i32' : 'f32', 'output')
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
  const pairStride = form === 'pairs' ? k.int('pairStride') : undefined

  /** What is stored for the elements that `load` reads from a cursor. */
  const packedValue = (from: Pointer, load: (at: Pointer) => Expr): Expr => {
    const first = k.let(load(from))
    if (form === 'copy') return first
    if (pairStride === undefined) return roundToBfloat16(k, first)
    const second = k.let(load(k.pointFrom(from, pairStride)))
    return shape.source === 'bf16' ? exactPair(first, second) : bfloat16Pair(k, first, second)
  }

  const full = k.function('full', [{ pointer: source }, { pointer: packed }], (from, to) => {
    const stride = shape.unit ? undefined : k.variable(columnStride, 'stride').value
    const step = k.variable(innerStride, 'step').value
    k.repeat(inner, () => {
      for (let j = 0; j < shape.columns; j += lanes) {
        const at = j === 0 || stride === undefined ? from : k.pointFrom(from, mul(stride, j))
        const first = stride === undefined ? j : 0
        const value = packedValue(at, (p) => (lanes === 1 ? k.load(p, first) : k.loadVector(p, first, lanes, stride)))
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
          () =>
            k.store(
              to,
              packedValue(at, (p) => k.load(p)),
            ),
          () => k.store(to, constant(kindOf(packed.dtype), 0)),
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
  return k.build(`pack_${form}_${shape.source}_${shape.columns}${shape.unit ? '' : '_strided'}_${target.name}`, key)
}

export type PackedOperand = { readonly shape: PackShape; readonly args: PackArguments; readonly size: number }

/** How to pack an operand for a tile. */
export function packing(columns: number, args: PackArguments, source: StorageType, form: PackForm): PackedOperand {
  const shape: PackShape = { source, form, unit: args.columnStride === 1, columns }
  return { shape, args, size: packedSize(shape, args) }
}
