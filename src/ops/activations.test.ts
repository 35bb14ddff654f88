import { describe, expect, it } from 'vitest'
import { inputNode } from '../graph/node.ts'
import { errorText } from '../testing/error-text.ts'
import * as a from './activations.ts'

const real = (...shape: number[]) => inputNode(0, shape, 'f32')
const whole = (...shape: number[]) => inputNode(0, shape, 'i32')
const bytes = (...shape: number[]) => inputNode(0, shape, 'u8')

describe('activations: what bad input is told', () => {
  it('relu of integers', () => {
    expect(errorText(() => a.relu(whole(3)))).toMatchInlineSnapshot(`
      "DTypeError: relu: x has dtype i32.
        got       x i32 [3]
        expected  f32
        fix       cast it first, for instance with .cast('f32')"
    `)
  })
  it('a slope that is no number', () => {
    expect(errorText(() => a.leakyRelu(real(3), Number.NaN))).toMatchInlineSnapshot(`
      "ConfigError: leakyRelu: slope makes no sense.
        got       NaN
        expected  a finite number
        fix       correct slope"
    `)
  })
  it('an infinite alpha', () => {
    expect(errorText(() => a.elu(real(3), Number.POSITIVE_INFINITY))).toMatchInlineSnapshot(`
      "ConfigError: elu: alpha makes no sense.
        got       Infinity
        expected  a finite number
        fix       correct alpha"
    `)
  })
  it('gelu of bytes', () => {
    expect(errorText(() => a.gelu(bytes(3)))).toMatchInlineSnapshot(`
      "DTypeError: gelu: x has dtype u8.
        got       x u8 [3]
        expected  f32
        fix       cast it first, for instance with .cast('f32')"
    `)
  })
  it('an alpha of 0', () => {
    expect(errorText(() => a.celu(real(3), 0))).toMatchInlineSnapshot(`
      "ConfigError: celu: alpha makes no sense.
        got       0
        expected  a positive number
        fix       correct alpha"
    `)
  })
})
