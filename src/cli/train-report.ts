/** What `juanji train` says to people. */
import { environment } from '#platform'
import type { Evaluation, Run, StartEvent } from '../index.ts'
import { describeAugment } from '../index.ts'
import { formatCount, formatDuration, formatPercent, formatTable } from './progress.ts'
import type { Terminal } from './terminal.ts'
import type { TrainPlan } from './train-plan.ts'

/** `juanji`, or how to call it where npm runs a script: then it is not on the path. */
export function commandName(): string {
  return environment('npm_lifecycle_event') === undefined && environment('npm_command') === undefined
    ? 'juanji'
    : 'npx juanji'
}

export interface Beginning {
  /** The data set, for people. */
  readonly name: string
  readonly plan: TrainPlan
  readonly classes: number
  readonly testSamples: number
  /** What the recipe chose, and why. */
  readonly reasons: readonly { readonly choice: string; readonly why: string }[]
}

export function showStart(terminal: Terminal, event: StartEvent, beginning: Beginning): void {
  const { name, plan, classes, testSamples, reasons } = beginning
  const threads = `${event.threads} thread${event.threads === 1 ? '' : 's'}`
  terminal.line(
    `${terminal.bold('juanji')} trains ${plan.arch} (${formatCount(event.parameters)} parameters) on ${name}, with ${event.backend} on ${threads}`,
  )
  const held = event.validationSamples === 0 ? '' : `${formatCount(event.validationSamples)} held out, `
  const test = testSamples === 0 ? 'none to test with' : `${formatCount(testSamples)} to test with`
  terminal.line(
    terminal.dim(`${formatCount(event.trainSamples)} images to learn from, ${held}${test}; ${classes} classes`),
  )
  if (reasons.length > 0) {
    terminal.line()
    const width = Math.max(...reasons.map(({ choice }) => choice.length))
    for (const { choice, why } of reasons) terminal.line(`  ${choice.padEnd(width)}  ${terminal.dim(why)}`)
  } else terminal.line(terminal.dim(settings(plan)))
  if (event.resumedAt !== undefined) {
    terminal.line()
    terminal.line(`Going on with epoch ${event.resumedAt.epoch}, behind step ${event.resumedAt.step}.`)
  }
  terminal.line()
}

function settings(plan: TrainPlan): string {
  const [height, width] = plan.inputShape
  return [
    `pictures of ${height}×${width}`,
    `batches of ${plan.batchSize}`,
    `${plan.epochs} epochs`,
    plan.optimizer,
    `learning rate ${plan.learningRate}`,
    `${plan.lrSchedule} schedule`,
    describeAugment(plan.augment),
    `seed ${plan.seed}`,
  ].join(', ')
}

export function showTest(terminal: Terminal, test: Evaluation, { end, epochs }: Run): void {
  const heldOut = epochs.some(({ validationAccuracy }) => validationAccuracy !== undefined)
  const best = heldOut ? `; epoch ${end.bestEpoch} was the best on the held-out data` : ''
  terminal.line()
  terminal.line(terminal.bold(`Test accuracy: ${formatPercent(test.accuracy)}`))
  terminal.line(`(${formatCount(test.samples)} samples it never saw, loss ${test.loss.toFixed(4)}${best})`)
  const missed = test.perClass.filter(({ recall, samples }) => samples > 0 && recall < 1)
  const hardest = missed.toSorted((a, b) => a.f1 - b.f1).slice(0, 3)
  if (hardest.length > 0 && test.perClass.length > 2) {
    const list = hardest.map(({ name, recall }) => `${name} (${formatPercent(recall, 1)} found)`).join(', ')
    terminal.line(terminal.dim(`Hardest: ${list}`))
  }
}

const widestTable = 200

/** A row a class. */
export function classTable({ perClass }: Evaluation): string[] {
  const rows = perClass
    .slice(0, widestTable)
    .map(({ name, precision, recall, f1, samples }) => [
      name,
      formatPercent(precision, 1),
      formatPercent(recall, 1),
      formatPercent(f1, 1),
      formatCount(samples),
    ])
  const more = perClass.length > widestTable ? [`and ${perClass.length - widestTable} more classes`] : []
  return [...formatTable([['class', 'precision', 'recall', 'F1', 'samples'], ...rows]), ...more]
}

/** @param digits whether the data are those that are drawn here */
export function showNext(terminal: Terminal, folder: string, seconds: number, digits: boolean): void {
  const juanji = commandName()
  terminal.line()
  terminal.line(`The model is in ${terminal.bold(folder)} (trained in ${formatDuration(seconds)}). What to try next:`)
  terminal.line()
  const next = [
    digits
      ? [
          `${juanji} predict ${folder} picture.png`,
          'what it says of a picture (add --invert for dark ink on light paper)',
        ]
      : [`${juanji} predict ${folder} picture.jpg`, 'what it says of a picture, or of a folder of them'],
    [`${juanji} evaluate ${folder}`, 'how it does on each class'],
    [`${juanji} summary ${folder}`, 'its layers, and what they cost'],
    ...(digits
      ? [
          [`${juanji} train mnist`, 'the same with MNIST, which is downloaded'],
          [`${juanji} train ./photos`, 'your own pictures: one folder for each class'],
        ]
      : []),
    [`${juanji} explain conv --steps`, 'a convolution by hand, number by number'],
    [`${juanji} doctor`, 'what this machine can do'],
  ]
  const width = Math.max(...next.map(([command]) => command.length))
  for (const [command, what] of next) terminal.line(`  ${command.padEnd(width)}  ${terminal.dim(what)}`)
}
