import { describe, expect, it } from 'vitest'
import { inputNode } from '../graph/node.ts'
import { errorText } from '../testing/error-text.ts'
import * as g from './gather.ts'

const real = (...shape: number[]) => inputNode(0, shape, 'f32')
const whole = (...shape: number[]) => inputNode(0, shape, 'i32')

describe('gather: what bad input is told', () => {
  it('take by real numbers', () => {
    expect(errorText(() => g.take(real(3, 4), real(2)))).toMatchInlineSnapshot(`
      "DTypeError: take: indices has dtype f32.
        got       indices f32 [2]
        expected  i32 or u8
        fix       cast it first, for instance with .cast('i32')"
    `)
  })
  it('take from a scalar', () => {
    expect(errorText(() => g.take(real(), whole(2)))).toMatchInlineSnapshot(`
      "ShapeError: take: the table is a scalar.
        got       table []
        expected  rows along the first axis
        fix       reshape the table"
    `)
  })
  it('take by no index', () => {
    expect(errorText(() => g.take(real(3), whole(0)))).toMatchInlineSnapshot(`
      "ShapeError: take: indices is empty.
        got       indices [0]
        expected  at least one element on every axis
        fix       leave empty tensors out before computing with them"
    `)
  })
  it('scatterAdd with updates that do not fit', () => {
    expect(errorText(() => g.scatterAdd(whole(3), real(4, 2), 5))).toMatchInlineSnapshot(`
      "ShapeError: scatterAdd: there is not one update for each index.
        got       indices [3], updates [4, 2]
        expected  updates whose first axes are those of the indices
        fix       reshape one of them"
    `)
  })
  it('scatterAdd of integers', () => {
    expect(errorText(() => g.scatterAdd(whole(3), whole(3), 5))).toMatchInlineSnapshot(`
      "DTypeError: scatterAdd: updates has dtype i32.
        got       updates i32 [3]
        expected  f32
        fix       cast it first, for instance with .cast('f32')"
    `)
  })
  it('scatterAdd to no rows', () => {
    expect(errorText(() => g.scatterAdd(whole(3), real(3), 0))).toMatchInlineSnapshot(`
      "ConfigError: scatterAdd: rows makes no sense.
        got       0
        expected  a whole number of at least 1
        fix       correct rows"
    `)
  })
  it('oneHot of real numbers', () => {
    expect(errorText(() => g.oneHot(real(3), 4))).toMatchInlineSnapshot(`
      "DTypeError: oneHot: indices has dtype f32.
        got       indices f32 [3]
        expected  i32 or u8
        fix       cast it first, for instance with .cast('i32')"
    `)
  })
  it('oneHot of half a class', () => {
    expect(errorText(() => g.oneHot(whole(3), 2.5))).toMatchInlineSnapshot(`
      "ConfigError: oneHot: classes makes no sense.
        got       2.5
        expected  a whole number of at least 1
        fix       correct classes"
    `)
  })
  it('takeAlong with too many indices', () => {
    expect(errorText(() => g.takeAlong(real(3, 4), whole(4)))).toMatchInlineSnapshot(`
      "ShapeError: takeAlong: there is not one index for each row.
        got       x [3, 4], indices [4]
        expected  indices [3]
        fix       give one index for each row of the last axis"
    `)
  })
  it('takeAlong by real numbers', () => {
    expect(errorText(() => g.takeAlong(real(3, 4), real(3)))).toMatchInlineSnapshot(`
      "DTypeError: takeAlong: indices has dtype f32.
        got       indices f32 [3]
        expected  i32 or u8
        fix       cast it first, for instance with .cast('i32')"
    `)
  })
  it('iota of nothing', () => {
    expect(errorText(() => g.iota(0))).toMatchInlineSnapshot(`
      "ConfigError: iota: count makes no sense.
        got       0
        expected  a whole number of at least 1
        fix       correct count"
    `)
  })
})
