/** The table of roots of unity that a transform reads: cos and -sin of 2πj/N, j = 0 … N-1. */
import { KernelBuilder, type KernelSpec } from '../../build.ts'
import { add, and, constant, convert, eq, gt, mul, neg, select, shr, sub } from '../../expression.ts'
import type { Kernel } from '../../language.ts'
import { cos, sin } from '../../math.ts'
import type { Target } from '../../target.ts'

const rootsPerTask = 128

export function rootsSize(length: number): number {
  return 2 * length
}

export function rootsSpec(length: number): KernelSpec {
  const key = `fftRoots|${length}`
  return { key, build: (target) => buildRoots(length, key, target) }
}

export function rootsCall(length: number) {
  return { params: [], tasks: Math.ceil(length / rootsPerTask), work: 16 * length }
}

function buildRoots(length: number, key: string, target: Target): Kernel {
  const k = new KernelBuilder(target)
  const table = k.buffer('roots', 'f32', 'output')
  const quarter = length / 4
  k.task((task) => {
    const first = k.let(mul(task, rootsPerTask))
    const to = k.point(table, mul(first, 2))
    k.loop(Math.min(length, rootsPerTask), (i) => {
      const index = k.let(add(first, i))
      // Only angles of the first eighth are computed: there they are exact to the last bit or so.
      const quadrant = k.let(shr(index, Math.log2(quarter)))
      const inside = k.let(and(index, quarter - 1))
      const mirrored = k.let(gt(inside, quarter / 2))
      const eighth = k.let(select(mirrored, sub(quarter, inside), inside))
      const angle = k.let(mul(convert(eighth, 'f32'), constant('f32', (2 * Math.PI) / length)))
      const [c, s] = [k.let(cos(k, angle)), k.let(sin(k, angle))]
      const cosine = k.let(select(mirrored, s, c))
      const sine = k.let(select(mirrored, c, s))
      const odd = k.let(eq(and(quadrant, 1), 1))
      const re = k.let(select(odd, neg(sine), cosine))
      const im = k.let(select(odd, cosine, sine))
      const behind = k.let(gt(quadrant, 1))
      k.store(to, select(behind, neg(re), re))
      k.store(to, select(behind, im, neg(im)), 1)
      k.advance(to, 2)
    })
  })
  return k.build(`fft${length}_roots_${target.name}`, key)
}
