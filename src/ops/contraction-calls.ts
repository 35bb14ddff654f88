/** Calls that conv and matmul share: packing an operand, the blocked product, handing an epilogue to a kernel. */
import type { BuildContext, Epilogue, EpilogueOperand, Span } from '../graph/algorithm.ts'
import {
  columnsOf,
  type EpilogueShape,
  foldCall,
  foldSpec,
  type LeftForm,
  matmulCall,
  matmulSpec,
  packCall,
  packing,
  packSpec,
  piecesOf,
  plainStore,
  wideTile,
} from '../kernel/builders/contraction/index.ts'

/** The part of an epilogue that is in the kernel's code. */
export function epilogueShape(epilogue: Epilogue): EpilogueShape {
  return {
    chain: epilogue.chain,
    operands: epilogue.operands.map(({ span, access }: EpilogueOperand) => ({ dtype: span.buffer.dtype, access })),
    outputs: epilogue.outputs.map((span) => span.buffer.dtype),
  }
}

/** The buffers of an epilogue, in the order in which kernels list them. */
export function epilogueSpans(epilogue: Epilogue): Span[] {
  return [...epilogue.operands.map((operand) => operand.span), ...epilogue.outputs]
}

type PackArguments = Parameters<typeof packing>[1]

/** Packs an operand into a temporary for a tile of `columns` columns. */
export function emitPack(context: BuildContext, source: Span, columns: number, args: PackArguments): Span {
  const operand = packing(columns, args)
  const packed = context.temporary('f32', Math.max(1, operand.size))
  context.call({ spec: packSpec(operand.shape), spans: [source, packed], ...packCall(operand.shape, args) })
  return packed
}

export interface Product {
  readonly batch: number
  readonly m: number
  readonly n: number
  readonly k: number
  readonly a: Span
  /** Elements between matrices, rows, steps. */
  readonly aStrides: readonly [number, number, number]
  readonly b: Span
  /** Elements between matrices, steps, columns. */
  readonly bStrides: readonly [number, number, number]
}

/** Rows up to which B is read as it lies, if it can be: packing costs as much as a few rows. */
const fewRows = 8

/** C[batch][m][n] = A B, then the epilogue, stored contiguously from the start of each output. */
export function emitProduct(context: BuildContext, product: Product, epilogue: Epilogue): void {
  const { target } = context
  const { batch, m, n, k, aStrides } = product
  const columns = columnsOf(wideTile(target), target)
  const [bBatch, bStep, bColumn] = product.bStrides
  const direct = m <= fewRows && bColumn === 1 && n % columns === 0
  const shared = bBatch === 0 || batch === 1
  const b = direct
    ? product.b
    : emitPack(context, product.b, columns, {
        groups: shared ? 1 : batch,
        groupStride: bBatch,
        columns: n,
        columnStride: bColumn,
        ...packSteps(k, bStep),
        offset: 0,
      })
  const packedBatch = shared ? 0 : Math.ceil(n / columns) * columns * k
  const left: LeftForm = aStrides[2] === 1 ? 'k' : aStrides[1] === 1 ? 'm' : 'none'
  const pieces = piecesOf(k)
  const size = batch * m * n
  // Whether there is a second stage depends on k alone, so that the batch size compiles nothing.
  const partial = pieces === 1 ? undefined : context.temporary('f32', pieces * size)
  const shape = { left, epilogue: partial === undefined ? epilogueShape(epilogue) : plainStore }
  const call = matmulCall(
    shape,
    {
      batch,
      m,
      n,
      k,
      aStrides,
      packed: !direct,
      bStrides: [direct ? bBatch : packedBatch, bStep],
      outBatch: m * n,
      pieces,
      outPiece: size,
    },
    target,
  )
  const constants = epilogue.constants
  if (partial === undefined) {
    const spans = [product.a, b, ...epilogueSpans(epilogue)]
    context.call({ spec: matmulSpec(shape), spans, ...call, params: [...call.params, ...constants] })
    return
  }
  context.call({ spec: matmulSpec(shape), spans: [product.a, b, partial], ...call })
  const fold = foldCall({ pieces, rows: batch * m, columns: n })
  const spans = [partial, ...epilogueSpans(epilogue)]
  context.call({ spec: foldSpec(epilogueShape(epilogue)), spans, ...fold, params: [...fold.params, ...constants] })
}

/** The steps of a matrix as three axes, in units small enough to share among threads. */
function packSteps(k: number, stride: number): Pick<PackArguments, 'steps' | 'stepStrides'> {
  const unit = 512
  if (k <= unit || k % unit !== 0) return { steps: [1, 1, k], stepStrides: [0, 0, stride] }
  return { steps: [1, k / unit, unit], stepStrides: [0, unit * stride, stride] }
}
