/** Parts of values, repeated values, borders, and blocks of pixels. */
import * as nn from '../../../nn/index.ts'
import { foldPlaces, foldSteps, repeatedStrides } from '../fold.ts'
import { dimsOf, extentOf } from '../layout.ts'
import { changedFlow } from '../network.ts'
import { computed, type Family, type NodeReader } from '../operator.ts'
import { Batches, batchAtom, type Element, type Flow, type Known, product, showElements } from '../values.ts'
import { behindChannelsLast } from './convolution.ts'
import { groupsAsTheyLie, placesOf } from './places.ts'
import { channelsLast } from './windows.ts'

/** Elements start, start + step, …, `count` of them. */
interface Part {
  readonly start: number
  readonly step: number
  readonly count: number
}

const stridesOf = (dims: readonly number[]) => dims.map((_, axis) => product(dims.slice(axis + 1)))

// ── slices ──

/** NumPy's rules; numbers beyond the ends, however large, are cut. */
function partOf(extent: number, start: number, end: number, step: number): Part {
  const [lowest, highest] = step > 0 ? [0, extent] : [-1, extent - 1]
  const place = (at: number) => Math.min(highest, Math.max(lowest, at < 0 ? at + extent : at))
  const from = place(start)
  return { start: from, step, count: Math.max(0, Math.ceil((place(end) - from) / step)) }
}

/** Parts by axis. */
function partsOf(node: NodeReader, dims: readonly Element[]): Map<number, Part> {
  const starts = node.numbersOf('starts', 1)
  const ends = node.numbersOf('ends', 2)
  const axes = node.numbersOf('axes', 3) ?? starts?.map((_, i) => i)
  const steps = node.numbersOf('steps', 4) ?? starts?.map(() => 1)
  if (starts === undefined || ends === undefined || axes === undefined || steps === undefined) {
    throw node.error('starts or ends are missing')
  }
  if (new Set([starts, ends, axes, steps].map((list) => list.length)).size !== 1 || steps.includes(0)) {
    throw node.error('the ranges make no sense', {
      got: `starts ${showElements(starts)}, ends ${showElements(ends)}, axes ${showElements(axes)}, steps ${showElements(steps)}`,
      expected: 'one start, end and step an axis; no step of 0',
    })
  }
  const parts = new Map<number, Part>()
  axes.forEach((given, i) => {
    const axis = node.axis(given, dims.length)
    const extent = dims[axis]
    if (extent instanceof Batches) {
      // All of the batch, or nothing that can be said of it.
      if (starts[i] === 0 && steps[i] === 1 && (ends[i] >= 2 ** 31 - 1 || ends[i] === node.context.declaredBatch))
        return
      throw node.mixes(`takes part of axis ${axis}, the batch`)
    }
    const part = partOf(extent, starts[i], ends[i], steps[i])
    if (part.count !== extent || part.step !== 1) parts.set(axis, part)
  })
  return parts
}

/** Part of a value by layers; nothing where all is taken. */
function taken(node: NodeReader, flow: Flow, parts: ReadonlyMap<number, Part>): Flow {
  const axes = [...parts.keys()]
  if (axes.length === 0) return flow
  for (const [axis, { count }] of parts) {
    if (count === 0) throw node.unsupported(`leaves nothing of axis ${axis}`, { got: showElements(dimsOf(flow)) })
  }
  const { groups, at } = placesOf(flow, axes)
  const ranges = groups.map((_, place): nn.SliceRange | null => {
    const i = at.indexOf(place)
    if (i < 0) return null
    const { start, step, count } = parts.get(axes[i]) as Part
    const end = start + count * step
    return step === 1 ? [start, end] : [start, end < 0 ? null : end, step]
  })
  const from = node.place(flow, groups).layer
  const made = node.add(nn.slice(ranges), [from])
  return changedFlow(flow, groups, made, new Map(at.map((place, i) => [place, axes[i]])))
}

function foldTaken(node: NodeReader, value: Known, parts: ReadonlyMap<number, Part>): Known {
  const strides = stridesOf(value.dims)
  const dims = value.dims.map((extent, axis) => parts.get(axis)?.count ?? extent)
  const steps = strides.map((stride, axis) => stride * (parts.get(axis)?.step ?? 1))
  const start = strides.reduce((sum, stride, axis) => sum + stride * (parts.get(axis)?.start ?? 0), 0)
  return foldSteps(node, value, dims, steps, start)
}

/** Extents of the parts of Split. */
function splitExtents(node: NodeReader, extent: number): number[] {
  const { length: count } = node.node.output
  const equal = Math.ceil(extent / count)
  const extents =
    node.numbersOf('split', 1) ?? Array.from({ length: count }, (_, i) => Math.min(equal, extent - i * equal))
  const fits = extents.length === count && node.int('num_outputs', count) === count
  if (fits && extents.every((part) => part >= 1) && extents.reduce((a, b) => a + b, 0) === extent) return extents
  throw node.error('the parts do not fill the axis', {
    got: `parts ${showElements(extents)} of ${extent}`,
    expected: 'a part of at least 1 for each output, all of the axis together',
  })
}

function splitParts(node: NodeReader, rank: number, extentOfAxis: (axis: number) => Element): Map<number, Part>[] {
  const axis = node.axis(node.int('axis', 0), rank)
  const extent = extentOfAxis(axis)
  if (extent instanceof Batches) throw node.mixes(`cuts axis ${axis}, the batch`)
  let start = 0
  return splitExtents(node, extent).map((count) => {
    const part = new Map([[axis, { start, step: 1, count }]])
    start += count
    return part
  })
}

// ── repetition ──

/** Extents that Expand asks for, from the last axis on; 1 leaves an axis as it is. */
function wantedExtents(node: NodeReader, dims: readonly Element[], asked: ArrayLike<Element>): Element[] {
  const rank = Math.max(dims.length, asked.length)
  return Array.from({ length: rank }, (_, axis) => {
    const own = dims[dims.length - rank + axis] ?? 1
    const wanted = asked[asked.length - rank + axis] ?? 1
    if (own instanceof Batches) {
      const same = wanted instanceof Batches ? wanted.times === own.times : wanted === 1
      if (same || (own.times === 1 && wanted === node.context.declaredBatch)) return own
      throw node.mixes('repeats the batch', `${showElements(dims)} to ${showElements(asked)}`)
    } else if (wanted instanceof Batches) {
      // What is the same for every sample needs no batch: it is repeated where it is used.
      if (own === 1 && wanted.times === 1) return 1
    } else if (own === 1 || wanted === 1 || own === wanted) {
      const extent = own === 1 ? wanted : own
      if (Number.isSafeInteger(extent) && extent >= 1) return extent
    }
    throw node.error('the value cannot be expanded', {
      got: `${showElements(dims)} to ${showElements(asked)}`,
      expected: 'extents that are equal or 1, from the last axis on',
    })
  })
}

function expand(node: NodeReader): Flow {
  const flow = node.flow(0)
  const dims = dimsOf(flow)
  const wanted = wantedExtents(node, dims, node.known(1).data)
  const missing = wanted.length - dims.length
  const axes = [...new Array<readonly number[]>(missing).fill([]), ...flow.axes]
  const grown = wanted.flatMap((extent, axis) => {
    const isOne = (axis < missing ? 1 : dims[axis - missing]) === 1
    return isOne && typeof extent === 'number' && extent > 1 ? [axis] : []
  })
  if (grown.length === 0) return { ...flow, axes }
  // New axes lie in front, where repeating costs least.
  const groups = [...grown.map(() => []), ...(groupsAsTheyLie(flow) ?? flow.atoms.map((_, atom) => [atom]))]
  const extents = grown.map((axis) => wanted[axis] as number)
  const from = node.place(flow, groups, { broadcast: true })
  const rest = groups.slice(grown.length).map((group) => product(group.map((atom) => flow.atoms[atom])))
  const made = node.add(nn.expand([...extents, ...rest]), [from.layer])
  return {
    ...flow,
    ...made,
    atoms: [...extents, ...flow.atoms],
    axes: axes.map((atoms, axis) => {
      const place = grown.indexOf(axis)
      return place >= 0 ? [place] : atoms.map((atom) => (atom === batchAtom ? atom : atom + grown.length))
    }),
  }
}

function foldExpand(node: NodeReader, [value, shape]: readonly Known[]): Known {
  const dims = wantedExtents(node, value.dims, shape.data).map((extent) => node.plain(extent))
  return foldSteps(node, value, dims, repeatedStrides(value.dims, dims))
}

/** How often each axis is repeated. */
function repeatsOf(node: NodeReader, dims: readonly Element[]): number[] {
  const { data } = node.known(1)
  const repeats = dims.map((extent, axis) => {
    const count = data[axis]
    // The batch is repeated once, or a constant as often as there are samples, which needs no layer.
    if (count instanceof Batches && count.times === 1 && extent === 1) return 1
    return node.plain(count ?? 0)
  })
  if (data.length === dims.length && repeats.every((count) => Number.isSafeInteger(count) && count >= 1)) return repeats
  throw node.error('the repeats make no sense', {
    got: showElements(data),
    expected: `${dims.length} whole numbers from 1`,
  })
}

function tile(node: NodeReader): Flow {
  const flow = node.flow(0)
  const repeats = repeatsOf(node, dimsOf(flow))
  const axes = repeats.flatMap((count, axis) => (count > 1 ? [axis] : []))
  if (axes.length === 0) return flow
  for (const axis of axes) node.apart(flow, axis)
  const { groups, at } = placesOf(flow, axes)
  const from = node.place(flow, groups).layer
  const counts = groups.map((_, place) => (at.includes(place) ? repeats[axes[at.indexOf(place)]] : 1))
  const made = node.add(nn.tile(counts), [from])
  return changedFlow(flow, groups, made, new Map(at.map((place, i) => [place, axes[i]])))
}

function foldTile(node: NodeReader, [value]: readonly Known[]): Known {
  const repeats = repeatsOf(node, value.dims)
  const strides = stridesOf(value.dims)
  const dims = value.dims.map((extent, axis) => extent * repeats[axis])
  return foldPlaces(node, value, dims, (place) =>
    place.reduce((sum, i, axis) => sum + (i % value.dims[axis]) * strides[axis], 0),
  )
}

function range(node: NodeReader, inputs: readonly Known[]): Known {
  const [start, limit, delta] = inputs.map((value) => node.plain(value.data[0] ?? Number.NaN))
  const count = Math.max(0, Math.ceil((limit - start) / delta))
  if (!Number.isSafeInteger(count)) {
    throw node.error('the range makes no sense', { got: `${start} to ${limit} by ${delta}` })
  }
  const { data, known: result } = computed(node, inputs[0].type, [count])
  for (let i = 0; i < count; i++) data[i] = start + i * delta
  return result
}

// ── borders ──

const fills = { constant: 'constant', reflect: 'reflect', edge: 'edge', wrap: 'wrap' } as const

/** Elements before and behind each axis; negative ones are taken away. */
function padsOf(node: NodeReader, rank: number): Map<number, [before: number, behind: number]> {
  const given = node.numbersOf(node.has('paddings') ? 'paddings' : 'pads', 1) ?? []
  const axes = node.hasInput(3) ? node.numbers(node.known(3)) : Array.from({ length: rank }, (_, axis) => axis)
  if (given.length !== 2 * axes.length || !given.every(Number.isSafeInteger)) {
    throw node.error('pads make no sense', { got: showElements(given), expected: `${2 * axes.length} whole numbers` })
  }
  const pads = axes.map((axis, i): [number, [number, number]] => [
    node.axis(axis, rank),
    [given[i], given[i + axes.length]],
  ])
  return new Map(pads.filter(([, [before, behind]]) => before !== 0 || behind !== 0))
}

function pad(node: NodeReader): Flow {
  const flow = node.flow(0)
  const pads = padsOf(node, flow.axes.length)
  const name = node.string('mode', 'constant')
  if (!Object.hasOwn(fills, name)) {
    throw node.error('mode makes no sense', { got: name, expected: Object.keys(fills).join(', ') })
  }
  const mode = fills[name as keyof typeof fills]
  for (const axis of pads.keys()) node.apart(flow, axis)
  const cut = new Map<number, Part>()
  for (const [axis, [before, behind]] of pads) {
    const extent = node.plain(extentOf(flow, axis))
    const start = Math.max(0, -before)
    const count = extent - start - Math.max(0, -behind)
    if (count !== extent) cut.set(axis, { start, step: 1, count: Math.max(0, count) })
  }
  const inner = taken(node, flow, cut)
  const axes = [...pads].flatMap(([axis, [before, behind]]) => (before > 0 || behind > 0 ? [axis] : []))
  if (axes.length === 0) return inner
  const { groups, at } = placesOf(inner, axes)
  const around = groups.map((_, place): [number, number] => {
    const [before, behind] = pads.get(axes[at.indexOf(place)]) ?? [0, 0]
    return [Math.max(0, before), Math.max(0, behind)]
  })
  const from = node.place(inner, groups).layer
  const made = node.add(nn.pad(around, mode === 'constant' ? { value: borderOf(node) } : { mode }), [from])
  return changedFlow(inner, groups, made, new Map(at.map((place, i) => [place, axes[i]])))
}

const largest = 3.4028234663852886e38

/** What stands in a constant border. Infinite ones, as in front of a pool, become the largest numbers there are. */
function borderOf(node: NodeReader): number {
  const value = node.hasInput(2) ? node.scalar(2) : node.float('value', 0)
  if (Number.isNaN(value)) throw node.unsupported('has a border that is not a number')
  return Math.min(largest, Math.max(-largest, value))
}

// ── blocks ──

function blocks(node: NodeReader, type: 'depthToSpace' | 'spaceToDepth'): Flow {
  const flow = node.flow(0)
  const { groups, rank } = channelsLast(node, flow)
  if (rank !== 2) throw node.error('the input is no picture', { got: showElements(dimsOf(flow)), expected: '4 axes' })
  const block = node.int('blocksize', 0)
  const mode = node.string('mode', 'DCR')
  if (mode !== 'DCR' && mode !== 'CRD') throw node.error('mode makes no sense', { got: mode, expected: 'DCR or CRD' })
  const order = mode === 'DCR' ? {} : ({ order: 'CRD' } as const)
  const layer = type === 'depthToSpace' ? nn.depthToSpace(block, order) : nn.spaceToDepth(block)
  const made = node.add(layer, [node.place(flow, groups).layer])
  return behindChannelsLast(flow, groups, made)
}

export const parts: Family = {
  Slice: {
    versions: [1, 10, 11, 13],
    read(node) {
      const flow = node.flow(0)
      return taken(node, flow, partsOf(node, dimsOf(flow)))
    },
    fold: (node, [value]) => foldTaken(node, value, partsOf(node, value.dims)),
  },
  Split: {
    versions: [1, 2, 11, 13, 18],
    read(node) {
      const flow = node.flow(0)
      const all = splitParts(node, flow.axes.length, (axis) => extentOf(flow, axis))
      return all.map((part) => taken(node, flow, part))
    },
    fold: (node, [value]) =>
      splitParts(node, value.dims.length, (axis) => value.dims[axis]).map((part) => foldTaken(node, value, part)),
  },
  Expand: { versions: [8, 13], least: 2, read: expand, fold: foldExpand },
  Tile: { versions: [6, 13], least: 2, read: tile, fold: foldTile },
  Range: {
    versions: [11],
    least: 3,
    read: (node) => range(node, [node.known(0), node.known(1), node.known(2)]),
    fold: range,
  },
  Pad: { versions: [1, 2, 11, 13, 18, 19, 21, 23, 24, 25], read: pad },
  DepthToSpace: { versions: [1, 11, 13], read: (node) => blocks(node, 'depthToSpace') },
  SpaceToDepth: { versions: [1, 13], read: (node) => blocks(node, 'spaceToDepth') },
}
