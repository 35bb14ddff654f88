/** Matrix products with NumPy's rules: the last two axes are matrices, the ones before are broadcast. */
import { ShapeError } from '../base/errors.ts'
import { broadcastShapes, type Shape, showShape, sizeOf } from '../base/shape.ts'
import type { Epilogue, KernelInput } from '../graph/algorithm.ts'
import { mergeAxes } from '../graph/layout.ts'
import { makeNode, type Node } from '../graph/node.ts'
import type { Algorithm, KernelOp } from '../graph/op.ts'
import { broadcastTo, reshape } from './broadcast.ts'
import { emitProduct } from './contraction-calls.ts'
import { checkDType, checkFilled, type NoAttributes, noAttributes } from './operands.ts'
import { transpose } from './shape-ops.ts'

interface Extents {
  readonly batch: Shape
  readonly m: number
  readonly k: number
  readonly n: number
}

function extentsOf(a: Shape, b: Shape): Extents {
  return { batch: a.slice(0, -2), m: a[a.length - 2], k: a[a.length - 1], n: b[b.length - 1] }
}

/** An epilogue for one of several matrices, `at` elements into the output. */
function shifted(epilogue: Epilogue, at: number): Epilogue {
  const move = <S extends { readonly offset: number }>(span: S): S => ({ ...span, offset: span.offset + at })
  return {
    ...epilogue,
    operands: epilogue.operands.map((o) => (o.access === 'same' ? { ...o, span: move(o.span) } : o)),
    outputs: epilogue.outputs.map(move),
  }
}

const blocked: Algorithm<NoAttributes> = {
  name: 'blocked',
  applies: () => true,
  cost({ inputs: [a, b] }) {
    const { batch, m, k, n } = extentsOf(a.shape, b.shape)
    return 2 * sizeOf(batch) * m * k * n
  },
  // Sums of a few thousand products in single precision.
  tolerance: 5e-6,
  bf16: () => 'free',
  acceptsStrides: true,
  fusesEpilogue: true,
  build({ shape }, [a, b], epilogue, context) {
    const { batch, m, k, n } = extentsOf(a.layout.shape, b.layout.shape)
    const axes = batch.length
    const outBatch = shape.slice(0, axes).map((_, axis) => sizeOf(shape.slice(axis + 1)))
    const { extents, strides } = mergeAxes(batch, [
      a.layout.strides.slice(0, axes),
      b.layout.strides.slice(0, axes),
      outBatch,
    ])
    const inner = extents.length - 1
    const [aRow, aStep] = a.layout.strides.slice(axes)
    const [bStep, bColumn] = b.layout.strides.slice(axes)
    const move = ({ span, layout }: KernelInput, by: number) => ({ ...span, offset: span.offset + layout.offset + by })
    // Batch axes that strides do not join to one are a call each.
    for (let outer = 0; outer < sizeOf(extents.slice(0, inner)); outer++) {
      const offsets = [0, 0, 0]
      let rest = outer
      for (let axis = inner - 1; axis >= 0; axis--) {
        for (const i of offsets.keys()) offsets[i] += (rest % extents[axis]) * strides[i][axis]
        rest = Math.floor(rest / extents[axis])
      }
      emitProduct(
        context,
        {
          batch: extents[inner],
          m,
          n,
          k,
          a: move(a, offsets[0]),
          aStrides: [strides[0][inner], aRow, aStep],
          b: move(b, offsets[1]),
          bStrides: [strides[1][inner], bStep, bColumn],
        },
        inner === 0 ? epilogue : shifted(epilogue, offsets[2]),
      )
    }
  },
}

/** C[…, m, n] = Σ over k of A[…, m, k] B[…, k, n]; both have the same axes before the last two. */
export const matmulOp: KernelOp<NoAttributes> = {
  name: 'matmul',
  kind: 'kernel',
  infer([a, b]) {
    for (const [name, node] of [
      ['a', a],
      ['b', b],
    ] as const) {
      checkDType('matmul', name, node, ['f32'])
      checkFilled('matmul', name, node)
    }
    if (a.shape[a.shape.length - 1] !== b.shape[b.shape.length - 2]) throw innerMismatch(a.shape, b.shape)
    return { shape: [...a.shape.slice(0, -1), b.shape[b.shape.length - 1]], dtype: 'f32' }
  },
  // dA = dC Bᵀ, dB = Aᵀ dC
  gradient: ({ inputs: [a, b] }, upstream) => [product(upstream, flipped(b)), product(flipped(a), upstream)],
  algorithms: [blocked],
}

function innerMismatch(a: Shape, b: Shape): ShapeError {
  const rows = b[Math.max(0, b.length - 2)]
  return new ShapeError({
    where: 'matmul',
    what: `a has ${a[a.length - 1]} columns, b has ${rows} ${rows === 1 ? 'row' : 'rows'}`,
    got: `a ${showShape(a)}, b ${showShape(b)}`,
    expected: 'a [..., m, k] and b [..., k, n] with the same k',
    fix: 'transpose one of them, or check which axis is which',
  })
}

function product(a: Node, b: Node): Node {
  return makeNode(matmulOp, [a, b], noAttributes)
}

/** The last two axes swapped. */
function flipped(x: Node): Node {
  const axes = x.shape.map((_, axis) => axis)
  const [rows, columns] = axes.splice(-2)
  return transpose(x, [...axes, columns, rows])
}

/**
 * Matrix product. Vectors stand for a row (left) or a column (right) whose axis of 1 is dropped again; axes before the
 * last two are broadcast.
 *
 * @param a [..., m, k] or [k]
 * @param b [..., k, n] or [k]
 * @returns [..., m, n], without m or n where a vector came in
 * @throws ShapeError when the inner extents differ or the other axes cannot be broadcast; DTypeError unless both are f32
 */
export function matmul(a: Node, b: Node): Node {
  if (a.shape.length === 0 || b.shape.length === 0) {
    throw new ShapeError({
      where: 'matmul',
      what: 'an operand is a scalar',
      got: `a ${showShape(a.shape)}, b ${showShape(b.shape)}`,
      expected: 'operands of at least one axis',
      fix: 'multiply by a scalar with mul',
    })
  }
  if (a.shape[a.shape.length - 1] !== b.shape[Math.max(0, b.shape.length - 2)]) throw innerMismatch(a.shape, b.shape)
  const left = a.shape.length === 1 ? reshape(a, [1, a.shape[0]]) : a
  const right = b.shape.length === 1 ? reshape(b, [b.shape[0], 1]) : b
  const full = matrices(left, right)
  const shape = [...full.shape]
  if (b.shape.length === 1) shape.pop()
  if (a.shape.length === 1) shape.splice(full.shape.length - 2, 1)
  return reshape(full, shape)
}

function matrices(a: Node, b: Node): Node {
  const [m, k] = a.shape.slice(-2)
  const n = b.shape[b.shape.length - 1]
  const aBatch = a.shape.slice(0, -2)
  const bBatch = b.shape.slice(0, -2)
  // One matrix on the right: all rows on the left are rows of one product.
  if (aBatch.length > 0 && bBatch.length === 0) {
    return reshape(product(reshape(a, [sizeOf(aBatch) * m, k]), b), [...aBatch, m, n])
  }
  const batch = broadcastShapes('matmul', aBatch, bBatch)
  return product(broadcastTo(a, [...batch, m, k]), broadcastTo(b, [...batch, k, n]))
}
