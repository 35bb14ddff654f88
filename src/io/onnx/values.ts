/** What stands for the values of an ONNX graph while it is read. */
import type { DType } from '../../base/dtype.ts'
import type { Shape } from '../../base/shape.ts'
import type { OnnxType } from './schema.ts'

/** A multiple of the batch, whose size is open: an extent, or a number computed from one. */
export class Batches {
  readonly times: number
  constructor(times: number) {
    this.times = times
  }
}

export type Element = number | Batches

/** A value known while reading: an initializer, a constant, or what was computed from shapes. */
export interface Known {
  readonly kind: 'known'
  readonly type: OnnxType
  readonly dims: readonly number[]
  /** Row-major. Multiples of the batch occur in integers that come from shapes. Decoded when first asked for. */
  readonly data: ArrayLike<Element>
  /** Its name, where it is an initializer: it may be trained, and gives layers their names. */
  readonly initializer?: string
}

/** Stands among the atoms of an axis for the batch. */
export const batchAtom = -1

/**
 * A value that depends on the input. ONNX's axes and the axes in which the values lie are two things: the finest axes,
 * atoms, lie in one order, and each of ONNX's axes is a list of atoms. So transposing, flattening and splitting axes
 * moves nothing; only a layer that needs a certain order asks for it.
 */
export interface Flow {
  readonly kind: 'flow'
  /** The layer whose result it is, or `input`. */
  readonly layer: string
  /** Of a sample, as that layer gives it. */
  readonly shape: Shape
  readonly dtype: DType
  /** Extents of the atoms, outermost first, the batch not counted. None is 1; their product is that of `shape`. */
  readonly atoms: readonly number[]
  /** For each of ONNX's axes its atoms, outermost first: none where the extent is 1. */
  readonly axes: readonly (readonly number[])[]
}

export type Value = Known | Flow

export const product = (extents: readonly number[]): number => extents.reduce((a, b) => a * b, 1)

export function known(type: OnnxType, dims: readonly number[], data: ArrayLike<Element>): Known {
  return { kind: 'known', type, dims, data }
}

/** How many others have to be computed for a constant. */
const depths = new WeakMap<Known, number>()
/** More are computed at once: a long chain of nodes must not become as deep a chain of calls. */
const deepest = 16

/**
 * A constant that is computed when it is first asked for.
 * @param from the constant that it is made of @param initializer the name under which it is trained
 */
export function lazily(
  from: Known,
  type: OnnxType,
  dims: readonly number[],
  make: () => ArrayLike<Element>,
  initializer = from.initializer,
): Known {
  let made: ArrayLike<Element> | undefined
  const result: Known = {
    kind: 'known',
    type,
    dims,
    ...(initializer === undefined ? {} : { initializer }),
    get data() {
      made ??= make()
      return made
    },
  }
  const depth = (depths.get(from) ?? 0) + 1
  if (depth > deepest) made = make()
  else depths.set(result, depth)
  return result
}

/** The same constant as an initializer of this name; what is not decoded stays so. */
export const asInitializer = (value: Known, initializer: string): Known =>
  lazily(value, value.type, value.dims, () => value.data, initializer)

/** A vector of integers, as shapes are. */
export const vector = (items: readonly Element[]): Known => known('int64', [items.length], items)

export const isFloat = (type: OnnxType): boolean => type.startsWith('float') || type === 'double' || type === 'bfloat16'

/** How values of a type are held here. */
export const dtypeOf = (type: OnnxType): DType => (isFloat(type) ? 'f32' : type === 'bool' ? 'bool' : 'i32')

/** `[N, 3, 224, 224]`, as it stands in messages. */
export function showElements(items: ArrayLike<Element>): string {
  const show = (item: Element) =>
    typeof item === 'number' ? String(item) : item.times === 1 ? 'N' : `${item.times} * N`
  const shown = Array.from({ length: Math.min(items.length, 12) }, (_, i) => show(items[i]))
  return `[${shown.join(', ')}${items.length > 12 ? ', …' : ''}]`
}

/** A name from a file as it stands in messages. */
export const shortName = (name: string | undefined): string =>
  name === undefined || name.length <= 120 ? (name ?? '') : `${name.slice(0, 120)}…`
