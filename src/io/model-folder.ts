/**
 * A trained model is a folder that a person can read:
 *
 *     model.json           tree of layers, input, classes, versions; written last: a folder without it is unfinished
 *     weights.safetensors  parameters and running statistics, named as in model.json, channels last
 *     data.json            what it was trained on
 *     history.jsonl        first line: options and machine; then one line an epoch
 *     checkpoints/         what the run needs to go on from where it was stopped
 */
import {
  exists,
  isDirectory,
  joinPath,
  makeDirectory,
  readDirectory,
  readFile,
  removeTree,
  writeFileAtomic,
} from '#platform'
import { ConfigError, FormatError } from '../base/errors.ts'
import { type Shape, sizeOf } from '../base/shape.ts'
import { version } from '../base/version.ts'
import { layerFromJson } from '../nn/from-json.ts'
import type { LayerJson } from '../nn/index.ts'
import { type Json, layerToJson } from '../nn/layer.ts'
import { describe, init, type Model, type PictureNormalization } from '../nn/model.ts'
import { checkpointFile, checkpointFolder, stepFile } from './checkpoint.ts'
import { Field, showJson } from './json-fields.ts'
import { readSafetensors, type SafetensorsTensor } from './safetensors.ts'
import { weightTensors, writeTensors } from './weights/write.ts'

const formatName = 'juanji-model'
const formatVersion = 1
/** All that a run writes into its folder, and the checkpoints; nothing else in a folder is ever removed. */
const ownFiles = ['model.json', 'weights.safetensors', 'data.json', 'history.jsonl'] as const

type JsonRecord = { readonly [name: string]: Json }

/** Facts about a model beside its weights. */
export interface ModelInfo {
  /** Name of the architecture, for people: `simpleCnn`. */
  readonly architecture?: string
  /** Class names by number; empty when the outputs are no classes. */
  readonly classes: readonly string[]
  /** What samples are: `u8` pictures, which the model scales to [0, 1], or `f32` values. */
  readonly dtype: 'u8' | 'f32' | 'i32'
  /** Results worth keeping: `testAccuracy` and the like. */
  readonly metrics?: { readonly [name: string]: number }
}

export interface ModelContents extends Partial<ModelInfo> {
  readonly model: Model
  /** Becomes data.json. */
  readonly data?: JsonRecord
  /** Becomes history.jsonl, one line each. */
  readonly history?: readonly JsonRecord[]
}

export interface LoadedModel extends ModelInfo {
  /** In inference mode. */
  readonly model: Model
  /** data.json, `{}` where there is none. */
  readonly data: JsonRecord
}

// ── writing ──

/**
 * Makes sure that a run may write its model here, before any work: makes the folder and tries to write in it.
 * @param options force: a model or an unfinished run that is already there may be replaced; nothing is removed yet
 * @returns how to undo it: removes the folder when it was made here and is still empty
 * @throws ConfigError when it can't be written, or holds a model and force is not set
 */
export async function claimModelFolder(
  folder: string,
  options: { readonly force?: boolean } = {},
): Promise<() => Promise<void>> {
  const there = await exists(folder)
  if (there) {
    if (!(await isDirectory(folder))) {
      throw new ConfigError({
        where: folder,
        what: 'this is a file, not a folder',
        expected: 'a folder for the model',
        fix: 'choose another folder',
      })
    }
    const holds = (await exists(joinPath(folder, 'model.json')))
      ? 'a model'
      : (await exists(joinPath(folder, 'history.jsonl'))) ||
          (await exists(joinPath(folder, 'weights.safetensors'))) ||
          (await hasCheckpoint(folder))
        ? 'an unfinished run'
        : undefined
    if (holds !== undefined && options.force !== true) {
      throw new ConfigError({
        where: folder,
        what: `the folder already holds ${holds}`,
        expected: 'a new or empty folder',
        fix: `${holds === 'a model' ? '' : 'go on with it (--resume), '}choose another folder, or replace what is there with --force (in code: force: true)`,
      })
    }
  }
  await makeDirectory(folder)
  const undo = async () => {
    if (!there && (await readDirectory(folder)).length === 0) await removeTree(folder)
  }
  try {
    const probe = joinPath(folder, '.juanji-can-write')
    await writeFileAtomic(probe, '')
    await removeTree(probe)
  } catch (error) {
    await undo().catch(() => undefined)
    throw error
  }
  return undo
}

/** The first of `root/name-1`, `root/name-2`, … behind all that exist. */
export async function nextRunFolder(root: string, name: string): Promise<string> {
  let last = 0
  if (await isDirectory(root)) {
    for (const entry of await readDirectory(root)) {
      const number = entry.startsWith(`${name}-`) ? Number(entry.slice(name.length + 1)) : Number.NaN
      if (Number.isSafeInteger(number)) last = Math.max(last, number)
    }
  }
  return joinPath(root, `${name}-${last + 1}`)
}

/** Removes what a run writes, model.json first, and leaves everything else in the folder alone. */
export async function clearModelFolder(folder: string): Promise<void> {
  for (const name of ownFiles) await removeTree(joinPath(folder, name))
  const checkpoints = joinPath(folder, checkpointFolder)
  if (!(await isDirectory(checkpoints))) return
  for (const name of await readDirectory(checkpoints)) {
    if (checkpointFile.test(name)) await removeTree(joinPath(checkpoints, name))
  }
  if ((await readDirectory(checkpoints)).length === 0) await removeTree(checkpoints)
}

/** Whether a run left something in its folder that it can go on from. */
export async function hasCheckpoint(folder: string): Promise<boolean> {
  const checkpoints = joinPath(folder, checkpointFolder)
  return (await isDirectory(checkpoints)) && (await readDirectory(checkpoints)).some((name) => stepFile.test(name))
}

/** Writes data.json: a run does so before it begins, so that it is known what it has seen. */
export async function writeData(folder: string, data: JsonRecord): Promise<void> {
  await writeFileAtomic(joinPath(folder, 'data.json'), `${showJson(data)}\n`)
}

/** Writes history.jsonl: a run does so after every epoch, so that a crash loses none. */
export async function writeHistory(folder: string, lines: readonly JsonRecord[]): Promise<void> {
  await writeFileAtomic(joinPath(folder, 'history.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
}

/**
 * Writes a model into a folder, model.json last. Every file is written beside its place and renamed.
 * @param options force: replaces a model that is there
 * @throws ConfigError when the folder can't be written, or holds a model and force is not set
 * @example
 * await saveModel('digits', { model: run.model, classes: data.train.classes, dtype: 'u8' })
 */
export async function saveModel(
  folder: string,
  contents: ModelContents,
  options: { readonly force?: boolean } = {},
): Promise<void> {
  await claimModelFolder(folder, options)
  await removeTree(joinPath(folder, 'model.json'))
  await writeParts(folder, contents)
  await writeFileAtomic(joinPath(folder, 'model.json'), `${showJson(modelJson(contents))}\n`)
}

async function writeParts(folder: string, { model, data, history }: ModelContents): Promise<void> {
  const tensors = weightTensors(model, { layout: 'juanji' })
  const metadata = { format: formatName, layout: 'channels-last', juanji: version }
  await writeTensors(joinPath(folder, 'weights.safetensors'), tensors, metadata)
  if (data !== undefined) {
    await writeData(folder, data)
  }
  if (history !== undefined) await writeHistory(folder, history)
}

function modelJson({ model, architecture, classes = [], dtype = 'f32', metrics }: ModelContents): JsonRecord {
  return {
    format: formatName,
    version: formatVersion,
    juanji: version,
    ...(architecture === undefined ? {} : { architecture }),
    input: {
      shape: [...model.inputShape],
      dtype,
      layout: 'channels-last',
      // What the model does by itself with bytes on entry, for those who run the weights elsewhere.
      ...(dtype === 'u8' ? { scale: 1 / 255 } : {}),
      ...(model.pictures === undefined ? {} : { mean: model.pictures.mean, std: model.pictures.std }),
    },
    classes: [...classes],
    ...(metrics === undefined ? {} : { metrics }),
    net: layerToJson(model.net) as unknown as Json,
  }
}

// ── reading ──

/**
 * Opens a model folder. Nothing in it is executed, everything is checked.
 * @throws ConfigError when there is no such folder, FormatError naming file and field when something in it is wrong
 * @example
 * const { model, classes } = await loadModel('runs/digits-1')
 */
export async function loadModel(folder: string): Promise<LoadedModel> {
  const path = await modelJsonPath(folder)
  const root = Field.parse(await readText(path), path)
  root.get('format').oneOf(formatName)
  const written = root.get('version').integer(1)
  if (written > formatVersion) {
    throw root.get('version').error(`at most ${formatVersion}`, 'open the model with a newer version of juanji')
  }
  const input = root.get('input')
  const shape = input
    .get('shape')
    .elements()
    .map((extent) => extent.integer(1))
  if (shape.length < 1) throw input.get('shape').error('at least one extent')
  const dtype = input.get('dtype').oneOf('u8', 'f32', 'i32')
  if (input.get('layout').isThere) input.get('layout').oneOf('channels-last')
  const classes = root
    .get('classes')
    .elements()
    .map((name) => name.string())
  const architecture = root.get('architecture')
  const metrics = root.get('metrics')
  checkLayer(root.get('net'))

  const weightsPath = joinPath(folder, 'weights.safetensors')
  const { tensors, metadata } = readSafetensors(await readFile(weightsPath), weightsPath)
  if (metadata.layout !== 'channels-last') {
    throw new FormatError({
      where: weightsPath,
      what: "the metadata do not say that the weights' channels are last",
      got: metadata.layout === undefined ? 'no layout' : `layout ${JSON.stringify(metadata.layout)}`,
      expected: 'layout "channels-last"',
      fix: 'save the model again',
    })
  }
  for (const [name, tensor] of tensors) {
    if (tensor.dtype === 'F32') continue
    throw new FormatError({
      where: weightsPath,
      what: `tensor '${name}' is not of 32-bit floats`,
      got: tensor.dtype,
      expected: 'F32',
      fix: 'save the model again',
    })
  }
  const model = buildModel(root.get('net'), shape, path, tensors)
  model.pictures = readPictures(input, shape[shape.length - 1])
  await model.load(tensors as ReadonlyMap<string, { shape: Shape; data: Float32Array }>, weightsPath)
  const outputs = model.outputShape[model.outputShape.length - 1]
  if (classes.length > outputs) throw root.get('classes').error(`at most ${outputs} names, one an output`)
  const dataPath = joinPath(folder, 'data.json')
  const data = (await exists(dataPath)) ? (Field.parse(await readText(dataPath), dataPath).value as JsonRecord) : {}
  return {
    model: model.eval(),
    classes,
    dtype,
    data,
    ...(architecture.isThere ? { architecture: architecture.string() } : {}),
    ...(metrics.isThere
      ? { metrics: Object.fromEntries(metrics.entries().map(([name, value]) => [name, value.number()])) }
      : {}),
  }
}

function readPictures(input: Field, channels: number): PictureNormalization | undefined {
  const [mean, std] = [input.get('mean'), input.get('std')]
  if (!mean.isThere && !std.isThere) return undefined
  const values = (field: Field, least: number): number | number[] => {
    const list = Array.isArray(field.value) ? field.elements() : [field]
    const numbers = list.map((one) => one.number())
    if ((Array.isArray(field.value) && list.length !== channels) || numbers.some((value) => value < least)) {
      throw field.error(`one number, or one for each of ${channels} channels${least > 0 ? ', above 0' : ''}`)
    }
    return Array.isArray(field.value) ? numbers : numbers[0]
  }
  return { mean: values(mean, Number.NEGATIVE_INFINITY), std: values(std, Number.MIN_VALUE) }
}

async function modelJsonPath(folder: string): Promise<string> {
  if (!(await isDirectory(folder))) {
    const what = (await exists(folder)) ? 'this is a file, not a folder' : 'there is no such folder'
    throw new ConfigError({
      where: folder,
      what: `cannot open the model: ${what}`,
      expected: 'a folder with model.json and weights.safetensors',
      fix: 'check the path, or train a model: juanji train digits',
    })
  }
  const path = joinPath(folder, 'model.json')
  if (await exists(path)) return path
  const entries = await readDirectory(folder)
  const unfinished = entries.some((name) => (ownFiles as readonly string[]).includes(name))
  throw new FormatError({
    where: folder,
    what: unfinished
      ? 'the folder holds an unfinished run: there is no model.json'
      : 'this is no model folder: there is no model.json',
    got: entries.length === 0 ? 'an empty folder' : entries.slice(0, 8).join(', ') + (entries.length > 8 ? ', …' : ''),
    expected: 'model.json and weights.safetensors',
    fix: unfinished
      ? 'let it end: juanji train --resume with this folder, or train again with --force'
      : 'name the folder that the training wrote',
  })
}

async function readText(path: string): Promise<string> {
  const bytes = await readFile(path)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new FormatError({
      where: path,
      what: 'this is not UTF-8 text',
      got: `${bytes.length} bytes`,
      expected: 'a JSON object',
      fix: 'get the file again, or save the model again',
    })
  }
}

const deepestTree = 100

/** The form of a tree of layers; what options mean is the layers' own business. */
function checkLayer(field: Field, depth = 0): void {
  if (depth > deepestTree) throw field.error(`a tree of at most ${deepestTree} levels`)
  field.get('type').string()
  if (field.get('options').isThere) field.get('options').object()
  if (!field.get('layers').isThere) return
  for (const inner of field.get('layers').elements()) {
    inner.get('name').string()
    checkLayer(inner, depth + 1)
  }
}

/** Builds the tree; its parameters are counted first, so that a wrong number can't ask for more memory than the file holds. */
function buildModel(net: Field, input: Shape, path: string, tensors: ReadonlyMap<string, SafetensorsTensor>): Model {
  try {
    const layer = layerFromJson(net.value as LayerJson, path)
    const wanted = describe(layer, input).reports.reduce((sum, report) => sum + report.parameters, 0)
    const held = [...tensors.values()].reduce((sum, tensor) => sum + sizeOf(tensor.shape), 0)
    if (wanted > held) {
      throw new FormatError({
        where: path,
        what: 'the layers have more parameters than the weights file',
        got: `${held} values in weights.safetensors`,
        expected: `at least ${wanted}`,
        fix: 'put the two files of one model together',
      })
    }
    return init(layer, { input })
  } catch (error) {
    if (error instanceof FormatError || !(error instanceof Error)) throw error
    throw new FormatError({
      where: path,
      what: 'the tree of layers in field net cannot be built',
      got: error.message.split('\n')[0],
      expected: 'layers that fit each other and the input',
      fix: 'save the model again',
    })
  }
}
