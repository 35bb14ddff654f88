/** The weights of a TensorFlow.js model: groups of values that lie one behind the other in shards. */
import { exists, joinPath, openRange, type RangeReader, type RangeSource } from '#platform'
import { FormatError, UnsupportedError } from '../../base/errors.ts'
import { sizeOf } from '../../base/shape.ts'
import type { Field } from '../json-fields.ts'
import type { SafetensorsArray } from '../safetensors.ts'
import { fromSmallFloats } from '../small-floats.ts'
import type { StoredDType, StoredTensor } from '../weights/source.ts'

/** Where shards come from: a folder, or bytes by name. */
export type ShardSource = string | ReadonlyMap<string, RangeSource>

/** A shard's bytes, of which one at a time is open. */
class Shards {
  readonly #source: ShardSource
  readonly #where: string
  #open: { readonly name: string; readonly range: RangeReader } | undefined

  constructor(source: ShardSource, where: string) {
    this.#source = source
    this.#where = where
  }

  /** @param at where the file names it, for messages */
  async range(name: string, at: string): Promise<RangeReader> {
    if (this.#open?.name === name) return this.#open.range
    await this.close()
    const range = await this.#find(name, at)
    this.#open = { name, range }
    return range
  }

  async #find(name: string, at: string): Promise<RangeReader> {
    if (typeof this.#source !== 'string') {
      const source = this.#source.get(name)
      if (source !== undefined) return openRange(source, name)
    } else if (await exists(joinPath(this.#source, name))) {
      return openRange(joinPath(this.#source, name))
    }
    throw new FormatError({
      where: this.#where,
      what: `shard ${JSON.stringify(name)} is not there${at}`,
      expected:
        typeof this.#source === 'string'
          ? `a file in ${this.#source === '' ? 'the same folder' : this.#source}`
          : `one of ${[...this.#source.keys()].slice(0, 8).join(', ') || 'none'}`,
      fix: 'get all files of the model, into one folder',
    })
  }

  async close(): Promise<void> {
    await this.#open?.range.close()
    this.#open = undefined
  }
}

interface Shard {
  readonly name: string
  /** Of its first byte in the group. */
  readonly start: number
  readonly size: number
}

/** Bytes of an element as it is stored. */
const widths: Readonly<Record<string, number>> = { float32: 4, int32: 4, bool: 1, uint8: 1, uint16: 2, float16: 2 }

export interface Manifest {
  readonly tensors: ReadonlyMap<string, StoredTensor>
  close(): Promise<void>
}

/**
 * Reads the manifest and looks at the sizes of all shards. Values are read when they are asked for, straight into their
 * place.
 * @param field weightsManifest
 * @throws FormatError when shards are missing, too short or too long, or lie outside the folder
 */
export async function readManifest(field: Field, source: ShardSource): Promise<Manifest> {
  const shards = new Shards(source, field.path)
  const tensors = new Map<string, StoredTensor>()
  try {
    for (const group of field.elements()) {
      const parts: Shard[] = []
      let size = 0
      for (const path of group.get('paths').elements()) {
        const name = shardName(path)
        const part = { name, start: size, size: (await shards.range(name, path.at)).size }
        parts.push(part)
        size += part.size
      }
      let start = 0
      for (const weight of group.get('weights').elements()) {
        const { tensor, bytes } = readWeight(weight, start, parts, shards)
        start += bytes
        if (start > size) {
          const held = `${parts.length} shards with ${size} bytes in all`
          throw weight.get('shape').error(`values that end at byte ${start} of ${held}`, 'get all shards again, whole')
        }
        if (tensors.has(tensor.name)) throw weight.get('name').error('a name that comes once')
        tensors.set(tensor.name, tensor)
      }
      if (start !== size) {
        throw group
          .get('weights')
          .error(`values in all ${size} bytes of the shards, not in ${start}`, 'get the model again')
      }
    }
  } finally {
    await shards.close()
  }
  return { tensors, close: () => shards.close() }
}

/** Shards lie beside model.json or in folders below it. */
function shardName(field: Field): string {
  const name = field.string()
  const parts = name.split('/')
  if (name === '' || /[\\:\0]/.test(name) || parts.some((part) => part === '' || part === '.' || part === '..')) {
    throw field.error(
      'the name of a file in the folder of model.json',
      'put all shards into one folder and name them alone',
    )
  }
  return name
}

function readWeight(field: Field, start: number, parts: readonly Shard[], shards: Shards) {
  const name = field.get('name').string()
  const shape = field
    .get('shape')
    .elements()
    .map((extent) => extent.integer(0))
  const dtype = field.get('dtype').string()
  if (!['float32', 'int32', 'bool'].includes(dtype)) {
    throw new UnsupportedError({
      where: field.path,
      what: `weight "${name}" is of a type that is not read${field.at}`,
      got: dtype,
      expected: 'float32, int32 or bool',
      fix: 'write the model again with weights of float32',
    })
  }
  const quantization = field.get('quantization')
  const packed = quantization.isThere ? quantization.get('dtype').oneOf('uint8', 'uint16', 'float16') : dtype
  const bytes = sizeOf(shape) * widths[packed]
  if (!Number.isSafeInteger(bytes)) throw field.get('shape').error('a shape that a file can hold')
  const scale = quantization.isThere && packed !== 'float16' ? quantization.get('scale').number() : 1
  const min = quantization.isThere && packed !== 'float16' ? quantization.get('min').number() : 0
  const stored: StoredDType = dtype === 'int32' ? 'I32' : dtype === 'bool' ? 'BOOL' : 'F32'
  const read = async (): Promise<SafetensorsArray> => {
    // Its end was held against the sizes of the shards before.
    const raw = new Uint8Array(bytes)
    for (const part of parts) {
      const from = Math.max(start, part.start)
      const to = Math.min(start + bytes, part.start + part.size)
      if (from >= to) continue
      const range = await shards.range(part.name, field.at)
      await range.readInto(from - part.start, raw.subarray(from - start, to - start))
    }
    return unpack(raw, packed, stored, scale, min)
  }
  return { tensor: { name, shape, dtype: stored, read }, bytes }
}

/** Values are little endian; quantised ones are value · scale + min. */
function unpack(
  raw: Uint8Array<ArrayBuffer>,
  packed: string,
  stored: StoredDType,
  scale: number,
  min: number,
): SafetensorsArray {
  if (packed === 'float16') return new Float32Array(fromSmallFloats(new Uint16Array(raw.buffer), 5, 10))
  if (packed === 'uint8' || packed === 'uint16') {
    const steps = packed === 'uint8' ? raw : new Uint16Array(raw.buffer)
    if (stored === 'I32') return Int32Array.from(steps, (step) => Math.round(step * scale + min))
    return new Float32Array(steps).map((step) => step * scale + min)
  }
  if (packed === 'bool') return raw
  return packed === 'int32' ? new Int32Array(raw.buffer) : new Float32Array(raw.buffer)
}
