import { describe, expect, it } from 'vitest'
import { defaultAugment } from '../data/index.ts'
import { chooseRecipe, describeAugment } from './recipe.ts'

const facts = { samples: 1650, classes: 10, height: 100, width: 100, channels: 3 } as const

describe('the default recipe', () => {
  it('for two thousand photographs of 100×100', () => {
    const { reasons, ...recipe } = chooseRecipe(facts)
    expect(recipe).toEqual({
      arch: 'resnet8',
      inputSize: 64,
      inputShape: [64, 64, 3],
      batchSize: 32,
      epochs: 19,
      optimizer: 'adamw',
      learningRate: 0.005,
      lrSchedule: 'oneCycle',
      weightDecay: 0.05,
      labelSmoothing: 0.1,
      average: 0.998,
      augment: defaultAugment('photographs', [64, 64, 3]),
    })
    expect(reasons.map(({ choice }) => choice)).toEqual([
      'pictures of 64×64',
      'resnet8',
      'batches of 32',
      '19 epochs',
      'adamw',
      'learning rate 0.005',
      'oneCycle schedule',
      'augmentation',
    ])
    for (const { why } of reasons) expect(why).not.toBe('')
  })

  it('for photographs at full size', () => {
    expect(chooseRecipe({ ...facts, height: 768, width: 1024 })).toMatchObject({
      arch: 'mobileNetV2',
      inputShape: [96, 96, 3],
      learningRate: 0.005,
    })
  })

  it('for small grey pictures', () => {
    const recipe = chooseRecipe({ samples: 10_800, classes: 10, height: 28, width: 28, channels: 1 })
    expect(recipe).toMatchObject({
      arch: 'simpleCnn',
      inputShape: [28, 28, 1],
      epochs: 3,
      batchSize: 64,
      augment: {},
      average: 0,
    })
  })

  it('for a handful of pictures: more passes, no batch larger than the data', () => {
    expect(chooseRecipe({ ...facts, samples: 12 })).toMatchObject({ epochs: 100, batchSize: 12 })
    expect(chooseRecipe({ ...facts, samples: 1e6 })).toMatchObject({ epochs: 10, batchSize: 64 })
  })

  it('keeps to what is given, gives no reason for it, and fits the rest to it', () => {
    const { reasons, ...recipe } = chooseRecipe(
      { samples: 54_000, classes: 10, height: 28, width: 28, channels: 1 },
      { arch: 'resnet8', epochs: 10, optimizer: 'sgd' },
    )
    expect(recipe).toMatchObject({ arch: 'resnet8', epochs: 10, learningRate: 0.05, weightDecay: 5e-4, average: 0.998 })
    // Digits are shifted and turned a little, never mirrored or coloured.
    expect(recipe.augment).toEqual(defaultAugment('digits', [28, 28, 1]))
    const told = reasons.map(({ choice }) => choice)
    expect(told).not.toContain('resnet8')
    expect(told).not.toContain('10 epochs')
  })
})

it('an augmentation reads as words', () => {
  expect(describeAugment({})).toBe('no augmentation')
  expect(describeAugment({ shift: 0.1, flip: 'horizontal', scale: [0.5, 2], fill: 'edge' })).toBe(
    'shift 0.1, flip horizontal, scale 0.5 to 2',
  )
})
