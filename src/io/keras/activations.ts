/** Keras's activations as layers. */

import type { Layer } from '../../nn/index.ts'
import * as nn from '../../nn/index.ts'
import type { Field } from '../json-fields.ts'
import { booleanOr, numberOr } from './options.ts'

/** Which Keras wrote a config: some names changed their meaning with version 3. */
export type KerasVersion = 2 | 3

/** Keras 2 has max(0, min(1, 0.2 x + 0.5)), Keras 3 relu6(x + 3) / 6. */
const hardSigmoid = (version: KerasVersion) =>
  version === 2 ? nn.hardSigmoid({ alpha: 0.2, beta: 0.5 }) : nn.hardSigmoid({ alpha: 1 / 6, beta: 0.5 })

const byName: Readonly<Record<string, (version: KerasVersion) => Layer>> = {
  celu: () => nn.celu(),
  elu: () => nn.elu(),
  exponential: () => nn.unary('exp'),
  gelu: () => nn.gelu(),
  hard_sigmoid: hardSigmoid,
  hard_silu: () => nn.hardSwish(),
  hard_swish: () => nn.hardSwish(),
  hard_tanh: () => nn.hardTanh(),
  leaky_relu: () => nn.leakyRelu(0.2),
  log_sigmoid: () => nn.logSigmoid(),
  log_softmax: () => nn.logSoftmax(),
  mish: () => nn.mish(),
  relu: () => nn.relu(),
  relu6: () => nn.relu6(),
  selu: () => nn.selu(),
  sigmoid: () => nn.sigmoid(),
  silu: () => nn.silu(),
  softmax: () => nn.softmax(),
  softplus: () => nn.softplus(),
  softsign: () => nn.softsign(),
  swish: () => nn.silu(),
  tanh: () => nn.tanh(),
}

const aliases: Readonly<Record<string, string>> = { leakyrelu: 'leaky_relu', hardsigmoid: 'hard_sigmoid' }

/**
 * The activation that a field of a config names, as a text or as an object; undefined where it changes nothing.
 * @throws FormatError naming the field when there is none of that name
 */
export function activationOf(field: Field, version: KerasVersion): { name: string; layer: Layer } | undefined {
  if (!field.isThere || field.value === null) return undefined
  if (typeof field.value === 'object') {
    // An activation that is a layer, or a function with its name in the config.
    const className = field.get('class_name').string()
    const advanced = Object.hasOwn(advancedActivations, className) ? advancedActivations[className] : undefined
    const inner = field.get('config')
    if (advanced !== undefined) return { name: className.toLowerCase(), layer: advanced(inner) }
    if (className === 'function' && typeof inner.value === 'string') return activationOf(inner, version)
    return named(className.toLowerCase(), field, version)
  }
  return named(field.string().toLowerCase(), field, version)
}

function named(written: string, field: Field, version: KerasVersion): { name: string; layer: Layer } | undefined {
  const name = Object.hasOwn(aliases, written) ? aliases[written] : written
  if (name === 'linear') return undefined
  if (Object.hasOwn(byName, name)) return { name, layer: byName[name](version) }
  throw field.error(
    `an activation of: ${Object.keys(byName).join(', ')}`,
    'replace the activation in Keras, or add it to src/io/keras/activations.ts',
  )
}

/** Layers that are nothing but an activation. */
export const advancedActivations: Readonly<Record<string, (config: Field) => Layer>> = {
  ReLU: rectifier,
  LeakyReLU: (config) => nn.leakyRelu(numberOr(config, 'negative_slope', numberOr(config, 'alpha', 0.3))),
  ELU: (config) => nn.elu(numberOr(config, 'alpha', 1)),
  ThresholdedReLU: (config) => nn.thresholdedRelu(numberOr(config, 'theta', 1)),
  Softmax(config) {
    const axis = config.get('axis')
    if (!axis.isThere || Array.isArray(axis.value)) {
      const [only = -1, ...more] = axis.isThere ? axis.elements().map((element) => element.number()) : []
      if (more.length > 0) throw axis.error('one axis')
      return softmaxAlong(only, axis)
    }
    return softmaxAlong(axis.number(), axis)
  },
}

function softmaxAlong(axis: number, field: Field): Layer {
  if (axis === 0) throw field.error('an axis of a sample: the batch has none')
  return nn.softmax(axis === -1 ? {} : { axis: axis > 0 ? axis - 1 : axis })
}

/** max_value where x is above it, x above the threshold, negative_slope · (x - threshold) elsewhere. */
function rectifier(config: Field): Layer {
  const most = config.get('max_value')
  const max = most.isThere && most.value !== null ? most.number() : undefined
  const slope = numberOr(config, 'negative_slope', 0)
  const threshold = numberOr(config, 'threshold', 0)
  if (threshold !== 0) {
    if (slope !== 0 || max !== undefined) throw config.error('a threshold without max_value and negative_slope')
    return nn.thresholdedRelu(threshold)
  }
  if (slope === 0) return max === undefined ? nn.relu() : max === 6 ? nn.relu6() : nn.clamp({ min: 0, max })
  const leaky = nn.leakyRelu(slope)
  return max === undefined ? leaky : nn.sequential(leaky, nn.clamp({ max }))
}

export const geluOf = (config: Field): Layer => nn.gelu(booleanOr(config, 'approximate', false) ? 'tanh' : 'erf')
