/**
 * The default recipe: what to train, on what size of picture, for how long, when nobody says. It looks at the data's
 * size alone, and tells why. The guide has the same table in words.
 */
import type { Shape } from '../base/shape.ts'
import { type AugmentOptions, defaultAugment } from '../data/index.ts'
import type { LrScheduleName } from './lr-schedule.ts'

/** What the recipe looks at. */
export interface DataFacts {
  /** Samples to learn from, held-out ones left out. */
  readonly samples: number
  readonly classes: number
  /** Of the pictures, in pixels; the median where they differ. */
  readonly height: number
  readonly width: number
  readonly channels: 1 | 3
}

/** What is already decided. */
export interface RecipeChoices {
  readonly arch?: string
  /** Side of the square picture the network gets, in pixels. */
  readonly inputSize?: number
  readonly batchSize?: number
  readonly epochs?: number
  readonly optimizer?: 'adam' | 'adamw' | 'sgd'
  readonly learningRate?: number
  readonly lrSchedule?: LrScheduleName
  readonly weightDecay?: number
  readonly labelSmoothing?: number
  /** 0 for none. */
  readonly average?: number
  readonly augment?: AugmentOptions
}

export interface Recipe extends Required<RecipeChoices> {
  readonly inputShape: readonly [height: number, width: number, channels: 1 | 3]
  /** One line for each choice that was made here: what, and why. */
  readonly reasons: readonly { readonly choice: string; readonly why: string }[]
}

/** Pictures that a network should at least see, each time in another form. */
const samplesToSee = 30_000
const mostEpochs = 100
/** Side in pixels above which pictures count as photographs at full size. */
const largePictures = 160
/** Networks without norms, for small grey pictures. */
const plainNetworks = ['simpleCnn', 'lenet5']

/**
 * Chooses what is left open.
 * @example
 * const recipe = chooseRecipe({ samples: 1650, classes: 10, height: 100, width: 100, channels: 3 })
 * // resnet8 on 64×64 pictures, 19 epochs in batches of 32
 */
export function chooseRecipe(facts: DataFacts, given: RecipeChoices = {}): Recipe {
  const reasons: { choice: string; why: string }[] = []
  const choose = <T>(value: T | undefined, choice: () => readonly [T, string, string]): T => {
    if (value !== undefined) return value
    const [chosen, text, why] = choice()
    reasons.push({ choice: text, why })
    return chosen
  }
  const { samples, channels } = facts
  const side = Math.min(facts.height, facts.width)
  const inputSize = choose(given.inputSize, () => chooseSize(facts))
  const arch = choose(given.arch, () => chooseNetwork(side, channels))
  const plain = plainNetworks.includes(arch)
  const batchSize = choose(given.batchSize, () => {
    const size = Math.min(samples >= 4000 ? 64 : samples >= 400 ? 32 : 16, Math.max(1, samples))
    return [size, `batches of ${size}`, `${samples.toLocaleString('en-US')} pictures: enough updates an epoch`]
  })
  const epochs = choose(given.epochs, () => {
    const least = plain ? 3 : 10
    const count = Math.min(mostEpochs, Math.max(least, Math.ceil(samplesToSee / Math.max(1, samples))))
    const seen = (count * samples).toLocaleString('en-US')
    return [count, `${count} epochs`, `the network then sees ${seen} pictures`]
  })
  const optimizer = choose(given.optimizer, (): readonly ['adam' | 'adamw', string, string] =>
    plain ? ['adam', 'adam', 'needs no tuning'] : ['adamw', 'adamw', 'needs no tuning, and decays weights'],
  )
  const sgd = optimizer === 'sgd'
  const learningRate = choose(given.learningRate, () => {
    const rate = sgd ? 0.05 : plain ? 1e-3 : 5e-3
    return [rate, `learning rate ${rate}`, plain ? 'right for a network without norms' : 'norms bear a high one']
  })
  const lrSchedule = choose(given.lrSchedule, (): readonly [LrScheduleName, string, string] =>
    plain ? ['cosine', 'cosine schedule', 'ends slowly'] : ['oneCycle', 'oneCycle schedule', 'begins and ends slowly'],
  )
  const augment = choose(given.augment, () => chooseAugment(plain, [inputSize, inputSize, channels]))
  return {
    arch,
    inputSize,
    inputShape: [inputSize, inputSize, channels],
    batchSize,
    epochs,
    optimizer,
    learningRate,
    lrSchedule,
    augment,
    weightDecay: given.weightDecay ?? (optimizer === 'adamw' ? 0.05 : sgd ? 5e-4 : 0),
    labelSmoothing: given.labelSmoothing ?? (plain ? 0 : 0.1),
    average: given.average ?? (plain ? 0 : 0.998),
    reasons,
  }
}

function chooseSize({ height, width }: DataFacts): readonly [number, string, string] {
  const side = Math.min(height, width)
  const size = side <= 28 ? 28 : side <= 32 ? 32 : side <= largePictures ? 64 : 96
  const text = `pictures of ${size}×${size}`
  if (height === size && width === size) return [size, text, 'the size they have']
  return [size, text, `the median of them is ${width}×${height}; smaller ones train faster`]
}

function chooseNetwork(side: number, channels: number): readonly [string, string, string] {
  if (side <= 32 && channels === 1) return ['simpleCnn', 'simpleCnn', 'small grey pictures need no deep network']
  if (side > largePictures)
    return ['mobileNetV2', 'mobileNetV2', 'made for photographs: sees large parts of them at little cost']
  return ['resnet8', 'resnet8', 'a small residual network, which learns from few pictures']
}

/** Nothing is mirrored: letters, digits and signs of hands would become others. */
function chooseAugment(plain: boolean, shape: Shape): readonly [AugmentOptions, string, string] {
  if (plain) return [{}, 'no augmentation', 'a few epochs of small pictures']
  const options = defaultAugment(shape[2] === 1 && shape[0] <= 32 ? 'digits' : 'photographs', shape)
  return [options, 'augmentation', `${describeAugment(options)}; nothing is mirrored unless asked (flip)`]
}

/** `shift 0.1, rotate 10` */
export function describeAugment(options: AugmentOptions): string {
  const parts = Object.entries(options)
    .filter(([name]) => name !== 'fill')
    .map(([name, value]) => `${name} ${Array.isArray(value) ? value.join(' to ') : value}`)
  return parts.length === 0 ? 'no augmentation' : parts.join(', ')
}
