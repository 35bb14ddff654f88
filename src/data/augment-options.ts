/** What can be done to training pictures, in which ranges, and modest defaults. */
import { ConfigError, checkOptions } from '../base/errors.ts'
import { type Shape, showShape } from '../base/shape.ts'

/**
 * Random changes of training samples, drawn anew for each sample of each step. Plain JSON. Options left out, and
 * numbers of 0, change nothing. Geometry needs samples [height, width, channels]; `saturation`, `hue` and `grey` need
 * three channels; `mixUp` takes samples of any shape.
 */
export interface AugmentOptions {
  /** Moves by up to this share of width and height, each way, in fractions of pixels too. 0 to 1. */
  readonly shift?: number
  /**
   * Pads by so many pixels and cuts a part of the old size out at a random place: a move by whole pixels, which blurs
   * nothing (He et al. 2016 take 4 of 32). A whole number below the shorter side.
   */
  readonly crop?: number
  /** Mirrors every other picture left to right, top to bottom, or both independently. Letters and hands do not bear it. */
  readonly flip?: 'horizontal' | 'vertical' | 'both'
  /** Turns about the middle by up to so many degrees, each way. 0 to 180. */
  readonly rotate?: number
  /**
   * Enlarges or shrinks about the middle by a factor between 1 / (1 + scale) and 1 + scale, 0 to 1; or between two
   * factors, 0.1 to 10. Their logarithm is uniform.
   */
  readonly scale?: number | readonly [smallest: number, largest: number]
  /** Slants along the rows by up to so many degrees, each way, as handwriting does. 0 to 60. */
  readonly shear?: number
  /** Multiplies all values by a factor between 1 - brightness and 1 + brightness. 0 to 1. */
  readonly brightness?: number
  /** Moves values away from or towards the picture's mean grey by a factor between 1 - contrast and 1 + contrast. 0 to 1. */
  readonly contrast?: number
  /** Moves colours away from or towards grey by a factor between 1 - saturation and 1 + saturation. 0 to 1. */
  readonly saturation?: number
  /** Turns colours about the grey axis by up to so many turns, each way; brightness stays. 0 to 0.5. */
  readonly hue?: number
  /** The share of pictures that lose their colour. 0 to 1. */
  readonly grey?: number
  /**
   * Erases a square at a random place, partly outside at the edges (DeVries and Taylor 2017). Its side as a share of the
   * shorter side, 0 to 1. It gets the colour `fill` when that is a number, otherwise a medium grey.
   */
  readonly cutOut?: number
  /**
   * Mixes each sample and its label with another's, in shares drawn from Beta(mixUp, mixUp) (Zhang et al. 2018, who take
   * 0.1 to 0.4 for photographs). 0 to 100. With `cutMix` too, each sample gets either the one or the other.
   */
  readonly mixUp?: number
  /**
   * Puts a part of another picture in, with its share of the label (Yun et al. 2019, who take 1). The area is drawn from
   * Beta(cutMix, cutMix). 0 to 100.
   */
  readonly cutMix?: number
  /**
   * Two random changes a picture, or as many as the first number of a pair says, of this strength from 0 to 10, out of:
   * none, rotate, shear along rows or columns, shift along rows or columns, brightness, contrast, saturation, solarize,
   * posterize (Cubuk et al. 2020, without those that need a histogram). Comes on top of the other options.
   */
  readonly randAugment?: number | readonly [operations: number, strength: number]
  /**
   * What stands where geometry has moved the picture away: a value in [0, 1], `'edge'` for the nearest pixel, or
   * `'reflect'` for the picture mirrored. Default `'edge'`.
   */
  readonly fill?: number | 'edge' | 'reflect'
}

interface Range {
  readonly high: number
  readonly unit: string
  readonly example: string
}

/** Options that are a number from 0 on. */
const ranges = {
  shift: { high: 1, unit: 'a share', example: '0.1' },
  rotate: { high: 180, unit: 'degrees', example: '10' },
  shear: { high: 60, unit: 'degrees', example: '10' },
  brightness: { high: 1, unit: 'a number', example: '0.2' },
  contrast: { high: 1, unit: 'a number', example: '0.2' },
  saturation: { high: 1, unit: 'a number', example: '0.2' },
  hue: { high: 0.5, unit: 'turns', example: '0.05' },
  grey: { high: 1, unit: 'a share', example: '0.1' },
  cutOut: { high: 1, unit: 'a share', example: '0.25' },
  mixUp: { high: 100, unit: 'a number', example: '0.2' },
  cutMix: { high: 100, unit: 'a number', example: '1' },
} satisfies Partial<Record<keyof AugmentOptions, Range>>

const known: readonly (keyof AugmentOptions)[] = [
  'shift',
  'crop',
  'flip',
  'rotate',
  'scale',
  'shear',
  'brightness',
  'contrast',
  'saturation',
  'hue',
  'grey',
  'cutOut',
  'mixUp',
  'cutMix',
  'randAugment',
  'fill',
]
const flips: readonly unknown[] = ['horizontal', 'vertical', 'both'] satisfies AugmentOptions['flip'][]
const colourOnly = ['saturation', 'hue', 'grey'] as const

function show(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`
  return typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value))
}
const within = (value: unknown, low: number, high: number): value is number =>
  typeof value === 'number' && value >= low && value <= high

function fail(name: string, value: unknown, expected: string, example: string): never {
  throw new ConfigError({
    where: 'augment',
    what: `${name} makes no sense`,
    got: show(value),
    expected,
    fix: `use for instance ${example}, or leave it out`,
  })
}

/**
 * Holds options against samples of a shape, before anything is trained.
 * @throws ConfigError on an unknown option, a value out of its range, or a change that these samples cannot have
 */
export function checkAugment(options: AugmentOptions, sampleShape: Shape): void {
  checkOptions('augment', options, known)
  for (const [name, { high, unit, example }] of Object.entries<Range>(ranges)) {
    const value = options[name as keyof typeof ranges]
    if (value !== undefined && !within(value, 0, high)) fail(name, value, `${unit} from 0 to ${high}`, example)
  }
  const { crop, flip, scale, randAugment, fill } = options
  if (crop !== undefined && !(Number.isInteger(crop) && crop >= 0))
    fail('crop', crop, 'a whole number of pixels, at least 0', '4')
  if (flip !== undefined && !flips.includes(flip))
    fail('flip', flip, "'horizontal', 'vertical' or 'both'", "'horizontal'")
  if (scale !== undefined && !isScale(scale))
    fail('scale', scale, 'a number from 0 to 1, or two factors from 0.1 to 10, the smaller one first', '0.1')
  if (randAugment !== undefined && !isStrength(randAugment))
    fail('randAugment', randAugment, 'a strength from 0 to 10, or [operations from 1 to 8, strength]', '5')
  if (fill !== undefined && fill !== 'edge' && fill !== 'reflect' && !within(fill, 0, 1))
    fail('fill', fill, "a number from 0 to 1, 'edge' or 'reflect'", "'edge'")
  checkSamples(options, sampleShape)
}

function isScale(scale: unknown): boolean {
  if (!Array.isArray(scale)) return within(scale, 0, 1)
  return scale.length === 2 && within(scale[0], 0.1, 10) && within(scale[1], scale[0], 10)
}

function isStrength(value: unknown): boolean {
  if (!Array.isArray(value)) return within(value, 0, 10)
  return value.length === 2 && Number.isInteger(value[0]) && within(value[0], 1, 8) && within(value[1], 0, 10)
}

/** Whether an option changes anything. */
function isOn(options: AugmentOptions, name: string): boolean {
  const value = options[name as keyof AugmentOptions]
  return name !== 'fill' && value !== undefined && value !== 0
}

function checkSamples(options: AugmentOptions, sampleShape: Shape): void {
  const [height, width, channels] = sampleShape
  const pictorial = known.find((name) => name !== 'mixUp' && isOn(options, name))
  if (pictorial !== undefined && sampleShape.length !== 3) {
    throw new ConfigError({
      where: 'augment',
      what: `${pictorial} needs pictures`,
      got: `samples of shape ${showShape(sampleShape)}`,
      expected: '[height, width, channels]',
      fix: `leave ${pictorial} out`,
    })
  }
  const colour = colourOnly.find((name) => isOn(options, name))
  if (colour !== undefined && channels !== 3) {
    throw new ConfigError({
      where: 'augment',
      what: `${colour} needs pictures in colour`,
      got: `samples of shape ${showShape(sampleShape)}`,
      expected: '[height, width, 3]',
      fix: `leave ${colour} out; brightness and contrast work on grey pictures`,
    })
  }
  const { crop = 0 } = options
  if (crop > 0 && crop >= Math.min(height, width)) {
    throw new ConfigError({
      where: 'augment',
      what: 'crop may cut the whole picture off',
      got: `${crop} pixels, samples of shape ${showShape(sampleShape)}`,
      expected: `fewer than ${Math.min(height, width)} pixels`,
      fix: `use for instance ${Math.max(1, Math.round(Math.min(height, width) / 8))}, or leave it out`,
    })
  }
}

/** What kind of pictures a recipe is made for. */
export const augmentKinds = ['none', 'digits', 'photographs'] as const
export type AugmentKind = (typeof augmentKinds)[number]

/**
 * Modest changes that most pictures of a kind bear: `'digits'` for digits, letters, signs and drawings, `'photographs'`
 * for photographs, `'none'` for nothing. None of them mirrors: a mirrored letter is another one, a mirrored hand the
 * other hand. Where left and right are alike, add `flip: 'horizontal'`.
 */
export function defaultAugment(kind: AugmentKind, sampleShape: Shape): AugmentOptions {
  switch (kind) {
    case 'none':
      return {}
    case 'digits':
      return { shift: 0.08, rotate: 10, scale: 0.1, shear: 5, fill: 'edge' }
    case 'photographs': {
      const colour = sampleShape[2] === 3 ? { saturation: 0.2, hue: 0.02 } : {}
      return { shift: 0.1, rotate: 10, scale: 0.15, brightness: 0.2, contrast: 0.2, ...colour, fill: 'reflect' }
    }
    default:
      return kind satisfies never
  }
}
