/**
 * The same elements elsewhere: transpose, slice, flip, split are views; pad, concat, stack copy into parts of their
 * result. Slicing and padding are each other's gradient, so are concatenation and slicing.
 */
import { ConfigError, ShapeError } from '../base/errors.ts'
import { normalizeAxis, type Shape, sameShape, showShape, stridesOf } from '../base/shape.ts'
import type { KernelInput, Span } from '../graph/algorithm.ts'
import { copyCall, fillCall, type Region } from '../graph/copy.ts'
import { makeNode, type Node } from '../graph/node.ts'
import type { Algorithm, KernelOp, ViewOp } from '../graph/op.ts'
import { expandDims } from './broadcast.ts'
import { checkFilled, checkSameDType } from './operands.ts'

export {
  broadcastTo,
  broadcastToOp,
  expandDims,
  expandDimsOp,
  identity,
  identityOp,
  reshape,
  reshapeOp,
  squeeze,
  squeezeOp,
  stopGradient,
  stopGradientOp,
} from './broadcast.ts'

// ---------------------------------------------------------------------------------------------- transpose

interface TransposeAttributes {
  /** Axis i of the result is axis axes[i] of the input. */
  readonly axes: readonly number[]
}

export const transposeOp: ViewOp<TransposeAttributes> = {
  name: 'transpose',
  kind: 'view',
  infer: ([x], { axes }) => ({ shape: axes.map((axis) => x.shape[axis]), dtype: x.dtype }),
  view: (input, output, { axes }) => ({
    shape: output,
    strides: axes.map((axis) => input.strides[axis]),
    offset: input.offset,
  }),
  // dx = g with the axes put back
  gradient(y, g) {
    const { axes } = y.attributes
    return [makeNode(transposeOp, [g], { axes: axes.map((_, i) => axes.indexOf(i)) })]
  },
}

/**
 * Axes in another order: axis i of the result is axis `axes[i]` of `x`; reversed when left out.
 * @throws ShapeError unless every axis is named once
 */
export function transpose(x: Node, axes?: readonly number[]): Node {
  const rank = x.shape.length
  const order = (axes ?? x.shape.map((_, i) => rank - 1 - i)).map((axis) => normalizeAxis('transpose', axis, x.shape))
  if (order.length !== rank || new Set(order).size !== rank) {
    throw new ShapeError({
      where: 'transpose',
      what: `the axes are no order of the ${rank} axes of x`,
      got: `axes [${(axes ?? []).join(', ')}] of ${showShape(x.shape)}`,
      expected: 'every axis once',
      fix: `name all axes from 0 to ${rank - 1}`,
    })
  }
  return order.every((axis, i) => axis === i) ? x : makeNode(transposeOp, [x], { axes: order })
}

// ---------------------------------------------------------------------------------------------- slice

/** Start, end (not included) and step; negative places count from the end; left out or undefined: all of the axis. */
export type Range = readonly [start?: number, end?: number, step?: number]

interface SliceAttributes {
  readonly starts: readonly number[]
  /** Not 0. */
  readonly steps: readonly number[]
  readonly shape: Shape
}

export const sliceOp: ViewOp<SliceAttributes> = {
  name: 'slice',
  kind: 'view',
  infer: ([x], { shape }) => ({ shape, dtype: x.dtype }),
  view: (input, output, { starts, steps }) => ({
    shape: output,
    strides: input.strides.map((stride, axis) => stride * steps[axis]),
    offset: input.strides.reduce((sum, stride, axis) => sum + stride * starts[axis], input.offset),
  }),
  // dx = g at the places that were taken, 0 elsewhere. Backward steps: the same of the reversed g.
  gradient(y, g) {
    const { starts, steps, shape } = y.attributes
    const backward = steps.flatMap((step, axis) => (step < 0 ? [axis] : []))
    const low = starts.map((start, axis) => (steps[axis] < 0 ? start + (shape[axis] - 1) * steps[axis] : start))
    const size = y.inputs[0].shape
    return [makeNode(padOp, [flip(g, backward)], { starts: low, steps: steps.map(Math.abs), shape: size, value: 0 })]
  },
}

/**
 * Part of a tensor, as NumPy's `x[start:end:step, …]`: places beyond the ends are cut off, steps may be negative, axes
 * without a range are taken whole.
 * @throws ShapeError when there are more ranges than axes, or nothing is left
 * @throws ConfigError on a step of 0 or a place that is no whole number
 */
export function slice(x: Node, ranges: readonly (Range | null | undefined)[]): Node {
  checkFilled('slice', 'x', x)
  if (ranges.length > x.shape.length) {
    throw new ShapeError({
      where: 'slice',
      what: 'there are more ranges than axes',
      got: `${ranges.length} ranges, x ${showShape(x.shape)}`,
      expected: 'at most one range an axis',
      fix: 'leave ranges out at the end',
    })
  }
  const parts = x.shape.map((extent, axis) => resolveRange(x, axis, extent, ranges[axis] ?? []))
  if (parts.every(({ start, step, count }, axis) => start === 0 && step === 1 && count === x.shape[axis])) return x
  return makeNode(sliceOp, [x], {
    starts: parts.map(({ start }) => start),
    steps: parts.map(({ step }) => step),
    shape: parts.map(({ count }) => count),
  })
}

function resolveRange(x: Node, axis: number, extent: number, range: Range) {
  const [start, end, step = 1] = range
  if (step === 0 || [start, end, step].some((place) => place !== undefined && !Number.isInteger(place))) {
    throw new ConfigError({
      where: 'slice',
      what: `the range of axis ${axis} makes no sense`,
      got: `[${[start, end, step].map(String).join(', ')}]`,
      expected: 'whole numbers, a step that is not 0',
      fix: 'correct the range',
    })
  }
  // NumPy: forward slices lie in 0 … extent, backward ones in -1 … extent - 1.
  const lowest = step > 0 ? 0 : -1
  const highest = step > 0 ? extent : extent - 1
  const place = (value: number | undefined, otherwise: number) =>
    value === undefined ? otherwise : Math.min(highest, Math.max(lowest, value < 0 ? value + extent : value))
  const from = place(start, step > 0 ? lowest : highest)
  const to = place(end, step > 0 ? highest : lowest)
  const count = Math.max(0, Math.ceil((to - from) / step))
  if (count === 0) {
    throw new ShapeError({
      where: 'slice',
      what: `nothing is left of axis ${axis}`,
      got: `range [${[start, end, step].map(String).join(', ')}] of ${showShape(x.shape)}`,
      expected: 'at least one element',
      fix: 'correct the range: the end is not included',
    })
  }
  return { start: from, step, count }
}

/** Axes walked backwards; all of them when left out. @throws ShapeError on an axis `x` does not have */
export function flip(x: Node, axes?: number | readonly number[]): Node {
  const list = axes === undefined ? x.shape.map((_, axis) => axis) : typeof axes === 'number' ? [axes] : axes
  const flipped = list.map((axis) => normalizeAxis('flip', axis, x.shape))
  if (flipped.length === 0) return x
  return makeNode(sliceOp, [x], {
    starts: x.shape.map((extent, axis) => (flipped.includes(axis) ? extent - 1 : 0)),
    steps: x.shape.map((_, axis) => (flipped.includes(axis) ? -1 : 1)),
    shape: x.shape,
  })
}

/**
 * Parts along an axis: equal ones when `parts` is a number, or of the given sizes.
 * @throws ShapeError when the parts do not fill the axis
 */
export function split(x: Node, parts: number | readonly number[], axis = 0): Node[] {
  const at = normalizeAxis('split', axis, x.shape)
  const extent = x.shape[at]
  const sizes = typeof parts === 'number' ? new Array<number>(Math.max(1, parts)).fill(extent / parts) : parts
  const fits = sizes.every((size) => Number.isInteger(size) && size >= 1)
  if (!fits || sizes.reduce((a, b) => a + b, 0) !== extent) {
    throw new ShapeError({
      where: 'split',
      what: `the parts do not fill axis ${at}`,
      got: `${typeof parts === 'number' ? `${parts} parts` : `parts [${parts.join(', ')}]`} of ${showShape(x.shape)}`,
      expected: `whole parts of ${extent} elements together`,
      fix: 'correct the parts',
    })
  }
  let start = 0
  return sizes.map((size) => {
    const ranges: (Range | null)[] = x.shape.map(() => null)
    ranges[at] = [start, start + size]
    start += size
    return slice(x, ranges)
  })
}

// ---------------------------------------------------------------------------------------------- pad

interface PadAttributes extends SliceAttributes {
  /** What stands where nothing was put. */
  readonly value: number
}

/** Part of a contiguous tensor. */
function part(span: Span, whole: Shape, starts: readonly number[], steps: readonly number[], shape: Shape): Region {
  const strides = stridesOf(whole)
  const offset = strides.reduce((sum, stride, axis) => sum + stride * starts[axis], span.offset)
  return { span: { buffer: span.buffer, offset }, shape, strides: strides.map((stride, axis) => stride * steps[axis]) }
}

function inputRegion({ span, layout }: KernelInput): Region {
  const { shape, strides, offset } = layout
  return { span: { buffer: span.buffer, offset: span.offset + offset }, shape, strides }
}

// The border is filled axis by axis, so that no element is written twice unless elements are put apart.
const padCopies: Algorithm<PadAttributes> = {
  name: 'copies',
  applies: () => true,
  cost: (node) => node.shape.reduce((a, b) => a * b, 1),
  tolerance: 0,
  acceptsStrides: true,
  build(node, [input], epilogue, context) {
    const { starts, steps, shape, value } = node.attributes
    const inner = node.inputs[0].shape
    const [output] = epilogue.outputs
    const ones = shape.map(() => 1)
    if (steps.some((step) => step !== 1)) {
      context.call(
        fillCall(
          part(
            output,
            shape,
            shape.map(() => 0),
            ones,
            shape,
          ),
          value,
        ),
      )
    } else {
      for (const [axis, extent] of shape.entries()) {
        // Inside on the axes before, whole on the axes behind.
        const slab = (start: number, count: number) => {
          if (count === 0) return
          const origin = shape.map((_, a) => (a < axis ? starts[a] : a === axis ? start : 0))
          const size = shape.map((whole, a) => (a < axis ? inner[a] : a === axis ? count : whole))
          context.call(fillCall(part(output, shape, origin, ones, size), value))
        }
        const end = starts[axis] + inner[axis]
        slab(0, starts[axis])
        slab(end, extent - end)
      }
    }
    context.call(copyCall(inputRegion(input), part(output, shape, starts, steps, inner)))
  },
}

// y[starts + i · steps] = x[i], `value` elsewhere;  dx = g at these places
export const padOp: KernelOp<PadAttributes> = {
  name: 'pad',
  kind: 'kernel',
  infer([x], { shape }) {
    checkFilled('pad', 'x', x)
    return { shape, dtype: x.dtype }
  },
  algorithms: [padCopies],
  gradient(y, g) {
    const { starts, steps } = y.attributes
    return [makeNode(sliceOp, [g], { starts, steps, shape: y.inputs[0].shape })]
  },
}

/**
 * `x` with constants around it.
 * @param padding `[before, after]` for every axis
 * @throws ShapeError when there is not one pair an axis, ConfigError on a negative or broken number
 */
export function pad(x: Node, padding: readonly (readonly [number, number])[], value = 0): Node {
  if (padding.length !== x.shape.length) {
    throw new ShapeError({
      where: 'pad',
      what: 'there is not one padding for each axis',
      got: `x ${showShape(x.shape)}, padding [${padding.map(([a, b]) => `[${a}, ${b}]`).join(', ')}]`,
      expected: '[before, after] for every axis',
      fix: 'give [0, 0] for axes that stay as they are',
    })
  }
  if (!padding.flat().every((count) => Number.isInteger(count) && count >= 0)) {
    throw new ConfigError({
      where: 'pad',
      what: 'the padding makes no sense',
      got: `[${padding.map(([a, b]) => `[${a}, ${b}]`).join(', ')}]`,
      expected: 'whole numbers of at least 0',
      fix: 'to take elements away, use slice',
    })
  }
  if (padding.flat().every((count) => count === 0)) return x
  const shape = x.shape.map((extent, axis) => padding[axis][0] + extent + padding[axis][1])
  return makeNode(padOp, [x], { starts: padding.map(([before]) => before), steps: shape.map(() => 1), shape, value })
}

// ---------------------------------------------------------------------------------------------- concat

interface ConcatAttributes {
  readonly axis: number
}

const concatCopies: Algorithm<ConcatAttributes> = {
  name: 'copies',
  applies: () => true,
  cost: (node) => node.shape.reduce((a, b) => a * b, 1),
  tolerance: 0,
  acceptsStrides: true,
  build(node, inputs, epilogue, context) {
    const { axis } = node.attributes
    const starts = node.shape.map(() => 0)
    const steps = node.shape.map(() => 1)
    for (const [i, input] of inputs.entries()) {
      const { shape } = node.inputs[i]
      context.call(copyCall(inputRegion(input), part(epilogue.outputs[0], node.shape, starts, steps, shape)))
      starts[axis] += shape[axis]
    }
  },
}

// y = the inputs one after the other;  dxᵢ = the part of g where xᵢ went
export const concatOp: KernelOp<ConcatAttributes> = {
  name: 'concat',
  kind: 'kernel',
  infer(inputs, { axis }) {
    const [first] = inputs
    for (const [i, x] of inputs.entries()) {
      checkSameDType('concat', first, x)
      checkFilled('concat', `input ${i}`, x)
      const fits = x.shape.length === first.shape.length && x.shape.every((n, a) => a === axis || n === first.shape[a])
      if (fits) continue
      throw new ShapeError({
        where: 'concat',
        what: `input ${i} does not fit the first one`,
        got: inputs.map((input) => showShape(input.shape)).join(', '),
        expected: `equal extents on all axes but axis ${axis}`,
        fix: 'slice, pad or reshape the inputs so that they line up',
      })
    }
    const extent = inputs.reduce((total, x) => total + x.shape[axis], 0)
    return { shape: first.shape.map((n, a) => (a === axis ? extent : n)), dtype: first.dtype }
  },
  algorithms: [concatCopies],
  gradient(y, g) {
    return split(
      g,
      y.inputs.map((x) => x.shape[y.attributes.axis]),
      y.attributes.axis,
    )
  },
}

/**
 * Tensors one after the other along an axis.
 * @throws ShapeError when they do not line up, DTypeError when dtypes differ, ConfigError without tensors
 */
export function concat(inputs: readonly Node[], axis = 0): Node {
  checkNotNone('concat', inputs)
  const at = normalizeAxis('concat', axis, inputs[0].shape)
  return inputs.length === 1 ? inputs[0] : makeNode(concatOp, inputs, { axis: at })
}

/**
 * Tensors of one shape along a new axis.
 * @throws ShapeError when shapes differ, DTypeError when dtypes differ, ConfigError without tensors
 */
export function stack(inputs: readonly Node[], axis = 0): Node {
  checkNotNone('stack', inputs)
  const at = normalizeAxis('stack', axis, [...inputs[0].shape, 1])
  const other = inputs.findIndex((x) => !sameShape(x.shape, inputs[0].shape))
  if (other >= 0) {
    throw new ShapeError({
      where: 'stack',
      what: `input ${other} has another shape than the first one`,
      got: inputs.map((x) => showShape(x.shape)).join(', '),
      expected: 'one shape',
      fix: 'use concat for tensors that differ along an axis',
    })
  }
  return concat(
    inputs.map((x) => expandDims(x, at)),
    at,
  )
}

function checkNotNone(where: string, inputs: readonly Node[]): void {
  if (inputs.length > 0) return
  throw new ConfigError({
    where,
    what: 'there are no tensors',
    got: 'an empty list',
    expected: 'at least one tensor',
    fix: 'give the tensors as an array',
  })
}
