/**
 * How a value of juanji lies in a tensor of ONNX.
 *
 * A sample's axes, channels last, are cut into atoms, as few as are needed. Every axis of the ONNX tensor behind the batch
 * is made of atoms, in any order. A picture [height, width, channels] has three atoms 0, 1, 2 and lies in ONNX as
 * [2], [0], [1]; flattened it still has three atoms, all in its one axis, and lies in ONNX as one axis of 2, 0, 1. So what
 * comes behind knows how to turn its weights, and nobody has to turn the values.
 */
import { type Shape, sizeOf, stridesOf } from '../../../base/shape.ts'

export interface Layout {
  /** Extents of the atoms in juanji's order. */
  readonly atoms: readonly number[]
  /** How many atoms make each axis of the sample. */
  readonly runs: readonly number[]
  /** Atoms of each axis of the ONNX tensor behind the batch, outermost first. */
  readonly axes: readonly (readonly number[])[]
  /**
   * Of a vector that atoms cannot describe, as several flattened maps in a row: for each of its places the sample's feature
   * that lies there.
   */
  readonly places?: readonly number[]
}

/** The axes in juanji's own order. */
export function natural(shape: Shape): Layout {
  return ordered(
    shape,
    shape.map((_, axis) => axis),
  )
}

/** ONNX's order: channels, then the spatial axes. */
export function channelsFirst(shape: Shape): Layout {
  const last = shape.length - 1
  return ordered(shape, last < 1 ? shape.map((_, axis) => axis) : [last, ...shape.slice(1).map((_, axis) => axis)])
}

/** One ONNX axis for each of the sample's, in this order. */
export function ordered(shape: Shape, order: readonly number[]): Layout {
  return { atoms: shape, runs: shape.map(() => 1), axes: order.map((axis) => [axis]) }
}

/** First atom of each axis of the sample, and one behind the last. */
export function startsOf({ runs }: Layout): number[] {
  const starts = [0]
  for (const run of runs) starts.push(starts[starts.length - 1] + run)
  return starts
}

/** Atoms of each axis of the sample. */
function runsOf(layout: Layout): number[][] {
  const starts = startsOf(layout)
  return layout.runs.map((run, i) => Array.from({ length: run }, (_, j) => starts[i] + j))
}

/** The sample's shape, in juanji's order. */
export function sampleShape(layout: Layout): Shape {
  return runsOf(layout).map((run) => sizeOf(run.map((atom) => layout.atoms[atom])))
}

/** Extents of the ONNX tensor behind the batch. */
export function onnxShape({ atoms, axes }: Layout): Shape {
  return axes.map((axis) => sizeOf(axis.map((atom) => atoms[atom])))
}

const sameList = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((value, i) => value === b[i])

export const sameAxes = (a: Layout['axes'], b: Layout['axes']): boolean =>
  a.length === b.length && a.every((axis, i) => sameList(axis, b[i]))

/** For each ONNX axis the sample's axis that it is; undefined where axes are mixed or turned in themselves. */
export function orderOf(layout: Layout): number[] | undefined {
  if (layout.places !== undefined) return undefined
  const runs = runsOf(layout)
  const order = layout.axes.map((axis) => runs.findIndex((run) => sameList(run, axis)))
  return layout.axes.length === runs.length && order.every((axis) => axis >= 0) ? order : undefined
}

/**
 * The ONNX axis behind the batch that holds the elements of this axis of the sample, in whatever order; -1 where they
 * are spread.
 */
export function axisOf(layout: Layout, axis: number): number {
  const run = runsOf(layout)[axis]
  return layout.axes.findIndex((atoms) => atoms.length === run.length && run.every((atom) => atoms.includes(atom)))
}

/** The atoms with more than one element, as they follow each other in memory. */
export function memoryOrder({ atoms, axes }: Pick<Layout, 'atoms' | 'axes'>): number[] {
  return axes.flat().filter((atom) => atoms[atom] > 1)
}

/** Of a vector: for each of its places the sample's feature that lies there. */
export function placesOf(layout: Layout): readonly number[] {
  if (layout.places !== undefined) return layout.places
  const strides = stridesOf(layout.atoms)
  let places = [0]
  for (const atom of layout.axes.flat()) {
    places = places.flatMap((place) => Array.from({ length: layout.atoms[atom] }, (_, i) => place + i * strides[atom]))
  }
  return places
}

/** A vector whose features lie so. */
export function scattered(places: readonly number[]): Layout {
  const layout = natural([places.length])
  return places.every((place, i) => place === i) ? layout : { ...layout, places }
}

export const sameLayout = (a: Layout, b: Layout): boolean =>
  sameList(a.atoms, b.atoms) && sameAxes(a.axes, b.axes) && sameList(a.places ?? [], b.places ?? [])

/** The sample's axes in another order, and the values where they are. */
export function permuted(layout: Layout, order: readonly number[]): Layout {
  if (order.length < 2) return layout
  const runs = runsOf(layout)
  const atoms = order.flatMap((axis) => runs[axis])
  return {
    atoms: atoms.map((atom) => layout.atoms[atom]),
    runs: order.map((axis) => layout.runs[axis]),
    axes: layout.axes.map((axis) => axis.map((atom) => atoms.indexOf(atom))),
  }
}

/**
 * The layout of the same values seen as samples of another shape, without moving any; undefined where that cannot be.
 * Its ONNX axes are one for each of the sample's.
 */
export function reshaped(layout: Layout, shape: Shape): Layout | undefined {
  if (layout.places !== undefined) return shape.length === 1 ? layout : undefined
  const cut = cutAtoms(layout, shape)
  if (cut === undefined) return undefined
  const memory = cut.axes.flat()
  const place = new Map(memory.map((atom, i) => [atom, i]))
  const groups = runsOf(cut).map((run) => ({
    ones: run.filter((atom) => cut.atoms[atom] === 1),
    rest: run.filter((atom) => cut.atoms[atom] > 1).sort((a, b) => (place.get(a) ?? 0) - (place.get(b) ?? 0)),
  }))
  const order = memoryOrder(cut)
  const follow = groups.every(({ rest }) =>
    rest.every((atom, i) => i === 0 || order.indexOf(atom) === order.indexOf(rest[i - 1]) + 1),
  )
  if (!follow) return undefined
  // Axes of one element may stand anywhere: where that gives an order that operators want, there.
  const ranks = groups.flatMap(({ rest }, i) => (rest.length === 0 ? [] : [i]))
  ranks.sort((a, b) => order.indexOf(groups[a].rest[0]) - order.indexOf(groups[b].rest[0]))
  const all = groups.map((_, i) => i)
  const last = all.length - 1
  const usual = [[last, ...all.slice(0, last)], all].slice(last < 1 ? 1 : 0)
  const chosen = usual.find((candidate) =>
    sameList(
      candidate.filter((i) => groups[i].rest.length > 0),
      ranks,
    ),
  )
  const sorted = chosen ?? insertOnes(groups, ranks)
  return { ...cut, axes: sorted.map((i) => [...groups[i].ones, ...groups[i].rest]) }
}

/** Axes of one element behind the axis that is in front of them in the sample. */
function insertOnes(groups: readonly { readonly rest: readonly number[] }[], ranks: readonly number[]): number[] {
  const sorted = [...ranks]
  for (const [i, { rest }] of groups.entries()) {
    if (rest.length === 0) sorted.splice(i === 0 ? 0 : sorted.indexOf(i - 1) + 1, 0, i)
  }
  return sorted
}

/** The same layout with atoms so small that every axis of `shape` is a run of them; undefined where extents do not divide. */
function cutAtoms(layout: Layout, shape: Shape): Layout | undefined {
  const atoms: number[] = []
  const parts: number[][] = layout.atoms.map(() => [])
  const runs: number[] = []
  const left = [...layout.atoms]
  let at = 0
  const take = (extent: number) => {
    parts[at].push(atoms.length)
    atoms.push(extent)
    left[at] /= extent
  }
  for (const extent of shape) {
    const before = atoms.length
    let wanted = extent
    while (wanted > 1) {
      while (at < left.length && left[at] === 1) {
        if (parts[at].length === 0) take(1)
        at++
      }
      if (at === left.length) return undefined
      const part = left[at] % wanted === 0 ? wanted : wanted % left[at] === 0 ? left[at] : 0
      if (part === 0) return undefined
      take(part)
      wanted /= part
    }
    if (atoms.length === before) {
      // An axis of one element: an atom of its own, of no atom that was.
      atoms.push(1)
      parts.push([atoms.length - 1])
    }
    runs.push(atoms.length - before)
  }
  if (left.slice(at).some((extent) => extent > 1)) return undefined
  const rest = parts.slice(layout.atoms.length)
  const axes = [...layout.axes.map((axis) => axis.flatMap((atom) => parts[atom])), ...rest]
  return { atoms, runs, axes }
}
