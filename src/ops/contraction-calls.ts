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
  type OperandForm,
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

/** How a contraction reads a first operand that lies in memory like this. @param even whether the sum is one of pairs, which lie side by side */
export function formOf(context: BuildContext, a: Span, even: boolean): OperandForm {
  if (a.buffer.dtype !== 'bf16') return 'f32'
  return context.target.bf16Dot === true && even && a.offset % 2 === 0 ? 'pairs' : 'bf16'
}

/** Packs the second operand for a tile of `columns` columns, in the form that the first one has. */
export function emitPack(
  context: BuildContext,
  source: Span,
  columns: number,
  args: PackArguments,
  first: OperandForm = 'f32',
): Span {
  const { dtype } = source.buffer
  // What is bf16 already needs no rounding.
  const form = first === 'pairs' ? 'pairs' : first === 'bf16' && dtype === 'f32' ? 'round' : 'copy'
  const halved = form === 'pairs' ? pairSteps(args) : args
  const operand = packing(columns, halved, dtype, form)
  const packed = form === 'pairs' || dtype === 'i32' ? 'i32' : 'f32'
  return context.prepared(packed, Math.max(1, operand.size), [source], (into) => ({
    spec: packSpec(operand.shape),
    spans: [source, into],
    ...packCall(operand.shape, halved),
  }))
}

/** Two innermost steps made one. */
function pairSteps(args: PackArguments): PackArguments {
  const [outer, middle, inner] = args.steps
  const [outerStride, middleStride, innerStride] = args.stepStrides
  return {
    ...args,
    steps: [outer, middle, inner / 2],
    stepStrides: [outerStride, middleStride, 2 * innerStride],
    pairStride: innerStride,
  }
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
  const even = !direct && aStrides[2] === 1 && [k, aStrides[0], aStrides[1]].every((count) => count % 2 === 0)
  const form = formOf(context, product.a, even)
  const args = {
    groups: shared ? 1 : batch,
    groupStride: bBatch,
    columns: n,
    columnStride: bColumn,
    ...packSteps(k, bStep),
    offset: 0,
  }
  const b = direct ? product.b : emitPack(context, product.b, columns, args, form)
  // From here on in units of the form.
  const unit = form === 'pairs' ? 2 : 1
  const terms = k / unit
  const packedBatch = shared ? 0 : Math.ceil(n / columns) * columns * terms
  const left: LeftForm = aStrides[2] === 1 ? 'k' : aStrides[1] === 1 ? 'm' : 'none'
  const pieces = piecesOf(k)
  const size = batch * m * n
  // Whether there is a second stage depends on k alone, so that the batch size compiles nothing.
  const partial = pieces === 1 ? undefined : context.temporary('f32', pieces * size)
  const right = b.buffer.dtype
  const shape = { left, form, right, epilogue: partial === undefined ? epilogueShape(epilogue) : plainStore }
  const call = matmulCall(
    shape,
    {
      batch,
      m,
      n,
      k: terms,
      aStrides: form === 'pairs' ? [aStrides[0] / 2, aStrides[1] / 2, 1] : aStrides,
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
