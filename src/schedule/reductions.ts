/** Units of reductions as kernel calls: one pass over the operands, and a fold of its pieces. */
import type { DType } from '../base/dtype.ts'
import { sizeOf } from '../base/shape.ts'
import type { KernelCall, Span } from '../graph/algorithm.ts'
import { mergeAxes } from '../graph/layout.ts'
import type { Node } from '../graph/node.ts'
import type { EpilogueShape } from '../kernel/builders/contraction/epilogue.ts'
import {
  pieces,
  type Reduced,
  type ReduceShape,
  reduceCall,
  reduceFoldCall,
  reduceFoldSpec,
  reduceSpec,
} from '../kernel/builders/reduce/index.ts'
import type { Access, Accesses } from './access.ts'
import { behindMains, epilogueAccess, type Unit } from './fuse.ts'
import { gather } from './gather.ts'
import { at, describeOperand, elementsOf } from './stream.ts'

/** What the emitter knows about memory. */
export interface ReductionContext {
  readonly accesses: Accesses
  readonly stored: ReadonlySet<Node>
  readable(access: Access): Span
  span(node: Node): Span
  temporary(dtype: DType, size: number): Span
}

/** The epilogue with its operands' and outputs' places. */
interface Ending {
  readonly shape: EpilogueShape
  readonly constants: readonly number[]
  readonly spans: readonly Span[]
}

export function reductionCalls(unit: Unit, context: ReductionContext): KernelCall[] {
  const { accesses } = context
  const front = unit.members.filter((node) => unit.front.has(node))
  const { shape } = unit.mains[0].inputs[0]
  const space = iterationSpace(unit.mains[0])
  const { results, values } = resultsOf(unit.mains)
  const direct = values.filter((input) => !front.includes(input))
  const gathered = gather(
    accesses,
    front,
    direct.map((input) => accesses.of(input)),
  )
  const number = (input: Node) => {
    const i = direct.indexOf(input)
    return i < 0 ? (gathered.results.get(input) as number) : gathered.chain.results[i]
  }
  const streams = gathered.operands.map((access) => ({ span: context.readable(access), layout: access.layout }))
  const { form, reducedAxes, keptAxes } = space
  const select = (axes: readonly number[]) =>
    mergeAxes(
      axes.map((axis) => shape[axis]),
      streams.map((stream) => axes.map((axis) => stream.layout.strides[axis])),
    )
  const kept = select(keptAxes)
  const reduced = select(reducedAxes)
  const columns = form === 'column' ? (kept.extents.pop() as number) : 1
  const columnStrides = streams.map((_, i) => (form === 'column' ? (kept.strides[i].pop() as number) : 0))
  const strides = streams.map((_, i) => [
    ...kept.strides[i],
    ...reduced.strides[i],
    ...(form === 'column' ? [columnStrides[i]] : []),
  ])
  const { piece, count, size, lastSize } = pieces(form, reduced.extents)
  const total = sizeOf(kept.extents) * columns
  const reduceShape: ReduceShape = {
    form,
    results,
    keptRank: kept.extents.length,
    reducedRank: reduced.extents.length,
    operands: streams.map((stream, i) =>
      describeOperand(elementsOf(stream), strides[i], strides[i][strides[i].length - 1]),
    ),
    chain: { ...gathered.chain, results: values.map(number) },
  }
  const args = { kept: kept.extents, reduced: reduced.extents, columns, strides, constants: gathered.constants, piece }
  const pass = { spec: reduceSpec(reduceShape), ...reduceCall(reduceShape, args) }
  const operands = streams.map(at)
  // With maps behind it there is a fold for a single piece too: whether there is one must not depend on the batch size.
  if (count === 1 && behindMains(unit).length === 0) {
    const outputs = results.map(({ dtype }, i) =>
      i < unit.mains.length ? context.span(unit.mains[i]) : context.temporary(dtype, total),
    )
    return [{ ...pass, spans: [...operands, ...outputs] }]
  }
  const partial = results.map(({ dtype }) => context.temporary(dtype, count * total))
  const ending = endingOf(unit, results.length, context)
  const fold = reduceFoldCall({ pieces: count, total, size, lastSize })
  return [
    { ...pass, spans: [...operands, ...partial] },
    {
      spec: reduceFoldSpec({ results, epilogue: ending.shape }),
      ...fold,
      spans: [...partial, ...ending.spans],
      params: [...fold.params, ...ending.constants],
    },
  ]
}

function iterationSpace(main: Node) {
  if (main.op.kind !== 'reduce') throw new Error(`${main.op.name} is no reduction`)
  const { shape } = main.inputs[0]
  const reducedAxes = main.op.axes(main.attributes)
  const keptAxes = shape.map((_, axis) => axis).filter((axis) => !reducedAxes.includes(axis))
  const form = reducedAxes.includes(shape.length - 1) ? ('row' as const) : ('column' as const)
  return { form, reducedAxes, keptAxes }
}

/** What each reduction computes of which node's values; deviations bring a sum of the same values along. */
function resultsOf(mains: readonly Node[]): { results: Reduced[]; values: Node[] } {
  const values = mains.map((main) => main.inputs[0])
  const combines = mains.map((main) => (main.op.kind === 'reduce' ? main.op.combine : 'sum'))
  const sums = new Map<Node, number>()
  for (const [i, value] of values.entries()) if (combines[i] === 'sum') sums.set(value, i)
  for (const [i, combine] of combines.entries()) {
    if (combine !== 'deviations' || sums.has(values[i])) continue
    sums.set(values[i], values.push(values[i]) - 1)
  }
  const results = values.map((value, i): Reduced => {
    const combine = combines[i] ?? 'sum'
    if (combine === 'deviations') return { combine, dtype: 'f32', sum: sums.get(value) as number }
    return { combine, dtype: mains[i]?.dtype ?? 'f32' }
  })
  return { results, values }
}

/** The maps behind the reductions, given all results; what is stored is stored by them. */
function endingOf(unit: Unit, results: number, context: ReductionContext): Ending {
  const { accesses, stored } = context
  const gathered = gather(accesses, behindMains(unit), [], unit.mains)
  // Sums that came along stand behind the reductions that were asked for.
  const moved = (value: number) => (value < unit.mains.length ? value : value + results - unit.mains.length)
  const outputs = unit.members.filter((node) => stored.has(node))
  const chain = {
    ...gathered.chain,
    inputs: gathered.chain.inputs + results - unit.mains.length,
    steps: gathered.chain.steps.map((step) => ({ ...step, args: step.args.map(moved) })),
    results: outputs.map((node) => moved(gathered.results.get(node) as number)),
  }
  const places = outputs.map((node) => context.span(node))
  const operands = gathered.operands.map((access) => {
    const how = epilogueAccess(access.layout.shape, access.layout.strides)
    const span = context.readable(access)
    return {
      span: { buffer: span.buffer, offset: span.offset + access.layout.offset },
      dtype: span.buffer.dtype,
      access: how === 'scalar' ? ('scalar' as const) : ('same' as const),
    }
  })
  return {
    shape: {
      chain,
      operands: operands.map(({ dtype, access }) => ({ dtype, access })),
      outputs: places.map((span) => span.buffer.dtype),
    },
    constants: gathered.constants,
    spans: [...operands.map(({ span }) => span), ...places],
  }
}
