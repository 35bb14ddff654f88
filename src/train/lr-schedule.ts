/** How the learning rate goes over a run. */
import { ConfigError, checkOptions, checkRange, didYouMean } from '../base/errors.ts'

/** A learning-rate schedule: a factor of the optimizer's own rate at every moment of the run. */
export interface LrSchedule {
  readonly name: string
  /** What it was made with, for records and to tell whether a resumed run is the same. */
  readonly options: { readonly [name: string]: number | readonly number[] }
  /** @param progress share of the run that is done, in [0, 1) */
  at(progress: number): number
}

/** The optimizer's rate all the time. */
function constant(): LrSchedule {
  return { name: 'constant', options: {}, at: () => 1 }
}

export interface StepScheduleOptions {
  /** Shares of the run after which the rate falls, ascending, in (0, 1); default [0.5, 0.75], as He et al. 2016 do. */
  readonly at?: readonly number[]
  /** What each fall multiplies it by, in (0, 1]; default 0.1. */
  readonly factor?: number
}

/** Falls at certain moments. @throws ConfigError on values out of range */
function step(options: StepScheduleOptions = {}): LrSchedule {
  checkOptions('lrSchedules.step', options, ['at', 'factor'])
  const { at = [0.5, 0.75], factor = 0.1 } = options
  checkRange('lrSchedules.step', 'factor', factor, factor > 0 && factor <= 1, 'a number in (0, 1]')
  for (const [i, share] of at.entries()) {
    checkRange(
      'lrSchedules.step',
      'at',
      share,
      share > (at[i - 1] ?? 0) && share < 1,
      'ascending shares of the run in (0, 1)',
    )
  }
  return {
    name: 'step',
    options: { at, factor },
    at: (progress) => factor ** at.filter((share) => progress >= share).length,
  }
}

/**
 * Half a cosine, from the optimizer's rate down to a share of it (Loshchilov and Hutter 2017, without restarts).
 * @param options floor: where it ends, in [0, 1]; default 0
 * @throws ConfigError on values out of range
 */
function cosine(options: { readonly floor?: number } = {}): LrSchedule {
  checkOptions('lrSchedules.cosine', options, ['floor'])
  const { floor = 0 } = options
  checkRange('lrSchedules.cosine', 'floor', floor, floor >= 0 && floor <= 1, 'a number in [0, 1]')
  return { name: 'cosine', options: { floor }, at: (progress) => floor + (1 - floor) * halfCosine(progress) }
}

const halfCosine = (progress: number) => (1 + Math.cos(Math.PI * progress)) / 2

export interface OneCycleOptions {
  /** Share of the run in which the rate rises, in (0, 1); default 0.3. */
  readonly rise?: number
  /** Where it begins, as a share of the optimizer's rate; default 1/25. */
  readonly start?: number
  /** Where it ends, as a share of the optimizer's rate; default 1/250,000. */
  readonly end?: number
}

/**
 * Up to the optimizer's rate and far down again, both along a cosine (Smith and Topin 2018, "Super-convergence"); the
 * defaults are those of PyTorch's OneCycleLR.
 * @throws ConfigError on values out of range
 */
function oneCycle(options: OneCycleOptions = {}): LrSchedule {
  checkOptions('lrSchedules.oneCycle', options, ['rise', 'start', 'end'])
  const { rise = 0.3, start = 1 / 25, end = 1 / 250_000 } = options
  checkRange('lrSchedules.oneCycle', 'rise', rise, rise > 0 && rise < 1, 'a number in (0, 1)')
  checkRange('lrSchedules.oneCycle', 'start', start, start > 0 && start <= 1, 'a number in (0, 1]')
  checkRange('lrSchedules.oneCycle', 'end', end, end >= 0 && end <= 1, 'a number in [0, 1]')
  return {
    name: 'oneCycle',
    options: { rise, start, end },
    at: (progress) =>
      progress < rise
        ? 1 + (start - 1) * halfCosine(progress / rise)
        : end + (1 - end) * halfCosine((progress - rise) / (1 - rise)),
  }
}

/** Learning-rate schedules by name. */
export const lrSchedules = { constant, step, cosine, oneCycle } as const
export type LrScheduleName = keyof typeof lrSchedules
export const lrScheduleNames = Object.keys(lrSchedules) as readonly LrScheduleName[]

/** @throws ConfigError on an unknown name, with the nearest known one */
export function lrScheduleOf(schedule: LrScheduleName | LrSchedule, where: string): LrSchedule {
  if (typeof schedule !== 'string') return schedule
  if (Object.hasOwn(lrSchedules, schedule)) return lrSchedules[schedule]()
  throw new ConfigError({
    where,
    what: `there is no lrSchedule '${schedule}'`,
    expected: lrScheduleNames.join(', '),
    fix: didYouMean(schedule, lrScheduleNames),
  })
}

/**
 * The factor for a step: a straight line up during warm-up, then the schedule over the rest of the run.
 * @param step steps done so far @param steps of the whole run
 */
export function rateFactor(schedule: LrSchedule, step: number, steps: number, warmupSteps: number): number {
  if (step < warmupSteps) return (schedule.at(0) * (step + 1)) / (warmupSteps + 1)
  return schedule.at((step - warmupSteps) / Math.max(1, steps - warmupSteps))
}
