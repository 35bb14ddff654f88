/** Losses: cross-entropy with its closed gradient, squared, absolute and binary cross-entropy errors. */
import { ConfigError, checkOptions, ShapeError } from '../base/errors.ts'
import { sameShape, showShape, sizeOf } from '../base/shape.ts'
import { constantNode, makeNode, type Node } from '../graph/node.ts'
import type { ExpandOp, MapOp } from '../graph/op.ts'
import * as e from '../kernel/expression.ts'
import { softplus } from './activations.ts'
import { broadcastTo, expandDims, spread, squeeze, sum } from './broadcast.ts'
import {
  abs,
  add,
  cast,
  div,
  greaterEqual,
  less,
  like,
  log,
  logicalAnd,
  mul,
  neg,
  select,
  square,
  sub,
} from './elementwise.ts'
import { iota, take } from './gather.ts'
import {
  checkDType,
  checkEqualShapes,
  checkFilled,
  checkSameDType,
  type NoAttributes,
  noAttributes,
} from './operands.ts'
import { logSoftmax, shiftedExpSum, softmaxOf } from './reduce.ts'

/** How the losses of the samples become one: their mean (default), their sum, or not at all. */
export type Reduction = 'mean' | 'sum' | 'none'

function reduceLosses(losses: Node, reduction: Reduction): Node {
  if (reduction === 'none') return losses
  const total = sum(losses)
  // A run-time parameter: another batch size compiles nothing.
  return reduction === 'sum' ? total : mul(total, constantNode(1 / sizeOf(losses.shape)))
}

function checkReduction(where: string, reduction: string): void {
  if (reduction === 'mean' || reduction === 'sum' || reduction === 'none') return
  throw new ConfigError({
    where,
    what: `there is no reduction '${reduction}'`,
    got: `'${reduction}'`,
    expected: "'mean', 'sum' or 'none'",
    fix: "leave it out for 'mean'",
  })
}

// ---------------------------------------------------------------------------------------------- cross-entropy

interface SmoothAttributes {
  /** Target of the right class and of the others. */
  readonly on: number
  readonly off: number
}

// y = on where label = class, off elsewhere
export const smoothTargetOp: MapOp<SmoothAttributes> = {
  name: 'smoothTarget',
  kind: 'map',
  gradient: 'none',
  infer([label, index]) {
    checkEqualShapes('smoothTarget', [label, index])
    return { shape: label.shape, dtype: 'f32' }
  },
  lower: (_k, [label, index], { on, off }) => e.select(e.eq(label, index), number(on, label), number(off, label)),
}

// y = (x - m) · target as above;  dx = u · target, dm = -dx. One step: the target is not kept for the backward pass.
export const smoothTargetTimesOp: MapOp<SmoothAttributes> = {
  name: 'smoothTargetTimes',
  kind: 'map',
  infer(inputs) {
    checkEqualShapes('smoothTargetTimes', inputs)
    return { shape: inputs[0].shape, dtype: 'f32' }
  },
  lower(k, [label, index, x, m], { on, off }) {
    const difference = k.let(e.sub(x, m))
    // A logit of -∞ counts for nothing where its target is 0.
    const other = off === 0 ? number(0, label) : e.mul(difference, off)
    return e.select(e.eq(label, index), e.mul(difference, on), other)
  },
  gradient(y, u) {
    const [label, index] = y.inputs
    const dx = mul(u, makeNode(smoothTargetOp, [label, index], y.attributes))
    return [undefined, undefined, dx, neg(dx)]
  },
}

const number = (value: number, like: ReturnType<typeof e.int>) => e.constant('f32', value, like.type.lanes)

interface LabelAttributes {
  readonly smoothing: number
}

/** Labels and class numbers as operands of [batch, classes]. */
function labelOperands(x: Node, labels: Node, smoothing: number) {
  const last = x.shape.length - 1
  const classes = x.shape[last]
  const label = spread(expandDims(labels, last), x.shape, [last])
  const index = broadcastTo(iota(classes), x.shape)
  return { label, index, target: { on: 1 - smoothing + smoothing / classes, off: smoothing / classes } }
}

// With s = Σ e^(x - m), m = max x and targets t that sum to 1: y = ln s - Σ t · (x - m);  dx = g · (softmax(x) - t).
// The backward pass reads the logits once.
export const labelCrossEntropyOp: ExpandOp<LabelAttributes> = {
  name: 'labelCrossEntropy',
  kind: 'expand',
  infer: ([, labels]) => ({ shape: labels.shape, dtype: 'f32' }),
  expand(node) {
    const [x, labels] = node.inputs
    const last = x.shape.length - 1
    const { shift, total } = shiftedExpSum(x, [last])
    const { label, index, target } = labelOperands(x, labels, node.attributes.smoothing)
    const products = makeNode(smoothTargetTimesOp, [label, index, x, spread(shift, x.shape, [last])], target)
    return squeeze(sub(log(total), sum(products, last, { keepDims: true })), last)
  },
  gradient(node, g) {
    const [x, labels] = node.inputs
    const last = x.shape.length - 1
    const { label, index, target } = labelOperands(x, labels, node.attributes.smoothing)
    const difference = sub(softmaxOf(x, [last]), makeNode(smoothTargetOp, [label, index], target))
    return [mul(spread(expandDims(g, last), x.shape, [last]), difference), undefined]
  },
}

// y = Σt · ln s - Σ t · (x - m);  dx = g · (softmax(x) · Σt - t), dt = -g · logSoftmax(x)
export const targetCrossEntropyOp: ExpandOp<NoAttributes> = {
  name: 'targetCrossEntropy',
  kind: 'expand',
  infer: ([x]) => ({ shape: x.shape.slice(0, -1), dtype: 'f32' }),
  expand(node) {
    const [x, target] = node.inputs
    const last = x.shape.length - 1
    const { shift, total } = shiftedExpSum(x, [last])
    const weight = sum(target, last, { keepDims: true })
    const products = sum(mul(target, sub(x, spread(shift, x.shape, [last]))), last, { keepDims: true })
    return squeeze(sub(mul(weight, log(total)), products), last)
  },
  gradient(node, g) {
    const [x, target] = node.inputs
    const last = x.shape.length - 1
    const wide = (value: Node) => spread(value, x.shape, [last])
    const share = mul(softmaxOf(x, [last]), wide(sum(target, last, { keepDims: true })))
    const upstream = wide(expandDims(g, last))
    return [mul(upstream, sub(share, target)), neg(mul(upstream, logSoftmax(x)))]
  },
}

export interface CrossEntropyOptions {
  /** Share of the target that is spread evenly over all classes, in [0, 1); default 0. */
  readonly labelSmoothing?: number
  /** A factor for each class [classes]; the mean is then weighted, as in PyTorch. */
  readonly classWeights?: Node
  readonly reduction?: Reduction
}

/**
 * Cross-entropy of logits […, classes] with labels: i32 or u8 class numbers […], or probabilities f32 […, classes]. A
 * class number outside 0 … classes - 1 makes the loss NaN, so that it cannot be missed.
 * @throws ShapeError, DTypeError, ConfigError
 */
export function crossEntropy(logits: Node, labels: Node, options: CrossEntropyOptions = {}): Node {
  const { labelSmoothing: smoothing = 0, classWeights, reduction = 'mean' } = options
  checkOptions('crossEntropy', options, ['labelSmoothing', 'classWeights', 'reduction'])
  checkReduction('crossEntropy', reduction)
  checkCrossEntropy(logits, labels, smoothing, classWeights)
  const classes = logits.shape[logits.shape.length - 1]
  const weigh = (target: Node) =>
    classWeights === undefined ? target : mul(target, broadcastTo(classWeights, logits.shape))
  if (labels.dtype === 'f32') {
    // t · (1 - smoothing) + smoothing / classes
    const kept = smoothing === 0 ? labels : mul(labels, like(labels, 1 - smoothing))
    const target = smoothing === 0 ? kept : add(kept, like(kept, smoothing / classes))
    return reduceLosses(makeNode(targetCrossEntropyOp, [logits, weigh(target)], noAttributes), reduction)
  }
  const numbers = cast(labels, 'i32')
  if (classWeights === undefined) {
    const losses = makeNode(labelCrossEntropyOp, [logits, numbers], { smoothing })
    return reduceLosses(onlyValid(losses, numbers, classes), reduction)
  }
  const { label, index, target } = labelOperands(logits, numbers, smoothing)
  const weighted = weigh(makeNode(smoothTargetOp, [label, index], target))
  const losses = onlyValid(makeNode(targetCrossEntropyOp, [logits, weighted], noAttributes), numbers, classes)
  if (reduction !== 'mean') return reduceLosses(losses, reduction)
  return div(sum(losses), sum(take(classWeights, numbers)))
}

/** NaN where a class number is none. */
function onlyValid(losses: Node, numbers: Node, classes: number): Node {
  const valid = logicalAnd(greaterEqual(numbers, like(numbers, 0)), less(numbers, like(numbers, classes)))
  return select(valid, losses, like(losses, Number.NaN))
}

function checkCrossEntropy(logits: Node, labels: Node, smoothing: number, classWeights: Node | undefined): void {
  checkDType('crossEntropy', 'logits', logits, ['f32'])
  checkDType('crossEntropy', 'labels', labels, ['i32', 'u8', 'f32'])
  checkFilled('crossEntropy', 'logits', logits)
  const expected = labels.dtype === 'f32' ? logits.shape : logits.shape.slice(0, -1)
  if (logits.shape.length === 0 || !sameShape(labels.shape, expected)) {
    throw new ShapeError({
      where: 'crossEntropy',
      what: 'the labels do not fit the logits',
      got: `logits ${showShape(logits.shape)}, labels ${labels.dtype} ${showShape(labels.shape)}`,
      expected: `class numbers i32 ${showShape(logits.shape.slice(0, -1))} or probabilities f32 ${showShape(logits.shape)}`,
      fix: 'give one label for each row of logits',
    })
  }
  if (!(smoothing >= 0 && smoothing < 1)) {
    throw new ConfigError({
      where: 'crossEntropy',
      what: 'labelSmoothing makes no sense',
      got: String(smoothing),
      expected: 'a share in [0, 1)',
      fix: 'use for instance 0.1',
    })
  }
  if (classWeights === undefined) return
  checkDType('crossEntropy', 'classWeights', classWeights, ['f32'])
  if (sameShape(classWeights.shape, logits.shape.slice(-1))) return
  throw new ShapeError({
    where: 'crossEntropy',
    what: 'the class weights do not fit the logits',
    got: `logits ${showShape(logits.shape)}, classWeights ${showShape(classWeights.shape)}`,
    expected: `classWeights ${showShape(logits.shape.slice(-1))}`,
    fix: 'give one weight for each class',
  })
}

// ---------------------------------------------------------------------------------------------- regression

export interface LossOptions {
  readonly reduction?: Reduction
}

function checkPair(where: string, prediction: Node, target: Node, options: LossOptions): Reduction {
  checkOptions(where, options, ['reduction'])
  const { reduction = 'mean' } = options
  checkReduction(where, reduction)
  checkDType(where, 'prediction', prediction, ['f32'])
  checkSameDType(where, prediction, target)
  checkFilled(where, 'prediction', prediction)
  if (sameShape(prediction.shape, target.shape)) return reduction
  throw new ShapeError({
    where,
    what: 'prediction and target differ in shape',
    got: `prediction ${showShape(prediction.shape)}, target ${showShape(target.shape)}`,
    expected: 'one shape: losses do not broadcast, it hides mistakes',
    fix: 'reshape one of them',
  })
}

/** Mean of the squared differences. @throws ShapeError, DTypeError, ConfigError */
export function mseLoss(prediction: Node, target: Node, options: LossOptions = {}): Node {
  const reduction = checkPair('mseLoss', prediction, target, options)
  return reduceLosses(square(sub(prediction, target)), reduction)
}

/** Mean of the absolute differences. @throws ShapeError, DTypeError, ConfigError */
export function l1Loss(prediction: Node, target: Node, options: LossOptions = {}): Node {
  const reduction = checkPair('l1Loss', prediction, target, options)
  return reduceLosses(abs(sub(prediction, target)), reduction)
}

/**
 * Binary cross-entropy of logits with targets in [0, 1]: ln(1 + eˣ) - x · t, without overflow.
 * @throws ShapeError, DTypeError, ConfigError
 */
export function bceWithLogits(logits: Node, target: Node, options: LossOptions = {}): Node {
  const reduction = checkPair('bceWithLogits', logits, target, options)
  return reduceLosses(sub(softplus(logits), mul(logits, target)), reduction)
}
