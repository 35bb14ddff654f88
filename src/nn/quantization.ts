/** Values rounded to the steps of a narrow integer and back, as quantised networks have them between layers. */
import { ConfigError, checkOptions, ShapeError } from '../base/errors.ts'
import { type Shape, showShape } from '../base/shape.ts'
import * as t from '../tensor/index.ts'
import { sampleAxis } from './arrange.ts'
import { type Json, type Layer, type Scope, where } from './layer.ts'

/** Smallest and largest number of each type. */
const ranges = {
  u8: [0, 255],
  i8: [-128, 127],
  u16: [0, 65535],
  i16: [-32768, 32767],
  u4: [0, 15],
  i4: [-8, 7],
} as const
export type QuantizedType = keyof typeof ranges

export interface DequantizeOptions {
  /** What a step is worth: one positive number, or one for each place of the axis. */
  readonly scale: number | readonly number[]
  /** The number that stands for 0, one or one for each place of the axis. Default 0. */
  readonly zeroPoint?: number | readonly number[]
  /** Axis of a sample along which scales differ. Default -1. */
  readonly axis?: number
}

export interface QuantizeOptions extends DequantizeOptions {
  /** Default `'u8'`. */
  readonly type?: QuantizedType
}

function check(type: string, options: DequantizeOptions, more: readonly string[] = []): void {
  checkOptions(`nn.${type}`, options, ['scale', 'zeroPoint', 'axis', ...more])
  const { scale, zeroPoint = 0 } = options
  const [scales, zeros] = [scale, zeroPoint].map((value): readonly number[] =>
    typeof value === 'number' ? [value] : (value ?? []),
  )
  const fits = scales.length === zeros.length || scales.length === 1 || zeros.length === 1
  const positive = scales.length > 0 && scales.every((value) => value > 0 && Number.isFinite(value))
  if (fits && positive && zeros.length > 0 && zeros.every(Number.isInteger)) return
  throw new ConfigError({
    where: `nn.${type}`,
    what: 'scale and zeroPoint make no sense',
    got: JSON.stringify({ scale, zeroPoint }).slice(0, 120),
    expected: 'positive scales and whole zero points, one of each or equally many',
    fix: 'correct them',
  })
}

/** A number, or numbers along an axis of samples, as an operand. */
function operand(
  scope: Scope,
  type: string,
  value: number | readonly number[],
  axis: number,
  input: Shape,
): () => t.TensorLike {
  if (typeof value === 'number') return () => value
  const at = sampleAxis(scope, type, axis, input)
  if (value.length !== input[at] && value.length !== 1) {
    throw new ShapeError({
      where: where(scope, type),
      what: `there are ${value.length} numbers for axis ${axis}`,
      got: `samples of shape ${showShape(input)}`,
      expected: `one number, or ${input[at]}`,
      fix: 'name another axis',
    })
  }
  const shape = [1, ...input.map((_, i) => (i === at ? value.length : 1))]
  return () => t.tensor(Float32Array.from(value), shape)
}

/** Options in the order in which they are written down, without what was left out. */
function written(options: QuantizeOptions): { [name: string]: Json } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}

/**
 * Real values as whole numbers of a narrow type: round(x / scale) + zeroPoint, held in the type's range; halves go to the
 * even number, as in ONNX. What comes out is f32. Training sees through the rounding: the gradient is that of x / scale
 * within the range and 0 outside (Jacob et al. 2018, "Quantization and training of neural networks", section 3).
 * @throws ConfigError
 */
export function quantize(options: QuantizeOptions): Layer {
  const { scale, zeroPoint = 0, axis = -1, type = 'u8' } = options
  check('quantize', options, ['type'])
  if (!Object.hasOwn(ranges, type)) {
    throw new ConfigError({
      where: 'nn.quantize',
      what: `there is no type '${type}'`,
      expected: Object.keys(ranges).join(', '),
      fix: "use for instance 'u8'",
    })
  }
  const [low, high] = ranges[type]
  return {
    type: 'quantize',
    options: written(options),
    build(scope, input) {
      const [scales, zeros] = [scale, zeroPoint].map((value) => operand(scope, 'quantize', value, axis, input))
      const apply = (x: t.Tensor): t.Tensor => {
        const steps = x.div(scales())
        const whole = steps.add(t.stopGradient(t.round(steps).sub(steps)))
        return whole.add(zeros()).clamp(low, high)
      }
      return { output: input, apply }
    },
  }
}

/** Undoes {@link quantize} but for what was rounded: (x - zeroPoint) · scale. @throws ConfigError */
export function dequantize(options: DequantizeOptions): Layer {
  const { scale, zeroPoint = 0, axis = -1 } = options
  check('dequantize', options)
  return {
    type: 'dequantize',
    options: written(options),
    build(scope, input) {
      const [scales, zeros] = [scale, zeroPoint].map((value) => operand(scope, 'dequantize', value, axis, input))
      return { output: input, apply: (x) => x.cast('f32').sub(zeros()).mul(scales()) }
    },
  }
}
