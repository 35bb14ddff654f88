/** Tiles of an image on their way into transformed form. Borders of any width are handled here and nowhere else. */
import type { KernelBuilder } from '../../build.ts'
import { add, and, constant, div, ge, le, lt, min, mul, rem, sub } from '../../expression.ts'
import type { BufferParam, Expr, KernelFunction, Pointer } from '../../language.ts'
import { defineCopy, defineZero } from '../contraction/copy.ts'
import { type Transform, transformSquare } from './algebra.ts'

/** Channels of a patch: what a tile at the border is copied in, so that it stays in the first-level cache. */
export const patchChannels = 64

/** Elements between the planes of transformed tiles are these many more than needed: power-of-two strides collide. */
export const planePadding = 16

/** Elements of the patch scratch for patches of `side`² pixels. */
export function patchSize(side: number): number {
  return side * side * patchChannels
}

/** Images of height × width × channels under a grid of tiles. */
export interface TileGrid {
  readonly height: Expr
  readonly width: Expr
  readonly channels: Expr
  /** Tiles of an image. */
  readonly rows: Expr
  readonly columns: Expr
  /** Pixels from tile to tile. */
  readonly step: number
  /** Rows and columns of the first tile that lie before the image; may be negative. */
  readonly top: Expr | number
  readonly left: Expr | number
}

export interface TileTransform {
  readonly source: BufferParam
  readonly patch: BufferParam
  readonly result: BufferParam
  readonly grid: TileGrid
  /** Pixels of a tile along one axis. */
  readonly side: number
  readonly transform: Transform
  /** Elements of the result between its planes, one plane for each point of the transformed square. */
  readonly plane: Expr
  /** Channels that are neighbours in the result, at most those of a patch, and elements from such a block to the next. */
  readonly blockChannels: Expr | number
  readonly block: Expr | number
}

/** Image, first row and first column of a tile. */
export function locate(k: KernelBuilder, grid: TileGrid, tile: Expr): { image: Expr; row: Expr; column: Expr } {
  const line = k.let(div(tile, grid.columns))
  return {
    image: k.let(div(line, grid.rows)),
    row: k.let(sub(mul(rem(line, grid.rows), grid.step), grid.top)),
    column: k.let(sub(mul(rem(tile, grid.columns), grid.step), grid.left)),
  }
}

/** Defines a function (result, tile, channel, count): at most a patch of channels of a tile, zeros beyond the image. */
export function defineTileTransform(k: KernelBuilder, spec: TileTransform): KernelFunction {
  const { source, patch, result, grid, side } = spec
  const inside = defineChannels(k, spec, source, undefined)
  const bordered = defineChannels(k, spec, patch, patchChannels)
  const fill = definePatch(k, spec)
  const declarations = [{ pointer: result }, { int: 'tile' }, { int: 'channel' }, { int: 'count' }] as const
  return k.function('transform', declarations, (firstTo, tile, channel, count) => {
    const { image, row, column } = locate(k, grid, tile)
    const rowsFit = and(ge(row, 0), le(add(row, side), grid.height))
    const columnsFit = and(ge(column, 0), le(add(column, side), grid.width))
    const first = k.let(mul(mul(image, grid.height), grid.width))
    const to = k.pointFrom(firstTo)
    const eachBlock = (transform: KernelFunction, from: Pointer) => {
      k.loop(div(add(count, sub(spec.blockChannels, 1)), spec.blockChannels), (i) => {
        const done = k.let(mul(i, spec.blockChannels))
        k.call(transform, to, from, min(sub(count, done), spec.blockChannels))
        k.advance(from, spec.blockChannels)
        k.advance(to, spec.block)
      })
    }
    k.if(
      and(rowsFit, columnsFit),
      () => {
        const pixel = add(first, add(mul(row, grid.width), column))
        eachBlock(inside, k.point(source, add(mul(pixel, grid.channels), channel)))
      },
      () => {
        k.call(fill, first, row, column, channel, count)
        eachBlock(bordered, k.point(patch))
      },
    )
  })
}

/** (first pixel of the image, row, column, channel, count): the patch of a tile, zeros beyond the image. */
function definePatch(k: KernelBuilder, { source, patch, grid, side }: TileTransform): KernelFunction {
  const copy = defineCopy(k, patch, source)
  const zero = defineZero(k, patch)
  const ints = ['first', 'row', 'column', 'channel', 'count'].map((int) => ({ int }))
  return k.function('fill', ints, (first, row, column, channel, count) => {
    const to = k.point(patch)
    k.loop(constant('i32', side), (i) => {
      const y = k.let(add(row, i))
      const line = k.let(add(first, mul(y, grid.width)))
      k.loop(constant('i32', side), (j) => {
        const x = k.let(add(column, j))
        const rowFits = and(ge(y, 0), lt(y, grid.height))
        k.if(
          and(rowFits, and(ge(x, 0), lt(x, grid.width))),
          () => k.call(copy, to, k.point(source, add(mul(add(line, x), grid.channels), channel)), count),
          () => k.call(zero, to, count),
        )
        k.advance(to, patchChannels)
      })
    })
  })
}

/** (result, from, count): neighbouring channels of a tile whose pixels are `pixel` elements apart, or those of the image. */
function defineChannels(
  k: KernelBuilder,
  spec: TileTransform,
  source: BufferParam,
  pixel: number | undefined,
): KernelFunction {
  const { result, grid, side, transform, plane } = spec
  const declarations = [{ pointer: result }, { pointer: source }, { int: 'count' }] as const
  const name = pixel === undefined ? 'inside' : 'bordered'
  const define = (lanes: number) =>
    k.function(`${name}${lanes}`, declarations, (firstTo, firstFrom, count) => {
      const to = k.pointFrom(firstTo)
      const from = k.pointFrom(firstFrom)
      const step = k.variable(plane, 'plane').value
      const load = (pointer: Pointer, offset = 0) =>
        lanes === 1 ? k.load(pointer, offset) : k.loadVector(pointer, offset)
      const reader = (): ((row: number, column: number) => Expr) => {
        if (pixel !== undefined) return (row, column) => load(from, (row * side + column) * pixel)
        const at = k.pointFrom(from)
        return (row, column) => {
          if (row === 0 && column > 0) k.advance(at, grid.channels)
          return load(row === 0 ? at : k.pointFrom(at, rows[row]))
        }
      }
      const line = pixel === undefined ? k.let(mul(grid.width, grid.channels)) : undefined
      const rows = Array.from({ length: side }, (_, i) =>
        line === undefined ? constant('i32', 0) : k.let(mul(line, i)),
      )
      k.repeat(count, () => {
        const out = k.pointFrom(to)
        transformSquare(k, transform, side, reader(), (_row, _column, value) => {
          k.store(out, value)
          k.advance(out, step)
        })
        k.advance(from, lanes)
        k.advance(to, lanes)
      })
    })
  const single = define(1)
  if (k.lanes === 1) return single
  const wide = define(k.lanes)
  return k.function(name, declarations, (to, from, count) => {
    const whole = k.let(mul(div(count, k.lanes), k.lanes))
    k.call(wide, to, from, div(count, k.lanes))
    k.if(lt(whole, count), () => k.call(single, k.pointFrom(to, whole), k.pointFrom(from, whole), sub(count, whole)))
  })
}
