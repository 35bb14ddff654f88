/** What is recorded while a function is traced, and what is still to be stored when nothing is traced. */

import type { Assignment } from '../engine/index.ts'
import { type Node, type Variable, variableNode } from '../graph/node.ts'
import { withOrigin } from '../graph/origin.ts'

/** Something outside the arguments that the traced program depends on, such as a model's mode. */
export interface Guard {
  readonly read: () => unknown
  readonly value: unknown
}

export class Trace {
  readonly guards: Guard[] = []
  readonly assigned = new Set<Variable>()
  readonly #atEnd = new Map<unknown, () => void>()

  /** Runs once when the trace ends, however often it is asked for under this key. */
  atEnd(key: unknown, action: () => void): void {
    this.#atEnd.set(key, action)
  }

  /** What the program must store, and the Variables forget what was only traced. */
  finish(): Assignment[] {
    for (const action of this.#atEnd.values()) action()
    return takeAssignments(this.assigned)
  }

  /** The trace failed: nothing of it stays. */
  abandon(): void {
    for (const variable of this.assigned) variable.pending = undefined
  }
}

/** What `body` computes is told under the path of this layer where a program is explained. */
export const within = withOrigin

let current: Trace | undefined
/** Variables assigned outside any trace whose values have not been stored yet. */
const unstored = new Set<Variable>()

export function currentTrace(): Trace | undefined {
  return current
}

export function withTrace<T>(trace: Trace, body: () => T): T {
  const outer = current
  current = trace
  try {
    return body()
  } finally {
    current = outer
  }
}

/** Reads something the traced program will depend on: the program is only used again while it reads the same. */
export function guarded<T>(read: () => T): T {
  const value = read()
  current?.guards.push({ read, value })
  return value
}

/** The Variable's value from here on; stored when the program ends, or with the next values read from tensors. */
export function assign(variable: Variable, value: Node): void {
  variable.pending = value
  if (current !== undefined) current.assigned.add(variable)
  else unstored.add(variable)
}

/** The Variables assigned in this step so far. */
export function assignedVariables(): readonly Variable[] {
  return [...(current?.assigned ?? unstored)]
}

/** `action` at the end of the trace, or at once when nothing is traced. */
export function atEndOfStep(key: unknown, action: () => void): void {
  if (current !== undefined) current.atEnd(key, action)
  else action()
}

/** Assignments made outside traces that wait to be stored. */
export function takeUnstored(): Assignment[] {
  return takeAssignments(unstored)
}

function takeAssignments(variables: Set<Variable>): Assignment[] {
  const assignments = [...variables].map((variable) => ({ variable, value: variableNode(variable) }))
  for (const variable of variables) variable.pending = undefined
  variables.clear()
  return assignments
}
