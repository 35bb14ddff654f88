/** First stage: ops with an expansion are replaced, equal nodes become one, what nothing needs is dropped. */
import { type Node, withInputs } from '../graph/node.ts'
import type { Op } from '../graph/op.ts'
import { withOrigin } from '../graph/origin.ts'

/** All nodes that `roots` need, inputs before readers, in the order in which they were made. */
export function reachable(roots: readonly Node[]): Node[] {
  const seen = new Set<Node>()
  const stack = [...roots]
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (seen.has(node)) continue
    seen.add(node)
    stack.push(...node.inputs)
  }
  return [...seen].sort((a, b) => a.id - b.id)
}

/** Small numbers for objects, so that identity can be part of a text key. */
export class Identities {
  readonly #numbers = new Map<object, number>()
  of(object: object): number {
    let number = this.#numbers.get(object)
    if (number === undefined) {
      number = this.#numbers.size
      this.#numbers.set(object, number)
    }
    return number
  }
}

/** What distinguishes a leaf: the object behind it, or its value. */
function leafKey(node: Node, identities: Identities): string {
  const attributes = node.attributes as Record<string, unknown>
  return Object.entries(attributes)
    .filter(([name]) => name !== 'shape' && name !== 'dtype')
    .map(([, value]) => {
      const held = (typeof value === 'object' && value !== null) || typeof value === 'function'
      return held ? `#${identities.of(value as object)}` : Object.is(value, -0) ? '-0' : String(value)
    })
    .join()
}

/** A node's meaning as text, given the keys of its inputs. Also the cache key of uncompiled expressions. */
export function nodeKey(node: Node, inputs: string, identities: Identities): string {
  const op = node.op as Op
  let attributes: string
  if (op.kind === 'leaf') attributes = leafKey(node, identities)
  else attributes = op.key === undefined ? JSON.stringify(node.attributes) : op.key(node.attributes)
  return `${identities.of(op)}|${attributes}|${inputs}|${node.shape.join()}|${node.dtype}`
}

export interface Simplified {
  /** Inputs before readers. */
  readonly nodes: readonly Node[]
  /** What became of each root. */
  readonly roots: readonly Node[]
}

export function simplify(roots: readonly Node[]): Simplified {
  const identities = new Identities()
  const replaced = new Map<Node, Node>()
  const byKey = new Map<string, Node>()
  const unique = new Map<Node, number>()

  const intern = (node: Node): Node => {
    const inputs = node.inputs.map((input) => unique.get(input)).join()
    const key = nodeKey(node, inputs, identities)
    const known = byKey.get(key)
    if (known !== undefined) return known
    byKey.set(key, node)
    unique.set(node, unique.size)
    return node
  }

  const process = (node: Node): void => {
    if (replaced.has(node)) return
    const inputs = node.inputs.map((input) => replaced.get(input) as Node)
    const same = inputs.every((input, i) => input === node.inputs[i])
    let current = same ? node : withInputs(node, inputs)
    if (current.op.kind === 'expand') {
      const op = current.op
      const expanded = withOrigin(current.origin, () => op.expand(current))
      for (const input of inputs) replaced.set(input, input)
      for (const inner of reachable([expanded])) process(inner)
      current = replaced.get(expanded) as Node
    } else {
      current = intern(current)
    }
    replaced.set(node, current)
    replaced.set(current, current)
  }

  for (const node of reachable(roots)) process(node)
  const results = roots.map((root) => replaced.get(root) as Node)
  const needed = new Set(reachable(results))
  return { nodes: [...unique.keys()].filter((node) => needed.has(node)), roots: results }
}
