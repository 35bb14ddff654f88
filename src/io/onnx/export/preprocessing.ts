import { ConfigError, checkOptions, checkRange } from '../../../base/errors.ts'
import type { PictureNormalization } from '../../../nn/model.ts'
import type { OnnxGraph, Value } from './graph.ts'
import { sampleShape } from './layout.ts'

/** y = (x · scale - mean) / std, in the graph. */
export interface Preprocessing {
  /** What comes in: `'u8'` bytes 0 … 255, or `'f32'` (default). */
  readonly dtype?: 'u8' | 'f32'
  /** Default 1/255 for bytes, as a model does with them on entry; 1 for f32. */
  readonly scale?: number
  /** Of scaled values: one number, or one for each channel. Default: what the model's `pictures` say, otherwise 0. */
  readonly mean?: number | readonly number[]
  /** Default: what the model's `pictures` say, otherwise 1. */
  readonly std?: number | readonly number[]
}

/** One number for all, or one for each channel. @throws ConfigError on another number of them */
function perChannel(name: string, value: number | readonly number[], channels: number): readonly number[] {
  const list = typeof value === 'number' ? [value] : value
  if ((list.length === 1 || list.length === channels) && list.every(Number.isFinite)) return list
  throw new ConfigError({
    where: 'exportOnnx',
    what: `preprocessing.${name} does not fit the samples`,
    got: `[${list.join(', ')}]`,
    expected: `a number, or ${channels}: one for each channel`,
    fix: `correct ${name}`,
  })
}

/**
 * What makes samples ready: a Cast for bytes, one Mul and one Add.
 * @throws ConfigError on numbers that make no sense
 */
export function addPreprocessing(
  graph: OnnxGraph,
  x: Value,
  options: Preprocessing,
  pictures: PictureNormalization | undefined,
): Value {
  checkOptions('exportOnnx: preprocessing', options, ['dtype', 'scale', 'mean', 'std'])
  const { dtype = 'f32', scale = dtype === 'u8' ? 1 / 255 : 1 } = options
  if (dtype !== 'u8' && dtype !== 'f32') {
    throw new ConfigError({
      where: 'exportOnnx',
      what: 'preprocessing.dtype makes no sense',
      got: String(dtype),
      expected: "'u8' or 'f32'",
      fix: "use 'u8' for pictures",
    })
  }
  checkRange('exportOnnx', 'preprocessing.scale', scale, Number.isFinite(scale), 'a finite number')
  const shape = sampleShape(x.layout)
  const channels = shape[shape.length - 1] ?? 1
  const mean = perChannel('mean', options.mean ?? pictures?.mean ?? 0, channels)
  const std = perChannel('std', options.std ?? pictures?.std ?? 1, channels)
  checkRange('exportOnnx', 'preprocessing.std', `[${std}]`, !std.includes(0), 'numbers other than 0')
  const at = (list: readonly number[], channel: number) => list[list.length === 1 ? 0 : channel]
  const count = Math.max(mean.length, std.length)
  // x · scale / std - mean / std
  const factor = Array.from({ length: count }, (_, channel) => scale / at(std, channel))
  const offset = Array.from({ length: count }, (_, channel) => -at(mean, channel) / at(std, channel))
  const extents = x.layout.axes.map((_, axis) => (axis === 0 ? count : 1))
  const numbers = (name: string, values: readonly number[]) =>
    count === 1 ? graph.scalar(values[0]) : graph.constant(`preprocessing/${name}`, 'float', values, extents)

  const result = { ...x, type: 'float' } as const
  let value = x.type === 'float' ? x : graph.value('preprocessing/float', 'Cast', [graph.use(x)], { to: 1 }, result)
  if (factor.some((number) => number !== 1)) {
    value = graph.value('preprocessing/scaled', 'Mul', [value.name, numbers('factor', factor)], {}, result)
  }
  if (offset.some((number) => number !== 0)) {
    value = graph.value('preprocessing/shifted', 'Add', [value.name, numbers('offset', offset)], {}, result)
  }
  return value
}
