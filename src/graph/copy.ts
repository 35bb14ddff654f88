/** Calls that move elements between regions of buffers. */
import type { Shape } from '../base/shape.ts'
import { innerStride, type MapShape, mapCall, mapSpec } from '../kernel/builders/map.ts'
import { type Chain, identityChain } from '../kernel/chain.ts'
import type { KernelCall, Span } from './algorithm.ts'
import { mergeAxes } from './layout.ts'

/** A region of a buffer: where it starts, its shape and how it is walked. */
export interface Region {
  readonly span: Span
  readonly shape: Shape
  readonly strides: readonly number[]
}

/** Copies a region onto one of the same shape; strides are not negative. */
export function copyCall(from: Region, to: Region): KernelCall {
  const merged = mergeAxes(from.shape, [from.strides, to.strides])
  const rank = merged.extents.length
  const inner = (stream: number) => innerStride(merged.strides[stream][rank - 1])
  const shape: MapShape = {
    rank,
    operands: [{ dtype: from.span.buffer.dtype, inner: inner(0) }],
    outputs: [{ dtype: to.span.buffer.dtype, inner: inner(1) === 'zero' ? 'unit' : inner(1) }],
    chain: identityChain,
  }
  const call = mapCall(shape, { extents: merged.extents, strides: merged.strides, constants: [] })
  return { spec: mapSpec(shape), spans: [from.span, to.span], ...call }
}

const constantChain: Chain = { inputs: 0, constants: 1, steps: [], results: [0] }

/** Writes one value everywhere in a region. The value is a parameter of the kernel. */
export function fillCall(to: Region, value: number): KernelCall {
  const merged = mergeAxes(to.shape, [to.strides])
  const rank = merged.extents.length
  const inner = innerStride(merged.strides[0][rank - 1])
  const shape: MapShape = {
    rank,
    operands: [],
    outputs: [{ dtype: to.span.buffer.dtype, inner: inner === 'zero' ? 'unit' : inner }],
    chain: constantChain,
  }
  const call = mapCall(shape, { extents: merged.extents, strides: merged.strides, constants: [value] })
  return { spec: mapSpec(shape), spans: [to.span], ...call }
}
