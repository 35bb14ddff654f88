/** Turns units into kernel calls on symbolic buffers. */
import type { Precision, StorageType } from '../base/dtype.ts'
import { sameShape, sizeOf } from '../base/shape.ts'
import type { BufferRef, BuildContext, EpilogueOperand, KernelCall, Span } from '../graph/algorithm.ts'
import type { Layout } from '../graph/layout.ts'
import { mergeAxes } from '../graph/layout.ts'
import type { InputAttributes, Node, Variable, VariableAttributes } from '../graph/node.ts'
import { innerStride, type MapOperand, type MapShape, mapCall, mapSpec } from '../kernel/builders/map.ts'
import { type Chain, identityChain } from '../kernel/chain.ts'
import type { Target } from '../kernel/target.ts'
import { type Access, type Accesses, contiguous, isWhole } from './access.ts'
import { epilogueAccess, type Unit } from './fuse.ts'
import { type Gathered, gather } from './gather.ts'
import type { Lasting } from './lasting.ts'
import type { Choice, Region } from './plan.ts'
import { reductionCalls } from './reductions.ts'
import { at, describeOperand, elementsOf, type Stream } from './stream.ts'

/** A buffer of the plan; without a region it is a temporary in the arena. */
export interface PlanBuffer extends BufferRef {
  readonly region: Region | undefined
}

export interface EmittedCall extends KernelCall {
  readonly label: string
  /** Gives the same at every run: computed before the first. */
  readonly prologue?: boolean
  readonly origin?: string
  readonly choice?: Choice
}

/**
 * In calls `first` to `last` every element of `to` is written right after the one of `from` at its place was read, and
 * they read no other of `from`: one memory can hold both, if nothing needs `from` afterwards.
 */
export interface Overwrite {
  readonly from: PlanBuffer
  readonly to: PlanBuffer
  readonly first: number
  readonly last: number
}

/** Who reads the value a Variable had at the start. */
interface VariableRead {
  readonly turn: number
  /** Element by element, at the place that is computed from it. */
  readonly inPlace: boolean
}

/** Whether the unit whose turn is `writer` may put the new value in the place of the old one. */
function mayOverwrite(reads: readonly VariableRead[], writer: number): boolean {
  return reads.every(({ turn, inPlace }) => turn < writer || (turn === writer && inPlace))
}

export class Emitter {
  readonly calls: EmittedCall[] = []
  readonly overwrites: Overwrite[] = []
  readonly #accesses: Accesses
  readonly #stored: ReadonlySet<Node>
  readonly #storage: ReadonlyMap<Node, StorageType>
  readonly #target: Target
  readonly #precision: Precision
  readonly #buffers = new Map<Node, PlanBuffer>()
  readonly #variables = new Map<Variable, PlanBuffer>()
  readonly #workspace = new Set<PlanBuffer>()
  readonly #lasting: Lasting
  /** Units of the prologue. */
  #prologue: ReadonlySet<Unit> = new Set()
  /** Buffers of the arena that the prologue alone fills. */
  readonly #kept = new Set<BufferRef>()
  /** Copies at the end: values that could not be written into their final place. */
  readonly #copies: { from: Node; to: PlanBuffer; label: string }[] = []

  /**
   * @param storage how stored values lie in memory where that is not their dtype
   * @param lasting what does not change from run to run
   */
  constructor(
    accesses: Accesses,
    stored: ReadonlySet<Node>,
    storage: ReadonlyMap<Node, StorageType>,
    lasting: Lasting,
    target: Target,
    precision: Precision,
  ) {
    this.#lasting = lasting
    this.#accesses = accesses
    this.#stored = stored
    this.#storage = storage
    this.#target = target
    this.#precision = precision
  }

  /** Values that are outputs are written into the output's region right away. */
  reserveOutputs(roots: readonly Node[]): void {
    for (const [index, root] of roots.entries()) {
      const buffer: PlanBuffer = { dtype: root.dtype, size: sizeOf(root.shape), region: { kind: 'output', index } }
      if (root.op.kind === 'leaf' || this.#buffers.has(root))
        this.#copies.push({ from: root, to: buffer, label: 'output' })
      else this.#buffers.set(root, buffer)
    }
  }

  /**
   * A value assigned to a Variable is computed in place when nobody needs the old value afterwards: all its readers run
   * before, or read it element by element in the very kernel that writes it. Otherwise it is copied at the end.
   */
  reserveVariables(
    variables: readonly Variable[],
    roots: readonly Node[],
    all: readonly Node[],
    units: readonly Unit[],
  ): void {
    // The old value of these Variables leaves the program as it is.
    const handedOut = new Set(all.map((root) => (root.attributes as Partial<VariableAttributes>).variable))
    const turn = new Map<Node, number>()
    for (const [i, unit] of units.entries()) for (const node of unit.members) turn.set(node, i)
    const reads = this.#readsOfVariables(units)
    for (const [i, variable] of variables.entries()) {
      const root = roots[i]
      const buffer = this.#variable(variable)
      const free = root.op.kind !== 'leaf' && !this.#buffers.has(root)
      if (free && !handedOut.has(variable) && mayOverwrite(reads.get(variable) ?? [], turn.get(root) as number))
        this.#buffers.set(root, buffer)
      else this.#copies.push({ from: root, to: buffer, label: `assign ${variable.name}` })
    }
  }

  #readsOfVariables(units: readonly Unit[]): Map<Variable, VariableRead[]> {
    const reads = new Map<Variable, VariableRead[]>()
    for (const [turn, unit] of units.entries()) {
      for (const node of unit.members) {
        const inputs =
          node.op.kind === 'view' ? [this.#accesses.behind(node)] : node.inputs.map((input) => this.#accesses.of(input))
        for (const { source, layout } of inputs) {
          const { variable } = source.attributes as Partial<VariableAttributes>
          if (source.op.kind !== 'leaf' || variable === undefined) continue
          const own = contiguous(node.shape)
          const sameStrides = layout.strides.every((stride, axis) => stride === own.strides[axis])
          const inPlace = node.op.kind === 'map' && !unit.front.has(node) && layout.offset === 0 && sameStrides
          const list = reads.get(variable)
          if (list === undefined) reads.set(variable, [{ turn, inPlace }])
          else list.push({ turn, inPlace })
        }
      }
    }
    return reads
  }

  /** Says which units are run before the first run. */
  beginWith(prologue: ReadonlySet<Unit>): void {
    this.#prologue = prologue
  }

  /** Emits a unit, and notes for people what its calls are for. */
  emit(unit: Unit): void {
    const first = this.calls.length
    this.emitUnit(unit)
    const prologue = this.#prologue.has(unit)
    if (prologue) for (const node of unit.members) if (this.#stored.has(node)) this.#kept.add(this.#span(node).buffer)
    const main = unit.members.find((node) => node.op.kind === 'kernel' && node.origin !== undefined)
    const { origin } = main ?? unit.members.findLast((node) => node.origin !== undefined) ?? unit.members[0]
    const choice = this.#choiceOf(unit)
    for (let i = first; i < this.calls.length; i++) {
      const call = this.calls[i]
      this.calls[i] = { ...call, origin, choice, prologue: prologue || call.prologue === true }
    }
  }

  /** Whether a buffer holds the same at every run. */
  #lasts(buffer: BufferRef): boolean {
    const { region } = buffer as PlanBuffer
    if (region === undefined) return this.#kept.has(buffer)
    if (region.kind === 'variable') return this.#lasting.variable(region.variable)
    return this.#lasting.exists && region.kind === 'data'
  }

  #prepared(
    dtype: StorageType,
    size: number,
    sources: readonly Span[],
    fill: (into: Span) => KernelCall,
    label: string,
  ): Span {
    const into = this.#temporary(dtype, size)
    const prologue = this.#lasting.exists && sources.every(({ buffer }) => this.#lasts(buffer))
    if (prologue) this.#kept.add(into.buffer)
    this.calls.push({ ...fill(into), label, prologue })
    return into
  }

  #choiceOf({ members, algorithm }: Unit): Choice | undefined {
    const node = members.find((member) => member.op.kind === 'kernel')
    if (node?.op.kind !== 'kernel' || algorithm === undefined) return undefined
    const target = this.#target
    const lasts = (input: Node) => this.#lasting.node(input)
    const candidates = node.op.algorithms
      .filter((other) => other.applies(node, target))
      .map((other) => ({ name: other.name, cost: other.cost(node, target, this.#precision, lasts) }))
    return { op: node.op.name, algorithm: algorithm.name, candidates }
  }

  /** Whether a buffer holds no value of the graph. */
  isWorkspace(buffer: PlanBuffer): boolean {
    return this.#workspace.has(buffer)
  }

  emitUnit(unit: Unit): void {
    const [main] = unit.mains
    if (main === undefined) {
      const [node] = unit.members
      if (node.op.kind === 'view') this.#emitCopy(this.#accesses.behind(node), this.#span(node), `copy ${node.op.name}`)
      else this.#emitMap(unit)
    } else if (main.op.kind === 'reduce') this.#emitReductions(unit)
    else this.#emitKernel(unit, main)
  }

  /** Copies what could not be written in place. Leaves that another copy overwrites are saved first. */
  finish(): void {
    const pending = this.#copies.map(({ from, to, label }) => {
      const access = this.#accesses.of(from)
      if (from.op.kind !== 'leaf' || to.region?.kind === 'output') return { access, span: undefined, to, label, from }
      const saved = this.#temporary(from.dtype, sizeOf(from.shape))
      this.#emitCopy(access, saved, label)
      return { access, span: saved, to, label, from }
    })
    const ordered = [...pending].sort(
      (a, b) => Number(a.to.region?.kind === 'variable') - Number(b.to.region?.kind === 'variable'),
    )
    for (const { access, span, to, label } of ordered) {
      this.#emitCopy(access, { buffer: to, offset: 0 }, label, span)
    }
  }

  // Buffers.

  #variable(variable: Variable): PlanBuffer {
    let buffer = this.#variables.get(variable)
    if (buffer === undefined) {
      buffer = { dtype: variable.dtype, size: variable.size, region: { kind: 'variable', variable } }
      this.#variables.set(variable, buffer)
    }
    return buffer
  }

  #span(node: Node): Span {
    let buffer = this.#buffers.get(node)
    if (buffer === undefined) {
      buffer = this.#newBuffer(node)
      this.#buffers.set(node, buffer)
    }
    return { buffer, offset: 0 }
  }

  #newBuffer(node: Node): PlanBuffer {
    const size = sizeOf(node.shape)
    if (node.op.kind !== 'leaf') return { dtype: this.#storage.get(node) ?? node.dtype, size, region: undefined }
    switch (node.op.name) {
      case 'input':
        return { dtype: node.dtype, size, region: { kind: 'input', index: (node.attributes as InputAttributes).index } }
      case 'variable':
        return this.#variable((node.attributes as VariableAttributes).variable)
      case 'hostScalar':
        return { dtype: node.dtype, size, region: { kind: 'hostScalar', node } }
      default:
        return { dtype: node.dtype, size, region: { kind: 'data', node } }
    }
  }

  #temporary(dtype: StorageType, size: number): Span {
    const buffer: PlanBuffer = { dtype, size, region: undefined }
    this.#workspace.add(buffer)
    return { buffer, offset: 0 }
  }

  /** A constant that a kernel must read from memory is written there first. */
  #readable(access: Access): Span {
    if (access.source.op.kind !== 'leaf' || access.source.op.name !== 'constant') return this.#span(access.source)
    const known = this.#buffers.get(access.source)
    if (known !== undefined) return { buffer: known, offset: 0 }
    const { dtype, shape } = access.source
    const span = this.#temporary(dtype, sizeOf(shape))
    this.#buffers.set(access.source, span.buffer as PlanBuffer)
    const whole = { source: access.source, layout: contiguous(shape) }
    this.#map(shape, gather(this.#accesses, [], [whole]), [{ span, layout: contiguous(shape) }], 'constant')
    if (this.#lasting.exists) {
      this.#kept.add(span.buffer)
      const written = this.calls.length - 1
      this.calls[written] = { ...this.calls[written], prologue: true }
    }
    return span
  }

  // Maps.

  #emitMap(unit: Unit): void {
    const gathered = gather(this.#accesses, unit.members)
    const outputs = unit.members.filter((node) => this.#stored.has(node))
    const chain: Chain = { ...gathered.chain, results: outputs.map((node) => gathered.results.get(node) as number) }
    const [{ shape }] = unit.members
    const destinations = outputs.map((node) => ({ span: this.#span(node), layout: contiguous(shape) }))
    this.#map(shape, { ...gathered, chain }, destinations, unit.members.map((node) => node.op.name).join('·'))
    const reads = gathered.operands.map((access) => ({
      buffer: this.#readable(access).buffer,
      inPlace: isWhole(access) && sameShape(access.layout.shape, shape),
    }))
    this.#mayOverwriteOperands(this.calls.length - 1, reads, destinations)
  }

  /** Notes which of what the calls from `first` on read may be overwritten by what they write. */
  #mayOverwriteOperands(
    first: number,
    reads: readonly { readonly buffer: BufferRef; readonly inPlace: boolean }[],
    outputs: readonly { readonly span: Span }[],
  ): void {
    const last = this.calls.length - 1
    const once = reads.filter(({ buffer }) => reads.filter((other) => other.buffer === buffer).length === 1)
    const free = once.filter(({ inPlace }) => inPlace).map(({ buffer }) => buffer as PlanBuffer)
    for (const { span } of outputs) {
      const to = span.buffer as PlanBuffer
      for (const from of free) if (from.dtype === to.dtype) this.overwrites.push({ from, to, first, last })
    }
  }

  #emitCopy(access: Access, to: Span, label: string, from?: Span): void {
    const { shape } = access.layout
    const destination = [{ span: to, layout: contiguous(shape) }]
    if (from !== undefined) {
      this.#streams(shape, identityChain, [], [{ span: from, layout: contiguous(shape) }], destination, label)
      return
    }
    this.#map(shape, gather(this.#accesses, [], [access]), destination, label)
  }

  #map(shape: readonly number[], gathered: Gathered, outputs: readonly Stream[], label: string): void {
    const operands = gathered.operands.map((access) => ({ span: this.#readable(access), layout: access.layout }))
    this.#streams(shape, gathered.chain, gathered.constants, operands, outputs, label)
  }

  #streams(
    shape: readonly number[],
    chain: Chain,
    constants: readonly number[],
    operands: readonly Stream[],
    outputs: readonly Stream[],
    label: string,
  ): void {
    const all = [...operands, ...outputs]
    const merged = mergeAxes(
      [...shape],
      all.map((stream) => [...stream.layout.strides]),
    )
    const rank = merged.extents.length
    const describe = (stream: Stream, strides: readonly number[]): MapOperand =>
      describeOperand(elementsOf(stream), strides, strides[rank - 1])
    const mapShape: MapShape = {
      rank,
      operands: operands.map((stream, i) => describe(stream, merged.strides[i])),
      // A single element has no stride; outputs always move.
      outputs: outputs.map((stream, i) => ({
        dtype: elementsOf(stream),
        inner:
          merged.strides[operands.length + i][rank - 1] === 0
            ? 'unit'
            : innerStride(merged.strides[operands.length + i][rank - 1]),
      })),
      chain,
    }
    const call = mapCall(mapShape, { extents: merged.extents, strides: merged.strides, constants })
    this.calls.push({ spec: mapSpec(mapShape), spans: all.map(at), ...call, label })
  }

  #emitReductions(unit: Unit): void {
    const calls = reductionCalls(unit, {
      accesses: this.#accesses,
      stored: this.#stored,
      readable: (access) => this.#readable(access),
      span: (node) => this.#span(node),
      temporary: (dtype, size) => this.#temporary(dtype, size),
    })
    const label = unit.members.map((node) => node.op.name).join('·')
    for (const [i, call] of calls.entries()) this.calls.push({ ...call, label: i === 0 ? label : `${label} (fold)` })
  }

  // Kernels of an op, with the maps behind them.

  #emitKernel(unit: Unit, main: Node): void {
    const { algorithm } = unit
    if (algorithm === undefined) throw new Error(`${main.op.name}: no algorithm was chosen`)
    const behind = unit.members.filter((node) => node !== main)
    const gathered = gather(this.#accesses, behind, [], [main])
    const outputs = unit.members.filter((node) => this.#stored.has(node))
    const operands = gathered.operands.map((access): EpilogueOperand => {
      const { shape, strides } = access.layout
      const how = epilogueAccess(shape, strides)
      if (how === undefined)
        throw new Error(`${main.op.name}: epilogue operand with strides [${strides}] of [${shape}]`)
      const span = this.#readable(access)
      return { span: { buffer: span.buffer, offset: span.offset + access.layout.offset }, access: how }
    })
    const inputs = main.inputs.map((input) => {
      const access = this.#accesses.of(input)
      const span = this.#readable(access)
      return {
        span: { buffer: span.buffer, offset: access.layout.offset },
        layout: { ...access.layout, offset: 0 } satisfies Layout,
      }
    })
    const label = `${unit.members.map((node) => node.op.name).join('·')} (${algorithm.name})`
    const context: BuildContext = {
      target: this.#target,
      temporary: (dtype, size) => this.#temporary(dtype, size),
      prepared: (dtype, size, sources, fill) => this.#prepared(dtype, size, sources, fill, label),
      call: (call) => this.calls.push({ ...call, label }),
    }
    const epilogue = {
      chain: { ...gathered.chain, results: outputs.map((node) => gathered.results.get(node) as number) },
      operands,
      constants: gathered.constants,
      outputs: outputs.map((node) => this.#span(node)),
    }
    const first = this.calls.length
    algorithm.build(main, inputs, epilogue, context)
    const reads = [
      ...inputs.map(({ span }) => ({ buffer: span.buffer, inPlace: false })),
      ...gathered.operands.map((access, i) => ({
        buffer: operands[i].span.buffer,
        inPlace: operands[i].access === 'same' && isWhole(access),
      })),
    ]
    const written = epilogue.outputs.map((span) => ({ span }))
    this.#mayOverwriteOperands(first, reads, written)
  }
}
