/** Several values in one layout, for operators that work element by element with broadcasting. */
import type { DType } from '../../base/dtype.ts'
import type { Shape } from '../../base/shape.ts'
import * as nn from '../../nn/index.ts'
import { onceAlong } from './fold.ts'
import {
  batchIsMerged,
  commonCut,
  cutAs,
  dimsOf,
  elementsBefore,
  extentsOf,
  groupsWith,
  partsBefore,
} from './layout.ts'
import { Names } from './names.ts'
import { type Made, placedFlow } from './network.ts'
import type { NodeReader } from './operator.ts'
import { batchAtom, dtypeOf, type Flow, isFloat, type Known, product, showElements, type Value } from './values.ts'

/** A part of one of ONNX's axes, `part` counted from the outermost. */
interface Key {
  readonly axis: number
  readonly part: number
}

export interface Aligned {
  /** Layers that hold the values, in the order they were given; broadcasting from the last axis on. */
  readonly layers: readonly string[]
  /** How the result lies, once the layer that made it is known. */
  readonly result: (made: Made, dtype: DType) => Flow
}

const sameLayout = (a: Flow, b: Flow): boolean =>
  JSON.stringify([a.shape, a.atoms, a.axes]) === JSON.stringify([b.shape, b.atoms, b.axes])

function padded(flow: Flow, rank: number): Flow {
  const missing = new Array<readonly number[]>(rank - flow.axes.length).fill([])
  return { ...flow, axes: [...missing, ...flow.axes] }
}

const rankOf = (value: Value): number => (value.kind === 'flow' ? value.axes.length : value.dims.length)

/**
 * Brings values into one layout, that of the largest; smaller ones are rearranged, constants turned here and now.
 * @throws MixesSamples where the batch of one meets another axis of the other
 */
export function align(node: NodeReader, given: readonly Value[]): Aligned {
  const rank = Math.max(...given.map(rankOf))
  let flows = given.flatMap((value) => (value.kind === 'flow' ? [padded(value, rank)] : []))
  const batch = flows[0].axes.findIndex((atoms) => atoms.includes(batchAtom))
  const values = given.map((value) => (value.kind === 'flow' ? value : onceAlong(value, batch - rank + rankOf(value))))
  checkBatch(node, flows, values, rank)
  if (flows.length === values.length && flows.every((flow) => sameLayout(flow, flows[0]))) {
    const [first] = flows
    return { layers: flows.map((flow) => flow.layer), result: (made, dtype) => ({ ...first, ...made, dtype }) }
  }
  const { cuts, solid } = cutsOf(node, flows, rank)
  flows = solid.map((flow, i) => {
    const fine = cutAs(
      flow,
      cuts.map((cut, axis) => (extentsOf(flow, axis).length === 0 ? [] : cut)),
    )
    if (fine === undefined) throw misfit(node, [flows[i], flow])
    return fine
  })
  const knowns = values.filter((value) => value.kind === 'known')
  for (const value of knowns) checkKnown(node, value, cuts, rank, flows)
  const full = cutsWith(cuts, knowns, rank)
  const keys = orderOf(flows, full)
  const slots = slotsOf(flows, keys)
  let next = 0
  const layers = values.map((value) => {
    if (value.kind === 'known') return constantLayer(node, value, slots, full, rank)
    const flow = flows[next++]
    const groups = slots.map((key) => {
      const atom = key === undefined ? undefined : atomOf(flow, key)
      return atom === undefined ? [] : [atom]
    })
    const leading = groups.findIndex((group) => group.length > 0)
    const trimmed = leading < 0 ? [] : groups.slice(leading)
    return node.place(flow, trimmed, { broadcast: true }).layer
  })
  return { layers, result: (made, dtype) => resultOf(flows, made, dtype, keys, full) }
}

function misfit(node: NodeReader, flows: readonly Flow[]): Error {
  return node.error('the inputs do not fit each other', {
    got: flows.map((flow) => showElements(dimsOf(flow))).join(' and '),
    expected: 'extents that are equal or 1, from the last axis on',
  })
}

/** The batch has to stand at the same place everywhere. */
function checkBatch(node: NodeReader, flows: readonly Flow[], values: readonly Value[], rank: number): void {
  for (let axis = 0; axis < rank; axis++) {
    const first = flows.find((flow) => flow.axes[axis].includes(batchAtom))
    if (first === undefined) continue
    for (const flow of flows) {
      const atoms = flow.axes[axis]
      const same = atoms.includes(batchAtom) && elementsBefore(flow, axis) === elementsBefore(first, axis)
      if (atoms.length > 0 && !same) throw node.mixes('joins the batch of one input with another axis')
      if (atoms.length === 0 && flow.axes.some((other) => other.includes(batchAtom))) {
        throw node.mixes('joins inputs whose batches are different axes')
      }
    }
    for (const value of values) {
      if (value.kind !== 'known') continue
      const extent = value.dims[value.dims.length - rank + axis] ?? 1
      if (extent !== 1) throw node.mixes('joins a constant that differs from sample to sample')
    }
  }
}

/** For each axis the parts that all values can be cut in; values for which there are none are made solid first. */
function cutsOf(node: NodeReader, flows: readonly Flow[], rank: number): { cuts: number[][]; solid: readonly Flow[] } {
  let solid = flows
  const cuts: number[][] = []
  for (let axis = 0; axis < rank; axis++) {
    const lists = () => solid.map((flow) => extentsOf(flow, axis)).filter((list) => list.length > 0)
    const sizes = new Set(lists().map((list) => product(list)))
    if (sizes.size > 1) throw misfit(node, flows)
    const cut = lists().reduce<number[] | undefined>((all, list) => all && commonCut(all, list), lists()[0] ?? [])
    if (cut === undefined) {
      if (solid.some(batchIsMerged)) throw node.mixes('joins axes that are cut differently')
      solid = solid.map((flow) => solidOf(node, flow, axis))
    }
    cuts.push(cut ?? lists()[0])
  }
  return { cuts, solid }
}

/** The same with an axis in one piece. */
function solidOf(node: NodeReader, flow: Flow, axis: number): Flow {
  if (extentsOf(flow, axis).length < 2) return flow
  const { groups, at } = groupsWith(flow, axis)
  const made = node.place(flow, groups)
  const placed = placedFlow(flow, groups, made)
  const first = groups.slice(0, at[0]).flat().length
  const count = groups[at[0]].length
  const atoms = [
    ...placed.atoms.slice(0, first),
    product(placed.atoms.slice(first, first + count)),
    ...placed.atoms.slice(first + count),
  ]
  const renamed = (atom: number) => (atom >= first + count ? atom - count + 1 : atom)
  const axes = placed.axes.map((list, i) => (i === axis ? [first] : list.map(renamed)))
  return { ...placed, atoms, axes }
}

function checkKnown(node: NodeReader, value: Known, cuts: number[][], rank: number, flows: readonly Flow[]): void {
  for (let axis = 0; axis < rank; axis++) {
    const extent = value.dims[value.dims.length - rank + axis] ?? 1
    const here = product(cuts[axis])
    if (extent === 1 || here === 1 || extent === here) continue
    throw node.error('the inputs do not fit each other', {
      got: `${showElements(value.dims)} and ${flows.map((flow) => showElements(dimsOf(flow))).join(' and ')}`,
      expected: 'extents that are equal or 1, from the last axis on',
    })
  }
}

/** Parts of each axis, with those that only constants have. */
function cutsWith(cuts: readonly (readonly number[])[], knowns: readonly Known[], rank: number): number[][] {
  return cuts.map((cut, axis) => {
    if (cut.length > 0) return [...cut]
    const extents = knowns.map((value) => value.dims[value.dims.length - rank + axis] ?? 1)
    const extent = Math.max(1, ...extents)
    return extent === 1 ? [] : [extent]
  })
}

const isKey = (a: Key, b: Key) => a.axis === b.axis && a.part === b.part

/** The atom that is a part of an axis; undefined where the axis has an extent of 1. */
function atomOf(flow: Flow, { axis, part }: Key): number | undefined {
  return flow.axes[axis].filter((atom) => atom !== batchAtom)[part]
}

function keysOf(flow: Flow): Key[] {
  const keys: Key[] = []
  flow.axes.forEach((atoms, axis) => {
    atoms
      .filter((atom) => atom !== batchAtom)
      .forEach((atom, part) => {
        keys[atom] = { axis, part }
      })
  })
  return keys
}

/** All parts in the order in which the largest value has them, those it lacks where the others have them. */
function orderOf(flows: readonly Flow[], cuts: readonly (readonly number[])[]): Key[] {
  const bySize = flows.toSorted((a, b) => product(b.atoms) - product(a.atoms))
  const keys: Key[] = []
  const insert = (list: readonly Key[]) => {
    list.forEach((key, i) => {
      if (keys.some((one) => isKey(one, key))) return
      const before = i === 0 ? -1 : keys.findIndex((one) => isKey(one, list[i - 1]))
      keys.splice(before + 1, 0, key)
    })
  }
  for (const flow of bySize) insert(keysOf(flow))
  // Those of constants alone lie in ONNX's order.
  insert(cuts.flatMap((cut, axis) => cut.map((_, part) => ({ axis, part }))))
  return keys
}

/** Axes that the result lies in: those of the largest value, ones included, where that has all parts. */
function slotsOf(flows: readonly Flow[], keys: readonly Key[]): (Key | undefined)[] {
  const leader = flows.find((flow) => flow.atoms.length === keys.length)
  if (leader === undefined) return [...keys]
  const slots: (Key | undefined)[] = []
  let next = 0
  for (const extent of leader.shape) {
    if (extent === 1) slots.push(undefined)
    else if (leader.atoms[next] === extent) slots.push(keys[next++])
    else return [...keys]
  }
  return slots
}

/** A constant as a layer, its values in the order of the slots. */
function constantLayer(
  node: NodeReader,
  value: Known,
  slots: readonly (Key | undefined)[],
  cuts: readonly (readonly number[])[],
  rank: number,
): string {
  const missing = rank - value.dims.length
  const extents: number[] = []
  const place = new Map<string, number>()
  value.dims.forEach((extent, i) => {
    if (extent === 1) return
    cuts[i + missing].forEach((size, part) => {
      place.set(`${i + missing} ${part}`, extents.length)
      extents.push(size)
    })
  })
  const parts = slots.map((key) => (key === undefined ? undefined : place.get(`${key.axis} ${key.part}`)))
  const shape: Shape = parts.map((part) => (part === undefined ? 1 : extents[part]))
  const leading = shape.findIndex((extent) => extent !== 1)
  const trimmed = leading < 0 ? [] : shape.slice(leading)
  const order = parts.filter((part) => part !== undefined)
  const dtype = dtypeOf(value.type) === 'f32' ? 'f32' : 'i32'
  const trainable = value.initializer !== undefined && isFloat(value.type)
  const layer = nn.value(trimmed, { ...(trainable ? {} : { trainable }), dtype })
  const name = value.initializer === undefined ? `${node.name}.constant` : Names.ofValue(value.initializer)
  return node.network.add(name, layer, [], { value: node.turned(value, order, extents) }).layer
}

function resultOf(
  flows: readonly Flow[],
  made: Made,
  dtype: DType,
  keys: readonly Key[],
  cuts: readonly (readonly number[])[],
): Flow {
  const atoms = keys.map(({ axis, part }) => cuts[axis][part])
  const axes = cuts.map((cut, axis) => {
    const all = cut.map((_, part) => keys.findIndex((key) => isKey(key, { axis, part })))
    const batched = flows.find((flow) => flow.axes[axis].includes(batchAtom))
    if (batched !== undefined) all.splice(partsBefore(cut, elementsBefore(batched, axis)), 0, batchAtom)
    return all
  })
  return { kind: 'flow', ...made, dtype, atoms, axes }
}
