/**
 * Complex Fourier transforms along time, one channel a lane, so that no stage moves values between lanes. Stockham's
 * form: every stage reads one half of a scratch buffer and writes the other, in natural order at both ends.
 *
 * Two blocks of real samples are the real and the imaginary part of one sequence z. A convolution with real weights
 * keeps them apart, so their spectra never are: slot f = 0 … N/2 of a spectrum holds Z[f] in its first row and the
 * conjugate of Z[N - f] in its second, and both are multiplied by the same W[f].
 *
 * D. H. Bailey, "A high-performance FFT algorithm for vector supercomputers", 1988.
 */
import type { KernelBuilder } from '../../build.ts'
import { add, constant, fma, mul, neg, splat, sub } from '../../expression.ts'
import type { BufferParam, Expr, KernelFunction, Pointer } from '../../language.ts'
import type { Target } from '../../target.ts'

export type Complex = readonly [re: Expr, im: Expr]

/** Forward: e^(-2πi jk/N); inverse: e^(2πi jk/N), not divided by N. */
export type Direction = 'forward' | 'inverse'

/** Radix of the stage that reads or writes a spectrum. */
const outerRadix = 4

/** Radices of the stages on the other side of the spectrum. The largest keeps its values in registers. */
export function innerRadices(length: number, target: Target): number[] {
  const exponent = Math.log2(length / outerRadix)
  const eights = target.registers >= 24 ? mostEights(exponent) : 0
  const rest = exponent - 3 * eights
  const fours = Math.floor(rest / 2)
  return [...new Array<number>(eights).fill(8), ...new Array<number>(fours).fill(4), ...(rest % 2 === 1 ? [2] : [])]
}

/** Threes that leave an even number. */
function mostEights(exponent: number): number {
  for (let eights = Math.floor(exponent / 3); eights > 0; eights--) if ((exponent - 3 * eights) % 2 === 0) return eights
  return 0
}

/** Stages of a transform, the one at the spectrum included. */
export function stagesOf(length: number, target: Target): number {
  return 1 + innerRadices(length, target).length
}

/** Elements of a half of the scratch buffer. */
export function halfSize(length: number, target: Target): number {
  return 2 * length * target.lanes
}

function timesUnit(k: KernelBuilder, [re, im]: Complex, direction: Direction): Complex {
  return direction === 'forward' ? [im, k.let(neg(re))] : [k.let(neg(im)), re]
}

function plus(k: KernelBuilder, a: Complex, b: Complex): Complex {
  return [k.let(add(a[0], b[0])), k.let(add(a[1], b[1]))]
}

function minus(k: KernelBuilder, a: Complex, b: Complex): Complex {
  return [k.let(sub(a[0], b[0])), k.let(sub(a[1], b[1]))]
}

/** The transform of 2, 4 or 8 values. */
export function butterfly(k: KernelBuilder, x: readonly Complex[], direction: Direction): Complex[] {
  if (x.length === 2) return [plus(k, x[0], x[1]), minus(k, x[0], x[1])]
  if (x.length === 4) {
    const [a, b] = [plus(k, x[0], x[2]), minus(k, x[0], x[2])]
    const [c, d] = [plus(k, x[1], x[3]), minus(k, x[1], x[3])]
    const [re, im] = d
    // b - i d and b + i d.
    const low: Complex = [k.let(add(b[0], im)), k.let(sub(b[1], re))]
    const high: Complex = [k.let(sub(b[0], im)), k.let(add(b[1], re))]
    const [second, fourth] = direction === 'forward' ? [low, high] : [high, low]
    return [plus(k, a, c), second, minus(k, a, c), fourth]
  }
  const even = butterfly(k, [x[0], x[2], x[4], x[6]], direction)
  const odd = butterfly(k, [x[1], x[3], x[5], x[7]], direction)
  const half = constant('f32', Math.SQRT1_2, k.lanes)
  // e^(∓πi/4) (re + i im) = √½ ((re ± im) + i (im ∓ re))
  const eighth = ([re, im]: Complex): Complex => {
    const [sum, difference] = [k.let(mul(add(re, im), half)), k.let(mul(sub(im, re), half))]
    return direction === 'forward' ? [sum, difference] : [k.let(neg(difference)), sum]
  }
  const turned = [odd[0], eighth(odd[1]), timesUnit(k, odd[2], direction), eighth(timesUnit(k, odd[3], direction))]
  return [...even.map((value, i) => plus(k, value, turned[i])), ...even.map((value, i) => minus(k, value, turned[i]))]
}

/** A root of unity from the table, ready to multiply with. */
interface Root {
  readonly re: Expr
  readonly im: Expr
  readonly minusIm: Expr
}

function loadRoot(k: KernelBuilder, at: Pointer, direction: Direction): Root {
  const stored = k.let(k.load(at, 1))
  const [im, minusIm] = direction === 'forward' ? [stored, neg(stored)] : [neg(stored), stored]
  return {
    re: k.let(splat(k.load(at), k.lanes)),
    im: k.let(splat(im, k.lanes)),
    minusIm: k.let(splat(minusIm, k.lanes)),
  }
}

function turn(k: KernelBuilder, [re, im]: Complex, root: Root): Complex {
  return [k.let(fma(im, root.minusIm, k.let(mul(re, root.re)))), k.let(fma(re, root.im, k.let(mul(im, root.re))))]
}

/** What all stages of a transform share. */
export interface TransformSpec {
  readonly direction: Direction
  readonly length: number
  /** Scratch of two halves; element t of a half is a vector of real parts and one of imaginary parts. */
  readonly work: BufferParam
  /** cos and -sin of 2πj/N for j = 0 … N-1. */
  readonly roots: BufferParam
}

export function loadElement(k: KernelBuilder, at: Pointer, index = 0): Complex {
  return [k.let(k.loadVector(at, 2 * k.lanes * index)), k.let(k.loadVector(at, (2 * index + 1) * k.lanes))]
}

export function storeElement(k: KernelBuilder, at: Pointer, [re, im]: Complex, index = 0): void {
  k.store(at, re, 2 * k.lanes * index)
  k.store(at, im, (2 * index + 1) * k.lanes)
}

/** (from, to, roots): a stage of this radix behind stages whose radices have the product `done`. */
function defineStage(k: KernelBuilder, spec: TransformSpec, radix: number, done: number): KernelFunction {
  const { direction, length, work, roots } = spec
  const parts = length / done / radix
  const element = 2 * k.lanes
  const declarations = [{ pointer: work }, { pointer: work }, { pointer: roots }] as const
  return k.function(`stage${radix}_${done}`, declarations, (firstFrom, firstTo, table) => {
    const from = k.pointFrom(firstFrom)
    const to = k.pointFrom(firstTo)
    const step = (factors: readonly Root[]) => {
      const values = Array.from({ length: radix }, (_, j) => loadElement(k, from, (j * length) / radix))
      for (const [j, value] of butterfly(k, values, direction).entries())
        storeElement(k, to, j === 0 || factors.length === 0 ? value : turn(k, value, factors[j - 1]), j * done)
      k.advance(from, element)
    }
    if (parts === 1) {
      k.repeat(done, () => {
        step([])
        k.advance(to, element)
      })
      return
    }
    const cursors = Array.from({ length: radix - 1 }, () => k.pointFrom(table))
    k.repeat(parts, () => {
      const factors = cursors.map((cursor) => loadRoot(k, cursor, direction))
      if (done === 1) step(factors)
      else
        k.repeat(done, () => {
          step(factors)
          k.advance(to, element)
        })
      k.advance(to, element * (done === 1 ? radix : done * (radix - 1)))
      for (const [j, cursor] of cursors.entries()) k.advance(cursor, 2 * done * (j + 1))
    })
  })
}

/**
 * Defines stages one behind the other. The function returned calls them between two halves and says in which half the
 * result lies.
 */
function defineStages(k: KernelBuilder, spec: TransformSpec, radices: readonly number[], done: number) {
  const stages: KernelFunction[] = []
  let before = done
  for (const radix of radices) {
    stages.push(defineStage(k, spec, radix, before))
    before *= radix
  }
  return (first: Pointer, second: Pointer, roots: Pointer): Pointer => {
    let [from, to] = [first, second]
    for (const stage of stages) {
      k.call(stage, from, to, roots)
      ;[from, to] = [to, from]
    }
    return from
  }
}

/** How a spectrum lies in memory, in elements. */
export interface SpectrumStrides {
  readonly slot: Expr
  /** From the first to the second row of a pair of blocks. */
  readonly row: Expr
  /** From real to imaginary parts. */
  readonly part: Expr
}

/** Defines the transform of a half into a spectrum; returns what calls it. */
export function defineToSpectrum(k: KernelBuilder, spec: TransformSpec, to: BufferParam, strides: SpectrumStrides) {
  const { direction, length, work } = spec
  const inner = defineStages(k, spec, innerRadices(length, k.target), 1)
  const quarter = length / outerRadix
  const declarations = [{ pointer: work }, { pointer: to }] as const
  const last = k.function('toSpectrum', declarations, (firstFrom, first) => {
    const from = k.pointFrom(firstFrom)
    const slot = k.variable(strides.slot, 'slot').value
    const back = k.let(mul(slot, -1))
    const part = k.variable(strides.part, 'part').value
    const outputs = () =>
      butterfly(
        k,
        Array.from({ length: outerRadix }, (_, j) => loadElement(k, from, j * quarter)),
        direction,
      )
    const put = (at: Pointer, [re, im]: Complex, conjugate: boolean) => {
      k.store(at, re)
      k.store(k.pointFrom(at, part), conjugate ? neg(im) : im)
    }
    const second = k.pointFrom(first, strides.row)
    // Frequencies 0 and N/2 are their own partners: their other rows.
    const [zero, , middle] = outputs()
    put(second, zero, true)
    put(k.pointFrom(first, mul(slot, length / 2)), middle, false)
    const up = [k.pointFrom(first), k.pointFrom(first, mul(slot, quarter))]
    const down = [k.pointFrom(second, mul(slot, length / 2)), k.pointFrom(second, mul(slot, quarter))]
    k.repeat(quarter, () => {
      const values = outputs()
      for (const [j, at] of up.entries()) {
        put(at, values[j], false)
        k.advance(at, slot)
      }
      for (const [j, at] of down.entries()) {
        put(at, values[j + 2], true)
        k.advance(at, back)
      }
      k.advance(from, 2 * k.lanes)
    })
  })
  return (half: Pointer, other: Pointer, roots: Pointer, spectrum: Pointer): void => {
    k.call(last, inner(half, other, roots), spectrum)
  }
}

/** Defines the transform of one half into another in natural order; returns what calls it and tells where the result lies. */
export function defineTransform(k: KernelBuilder, spec: TransformSpec) {
  return defineStages(k, spec, [...innerRadices(spec.length, k.target), outerRadix], 1)
}

/** Reads the value of one frequency from a slot: f by `upper`, N - f by `lower`. */
export interface SlotReader {
  readonly buffer: BufferParam
  readonly slot: Expr
  /** @param at a slot @param other elements from there to the second row, or to the second channel */
  upper(at: Pointer, other: Expr): Complex
  lower(at: Pointer, other: Expr): Complex
}

/** Defines the transform of a spectrum into a half of the scratch; returns what calls it and tells where the result lies. */
export function defineFromSpectrum(k: KernelBuilder, spec: TransformSpec, reader: SlotReader) {
  const { direction, length, work, roots } = spec
  const quarter = length / outerRadix
  const declarations = [{ pointer: reader.buffer }, { pointer: work }, { pointer: roots }, { int: 'other' }] as const
  const first = k.function('fromSpectrum', declarations, (spectrum, firstTo, table, other) => {
    const to = k.pointFrom(firstTo)
    const slot = k.variable(reader.slot, 'slot').value
    const back = k.let(mul(slot, -1))
    const up = [k.pointFrom(spectrum), k.pointFrom(spectrum, mul(slot, quarter))]
    const down = [k.pointFrom(spectrum, mul(slot, length / 2)), k.pointFrom(spectrum, mul(slot, quarter))]
    const cursors = Array.from({ length: outerRadix - 1 }, () => k.pointFrom(table))
    k.repeat(quarter, () => {
      const values = [...up.map((at) => reader.upper(at, other)), ...down.map((at) => reader.lower(at, other))]
      for (const [j, value] of butterfly(k, values, direction).entries())
        storeElement(k, to, j === 0 ? value : turn(k, value, loadRoot(k, cursors[j - 1], direction)), j)
      for (const at of up) k.advance(at, slot)
      for (const at of down) k.advance(at, back)
      for (const [j, cursor] of cursors.entries()) k.advance(cursor, 2 * (j + 1))
      k.advance(to, 2 * outerRadix * k.lanes)
    })
  })
  const inner = defineStages(k, spec, innerRadices(length, k.target), outerRadix)
  return (spectrum: Pointer, other: Expr, half: Pointer, second: Pointer, table: Pointer): Pointer => {
    k.call(first, spectrum, half, table, other)
    return inner(half, second, table)
  }
}
