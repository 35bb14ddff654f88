/** First values of weights. */
import { ConfigError } from '../base/errors.ts'
import { type Shape, sizeOf } from '../base/shape.ts'
import type { Initializer } from './layer.ts'

/**
 * How a layer's weight begins. `he`: deviates of variance 2 / fan (He et al. 2015, "Delving deep into rectifiers", section
 * 2.2), where the fan is kernel size × input channels of a group (`'in'`: the forward pass keeps its scale) or kernel
 * size × output channels (`'out'`: the gradient does); normal ones unless `distribution` says otherwise. PyTorch's
 * `kaiming_normal_` and `kaiming_uniform_`. `glorot`: uniform, variance 2 / (fan-in + fan-out) (Glorot and Bengio 2010,
 * "Understanding the difficulty of training deep feedforward neural networks", section 4.2.1). Keras's default.
 */
export type WeightInitializer =
  | Initializer
  | { readonly kind: 'he'; readonly fan: 'in' | 'out'; readonly distribution?: 'normal' | 'uniform' }
  | { readonly kind: 'glorot' }

/** Of weight and bias. Without an initializer both are uniform within ±1/√fan-in, as in PyTorch. */
export interface FirstValues {
  readonly weight: Initializer
  readonly bias: Initializer
}

/** What each kind needs beside its name. */
const numbers = { uniform: 'bound', normal: 'deviation', constant: 'value' } as const

/** @throws ConfigError on a kind there is not, or a number that makes no sense */
export function checkInitializer(where: string, initializer: WeightInitializer | undefined): void {
  if (initializer === undefined) return
  // It may come from a file: nothing is taken for granted.
  const values: { readonly [name: string]: unknown } = Object(initializer)
  if (values.kind === 'glorot') return
  const { distribution = 'normal' } = values
  const drawn = distribution === 'normal' || distribution === 'uniform'
  if (values.kind === 'he' && (values.fan === 'in' || values.fan === 'out') && drawn) return
  for (const [kind, name] of Object.entries(numbers)) {
    const value = values[name]
    if (values.kind === kind && Number.isFinite(value) && (kind === 'constant' || Number(value) >= 0)) return
  }
  throw new ConfigError({
    where,
    what: 'initializer makes no sense',
    got: JSON.stringify(initializer),
    expected:
      "{ kind: 'he', fan: 'in' | 'out', distribution?: 'normal' | 'uniform' }, { kind: 'glorot' }, { kind: 'normal', deviation }, { kind: 'uniform', bound } or { kind: 'constant', value }",
    fix: "correct it, or leave it out: PyTorch's default",
  })
}

/** For a weight [...kernel, inChannels / groups, outChannels] or [inFeatures, outFeatures]. */
export function firstValues(initializer: WeightInitializer | undefined, shape: Shape): FirstValues {
  const fanIn = sizeOf(shape.slice(0, -1))
  if (initializer === undefined) {
    // kaiming_uniform with a = √5 is uniform within ±1/√fan-in.
    const uniform: Initializer = { kind: 'uniform', bound: 1 / Math.sqrt(fanIn) }
    return { weight: uniform, bias: uniform }
  }
  const bias: Initializer = { kind: 'constant', value: 0 }
  const fanOut = sizeOf(shape.slice(0, -2)) * shape[shape.length - 1]
  // Uniform within ±b has variance b² / 3.
  if (initializer.kind === 'glorot')
    return { weight: { kind: 'uniform', bound: Math.sqrt(6 / (fanIn + fanOut)) }, bias }
  if (initializer.kind !== 'he') return { weight: initializer, bias }
  const fan = initializer.fan === 'in' ? fanIn : fanOut
  const weight: Initializer =
    initializer.distribution === 'uniform'
      ? { kind: 'uniform', bound: Math.sqrt(6 / fan) }
      : { kind: 'normal', deviation: Math.sqrt(2 / fan) }
  return { weight, bias }
}
