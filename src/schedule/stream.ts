/** Streams: what maps and reductions read and write, and how it is walked. */
import type { StorageType } from '../base/dtype.ts'
import type { Span } from '../graph/algorithm.ts'
import type { Layout } from '../graph/layout.ts'
import { innerStride, type MapOperand, startOf } from '../kernel/builders/map.ts'

/** A buffer and how it is walked. */
export interface Stream {
  readonly span: Span
  readonly layout: Layout
}

/** The lowest element the stream touches. */
export function at(stream: Stream): Span {
  const { shape, strides, offset } = stream.layout
  return { buffer: stream.span.buffer, offset: stream.span.offset + offset - startOf(shape, strides) }
}

export function elementsOf(stream: Stream): StorageType {
  return stream.span.buffer.dtype
}

export function describeOperand(dtype: StorageType, strides: readonly number[], inner: number): MapOperand {
  const reversed = strides.some((stride) => stride < 0)
  return { dtype, inner: innerStride(inner), ...(reversed ? { reversed } : {}) }
}
