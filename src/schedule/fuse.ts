/** Second stage: which nodes become one kernel. Elementwise neighbours merge; maps join the reduction or contraction beside them. */
import type { Precision } from '../base/dtype.ts'
import { sameShape } from '../base/shape.ts'
import type { Node } from '../graph/node.ts'
import type { Algorithm } from '../graph/op.ts'
import type { Target } from '../kernel/target.ts'
import { type Accesses, isContiguous } from './access.ts'

/** One kernel to be: a map, a reduction with maps in front, an op's own kernels with maps behind, or a copy of a view. */
export interface Unit {
  /** In topological order. */
  readonly members: Node[]
  /** The reduction or kernel op; undefined for maps and copies. */
  main: Node | undefined
  algorithm: Algorithm | undefined
  readonly dependencies: Set<Unit>
}

export interface Fusion {
  /** In an order in which they can run. */
  readonly units: readonly Unit[]
  /** Nodes whose values are written to memory. */
  readonly stored: ReadonlySet<Node>
}

/** The algorithm with the lowest estimated cost among those that apply, and that can do with bf16 where that is wanted. */
export function choose(node: Node, target: Target, precision: Precision = 'f32'): Algorithm {
  if (node.op.kind !== 'kernel') throw new Error(`${node.op.name} has no kernels of its own`)
  const candidates = node.op.algorithms.filter((algorithm) => algorithm.applies(node, target))
  if (candidates.length === 0)
    throw new Error(`${node.op.name}: no algorithm applies to ${node.inputs.map((i) => `[${i.shape}]`).join(' and ')}`)
  const able = precision === 'f32' ? candidates : candidates.filter((algorithm) => algorithm.bf16 !== undefined)
  const among = able.length > 0 ? able : candidates
  return among.reduce((best, next) => (next.cost(node, target) < best.cost(node, target) ? next : best))
}

export function fuse(
  nodes: readonly Node[],
  keep: ReadonlySet<Node>,
  accesses: Accesses,
  target: Target,
  precision: Precision = 'f32',
): Fusion {
  const position = new Map(nodes.map((node, i) => [node, i]))
  const unitOf = new Map<Node, Unit>()
  const algorithms = new Map<Node, Algorithm>()
  /** Nodes that have a value of their own: all but leaves and views that are read through. */
  const isValue = (node: Node) => node.op.kind !== 'leaf' && (node.op.kind !== 'view' || accesses.copied.has(node))

  // What each value reads. Kernel ops that want plain buffers get copies of views.
  const reads = new Map<Node, Node[]>()
  for (const node of nodes) {
    if (node.op.kind === 'kernel') {
      const algorithm = choose(node, target, precision)
      algorithms.set(node, algorithm)
      for (const input of node.inputs) {
        const { layout } = accesses.of(input)
        const fits =
          algorithm.acceptsStrides === true ? layout.strides.every((stride) => stride >= 0) : isContiguous(layout)
        if (!fits) accesses.copy(input)
      }
    }
    if (node.op.kind === 'view') accesses.of(node)
  }
  for (const node of nodes) {
    if (!isValue(node)) continue
    const sources =
      node.op.kind === 'view' ? [accesses.behind(node).source] : node.inputs.map((input) => accesses.of(input).source)
    reads.set(node, sources)
    const dependencies = new Set<Unit>()
    for (const source of sources) {
      const unit = unitOf.get(source)
      if (unit !== undefined) dependencies.add(unit)
    }
    const main = node.op.kind === 'reduce' || node.op.kind === 'kernel' ? node : undefined
    unitOf.set(node, { members: [node], main, algorithm: algorithms.get(node), dependencies })
  }
  const readers = new Map<Node, Node[]>()
  for (const [node, sources] of reads)
    for (const source of new Set(sources)) readers.set(source, [...(readers.get(source) ?? []), node])

  const first = (unit: Unit) => Math.min(...unit.members.map((node) => position.get(node) as number))
  /** Whether `from` needs `to` in some way. */
  const needs = (from: Unit, to: Unit): boolean => {
    const seen = new Set<Unit>()
    const stack = [from]
    for (let unit = stack.pop(); unit !== undefined; unit = stack.pop()) {
      if (unit === to) return true
      if (seen.has(unit)) continue
      seen.add(unit)
      stack.push(...unit.dependencies)
    }
    return false
  }
  /** Merges `producer` into `consumer` unless something in between needs the one and is needed by the other. */
  const merge = (producer: Unit, consumer: Unit): boolean => {
    // Inside a unit values stay in registers: a reader must want the element at its own place, not a view of it.
    const members = new Set(producer.members)
    for (const node of consumer.members) {
      for (const input of node.inputs) {
        if (input.op.kind === 'view' && members.has(accesses.of(input).source)) return false
      }
    }
    for (const dependency of consumer.dependencies) {
      if (dependency !== producer && needs(dependency, producer)) return false
    }
    consumer.members.push(...producer.members)
    consumer.members.sort((a, b) => (position.get(a) as number) - (position.get(b) as number))
    consumer.main ??= producer.main
    consumer.algorithm ??= producer.algorithm
    for (const dependency of producer.dependencies) consumer.dependencies.add(dependency)
    consumer.dependencies.delete(producer)
    for (const node of producer.members) unitOf.set(node, consumer)
    for (const unit of new Set(unitOf.values())) {
      if (unit !== consumer && unit.dependencies.delete(producer)) unit.dependencies.add(consumer)
    }
    return true
  }

  const isMapUnit = (unit: Unit) => unit.main === undefined && unit.members.every((node) => node.op.kind === 'map')

  // Reductions take in the maps in front of them that nothing else reads, and those in front of these. They come first:
  // a map that goes into a sum should not be stored because it could also have joined its neighbours.
  for (const node of nodes) {
    if (node.op.kind !== 'reduce') continue
    const unit = unitOf.get(node) as Unit
    const { shape } = node.inputs[0]
    const pulls = (input: Node): boolean =>
      input.op.kind === 'map' &&
      input.op.usesIndex !== true &&
      !keep.has(input) &&
      sameShape(input.shape, shape) &&
      unitOf.get(input) !== unit &&
      (readers.get(input) as Node[]).every((reader) => unitOf.get(reader) === unit)
    const candidates = [...node.inputs]
    for (let input = candidates.pop(); input !== undefined; input = candidates.pop()) {
      if (pulls(input) && merge(unitOf.get(input) as Unit, unit)) candidates.push(...input.inputs)
    }
  }

  // Maps with maps: a direct reader of the same shape.
  for (const node of nodes) {
    if (node.op.kind !== 'map') continue
    for (const input of node.inputs) {
      if (input.op.kind !== 'map' || !sameShape(input.shape, node.shape)) continue
      const producer = unitOf.get(input) as Unit
      const consumer = unitOf.get(node) as Unit
      if (producer !== consumer && isMapUnit(producer) && isMapUnit(consumer)) merge(producer, consumer)
    }
  }

  // Contractions take in the maps behind them: bias, activation, residual, masks of the backward pass.
  for (const node of [...nodes].reverse()) {
    const unit = unitOf.get(node)
    if (node.op.kind !== 'kernel' || unit?.algorithm?.fusesEpilogue !== true || unit.members.length !== 1) continue
    const consumers = new Set((readers.get(node) ?? []).map((reader) => unitOf.get(reader) as Unit))
    if (consumers.size !== 1 || keep.has(node)) continue
    const [consumer] = consumers
    if (!isMapUnit(consumer) || !fitsEpilogue(node, consumer, accesses, unitOf)) continue
    merge(unit, consumer)
  }

  const units = [...new Set(unitOf.values())]
  const stored = new Set<Node>()
  for (const unit of units) {
    for (const node of unit.members) {
      const outside = (readers.get(node) ?? []).some((reader) => unitOf.get(reader) !== unit)
      if (outside || keep.has(node)) stored.add(node)
    }
  }
  return { units: order(units, first), stored }
}

/** Epilogues read operands of the output's shape, one value a channel, or one value. */
function fitsEpilogue(node: Node, unit: Unit, accesses: Accesses, unitOf: ReadonlyMap<Node, Unit>): boolean {
  return unit.members.every((member) => {
    if (!sameShape(member.shape, node.shape) || (member.op.kind === 'map' && member.op.usesIndex === true)) return false
    return member.inputs.every((input) => {
      const { source, layout } = accesses.of(input)
      if (source === node || unitOf.get(source) === unit) return true
      return epilogueAccess(layout.shape, layout.strides) !== undefined
    })
  })
}

/** How an epilogue reads an operand of the output's shape with these strides; undefined when it can't. */
export function epilogueAccess(
  shape: readonly number[],
  strides: readonly number[],
): 'same' | 'channel' | 'scalar' | undefined {
  const last = shape.length - 1
  // Extents of 1 are not special: whether a batch holds one sample must not change the kernel.
  if (strides.every((stride) => stride === 0)) return 'scalar'
  if (strides[last] === 1 && strides.slice(0, last).every((stride) => stride === 0)) return 'channel'
  return isContiguous({ shape, strides, offset: 0 }) ? 'same' : undefined
}

/** Dependencies first, otherwise in the order in which the nodes were made. */
function order(units: readonly Unit[], first: (unit: Unit) => number): Unit[] {
  const sorted = [...units].map((unit) => ({ unit, at: first(unit) })).sort((a, b) => a.at - b.at)
  const done = new Set<Unit>()
  const result: Unit[] = []
  const visit = (root: Unit): void => {
    const stack: { unit: Unit; rest: Unit[] }[] = [{ unit: root, rest: [...root.dependencies] }]
    while (stack.length > 0) {
      const top = stack[stack.length - 1]
      const next = top.rest.pop()
      if (next === undefined) {
        stack.pop()
        if (!done.has(top.unit)) {
          done.add(top.unit)
          result.push(top.unit)
        }
      } else if (!done.has(next)) stack.push({ unit: next, rest: [...next.dependencies] })
    }
  }
  for (const { unit } of sorted) visit(unit)
  return result
}
