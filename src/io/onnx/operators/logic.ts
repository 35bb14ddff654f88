/** Comparisons, truth, and types. */
import * as nn from '../../../nn/index.ts'
import { align } from '../align.ts'
import { foldUnary, repeatedStrides, walk } from '../fold.ts'
import { computed, type Family, type NodeReader, type Operator } from '../operator.ts'
import type { OnnxType } from '../schema.ts'
import { typeName } from '../tensors.ts'
import { Batches, dtypeOf, type Flow, isFloat, type Known, lazily, type Value } from '../values.ts'
import { binaryOperator, unaryOperator } from './elementwise.ts'

type Compare = (a: number, b: number) => boolean

const compare = (versions: readonly number[], op: nn.BinaryName, holds: Compare): Operator =>
  binaryOperator(versions, op, (a, b) => Number(holds(a, b)), 'bool')

// ── where ──

function choose(node: NodeReader): Flow {
  const values = [node.input(0), node.input(1), node.input(2)]
  const [, a, b] = values
  const { layers, result } = align(node, values)
  const from = a.kind === 'flow' ? a.dtype : b.kind === 'flow' ? b.dtype : dtypeOf(a.type)
  return result(node.add(nn.where(), layers), from)
}

function foldChoose(node: NodeReader, inputs: readonly Known[]): Known {
  const rank = Math.max(...inputs.map(({ dims }) => dims.length))
  const dims = Array.from({ length: rank }, (_, axis) => {
    const extents = inputs.map((value) => value.dims[value.dims.length - rank + axis] ?? 1)
    return extents.find((extent) => extent !== 1) ?? 1
  })
  const fits = inputs.every((value) =>
    value.dims.every((extent, i) => extent === 1 || extent === dims[rank - value.dims.length + i]),
  )
  if (!fits) throw node.error('the inputs do not fit each other')
  const { data, known } = computed(node, inputs[1].type, dims, inputs)
  const [condition, yes, no] = inputs.map((value) => value.data)
  const strides = inputs.map((value) => repeatedStrides(value.dims, dims))
  walk(dims, strides, (index, [c, x, y]) => {
    data[index] = node.plain(condition[c]) !== 0 ? yes[x] : no[y]
  })
  return known
}

// ── types ──

/** @throws FormatError, UnsupportedError on types that no value has */
function typeOf(node: NodeReader, number: number | undefined): OnnxType {
  const type = typeName(number)
  if (type === undefined) throw node.error('the type makes no sense', { got: String(number), expected: '1 to 24' })
  if (type === 'string' || type.startsWith('complex')) throw node.unsupported(`makes values of type ${type}`)
  return type
}

/** Bits of the types that are held in wider ones. */
const limits: Partial<Record<OnnxType, number>> = { uint4: 4, uint8: 8, uint16: 16, int4: 4, int8: 8, int16: 16 }

function cast(node: NodeReader, type: OnnxType): Flow {
  const flow = node.flow(0)
  const to = dtypeOf(type)
  const whole = flow.dtype === to ? flow : node.pointwise(flow, nn.cast(to), to)
  const bits = limits[type]
  return bits === undefined || flow.dtype === 'bool' ? whole : wrapped(node, whole, bits, type.startsWith('u'))
}

/**
 * The lowest bits of whole numbers, as ONNX Runtime keeps them: as the highest bits of an i32, where products wrap, they
 * are few enough for a float, which shifts them back with their sign. What becomes of floats beyond the type ONNX leaves
 * open: here they lose what is behind the point, then they wrap.
 */
function wrapped(node: NodeReader, flow: Flow, bits: number, isUnsigned: boolean): Flow {
  const high = node.pointwise(flow, nn.scalar('mul', 2 ** (32 - bits)))
  const back = node.pointwise(node.pointwise(high, nn.cast('f32'), 'f32'), nn.scalar('mul', 2 ** (bits - 32)))
  return node.pointwise(isUnsigned ? node.pointwise(back, nn.scalar('mod', 2 ** bits)) : back, nn.cast('i32'), 'i32')
}

function foldCast(node: NodeReader, value: Known, type: OnnxType): Known {
  if (value.type === type) return value
  const float = isFloat(type)
  const bits = limits[type]
  const wrap = (x: number) => {
    if (bits === undefined) return x
    const low = ((x % 2 ** bits) + 2 ** bits) % 2 ** bits
    return type.startsWith('u') || low < 2 ** (bits - 1) ? low : low - 2 ** bits
  }
  const convert = (x: number) => (type === 'bool' ? Number(x !== 0) : float ? x : wrap(Math.trunc(x)))
  // A float of another width is the same weight.
  if (float && isFloat(value.type)) return lazily(value, type, value.dims, () => value.data)
  const { data, known } = computed(node, type, value.dims, [value])
  const from = value.data
  for (let i = 0; i < data.length; i++) {
    const item = from[i]
    data[i] = item instanceof Batches ? item : convert(item)
  }
  return known
}

function likeType(node: NodeReader): OnnxType {
  const like = node.input(1)
  return like.kind === 'known' ? like.type : like.dtype === 'f32' ? 'float' : like.dtype === 'bool' ? 'bool' : 'int64'
}

// ── not a number ──

function isInfinite(node: NodeReader): Flow {
  const flow = node.flow(0)
  const [negative, positive] = ['detect_negative', 'detect_positive'].map((name) => node.int(name, 1) === 1)
  if (negative && positive) return node.pointwise(flow, nn.unary('isInfinite'), 'bool')
  // Largest finite number: what lies beyond it is infinite.
  const [op, edge] = positive
    ? (['greater', 3.4028234663852886e38] as const)
    : (['less', -3.4028234663852886e38] as const)
  if (!negative && !positive) return node.pointwise(flow, nn.scalar('notEqual', 0), 'bool')
  return node.pointwise(flow, nn.scalar(op, edge), 'bool')
}

function foldInfinite(node: NodeReader, inputs: readonly Known[]): Known {
  const [negative, positive] = ['detect_negative', 'detect_positive'].map((name) => node.int(name, 1) === 1)
  const holds = (x: number) =>
    (negative && x === Number.NEGATIVE_INFINITY) || (positive && x === Number.POSITIVE_INFINITY)
  return foldUnary(node, (x) => Number(holds(x)), inputs, 'bool')
}

const asFirst = (values: readonly Value[]): Known => values[0] as Known

export const logic: Family = {
  Equal: compare([1, 7, 11, 13, 19], 'equal', (a, b) => a === b),
  Less: compare([1, 7, 9, 13], 'less', (a, b) => a < b),
  LessOrEqual: compare([12, 16], 'lessEqual', (a, b) => a <= b),
  Greater: compare([1, 7, 9, 13], 'greater', (a, b) => a > b),
  GreaterOrEqual: compare([12, 16], 'greaterEqual', (a, b) => a >= b),
  And: compare([1, 7], 'and', (a, b) => a !== 0 && b !== 0),
  Or: compare([1, 7], 'or', (a, b) => a !== 0 || b !== 0),
  Xor: compare([1, 7], 'xor', (a, b) => (a !== 0) !== (b !== 0)),
  Not: unaryOperator([1], 'not', (x) => Number(x === 0), 'bool'),
  IsNaN: unaryOperator([9, 13, 20], 'isNaN', (x) => Number(Number.isNaN(x)), 'bool'),
  IsInf: { versions: [10, 20], read: isInfinite, fold: foldInfinite },
  Where: { versions: [9, 16], least: 3, read: choose, fold: foldChoose },
  Cast: {
    versions: [1, 6, 9, 13, 19, 21, 23, 24, 25],
    read: (node) => cast(node, typeOf(node, node.int('to', undefined))),
    fold: (node, inputs) => foldCast(node, asFirst(inputs), typeOf(node, node.int('to', undefined))),
  },
  CastLike: {
    versions: [15, 19, 21, 23, 24, 25],
    read: (node) => cast(node, likeType(node)),
    fold: (node, inputs) => foldCast(node, asFirst(inputs), likeType(node)),
  },
}
