/** `juanji explain conv`: a small convolution, number by number. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { type ExplainOptions, explainConvolution, printConvolution } from '../../index.ts'
import {
  type CommonOptions,
  chooseDevice,
  type DeviceChoice,
  type Runner,
  type Task,
  unknownName,
  wholeNumber,
  withCommonOptions,
  withDeviceOptions,
} from '../command.ts'

interface ExplainCommandOptions extends CommonOptions, DeviceChoice {
  readonly steps?: boolean
  readonly input: Matrix
  readonly kernel: Matrix
  readonly padding: NonNullable<ExplainOptions['padding']>
  readonly stride: number
  readonly dilation: number
}

type Matrix = readonly (readonly number[])[]

const subjects = ['conv'] as const
const defaultInput: Matrix = [
  [1, 2],
  [3, 4],
]
const defaultKernel: Matrix = [
  [1, 2, 3],
  [4, 5, 6],
  [7, 8, 9],
]

export function addExplain(program: Command, run: Runner): void {
  const command = program
    .command('explain')
    .summary('show how a convolution is computed')
    .description('Show a small convolution the way one computes it by hand, and that conv2d gives the same.')
    .argument('<what>', subjects.join(', '))
    .option('--steps', 'each window, its products, their sum and where it is stored')
    .addOption(rowsOption('--input <rows>').default(defaultInput, '"1 2; 3 4"'))
    .addOption(rowsOption('--kernel <rows>').default(defaultKernel, '"1 2 3; 4 5 6; 7 8 9"'))
    .option('--padding <how>', 'valid, same, full, a number, or top,bottom,left,right', readPadding, 'same')
    .option('--stride <n>', 'how far the window moves', wholeNumber(1), 1)
    .option('--dilation <n>', 'how far apart the window looks', wholeNumber(1), 1)
  withDeviceOptions(command)
  withCommonOptions(command, [
    'juanji explain conv --steps',
    'juanji explain conv --steps --input "1 2 3; 4 5 6; 7 8 9" --kernel "1 0; 0 -1" --padding valid',
  ])
  command.action((what: string, options: ExplainCommandOptions) => run(options, (task) => explain(task, what, options)))
}

const rowsOption = (flags: string) => new Option(flags, 'numbers, rows separated by ;').argParser(readMatrix)

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
  const { terminal } = task
  if (!(subjects as readonly string[]).includes(what)) throw unknownName('explanation', what, subjects)
  const explained = explainConvolution(options.input, options.kernel, options)
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
