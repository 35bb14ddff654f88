/**
 * What exporters write as several nodes and we have one layer for: biases, activations, norms. A match becomes a node of
 * its own that computes the same; nodes that nothing takes any more fall away. Where a pattern does not match exactly,
 * the nodes are read one by one.
 */
import type { Operator } from './operator.ts'
import { fused } from './operators/fused.ts'
import type { MessageReader } from './read-message.ts'
import type { Message } from './schema.ts'
import { type Known, product } from './values.ts'

type Node = Message<'Node'>
type FusedName = keyof typeof fused

/** What patterns ask of a graph. */
class Nodes {
  readonly #producers = new Map<string, Node>()
  readonly #uses = new Map<string, number>()
  readonly #constants: ReadonlyMap<string, Known>
  readonly #attributeConstant: (node: Node) => Known | undefined

  readonly reader: MessageReader

  constructor(
    reader: MessageReader,
    nodes: readonly Node[],
    outputs: readonly string[],
    constants: ReadonlyMap<string, Known>,
    attributeConstant: (node: Node) => Known | undefined,
  ) {
    this.reader = reader
    this.#constants = constants
    this.#attributeConstant = attributeConstant
    for (const node of nodes) {
      for (const name of node.output) this.#producers.set(name, node)
      for (const name of node.input) this.#uses.set(name, (this.#uses.get(name) ?? 0) + 1)
    }
    for (const name of outputs) this.#uses.set(name, (this.#uses.get(name) ?? 0) + 1)
  }

  /** The node that gives a value, where it is of this operator. */
  from(name: string | undefined, opType: string): Node | undefined {
    const node = name === undefined ? undefined : this.#producers.get(name)
    return node?.opType === opType && (node.domain ?? '') === '' ? node : undefined
  }

  usedOnce(name: string | undefined): boolean {
    return name !== undefined && this.#uses.get(name) === 1
  }

  constant(name: string | undefined, copies = 0): Known | undefined {
    if (name === undefined || name === '') return undefined
    const known = this.#constants.get(name)
    if (known !== undefined) return known
    // Equal weights are written once, and copied.
    const copy = this.from(name, 'Identity')
    if (copy !== undefined && copies < 4) return this.constant(copy.input[0], copies + 1)
    const node = this.from(name, 'Constant')
    return node === undefined ? undefined : this.#attributeConstant(node)
  }

  /** The number that a constant of one element is. */
  scalar(name: string | undefined): number | undefined {
    const known = this.constant(name)
    const item = known !== undefined && product(known.dims) === 1 ? known.data[0] : undefined
    return typeof item === 'number' ? item : undefined
  }

  isScalar(name: string | undefined, value: number): boolean {
    const number = this.scalar(name)
    return number !== undefined && Math.abs(number - value) <= 1e-4 * Math.abs(value)
  }
}

/** Both ways to look at the operands of a node that may be swapped. */
function* operands(node: Node | undefined): Generator<readonly [string, string]> {
  if (node === undefined || node.input.length !== 2) return
  const [a, b] = node.input
  yield [a, b]
  yield [b, a]
}

/** The factor by which a value is another one: `c` for c · x, x · c and x / (1 / c). */
function factorOf(g: Nodes, name: string, of: string): number | undefined {
  for (const [value, number] of operands(g.from(name, 'Mul'))) {
    const scalar = g.scalar(number)
    if (value === of && scalar !== undefined) return scalar
  }
  const division = g.from(name, 'Div')
  const scalar = division === undefined ? undefined : g.scalar(division.input[1])
  return division?.input[0] === of && scalar !== undefined ? 1 / scalar : undefined
}

interface Product {
  readonly factor: number
  readonly of: readonly [string, string]
}

/** A value as a number times two others, in all the ways in which it was written so. */
function* products(g: Nodes, name: string, depth = 0): Generator<Product> {
  if (depth > 2) return
  const division = g.from(name, 'Div')
  const divisor = division === undefined ? undefined : g.scalar(division.input[1])
  if (division !== undefined && divisor !== undefined) {
    for (const { factor, of } of products(g, division.input[0], depth + 1)) yield { factor: factor / divisor, of }
  }
  for (const [a, b] of operands(g.from(name, 'Mul'))) {
    const scalar = g.scalar(b)
    if (scalar !== undefined) {
      for (const { factor, of } of products(g, a, depth + 1)) yield { factor: factor * scalar, of }
      continue
    }
    yield { factor: 1, of: [a, b] }
    // One of the two may have been multiplied with a number first.
    for (const [x, number] of operands(g.from(a, 'Mul'))) {
      const inner = g.scalar(number)
      if (inner !== undefined) yield { factor: inner, of: [x, b] }
    }
    const inner = g.from(a, 'Div')
    const below = inner === undefined ? undefined : g.scalar(inner.input[1])
    if (inner !== undefined && below !== undefined) yield { factor: 1 / below, of: [inner.input[0], b] }
  }
}

const near = (value: number | undefined, wanted: number): boolean =>
  value !== undefined && Math.abs(value - wanted) <= 1e-4 * Math.abs(wanted)

/** The value to which a number was added. */
function plus(g: Nodes, name: string, number: number): string | undefined {
  for (const [value, other] of operands(g.from(name, 'Add'))) if (g.isScalar(other, number)) return value
  return undefined
}

const attributeOf = (node: Node | undefined, name: string) => node?.attribute.find((one) => one.name === name)

/** x held between 0 and 6: attributes until opset 10, inputs later. */
function isClip6(g: Nodes, node: Node | undefined): boolean {
  if (node === undefined) return false
  if (node.input.length === 3) return g.scalar(node.input[1]) === 0 && g.scalar(node.input[2]) === 6
  return attributeOf(node, 'min')?.f === 0 && attributeOf(node, 'max')?.f === 6
}

/** Whether `inner` is √(2/π) · (x + 0.044715 · x³). */
function isTanhArgument(g: Nodes, inner: string, x: string): boolean {
  for (const [sum, number] of operands(g.from(inner, 'Mul'))) {
    if (!g.isScalar(number, Math.sqrt(2 / Math.PI))) continue
    for (const [first, cube] of operands(g.from(sum, 'Add'))) {
      if (first !== x) continue
      for (const [power, share] of operands(g.from(cube, 'Mul'))) {
        const pow = g.from(power, 'Pow')
        if (g.isScalar(share, 0.044715) && pow?.input[0] === x && g.isScalar(pow.input[1], 3)) return true
      }
    }
  }
  return false
}

/** What `factor` · x · `other` is, where `other` depends on x. */
function gateOf(g: Nodes, factor: number, x: string, other: string): FusedName | undefined {
  if (near(factor, 0.5)) {
    const inner = plus(g, other, 1)
    const [erf, tanh] = inner === undefined ? [] : [g.from(inner, 'Erf'), g.from(inner, 'Tanh')]
    if (erf !== undefined && near(factorOf(g, erf.input[0], x), Math.SQRT1_2)) return 'Gelu'
    if (tanh !== undefined && isTanhArgument(g, tanh.input[0], x)) return 'GeluTanh'
  }
  if (near(factor, 1 / 6)) {
    const clip = g.from(other, 'Clip')
    if (isClip6(g, clip) && plus(g, clip?.input[0] ?? '', 3) === x) return 'HardSwish'
  }
  if (factor !== 1) return undefined
  if (g.from(other, 'Sigmoid')?.input[0] === x) return 'Silu'
  const hard = g.from(other, 'HardSigmoid')
  if (
    hard?.input[0] === x &&
    near(attributeOf(hard, 'alpha')?.f ?? 0.2, 1 / 6) &&
    (attributeOf(hard, 'beta')?.f ?? 0.5) === 0.5
  ) {
    return 'HardSwish'
  }
  const tanh = g.from(other, 'Tanh')
  if (tanh !== undefined && g.from(tanh.input[0], 'Softplus')?.input[0] === x) return 'Mish'
  return undefined
}

/** The last segment of an exporter's name says the operator. */
const renamed = (name: string | undefined, opType: string): string | undefined => name?.replace(/[^/]*$/, opType)

const noAttributes = { f: undefined, i: undefined, s: undefined, t: undefined, g: undefined, type: undefined }
type Attribute = Message<'Attribute'>
const attribute = (name: string, value: { readonly i?: number; readonly f?: number }): Attribute => ({
  ...noAttributes,
  name,
  floats: [],
  ints: [],
  strings: [],
  docString: undefined,
  refAttrName: undefined,
  ...value,
})

function made(
  g: Nodes,
  end: Node,
  opType: FusedName,
  input: readonly string[],
  attributes: readonly Attribute[] = [],
): Match {
  const name = renamed(end.name, opType)
  return {
    node: g.reader.copy(end, { name, opType, domain: '', input, attribute: attributes }),
    operator: fused[opType],
  }
}

export interface Match {
  readonly node: Node
  readonly operator: Operator
}

function activation(g: Nodes, end: Node): Match | undefined {
  for (const { factor, of } of products(g, end.output[0])) {
    for (const [x, other] of [of, [of[1], of[0]] as const]) {
      const name = gateOf(g, factor, x, other)
      if (name !== undefined) return made(g, end, name, [x])
    }
  }
  return undefined
}

/** A product with a constant, or a convolution, and a number for each of its features. */
function bias(g: Nodes, end: Node): Match | undefined {
  for (const [value, added] of operands(end)) {
    const shift = g.constant(added)
    if (shift === undefined || !g.usedOnce(value)) continue
    const matmul = g.from(value, 'MatMul')
    const weight = g.constant(matmul?.input[1])
    if (matmul !== undefined && weight?.dims.length === 2 && product(shift.dims) === weight.dims[1]) {
      if (shift.dims.at(-1) === weight.dims[1]) return made(g, end, 'Linear', [...matmul.input, added])
    }
    const conv = g.from(value, 'Conv')
    const kernel = g.constant(conv?.input[1])
    if (conv === undefined || kernel === undefined || (conv.input[2] ?? '') !== '') continue
    const places = shift.dims.slice(-(kernel.dims.length - 1))
    const perChannel = places[0] === kernel.dims[0] && places.length === kernel.dims.length - 1
    if (perChannel && product(shift.dims) === kernel.dims[0]) {
      const match = made(g, end, 'Conv', [conv.input[0], conv.input[1], added], conv.attribute)
      return { ...match, node: g.reader.copy(match.node, { name: conv.name }) }
    }
  }
  return undefined
}

/** The trailing axes over which a mean is taken, kept with an extent of 1; counted from the end. */
function meanAxes(g: Nodes, node: Node | undefined): number | undefined {
  if (node === undefined || (attributeOf(node, 'keepdims')?.i ?? 1) !== 1) return undefined
  const axes = attributeOf(node, 'axes')?.ints ?? Array.from(g.constant(node.input[1])?.data ?? [], Number)
  const sorted = [...axes].sort((a, b) => b - a)
  return sorted.length > 0 && sorted.every((axis, i) => axis === -1 - i) ? sorted.length : undefined
}

/** Whether a mean is taken over the axis behind the batch alone, kept with an extent of 1: the channels of maps. */
function isChannelMean(g: Nodes, node: Node): boolean {
  const axes = attributeOf(node, 'axes')?.ints ?? Array.from(g.constant(node.input[1])?.data ?? [], Number)
  return (attributeOf(node, 'keepdims')?.i ?? 1) === 1 && axes.length === 1 && axes[0] === 1
}

/** Scale and shift behind a normalised value: x · scale + shift. */
function* affine(g: Nodes, end: Node): Generator<{ value: string; scale: string; shift: string }> {
  for (const [scaled, shift] of operands(end)) {
    if (g.constant(shift) === undefined) continue
    for (const [value, scale] of operands(g.from(scaled, 'Mul'))) {
      if (g.constant(scale) !== undefined) yield { value, scale, shift }
    }
  }
}

/** (x - mean) / √(mean of (x - mean)² + eps) · scale + shift. */
function layerNorm(g: Nodes, end: Node): Match | undefined {
  for (const { value, scale, shift } of affine(g, end)) {
    const division = g.from(value, 'Div')
    const difference = g.from(division?.input[0], 'Sub')
    const sum = g.from(g.from(division?.input[1], 'Sqrt')?.input[0], 'Add')
    const mean = g.from(difference?.input[1], 'ReduceMean')
    if (difference === undefined || mean === undefined || mean.input[0] !== difference.input[0]) continue
    for (const [variance, added] of operands(sum)) {
      const eps = g.scalar(added)
      const squares = g.from(variance, 'ReduceMean')
      const power = g.from(squares?.input[0], 'Pow') ?? g.from(squares?.input[0], 'Mul')
      const own = difference.output[0]
      const isSquare = power?.opType === 'Pow' ? g.isScalar(power.input[1], 2) : power?.input[1] === own
      const axes = meanAxes(g, mean)
      if (eps === undefined || power?.input[0] !== own || !isSquare || squares === undefined) continue
      const [weight, moved] = [g.constant(scale), g.constant(shift)]
      const ofChannels =
        weight !== undefined && weight.dims.length > 1 && weight.dims.slice(1).every((one) => one === 1)
      if (ofChannels && isChannelMean(g, mean) && isChannelMean(g, squares)) {
        if (product(moved?.dims ?? [0]) !== product(weight.dims)) continue
        const epsilon = attribute('epsilon', { f: eps })
        return made(g, end, 'ChannelNormalization', [difference.input[0], scale, shift], [epsilon])
      }
      if (axes === undefined || axes !== meanAxes(g, squares)) continue
      if (weight?.dims.length !== axes || moved?.dims.length !== axes) continue
      const attributes = [attribute('axis', { i: -axes }), attribute('epsilon', { f: eps })]
      return made(g, end, 'LayerNormalization', [difference.input[0], scale, shift], attributes)
    }
  }
  return undefined
}

const isAll = (known: Known | undefined, value: number): boolean =>
  known !== undefined && Array.from(known.data).every((one) => one === value)

/** Groups of channels as the channels of an instance norm, then scale and shift for each channel. */
function groupNorm(g: Nodes, end: Node): Match | undefined {
  for (const { value, scale, shift } of affine(g, end)) {
    const back = g.from(value, 'Reshape')
    const norm = g.from(back?.input[0], 'InstanceNormalization')
    const there = g.from(norm?.input[0], 'Reshape')
    if (back === undefined || norm === undefined || there === undefined) continue
    const [x, to] = there.input
    const shape = g.constant(to)
    const groups = shape?.dims[0] === 3 && shape.data[0] === 0 && shape.data[2] === -1 ? shape.data[1] : undefined
    const restores = g.from(back.input[1], 'Shape')?.input[0] === x
    if (typeof groups !== 'number' || groups < 1 || !restores) continue
    if (!isAll(g.constant(norm.input[1]), 1) || !isAll(g.constant(norm.input[2]), 0)) continue
    const [channels, ...ones] = g.constant(scale)?.dims ?? []
    if (ones.some((extent) => extent !== 1) || channels !== product(g.constant(shift)?.dims ?? [0])) continue
    const eps = attributeOf(norm, 'epsilon')?.f ?? 1e-5
    return made(
      g,
      end,
      'GroupNormalization',
      [x, scale, shift],
      [attribute('num_groups', { i: groups }), attribute('epsilon', { f: eps })],
    )
  }
  return undefined
}

/**
 * The nodes with what belongs together as one, and the operators of those.
 * @param constants initializers @param attributeConstant the value of a Constant node
 */
export function fuse(
  reader: MessageReader,
  nodes: readonly Node[],
  outputs: readonly string[],
  constants: ReadonlyMap<string, Known>,
  attributeConstant: (node: Node) => Known | undefined,
): { readonly nodes: readonly Node[]; readonly operators: ReadonlyMap<Node, Operator> } {
  const g = new Nodes(reader, nodes, outputs, constants, attributeConstant)
  const operators = new Map<Node, Operator>()
  const fusedNodes = nodes.map((node) => {
    const match =
      node.opType === 'Add'
        ? (layerNorm(g, node) ?? groupNorm(g, node) ?? bias(g, node))
        : node.opType === 'Mul' || node.opType === 'Div'
          ? activation(g, node)
          : undefined
    if (match === undefined || (node.domain ?? '') !== '') return node
    operators.set(match.node, match.operator)
    return match.node
  })
  return { nodes: fusedNodes, operators }
}
