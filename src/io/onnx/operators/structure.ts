/** Constants, shapes, and operators that only say which axes there are. */
import * as nn from '../../../nn/index.ts'
import { foldSteps, withDims } from '../fold.ts'
import { dimsOf, transposed, withAxes } from '../layout.ts'
import { computed, type Family, type NodeReader } from '../operator.ts'
import { turned } from '../tensors.ts'
import {
  asInitializer,
  Batches,
  type Element,
  type Flow,
  isFloat,
  type Known,
  known,
  lazily,
  product,
  showElements,
  type Value,
  vector,
} from '../values.ts'
import { foldReshape, reshape } from './reshaping.ts'

function dims(value: Value): readonly Element[] {
  return value.kind === 'known' ? value.dims : dimsOf(value)
}

/** A range as Shape's start and end give it. */
function clamped(place: number, rank: number): number {
  return Math.min(rank, Math.max(0, place < 0 ? place + rank : place))
}

function shapeOf(node: NodeReader): Known {
  const all = dims(node.input(0))
  const start = clamped(node.int('start', 0), all.length)
  const end = clamped(node.int('end', all.length), all.length)
  return vector(all.slice(start, end))
}

function sizeOf(node: NodeReader): Known {
  const all = dims(node.input(0))
  const size = product(all.map((dim) => (dim instanceof Batches ? dim.times : dim)))
  const batched = all.some((dim) => dim instanceof Batches)
  return known('int64', [], [batched ? new Batches(size) : size])
}

function constant(node: NodeReader): Known {
  const value = node.tensor('value')
  if (value !== undefined) return value
  if (node.has('value_float')) return known('float', [], [node.float('value_float', 0)])
  if (node.has('value_int')) return known('int64', [], [node.int('value_int', 0)])
  const floats = node.floats('value_floats', undefined)
  if (floats !== undefined) return known('float', [floats.length], floats)
  const ints = node.ints('value_ints', undefined)
  if (ints !== undefined) return known('int64', [ints.length], ints)
  throw node.unsupported('holds no numbers', { expected: 'value, value_float, value_floats, value_int or value_ints' })
}

function constantOfShape(node: NodeReader, [shape]: readonly Known[]): Known {
  const value = node.tensor('value')
  // What is the same for every sample needs no batch: it is repeated where it is used.
  const extents = Array.from({ length: shape.data.length }, (_, i) => {
    const extent = shape.data[i]
    return extent instanceof Batches && i === 0 ? extent.times : node.plain(extent)
  })
  if (!extents.every((extent) => Number.isSafeInteger(extent) && extent >= 0)) {
    throw node.error('the shape makes no sense', { got: showElements(shape.data), expected: 'extents from 0' })
  }
  const { data, known: result } = computed(node, value?.type ?? 'float', extents)
  data.fill(value?.data[0] ?? 0)
  return result
}

// ── axes ──

function flatten(node: NodeReader): Flow {
  const flow = node.flow(0)
  const axis = flattenAxis(node, flow.axes.length)
  return withAxes(flow, [flow.axes.slice(0, axis).flat(), flow.axes.slice(axis).flat()])
}

function flattenAxis(node: NodeReader, rank: number): number {
  const axis = node.int('axis', 1)
  const counted = axis < 0 ? axis + rank : axis
  if (counted < 0 || counted > rank) throw node.error(`there is no axis ${axis}`, { expected: `0 to ${rank}` })
  return counted
}

function order(node: NodeReader, rank: number): readonly number[] {
  const perm = node.ints('perm', undefined) ?? Array.from({ length: rank }, (_, i) => rank - 1 - i)
  if (perm.length !== rank || !perm.toSorted((a, b) => a - b).every((axis, i) => axis === i)) {
    throw node.error('perm is no order of the axes', {
      got: showElements(perm),
      expected: `0 to ${rank - 1}, each once`,
    })
  }
  return perm
}

function foldTranspose(node: NodeReader, [value]: readonly Known[]): Known {
  const perm = order(node, value.dims.length)
  const strides = value.dims.map((_, axis) => product(value.dims.slice(axis + 1)))
  const steps = perm.map((axis) => strides[axis])
  const to = perm.map((axis) => value.dims[axis])
  if (!isFloat(value.type)) return foldSteps(node, value, to, steps)
  // A transposed weight is trained as the weight itself would be. It is turned where a layer takes it.
  node.context.allocate(product(to), 4)
  const turn = () => {
    const { data } = value
    if (data instanceof Float32Array) return turned(data, value.dims, perm)
    return foldSteps(node, value, to, steps).data
  }
  return lazily(value, value.type, to, turn)
}

// ── axes of extent 1 ──

function squeezed(node: NodeReader, all: readonly Element[]): number[] {
  const axes = node.numbersOf('axes', 1)
  const declared = node.context.declaredBatch
  const isOne = (dim: Element) => (dim instanceof Batches ? declared === 1 && dim.times === 1 : dim === 1)
  if (axes === undefined) return all.flatMap((dim, axis) => (isOne(dim) ? [axis] : []))
  return axes.map((given) => {
    const axis = node.axis(given, all.length)
    const dim = all[axis]
    if (isOne(dim) || (dim instanceof Batches && declared === undefined && dim.times === 1)) return axis
    throw node.error(`axis ${given} cannot be left out`, { got: showElements(all), expected: 'an extent of 1' })
  })
}

function unsqueezed(node: NodeReader, rank: number): boolean[] {
  const axes = node.numbersOf('axes', 1) ?? []
  const total = rank + axes.length
  const isNew = new Array<boolean>(total).fill(false)
  for (const axis of axes) isNew[node.axis(axis, total)] = true
  if (isNew.filter((one) => one).length !== axes.length)
    throw node.error('axes are named twice', { got: showElements(axes) })
  return isNew
}

/** Puts an item in for every new axis. */
function spread<T>(isNew: readonly boolean[], items: readonly T[], one: T): T[] {
  let next = 0
  return isNew.map((fresh) => (fresh ? one : items[next++]))
}

function dropout(node: NodeReader): Value {
  const value = node.input(0)
  if (value.kind === 'known') return value
  const ratio = node.version >= 12 ? (node.hasInput(1) ? node.scalar(1) : 0.5) : node.float('ratio', 0.5)
  if (!(ratio > 0 && ratio < 1)) return value
  return node.pointwise(value, nn.dropout(ratio))
}

export const structure: Family = {
  Constant: { versions: [1, 9, 11, 12, 13, 19, 21, 23, 24, 25], least: 0, read: constant, fold: constant },
  ConstantOfShape: {
    versions: [9, 20, 21, 23, 24, 25],
    read: (node) => constantOfShape(node, [node.known(0)]),
    fold: constantOfShape,
  },
  Shape: { versions: [1, 13, 15, 19, 21, 23, 24, 25], read: shapeOf, fold: shapeOf },
  Size: { versions: [1, 13, 19, 21, 23, 24, 25], read: sizeOf, fold: sizeOf },
  Identity: {
    versions: [1, 13, 14, 16, 19, 21, 23, 24, 25],
    read: (node) => node.input(0),
    // Exporters write equal weights once; their other names are those of copies.
    fold: (node, [value]) => (value.initializer === undefined ? value : asInitializer(value, node.node.output[0])),
  },
  Dropout: { versions: [1, 6, 7, 10, 12, 13, 22], read: dropout, fold: (_node, [value]) => value },
  Reshape: {
    versions: [1, 5, 13, 14, 19, 21, 23, 24, 25],
    read: reshape,
    fold: foldReshape,
  },
  Flatten: {
    versions: [1, 9, 11, 13, 21, 23, 24, 25],
    read: flatten,
    fold(node, [value]) {
      const axis = flattenAxis(node, value.dims.length)
      return withDims(value, [product(value.dims.slice(0, axis)), product(value.dims.slice(axis))])
    },
  },
  Transpose: {
    versions: [1, 13, 21, 23, 24, 25],
    read(node) {
      const flow = node.flow(0)
      return transposed(flow, order(node, flow.axes.length))
    },
    fold: foldTranspose,
  },
  Squeeze: {
    versions: [1, 11, 13, 21, 23, 24, 25],
    read(node) {
      const flow = node.flow(0)
      const gone = squeezed(node, dimsOf(flow))
      return withAxes(
        flow,
        flow.axes.filter((_, axis) => !gone.includes(axis)),
      )
    },
    fold(node, [value]) {
      const gone = squeezed(node, value.dims)
      return withDims(
        value,
        value.dims.filter((_, axis) => !gone.includes(axis)),
      )
    },
  },
  Unsqueeze: {
    versions: [1, 11, 13, 21, 23, 24, 25],
    read(node) {
      const flow = node.flow(0)
      return withAxes(flow, spread<readonly number[]>(unsqueezed(node, flow.axes.length), flow.axes, []))
    },
    fold: (node, [value]) => withDims(value, spread(unsqueezed(node, value.dims.length), value.dims, 1)),
  },
}
