/** Layers that move pixels, transform signals or quantise: see export.cases.ts. */
import type { Shape } from '../../base/shape.ts'
import * as nn from '../../nn/index.ts'
import { type ExportCase, make, map, row, volume } from './export-make.cases.ts'

const modes = ['nearest', 'linear', 'cubic'] as const
const coordinates = ['halfPixel', 'pytorchHalfPixel', 'halfPixelSymmetric', 'asymmetric', 'alignCorners'] as const
const roundings = ['halfDown', 'halfUp', 'floor', 'ceil'] as const

const spatial = [
  make('pad', nn.pad([[1, 2], [0, 1], [0, 0]]), map), // biome-ignore format: pads on a line
  make('pad with a value, channels too', nn.pad([[1, 0], [0, 1], [1, 2]], { value: 0.7 }), map), // biome-ignore format: pads on a line
  ...(['edge', 'reflect', 'wrap'] as const).map((mode) => make(`pad ${mode}`, nn.pad([[1, 2], [3, 1], [0, 0]], { mode }), map)), // biome-ignore format: pads on a line
  make('pad of a vector', nn.pad([[1, 2]]), [9]),
  ...modes.flatMap((mode) =>
    coordinates.map((place) =>
      make(`resize ${mode} ${place}`, nn.resize({ scale: [2, 1.5], mode, coordinates: place }), map),
    ),
  ),
  ...roundings.map((nearestRounding) =>
    make(`resize nearest ${nearestRounding}`, nn.resize({ size: [7, 3], nearestRounding }), map),
  ),
  make('resize to a size', nn.resize({ size: [9, 13], mode: 'linear' }), map),
  make('resize smaller', nn.resize({ size: [3, 2], mode: 'linear', antialias: true }), map),
  make(
    'resize cubic of another kind',
    nn.resize({ scale: 2, mode: 'cubic', cubicCoefficient: -0.5, excludeOutside: true }),
    map,
  ),
  make('resize of a row', nn.resize({ scale: 3, mode: 'linear' }), row),
  make('resize of a volume', nn.resize({ scale: 2 }), volume),
  make('depthToSpace', nn.depthToSpace(2), [3, 2, 8]),
  make('depthToSpace CRD', nn.depthToSpace(2, { order: 'CRD' }), [3, 2, 8]),
  make('spaceToDepth', nn.spaceToDepth(2), [6, 4, 3]),
  make('spaceToDepth CRD', nn.spaceToDepth(2, { order: 'CRD' }), [6, 4, 3]),
]

const signal: Shape = [20, 1]
const signals = [
  make('dft', nn.dft(), signal),
  make('dft of one side', nn.dft({ onesided: true }), signal),
  make('dft longer', nn.dft({ length: 24 }), [20, 2]),
  make('dft back', nn.dft({ inverse: true }), [20, 2]),
  make('dft back, one side', nn.dft({ inverse: true, onesided: true }), [20, 2]),
  make('dft along the first axis', nn.dft({ axis: 0 }), [6, 3, 1]),
  make('stft', nn.stft({ frameLength: 8, frameStep: 4 }), signal),
  make('stft with a window', nn.stft({ frameStep: 3, window: [0, 0.5, 1, 0.5] }), signal),
  make('stft of both sides', nn.stft({ frameLength: 6, frameStep: 5, onesided: false }), signal),
]

const byChannel = { scale: [0.1, 0.2, 0.05, 0.3], zeroPoint: [3, 0, 100, 7] }
const quantizing = [
  make('quantize', nn.quantize({ scale: 0.01, zeroPoint: 120 }), map),
  make('quantize i8 by channel', nn.quantize({ ...byChannel, type: 'i8' }), map),
  ...(['u16', 'i16', 'u4', 'i4'] as const).map((type) =>
    make(`quantize ${type}`, nn.quantize({ scale: 0.2, zeroPoint: 5, type }), map),
  ),
  make('quantize i4 by row', nn.quantize({ scale: [0.1, 0.2, 0.3, 0.1, 0.2, 0.3], axis: 0, type: 'i4' }), map),
  make('quantize and back', nn.sequential(nn.quantize(byChannel), nn.dequantize(byChannel)), map),
  make('dequantize', nn.dequantize({ scale: [0.1, 0.2, 0.05, 0.3], zeroPoint: 2 }), map),
]

export const spatialCases: readonly ExportCase[] = [...spatial, ...signals, ...quantizing]
