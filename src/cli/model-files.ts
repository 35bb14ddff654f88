/** Models in files of any format, as the command line names them, and what has to be said of those. */
import { type Command, InvalidArgumentError } from 'commander'
import { readFile } from '#platform'
import { ConfigError, FormatError } from '../base/errors.ts'
import {
  models,
  type NetworkForWeights,
  type OpenedModel,
  openModel,
  type PictureNormalization,
  type RenameRule,
  type Shape,
  type WeightsFile,
} from '../index.ts'
import { unknownName, wholeNumber } from './command.ts'
import { architectureNames, readShape } from './names.ts'
import { recognize } from './recognize.ts'
import { showExtents } from './summary-table.ts'

export interface ModelFileChoice {
  readonly arch?: string
  readonly input?: Shape
  readonly classes?: number
  readonly labels?: string
  readonly normalize?: PictureNormalization
  readonly output?: string
  readonly loose?: boolean
  readonly rename?: readonly RenameRule[]
}

/** What a model argument may be, for help. */
export const modelArgument =
  'folder that train wrote, or a file: .onnx, .keras, .h5, model.json of TensorFlow.js, .safetensors, .pt, .pth'

/** Adds what has to be said of files that do not say it themselves. */
export function withModelFileOptions(command: Command): Command {
  return command
    .option(
      '--arch <name>',
      `network for a file of weights alone: ${architectureNames.join(', ')} (default: told by names)`,
    )
    .option('--input <shape>', 'shape of a sample, where a file leaves it open: 224x224x3', readShape)
    .option('--classes <n>', 'number of classes, together with --arch', wholeNumber(1))
    .option('--output <tensor>', 'which of several outputs comes out')
    .option(
      '--rename <from=to>',
      'weights alone: names that begin with one text begin with another in the model; may be repeated',
      readRename,
    )
    .option('--loose', 'weights alone: load what fits, and tell what does not')
    .option('--labels <file>', 'names of the classes: one a line, or a JSON list')
    .option(
      '--normalize <how>',
      'what pictures are turned into: unit (0 … 1), raw (0 … 255), signed (-1 … 1), imagenet, or mean/std as in 0.13/0.31',
      readNormalization,
    )
}

function readRename(text: string, before: readonly RenameRule[] = []): readonly RenameRule[] {
  const [prefix, to, ...more] = text.split('=')
  if (prefix === '' || to === undefined || more.length > 0) {
    throw new InvalidArgumentError('expected two beginnings of names, such as backbone.=features. or module.=')
  }
  return [...before, { prefix, to }]
}

const normalizations: Readonly<Record<string, PictureNormalization>> = {
  unit: { mean: 0, std: 1 },
  raw: { mean: 0, std: 1 / 255 },
  signed: { mean: 0.5, std: 0.5 },
  imagenet: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
}

export const normalizationNames: readonly string[] = Object.keys(normalizations)

/** A reader for options that say how pictures are normalised. */
export function readNormalization(text: string): PictureNormalization {
  if (Object.hasOwn(normalizations, text)) return normalizations[text]
  const [mean, std, ...more] = text.split('/').map((part) => part.split(',').map(Number))
  const fits = [mean, std].every((list) => list?.every(Number.isFinite))
  if (!fits || more.length > 0 || std.some((value) => value <= 0)) {
    throw new InvalidArgumentError(
      `expected ${normalizationNames.join(', ')}, or mean and deviation such as 0.1307/0.3081.`,
    )
  }
  return { mean: mean.length === 1 ? mean[0] : mean, std: std.length === 1 ? std[0] : std }
}

/**
 * Class names: one a line, or JSON: a list, or numbers with names. Numbers of WordNet in front of a name are left out.
 * @throws ConfigError when there is no such file, FormatError when it holds no names
 */
export async function readLabels(path: string): Promise<string[]> {
  const text = new TextDecoder().decode(await readFile(path)).trim()
  const fail = (what: string) =>
    new FormatError({
      where: path,
      what,
      expected: 'one name a line, or a JSON list of names',
      fix: 'correct the file, or leave --labels out',
    })
  if (text === '') throw fail('there are no names in it')
  if (!/^[[{]/.test(text)) return text.split(/\r?\n/).map((line) => line.trim().replace(/^n\d{8}\s+/, ''))
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw fail(`this is no JSON: ${(error as Error).message}`)
  }
  // Keras writes { "0": ["n01440764", "tench"] }, Hugging Face { "0": "tench" }.
  const names = Object.values(value as object).map((name: unknown) => (Array.isArray(name) ? name.at(-1) : name))
  if (!names.every((name) => typeof name === 'string')) throw fail('not all of its values are names')
  return names
}

/**
 * Opens a model in a file of any format, or a model folder, with what was said of it.
 * @throws ConfigError, FormatError, UnsupportedError as {@link openModel}
 */
export async function openModelFile(path: string, choice: ModelFileChoice): Promise<OpenedModel> {
  const opened = await openModel(path, {
    network: (file) => networkFor(file, choice),
    strict: choice.loose !== true,
    ...(choice.rename === undefined ? {} : { rename: choice.rename }),
    input: choice.input,
    output: choice.output,
  })
  refuseUnused(path, opened, choice)
  return withSaid(path, opened, choice)
}

/** Options that a file answers itself must not be ignored. */
function refuseUnused(path: string, { format }: OpenedModel, choice: ModelFileChoice): void {
  const unused = {
    juanji: ['arch', 'input', 'classes', 'output', 'loose', 'rename'],
    onnx: ['arch', 'classes', 'loose', 'rename'],
    keras: ['arch', 'classes', 'loose', 'rename'],
    tfjs: ['arch', 'classes', 'loose', 'rename'],
    weights: ['output'],
  } as const
  const where: { readonly [name: string]: string } = {
    output: 'a file that has several outputs',
    input: 'an architecture, or a file that leaves extents open',
    classes: 'an architecture, or a file of weights alone',
  }
  const given = unused[format].find((name) => choice[name] !== undefined)
  if (given === undefined) return
  throw new ConfigError({
    where: `--${given}`,
    what: format === 'juanji' ? 'a trained model has its own' : 'the file itself says it',
    got: `--${given} with ${path}`,
    expected: `this option together with ${where[given] ?? 'a file of weights alone'}`,
    fix: `leave --${given} out`,
  })
}

async function withSaid(path: string, opened: OpenedModel, choice: ModelFileChoice): Promise<OpenedModel> {
  if (choice.normalize !== undefined) {
    checkNormalization(opened, choice.normalize)
    opened.model.pictures = choice.normalize
  }
  if (choice.labels === undefined) return opened
  const classes = await readLabels(choice.labels)
  const outputs = opened.model.outputShape.at(-1) ?? 0
  if (classes.length !== outputs) {
    throw new ConfigError({
      where: choice.labels,
      what: 'there are not as many names as the model has outputs',
      got: `${classes.length} names`,
      expected: `${outputs}, the outputs of ${path}`,
      fix: 'name the list of classes that the model was trained on',
    })
  }
  return { ...opened, classes }
}

function checkNormalization({ model, dtype }: OpenedModel, { mean, std }: PictureNormalization): void {
  const channels = model.inputShape.at(-1) ?? 0
  const counts = [mean, std].map((list) => (typeof list === 'number' ? 1 : list.length))
  const fits = counts.every((count) => count === 1 || count === channels)
  if (fits && dtype === 'u8') return
  throw new ConfigError({
    where: '--normalize',
    what: dtype === 'u8' ? 'there are not as many numbers as pictures have channels' : 'the model takes no pictures',
    got:
      dtype === 'u8' ? `${counts[0]} means and ${counts[1]} deviations` : `samples of ${showExtents(model.inputShape)}`,
    expected: dtype === 'u8' ? (channels === 1 ? 'one number each' : `one number each, or ${channels}`) : 'pictures',
    fix: dtype === 'u8' ? 'correct the numbers' : 'leave --normalize out',
  })
}

function networkFor(file: WeightsFile, { arch, input, classes }: ModelFileChoice): NetworkForWeights {
  if (arch === undefined) {
    const found = recognize(file.tensors)
    if (found === undefined) {
      throw new ConfigError({
        where: file.path,
        what: 'the file holds weights alone, and they are of no network that is known here',
        got: `${file.format}: ${[...file.tensors.keys()].slice(0, 4).join(', ')}, …`,
        expected: `a network they fit: ${architectureNames.join(', ')}`,
        fix: 'name it with --arch',
      })
    }
    return { net: found.net, input: input ?? found.input, ...published(found.name) }
  }
  if (!Object.hasOwn(models.architectures, arch)) throw unknownName('architecture', arch, architectureNames)
  const name = arch as models.ArchitectureName
  const shape = input ?? models.usualInputs[name]
  const make: models.Architecture = models.architectures[name]
  return {
    net: make({ input: shape, classes: classes ?? recognize(file.tensors)?.classes }),
    input: shape,
    ...published(name),
  }
}

function published(name: models.ArchitectureName): Pick<NetworkForWeights, 'name' | 'pictures' | 'rename'> {
  const { pictures, rename } = models.published[name] ?? {}
  return { name, ...(pictures === undefined ? {} : { pictures }), ...(rename === undefined ? {} : { rename }) }
}
