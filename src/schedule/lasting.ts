/**
 * What a program computes alike at every run: values of Variables that it does not write, and what is made of them alone.
 * A program without arguments has none: it is run for that very computation.
 */
import { inputOp, type Node, type Variable, type VariableAttributes } from '../graph/node.ts'
import type { Unit } from './fuse.ts'

export class Lasting {
  /** Whether anything is kept from run to run. */
  readonly exists: boolean
  readonly #written: ReadonlySet<Variable>
  readonly #nodes = new Set<Node>()

  /**
   * @param nodes inputs before readers
   * @param assigned Variables that the program writes
   */
  constructor(nodes: readonly Node[], assigned: readonly Variable[]) {
    this.#written = new Set(assigned)
    this.exists = nodes.some((node) => (node.op as unknown) === inputOp)
    if (!this.exists) return
    for (const node of nodes) {
      const lasts = node.op.kind === 'leaf' ? this.#leaf(node) : node.inputs.every((input) => this.#nodes.has(input))
      if (lasts) this.#nodes.add(node)
    }
  }

  #leaf({ op, attributes }: Node): boolean {
    const { variable } = attributes as Partial<VariableAttributes>
    if (variable !== undefined) return this.variable(variable)
    return op.name === 'data' || op.name === 'constant'
  }

  /** Whether a node has the same value at every run. */
  node(node: Node): boolean {
    return this.#nodes.has(node)
  }

  /** Whether the values of a Variable stay as they are. */
  variable(variable: Variable): boolean {
    return this.exists && !this.#written.has(variable)
  }

  /**
   * Units that give the same at every run and that none but other units reads.
   * @param units dependencies first
   * @param roots what leaves the program: it is written at every run
   */
  units(units: readonly Unit[], roots: ReadonlySet<Node>): ReadonlySet<Unit> {
    const lasting = new Set<Unit>()
    for (const unit of units) {
      const alike = unit.members.every((node) => this.node(node) && !roots.has(node))
      if (alike && [...unit.dependencies].every((dependency) => lasting.has(dependency))) lasting.add(unit)
    }
    return lasting
  }
}
