/** Values of weights put into another order: PyTorch's channels first and our channels last. */
import { type Shape, sizeOf } from '../../base/shape.ts'

/** How the values of a parameter lie in a file of PyTorch's, and how to go there and back. */
export interface Turn {
  /** The shape in the file. */
  readonly shape: Shape
  /** For people: `[out, in, ...kernel] to [...kernel, in, out]`. */
  readonly how: string
  toOurs(values: Float32Array): Float32Array<ArrayBuffer>
  toTheirs(values: Float32Array): Float32Array<ArrayBuffer>
}

/** Where each of our features stands in a file that counts them in another order: `theirs[order[i]]` is our i-th. */
export type Order = Int32Array

/** The order of features that come from flattening [...spatial, channels], where the file flattens [channels, ...spatial]. */
export function flattenOrder(shape: Shape): Order {
  const channels = shape[shape.length - 1]
  const places = sizeOf(shape.slice(0, -1))
  const order = new Int32Array(places * channels)
  for (let place = 0, i = 0; place < places; place++) {
    for (let channel = 0; channel < channels; channel++) order[i++] = channel * places + place
  }
  return order
}

/** Whether an order changes anything. */
export function isInOrder(order: Order): boolean {
  return order.every((at, i) => at === i)
}

/** Convolutions, transposed ones too: [a, b, ...kernel] in the file, [...kernel, b, a] here. */
export function turnKernel(shape: Shape): Turn {
  const a = shape[shape.length - 1]
  const b = shape[shape.length - 2]
  const kernel = shape.slice(0, -2)
  const taps = sizeOf(kernel)
  const rows = new Int32Array(taps * b)
  for (let tap = 0, i = 0; tap < taps; tap++) {
    for (let channel = 0; channel < b; channel++) rows[i++] = channel * taps + tap
  }
  return {
    shape: [a, b, ...kernel],
    how: '[out, in, ...kernel] to [...kernel, in, out]',
    toOurs: (values) => transpose(values, a, rows, undefined),
    toTheirs: (values) => transposeBack(values, a, rows, undefined),
  }
}

/** [out, in] in the file, [in, out] here; features of both sides in the file's order. */
export function turnLinear([inputs, outputs]: Shape, rows: Order | undefined, columns: Order | undefined): Turn {
  const inOrder = Int32Array.from({ length: inputs }, (_, i) => i)
  const reordered = rows === undefined ? (columns === undefined ? '' : ' before a reshape') : ' behind a flatten'
  return {
    shape: [outputs, inputs],
    how: `[out, in] to [in, out]${reordered}`,
    toOurs: (values) => transpose(values, outputs, rows ?? inOrder, columns),
    toTheirs: (values) => transposeBack(values, outputs, rows ?? inOrder, columns),
  }
}

/** A value for each feature. */
export function turnFeatures(order: Order): Turn {
  return {
    shape: [order.length],
    how: 'features behind a flatten',
    toOurs: (values) => Float32Array.from(order, (at) => values[at]),
    toTheirs(values) {
      const turned = new Float32Array(order.length)
      for (let i = 0; i < order.length; i++) turned[order[i]] = values[i]
      return turned
    },
  }
}

/** Columns that are turned at once: those of one cache line, so that it is written as a whole. */
const tile = 16

/** `turned[i, j] = values[columns[j], rows[i]]`, for values [width, rows]. */
function transpose(
  values: Float32Array,
  width: number,
  rows: Order,
  columns: Order | undefined,
): Float32Array<ArrayBuffer> {
  const height = rows.length
  const turned = new Float32Array(values.length)
  for (let start = 0; start < width; start += tile) {
    const end = Math.min(width, start + tile)
    for (let i = 0; i < height; i++) {
      const from = rows[i]
      const to = i * width
      for (let j = start; j < end; j++) {
        turned[to + j] = values[(columns === undefined ? j : columns[j]) * height + from]
      }
    }
  }
  return turned
}

/** The reverse of {@link transpose}. */
function transposeBack(
  values: Float32Array,
  width: number,
  rows: Order,
  columns: Order | undefined,
): Float32Array<ArrayBuffer> {
  const height = rows.length
  const turned = new Float32Array(values.length)
  for (let start = 0; start < width; start += tile) {
    const end = Math.min(width, start + tile)
    for (let i = 0; i < height; i++) {
      const to = rows[i]
      const from = i * width
      for (let j = start; j < end; j++) {
        turned[(columns === undefined ? j : columns[j]) * height + to] = values[from + j]
      }
    }
  }
  return turned
}
