/** Fourier transforms as layers, for networks that begin with the signal itself. They have no parameters. */
import { ConfigError, checkOptions, ShapeError } from '../base/errors.ts'
import { type Shape, showShape, sizeOf } from '../base/shape.ts'
import * as t from '../tensor/index.ts'
import { sampleAxis } from './arrange.ts'
import { type Json, type Layer, type Scope, where } from './layer.ts'

function given(options: object): { [name: string]: Json } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}

/** Number of parts that the last axis holds, real or real and imaginary. */
function partsOf(scope: Scope, type: string, input: Shape, expected: string, fits: boolean): number {
  const parts = input[input.length - 1]
  if (fits && (parts === 1 || parts === 2)) return parts
  throw new ShapeError({
    where: where(scope, type),
    what: 'the last axis does not hold real and imaginary part',
    got: `samples of shape ${showShape(input)}`,
    expected,
    fix: 'give real signals an axis of 1 at the end',
  })
}

const count = (type: string, name: string, value: number | undefined): void => {
  if (value === undefined || (Number.isInteger(value) && value >= 1)) return
  throw new ConfigError({
    where: `nn.${type}`,
    what: `${name} makes no sense`,
    got: String(value),
    expected: 'a whole number of at least 1',
    fix: `correct ${name}`,
  })
}

const binsOf = (length: number, onesided: boolean): number => (onesided ? Math.floor(length / 2) + 1 : length)

/**
 * Discrete Fourier transform along an axis of a sample: […, n, …, 1 or 2] to […, n, …, 2], of which the last axis holds
 * real and imaginary part.
 * @param options axis of a sample, default -2; length, inverse and onesided as for {@link t.dft}
 * @throws ConfigError
 */
export function dft(options: t.DftOptions = {}): Layer {
  checkOptions('nn.dft', options, ['axis', 'length', 'inverse', 'onesided'])
  count('dft', 'length', options.length)
  const { axis = -2, onesided = false } = options
  return {
    type: 'dft',
    options: given(options),
    build(scope, input) {
      partsOf(scope, 'dft', input, '[…, length, …, 1 or 2]', input.length >= 2)
      const at = sampleAxis(scope, 'dft', axis, input)
      if (at === input.length - 1) {
        throw new ConfigError({
          where: where(scope, 'dft'),
          what: 'the last axis holds real and imaginary part',
          got: `axis ${axis} of ${showShape(input)}`,
          expected: 'another axis',
          fix: 'transform along axis -2',
        })
      }
      const bins = binsOf(options.length ?? input[at], onesided)
      const output = input.map((extent, i) => (i === at ? bins : i === input.length - 1 ? 2 : extent))
      return { output, apply: (x) => t.dft(x, { ...options, axis: at + 1 }) }
    },
    cost(input, output) {
      const at = axis < 0 ? axis + input.length : axis
      const length = options.length ?? input[at]
      return { multiplyAdds: sizeOf(output) * length * input[input.length - 1], seesAll: at === 0 }
    },
  }
}

export interface StftLayerOptions extends Omit<t.StftOptions, 'window'> {
  /** What the elements of a frame are multiplied by. Default: nothing. */
  readonly window?: readonly number[]
}

/**
 * Fourier transforms of the frames of a signal: [length, 1 or 2] to [frames, ⌊frameLength / 2⌋ + 1, 2].
 * @throws ConfigError
 */
export function stft(options: StftLayerOptions): Layer {
  checkOptions('nn.stft', options, ['frameLength', 'frameStep', 'window', 'onesided'])
  const { frameStep, window, onesided = true } = options
  const frame = options.frameLength ?? window?.length ?? 0
  count('stft', 'frameLength', frame)
  count('stft', 'frameStep', frameStep ?? 0)
  return {
    type: 'stft',
    options: given(options),
    build(scope, input) {
      partsOf(scope, 'stft', input, '[length, 1 or 2]', input.length === 2)
      const frames = Math.floor((input[0] - frame) / frameStep) + 1
      if (frames < 1) {
        throw new ShapeError({
          where: where(scope, 'stft'),
          what: 'a frame is longer than what arrives',
          got: `samples of shape ${showShape(input)}, frames of ${frame}`,
          expected: 'at least one whole frame',
          fix: 'pad the signal, or use shorter frames',
        })
      }
      return { output: [frames, binsOf(frame, onesided), 2], apply: (x) => t.stft(x, options) }
    },
    cost: (input, output) => ({
      multiplyAdds: sizeOf(output) * frame * input[1],
      window: { kernelSize: [frame], stride: [frameStep], dilation: [1] },
    }),
  }
}
