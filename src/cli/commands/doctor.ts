/** `juanji doctor`: what this machine has, and how fast it can be at best. */
import type { Command } from 'commander'
import { decodeImage, hardwareThreads, processorName, runtimeName } from '#platform'
import { UnsupportedError } from '../../base/errors.ts'
import { version } from '../../base/version.ts'
import { type BackendReport, createDevice, describeBackends, type Peak } from '../../engine/index.ts'
import { measurePeak } from '../../engine/peak.ts'
import {
  type CommonOptions,
  type DeviceChoice,
  deviceOptions,
  Interrupted,
  type Runner,
  type Task,
  withCommonOptions,
  withDeviceOptions,
} from '../command.ts'
import { formatTable } from '../progress.ts'

interface DoctorOptions extends CommonOptions, DeviceChoice {}

export function addDoctor(program: Command, run: Runner): void {
  const command = program
    .command('doctor')
    .summary('say what works on this machine')
    .description('Say which backends work here and why others do not, what they can use, and measure peak rates.')
  withDeviceOptions(command)
  withCommonOptions(command, ['juanji doctor', 'juanji doctor --backend wasm'])
  command.action((options: DoctorOptions) => run(options, (task) => doctor(task, options)))
}

interface MeasuredPeak extends Peak {
  readonly backend: string
  readonly threads: number
}

async function doctor({ terminal, signal, begin }: Task, options: DoctorOptions): Promise<void> {
  const wished = deviceOptions(options)
  begin()
  const backends = await describeBackends()
  const threads = hardwareThreads()
  terminal.lines([
    `juanji     ${version}`,
    `runtime    ${runtimeName()}`,
    `processor  ${processorName() ?? 'unknown'}, ${threads} thread${threads === 1 ? '' : 's'}`,
    `pictures   ${await pictureSupport()}`,
    '',
  ])
  for (const backend of backends) terminal.lines(describe(backend))
  const peaks: MeasuredPeak[] = []
  // What was asked for, or all that work; the interpreter is no measure of a machine.
  const fast = backends.filter(({ name, available }) =>
    wished.backend === undefined ? available && name !== 'interpret' : name === wished.backend,
  )
  const counts = [...new Set([1, options.threads ?? threads])]
  for (const { name } of fast) {
    const measured: MeasuredPeak[] = []
    for (const count of counts) {
      if (signal.aborted) throw new Interrupted()
      terminal.progress({ label: 'measuring', done: peaks.length, total: fast.length * counts.length })
      const device = await createDevice({ ...wished, backend: name, threads: count })
      try {
        measured.push({ backend: name, threads: device.backend.threads, ...(await measurePeak(device)) })
      } finally {
        await device.close()
      }
      peaks.push(measured[measured.length - 1])
    }
    terminal.line(`measured with ${name}`)
    terminal.lines(
      formatTable([
        ['  threads', 'GFLOP/s', 'GB/s copied'],
        ...measured.map((peak) => [`  ${peak.threads}`, peak.gflops.toFixed(1), peak.gigabytesPerSecond.toFixed(1)]),
      ]),
    )
    if (name !== fast[fast.length - 1].name) terminal.line()
  }
  terminal.event({
    event: 'doctor',
    version,
    runtime: runtimeName(),
    processor: processorName(),
    threads,
    backends,
    peaks,
  })
}

function describe({ name, available, remark, features, memoryLimitBytes }: BackendReport): string[] {
  const lines = [`${name.padEnd(10)} ${available ? 'works' : 'does not work'}: ${remark}`]
  for (const [feature, { available: has, reason }] of Object.entries(features)) {
    lines.push(`  ${(featureNames[feature] ?? feature).padEnd(14)} ${has ? 'yes' : 'no '}  ${reason}`)
  }
  if (memoryLimitBytes !== undefined)
    lines.push(`  ${'memory limit'.padEnd(14)} ${(memoryLimitBytes / 2 ** 30).toFixed(1)} GiB`)
  return [...lines, '']
}

const featureNames: Readonly<Record<string, string>> = {
  simd: 'SIMD',
  relaxedSimd: 'relaxed SIMD',
  sharedMemory: 'shared memory',
}

/** A GIF of one pixel: decoding it tells whether the decoder is there. */
const tinyPicture = 'R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs='

async function pictureSupport(): Promise<string> {
  try {
    await decodeImage(
      Uint8Array.from(atob(tinyPicture), (character) => character.charCodeAt(0)),
      'a picture of one pixel',
    )
    return 'can be decoded'
  } catch (error) {
    return error instanceof UnsupportedError
      ? `cannot be decoded: npm install sharp`
      : `cannot be decoded: ${(error as Error).message.split('\n')[0]}`
  }
}
