/** `juanji explain`: a small convolution number by number, kernel sizes compared, a network kernel by kernel. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { ConfigError } from '../../base/errors.ts'
import { type ExplainOptions, explainConvolution, printConvolution, type Shape } from '../../index.ts'
import {
  type CommonOptions,
  chooseDevice,
  type DeviceChoice,
  type Runner,
  type Task,
  wholeNumber,
  withCommonOptions,
  withDeviceOptions,
} from '../command.ts'
import { explainKernels } from '../explain-kernels.ts'
import { explainModel } from '../explain-model.ts'
import { architectureNames, readShape } from '../names.ts'
import { precisionHelp } from '../train-plan.ts'

interface ExplainCommandOptions extends CommonOptions, DeviceChoice {
  readonly steps?: boolean
  readonly input?: Matrix | Extents
  readonly kernel?: Matrix
  readonly padding: NonNullable<ExplainOptions['padding']>
  readonly stride: number
  readonly dilation: number
  readonly filters?: number
  readonly groups?: number
  readonly training?: boolean
  readonly precision?: string
  readonly classes?: number
  readonly batchSize?: number
  readonly batch?: number
}

type Matrix = readonly (readonly number[])[]
/** A shape, where a matrix could stand as well. */
interface Extents {
  readonly shape: Shape
}

const defaultInput: Matrix = [
  [1, 2],
  [3, 4],
]
const defaultKernel: Matrix = [
  [1, 2, 3],
  [4, 5, 6],
  [7, 8, 9],
]
const defaultKernels = [1, 3, 5, 7]
const defaultBatch = 32

export function addExplain(program: Command, run: Runner): void {
  const command = program
    .command('explain')
    .summary('show how a convolution is computed, or where the time of a network goes')
    .description(
      'Show a small convolution the way one computes it by hand, compare what kernel sizes cost on this machine, or ' +
        'show what every kernel call of a network costs: why it is computed as it is, arithmetic, memory, time.',
    )
    .argument('<what>', `conv, ${architectureNames.join(', ')}, or a folder that train wrote`)
    .option('--steps', 'conv: each window, its products, their sum and where it is stored')
    .addOption(
      new Option(
        '--input <numbers>',
        'conv: rows of numbers (default: "1 2; 3 4"), or a shape such as 32x56x56x64 to compare kernel sizes; ' +
          'networks: height x width x channels of a sample',
      ).argParser(readInput),
    )
    .addOption(
      new Option(
        '--kernel <numbers>',
        'conv: rows of numbers (default: "1 2 3; 4 5 6; 7 8 9"), or sizes to compare (default: 1,3,5,7)',
      ).argParser(readMatrix),
    )
    .option('--padding <how>', 'valid, same, full, a number, or top,bottom,left,right', readPadding, 'same')
    .option('--stride <n>', 'how far the window moves', wholeNumber(1), 1)
    .option('--dilation <n>', 'how far apart the window looks', wholeNumber(1), 1)
    .option(
      '--filters <n>',
      'comparing kernel sizes: channels that come out (default: as many as come in)',
      wholeNumber(1),
    )
    .option('--groups <n>', 'comparing kernel sizes: groups of channels (default: 1)', wholeNumber(1))
    .option('--training', 'networks: a whole training step instead of inference')
    .option('--classes <n>', 'architectures: number of classes', wholeNumber(1))
    .option('--precision <name>', `networks: ${precisionHelp}`)
    .option('--batch-size <n>', `samples at once (default: ${defaultBatch})`, wholeNumber(1))
    .addOption(new Option('--batch <n>', 'the same').argParser(wholeNumber(1)).hideHelp())
  withDeviceOptions(command)
  withCommonOptions(command, [
    'juanji explain conv --steps',
    'juanji explain conv --steps --input "1 2 3; 4 5 6; 7 8 9" --kernel "1 0; 0 -1" --padding valid',
    'juanji explain conv --input 32x56x56x64 --kernel 1,3,5,7 --filters 64',
    'juanji explain resnet18 --input 32x32x3 --training',
  ])
  command.action((what: string, options: ExplainCommandOptions) => run(options, (task) => explain(task, what, options)))
}

/** Numbers in rows, or extents with an × between them. */
function readInput(text: string): Matrix | Extents {
  if (!/^\s*\d+(\s*[x×]\s*\d+)+\s*$/.test(text)) return readMatrix(text)
  return { shape: readShape(text) }
}

function readMatrix(text: string): Matrix {
  const rows = text
    .replace(/^\s*\[\s*\[?|\]?\s*\]\s*$/g, '')
    .split(/;|\]\s*,\s*\[/)
    .map((row) => row.trim().split(/[\s,]+/))
  const matrix = rows.map((row) => row.map(Number))
  if (rows.flat().some((cell) => cell === '') || matrix.flat().some((value) => !Number.isFinite(value))) {
    throw new InvalidArgumentError('expected numbers such as "1 2; 3 4".')
  }
  if (matrix.some((row) => row.length !== matrix[0].length)) {
    throw new InvalidArgumentError('expected rows of equal length.')
  }
  return matrix
}

function readPadding(text: string): NonNullable<ExplainOptions['padding']> {
  if (text === 'valid' || text === 'same' || text === 'full') return text
  const numbers = text.split(',').map(Number)
  const whole = text.trim() !== '' && numbers.every((n) => Number.isSafeInteger(n) && n >= 0)
  if (whole && numbers.length === 1) return numbers[0]
  if (whole && numbers.length === 4)
    return [
      [numbers[0], numbers[1]],
      [numbers[2], numbers[3]],
    ]
  throw new InvalidArgumentError('expected valid, same, full, a number, or four numbers: top,bottom,left,right.')
}

async function explain(task: Task, what: string, options: ExplainCommandOptions): Promise<void> {
  const { input, kernel, filters, groups } = options
  const shape = input !== undefined && 'shape' in input ? input.shape : undefined
  const rows = input !== undefined && !('shape' in input) ? input : undefined
  if (what !== 'conv') {
    refuse(options, ['steps', 'kernel', 'filters', 'groups'], `explain ${what}`, 'explain conv')
    if (rows !== undefined && rows.length !== 1) throw shapeWanted('a sample', '32x32x3', input)
    const sample = shape ?? rows?.[0]
    const batchSize = options.batchSize ?? options.batch ?? defaultBatch
    return explainModel(task, what, { ...options, input: sample, batchSize })
  }
  refuse(options, ['training', 'classes', 'precision'], 'explain conv', 'explain with a network')
  if (shape === undefined && filters === undefined && groups === undefined)
    return explainSteps(task, rows ?? defaultInput, options)
  refuse(options, ['steps'], 'comparing kernel sizes', 'explain conv with rows of numbers')
  if (shape === undefined || shape.length < 3 || shape.length > 4)
    throw shapeWanted('the batch', '32x56x56x64 (batch, height, width, channels)', input)
  const kernels = kernel === undefined ? defaultKernels : kernel.flat()
  if ((kernel?.length ?? 1) !== 1 || kernels.some((size) => !Number.isSafeInteger(size) || size < 1)) {
    throw new ConfigError({
      where: '--kernel',
      what: 'these are no kernel sizes',
      got: kernel?.map((row) => row.join(' ')).join('; '),
      expected: 'whole numbers such as 1,3,5,7',
      fix: 'leave out --filters and give --input as rows of numbers to see a kernel at work',
    })
  }
  const sample = shape.slice(-3)
  const batch = shape.length === 4 ? shape[0] : (options.batchSize ?? options.batch ?? defaultBatch)
  const { padding, stride, dilation } = options
  const work = { batch, input: sample, filters: filters ?? sample[2], kernels, padding, stride, dilation }
  return explainKernels(task, { ...work, groups: groups ?? 1 }, options)
}

/** @throws ConfigError when one of these options was given */
function refuse(
  options: ExplainCommandOptions,
  names: readonly (keyof ExplainCommandOptions)[],
  here: string,
  there: string,
): void {
  const given = names.find((name) => options[name] !== undefined)
  if (given === undefined) return
  throw new ConfigError({
    where: `--${given}`,
    what: `this option means nothing to ${here}`,
    expected: `it together with ${there}`,
    fix: `leave --${given} out`,
  })
}

function shapeWanted(of: string, example: string, input: Matrix | Extents | undefined): ConfigError {
  const got =
    input === undefined ? undefined : 'shape' in input ? input.shape.join('x') : `${input.length} rows of numbers`
  return new ConfigError({
    where: '--input',
    what: `the shape of ${of} is needed`,
    got: got ?? 'nothing',
    expected: `whole numbers such as ${example}`,
    fix: `give it as --input ${example.split(' ')[0]}`,
  })
}

async function explainSteps(task: Task, rows: Matrix, options: ExplainCommandOptions): Promise<void> {
  const { terminal } = task
  const explained = explainConvolution(rows, options.kernel ?? defaultKernel, options)
  await chooseDevice(options)
  task.begin()
  const computed = await explained.tensor.data()
  const difference = explained.output
    .flat()
    .reduce((most, value, i) => Math.max(most, Math.abs(value - computed[i])), 0)
  terminal.lines(printConvolution(explained, options))
  terminal.line()
  terminal.line(
    difference === 0
      ? 'conv2d computes the same numbers.'
      : `conv2d computes the same numbers; the largest difference, from rounding, is ${difference.toPrecision(2)}.`,
  )
  if (options.steps === true) for (const step of explained.steps) terminal.event({ event: 'step', ...step })
  const { input, kernel, padding, stride, dilation, output } = explained
  terminal.event({ event: 'done', input, kernel, padding, stride, dilation, output, difference })
}
