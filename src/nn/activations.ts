import { ConfigError, checkOptions } from '../base/errors.ts'
import { sizeOf } from '../base/shape.ts'
import * as t from '../tensor/index.ts'
import { sampleAxis } from './arrange.ts'
import type { Json, Layer } from './layer.ts'

type Apply = (x: t.Tensor) => t.Tensor
type Options = { readonly [name: string]: Json }

function pointwise(type: string, apply: Apply, options: Options = {}): Layer {
  return { type, options, build: (_scope, input) => ({ output: input, apply }) }
}

/** Options as they are written down. @throws ConfigError on one that the layer does not have */
function given(type: string, options: Options, names: readonly string[]): Options {
  checkOptions(`nn.${type}`, options, names)
  return { ...options }
}

/** One whose gradient reads the result alone, so that nobody needs what arrived. */
function inPlace(type: string, apply: Apply, options: Options = {}): Layer {
  return { ...pointwise(type, apply, options), cost: () => ({ multiplyAdds: 0, inPlace: true }) }
}

/** max(x, 0) */
export const relu = (): Layer => inPlace('relu', t.relu)
/** min(max(x, 0), 6) (Sandler et al. 2018, "MobileNetV2", section 3: for arithmetic of low precision). */
export const relu6 = (): Layer => inPlace('relu6', t.relu6)
/** x where positive, slope · x elsewhere. */
export const leakyRelu = (slope = 0.01): Layer =>
  (slope > 0 ? inPlace : pointwise)('leakyRelu', (x) => t.leakyRelu(x, slope), { slope })
export const elu = (alpha = 1): Layer => (alpha >= 0 ? inPlace : pointwise)('elu', (x) => t.elu(x, alpha), { alpha })
/** γ · elu(x, α): keeps mean and variance (Klambauer et al. 2017). */
export const selu = (options: { readonly alpha?: number; readonly gamma?: number } = {}): Layer =>
  pointwise('selu', (x) => t.selu(x, options.alpha, options.gamma), given('selu', options, ['alpha', 'gamma']))
/** x where positive, alpha · (e^(x/alpha) - 1) elsewhere. */
export const celu = (alpha = 1): Layer => pointwise('celu', (x) => t.celu(x, alpha), { alpha })
/** ln(1 + eˣ) */
export const softplus = (): Layer => pointwise('softplus', t.softplus)
/** ln(sigmoid(x)) */
export const logSigmoid = (): Layer => pointwise('logSigmoid', t.logSigmoid)
/** x / (1 + |x|) */
export const softsign = (): Layer => pointwise('softsign', t.softsign)
/** x · tanh(softplus(x)) */
export const mish = (): Layer => pointwise('mish', t.mish)
/** alpha · x + beta held between 0 and 1; x/6 + ½ by default, as in PyTorch. */
export const hardSigmoid = (options: { readonly alpha?: number; readonly beta?: number } = {}): Layer =>
  pointwise(
    'hardSigmoid',
    (x) => t.hardSigmoid(x, options.alpha, options.beta),
    given('hardSigmoid', options, ['alpha', 'beta']),
  )
/** x held between two numbers, -1 and 1 by default. @throws ConfigError unless min is below max */
export function hardTanh(options: { readonly min?: number; readonly max?: number } = {}): Layer {
  const { min = -1, max = 1 } = options
  if (!(min < max)) {
    throw new ConfigError({
      where: 'nn.hardTanh',
      what: 'the range is empty',
      got: `min ${min}, max ${max}`,
      expected: 'min below max',
      fix: 'correct the limits',
    })
  }
  return pointwise('hardTanh', (x) => t.hardTanh(x, min, max), given('hardTanh', options, ['min', 'max']))
}
/** x above alpha, 0 elsewhere. */
export const thresholdedRelu = (alpha = 1): Layer =>
  pointwise('thresholdedRelu', (x) => t.thresholdedRelu(x, alpha), { alpha })
/** 0 within ±lambda, elsewhere x moved towards 0 by `bias`: Hardshrink with bias 0, Softshrink with bias lambda. */
export const shrink = (options: { readonly lambda?: number; readonly bias?: number } = {}): Layer =>
  pointwise('shrink', (x) => t.shrink(x, options.lambda, options.bias), given('shrink', options, ['lambda', 'bias']))

export interface PreluOptions {
  /** One slope for the layer (default, as in PyTorch), one a channel, or one for every value of a sample. */
  readonly slopes?: 'one' | 'channels' | 'values'
  /** Where slopes begin. Default 0.25. */
  readonly initial?: number
}

/** x where positive, slope · x elsewhere, with slopes that are learned (He et al. 2015, "Delving deep into rectifiers"). */
export function prelu(options: PreluOptions = {}): Layer {
  checkOptions('nn.prelu', options, ['slopes', 'initial'])
  const { slopes = 'one', initial = 0.25 } = options
  if (!['one', 'channels', 'values'].includes(slopes) || !Number.isFinite(initial)) {
    throw new ConfigError({
      where: 'nn.prelu',
      what: 'the options make no sense',
      got: JSON.stringify(options),
      expected: "slopes 'one', 'channels' or 'values'; a finite number to begin with",
      fix: 'correct them',
    })
  }
  return {
    type: 'prelu',
    options: { slopes, initial },
    build(scope, input) {
      const shape = slopes === 'one' ? [1] : slopes === 'channels' ? input.slice(-1) : input
      // Decay would push slopes towards ReLU (section 2.1).
      const slope = scope.parameter('weight', shape, { kind: 'constant', value: initial }, { decays: false })
      return { output: input, apply: (x) => t.prelu(x, slope.value) }
    },
  }
}

/** x · Φ(x) */
export const gelu = (form: 'erf' | 'tanh' = 'erf'): Layer => pointwise('gelu', (x) => t.gelu(x, form), { form })
/** x · sigmoid(x) */
export const silu = (): Layer => pointwise('silu', t.silu)
export const sigmoid = (): Layer => inPlace('sigmoid', t.sigmoid)
export const tanh = (): Layer => inPlace('tanh', t.tanh)
export const hardSwish = (): Layer => pointwise('hardSwish', t.hardSwish)

export interface SoftmaxOptions {
  /** Axis of a sample, the batch is not counted; default -1, the last. */
  readonly axis?: number
}

function alongAxis(type: string, apply: (x: t.Tensor, axis: number) => t.Tensor, options: SoftmaxOptions): Layer {
  checkOptions(`nn.${type}`, options, ['axis'])
  const { axis = -1 } = options
  return {
    type,
    options: axis === -1 ? {} : { axis },
    build(scope, input) {
      const at = sampleAxis(scope, type, axis, input) + 1
      return { output: input, apply: (x) => apply(x, at) }
    },
    cost: () => ({ multiplyAdds: 0, inPlace: true }),
  }
}

/** Probabilities along an axis. Losses want logits: leave it out while training with crossEntropy. */
export const softmax = (options: SoftmaxOptions = {}): Layer => alongAxis('softmax', t.softmax, options)
/** Logarithms of the probabilities. */
export const logSoftmax = (options: SoftmaxOptions = {}): Layer => alongAxis('logSoftmax', t.logSoftmax, options)

/** [batch, …] to [batch, features], rows of channels innermost. */
export function flatten(): Layer {
  return {
    type: 'flatten',
    options: {},
    build: (_scope, input) => ({ output: [sizeOf(input)], apply: (x) => x.reshape([x.shape[0], sizeOf(input)]) }),
    cost: () => ({ multiplyAdds: 0, inPlace: true }),
  }
}

/**
 * Sets a share of the values to zero while training and scales the rest by 1 / (1 - rate) (Srivastava et al. 2014).
 * @param rate share in [0, 1)
 * @throws ConfigError on another rate
 */
export function dropout(rate = 0.5): Layer {
  if (!(rate >= 0 && rate < 1)) {
    throw new ConfigError({
      where: 'dropout',
      what: 'the rate makes no sense',
      got: String(rate),
      expected: 'a share in [0, 1)',
      fix: 'use for instance 0.5',
    })
  }
  return {
    type: 'dropout',
    options: { rate },
    build: (scope, input) => ({
      output: input,
      apply: (x) => (scope.training() && rate > 0 ? t.dropout(x, rate, scope.randomKey(), scope.stream) : x),
    }),
    // The mask is drawn again when the gradient needs it.
    cost: () => ({ multiplyAdds: 0, inPlace: true }),
  }
}
