/** One value from many: Reduce…, ArgMax, ArgMin. */
import * as nn from '../../../nn/index.ts'
import { withAxes } from '../layout.ts'
import { placedFlow } from '../network.ts'
import { computed, type Family, type NodeReader, type Operator } from '../operator.ts'
import { Batches, batchAtom, type Element, type Flow, type Known, product } from '../values.ts'
import { behindReduced, groupsAsTheyLie, placesOf } from './places.ts'

type Name = nn.ReductionName

/** What a value is before it is added up, how two are joined, and what is made of the result. */
interface Fold {
  readonly of?: (x: number) => number
  readonly join: (a: number, b: number) => number
  readonly result?: (total: number, count: number) => number
}

const sum = (a: number, b: number): number => a + b
const folds: Readonly<Record<Name, Fold>> = {
  sum: { join: sum },
  mean: { join: sum, result: (total, count) => total / count },
  max: { join: Math.max },
  min: { join: Math.min },
  prod: { join: (a, b) => a * b },
  l1: { of: Math.abs, join: sum },
  l2: { of: (x) => x * x, join: sum, result: Math.sqrt },
  sumSquare: { of: (x) => x * x, join: sum },
  logSum: { join: sum, result: Math.log },
  logSumExp: { of: Math.exp, join: sum, result: Math.log },
}

/** The axes to reduce, counted from the front; undefined: none at all. */
function reducedAxes(node: NodeReader, rank: number): number[] | undefined {
  const given = node.numbersOf('axes', 1)
  const none = given === undefined || given.length === 0
  if (none && node.int('noop_with_empty_axes', 0) === 1) return undefined
  const axes = none ? Array.from({ length: rank }, (_, axis) => axis) : given
  return [...new Set(axes.map((axis) => node.axis(axis, rank)))]
}

function reduce(node: NodeReader, op: Name): Flow {
  const flow = node.flow(0)
  const axes = reducedAxes(node, flow.axes.length)
  if (axes === undefined) return flow
  for (const axis of axes) node.apart(flow, axis)
  const keep = node.int('keepdims', 1) === 1
  const atoms = axes.flatMap((axis) => flow.axes[axis])
  const plain = op === 'sum' || op === 'mean' || op === 'max' || op === 'min' || op === 'prod'
  if (atoms.length === 0 && plain) {
    return withAxes(flow, keep ? flow.axes : flow.axes.filter((_, axis) => !axes.includes(axis)))
  }
  // The order of what is added up does not matter: atoms stay where they lie.
  const lying = groupsAsTheyLie(flow) ?? []
  const whole = lying.every((group) => group.every((atom) => atoms.includes(atom) === atoms.includes(group[0])))
  const groups = lying.length > 0 && whole ? lying : flow.atoms.map((_, atom) => [atom])
  const gone = groups.flatMap((group, place) => (group.length > 0 && atoms.includes(group[0]) ? [place] : []))
  const from = node.place(flow, groups).layer
  const made = node.add(nn.reduce(op, gone), [from])
  return behindReduced(flow, groups, gone, made, axes, keep)
}

/** The same of constants, among them shapes whose batch is open: only sums and products of these can be said. */
function foldReduce(node: NodeReader, op: Name, value: Known): Known {
  const rank = value.dims.length
  const axes = reducedAxes(node, rank)
  if (axes === undefined) return value
  const keep = node.int('keepdims', 1) === 1
  const kept = value.dims.map((extent, axis) => (axes.includes(axis) ? 1 : extent))
  const { of = (x: number) => x, join, result = (x: number) => x } = folds[op]
  const totals = new Array<Element | undefined>(product(kept)).fill(undefined)
  const from = value.data
  for (let i = 0; i < from.length; i++) {
    let rest = i
    let to = 0
    let step = 1
    for (let axis = rank - 1; axis >= 0; axis--) {
      const place = rest % value.dims[axis]
      rest = Math.floor(rest / value.dims[axis])
      if (axes.includes(axis)) continue
      to += place * step
      step *= value.dims[axis]
    }
    const item = from[i]
    const before = totals[to]
    if (before instanceof Batches || item instanceof Batches) {
      totals[to] = withBatch(node, op, before, item)
    } else {
      totals[to] = before === undefined ? of(item) : join(before, of(item))
    }
  }
  const dims = keep ? kept : value.dims.filter((_, axis) => !axes.includes(axis))
  const { data, known } = computed(node, value.type, dims, [value])
  const count = from.length / totals.length
  totals.forEach((total, i) => {
    data[i] = typeof total === 'number' ? result(total, count) : (total ?? 0)
  })
  return known
}

function withBatch(node: NodeReader, op: Name, before: Element | undefined, item: Element): Element {
  if (before === undefined) return item
  if (op === 'prod' && !(before instanceof Batches && item instanceof Batches)) {
    const [many, plain] = before instanceof Batches ? [before, item as number] : [item as Batches, before]
    return new Batches(many.times * plain)
  }
  throw node.mixes('computes with the size of the batch')
}

/** @param versions where axes became an input are told by the input itself */
function reduction(op: Name, versions: readonly number[]): Operator {
  return {
    versions,
    read: (node) => reduce(node, op),
    fold: (node, [value]) => foldReduce(node, op, value),
  }
}

/** Place of the largest or smallest element along an axis; the first of several, or the last. */
function arg(node: NodeReader, type: 'argmax' | 'argmin'): Flow {
  const flow = node.flow(0)
  const axis = node.axis(node.int('axis', 0), flow.axes.length)
  node.apart(flow, axis)
  const { groups, at } = placesOf(flow, [axis])
  const placed = placedFlow(flow, groups, node.place(flow, groups))
  const last = node.int('select_last_index', 0) === 1
  const extent = product(flow.axes[axis].filter((atom) => atom !== batchAtom).map((atom) => flow.atoms[atom]))
  const ranges = groups.map((_, place): nn.SliceRange | null => (place === at[0] ? [null, null, -1] : null))
  const from = last ? node.add(nn.slice(ranges), [placed.layer]) : placed
  const found = node.add((type === 'argmax' ? nn.argmax : nn.argmin)(at[0]), [from.layer])
  const made = last ? node.add(nn.scalar('sub', extent - 1, { reverse: true }), [found.layer]) : found
  return { ...behindReduced(flow, groups, at, made, [axis], node.int('keepdims', 1) === 1), dtype: 'i32' }
}

const versions = [1, 11, 13, 18]

export const reductions: Family = {
  ReduceSum: reduction('sum', [1, 11, 13]),
  ReduceMean: reduction('mean', versions),
  ReduceMax: reduction('max', [1, 11, 12, 13, 18, 20]),
  ReduceMin: reduction('min', [1, 11, 12, 13, 18, 20]),
  ReduceProd: reduction('prod', versions),
  ReduceL1: reduction('l1', versions),
  ReduceL2: reduction('l2', versions),
  ReduceSumSquare: reduction('sumSquare', versions),
  ReduceLogSum: reduction('logSum', versions),
  ReduceLogSumExp: reduction('logSumExp', versions),
  ArgMax: { versions: [1, 11, 12, 13], read: (node) => arg(node, 'argmax') },
  ArgMin: { versions: [1, 11, 12, 13], read: (node) => arg(node, 'argmin') },
}
