/** Axes of ONNX over the axes in which values lie: see {@link Flow}. Nothing here makes a layer. */
import type { DType } from '../../base/dtype.ts'
import type { Shape } from '../../base/shape.ts'
import { Batches, batchAtom, type Element, type Flow, product } from './values.ts'

type Axes = readonly (readonly number[])[]

/**
 * The result of a layer.
 * @param places for each axis of a sample the ONNX axis it is
 * @param batch the ONNX axis that is the batch; undefined: there is none, samples are whole
 */
export function flowOf(
  layer: string,
  shape: Shape,
  dtype: DType,
  places: readonly number[],
  batch: number | undefined,
): Flow {
  const axes: number[][] = Array.from({ length: places.length + (batch === undefined ? 0 : 1) }, () => [])
  if (batch !== undefined) axes[batch] = [batchAtom]
  const atoms: number[] = []
  shape.forEach((extent, p) => {
    if (extent === 1) return
    axes[places[p]] = [atoms.length]
    atoms.push(extent)
  })
  return { kind: 'flow', layer, shape, dtype, atoms, axes }
}

const hasBatch = (axis: readonly number[]): boolean => axis.includes(batchAtom)

/** Extent of an ONNX axis. */
export function extentOf(flow: Flow, axis: number): Element {
  const atoms = flow.axes[axis]
  const size = product(atoms.map((atom) => (atom === batchAtom ? 1 : flow.atoms[atom])))
  return hasBatch(atoms) ? new Batches(size) : size
}

/** Shape as ONNX sees it. */
export const dimsOf = (flow: Flow): Element[] => flow.axes.map((_, axis) => extentOf(flow, axis))

/** The ONNX axis that is the batch and nothing else; undefined where there is none. */
export function batchAxisOf(flow: Flow): number | undefined {
  const axis = flow.axes.findIndex((atoms) => atoms.length === 1 && atoms[0] === batchAtom)
  return axis < 0 ? undefined : axis
}

/** Whether the batch is part of a longer axis, or hidden in none that a sample could be told by. */
export const batchIsMerged = (flow: Flow): boolean => flow.axes.some((axis) => axis.length > 1 && hasBatch(axis))

export const transposed = (flow: Flow, order: readonly number[]): Flow => ({
  ...flow,
  axes: order.map((axis) => flow.axes[axis]),
})

export const withAxes = (flow: Flow, axes: Axes): Flow => ({ ...flow, axes })

/** The same with an atom cut in two, `outer` times the rest. */
function cut(flow: Flow, atom: number, outer: number): Flow {
  const atoms = flow.atoms.flatMap((size, i) => (i === atom ? [outer, size / outer] : [size]))
  const axes = flow.axes.map((axis) => axis.flatMap((i) => (i === atom ? [i, i + 1] : i > atom ? [i + 1] : [i])))
  return { ...flow, atoms, axes }
}

/**
 * The same values with other ONNX axes, where axes are only merged or cut; undefined where an extent does not divide, so
 * that values have to lie in ONNX's order first.
 * @param dims as many elements as the value has, the batch once
 */
export function regrouped(flow: Flow, dims: readonly Element[]): Flow | undefined {
  let now = flow
  let queue = now.axes.flat()
  const axes: number[][] = []
  for (const dim of dims) {
    const group: number[] = []
    let left = typeof dim === 'number' ? dim : dim.times
    let batchMissing = dim instanceof Batches
    while (left > 1 || batchMissing) {
      const [atom] = queue
      if (atom === batchAtom && batchMissing) {
        group.push(batchAtom)
        queue = queue.slice(1)
        batchMissing = false
        continue
      }
      if (atom === undefined || atom === batchAtom || left === 1) return undefined
      const size = now.atoms[atom]
      if (left % size === 0) {
        group.push(atom)
        queue = queue.slice(1)
        left /= size
        continue
      }
      if (size % left !== 0) return undefined
      now = cut(now, atom, left)
      // Atoms behind the cut one have moved up by one.
      const moved = (i: number) => (i > atom ? i + 1 : i)
      for (const done of axes) done.splice(0, done.length, ...done.map(moved))
      group.splice(0, group.length, ...group.map(moved))
      queue = [atom, atom + 1, ...queue.slice(1).map(moved)]
    }
    axes.push(group)
  }
  return queue.length === 0 ? { ...now, axes } : undefined
}

/** Elements of an axis in front of the batch, which is part of it. */
export function elementsBefore(flow: Flow, axis: number): number {
  const atoms = flow.axes[axis]
  return product(atoms.slice(0, atoms.indexOf(batchAtom)).map((atom) => flow.atoms[atom]))
}

/** How many of the outermost parts make so many elements. */
export function partsBefore(extents: readonly number[], elements: number): number {
  let count = 0
  for (let size = 1; size < elements && count < extents.length; count++) size *= extents[count]
  return count
}

/**
 * The same with each axis cut so that its atoms have these extents; undefined where they don't fit.
 * @param extents for each axis, the batch left out
 */
export function cutAs(flow: Flow, extents: readonly (readonly number[])[]): Flow | undefined {
  const wanted: Element[] = flow.axes.flatMap((axis, i) => [...(hasBatch(axis) ? [new Batches(1)] : []), ...extents[i]])
  const fine = regrouped(flow, wanted)
  if (fine === undefined) return undefined
  let at = 0
  const axes = flow.axes.map((axis, i) => {
    const count = extents[i].length + (hasBatch(axis) ? 1 : 0)
    const parts = fine.axes.slice(at, at + count)
    at += count
    return parts.flat()
  })
  // An extent may be made of several atoms, which then are no finer than asked for only if they are one each.
  return fine.axes.every((axis) => axis.length <= 1) ? { ...fine, axes } : undefined
}

/** Extents of the atoms of an axis, the batch left out. */
export const extentsOf = (flow: Flow, axis: number): number[] =>
  flow.axes[axis].filter((atom) => atom !== batchAtom).map((atom) => flow.atoms[atom])

/**
 * The coarsest cut finer than both: [6] and [2, 3] give [2, 3]; undefined for [2, 3] and [3, 2].
 */
export function commonCut(a: readonly number[], b: readonly number[]): number[] | undefined {
  const edges = (extents: readonly number[]) => {
    let inner = 1
    return extents.toReversed().map((extent) => {
      inner *= extent
      return inner
    })
  }
  const all = [...new Set([...edges(a), ...edges(b)])].sort((x, y) => x - y)
  const cuts: number[] = []
  let inner = 1
  for (const edge of all) {
    if (edge % inner !== 0) return undefined
    cuts.unshift(edge / inner)
    inner = edge
  }
  return cuts
}

/** What has to be done so that values lie as wanted: `apply` first, if given, then axes of these extents. */
export interface Placement {
  readonly permute?: { readonly from: readonly number[]; readonly order: readonly number[] }
  readonly shape: readonly number[]
}

/** How values come to lie in axes that are these groups of atoms, every atom once. */
export function placementOf(flow: Flow, groups: Axes): Placement {
  const shape = groups.map((group) => product(group.map((atom) => flow.atoms[atom])))
  const order = groups.flat()
  if (order.every((atom, i) => atom === i)) return { shape }
  // Atoms that stay neighbours move as one.
  const runs: number[][] = []
  for (const atom of order) {
    const last = runs.at(-1)
    if (last !== undefined && last.at(-1) === atom - 1) last.push(atom)
    else runs.push([atom])
  }
  const sorted = runs.toSorted((a, b) => a[0] - b[0])
  return {
    shape,
    permute: {
      from: sorted.map((run) => product(run.map((atom) => flow.atoms[atom]))),
      order: runs.map((run) => sorted.indexOf(run)),
    },
  }
}

/** The axes of a layer's result as atoms, none for extents of 1; undefined where an axis holds several. */
function slotsOf(flow: Flow): number[][] | undefined {
  let next = 0
  const slots: number[][] = []
  for (const extent of flow.shape) {
    if (extent !== 1 && flow.atoms[next] !== extent) return undefined
    slots.push(extent === 1 ? [] : [next++])
  }
  return slots
}

/**
 * The axes in which values lie, those of each of some ONNX axes merged into one where its first one lies.
 * @returns groups of atoms, and for each of the ONNX axes its place among them
 */
export function groupsWith(flow: Flow, ...merged: readonly number[]): { groups: number[][]; at: number[] } {
  const whole = merged.map((axis) => flow.axes[axis].filter((atom) => atom !== batchAtom))
  const slots = slotsOf(flow) ?? flow.atoms.map((_, atom) => [atom])
  const groups = slots.flatMap((slot) => {
    const axis = whole.find((atoms) => atoms.includes(slot[0]))
    if (axis === undefined) return [slot]
    return slot[0] === Math.min(...axis) ? [[...axis]] : []
  })
  // An axis of extent 1 is one of those in which nothing lies: channels the last one, others from the front.
  const taken = new Set<number>()
  const at = whole.map((atoms, i) => {
    if (atoms.length > 0) return groups.findIndex((group) => group[0] === atoms[0])
    const last = groups.length - 1
    const isLast = merged[i] === 1 && groups[last]?.length === 0 && !taken.has(last)
    const free = isLast ? last : groups.findIndex((group, p) => group.length === 0 && !taken.has(p))
    const place = free < 0 ? groups.push([]) - 1 : free
    taken.add(place)
    return place
  })
  return { groups, at }
}
