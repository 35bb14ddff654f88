/** A model's weights as a safetensors file for others. */
import { openFileAtomic } from '#platform'
import { packBfloat16 } from '../../base/bfloat16.ts'
import { ConfigError, checkOptions } from '../../base/errors.ts'
import { version } from '../../base/version.ts'
import type { Model } from '../../nn/model.ts'
import { type SafetensorsArray, type SafetensorsPiece, safetensorsPieces, toFloat32 } from '../safetensors.ts'
import { packFloat16 } from '../small-floats.ts'
import { pytorchLayout } from './layout.ts'
import { type RenameRule, renamer } from './rename.ts'
import type { StoredDType, StoredTensor, WeightsFile } from './source.ts'
import type { Turn } from './turn.ts'

export interface WriteWeightsOptions {
  /**
   * How values lie: `pytorch` has channels first, as nearly all who read safetensors expect; `juanji` as they lie here.
   * The file's metadata say it. Default `pytorch`.
   */
  readonly layout?: 'pytorch' | 'juanji'
  /** Element type in the file; default F32. */
  readonly dtype?: 'F32' | 'F16' | 'BF16'
}

/**
 * Writes a model's parameters and running statistics as safetensors, beside the file's place, and renames it. One tensor is
 * held at a time.
 * @returns names and shapes as they stand in the file
 * @throws ConfigError when the file can't be written, or on options that make no sense; what was there is still there
 * @example
 * await writeWeights('digits.safetensors', model) // in Python: model.load_state_dict(load_file('digits.safetensors'))
 */
export async function writeWeights(
  path: string,
  model: Model,
  options: WriteWeightsOptions = {},
): Promise<ReadonlyMap<string, readonly number[]>> {
  const tensors = weightTensors(model, options)
  await writeTensors(path, tensors, metadataOf(options))
  return new Map([...tensors].map(([name, { shape }]) => [name, shape]))
}

export interface CopyWeightsOptions {
  /** Element type of what are floating-point numbers in the file; default: as it is. */
  readonly dtype?: WriteWeightsOptions['dtype']
  /** As for `loadWeights`; tensors whose new name is undefined are left out. */
  readonly rename?: RenameRule | readonly RenameRule[]
  /** Stops before the next tensor with the signal's reason; nothing is left of the file then. */
  readonly signal?: AbortSignal
}

const floats: readonly StoredDType[] = ['F64', 'F32', 'F16', 'BF16']

/**
 * Writes the tensors of any file as safetensors, in the layout that they have.
 * @throws ConfigError when the file can't be written, or two tensors come to one name
 */
export async function copyWeights(path: string, file: WeightsFile, options: CopyWeightsOptions = {}): Promise<void> {
  checkOptions('copyWeights', options, ['dtype', 'rename', 'signal'])
  const rename = renamer(options.rename)
  const tensors = new Map<string, SafetensorsPiece>()
  for (const tensor of file.tensors.values()) {
    const name = rename(tensor.name)
    if (name === undefined) continue
    if (tensors.has(name)) {
      throw new ConfigError({
        where: 'copyWeights',
        what: 'two tensors come to the same name',
        got: name,
        expected: 'names that differ',
        fix: 'correct the rules of rename',
      })
    }
    const piece = converted(tensor, options.dtype)
    const read = async () => {
      options.signal?.throwIfAborted()
      return piece.read()
    }
    tensors.set(name, { dtype: piece.dtype, shape: piece.shape, read })
  }
  await writeTensors(path, tensors, { ...file.metadata, ...(file.layout === 'pytorch' ? { format: 'pt' } : {}) })
}

function converted(tensor: StoredTensor, dtype: WriteWeightsOptions['dtype']): SafetensorsPiece {
  if (dtype === undefined || dtype === tensor.dtype || !floats.includes(tensor.dtype)) return tensor
  const { shape } = tensor
  return { dtype, shape, read: async () => packed(toFloat32({ ...tensor, data: await tensor.read() }), dtype) }
}

/** Writes tensors beside the file's place, one at a time, and renames it. */
export async function writeTensors(
  path: string,
  tensors: ReadonlyMap<string, SafetensorsPiece>,
  metadata: Readonly<Record<string, string>>,
): Promise<void> {
  const file = await openFileAtomic(path)
  try {
    for await (const piece of safetensorsPieces(tensors, metadata)) await file.write(piece)
    await file.commit()
  } catch (error) {
    await file.discard()
    throw error
  }
}

/** The same file as bytes, for pages. */
export async function encodeWeights(model: Model, options: WriteWeightsOptions = {}): Promise<Uint8Array> {
  const pieces: Uint8Array<ArrayBuffer>[] = []
  for await (const piece of safetensorsPieces(weightTensors(model, options), metadataOf(options))) {
    pieces.push(piece as Uint8Array<ArrayBuffer>)
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer())
}

const asTheyAre: ReadonlyMap<string, Turn> = new Map()

/** A model's values as they stand in a file, made one after the other. */
export function weightTensors(model: Model, options: WriteWeightsOptions): ReadonlyMap<string, SafetensorsPiece> {
  checkOptions('writeWeights', options, ['layout', 'dtype'])
  const { layout = 'pytorch', dtype = 'F32' } = options
  checkOneOf('layout', layout, ['pytorch', 'juanji'])
  checkOneOf('dtype', dtype, ['F32', 'F16', 'BF16'])
  const turns = layout === 'pytorch' ? pytorchLayout(model).turns : asTheyAre
  const tensors = new Map<string, SafetensorsPiece>()
  for (const state of [...model.parameters, ...model.states]) {
    const turn = turns.get(state.name)
    const shape = turn?.shape ?? state.shape
    const read = async () => {
      const data = await state.data()
      const values = data instanceof Float32Array ? data : Float32Array.from(data)
      return packed(turn === undefined ? values : turn.toTheirs(values), dtype)
    }
    tensors.set(state.name, { dtype, shape, read })
  }
  return tensors
}

/** `format: pt` is what PyTorch's programs ask for. */
function metadataOf({ layout = 'pytorch' }: WriteWeightsOptions): Readonly<Record<string, string>> {
  return layout === 'pytorch'
    ? { format: 'pt', layout: 'channels-first', juanji: version }
    : { layout: 'channels-last', juanji: version }
}

function packed(values: Float32Array, dtype: 'F32' | 'F16' | 'BF16'): SafetensorsArray {
  return dtype === 'F32'
    ? (values as Float32Array<ArrayBuffer>)
    : dtype === 'F16'
      ? packFloat16(values)
      : packBfloat16(values)
}

function checkOneOf(name: string, value: string, known: readonly string[]): void {
  if (known.includes(value)) return
  throw new ConfigError({
    where: 'writeWeights',
    what: `there is no ${name} '${value}'`,
    expected: known.join(', '),
    fix: `leave ${name} out for ${known[0]}`,
  })
}
