/** What a graph takes and gives: which of its inputs is the model's, and how samples lie. */
import type { DType } from '../../base/dtype.ts'
import { ConfigError, UnsupportedError } from '../../base/errors.ts'
import { type Shape, showShape, sizeOf } from '../../base/shape.ts'
import type { MessageReader } from './read-message.ts'
import type { Message } from './schema.ts'
import { typeName } from './tensors.ts'
import { dtypeOf, shortName } from './values.ts'

/** Numbers for a graph's input that is not the model's. */
export type GivenValue = ArrayLike<number> | { readonly shape: Shape; readonly data: ArrayLike<number> }

export interface InputOrder {
  /** Of a sample. */
  readonly shape: Shape
  /** For each of its axes the ONNX axis it is. */
  readonly axes: readonly number[]
  readonly batch: number | undefined
  readonly channelsLast: boolean
  readonly note?: string
}

/** The input of the model. */
export interface GraphInput {
  readonly name: string
  readonly dtype: DType
  /** Whether the file's values are bytes; here they are f32 from 0 to 255. */
  readonly bytes: boolean
  readonly rank: number
  /** The batch that the file names; undefined where it is open. */
  readonly declaredBatch: number | undefined
  /** How samples lie. @throws ConfigError when extents are open and not given */
  order(whole: boolean): InputOrder
}

/** More axes than any real tensor has. */
const maxRank = 32

/** Operators that work on whatever axes there are. */
const pointwise = new Set(
  [
    'Add',
    'Sub',
    'Mul',
    'Div',
    'Pow',
    'Abs',
    'Neg',
    'Sqrt',
    'Exp',
    'Log',
    'Relu',
    'LeakyRelu',
    'Sigmoid',
    'Tanh',
  ].concat([
    'Clip',
    'Cast',
    'Identity',
    'Dropout',
    'QuantizeLinear',
    'DequantizeLinear',
    'Elu',
    'Softplus',
    'Min',
    'Max',
  ]),
)

/** Operators whose input has channels in axis 1. */
const channelsSecond = new Set([
  'Conv',
  'ConvTranspose',
  'MaxPool',
  'AveragePool',
  'LpPool',
  'GlobalAveragePool',
  'GlobalMaxPool',
  'GlobalLpPool',
  'BatchNormalization',
  'InstanceNormalization',
  'GroupNormalization',
  'LRN',
])

/** The first node that cares which axis is which. */
function firstSensitive(nodes: readonly Message<'Node'>[], input: string): Message<'Node'> | undefined {
  const same = new Set([input])
  for (const node of nodes) {
    if (!node.input.some((name) => same.has(name))) continue
    if (!pointwise.has(node.opType ?? '')) return node
    for (const name of node.output) same.add(name)
  }
  return undefined
}

/** Whether samples come with channels first, so that they are turned: pictures are, unless the graph turns them itself. */
function hasChannelsFirst(nodes: readonly Message<'Node'>[], input: string, rank: number): boolean {
  if (rank < 3) return false
  const first = firstSensitive(nodes, input)
  if (first?.opType === 'Transpose') {
    const perm = first.attribute.find((attribute) => attribute.name === 'perm')?.ints ?? []
    return perm.length !== rank || !perm.every((axis, i) => axis === (i === 0 ? 0 : i === 1 ? rank - 1 : i - 1))
  }
  return rank === 4 || channelsSecond.has(first?.opType ?? '')
}

function declaredDims(info: Message<'ValueInfo'>): readonly (number | undefined)[] | undefined {
  // An extent below 1 is how some exporters write one that is open.
  return info.type?.tensorType?.shape?.dim.map(({ dimValue }) =>
    dimValue !== undefined && dimValue > 0 ? dimValue : undefined,
  )
}

/** @param given option `input`: the shape of a sample as the model takes it */
export function graphInput(
  reader: MessageReader,
  nodes: readonly Message<'Node'>[],
  info: Message<'ValueInfo'>,
  given: Shape | undefined,
): GraphInput {
  const name = info.name ?? ''
  const dims = declaredDims(info)
  const type = typeName(info.type?.tensorType?.elemType)
  if (dims === undefined && given === undefined) throw missing(reader, name, 'unknown')
  const rank = dims?.length ?? (given as Shape).length + 1
  const known = dims ?? new Array<undefined>(rank).fill(undefined)
  const declaredBatch = known[0]
  return {
    name,
    rank,
    dtype: type === undefined || type === 'uint8' ? 'f32' : dtypeOf(type),
    bytes: type === 'uint8',
    declaredBatch,
    order(whole) {
      const asOne = whole || rank === 0 || (rank === 1 && declaredBatch !== undefined)
      const turn = !asOne && hasChannelsFirst(nodes, name, rank)
      const all = known.map((_, axis) => axis)
      const axes = asOne ? all : turn ? [...all.slice(2), 1] : all.slice(1)
      const extents = axes.map((axis) => known[axis])
      if (given !== undefined) checkGiven(reader, name, extents, given)
      const shape = given ?? extents
      if (shape.some((extent) => extent === undefined)) throw missing(reader, name, showOpen(known))
      const ready = shape as Shape
      if (ready.length > maxRank || !Number.isSafeInteger(sizeOf(ready))) {
        throw reader.error(`the input '${shortName(name)}' has an absurd shape`, {
          at: info,
          got: showOpen(known.slice(0, maxRank)),
        })
      }
      const before = showShape([...ready.slice(-1), ...ready.slice(0, -1)])
      return {
        shape: ready,
        axes,
        batch: asOne ? undefined : 0,
        channelsLast: turn,
        ...(turn ? { note: `input turned from ${before} to channels last, ${showShape(ready)}` } : {}),
        ...(asOne && whole ? { note: `all of the input, ${showShape(ready)}, is one sample` } : {}),
      }
    },
  }
}

const showOpen = (dims: readonly (number | undefined)[]) => `[${dims.map((dim) => dim ?? '?').join(', ')}]`

function missing(reader: MessageReader, name: string, dims: string): UnsupportedError {
  return new UnsupportedError({
    where: reader.path,
    what: `the shape of the input '${shortName(name)}' is open`,
    got: dims,
    expected: 'the shape of a sample, channels last',
    fix: 'give it: importOnnx(file, { input: [224, 224, 3] }), or --input 224,224,3',
  })
}

function checkGiven(reader: MessageReader, name: string, extents: readonly (number | undefined)[], given: Shape): void {
  const fits =
    given.length === extents.length &&
    given.every((extent, i) => Number.isInteger(extent) && extent >= 1 && (extents[i] ?? extent) === extent)
  if (fits) return
  throw new ConfigError({
    where: reader.path,
    what: `option input does not fit the input '${shortName(name)}'`,
    got: showShape(given),
    expected: `${showOpen(extents)}, channels last, without the batch`,
    fix: 'correct the option',
  })
}
