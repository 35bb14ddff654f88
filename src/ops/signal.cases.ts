/** Case records of Fourier transforms: sums of complex numbers, term by term. */
import { at, type OpCase, tabulate, type Values } from '../testing/case.ts'
import { convOp } from './conv/index.ts'
import { matmulOp } from './matmul.ts'
import { type DftOptions, dft, type StftOptions, stft } from './signal.ts'

type Complex = readonly [real: number, imaginary: number]

/** Σ terms[j] e^(±2πijk/n), one part of it. */
function sumOf(terms: readonly Complex[], k: number, inverse: boolean, part: number): number {
  const n = terms.length
  let sum = 0
  for (const [j, [a, b]] of terms.entries()) {
    const angle = ((inverse ? 2 : -2) * Math.PI * ((j * k) % n)) / n
    sum += part === 0 ? a * Math.cos(angle) - b * Math.sin(angle) : a * Math.sin(angle) + b * Math.cos(angle)
  }
  return inverse ? sum / n : sum
}

const complex = (x: Values, index: readonly number[]): Complex => {
  const inside = index.every((place, axis) => place < x.shape[axis])
  if (!inside) return [0, 0]
  return [at(x, [...index, 0]), x.shape[x.shape.length - 1] === 2 ? at(x, [...index, 1]) : 0]
}

function transform(shape: readonly number[], options: DftOptions, axis: number): OpCase {
  const n = options.length ?? shape[axis]
  const bins = options.onesided === true ? Math.floor(n / 2) + 1 : n
  return {
    name: `dft of [${shape}] ${JSON.stringify(options)}`,
    ops: [matmulOp],
    inputs: [{ shape }],
    build: (x) => dft(x, options),
    reference: (x) =>
      tabulate([...shape.slice(0, axis), bins, ...shape.slice(axis + 1, -1), 2], (index) => {
        const place = index.slice(0, -1)
        const terms = Array.from({ length: n }, (_, j) => complex(x, place.with(axis, j)))
        return sumOf(terms, index[axis], options.inverse === true, index[index.length - 1])
      }),
  }
}

function frames(shape: readonly number[], options: StftOptions): OpCase {
  const { window, frameStep, onesided = true } = options
  const frame = options.frameLength ?? window?.length ?? 0
  const bins = onesided ? Math.floor(frame / 2) + 1 : frame
  return {
    name: `stft of [${shape}], frames of ${frame} every ${frameStep}${window === undefined ? '' : ', window'}${onesided ? '' : ', both sides'}`,
    ops: [convOp],
    inputs: [{ shape }],
    build: (x) => stft(x, options),
    reference: (x) =>
      tabulate([shape[0], Math.floor((shape[1] - frame) / frameStep) + 1, bins, 2], ([image, i, k, part]) => {
        const terms = Array.from({ length: frame }, (_, j): Complex => {
          const [a, b] = complex(x, [image, i * frameStep + j])
          const factor = window?.[j] ?? 1
          return [a * factor, b * factor]
        })
        return sumOf(terms, k, false, part)
      }),
  }
}

const window = Array.from({ length: 8 }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / 8))

export const cases: readonly OpCase[] = [
  transform([2, 9, 1], {}, 1),
  transform([3, 8, 2], { inverse: true }, 1),
  transform([2, 10, 1], { onesided: true }, 1),
  transform([2, 7, 3, 2], { axis: 1 }, 1),
  transform([5, 4, 1], { axis: 0, onesided: true }, 0),
  transform([2, 6, 2], { length: 9 }, 1),
  transform([2, 9, 1], { length: 4, inverse: true }, 1),
  // Longer ones are put together, here of 15 × 18 and 16 × (17 × 1).
  transform([2, 270, 2], {}, 1),
  transform([1, 272, 1], { onesided: true }, 1),
  transform([1, 257, 1], { inverse: true }, 1),
  frames([2, 23, 1], { frameLength: 8, frameStep: 3 }),
  frames([1, 20, 1], { window, frameStep: 4 }),
  frames([2, 16, 2], { window, frameLength: 8, frameStep: 5, onesided: false }),
]
