/** `juanji bench`: how fast this machine convolves and trains. */
import type { Command } from 'commander'
import type { Precision } from '../../base/dtype.ts'
import { ConfigError } from '../../base/errors.ts'
import { version } from '../../base/version.ts'
import {
  type CommonOptions,
  chooseDevice,
  type DeviceChoice,
  Interrupted,
  type Runner,
  type Task,
  unknownName,
  withCommonOptions,
  withDeviceOptions,
} from '../command.ts'
import { layerSet, layerSetNames } from '../layer-sets.ts'
import { formatTable } from '../progress.ts'
import { precisionHelp, readPrecision } from '../train-plan.ts'
import { type BenchmarkRow, isWork, networkNames, runWork, workNames } from '../works.ts'

interface BenchOptions extends CommonOptions, DeviceChoice {
  readonly work?: string
  readonly set?: string
  readonly precision?: string
}

export function addBench(program: Command, run: Runner): void {
  const command = program
    .command('bench')
    .summary('measure how fast it is here')
    .description(
      'Measure convolutions (forward, and with both gradients) and training steps: the best of seven runs after two ' +
        'warm-ups. The works have the names of bench/peers.',
    )
    .option(
      '--work <name>',
      `only this one, or these with commas between them: ${workNames.join(', ')}, or layers such as b8-3x3s2-64to128@56`,
    )
    .option('--set <name>', `the convolutions of a network instead: ${layerSetNames.join(', ')}`)
    .option('--precision <name>', `${precisionHelp}; with bf16 whole networks are measured`)
  withDeviceOptions(command)
  withCommonOptions(command, [
    'juanji bench',
    'juanji bench --work simple-cnn-28-b64 --threads 1 --json',
    'juanji bench --set resnet50',
    'juanji bench --work resnet18-cifar-b32 --precision bf16',
  ])
  command.action((options: BenchOptions) => run(options, (task) => bench(task, options)))
}

const digits = (value: number | undefined) =>
  value === undefined ? '' : Number.isInteger(value) ? String(value) : value < 10 ? value.toFixed(2) : value.toFixed(1)

/** What to measure. @throws ConfigError on unknown names */
function chosenWorks(
  { work, set }: BenchOptions,
  precision: Precision,
): readonly { readonly work: string; readonly count?: number }[] {
  if (work !== undefined && set !== undefined) {
    throw new ConfigError({
      where: '--work',
      what: 'a set is measured as a whole',
      got: `--work ${work} --set ${set}`,
      expected: 'one of the two',
      fix: 'leave --set out to measure one layer',
    })
  }
  if (set !== undefined) {
    if (!layerSetNames.includes(set)) throw unknownName('set', set, layerSetNames)
    return layerSet(set)
  }
  // What a convolution alone reads and writes are Variables, and those are f32.
  if (work === undefined) return (precision === 'f32' ? workNames : networkNames).map((name) => ({ work: name }))
  const names = work.split(',')
  const unknown = names.find((name) => !isWork(name))
  if (unknown !== undefined) throw unknownName('work', unknown, workNames)
  return names.map((name) => ({ work: name }))
}

async function bench({ terminal, signal, begin }: Task, options: BenchOptions): Promise<void> {
  const precision = readPrecision(options.precision) ?? 'f32'
  const works = chosenWorks(options, precision)
  const device = await chooseDevice(options)
  begin()
  const rows: BenchmarkRow[] = []
  for (const [i, { work, count }] of works.entries()) {
    if (signal.aborted) throw new Interrupted()
    terminal.progress({ label: work, done: i, total: works.length })
    const row = { ...(await runWork(work, precision)), ...(count === undefined ? {} : { count }) }
    rows.push(row)
    terminal.event({
      event: 'work',
      peer: `juanji-${version}-${device.target.name}`,
      threads: device.backend.threads,
      ...(precision === 'f32' ? {} : { precision }),
      ...row,
    })
  }
  terminal.line(`${device.target.name}, ${device.backend.threads} threads, best of seven, milliseconds`)
  terminal.line()
  const table = (head: readonly string[], cells: (row: BenchmarkRow) => readonly (number | undefined)[]) => {
    const body = rows.filter((row) => cells(row)[0] !== undefined).map((row) => [row.work, ...cells(row).map(digits)])
    if (body.length > 0) terminal.lines([...formatTable([head, ...body]), ''])
  }
  const counted = options.set === undefined ? [] : ['times']
  table(['work', 'forward', 'with gradients', 'GFLOP/s', 'GFLOP/s', ...counted], (r) => [
    r.forward_ms,
    r.forward_backward_ms,
    r.forward_gflops,
    r.forward_backward_gflops,
    ...(r.count === undefined ? [] : [r.count]),
  ])
  if (options.set !== undefined) terminal.line(total(options.set, rows))
  table(['work', 'training step', 'inference', 'samples/s'], (r) => [r.train_step_ms, r.inference_ms, r.samples_per_s])
}

/** What the layers take together, each as often as the network has it. */
function total(set: string, rows: readonly BenchmarkRow[]): string {
  const sum = (of: (row: BenchmarkRow) => number | undefined) =>
    digits(rows.reduce((ms, row) => ms + (row.count ?? 1) * (of(row) ?? 0), 0))
  return `all convolutions of ${set}: forward ${sum((r) => r.forward_ms)} ms, with gradients ${sum((r) => r.forward_backward_ms)} ms`
}
