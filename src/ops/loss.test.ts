import { describe, expect, it } from 'vitest'
import { inputNode } from '../graph/node.ts'
import { errorText } from '../testing/error-text.ts'
import * as l from './loss.ts'

const real = (...shape: number[]) => inputNode(0, shape, 'f32')
const whole = (...shape: number[]) => inputNode(0, shape, 'i32')
const flags = (...shape: number[]) => inputNode(0, shape, 'bool')

describe('loss: what bad input is told', () => {
  it('labels of another batch', () => {
    expect(errorText(() => l.crossEntropy(real(4, 10), whole(5)))).toMatchInlineSnapshot(`
      "ShapeError: crossEntropy: the labels do not fit the logits.
        got       logits [4, 10], labels i32 [5]
        expected  class numbers i32 [4] or probabilities f32 [4, 10]
        fix       give one label for each row of logits"
    `)
  })
  it('probabilities of other classes', () => {
    expect(errorText(() => l.crossEntropy(real(4, 10), real(4, 9)))).toMatchInlineSnapshot(`
      "ShapeError: crossEntropy: the labels do not fit the logits.
        got       logits [4, 10], labels f32 [4, 9]
        expected  class numbers i32 [4] or probabilities f32 [4, 10]
        fix       give one label for each row of logits"
    `)
  })
  it('logits without classes', () => {
    expect(errorText(() => l.crossEntropy(real(), whole()))).toMatchInlineSnapshot(`
      "ShapeError: crossEntropy: the labels do not fit the logits.
        got       logits [], labels i32 []
        expected  class numbers i32 [] or probabilities f32 []
        fix       give one label for each row of logits"
    `)
  })
  it('bool labels', () => {
    expect(errorText(() => l.crossEntropy(real(4, 10), flags(4)))).toMatchInlineSnapshot(`
      "DTypeError: crossEntropy: labels has dtype bool.
        got       labels bool [4]
        expected  i32, u8 or f32
        fix       cast it first, for instance with .cast('i32')"
    `)
  })
  it('integer logits', () => {
    expect(errorText(() => l.crossEntropy(whole(4, 10), whole(4)))).toMatchInlineSnapshot(`
      "DTypeError: crossEntropy: logits has dtype i32.
        got       logits i32 [4, 10]
        expected  f32
        fix       cast it first, for instance with .cast('f32')"
    `)
  })
  it('smoothing of everything', () => {
    expect(errorText(() => l.crossEntropy(real(4, 10), whole(4), { labelSmoothing: 1 }))).toMatchInlineSnapshot(`
      "ConfigError: crossEntropy: labelSmoothing makes no sense.
        got       1
        expected  a share in [0, 1)
        fix       use for instance 0.1"
    `)
  })
  it('class weights of other classes', () => {
    expect(errorText(() => l.crossEntropy(real(4, 10), whole(4), { classWeights: real(9) }))).toMatchInlineSnapshot(`
      "ShapeError: crossEntropy: the class weights do not fit the logits.
        got       logits [4, 10], classWeights [9]
        expected  classWeights [10]
        fix       give one weight for each class"
    `)
  })
  it('a reduction that does not exist', () => {
    expect(
      errorText(() => l.crossEntropy(real(4, 10), whole(4), { reduction: 'average' as 'mean' })),
    ).toMatchInlineSnapshot(`
      "ConfigError: crossEntropy: there is no reduction 'average'.
        got       'average'
        expected  'mean', 'sum' or 'none'
        fix       leave it out for 'mean'"
    `)
  })
  it('a mistyped option', () => {
    expect(
      errorText(() => l.crossEntropy(real(4, 10), whole(4), { labelSmoothin: 0.1 } as object)),
    ).toMatchInlineSnapshot(`
      "ConfigError: crossEntropy: unknown option 'labelSmoothin'.
        expected  labelSmoothing, classWeights, reduction
        fix       did you mean 'labelSmoothing'?"
    `)
  })
  it('a target of another shape', () => {
    expect(errorText(() => l.mseLoss(real(4, 1), real(4)))).toMatchInlineSnapshot(`
      "ShapeError: mseLoss: prediction and target differ in shape.
        got       prediction [4, 1], target [4]
        expected  one shape: losses do not broadcast, it hides mistakes
        fix       reshape one of them"
    `)
  })
  it('an integer target', () => {
    expect(errorText(() => l.l1Loss(real(4), whole(4)))).toMatchInlineSnapshot(`
      "DTypeError: l1Loss: the operands have dtypes f32 and i32.
        got       f32 [4] and i32 [4]
        expected  one dtype: nothing is promoted silently
        fix       cast one of them, for instance with .cast('f32')"
    `)
  })
  it('integer predictions', () => {
    expect(errorText(() => l.bceWithLogits(whole(4), whole(4)))).toMatchInlineSnapshot(`
      "DTypeError: bceWithLogits: prediction has dtype i32.
        got       prediction i32 [4]
        expected  f32
        fix       cast it first, for instance with .cast('f32')"
    `)
  })
})
