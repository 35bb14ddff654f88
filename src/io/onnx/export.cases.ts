/** Layers and what they are tried with, at least one case for each type; judged by ONNX Runtime. */
import type { Layer } from '../../nn/index.ts'
import * as nn from '../../nn/index.ts'
import { type ExportCase, everywhere, joining, make, map, onRows, row, volume, withValue } from './export-make.cases.ts'
import { spatialCases } from './export-spatial.cases.ts'

export type { ExportCase } from './export-make.cases.ts'

const convolutions = [
  make('conv1d', nn.conv1d(5, 3, { stride: 2, padding: 1 }), row),
  make('conv1d same', nn.conv1d(5, 4, { padding: 'same', dilation: 2, bias: false }), row),
  onRows('conv1d', nn.conv1d(6, 3), 1),
  make('conv2d', nn.conv2d(6, 3), map),
  make('conv2d strided', nn.conv2d(6, [3, 2], { stride: [2, 1], padding: 1, bias: false }), map),
  make('conv2d same, uneven', nn.conv2d(6, [2, 4], { stride: 2, padding: 'same' }), map),
  make('conv2d sides', nn.conv2d(6, 3, { padding: [[0, 1], [2, 0]] }), map), // biome-ignore format: one line a case
  make('conv2d full, dilated', nn.conv2d(2, 3, { padding: 'full', dilation: [1, 2] }), map),
  make('conv2d groups', nn.conv2d(6, 3, { groups: 2, padding: 1 }), map),
  make('conv3d', nn.conv3d(3, 3, { padding: 1, stride: [1, 2, 2] }), volume),
  make('conv3d groups', nn.conv3d(4, [2, 1, 3], { groups: 2, dilation: [1, 1, 2], padding: 'same' }), volume),
  make('convTranspose1d', nn.convTranspose1d(5, 3, { stride: 2, padding: 1, outputPadding: 1 }), row),
  make('convTranspose1d same, short kernel', nn.convTranspose1d(5, 2, { stride: 3, padding: 'same' }), row),
  make('convTranspose2d', nn.convTranspose2d(6, 3, { stride: 2 }), map),
  make('convTranspose2d same', nn.convTranspose2d(6, [4, 3], { stride: 2, padding: 'same', bias: false }), map),
  make('convTranspose2d groups', nn.convTranspose2d(6, 3, { groups: 2, dilation: 2, padding: 1 }), map),
  make('depthwiseConv1d', nn.depthwiseConv1d(3, { multiplier: 2, padding: 'same' }), row),
  make('depthwiseConv2d', nn.depthwiseConv2d(3, { padding: 1, stride: 2 }), map),
  make('depthwiseConv2d multiplier', nn.depthwiseConv2d([3, 1], { multiplier: 2 }), map),
]

const pools = [
  make('maxPool1d', nn.maxPool1d(2), row),
  make('maxPool2d', nn.maxPool2d(3, { stride: 2, padding: 1 }), map),
  make('avgPool1d', nn.avgPool1d(3, { stride: 1, padding: 1 }), row),
  make('avgPool2d', nn.avgPool2d(2), map),
  make('maxPool2d gaps', nn.maxPool2d([2, 3], { stride: 1, dilation: 2 }), map),
  make('maxPool2d ceil', nn.maxPool2d(2, { stride: [2, 3], ceil: true }), map),
  make('maxPool2d same', nn.maxPool2d(3, { stride: 2, padding: 'same' }), map),
  make('maxPool3d', nn.maxPool3d(2), volume),
  make('avgPool2d ceil', nn.avgPool2d(3, { stride: 2, padding: 1, ceil: true }), map),
  make('avgPool2d without padding', nn.avgPool2d(3, { stride: 2, padding: 1, countIncludePad: false }), map),
  make(
    'avgPool2d without padding, ceil',
    nn.avgPool2d(3, { stride: 2, padding: 'same', ceil: true, countIncludePad: false }),
    map,
  ),
  make('avgPool2d gaps', nn.avgPool2d(2, { stride: 1, dilation: 2 }), map),
  make('avgPool3d', nn.avgPool3d([1, 2, 2], { stride: 2 }), volume),
  make('globalAvgPool kept', nn.globalAvgPool({ keepDims: true }), map),
  onRows('globalMaxPool kept', nn.globalMaxPool({ keepDims: true })),
  make('globalAvgPool of a volume', nn.globalAvgPool(), volume),
  make('globalAvgPool', nn.globalAvgPool(), map),
  make('globalMaxPool', nn.globalMaxPool(), map),
  onRows('globalAvgPool', nn.globalAvgPool()),
  onRows('globalMaxPool', nn.globalMaxPool()),
  make('globalAvgPool, rows', nn.globalAvgPool(), row),
  make('globalAvgPool of a vector', nn.globalAvgPool(), [9]),
]

const dense = [
  make('linear', nn.linear(3), [9]),
  make('linear without bias', nn.linear(3, { bias: false }), [9]),
  make('linear at every place', nn.linear(3), map),
  make('linear at every place, without bias', nn.linear(3, { bias: false }), row),
  onRows('linear', nn.linear(3)),
  onRows('linear without bias', nn.linear(3, { bias: false })),
  make('embedding', nn.embedding(11, 4), [7], { integers: 11 }),
  make('embedding of one', nn.embedding(11, 4), [], { integers: 11 }),
]

const norms = [
  ...everywhere('batchNorm', nn.batchNorm({ eps: 1e-3, momentum: 0.2 })),
  onRows('batchNorm', nn.batchNorm(), 1),
  ...everywhere('layerNorm', nn.layerNorm()),
  onRows('layerNorm', nn.layerNorm({ eps: 1e-3 })),
  make('groupNorm on maps', nn.groupNorm(2), map),
  make('instanceNorm', nn.instanceNorm({ eps: 1e-3 }), map),
  make('instanceNorm on a row', nn.instanceNorm(), row),
  make('lrn', nn.lrn({ size: 3, alpha: 0.5, k: 2 }), map),
  make('lrn by default', nn.lrn(), map),
  make('groupNorm on a row', nn.groupNorm(4), row),
]

const activations = [
  ...everywhere('relu', nn.relu()),
  ...everywhere('relu6', nn.relu6(), { range: [-3, 9] }),
  ...everywhere('leakyRelu', nn.leakyRelu(0.2)),
  ...everywhere('elu', nn.elu(0.7)),
  ...everywhere('selu', nn.selu()),
  ...everywhere("selu of one's own", nn.selu({ alpha: 1.2, gamma: 0.8 })),
  ...everywhere('celu', nn.celu(0.6)),
  ...everywhere('softplus', nn.softplus()),
  ...everywhere('logSigmoid', nn.logSigmoid(), { range: [-40, 40] }),
  ...everywhere('softsign', nn.softsign()),
  ...everywhere('mish', nn.mish()),
  ...everywhere('hardSigmoid', nn.hardSigmoid(), { range: [-5, 5] }),
  ...everywhere("hardSigmoid of one's own", nn.hardSigmoid({ alpha: 0.2, beta: 0.4 }), { range: [-5, 5] }),
  ...everywhere('hardTanh', nn.hardTanh()),
  ...everywhere("hardTanh of one's own", nn.hardTanh({ min: -0.3, max: 0.9 })),
  ...everywhere('thresholdedRelu', nn.thresholdedRelu(0.4)),
  ...everywhere('shrink', nn.shrink()),
  ...everywhere('shrink, soft', nn.shrink({ lambda: 0.3, bias: 0.3 })),
  ...everywhere('prelu', nn.prelu()),
  ...everywhere('prelu by channel', nn.prelu({ slopes: 'channels' })),
  ...everywhere('prelu by value', nn.prelu({ slopes: 'values' })),
  onRows('prelu by channel', nn.prelu({ slopes: 'channels' })),
  ...everywhere('gelu', nn.gelu()),
  ...everywhere('gelu tanh', nn.gelu('tanh')),
  ...everywhere('silu', nn.silu()),
  ...everywhere('sigmoid', nn.sigmoid()),
  ...everywhere('tanh', nn.tanh()),
  ...everywhere('hardSwish', nn.hardSwish(), { range: [-5, 5] }),
  ...everywhere('softmax', nn.softmax()),
  ...everywhere('logSoftmax', nn.logSoftmax()),
  make('softmax along the height', nn.softmax({ axis: 0 }), map),
  onRows('softmax', nn.softmax()),
  ...everywhere('dropout', nn.dropout(0.3)),
  ...everywhere('identity', nn.identity()),
]

const unaries: Readonly<Record<string, readonly [number, number]>> = {
  sqrt: [0.1, 3],
  rsqrt: [0.1, 3],
  log: [0.1, 3],
  log1p: [-0.5, 3],
  reciprocal: [0.5, 3],
  tan: [-1, 1],
  asin: [-1, 1],
  acos: [-1, 1],
  atan: [-40, 40],
  asinh: [-40, 40],
  acosh: [1, 40],
  atanh: [-0.99, 0.99],
}
const unaryNames = [
  ...['abs', 'neg', 'sign', 'square', 'sqrt', 'rsqrt', 'reciprocal', 'exp', 'expm1', 'log', 'log1p', 'sin', 'cos'],
  ...['tan', 'sinh', 'cosh', 'asin', 'acos', 'atan', 'asinh', 'acosh', 'atanh', 'erf', 'floor', 'ceil', 'round'],
] as nn.UnaryName[]
const binaryNames = ['add', 'sub', 'mul', 'div', 'min', 'max', 'mod', 'fmod'] as nn.BinaryName[]
const comparisons = [
  ...['equal', 'notEqual', 'less', 'lessEqual', 'greater', 'greaterEqual', 'and', 'or', 'xor'],
] as nn.BinaryName[]
const asNumbers = (layer: Layer): Layer => nn.sequential(layer, nn.cast('f32'))

const arithmetic = [
  ...unaryNames.map((op) => make(`unary ${op}`, nn.unary(op), map, { range: unaries[op] })),
  ...(['isNaN', 'isFinite', 'isInfinite'] as const).map((op) => {
    const poles = nn.sequential(nn.unary('round'), nn.unary('reciprocal'), nn.unary(op), nn.cast('f32'))
    return make(`unary ${op}`, poles, map)
  }),
  make('unary not', asNumbers(nn.unary('not')), map, { integers: 2 }),
  ...binaryNames.map((op) => make(`binary ${op}`, joining(nn.binary(op), nn.conv2d(4, 1), nn.identity()), map)),
  make('binary pow', joining(nn.binary('pow'), nn.sigmoid(), nn.identity()), map),
  ...comparisons.map((op) =>
    make(`binary ${op}`, nn.sequential(joining(nn.binary(op), nn.relu(), nn.unary('round')), nn.cast('f32')), map, {
      range: [-1, 1.4],
    }),
  ),
  make('binary with a vector', joining(nn.binary('mul'), nn.identity(), nn.globalAvgPool()), map),
  make('binary with channels of one place', withValue(nn.multiply(), [1, 1, 4]), map),
  make('binary with rows', withValue(nn.add(), [5, 4]), map),
  make('binary with numbers in front', withValue(nn.binary('sub'), [6, 5, 4], true), map),
  make('binary with numbers, flattened', nn.sequential(['flat', nn.flatten()], ['sum', withValue(nn.add(), [24])], ['linear', nn.linear(3)]), [3, 2, 4]), // biome-ignore format: one line a case
  make('binary of flattened maps', nn.sequential(['sum', joining(nn.add(), nn.sequential(nn.relu(), nn.flatten()), nn.flatten())], ['linear', nn.linear(3)]), [3, 2, 4]), // biome-ignore format: one line a case
  onRows('binary', withValue(nn.add(), [7, 4])),
  make('scalar', nn.scalar('mul', 2.5), map),
  make('scalar reversed', nn.scalar('sub', 1, { reverse: true }), map),
  make('scalar compared', asNumbers(nn.scalar('greater', 0.5)), map),
  make('scalar as truth', asNumbers(nn.scalar('and', 2)), map, { integers: 2 }),
  make('clamp', nn.clamp({ min: -0.5, max: 1 }), map),
  make('clamp above', nn.clamp({ max: 1 }), map),
  make('clamp below', nn.clamp({ min: 0.2 }), map),
  make('where', nn.graph(
    [['mask', nn.scalar('less', 0.3)], ['a', nn.conv2d(4, 1)], ['b', nn.globalAvgPool()], ['where', nn.where()]],
    { inputs: { a: ['input'], b: ['input'], where: ['mask', 'a', 'b'] } },
  ), map), // biome-ignore format: wires on a line
  make('cast', nn.sequential(nn.cast('i32'), nn.cast('f32')), map),
  make('cast to bool', nn.sequential(nn.cast('bool'), nn.cast('f32')), map, { integers: 2 }),
  make('value', withValue(nn.concat(0), [2, 5, 4]), map),
  make('value through functions', nn.graph(
    [['table', nn.value([5, 4])], ['exp', nn.unary('exp')], ['both', nn.multiply()]],
    { inputs: { both: ['exp', 'input'] } },
  ), map), // biome-ignore format: wires on a line
]

const products = [
  make('matmul', joining(nn.matmul(), nn.conv1d(4, 1), nn.permute([1, 0])), row, { transposes: 1 }),
  make('matmul with a table', withValue(nn.matmul(), [4, 3]), row),
  make('matmul of a row', withValue(nn.matmul(), [9, 3]), [9]),
  make('matmul with a column', withValue(nn.matmul(), [4]), row),
  onRows('matmul', withValue(nn.matmul(), [4, 3])),
]

const arranging = [
  make('flatten', nn.flatten(), map, { transposes: 1 }),
  make('flatten of a vector', nn.flatten(), [9]),
  make('flatten and linear', nn.sequential(nn.flatten(), nn.linear(3)), map),
  make('reshape of places', nn.reshape([30, 4]), map),
  make('reshape of channels', nn.reshape([6, 5, 2, 2]), map, { transposes: 1 }),
  make('reshape with ones', nn.reshape([6, 1, 5, 4, 1]), map, { transposes: 1 }),
  make(
    'reshape with ones and back',
    nn.sequential(nn.reshape([6, 1, 5, 1, 4]), nn.reshape([6, 5, 4]), nn.conv2d(2, 3)),
    map,
  ),
  make('reshape across', nn.reshape([5, 24]), map, { transposes: 1 }),
  make('reshape to a vector', nn.sequential(nn.reshape([-1]), nn.linear(3)), map),
  make('reshape of a vector and back', nn.sequential(nn.flatten(), nn.reshape([6, 5, 4]), nn.conv2d(2, 3)), map),
  make('permute', nn.sequential(nn.permute([1, 0, 2]), nn.conv2d(3, [2, 3])), map, { transposes: 1 }),
  make('permute alone', nn.permute([1, 0, 2]), map, { transposes: 1 }),
  make(
    'channel shuffle',
    nn.sequential(nn.reshape([6, 5, 2, 2]), nn.permute([0, 1, 3, 2]), nn.reshape([6, 5, 4]), nn.conv2d(3, 3)),
    map,
    { transposes: 1 },
  ),
  make('slice', nn.slice([[1, -1], null, [0, 4, 2]]), map),
  make('slice backwards', nn.slice([[null, null, -1]]), map),
  make('slice to the end', nn.slice([[-3], [null, 2]]), map),
  make('concat', joining(nn.concat(), nn.conv2d(3, 1), nn.identity()), map),
  make('concat of rows', joining(nn.concat(0), nn.conv2d(4, [2, 1]), nn.identity()), map),
  make('concat of two orders', joining(nn.concat(0), nn.permute([1, 0]), nn.conv1d(5, 2)), [5, 4], { transposes: 1 }),
  make(
    'concat of flattened maps',
    nn.sequential(
      ['both', joining(nn.concat(), nn.sequential(nn.conv2d(2, 3), nn.flatten()), nn.flatten())],
      ['linear', nn.linear(3)],
    ),
    map,
  ),
  make(
    'concat of flattened maps, and what is behind it',
    nn.sequential(
      ['both', joining(nn.concat(), nn.sequential(nn.conv2d(2, 3), nn.flatten()), nn.flatten())],
      ['norm', nn.batchNorm()],
      ['layer', nn.layerNorm()],
      ['slopes', nn.prelu({ slopes: 'values' })],
      ['plus', withValue(nn.add(), [144])],
      ['flatten', nn.flatten()],
    ),
    map,
  ),
  make(
    'concat of flattened maps as a map again',
    nn.sequential(['both', joining(nn.concat(), nn.flatten(), nn.flatten())], nn.reshape([12, 5, 4]), nn.conv2d(2, 1)),
    map,
    { transposes: 1 },
  ),
  make('expand', nn.sequential(nn.globalAvgPool(), nn.reshape([1, 1, 4]), nn.expand([3, 2, 4]), nn.conv2d(2, 1)), map),
  make('expand in front', nn.expand([2, 7, 4]), row),
  make('tile', nn.tile([1, 2, 3]), map),
  make('take', nn.take(-1, [3, 0, 0]), map),
  make('take one', nn.take(0, 2), map),
  make('take one channel', nn.take(2, -1), map),
  make('gather', nn.graph(
    [['scores', nn.reduce('mean', [1, 2])], ['best', nn.cast('i32')], ['rows', nn.gather(0)]],
    { inputs: { rows: ['input', 'best'] } },
  ), map, { transposes: 1 }), // biome-ignore format: wires on a line
  make('gather from the middle', nn.graph(
    [['best', nn.argmax(1)], ['rows', nn.gather(1)]],
    { inputs: { rows: ['input', 'best'] } },
  ), map, { transposes: 3 }), // biome-ignore format: wires on a line
  make('gather from a table', withValue(nn.gather(0), [11, 4], true), [7], { integers: 11 }),
]

const reductions = [
  'sum', 'mean', 'max', 'min', 'prod', 'l1', 'l2', 'sumSquare', 'logSum', 'logSumExp',
] as const // biome-ignore format: one line

const reducing = [
  ...reductions.map((op) => make(`reduce ${op}`, nn.reduce(op, [1, -1]), map, { range: [0.1, 1.5] })),
  ...reductions.map((op) =>
    make(`reduce ${op} kept`, nn.reduce(op, [0], { keepDims: true }), map, { range: [0.1, 1.5] }),
  ),
  make('argmax', nn.sequential(nn.argmax(-1), nn.cast('f32')), map),
  make('argmin', nn.sequential(nn.argmin(0, { keepDims: true }), nn.cast('f32')), map),
]

const shortcuts = [
  make('identityShortcut', nn.identityShortcut(7, { stride: 2 }), map),
  make('identityShortcut, channels alone', nn.identityShortcut(6), map),
  make('identityShortcut, places alone', nn.identityShortcut(4, { stride: 3 }), map),
  make('identityShortcut, nothing', nn.sequential(nn.identityShortcut(4), nn.relu()), map),
  make('residual', nn.residual([nn.conv2d(4, 3, { padding: 1 })]), map),
]

export const exportCases: readonly ExportCase[] = [
  ...convolutions,
  ...pools,
  ...dense,
  ...norms,
  ...activations,
  ...arithmetic,
  ...products,
  ...arranging,
  ...reducing,
  ...shortcuts,
  ...spatialCases,
]
