/** Ratios between rounds of measurements, and the table of the day in Markdown. */

/** One line of a participant: figures that end in `_ms` are times, the best of several runs. */
export interface Row {
  /** Name and version. */
  readonly peer: string
  readonly work: string
  readonly [figure: string]: number | string
}

/** What one participant measured in each round. */
export type Rounds = readonly (readonly Row[])[]

export interface Ratio {
  readonly work: string
  /** `forward`, `forward_backward`, `train_step`, `inference`. */
  readonly figure: string
  /** Medians over the rounds. */
  readonly ourMs: number
  readonly theirMs: number
  /** Their time over ours, the median of the rounds' ratios: above 1 we are faster. */
  readonly ratio: number
  /** The smallest and largest ratio of a round. */
  readonly range: readonly [least: number, most: number]
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

export const geometricMean = (values: readonly number[]): number =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)

/** Ratios of all works and figures that both have in every round, in the order of the first round. */
export function ratiosOf(ours: Rounds, theirs: Rounds): Ratio[] {
  const timeOf = (rows: readonly Row[], work: string, figure: string): number | undefined => {
    const value = rows.find((row) => row.work === work)?.[figure]
    return typeof value === 'number' ? value : undefined
  }
  const ratios: Ratio[] = []
  for (const { work, ...figures } of ours[0] ?? []) {
    for (const figure of Object.keys(figures)) {
      if (!figure.endsWith('_ms')) continue
      const pairs = ours.map((rows, round) => [timeOf(rows, work, figure), timeOf(theirs[round] ?? [], work, figure)])
      if (pairs.some(([our, their]) => our === undefined || their === undefined)) continue
      const [our, their] = [0, 1].map((side) => pairs.map((pair) => pair[side] as number))
      const each = our.map((ms, round) => their[round] / ms)
      const range = [Math.min(...each), Math.max(...each)] as const
      const name = figure.slice(0, -'_ms'.length)
      ratios.push({ work, figure: name, ourMs: median(our), theirMs: median(their), ratio: median(each), range })
    }
  }
  return ratios
}

/** A comparison with its title. */
export interface Comparison {
  readonly title: string
  readonly ours: string
  readonly theirs: string
  readonly ratios: readonly Ratio[]
}

const milliseconds = (ms: number): string => ms.toFixed(ms < 9.995 ? 2 : ms < 99.95 ? 1 : 0)

/** Losing cases are bold: they are there to be looked at. */
function markdownRow({ work, figure, ourMs, theirMs, ratio, range }: Ratio): string {
  const shown = ratio < 1 ? `**${ratio.toFixed(2)}×**` : `${ratio.toFixed(2)}×`
  const spread = range[0] === range[1] ? '' : `${range[0].toFixed(2)}–${range[1].toFixed(2)}`
  const pass = figure.replaceAll('_', ' + ').replace('train + step', 'training step')
  return `| ${work} | ${pass} | ${milliseconds(ourMs)} | ${milliseconds(theirMs)} | ${shown} | ${spread} |`
}

export function markdownOf({ title, ours, theirs, ratios }: Comparison): string[] {
  const lost = ratios.filter(({ ratio }) => ratio < 1)
  const figures = [...new Set(ratios.map(({ figure }) => figure))]
  const means = figures.map((figure) => {
    const mean = geometricMean(ratios.filter((ratio) => ratio.figure === figure).map(({ ratio }) => ratio))
    return `${figure.replaceAll('_', ' + ').replace('train + step', 'training step')} ${mean.toFixed(2)}×`
  })
  return [
    `## ${title}`,
    '',
    `| work | pass | ${ours}, ms | ${theirs}, ms | ratio | of the rounds |`,
    '|---|---|---:|---:|---:|---|',
    ...ratios.map(markdownRow),
    '',
    `Geometric means: ${means.join(', ')}. ${lost.length === 0 ? 'Nothing is slower here' : `Slower here in ${lost.length} of ${ratios.length}`}.`,
  ]
}
