/** How rows of the elementwise tables become ops: the parts that all maps share. */
import type { DType } from '../base/dtype.ts'
import { makeNode, type Node } from '../graph/node.ts'
import type { MapOp } from '../graph/op.ts'
import type { KernelBuilder } from '../kernel/build.ts'
import type { Expr } from '../kernel/language.ts'
import { broadcastTogether } from './broadcast.ts'
import {
  checkDType,
  checkEqualShapes,
  checkFilled,
  checkSameDType,
  type NoAttributes,
  noAttributes,
} from './operands.ts'

export type UnaryGradient<A = NoAttributes> = 'none' | ((g: Node, x: Node, y: Node, attributes: A) => Node)
export type BinaryGradient =
  | 'none'
  | ((g: Node, a: Node, b: Node, y: Node) => readonly [Node | undefined, Node | undefined])

export interface UnaryOptions {
  /** What it takes; default f32. */
  readonly dtypes?: readonly DType[]
  /** What comes out; default what came in. */
  readonly result?: DType
}

/** An op of one operand with attributes. */
export function unaryOpWith<A>(
  name: string,
  lower: (k: KernelBuilder, x: Expr, attributes: A) => Expr,
  gradient: UnaryGradient<A>,
  options: UnaryOptions & { readonly key?: (attributes: A) => string } = {},
): MapOp<A> {
  const { dtypes = ['f32'], result } = options
  return {
    name,
    kind: 'map',
    infer([x]) {
      checkDType(name, 'x', x, dtypes)
      checkFilled(name, 'x', x)
      return { shape: x.shape, dtype: result ?? x.dtype }
    },
    lower: (k, [x], attributes) => lower(k, x, attributes),
    gradient: gradient === 'none' ? 'none' : (y, g) => [gradient(g, y.inputs[0], y, y.attributes)],
    ...(options.key === undefined ? {} : { key: options.key }),
  }
}

/** An op of one operand. */
export function unaryOp(
  name: string,
  lower: (k: KernelBuilder, x: Expr) => Expr,
  gradient: UnaryGradient,
  options: UnaryOptions = {},
): MapOp<NoAttributes> {
  return unaryOpWith(name, lower, gradient, options)
}

/** An op of two operands of one dtype. */
export function binaryOp(
  name: string,
  lower: (k: KernelBuilder, a: Expr, b: Expr) => Expr,
  gradient: BinaryGradient,
  options: UnaryOptions = {},
): MapOp<NoAttributes> {
  const { dtypes = ['f32'], result } = options
  return {
    name,
    kind: 'map',
    infer([a, b]) {
      checkDType(name, 'a', a, dtypes)
      checkDType(name, 'b', b, dtypes)
      checkSameDType(name, a, b)
      checkEqualShapes(name, [a, b])
      checkFilled(name, 'a', a)
      return { shape: a.shape, dtype: result ?? a.dtype }
    },
    lower: (k, [a, b]) => lower(k, a, b),
    gradient: gradient === 'none' ? 'none' : (y, g) => gradient(g, y.inputs[0], y.inputs[1], y),
  }
}

/** The function of nodes that stands for an op of one operand. */
export function unary(op: MapOp<NoAttributes>): (x: Node) => Node {
  return (x) => makeNode(op, [x], noAttributes)
}

/** The function of nodes that stands for an op of two operands, with broadcasting. */
export function binary(op: MapOp<NoAttributes>): (a: Node, b: Node) => Node {
  return (a, b) => {
    // Wrong dtypes are reported before shapes.
    checkSameDType(op.name, a, b)
    return makeNode(op, broadcastTogether(op.name, a, b), noAttributes)
  }
}
