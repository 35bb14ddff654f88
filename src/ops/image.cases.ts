import { at, type CaseInput, type OpCase, tabulate, type Values } from '../testing/case.ts'
import { type AffineWarpOptions, affineWarp, affineWarpOp, colorMatrix, colorMatrixOp } from './image.ts'

const bytes = (...shape: number[]): CaseInput => ({ shape, dtype: 'u8', range: [0, 255] })
const real = (...shape: number[]): CaseInput => ({ shape })
const matrices = (...rows: number[][]): CaseInput => ({ shape: [rows.length, 6], values: rows.flat() })

const gradient = 'pictures are data'

/** The pixel that stands at a place of an axis of `extent` pixels, undefined outside. */
function standIn(i: number, extent: number, fill: AffineWarpOptions['fill']): number | undefined {
  if (i >= 0 && i < extent) return i
  if (fill === 'edge') return i < 0 ? 0 : extent - 1
  if (fill !== 'reflect') return undefined
  if (extent === 1) return 0
  return i < 0 ? standIn(-i, extent, fill) : standIn(2 * (extent - 1) - i, extent, fill)
}

const warped = (fill: AffineWarpOptions['fill'], scale: number) => (x: Values, matrix: Values) => {
  const [, height, width] = x.shape
  return tabulate(x.shape, ([n, i, j, c]) => {
    const u = j - (width - 1) / 2
    const v = i - (height - 1) / 2
    const m = (k: number) => at(matrix, [n, k])
    const column = m(0) * u + m(1) * v + m(2) + (width - 1) / 2
    const row = m(3) * u + m(4) * v + m(5) + (height - 1) / 2
    const value = (r: number, s: number) => {
      const [p, q] = [standIn(r, height, fill), standIn(s, width, fill)]
      return p === undefined || q === undefined ? (fill as number) : at(x, [n, p, q, c]) * scale
    }
    const [top, left] = [Math.floor(row), Math.floor(column)]
    const [down, across] = [row - top, column - left]
    const upper = (1 - across) * value(top, left) + across * value(top, left + 1)
    const lower = (1 - across) * value(top + 1, left) + across * value(top + 1, left + 1)
    return (1 - down) * upper + down * lower
  })
}

/** Enlarges by `zoom`, turns, and moves. */
const turn = (degrees: number, zoom: number, x: number, y: number): number[] => {
  const [c, s] = [Math.cos((degrees * Math.PI) / 180) / zoom, Math.sin((degrees * Math.PI) / 180) / zoom]
  return [c, s, x, -s, c, y]
}

const warp = (
  name: string,
  x: CaseInput,
  matrix: CaseInput,
  fill: AffineWarpOptions['fill'],
  exact = false,
): OpCase => ({
  name: `affineWarp ${name}`,
  ops: [affineWarpOp],
  inputs: [x, matrix],
  build: (a, m) => affineWarp(a, m, { fill }),
  reference: warped(fill, x.dtype === 'u8' ? 1 / 255 : 1),
  // A place is rounded to a part of 10⁷ of the extent, and neighbouring pixels may differ by all there is.
  tolerance: exact ? 1e-7 : 1e-5,
  gradient,
})

const three = matrices(turn(17, 1.2, 1.3, -2.4), turn(-100, 0.6, 0, 0), [1.1, 0.4, -3, 0, -0.9, 2.25])

export const cases: readonly OpCase[] = [
  ...([0, 0.7, 'edge', 'reflect'] as const).flatMap((fill) => [
    warp(`of bytes, fill ${fill}`, bytes(3, 11, 13, 3), three, fill),
    warp(`of reals, fill ${fill}`, real(3, 9, 17, 1), three, fill),
    warp(
      `to far outside, fill ${fill}`,
      bytes(2, 5, 6, 1),
      matrices(turn(30, 0.05, 0, 0), turn(0, 1, 1e3, -77.5)),
      fill,
    ),
  ]),
  ...[1, 2, 3, 4, 5, 11].flatMap((channels) => [
    warp(`of ${channels} channels of bytes`, bytes(3, 7, 6, channels), three, 0.2),
    warp(`of ${channels} channels of reals`, real(3, 7, 6, channels), three, 'edge'),
  ]),
  // One pixel in a row or a column has no neighbour.
  ...([0.5, 'edge', 'reflect'] as const).flatMap((fill) => [
    warp(`of one row, fill ${fill}`, bytes(3, 1, 9, 3), three, fill),
    warp(`of one column, fill ${fill}`, bytes(3, 9, 1, 1), three, fill),
    warp(`of one pixel, fill ${fill}`, real(3, 1, 1, 3), three, fill),
  ]),
  warp('in several blocks of rows', bytes(2, 96, 97, 3), matrices(turn(33, 1.1, 5, 2), turn(-9, 0.9, 0, 8)), 'reflect'),
  warp('that copies', bytes(2, 6, 7, 3), matrices([1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 1, 0]), 0.3, true),
  warp('by whole pixels', real(2, 6, 7, 1), matrices([1, 0, 3, 0, 1, -2], [1, 0, -4, 0, 1, 1]), 0.3, true),
  warp('that mirrors', bytes(2, 6, 7, 3), matrices([-1, 0, 0, 0, 1, 0], [1, 0, 0, 0, -1, 0]), 'edge', true),
  warp('by quarter turns', bytes(2, 6, 6, 3), matrices([0, 1, 0, -1, 0, 0], [0, -1, 0, 1, 0, 0]), 0.3, true),
  ...(['u8', 'f32'] as const).flatMap((dtype) =>
    [
      [2, 5, 7, 3],
      [1, 1, 1, 3],
      [2, 97, 95, 3],
    ].map(
      (shape): OpCase => ({
        name: `colorMatrix of ${dtype} [${shape}]`,
        ops: [colorMatrixOp],
        inputs: [
          dtype === 'u8' ? bytes(...shape) : { shape, range: [0, 1] },
          { shape: [shape[0], 3, 4], range: [-0.6, 0.9] },
        ],
        build: colorMatrix,
        gradient,
        reference: (x, m) =>
          tabulate(x.shape, ([n, i, j, r]) => {
            let sum = at(m, [n, r, 3])
            for (const c of [0, 1, 2]) sum += at(m, [n, r, c]) * at(x, [n, i, j, c]) * (dtype === 'u8' ? 1 / 255 : 1)
            return Math.min(1, Math.max(0, sum))
          }),
      }),
    ),
  ),
]
