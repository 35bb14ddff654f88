/** Constants, shapes, and operators that only say which axes there are. */
import * as nn from '../../../nn/index.ts'
import { foldPlaces, onceAlong, withDims } from '../fold.ts'
import { dimsOf, extentsOf, flowOf, groupsWith, regrouped, transposed, withAxes } from '../layout.ts'
import { changedFlow } from '../network.ts'
import { computed, type Family, type NodeReader } from '../operator.ts'
import {
  asInitializer,
  Batches,
  batchAtom,
  type Element,
  type Flow,
  type Known,
  known,
  product,
  showElements,
  type Value,
  vector,
} from '../values.ts'

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

// ── reshaping ──

/** Shape that Reshape asks for, with what 0 and -1 stand for. */
function wantedDims(node: NodeReader, from: readonly Element[], asked: ArrayLike<Element>): Element[] {
  const keepsZero = node.int('allowzero', 0) === 1
  const wanted = Array.from({ length: asked.length }, (_, i) => {
    const dim = asked[i]
    if (dim !== 0 || keepsZero) return dim
    if (i >= from.length) throw node.error(`0 at place ${i} names no axis`, { got: showElements(asked) })
    return from[i]
  })
  const open = wanted.filter((dim) => dim === -1).length
  const wrong = wanted.some((dim) => typeof dim === 'number' && (!Number.isSafeInteger(dim) || dim < -1))
  if (open > 1 || wrong)
    throw node.error('the shape makes no sense', { got: showElements(asked), expected: 'extents, one of them -1' })
  return resolved(node, from, wanted)
}

const times = (dim: Element): number => (dim instanceof Batches ? dim.times : dim)

/** Finds which of the dims is the batch, and what -1 stands for. */
function resolved(node: NodeReader, from: readonly Element[], wanted: Element[]): Element[] {
  const size = product(from.map(times))
  const batched = from.some((dim) => dim instanceof Batches)
  const misfit = () =>
    node.error('the shape does not hold as many elements as the value', {
      got: `${showElements(from)} as ${showElements(wanted)}`,
      expected: 'the same number of elements',
    })
  const open = wanted.indexOf(-1)
  const rest = product(wanted.filter((_, i) => i !== open).map(times))
  const fill = (at: number, total: number, isBatch: boolean): Element[] => {
    const extent = total / rest
    if (rest === 0 || !Number.isSafeInteger(extent)) throw misfit()
    return wanted.map((dim, i) => (i !== at ? dim : isBatch ? new Batches(extent) : extent))
  }
  const named = wanted.some((dim) => dim instanceof Batches)
  if (named && !batched) throw node.mixes('computes with the size of the batch')
  if (named || !batched) {
    if (open >= 0) return fill(open, size, false)
    if (rest !== size) throw misfit()
    return wanted
  }
  return withLiteralBatch(node, from, wanted, open, size, misfit, fill)
}

/** The batch was not computed: it is -1, or the number that the file declares. */
function withLiteralBatch(
  node: NodeReader,
  from: readonly Element[],
  wanted: Element[],
  open: number,
  size: number,
  misfit: () => Error,
  fill: (at: number, total: number, isBatch: boolean) => Element[],
): Element[] {
  const declared = node.context.declaredBatch
  const before = product(
    from
      .slice(
        0,
        from.findIndex((dim) => dim instanceof Batches),
      )
      .map(times),
  )
  if (declared !== undefined) {
    // Where as many elements lie in front as of the batch, and the number is a multiple of it.
    let front = 1
    for (let i = 0; i < wanted.length && front <= before; i++) {
      const dim = wanted[i] as number
      if (dim === -1) break
      if (front === before && dim >= declared && dim % declared === 0) {
        const named = wanted.map((other, j): Element => (j === i ? new Batches(dim / declared) : other))
        const others = product(named.filter((_, j) => j !== open).map(times))
        if (open < 0 && others === size) return named
        if (open >= 0 && others > 0 && size % others === 0) {
          return named.map((other, j) => (j === open ? size / others : other))
        }
      }
      front *= dim
    }
  }
  if (open < 0) {
    if (declared !== undefined && product(wanted.map(times)) !== size * declared) throw misfit()
    throw node.mixes('has a shape without the batch', `${showElements(from)} as ${showElements(wanted)}`)
  }
  if (product(wanted.slice(0, open).map(times)) === before) return fill(open, size, true)
  throw node.mixes('moves the batch into another axis', `${showElements(from)} as ${showElements(wanted)}`)
}

/** The value under other dims: axes are merged and cut; where that does not do, values are brought in ONNX's order. */
export function reshaped(node: NodeReader, flow: Flow, to: readonly Element[]): Flow {
  const free = regrouped(flow, to)
  if (free !== undefined) return free
  const order = flow.axes.flat()
  const batch = to.findIndex((dim) => dim instanceof Batches)
  const merged = to[batch] instanceof Batches && times(to[batch]) !== 1
  if (
    (order.includes(batchAtom) && order[0] !== batchAtom) ||
    merged ||
    product(to.slice(0, Math.max(0, batch)).map(times)) !== 1
  ) {
    throw node.mixes('moves values between samples', `${showElements(dimsOf(flow))} as ${showElements(to)}`)
  }
  const whole = order.filter((atom) => atom !== batchAtom)
  const flat = node.place(flow, [whole])
  const shape = to.flatMap((dim, i) => (i === batch ? [] : [dim as number]))
  const made = node.add(nn.reshape(shape), [flat.layer])
  const places = to.flatMap((_, i) => (i === batch ? [] : [i]))
  return flowOf(made.layer, made.shape, flow.dtype, places, batch < 0 ? undefined : batch)
}

function reshape(node: NodeReader): Flow {
  const flow = node.flow(0)
  // Before opset 5 the shape was an attribute.
  const asked = node.ints('shape', undefined) ?? node.known(1).data
  return reshaped(node, flow, wantedDims(node, dimsOf(flow), asked))
}

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
  const folded = foldPlaces(node, value, to, (place) => place.reduce((sum, at, i) => sum + at * steps[i], 0))
  // A transposed weight is trained as the weight itself would be.
  return value.initializer === undefined ? folded : asInitializer(folded, value.initializer)
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

// ── parts ──

/** Axis `axis` of every value in one piece, the other axes as the first has them. */
function concat(node: NodeReader): Flow {
  const values = node.inputs.map((_, i) => node.input(i)).filter((value) => product(dims(value).map(times)) > 0)
  const first = values.find((value) => value.kind === 'flow') as Flow
  const rank = first.axes.length
  const axis = node.axis(node.int('axis', 1), rank)
  const flows = values.map((value) => (value.kind === 'flow' ? value : spreadKnown(node, value, first, axis)))
  for (const flow of flows) {
    if (flow.axes.length !== rank) throw node.error('the inputs have different ranks')
    node.apart(flow, axis)
  }
  // The one with the most atoms says how the others lie.
  const leader = flows.toSorted((a, b) => b.atoms.length - a.atoms.length)[0]
  const {
    groups,
    at: [at],
  } = groupsWith(leader, axis)
  const made = flows.map((flow) => node.place(flow, groupsLike(node, flow, leader, groups, at, axis)).layer)
  const layer = node.add(nn.concat(at === groups.length - 1 ? -1 : at), made)
  return changedFlow(leader, groups, layer, new Map([[at, axis]]))
}

/** The groups of one value for those of another that differs in one axis only. */
function groupsLike(
  node: NodeReader,
  flow: Flow,
  leader: Flow,
  groups: readonly (readonly number[])[],
  at: number,
  axis: number,
): number[][] {
  const all = (i: number) => flow.axes[i].filter((atom) => atom !== batchAtom)
  return groups.map((group, p) => {
    if (p === at) return all(axis)
    if (group.length === 0) return []
    const own = leader.axes.findIndex((atoms) => atoms.includes(group[0]))
    const part = leader.axes[own].filter((atom) => atom !== batchAtom).indexOf(group[0])
    const atom = all(own)[part]
    if (
      atom === undefined ||
      extentsOf(flow, own).length !== extentsOf(leader, own).length ||
      flow.atoms[atom] !== leader.atoms[group[0]]
    ) {
      throw node.unsupported('joins values whose axes were cut differently', {
        got: `${showElements(dimsOf(leader))} and ${showElements(dimsOf(flow))}`,
      })
    }
    return [atom]
  })
}

/** A constant beside values of the input: the same for every sample. */
function spreadKnown(node: NodeReader, given: Known, like: Flow, axis: number): Flow {
  const batch = like.axes.findIndex((atoms) => atoms.includes(batchAtom))
  if (batch < 0 || batch === axis || given.dims.length !== like.axes.length) return node.flowOf(given)
  const value = onceAlong(given, batch)
  const flow = node.flowOf(value)
  if (value.dims[batch] !== 1) throw node.mixes('joins a constant that differs from sample to sample')
  return withAxes(
    flow,
    flow.axes.map((atoms, i) => (i === batch ? [batchAtom] : atoms)),
  )
}

function foldConcat(node: NodeReader, inputs: readonly Known[]): Known {
  const rank = inputs[0].dims.length
  const axis = node.axis(node.int('axis', 1), rank)
  const fits = inputs.every(
    ({ dims: own }) => own.length === rank && own.every((e, i) => i === axis || e === inputs[0].dims[i]),
  )
  if (!fits)
    throw node.error('the inputs do not fit each other', {
      got: inputs.map((one) => showElements(one.dims)).join(', '),
    })
  const to = inputs[0].dims.map((extent, i) =>
    i === axis ? inputs.reduce((sum, one) => sum + one.dims[axis], 0) : extent,
  )
  const { data, known: result } = computed(node, inputs[0].type, to)
  const outer = product(to.slice(0, axis))
  let at = 0
  for (let row = 0; row < outer; row++) {
    for (const { data: from, dims: own } of inputs) {
      const run = product(own.slice(axis))
      for (let i = 0; i < run; i++) data[at++] = from[row * run + i]
    }
  }
  return result
}

/** Places of an axis: fixed ones, or rows of a table by numbers that come from the input. */
function gather(node: NodeReader): Flow {
  const [data, indices] = [node.input(0), node.input(1)]
  const rank = dims(data).length
  const axis = node.axis(node.int('axis', 0), rank)
  if (data.kind === 'known') return embedding(node, data, node.flow(1), axis)
  if (indices.kind === 'flow') throw node.unsupported('takes places of the input by numbers that come from the input')
  const extent = dims(data)[axis]
  const places = node.numbers(indices).map((i) => (i < 0 && typeof extent === 'number' ? i + extent : i))
  const isFirst = places.length === 1 && (places[0] === 0 || places[0] === -1)
  if (extent instanceof Batches && isFirst && node.context.declaredBatch === 1 && indices.dims.length === 0) {
    return withAxes(
      data,
      data.axes.filter((_, i) => i !== axis),
    )
  }
  node.apart(data, axis)
  if (places.some((i) => i < 0 || i >= times(extent))) {
    throw node.error('takes a place outside the axis', {
      got: showElements(places),
      expected: `0 to ${times(extent) - 1}`,
    })
  }
  const {
    groups,
    at: [at],
  } = groupsWith(data, axis)
  const placed = node.place(data, groups)
  const made = node.add(nn.take(at, places), [placed.layer])
  const taken = changedFlow(data, groups, made, new Map([[at, axis]]))
  return reshapedAxis(taken, axis, indices.dims)
}

/** Cuts one axis into several; for no extents it goes away. */
function reshapedAxis(flow: Flow, axis: number, extents: readonly number[]): Flow {
  const all = dimsOf(flow)
  const to = [...all.slice(0, axis), ...extents, ...all.slice(axis + 1)]
  return regrouped(flow, to) as Flow
}

/** Rows of a table: the vectors of numbers. */
function embedding(node: NodeReader, table: Known, indices: Flow, axis: number): Flow {
  if (axis !== 0 || table.dims.length !== 2)
    throw node.unsupported('takes from a constant along another axis than rows')
  const [count, features] = table.dims
  const whole = indices.dtype === 'i32' ? indices : node.pointwise(indices, nn.cast('i32'), 'i32')
  const made = node.add(nn.embedding(count, features), [whole.layer], { weight: node.turned(table, [0, 1]) })
  const added = features === 1 ? [] : [whole.atoms.length]
  return {
    ...whole,
    ...made,
    dtype: 'f32',
    atoms: [...whole.atoms, ...(features === 1 ? [] : [features])],
    axes: [...whole.axes, added],
  }
}

function foldGather(node: NodeReader, [value, indices]: readonly Known[]): Known {
  const axis = node.axis(node.int('axis', 0), value.dims.length)
  const extent = value.dims[axis]
  const places = node.numbers(indices).map((i) => (i < 0 ? i + extent : i))
  if (places.some((i) => !(i >= 0 && i < extent))) {
    throw node.error('takes a place outside the axis', {
      got: showElements(indices.data),
      expected: `0 to ${extent - 1}`,
    })
  }
  const to = [...value.dims.slice(0, axis), ...indices.dims, ...value.dims.slice(axis + 1)]
  const inner = product(value.dims.slice(axis + 1))
  const { data, known: result } = computed(node, value.type, to)
  let at = 0
  for (let row = 0; row < product(value.dims.slice(0, axis)); row++) {
    for (const place of places) {
      for (let i = 0; i < inner; i++) data[at++] = value.data[(row * extent + place) * inner + i]
    }
  }
  return result
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
    fold: (node, [value]) =>
      withDims(
        value,
        wantedDims(node, value.dims, node.ints('shape', undefined) ?? node.known(1).data).map((dim) => node.plain(dim)),
      ),
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
  Concat: { versions: [1, 4, 11, 13], read: concat, fold: foldConcat },
  Gather: { versions: [1, 11, 13], least: 2, read: gather, fold: foldGather },
}
