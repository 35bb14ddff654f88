/** `juanji bench`: how fast this machine convolves and trains. */
import type { Command } from 'commander'
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
import { formatTable } from '../progress.ts'
import { precisionHelp, readPrecision } from '../train-plan.ts'
import { type BenchmarkRow, networkNames, runWork, workNames } from '../works.ts'

interface BenchOptions extends CommonOptions, DeviceChoice {
  readonly work?: string
  readonly precision?: string
}

export function addBench(program: Command, run: Runner): void {
  const command = program
    .command('bench')
    .summary('measure how fast it is here')
    .description(
      'Measure convolutions (forward, and with both gradients) and training steps: the best of seven runs after two warm-ups. The works have the names of bench/peers.',
    )
    .option('--work <name>', `only this one: ${workNames.join(', ')}`)
    .option('--precision <name>', `${precisionHelp}; with bf16 only whole networks are measured`)
  withDeviceOptions(command)
  withCommonOptions(command, [
    'juanji bench',
    'juanji bench --work simple-cnn-28-b64 --threads 1 --json',
    'juanji bench --work resnet18-cifar-b32 --precision bf16',
  ])
  command.action((options: BenchOptions) => run(options, (task) => bench(task, options)))
}

const digits = (value: number | undefined) =>
  value === undefined ? '' : value < 10 ? value.toFixed(2) : value.toFixed(1)

async function bench({ terminal, signal, begin }: Task, options: BenchOptions): Promise<void> {
  if (options.work !== undefined && !workNames.includes(options.work))
    throw unknownName('work', options.work, workNames)
  const precision = readPrecision(options.precision) ?? 'f32'
  // What a convolution alone reads and writes are Variables, and those are f32.
  const all = precision === 'f32' ? workNames : networkNames
  const works = options.work === undefined ? all : [options.work]
  const device = await chooseDevice(options)
  begin()
  const rows: BenchmarkRow[] = []
  for (const [i, work] of works.entries()) {
    if (signal.aborted) throw new Interrupted()
    terminal.progress({ label: work, done: i, total: works.length })
    const row = await runWork(work, precision)
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
  table(['work', 'forward', 'with gradients', 'GFLOP/s', 'GFLOP/s'], (r) => [
    r.forward_ms,
    r.forward_backward_ms,
    r.forward_gflops,
    r.forward_backward_gflops,
  ])
  table(['work', 'training step', 'inference', 'samples/s'], (r) => [r.train_step_ms, r.inference_ms, r.samples_per_s])
}
