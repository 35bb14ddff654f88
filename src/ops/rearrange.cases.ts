/** Case records of borders and of blocks of pixels, by index. */
import { at, type OpCase, tabulate } from '../testing/case.ts'
import { broadcastToOp, reshapeOp } from './broadcast.ts'
import { depthToSpace, type PadFill, padWith, spaceToDepth } from './rearrange.ts'
import { concatOp, sliceOp, transposeOp } from './shape-ops.ts'

/** Element at a place beyond the ends, by walking there. */
function walk(place: number, n: number, fill: PadFill): number {
  if (fill === 'edge') return place < 0 ? 0 : place >= n ? n - 1 : place
  let at = 0
  let direction = 1
  // From 0 to the place, turning back at the ends.
  for (let i = 0; i < Math.abs(place); i++) {
    if (fill === 'wrap') {
      at = place > 0 ? (at + 1 === n ? 0 : at + 1) : at === 0 ? n - 1 : at - 1
      continue
    }
    if (n === 1) continue
    if (at + direction === n || at + direction < 0) direction = -direction
    at += direction
  }
  return at
}

function padded(name: string, shape: readonly number[], padding: [number, number][], fill: PadFill): OpCase {
  return {
    name: `pad ${fill} ${name}`,
    ops: fill === 'edge' ? [concatOp, sliceOp, broadcastToOp] : [concatOp, sliceOp],
    inputs: [{ shape }],
    build: (x) => padWith(x, padding, fill),
    reference: (x) =>
      tabulate(
        shape.map((n, axis) => n + padding[axis][0] + padding[axis][1]),
        (index) =>
          at(
            x,
            index.map((i, axis) => walk(i - padding[axis][0], shape[axis], fill)),
          ),
      ),
  }
}

const image: [number, number][] = [
  [0, 0],
  [1, 2],
  [2, 0],
  [0, 0],
]

export const cases: readonly OpCase[] = [
  ...(['edge', 'reflect', 'wrap'] as const).flatMap((fill) => [
    padded('of an image', [2, 4, 5, 3], image, fill),
    padded(
      'wider than the signal',
      [1, 3, 2],
      [
        [0, 0],
        [7, 8],
        [0, 0],
      ],
      fill,
    ),
    padded(
      'of one element',
      [2, 1],
      [
        [0, 1],
        [2, 3],
      ],
      fill,
    ),
    padded(
      'of all axes',
      [3, 2, 4],
      [
        [1, 1],
        [1, 0],
        [0, 3],
      ],
      fill,
    ),
  ]),
  ...(['DCR', 'CRD'] as const).flatMap((order): OpCase[] => [
    {
      name: `depthToSpace ${order}`,
      ops: [reshapeOp, transposeOp],
      inputs: [{ shape: [2, 3, 2, 12] }],
      build: (x) => depthToSpace(x, 2, order),
      reference: (x) =>
        tabulate([2, 6, 4, 3], ([n, i, j, c]) => {
          const [r, s] = [i % 2, j % 2]
          return at(x, [n, i >> 1, j >> 1, order === 'DCR' ? (r * 2 + s) * 3 + c : c * 4 + r * 2 + s])
        }),
    },
    {
      name: `spaceToDepth ${order}`,
      ops: [reshapeOp, transposeOp],
      inputs: [{ shape: [1, 6, 9, 2] }],
      build: (x) => spaceToDepth(x, 3, order),
      reference: (x) =>
        tabulate([1, 2, 3, 18], ([n, i, j, d]) => {
          const [place, c] = order === 'DCR' ? [Math.floor(d / 2), d % 2] : [d % 9, Math.floor(d / 9)]
          return at(x, [n, i * 3 + Math.floor(place / 3), j * 3 + (place % 3), c])
        }),
    },
  ]),
]
