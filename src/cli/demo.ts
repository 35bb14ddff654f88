/** Some pictures of the test data with what a model says of them, drawn with half blocks. */
import { type Dataset, type Model, type Prediction, predict, resizeImage, tensor } from '../index.ts'
import { formatPercent } from './progress.ts'
import type { Terminal } from './terminal.ts'

/** Characters a drawn digit is wide; two of its pixels stand above each other in one character. */
const side = 18
/** Border that is cut off a 28×28 digit: the ink lies in the middle 20×20. */
const border = 3
/** Pictures whose predictions are looked at. */
const looked = 256
const gap = '  '

/**
 * Lines that show grey values.
 * @param pixels bytes, `side` × `side`, light on dark
 * @param colours whether shades of grey may be used; otherwise a half block stands for a light pixel
 */
export function drawPicture(pixels: Uint8Array, width: number, colours: boolean): string[] {
  const lines: string[] = []
  for (let y = 0; y + 1 < pixels.length / width; y += 2) {
    let line = ''
    for (let x = 0; x < width; x++) {
      const upper = pixels[y * width + x]
      const lower = pixels[(y + 1) * width + x]
      if (colours) line += `\u001b[38;5;${grey(upper)};48;5;${grey(lower)}m▀`
      else line += upper > 96 ? (lower > 96 ? '█' : '▀') : lower > 96 ? '▄' : ' '
    }
    lines.push(colours ? `${line}\u001b[0m` : line)
  }
  return lines
}

/** One of the 24 greys of 256-colour terminals. */
function grey(value: number): number {
  return 232 + Math.round((value / 255) * 23)
}

interface Shown {
  readonly index: number
  readonly label: number
  readonly prediction: Prediction
}

/** Four pictures the model gets right, of different classes, and up to four it gets wrong. */
export function choose(
  labels: readonly number[],
  predictions: readonly Prediction[],
  count: number,
): { right: Shown[]; wrong: Shown[] } {
  const right: Shown[] = []
  const wrong: Shown[] = []
  for (const [index, prediction] of predictions.entries()) {
    const label = labels[index]
    const shown = { index, label, prediction }
    if (prediction.label !== label) {
      if (wrong.length < count) wrong.push(shown)
    } else if (right.length < count && right.every((other) => other.label !== label)) right.push(shown)
  }
  return { right, wrong }
}

/** Draws right and wrong predictions for the first pictures of a data set of grey 28×28 pictures. */
export async function drawDemo(terminal: Terminal, model: Model, test: Dataset): Promise<void> {
  const [height, width] = test.sampleShape
  const count = Math.min(looked, test.length)
  const samples = await Promise.all(Array.from({ length: count }, (_, i) => test.get(i)))
  const x = new Uint8Array(count * height * width)
  for (const [i, sample] of samples.entries()) x.set(sample.x, i * height * width)
  const predictions = await predict(model, tensor(x, [count, ...test.sampleShape], 'u8'))
  const perRow = Math.max(1, Math.min(4, Math.floor((terminal.columns + gap.length) / (side + gap.length))))
  const { right, wrong } = choose(
    samples.map((sample) => sample.y),
    predictions,
    perRow,
  )

  const picture = (index: number): string[] => {
    const whole = { width, height, channels: 1, data: Uint8Array.from(samples[index].x) }
    const crop = { left: border, top: border, width: width - 2 * border, height: height - 2 * border }
    return drawPicture(resizeImage(whole, side, side, crop).data, side, terminal.colours)
  }
  const row = (shown: readonly Shown[], caption: (one: Shown) => string): void => {
    const pictures = shown.map((one) => picture(one.index))
    terminal.line()
    terminal.line(
      shown
        .map((one) => caption(one).padEnd(side))
        .join(gap)
        .trimEnd(),
    )
    for (let y = 0; y < side / 2; y++)
      terminal.line(
        pictures
          .map((lines) => lines[y])
          .join(gap)
          .trimEnd(),
      )
  }
  const sure = (one: Shown) => formatPercent(one.prediction.probabilities[one.prediction.label], 1)
  terminal.line()
  terminal.line('Test digits, and what the model says of them:')
  row(right, (one) => `${test.classes[one.prediction.label]}  ${sure(one)}`)
  if (wrong.length === 0) return terminal.lines(['', `It is right about all of the first ${count}.`])
  terminal.lines(['', `and ${wrong.length === 1 ? 'one' : 'some'} it gets wrong:`])
  row(wrong, (one) => `${test.classes[one.prediction.label]}  ${sure(one)}, is ${test.classes[one.label]}`)
}
