import { describe, expect, it } from 'vitest'
import { inputNode } from '../graph/node.ts'
import { errorText } from '../testing/error-text.ts'
import * as r from './reduce.ts'

const real = (...shape: number[]) => inputNode(0, shape, 'f32')
const whole = (...shape: number[]) => inputNode(0, shape, 'i32')
const bytes = (...shape: number[]) => inputNode(0, shape, 'u8')
const flags = (...shape: number[]) => inputNode(0, shape, 'bool')

describe('reduce: what bad input is told', () => {
  it('sum over an axis that does not exist', () => {
    expect(errorText(() => r.sum(real(2, 3), 2))).toMatchInlineSnapshot(`
      "ShapeError: sum: there is no axis 2.
        got       a tensor of shape [2, 3]
        expected  an axis from -2 to 1
        fix       give an axis the tensor has"
    `)
  })
  it('sum over an axis named twice', () => {
    expect(errorText(() => r.sum(real(2, 3), [0, -2]))).toMatchInlineSnapshot(`
      "ShapeError: sum: axis 0 is named twice.
        got       axes [0, -2] of [2, 3]
        expected  each axis once
        fix       remove the repetition"
    `)
  })
  it('sum of bytes', () => {
    expect(errorText(() => r.sum(bytes(3)))).toMatchInlineSnapshot(`
      "DTypeError: sum: x has dtype u8.
        got       x u8 [3]
        expected  f32 or i32
        fix       cast it first, for instance with .cast('f32')"
    `)
  })
  it('sum of an empty tensor', () => {
    expect(errorText(() => r.sum(real(0)))).toMatchInlineSnapshot(`
      "ShapeError: sum: x is empty.
        got       x [0]
        expected  at least one element on every axis
        fix       leave empty tensors out before computing with them"
    `)
  })
  it('mean of integers', () => {
    expect(errorText(() => r.mean(whole(3)))).toMatchInlineSnapshot(`
      "DTypeError: mean: x has dtype i32.
        got       x i32 [3]
        expected  f32
        fix       cast it first, for instance with .cast('f32')"
    `)
  })
  it('max of bools', () => {
    expect(errorText(() => r.max(flags(3)))).toMatchInlineSnapshot(`
      "DTypeError: max: x has dtype bool.
        got       x bool [3]
        expected  f32 or i32
        fix       cast it first, for instance with .cast('f32')"
    `)
  })
  it('variance of one value', () => {
    expect(errorText(() => r.variance(real(1)))).toMatchInlineSnapshot(`
      "ConfigError: variance: there are too few values for the correction.
        got       correction 1, 1 along axes [0] of [1]
        expected  more values than the correction, which is at least 0
        fix       use correction: 0 for the mean of the squares"
    `)
  })
  it('argmax of a scalar', () => {
    expect(errorText(() => r.argmax(real()))).toMatchInlineSnapshot(`
      "ShapeError: argmax: there is no axis -1.
        got       a tensor of shape []
        expected  no axis: it is a scalar
        fix       give an axis the tensor has"
    `)
  })
  it('argmax of bools', () => {
    expect(errorText(() => r.argmax(flags(3)))).toMatchInlineSnapshot(`
      "DTypeError: argmax: x has dtype bool.
        got       x bool [3]
        expected  f32, i32 or u8
        fix       cast it first, for instance with .cast('f32')"
    `)
  })
  it('softmax of integers', () => {
    expect(errorText(() => r.softmax(whole(3)))).toMatchInlineSnapshot(`
      "DTypeError: softmax: x has dtype i32.
        got       x i32 [3]
        expected  f32
        fix       cast it first, for instance with .cast('f32')"
    `)
  })
  it('logSoftmax over an axis that does not exist', () => {
    expect(errorText(() => r.logSoftmax(real(3), 1))).toMatchInlineSnapshot(`
      "ShapeError: logSoftmax: there is no axis 1.
        got       a tensor of shape [3]
        expected  an axis from -1 to 0
        fix       give an axis the tensor has"
    `)
  })
  it('logsumexp of integers', () => {
    expect(errorText(() => r.logsumexp(whole(3)))).toMatchInlineSnapshot(`
      "DTypeError: logsumexp: x has dtype i32.
        got       x i32 [3]
        expected  f32
        fix       cast it first, for instance with .cast('f32')"
    `)
  })
})
