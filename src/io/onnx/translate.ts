/** An ONNX graph as a juanji net: the nodes one after the other, each by its operator. */
import { didYouMean, FormatError, JuanjiError, nearest, UnsupportedError } from '../../base/errors.ts'
import type { Shape } from '../../base/shape.ts'
import type { Layer } from '../../nn/layer.ts'
import { batchAxisOf, batchIsMerged, dimsOf } from './layout.ts'
import { Names } from './names.ts'
import { Network, type Weight } from './network.ts'
import { type Context, NodeReader, type Operator } from './operator.ts'
import { findOperator, newestOpset, onnxOperators } from './operators/index.ts'
import { fuse } from './patterns.ts'
import type { MessageReader } from './read-message.ts'
import type { Message } from './schema.ts'
import type { GraphInput } from './signature.ts'
import { readTensor } from './tensors.ts'
import { batchAtom, type Flow, type Known, product, shortName, showElements, type Value } from './values.ts'

/** Which of ONNX's axes the axes of a sample are. */
export interface AxisOrder {
  /** For each axis of a sample the axis of ONNX's value. */
  readonly axes: readonly number[]
  /** ONNX's axis that is the batch; undefined where all of the value is one sample. */
  readonly batch: number | undefined
}

export interface Translation {
  readonly net: Layer
  /** Whoever fills the parameters may take out what is done: a weight holds what it was made of. */
  readonly weights: Map<string, Weight>
  readonly inputShape: Shape
  readonly input: AxisOrder
  readonly output: AxisOrder
  readonly notes: readonly string[]
}

export interface Translated {
  readonly reader: MessageReader
  readonly graph: Message<'Graph'>
  /** Its nodes, without calls of the file's own functions. */
  readonly nodes: readonly Message<'Node'>[]
  readonly opset: number
  /** Initializers, and inputs that were given values. */
  readonly constants: ReadonlyMap<string, Known>
  readonly input: GraphInput
  readonly output: string
  readonly external: ReadonlyMap<object, Uint8Array>
  /** Bytes of the file, which bound what constants may be computed into. */
  readonly bytes: number
}

/**
 * What weights and computed constants may take, for each byte of the file and beyond: quantised weights grow eightfold,
 * four times where they become floats and four times as parameters.
 */
const bytesForEach = 12
const spareBytes = 64 * 2 ** 20
/** More weights than this that several nodes use are counted, not listed. */
const mostShared = 8

const outputNames = (graph: Message<'Graph'>) => graph.output.map(({ name = '' }) => name)

/** The tensor of a Constant node. */
function constantOf({ reader, external }: Translated, node: Message<'Node'>): Known | undefined {
  const tensor = node.attribute.find(({ name }) => name === 'value')?.t
  if (tensor === undefined || (tensor.dataLocation === 1 && !external.has(tensor))) return undefined
  return readTensor(reader, tensor, external.get(tensor))
}

/** The nodes that an output needs, in the file's order. */
export function neededNodes(nodes: readonly Message<'Node'>[], output: string): Message<'Node'>[] {
  const wanted = new Set([output])
  const needed: Message<'Node'>[] = []
  for (const node of nodes.toReversed()) {
    if (!node.output.some((name) => name !== '' && wanted.has(name))) continue
    for (const name of node.input) wanted.add(name)
    needed.push(node)
  }
  return needed.reverse()
}

/** The file's operator of a node. @throws UnsupportedError when it isn't known */
function operatorOf(
  of: Translated,
  node: Message<'Node'>,
  fused: ReadonlyMap<Message<'Node'>, Operator>,
): { operator: Operator; version: number } {
  const { reader, opset } = of
  const pattern = fused.get(node)
  if (pattern !== undefined) return { operator: pattern, version: pattern.versions[pattern.versions.length - 1] }
  const name = node.opType ?? ''
  const domain = node.domain ?? ''
  const own = domain === '' || domain === 'ai.onnx'
  const operator = own ? findOperator(name) : undefined
  if (operator === undefined) {
    const known = [...onnxOperators().keys()]
    const shown = shortName(name)
    throw new UnsupportedError({
      where: reader.path,
      what: `the operator '${shown}' of node '${shortName(node.name)}' is not read (domain '${own ? 'ai.onnx' : shortName(domain)}', opset ${opset})`,
      expected:
        nearest(shown, known) === undefined
          ? `one of the ${known.length} that onnxOperators() lists`
          : didYouMean(shown, known),
      fix: 'export the model without it, or add it in src/io/onnx/operators',
    })
  }
  const versions = operator.versions.filter((version) => version <= opset)
  if (versions.length === 0) {
    throw reader.error(`node '${shortName(node.name)}' uses ${name}, which opset ${opset} does not have`, {
      at: node,
      expected: `opset ${operator.versions[0]} or newer`,
    })
  }
  return { operator, version: versions[versions.length - 1] }
}

/**
 * The net of a graph.
 * @param whole whether all of the input is one sample, for graphs that mix the samples of a batch
 * @throws FormatError, UnsupportedError; MixesSamples where a node needs `whole`
 */
export function translate(of: Translated, whole: boolean): Translation {
  const { reader, graph, opset, input } = of
  const order = input.order(whole)
  const { nodes, operators } = fuse(reader, of.nodes, outputNames(graph), of.constants, constantOf.bind(undefined, of))
  const needed = neededNodes(nodes, of.output)
  const users = new Map<string, string[]>()
  for (const node of needed) {
    for (const name of node.input) {
      const list = users.get(name)
      if (list === undefined) users.set(name, [node.opType ?? ''])
      else list.push(node.opType ?? '')
    }
  }
  const most = bytesForEach * of.bytes + spareBytes
  let left = most
  const shared = new Map<string, Set<object>>()
  const allocate = (elements: number, each = 8) => {
    left -= each * elements
    if (left >= 0) return
    throw reader.error('weights and constants take absurdly much memory', {
      expected: `at most ${most} bytes, ${bytesForEach} for each of the file and ${spareBytes} more`,
      fix: 'export the model with a weight of its own for every node',
    })
  }
  const network = new Network(order.shape, input.dtype, order.axes, order.batch, (shape) => allocate(product(shape), 4))
  const context: Context = {
    reader,
    network,
    opset,
    declaredBatch: whole ? undefined : input.declaredBatch,
    allocate,
    takesWeight(name, node) {
      const takers = shared.get(name)
      if (takers === undefined) shared.set(name, new Set([node]))
      else takers.add(node)
    },
    usersOf: (name) => users.get(name) ?? [],
    external: of.external,
  }
  if (order.note !== undefined) network.notes.push(order.note)
  if (opset > newestOpset) network.notes.push(`opset ${opset} is newer than any known: read as opset ${newestOpset}`)
  const values = new Map<string, Value>(of.constants)
  values.set(input.name, network.input)
  const names = new Names()
  for (const node of needed) {
    readNode(of, context, node, operatorOf(of, node, operators), values, names)
  }
  network.notes.push(...notesOfShared(shared))
  const value = values.get(of.output)
  if (value === undefined) throw reader.error(`nothing gives the output '${of.output}'`, { at: graph })
  const result = finish(of, network, value, order.channelsLast)
  return { ...result, inputShape: order.shape, input: { axes: order.axes, batch: order.batch }, notes: network.notes }
}

function notesOfShared(shared: ReadonlyMap<string, ReadonlySet<object>>): string[] {
  const several = [...shared].filter(([, takers]) => takers.size > 1)
  const notes = several
    .slice(0, mostShared)
    .map(([name, { size }]) => `weight '${shortName(name)}' is used by ${size} nodes, which are trained apart`)
  const more = several.length - notes.length
  return more === 0 ? notes : [...notes, `${more} more weights are used by several nodes, which are trained apart`]
}

function readNode(
  of: Translated,
  context: Context,
  node: Message<'Node'>,
  { operator, version }: { operator: Operator; version: number },
  values: Map<string, Value>,
  names: Names,
): void {
  const { reader } = of
  const inputs = node.input.map((name) => {
    if (name === '') return undefined
    const value = values.get(name)
    if (value === undefined) {
      throw reader.error(
        `node '${shortName(node.name)}' (${node.opType}) takes '${shortName(name)}', which nothing before it gives`,
        {
          at: node,
          expected: 'nodes in the order in which they are computed',
        },
      )
    }
    return value
  })
  const initializers = inputs.flatMap((value) =>
    value?.kind === 'known' && value.initializer !== undefined ? [value.initializer] : [],
  )
  const one = new NodeReader(node, inputs, version, names.of(node, initializers), context)
  const { least = 1 } = operator
  for (let i = 0; i < least; i++) one.input(i)
  let results: Value | readonly Value[]
  try {
    const constants = inputs.filter((value) => value !== undefined)
    const isConstant = constants.every((value) => value.kind === 'known')
    results =
      isConstant && operator.fold !== undefined
        ? operator.fold(one, inputs as unknown as readonly Known[])
        : operator.read(one)
  } catch (error) {
    if (!(error instanceof JuanjiError) || error instanceof FormatError || error instanceof UnsupportedError)
      throw error
    const { what, got, expected } = error.problem
    throw one.error(what, { ...(got === undefined ? {} : { got }), ...(expected === undefined ? {} : { expected }) })
  }
  const list = 'kind' in results ? [results] : results
  node.output.forEach((name, i) => {
    if (name !== '' && list[i] !== undefined) values.set(name, list[i])
  })
}

/** Brings the result in order: samples in front, channels last where the input's are. */
function finish(
  of: Translated,
  network: Network,
  value: Value,
  channelsLast: boolean,
): Pick<Translation, 'net' | 'weights' | 'output'> {
  if (value.kind === 'known') {
    throw new UnsupportedError({
      where: of.reader.path,
      what: `the output '${of.output}' does not depend on the input`,
      got: `a constant of shape ${showElements(value.dims)}`,
      fix: 'choose another output',
    })
  }
  const axes = outputAxes(value, channelsLast && value.axes.length === of.input.rank)
  const groups = axes.map((axis) => value.axes[axis].filter((atom) => atom !== batchAtom))
  const made = network.place(value, groups, { name: 'output' })
  const batch = batchAxisOf(value)
  const straight = axes.every((axis, i) => i === 0 || axes[i - 1] < axis)
  if (!straight) {
    network.notes.push(
      `output turned from ${showElements(dimsOf(value))} to channels last, [N, ${made.shape.join(', ')}]`,
    )
  }
  if (batchIsMerged(value)) {
    network.notes.push(`output ${showElements(dimsOf(value))} given as [N, ${made.shape.join(', ')}]`)
  }
  return { ...network.finish(made.layer), output: { axes, batch } }
}

function outputAxes(value: Flow, channelsLast: boolean): number[] {
  const batch = batchAxisOf(value)
  const all = value.axes.map((_, axis) => axis).filter((axis) => axis !== batch)
  return channelsLast && batch === 0 && all.length > 1 ? [...all.slice(1), all[0]] : all
}
