/** Which axes of a layer's samples are axes of ONNX's value, for operators that work along some of them. */
import { groupsWith } from '../layout.ts'
import type { Made } from '../network.ts'
import { batchAtom, type Flow, product } from '../values.ts'

export interface Places {
  /** Axes of samples: see `NodeReader.place`. */
  readonly groups: readonly (readonly number[])[]
  /** For each axis that was asked for its place among the groups. */
  readonly at: readonly number[]
}

/** The axes in which values lie as groups of atoms; undefined where an atom reaches over several. */
export function groupsAsTheyLie(flow: Flow): number[][] | undefined {
  let next = 0
  const groups: number[][] = []
  for (const extent of flow.shape) {
    const group: number[] = []
    while (product(group.map((atom) => flow.atoms[atom])) < extent) group.push(next++)
    if (product(group.map((atom) => flow.atoms[atom])) !== extent) return undefined
    groups.push(group)
  }
  return next === flow.atoms.length ? groups : undefined
}

/** Places for ONNX's axes: where they lie if each is an axis there, otherwise each brought into one piece. */
export function placesOf(flow: Flow, axes: readonly number[]): Places {
  const groups = groupsAsTheyLie(flow)
  const taken = new Set<number>()
  const at = axes.map((axis) => {
    const atoms = flow.axes[axis].filter((atom) => atom !== batchAtom)
    const place = (groups ?? []).findIndex((group, i) => !taken.has(i) && String(group) === String(atoms))
    taken.add(place)
    return place
  })
  return groups !== undefined && !at.includes(-1) ? { groups, at } : groupsWith(flow, ...axes)
}

/** What lies behind a layer that took some of its axes away; they stay as axes of extent 1, or not at all. */
export function behindReduced(
  flow: Flow,
  groups: readonly (readonly number[])[],
  gone: readonly number[],
  made: Made,
  axes: readonly number[],
  keep: boolean,
): Flow {
  const kept = groups.filter((_, place) => !gone.includes(place)).flat()
  const stays = (axis: readonly number[], i: number) =>
    axes.includes(i) ? [] : axis.map((atom) => (atom === batchAtom ? atom : kept.indexOf(atom)))
  const all = flow.axes.map(stays)
  return {
    ...flow,
    ...made,
    atoms: kept.map((atom) => flow.atoms[atom]),
    axes: keep ? all : all.filter((_, i) => !axes.includes(i)),
  }
}
