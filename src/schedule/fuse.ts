/**
 * Second stage: which nodes become one kernel. Elementwise neighbours merge, reductions over the same values are one pass,
 * and maps join the reduction or contraction beside them.
 */
import { sameShape, sizeOf } from '../base/shape.ts'
import type { Node } from '../graph/node.ts'
import type { Algorithm } from '../graph/op.ts'
import type { Target } from '../kernel/target.ts'
import { type Accesses, isContiguous, isWhole } from './access.ts'
import { type AlgorithmChoice, choose } from './choose.ts'

/**
 * One kernel to be: a map, reductions of the same values with maps in front and behind, an op's own kernels with maps
 * behind, or a copy of a view.
 */
export interface Unit {
  /** In topological order. */
  readonly members: Node[]
  /** The reductions, or the kernel op; empty for maps and copies. */
  readonly mains: Node[]
  /** Maps that the reductions read. */
  readonly front: Set<Node>
  algorithm: Algorithm | undefined
  readonly dependencies: Set<Unit>
  /** Units that have this one among their dependencies. */
  readonly dependents: Set<Unit>
}

export interface Fusion {
  /** In the order in which their first nodes were made, which is not yet one in which they can run. */
  readonly units: readonly Unit[]
  /** Nodes whose values are written to memory. */
  readonly stored: ReadonlySet<Node>
}

/** The maps that work on what a unit's reductions or its kernel op computed, or feed those that do. */
export function behindMains(unit: Unit): Node[] {
  return unit.members.filter((node) => !unit.mains.includes(node) && !unit.front.has(node))
}

/** Most reductions that share a pass: their accumulators must fit the registers. */
const mostReductions = 4

/** @param lasts whether a node has the same value at every run */
export function fuse(
  nodes: readonly Node[],
  keep: ReadonlySet<Node>,
  accesses: Accesses,
  target: Target,
  choice: AlgorithmChoice,
  lasts?: (node: Node) => boolean,
): Fusion {
  const fuser = new Fuser(nodes, keep, accesses, (node) => choose(node, target, choice, lasts))
  fuser.reductions()
  fuser.maps()
  fuser.epilogues()
  return fuser.result()
}

class Fuser {
  readonly #nodes: readonly Node[]
  readonly #keep: ReadonlySet<Node>
  readonly #accesses: Accesses
  readonly #position: ReadonlyMap<Node, number>
  readonly #unitOf = new Map<Node, Unit>()
  readonly #readers = new Map<Node, Node[]>()

  constructor(
    nodes: readonly Node[],
    keep: ReadonlySet<Node>,
    accesses: Accesses,
    algorithmFor: (node: Node) => Algorithm,
  ) {
    this.#nodes = nodes
    this.#keep = keep
    this.#accesses = accesses
    this.#position = new Map(nodes.map((node, i) => [node, i]))
    const algorithms = new Map<Node, Algorithm>()
    // Kernel ops that want plain buffers get copies of views.
    for (const node of nodes) {
      if (node.op.kind === 'kernel') {
        const algorithm = algorithmFor(node)
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
    for (const node of nodes) this.#addUnit(node, algorithms.get(node))
  }

  /** Every node with a value of its own begins as a unit: all but leaves and views that are read through. */
  #addUnit(node: Node, algorithm: Algorithm | undefined): void {
    const { kind } = node.op
    if (kind === 'leaf' || (kind === 'view' && !this.#accesses.copied.has(node))) return
    const sources = new Set(
      kind === 'view'
        ? [this.#accesses.behind(node).source]
        : node.inputs.map((input) => this.#accesses.of(input).source),
    )
    const mains = kind === 'reduce' || kind === 'kernel' ? [node] : []
    const sets = { front: new Set<Node>(), dependencies: new Set<Unit>(), dependents: new Set<Unit>() }
    const own: Unit = { members: [node], mains, algorithm, ...sets }
    this.#unitOf.set(node, own)
    for (const source of sources) {
      const unit = this.#unitOf.get(source)
      if (unit !== undefined) connect(own, unit)
      const readers = this.#readers.get(source)
      if (readers === undefined) this.#readers.set(source, [node])
      else readers.push(node)
    }
  }

  #readersOf(node: Node): readonly Node[] {
    return this.#readers.get(node) ?? []
  }

  #unit(node: Node): Unit {
    return this.#unitOf.get(node) as Unit
  }

  /** Whether `from` needs `to` in some way. */
  #needs(from: Unit, to: Unit): boolean {
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
  #merge(producer: Unit, consumer: Unit): boolean {
    for (const dependency of consumer.dependencies) {
      if (dependency !== producer && this.#needs(dependency, producer)) return false
    }
    consumer.members.push(...producer.members)
    consumer.members.sort((a, b) => (this.#position.get(a) as number) - (this.#position.get(b) as number))
    consumer.mains.push(...producer.mains)
    for (const node of producer.front) consumer.front.add(node)
    consumer.algorithm ??= producer.algorithm
    for (const node of producer.members) this.#unitOf.set(node, consumer)
    for (const dependency of producer.dependencies) {
      dependency.dependents.delete(producer)
      if (dependency !== consumer) connect(consumer, dependency)
    }
    for (const dependent of producer.dependents) {
      dependent.dependencies.delete(producer)
      if (dependent !== consumer) connect(dependent, consumer)
    }
    return true
  }

  /** Inside a unit values stay in registers: a reader must want the element at its own place, not a view of it. */
  #readsThroughView(producer: Unit, consumer: Unit): boolean {
    return consumer.members.some((node) =>
      node.inputs.some((input) => {
        const { source } = this.#accesses.of(input)
        return input.op.kind === 'view' && this.#unitOf.get(source) === producer
      }),
    )
  }

  #isMapUnit(unit: Unit): boolean {
    return unit.mains.length === 0 && unit.members.every((node) => node.op.kind === 'map')
  }

  // Reductions. They come first: a map that goes into a sum should not be stored because it could also have joined its
  // neighbours.

  reductions(): void {
    const reductions = this.#nodes.filter((node) => node.op.kind === 'reduce')
    for (const node of reductions) this.#takeFront(node)
    for (const [i, node] of reductions.entries()) this.#joinEarlier(node, reductions.slice(0, i))
    for (const node of reductions) this.#takeFront(node)
    for (const node of this.#nodes) this.#joinReductionBefore(node)
    for (const node of [...this.#nodes].reverse()) this.#joinReductionBeside(node)
  }

  /** Reductions take in the maps in front of them that nothing else reads, and those in front of these. */
  #takeFront(node: Node): void {
    const unit = this.#unit(node)
    const { shape } = node.inputs[0]
    const pulls = (input: Node): boolean =>
      input.op.kind === 'map' &&
      input.op.usesIndex !== true &&
      !this.#keep.has(input) &&
      sameShape(input.shape, shape) &&
      this.#unit(input) !== unit &&
      this.#readersOf(input).every((reader) => this.#unit(reader) === unit)
    const candidates = [...node.inputs]
    for (let input = candidates.pop(); input !== undefined; input = candidates.pop()) {
      if (!unit.front.has(input)) {
        if (!pulls(input) || this.#readsThroughView(this.#unit(input), unit)) continue
        if (!this.#merge(this.#unit(input), unit)) continue
        unit.front.add(input)
      }
      candidates.push(...input.inputs)
    }
  }

  /** Reductions of the same space that read the same values are one pass over them. */
  #joinEarlier(node: Node, earlier: readonly Node[]): void {
    const unit = this.#unit(node)
    for (const other of earlier) {
      const joined = this.#unit(other)
      if (joined === unit || joined.mains.length + unit.mains.length > mostReductions) continue
      if (!sameSpace(node, other) || !this.#shareOperand(node, unit, joined)) continue
      if (this.#needs(unit, joined) || this.#needs(joined, unit)) continue
      this.#merge(unit, joined)
      return
    }
  }

  /** Whether two units read one buffer that has an element for each of theirs. */
  #shareOperand(node: Node, a: Unit, b: Unit): boolean {
    const size = sizeOf(node.inputs[0].shape)
    const wide = (unit: Unit) =>
      unit.members
        .flatMap((member) => member.inputs.map((input) => this.#accesses.of(input)))
        .filter(({ source }) => this.#unitOf.get(source) !== unit && sizeOf(source.shape) >= size)
    const sources = new Set(wide(a).map(({ source }) => source))
    return wide(b).some(({ source }) => sources.has(source))
  }

  /** Maps behind a reduction work on its results before they are stored, if they read nothing else but such results. */
  #joinReductionBefore(node: Node): void {
    if (!this.#mayFollow(node)) return
    for (const input of node.inputs) {
      const before = this.#unitOf.get(this.#accesses.of(input).source)
      if (before?.mains[0]?.op.kind !== 'reduce' || before === this.#unit(node)) continue
      if (this.#followsReduction(node, before) && this.#merge(before, this.#unit(node))) return
    }
  }

  /** Maps that only such maps read are computed beside them. */
  #joinReductionBeside(node: Node): void {
    if (!this.#mayFollow(node) || this.#keep.has(node)) return
    const readers = this.#readersOf(node)
    const unit = readers.length === 0 ? undefined : this.#unit(readers[0])
    if (unit?.mains[0]?.op.kind !== 'reduce' || readers.some((reader) => this.#unit(reader) !== unit)) return
    const behind = behindMains(unit)
    if (!readers.every((reader) => behind.includes(reader) && this.#readsInPlace(reader, node))) return
    if (this.#followsReduction(node, unit)) this.#merge(this.#unit(node), unit)
  }

  #mayFollow(node: Node): boolean {
    return node.op.kind === 'map' && node.op.usesIndex !== true && this.#unit(node).members.length === 1
  }

  /** Whether every operand of a map is read at the place of a result of the reductions of `unit`, or once. */
  #followsReduction(node: Node, unit: Unit): boolean {
    if (sizeOf(node.shape) !== sizeOf(unit.mains[0].shape)) return false
    return node.inputs.every((input) => {
      const access = this.#accesses.of(input)
      if (this.#unitOf.get(access.source) === unit) {
        return isWhole(access) && !unit.front.has(access.source)
      }
      return access.layout.strides.every((stride) => stride === 0) || isContiguous(access.layout)
    })
  }

  #readsInPlace(reader: Node, node: Node): boolean {
    return reader.inputs.every((input) => {
      const access = this.#accesses.of(input)
      return access.source !== node || isWhole(access)
    })
  }

  /**
   * Maps with maps: a direct reader of the same shape. From the end, so that a map whose one reader could take it in does
   * not become one more result of the kernel before it.
   */
  maps(): void {
    for (const node of [...this.#nodes].reverse()) {
      if (node.op.kind !== 'map') continue
      for (const input of node.inputs) {
        if (input.op.kind !== 'map' || !sameShape(input.shape, node.shape)) continue
        const producer = this.#unit(input)
        const consumer = this.#unit(node)
        if (producer === consumer || !this.#isMapUnit(producer) || !this.#isMapUnit(consumer)) continue
        if (!this.#readsThroughView(producer, consumer)) this.#merge(producer, consumer)
      }
    }
  }

  /** Contractions take in the maps behind them: bias, activation, residual, masks of the backward pass. */
  epilogues(): void {
    for (const node of [...this.#nodes].reverse()) {
      const unit = this.#unitOf.get(node)
      if (node.op.kind !== 'kernel' || unit?.algorithm?.fusesEpilogue !== true || unit.members.length !== 1) continue
      const consumers = new Set(this.#readersOf(node).map((reader) => this.#unit(reader)))
      if (consumers.size !== 1 || this.#keep.has(node)) continue
      const [consumer] = consumers
      if (!this.#isMapUnit(consumer) || !fitsEpilogue(node, consumer, this.#accesses, this.#unitOf)) continue
      if (!this.#readsThroughView(unit, consumer)) this.#merge(unit, consumer)
    }
  }

  result(): Fusion {
    const units = [...new Set(this.#unitOf.values())]
    const stored = new Set<Node>()
    for (const unit of units) {
      for (const node of unit.members) {
        const outside = this.#readersOf(node).some((reader) => this.#unit(reader) !== unit)
        if (outside || this.#keep.has(node)) stored.add(node)
      }
    }
    const first = (unit: Unit) => this.#position.get(unit.members[0]) as number
    return { units: units.sort((a, b) => first(a) - first(b)), stored }
  }
}

function connect(unit: Unit, dependency: Unit): void {
  unit.dependencies.add(dependency)
  dependency.dependents.add(unit)
}

/** Whether two reductions walk over the same axes of the same shape. */
function sameSpace(a: Node, b: Node): boolean {
  if (a.op.kind !== 'reduce' || b.op.kind !== 'reduce') return false
  return sameShape(a.inputs[0].shape, b.inputs[0].shape) && sameShape(a.op.axes(a.attributes), b.op.axes(b.attributes))
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
