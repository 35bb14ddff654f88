/**
 * Colours of pictures through a matrix each: y = M · (red, green, blue, 1), held in [0, 1]. Vectors along pixels: lanes
 * hold one channel of neighbouring pixels. Added without fma, so that the bits are those of every machine.
 */
import { KernelBuilder, type KernelSpec } from '../build.ts'
import { add, convert, div, int, max, min, mul, rem, splat, sub } from '../expression.ts'
import type { Expr, Kernel } from '../language.ts'
import type { Target } from '../target.ts'

const pixelsPerTask = 8192

/** Buffers: x [images, pixels, 3], matrix [images, 3, 4], y of the shape of x. u8 is scaled by 1 / 255. */
export function colorMatrixSpec(dtype: 'u8' | 'f32'): KernelSpec {
  const key = `color-matrix|${dtype}`
  return { key, build: (target) => buildColorMatrix(dtype, key, target) }
}

export function colorMatrixCall(images: number, pixels: number) {
  const perTask = Math.min(pixels, pixelsPerTask)
  const blocks = Math.ceil(pixels / perTask)
  return { params: [perTask, blocks, pixels], tasks: images * blocks, work: images * pixels * 12 }
}

function buildColorMatrix(dtype: 'u8' | 'f32', key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const { lanes } = k
  const x = k.buffer('x', dtype, 'input')
  const matrix = k.buffer('matrix', 'f32', 'input')
  const y = k.buffer('y', 'f32', 'output')
  const perTask = k.int('perTask')
  const blocks = k.int('blocks')
  const pixels = k.int('pixels')

  const run = k.function(
    'pixels',
    [{ pointer: x }, { pointer: matrix }, { pointer: y }, { int: 'count' }],
    (from, m, to, count) => {
      const scalars = Array.from({ length: 12 }, (_, i) => {
        const value = k.load(m, i)
        return k.let(dtype === 'u8' && i % 4 < 3 ? mul(value, 1 / 255) : value, 'm')
      })
      const step = (wide: number, coefficients: readonly Expr[]) => {
        const channels = [0, 1, 2].map((c) =>
          k.let(convert(wide === 1 ? k.load(from, c) : k.loadVector(from, c, wide, int(3)), 'f32')),
        )
        for (const row of [0, 1, 2]) {
          let sum = coefficients[4 * row + 3]
          for (const [c, channel] of channels.entries()) sum = add(sum, mul(channel, coefficients[4 * row + c]))
          k.store(to, k.let(min(max(k.let(sum), 0), 1)), row, wide, wide === 1 ? undefined : int(3))
        }
        k.advance(from, 3 * wide)
        k.advance(to, 3 * wide)
      }
      if (lanes > 1) {
        const wide = scalars.map((value) => k.let(splat(value, lanes), 'm'))
        k.repeat(div(count, lanes), () => step(lanes, wide))
      }
      k.repeat(lanes > 1 ? rem(count, lanes) : count, () => step(1, scalars))
    },
  )
  k.task((task) => {
    const image = k.let(div(task, blocks))
    const first = k.let(mul(rem(task, blocks), perTask))
    const start = k.let(mul(add(mul(image, pixels), first), 3))
    const count = min(sub(pixels, first), perTask)
    k.call(run, k.point(x, start), k.point(matrix, mul(image, 12)), k.point(y, start), count)
  })
  return k.build(`color_matrix_${dtype}_${target.name}`, key)
}
