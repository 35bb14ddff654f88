/** Parts, reductions and truth, as nodes that are read; ONNX Runtime judges. */
import {
  type Attributes,
  constant,
  f,
  ints,
  numbers,
  type OnnxCase,
  one,
  scalar,
  w,
} from '../../../../test/onnx-judge.ts'

export const map = [2, 4, 6, 5]
export const row = [2, 3, 9]
const flat = [3, 8]
const bools = (dims: readonly number[]) =>
  constant(
    'bool',
    dims,
    numbers(dims.reduce((a, b) => a * b, 1)).map((value) => Number(value > 0)),
  )

/** A convolution in front, so that values lie channels last, and one behind that wants them so. */
const between = (name: string, nodes: OnnxCase['nodes'], more: Partial<OnnxCase> = {}): OnnxCase => ({
  name: `between convolutions: ${name}`,
  input: [2, 3, 6, 5],
  nodes: [{ op: 'Conv', inputs: ['x', w([4, 3, 1, 1])], outputs: ['a'] }, ...nodes, { op: 'Relu', inputs: ['z'] }],
  ...more,
})

/** Constants that are computed from others, added to the input. */
export const folded = (name: string, nodes: OnnxCase['nodes'], more: Partial<OnnxCase> = {}): OnnxCase => ({
  name: `of constants: ${name}`,
  input: flat,
  nodes: [
    ...nodes,
    { op: 'Cast', inputs: ['k'], attributes: { to: 1 }, outputs: ['kf'] },
    { op: 'Add', inputs: ['x', 'kf'] },
  ],
  ...more,
})

const parts: readonly OnnxCase[] = [
  one('Slice', map, [ints(1), ints(3), ints(1)]),
  one('Slice', map, [ints(0, -4), ints(Number.MAX_SAFE_INTEGER, -1), ints(0, 2), ints(1, 2)]),
  one('Slice', map, [ints(-1, 3), ints(-1000, 0), ints(3, 1), ints(-1, -2)]),
  one('Slice', map, [], { starts: [1, 0], ends: [4, 3], axes: [2, 3] }, { opset: 9 }),
  one('Slice', flat, [ints(0, 2), ints(3, 7)], {}, { fixed: true }),
  between('Slice of channels', [{ op: 'Slice', inputs: ['a', ints(1), ints(-1), ints(1)], outputs: ['z'] }]),
  folded('Slice', [
    { op: 'Slice', inputs: [w([4, 20]), ints(1, 19), ints(2, 3), ints(0, 1), ints(1, -2)], outputs: ['k'] },
  ]),
  ...[undefined, ints(1, 3)].map(
    (split): OnnxCase => ({
      name: `Split into ${split === undefined ? 'halves' : 'parts'}, joined the other way round`,
      input: map,
      nodes: [
        {
          op: 'Split',
          inputs: split === undefined ? ['x'] : ['x', split],
          attributes: { axis: 1, ...(split === undefined ? { num_outputs: 2 } : {}) },
          outputs: ['a', 'b'],
        },
        { op: 'Concat', inputs: ['b', 'a'], attributes: { axis: 1 } },
      ],
    }),
  ),
  {
    name: 'Split by an attribute',
    input: map,
    opset: 11,
    nodes: [
      { op: 'Split', inputs: ['x'], attributes: { axis: -1, split: [2, 3] }, outputs: ['a', 'b'] },
      { op: 'Split', inputs: ['b'], attributes: { axis: 2 }, outputs: ['c', 'd', 'e'] },
      { op: 'Mul', inputs: ['c', 'e'] },
    ],
  },
  folded('Split', [
    { op: 'Split', inputs: [w([2, 16])], attributes: { axis: 1, num_outputs: 2 }, outputs: ['j', 'k0'] },
    { op: 'ReduceSum', inputs: ['k0', ints(0)], outputs: ['k'] },
  ]),
  one('Expand', [2, 1, 3], [ints(2, 4, 3)], {}, { fixed: true }),
  one('Expand', [2, 4, 1, 1], [ints(1, 1, 3, 5)]),
  one('Expand', [2, 1, 6], [ints(1, 5, 1)], {}, { opset: 8 }),
  one('Expand', [1, 3, 1], [ints(3, 1, 3)], {}, { fixed: true }),
  folded('Expand', [{ op: 'Expand', inputs: [w([1, 1]), ints(1, 8)], outputs: ['k'] }]),
  one('Tile', map, [ints(1, 2, 1, 3)]),
  one('Tile', flat, [ints(1, 2)], {}, { opset: 6 + 1 }),
  between('Tile of channels', [{ op: 'Tile', inputs: ['a', ints(1, 2, 1, 1)], outputs: ['z'] }]),
  folded('Tile', [{ op: 'Tile', inputs: [w([1, 2]), ints(1, 4)], outputs: ['k'] }]),
  folded('Range', [{ op: 'Range', inputs: [scalar(1), scalar(8.5), scalar(1)], outputs: ['k'] }]),
  folded('Range of whole numbers', [
    { op: 'Range', inputs: [scalar(16, 'int64'), scalar(0, 'int64'), scalar(-2, 'int64')], outputs: ['k'] },
  ]),
  folded('Range of int32', [
    { op: 'Range', inputs: [scalar(-3, 'int32'), scalar(21, 'int32'), scalar(3, 'int32')], outputs: ['k'] },
  ]),
  one('Pad', map, [ints(0, 0, 1, 2, 0, 0, 3, 0)]),
  one('Pad', map, [ints(0, 1, 0, 1, 0, 2, 0, 0), scalar(0.7)]),
  one('Pad', map, [ints(0, 0, 2, 1, 0, 0, 3, 2)], { mode: 'reflect' }),
  one('Pad', map, [ints(1, 3), undefined, ints(-2)], { mode: 'edge' }, { opset: 18 }),
  one('Pad', row, [ints(0, 0, 3, 0, 0, 2)], { mode: 'wrap' }),
  one('Pad', map, [ints(0, 0, -1, 2, 0, 0, 0, -2)]),
  one('Pad', map, [], { pads: [0, 0, 1, 1, 0, 0, 1, 1], value: f(-0.5) }, { opset: 10 }),
  one('DepthToSpace', [2, 8, 3, 2], [], { blocksize: 2 }),
  one('DepthToSpace', [2, 12, 3, 2], [], { blocksize: 2, mode: 'CRD' }),
  one('DepthToSpace', [1, 9, 2, 2], [], { blocksize: 3, mode: 'DCR' }, { opset: 11 }),
  one('SpaceToDepth', [2, 3, 4, 6], [], { blocksize: 2 }),
  one('SpaceToDepth', [1, 2, 6, 3], [], { blocksize: 3 }, { opset: 12 }),
  one('SpaceToDepth', [2, 1, 2, 2], [], { blocksize: 2 }, { fixed: true }),
]

const reductions: readonly OnnxCase[] = [
  ...['ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceProd', 'ReduceL1', 'ReduceL2'].flatMap((op) => [
    ...(op === 'ReduceSum'
      ? [one(op, map, [ints(2, 3)], { keepdims: 0 }), one(op, map, [], { axes: [1] }, { opset: 11 })]
      : [one(op, map, [ints(2, 3)], { keepdims: 0 }), one(op, map, [], { axes: [1], keepdims: 0 }, { opset: 13 })]),
    one(op, map, [ints(-1)]),
    one(op, flat, [], {}, { fixed: true }),
    one(op, [2, 3, 1, 4], [ints(2)]),
    between(op, [{ op, inputs: ['a', ints(1)], outputs: ['z'] }]),
  ]),
  ...['ReduceSumSquare', 'ReduceLogSum', 'ReduceLogSumExp'].flatMap((op) => [
    one(op, map, [ints(-1, 1)], {}, { range: [0.2, 2] }),
    one(op, map, [], { axes: [2], keepdims: 0 }, { opset: 13, range: [0.2, 2] }),
    one(op, row, [ints(2)], { keepdims: 0 }, { range: [0.2, 2], fixed: true }),
  ]),
  one('ReduceSum', flat, [], { noop_with_empty_axes: 1 }),
  one('ReduceMean', map, [ints(3, 1)], {}, { opset: 18 }),
  folded('reductions', [
    { op: 'ReduceMean', inputs: [w([8, 5]), ints(1)], attributes: { keepdims: 0 }, outputs: ['a'] },
    { op: 'ReduceL2', inputs: [w([4, 8]), ints(0)], outputs: ['b'] },
    { op: 'ReduceMax', inputs: ['b', ints(0)], attributes: { keepdims: 0 }, outputs: ['c'] },
    { op: 'Add', inputs: ['a', 'c'], outputs: ['k'] },
  ]),
  {
    name: 'ReduceProd of a shape with the batch',
    input: map,
    opset: 13,
    nodes: [
      { op: 'Shape', inputs: ['x'], outputs: ['s'] },
      { op: 'Slice', inputs: ['s', ints(0), ints(2), ints(0)], outputs: ['front'] },
      { op: 'ReduceProd', inputs: ['front'], attributes: { axes: [0], keepdims: 1 }, outputs: ['n'] },
      { op: 'Concat', inputs: ['n', ints(30)], attributes: { axis: 0 }, outputs: ['to'] },
      { op: 'Reshape', inputs: ['x', 'to'], outputs: ['z'] },
      { op: 'Reshape', inputs: ['z', ints(-1, 4, 30)] },
    ],
  },
  ...['ArgMax', 'ArgMin'].flatMap((op) => [
    one(op, map, [], { axis: 1 }),
    one(op, map, [], { axis: -1, keepdims: 0 }, { opset: 11 }),
    one(op, [2, 6, 7], [], { axis: 2, select_last_index: 1 }, { type: 'int32', range: [0, 2.9], opset: 13 }),
    between(op, [
      { op, inputs: ['a'], attributes: { axis: 1 }, outputs: ['i'] },
      { op: 'Cast', inputs: ['i'], attributes: { to: 1 }, outputs: ['z'] },
    ]),
  ]),
]

const logic: readonly OnnxCase[] = [
  ...['Equal', 'Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual'].flatMap((op) => [
    one(op, map, [w([4, 1, 1])]),
    one(op, map, ['x', scalar(0.2)], {}, { opset: op.endsWith('OrEqual') ? 12 : 11 }),
    one(op, [2, 6, 5], [constant('int32', [5], [0, 1, 2, -1, 0]), 'x'], {}, { type: 'int32', range: [-2, 2.9] }),
  ]),
  ...['And', 'Or', 'Xor'].flatMap((op) => [
    one(op, map, [bools([5])], {}, { type: 'bool', range: [0, 1.9] }),
    one(op, flat, ['x', 'x'], {}, { type: 'bool', range: [0, 1.9] }),
    one(op, flat, [bools([3, 1]), 'x'], {}, { type: 'bool', range: [0, 1.9], fixed: true }),
  ]),
  one('Not', map, [], {}, { type: 'bool', range: [0, 1.9] }),
  one('Not', flat, [], {}, { type: 'bool', range: [0, 1.9], fixed: true }),
  between('Not', [
    { op: 'Greater', inputs: ['a', scalar(0)], outputs: ['g'] },
    { op: 'Not', inputs: ['g'], outputs: ['n'] },
    { op: 'Where', inputs: ['n', 'a', scalar(0.5)], outputs: ['z'] },
  ]),
  ...[
    ['IsNaN', {}, 0],
    ['IsNaN', {}, 0],
    ['IsNaN', {}, 1],
    ['IsInf', {}, 0],
    ['IsInf', { detect_negative: 0 }, 0],
    ['IsInf', { detect_positive: 0 }, 1],
  ].map(
    ([op, attributes, i], place): OnnxCase => ({
      name: `${op} ${JSON.stringify(attributes)} ${place}`,
      input: i === 0 ? flat : map,
      nodes: [
        { op: 'Floor', inputs: ['x'], outputs: ['a'] },
        { op: op === 'IsNaN' ? 'Log' : 'Reciprocal', inputs: ['a'], outputs: ['b'] },
        { op: op as string, inputs: ['b'], attributes: attributes as Attributes },
      ],
    }),
  ),
  one('Where', map, [bools([4, 1, 1]), 'x', scalar(0.25)]),
  one('Where', [2, 3], [constant('bool', [2, 3], [1, 0, 1, 1, 0, 1]), 'x', w([1, 3])], {}, { fixed: true }),
  one('Concat', [2, 4, 3], ['x', constant('float', [2, 1, 3], [1, 2, 3, 1, 2, 3])], { axis: 1 }, { fixed: true }),
  one('Where', map, [bools([5]), w([4, 6, 5]), 'x'], {}, { opset: 9 }),
  {
    name: 'Where between values of the input',
    input: map,
    nodes: [
      { op: 'Less', inputs: ['x', w([6, 1])], outputs: ['c'] },
      { op: 'Neg', inputs: ['x'], outputs: ['n'] },
      { op: 'Where', inputs: ['c', 'x', 'n'] },
    ],
  },
  folded('Where', [{ op: 'Where', inputs: [bools([8]), w([1, 1]), scalar(2)], outputs: ['k'] }]),
  {
    name: 'the batch compared with -1, as exporters of older opsets do for Expand',
    input: [2, 1, 5],
    opset: 13,
    nodes: [
      { op: 'Shape', inputs: ['x'], outputs: ['s'] },
      { op: 'Gather', inputs: ['s', scalar(0, 'int64')], outputs: ['n'] },
      { op: 'Unsqueeze', inputs: ['n', ints(0)], outputs: ['n1'] },
      { op: 'Concat', inputs: ['n1', ints(4, -1)], attributes: { axis: 0 }, outputs: ['to'] },
      { op: 'Equal', inputs: ['to', ints(-1)], outputs: ['open'] },
      { op: 'Where', inputs: ['open', ints(1, 1, 1), 'to'], outputs: ['shape'] },
      { op: 'Expand', inputs: ['x', 'shape'] },
    ],
  },
  one('Cast', map, [], { to: 7 }, { range: [-5, 5] }),
  one('Cast', flat, [], { to: 9 }, { opset: 9 }),
  one('Cast', flat, [], { to: 1 }, { type: 'int32', range: [-5, 5], opset: 13 }),
  one('Cast', flat, [], { to: 11 }),
  // To uint8, int8, uint16 and int16 numbers wrap.
  ...[2, 3, 4, 5].flatMap((to) => [
    one('Cast', flat, [], { to }, { type: 'int32', range: [-(2 ** 31), 2 ** 31], tolerance: 1e-6 }),
    one('Cast', flat, [], { to }, { range: [to % 2 === 0 ? 0 : -1000, 1000], tolerance: 1e-6 }),
  ]),
  folded('Cast', [
    {
      op: 'Cast',
      inputs: [constant('float', [8], [-1.5, 300.2, 7, 0, 2.9, -2.9, 1, 5])],
      attributes: { to: 6 },
      outputs: ['k'],
    },
  ]),
  one('CastLike', flat, [scalar(1, 'int64')], {}, { range: [-5, 5] }),
  one('CastLike', flat, [scalar(1, 'bool')], {}, { opset: 15 }),
  one('CastLike', map, [scalar(1)], {}, { type: 'int32', range: [-5, 5] }),
]

export const partCases: readonly OnnxCase[] = [...parts, ...reductions, ...logic]
