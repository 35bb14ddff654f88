import { describe, expect, it } from 'vitest'
import { inputNode, makeNode } from '../graph/node.ts'
import { errorText } from '../testing/error-text.ts'
import * as o from './elementwise.ts'

const real = (...shape: number[]) => inputNode(0, shape, 'f32')
const whole = (...shape: number[]) => inputNode(0, shape, 'i32')
const bytes = (...shape: number[]) => inputNode(0, shape, 'u8')
const flags = (...shape: number[]) => inputNode(0, shape, 'bool')

describe('elementwise: what bad input is told', () => {
  it('shapes that cannot be broadcast', () => {
    expect(errorText(() => o.add(real(2, 3), real(4)))).toMatchInlineSnapshot(`
      "ShapeError: add: shapes cannot be broadcast together: axis 1 has 3 and 4 elements.
        got       [2, 3] and [4]
        expected  equal extents, or 1, on every axis counted from the end
        fix       reshape one operand so that its axes line up, for instance with .reshape or an axis of 1"
    `)
  })
  it('operands of different dtypes', () => {
    expect(errorText(() => o.mul(real(2), whole(2)))).toMatchInlineSnapshot(`
      "DTypeError: mul: the operands have dtypes f32 and i32.
        got       f32 [2] and i32 [2]
        expected  one dtype: nothing is promoted silently
        fix       cast one of them, for instance with .cast('f32')"
    `)
  })
  it('division of integers', () => {
    expect(errorText(() => o.div(whole(2), whole(2)))).toMatchInlineSnapshot(`
      "DTypeError: div: a has dtype i32.
        got       a i32 [2]
        expected  f32
        fix       cast it first, for instance with .cast('f32')"
    `)
  })
  it('arithmetic on pictures', () => {
    expect(errorText(() => o.add(bytes(2), bytes(2)))).toMatchInlineSnapshot(`
      "DTypeError: add: a has dtype u8.
        got       a u8 [2]
        expected  f32 or i32
        fix       cast it first, for instance with .cast('f32')"
    `)
  })
  it('an empty tensor', () => {
    expect(errorText(() => o.exp(real(0, 3)))).toMatchInlineSnapshot(`
      "ShapeError: exp: x is empty.
        got       x [0, 3]
        expected  at least one element on every axis
        fix       leave empty tensors out before computing with them"
    `)
  })
  it('exp of integers', () => {
    expect(errorText(() => o.exp(whole(3)))).toMatchInlineSnapshot(`
      "DTypeError: exp: x has dtype i32.
        got       x i32 [3]
        expected  f32
        fix       cast it first, for instance with .cast('f32')"
    `)
  })
  it('logic on numbers', () => {
    expect(errorText(() => o.logicalAnd(real(2), real(2)))).toMatchInlineSnapshot(`
      "DTypeError: logicalAnd: a has dtype f32.
        got       a f32 [2]
        expected  bool
        fix       cast it first, for instance with .cast('bool')"
    `)
  })
  it('a condition that is no bool', () => {
    expect(errorText(() => o.select(real(2), real(2), real(2)))).toMatchInlineSnapshot(`
      "DTypeError: select: condition has dtype f32.
        got       condition f32 [2]
        expected  bool
        fix       cast it first, for instance with .cast('bool')"
    `)
  })
  it('choices of different dtypes', () => {
    expect(errorText(() => o.select(flags(2), real(2), whole(2)))).toMatchInlineSnapshot(`
      "DTypeError: select: the operands have dtypes f32 and i32.
        got       f32 [2] and i32 [2]
        expected  one dtype: nothing is promoted silently
        fix       cast one of them, for instance with .cast('f32')"
    `)
  })
  it('comparison of bools', () => {
    expect(errorText(() => o.equal(flags(2), flags(2)))).toMatchInlineSnapshot(`
      "DTypeError: equal: a has dtype bool.
        got       a bool [2]
        expected  f32, i32 or u8
        fix       cast it first, for instance with .cast('f32')"
    `)
  })
  it('a power of different dtypes', () => {
    expect(errorText(() => o.pow(real(2), whole(2)))).toMatchInlineSnapshot(`
      "DTypeError: pow: the operands have dtypes f32 and i32.
        got       f32 [2] and i32 [2]
        expected  one dtype: nothing is promoted silently
        fix       cast one of them, for instance with .cast('f32')"
    `)
  })
  it('clamp with swapped bounds', () => {
    expect(errorText(() => o.clamp(real(2), 1, -1))).toMatchInlineSnapshot(`
      "ConfigError: clamp: the bounds make no sense.
        got       1 and -1
        expected  the lower bound first
        fix       swap them"
    `)
  })
  it('clamp with NaN', () => {
    expect(errorText(() => o.clamp(real(2), Number.NaN, 1))).toMatchInlineSnapshot(`
      "ConfigError: clamp: the bounds make no sense.
        got       NaN and 1
        expected  the lower bound first
        fix       swap them"
    `)
  })
  it('cast to a dtype that does not exist', () => {
    expect(errorText(() => o.cast(real(2), 'f16' as 'f32'))).toMatchInlineSnapshot(`
      "ConfigError: cast: there is no dtype 'f16'.
        got       'f16' for a tensor [2]
        expected  f32, i32, u8, bool
        fix       use 'f32' for real numbers"
    `)
  })
  it('a map made of unequal shapes', () => {
    expect(errorText(() => makeNode(o.addOp, [real(2), real(3)], {}))).toMatchInlineSnapshot(`
      "ShapeError: add: the operands differ in shape.
        got       [2] and [3]
        expected  one shape
        fix       broadcast them first, for instance with broadcastTo"
    `)
  })
})
