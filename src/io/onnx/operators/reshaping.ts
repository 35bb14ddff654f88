/** Reshape: what its dims mean where the batch is open, and how little has to move for it. */
import * as nn from '../../../nn/index.ts'
import { withDims } from '../fold.ts'
import { dimsOf, flowOf, regrouped } from '../layout.ts'
import type { NodeReader } from '../operator.ts'
import { Batches, batchAtom, type Element, type Flow, type Known, product, showElements } from '../values.ts'

const times = (dim: Element): number => (dim instanceof Batches ? dim.times : dim)
const sizeOf = (dims: readonly Element[]): number => product(dims.map(times))

/** What a node asks for; 0 stands for the extent that is there. */
function askedDims(node: NodeReader, from: readonly Element[]): Element[] {
  // Before opset 5 the shape was an attribute.
  const asked = node.ints('shape', undefined) ?? node.known(1).data
  const keepsZero = node.int('allowzero', 0) === 1
  const dims = Array.from({ length: asked.length }, (_, i) => {
    const dim = asked[i]
    if (dim !== 0 || keepsZero) return dim
    if (i >= from.length) throw node.error(`0 at place ${i} names no axis`, { got: showElements(asked) })
    return from[i]
  })
  const open = dims.filter((dim) => dim === -1).length
  const wrong = dims.some((dim) => typeof dim === 'number' && (!Number.isSafeInteger(dim) || dim < -1))
  if (open <= 1 && !wrong) return dims
  throw node.error('the shape makes no sense', { got: showElements(asked), expected: 'extents, one of them -1' })
}

function misfit(node: NodeReader, from: readonly Element[], to: readonly Element[]): Error {
  return node.error('the shape does not hold as many elements as the value', {
    got: `${showElements(from)} as ${showElements(to)}`,
    expected: 'the same number of elements',
  })
}

/** Dims with a number, or a multiple of the batch, in place of -1; undefined where it is no whole number. */
function filled(dims: readonly Element[], size: number, isBatch = false): Element[] | undefined {
  const open = dims.indexOf(-1)
  const rest = sizeOf(dims.filter((_, i) => i !== open))
  if (open < 0) return rest === size ? [...dims] : undefined
  const extent = size / rest
  if (rest === 0 || !Number.isSafeInteger(extent)) return undefined
  return dims.map((dim, i) => (i !== open ? dim : isBatch ? new Batches(extent) : extent))
}

/**
 * All that dims without the batch may mean, the most likely first: a number that is the batch which the file declares, -1,
 * a multiple of that number.
 */
function meanings(node: NodeReader, from: readonly Element[], dims: readonly Element[]): Element[][] {
  const size = sizeOf(from)
  const declared = node.context.declaredBatch
  const open = dims.indexOf(-1)
  const byNumber = (i: number): Element[] | undefined => {
    const dim = dims[i]
    if (declared === undefined || typeof dim !== 'number' || dim < declared || dim % declared !== 0) return undefined
    return filled(
      dims.map((other, j) => (j === i ? new Batches(dim / declared) : other)),
      size,
    )
  }
  const byOpen = open < 0 ? undefined : filled(dims, size, true)
  const places = dims.map((_, i) => i)
  const alone = places.filter((i) => dims[i] === declared).map(byNumber)
  // Where axes are joined the batch goes to the first of two that may have it, where they are cut to the last.
  const merged = places.filter((i) => dims[i] !== declared).map(byNumber)
  const ordered = dims.length < from.length ? merged : merged.toReversed()
  const front = open === 0 ? [byOpen] : []
  return [...alone, ...front, ...ordered, byOpen].filter((one) => one !== undefined)
}

/** The dims that Reshape gives a value whose batch is open. */
function dimsFor(node: NodeReader, flow: Flow): readonly Element[] {
  const from = dimsOf(flow)
  const dims = askedDims(node, from)
  const batched = from.some((dim) => dim instanceof Batches)
  const named = dims.some((dim) => dim instanceof Batches)
  if (named && !batched) throw node.mixes('computes with the size of the batch')
  if (named || !batched) {
    const result = filled(dims, sizeOf(from))
    if (result === undefined) throw misfit(node, from, dims)
    return result
  }
  const all = meanings(node, from, dims)
  const free = all.find((one) => regrouped(flow, one) !== undefined)
  // Or values are brought in order, which they can be where the batch stays in front.
  const found = free ?? all.find((one) => one[0] instanceof Batches)
  if (found !== undefined) return found
  const declared = node.context.declaredBatch
  if (declared !== undefined && filled(dims, sizeOf(from) * declared) === undefined) throw misfit(node, from, dims)
  throw node.mixes('has a shape without the batch', `${showElements(from)} as ${showElements(dims)}`)
}

/** The value under other dims: axes are merged and cut; where that does not do, values are brought in ONNX's order. */
export function reshaped(node: NodeReader, flow: Flow, to: readonly Element[]): Flow {
  const free = regrouped(flow, to)
  if (free !== undefined) return free
  const order = flow.axes.flat()
  const batch = to.findIndex((dim) => dim instanceof Batches)
  const inFront = order.includes(batchAtom)
    ? order[0] === batchAtom && batch >= 0 && times(to[batch]) === 1 && sizeOf(to.slice(0, batch)) === 1
    : batch < 0
  if (!inFront) {
    throw node.mixes('moves values between samples', `${showElements(dimsOf(flow))} as ${showElements(to)}`)
  }
  const whole = order.filter((atom) => atom !== batchAtom)
  const flat = node.place(flow, [whole])
  const shape = to.flatMap((dim, i) => (i === batch ? [] : [dim as number]))
  const made = node.add(nn.reshape(shape), [flat.layer])
  const places = to.flatMap((_, i) => (i === batch ? [] : [i]))
  return flowOf(made.layer, made.shape, flow.dtype, places, batch < 0 ? undefined : batch)
}

export function reshape(node: NodeReader): Flow {
  const flow = node.flow(0)
  return reshaped(node, flow, dimsFor(node, flow))
}

export function foldReshape(node: NodeReader, [value]: readonly Known[]): Known {
  const dims = filled(askedDims(node, value.dims), product(value.dims))
  if (dims === undefined) throw misfit(node, value.dims, askedDims(node, value.dims))
  return withDims(
    value,
    dims.map((dim) => node.plain(dim)),
  )
}
