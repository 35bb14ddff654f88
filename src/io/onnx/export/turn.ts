/** Stored values in another order of axes, piece by piece. */
import { type Shape, sizeOf, stridesOf } from '../../../base/shape.ts'

/** Values are seen as an array of extents `view`, whose axes are then put into the order `axes`. */
export interface Turn {
  readonly view: Shape
  readonly axes: readonly number[]
  /** The order in which the first axis of the view is read. Default: its own. */
  readonly places?: readonly number[]
}

type Values = Float32Array | Int32Array | Uint8Array

/**
 * A tile of the result that is turned at once: what is read lies along the rows' axis, what is written along the other, and
 * the lines of both stay in the cache.
 */
const tileRows = 64
const tileColumns = 32
const pieceBytes = 1 << 20

/** The same turn with as few axes as possible: without those of one element, and neighbours that stay neighbours as one. */
export function simplifyTurn({ view, axes }: Turn): Turn {
  const runs: number[][] = []
  for (const axis of axes) {
    if (view[axis] === 1) continue
    const last = runs.at(-1)
    const before = last?.at(-1)
    const between = before === undefined ? [] : view.slice(before + 1, axis)
    if (last !== undefined && before !== undefined && axis > before && between.every((extent) => extent === 1)) {
      last.push(axis)
    } else runs.push([axis])
  }
  const order = runs.map((_, i) => i).sort((a, b) => runs[a][0] - runs[b][0])
  return {
    view: order.map((i) => runs[i].reduce((extent, axis) => extent * view[axis], 1)),
    axes: runs.map((_, i) => order.indexOf(i)),
  }
}

const bytesOf = (values: Values): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)

/** The turned values as pieces of about a megabyte, each valid until the next. */
export function* turned(values: Values, turn: Turn): Generator<Uint8Array> {
  const { places } = turn
  const { view, axes } = places === undefined ? simplifyTurn(turn) : behindOne(turn)
  if (places === undefined && axes.every((axis, i) => axis === i)) {
    yield bytesOf(values)
    return
  }
  const make = values.constructor as new (length: number) => Values
  const strides = stridesOf(view)
  const [first, ...rest] = axes
  const rows = view[first]
  const row = sizeOf(view) / rows
  const offsets = offsetsOf(
    rest.map((axis) => view[axis]),
    rest.map((axis) => strides[axis]),
    rest.map((axis) => (axis === 0 ? places : undefined)),
  )
  const step = strides[first]
  const rowsAtOnce = Math.max(tileRows, Math.floor(pieceBytes / (row * values.BYTES_PER_ELEMENT)))
  const piece = new make(Math.min(rows, rowsAtOnce) * row)
  for (let begin = 0; begin < rows; begin += rowsAtOnce) {
    const end = Math.min(rows, begin + rowsAtOnce)
    for (let tile = begin; tile < end; tile += tileRows) {
      const last = Math.min(end, tile + tileRows)
      for (let column = 0; column < row; column += tileColumns) {
        const columns = Math.min(row, column + tileColumns)
        for (let at = tile; at < last; at++) {
          const from = at * step
          const to = (at - begin) * row
          for (let i = column; i < columns; i++) piece[to + i] = values[from + offsets[i]]
        }
      }
    }
    yield bytesOf(piece).subarray(0, (end - begin) * row * values.BYTES_PER_ELEMENT)
  }
}

/** The same turn, in which the first axis of the view is not the first of the result. */
function behindOne({ view, axes }: Turn): Turn {
  return axes[0] === 0 ? { view: [...view, 1], axes: [view.length, ...axes] } : { view, axes }
}

/**
 * Where the elements of an array lie that has these extents and strides, in row-major order.
 * @param places the order in which an axis is read, where it is not its own
 */
function offsetsOf(
  extents: readonly number[],
  strides: readonly number[],
  places: readonly (readonly number[] | undefined)[],
): Int32Array {
  let offsets = Int32Array.of(0)
  for (const [axis, extent] of extents.entries()) {
    const next = new Int32Array(offsets.length * extent)
    for (let i = 0; i < offsets.length; i++) {
      for (let j = 0; j < extent; j++) {
        next[i * extent + j] = offsets[i] + (places[axis]?.[j] ?? j) * strides[axis]
      }
    }
    offsets = next
  }
  return offsets
}
