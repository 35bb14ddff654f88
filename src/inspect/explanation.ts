/** What a compiled function costs, kernel call by kernel call, as a table. */
import type { ExplainedCall, Explanation } from '../tensor/index.ts'

/** Three digits and a unit of powers of ten: `2.42G`. */
function short(value: number): string {
  const units = ['', 'k', 'M', 'G', 'T', 'P']
  let scaled = value
  let unit = 0
  while (scaled >= 999.5 && unit < units.length - 1) {
    scaled /= 1000
    unit++
  }
  return unit === 0 ? String(Math.round(scaled)) : `${threeDigits(scaled)}${units[unit]}`
}

function threeDigits(value: number): string {
  return value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)
}

/** Milliseconds: microseconds count where there are few. */
const milliseconds = (ms: number): string => (ms < 9.9995 ? ms.toFixed(3) : threeDigits(ms))

const rate = (value: number | undefined): string =>
  value === undefined ? '' : value < 9.95 ? value.toFixed(1) : value.toFixed(0)

const percent = (share: number | undefined): string => (share === undefined ? '' : `${Math.round(100 * share)}%`)

/** What a call does for its algorithm: `direct conv`, `direct pack`, `winograd4 weights`; without a choice `map`. */
function howOf({ kernel, choice }: ExplainedCall): string {
  const words = kernel.split('_')
  const part = words.findLast((word) => parts.has(word)) ?? words[0]
  const kind = part === choice?.algorithm ? '' : part.replace(/\d.*$/, '')
  return [choice?.algorithm ?? '', kind].filter((text) => text !== '').join(' ')
}

/** Words of a kernel's name that tell it from the others of its algorithm. */
const parts: ReadonlySet<string> = new Set(['weights', 'gradient', 'tiles'])

const nameOf = ({ origin, ops }: ExplainedCall): string => (origin === undefined ? ops : `${origin} ${ops}`)

type Column = readonly [heading: string, cell: (call: ExplainedCall) => string]

const how: Column = ['kernel', howOf]
const flops: Column = ['FLOP', (call) => (call.flops === undefined ? '?' : call.flops === 0 ? '' : short(call.flops))]
const bytes: Column = ['bytes', (call) => short(call.bytes)]
const workspace: Column = ['space', (call) => (call.workspaceBytes === 0 ? '' : short(call.workspaceBytes))]
const time: Column = ['ms', (call) => milliseconds(call.ms)]
const gflops: Column = ['GF/s', (call) => ((call.flops ?? 0) === 0 ? '' : rate(call.gflops))]
const gigabytes: Column = ['GB/s', (call) => rate(call.gigabytesPerSecond)]
const share: Column = ['peak', (call) => percent(call.share)]
const bound: Column = ['bound', (call) => (call.boundBy === 'neither' ? '-' : call.boundBy)]
const why: Column = ['why', (call) => (call.choice === undefined ? '' : call.why)]

/** From the fullest to the narrowest. */
const layouts: readonly (readonly Column[])[] = [
  [how, flops, bytes, workspace, time, gflops, gigabytes, share, bound, why],
  [how, flops, bytes, workspace, time, gflops, gigabytes, share, bound],
  [how, flops, bytes, time, gflops, gigabytes, share, bound],
  [how, flops, time, gflops, share, bound],
  [time, gflops, share, bound],
]
const leftAligned: ReadonlySet<Column> = new Set([how, bound, why])
/** Names are cut where they are longer than there is room, but not below this. */
const shortestName = 24

const cut = (text: string, width: number): string => (text.length <= width ? text : `${text.slice(0, width - 1)}…`)

function callTable(calls: readonly ExplainedCall[], columns: number): string[] {
  const names = calls.map(nameOf)
  const longest = Math.max('computes'.length, ...names.map((name) => name.length))
  const tables = layouts.map((layout) => {
    const cells = [layout.map(([heading]) => heading), ...calls.map((call) => layout.map(([, cell]) => cell(call)))]
    const widths = layout.map((_, i) => Math.max(...cells.map((row) => row[i].length)))
    return { layout, cells, widths, room: columns - widths.reduce((sum, width) => sum + width + 2, 0) }
  })
  const needed = Math.min(longest, shortestName)
  const { layout, cells, widths, room } = tables.find((table) => table.room >= needed) ?? tables[tables.length - 1]
  const width = Math.min(longest, Math.max(room, needed))
  return cells.map((row, i) => {
    const name = cut(i === 0 ? 'computes' : names[i - 1], width).padEnd(width)
    const padded = row.map((cell, j) =>
      leftAligned.has(layout[j]) ? cell.padEnd(widths[j]) : cell.padStart(widths[j]),
    )
    return [name, ...padded].join('  ').trimEnd()
  })
}

/** What is computed before the first run. */
function keptOf({ kept, memory }: Explanation): string[] {
  if (kept.length === 0) return []
  const ms = kept.reduce((sum, call) => sum + call.ms, 0)
  const calls = `${kept.length} ${kept.length === 1 ? 'call' : 'calls'} before the first run, ${milliseconds(ms)} ms`
  return [`${calls}: ${short(memory.keptBytes)}B made of Variables and kept until they change`]
}

function totals(explanation: Explanation): string[] {
  const { calls, total, memory, peak, backend, threads } = explanation
  const gflopsOfAll = total.wholeMs > 0 ? total.flops / total.wholeMs / 1e6 : 0
  const inOnePiece = `${milliseconds(total.wholeMs)} ms in one piece`
  const lines = [
    `${calls.length} kernel calls: ${milliseconds(total.ms)} ms one by one, ${inOnePiece}`,
    `${short(total.flops)} FLOP at ${rate(gflopsOfAll)} GFLOP/s, ${percent(gflopsOfAll / peak.gflops)} of the peak; ${short(total.bytes)}B read and written`,
    `peak measured here (${backend}, ${threads} ${threads === 1 ? 'thread' : 'threads'}): ${rate(peak.gflops)} GFLOP/s, ${rate(peak.gigabytesPerSecond)} GB/s copied`,
  ]
  const bounds = (['compute', 'memory', 'neither'] as const).map((name) => {
    const ms = calls.reduce((sum, call) => sum + (call.boundBy === name ? call.ms : 0), 0)
    return `${name} ${milliseconds(ms)} ms (${percent(total.ms > 0 ? ms / total.ms : 0)})`
  })
  const parts = [
    `${short(memory.arenaBytes)}B activations, gradients and workspace`,
    `${short(memory.variableBytes)}B Variables`,
    `${short(memory.bufferBytes)}B arguments and results`,
    `${short(memory.scratchBytes)}B scratch`,
    ...(memory.keptBytes === 0 ? [] : [`${short(memory.keptBytes)}B kept`]),
  ]
  return [
    ...lines,
    ...keptOf(explanation),
    `bound by: ${bounds.join(', ')}`,
    `memory at its peak: ${short(memory.bytes)}B = ${parts[0]}`,
    `  + ${parts.slice(1).join(' + ')}`,
  ]
}

function longestCalls({ calls, total }: Explanation, columns: number): string[] {
  const top = calls.toSorted((a, b) => b.ms - a.ms).slice(0, 5)
  const times = top.map(({ ms }) => milliseconds(ms))
  const width = Math.max(...times.map((text) => text.length))
  return top.map((call, i) => {
    const part = percent(total.ms > 0 ? call.ms / total.ms : 0).padStart(4)
    const bound = call.boundBy === 'neither' ? '' : `, bound by ${call.boundBy}`
    return cut(`  ${times[i].padStart(width)} ms ${part}  ${nameOf(call)} (${howOf(call)}${bound})`, columns)
  })
}

/** How often each algorithm was chosen for each op, and what the others were estimated at. */
function choices(calls: readonly ExplainedCall[]): string[] {
  const groups = new Map<string, Set<NonNullable<ExplainedCall['choice']>>>()
  for (const { choice } of calls) {
    if (choice === undefined) continue
    const key = `${choice.op}: ${choice.algorithm}`
    groups.set(key, (groups.get(key) ?? new Set()).add(choice))
  }
  return [...groups].map(([key, group]) => {
    const times = group.size === 1 ? '' : ` ${group.size} times`
    const others = estimates([...group])
    return `  ${key}${times}, ${others === '' ? 'the only one that applies' : `estimated cost of others: ${others}`}`
  })
}

/** Of all that was not chosen, from the lowest to the highest: `direct 1.54–2.33×, winograd2 1.04×`. */
function estimates(group: readonly NonNullable<ExplainedCall['choice']>[]): string {
  const found = new Map<string, number[]>()
  for (const { algorithm, candidates } of group) {
    const own = candidates.find(({ name }) => name === algorithm)?.cost ?? Number.NaN
    for (const { name, cost } of candidates)
      if (name !== algorithm) found.set(name, [...(found.get(name) ?? []), cost / own])
  }
  const range = (ratios: readonly number[]) => {
    const [least, most] = [Math.min(...ratios), Math.max(...ratios)].map((ratio) => ratio.toFixed(2))
    return least === most ? `${least}×` : `${least}–${most}×`
  }
  return [...found].map(([name, ratios]) => `${name} ${range(ratios)}`).join(', ')
}

/**
 * An explanation as lines for a terminal: a row for every kernel call, then totals, the five longest calls and why
 * algorithms were chosen. FLOP are those that the kernels carry out. `peak` is the share of the measured peak of
 * arithmetic or of memory, whichever is nearer; above 100 % the caches are faster than memory.
 * @param options columns: characters in a line; default 100
 * @example
 * console.log(printExplanation(await step.explain(images, labels)).join('\n'))
 */
export function printExplanation(explanation: Explanation, options: { readonly columns?: number } = {}): string[] {
  const { columns = 100 } = options
  const { calls } = explanation
  if (calls.length === 0) return ['Nothing is computed: what comes out is what goes in, or constants.']
  const chosen = choices(calls)
  return [
    ...callTable(calls, columns),
    '',
    ...totals(explanation),
    '',
    'longest:',
    ...longestCalls(explanation, columns),
    ...(chosen.length === 0 ? [] : ['', 'algorithms:', ...chosen]),
  ]
}
