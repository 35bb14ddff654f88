/** Uncompiled expressions: the same pipeline, with a cache of programs for expressions that come again. */
import type { TypedArray } from '../base/dtype.ts'
import { UnsupportedError } from '../base/errors.ts'
import type { DataAttributes, Node } from '../graph/node.ts'
import { type Assignment, Identities, nodeKey, reachable } from '../schedule/index.ts'
import type { Device } from './device.ts'
import { lasting } from './identity.ts'
import { Program } from './program.ts'

const mostNodes = 10_000
const keptPrograms = 128
const keptKeys = 1024
/** Programs with larger buffers than this are not kept. */
const keptBytes = 65_536

interface Cached {
  readonly program: Program
  /** The data leaves of the expression the program was made for. */
  readonly leaves: readonly Node[]
}

interface Cache {
  readonly programs: Map<string, Cached>
  /** Expressions that came once. Only what comes again is kept: the others leave nothing for the collector to move. */
  readonly seen: Set<string>
}

const caches = new WeakMap<Device, Cache>()
function isData(node: Node): boolean {
  return node.op.kind === 'leaf' && node.op.name === 'data'
}

/** The expression as text: equal texts are computed by one program, whatever values the data leaves hold. */
function expressionKey(nodes: readonly Node[], roots: readonly Node[], assignments: readonly Assignment[]): string {
  const index = new Map<Node, number>()
  const arrays = new Identities()
  let key = ''
  for (const [i, node] of nodes.entries()) {
    index.set(node, i)
    if (isData(node)) {
      key += `data${arrays.of((node.attributes as DataAttributes).data)}|${node.shape.join()}|${node.dtype};`
    } else {
      key += `${nodeKey(node, node.inputs.map((input) => index.get(input)).join(), lasting)};`
    }
  }
  key += `>${roots.map((root) => index.get(root)).join()}`
  for (const { variable, value } of assignments) key += `>${lasting.of(variable)}=${index.get(value)}`
  return key
}

/**
 * Computes nodes and carries out assignments.
 * @returns the values of `roots`, one array each
 * @throws UnsupportedError when the expression has grown beyond 10,000 nodes
 */
export async function evaluate(
  device: Device,
  roots: readonly Node[],
  assignments: readonly Assignment[] = [],
): Promise<TypedArray[]> {
  const nodes = reachable([...roots, ...assignments.map((a) => a.value)])
  if (nodes.length > mostNodes) {
    throw new UnsupportedError({
      where: 'evaluate',
      what: 'the uncompiled expression is too large',
      got: `${nodes.length} operations that have not been run yet`,
      expected: `at most ${mostNodes}`,
      fix: 'wrap the repeated part in compile(), or run intermediate results with realize()',
    })
  }
  let cache = caches.get(device)
  if (cache === undefined) {
    cache = { programs: new Map(), seen: new Set() }
    caches.set(device, cache)
  }
  const leaves = nodes.filter(isData)
  const key = expressionKey(nodes, roots, assignments)
  const known = cache.programs.get(key)
  const cached = known ?? { program: new Program(device, roots, assignments), leaves }
  cache.programs.delete(key)
  const { program } = cached
  const values = new Map(cached.leaves.map((leaf, i) => [leaf, (leaves[i].attributes as DataAttributes).data]))
  const arrays = await program.run([], (leaf) => values.get(leaf) as TypedArray)
  // A program that names Variables would keep them alive, one with large buffers its memory.
  const namesVariables =
    assignments.length > 0 || nodes.some((node) => node.op.kind === 'leaf' && node.op.name === 'variable')
  const comesAgain = known !== undefined || cache.seen.delete(key)
  if (namesVariables || program.heldBytes > keptBytes || !comesAgain) {
    void device.exclusive(async () => program.release())
    if (!namesVariables) cache.seen.add(key)
    if (cache.seen.size > keptKeys) cache.seen.delete(cache.seen.keys().next().value as string)
    return arrays
  }
  cache.programs.set(key, cached)
  if (cache.programs.size > keptPrograms) {
    const [oldestKey, oldest] = cache.programs.entries().next().value as [string, Cached]
    cache.programs.delete(oldestKey)
    void device.exclusive(async () => oldest.program.release())
  }
  return arrays
}
