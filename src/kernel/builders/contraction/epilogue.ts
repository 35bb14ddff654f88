/** What is done to the elements of a contraction before they are stored: a fused chain with operands of its own. */
import type { StorageType } from '../../../base/dtype.ts'
import { type KernelBuilder, kindOf } from '../../build.ts'
import { type Chain, chainKey, emitChain, identityChain } from '../../chain.ts'
import { add, convert, splat } from '../../expression.ts'
import type { BufferParam, Expr, Pointer } from '../../language.ts'

export interface EpilogueOperandShape {
  readonly dtype: StorageType
  /** Read at the output element's place, at its column, or once. */
  readonly access: 'same' | 'channel' | 'scalar'
}

export interface EpilogueShape {
  readonly chain: Chain
  readonly operands: readonly EpilogueOperandShape[]
  /** One for each result of the chain. */
  readonly outputs: readonly StorageType[]
}

export const plainStore: EpilogueShape = { chain: identityChain, operands: [], outputs: ['f32'] }

export function epilogueKey(shape: EpilogueShape): string {
  return `${shape.operands.map((o) => `${o.dtype}.${o.access}`)}|${shape.outputs}|${chainKey(shape.chain)}`
}

/** The first steps of the chain, for kernel names. */
export function epilogueName(shape: EpilogueShape): string {
  return shape.chain.steps
    .slice(0, 4)
    .map((step) => `_${step.key.replace(/\W.*/, '')}`)
    .join('')
}

/** Cursors of an epilogue at one output element. */
export interface EpilogueCursors {
  /** One an operand; undefined for scalars. */
  readonly operands: readonly (Pointer | undefined)[]
  readonly scalars: readonly (Expr | undefined)[]
  readonly outputs: readonly Pointer[]
}

/** Declares the buffers and constants of an epilogue in a kernel and emits it. */
export class EpilogueEmitter {
  readonly #k: KernelBuilder
  readonly #shape: EpilogueShape
  readonly #operands: readonly BufferParam[]
  readonly #outputs: readonly BufferParam[]
  #constants: readonly Expr[] = []

  /** Declares the operands' buffers, then the outputs'. */
  constructor(k: KernelBuilder, shape: EpilogueShape) {
    this.#k = k
    this.#shape = shape
    this.#operands = shape.operands.map((operand, i) => k.buffer(`e${i}`, operand.dtype, 'input'))
    this.#outputs = shape.outputs.map((dtype, i) => k.buffer(`y${i}`, dtype, 'output'))
  }

  /** Steps of the chain. */
  get steps(): number {
    return this.#shape.chain.steps.length
  }

  /** Declares the constants, which are the kernel's last parameters. */
  declareConstants(): void {
    this.#constants = Array.from({ length: this.#shape.chain.constants }, (_, i) => this.#k.float(`c${i}`))
  }

  /** Cursors at output element `out`, which lies in column `column`. */
  open(out: Expr, column: Expr): EpilogueCursors {
    const k = this.#k
    return {
      operands: this.#operands.map((buffer, i) => {
        const { access } = this.#shape.operands[i]
        return access === 'scalar' ? undefined : k.point(buffer, access === 'same' ? out : column)
      }),
      scalars: this.#operands.map((buffer, i) =>
        this.#shape.operands[i].access === 'scalar' ? k.let(k.load(k.point(buffer))) : undefined,
      ),
      outputs: this.#outputs.map((buffer) => k.point(buffer, out)),
    }
  }

  /** Fetches `vectors` vectors of each output from element `out` on: they are written soon. */
  fetch(out: Expr, vectors: number): void {
    const k = this.#k
    for (const buffer of this.#outputs) {
      for (let j = 0; j < vectors; j++) k.prefetch(k.point(buffer, add(out, j * k.lanes)), 'write')
    }
  }

  /** Cursors in the same column, `by` elements further in the output. */
  shift(cursors: EpilogueCursors, by: Expr): EpilogueCursors {
    const k = this.#k
    const moved = (pointer: Pointer | undefined, i: number) =>
      pointer !== undefined && this.#shape.operands[i].access === 'same' ? k.pointFrom(pointer, by) : pointer
    return {
      ...cursors,
      operands: cursors.operands.map(moved),
      outputs: cursors.outputs.map((p) => k.pointFrom(p, by)),
    }
  }

  /** Operands that all elements of a column share, `offset` columns from the cursors. Others are undefined. */
  columnOperands(cursors: EpilogueCursors, offset: number, lanes: number, stride?: Expr): (Expr | undefined)[] {
    return this.#shape.operands.map(({ access }, i) => {
      const scalar = cursors.scalars[i]
      if (scalar !== undefined) return this.#k.let(splat(scalar, lanes))
      return access === 'channel' ? this.#load(cursors.operands[i] as Pointer, offset, lanes, stride) : undefined
    })
  }

  /** Computes the chain on what the kernel computed, its first values, and stores its results `offset` elements from the cursors. */
  emit(
    given: Expr | readonly Expr[],
    cursors: EpilogueCursors,
    columnOperands: readonly (Expr | undefined)[],
    offset: number,
    lanes: number,
    stride?: Expr,
  ): void {
    const k = this.#k
    const operands = columnOperands.map(
      (held, i) => held ?? this.#load(cursors.operands[i] as Pointer, offset, lanes, stride),
    )
    const index = (): Expr => {
      throw new Error('an epilogue knows no index')
    }
    const results = emitChain(
      k,
      this.#shape.chain,
      [...(isExpr(given) ? [given] : given), ...operands],
      this.#constants,
      { lanes, index },
    )
    for (const [i, result] of results.entries()) {
      k.store(
        cursors.outputs[i],
        convert(result, kindOf(this.#shape.outputs[i])),
        offset,
        lanes,
        lanes === 1 ? undefined : stride,
      )
    }
  }

  #load(pointer: Pointer, offset: number, lanes: number, stride: Expr | undefined): Expr {
    const k = this.#k
    return k.let(lanes === 1 ? k.load(pointer, offset) : k.loadVector(pointer, offset, lanes, stride))
  }
}

function isExpr(given: Expr | readonly Expr[]): given is Expr {
  return !Array.isArray(given)
}
