import { makeNode, type Node } from '../graph/node.ts'
import type { Op } from '../graph/op.ts'
import { at, type CaseInput, type OpCase, tabulate } from '../testing/case.ts'
import * as a from './activations.ts'
import { erfSeries } from './elementwise.cases.ts'
import { clampOp, divOp, selectOp, tanhOp } from './elementwise.ts'

function unary(
  name: string,
  op: Op,
  build: (x: Node) => Node,
  f: (x: number) => number,
  input: Partial<CaseInput> = {},
  more: Partial<OpCase> = {},
): OpCase {
  return {
    name,
    ops: [op],
    inputs: [{ shape: [3, 5, 17], range: [-3.9, 3.9], ...input }],
    build,
    reference: (x) => tabulate(x.shape, (i) => f(at(x, i))),
    ...more,
  }
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))
const hardSigmoid = (x: number): number => Math.min(1, Math.max(0, x / 6 + 0.5))
const inner = (x: number): number => Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))
const far: Partial<CaseInput> = { shape: [8], values: [-200, -90, -20, -1, 1, 20, 90, 200] }

export const cases: readonly OpCase[] = [
  unary('relu', a.reluOp, a.relu, (x) => Math.max(0, x)),
  unary(
    'relu of specials',
    a.reluOp,
    a.relu,
    (x) => Math.max(0, x),
    { shape: [4], values: [Number.NaN, 0, -1, Number.POSITIVE_INFINITY] },
    { gradient: 'the kink at 0' },
  ),
  {
    name: 'reluMask',
    ops: [a.reluMaskOp],
    inputs: [{ shape: [5, 9], values: Array.from({ length: 45 }, (_, i) => (i % 3) - 1) }, { shape: [5, 9] }],
    build: (y, g) => makeNode(a.reluMaskOp, [y, g], {}),
    reference: (y, g) => tabulate([5, 9], (i) => (at(y, i) > 0 ? at(g, i) : 0)),
    gradient: 'a step with respect to the first operand',
  },
  unary('relu6', a.relu6Op, a.relu6, (x) => Math.min(6, Math.max(0, x)), { range: [-8, 12] }),
  unary(
    'relu6 of specials',
    a.relu6Op,
    a.relu6,
    (x) => Math.min(6, Math.max(0, x)),
    { shape: [6], values: [Number.NaN, 0, -1, 6, 7, Number.POSITIVE_INFINITY] },
    { gradient: 'the kinks at 0 and 6' },
  ),
  {
    name: 'relu6Mask',
    ops: [a.relu6MaskOp],
    inputs: [{ shape: [5, 9], values: Array.from({ length: 45 }, (_, i) => 3 * ((i % 4) - 1)) }, { shape: [5, 9] }],
    build: (y, g) => makeNode(a.relu6MaskOp, [y, g], {}),
    reference: (y, g) => tabulate([5, 9], (i) => (at(y, i) > 0 && at(y, i) < 6 ? at(g, i) : 0)),
    gradient: 'a step with respect to the first operand',
  },
  unary(
    'leakyRelu',
    a.leakyReluOp,
    (x) => a.leakyRelu(x),
    (x) => (x > 0 ? x : 0.01 * x),
  ),
  unary(
    'leakyRelu with slope 0.2',
    a.leakyReluOp,
    (x) => a.leakyRelu(x, 0.2),
    (x) => (x > 0 ? x : 0.2 * x),
  ),
  unary(
    'leakyRelu with a negative slope',
    a.leakyReluOp,
    (x) => a.leakyRelu(x, -0.5),
    (x) => (x > 0 ? x : -0.5 * x),
  ),
  unary(
    'elu',
    a.eluOp,
    (x) => a.elu(x),
    (x) => (x > 0 ? x : Math.expm1(x)),
  ),
  unary(
    'elu with alpha 0.5',
    a.eluOp,
    (x) => a.elu(x, 0.5),
    (x) => (x > 0 ? x : 0.5 * Math.expm1(x)),
  ),
  unary(
    'elu with a negative alpha',
    a.eluOp,
    (x) => a.elu(x, -1),
    (x) => (x > 0 ? x : -Math.expm1(x)),
  ),
  unary('sigmoid', a.sigmoidOp, a.sigmoid, sigmoid),
  unary('sigmoid far out', a.sigmoidOp, a.sigmoid, sigmoid, far),
  unary('silu', a.siluOp, a.silu, (x) => x * sigmoid(x)),
  unary(
    'normalDistribution',
    a.normalDistributionOp,
    (x) => makeNode(a.normalDistributionOp, [x], {}),
    (x) => 0.5 * (1 + erfSeries(x / Math.SQRT2)),
  ),
  unary(
    'gelu',
    a.geluOp,
    (x) => a.gelu(x),
    (x) => 0.5 * x * (1 + erfSeries(x / Math.SQRT2)),
  ),
  unary('geluTanhInner', a.geluTanhInnerOp, (x) => makeNode(a.geluTanhInnerOp, [x], {}), inner),
  unary(
    'gelu tanh',
    a.geluTanhOp,
    (x) => a.gelu(x, 'tanh'),
    (x) => 0.5 * x * (1 + inner(x)),
  ),
  unary('softplus', a.softplusOp, a.softplus, (x) => Math.log1p(Math.exp(x))),
  unary('softplus far out', a.softplusOp, a.softplus, (x) => (x > 50 ? x : Math.log1p(Math.exp(x))), far),
  unary('hardSigmoid', a.hardSigmoidOp, (x) => a.hardSigmoid(x), hardSigmoid),
  unary(
    'hardSigmoid 0.2 0.5',
    clampOp,
    (x) => a.hardSigmoid(x, 0.2, 0.5),
    (x) => Math.min(1, Math.max(0, 0.2 * x + 0.5)),
  ),
  unary('logSigmoid', a.softplusOp, a.logSigmoid, (x) => -Math.log1p(Math.exp(-x))),
  unary('logSigmoid far out', a.softplusOp, a.logSigmoid, (x) => (x < -50 ? x : -Math.log1p(Math.exp(-x))), far),
  unary('softsign', divOp, a.softsign, (x) => x / (1 + Math.abs(x))),
  unary('mish', tanhOp, a.mish, (x) => x * Math.tanh(Math.log1p(Math.exp(x)))),
  unary('mish far out', tanhOp, a.mish, (x) => (x > 50 ? x : x * Math.tanh(Math.log1p(Math.exp(x)))), far),
  unary(
    'selu',
    a.eluOp,
    (x) => a.selu(x),
    (x) => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x)),
  ),
  unary(
    'celu with alpha 2',
    a.eluOp,
    (x) => a.celu(x, 2),
    (x) => Math.max(0, x) + Math.min(0, 2 * Math.expm1(x / 2)),
  ),
  unary(
    'hardTanh -2 1',
    clampOp,
    (x) => a.hardTanh(x, -2, 1),
    (x) => Math.min(1, Math.max(-2, x)),
  ),
  unary(
    'thresholdedRelu 1.5',
    selectOp,
    (x) => a.thresholdedRelu(x, 1.5),
    (x) => (x > 1.5 ? x : 0),
  ),
  unary(
    'shrink without bias',
    selectOp,
    (x) => a.shrink(x),
    (x) => (Math.abs(x) > 0.5 ? x : 0),
  ),
  unary(
    'shrink 1.5 0.75',
    selectOp,
    (x) => a.shrink(x, 1.5, 0.75),
    (x) => (x < -1.5 ? x + 0.75 : x > 1.5 ? x - 0.75 : 0),
  ),
  {
    name: 'prelu by channel',
    ops: [selectOp],
    inputs: [{ shape: [3, 4, 5] }, { shape: [5] }],
    build: a.prelu,
    reference: (x, slope) => tabulate(x.shape, (i) => at(x, i) * (at(x, i) > 0 ? 1 : slope.data[i[2]])),
  },
  {
    name: 'prelu with one slope',
    ops: [selectOp],
    inputs: [{ shape: [7, 9] }, { shape: [1] }],
    build: a.prelu,
    reference: (x, slope) => tabulate(x.shape, (i) => at(x, i) * (at(x, i) > 0 ? 1 : slope.data[0])),
  },
  unary('hardSwish', a.hardSwishOp, a.hardSwish, (x) => x * hardSigmoid(x)),
]
