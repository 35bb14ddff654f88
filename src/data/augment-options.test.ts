import { describe, expect, it } from 'vitest'
import { errorText } from '../testing/error-text.ts'
import { type AugmentOptions, augmentKinds, checkAugment, defaultAugment } from './augment-options.ts'

const colour = [32, 24, 3]
const grey = [28, 28, 1]
const told = (options: object, shape = colour) => errorText(() => checkAugment(options as AugmentOptions, shape))

describe('checkAugment', () => {
  it('takes the ends of all ranges, and what is left out', () => {
    const lowest = {
      shift: 0,
      crop: 0,
      rotate: 0,
      scale: 0,
      shear: 0,
      brightness: 0,
      contrast: 0,
      saturation: 0,
      hue: 0,
    }
    checkAugment({ ...lowest, grey: 0, cutOut: 0, mixUp: 0, cutMix: 0, randAugment: 0, fill: 0 }, colour)
    const highest = { shift: 1, crop: 23, rotate: 180, scale: 1, shear: 60, brightness: 1, contrast: 1, saturation: 1 }
    const mixing = { cutOut: 1, mixUp: 100, cutMix: 100, randAugment: 10, fill: 1 }
    checkAugment({ ...highest, hue: 0.5, grey: 1, ...mixing, flip: 'both' }, colour)
    checkAugment(
      { scale: [0.1, 10], randAugment: [8, 10], fill: 'reflect', flip: undefined, rotate: undefined },
      colour,
    )
    checkAugment({}, [7])
  })
  it('takes zeros for what samples cannot have', () => {
    checkAugment({ saturation: 0, hue: 0, grey: 0, brightness: 0.2, contrast: 0.2 }, grey)
    checkAugment({ mixUp: 0.2, rotate: 0, fill: 0 }, [100])
  })
  it('tells an unknown option', () => {
    expect(told({ rotation: 5 })).toMatchInlineSnapshot(`
      "ConfigError: augment: unknown option 'rotation'.
        expected  shift, crop, flip, rotate, scale, shear, brightness, contrast, saturation, hue, grey, cutOut, mixUp, cutMix, randAugment, fill
        fix       use one of: shift, crop, flip, rotate, scale, shear, brightness, contrast, saturation, hue, grey, cutOut, mixUp, cutMix, randAugment, fill"
    `)
    expect(told({ cutout: 0.5 })).toMatchInlineSnapshot(`
      "ConfigError: augment: unknown option 'cutout'.
        expected  shift, crop, flip, rotate, scale, shear, brightness, contrast, saturation, hue, grey, cutOut, mixUp, cutMix, randAugment, fill
        fix       did you mean 'cutOut'?"
    `)
  })
  it('tells a value out of its range', () => {
    const wrong = [
      { shift: 1.5 },
      { crop: 2.5 },
      { flip: true },
      { rotate: 400 },
      { rotate: -5 },
      { rotate: '10' },
      { scale: 1.5 },
      { scale: [1.2, 0.8] },
      { shear: 80 },
      { brightness: 1.1 },
      { contrast: Number.NaN },
      { hue: 1 },
      { grey: null },
      { cutOut: 8 },
      { mixUp: -1 },
      { cutMix: Number.POSITIVE_INFINITY },
      { randAugment: 11 },
      { randAugment: [0, 5] },
      { fill: 'black' },
      { fill: 128 },
    ]
    expect(wrong.map((options) => told(options)).join('\n')).toMatchInlineSnapshot(`
      "ConfigError: augment: shift makes no sense.
        got       1.5
        expected  a share from 0 to 1
        fix       use for instance 0.1, or leave it out
      ConfigError: augment: crop makes no sense.
        got       2.5
        expected  a whole number of pixels, at least 0
        fix       use for instance 4, or leave it out
      ConfigError: augment: flip makes no sense.
        got       true
        expected  'horizontal', 'vertical' or 'both'
        fix       use for instance 'horizontal', or leave it out
      ConfigError: augment: rotate makes no sense.
        got       400
        expected  degrees from 0 to 180
        fix       use for instance 10, or leave it out
      ConfigError: augment: rotate makes no sense.
        got       -5
        expected  degrees from 0 to 180
        fix       use for instance 10, or leave it out
      ConfigError: augment: rotate makes no sense.
        got       '10'
        expected  degrees from 0 to 180
        fix       use for instance 10, or leave it out
      ConfigError: augment: scale makes no sense.
        got       1.5
        expected  a number from 0 to 1, or two factors from 0.1 to 10, the smaller one first
        fix       use for instance 0.1, or leave it out
      ConfigError: augment: scale makes no sense.
        got       [1.2,0.8]
        expected  a number from 0 to 1, or two factors from 0.1 to 10, the smaller one first
        fix       use for instance 0.1, or leave it out
      ConfigError: augment: shear makes no sense.
        got       80
        expected  degrees from 0 to 60
        fix       use for instance 10, or leave it out
      ConfigError: augment: brightness makes no sense.
        got       1.1
        expected  a number from 0 to 1
        fix       use for instance 0.2, or leave it out
      ConfigError: augment: contrast makes no sense.
        got       NaN
        expected  a number from 0 to 1
        fix       use for instance 0.2, or leave it out
      ConfigError: augment: hue makes no sense.
        got       1
        expected  turns from 0 to 0.5
        fix       use for instance 0.05, or leave it out
      ConfigError: augment: grey makes no sense.
        got       null
        expected  a share from 0 to 1
        fix       use for instance 0.1, or leave it out
      ConfigError: augment: cutOut makes no sense.
        got       8
        expected  a share from 0 to 1
        fix       use for instance 0.25, or leave it out
      ConfigError: augment: mixUp makes no sense.
        got       -1
        expected  a number from 0 to 100
        fix       use for instance 0.2, or leave it out
      ConfigError: augment: cutMix makes no sense.
        got       Infinity
        expected  a number from 0 to 100
        fix       use for instance 1, or leave it out
      ConfigError: augment: randAugment makes no sense.
        got       11
        expected  a strength from 0 to 10, or [operations from 1 to 8, strength]
        fix       use for instance 5, or leave it out
      ConfigError: augment: randAugment makes no sense.
        got       [0,5]
        expected  a strength from 0 to 10, or [operations from 1 to 8, strength]
        fix       use for instance 5, or leave it out
      ConfigError: augment: fill makes no sense.
        got       'black'
        expected  a number from 0 to 1, 'edge' or 'reflect'
        fix       use for instance 'edge', or leave it out
      ConfigError: augment: fill makes no sense.
        got       128
        expected  a number from 0 to 1, 'edge' or 'reflect'
        fix       use for instance 'edge', or leave it out"
    `)
  })
  it('tells what grey pictures cannot have', () => {
    expect(told({ brightness: 0.1, saturation: 0.5 }, grey)).toMatchInlineSnapshot(`
      "ConfigError: augment: saturation needs pictures in colour.
        got       samples of shape [28, 28, 1]
        expected  [height, width, 3]
        fix       leave saturation out; brightness and contrast work on grey pictures"
    `)
  })
  it('tells what signals cannot have', () => {
    expect(told({ mixUp: 0.2, rotate: 5 }, [100])).toMatchInlineSnapshot(`
      "ConfigError: augment: rotate needs pictures.
        got       samples of shape [100]
        expected  [height, width, channels]
        fix       leave rotate out"
    `)
    expect(told({ cutMix: 1 }, [100, 2])).toMatchInlineSnapshot(`
      "ConfigError: augment: cutMix needs pictures.
        got       samples of shape [100, 2]
        expected  [height, width, channels]
        fix       leave cutMix out"
    `)
  })
  it('tells a crop that may leave nothing', () => {
    expect(told({ crop: 24 })).toMatchInlineSnapshot(`
      "ConfigError: augment: crop may cut the whole picture off.
        got       24 pixels, samples of shape [32, 24, 3]
        expected  fewer than 24 pixels
        fix       use for instance 3, or leave it out"
    `)
  })
})

describe('defaultAugment', () => {
  it('suits its samples and never mirrors', () => {
    for (const kind of augmentKinds) {
      for (const shape of [colour, grey, [224, 224, 3]]) {
        const options = defaultAugment(kind, shape)
        checkAugment(options, shape)
        expect(options.flip).toBeUndefined()
        expect(JSON.parse(JSON.stringify(options))).toEqual(options)
      }
    }
    expect(defaultAugment('none', colour)).toEqual({})
  })
})
