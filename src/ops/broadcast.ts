/**
 * Broadcasting and what undoes it: expandDims, squeeze, broadcastTo, sum, and reshape. They are one family because the
 * gradient of a broadcast is a sum and the gradient of a sum is a broadcast.
 */
import { ShapeError } from '../base/errors.ts'
import { broadcastShapes, normalizeAxes, type Shape, sameShape, showShape, sizeOf } from '../base/shape.ts'
import type { Layout } from '../graph/layout.ts'
import { makeNode, type Node } from '../graph/node.ts'
import type { ReduceOp, ViewOp } from '../graph/op.ts'
import { checkDType, checkFilled, checkShape, type NoAttributes, noAttributes } from './operands.ts'

/** Axes to reduce, counted from the end when negative; all of them when left out. */
export type Axes = number | readonly number[]

export interface ReduceOptions {
  /** Keeps reduced axes with extent 1; default false. */
  readonly keepDims?: boolean
}

interface ShapeAttributes {
  readonly shape: Shape
}
interface AxesAttributes {
  /** Sorted, non-negative. */
  readonly axes: readonly number[]
}
interface BroadcastAttributes extends ShapeAttributes {
  /** Axes of the output along which all elements are one; also those that happen to have extent 1. */
  readonly expanded: readonly number[]
}

// y = x. Gives a value a node of its own, so that it has a gradient of its own.
export const identityOp: ViewOp<NoAttributes> = {
  name: 'identity',
  kind: 'view',
  infer: ([x]) => ({ shape: x.shape, dtype: x.dtype }),
  view: (input) => input,
  // dx = g
  gradient: (_y, g) => [g],
}

/** The same value as a node of its own. */
export function identity(x: Node): Node {
  return makeNode(identityOp, [x], noAttributes)
}

// y = x, and no gradient passes.
export const stopGradientOp: ViewOp<NoAttributes> = { ...identityOp, name: 'stopGradient', gradient: 'none' }

/** The same value, a constant in the eyes of differentiation. */
export function stopGradient(x: Node): Node {
  return makeNode(stopGradientOp, [x], noAttributes)
}

// ---------------------------------------------------------------------------------------------- axes of extent 1

export const expandDimsOp: ViewOp<AxesAttributes> = {
  name: 'expandDims',
  kind: 'view',
  infer([x], { axes }) {
    const shape = [...x.shape]
    for (const axis of axes) shape.splice(axis, 0, 1)
    return { shape, dtype: x.dtype }
  },
  view(input, output, { axes }) {
    const strides = new Array<number>(output.length)
    let next = input.strides.length - 1
    for (let axis = output.length - 1; axis >= 0; axis--) {
      // A new axis walks as its neighbour does, so that the two can be merged.
      if (!axes.includes(axis)) strides[axis] = input.strides[next--]
      else if (axis === output.length - 1) strides[axis] = input.strides.at(-1) ?? 1
      else strides[axis] = strides[axis + 1] * output[axis + 1]
    }
    return { shape: output, strides, offset: input.offset }
  },
  // dx = g without the axes
  gradient: (y, g) => [makeNode(squeezeOp, [g], y.attributes)],
}

/**
 * Puts in axes of extent 1; the axes are places in the result.
 * @throws ShapeError on an axis the result does not have
 */
export function expandDims(x: Node, axes: Axes): Node {
  const count = typeof axes === 'number' ? 1 : axes.length
  const result = [...x.shape, ...new Array<number>(count).fill(1)]
  const normalized = normalizeAxes('expandDims', axes, result)
  return normalized.length === 0 ? x : makeNode(expandDimsOp, [x], { axes: normalized })
}

export const squeezeOp: ViewOp<AxesAttributes> = {
  name: 'squeeze',
  kind: 'view',
  infer([x], { axes }) {
    const long = axes.find((axis) => x.shape[axis] !== 1)
    if (long !== undefined) {
      throw new ShapeError({
        where: 'squeeze',
        what: `axis ${long} has ${x.shape[long]} elements`,
        got: `axes [${axes.join(', ')}] of ${showShape(x.shape)}`,
        expected: 'axes of extent 1',
        fix: 'name other axes, or reduce the axis',
      })
    }
    return { shape: x.shape.filter((_, axis) => !axes.includes(axis)), dtype: x.dtype }
  },
  view: (input, output, { axes }) => ({
    shape: output,
    strides: input.strides.filter((_, axis) => !axes.includes(axis)),
    offset: input.offset,
  }),
  // dx = g with the axes
  gradient: (y, g) => [makeNode(expandDimsOp, [g], y.attributes)],
}

/**
 * Takes out axes of extent 1; all of them when `axes` is left out.
 * @throws ShapeError when an axis has another extent
 */
export function squeeze(x: Node, axes?: Axes): Node {
  const ones = x.shape.flatMap((extent, axis) => (extent === 1 ? [axis] : []))
  const normalized = axes === undefined ? ones : normalizeAxes('squeeze', axes, x.shape)
  return normalized.length === 0 ? x : makeNode(squeezeOp, [x], { axes: normalized })
}

// ---------------------------------------------------------------------------------------------- reshape

export const reshapeOp: ViewOp<ShapeAttributes> = {
  name: 'reshape',
  kind: 'view',
  infer: ([x], { shape }) => ({ shape, dtype: x.dtype }),
  view: (input, output) => reshapeLayout(input, output),
  // dx = g in the shape of x
  gradient: (y, g) => [makeNode(reshapeOp, [g], { shape: y.inputs[0].shape })],
}

/**
 * Strides for another shape of equal size. Runs of axes with equal products are matched from the outside; each run must
 * be walked with one stride. Extents of 1 are not special: whether a view works must not depend on the batch size.
 */
function reshapeLayout(input: Layout, output: Shape): Layout | undefined {
  const strides = new Array<number>(output.length).fill(1)
  let from = 0
  let to = 0
  while (from < input.shape.length || to < output.length) {
    const firstFrom = from
    const firstTo = to
    let a = from < input.shape.length ? input.shape[from++] : 1
    let b = to < output.length ? output[to++] : 1
    while (a !== b) {
      if (a < b) a *= input.shape[from++]
      else b *= output[to++]
    }
    for (let axis = firstFrom; axis < from - 1; axis++) {
      if (input.strides[axis] !== input.strides[axis + 1] * input.shape[axis + 1]) return undefined
    }
    let stride = from > firstFrom ? input.strides[from - 1] : (strides[firstTo - 1] ?? 1)
    for (let axis = to - 1; axis >= firstTo; axis--) {
      strides[axis] = stride
      stride *= output[axis]
    }
  }
  return { shape: output, strides, offset: input.offset }
}

/**
 * The same elements in the same order in another shape; one extent may be -1 and is worked out.
 * @throws ShapeError when the shapes do not hold equally many elements
 */
export function reshape(x: Node, shape: Shape): Node {
  const known = sizeOf(shape.filter((extent) => extent !== -1))
  const unknowns = shape.filter((extent) => extent === -1).length
  const size = sizeOf(x.shape)
  const valid = shape.every((extent) => Number.isInteger(extent) && extent >= -1) && unknowns <= 1
  const target = shape.map((extent) => (extent === -1 ? size / known : extent))
  if (!valid || (unknowns === 1 && !Number.isInteger(size / known)) || sizeOf(target) !== size) {
    throw new ShapeError({
      where: 'reshape',
      what: valid ? 'the shapes do not hold equally many elements' : 'the shape makes no sense',
      got: `${showShape(x.shape)} (${size} elements) to ${showShape(shape)}`,
      expected: valid ? `a shape of ${size} elements` : 'whole numbers, at most one of them -1',
      fix: 'correct the shape, or give -1 for one extent',
    })
  }
  return sameShape(x.shape, target) ? x : makeNode(reshapeOp, [x], { shape: target })
}

// ---------------------------------------------------------------------------------------------- broadcast

export const broadcastToOp: ViewOp<BroadcastAttributes> = {
  name: 'broadcastTo',
  kind: 'view',
  infer: ([x], { shape }) => ({ shape, dtype: x.dtype }),
  view(input, output, { expanded }) {
    const missing = output.length - input.shape.length
    const strides = output.map((_, axis) => (expanded.includes(axis) ? 0 : input.strides[axis - missing]))
    return { shape: output, strides, offset: input.offset }
  },
  // dx = g summed over the axes along which x was repeated
  gradient(y, g) {
    const { expanded } = y.attributes
    const missing = y.shape.length - y.inputs[0].shape.length
    const total = makeNode(sumOp, [g], { axes: expanded })
    const outer = Array.from({ length: missing }, (_, axis) => axis)
    return [missing === 0 ? total : makeNode(squeezeOp, [total], { axes: outer })]
  },
}

/**
 * Repeats `x` along new outer axes and along axes of extent 1, as in NumPy.
 * @throws ShapeError when an extent is neither equal nor 1
 */
export function broadcastTo(x: Node, shape: Shape): Node {
  checkShape('broadcastTo', shape)
  const missing = shape.length - x.shape.length
  if (missing < 0 || !sameShape(broadcastShapes('broadcastTo', x.shape, shape), shape)) {
    throw new ShapeError({
      where: 'broadcastTo',
      what: `${showShape(x.shape)} cannot be repeated to fill ${showShape(shape)}`,
      got: `${showShape(x.shape)} and ${showShape(shape)}`,
      expected: 'equal extents, or 1 in the first shape, on every axis counted from the end',
      fix: 'reshape the operand so that its axes line up',
    })
  }
  const expanded = shape.flatMap((extent, axis) => (axis < missing || x.shape[axis - missing] !== extent ? [axis] : []))
  return expanded.length === 0 ? x : makeNode(broadcastToOp, [x], { shape: [...shape], expanded })
}

/**
 * Repeats `x`, which has extent 1 on these axes, to fill a shape of the same rank: what a reduction with keepDims is
 * undone with. Asks for the same kernels when the shape has extent 1 there too.
 */
export function spread(x: Node, shape: Shape, axes: readonly number[]): Node {
  return axes.length === 0 ? x : makeNode(broadcastToOp, [x], { shape: [...shape], expanded: [...axes] })
}

/** The operands in their common shape. @throws ShapeError when they have none */
export function broadcastTogether(where: string, ...operands: readonly Node[]): Node[] {
  const shape = operands.reduce<Shape>((all, x) => broadcastShapes(where, all, x.shape), [])
  return operands.map((x) => broadcastTo(x, shape))
}

// ---------------------------------------------------------------------------------------------- sum

/** Shape rule of reductions: reduced axes stay with extent 1. */
export function reducedShape(shape: Shape, axes: readonly number[]): number[] {
  return shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent))
}

export const sumOp: ReduceOp<AxesAttributes> = {
  name: 'sum',
  kind: 'reduce',
  combine: 'sum',
  infer([x], { axes }) {
    checkDType('sum', 'x', x, ['f32', 'i32'])
    checkFilled('sum', 'x', x)
    return { shape: reducedShape(x.shape, axes), dtype: x.dtype }
  },
  axes: ({ axes }) => axes,
  // dx = g at every place of the sum
  gradient: (y, g) => [spread(g, y.inputs[0].shape, y.attributes.axes)],
}

/** Makes a reduction node and drops the reduced axes unless they are to be kept. Nothing to reduce gives x itself. */
export function reduceNode(
  op: ReduceOp<AxesAttributes>,
  x: Node,
  axes: Axes | undefined,
  options: ReduceOptions,
): Node {
  const normalized = normalizeAxes(op.name, axes, x.shape)
  if (normalized.length === 0) {
    op.infer([x], { axes: [] })
    return x
  }
  const y = makeNode(op, [x], { axes: normalized })
  return options.keepDims === true ? y : makeNode(squeezeOp, [y], { axes: normalized })
}

/**
 * Sum over axes. f32 or i32; a sum of bool or u8 is asked for by a cast.
 * @param axes all when left out; an empty list sums nothing
 * @throws ShapeError, DTypeError
 */
export function sum(x: Node, axes?: Axes, options: ReduceOptions = {}): Node {
  return reduceNode(sumOp, x, axes, options)
}
