/**
 * A checkpoint is one safetensors file: named tensors, and in its metadata what else a run must know to go on. One
 * file, so that it is there as a whole or not at all.
 */
import { readFile, writeFileAtomic } from '#platform'
import { FormatError } from '../base/errors.ts'
import type { Shape } from '../base/shape.ts'
import { version } from '../base/version.ts'
import type { Json } from '../nn/layer.ts'
import { Field } from './json-fields.ts'
import { readSafetensors, type SafetensorsArray, type SafetensorsTensor, writeSafetensors } from './safetensors.ts'

/** Inside the folder of a run. */
export const checkpointFolder = 'checkpoints'
/** Where a run was after a step; the weights after the best epoch; what a killed process was writing. */
export const stepFile = /^step-\d{8}\.safetensors$/
export const bestFile = /^best-\d{5}\.safetensors$/
export const checkpointFile = /^(step-\d{8}|best-\d{5})\.safetensors(\..*\.tmp)?$/

const formatName = 'juanji-checkpoint'
const formatVersion = 1

export interface CheckpointTensor {
  readonly shape: Shape
  readonly data: Extract<SafetensorsArray, Float32Array | Int32Array>
}

export interface Checkpoint {
  readonly tensors: ReadonlyMap<string, CheckpointTensor>
  readonly state: Json
}

/**
 * Writes a checkpoint beside its place, flushes it and renames it.
 * @returns its size in bytes
 * @throws ConfigError when it can't be written; what was there before is still there
 */
export async function writeCheckpoint(path: string, { tensors, state }: Checkpoint): Promise<number> {
  const held = new Map<string, SafetensorsTensor>()
  for (const [name, { shape, data }] of tensors) {
    held.set(name, { dtype: data instanceof Int32Array ? 'I32' : 'F32', shape, data })
  }
  const bytes = writeSafetensors(held, {
    format: formatName,
    version: String(formatVersion),
    juanji: version,
    state: JSON.stringify(state),
  })
  await writeFileAtomic(path, bytes)
  return bytes.length
}

/** A checkpoint's tensors, and its state as fields that are still to be checked. @throws FormatError naming path and field */
export async function readCheckpoint(path: string): Promise<{ tensors: Checkpoint['tensors']; state: Field }> {
  const { tensors, metadata } = readSafetensors(await readFile(path), path)
  if (metadata.format !== formatName || metadata.state === undefined) {
    throw new FormatError({
      where: path,
      what: 'this is no checkpoint',
      got: metadata.format === undefined ? 'a safetensors file without a format' : `format "${metadata.format}"`,
      expected: `format "${formatName}"`,
      fix: 'name the folder of a run, which holds checkpoints/',
    })
  }
  if (!(Number(metadata.version) <= formatVersion)) {
    throw new FormatError({
      where: path,
      what: 'the checkpoint was written by a newer version',
      got: `version ${metadata.version}`,
      expected: `at most ${formatVersion}`,
      fix: 'go on with the version of juanji that wrote it',
    })
  }
  for (const [name, { dtype }] of tensors) {
    if (dtype === 'F32' || dtype === 'I32') continue
    throw new FormatError({
      where: path,
      what: `tensor '${name}' has a dtype that no checkpoint holds`,
      got: dtype,
      expected: 'F32 or I32',
      fix: 'take another checkpoint',
    })
  }
  return { tensors: tensors as ReadonlyMap<string, CheckpointTensor>, state: Field.parse(metadata.state, path) }
}
