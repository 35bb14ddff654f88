/** Geometry that convolutions and pools have in common. */
import { dimsOf } from '../layout.ts'
import type { NodeReader } from '../operator.ts'
import { batchAtom, type Flow, product, showElements } from '../values.ts'

export type Pads = readonly (readonly [before: number, after: number])[]

export interface Window {
  readonly kernel: readonly number[]
  readonly stride: readonly number[]
  readonly dilation: readonly number[]
  readonly pads: Pads
}

/** The value with channels last: groups of atoms of [...spatial, channels], and how many spatial axes there are. */
export function channelsLast(node: NodeReader, flow: Flow): { groups: number[][]; rank: number; extents: number[] } {
  const rank = flow.axes.length - 2
  if (rank < 1) throw node.error('the input has no spatial axes', { got: showElements(dimsOf(flow)) })
  node.batchFirst(flow)
  const order = [...Array.from({ length: rank }, (_, i) => i + 2), 1]
  for (const axis of order) node.apart(flow, axis)
  const groups = order.map((axis) => flow.axes[axis].filter((atom) => atom !== batchAtom))
  return { groups, rank, extents: groups.map((group) => product(group.map((atom) => flow.atoms[atom]))) }
}

function each(node: NodeReader, name: string, rank: number, missing: number): readonly number[] {
  const values = node.ints(name, undefined) ?? new Array<number>(rank).fill(missing)
  if (values.length === rank && values.every((value) => Number.isSafeInteger(value) && value >= 1)) return values
  throw node.error(`${name} makes no sense`, { got: showElements(values), expected: `${rank} whole numbers from 1` })
}

/**
 * Kernel, stride, dilation and pads of a node.
 * @param kernel of a weight, where there is one @param extents of the input's spatial axes
 */
export function windowOf(node: NodeReader, extents: readonly number[], kernel?: readonly number[]): Window {
  const rank = extents.length
  const given = node.ints('kernel_shape', undefined) ?? kernel
  if (given === undefined || given.length !== rank || !given.every((size) => Number.isSafeInteger(size) && size >= 1)) {
    throw node.error('kernel_shape makes no sense', { got: showElements(given ?? []), expected: `${rank} sizes` })
  }
  const stride = each(node, 'strides', rank, 1)
  const dilation = each(node, 'dilations', rank, 1)
  return { kernel: given, stride, dilation, pads: padsOf(node, extents, given, stride, dilation) }
}

function padsOf(
  node: NodeReader,
  extents: readonly number[],
  kernel: readonly number[],
  stride: readonly number[],
  dilation: readonly number[],
): Pads {
  const rank = extents.length
  const mode = node.string('auto_pad', 'NOTSET')
  if (mode === 'SAME_UPPER' || mode === 'SAME_LOWER') {
    return extents.map((extent, i) => {
      const reach = (kernel[i] - 1) * dilation[i] + 1
      const total = Math.max(0, (Math.ceil(extent / stride[i]) - 1) * stride[i] + reach - extent)
      const small = Math.floor(total / 2)
      return mode === 'SAME_UPPER' ? [small, total - small] : [total - small, small]
    })
  }
  if (mode === 'VALID') return extents.map(() => [0, 0])
  if (mode !== 'NOTSET' && mode !== '') {
    throw node.error('auto_pad makes no sense', { got: mode, expected: 'NOTSET, SAME_UPPER, SAME_LOWER or VALID' })
  }
  const pads = node.ints('pads', undefined) ?? new Array<number>(2 * rank).fill(0)
  if (pads.length !== 2 * rank || !pads.every(Number.isSafeInteger)) {
    throw node.error('pads make no sense', { got: showElements(pads), expected: `${2 * rank} whole numbers` })
  }
  if (pads.some((pad) => pad < 0)) throw node.unsupported('has negative pads', { got: showElements(pads) })
  return extents.map((_, i) => [pads[i], pads[i + rank]])
}

/** Pads as a layer's option: one number where all are equal, nothing where there are none. */
export function paddingOption(pads: Pads): { padding?: number | Pads } {
  const [[first]] = pads
  const equal = pads.every(([before, after]) => before === first && after === first)
  if (equal) return first === 0 ? {} : { padding: first }
  return { padding: pads }
}

/** One number for all axes where they are equal. */
export function perAxis<T>(values: readonly T[]): T | readonly T[] {
  return values.every((value) => value === values[0]) ? values[0] : values
}

/** An option that is left out where it is 1 everywhere. */
export function option(
  name: string,
  values: readonly number[],
): { readonly [name: string]: number | readonly number[] } {
  return values.every((value) => value === 1) ? {} : { [name]: perAxis(values) }
}
