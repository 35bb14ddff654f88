/** Nodes that are read, at least three variants of each operator; ONNX Runtime judges. Families have files of their own. */
import { asNode, constant, f, fs, ints, type OnnxCase, one, scalar, w } from '../../../../test/onnx-judge.ts'

const map = [2, 4, 6, 5]
const row = [2, 3, 9]
const flat = [3, 8]

const variances = (channels: number) => w([channels], 0.3, 2)
const norm = (channels: number) => [w([channels]), w([channels]), w([channels]), variances(channels)]

const convolution: readonly OnnxCase[] = [
  one('Conv', map, [w([6, 4, 3, 3]), w([6])], { pads: [1, 1, 1, 1] }),
  one('Conv', map, [w([6, 4, 3, 2])], { strides: [2, 1], dilations: [1, 2] }),
  one('Conv', map, [w([6, 2, 3, 3]), w([6])], { group: 2, auto_pad: 'SAME_LOWER', strides: [2, 2] }),
  one('Conv', map, [w([8, 1, 2, 4])], { group: 4, auto_pad: 'SAME_UPPER' }),
  one('Conv', map, [w([4, 4, 2, 2])], { pads: [0, 1, 2, 0], kernel_shape: [2, 2] }, { fixed: true }),
  one('Conv', row, [w([5, 3, 4]), w([5])], { pads: [1, 2], strides: [2] }),
  one('Conv', row, [w([6, 1, 3])], { group: 3 }, { opset: 9 }),
  one('Conv', [2, 4, 5, 4, 3], [w([6, 2, 2, 2, 3])], { group: 2, pads: [1, 0, 0, 0, 1, 1] }),
  one('ConvTranspose', map, [w([4, 3, 3, 3]), w([3])], { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] }),
  one('ConvTranspose', map, [w([4, 3, 2, 3])], { group: 2, dilations: [2, 1] }),
  one('ConvTranspose', map, [w([4, 3, 3, 3])], { strides: [2, 2], output_shape: [12, 10] }),
  one('ConvTranspose', map, [w([4, 3, 3, 3])], { strides: [2, 2], auto_pad: 'SAME_UPPER' }),
  one('ConvTranspose', row, [w([3, 5, 4]), w([5])], { strides: [3], pads: [1, 0] }, { opset: 11 }),
]

const pooling: readonly OnnxCase[] = [
  one('MaxPool', map, [], { kernel_shape: [2, 2], strides: [2, 2] }),
  one('MaxPool', map, [], { kernel_shape: [3, 2], pads: [1, 0, 1, 1] }),
  one('MaxPool', map, [], { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 }),
  one('MaxPool', map, [], { kernel_shape: [2, 2], dilations: [2, 1], pads: [0, 1, 1, 0] }),
  one('MaxPool', map, [], { kernel_shape: [3, 2], auto_pad: 'SAME_UPPER' }),
  one('MaxPool', row, [], { kernel_shape: [3], strides: [2], pads: [1, 1] }, { opset: 8 }),
  one('MaxPool', [2, 3, 4, 5, 4], [], { kernel_shape: [2, 2, 2], strides: [2, 1, 2] }),
  one('AveragePool', map, [], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
  one('AveragePool', map, [], { kernel_shape: [3, 3], pads: [1, 1, 1, 1], count_include_pad: 1, strides: [2, 2] }),
  one('AveragePool', map, [], { kernel_shape: [3, 2], strides: [2, 2], ceil_mode: 1 }),
  one('AveragePool', row, [], { kernel_shape: [2], auto_pad: 'SAME_UPPER' }, { opset: 7 }),
  one('LpPool', map, [], { kernel_shape: [2, 2] }, { opset: 18 }),
  one('LpPool', map, [], { kernel_shape: [3, 2], p: 1, pads: [1, 0, 1, 0] }, { opset: 11 }),
  one('LpPool', row, [], { kernel_shape: [2], p: 3, strides: [2] }, { opset: 18 }),
  one('GlobalAveragePool', map),
  one('GlobalAveragePool', row),
  one('GlobalAveragePool', [2, 3, 4, 2, 3]),
  one('GlobalMaxPool', map),
  one('GlobalMaxPool', row),
  one('GlobalMaxPool', [2, 1, 3, 4]),
  one('GlobalLpPool', map),
  one('GlobalLpPool', map, [], { p: 1 }),
  one('GlobalLpPool', row, [], { p: 2 }, { opset: 8 }),
]

const normalization: readonly OnnxCase[] = [
  one('BatchNormalization', map, norm(4)),
  one('BatchNormalization', flat, norm(8), { epsilon: f(0.01) }, { opset: 8 }),
  one('BatchNormalization', row, norm(3), { momentum: f(0.7) }, { opset: 9 }),
  one('BatchNormalization', [2, 3, 2, 2, 2], norm(3), {}, { opset: 15 }),
  one('InstanceNormalization', map, [w([4]), w([4])]),
  one('InstanceNormalization', row, [w([3]), w([3])], { epsilon: f(0.1) }),
  one('InstanceNormalization', map, [w([4]), w([4])], {}, { opset: 8 }),
  one('GroupNormalization', map, [w([4]), w([4])], { num_groups: 2 }),
  one('GroupNormalization', map, [w([4]), w([4])], { num_groups: 4, epsilon: f(0.1) }),
  one('GroupNormalization', map, [w([4]), w([4])], { num_groups: 1 }),
  one('LayerNormalization', row, [w([9]), w([9])]),
  one('LayerNormalization', row, [w([9])], { axis: -1, epsilon: f(0.01) }),
  one('LayerNormalization', map, [w([4, 6, 5]), w([4, 6, 5])], { axis: 1 }),
  one('LayerNormalization', map, [w([6, 5]), w([6, 5])], { axis: -2 }, { opset: 17 }),
  one('LRN', map, [], { size: 3 }),
  one('LRN', map, [], { size: 5, alpha: f(0.1), beta: f(0.5), bias: f(2) }),
  one('LRN', map, [], { size: 7, alpha: f(0.3) }, { opset: 8 }),
]

const linear: readonly OnnxCase[] = [
  one('MatMul', flat, [w([8, 5])]),
  one('MatMul', [2, 6, 5], ['x', w([5, 3])]),
  one('MatMul', [2, 6, 5], [w([4, 6]), 'x']),
  one('MatMul', [2, 6, 5], ['x', w([2, 5, 3])], {}, { fixed: true }),
  one('Gemm', flat, [w([8, 5]), w([5])], { alpha: f(0.5), beta: f(2) }),
  one('Gemm', flat, [w([5, 8]), w([1, 5])], { transB: 1 }),
  one('Gemm', flat, [w([8, 5]), w([1])], {}, { opset: 7 }),
  one('Gemm', flat, [w([8, 5])], {}, { opset: 13 }),
]

const two = (op: string, range?: readonly [number, number]): readonly OnnxCase[] => {
  const [least, most] = range ?? [-1, 1]
  const more = range === undefined ? {} : { range }
  return [
    one(op, map, [w([5], least, most)], {}, more),
    one(op, map, [w([4, 1, 1], least, most)], {}, { ...more, opset: 7 }),
    one(op, map, [w([1, 1, 6, 1], least, most), 'x'], {}, more),
    one(op, map, ['x', scalar(0.7)], {}, more),
    one(op, map, ['x', 'x'], {}, more),
  ]
}

const elementwise: readonly OnnxCase[] = [
  ...two('Add'),
  ...two('Sub'),
  ...two('Mul'),
  ...two('Div', [0.5, 2]),
  ...two('Pow', [0.3, 2]),
  one('Min', flat, ['x', scalar(Number.POSITIVE_INFINITY)]),
  one('Max', flat, ['x', scalar(Number.NEGATIVE_INFINITY)], {}, { fixed: true }),
  one('Pow', map, ['x', scalar(2)]),
  one('Pow', map, ['x', scalar(3)], {}, { opset: 7 }),
  one('Mod', map, [w([5], 0.4, 2)], { fmod: 1 }),
  one('Mod', map, ['x', scalar(0.7)], { fmod: 1 }),
  one('Mod', flat, [constant('int32', [8], [3, 2, 5, -3, -2, 4, 7, 1])], {}, { type: 'int32', range: [-9, 9] }),
  ...['Min', 'Max', 'Sum', 'Mean'].flatMap((op) => [
    one(op, map, ['x', w([5]), w([6, 1])]),
    one(op, map, ['x', scalar(0.4)], {}, { opset: 8 }),
    one(op, map, ['x']),
  ]),
  ...['Abs', 'Neg', 'Sign', 'Exp', 'Floor', 'Ceil', 'Round', 'Erf', 'Sin', 'Cos', 'Tan', 'Sinh', 'Cosh'].flatMap(
    (op) => [
      one(op, map, [], {}, { range: [-1.4, 1.4] }),
      one(op, flat, [], {}, { range: [-1.3, 1.3], fixed: true }),
      one(op, [2, 3, 2, 2, 2], [], {}, { range: [0, 1.2], ...(op === 'Round' ? { opset: 11 } : { opset: 13 }) }),
    ],
  ),
  ...(
    [
      ['Asin', -1, 1],
      ['Acos', -1, 1],
      ['Atan', -30, 30],
      ['Asinh', -30, 30],
      ['Acosh', 1, 30],
      ['Atanh', -0.99, 0.99],
    ] as const
  ).flatMap(([op, least, most]) => [
    one(op, map, [], {}, { range: [least, most], tolerance: 2e-6 }),
    one(op, flat, [], {}, { range: [Math.max(least, -1), Math.min(1.5, most)], opset: 9 }),
    one(op, row, [], {}, { range: [Math.max(least, 0), Math.min(1.1, most)], fixed: true }),
  ]),
  ...['Reciprocal', 'Sqrt', 'Log'].flatMap((op) => [
    one(op, map, [], {}, { range: [0.2, 3] }),
    one(op, flat, [], {}, { range: [0.2, 3], opset: 7 }),
    one(op, row, [], {}, { range: [0.2, 3], fixed: true }),
  ]),
]

const pointwise = (
  op: string,
  attributes: Parameters<typeof one>[3],
  more: Partial<OnnxCase> = {},
): readonly OnnxCase[] => [
  one(op, map, [], {}, { range: [-4, 4], ...more }),
  one(op, flat, [], attributes, { range: [-4, 4], ...more }),
  one(op, row, [], attributes, { range: [-2, 2], fixed: true, ...more }),
]

const activations: readonly OnnxCase[] = [
  ...pointwise('Relu', {}),
  ...pointwise('LeakyRelu', { alpha: f(0.2) }),
  ...pointwise('Elu', { alpha: f(0.6) }),
  ...pointwise('Sigmoid', {}),
  ...pointwise('Tanh', {}),
  ...pointwise('HardSigmoid', { alpha: f(0.3), beta: f(0.4) }),
  ...pointwise('HardSwish', {}),
  ...pointwise('Gelu', { approximate: 'tanh' }),
  ...pointwise('Mish', {}),
  ...pointwise('Swish', { alpha: f(1) }, { opset: 24 }),
  ...pointwise('Selu', { alpha: f(1.2), gamma: f(0.9) }),
  ...pointwise('Celu', { alpha: f(0.7) }),
  ...pointwise('Softplus', {}),
  ...pointwise('Softsign', {}),
  ...pointwise('ThresholdedRelu', { alpha: f(0.7) }),
  ...pointwise('Shrink', { lambd: f(0.8), bias: f(0.3) }),
  one('PRelu', map, [w([4, 1, 1])]),
  one('PRelu', map, [w([1])], {}, { opset: 9 }),
  one('PRelu', map, [w([4, 6, 5])]),
  one('PRelu', flat, [w([8])], {}, { opset: 7 }),
  one('Clip', map, [scalar(-0.5), scalar(0.9)]),
  one('Clip', map, [undefined, scalar(0.9)]),
  one('Clip', map, [scalar(0), scalar(6)], {}, { range: [-3, 9] }),
  one('Clip', map, [], { min: f(-0.2), max: f(0.6) }, { opset: 6 }),
  one('Clip', map, [], { min: f(0) }, { opset: 7 }),
  ...['Softmax', 'LogSoftmax'].flatMap((op) => [
    one(op, map, [], { axis: 1 }),
    one(op, map, [], { axis: -2 }),
    one(op, map, [], {}, { opset: 11 }),
    one(op, map, [], { axis: 2 }, { opset: 9 }),
    one(op, flat),
    one(op, flat, [], { axis: 0 }, { fixed: true }),
  ]),
]

/** Behind a convolution, so that values lie channels last, and in front of a linear layer. */
const between = (name: string, nodes: OnnxCase['nodes'], features: number, more: Partial<OnnxCase> = {}): OnnxCase => ({
  name,
  input: [2, 3, 5, 4],
  nodes: [
    { op: 'Conv', inputs: ['x', w([6, 3, 2, 2])], outputs: ['conv'] },
    ...nodes,
    { op: 'Gemm', inputs: ['z', w([features, 3]), w([3])] },
  ],
  ...more,
})

const structure: readonly OnnxCase[] = [
  one('Identity', map),
  one('Identity', flat, [], {}, { fixed: true }),
  one('Identity', row, [], {}, { opset: 13 }),
  one('Dropout', map, [], {}, { opset: 7 }),
  one('Dropout', flat, [scalar(0.3)]),
  one('Dropout', map, [], { ratio: f(0.2) }, { opset: 10 }),
  one('Flatten', map),
  one('Flatten', map, [], { axis: 1 }, { opset: 9, fixed: true }),
  one('Flatten', map, [], { axis: -3 }),
  one('Reshape', map, [ints(-1, 120)]),
  one('Reshape', map, [ints(0, 4, -1)]),
  one('Reshape', map, [ints(0, -1, 2, 3)]),
  one('Reshape', map, [ints(2, 8, 15)], {}, { fixed: true }),
  one('Reshape', map, [ints(2, 2, 2, 5, 6)], {}, { fixed: true, opset: 7 }),
  one('Reshape', [4, 6], [ints(3, 8)], {}, { fixed: true }),
  one('Reshape', [1, 4, 6], [ints(1, -1, 3)], {}, { fixed: true }),
  one('Transpose', map, [], { perm: [0, 2, 3, 1] }),
  one('Transpose', map, [], { perm: [0, 1, 3, 2] }),
  one('Transpose', row, [], { perm: [2, 0, 1] }),
  one('Transpose', flat),
  one('Squeeze', [2, 3, 1, 4], [ints(2)]),
  one('Squeeze', [2, 3, 1, 4], [], { axes: [-2] }, { opset: 11 }),
  one('Squeeze', [2, 1, 1, 4], [], {}, { fixed: true }),
  one('Squeeze', [1, 1, 3, 4], [], {}, { fixed: true, opset: 12 }),
  one('Unsqueeze', row, [ints(1, -1)]),
  one('Unsqueeze', row, [], { axes: [2] }, { opset: 11 }),
  one('Unsqueeze', flat, [ints(0)]),
  one('Concat', map, ['x', 'x'], { axis: 1 }),
  one('Concat', map, ['x', 'x', 'x'], { axis: -1 }),
  one('Concat', map, ['x', 'x'], { axis: 2 }, { opset: 4 + 3 }),
  one('Concat', map, ['x', 'x'], { axis: 0 }, { fixed: true }),
  one('Concat', map, ['x', w([2, 4, 1, 5])], { axis: 2 }, { fixed: true }),
  one('Gather', map, [scalar(2, 'int64')], { axis: 1 }),
  one('Gather', map, [constant('int64', [2, 2], [0, 3, -1, 1])], { axis: 2 }),
  one('Gather', map, [ints(-1, 0)], { axis: -1 }),
  one('Gather', [2, 7], [w([11, 4]), 'x'], {}, { type: 'int64', range: [0, 10.9] }),
  {
    name: 'GatherND: rows of every sample by its own numbers',
    input: [2, 5, 3],
    nodes: [
      { op: 'ArgMax', inputs: ['x'], attributes: { axis: 1, keepdims: 0 }, outputs: ['best'] },
      { op: 'Unsqueeze', inputs: ['best', ints(-1)], outputs: ['places'] },
      { op: 'GatherND', inputs: ['x', 'places'], attributes: { batch_dims: 1 } },
    ],
  },
  {
    name: 'GatherND of channels behind a convolution',
    input: [2, 3, 5, 4],
    opset: 12,
    nodes: [
      { op: 'Conv', inputs: ['x', w([6, 3, 2, 2])], outputs: ['conv'] },
      { op: 'GlobalAveragePool', inputs: ['x'], outputs: ['means'] },
      { op: 'Cast', inputs: ['means'], attributes: { to: 7 }, outputs: ['whole'] },
      { op: 'Squeeze', inputs: ['whole'], attributes: { axes: [3] }, outputs: ['places'] },
      { op: 'GatherND', inputs: ['conv', 'places'], attributes: { batch_dims: 1 } },
    ],
  },
  {
    name: 'GatherND of one place',
    input: [2, 5, 3],
    opset: 13,
    nodes: [
      { op: 'ReduceMax', inputs: ['x'], attributes: { axes: [1, 2], keepdims: 0 }, outputs: ['most'] },
      { op: 'Cast', inputs: ['most'], attributes: { to: 7 }, outputs: ['whole'] },
      { op: 'Unsqueeze', inputs: ['whole', ints(1)], outputs: ['places'] },
      { op: 'GatherND', inputs: ['x', 'places'], attributes: { batch_dims: 1 } },
    ],
  },
  {
    name: 'Shape, Gather, Unsqueeze, Concat, Reshape: the batch is computed',
    input: map,
    opset: 11,
    nodes: [
      { op: 'Shape', inputs: ['x'], outputs: ['s'] },
      { op: 'Gather', inputs: ['s', asNode(scalar(0, 'int64'))], outputs: ['n'] },
      { op: 'Unsqueeze', inputs: ['n'], attributes: { axes: [0] }, outputs: ['n1'] },
      { op: 'Concat', inputs: ['n1', asNode(ints(-1))], attributes: { axis: 0 }, outputs: ['to'] },
      { op: 'Reshape', inputs: ['x', 'to'] },
    ],
  },
  {
    name: 'Shape with start and end, Size, Constant of every kind, ConstantOfShape',
    input: map,
    opset: 15,
    nodes: [
      { op: 'Shape', inputs: ['x'], attributes: { start: 1, end: -1 }, outputs: ['s'] },
      { op: 'ConstantOfShape', inputs: ['s'], attributes: { value: constant('float', [1], [1.5]) }, outputs: ['c'] },
      { op: 'Unsqueeze', inputs: ['c', asNode(ints(2))], outputs: ['c1'] },
      { op: 'Constant', inputs: [], attributes: { value_float: f(0.5) }, outputs: ['half'] },
      { op: 'Constant', inputs: [], attributes: { value_floats: fs(1, 2, 3, 4, 5) }, outputs: ['five'] },
      { op: 'Constant', inputs: [], attributes: { value_int: 5 }, outputs: ['many'] },
      { op: 'Constant', inputs: [], attributes: { value_ints: [0, 4, -1] }, outputs: ['to'] },
      { op: 'Mul', inputs: ['x', 'half'], outputs: ['a'] },
      { op: 'Add', inputs: ['a', 'five'], outputs: ['b'] },
      { op: 'Reshape', inputs: ['b', 'to'], outputs: ['d'] },
      { op: 'Size', inputs: ['x'], outputs: ['n'] },
      { op: 'Div', inputs: ['n', 'many'], outputs: ['m'] },
      { op: 'Unsqueeze', inputs: ['m', asNode(ints(0))], outputs: ['m1'] },
      { op: 'Concat', inputs: ['m1', asNode(ints(5))], attributes: { axis: 0 }, outputs: ['to2'] },
      { op: 'Reshape', inputs: ['d', 'to2'], outputs: ['e'] },
      { op: 'Reshape', inputs: ['e', asNode(ints(-1, 24, 5))] },
    ],
  },
  {
    name: 'parts of a shape, as constants',
    input: map,
    opset: 11,
    nodes: [
      { op: 'Shape', inputs: ['x'], outputs: ['s'] },
      { op: 'Gather', inputs: ['s', asNode(ints(0, 3))], outputs: ['corner'] },
      { op: 'Size', inputs: ['s'], outputs: ['four'] },
      { op: 'Gather', inputs: ['s', asNode(scalar(1, 'int64'))], outputs: ['channels'] },
      {
        op: 'ConstantOfShape',
        inputs: [asNode(ints(5))],
        attributes: { value: constant('int64', [1], [3]) },
        outputs: ['c'],
      },
      { op: 'Add', inputs: ['c', 'channels'], outputs: ['d'] },
      { op: 'Sub', inputs: ['d', 'four'], outputs: ['e'] },
      { op: 'Gather', inputs: ['e', asNode(scalar(0, 'int64'))], outputs: ['i'] },
      { op: 'Gather', inputs: ['x', 'i'], attributes: { axis: 1 }, outputs: ['one'] },
      { op: 'Mul', inputs: ['corner', asNode(ints(1, 6))], outputs: ['to'] },
      { op: 'Reshape', inputs: ['one', 'to'] },
    ],
  },
  {
    name: 'Size of a sample, ConstantOfShape with the batch',
    input: flat,
    nodes: [
      { op: 'Size', inputs: ['x'], outputs: ['n'] },
      { op: 'Div', inputs: ['n', asNode(scalar(8, 'int64'))], outputs: ['b'] },
      { op: 'Unsqueeze', inputs: ['b', asNode(ints(0))], outputs: ['b1'] },
      { op: 'Concat', inputs: ['b1', asNode(ints(8))], attributes: { axis: 0 }, outputs: ['to'] },
      { op: 'ConstantOfShape', inputs: ['to'], outputs: ['zeros'] },
      { op: 'Sub', inputs: ['zeros', 'x'] },
    ],
  },
  between(
    'Flatten behind a convolution turns the rows of the weight',
    [{ op: 'Flatten', inputs: ['conv'], outputs: ['z'] }],
    72,
  ),
  between(
    'elementwise operators and norms between Flatten and Gemm pass the order on',
    [
      { op: 'Flatten', inputs: ['conv'], outputs: ['a'] },
      { op: 'Relu', inputs: ['a'], outputs: ['b'] },
      { op: 'BatchNormalization', inputs: ['b', ...norm(72)], outputs: ['c'] },
      { op: 'Mul', inputs: ['c', w([72])], outputs: ['z'] },
    ],
    72,
  ),
  between(
    'channels are shuffled',
    [
      { op: 'Reshape', inputs: ['conv', ints(0, 2, 3, 4, 3)], outputs: ['a'] },
      { op: 'Transpose', inputs: ['a'], attributes: { perm: [0, 2, 1, 3, 4] }, outputs: ['b'] },
      { op: 'Reshape', inputs: ['b', ints(0, 6, 4, 3)], outputs: ['c'] },
      { op: 'Conv', inputs: ['c', w([5, 6, 1, 1])], outputs: ['d'] },
      { op: 'Flatten', inputs: ['d'], outputs: ['z'] },
    ],
    60,
  ),
  between(
    'squeeze and excitation',
    [
      { op: 'GlobalAveragePool', inputs: ['conv'], outputs: ['a'] },
      { op: 'Conv', inputs: ['a', w([6, 6, 1, 1]), w([6])], outputs: ['b'] },
      { op: 'Sigmoid', inputs: ['b'], outputs: ['c'] },
      { op: 'Mul', inputs: ['conv', 'c'], outputs: ['d'] },
      { op: 'Flatten', inputs: ['d'], outputs: ['z'] },
    ],
    72,
  ),
  between(
    'attention over places',
    [
      { op: 'Reshape', inputs: ['conv', ints(0, 2, 3, 12)], outputs: ['a'] },
      { op: 'Transpose', inputs: ['a'], attributes: { perm: [0, 1, 3, 2] }, outputs: ['q'] },
      { op: 'MatMul', inputs: ['q', 'a'], outputs: ['scores'] },
      { op: 'Softmax', inputs: ['scores'], attributes: { axis: -1 }, outputs: ['p'] },
      { op: 'MatMul', inputs: ['p', 'q'], outputs: ['v'] },
      { op: 'Transpose', inputs: ['v'], attributes: { perm: [0, 2, 1, 3] }, outputs: ['t'] },
      { op: 'Reshape', inputs: ['t', ints(0, 72)], outputs: ['z'] },
    ],
    72,
  ),
  between(
    'a reshape that needs the values in order',
    [
      { op: 'Reshape', inputs: ['conv', ints(0, 8, 9)], outputs: ['a'] },
      { op: 'Softmax', inputs: ['a'], attributes: { axis: 1 }, outputs: ['b'] },
      { op: 'Flatten', inputs: ['b'], outputs: ['z'] },
    ],
    72,
  ),
  {
    name: 'a transpose from channels last in front is no layer',
    input: [2, 6, 5, 3],
    nodes: [
      { op: 'Transpose', inputs: ['x'], attributes: { perm: [0, 3, 1, 2] }, outputs: ['a'] },
      { op: 'Conv', inputs: ['a', w([4, 3, 3, 3])], outputs: ['b'] },
      { op: 'Transpose', inputs: ['b'], attributes: { perm: [0, 2, 3, 1] } },
    ],
  },
]

export const operatorCases: readonly OnnxCase[] = [
  ...convolution,
  ...pooling,
  ...normalization,
  ...linear,
  ...elementwise,
  ...activations,
  ...structure,
]
