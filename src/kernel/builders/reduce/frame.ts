/** What the two forms of reductions share: parameters, how operands are walked, accumulators. */
import type { KernelBuilder } from '../../build.ts'
import { emitChain } from '../../chain.ts'
import { add, constant, convert, div, mul, type Operand, rem, splat, sub } from '../../expression.ts'
import type { BufferParam, Expr, KernelFunction, Pointer } from '../../language.ts'
import type { MapOperand } from '../map.ts'
import { type Accumulators, combineValues, type ReduceShape, startOfResult } from './shape.ts'

export interface Stream {
  readonly buffer: BufferParam
  readonly operand: MapOperand
  readonly kept: readonly Expr[]
  readonly reduced: readonly Expr[]
  readonly inner: Expr | undefined
  readonly start: Expr | number
}

/** The kernel while it is built: its parameters, and how operands are walked. */
export class Frame {
  readonly k: KernelBuilder
  readonly shape: ReduceShape
  readonly outputs: readonly BufferParam[]
  readonly keptCount: Expr
  readonly rowsPerTask: Expr | undefined
  readonly columns: Expr | undefined
  readonly blocks: Expr | undefined
  readonly piece: Expr
  readonly pieceCount: Expr
  readonly keptExtents: readonly Expr[]
  readonly reducedExtents: readonly Expr[]
  readonly streams: readonly Stream[]
  /**
   * Results by the walk that collects them. Deviations have one of their own, over what is still in the cache: they count
   * from the mean of the very piece.
   */
  readonly sweeps: readonly (readonly number[])[]
  readonly #constants: readonly Expr[]

  constructor(k: KernelBuilder, shape: ReduceShape) {
    this.k = k
    this.shape = shape
    const { form, keptRank, reducedRank, chain } = shape
    const numbers = shape.results.map((_, i) => i)
    const deviations = numbers.filter((i) => shape.results[i].combine === 'deviations')
    const plain = numbers.filter((i) => !deviations.includes(i))
    this.sweeps = deviations.length === 0 ? [plain] : [plain, deviations]
    const inputs = shape.operands.map((o, i) => k.buffer(`x${i}`, o.dtype, 'input'))
    this.outputs = shape.results.map(({ dtype }, i) => k.buffer(`y${i}`, dtype, 'output'))
    this.keptCount = k.int('keptCount')
    this.rowsPerTask = form === 'row' ? k.int('rowsPerTask') : undefined
    this.columns = form === 'column' ? k.int('columns') : undefined
    this.blocks = form === 'column' ? k.int('blocks') : undefined
    this.piece = k.int('piece')
    this.pieceCount = k.int('pieceCount')
    this.keptExtents = Array.from({ length: keptRank }, (_, i) => k.int(`kept${i}`))
    this.reducedExtents = Array.from({ length: reducedRank }, (_, i) => k.int(`reduced${i}`))
    const reducedStrides = form === 'row' ? reducedRank - 1 : reducedRank
    this.streams = inputs.map((buffer, i) => ({
      buffer,
      operand: shape.operands[i],
      kept: Array.from({ length: keptRank }, (_, axis) => k.int(`${buffer.name}_kept${axis}`)),
      reduced: Array.from({ length: reducedStrides }, (_, axis) => k.int(`${buffer.name}_reduced${axis}`)),
      inner: shape.operands[i].inner === 'strided' ? k.int(`${buffer.name}_inner`) : undefined,
      start: shape.operands[i].reversed === true ? k.int(`${buffer.name}_start`) : 0,
    }))
    this.#constants = Array.from({ length: chain.constants }, (_, i) => k.float(`c${i}`))
  }

  /** Results of the chain for `lanes` elements, `block` vectors from the pointers. */
  values(pointers: readonly Pointer[], lanes: number, block = 0): Expr[] {
    const { k } = this
    const operands = this.streams.map((s, i) => {
      if (s.operand.inner === 'zero') return splat(k.let(k.load(pointers[i])), lanes)
      if (s.inner === undefined) {
        return k.let(lanes === 1 ? k.load(pointers[i], block * k.lanes) : k.loadVector(pointers[i], block * k.lanes))
      }
      const at = block === 0 ? pointers[i] : k.pointFrom(pointers[i], mul(s.inner, block * k.lanes))
      return k.let(lanes === 1 ? k.load(at) : k.loadVector(at, 0, lanes, s.inner))
    })
    const index = () => constant('i32', 0, lanes)
    return emitChain(k, this.shape.chain, operands, this.#constants, { lanes, index })
  }

  innerStep(s: Stream, elements: Operand): Expr {
    return s.operand.inner === 'zero' ? constant('i32', 0) : mul(s.inner ?? constant('i32', 1), elements)
  }

  moveInner(pointers: readonly Pointer[], elements: number): void {
    for (const [i, s] of this.streams.entries())
      if (s.operand.inner !== 'zero') this.k.advance(pointers[i], this.innerStep(s, elements))
  }

  /**
   * Runs `body` for all positions of the reduced axes from `axis` to `last`, the first of which has `first` positions.
   * Moves the pointers.
   */
  nest(
    axis: number,
    last: number,
    pointers: readonly Pointer[],
    first: Expr,
    body: (at: readonly Pointer[]) => void,
  ): void {
    const { k } = this
    if (axis > last) {
      body(pointers)
      return
    }
    k.repeat(axis === 0 ? first : this.reducedExtents[axis], () => {
      // In column form the body leaves the pointers where they are.
      const inside = axis === last && this.shape.form === 'column' ? pointers : pointers.map((p) => k.pointFrom(p))
      this.nest(axis + 1, last, inside, first, body)
      for (const [i, s] of this.streams.entries()) k.advance(pointers[i], s.reduced[axis])
    })
  }

  /** Pointers at kept position `index` and position `along` of the outermost reduced axis. */
  pointAt(index: Expr, along: Expr, column?: Expr): Pointer[] {
    const { k } = this
    const { keptRank, reducedRank, form } = this.shape
    const coordinates: Expr[] = []
    let rest = index
    for (let axis = keptRank - 1; axis >= 0; axis--) {
      coordinates[axis] = axis === 0 ? rest : k.let(rem(rest, this.keptExtents[axis]))
      if (axis > 0) rest = k.let(div(rest, this.keptExtents[axis]))
    }
    return this.streams.map((s) => {
      const first = reducedRank === 1 && form === 'row' ? this.innerStep(s, along) : mul(s.reduced[0], along)
      let at = add(first, s.start)
      for (const [axis, coordinate] of coordinates.entries()) at = add(at, mul(coordinate, s.kept[axis]))
      if (column !== undefined) at = add(at, this.innerStep(s, column))
      return k.point(s.buffer, at)
    })
  }

  /**
   * For each of `results` that are deviations the mean they count from, that of what is walked over: `first` positions of
   * the outermost reduced axis.
   */
  means(results: readonly number[], totals: readonly Expr[], first: Expr, lanes: number): (Expr | undefined)[] {
    const { k } = this
    if (results !== this.sweeps[1]) return []
    const count = k.let(this.reducedExtents.slice(1).reduce((n, extent) => mul(n, extent), first))
    const size = k.let(splat(convert(count, 'f32'), lanes))
    return this.shape.results.map((r) => (r.combine === 'deviations' ? k.let(div(totals[r.sum], size)) : undefined))
  }

  accumulators(results: readonly number[], lanes: number): Accumulators {
    return this.shape.results.map((result, i) =>
      results.includes(i) ? this.k.variable(startOfResult(result, lanes), 'acc') : undefined,
    )
  }

  /** Adds what belongs to each accumulator: the values themselves, or their squared distance from `means`. */
  take(accumulators: Accumulators, values: readonly Expr[], means: readonly (Expr | undefined)[]): void {
    const { k } = this
    for (const [i, acc] of accumulators.entries()) {
      if (acc === undefined) continue
      const mean = means[i]
      const off = mean === undefined ? values[i] : k.let(sub(values[i], splat(mean, values[i].type.lanes)))
      const term = mean === undefined ? values[i] : k.let(mul(off, off))
      k.set(acc, combineValues(this.shape.results[i].combine, acc.value, term))
    }
  }

  /** A function of a pointer for each operand and of numbers. */
  define<const N extends readonly string[]>(
    name: string,
    ints: N,
    body: (starts: readonly Pointer[], ...numbers: { [I in keyof N]: Expr }) => void,
  ): KernelFunction {
    const declarations = [...this.streams.map(({ buffer }) => ({ pointer: buffer })), ...ints.map((int) => ({ int }))]
    return this.k.function(name, declarations, (...params) => {
      const numbers = params.slice(this.streams.length) as unknown as { [I in keyof N]: Expr }
      body(params.slice(0, this.streams.length) as Pointer[], ...numbers)
    })
  }
}
