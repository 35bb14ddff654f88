import { describe, expect, it } from 'vitest'
import { inputNode } from '../graph/node.ts'
import { errorText } from '../testing/error-text.ts'
import * as n from './norm.ts'

const real = (...shape: number[]) => inputNode(0, shape, 'f32')
const whole = (...shape: number[]) => inputNode(0, shape, 'i32')

describe('norm: what bad input is told', () => {
  it('batchNorm with weights that do not fit', () => {
    expect(errorText(() => n.batchNorm(real(2, 3, 4), real(3), real(3)))).toMatchInlineSnapshot(`
      "ShapeError: batchNorm: weight and bias do not fit the input.
        got       x [2, 3, 4], weight [3], bias [3]
        expected  weight and bias [4]
        fix       give one weight and one bias for each channel or feature that is normalised"
    `)
  })
  it('batchNorm with a bias that does not fit', () => {
    expect(errorText(() => n.batchNorm(real(2, 4), real(4), real(1)))).toMatchInlineSnapshot(`
      "ShapeError: batchNorm: weight and bias do not fit the input.
        got       x [2, 4], weight [4], bias [1]
        expected  weight and bias [4]
        fix       give one weight and one bias for each channel or feature that is normalised"
    `)
  })
  it('batchNorm of a vector', () => {
    expect(errorText(() => n.batchNorm(real(4), real(4), real(4)))).toMatchInlineSnapshot(`
      "ShapeError: batchNorm: the input has too few axes.
        got       x [4]
        expected  at least 2 axes
        fix       reshape the input"
    `)
  })
  it('batchNorm of integers', () => {
    expect(errorText(() => n.batchNorm(whole(2, 4), real(4), real(4)))).toMatchInlineSnapshot(`
      "DTypeError: batchNorm: x has dtype i32.
        got       x i32 [2, 4]
        expected  f32
        fix       cast it first, for instance with .cast('f32')"
    `)
  })
  it('batchNorm with eps 0', () => {
    expect(errorText(() => n.batchNorm(real(2, 4), real(4), real(4), 0))).toMatchInlineSnapshot(`
      "ConfigError: batchNorm: eps makes no sense.
        got       0
        expected  a small positive number
        fix       leave it out for 1e-5"
    `)
  })
  it('batchNorm with statistics that do not fit', () => {
    expect(
      errorText(() => n.batchNormInference(real(2, 4), real(4), real(4), real(3), real(4))),
    ).toMatchInlineSnapshot(`
      "ShapeError: batchNorm: mean and variance do not fit the input.
        got       x [2, 4], mean [3], variance [4]
        expected  mean and variance [4]
        fix       give one mean and one variance for each channel or feature that is normalised"
    `)
  })
  it('layerNorm with weights that do not fit', () => {
    expect(errorText(() => n.layerNorm(real(2, 4), real(2), real(2)))).toMatchInlineSnapshot(`
      "ShapeError: layerNorm: weight and bias do not fit the input.
        got       x [2, 4], weight [2], bias [2]
        expected  weight and bias [4]
        fix       give one weight and one bias for each channel or feature that is normalised"
    `)
  })
  it('layerNorm over more axes than there are', () => {
    expect(errorText(() => n.layerNorm(real(4), real(2, 4), real(2, 4)))).toMatchInlineSnapshot(`
      "ShapeError: layerNorm: the input has too few axes.
        got       x [4]
        expected  at least 2 axes
        fix       reshape the input"
    `)
  })
  it('groupNorm with groups that do not divide', () => {
    expect(errorText(() => n.groupNorm(real(2, 5, 6), 4, real(6), real(6)))).toMatchInlineSnapshot(`
      "ConfigError: groupNorm: 6 channels cannot be cut into 4 groups.
        got       x [2, 5, 6], groups 4
        expected  a number of groups that divides the channels
        fix       change groups or the number of channels"
    `)
  })
  it('groupNorm with weights that do not fit', () => {
    expect(errorText(() => n.groupNorm(real(2, 5, 6), 2, real(2), real(2)))).toMatchInlineSnapshot(`
      "ShapeError: groupNorm: weight and bias do not fit the input.
        got       x [2, 5, 6], weight [2], bias [2]
        expected  weight and bias [6]
        fix       give one weight and one bias for each channel or feature that is normalised"
    `)
  })
})
