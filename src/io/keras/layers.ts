/**
 * Keras's layers as ours. To add one: a function in one of the tables beside this file that adds layers to the wiring
 * and names the stored variables in Keras's order, `add_weight` by `add_weight`.
 */
import * as nn from '../../nn/index.ts'
import { activationOf, advancedActivations, geluOf } from './activations.ts'
import { arranging } from './layers-arranging.ts'
import { computing } from './layers-computing.ts'
import { merging } from './layers-merging.ts'
import { pooling } from './layers-pooling.ts'
import { numberOr } from './options.ts'
import type { Converter, Use } from './use.ts'

const activationLayers = Object.fromEntries(
  Object.entries(advancedActivations).map(([name, make]) => [name, (use: Use) => use.main(make(use.config))]),
)

const passing =
  (why: string): Converter =>
  (use) => {
    use.note(`${use.className} left out: ${why}`)
    return use.inputs[0]
  }
const onlyTraining = passing('it does nothing in inference')

/** By class. */
const converters: Readonly<Record<string, Converter>> = {
  ...computing,
  ...pooling,
  ...arranging,
  ...merging,
  ...activationLayers,
  Activation(use) {
    const field = use.config.get('activation')
    if (field.value === 'gelu') return use.main(geluOf(use.config))
    const activation = activationOf(field, use.version)
    return use.main(activation?.layer ?? nn.identity())
  },
  Dropout: (use) => use.main(nn.dropout(numberOr(use.config, 'rate', 0.5))),
  Identity: (use) => use.inputs[0],
  InputLayer: (use) => use.inputs[0],
  ActivityRegularization: onlyTraining,
  AlphaDropout: onlyTraining,
  GaussianDropout: onlyTraining,
  GaussianNoise: onlyTraining,
  RandomBrightness: onlyTraining,
  RandomContrast: onlyTraining,
  RandomCrop: passing('it draws places only in training'),
  RandomFlip: onlyTraining,
  RandomRotation: onlyTraining,
  RandomTranslation: onlyTraining,
  RandomZoom: onlyTraining,
  SpatialDropout1D: onlyTraining,
  SpatialDropout2D: onlyTraining,
  SpatialDropout3D: onlyTraining,
}

/** Undefined for a class that is not known. */
export function converterOf(className: string): Converter | undefined {
  return Object.hasOwn(converters, className) ? converters[className] : undefined
}

/** All classes that are read. */
export const kerasClasses = (): readonly string[] => Object.keys(converters).sort()
