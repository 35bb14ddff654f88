/**
 * The contract of an op. Adding one is one object in a family file, its case records, one line in ops/index.ts.
 * The scheduler looks at `kind` alone, never at a name.
 */
import type { DType, Precision } from '../base/dtype.ts'
import type { Shape } from '../base/shape.ts'
import type { KernelBuilder } from '../kernel/build.ts'
import type { Combine } from '../kernel/builders/reduce/index.ts'
import type { ChainContext } from '../kernel/chain.ts'
import type { Expr } from '../kernel/language.ts'
import type { Target } from '../kernel/target.ts'
import type { BuildContext, Epilogue, KernelInput } from './algorithm.ts'
import type { Layout } from './layout.ts'

/** One value of the graph. It holds its op, so nothing looks ops up by name. */
export interface Node<A = unknown> {
  /** Increases with every node made: inputs have smaller ids than the nodes that read them. */
  readonly id: number
  readonly op: Op<A>
  readonly inputs: readonly Node[]
  readonly attributes: A
  readonly shape: Shape
  readonly dtype: DType
  /** Path of the layer it was made for, `layer1.0.conv1`; a gradient has that of what it is the gradient of. */
  readonly origin?: string
}

export interface OutputType {
  readonly shape: Shape
  readonly dtype: DType
}

// Typed as a method, whose parameters are bivariant, so that Op<A> is an Op<unknown>: a node only ever hands an op its
// own attributes.
export type GradientRule<A> = { rule(node: Node<A>, upstream: Node): readonly (Node | undefined)[] }['rule']

interface OpBase<A> {
  readonly name: string
  /** Shape rule: checks the inputs and says what comes out. @throws ShapeError, DTypeError, ConfigError */
  infer(inputs: readonly Node[], attributes: A): OutputType
  /**
   * Gradient of a loss with respect to each input, given the one with respect to the output; undefined where there is
   * none (integers). The formula stands above each rule.
   */
  readonly gradient: 'none' | GradientRule<A>
  /** Attributes as part of a key; the default is their JSON. Equal keys of one op with equal inputs mean equal values. */
  key?(attributes: A): string
}

/** Every element of the output from the elements at the same place of the inputs, which all have its shape. */
export interface MapOp<A> extends OpBase<A> {
  readonly kind: 'map'
  lower(k: KernelBuilder, args: readonly Expr[], attributes: A, context: ChainContext): Expr
  /** Asks for context.index(), so it can't be fused into reductions or contractions. */
  readonly usesIndex?: boolean
}

/** The same elements in another arrangement: no kernel where the consumer can follow strides. */
export interface ViewOp<A> extends OpBase<A> {
  readonly kind: 'view'
  /** The output's layout given the input's; undefined when strides can't express it, then the input is copied first. */
  view(input: Layout, output: Shape, attributes: A): Layout | undefined
}

/** One value from all elements along some axes. Output axes that were reduced have extent 1. */
export interface ReduceOp<A> extends OpBase<A> {
  readonly kind: 'reduce'
  readonly combine: Combine
  /** Sorted, non-negative, at least one. */
  axes(attributes: A): readonly number[]
}

/** An op with a gradient of its own that is computed by simpler ops. */
export interface ExpandOp<A> extends OpBase<A> {
  readonly kind: 'expand'
  expand(node: Node<A>): Node
}

/** One way to compute an op. `schedule` compares them; ops build them. */
export interface Algorithm<A = unknown> {
  readonly name: string
  applies(node: Node<A>, target: Target): boolean
  /**
   * Time in floating-point operations of a product at the machine's peak: multiply-adds × 2 with padding and tails, and
   * what else takes time in the same unit. The smallest estimate wins.
   * @param lasts whether an input is the same at every run: what is prepared of it costs nothing then
   */
  cost(node: Node<A>, target: Target, precision: Precision, lasts?: (input: Node) => boolean): number
  /** Largest error to expect, relative to the largest magnitude of the output. */
  readonly tolerance: number
  readonly acceptsStrides?: boolean
  /**
   * Present when f32 inputs may lie in memory as bf16. It says whether the output may: `free` it may, `f32` it may not,
   * `like-first-input` only where the first input does, of whose elements it consists and with which it is compared later.
   */
  bf16?(node: Node<A>): 'free' | 'like-first-input' | 'f32'
  /** Whether `build` can take an epilogue. Otherwise `epilogue` is the identity and has the op's output as its only output. */
  readonly fusesEpilogue?: boolean
  build(node: Node<A>, inputs: readonly KernelInput[], epilogue: Epilogue, context: BuildContext): void
}

/** An op with kernels of its own. */
export interface KernelOp<A> extends OpBase<A> {
  readonly kind: 'kernel'
  /** At least one applies to every node the shape rule lets through. */
  readonly algorithms: readonly Algorithm<A>[]
}

/** An argument, a constant, a Variable. */
export interface LeafOp<A> extends OpBase<A> {
  readonly kind: 'leaf'
}

export type Op<A = unknown> = MapOp<A> | ViewOp<A> | ReduceOp<A> | ExpandOp<A> | KernelOp<A> | LeafOp<A>
