import { expect, test } from 'vitest'
import { KernelBuilder } from './build.ts'
import * as ex from './expression.ts'
import { printExpr, printKernel } from './print.ts'
import type { Target } from './target.ts'

const target: Target = {
  name: 'test',
  lanes: 4,
  registers: 15,
  fma: false,
  math: 'intrinsic',
  bytes: { f32: 4, i32: 4, u8: 1, bool: 1, bf16: 2 },
  cacheBytes: 2 ** 20,
}

test('a kernel', () => {
  const k = new KernelBuilder(target)
  const x = k.buffer('x', 'f32', 'input')
  const y = k.buffer('y', 'f32', 'output')
  const s = k.buffer('s', 'u8', 'scratch')
  const width = k.int('width')
  const row = k.function('row', [{ pointer: x }, { pointer: y }, { int: 'count' }], (p, q, count) => {
    const sum = k.variable(ex.constant('f32', 0, 4), 'sum')
    k.loop(
      count,
      (i) => {
        k.if(
          ex.lt(i, 3),
          () => k.set(sum, ex.fma(k.loadVector(p), k.loadVector(p, 4, 3, width), sum.value)),
          () => k.set(sum, ex.max(sum.value, 0)),
        )
        k.advance(p, ex.mul(width, 4))
      },
      { atLeastOnce: true },
    )
    k.store(q, sum.value, 0, 2)
  })
  k.task((task) => {
    const p = k.point(x, ex.mul(ex.add(task, 1), width))
    const q = k.pointFrom(k.point(y), task)
    k.call(row, p, q, width)
    k.repeat(3, () => k.store(k.point(s), ex.convert(ex.bitcast(k.load(q, -1), 'i32'), 'i32')))
    k.repeat(2, () => {})
  })
  expect(printKernel(k.build('row_sums', 'row_sums'))).toMatchInlineSnapshot(`
    "kernel row_sums
      input x: f32
      output y: f32
      scratch s: u8
      param width: i32
    row(*p_x0, *p_y1, count2)
      sum3: f32x4 = 0.0
      loop i4 < count2, at least once
        if i4 < 3
          sum3: f32x4 = fma(p_x0[0:4], p_x0[4:3:width], sum3)
        else
          sum3: f32x4 = max(sum3, 0.0)
        p_x0 += width * 4
      p_y1[0:2] = sum3
    task(task5)
      p_x6 = &x[(task5 + 1) * width]
      p_y7 = &y[0]
      p_y8 = p_y7 + task5
      row(*p_x6, *p_y8, width)
      loop 3
        p_s9 = &s[0]
        p_s9[0] = bits.i32(p_y8[-1])
      loop 2
        nothing
    "
  `)
})

test('values', () => {
  const a = ex.constant('f32', 0.5, 4)
  const ints = ex.convert(a, 'i32')
  expect(
    printExpr(ex.select(ex.and(ex.lt(a, 1), ex.constant('bool', 1, 4)), ex.sqrt(a), ex.constant('f32', -0, 4))),
  ).toBe('select((0.5 < 1.0) & true, sqrt(0.5), -0.0)')
  expect(printExpr(ex.reduceLanes('min', ex.shru(ex.bitcast(a, 'i32'), ints)))).toBe(
    'lanes.min(bits.i32(0.5) >>> i32(0.5))',
  )
  expect(
    printExpr(ex.splat({ op: 'intrinsic', type: { kind: 'f32', lanes: 1 }, name: 'exp', a: ex.constant('f32', 2) }, 4)),
  ).toBe('splat(exp(2.0))')
  expect(printExpr(new KernelBuilder(target).laneIndex())).toBe('lane')
})
