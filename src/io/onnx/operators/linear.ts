/** Matrix products. */
import * as nn from '../../../nn/index.ts'
import { dimsOf, extentsOf, transposed, withAxes } from '../layout.ts'
import { placedFlow } from '../network.ts'
import { computed, type Family, type NodeReader } from '../operator.ts'
import { batchAtom, type Flow, type Known, product, showElements } from '../values.ts'
import { joinTwo } from './elementwise.ts'

/** An axis as the last one, its parts in the order in which they lie. */
export interface Features {
  /** The value, rearranged where needed. */
  readonly flow: Flow
  readonly layer: string
  /** Extents of the axis's parts as ONNX counts them. */
  readonly extents: readonly number[]
  /** In which order they lie: of weights, rows are turned to it. */
  readonly order: readonly number[]
}

/**
 * An axis whose elements a layer treats as features, where the order of these does not matter as long as the weights
 * have the same: what ONNX flattened as [channels, height, width] stays as [height, width, channels].
 */
export function featuresOf(node: NodeReader, flow: Flow, axis: number): Features {
  node.apart(flow, axis)
  const own = flow.axes[axis]
  const lying = own.toSorted((a, b) => a - b)
  const groups = [
    ...flow.atoms
      .map((_, atom) => atom)
      .filter((atom) => !own.includes(atom))
      .map((atom) => [atom]),
    lying,
  ]
  const made = node.place(flow, groups)
  return {
    flow: placedFlow(flow, groups, made),
    layer: made.layer,
    extents: own.map((atom) => flow.atoms[atom]),
    order: lying.map((atom) => own.indexOf(atom)),
  }
}

export interface Dense {
  readonly weight: Known
  /** ONNX's weight is [out, in]. */
  readonly outFirst: boolean
  /** Of every feature. */
  readonly bias?: Known | undefined
  /** What weight and bias are multiplied with. */
  readonly scale?: number
  readonly biasScale?: number
}

/** A linear layer along an axis of a value, whose extent becomes that of the outputs. */
export function dense(
  node: NodeReader,
  value: Flow,
  axis: number,
  { weight, outFirst, bias, scale = 1, biasScale = 1 }: Dense,
): Flow {
  const inFeatures = weight.dims[outFirst ? 1 : 0]
  const features = weight.dims[outFirst ? 0 : 1]
  if (weight.dims.length !== 2 || axis < 0 || product(extentsOf(value, axis)) !== inFeatures) {
    throw node.error('the inputs cannot be multiplied as matrices', {
      got: `${showElements(dimsOf(value))} and ${showElements(weight.dims)}`,
      expected: 'as many columns as rows',
    })
  }
  const { flow, layer, extents, order } = featuresOf(node, value, axis)
  const turn = outFirst
    ? node.turned(weight, [...order.map((i) => i + 1), 0], [features, ...extents], scale)
    : node.turned(weight, [...order, order.length], [...extents, features], scale)
  const made = node.add(nn.linear(features, bias === undefined ? { bias: false } : {}), [layer], {
    weight: turn,
    ...(bias === undefined ? {} : { bias: biasOf(node, bias, features, biasScale) }),
  })
  // The features are one new part of the axis, where the old ones were: at the end.
  const gone = flow.axes[axis].length
  const kept = flow.atoms.length - gone
  const atoms = [...flow.atoms.slice(0, kept), ...(features === 1 ? [] : [features])]
  const axes = flow.axes.map((atoms, i) => (i === axis ? (features === 1 ? [] : [kept]) : atoms))
  return { ...flow, ...made, atoms, axes }
}

function biasOf(node: NodeReader, bias: Known, features: number, scale: number) {
  if (bias.initializer !== undefined) node.context.takesWeight(bias.initializer, node.node)
  return () => {
    const values = node.floats32(bias)
    return Float32Array.from({ length: features }, (_, i) => scale * values[values.length === 1 ? 0 : i])
  }
}

/** Whether a constant is one number for all features, or one for each. */
export function isBias(bias: Known, features: number): boolean {
  const last = bias.dims.at(-1) ?? 1
  return product(bias.dims) === last && (last === features || last === 1)
}

function matmul(node: NodeReader): Flow {
  const [a, b] = [node.input(0), node.input(1)]
  if (a.kind === 'flow' && b.kind === 'known' && b.dims.length === 2) {
    const bias = node.inputs[2]
    return dense(node, a, a.axes.length - 1, {
      weight: b,
      outFirst: false,
      ...(bias?.kind === 'known' ? { bias } : {}),
    })
  }
  if (a.kind === 'known' && b.kind === 'flow' && a.dims.length === 2 && b.axes.length >= 2) {
    // A · x is (xᵀ · Aᵀ)ᵀ: the axis of rows is a linear layer's features.
    return dense(node, b, b.axes.length - 2, { weight: a, outFirst: true })
  }
  return product2(node, node.flow(0), node.flow(1))
}

/** The product of two values of the network: all of their axes but the last two are those of many matrices. */
function product2(node: NodeReader, a: Flow, b: Flow): Flow {
  const [left, right] = [Math.max(2, a.axes.length), Math.max(2, b.axes.length)]
  if (a.axes.length < 2 || b.axes.length < 2) throw node.unsupported('multiplies a vector that comes from the input')
  const rank = Math.max(left, right)
  const lead = rank - 2
  const axesOf = (flow: Flow) => [...new Array<readonly number[]>(rank - flow.axes.length).fill([]), ...flow.axes]
  const [x, y] = [withAxes(a, axesOf(a)), withAxes(b, axesOf(b))]
  for (const flow of [x, y]) for (const axis of [lead, lead + 1]) node.apart(flow, axis)
  for (let axis = 0; axis < lead; axis++) {
    const [p, q] = [x.axes[axis], y.axes[axis]]
    const batched = (atoms: readonly number[]) => atoms.includes(batchAtom)
    if ([p, q].some((atoms) => atoms.indexOf(batchAtom) > 0)) throw node.mixes('multiplies along the batch')
    if (batched(p) !== batched(q) && p.length > 0 !== (q.length === 0) && p.length > 0 && q.length > 0) {
      throw node.mixes('joins the batch of one input with another axis')
    }
  }
  const strip = (atoms: readonly number[]) => atoms.filter((atom) => atom !== batchAtom)
  const groups = (flow: Flow) => flow.axes.map(strip)
  // Where the batch stands alone, its group is empty and is left out on both sides.
  const keep = x.axes.map((_, axis) => axis >= lead || strip(x.axes[axis]).length + strip(y.axes[axis]).length > 0)
  const pick = (flow: Flow) => groups(flow).filter((_, axis) => keep[axis])
  const [p, q] = [node.place(x, pick(x)), node.place(y, pick(y))]
  const made = node.add(nn.matmul(), [p.layer, q.layer])
  const atoms: number[] = []
  let place = 0
  const axes = x.axes.map((_, axis) => {
    const batch = x.axes[axis].includes(batchAtom) || y.axes[axis].includes(batchAtom) ? [batchAtom] : []
    if (!keep[axis]) return batch
    const extent = made.shape[place++]
    return extent === 1 ? batch : [...batch, atoms.push(extent) - 1]
  })
  return { kind: 'flow', ...made, dtype: 'f32', atoms, axes }
}

function gemm(node: NodeReader): Flow {
  const [alpha, beta] = [node.float('alpha', 1), node.float('beta', 1)]
  const a = node.input(0)
  const b = node.input(1)
  const c = node.inputs[2]
  const turnA = node.int('transA', 0) !== 0
  const turnB = node.int('transB', 0) !== 0
  if (a.kind === 'flow' && b.kind === 'known' && b.dims.length === 2 && a.axes.length === 2) {
    const value = turnA ? transposed(a, [1, 0]) : a
    const features = b.dims[turnB ? 0 : 1]
    const own = c?.kind === 'known' && isBias(c, features) ? c : undefined
    const result = dense(node, value, 1, { weight: b, outFirst: turnB, bias: own, scale: alpha, biasScale: beta })
    if (c === undefined || own !== undefined || beta === 0) return result
    if (beta !== 1) throw node.unsupported('adds a matrix with a beta of its own', { got: String(beta) })
    return joinTwo(node, 'add', result, c)
  }
  const [x, y] = [node.flow(0), node.flow(1)]
  const value = product2(node, turnA ? transposed(x, [1, 0]) : x, turnB ? transposed(y, [1, 0]) : y)
  const scaled = alpha === 1 ? value : node.pointwise(value, nn.scalar('mul', alpha))
  if (c === undefined || beta === 0) return scaled
  if (beta !== 1) throw node.unsupported('adds a matrix with a beta of its own', { got: String(beta) })
  return joinTwo(node, 'add', scaled, c)
}

function foldMatmul(node: NodeReader, [a, b]: readonly Known[]): Known {
  if (a.dims.length !== 2 || b.dims.length !== 2 || a.dims[1] !== b.dims[0]) {
    throw node.unsupported('multiplies constants that are no matrices', {
      got: `${showElements(a.dims)} and ${showElements(b.dims)}`,
    })
  }
  const [rows, inner] = a.dims
  const columns = b.dims[1]
  node.context.allocate(rows * inner * columns)
  const { data, known } = computed(node, a.type, [rows, columns], [a, b])
  const [x, y] = [node.floats32(a), node.floats32(b)]
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      let sum = 0
      for (let k = 0; k < inner; k++) sum += x[i * inner + k] * y[k * columns + j]
      data[i * columns + j] = sum
    }
  }
  return known
}

export const linear: Family = {
  MatMul: { versions: [1, 9, 13], least: 2, read: matmul, fold: foldMatmul },
  Gemm: { versions: [1, 6, 7, 9, 11, 13], least: 2, read: gemm },
}
