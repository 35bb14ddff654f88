import { describe, expect, it } from 'vitest'
import { sizeOf, stridesOf } from '../../../base/shape.ts'
import { simplifyTurn, type Turn, turned } from './turn.ts'

/** By definition, element by element. */
function naive(values: Float32Array, { view, axes }: Turn): number[] {
  const shape = axes.map((axis) => view[axis])
  const strides = stridesOf(view)
  return Array.from(values, (_, i) => {
    let rest = i
    let at = 0
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += (rest % shape[axis]) * strides[axes[axis]]
      rest = Math.floor(rest / shape[axis])
    }
    return values[at]
  })
}

describe('turned', () => {
  it.each<[string, Turn]>([
    ['nothing', { view: [3, 4], axes: [0, 1] }],
    ['a matrix', { view: [70, 33], axes: [1, 0] }],
    ['a convolution', { view: [3, 3, 5, 67], axes: [3, 2, 0, 1] }],
    ['a depthwise one', { view: [3, 3, 1, 67], axes: [3, 2, 0, 1] }],
    ['channels first', { view: [4, 5, 130], axes: [2, 0, 1] }],
    ['the middle axes', { view: [2, 3, 4, 5], axes: [0, 2, 1, 3] }],
    ['several pieces', { view: [700, 900], axes: [1, 0] }],
    ['one value', { view: [1, 1], axes: [1, 0] }],
  ])('%s', (_name, turn) => {
    const values = Float32Array.from({ length: sizeOf(turn.view) }, (_, i) => i)
    const pieces = Array.from(turned(values, turn), (piece) => Array.from(new Float32Array(piece.slice().buffer)))
    expect(pieces.flat()).toEqual(naive(values, turn))
  })

  it('takes no more memory than some rows', () => {
    const pieces = Array.from(turned(new Float32Array(2 ** 20), { view: [1024, 1024], axes: [1, 0] }), (p) => p.length)
    expect(pieces).toEqual([2 ** 20, 2 ** 20, 2 ** 20, 2 ** 20])
  })
})

it('axes that stay together are one', () => {
  expect(simplifyTurn({ view: [3, 3, 1, 8], axes: [3, 2, 0, 1] })).toEqual({ view: [9, 8], axes: [1, 0] })
  expect(simplifyTurn({ view: [2, 1, 3], axes: [0, 2, 1] })).toEqual({ view: [6], axes: [0] })
  expect(simplifyTurn({ view: [1], axes: [0] })).toEqual({ view: [], axes: [] })
})
