/** Case records of resizing: every output pixel by itself, with neighbours and coefficients as ONNX's text states them. */
import { at, type OpCase, tabulate, type Values } from '../testing/case.ts'
import { broadcastToOp } from './broadcast.ts'
import { takeOp } from './gather.ts'
import { matmulOp } from './matmul.ts'
import { type ResizeOptions, resize } from './resize.ts'
import { sliceOp } from './shape-ops.ts'

/** The input pixels that an output pixel is made of, and what each counts for. */
function neighbours(i: number, from: number, to: number, s: number, o: ResizeOptions): [number, number][] {
  const plain = (i + 0.5) / s - 0.5
  const exact = {
    halfPixel: plain,
    pytorchHalfPixel: to === 1 ? 0 : plain,
    halfPixelSymmetric: from / 2 - to / s / 2 + plain,
    asymmetric: i / s,
    alignCorners: to === 1 ? 0 : (i * (from - 1)) / (to - 1),
  }[o.coordinates ?? 'halfPixel']
  // Halves that are not exact in binary.
  const place = (o.mode ?? 'nearest') === 'nearest' ? Math.round(exact * 1e6) / 1e6 : exact
  const base = Math.floor(place)
  const ratio = place - base
  const inside = (j: number) => Math.min(from - 1, Math.max(0, j))
  if ((o.mode ?? 'nearest') === 'nearest') {
    const up = { halfDown: ratio > 0.5, halfUp: ratio >= 0.5, floor: false, ceil: ratio > 0 }
    return [[inside(up[o.nearestRounding ?? 'halfDown'] ? base + 1 : base), 1]]
  }
  let offsets = [0, 1]
  let weights = [1 - ratio, ratio]
  if (o.mode === 'cubic') {
    const a = o.cubicCoefficient ?? -0.75
    offsets = [-1, 0, 1, 2]
    const far = (d: number) => ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    const near = (d: number) => ((a + 2) * d - (a + 3)) * d * d + 1
    weights = [far(ratio + 1), near(ratio), near(1 - ratio), far(2 - ratio)]
  }
  if (o.antialias === true && s < 1) {
    const reach = o.mode === 'cubic' ? 2 : 1
    const first = Math.ceil(-reach / s)
    offsets = Array.from({ length: Math.floor((reach * 2) / s) + 3 }, (_, j) => first + j)
    const a = o.cubicCoefficient ?? -0.75
    weights = offsets.map((offset) => {
      const d = Math.abs(offset - ratio) * s
      if (o.mode !== 'cubic') return d < 1 ? 1 - d : 0
      return d < 1 ? (a + 2) * d * d * d - (a + 3) * d * d + 1 : d < 2 ? a * (d * d * d - 5 * d * d + 8 * d - 4) : 0
    })
  }
  let pairs = offsets.map((offset, j): [number, number] => [base + offset, weights[j]])
  if (o.excludeOutside === true) pairs = pairs.filter(([j]) => j >= 0 && j < from)
  const total = pairs.reduce((sum, [, weight]) => sum + weight, 0)
  return pairs.map(([j, weight]) => [inside(j), weight / total])
}

function record(name: string, shape: readonly number[], options: ResizeOptions, size: readonly number[]): OpCase {
  const rank = shape.length - 2
  const scale = (axis: number) =>
    typeof options.scale === 'number' ? options.scale : (options.scale?.[axis] ?? size[axis] / shape[axis + 1])
  const sum = (x: Values, index: readonly number[], axis: number, head: readonly number[]): number => {
    if (axis === rank) return at(x, [...head, index[rank + 1]])
    return neighbours(index[axis + 1], shape[axis + 1], size[axis], scale(axis), options).reduce(
      (total, [j, weight]) => total + weight * sum(x, index, axis + 1, [...head, j]),
      0,
    )
  }
  return {
    name: `resize ${name}`,
    ops: options.mode === undefined || options.mode === 'nearest' ? [takeOp, sliceOp, broadcastToOp] : [matmulOp],
    inputs: [{ shape }],
    build: (x) => resize(x, options),
    reference: (x) => tabulate([shape[0], ...size, shape[rank + 1]], (index) => sum(x, [...index], 0, [index[0]])),
  }
}

const places = ['halfPixel', 'pytorchHalfPixel', 'halfPixelSymmetric', 'asymmetric', 'alignCorners'] as const

export const cases: readonly OpCase[] = [
  record('nearest twice', [2, 3, 4, 5], { scale: 2 }, [6, 8]),
  record('nearest half, asymmetric', [1, 6, 8, 3], { scale: 0.5, coordinates: 'asymmetric' }, [3, 4]),
  record('nearest of a signal', [2, 5, 3], { size: 8 }, [8]),
  record('nearest of a volume', [1, 2, 3, 4, 2], { scale: [2, 1, 1.5] }, [4, 3, 6]),
  ...places.flatMap((coordinates) => [
    ...(['halfDown', 'halfUp', 'floor', 'ceil'] as const).map((nearestRounding) =>
      record(
        `nearest ${nearestRounding} ${coordinates}`,
        [1, 5, 4, 3],
        { size: [7, 2], coordinates, nearestRounding },
        [7, 2],
      ),
    ),
    record(`linear ${coordinates}`, [2, 4, 5, 3], { mode: 'linear', size: [9, 3], coordinates }, [9, 3]),
    record(`linear to one pixel ${coordinates}`, [1, 4, 5, 2], { mode: 'linear', size: 1, coordinates }, [1, 1]),
    record(`cubic ${coordinates}`, [1, 5, 6, 2], { mode: 'cubic', size: [8, 4], coordinates }, [8, 4]),
    record(
      `linear by an uneven scale ${coordinates}`,
      [1, 5, 7, 2],
      { mode: 'linear', scale: [1.3, 0.7], coordinates },
      [6, 4],
    ),
  ]),
  // Large ones with few channels are sums of slices.
  record('linear, sums', [1, 3, 45, 3], { mode: 'linear', scale: 2 }, [6, 90]),
  record('linear by 3, sums', [2, 44, 1], { mode: 'linear', scale: 3, coordinates: 'asymmetric' }, [132]),
  record('cubic, sums', [1, 42, 2, 5], { mode: 'cubic', scale: [2, 1] }, [84, 2]),
  record('cubic by 4, sums', [1, 41, 2], { mode: 'cubic', scale: 4, coordinates: 'halfPixelSymmetric' }, [164]),
  // Long axes are sums of pixels that are taken.
  record('linear, taken', [2, 520, 16], { mode: 'linear', size: 333 }, [333]),
  record('cubic, taken', [1, 2, 120, 3], { mode: 'cubic', size: [2, 50], coordinates: 'alignCorners' }, [2, 50]),
  record('linear antialias, taken', [1, 101, 1], { mode: 'linear', size: 31, antialias: true }, [31]),
  record('cubic without outside, taken', [1, 90, 2], { mode: 'cubic', scale: 0.77, excludeOutside: true }, [69]),
  record('linear of a signal', [2, 6, 17], { mode: 'linear', scale: 2 }, [12]),
  record('linear of a volume', [1, 2, 3, 4, 3], { mode: 'linear', scale: 2 }, [4, 6, 8]),
  record('cubic -0.5', [1, 4, 4, 3], { mode: 'cubic', scale: 2, cubicCoefficient: -0.5 }, [8, 8]),
  record('cubic without outside', [1, 4, 5, 3], { mode: 'cubic', scale: 1.8, excludeOutside: true }, [7, 9]),
  record('linear antialias', [1, 9, 11, 3], { mode: 'linear', size: [4, 3], antialias: true }, [4, 3]),
  record(
    'cubic antialias without outside',
    [1, 12, 10, 2],
    { mode: 'cubic', size: [5, 4], antialias: true, excludeOutside: true },
    [5, 4],
  ),
]
