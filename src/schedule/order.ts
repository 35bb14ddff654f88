/** In which order units run. */
import { sizeOf } from '../base/shape.ts'
import type { Node, Variable, VariableAttributes } from '../graph/node.ts'
import type { Accesses } from './access.ts'
import type { Unit } from './fuse.ts'

/** Results that are so much smaller than what they are computed from count as nothing. */
const small = 1 / 16

/**
 * Dependencies first, otherwise in the order in which the nodes were made. But what frees as much memory as it takes, or
 * computes something small, runs as soon as it can: a weight moves while its gradient is still in the cache, and the
 * gradient's memory serves the next.
 * @param assigned the nodes that are assigned to Variables
 */
export function orderUnits(
  units: readonly Unit[],
  stored: ReadonlySet<Node>,
  assigned: ReadonlyMap<Node, Variable>,
  accesses: Accesses,
): Unit[] {
  const queue = inOrder(units)
  const traffic = new Traffic(units, stored, assigned, accesses)
  const result: Unit[] = []
  const done = new Set<Unit>()
  const ready = new Set<Unit>(queue.filter((unit) => unit.dependencies.size === 0))
  const emit = (unit: Unit) => {
    done.add(unit)
    ready.delete(unit)
    result.push(unit)
    traffic.run(unit)
    for (const dependent of unit.dependents) {
      if (!done.has(dependent) && [...dependent.dependencies].every((d) => done.has(d))) ready.add(dependent)
    }
  }
  for (const next of queue) {
    if (done.has(next)) continue
    emit(next)
    for (let eager = next; eager !== undefined; ) {
      eager = [...ready].find((unit) => traffic.paysAtOnce(unit, done)) as Unit
      if (eager !== undefined) emit(eager)
    }
  }
  return result
}

/** What units write and are the last to read. */
class Traffic {
  readonly #reads = new Map<Unit, Set<Node>>()
  readonly #readers = new Map<Node, Set<Unit>>()
  readonly #writes = new Map<Unit, number>()
  /** Units that read the old value of a Variable which this unit overwrites. */
  readonly #waits = new Map<Unit, Set<Unit>>()

  constructor(
    units: readonly Unit[],
    stored: ReadonlySet<Node>,
    assigned: ReadonlyMap<Node, Variable>,
    accesses: Accesses,
  ) {
    const variableReaders = new Map<Variable, Set<Unit>>()
    for (const unit of units) {
      const reads = new Set<Node>()
      for (const node of unit.members) {
        const sources =
          node.op.kind === 'view'
            ? [accesses.behind(node).source]
            : node.inputs.map((input) => accesses.of(input).source)
        for (const source of sources) {
          const { variable } = source.attributes as Partial<VariableAttributes>
          if (source.op.kind !== 'leaf') reads.add(source)
          else if (variable !== undefined) entry(variableReaders, variable).add(unit)
        }
      }
      for (const node of unit.members) reads.delete(node)
      this.#reads.set(unit, reads)
      for (const node of reads) entry(this.#readers, node).add(unit)
      // What is assigned lies in the Variable, at no cost here.
      const written = unit.members.filter((node) => stored.has(node) && !assigned.has(node))
      this.#writes.set(
        unit,
        written.reduce((sum, node) => sum + sizeOf(node.shape), 0),
      )
    }
    for (const unit of units) {
      for (const node of unit.members) {
        const variable = assigned.get(node)
        if (variable === undefined) continue
        for (const reader of variableReaders.get(variable) ?? [])
          if (reader !== unit) entry(this.#waits, unit).add(reader)
      }
    }
  }

  run(unit: Unit): void {
    for (const node of this.#reads.get(unit) as Set<Node>) this.#readers.get(node)?.delete(unit)
  }

  paysAtOnce(unit: Unit, done: ReadonlySet<Unit>): boolean {
    for (const reader of this.#waits.get(unit) ?? []) if (!done.has(reader)) return false
    let read = 0
    let freed = 0
    for (const node of this.#reads.get(unit) as Set<Node>) {
      const size = sizeOf(node.shape)
      read += size
      if (this.#readers.get(node)?.size === 1) freed += size
    }
    const written = this.#writes.get(unit) as number
    return read > 0 && (written <= freed || written <= small * read)
  }
}

function entry<K, V>(map: Map<K, Set<V>>, key: K): Set<V> {
  let set = map.get(key)
  if (set === undefined) {
    set = new Set()
    map.set(key, set)
  }
  return set
}

/** Dependencies first, otherwise in the order given. */
function inOrder(units: readonly Unit[]): Unit[] {
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
  for (const unit of units) visit(unit)
  return result
}
