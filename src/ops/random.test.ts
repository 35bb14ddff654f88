import { describe, expect, it } from 'vitest'
import { inputNode } from '../graph/node.ts'
import { errorText } from '../testing/error-text.ts'
import * as r from './random.ts'

const real = (...shape: number[]) => inputNode(0, shape, 'f32')
const whole = (...shape: number[]) => inputNode(0, shape, 'i32')

describe('random: what bad input is told', () => {
  it('a key of one word', () => {
    expect(errorText(() => r.randomUniform([3], whole(1), 0))).toMatchInlineSnapshot(`
      "ShapeError: randomUniform: the key has not two words.
        got       key [1]
        expected  key [2]: a word made of the seed, and the step
        fix       give an i32 tensor of two elements"
    `)
  })
  it('a key of real numbers', () => {
    expect(errorText(() => r.randomNormal([3], real(2), 0))).toMatchInlineSnapshot(`
      "DTypeError: randomNormal: key has dtype f32.
        got       key f32 [2]
        expected  i32
        fix       cast it first, for instance with .cast('i32')"
    `)
  })
  it('a stream that is no whole number', () => {
    expect(errorText(() => r.randomUniform([3], whole(2), 0.5))).toMatchInlineSnapshot(`
      "ConfigError: randomUniform: the stream makes no sense.
        got       0.5
        expected  a whole number
        fix       number the layers"
    `)
  })
  it('an empty shape', () => {
    expect(errorText(() => r.randomUniform([0], whole(2), 0))).toMatchInlineSnapshot(`
      "ShapeError: randomUniform: the shape makes no sense.
        got       [0]
        expected  whole numbers of at least 1
        fix       correct the shape"
    `)
  })
  it('a rate of 1', () => {
    expect(errorText(() => r.dropout(real(3), 1, whole(2), 0))).toMatchInlineSnapshot(`
      "ConfigError: dropout: the rate makes no sense.
        got       1
        expected  a share in [0, 1)
        fix       use for instance 0.5"
    `)
  })
  it('dropout of integers', () => {
    expect(errorText(() => r.dropout(whole(3), 0.5, whole(2), 0))).toMatchInlineSnapshot(`
      "DTypeError: dropout: x has dtype i32.
        got       x i32 [3]
        expected  f32
        fix       cast it first, for instance with .cast('f32')"
    `)
  })
})
