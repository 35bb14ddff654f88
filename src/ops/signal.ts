/** Fourier transforms by composition: products with matrices of cosines and sines, so that gradients come by themselves. */
import { ConfigError, checkOptions, ShapeError, UnsupportedError } from '../base/errors.ts'
import { normalizeAxis, showShape, sizeOf } from '../base/shape.ts'
import { dataNode, makeNode, type Node } from '../graph/node.ts'
import { reshape } from './broadcast.ts'
import { convOp } from './conv/index.ts'
import { add, mul, sub } from './elementwise.ts'
import { matmul } from './matmul.ts'
import { checkCount, checkDType, checkFilled } from './operands.ts'
import { concat, pad, type Range, slice, transpose } from './shape-ops.ts'

export interface DftOptions {
  /** Along which axis; not the last one. Default -2. */
  readonly axis?: number
  /** Elements that are transformed: others are cut off, missing ones are 0. Default: all there are. */
  readonly length?: number
  /** Whether the transform is undone: exponents of the other sign, and divided by the length. Default false. */
  readonly inverse?: boolean
  /** Whether only the first ⌊length / 2⌋ + 1 numbers are given, which those of real input are made of. Default false. */
  readonly onesided?: boolean
}

/** Transforms of more elements are put together of shorter ones. */
const direct = 256
const largest = 8192
const longest = 2 ** 24

/** @throws ConfigError */
function checkLength(where: string, name: string, length: number, most: number): void {
  checkCount(where, name, length)
  if (length <= most) return
  throw new ConfigError({
    where,
    what: `${name} is too large`,
    got: String(length),
    expected: `at most ${most}`,
    fix: 'cut the signal',
  })
}

/**
 * Discrete Fourier transform: X[k] = Σ x[j] e^(-2πijk/n). Lengths up to 256 are one product with a matrix; longer ones are
 * put together of the transforms of their factors (Cooley and Tukey 1965).
 * @param x f32 […, n, …, parts]: the last axis holds the real part, or real and imaginary part
 * @returns […, n or ⌊n / 2⌋ + 1, …, 2]
 * @throws ShapeError, DTypeError, ConfigError; UnsupportedError on a length with a prime factor above 8192
 */
export function dft(x: Node, options: DftOptions = {}): Node {
  checkOptions('dft', options, ['axis', 'length', 'inverse', 'onesided'])
  const { inverse = false, onesided = false } = options
  const rank = x.shape.length
  const parts = checkParts('dft', x, rank >= 2)
  const axis = normalizeAxis('dft', options.axis ?? -2, x.shape)
  if (axis === rank - 1) {
    throw new ConfigError({
      where: 'dft',
      what: 'the last axis holds real and imaginary part',
      got: `axis ${options.axis} of ${showShape(x.shape)}`,
      expected: 'another axis',
      fix: 'transform along axis -2',
    })
  }
  const length = options.length ?? x.shape[axis]
  checkLength('dft', 'length', length, longest)
  const bins = onesided ? Math.floor(length / 2) + 1 : length
  const fitted = resizedAxis(x, axis, length)
  const order = [...fitted.shape.keys()].filter((a) => a !== axis && a !== rank - 1)
  const front = [...order, axis, rank - 1]
  const rows = transpose(fitted, front)
  const flat = reshape(rows, [sizeOf(rows.shape.slice(0, -2)), length, parts])
  const y = transformed(flat, inverse ? 1 : -1, bins, inverse ? 1 / length : 1)
  const apart = reshape(y, [...rows.shape.slice(0, -2), bins, 2])
  return transpose(
    apart,
    front.map((_, a) => front.indexOf(a)),
  )
}

/** Number of parts that the last axis holds. */
function checkParts(where: string, x: Node, fits: boolean): number {
  checkDType(where, 'x', x, ['f32'])
  checkFilled(where, 'x', x)
  const parts = x.shape[x.shape.length - 1]
  if (fits && (parts === 1 || parts === 2)) return parts
  throw new ShapeError({
    where,
    what: 'the last axis does not hold real and imaginary part',
    got: `x ${showShape(x.shape)}`,
    expected: where === 'dft' ? 'x […, length, …, 1 or 2]' : 'x [batch, length, 1 or 2]',
    fix: 'give real signals an axis of 1 at the end',
  })
}

function resizedAxis(x: Node, axis: number, length: number): Node {
  const extent = x.shape[axis]
  if (length < extent) {
    const ranges = x.shape.map((_, a): Range | null => (a === axis ? [0, length] : null))
    return slice(x, ranges)
  }
  return pad(
    x,
    x.shape.map((_, a): [number, number] => [0, a === axis ? length - extent : 0]),
  )
}

/** cos and sin of 2π · turns. */
function turn(turns: number): [number, number] {
  const angle = 2 * Math.PI * turns
  return [Math.cos(angle), Math.sin(angle)]
}

/** [n · parts, bins · 2]: real and imaginary part of what each part of each element adds to each result. */
function matrix(n: number, parts: number, bins: number, sign: number, scale: number): Node {
  const values = new Float64Array(n * parts * bins * 2)
  for (let j = 0; j < n; j++) {
    for (let k = 0; k < bins; k++) {
      // Whole turns are left out while numbers are whole.
      const [cos, sin] = turn((sign * ((j * k) % n)) / n)
      for (let part = 0; part < parts; part++) {
        const at = ((j * parts + part) * bins + k) * 2
        values[at] = scale * (part === 0 ? cos : -sin)
        values[at + 1] = scale * (part === 0 ? sin : cos)
      }
    }
  }
  return dataNode(values, [n * parts, bins * 2], 'f32')
}

/** Rows [rows, n, parts] to [rows, bins, 2]. */
function transformed(x: Node, sign: number, bins: number, scale: number): Node {
  const [rows, n, parts] = x.shape
  const factor = n <= direct ? 1 : factorOf(n)
  if (factor === 1) {
    if (n > largest) {
      throw new UnsupportedError({
        where: 'dft',
        what: `${n} elements cannot be put together of shorter transforms`,
        got: `length ${n}`,
        expected: `a length without a prime factor above ${largest}`,
        fix: 'give a length with small factors, for instance a power of two',
      })
    }
    return reshape(matmul(reshape(x, [rows, n * parts]), matrix(n, parts, bins, sign, scale)), [rows, bins, 2])
  }
  // Element n₂ j₁ + j₂ goes into result k₁ + n₁ k₂: over j₁ first, turned by j₂ k₁ / n, then over j₂.
  const [first, second] = [factor, n / factor]
  const columns = transpose(reshape(x, [rows, first, second, parts]), [0, 2, 1, 3])
  const inner = transformed(reshape(columns, [rows * second, first, parts]), sign, first, scale)
  const twisted = twist(reshape(inner, [rows, second, first, 2]), sign / n)
  const lines = reshape(transpose(twisted, [0, 2, 1, 3]), [rows * first, second, 2])
  const outer = reshape(transformed(lines, sign, second, 1), [rows, first, second, 2])
  const whole = reshape(transpose(outer, [0, 2, 1, 3]), [rows, n, 2])
  return bins === n ? whole : slice(whole, [null, [0, bins]])
}

/** The largest divisor that is not above the root. */
function factorOf(n: number): number {
  for (let factor = Math.floor(Math.sqrt(n)); factor > 1; factor--) if (n % factor === 0) return factor
  return 1
}

/** Multiplies x [rows, a, b, 2] by e^(2πi · step · a · b). */
function twist(x: Node, step: number): Node {
  const [, a, b] = x.shape
  const table = (part: 0 | 1) =>
    dataNode(
      Float64Array.from({ length: a * b }, (_, i) => turn(step * Math.floor(i / b) * (i % b))[part]),
      [a, b, 1],
      'f32',
    )
  const [real, imaginary] = [0, 1].map((part) => slice(x, [null, null, null, [part, part + 1]]))
  const [cos, sin] = [table(0), table(1)]
  return concat([sub(mul(real, cos), mul(imaginary, sin)), add(mul(real, sin), mul(imaginary, cos))], -1)
}

export interface StftOptions {
  /** Elements of a frame. Default: as many as the window has. */
  readonly frameLength?: number
  /** From the beginning of a frame to that of the next. */
  readonly frameStep: number
  /** What the elements of a frame are multiplied by. Default: nothing. */
  readonly window?: ArrayLike<number>
  /** Whether only the first ⌊frameLength / 2⌋ + 1 numbers of a frame are given. Default true. */
  readonly onesided?: boolean
}

/**
 * Fourier transforms of the frames of a signal: a convolution with cosines and sines. Frames that do not fit are left out;
 * nothing is padded.
 * @param x f32 [batch, length, parts]: real part, or real and imaginary part
 * @returns [batch, frames, frequencies, 2]
 * @throws ShapeError, DTypeError, ConfigError
 */
export function stft(x: Node, options: StftOptions): Node {
  checkOptions('stft', options, ['frameLength', 'frameStep', 'window', 'onesided'])
  const { window, onesided = true } = options
  const parts = checkParts('stft', x, x.shape.length === 3)
  const frame = options.frameLength ?? window?.length ?? 0
  checkLength('stft', 'frameLength', frame, largest)
  checkCount('stft', 'frameStep', options.frameStep)
  if (window !== undefined && window.length !== frame) {
    throw new ConfigError({
      where: 'stft',
      what: 'the window does not fit the frames',
      got: `${window.length} numbers, frames of ${frame}`,
      expected: 'one number for each element of a frame',
      fix: 'leave frameLength out',
    })
  }
  const bins = onesided ? Math.floor(frame / 2) + 1 : frame
  const turns = matrix(frame, parts, bins, -1, 1)
  const rows = window === undefined ? turns : mul(turns, framesOf(window, parts))
  const kernel = reshape(rows, [frame, parts, bins * 2])
  const y = makeNode(convOp, [x, kernel], {
    stride: [options.frameStep],
    dilation: [1],
    pads: [[0, 0]],
    groups: 1,
  }) as Node
  return reshape(y, [x.shape[0], y.shape[1], bins, 2])
}

function framesOf(window: ArrayLike<number>, parts: number): Node {
  const values = Float64Array.from({ length: window.length * parts }, (_, i) => window[Math.floor(i / parts)])
  return dataNode(values, [window.length * parts, 1], 'f32')
}
