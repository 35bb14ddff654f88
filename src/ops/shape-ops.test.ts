import { describe, expect, it } from 'vitest'
import { inputNode } from '../graph/node.ts'
import { errorText } from '../testing/error-text.ts'
import * as s from './shape-ops.ts'

const real = (...shape: number[]) => inputNode(0, shape, 'f32')
const whole = (...shape: number[]) => inputNode(0, shape, 'i32')

describe('shape-ops: what bad input is told', () => {
  it('reshape to another size', () => {
    expect(errorText(() => s.reshape(real(2, 3), [4, 2]))).toMatchInlineSnapshot(`
      "ShapeError: reshape: the shapes do not hold equally many elements.
        got       [2, 3] (6 elements) to [4, 2]
        expected  a shape of 6 elements
        fix       correct the shape, or give -1 for one extent"
    `)
  })
  it('reshape with a -1 that does not divide', () => {
    expect(errorText(() => s.reshape(real(2, 3), [4, -1]))).toMatchInlineSnapshot(`
      "ShapeError: reshape: the shapes do not hold equally many elements.
        got       [2, 3] (6 elements) to [4, -1]
        expected  a shape of 6 elements
        fix       correct the shape, or give -1 for one extent"
    `)
  })
  it('reshape with two -1', () => {
    expect(errorText(() => s.reshape(real(2, 3), [-1, -1]))).toMatchInlineSnapshot(`
      "ShapeError: reshape: the shape makes no sense.
        got       [2, 3] (6 elements) to [-1, -1]
        expected  whole numbers, at most one of them -1
        fix       correct the shape, or give -1 for one extent"
    `)
  })
  it('transpose with too few axes', () => {
    expect(errorText(() => s.transpose(real(2, 3, 4), [0, 1]))).toMatchInlineSnapshot(`
      "ShapeError: transpose: the axes are no order of the 3 axes of x.
        got       axes [0, 1] of [2, 3, 4]
        expected  every axis once
        fix       name all axes from 0 to 2"
    `)
  })
  it('transpose with a repeated axis', () => {
    expect(errorText(() => s.transpose(real(2, 3), [0, 0]))).toMatchInlineSnapshot(`
      "ShapeError: transpose: the axes are no order of the 2 axes of x.
        got       axes [0, 0] of [2, 3]
        expected  every axis once
        fix       name all axes from 0 to 1"
    `)
  })
  it('transpose with an axis that does not exist', () => {
    expect(errorText(() => s.transpose(real(2, 3), [0, 2]))).toMatchInlineSnapshot(`
      "ShapeError: transpose: there is no axis 2.
        got       a tensor of shape [2, 3]
        expected  an axis from -2 to 1
        fix       give an axis the tensor has"
    `)
  })
  it('slice that leaves nothing', () => {
    expect(errorText(() => s.slice(real(5), [[3, 3]]))).toMatchInlineSnapshot(`
      "ShapeError: slice: nothing is left of axis 0.
        got       range [3, 3, 1] of [5]
        expected  at least one element
        fix       correct the range: the end is not included"
    `)
  })
  it('slice with step 0', () => {
    expect(errorText(() => s.slice(real(5), [[0, 5, 0]]))).toMatchInlineSnapshot(`
      "ConfigError: slice: the range of axis 0 makes no sense.
        got       [0, 5, 0]
        expected  whole numbers, a step that is not 0
        fix       correct the range"
    `)
  })
  it('slice at half a place', () => {
    expect(errorText(() => s.slice(real(5), [[0.5]]))).toMatchInlineSnapshot(`
      "ConfigError: slice: the range of axis 0 makes no sense.
        got       [0.5, undefined, 1]
        expected  whole numbers, a step that is not 0
        fix       correct the range"
    `)
  })
  it('slice with too many ranges', () => {
    expect(errorText(() => s.slice(real(5), [[0], [1]]))).toMatchInlineSnapshot(`
      "ShapeError: slice: there are more ranges than axes.
        got       2 ranges, x [5]
        expected  at most one range an axis
        fix       leave ranges out at the end"
    `)
  })
  it('flip of an axis that does not exist', () => {
    expect(errorText(() => s.flip(real(5), 1))).toMatchInlineSnapshot(`
      "ShapeError: flip: there is no axis 1.
        got       a tensor of shape [5]
        expected  an axis from -1 to 0
        fix       give an axis the tensor has"
    `)
  })
  it('split that does not divide', () => {
    expect(errorText(() => s.split(real(2, 5), 2, 1))).toMatchInlineSnapshot(`
      "ShapeError: split: the parts do not fill axis 1.
        got       2 parts of [2, 5]
        expected  whole parts of 5 elements together
        fix       correct the parts"
    `)
  })
  it('split whose parts do not add up', () => {
    expect(errorText(() => s.split(real(2, 5), [2, 2], 1))).toMatchInlineSnapshot(`
      "ShapeError: split: the parts do not fill axis 1.
        got       parts [2, 2] of [2, 5]
        expected  whole parts of 5 elements together
        fix       correct the parts"
    `)
  })
  it('pad with too few pairs', () => {
    expect(errorText(() => s.pad(real(2, 5), [[1, 1]]))).toMatchInlineSnapshot(`
      "ShapeError: pad: there is not one padding for each axis.
        got       x [2, 5], padding [[1, 1]]
        expected  [before, after] for every axis
        fix       give [0, 0] for axes that stay as they are"
    `)
  })
  it('pad with a negative number', () => {
    expect(errorText(() => s.pad(real(2), [[1, -1]]))).toMatchInlineSnapshot(`
      "ConfigError: pad: the padding makes no sense.
        got       [[1, -1]]
        expected  whole numbers of at least 0
        fix       to take elements away, use slice"
    `)
  })
  it('concat of shapes that do not line up', () => {
    expect(errorText(() => s.concat([real(2, 3), real(2, 4)]))).toMatchInlineSnapshot(`
      "ShapeError: concat: input 1 does not fit the first one.
        got       [2, 3], [2, 4]
        expected  equal extents on all axes but axis 0
        fix       slice, pad or reshape the inputs so that they line up"
    `)
  })
  it('concat of different ranks', () => {
    expect(errorText(() => s.concat([real(2, 3), real(3)]))).toMatchInlineSnapshot(`
      "ShapeError: concat: input 1 does not fit the first one.
        got       [2, 3], [3]
        expected  equal extents on all axes but axis 0
        fix       slice, pad or reshape the inputs so that they line up"
    `)
  })
  it('concat of different dtypes', () => {
    expect(errorText(() => s.concat([real(2), whole(2)]))).toMatchInlineSnapshot(`
      "DTypeError: concat: the operands have dtypes f32 and i32.
        got       f32 [2] and i32 [2]
        expected  one dtype: nothing is promoted silently
        fix       cast one of them, for instance with .cast('f32')"
    `)
  })
  it('concat of nothing', () => {
    expect(errorText(() => s.concat([]))).toMatchInlineSnapshot(`
      "ConfigError: concat: there are no tensors.
        got       an empty list
        expected  at least one tensor
        fix       give the tensors as an array"
    `)
  })
  it('stack of different shapes', () => {
    expect(errorText(() => s.stack([real(2), real(3)]))).toMatchInlineSnapshot(`
      "ShapeError: stack: input 1 has another shape than the first one.
        got       [2], [3]
        expected  one shape
        fix       use concat for tensors that differ along an axis"
    `)
  })
  it('broadcastTo a shape that does not fit', () => {
    expect(errorText(() => s.broadcastTo(real(2, 3), [2, 4]))).toMatchInlineSnapshot(`
      "ShapeError: broadcastTo: shapes cannot be broadcast together: axis 1 has 3 and 4 elements.
        got       [2, 3] and [2, 4]
        expected  equal extents, or 1, on every axis counted from the end
        fix       reshape one operand so that its axes line up, for instance with .reshape or an axis of 1"
    `)
  })
  it('broadcastTo a smaller shape', () => {
    expect(errorText(() => s.broadcastTo(real(2, 3), [3]))).toMatchInlineSnapshot(`
      "ShapeError: broadcastTo: [2, 3] cannot be repeated to fill [3].
        got       [2, 3] and [3]
        expected  equal extents, or 1 in the first shape, on every axis counted from the end
        fix       reshape the operand so that its axes line up"
    `)
  })
  it('broadcastTo an empty shape', () => {
    expect(errorText(() => s.broadcastTo(real(1, 3), [0, 3]))).toMatchInlineSnapshot(`
      "ShapeError: broadcastTo: the shape makes no sense.
        got       [0, 3]
        expected  whole numbers of at least 1
        fix       correct the shape"
    `)
  })
  it('squeeze of a long axis', () => {
    expect(errorText(() => s.squeeze(real(2, 1), 0))).toMatchInlineSnapshot(`
      "ShapeError: squeeze: axis 0 has 2 elements.
        got       axes [0] of [2, 1]
        expected  axes of extent 1
        fix       name other axes, or reduce the axis"
    `)
  })
  it('expandDims beyond the result', () => {
    expect(errorText(() => s.expandDims(real(2), 2))).toMatchInlineSnapshot(`
      "ShapeError: expandDims: there is no axis 2.
        got       a tensor of shape [2, 1]
        expected  an axis from -2 to 1
        fix       give an axis the tensor has"
    `)
  })
})
