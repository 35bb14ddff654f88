import { ConfigError, checkOptions, didYouMean } from '../base/errors.ts'
import { hashString, Random } from '../base/random.ts'
import { drawPolyline, side } from './digit-ink.ts'
import { type Skeletons, testSkeletons, trainSkeletons } from './digit-skeletons.ts'
import { bell, Field, flatten, type Polyline, parseSkeleton, type Stroke } from './digit-strokes.ts'

export type DigitsSplit = 'train' | 'test'

export interface DigitsOptions {
  /** The test split is drawn from skeletons and in manners that the training split never has. */
  split: DigitsSplit
  /** Pictures: 12,000 for training and 2,400 for testing unless given. */
  count?: number
  /** Any integer; 1 unless given. */
  seed?: number
}

export interface Digits {
  /** [count, 28, 28], 0 (paper) to 255 (ink). */
  images: Uint8Array
  /** [count], 0 to 9. */
  labels: Uint8Array
}

/** The ranges a split draws its manner of writing from. */
interface Manner {
  readonly skeletons: Skeletons
  /** Pixels sideways for each pixel up. */
  readonly slant: readonly [low: number, high: number]
  /** The pen's radius in pixels. */
  readonly radius: readonly [low: number, high: number]
  /** Width by height, relative to the skeleton. */
  readonly aspect: readonly [low: number, high: number]
  /** How much broader the pen may be in one diagonal direction than in the other, relative to its radius. */
  readonly nib: number
  /** Deviation of the control points, in hundredths of the height. */
  readonly jitter: number
  /** Strength of all that bends the whole digit, relative to what is usual in training. */
  readonly bend: number
  /** Longer edge of the ink's bounding box, in pixels. */
  readonly box: readonly [low: number, high: number]
  /** Deviation of the centre of mass from the picture's centre, in pixels along each axis. */
  readonly wander: number
}

const manners: Readonly<Record<DigitsSplit, Manner>> = {
  train: {
    skeletons: trainSkeletons,
    slant: [-0.3, 0.6],
    radius: [0.85, 2.4],
    aspect: [0.8, 1.3],
    nib: 0.2,
    jitter: 2,
    bend: 1,
    box: [17.8, 20.6],
    wander: 0.85,
  },
  test: {
    skeletons: testSkeletons,
    slant: [-0.25, 0.62],
    radius: [0.8, 2.2],
    aspect: [0.86, 1.33],
    nib: 0.3,
    jitter: 1.6,
    bend: 0.6,
    box: [18, 20.8],
    wander: 0.92,
  },
}

const defaultCount = { train: 12_000, test: 2_400 } as const

/**
 * Generates grey pictures of digits that look handwritten, as a data set that needs no download: one of several stroke
 * skeletons of the digit, deformed, drawn with a pen of varying width, brought to a box of about 20×20 and centred by
 * mass in 28×28, as MNIST's are.
 *
 * ```ts
 * const { images, labels } = generateDigits({ split: 'train', seed: 1 })
 * ```
 *
 * Picture i depends on seed, split and i alone, to the last bit on every machine. Every ten pictures from a multiple
 * of ten hold each digit once, in random order.
 *
 * @throws ConfigError when the split is unknown, or count or seed is not a suitable integer
 */
export function generateDigits(options: DigitsOptions): Digits {
  const { count, labels, draw } = prepareDigits(options)
  const images = new Uint8Array(count * side * side)
  for (let i = 0; i < count; i++) draw(i, images.subarray(i * side * side, (i + 1) * side * side))
  return { images, labels }
}

/** Digits whose labels are known and whose pictures are drawn one by one. */
export interface PreparedDigits {
  readonly count: number
  /** [count], 0 to 9. */
  readonly labels: Uint8Array
  /** Draws picture i into 28 · 28 zeros. */
  draw(i: number, image: Uint8Array): void
}

/** {@link generateDigits} in pieces: thousands of pictures at once would keep the calling thread for a second. */
export function prepareDigits(options: DigitsOptions): PreparedDigits {
  checkOptions('generateDigits', options, ['split', 'count', 'seed'])
  const { split, seed = 1 } = options
  if (!Object.hasOwn(manners, split)) {
    throw new ConfigError({
      where: 'generateDigits',
      what: `unknown split '${split}'`,
      expected: "'train' or 'test'",
      fix: didYouMean(String(split), Object.keys(manners)),
    })
  }
  const count = options.count ?? defaultCount[split]
  checkInteger('count', count, 1)
  checkInteger('seed', seed, Number.MIN_SAFE_INTEGER)

  const key = hashString(`digits ${split} ${seed}`)
  const orderKey = hashString(`digits order ${split} ${seed}`)
  const manner = manners[split]
  const skeletons = manner.skeletons.map((styles) => styles.map(parseSkeleton))
  const labels = new Uint8Array(count)
  let order: number[] = []
  for (let i = 0; i < count; i++) {
    if (i % 10 === 0) order = new Random(orderKey, i).shuffle([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    labels[i] = order[i % 10]
  }
  return {
    count,
    labels,
    draw: (i, image) => drawDigit(image, skeletons[labels[i]], manner, new Random(key, i)),
  }
}

function checkInteger(name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return
  throw new ConfigError({
    where: 'generateDigits',
    what: `${name} is not ${least === 1 ? 'a positive' : 'an'} integer`,
    got: `${value}`,
    expected: `an integer from ${least} to ${Number.MAX_SAFE_INTEGER}`,
    fix: `give ${name} a whole number${least === 1 ? ' of 1 or more' : ''}`,
  })
}

/** @param styles the skeletons of the digit */
function drawDigit(image: Uint8Array, styles: readonly (readonly Stroke[])[], manner: Manner, random: Random): void {
  const lines = deform(styles[random.integer(styles.length)], manner, random)
  dip(lines, manner, random)
  place(lines, manner, random)
  const ink = new Float64Array(side * side)
  const softness = random.uniform(0.8, 1.7)
  for (const line of lines) for (const part of breakUp(line, random)) drawPolyline(ink, part, softness)
  const darkness = 255 * Math.min(1, random.uniform(0.85, 1.2))
  const grain = random.uniform(0, 0.15)
  for (let i = 0; i < ink.length; i++) {
    if (ink[i] > 0) image[i] = Math.round(darkness * ink[i] * (1 - grain * random.uniform()))
  }
}

/** Bends a skeleton: every point on its own, proportions, slant, a turn, then a smooth field. */
function deform(strokes: readonly Stroke[], manner: Manner, random: Random): Polyline[] {
  const jitter = manner.jitter * random.uniform(0.3, 1.5)
  const aspect = random.uniform(...manner.aspect)
  // How far the middle moves up or down, and how much wider the top is than the bottom.
  const middle = manner.bend * random.uniform(-0.38, 0.38)
  const taper = manner.bend * random.uniform(-0.3, 0.3)
  const slant = random.uniform(...manner.slant)
  // A rotation without sines: t is the tangent of half the angle.
  const t = 0.04 * bell(random)
  const cosine = (1 - t * t) / (1 + t * t)
  const sine = (2 * t) / (1 + t * t)
  const field = new Field(random, 5 * manner.bend * random.uniform())
  return strokes.map(({ points, corners }) => {
    const offset = [1.5 * bell(random), 1.5 * bell(random)]
    const moved = points.map((value, i) => value + offset[i % 2] + jitter * bell(random))
    const flat = flatten({ points: moved, corners })
    for (let i = 0; i < flat.length; i += 2) {
      const height = flat[i + 1] / 100
      const px = flat[i] + field.at(flat[i], flat[i + 1], 0)
      const py = flat[i + 1] + field.at(flat[i], flat[i + 1], 1) + 100 * middle * height * (1 - height)
      const x = (px - 32) * aspect * (1 + taper * (0.5 - height)) + slant * (50 - py)
      const y = py - 50
      flat[i] = cosine * x - sine * y
      flat[i + 1] = sine * x + cosine * y
    }
    return { points: flat, radii: new Float64Array(flat.length / 2) }
  })
}

/** Sets the radii, in pixels: a pen, pressed more or less along each stroke, that may be broader in one direction. */
function dip(lines: readonly Polyline[], manner: Manner, random: Random): void {
  const [low, high] = manner.radius
  // Thin pens are more common than thick ones.
  const pen = low + (high - low) * random.uniform() * random.uniform(0.4, 1)
  const nib = random.uniform(-manner.nib, manner.nib)
  for (const { points, radii } of lines) {
    const start = 0.12 * bell(random)
    const centre = 0.12 * bell(random)
    const end = 0.15 * bell(random)
    for (let i = 0; i < radii.length; i++) {
      const t = i / (radii.length - 1)
      const pressure = start * (1 - t) + end * t + 4 * centre * t * (1 - t)
      const next = Math.min(i + 1, radii.length - 1)
      const dx = points[2 * next] - points[2 * next - 2]
      const dy = points[2 * next + 1] - points[2 * next - 1]
      const diagonal = (2 * dx * dy) / (dx * dx + dy * dy + 1e-9)
      radii[i] = pen * Math.max(0.5, 1 + pressure + nib * diagonal)
    }
  }
}

/** Scales the lines to the box, ink included, and moves them so that the ink's centre of mass is near the centre. */
function place(lines: readonly Polyline[], manner: Manner, random: Random): void {
  const box = random.uniform(...manner.box)
  let [left, top, right, bottom, widest] = [1e9, 1e9, -1e9, -1e9, 0]
  for (const { points, radii } of lines) {
    for (let i = 0; i < radii.length; i++) {
      left = Math.min(left, points[2 * i])
      right = Math.max(right, points[2 * i])
      top = Math.min(top, points[2 * i + 1])
      bottom = Math.max(bottom, points[2 * i + 1])
      widest = Math.max(widest, radii[i])
    }
  }
  const long = Math.max(right - left, bottom - top)
  const short = Math.min(right - left, bottom - top)
  const scale = (box - 2 * widest) / long
  let [length, mass, massX, massY] = [0, 0, 0, 0]
  for (const { points, radii } of lines) {
    for (let i = 2; i < points.length; i += 2) {
      const dx = points[i] - points[i - 2]
      const dy = points[i + 1] - points[i - 1]
      const piece = Math.sqrt(dx * dx + dy * dy)
      const weight = piece * radii[i / 2]
      length += piece
      mass += weight
      massX += (weight * (points[i] + points[i - 2])) / 2
      massY += (weight * (points[i + 1] + points[i - 1])) / 2
    }
  }
  const shiftX = side / 2 + manner.wander * bell(random) - (scale * massX) / mass
  const shiftY = side / 2 + manner.wander * bell(random) - (scale * massY) / mass
  // Where a long line runs in a narrow box, a thick pen would fill the rings; a line that hardly turns has none.
  const turning = length / long - 1
  const widestFitting = turning < 0.2 ? widest : (0.34 * scale * short) / turning
  for (const { points, radii } of lines) {
    for (let i = 0; i < radii.length; i++) radii[i] = Math.min(radii[i], widestFitting)
    for (let i = 0; i < points.length; i += 2) {
      points[i] = scale * points[i] + shiftX
      points[i + 1] = scale * points[i + 1] + shiftY
    }
  }
}

/** A pen sometimes leaves a gap: the line in two, or whole. */
function breakUp(line: Polyline, random: Random): Polyline[] {
  const pieces = line.radii.length - 1
  const from = 2 + random.integer(pieces)
  const gap = 1 + random.integer(3)
  if (random.uniform() > 0.06 || from + gap >= pieces) return [line]
  const part = (start: number, end: number): Polyline => ({
    points: line.points.subarray(2 * start, 2 * end),
    radii: line.radii.subarray(start, end),
  })
  return [part(0, from), part(from + gap, pieces + 1)]
}
