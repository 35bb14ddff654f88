/** Tensors of a file in whatever format: what is there is known, values are read when asked for. */
import type { Shape } from '../../base/shape.ts'
import type { SafetensorsArray, SafetensorsDType, SafetensorsTensor } from '../safetensors.ts'

/** Element types, spelled as in safetensors. */
export type StoredDType = SafetensorsDType

export interface StoredTensor {
  readonly name: string
  readonly shape: Shape
  readonly dtype: StoredDType
  /**
   * The elements in row-major order, in one array; F16, BF16 and F8 are raw bits, see `toFloat32`.
   * @throws FormatError naming path and offset when the file turns out to be damaged
   */
  read(): Promise<SafetensorsArray>
}

/**
 * How values lie and are named. `juanji` and `keras` have channels last: convolutions [...kernel, in / groups, out],
 * linear [in, out]; Keras has other names. `pytorch` has channels first: [out, in / groups, ...kernel], [out, in].
 */
export type WeightLayout = 'juanji' | 'pytorch' | 'keras'

export interface WeightsFile {
  readonly path: string
  /** For people: `PyTorch zip`, `safetensors, 3 files`. */
  readonly format: string
  readonly layout: WeightLayout
  /** Whether the file does not say so and `layout` is what is most likely; shapes may then tell otherwise. */
  readonly layoutIsGuess?: boolean
  /** By name, in the order of the file. */
  readonly tensors: ReadonlyMap<string, StoredTensor>
  /** Free text about the file, `{}` when it has none. */
  readonly metadata: Readonly<Record<string, string>>
  /** Lets the file go. Tensors cannot be read from then on. */
  close(): Promise<void>
}

/** A weights file over tensors in memory. */
export function weightsInMemory(
  tensors: Iterable<readonly [name: string, tensor: SafetensorsTensor]>,
  about: Pick<WeightsFile, 'path' | 'format' | 'layout'> & { readonly metadata?: Readonly<Record<string, string>> },
): WeightsFile {
  const stored = new Map<string, StoredTensor>()
  for (const [name, { shape, dtype, data }] of tensors) stored.set(name, { name, shape, dtype, read: async () => data })
  return { metadata: {}, ...about, tensors: stored, close: async () => {} }
}
