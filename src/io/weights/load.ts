/** Weights of a file into a model, by name and by rule, with a report. */
import { ConfigError, checkOptions, FormatError } from '../../base/errors.ts'
import { type Shape, sameShape, showShape, sizeOf } from '../../base/shape.ts'
import type { Model } from '../../nn/model.ts'
import type { State } from '../../tensor/index.ts'
import { toFloat32 } from '../safetensors.ts'
import { pytorchLayout } from './layout.ts'
import { type RenameRule, renamer, sharedPrefix } from './rename.ts'
import type { StoredDType, StoredTensor, WeightLayout, WeightsFile } from './source.ts'
import type { Turn } from './turn.ts'

export interface LoadWeightsOptions {
  /**
   * Whether all has to fit: a tensor of the right shape for each of the model's parameters and states, and no others.
   * Default true; false loads what fits, and the report tells the rest.
   */
  readonly strict?: boolean
  /** What the model calls a tensor of the file; default: the same. */
  readonly rename?: RenameRule | readonly RenameRule[]
  /**
   * How values lie in the file; default: as the file says, where it says nothing as PyTorch does, unless shapes tell
   * that channels are last.
   */
  readonly layout?: WeightLayout
}

export interface WeightsReport {
  readonly path: string
  readonly format: string
  /** How values were taken to lie in the file. */
  readonly layout: WeightLayout
  /** Paths in the model. */
  readonly loaded: readonly string[]
  /** Values loaded. */
  readonly values: number
  /** Paths in the model that have no tensor in the file. */
  readonly missing: readonly string[]
  /** Names in the file that have no place in the model. */
  readonly unexpected: readonly string[]
  /** Of another shape. `file` is what the file has, `expected` what it should have, `model` how that lies in the model. */
  readonly mismatched: readonly {
    readonly name: string
    readonly file: Shape
    readonly expected: Shape
    readonly model: Shape
  }[]
  /** Loaded in another order of values. */
  readonly permuted: readonly { readonly name: string; readonly how: string }[]
  /** Names in the file that mean nothing to a model: `num_batches_tracked`. */
  readonly ignored: readonly string[]
  /** Loaded from another element type than f32. */
  readonly cast: readonly { readonly name: string; readonly from: StoredDType }[]
  /** What else was decided, for people. */
  readonly notes: readonly string[]
}

/** PyTorch counts batches where momentum is not given; a model here has no such mode. */
const meaningless = /(^|\.)num_batches_tracked$/

/**
 * Loads the weights of a file into a model: tensors by name, values into the model's order. Nothing is changed unless all
 * fits (or `strict` is false). One tensor is held at a time.
 * @returns what was done, see `showWeightsReport`
 * @throws FormatError with the lists when strict and something does not fit, ConfigError on options that make no sense
 * @example
 * const file = await openWeights('resnet20.th')
 * const report = await loadWeights(model, file)
 * console.log(showWeightsReport(report).join('\n'))
 * await file.close()
 */
export async function loadWeights(
  model: Model,
  file: WeightsFile,
  options: LoadWeightsOptions = {},
): Promise<WeightsReport> {
  checkOptions('loadWeights', options, ['strict', 'rename', 'layout'])
  const plan = makePlan(model, file, options)
  const { report } = plan
  if (options.strict !== false && report.missing.length + report.unexpected.length + report.mismatched.length > 0) {
    throw notFitting(report, plan.places.size)
  }
  for (const { state, tensor, turn } of plan.steps) await loadOne(state, tensor, turn)
  return report
}

interface Step {
  readonly state: State
  readonly tensor: StoredTensor
  readonly turn: Turn | undefined
}

interface Plan {
  readonly places: ReadonlyMap<string, State>
  readonly steps: readonly Step[]
  readonly report: WeightsReport
}

function makePlan(model: Model, file: WeightsFile, options: LoadWeightsOptions): Plan {
  const places = new Map<string, State>([...model.parameters, ...model.states].map((state) => [state.name, state]))
  const notes: string[] = []
  const { found, ignored, unexpected } = findPlaces(places, file, options, notes)
  const { layout, turns } = chooseLayout(model, file, options.layout, found, places, notes)
  const steps: Step[] = []
  const mismatched: WeightsReport['mismatched'][number][] = []
  for (const [name, state] of places) {
    const tensor = found.get(name)
    if (tensor === undefined) continue
    const turn = turns.get(name)
    const expected = turn?.shape ?? state.shape
    if (fits(tensor.shape, expected, layout)) steps.push({ state, tensor, turn })
    else mismatched.push({ name, file: tensor.shape, expected, model: state.shape })
  }
  const report: WeightsReport = {
    path: file.path,
    format: file.format,
    layout,
    loaded: steps.map(({ state }) => state.name),
    values: steps.reduce((sum, { state }) => sum + state.size, 0),
    missing: [...places.keys()].filter((name) => !found.has(name)),
    unexpected,
    mismatched,
    permuted: steps.flatMap(({ state, turn }) => (turn === undefined ? [] : [{ name: state.name, how: turn.how }])),
    ignored,
    cast: steps.flatMap(({ state, tensor }) =>
      tensor.dtype === 'F32' ? [] : [{ name: state.name, from: tensor.dtype }],
    ),
    notes,
  }
  return { places, steps, report }
}

/** The tensor of each place in the model. */
function findPlaces(
  places: ReadonlyMap<string, State>,
  file: WeightsFile,
  { rename }: LoadWeightsOptions,
  notes: string[],
): { found: ReadonlyMap<string, StoredTensor>; ignored: readonly string[]; unexpected: readonly string[] } {
  const ignored: string[] = []
  const named: { readonly to: string; readonly tensor: StoredTensor }[] = []
  const nameOf = renamer(rename)
  for (const tensor of file.tensors.values()) {
    const to = nameOf(tensor.name)
    if (to === undefined || (meaningless.test(to) && !places.has(to))) ignored.push(tensor.name)
    else named.push({ to, tensor })
  }
  const names = named.map(({ to }) => to)
  const prefix = names.some((name) => places.has(name)) ? '' : sharedPrefix(names, places)
  if (prefix !== '') notes.push(`names without the prefix '${prefix}' that all of them have in the file`)
  const found = new Map<string, StoredTensor>()
  const unexpected: string[] = []
  for (const { to, tensor } of named) {
    const name = to.slice(prefix.length)
    const before = found.get(name)
    if (before !== undefined) {
      throw new ConfigError({
        where: 'loadWeights',
        what: `two tensors of ${file.path} get the name '${name}'`,
        got: `'${before.name}' and '${tensor.name}'`,
        expected: 'names that differ',
        fix: 'correct the rules of rename',
      })
    }
    if (places.has(name)) found.set(name, tensor)
    else unexpected.push(tensor.name)
  }
  return { found, ignored, unexpected }
}

const asTheyAre: ReadonlyMap<string, Turn> = new Map()

/** How values lie in the file: as was asked for, as it says, or as shapes tell. */
function chooseLayout(
  model: Model,
  file: WeightsFile,
  asked: WeightLayout | undefined,
  found: ReadonlyMap<string, StoredTensor>,
  places: ReadonlyMap<string, State>,
  notes: string[],
): { layout: WeightLayout; turns: ReadonlyMap<string, Turn> } {
  const layout = asked ?? file.layout
  const guess = asked === undefined && file.layoutIsGuess === true
  if (layout !== 'pytorch') return { layout, turns: asTheyAre }
  const { turns, notes: lost } = pytorchLayout(model)
  let turned = 0
  let unturned = 0
  for (const [name, { shape }] of guess ? found : []) {
    const turn = turns.get(name)
    const here = places.get(name)?.shape ?? []
    if (turn === undefined || sameShape(turn.shape, here)) continue
    if (sameShape(shape, turn.shape)) turned++
    if (sameShape(shape, here)) unturned++
  }
  if (unturned > turned) {
    notes.push(`the file does not say how values lie: channels last, since the shapes of ${unturned} tensors are so`)
    return { layout: 'juanji', turns: asTheyAre }
  }
  if (guess && turned === 0 && turns.size > 0 && found.size > 0) {
    notes.push("the file does not say how values lie, and shapes do not tell: channels first, as PyTorch's")
  }
  notes.push(...lost)
  return { layout, turns }
}

/** Keras has the kernel of a depthwise convolution as [...kernel, channels, multiplier]: the same values in a row. */
function fits(shape: Shape, expected: Shape, layout: WeightLayout): boolean {
  if (sameShape(shape, expected)) return true
  const kernel = expected.slice(0, -2)
  const depthwise = expected.length > 2 && expected[expected.length - 2] === 1 && shape.length === expected.length
  return (
    layout !== 'pytorch' && depthwise && sizeOf(shape) === sizeOf(expected) && sameShape(shape.slice(0, -2), kernel)
  )
}

async function loadOne(state: State, tensor: StoredTensor, turn: Turn | undefined): Promise<void> {
  const data = await tensor.read()
  const values = data instanceof Float32Array ? data : toFloat32({ ...tensor, data })
  const ours = turn === undefined ? values : turn.toOurs(values)
  await state.load(state.variable.dtype === 'i32' ? Int32Array.from(ours) : ours)
}

function notFitting(report: WeightsReport, count: number): FormatError {
  const { path, missing, unexpected, mismatched } = report
  const parts: string[] = []
  if (missing.length > 0) parts.push(`${missing.length} missing: ${list(missing)}`)
  if (unexpected.length > 0) parts.push(`${unexpected.length} unexpected: ${list(unexpected)}`)
  if (mismatched.length > 0) parts.push(`${mismatched.length} of another shape: ${list(mismatched.map(showMismatch))}`)
  return new FormatError({
    where: path,
    what: 'the weights do not fit the model',
    got: parts.join('; '),
    expected: `a tensor for each of the model's ${count} parameters and states, and no others`,
    fix: 'build the model the file was saved from, give rules for names (rename), or load what fits with strict: false',
  })
}

const list = (names: readonly string[], most = 4) =>
  names.length > most ? `${names.slice(0, most).join(', ')} and ${names.length - most} more` : names.join(', ')

function showMismatch({ name, file, expected }: WeightsReport['mismatched'][number]): string {
  return `${name} ${showShape(file)} instead of ${showShape(expected)}`
}

/**
 * A report in lines for people; what did not occur is left out.
 * @param options most: names shown of each list, default 4
 */
export function showWeightsReport(report: WeightsReport, options: { readonly most?: number } = {}): readonly string[] {
  const { most = 4 } = options
  const { loaded, missing, unexpected, mismatched, permuted, ignored, cast, notes } = report
  const count = (n: number, what = 'tensor') => `${n.toLocaleString('en')} ${what}${n === 1 ? '' : 's'}`
  const lines = [`loaded      ${count(loaded.length)}, ${count(report.values, 'value')}, from ${report.format}`]
  const add = (label: string, text: string) => lines.push(`${label.padEnd(11)} ${text}`)
  for (const [how, times] of countEach(permuted.map(({ how }) => how))) add('permuted', `${times}: ${how}`)
  for (const [from, times] of countEach(cast.map(({ from }) => from))) add('cast', `${times}: ${from} to F32`)
  if (ignored.length > 0) add('ignored', `${ignored.length}: ${list(ignored, most)}`)
  if (missing.length > 0) add('missing', `${missing.length}: ${list(missing, most)}`)
  if (unexpected.length > 0) add('unexpected', `${unexpected.length}: ${list(unexpected, most)}`)
  if (mismatched.length > 0) add('mismatched', `${mismatched.length}: ${list(mismatched.map(showMismatch), most)}`)
  for (const note of notes) add('note', note)
  return lines
}

function countEach(keys: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
  return counts
}
