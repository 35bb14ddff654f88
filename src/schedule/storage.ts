/**
 * Which values a program of precision bf16 keeps in memory as bf16. Nothing is rounded that stays in registers, and no
 * node is added: the kernels that write and read a value convert it on the way.
 *
 * A value that goes through memory is kept as bf16 when all of this holds:
 * - It is f32 and comes from a batch: from an input that is no integer or from a kernel, directly or through maps.
 *   Reductions and what maps make of them and of Variables alone are f32: statistics, losses, the scale and shift of a
 *   normalisation.
 * - Nothing that outlives the program is made of it in maps, as an optimizer makes weights of their gradients, or in
 *   reductions of the last axis, as a loss is made of logits: results, Variables and what is between them and the kernels
 *   before them stay f32.
 * - The kernel that writes it and all that read it can: maps and reductions always, the others when their algorithm says so.
 *
 * What is left are activations and their gradients between contractions. A contraction multiplies what it reads as bf16
 * with weights rounded to bf16, and adds up in f32.
 */
import type { Precision, StorageType } from '../base/dtype.ts'
import { inputOp, type Node } from '../graph/node.ts'
import type { Accesses } from './access.ts'
import type { Fusion, Unit } from './fuse.ts'

/**
 * @param nodes inputs before readers
 * @param roots what leaves the program
 * @returns how stored values lie in memory; those that are not named as their dtype says
 */
export function storageTypes(
  nodes: readonly Node[],
  { units, stored }: Fusion,
  roots: ReadonlySet<Node>,
  accesses: Accesses,
  precision: Precision = 'f32',
): ReadonlyMap<Node, StorageType> {
  const types = new Map<Node, StorageType>()
  if (precision === 'f32') return types
  const kept = madeInto(roots)
  const demanded = readAsF32(units, accesses)
  const ofBatch = fromBatch(nodes)
  for (const unit of units) {
    for (const node of unit.members) {
      if (!stored.has(node) || node.dtype !== 'f32' || !ofBatch.has(node)) continue
      if (kept.has(node) || demanded.has(node)) continue
      if (unit.mains[0]?.op.kind === 'kernel' && !writesBf16(unit, accesses, types)) continue
      types.set(node, 'bf16')
    }
  }
  return types
}

/** The roots and all that maps and reductions of the last axis make them of. */
function madeInto(roots: ReadonlySet<Node>): ReadonlySet<Node> {
  const found = new Set<Node>()
  const stack = [...roots]
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (found.has(node)) continue
    found.add(node)
    const { op } = node
    const lastAxis = op.kind === 'reduce' && op.axes(node.attributes).includes(node.inputs[0].shape.length - 1)
    if (op.kind === 'map' || op.kind === 'view' || lastAxis) stack.push(...node.inputs)
  }
  return found
}

/** What comes from an input or a kernel through maps and views. */
function fromBatch(nodes: readonly Node[]): ReadonlySet<Node> {
  const found = new Set<Node>()
  for (const node of nodes) {
    const { kind } = node.op
    // Integers are labels: what is made of them weighs samples.
    const leaf = (node.op as unknown) === inputOp && node.dtype !== 'i32'
    const carried = (kind === 'map' || kind === 'view') && node.inputs.some((input) => found.has(input))
    if (kind === 'kernel' || leaf || carried) found.add(node)
  }
  return found
}

/** What kernels read that know f32 alone. */
function readAsF32(units: readonly Unit[], accesses: Accesses): ReadonlySet<Node> {
  const demanded = new Set<Node>()
  for (const { mains, algorithm } of units) {
    const [main] = mains
    if (main?.op.kind !== 'kernel' || algorithm?.bf16 !== undefined) continue
    for (const input of main.inputs) demanded.add(accesses.of(input).source)
  }
  return demanded
}

function writesBf16({ mains, algorithm }: Unit, accesses: Accesses, types: ReadonlyMap<Node, StorageType>): boolean {
  const [main] = mains
  const answer = algorithm?.bf16?.(main)
  if (answer !== 'like-first-input') return answer === 'free'
  return types.get(accesses.of(main.inputs[0]).source) === 'bf16'
}
