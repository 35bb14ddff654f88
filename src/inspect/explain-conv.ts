/** Shows a small 2-D convolution the way one computes it by hand. */
import { conv2d, type Tensor, tensor } from '../tensor/index.ts'

export interface ExplainOptions {
  /** Default `'valid'`; as in conv2d. */
  readonly padding?:
    | 'valid'
    | 'same'
    | 'full'
    | number
    | readonly [readonly [number, number], readonly [number, number]]
  /** Default 1. */
  readonly stride?: number | readonly [number, number]
  /** Default 1. */
  readonly dilation?: number | readonly [number, number]
}

/** How one element of the result comes about. */
export interface ConvolutionStep {
  /** Row and column of the element in the result. */
  readonly index: readonly [row: number, column: number]
  /** Row and column in the input where the window begins; negative in the padding. */
  readonly origin: readonly [row: number, column: number]
  /** What the window sees, kernel-sized; undefined where it sees padding, which counts as 0. */
  readonly window: readonly (readonly (number | undefined)[])[]
  /** Window times kernel, element by element; undefined in the padding. */
  readonly products: readonly (readonly (number | undefined)[])[]
  readonly sum: number
  /** Where the sum is stored, counted row by row from 0. */
  readonly storedAt: number
}

export interface ExplainedConvolution {
  readonly input: readonly (readonly number[])[]
  readonly kernel: readonly (readonly number[])[]
  /** Rows and columns of zeros around the input: `[[top, bottom], [left, right]]`. */
  readonly padding: readonly [readonly [number, number], readonly [number, number]]
  readonly stride: readonly [number, number]
  readonly dilation: readonly [number, number]
  readonly output: readonly (readonly number[])[]
  readonly steps: readonly ConvolutionStep[]
  /** The same result, computed by conv2d. */
  readonly tensor: Tensor
}

const pair = (value: number | readonly [number, number] | undefined): readonly [number, number] =>
  value === undefined ? [1, 1] : typeof value === 'number' ? [value, value] : value

/**
 * Every step of the convolution of one image with one kernel, in plain loops: which numbers the window sees, what they
 * are multiplied by, their sum and where it is stored.
 * @param input rows of the image @param kernel rows of the kernel
 * @throws ShapeError, ConfigError as conv2d does
 * @example
 * const { steps } = explainConvolution([[1, 2], [3, 4]], [[1, 2, 3], [4, 5, 6], [7, 8, 9]], { padding: 'same' })
 * steps[0].sum // 77
 */
export function explainConvolution(
  input: readonly (readonly number[])[],
  kernel: readonly (readonly number[])[],
  options: ExplainOptions = {},
): ExplainedConvolution {
  // conv2d first: it checks everything, and says what is wrong.
  const { padding: how = 'valid' } = options
  const settings = { padding: how, stride: options.stride ?? 1, dilation: options.dilation ?? 1 }
  const result = conv2d(tensor(input), tensor(kernel), settings)
  const stride = pair(options.stride)
  const dilation = pair(options.dilation)
  const padding = ([input.length, input[0].length] as const).map((extent, axis) => {
    const reach = ((axis === 0 ? kernel.length : kernel[0].length) - 1) * dilation[axis] + 1
    return paddingOf(how, axis, extent, reach, stride[axis])
  }) as unknown as ExplainedConvolution['padding']

  const [rows, columns] = result.shape
  const steps: ConvolutionStep[] = []
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const origin = [i * stride[0] - padding[0][0], j * stride[1] - padding[1][0]] as const
      const window = kernel.map((line, m) =>
        line.map((_, n) => input[origin[0] + m * dilation[0]]?.[origin[1] + n * dilation[1]]),
      )
      const products = window.map((line, m) =>
        line.map((value, n) => (value === undefined ? undefined : value * kernel[m][n])),
      )
      const sum = products.flat().reduce<number>((total, product) => total + (product ?? 0), 0)
      steps.push({ index: [i, j], origin, window, products, sum, storedAt: i * columns + j })
    }
  }
  const output = Array.from({ length: rows }, (_, i) =>
    steps.slice(i * columns, (i + 1) * columns).map((step) => step.sum),
  )
  return { input, kernel, padding, stride, dilation, output, steps, tensor: result }
}

function paddingOf(
  padding: NonNullable<ExplainOptions['padding']>,
  axis: number,
  extent: number,
  reach: number,
  stride: number,
): readonly [number, number] {
  if (padding === 'valid') return [0, 0]
  if (padding === 'full') return [reach - 1, reach - 1]
  if (typeof padding === 'number') return [padding, padding]
  if (padding !== 'same') return padding[axis]
  const total = Math.max(0, (Math.ceil(extent / stride) - 1) * stride + reach - extent)
  return [Math.floor(total / 2), Math.ceil(total / 2)]
}

// ── as text ──

const show = (value: number | undefined): string => (value === undefined ? '·' : String(Number(value.toPrecision(7))))

/** Rows of numbers as lines of equal length. */
function block(rows: readonly (readonly (number | undefined)[])[]): string[] {
  const cells = rows.map((row) => row.map(show))
  const width = Math.max(...cells.flat().map((cell) => cell.length))
  return cells.map((row) => row.map((cell) => cell.padStart(width)).join('  '))
}

/** Blocks beside each other, each with a heading; `signs` stand between them on the middle line. */
function beside(
  headings: readonly string[],
  blocks: readonly (readonly string[])[],
  signs: readonly string[],
): string[] {
  const height = Math.max(...blocks.map((lines) => lines.length))
  const widths = blocks.map((lines, i) => Math.max(headings[i].length, ...lines.map((line) => line.length)))
  const line = (parts: readonly string[], middle: boolean) =>
    `  ${parts.map((part, i) => part.padEnd(widths[i]) + (i < signs.length ? `  ${middle ? signs[i] : ' '}  ` : '')).join('')}`.trimEnd()
  const lines = [line(headings, false)]
  const middle = Math.floor((height - 1) / 2)
  for (let i = 0; i < height; i++)
    lines.push(
      line(
        blocks.map((lines) => lines[i] ?? ''),
        i === middle,
      ),
    )
  return lines
}

function describeSetting({ padding, stride, dilation }: ExplainedConvolution): string {
  const [[top, bottom], [left, right]] = padding
  const around = [top, bottom, left, right].every((n) => n === 0)
    ? 'no padding'
    : `padding ${top} above, ${bottom} below, ${left} left, ${right} right`
  const rest = [
    stride[0] === 1 && stride[1] === 1 ? '' : `, stride ${stride.join('×')}`,
    dilation[0] === 1 && dilation[1] === 1 ? '' : `, dilation ${dilation.join('×')}`,
  ]
  return around + rest.join('')
}

/**
 * An explained convolution as lines for a terminal.
 * @param options steps: each window, its products and their sum; otherwise input, kernel and result only
 */
export function printConvolution(
  explained: ExplainedConvolution,
  options: { readonly steps?: boolean } = {},
): string[] {
  const { input, kernel, output, steps } = explained
  const columns = output[0].length
  const size = (rows: readonly (readonly unknown[])[]) => `${rows.length}×${rows[0].length}`
  const lines = [
    `Convolution of ${size(input)} by ${size(kernel)}, ${describeSetting(explained)}: ${size(output)}`,
    '',
    ...beside(['input', 'kernel', 'output'], [block(input), block(kernel), block(output)], ['∗', '=']),
  ]
  if (options.steps !== true) return lines
  if (steps.some((step) => step.window.flat().includes(undefined))) lines.push('', '· is padding; it counts as 0')
  for (const [number, { index, origin, window, products, sum, storedAt }] of steps.entries()) {
    const terms = products.flat().filter((product) => product !== undefined)
    lines.push(
      '',
      `Step ${number + 1} of ${steps.length}: the window begins at input[${origin[0]}][${origin[1]}]`,
      ...beside(['window', 'kernel', 'products'], [block(window), block(kernel), block(products)], ['×', '=']),
      `  sum ${terms.length === 0 ? '0' : terms.map((term, i) => (i === 0 ? show(term) : term < 0 ? `- ${show(-term)}` : `+ ${show(term)}`)).join(' ')} = ${show(sum)}`,
      `  stored in output[${index[0]}][${index[1]}], element ${index[0]} × ${columns} + ${index[1]} = ${storedAt}`,
    )
  }
  return lines
}
