/** Sizes of pictures, signals and quantisation, as nodes that are read; ONNX Runtime judges. */
import {
  type Constant,
  constant,
  f,
  fs,
  ints,
  numbers,
  type OnnxCase,
  one,
  scalar,
  w,
} from '../../../../test/onnx-judge.ts'
import { folded, map, row } from './parts.cases.ts'

const sizes = (...data: number[]) => ints(...data)
const scales = (...data: number[]): Constant => constant('float', [data.length], data)
const picture = [1, 3, 4, 5]

const resizing: readonly OnnxCase[] = [
  ...['half_pixel', 'pytorch_half_pixel', 'align_corners', 'asymmetric', 'half_pixel_symmetric'].flatMap((place) => [
    ...['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'].map((rounding) =>
      one(
        'Resize',
        picture,
        [undefined, undefined, sizes(1, 3, 7, 4)],
        {
          coordinate_transformation_mode: place,
          nearest_mode: rounding,
          mode: 'nearest',
        },
        { opset: 19, fixed: true },
      ),
    ),
    one(
      'Resize',
      picture,
      [undefined, scales(1, 1, 2.3, 0.7)],
      {
        coordinate_transformation_mode: place,
        mode: 'linear',
      },
      { opset: 19, fixed: true },
    ),
    one(
      'Resize',
      picture,
      [undefined, sizes(1, 3, 9, 4)].toSpliced(1, 0, undefined),
      {
        coordinate_transformation_mode: place,
        mode: 'cubic',
      },
      { opset: 19, fixed: true },
    ),
  ]),
  one(
    'Resize',
    map,
    [scales(), scales(1, 1, 2, 2)],
    { mode: 'nearest', nearest_mode: 'floor', coordinate_transformation_mode: 'asymmetric' },
    { opset: 11 },
  ),
  one(
    'Resize',
    map,
    [undefined, scales(1, 1, 2, 2)],
    { mode: 'linear', coordinate_transformation_mode: 'pytorch_half_pixel' },
    { opset: 13 },
  ),
  one('Resize', map, [undefined, scales(1, 1, 1.6, 1.6)], {
    mode: 'cubic',
    cubic_coeff_a: f(-0.5),
    exclude_outside: 1,
  }),
  one(
    'Resize',
    [1, 2, 9, 11],
    [undefined, undefined, sizes(1, 2, 4, 5)],
    { mode: 'linear', antialias: 1 },
    { fixed: true },
  ),
  one(
    'Resize',
    [1, 2, 9, 11],
    [undefined, undefined, sizes(1, 2, 6, 4)],
    { mode: 'cubic', antialias: 1 },
    { fixed: true },
  ),
  one(
    'Resize',
    map,
    [undefined, undefined, sizes(9, 8)],
    { mode: 'nearest', axes: [2, 3], keep_aspect_ratio_policy: 'not_larger' },
    { opset: 18 },
  ),
  one(
    'Resize',
    map,
    [undefined, undefined, sizes(9, 8)],
    { mode: 'linear', axes: [2, 3], keep_aspect_ratio_policy: 'not_smaller' },
    { opset: 18 },
  ),
  one('Resize', row, [undefined, scales(1, 1, 2)], { mode: 'linear' }),
  one('Resize', map, [scales(1, 1, 2, 3)], { mode: 'nearest' }, { opset: 10 }),
  one('Resize', map, [scales(1, 1, 0.5, 0.6)], { mode: 'nearest' }, { opset: 10 }),
  one('Resize', map, [scales(1, 1, 1.5, 2)], { mode: 'linear' }, { opset: 10 }),
  {
    name: 'Resize to a size computed from the shape',
    input: map,
    opset: 13,
    nodes: [
      { op: 'Shape', inputs: ['x'], outputs: ['s'] },
      { op: 'Slice', inputs: ['s', ints(0), ints(2), ints(0)], outputs: ['front'] },
      { op: 'Slice', inputs: ['s', ints(2), ints(4), ints(0)], outputs: ['back'] },
      { op: 'Cast', inputs: ['back'], attributes: { to: 1 }, outputs: ['backf'] },
      { op: 'Mul', inputs: ['backf', scalar(2)], outputs: ['twice'] },
      { op: 'Floor', inputs: ['twice'], outputs: ['whole'] },
      { op: 'Cast', inputs: ['whole'], attributes: { to: 7 }, outputs: ['size'] },
      { op: 'Concat', inputs: ['front', 'size'], attributes: { axis: 0 }, outputs: ['to'] },
      {
        op: 'Resize',
        inputs: ['x', undefined, undefined, 'to'],
        attributes: { mode: 'linear', coordinate_transformation_mode: 'half_pixel' },
      },
    ],
  },
  one('Upsample', map, [], { mode: 'nearest', scales: fs(1, 1, 2, 3) }, { opset: 7 }),
  one('Upsample', map, [scales(1, 1, 2, 2)], { mode: 'linear' }, { opset: 9 }),
  one('Upsample', map, [scales(1, 1, 1.5, 2.4)], { mode: 'nearest' }, { opset: 9 }),
]

const hann = { op: 'HannWindow', inputs: [scalar(8, 'int64')], outputs: ['window'] }

const signals: readonly OnnxCase[] = [
  one('DFT', [2, 9, 1], ['x', undefined, scalar(1, 'int64')], {}, { opset: 20 }),
  one('DFT', [2, 10, 1], ['x', undefined, scalar(-2, 'int64')], { onesided: 1 }, { opset: 20 }),
  one('DFT', [2, 8, 2], ['x', undefined, scalar(1, 'int64')], { inverse: 1 }, { opset: 20 }),
  one('DFT', [2, 9, 1], ['x', scalar(12, 'int64')], { axis: 1, onesided: 1 }, { opset: 17 }),
  one('DFT', [2, 8, 3, 1], ['x', scalar(6, 'int64')], { axis: 1 }, { opset: 17 }),
  one('DFT', [2, 3, 8, 2], [], { axis: 2 }, { opset: 17 }),
  one('STFT', [2, 24, 1], ['x', scalar(4, 'int64'), undefined, scalar(8, 'int64')]),
  {
    name: 'STFT with a window',
    input: [2, 32, 1],
    opset: 17,
    nodes: [hann, { op: 'STFT', inputs: ['x', scalar(3, 'int64'), 'window'] }],
  },
  one('STFT', [1, 20, 1], ['x', scalar(5, 'int64'), w([6]), scalar(6, 'int64')], { onesided: 0 }, { opset: 17 }),
  ...['HannWindow', 'HammingWindow', 'BlackmanWindow'].flatMap((op) => [
    folded(op, [{ op, inputs: [scalar(8, 'int64')], outputs: ['k'] }]),
    folded(`${op}, symmetric`, [{ op, inputs: [scalar(8, 'int64')], attributes: { periodic: 0 }, outputs: ['k'] }]),
    folded(
      `${op} of int32`,
      [{ op, inputs: [scalar(8, 'int32')], attributes: { output_datatype: 1 }, outputs: ['k'] }],
      {
        opset: 17,
      },
    ),
  ]),
  ...[
    [8, 16, 8192, 0, 4096],
    [8, 64, 8000, 20, 3800],
    [8, 512, 16000, 125, 7500],
  ].map(([bands, length, rate, low, high]) =>
    folded(`MelWeightMatrix ${length}`, [
      {
        op: 'MelWeightMatrix',
        inputs: [scalar(bands, 'int64'), scalar(length, 'int64'), scalar(rate, 'int64'), scalar(low), scalar(high)],
        outputs: ['m'],
      },
      { op: 'MatMul', inputs: [w([1, length / 2 + 1]), 'm'], outputs: ['k'] },
    ]),
  ),
  {
    name: 'a mel spectrogram',
    input: [2, 64, 1],
    opset: 17,
    nodes: [
      hann,
      { op: 'STFT', inputs: ['x', scalar(4, 'int64'), 'window'], outputs: ['s'] },
      { op: 'ReduceSumSquare', inputs: ['s'], attributes: { axes: [3], keepdims: 0 }, outputs: ['power'] },
      {
        op: 'MelWeightMatrix',
        inputs: [scalar(3, 'int64'), scalar(8, 'int64'), scalar(800, 'int64'), scalar(0), scalar(400)],
        outputs: ['m'],
      },
      { op: 'MatMul', inputs: ['power', 'm'], outputs: ['mel'] },
      { op: 'Add', inputs: ['mel', scalar(0.001)], outputs: ['z'] },
      { op: 'Log', inputs: ['z'] },
    ],
  },
]

const step = scalar(0.05)
const zero = (type: 'uint8' | 'int8', value: number) => scalar(value, type)
const perChannel = scales(0.05, 0.02, 0.1, 0.3)

/** Quantised and back: the judge knows no narrow outputs. */
const there = (
  name: string,
  scale: Constant,
  point: Constant | undefined,
  axis?: number,
  more: Partial<OnnxCase> = {},
): OnnxCase => ({
  name: `QuantizeLinear ${name}`,
  input: map,
  nodes: [
    {
      op: 'QuantizeLinear',
      inputs: ['x', scale, point],
      attributes: axis === undefined ? {} : { axis },
      outputs: ['q'],
    },
    { op: 'DequantizeLinear', inputs: ['q', scale, point], attributes: axis === undefined ? {} : { axis } },
  ],
  ...more,
})

const quantization: readonly OnnxCase[] = [
  there('uint8', step, zero('uint8', 110)),
  there('int8', step, zero('int8', -3), undefined, { opset: 10 }),
  there('without a zero point', scalar(0.01), undefined, undefined, { opset: 13 }),
  there('by channel', perChannel, constant('int8', [4], [3, -2, 0, 1]), 1, { opset: 13 }),
  there('by column', scales(0.1, 0.2, 0.3, 0.4, 0.5), constant('uint8', [5], [9, 8, 7, 128, 0]), -1),
  {
    name: 'a quantised convolution',
    input: map,
    opset: 13,
    nodes: [
      { op: 'QuantizeLinear', inputs: ['x', step, zero('uint8', 128)], outputs: ['q'] },
      { op: 'DequantizeLinear', inputs: ['q', step, zero('uint8', 128)], outputs: ['a'] },
      {
        op: 'DequantizeLinear',
        inputs: [
          constant('int8', [4, 4, 3, 3], numbers(144, -127, 127).map(Math.round)),
          perChannel,
          constant('int8', [4], [0, 0, 0, 0]),
        ],
        attributes: { axis: 0 },
        outputs: ['weight'],
      },
      { op: 'DequantizeLinear', inputs: [constant('int32', [4], [50, -20, 7, 0]), step], outputs: ['bias'] },
      { op: 'Conv', inputs: ['a', 'weight', 'bias'], attributes: { pads: [1, 1, 1, 1] } },
    ],
  },
]

export const signalCases: readonly OnnxCase[] = [...resizing, ...signals, ...quantization]
