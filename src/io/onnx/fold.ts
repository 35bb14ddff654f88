/** Arithmetic of constants, and of shapes whose batch is open. */
import { broadcastShapes, stridesOf } from '../../base/shape.ts'
import { computed, type NodeReader } from './operator.ts'
import { Batches, type Element, isFloat, type Known, known, lazily, product } from './values.ts'

export type Combine = (a: number, b: number) => number

/** What a function of two numbers gives where one depends on the batch; undefined: nothing that can be said. */
function withBatch(op: string, a: Element, b: Element): Element | undefined {
  if (a instanceof Batches && b instanceof Batches) {
    if (op === 'add') return new Batches(a.times + b.times)
    if (op === 'sub' && a.times !== b.times) return new Batches(a.times - b.times)
    if (op === 'sub') return 0
    if (op === 'div' && a.times % b.times === 0) return a.times / b.times
    if (op === 'equal' && a.times === b.times) return 1
    if ((op === 'max' || op === 'min') && a.times === b.times) return a
    return undefined
  }
  const [many, plain] = a instanceof Batches ? [a, b as number] : [b as Batches, a as number]
  if (op === 'mul') return plain === 0 ? 0 : new Batches(many.times * plain)
  if ((op === 'add' || op === 'sub') && plain === 0) return op === 'add' || a === many ? many : new Batches(-many.times)
  if (op === 'div' && a === many && plain !== 0 && many.times % plain === 0) return new Batches(many.times / plain)
  // A batch is at least 1: it is above and unequal to everything that is no extent.
  if (op === 'equal' && plain <= 0) return 0
  if (op === 'max' && plain <= 1 && many.times >= 1) return many
  if (plain <= 0 && many.times >= 1) {
    const above = a === many
    if (op === 'greater' || op === 'greaterEqual') return above ? 1 : 0
    if (op === 'less' || op === 'lessEqual') return above ? 0 : 1
  }
  return undefined
}

/** Strides of an operand in the shape of the result: 0 where it is repeated. */
export function repeatedStrides(dims: readonly number[], into: readonly number[]): number[] {
  const strides = stridesOf(dims)
  return into.map((_, axis) => {
    const own = axis - (into.length - dims.length)
    return own < 0 || dims[own] === 1 ? 0 : strides[own]
  })
}

/** Calls with the offset in each operand, in the order of the result. */
export function walk(
  dims: readonly number[],
  strides: readonly (readonly number[])[],
  visit: (index: number, offsets: readonly number[]) => void,
): void {
  const count = product(dims)
  const place = new Array<number>(dims.length).fill(0)
  const offsets = strides.map(() => 0)
  for (let index = 0; index < count; index++) {
    visit(index, offsets)
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      for (let i = 0; i < offsets.length; i++) offsets[i] += strides[i][axis]
      if (++place[axis] < dims[axis]) break
      for (let i = 0; i < offsets.length; i++) offsets[i] -= strides[i][axis] * dims[axis]
      place[axis] = 0
    }
  }
}

/**
 * A function of two constants, element by element with broadcasting.
 * @param op its name, for numbers that depend on the batch: add, sub, mul, div, min, max, equal, less …
 */
export function foldBinary(
  node: NodeReader,
  op: string,
  combine: Combine,
  [a, b]: readonly Known[],
  type: Known['type'] = a.type,
): Known {
  const dims = broadcastShapes(node.title, a.dims, b.dims)
  const { data, known } = computed(node, type, dims, [a, b])
  const round = isFloat(type) ? (x: number) => x : Math.trunc
  const [left, right] = [a.data, b.data]
  if (ArrayBuffer.isView(data) && left.length === data.length && (right.length === 1 || right.length === data.length)) {
    // Large weights: nothing but numbers, in the same order on both sides.
    const step = right.length === 1 ? 0 : 1
    for (let i = 0; i < data.length; i++) data[i] = round(combine(left[i] as number, right[i * step] as number))
    return known
  }
  walk(dims, [repeatedStrides(a.dims, dims), repeatedStrides(b.dims, dims)], (index, [i, j]) => {
    const [x, y] = [left[i], right[j]]
    if (typeof x === 'number' && typeof y === 'number') {
      data[index] = round(combine(x, y))
      return
    }
    const value = withBatch(op, x, y)
    if (value === undefined) throw node.mixes('computes with the size of the batch')
    data[index] = value
  })
  return known
}

/** A function of every element of a constant. */
export function foldUnary(
  node: NodeReader,
  apply: (x: number) => number,
  [a]: readonly Known[],
  type: Known['type'] = a.type,
): Known {
  const { data, known } = computed(node, type, a.dims, [a])
  const from = a.data
  for (let i = 0; i < data.length; i++) data[i] = apply(node.plain(from[i]))
  return known
}

/** Elements of a constant by their places: what structural operators do. */
export function foldPlaces(
  node: NodeReader,
  value: Known,
  dims: readonly number[],
  placeOf: (place: readonly number[]) => number,
): Known {
  const { data, known } = computed(node, value.type, dims, [value])
  const from = value.data
  const place = new Array<number>(dims.length).fill(0)
  for (let index = 0; index < data.length; index++) {
    data[index] = from[placeOf(place)]
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      if (++place[axis] < dims[axis]) break
      place[axis] = 0
    }
  }
  return known
}

/**
 * Elements of a constant that lie in steps: what stands at [i, j, …] stood at start + i · steps[0] + j · steps[1] + ….
 */
export function foldSteps(
  node: NodeReader,
  value: Known,
  dims: readonly number[],
  steps: readonly number[],
  start = 0,
): Known {
  const { data, known } = computed(node, value.type, dims, [value])
  const from = value.data
  const last = dims.length - 1
  const [run, step] = last < 0 ? [1, 0] : [dims[last], steps[last]]
  const place = new Array<number>(Math.max(0, last)).fill(0)
  let at = start
  for (let index = 0; index < data.length; ) {
    for (let i = 0, source = at; i < run; i++, source += step) data[index++] = from[source]
    for (let axis = last - 1; axis >= 0; axis--) {
      at += steps[axis]
      if (++place[axis] < dims[axis]) break
      at -= steps[axis] * dims[axis]
      place[axis] = 0
    }
  }
  return known
}

/** A constant under other dims. */
export const withDims = (value: Known, dims: readonly number[]): Known =>
  lazily(value, value.type, dims, () => value.data)

/**
 * A constant that is the same at every place of an axis, with an extent of 1 there: what exporters computed beforehand for
 * a batch that they fixed. Others stay as they are.
 */
export function onceAlong(value: Known, axis: number): Known {
  const { dims, data } = value
  if (!(dims[axis] > 1)) return value
  const run = product(dims.slice(axis + 1))
  const period = run * dims[axis]
  for (let i = 0; i < data.length; i++) {
    const place = i % period
    if (place >= run && !Object.is(data[i], data[i - place + (place % run)])) return value
  }
  const rest = Array.from(
    { length: data.length / dims[axis] },
    (_, i) => data[Math.floor(i / run) * period + (i % run)],
  )
  return known(value.type, dims.with(axis, 1), rest)
}
