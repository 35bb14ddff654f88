/** `juanji convert`: models from one format into another. */
import { type Command, Option } from 'commander'
import { exists, isDirectory, joinPath, openRange } from '#platform'
import { ConfigError } from '../../base/errors.ts'
import {
  claimModelFolder,
  clearModelFolder,
  copyWeights,
  modelFormat,
  type OpenedModel,
  onnxOpsets,
  openWeights,
  saveModel,
  saveOnnx,
  showWeightsReport,
  writeWeights,
} from '../../index.ts'
import { type CommonOptions, Interrupted, type Runner, type Task, wholeNumber, withCommonOptions } from '../command.ts'
import { type ModelFileChoice, modelArgument, openModelFile, withModelFileOptions } from '../model-files.ts'
import { formatBytes, formatCount } from '../progress.ts'
import { recognize } from '../recognize.ts'
import { showExtents } from '../summary-table.ts'

interface ConvertOptions extends CommonOptions, ModelFileChoice {
  readonly force?: boolean
  readonly layout?: 'pytorch' | 'juanji'
  readonly dtype?: 'f32' | 'f16' | 'bf16'
  readonly opset?: number
  readonly preprocessing?: boolean
  readonly channelsLast?: boolean
  readonly softmax?: boolean
}

type Target = 'folder' | 'onnx' | 'safetensors'

export function addConvert(program: Command, run: Runner): void {
  const command = program
    .command('convert')
    .summary('turn a model into another format')
    .description(
      'Turn a model into another format and tell what was done to it. In: a model folder, ONNX, Keras (.keras, .h5), ' +
        'TensorFlow.js (model.json), or weights alone (safetensors, PyTorch .pt and .pth, Keras .weights.h5) of a known ' +
        'network. Out, by its name: .onnx for ONNX, .safetensors for weights as PyTorch has them, otherwise a model ' +
        'folder. Nothing in a file is executed.',
    )
    .argument('<in>', modelArgument)
    .argument('<out>', 'name.onnx, name.safetensors, or a folder')
  withModelFileOptions(command)
    .addOption(
      new Option(
        '--layout <name>',
        'safetensors: how values lie and are named, pytorch (out, in, height, width; the default) or juanji',
      ).choices(['pytorch', 'juanji']),
    )
    .addOption(
      new Option('--dtype <name>', 'safetensors: how numbers are stored, f32 (the default), f16 or bf16').choices([
        'f32',
        'f16',
        'bf16',
      ]),
    )
    .option(
      '--opset <n>',
      "ONNX: version of its operators (default: 17, or what the model's layers need)",
      wholeNumber(1),
    )
    .option('--preprocessing', 'ONNX: take bytes 0 … 255 and normalise them inside the graph')
    .option('--channels-last', 'ONNX: take samples with channels last, by one Transpose')
    .option('--softmax', 'ONNX: give probabilities')
    .option('--force', 'replace what is there')
  withCommonOptions(command, [
    'juanji convert runs/photos-1 photos.onnx --preprocessing',
    'juanji convert resnet18-f37072fd.pth resnet18 --normalize imagenet --labels imagenet.txt',
    'juanji convert mobilenet.h5 mobilenet.safetensors',
    'juanji convert weights.pt weights.safetensors --arch resnet50 --classes 12',
  ])
  command.action((from: string, to: string, options: ConvertOptions) =>
    run(options, (task) => convert(task, from, to, options)),
  )
}

async function convert(task: Task, from: string, to: string, options: ConvertOptions): Promise<void> {
  const target = targetOf(to)
  refuseForTarget(target, options)
  checkOpset(options)
  const undo = await claim(target, to, options)
  try {
    if (target === 'safetensors' && options.arch === undefined && (await copyTensors(task, from, to, options))) return
    await convertModel(task, from, to, options)
  } catch (error) {
    await undo()
    throw error
  }
}

async function convertModel(task: Task, from: string, to: string, options: ConvertOptions): Promise<void> {
  const target = targetOf(to)
  const opened = await openModelFile(from, options)
  stopIfAsked(task)
  task.begin()
  showOpened(task, from, opened)
  const files = await write(target, to, opened, options)
  const bytes = await bytesOf(files)
  task.complete()
  task.terminal.line(`wrote ${files.join(' and ')}: ${formatBytes(bytes)}`)
  const { model, classes } = opened
  if (target !== 'folder') showLeftBehind(task, target, opened, options)
  task.terminal.event({
    event: 'done',
    from,
    to,
    format: target,
    files,
    bytes,
    input: model.inputShape,
    output: model.outputShape,
    parameters: model.parameterCount,
    classes,
  })
}

/** Files are written beside their places, so that nothing is lost by stopping before. */
function stopIfAsked({ signal }: Task): void {
  if (signal.aborted) throw new Interrupted()
}

/** What whoever runs the file has to do to pictures, since the file does not. */
function showLeftBehind({ terminal }: Task, target: Target, { model }: OpenedModel, options: ConvertOptions): void {
  const { pictures } = model
  if (pictures === undefined || options.preprocessing === true) return
  const { mean, std } = pictures
  const numbers = `mean ${[mean].flat().join(', ')}, deviation ${[std].flat().join(', ')} of values in 0 … 1`
  const way = target === 'onnx' ? '; with --preprocessing the graph does it' : ''
  terminal.line(`pictures have to be normalised before: ${numbers}${way}`)
}

function checkOpset({ opset }: ConvertOptions): void {
  const [least, most] = onnxOpsets
  if (opset === undefined || (opset >= least && opset <= most)) return
  throw new ConfigError({
    where: '--opset',
    what: 'this version of the operators is not written',
    got: String(opset),
    expected: `${least} to ${most}`,
    fix: 'leave --opset out',
  })
}

/** @throws ConfigError on an ending that nothing here is written with */
function targetOf(to: string): Target {
  const ending = /\.[A-Za-z][A-Za-z0-9]*$/.exec(to.split(/[/\\]/).at(-1) ?? '')?.[0].toLowerCase()
  if (ending === undefined) return 'folder'
  if (ending === '.onnx') return 'onnx'
  if (ending === '.safetensors') return 'safetensors'
  throw new ConfigError({
    where: to,
    what: 'this format is not written',
    got: ending,
    expected: '.onnx, .safetensors, or a name without an ending for a model folder',
    fix: `rename it: ${to.slice(0, -ending.length)}.onnx`,
  })
}

function refuseForTarget(target: Target, options: ConvertOptions): void {
  const of = {
    layout: 'safetensors',
    dtype: 'safetensors',
    opset: 'onnx',
    preprocessing: 'onnx',
    channelsLast: 'onnx',
    softmax: 'onnx',
  } as const
  if (target === 'safetensors' && options.labels !== undefined) {
    throw new ConfigError({
      where: '--labels',
      what: 'a file of weights has no place for names of classes',
      expected: 'a model folder or ONNX to write',
      fix: 'leave --labels out',
    })
  }
  for (const name of Object.keys(of) as (keyof typeof of)[]) {
    if (options[name] === undefined || of[name] === target) continue
    const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    throw new ConfigError({
      where: `--${flag}`,
      what: 'this option means nothing to what is written',
      expected: `it together with a name that ends in .${of[name]}`,
      fix: `leave --${flag} out`,
    })
  }
}

/**
 * Makes sure, before any work, that the result may be written.
 * @returns how to undo what that took
 */
async function claim(target: Target, to: string, { force }: ConvertOptions): Promise<() => Promise<void>> {
  if (target === 'folder') return claimModelFolder(to, { force })
  if (await isDirectory(to)) {
    throw new ConfigError({
      where: to,
      what: 'this is a folder',
      expected: 'a name for a file',
      fix: 'choose another name',
    })
  }
  const around = to.slice(0, Math.max(0, to.search(/[/\\][^/\\]*$/)))
  if (around !== '' && !(await isDirectory(around))) {
    throw new ConfigError({
      where: to,
      what: 'there is no folder to write it into',
      got: around,
      expected: 'a folder that exists',
      fix: 'make the folder, or choose another name',
    })
  }
  if (force === true || !(await exists(to))) return async () => {}
  throw new ConfigError({
    where: to,
    what: 'there is such a file already',
    expected: 'a new name',
    fix: 'choose another name, or replace it with --force',
  })
}

/** What is about a network, where there is none. */
const aboutNetworks = ['input', 'classes', 'output', 'loose', 'labels', 'normalize', 'layout'] as const

/**
 * Weights of a network that is not known here keep their layout, and their names unless `--rename` says otherwise.
 * @returns whether it was that
 */
async function copyTensors(task: Task, from: string, to: string, options: ConvertOptions): Promise<boolean> {
  if ((await modelFormat(from)) !== 'weights') return false
  const file = await openWeights(from)
  try {
    if (file.layout === 'keras' || recognize(file.tensors) !== undefined) return false
    const given = aboutNetworks.find((name) => options[name] !== undefined)
    if (given !== undefined) {
      throw new ConfigError({
        where: `--${given}`,
        what: 'these weights are of no network that is known here, so that they are copied as they are',
        got: `--${given} with ${from}`,
        expected: 'it together with --arch, or with weights of a known network',
        fix: `leave --${given} out, or name the network with --arch`,
      })
    }
    stopIfAsked(task)
    task.begin()
    const { terminal } = task
    terminal.line(`${from}: ${file.format}, ${formatCount(file.tensors.size)} tensors of no network known here`)
    await copyWeights(to, file, {
      ...dtypeOf(options),
      ...(options.rename === undefined ? {} : { rename: options.rename }),
      signal: task.signal,
    })
    const bytes = await bytesOf([to])
    task.complete()
    const kept = options.rename === undefined ? 'names and layout as they were' : 'layout as it was'
    terminal.line(`wrote ${to}: ${formatBytes(bytes)}, ${kept}`)
    terminal.event({ event: 'done', from, to, format: 'safetensors', files: [to], bytes, tensors: file.tensors.size })
    return true
  } finally {
    await file.close()
  }
}

function dtypeOf({ dtype }: ConvertOptions): { readonly dtype?: 'F32' | 'F16' | 'BF16' } {
  return dtype === undefined ? {} : { dtype: dtype.toUpperCase() as 'F32' | 'F16' | 'BF16' }
}

/** Of a model folder those of its weights. */
async function bytesOf(files: readonly string[]): Promise<number> {
  let bytes = 0
  for (const file of files) {
    const range = await openRange((await isDirectory(file)) ? joinPath(file, 'weights.safetensors') : file)
    bytes += range.size
    await range.close()
  }
  return bytes
}

function showOpened({ terminal }: Task, from: string, opened: OpenedModel): void {
  const { model, architecture, imported, weights, format } = opened
  terminal.line(`${from}: ${imported?.format ?? weights?.format ?? 'model folder'}`)
  for (const note of imported?.notes ?? []) terminal.line(`  ${note}`)
  if (weights !== undefined) terminal.lines(showWeightsReport(weights).map((line: string) => `  ${line}`))
  const name = architecture === undefined ? '' : `${architecture}, `
  const shapes = `${showExtents(model.inputShape)} to ${showExtents(model.outputShape)}`
  terminal.line(`${name}${shapes}, ${formatCount(model.parameterCount)} parameters`)
  terminal.event({ event: 'opened', from, format, ...(imported ?? {}), ...(weights === undefined ? {} : { weights }) })
}

async function write(target: Target, to: string, opened: OpenedModel, options: ConvertOptions): Promise<string[]> {
  const { model, classes, dtype, architecture, data, metrics } = opened
  if (target === 'folder') {
    const source = opened.imported?.format ?? opened.weights?.format
    const about = source === undefined ? data : { ...data, source }
    // The history and the checkpoints of what was there would be taken for this model's.
    if (options.force === true) await clearModelFolder(to)
    await saveModel(to, { model, classes, dtype, architecture, data: about, metrics }, { force: options.force })
    return [to]
  }
  if (target === 'safetensors') {
    await writeWeights(to, model, { layout: options.layout ?? 'pytorch', ...dtypeOf(options) })
    return [to]
  }
  return [...(await saveOnnx(to, model, onnxOptions(classes, options)))]
}

function onnxOptions(classes: readonly string[], options: ConvertOptions) {
  const { opset, preprocessing, channelsLast, softmax } = options
  return {
    ...(opset === undefined ? {} : { opset }),
    ...(preprocessing === true ? { preprocessing: { dtype: 'u8' } as const } : {}),
    ...(channelsLast === true ? ({ inputLayout: 'channels-last' } as const) : {}),
    ...(softmax === true ? { softmax } : {}),
    ...(classes.length === 0 ? {} : { classes }),
  }
}
