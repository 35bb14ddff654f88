/** Values one behind the other, and places of values by numbers. */
import * as nn from '../../../nn/index.ts'
import { onceAlong, withDims } from '../fold.ts'
import { dimsOf, extentsOf, groupsWith, regrouped, withAxes } from '../layout.ts'
import { changedFlow } from '../network.ts'
import { computed, type Family, type NodeReader } from '../operator.ts'
import {
  Batches,
  batchAtom,
  type Element,
  type Flow,
  type Known,
  product,
  showElements,
  type Value,
} from '../values.ts'

const dims = (value: Value): readonly Element[] => (value.kind === 'known' ? value.dims : dimsOf(value))
const times = (dim: Element): number => (dim instanceof Batches ? dim.times : dim)

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
  const { data, known: result } = computed(node, inputs[0].type, to, inputs)
  const outer = product(to.slice(0, axis))
  const parts = inputs.map(({ data: from, dims: own }) => ({ from, run: product(own.slice(axis)) }))
  let at = 0
  for (let row = 0; row < outer; row++) {
    for (const { from, run } of parts) {
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
  const { data, known: result } = computed(node, value.type, to, [value])
  const from = value.data
  let at = 0
  for (let row = 0; row < product(value.dims.slice(0, axis)); row++) {
    for (const place of places) {
      for (let i = 0; i < inner; i++) data[at++] = from[(row * extent + place) * inner + i]
    }
  }
  return result
}

/**
 * Rows of every sample by numbers of its own: batch_dims is 1, and a number says where along the next axis. Other forms
 * would need several numbers for one place.
 */
function gatherND(node: NodeReader): Flow {
  const [data, indices] = [node.input(0), node.flow(1)]
  const last = indices.axes.length - 1
  if (node.int('batch_dims', 0) !== 1 || last < 1 || extentsOf(indices, last).length > 0) {
    throw node.unsupported('takes places by several numbers each', { expected: 'batch_dims 1, one number for a place' })
  }
  node.batchFirst(indices)
  node.apart(indices, last)
  const places = withAxes(indices, indices.axes.slice(0, -1))
  if (data.kind === 'known') {
    if (data.dims[0] !== 1) throw node.mixes('takes from a constant that differs from sample to sample')
    return embedding(node, withDims(data, data.dims.slice(1)), places, 0)
  }
  node.batchFirst(data)
  const inOrder = (flow: Flow) => flow.axes.slice(1).map((axis) => axis.filter((atom) => atom !== batchAtom))
  const [rows, numbers] = [inOrder(data), inOrder(places)]
  if (rows.length === 0) throw node.error('there is no axis to take from', { got: showElements(dimsOf(data)) })
  const made = node.add(nn.gather(0), [node.place(data, rows).layer, node.place(places, numbers).layer])
  const atoms: number[] = []
  const axes = made.shape.map((extent) => (extent === 1 ? [] : [atoms.push(extent) - 1]))
  return { kind: 'flow', ...made, dtype: data.dtype, atoms, axes: [[batchAtom], ...axes] }
}

export const joining: Family = {
  Concat: { versions: [1, 4, 11, 13], read: concat, fold: foldConcat },
  Gather: { versions: [1, 11, 13], least: 2, read: gather, fold: foldGather },
  GatherND: { versions: [11, 12, 13], least: 2, read: gatherND },
}
