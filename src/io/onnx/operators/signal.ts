/** Fourier transforms, and the constants that go with them. */
import * as nn from '../../../nn/index.ts'
import { dimsOf, flowOf } from '../layout.ts'
import { changedFlow } from '../network.ts'
import { computed, type Family, type NodeReader, type Operator } from '../operator.ts'
import { typeName } from '../tensors.ts'
import { batchAtom, type Flow, type Known, showElements } from '../values.ts'
import { placesOf } from './places.ts'

/** The atoms of an axis, the batch left out. */
const atomsOf = (flow: Flow, axis: number) => flow.axes[axis].filter((atom) => atom !== batchAtom)

function dft(node: NodeReader): Flow {
  const flow = node.flow(0)
  const rank = flow.axes.length
  const given = node.version < 20 ? node.int('axis', 1) : node.hasInput(2) ? node.scalar(2) : -2
  const axis = node.axis(given, rank)
  const last = rank - 1
  node.apart(flow, axis)
  node.apart(flow, last)
  if (axis === last) throw node.error('transforms real and imaginary part', { got: showElements(dimsOf(flow)) })
  const onesided = node.int('onesided', 0) === 1
  const inverse = node.int('inverse', 0) === 1
  if (onesided && inverse) throw node.unsupported('is one-sided and inverse')
  // The transformed axis and the parts come last, what stands before them stays in order.
  const parts = [atomsOf(flow, axis), atomsOf(flow, last)]
  const others = placesOf(flow, [])
    .groups.flat()
    .filter((atom) => !parts.flat().includes(atom))
  const groups = [...others.map((atom) => [atom]), ...parts]
  const from = node.place(flow, groups).layer
  const made = node.add(
    nn.dft({
      ...(node.hasInput(1) ? { length: node.scalar(1) } : {}),
      ...(inverse ? { inverse } : {}),
      ...(onesided ? { onesided } : {}),
    }),
    [from],
  )
  return changedFlow(
    flow,
    groups,
    made,
    new Map([
      [groups.length - 2, axis],
      [groups.length - 1, last],
    ]),
  )
}

function stft(node: NodeReader): Flow {
  const flow = node.flow(0)
  if (flow.axes.length !== 3 && flow.axes.length !== 2) {
    throw node.error('the input is no signal', { got: showElements(dimsOf(flow)), expected: '[batch, length, 1 or 2]' })
  }
  node.batchFirst(flow)
  const groups = [atomsOf(flow, 1), flow.axes.length === 3 ? atomsOf(flow, 2) : []]
  const from = node.place(flow, groups).layer
  const window = node.hasInput(2) ? node.numbers(node.known(2)) : undefined
  const made = node.add(
    nn.stft({
      frameStep: node.scalar(1),
      ...(node.hasInput(3) ? { frameLength: node.scalar(3) } : {}),
      ...(window === undefined ? {} : { window }),
      ...(node.int('onesided', 1) === 1 ? {} : { onesided: false }),
    }),
    [from],
  )
  return flowOf(made.layer, made.shape, 'f32', [1, 2, 3], flow.axes[0].includes(batchAtom) ? 0 : undefined)
}

const outputType = (node: NodeReader): Known['type'] => typeName(node.int('output_datatype', 1)) ?? 'float'

/** A matrix from frequencies to the bands of the mel scale: triangles, as ONNX's text has them. */
function mel(node: NodeReader, inputs: readonly Known[]): Known {
  const [bands, length, rate, lower, upper] = inputs.map((value) => node.plain(value.data[0] ?? Number.NaN))
  const rows = Math.floor(length / 2) + 1
  if (![bands, length, rate].every((value) => Number.isSafeInteger(value) && value >= 1) || !(upper > lower)) {
    throw node.error('the bands make no sense', { got: showElements([bands, length, rate, lower, upper]) })
  }
  const toMel = (hertz: number) => 2595 * Math.log10(1 + hertz / 700)
  const [low, high] = [toMel(lower), toMel(upper)]
  const { data, known } = computed(node, outputType(node), [rows, bands])
  const edge = (i: number) => {
    const hertz = 700 * (10 ** ((low + (i * (high - low)) / (bands + 2)) / 2595) - 1)
    return Math.floor(((length + 1) * hertz) / rate)
  }
  // Only rows that there are, whatever the numbers say.
  const fill = (from: number, to: number, band: number, value: (row: number) => number) => {
    for (let row = Math.max(0, from); row <= Math.min(rows - 1, to); row++) data[row * bands + band] = value(row)
  }
  for (let band = 0; band < bands; band++) {
    const [start, top, end] = [edge(band), edge(band + 1), edge(band + 2)]
    fill(start, top, band, (row) => (top === start ? 1 : (row - start) / (top - start)))
    fill(top, end - 1, band, (row) => (end - row) / (end - top))
  }
  return known
}

/** Windows that are sums of cosines. */
function window(coefficients: readonly number[]): Operator {
  const make = (node: NodeReader, [size]: readonly Known[]): Known => {
    const count = node.plain(size.data[0] ?? Number.NaN)
    if (!Number.isSafeInteger(count) || count < 0) throw node.error('the size makes no sense', { got: String(count) })
    const { data, known } = computed(node, outputType(node), [count])
    const period = node.int('periodic', 1) === 1 ? count : count - 1
    for (let i = 0; i < count; i++) {
      data[i] = coefficients.reduce((sum, a, order) => sum + a * Math.cos((2 * Math.PI * order * i) / period), 0)
    }
    return known
  }
  return { versions: [17], read: (node) => make(node, [node.known(0)]), fold: make }
}

export const signals: Family = {
  DFT: { versions: [17, 20], read: dft },
  STFT: { versions: [17], read: stft },
  MelWeightMatrix: {
    versions: [17],
    least: 5,
    read: (node) =>
      mel(
        node,
        [0, 1, 2, 3, 4].map((i) => node.known(i)),
      ),
    fold: mel,
  },
  HannWindow: window([0.5, -0.5]),
  HammingWindow: window([25 / 46, -21 / 46]),
  BlackmanWindow: window([0.42, -0.5, 0.08]),
}
