/** graph → plan: simplify, fuse, order, emit kernel calls, lay out memory. */
import type { StorageType } from '../base/dtype.ts'
import { UnsupportedError } from '../base/errors.ts'
import { sizeOf } from '../base/shape.ts'
import type { Node, Variable } from '../graph/node.ts'
import type { Target } from '../kernel/target.ts'
import { Accesses, isContiguous } from './access.ts'
import type { AlgorithmChoice } from './choose.ts'
import { type EmittedCall, Emitter, type PlanBuffer } from './emit.ts'
import { fuse } from './fuse.ts'
import { Lasting } from './lasting.ts'
import { type Lifetime, layOut, mostLive, shareMemory } from './memory.ts'
import { orderUnits } from './order.ts'
import type { Plan, PlannedCall, Region } from './plan.ts'
import { simplify } from './simplify.ts'
import { storageTypes } from './storage.ts'

export type { AlgorithmChoice } from './choose.ts'
export type { Choice, Output, Plan, PlannedCall, Region } from './plan.ts'
export { Identities, nodeKey, reachable } from './simplify.ts'

/** A Variable and the value it gets when the program ends. */
export interface Assignment {
  readonly variable: Variable
  readonly value: Node
}

/**
 * Plans the computation of `outputs` and of what is assigned. Nothing is compiled or allocated here.
 * @param outputs become buffers of their own, contiguous
 * @param choice what is asked of algorithms beyond speed
 */
export function schedule(
  outputs: readonly Node[],
  assignments: readonly Assignment[],
  target: Target,
  choice: AlgorithmChoice = {},
): Plan {
  const { nodes, roots: wanted } = simplify([...outputs, ...assignments.map((a) => a.value)])
  const accesses = new Accesses()
  for (const node of nodes) accesses.of(node)
  // What leaves the program needs memory of its own. A view that only names another shape stands for what is behind it;
  // other views are copied here, leaves when the plan is emitted.
  const roots = wanted.map((root) => {
    const { source, layout } = accesses.of(root)
    const whole = isContiguous(layout) && layout.offset === 0 && sizeOf(source.shape) === sizeOf(root.shape)
    if (whole && source.op.kind !== 'leaf') return source
    accesses.copy(root)
    return root
  })
  const kept = new Set(roots)
  const variables = assignments.map((a) => a.variable)
  const lasting = new Lasting(nodes, variables)
  const fusion = fuse(nodes, kept, accesses, target, choice, (node) => lasting.node(node))
  const { units: unordered, stored } = fusion
  const storage = storageTypes(nodes, fusion, kept, accesses, choice.precision)

  const emitter = new Emitter(accesses, stored, storage, lasting, target, choice.precision ?? 'f32')
  const outputRoots = roots.slice(0, outputs.length)
  const variableRoots = roots.slice(outputs.length)
  emitter.reserveOutputs(outputRoots)
  const assigned = new Map(variableRoots.map((root, i) => [root, variables[i]]))
  const units = orderUnits(unordered, stored, assigned, accesses)
  emitter.reserveVariables(variables, variableRoots, roots, units)
  emitter.beginWith(lasting.units(units, kept))
  for (const unit of units) emitter.emit(unit)
  emitter.finish()
  return assemble(emitter, outputs, variables, target)
}

/** Kernels count elements in 32 bits, a little beyond the end too. */
const mostElements = 2 ** 31 - 2 ** 24

function tooLarge(size: number, label: string): UnsupportedError {
  return new UnsupportedError({
    where: 'schedule',
    what: 'a tensor has too many elements',
    got: `${size.toLocaleString('en')} elements in ${label}`,
    expected: `at most ${mostElements.toLocaleString('en')}`,
    fix: 'use smaller batches, or work on parts of it',
  })
}

function assemble(emitter: Emitter, outputs: readonly Node[], assigned: readonly Variable[], target: Target): Plan {
  const regions: Region[] = [{ kind: 'arena' }]
  const regionOf = new Map<PlanBuffer, number>()
  const bytes = (dtype: StorageType, size: number) => target.bytes[dtype] * size
  const lives = { prologue: new Map<PlanBuffer, Lifetime>(), run: new Map<PlanBuffer, Lifetime>() }
  for (const [i, call] of emitter.calls.entries()) {
    const own = call.prologue === true ? lives.prologue : lives.run
    for (const { buffer } of call.spans) {
      const planned = buffer as PlanBuffer
      if (planned.size > mostElements) throw tooLarge(planned.size, call.label)
      if (planned.region !== undefined) {
        if (regionOf.has(planned)) continue
        regionOf.set(planned, regions.length)
        regions.push(planned.region)
        continue
      }
      const first = own.get(planned)?.first ?? i
      own.set(planned, { bytes: bytes(planned.dtype, planned.size), first, last: i })
    }
  }
  const kept = keep(lives.prologue, lives.run)
  if (kept.bytes > 0) {
    for (const buffer of kept.offsets.keys()) regionOf.set(buffer, regions.length)
    regions.push({ kind: 'kept' })
  }
  const before = placeTemporaries(lives.prologue, emitter.overwrites)
  const during = placeTemporaries(lives.run, emitter.overwrites)
  const offsetOf = new Map([...kept.offsets, ...before.offsets, ...during.offsets])
  const place = (call: EmittedCall): PlannedCall => ({
    spec: call.spec,
    places: call.spans.map(({ buffer, offset }) => ({
      region: regionOf.get(buffer as PlanBuffer) ?? 0,
      offset: (offsetOf.get(buffer as PlanBuffer) ?? 0) + bytes(buffer.dtype, offset),
    })),
    scratch: call.scratch ?? [],
    params: call.params,
    tasks: call.tasks,
    work: call.work,
    label: call.label,
    ...(call.origin === undefined ? {} : { origin: call.origin }),
    ...(call.choice === undefined ? {} : { choice: call.choice }),
    bufferBytes: call.spans.map(({ buffer }) => bytes(buffer.dtype, buffer.size)),
    workspaceBytes: [...new Set(call.spans.map(({ buffer }) => buffer as PlanBuffer))]
      .filter((buffer) => emitter.isWorkspace(buffer))
      .reduce((sum, { dtype, size }) => sum + bytes(dtype, size), 0),
  })
  const calls = emitter.calls.filter((call) => call.tasks > 0)
  const prologue = calls.filter((call) => call.prologue === true)
  const read = prologue.flatMap((call) => call.spans.map(({ buffer }) => (buffer as PlanBuffer).region))
  return {
    prologue: prologue.map(place),
    keptFrom: [...new Set(read.flatMap((region) => (region?.kind === 'variable' ? region.variable : [])))],
    keptBytes: kept.bytes,
    calls: calls.filter((call) => call.prologue !== true).map(place),
    regions,
    outputs: outputs.map((node) => ({ shape: node.shape, dtype: node.dtype })),
    arenaBytes: Math.max(before.bytes, during.bytes),
    liveBytes: Math.max(before.live, during.live),
    assigned,
  }
}

/** Takes out of both lives what the prologue leaves for the run, and gives it places that nothing shares. */
function keep(
  prologue: Map<PlanBuffer, Lifetime>,
  run: Map<PlanBuffer, Lifetime>,
): { readonly offsets: ReadonlyMap<PlanBuffer, number>; readonly bytes: number } {
  const buffers = [...prologue].filter(([buffer]) => run.has(buffer))
  for (const [buffer] of buffers) {
    prologue.delete(buffer)
    run.delete(buffer)
  }
  const { offsets, bytes } = layOut(buffers.map(([, life]) => ({ ...life, first: 0, last: 0 })))
  return { offsets: new Map(buffers.map(([buffer], i) => [buffer, offsets[i]])), bytes }
}

/** Where buffers of the arena lie. */
function placeTemporaries(
  lives: Map<PlanBuffer, Lifetime>,
  overwrites: Emitter['overwrites'],
): { readonly offsets: ReadonlyMap<PlanBuffer, number>; readonly bytes: number; readonly live: number } {
  const shared = shareMemory(lives, overwrites)
  const buffers = [...lives.keys()]
  const lifetimes = [...lives.values()]
  const { offsets, bytes } = layOut(lifetimes)
  const offsetOf = new Map(buffers.map((buffer, i) => [buffer, offsets[i]]))
  for (const [buffer, home] of shared) offsetOf.set(buffer, offsetOf.get(home) as number)
  return { offsets: offsetOf, bytes, live: mostLive(lifetimes) }
}
