import { threefry2x32 } from '../base/random.ts'
import { at, type CaseInput, type OpCase, tabulate, type Values } from '../testing/case.ts'
import { add } from './elementwise.ts'
import * as r from './random.ts'

const key: CaseInput = { shape: [2], dtype: 'i32', values: [-123456789, 42] }
const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1)
const words = (k: Values, stream: number, i: number) => threefry2x32(k.data[0], k.data[1], i, stream)
const unit = (word: number): number => (word >>> 8) / 2 ** 24

/** Element i is a function of i alone, whatever the shape. */
function drawn(shape: readonly number[], f: (i: number) => number): Values {
  return { shape, data: Float64Array.from({ length: size(shape) }, (_, i) => f(i)) }
}
const uniforms = (k: Values, shape: readonly number[], stream: number): Values =>
  drawn(shape, (i) => unit(words(k, stream, i)[0]))

export const cases: readonly OpCase[] = [
  {
    name: 'randomUniform',
    ops: [r.randomUniformOp],
    inputs: [key],
    build: (k) => r.randomUniform([5, 33], k, 7),
    reference: (k) => uniforms(k, [5, 33], 7),
    tolerance: 0,
  },
  {
    name: 'randomUniform of many',
    ops: [r.randomUniformOp],
    inputs: [key],
    build: (k) => r.randomUniform([33_001], k, -1),
    reference: (k) => uniforms(k, [33_001], -1),
    tolerance: 0,
  },
  {
    name: 'randomUniform of a scalar',
    ops: [r.randomUniformOp],
    inputs: [key],
    build: (k) => r.randomUniform([], k, 0),
    reference: (k) => uniforms(k, [], 0),
    tolerance: 0,
  },
  {
    name: 'randomNormal',
    ops: [r.randomNormalOp],
    inputs: [key],
    build: (k) => r.randomNormal([7, 19], k, 3),
    reference: (k) =>
      drawn([7, 19], (i) => {
        const [a, b] = words(k, 3, i)
        return Math.sqrt(-2 * Math.log(1 - unit(a))) * Math.cos(2 * Math.PI * unit(b))
      }),
    // 2π in f32 and a cosine of up to 2π
    tolerance: 2e-6,
  },
  {
    name: 'dropout',
    ops: [r.randomUniformOp],
    inputs: [{ shape: [9, 31] }, key],
    build: (x, k) => r.dropout(x, 0.25, k, 5),
    reference: (x, k) => {
      const u = uniforms(k, [9, 31], 5)
      return tabulate([9, 31], (i) => (at(u, i) >= 0.25 ? at(x, i) / 0.75 : 0))
    },
  },
  {
    name: 'dropout with rate 0',
    ops: [],
    inputs: [{ shape: [9] }, key],
    build: (x, k) => add(r.dropout(x, 0, k, 5), x),
    reference: (x) => tabulate([9], (i) => 2 * at(x, i)),
  },
]
